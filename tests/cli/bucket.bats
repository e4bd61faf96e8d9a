#!/usr/bin/env bats
# The main job against buckets of a real Ceph object store: by every kind of address and signature, with what goes
# wrong on the way, and with what the server itself counted.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/common.bash

setup_file() {
    export S3T
    S3T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-s3-XXXXXX")
    chmod 755 "$S3T"
    # shellcheck source=tests/lib/ceph.sh
    . "$BATS_TEST_DIRNAME/../lib/ceph.sh"
    ceph_there 2>"$S3T/why" || skip "$(cat "$S3T/why")"
    ceph_start "$S3T/ceph"
    set -a
    # shellcheck disable=SC1091 # it was just made
    . "$S3T/ceph/env"
    set +a
    unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
    s3 PUT /bucket
    s3 PUT /locked x-amz-bucket-object-lock-enabled:true
}

teardown_file() {
    # shellcheck source=tests/lib/ceph.sh
    . "$BATS_TEST_DIRNAME/../lib/ceph.sh"
    [ -z "$S3T" ] || ceph_stop "$S3T/ceph"
    rm -rf "$S3T"
}

setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-cli-XXXXXX")
    mkdir "$T/files" "$T/files/sub"
    echo one >"$T/files/one.txt"
    echo two >"$T/files/sub/two.txt"
    head -c 300000 /dev/urandom >"$T/files/sub/noise"
    PREFIX="test-$BATS_TEST_NUMBER/x"
    in_bucket bucket "$CEPH_HTTP" "insecure = yes"
}

teardown() {
    if [ -e "$T/proxy/pid" ]; then kill "$(cat "$T/proxy/pid")"; fi
    if [ -d "$T/pg" ]; then
        # shellcheck source=tests/lib/pg.sh
        . "$BATS_TEST_DIRNAME/../lib/pg.sh"
        pg_stop "$T/pg"
    fi
    rm -rf "$T"
}

s3() { python3 "$BATS_TEST_DIRNAME/../lib/s3.py" "$@" </dev/null; }
objects() { s3 LIST "${BUCKET:-bucket}" "$PREFIX/"; }

# in_bucket BUCKET ENDPOINT [LINE...]: the configuration, with more lines for its [store].
in_bucket() {
    BUCKET=$1 ENDPOINT=$2
    shift 2
    STORE=$T/none write_config
    (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" >"$T/credentials")
    sed -i "/^url/d; /^min-free/d" "$T/lifeboat.conf"
    store_lines "url = s3://$BUCKET/$PREFIX" "endpoint = $ENDPOINT" "credentials = $T/credentials" "$@"
}

store_lines() {
    for line in "$@"; do sed -i "/^\[store main\]/a $line" "$T/lifeboat.conf"; done
}

# drop KEY: of the configuration.
drop() { sed -i "/^$1 = /d" "$T/lifeboat.conf"; }

# through_proxy [PLAN]: puts tests/lib/s3_proxy.py between lifeboat and the server.
through_proxy() {
    mkdir "$T/proxy"
    [ $# = 0 ] || echo "$1" >"$T/proxy/plan"
    python3 "$BATS_TEST_DIRNAME/../lib/s3_proxy.py" "${CEPH_HTTP#http://}" "$T/proxy" >"$T/proxy/out" 2>&1 3>&- </dev/null &
    echo $! >"$T/proxy/pid"
    for _ in $(seq 200); do
        [ -e "$T/proxy/port" ] && break
        sleep 0.05
    done
    drop endpoint
    store_lines "endpoint = http://127.0.0.1:$(cat "$T/proxy/port")"
}

plan() { echo "$1" >"$T/proxy/plan.new" && mv "$T/proxy/plan.new" "$T/proxy/plan"; }
requests() { grep -c "${1:-}" "$T/proxy/log"; }

# A backup, everything back and compared, every byte checked.
there_and_back() {
    expect 0 lb init --kit "$T/kit.txt"
    backup
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    expect 0 lb restore latest numbers --to -
    seq 1 20000 | cmp - "$T/out"
    expect 0 lb check --read-data
}

# Neither the secret nor the access key is anywhere but in the credentials.
no_secrets() {
    if grep -rlF -e "$CEPH_SECRET_KEY" -e "$CEPH_ACCESS_KEY" "$T" --exclude=credentials; then return 1; fi
}

# The clock of a server counts whole seconds, so what was just forgotten is due in the next one.
prune_until() {
    for _ in $(seq 20); do
        expect 0 lb --json prune --yes --exclusive
        [ "$(value "bool($1)")" = False ] || return 0
    done
    cat "$T/out" && return 1
}

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
    for _ in $(seq 20); do
        got=0
        lb prune --yes --exclusive >"$T/out" 2>"$T/err" || got=$?
        [ $got = 0 ] || break
    done
    [ "$got" = 1 ]
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
    expect 124 timeout 3 "$LIFEBOAT" -c "$T/lifeboat.conf" init
    says "trying again"
    says "no-such-host.invalid"
    in_bucket bucket "http://127.0.0.1:1" "insecure = yes"
    expect 124 timeout 2 "$LIFEBOAT" -c "$T/lifeboat.conf" init
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

# ---- kill -9 ----

@test "killed at any moment of an upload, the next run uses what is there" {
    head -c 160000000 /dev/urandom >"$T/files/big"
    store_lines "limit-up = 60MiB"
    init
    for pause in 0.15 0.5 0.9 1.3; do
        "$LIFEBOAT" -c "$T/lifeboat.conf" -q backup 3>&- &
        pid=$!
        sleep "$pause"
        kill -9 $pid
        wait $pid || true
        expect 0 lb list --json
        json 'd == []'
    done
    there=$(objects | grep -c packs/)
    [ "$there" -gt 0 ]
    drop limit-up
    expect 0 lb --json backup
    json "d['requests']['put_packs'] <= 11 - $there"
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
    [ "$(requests)" -le 12 ]
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

# ---- Object Lock ----

# lock_end NAME: when the lock of an object ends.
lock_end() { s3 GET "/locked/$PREFIX/$1?retention" | sed -n 's/.*<RetainUntilDate>\(.*\)T.*/\1/p'; }
in_days() { date -u -d "+$1 days" +%F; }

@test "object-lock-days: what a snapshot needs stays locked" {
    in_bucket locked "$CEPH_HTTP" "insecure = yes" "object-lock-days = 2"
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 0\ngrace = 1m\n' >>"$T/lifeboat.conf"
    init
    backup
    pack=$(objects | grep packs/ | head -n 1)
    [ "$(lock_end "$pack")" = "$(in_days 2)" ]
    [ "$(lock_end lifeboat)" = "$(in_days 2)" ]
    expect 0 lb -v backup
    through_proxy
    backup
    [ "$(requests ' put ')" = 1 ] # far from their end: only the snapshot is put
    drop object-lock-days
    store_lines "object-lock-days = 10"
    head -c 3000000 /dev/urandom >"$T/files/big"
    backup
    for name in "$pack" lifeboat "$(objects | grep keys/)" "$(objects | grep index/ | head -n 1)"; do
        [ "$(lock_end "$name")" = "$(in_days 10)" ]
    done
    : >"$T/proxy/log"
    backup
    [ "$(requests)" -le 13 ]
    # prune says what it could not delete
    rm "$T/files/big"
    backup
    prune_until 'any("is retained by the store" in n for n in d["notes"])'
    json 'd["swept"]["packs"] == 0'
    expect 0 lb check --read-data
}

@test "object-lock-days: what cannot be locked any longer is stored again" {
    in_bucket locked "$CEPH_HTTP" "insecure = yes" "object-lock-days = 1"
    init
    backup
    through_proxy '{"refuse": "PUT .*/packs/.*retention"}'
    drop object-lock-days
    store_lines "object-lock-days = 10"
    expect 0 lb --json backup
    says "its lock cannot be extended, so what it holds is stored again"
    json 'd["requests"]["put_packs"] >= 1'
    rm "$T/proxy/plan"
    expect 0 lb check --read-data
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

# ---- check --store ----

@test "check --store says what the store can and cannot do" {
    init
    expect 0 lb check --store
    prints "an object can be put"
    prints "no Object Lock"
    prints "this key may delete"
    expect 0 lb check --store --json
    json 'set(d) == {"type", "store", "ok", "checks"} and d["ok"] and d["store"].startswith("s3://bucket/")'
    json '[c["name"] for c in d["checks"]] == ["put", "get", "range", "list", "clock", "lock", "versions", "public", "delete"]'
    if objects | grep probe; then return 1; fi
    expect 2 lb check --store --read-data
    in_bucket locked "$CEPH_HTTP" "insecure = yes"
    expect 0 lb check --store
    prints "object-lock-days is not set"
    prints "on: what is deleted or overwritten stays as a version"
    in_bucket locked "$CEPH_HTTP" "insecure = yes" "object-lock-days = 30"
    expect 0 lb check --store
    prints "object-lock-days locks for 30 days"
    prints "the lock holds it"
    printf '[retention]\nkeep-within = 7d\n' >>"$T/lifeboat.conf"
    expect 3 lb check --store
    prints "keeps nothing for more than 11"
    in_bucket bucket "$CEPH_HTTP" "insecure = yes" "object-lock-days = 30"
    expect 1 lb check --store
    prints "made with Object Lock"
}

@test "check --store: a key that may not delete, a bucket that anybody reads" {
    init
    through_proxy '{"refuse": "DELETE "}'
    expect 0 lb check --store
    prints "this key may not delete: good for a nightly host"
    s3 PUT /open
    printf '%s' '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::open/*"}]}' >"$T/policy"
    python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT '/open?policy' <"$T/policy"
    in_bucket open "$CEPH_HTTP" "insecure = yes"
    expect 3 lb check --store
    prints "THE BUCKET IS PUBLIC"
}
