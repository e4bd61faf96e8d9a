# bucket.bash: what the tests of buckets share. A Ceph object store for the file; for each test a prefix of its own in a
# bucket, and a configuration that points there.
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell, and that is meant; some of this is used there
load ../lib/common.bash

setup_file() {
    export S3T
    S3T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-s3-XXXXXX")
    chmod 755 "$S3T"
    start_ceph "$S3T"
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
    soon test -e "$T/proxy/port"
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
prune_ends() { expect "$1" lb --json prune --yes --exclusive; } # CODE
prune_until() { soon prune_tells "$1"; } # EXPRESSION
prune_tells() { prune_ends 0 && json "$1" 2>/dev/null; }

said_or_gone() { grep -qF -- "$1" "$T/err" || [ ! -e "/proc/$2" ]; } # TEXT PID

# until_says TEXT COMMAND...: runs it until that stands on its standard error, and ends it then. It must not have ended well.
until_says() {
    local text=$1 got=0 pid
    shift
    "$@" >"$T/out" 2>"$T/err" </dev/null 3>&- &
    pid=$!
    soon said_or_gone "$text" "$pid" || true
    kill $pid 2>/dev/null || true
    wait $pid || got=$?
    [ $got != 0 ] && says "$text"
}
