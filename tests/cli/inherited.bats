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

# with_stack S|H KIB COMMAND...: the limit alone, or what it may be raised to as well.
with_stack() {
    local which=$1 kib=$2
    shift 2
    (if [ "$which" = S ]; then ulimit -S -s "$kib"; else ulimit -s "$kib"; fi && exec "$LIFEBOAT" -c "$T/lifeboat.conf" "$@")
}

@test "a small stack (ulimit -s): everything works with 96 KiB, and with less where it may be raised" {
    local which kib
    printf '[store second]\nurl = file://%s\nmin-free = 0\n' "$T/mirror" >>"$T/lifeboat.conf"
    mkdir "$T/mirror"
    (umask 077 && echo "correct horse" >"$T/passphrase")
    for which in "H 96" "S 64"; do
        kib=${which#* } which=${which% *}
        rm -rf "$T/store" "$T/mirror"/* "$T/keys" "$T/state" "$T/cache" "$T/kit.txt" "$T/back"
        expect 0 with_stack "$which" "$kib" -q init --kit "$T/kit.txt"
        for _ in $(seq 5); do
            date +%N >"$T/files/new"
            expect 0 with_stack "$which" "$kib" backup
        done
        rm -rf "$T/cache"
        expect 0 with_stack "$which" "$kib" restore latest files --to "$T/back"
        same_files "$T/back"
        expect 0 with_stack "$which" "$kib" drill
        expect 0 with_stack "$which" "$kib" prune --yes --exclusive
        expect 0 with_stack "$which" "$kib" check --read-data
        expect 0 with_stack "$which" "$kib" repair
        expect 0 with_stack "$which" "$kib" copy
        expect 0 with_stack "$which" "$kib" key passphrase --new-passphrase-file "$T/passphrase"
        expect 0 with_stack "$which" "$kib" ls latest files
    done
}

@test "the command of a guard has the umask and the limits that guard was started with" {
    local show="umask; ulimit -Sc; ulimit -Hc; ulimit -Ss; ulimit -Hs"
    with_limits() { (umask 027 && ulimit -Hc 2000 && ulimit -Sc 1000 && ulimit -Hs 9000 && ulimit -Ss 900 && exec "$@"); }
    init
    expect 0 with_limits bash -c "$show"
    mv "$T/out" "$T/own"
    expect 0 with_limits "$LIFEBOAT" -c "$T/lifeboat.conf" -q guard -- bash -c "$show"
    cmp "$T/own" "$T/out"
}
