#!/usr/bin/env bats
# The main job against buckets of a real Ceph object store: by every kind of address and signature, with what goes
# wrong on the way, and with what the server itself counted.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/bucket.bash

# ---- the whole of it ----

@test "the main job, over http" {
    expect 0 lb init --kit "$T/kit.txt"
    prints "s3://bucket/$PREFIX"
    backup
    expect 0 lb list
    prints good
    expect 0 lb show latest
    prints files
    expect 0 lb ls latest files
    prints sub/two.txt
    expect 0 lb find 'two.txt'
    prints sub/two.txt
    expect 0 lb cat latest numbers
    seq 1 20000 | cmp - "$T/out"
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    expect 0 lb restore latest files --to "$T/part" --path sub/two.txt
    [ "$(cat "$T/part/sub/two.txt")" = two ]
    expect 0 lb --json drill
    json 'd["proven"]'
    expect 0 lb status
    expect 0 lb check --read-data
    expect 0 lb key add --identity-out "$T/second.key" --label spare
    expect 0 lb --identity "$T/second.key" cat latest numbers
    expect 0 lb key show
    prints spare
    objects >"$T/names"
    contains "$T/names" lifeboat
    for kind in index keys packs snapshots receipts; do contains "$T/names" "$kind/"; done
    no_secrets
}

@test "a database comes back, and is proven" {
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    chmod 755 "$T"
    pg_start "$T/pg"
    psql -qXc "CREATE DATABASE app"
    psql -qX -d app -c "CREATE TABLE t(id int PRIMARY KEY, x text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 5000) i"
    printf '[source db]\ntype = postgres\nconnection = host=%s user=postgres dbname=app\n' "$PGHOST" >>"$T/lifeboat.conf"
    init
    backup db
    expect 0 lb restore latest:db db --to "host=$PGHOST user=postgres dbname=again"
    [ "$(psql -qAtX -d again -c "SELECT count(*), sum(id) FROM t")" = "5000|12502500" ]
    expect 0 lb --json drill latest db
    json 'd["proven"]'
}

@test "the kit and the bucket are enough, on a bare machine" {
    expect 0 lb init --kit "$T/kit.txt"
    backup
    rm -rf "$T/keys" "$T/state" "$T/cache" "$T/lifeboat.conf"
    local url
    url=$(sed -n 's/^ *\(s3:[^ ]*\)$/\1/p' "$T/kit.txt" | head -n 1)
    [ -n "$url" ] || url=$(grep -o 's3://[^ ]*' "$T/kit.txt" | head -n 1)
    contains "$T/kit.txt" "$url"
    expect 2 "$LIFEBOAT" --store "$url" --identity "$T/kit.txt" list
    says "no credentials for the bucket"
    export AWS_ACCESS_KEY_ID=$CEPH_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$CEPH_SECRET_KEY
    expect 0 "$LIFEBOAT" --store "$url" --identity "$T/kit.txt" list
    prints good
    expect 0 "$LIFEBOAT" --store "$url" --identity "$T/kit.txt" restore latest files --to "$T/back"
    same_files "$T/back"
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    expect 0 "$LIFEBOAT" --store "$url&credentials=$T/credentials" --identity "$T/kit.txt" check --read-data
    no_secrets
}

@test "forget, undo, prune" {
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 1h\ngrace = 1h\n' >>"$T/lifeboat.conf"
    head -c 3000000 /dev/urandom >"$T/files/big"
    init
    backup
    first=$ID
    rm "$T/files/big"
    backup
    expect 0 lb forget "$first"
    expect 0 lb undo "$first"
    expect 0 lb pin "$first" "before the reset"
    expect 0 lb --json prune --yes
    json 'not any(s["goes"] for s in d["snapshots"])'
    expect 0 lb unpin "$first"
    sed -i 's/^undo-window.*/undo-window = 0/' "$T/lifeboat.conf"
    prune_until 'd["swept"]["bytes"] > 3000000'
    expect 0 lb list --json
    json 'len(d) == 1'
    expect 0 lb check --read-data
}

@test "a key that may not delete: prune says so, and loses nothing" {
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 0\n' >>"$T/lifeboat.conf"
    through_proxy '{"refuse": "DELETE "}'
    head -c 3000000 /dev/urandom >"$T/files/big"
    init
    backup
    first=$ID
    rm "$T/files/big"
    backup
    expect 0 lb prune --dry-run
    objects >"$T/before"
    soon prune_ends 1
    says "delete snapshots/$first: HTTP 403 AccessDenied (the access key may not do this"
    # Marks apart, everything is there.
    objects | grep -v '^marks/' | diff <(grep -v '^marks/' "$T/before") -
    expect 0 lb check --read-data
    rm -rf "$T/back"
    expect 0 lb restore "$first" files --to "$T/back"
    # Whose key may delete takes over where it stood.
    echo '{}' >"$T/proxy/plan"
    prune_until 'd["swept"]["bytes"] > 3000000'
    expect 0 lb check --read-data
}

# ---- addresses and signatures ----

@test "https with a certificate of a private authority" {
    in_bucket bucket "$CEPH_HTTPS" "ca-file = $CEPH_CA"
    there_and_back
    no_secrets
}

@test "https, the bucket in the host's name" {
    in_bucket bucket "https://s3.localhost:${CEPH_HTTPS##*:}" "ca-file = $CEPH_CA" "addressing = virtual"
    there_and_back
}

@test "signature v2" {
    in_bucket bucket "$CEPH_HTTP" "insecure = yes" "signature = v2"
    there_and_back
    no_secrets
}

# ---- what goes wrong ----

@test "a certificate that nobody vouches for" {
    in_bucket bucket "$CEPH_HTTPS"
    expect 1 lb init
    says "certificate"
    says "ca-file"
    in_bucket bucket "https://elsewhere.localhost:${CEPH_HTTPS##*:}" "ca-file = $CEPH_CA"
    expect 1 lb init
    says "certificate"
}

@test "http is refused unless it is meant" {
    in_bucket bucket "$CEPH_HTTP"
    expect 2 lb init
    says "insecure = yes"
}

@test "a wrong secret, an unknown key, none at all" {
    echo "secret-key = wrong" >>"$T/credentials"
    expect 1 lb init
    says "SignatureDoesNotMatch"
    no_secrets
    printf 'access-key = NOBODY\nsecret-key = x\n' >"$T/credentials"
    expect 1 lb init
    says "InvalidAccessKeyId"
    printf 'access-key = NOBODY\n' >"$T/credentials"
    expect 2 lb init
    says "there is no secret-key in it"
    chmod 644 "$T/credentials"
    expect 2 lb init
    says "$T/credentials"
    drop credentials
    expect 2 lb init
    says "no credentials for the bucket"
    expect 2 env AWS_ACCESS_KEY_ID=x "$LIFEBOAT" -c "$T/lifeboat.conf" init
    printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" >"$T/credentials"
    chmod 600 "$T/credentials"
    store_lines "credentials = $T/credentials"
    expect 1 lb init
    says "AccessDenied"
}

@test "no such bucket, no such host, nobody at the door" {
    in_bucket nobucket "$CEPH_HTTP" "insecure = yes"
    expect 1 lb init
    says "NoSuchBucket"
    in_bucket bucket "http://no-such-host.invalid" "insecure = yes"
    until_says "trying again" "$LIFEBOAT" -c "$T/lifeboat.conf" init
    says "no-such-host.invalid: check the endpoint, and this machine's DNS"
    in_bucket bucket "http://127.0.0.1:1" "insecure = yes"
    until_says "trying again" "$LIFEBOAT" -c "$T/lifeboat.conf" init
    says "does the server run"
}

@test "another repository's keys, and a bucket without one" {
    expect 2 lb backup
    init
    expect 2 lb init
    PREFIX=$PREFIX/other in_bucket bucket "$CEPH_HTTP" "insecure = yes"
    expect 2 lb backup
    says "holds no repository"
}

# ---- no trace of the secret ----

@test "the secret is in no argument, environment or file of a run, nor of what it starts" {
    sed -i 's|^command = .*|command = for p in /proc/[0-9]*; do tr "\\\\0" "\\\\n" <$p/cmdline; cat $p/environ; done 2>/dev/null; true|' "$T/lifeboat.conf"
    init
    backup
    expect 0 lb -v cat latest numbers
    cp "$T/out" "$T/said"
    contains "$T/said" "$T/lifeboat.conf"
    if grep -aF "$CEPH_SECRET_KEY" "$T/said" | grep -vaF CEPH_SECRET_KEY=; then return 1; fi
    rm "$T/out" "$T/said"
    no_secrets
}

@test "what the environment says of the bucket is not handed on" {
    drop credentials
    sed -i "s|^command = .*|command = env >$T/env.command; echo x|; /^\\[source numbers/a before = env >$T/env.before" "$T/lifeboat.conf"
    export AWS_ACCESS_KEY_ID=$CEPH_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$CEPH_SECRET_KEY
    unset CEPH_SECRET_KEY CEPH_ACCESS_KEY CEPH_SECRET_KEY2 CEPH_ACCESS_KEY2
    init
    backup
    for file in "$T/env.command" "$T/env.before"; do
        contains "$file" PATH=
        if grep -F -e AWS_ACCESS -e AWS_SECRET -e "$AWS_SECRET_ACCESS_KEY" "$file"; then return 1; fi
    done
    expect 0 lb guard -- sh -c "env >$T/env.guard" # somebody's own command, with what they gave it
    contains "$T/env.guard" "AWS_SECRET_ACCESS_KEY="
}

# ---- kill -9 ----

@test "killed at any moment of an upload, the next run uses what is there" {
    store_lines "limit-up = 60MiB"
    init
    # However slowly this looks at the bucket, the backup does not end before: its command waits.
    mkfifo "$T/go-on"
    exec {go_on}<>"$T/go-on"
    sed -i.whole "s|^command = .*|command = cat $T/go-on|" "$T/lifeboat.conf"
    for round in 1 2 3 4; do
        head -c 50000000 /dev/urandom >"$T/files/big$round"
        there=$(objects | grep -c packs/ || true)
        "$LIFEBOAT" -c "$T/lifeboat.conf" -q backup 3>&- {go_on}>&- &
        pid=$!
        until [ "$(objects | grep -c packs/)" -ge $((there + (round > 1))) ]; do kill -0 $pid; done
        kill -9 $pid
        wait $pid || true
        expect 0 lb list --json
        json 'd == []'
    done
    exec {go_on}>&-
    mv "$T/lifeboat.conf.whole" "$T/lifeboat.conf"
    there=$(objects | grep -c packs/)
    [ "$there" -ge 3 ]
    drop limit-up
    expect 0 lb --json backup
    json "d['requests']['put_packs'] <= 13 - $there"
    expect 0 lb check --read-data
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

# ---- requests ----

@test "a night with nothing new costs a handful of requests, by the server's count and by ours" {
    init
    for night in 1 2 3 4; do
        echo "$night" >>"$T/files/one.txt"
        backup
    done
    through_proxy
    backup
    json 'd["verdict"] == "good" and d["requests"]["put_packs"] == 0'
    # DESIGN, section 11: 10, one for 1,000 objects listed, and the snapshot
    [ "$(requests)" -le 12 ]
    json "sum(d['requests'][k] for k in ('put', 'get', 'list', 'head', 'delete')) == $(requests)"
    for class in put get list head delete; do json "d['requests']['$class'] == $(requests " $class ")"; done
    no_secrets
}

@test "with signature v2 as well" {
    in_bucket bucket "$CEPH_HTTP" "insecure = yes" "signature = v2"
    init
    for night in 1 2 3 4; do
        echo "$night" >>"$T/files/one.txt"
        backup
    done
    through_proxy
    backup
    [ "$(requests)" -le 13 ] # what time it is there is asked apart
}

# ---- chaos ----

@test "backups and restores end well while the server stumbles" {
    head -c 20000000 /dev/urandom >"$T/files/big"
    through_proxy
    init
    for seed in 1 2; do
        head -c 3000000 /dev/urandom >"$T/files/seed$seed"
        plan "{\"seed\": $seed, \"jitter_ms\": 20, \"faults\": {\"500\": 0.05, \"slow\": 0.02, \"resetup\": 0.05, \"resetdown\": 0.05, \"cut\": 0.05, \"lost\": 0.05, \"short\": 0.03}}"
        rm -rf "$T/cache" "$T/back"
        expect 0 timeout 100 "$LIFEBOAT" -c "$T/lifeboat.conf" -q backup
        expect 0 timeout 100 "$LIFEBOAT" -c "$T/lifeboat.conf" -q restore latest files --to "$T/back"
        same_files "$T/back"
    done
    [ "$(requests ' \(500\|slow\|reset.*\|cut\|lost\|short\)$')" -gt 10 ]
    rm "$T/proxy/plan"
    expect 0 lb check --read-data
    expect 0 lb list --json
    json 'len(d) == 2'
}

@test "a server that refuses what matters leaves no half snapshot" {
    init
    backup
    through_proxy '{"refuse": "PUT .*/packs/"}'
    echo more >>"$T/files/one.txt"
    expect 1 lb -q backup
    says "AccessDenied"
    says "no snapshot was written"
    plan '{"refuse": "PUT .*/index/"}'
    expect 1 lb -q backup
    says "no snapshot was written"
    plan '{"refuse": "PUT .*/snapshots/"}'
    expect 1 lb -q backup
    says "no snapshot was written"
    rm "$T/proxy/plan"
    expect 0 lb list --json
    json 'len(d) == 1'
    expect 0 lb check --read-data
    expect 0 lb --json backup
    json 'd["requests"]["put_packs"] == 0'
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

@test "a listing that does not show what is there: prune deletes nothing for it" {
    init
    backup
    through_proxy '{"hide": "/snapshots/"}'
    expect 1 lb prune --exclusive --yes
    says "snapshot ${ID:0:8} of files is in the store, and its listing does not show it"
    expect 0 lb prune # which touches nothing so young
    sed -i 's/"written": *[0-9]*/"written":1/g' "$T"/state/*/newest.json
    expect 1 lb prune --yes # it does not just lag behind
    says "its listing does not show it"
    plan '{}'
    expect 0 lb prune --exclusive --yes
    expect 0 lb check --read-data
    expect 0 lb restore "$ID" files --to "$T/back"
    same_files "$T/back"
}
