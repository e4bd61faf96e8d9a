#!/usr/bin/env bats
# The main job against OpenStack Swift: a second code base beside Ceph (bucket.bats), and a stricter one.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/common.bash

setup_file() {
    export SWIFT
    SWIFT=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-swift-XXXXXX")
    mkfifo "$SWIFT/ready" "$SWIFT/stop"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/swift_s3.py" "$SWIFT/home" <"$SWIFT/stop" >"$SWIFT/ready" 2>"$SWIFT/why" 3>&- &
    exec 8>"$SWIFT/stop" # it ends with the last of us who holds this
    read -r <"$SWIFT/ready" || skip "$(cat "$SWIFT/why")"
    set -a
    # shellcheck disable=SC1091 # it was just made
    . "$SWIFT/home/env"
    set +a
    unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
    s3 PUT /bucket
}

teardown_file() {
    exec 8>&-
    wait
    rm -rf "$SWIFT"
}

setup() {
    make_folder
    write_config
    PREFIX=test-$BATS_TEST_NUMBER
    (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" >"$T/credentials")
}

# in_swift SIGNATURE: the bucket first, a folder as the mirror.
in_swift() {
    cat >>"$T/lifeboat.conf" <<CONF
[store near]
url = file://$T/near
min-free = 0
[retention]
keep-last = 1
keep-min = 1
CONF
    python3 - "$T/lifeboat.conf" "url = s3://bucket/$PREFIX
endpoint = $CEPH_HTTP
insecure = yes
signature = $1
credentials = $T/credentials" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
open(sys.argv[1], "w").write(re.sub(r"url = file://\S*/store\nmin-free = 0", sys.argv[2], text))
PY
}

main_job() { # SIGNATURE
    in_swift "$1"
    init
    expect 0 lb check --store
    prints "delete    ok"
    backup
    json 'd["mirrors"][0]["ok"]'
    first=$ID
    head -c 300000 /dev/urandom >"$T/files/more"
    backup
    expect 0 lb --json list
    json 'len(d) == 2'
    expect 0 lb check --read-data
    expect 0 lb drill latest files
    restores
    json 'd["mirror"] is False'
    expect 0 lb key add --identity-out "$T/second.key"
    expect 0 lb cat latest numbers --identity "$T/second.key"
    seq 1 20000 | cmp - "$T/out"
    # An object is gone, another one cut off.
    s3 LIST bucket "$PREFIX/packs/" >"$T/packs"
    s3 DELETE "/bucket/$PREFIX/packs/$(head -n 1 "$T/packs")"
    s3 PUT "/bucket/$PREFIX/packs/$(tail -n 1 "$T/packs")"
    restores
    json 'd["mirror"] is True'
    expect 0 lb repair --read-data
    expect 0 lb check --read-data
    expect 0 lb forget "${first:0:12}"
    expect 0 lb undo
    expect 0 lb prune --exclusive --yes
    expect 0 lb check --read-data
    # The kit and the bucket are enough.
    url=$(sed -n 's/^ *store  *//p' "$T/kit.txt")
    rm -rf "$T/back" "$T/state" "$T/cache" "$T/near"
    export AWS_ACCESS_KEY_ID=$CEPH_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$CEPH_SECRET_KEY
    expect 0 "$LIFEBOAT" --store "$url" --identity "$T/kit.txt" restore latest files --to "$T/back"
    same_files "$T/back"
}

@test "signature V4, from init to the kit" {
    main_job v4
}

@test "signature V2, from init to the kit" {
    main_job v2
}

@test "a wrong region, a wrong secret, a bucket that is not there" {
    in_swift v4
    init
    sed -i 's/^signature = v4/region = eu-north-7/' "$T/lifeboat.conf"
    expect 0 lb list
    says "the bucket lies in region us-east-1, not eu-north-7: set region = us-east-1"
    sed -i 's|^url = s3://bucket/|url = s3://nothing/|' "$T/lifeboat.conf"
    expect 1 lb --store main list
    says "NoSuchBucket"
    sed -i 's/^secret-key.*/secret-key = wrong/' "$T/credentials"
    expect 1 lb --store main list
    says "the secret key is wrong"
}
