#!/usr/bin/env bats
# What a process inherits from whoever started it: signals that are ignored or blocked, limits.
load ../lib/common.bash

# started_with SIGNALS... -- COMMAND...: ignored when in upper case, blocked when in lower case.
started_with() {
    python3 - "$@" <<'PY'
import os, signal, sys
at = sys.argv.index("--")
for name in sys.argv[1:at]:
    number = getattr(signal, name.upper())
    if name.isupper():
        signal.signal(number, signal.SIG_IGN)
    else:
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
os.execvp(sys.argv[at + 1], sys.argv[at + 1:])
PY
}

@test "SIGCHLD ignored: a command that fails is a failure all the same" {
    sed -i 's/^command = .*/command = seq 1 20000; exit 3/' "$T/lifeboat.conf"
    init
    expect 1 started_with SIGCHLD -- "$LIFEBOAT" -c "$T/lifeboat.conf" backup
    says "source numbers: command: exit status 3"
    expect 1 started_with SIGCHLD -- "$LIFEBOAT" -c "$T/lifeboat.conf" guard -- true
    says '"true" was NOT run'
}

@test "SIGTERM blocked: it stops a backup all the same" {
    # shellcheck disable=SC2016 # its shell's
    sed -i 's/^command = .*/command = kill -TERM $PPID; sleep 60/' "$T/lifeboat.conf"
    init
    expect 1 started_with sigterm -- "$LIFEBOAT" -c "$T/lifeboat.conf" backup numbers
    says "stopped by a signal"
}

@test "files may not grow beyond a limit (ulimit -f): a message and an exit status, and nothing is lost" {
    init
    backup
    head -c 2000000 /dev/urandom >"$T/files/large"
    limited() { (ulimit -f 1000 && exec "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"); }
    expect 1 limited backup
    says "temporary pack: write (beyond ulimit -f, or what the file system can hold): File too large"
    expect 0 lb check --read-data
    expect 0 lb backup
    expect 1 limited restore latest:files files --to "$T/back"
    says "1 entry could not be restored"
    expect 0 lb restore latest:files files --to "$T/back" --overwrite
    same_files "$T/back"
    # the limit is the commands' own, and so is what it does to them
    sed -i "s|^command = .*|command = head -c 3000000 /dev/zero > '$T/made'|" "$T/lifeboat.conf"
    expect 1 limited backup numbers
    says "File size limit exceeded"
}
