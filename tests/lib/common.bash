# common.bash: what the tests of the command line share. Each test has its own folder $T with a configuration, a
# repository and two small sources.
LIFEBOAT=${LIFEBOAT:-$BATS_TEST_DIRNAME/../../build/lifeboat}
unset LIFEBOAT_CONFIG

# What a file's own setup and teardown call.
make_folder() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-cli-XXXXXX")
    mkdir "$T/files" "$T/files/sub"
    echo one >"$T/files/one.txt"
    echo two >"$T/files/sub/two.txt"
    head -c 300000 /dev/urandom >"$T/files/sub/noise"
}
remove_folder() {
    if [ "${BESIDE-}" ]; then
        exec {GATE}>&-
        wait "$BESIDE" || :
    fi
    if mountpoint -q "$T/mount" 2>/dev/null; then umount "$T/mount"; fi
    chmod -R u+rwX "$T" 2>/dev/null || :
    rm -rf "$T"
}

setup() {
    make_folder
    write_config
}
teardown() { remove_folder; }

# mount_disk SIZE: a disk of its own, at $T/mount; or skips.
mount_disk() {
    [ "$(id -u)" = 0 ] || skip "a disk of its own needs root"
    mkdir "$T/mount"
    mount -t tmpfs -o "size=$1" tmpfs "$T/mount" 2>/dev/null || skip "mounting a tmpfs is not permitted here"
}

# A one-box configuration; more lines may be given on standard input.
write_config() {
    cat >"$T/lifeboat.conf" <<CONF
[store main]
url = file://${STORE:-$T/store}
min-free = 0
[keys]
writer = $T/keys/writer.key
identity = $T/keys/identity.key
[state]
directory = $T/state
cache = $T/cache
[general]
host = ${HOST:-box}
[source files]
type = volume
path = $T/files
[source numbers]
type = command
command = seq 1 20000
restore-command = cat > "\$LIFEBOAT_TARGET"/numbers
CONF
}

# A configuration on which the identity stays elsewhere.
write_only() {
    sed -i '/^identity/d' "$T/lifeboat.conf"
}

lb() {
    "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

# expect CODE COMMAND...: the exit code; keeps standard output and error in $T/out and $T/err.
expect() {
    local want=$1 got=0
    shift
    "$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
    if [ "$got" != "$want" ]; then
        echo "exit code $got, not $want: $*"
        head -n 30 "$T/out" "$T/err"
        return 1
    fi
}

# soon COMMAND...: tries until it ends well, for a minute: by the clock, since how many tries a machine does in a second is its own.
soon() {
    local last=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$last" ] || { echo "not within a minute: $*" && return 1; }
        sleep 0.05
    done >"$T/soon" 2>&1 || { tail -n 40 "$T/soon" && return 1; }
}

# gate NAME: a fifo $T/NAME on which waits what the test runs beside itself, until the test writes there or ends, however it
# does.
gate() {
    mkfifo "$T/$1"
    exec {GATE}<>"$T/$1"
}
# beside COMMAND...: runs it beside the test. It holds open neither the gate nor what bats waits for the end of.
beside() {
    "$@" 3>&- {GATE}>&- &
    BESIDE=$!
}

contains() { # FILE TEXT
    grep -qF -- "$2" "$1" && return 0
    echo "\"$2\" is not in:"
    head -n 30 "$1"
    return 1
}
says() { contains "$T/err" "$1"; }
prints() { contains "$T/out" "$1"; }

# json EXPRESSION: python, true of the last line that was printed, as `d`.
json() {
    python3 - "$T/out" "$1" <<'PY'
import json, sys
d = json.loads(open(sys.argv[1]).read().strip().splitlines()[-1])
assert eval(sys.argv[2]), (sys.argv[2], d)
PY
}

# value EXPRESSION: prints it.
value() {
    python3 - "$T/out" "$1" <<'PY'
import json, sys
d = json.loads(open(sys.argv[1]).read().strip().splitlines()[-1])
print(eval(sys.argv[2]))
PY
}

init() {
    expect 0 lb -q init --kit "$T/kit.txt"
}

backup() {
    expect 0 lb --json backup "$@"
    # shellcheck disable=SC2034 # for the tests
    ID=$(value 'd["snapshot"]')
}

same_files() { # FOLDER
    diff -r --no-dereference "$T/files" "$1"
}

# restores [SNAP]: the files come back from it.
restores() {
    rm -rf "$T/back"
    expect 0 lb --json restore "${1:-latest}" files --to "$T/back"
    same_files "$T/back"
}

# flip FILE [OFFSET]: inverts the bits of one byte, in the middle.
flip() {
    python3 - "$1" "${2:--1}" <<'PY'
import os, sys
path, at = sys.argv[1], int(sys.argv[2])
size = os.path.getsize(path)
os.chmod(path, 0o600)
with open(path, "r+b") as f:
    f.seek(size // 2 if at < 0 else at)
    b = f.read(1)[0]
    f.seek(-1, 1)
    f.write(bytes([b ^ 0xff]))
PY
}

# object KIND: the path of the only object of a kind.
object() {
    find "$T/store/$1" -type f | sort | head -n 1
}

# start_postgres, stop_postgres: a PostgreSQL for all tests of a file, in $PGT.
start_postgres() {
    export PGT
    PGT=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-pg-XXXXXX")
    chmod 755 "$PGT"
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    pg_start "$PGT/pg"
}

stop_postgres() {
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    pg_stop "$PGT/pg"
    rm -rf "$PGT"
}

query() { psql -qAtX -v ON_ERROR_STOP=1 -d "$1" -c "$2"; } # DATABASE SQL

# start_ceph DIR: an object store for as long as DIR/ceph is not stopped, its variables in the environment; or skips.
start_ceph() {
    # shellcheck source=tests/lib/ceph.sh
    . "$BATS_TEST_DIRNAME/../lib/ceph.sh"
    ceph_there 2>"$1/why" || skip "$(cat "$1/why")"
    ceph_start "$1/ceph"
    set -a
    # shellcheck disable=SC1091 # it was just made
    . "$1/ceph/env"
    set +a
    unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
}

s3() { python3 "$BATS_TEST_DIRNAME/../lib/s3.py" "$@" </dev/null; }
