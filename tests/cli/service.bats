#!/usr/bin/env bats
# As a service: what systemd is told, how logs look in the journal, and what they look like on a terminal.
load ../lib/common

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

@test "progress: on a terminal, for backup, drill, check, restore and prune; nowhere else" {
    init
    on_terminal() { expect 0 python3 "$TESTS/lib/on_terminal.py" "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"; }
    on_terminal backup
    grep -aE $'\r(files|numbers)  [0-9.]+ .*B/s' "$T/out"
    on_terminal drill
    grep -aE $'\r(files|numbers): .*B/s' "$T/out"
    on_terminal check --read-data
    grep -aE $'\rpacks  [0-9.]+ .*B of about .*B/s' "$T/out"
    on_terminal restore latest files --to "$T/back"
    grep -aE $'\rfiles  [0-9.]+ .*B' "$T/out"
    on_terminal prune
    grep -aE $'\rsnapshots  [0-9]+ of [0-9]+  [0-9]+/s' "$T/out"
    on_terminal --json prune
    if grep -a '/s' "$T/out"; then return 1; fi
    on_terminal -q check --read-data
    if grep -a '/s' "$T/out"; then return 1; fi
    expect 0 lb backup
    if grep -a '/s' "$T/err"; then return 1; fi
}
