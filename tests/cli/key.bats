#!/usr/bin/env bats
load ../lib/common

@test "readers are added, used, listed and removed" {
    init
    backup
    expect 0 lb key add --identity-out "$T/second.key" --label 'the safe'
    [ "$(stat -c %a "$T/second.key")" = 600 ]
    expect 0 lb key show --json
    json 'len(d["readers"]) == 2 and any(r["label"] == "the safe" for r in d["readers"])'
    id=$(value '[r["id"] for r in d["readers"] if r["label"] == "the safe"][0]')
    expect 0 lb key show
    prints "the safe"
    expect 0 lb cat latest numbers --identity "$T/second.key"
    seq 1 20000 | cmp - "$T/out"
    expect 2 lb key add --identity-out "$T/second.key"
    says "is there already"
    expect 0 lb key show --json
    json 'len(d["readers"]) == 2'
    expect 0 lb key remove "${id:0:8}"
    prints "the safe"
    expect 2 lb cat latest numbers --identity "$T/second.key"
    says "no keys object is wrapped for this identity"
}

@test "a recipient is enough to add a reader" {
    init
    backup
    expect 0 lb key add --identity-out "$T/second.key"
    recipient=$(sed -n 's/^recipient //p' "$T/second.key")
    id=$(lb key show --json | python3 -c "import json,sys; print([r['id'] for r in json.load(sys.stdin)['readers'] if r['recipient'] == '$recipient'][0])")
    expect 0 lb key remove "$id"
    expect 0 lb key add --recipient "$recipient" --label again
    expect 0 lb cat latest numbers --identity "$T/second.key"
    expect 2 lb key add --recipient 1234
    says "64 hex digits"
    expect 2 lb key add
    says "give one of --recipient HEX and --identity-out FILE"
}

@test "the last reader stays; unknown ones are said" {
    init
    expect 0 lb key show --json
    id=$(value 'd["readers"][0]["id"]')
    expect 2 lb key remove "$id"
    says "this is the last reader"
    expect 2 lb key remove 00ff00ff00
    says "there is no such reader"
    expect 2 lb key remove 00
    says "at least 4 digits"
}

@test "a new passphrase replaces the former one" {
    init
    backup
    echo first >"$T/p1"
    printf 'second\r\nnot this line\n' >"$T/p2"
    chmod 600 "$T/p1" "$T/p2"
    expect 0 lb key passphrase --new-passphrase-file "$T/p1"
    expect 0 lb key passphrase --new-passphrase-file "$T/p2" --passphrase-file "$T/p1"
    expect 2 lb ls latest files --passphrase-file "$T/p1"
    printf 'second' >"$T/p3"
    chmod 600 "$T/p3"
    expect 0 lb ls latest files --passphrase-file "$T/p3"
    expect 0 lb key show --json
    json 'sorted(r["kind"] for r in d["readers"]) == ["identity", "passphrase"]'
}

@test "without a terminal the passphrase is not asked for" {
    init
    expect 2 setsid "$LIFEBOAT" -c "$T/lifeboat.conf" key passphrase
    says "--new-passphrase-file FILE"
}

# on_terminal FIRST SECOND: answers the two questions of `key passphrase` on a terminal of its own.
on_terminal() {
    timeout 60 python3 - "$LIFEBOAT" "$T/lifeboat.conf" "$1" "$2" <<'PY'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "-c", sys.argv[2], "key", "passphrase"])
shown = b""
def read():
    try:
        return os.read(fd, 1000)
    except OSError:
        return b""
for question, answer in ((b"New passphrase: ", sys.argv[3]), (b"Once more: ", sys.argv[4])):
    while question not in shown:
        more = read()
        assert more, shown
        shown += more
    os.write(fd, answer.encode() + b"\n")
while more := read():
    shown += more
assert sys.argv[3].encode() not in shown, shown
print(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}

@test "on a terminal the passphrase is asked for twice, without showing it" {
    init
    backup
    got=0
    on_terminal one two >"$T/out" || got=$?
    [ $got = 2 ]
    prints "were not the same"
    on_terminal "secret words" "secret words" >"$T/out"
    prints "is set"
    printf 'secret words\n' >"$T/p"
    chmod 600 "$T/p"
    expect 0 lb ls latest files --passphrase-file "$T/p"
}

@test "a write-only host cannot add readers by itself" {
    write_only
    expect 0 lb -q init --identity-out "$T/identity.key"
    expect 0 lb key show --json
    json 'd["setup"] == "write-only"'
    expect 2 lb key add --identity-out "$T/x"
    says "--identity FILE or --passphrase-file FILE"
    [ ! -e "$T/x" ]
    expect 2 lb key kit
    expect 0 lb key kit --identity "$T/identity.key" --out "$T/kit.txt"
    contains "$T/kit.txt" "lifeboat-identity 1"
    expect 0 lb key kit --identity "$T/kit.txt"
    echo pass >"$T/p"
    chmod 600 "$T/p"
    expect 2 lb key kit --passphrase-file "$T/p"
    says "a recovery kit holds an identity"
}

@test "keys never show up where they do not belong" {
    init
    backup
    secret=$(sed -n 's/^secret //p' "$T/keys/identity.key")
    writer=$(sed -n 's/^writer //p' "$T/keys/writer.key")
    lb -v check >"$T/log" 2>&1
    lb -v key show >>"$T/log" 2>&1
    lb -v restore latest files --to "$T/back" >>"$T/log" 2>&1
    expect 1 grep -rlF -e "$secret" -e "$writer" "$T/log" "$T/store" "$T/state" "$T/cache"
    expect 1 grep -rlF -e one.txt "$T/store"
}

@test "a store that loses its keys objects: a backup puts them back from its copies, or says that nobody can read it" {
    init
    local first which
    first=$(object keys)
    expect 0 lb key add --identity-out "$T/second.key" --label spare
    backup
    flip "$first"
    expect 5 lb cat latest numbers
    says "the next backup puts it back from the copy that its host keeps"
    expect 0 lb backup
    says "is put back from the copy of this host"
    expect 0 lb check
    for which in "$T/keys/identity.key" "$T/second.key"; do expect 0 lb --identity "$which" cat latest numbers; done
    rm "$T"/store/keys/*
    expect 0 lb backup
    for which in "$T/keys/identity.key" "$T/second.key"; do expect 0 lb --identity "$which" cat latest numbers; done
    # A reader that was removed stays away.
    expect 0 lb key show
    expect 0 lb key remove "$(awk '/spare/ {print $2}' "$T/out")"
    backup
    rm "$T"/store/keys/*
    expect 0 lb backup
    expect 2 lb --identity "$T/second.key" cat latest numbers
    expect 0 lb cat latest numbers
    # Nothing to put back.
    rm -r "$T/store/keys" "$T"/state/*/keys
    expect 3 lb backup
    says "nobody can read what is in it"
    expect 2 lb status
}
