#!/usr/bin/env bats
# What may be done to a bucket: keys that may less, Object Lock, and what `check --store` finds out, against a real Ceph
# object store.
load ../lib/bucket.bash

# ---- Object Lock ----

# locked NAME DAYS: the lock of an object ends so many days after a moment of this test.
locked() {
    local end
    end=$(date -d "$(s3 GET "/locked/$PREFIX/$1?retention" | sed -n 's/.*<RetainUntilDate>\([^<]*\)<.*/\1/p')" +%s)
    [ "$end" -ge $((BEGUN + $2 * 86400)) ] && [ "$end" -le $(($(date +%s) + $2 * 86400 + 1)) ]
}

@test "object-lock-days: what a snapshot needs stays locked" {
    BEGUN=$(date +%s)
    in_bucket locked "$CEPH_HTTP" "insecure = yes" "object-lock-days = 2"
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 0\ngrace = 1m\n' >>"$T/lifeboat.conf"
    init
    backup
    pack=$(objects | grep packs/ | head -n 1)
    locked "$pack" 2
    locked lifeboat 2
    expect 0 lb -v backup
    through_proxy
    backup
    [ "$(requests ' put ')" = 1 ] # far from their end: only the snapshot is put
    drop object-lock-days
    store_lines "object-lock-days = 10"
    head -c 3000000 /dev/urandom >"$T/files/big"
    backup
    for name in "$pack" lifeboat "$(objects | grep keys/)" "$(objects | grep index/ | head -n 1)"; do
        locked "$name" 10
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

@test "object-lock-days: a pack that was overwritten and healed is called damaged no more, though its mark is locked" {
    BEGUN=$(date +%s)
    in_bucket locked "$CEPH_HTTP" "insecure = yes" "object-lock-days = 1"
    init
    backup
    pack=$(objects | grep ^packs/)
    s3 GET "/locked/$PREFIX/$pack" | tr b x >"$T/bad"
    python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT "/locked/$PREFIX/$pack" <"$T/bad"
    expect 5 lb check --read-data
    mark=$(objects | grep ^marks/damaged/)
    locked "$mark" 1
    expect 0 lb --json repair
    json 'd["ok"] and d["healed"] == ["'"$pack"'"]'
    objects | grep -q ^marks/damaged/ && return 1
    expect 0 lb check --read-data
}

# ---- versions ----

# with_versions: the configuration points to a bucket that keeps them.
with_versions() {
    s3 PUT /kept >/dev/null
    printf '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>' |
        python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT '/kept?versioning'
    in_bucket kept "$CEPH_HTTP" "insecure = yes"
}
overwrite() { python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT "/kept/$PREFIX/$1"; }

@test "whatever was overwritten and then hidden in a bucket with versions is still read" {
    with_versions
    init
    backup
    for name in $(objects | grep -v '^lifeboat$'); do
        s3 GET "/kept/$PREFIX/$name" | tr b x | overwrite "$name"
        echo rubbish | overwrite "$name"
        case $name in packs/*) s3 DELETE "/kept/$PREFIX/$name" ;; esac
    done
    rm -rf "$T/cache"
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    says "is read from an older version of it: find out who overwrote it"
    expect 0 lb cat latest numbers
    seq 1 20000 | cmp - "$T/out"
    expect 5 lb check --read-data # it is to be put in order all the same
}

READS='"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketVersioning"'
# allow ACTIONS: to the second account, in the bucket "kept".
allow() {
    printf '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/test2"]},
        "Action": [%s], "Resource": ["arn:aws:s3:::kept", "arn:aws:s3:::kept/*"]}]}' "$1" |
        python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT '/kept?policy'
}

small() { objects | grep -v -e '^packs/' -e '^lifeboat$'; }
# only_found NAME...: check names these, and nothing else.
only_found() {
    expect 5 lb --json check
    json '{x["object"] for x in d["errors"]} == set("""'"$*"'""".split())'
}

@test "what was read from an older version is damage until repair has put it on top" {
    with_versions
    init
    backup
    expect 0 lb drill
    expect 0 lb pin latest "for the test"
    names=$(small)
    for kind in keys index snapshots receipts marks/pin; do grep -q "^$kind/" <<<"$names"; done
    expect 0 lb check
    for name in $names; do echo rubbish | overwrite "$name"; done
    s3 DELETE "/kept/$PREFIX/lifeboat"
    # shellcheck disable=SC2086 # a list
    only_found lifeboat $names
    expect 5 lb check
    prints "$(grep ^snapshots/ <<<"$names"): its newest version is not what its name says, an older one is"
    prints "lifeboat: is hidden by a delete marker"
    prints "DAMAGED"
    expect 0 lb --json repair
    json 'd["ok"] and sorted(d["healed"]) == sorted("""'"lifeboat $names"'""".split())'
    expect 0 lb check --read-data
    expect 0 lb --json repair
    json 'd["ok"] and not d["healed"]'
    echo rubbish | overwrite lifeboat
    expect 5 lb backup
    says "what to do: \`lifeboat check\`"
    for root in rubbish "{\"format\":1,\"repository\":\"$(printf '%032d' 7)\"}"; do
        echo "$root" | overwrite lifeboat
        expect 5 lb check
        prints "Run \`lifeboat repair\`, which makes it anew from the keys"
        expect 5 lb --store main check
        prints "Run \`lifeboat --store main repair\`, which"
        expect 0 lb --json repair
        json 'd["ok"] and d["healed"] == ["lifeboat"]'
    done
    backup
    rm -rf "$T/cache"
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

@test "where the key may not list versions, it is said that there may be some" {
    with_versions
    init
    backup
    allow '"s3:GetObject", "s3:ListBucket", "s3:PutObject"'
    printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" >"$T/credentials"
    expect 0 lb check
    for name in $(objects | grep -e ^snapshots/ -e ^packs/); do
        echo rubbish | overwrite "$name"
        expect 5 lb repair
        says "the bucket does not say whether it has older versions of it: HTTP 403 AccessDenied"
        s3 GET "/kept/$PREFIX/$name" >"$T/now"
        [ "$(cat "$T/now")" = rubbish ]
    done
}

@test "older versions are found on a server that is busy now and then" {
    with_versions
    init
    backup
    echo rubbish | overwrite "snapshots/$ID"
    through_proxy '{"faults": {"500": 0.4}, "only": "[?&]versions="}'
    for _ in 1 2 3 4 5; do
        rm -rf "$T/cache"
        expect 0 lb list --json
        json '[x["id"] for x in d] == ["'"$ID"'"]'
    done
    [ "$(requests 'list 500')" -gt 1 ]
}

@test "packs that were overwritten or hidden come back from their older versions" {
    with_versions
    init
    backup
    head -c 3000000 /dev/urandom >"$T/files/big" # several slices
    backup
    packs=$(objects | grep ^packs/)
    [ "$(wc -l <<<"$packs")" = 2 ]
    for name in $packs; do
        s3 GET "/kept/$PREFIX/$name" | tr b x | overwrite "$name"
        echo rubbish | overwrite "$name"
    done
    expect 5 lb check --read-data
    expect 0 lb --json repair --read-data
    json 'd["ok"] and sorted(x for x in d["healed"] if x.startswith("packs/")) == sorted("""'"$packs"'""".split())'
    expect 0 lb check --read-data
    for name in $packs; do
        s3 DELETE "/kept/$PREFIX/$name"
        expect 5 lb check
        prints "$name: is missing"
        expect 0 lb repair
        prints "healed: $name"
    done
    expect 0 lb check --read-data
    objects | grep -q '^marks/damaged/' && return 1
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

@test "what was overwritten and hidden very often comes back from its oldest version" {
    with_versions
    init
    backup
    names=$(objects | grep -e ^snapshots/ -e ^packs/)
    for name in $names; do
        for ((i = 0; i < 12; i++)); do echo "rubbish $i" | overwrite "$name"; done
    done
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    expect 5 lb check
    expect 0 lb --json repair
    # shellcheck disable=SC2086 # a list
    json 'd["ok"] and sorted(d["healed"]) == sorted("""'"$names"'""".split())'
    expect 0 lb check --read-data
    # more than a page of a listing holds
    pack=$(grep ^packs/ <<<"$names")
    for kind in PUT DELETE; do
        s3 TIMES 1010 "$kind" "/kept/$PREFIX/$pack"
        expect 5 lb check
        expect 0 lb --json repair
        json 'd["ok"] and d["healed"] == ["'"$pack"'"]'
    done
    expect 0 lb check --read-data
}

@test "the newest snapshot, hidden, is missed by its host and comes back" {
    with_versions
    init
    backup
    hidden=snapshots/$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["snapshot"])' "$T/out")
    s3 DELETE "/kept/$PREFIX/$hidden"
    only_found "$hidden"
    pack=$(objects | grep ^packs/)
    s3 GET "/kept/$PREFIX/$pack" >"$T/pack"
    s3 DELETE "/kept/$PREFIX/$pack" # no snapshot needs it now
    expect 5 lb repair
    prints "LOST: $hidden: is hidden by a delete marker, and not all that it needs is listed"
    overwrite "$pack" <"$T/pack"
    expect 0 lb --json repair
    json 'd["ok"] and d["healed"] == ["'"$hidden"'"]'
    expect 0 lb check --read-data
    s3 DELETE "/kept/$PREFIX/$hidden"
    expect 0 lb --json --store main repair # as when no mirror answers
    json 'd["ok"] and d["healed"] == ["'"$hidden"'"]'
    expect 0 lb check --read-data
}

@test "what a prune hid, as its key may do no more, is no damage and stays away" {
    with_versions
    printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" >"$T/credentials"
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 0\ngrace = 1m\n' >>"$T/lifeboat.conf"
    allow "$READS, \"s3:PutObject\", \"s3:DeleteObject\""
    head -c 3000000 /dev/urandom >"$T/files/big"
    init
    backup
    rm "$T/files/big"
    backup
    objects >"$T/before"
    prune_until 'd["swept"]["bytes"] > 3000000'
    objects >"$T/after"
    gone=$(comm -23 "$T/before" "$T/after" | head -n 1)
    s3 GET "/kept?versions&prefix=${PREFIX//\//%2F}%2F${gone//\//%2F}" | grep -q DeleteMarker # hidden, not gone
    expect 0 lb check --read-data
    expect 0 lb --json repair --read-data
    json 'd["ok"] and not d["healed"]'
    objects | cmp "$T/after"
}

@test "what a prune has condemned is not put back from an older version" {
    with_versions
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 0\ngrace = 6s\n' >>"$T/lifeboat.conf"
    head -c 3000000 /dev/urandom >"$T/files/big"
    init
    backup
    objects | grep ^packs/ >"$T/packs"
    rm "$T/files/big"
    backup
    soon condemns
    pack=$(grep -xFf "$T/packs" <(objects))
    echo rubbish | overwrite "$pack"
    expect 5 lb check
    expect 0 lb --json repair --read-data # no snapshot needs it
    json '"'"$pack"'" not in d["healed"]'
    [ "$(s3 GET "/kept/$PREFIX/$pack")" = rubbish ]
}
condemns() { lb prune --yes && objects | grep -q ^marks/condemn/; }

@test "a mirror in a bucket with versions is put in order by its own" {
    with_versions
    sed -i 's/^\[store main\]/[store away]/' "$T/lifeboat.conf"
    mkdir "$T/near"
    sed -i "1i [store near]\nurl = file://$T/near\nmin-free = 0" "$T/lifeboat.conf"
    init
    backup
    names=$(small)
    for name in $names; do echo rubbish | overwrite "$name"; done
    expect 0 lb check
    expect 5 lb --store away check
    prints "lifeboat --store NAME repair"
    expect 2 lb --store near repair
    says "--store heals a bucket from older versions in it"
    expect 2 lb --store away repair --from away
    expect 2 lb --store "s3://kept/$PREFIX" repair
    expect 0 lb --json --store away repair
    # shellcheck disable=SC2086 # a list
    json 'd["ok"] and sorted(d["healed"]) == sorted("""'"$names"'""".split())'
    expect 0 lb --store away check --read-data
}

@test "where no mirror opens, repair says how a bucket is put in order by its own" {
    with_versions
    mkdir "$T/near"
    printf '[store near]\nurl = file://%s\nmin-free = 0\n' "$T/near" >>"$T/lifeboat.conf"
    init
    backup
    names=$(objects | grep -e ^snapshots/ -e ^packs/ -e ^index/)
    for name in $names; do echo rubbish | overwrite "$name"; done
    mv "$T/near" "$T/far"
    expect 2 lb repair
    says "there is no mirror to take from"
    says "\`lifeboat --store main repair\` takes from the bucket's own older versions alone"
    expect 0 lb --json --store main repair
    # shellcheck disable=SC2086 # a list
    json 'd["ok"] and sorted(d["healed"]) == sorted("""'"$names"'""".split())'
    expect 0 lb check --read-data
}

@test "what came from an older version is not brought from mirrors again where its mark stays" {
    with_versions
    for name in near far; do
        mkdir "$T/$name"
        printf '[store %s]\nurl = file://%s\nmin-free = 0\n' $name "$T/$name" >>"$T/lifeboat.conf"
    done
    init
    backup
    pack=$(objects | grep ^packs/)
    s3 GET "/kept/$PREFIX/$pack" | tr b x | overwrite "$pack"
    expect 5 lb check --read-data
    allow "$READS, \"s3:PutObject\""
    printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" >"$T/credentials"
    expect 5 lb --json repair --read-data
    json 'd["healed"] == ["'"$pack"'"]'
}

@test "where the key may not put, repair says so; where it may not delete, the mark of a healed pack stays" {
    with_versions
    init
    backup
    name=$(small | grep ^index/)
    echo rubbish | overwrite "$name"
    allow "$READS"
    printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" >"$T/credentials"
    only_found "$name"
    expect 1 lb repair
    says "replace $name: HTTP 403 AccessDenied"
    allow "$READS, \"s3:PutObject\""
    expect 0 lb repair
    expect 0 lb check
    pack=$(objects | grep ^packs/)
    s3 GET "/kept/$PREFIX/$pack" | tr b x | overwrite "$pack"
    expect 5 lb check --read-data
    expect 5 lb repair --read-data
    prints "healed: $pack"
    prints "AccessDenied"
    prints "the pack is whole again, but the mark that calls it damaged stays"
    allow "$READS, \"s3:PutObject\", \"s3:DeleteObject\"" # one that may hide
    expect 0 lb repair
    expect 0 lb check --read-data
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

@test "check --store: a bucket with versions and no locks" {
    s3 PUT /versions
    printf '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>' |
        python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT '/versions?versioning'
    in_bucket versions "$CEPH_HTTP" "insecure = yes"
    expect 0 lb check --store
    prints "no Object Lock"
    prints "on: what is deleted or overwritten stays as a version"
    prints "this key may delete"
    [ -z "$(objects)" ]
    s3 GET "/versions?versions&prefix=${PREFIX//\//%2F}" >"$T/versions.xml"
    if grep -q '<Version>' "$T/versions.xml"; then return 1; fi # and none is left behind
}

@test "check --store: clocks that do not agree" {
    through_proxy '{"clock_s": 800}'
    expect 3 lb check --store
    grep "this machine's clock is 13 min .* behind the store's: set it" "$T/out"
    plan '{"clock_s": -800}'
    expect 3 lb check --store
    grep "this machine's clock is 13 min .* ahead of the store's: set it" "$T/out"
    plan '{"clock_s": 100}'
    expect 0 lb check --store
    prints "agrees with this machine's"
}

@test "check --store: a bucket that is not there, a key that is wrong" {
    in_bucket nobucket "$CEPH_HTTP" "insecure = yes"
    expect 1 lb check --store
    prints "NoSuchBucket"
    in_bucket bucket "$CEPH_HTTP" "insecure = yes"
    echo "secret-key = wrong" >>"$T/credentials"
    expect 1 lb check --store
    prints "SignatureDoesNotMatch"
}

@test "check --store: a key that may not delete, a bucket that anybody reads" {
    init
    through_proxy '{"refuse": "DELETE "}'
    expect 0 lb check --store
    prints "this key may not delete: good for a nightly host"
    s3 DELETE "/bucket/$PREFIX/probe"
    plan '{"refuse": "PUT "}'
    expect 1 lb check --store
    prints "AccessDenied (the access key may not do this"
    prints "objects can be listed"
    s3 PUT /open
    printf '%s' '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::open/*"}]}' >"$T/policy"
    python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT '/open?policy' <"$T/policy"
    in_bucket open "$CEPH_HTTP" "insecure = yes"
    expect 3 lb check --store
    prints "THE BUCKET IS PUBLIC"
}

# ---- the keys of conf/examples ----

# policy FILE: gives the second account what the file of conf/examples says, in the bucket "shared".
policy() {
    python3 - "$BATS_TEST_DIRNAME/../../conf/examples/$1" >"$T/policy" <<'PY'
import json, sys
p = json.loads(open(sys.argv[1]).read().replace("BUCKET", "shared"))
for s in p["Statement"]:
    s["Principal"] = {"AWS": ["arn:aws:iam:::user/test2"]}
print(json.dumps(p))
PY
    python3 "$BATS_TEST_DIRNAME/../lib/s3.py" PUT '/shared?policy' <"$T/policy"
}

@test "the nightly key of conf/examples adds and cannot delete, the other one prunes" {
    s3 PUT /shared x-amz-bucket-object-lock-enabled:true
    in_bucket shared "$CEPH_HTTP" "insecure = yes"
    printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" >"$T/credentials"
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\nundo-window = 0\ngrace = 1m\n' >>"$T/lifeboat.conf"
    expect 1 lb -q init
    says "AccessDenied"
    policy aws-nightly-policy.json
    expect 3 lb check --store # a policy for one account: what this Ceph calls public is not
    prints "a request without a key was refused, and yet the store calls its policy public"
    prints "this key may not delete: good for a nightly host"
    prints "on: what is deleted or overwritten stays as a version"
    head -c 3000000 /dev/urandom >"$T/files/big"
    init
    backup
    rm "$T/files/big"
    backup
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    soon prune_ends 1
    says "AccessDenied"
    [ "$(objects | grep -c snapshots/)" = 2 ]
    policy aws-prune-policy.json
    prune_until 'd["swept"]["bytes"] > 3000000'
    expect 0 lb list --json
    json 'len(d) == 1'
    expect 0 lb check --read-data
    store_lines "object-lock-days = 2" # both may lock, too
    policy aws-nightly-policy.json
    expect 0 lb -v backup
    expect 3 lb check --store
    prints "the lock holds it"
}
