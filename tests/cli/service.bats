#!/usr/bin/env bats
# As a service: what systemd is told, how logs look in the journal, the units and what they allow.
load ../lib/common
UNITS=$BATS_TEST_DIRNAME/../../systemd

notified() { # SOCKET [NAME=VALUE...] COMMAND ARGUMENT...
    local environment=("$1")
    shift
    while [[ $1 == *=* ]]; do environment+=("$1") && shift; done
    python3 "$TESTS/lib/notified.py" "${environment[@]}" -- "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

@test "systemd is told: ready, status, alive; by a path or an abstract name" {
    init
    expect 0 notified "$T/socket" backup
    prints "READY=1"
    prints "STATUS="
    [ "$(head -n 1 "$T/out")" = READY=1 ]
    [ "$(grep -c WATCHDOG "$T/out")" = 0 ]
    expect 0 notified "@lifeboat-test-$$-$RANDOM" WATCHDOG_USEC=3000 backup
    prints "READY=1"
    prints "WATCHDOG=1"
    # The watchdog may be meant for somebody else.
    expect 0 notified "$T/other" WATCHDOG_USEC=3000 WATCHDOG_PID=1 backup
    [ "$(grep -c WATCHDOG "$T/out")" = 0 ]
}

@test "a child that is waited for counts as alive, and does not see the socket" {
    # One that has closed its output, and goes on only when the watchdog was quieted three times more.
    sed -i "s|^command = .*|command = env >$T/environment; seq 100; exec >\&-; read -r x <$T/go-on|" "$T/lifeboat.conf"
    mkfifo "$T/go-on"
    init
    expect 0 timeout 60 python3 "$TESTS/lib/notified.py" "$T/socket" WATCHDOG_USEC=300000 "RELEASE=$T/go-on" -- \
        "$LIFEBOAT" -c "$T/lifeboat.conf" backup numbers
    [ -s "$T/environment" ]
    if grep -E 'NOTIFY_SOCKET|WATCHDOG' "$T/environment"; then return 1; fi
}

@test "no socket, a wrong one, one that is gone: the run goes on" {
    init
    for socket in '' /nowhere/socket relative '@' "/$(printf 'x%.0s' {1..200})"; do
        NOTIFY_SOCKET=$socket WATCHDOG_USEC=1 expect 0 lb -q backup
        [ ! -s "$T/err" ]
    done
}

@test "messages in the journal carry their priority, each line of them" {
    init
    mv "$T/files" "$T/away"
    : >"$T/journal"
    stream=$(stat -c '%d:%i' "$T/journal")
    JOURNAL_STREAM=$stream "$LIFEBOAT" -c "$T/lifeboat.conf" -v backup >"$T/out" 2>"$T/journal" </dev/null || [ $? = 1 ]
    if grep -v '^<[3467]>' "$T/journal"; then return 1; fi
    contains "$T/journal" "<3>lifeboat: backup: "
    JOURNAL_STREAM=1:1 expect 1 lb backup
    if grep '^<' "$T/err"; then return 1; fi
    JOURNAL_STREAM=$stream "$LIFEBOAT" -c "$T/lifeboat.conf" list --tag none >"$T/out" 2>"$T/journal" </dev/null
    contains "$T/journal" "<6>lifeboat: list: there is no snapshot"
}

@test "--log-format json: an object in each line" {
    init
    mv "$T/files" "$T/away"
    expect 1 lb --log-format json -q backup
    python3 - "$T/err" <<'PY'
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
assert lines and all(set(l) == {"time", "level", "command", "message"} and l["command"] == "backup" for l in lines)
assert any(l["level"] == "error" and "files" in l["message"] for l in lines), lines
PY
    expect 1 lb --log-format text -q backup
    says "lifeboat: backup: "
    expect 2 lb --log-format xml list
    says "--log-format xml: is neither text nor json"
}

@test "the units: correct, hardened, and their timers catch up" {
    command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
    mkdir "$T/units"
    for unit in "$UNITS"/*.service "$UNITS"/*.timer; do
        sed "s|/usr/local/bin/lifeboat|$LIFEBOAT|; /^Documentation=/d" "$unit" >"$T/units/${unit##*/}"
    done
    for unit in "$T"/units/*; do
        expect 0 systemd-analyze verify "$unit"
        if grep -F "$T/units" "$T/err"; then return 1; fi
    done
    for name in backup drill prune check; do
        contains "$UNITS/lifeboat-$name.timer" "Persistent=true"
        contains "$UNITS/lifeboat-$name.timer" "RandomizedDelaySec="
        contains "$UNITS/lifeboat-$name.service" "Type=notify"
        # What cages need keeps drills above 2.0; the unit says so, setting by setting.
        most=20
        [ $name != drill ] || most=50
        expect 0 systemd-analyze security --offline=yes --threshold=$most "$UNITS/lifeboat-$name.service"
    done
}

# limited UNIT ARGUMENT...: lifeboat as root with no more capabilities than the unit allows, and no new privileges.
limited() {
    local unit=$UNITS/lifeboat-$1.service capabilities
    shift
    capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z\n' 'a-z ' | sed 's/cap_/+/g; s/ *$//; s/ \+/,/g')
    setpriv --bounding-set="-all${capabilities:+,$capabilities}" --inh-caps=-all --ambient-caps=-all --no-new-privs "${WITHIN[@]}" \
        "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

@test "the capabilities that the units allow are enough, for the cage of drills too" {
    [ "$(id -u)" = 0 ] || skip "wants root"
    if [ -z "$(command -v setpriv)" ]; then skip "no setpriv"; fi
    chown -R nobody "$T/files"
    chmod 600 "$T/files/one.txt"
    init
    WITHIN=()
    for command in backup drill prune "check --read-data"; do
        # shellcheck disable=SC2086
        expect 0 limited "${command%% *}" $command
        [ ! -s "$T/err" ]
    done
}

@test "the system calls that the units allow are enough, for the cage of drills too" {
    [ "$(id -u)" = 0 ] || skip "wants root"
    for program in systemd-analyze setpriv strace; do
        command -v $program >/dev/null || skip "no $program"
    done
    init
    for command in backup drill prune "check --read-data"; do
        WITHIN=(strace -qq -f -o "$T/trace" -e 'signal=none')
        # shellcheck disable=SC2086
        "${WITHIN[@]}" "$LIFEBOAT" -c "$T/lifeboat.conf" $command >"$T/out" 2>"$T/err" </dev/null
        python3 - "$UNITS/lifeboat-${command%% *}.service" "$T/trace" <<'PY'
import re, subprocess, sys
sets, current = {}, None
for line in subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True).stdout.splitlines():
    if line.startswith("@"):
        current = sets.setdefault(line.strip(), [])
    elif line.startswith("    ") and "#" not in line and current is not None:
        current.append(line.strip())
def expand(word):
    return set().union(*map(expand, sets[word])) if word.startswith("@") else {word}
allowed = set()
for line in open(sys.argv[1]):
    if line.startswith("SystemCallFilter="):
        words = line.split("=", 1)[1].strip()
        for word in words.lstrip("~").split():
            allowed = allowed - expand(word) if words.startswith("~") else allowed | expand(word)
allowed |= expand("@default")
used = set(re.findall(r"^\d+ +([a-z]\w*)\(", open(sys.argv[2], errors="replace").read(), re.M))
assert len(used) > 30, used
assert used <= allowed, "%s: %s" % (sys.argv[1], sorted(used - allowed))
PY
    done
}
