#!/usr/bin/env bats
# Two hosts back up and a third prunes, all of them killed again and again, with a grace of seconds: lib/storm.py.
# LIFEBOAT_STORM=300 makes it five minutes in a folder, and as much in a bucket, where a second is what the clock counts: the grace is
# longer there, and so are the last two prunes.
SECONDS_EACH=${LIFEBOAT_STORM:-8}
export BATS_TEST_TIMEOUT=$((SECONDS_EACH + 110))
load ../lib/common

# hosts GRACE LINE...: the configurations of three hosts of one repository, whose [store] has these lines.
hosts() {
    for h in a b p; do
        {
            printf '[store main]\n'
            printf '%s\n' "${@:2}"
            cat <<CONF
[keys]
writer = $T/keys/writer.key
identity = $T/keys/identity.key
[state]
directory = $T/$h-state
cache = $T/$h-cache
[general]
host = $h
[source files]
type = volume
path = $T/$h
[source pause]
type = command
; After the volume and before the commit, so that prunes fall into it.
command = sleep 0.3; date
[retention]
keep-last = 2
keep-min = 2
undo-window = 0
grace = $1s
CONF
        } >"$T/$h.conf"
    done
    mkdir "$T/p"
    expect 0 "$LIFEBOAT" -c "$T/p.conf" -q init --kit "$T/kit.txt"
    # What came through is shown in the test's output, which is printed when it fails.
    /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/storm.py" "$LIFEBOAT" "$T" "$SECONDS_EACH" "$1" | tee "${LIFEBOAT_STORM_LOG:-/dev/null}"
    return "${PIPESTATUS[0]}"
}

@test "nothing is lost in a storm, in a folder" {
    hosts 5 "url = file://$T/store" 'min-free = 0'
}

@test "nothing is lost in a storm, in a bucket" {
    [ -n "$LIFEBOAT_STORM" ] || skip "takes LIFEBOAT_STORM=SECONDS"
    chmod 755 "$T"
    start_ceph "$T"
    s3 PUT /storm
    (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" >"$T/credentials")
    status=0
    hosts 20 'url = s3://storm/x' "endpoint = $CEPH_HTTP" 'insecure = yes' "credentials = $T/credentials" || status=$?
    ceph_stop "$T/ceph"
    return $status
}
