#!/usr/bin/env bats
# The recovery kit: everything is proven with nothing else, typed in from paper, too; and its slips.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/database.bash

# On a bare machine: no configuration, no keys, no state; TMPDIR is where the drill has its folder.
bare() {
    chmod 600 "$T/kit.txt"
    mkdir "$T/gone" "$T/tmp"
    mv "$T/lifeboat.conf" "$T/keys" "$T/state" "$T/cache" "$T/gone"
}

from_kit() { TMPDIR=$T/tmp "$LIFEBOAT" drill --from-kit "$@"; }

bare_still() {
    [ -z "$(ls -A "$T/tmp")" ] || { find "$T/tmp" | head && return 1; }
    [ ! -e "$T/state" ] && [ ! -e "$T/cache" ]
}

@test "drilled from the kit alone" {
    with_database
    init
    backup
    mv "$T/lifeboat.conf" "$T/box.conf"
    HOST=other write_config # of two hosts the kit's is meant
    backup files
    bare
    expect 0 from_kit "$T/kit.txt" --json
    json 'd["proven"] is True and sorted(s["name"] for s in d["sources"]) == ["db", "files", "numbers"]'
    expect 0 from_kit "$T/kit.txt" latest db
    prints "the kit $T/kit.txt and the store file://$T/store: proven"
    bare_still
    expect 2 "$LIFEBOAT" --identity "$T/kit.txt" drill --from-kit "$T/kit.txt"
    says "--from-kit has the key in it"
    expect 2 "$LIFEBOAT" -c "$T/gone/lifeboat.conf" drill --from-kit "$T/kit.txt"
    says "leave -c out"
}

@test "a kit is proven with a store that takes no receipt" {
    init
    backup
    bare
    touch "$T/store/receipts" # no folder, so nothing can be put there
    expect 0 from_kit "$T/kit.txt"
    says "does not take the receipt"
    prints "proven, they bring everything above back"
    bare_still
}

@test "a drill from the kit that was killed is cleaned up by the next" {
    init
    backup
    bare
    for moment in 0 0.01 0.03 0.06 0.1 0.2; do
        TMPDIR=$T/tmp "$LIFEBOAT" drill --from-kit "$T/kit.txt" >/dev/null 2>&1 3>&- &
        pid=$!
        timeout "$moment" tail --pid=$pid -f /dev/null || :
        kill -9 $pid 2>/dev/null || :
        wait $pid 2>/dev/null || :
    done
    place=$T/tmp/lifeboat-kit-$(id -u)
    mkdir -p "$place/lifeboat-drill-0011223344556677/volume"
    chmod 700 "$place"
    expect 0 from_kit "$T/kit.txt"
    bare_still
    mkdir -m 755 "$place"
    expect 2 from_kit "$T/kit.txt"
    says "not a folder of this user alone"
    rmdir "$place"
    ln -s "$T/gone" "$place"
    expect 2 from_kit "$T/kit.txt"
    [ "$(ls "$T/gone")" = "$(printf 'cache\nkeys\nlifeboat.conf\nstate')" ]
}

# As it may look when it was typed in on another machine: no prose, other blanks and line ends, capitals, O and l.
retype() { # FROM TO
    python3 - "$1" "$2" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
head, block = re.search(r"( *host .*?)\n\nKeep.*?(  lifeboat-identity.*?check[^\n]*)\n", text, re.S).groups()
host, made, store = head.split("\n")
title, *rows = block.split("\n")
digits = "\r\n".join(re.sub(" +", " ", r.upper()).replace("0", "O", 2).replace("1", "l", 2) + " \t" for r in rows)
open(sys.argv[2], "w").write(f"{store.strip()}\r\n\r\n{host.strip()} \r\n\t {title.strip().title()}\r\n\r\n{digits}")
PY
    chmod 600 "$2"
}

# slip FIELD ROW: another digit at the end of that row.
slip() {
    python3 - "$T/kit.txt" "$T/slip" "$1" "$2" <<'PY'
import sys
lines = open(sys.argv[1]).read().split("\n")
at = next(i for i, l in enumerate(lines) if l.strip().startswith(sys.argv[3] + " ")) + int(sys.argv[4]) - 1
lines[at] = lines[at][:-1] + ("0" if lines[at][-1] != "0" else "5")
open(sys.argv[2], "w").write("\n".join(lines))
PY
    chmod 600 "$T/slip"
    expect 2 from_kit "$T/slip"
    says "\"$1\", row $2: a digit is wrong"
}

# sed_kit NAME SCRIPT: a private copy, changed.
sed_kit() {
    sed "$2" "$T/kit.txt" >"$T/$1"
    chmod 600 "$T/$1"
}

@test "a kit that was typed in, and its slips" {
    init
    backup
    bare
    retype "$T/kit.txt" "$T/typed"
    contains "$T/typed" O
    contains "$T/typed" l
    expect 0 from_kit "$T/typed"
    slip repository 1
    slip recipient 1
    slip recipient 2
    slip secret 1
    slip secret 2
    secret=$(sed -n 's/^secret .\{50\}//p' "$T/gone/keys/identity.key")
    expect 1 grep -F "$secret" <(tr -d ' ' <"$T/err")
    sed_kit cut '/^  secret/q'
    expect 2 from_kit "$T/cut"
    says '"secret" has 32 digits in place of 64'
    sed_kit letter 's/^\(  secret  *\)../\1z9/'
    expect 2 from_kit "$T/letter"
    says '"secret", group 1: there is a character in it that is no digit'
    sed_kit no-identity '/lifeboat-identity/d'
    expect 2 from_kit "$T/no-identity"
    says 'there is no line "lifeboat-identity 1"'
    sed_kit no-store '/^  store/d'
    expect 2 from_kit "$T/no-store"
    says "names no store above its identity: say where it is with --store URL"
    expect 0 from_kit "$T/no-store" --store "file://$T/store"
    chmod 644 "$T/kit.txt"
    expect 2 from_kit "$T/kit.txt"
    says "chmod 600 $T/kit.txt"
    expect 2 from_kit "$T/none"
    says "$T/none: No such file"
    bare_still
}

@test "a kit whose store is gone, empty, another, or damaged" {
    printf '[store away]\nurl = file://%s/away\n' "$T" >>"$T/lifeboat.conf"
    init
    backup
    sed "s|$T/keys|$T/keys2|; s|$T/store|$T/store2|; s|$T/away|$T/away2|" "$T/lifeboat.conf" >"$T/second.conf"
    expect 0 "$LIFEBOAT" -q -c "$T/second.conf" init --kit "$T/other.txt"
    bare
    expect 2 from_kit "$T/other.txt" --store "file://$T/store"
    says "no keys object is wrapped for this identity: it is for another repository"
    mv "$T/store" "$T/gone/store"
    expect 2 from_kit "$T/kit.txt"
    says "$T/store: no such folder: is the disk mounted?"
    says "lifeboat drill --from-kit $T/kit.txt --store 'file://$T/away'"
    expect 0 from_kit "$T/kit.txt" --store "file://$T/away"
    mkdir "$T/store"
    expect 2 from_kit "$T/kit.txt"
    says "holds no repository"
    rmdir "$T/store"
    mv "$T/gone/store" "$T/store"
    for pack in "$T"/store/packs/*/*; do flip "$pack" 3000; done
    expect 4 from_kit "$T/kit.txt" latest files
    prints "and the store file://$T/store: NOT PROVEN"
    for snapshot in "$T"/store/snapshots/*; do flip "$snapshot"; done
    expect 5 from_kit "$T/kit.txt"
    says "\`lifeboat check\` says what is damaged"
    bare_still
}

@test "a kit has what it needs, and no secret of a bucket" {
    printf 'access-key = AKIDSECRET\nsecret-key = zzSECRETzz\n' >"$T/b2"
    chmod 600 "$T/b2"
    printf '[store far]\nurl = s3://bucket/prefix\nendpoint = https://s3.example.org\ncredentials = %s\n' "$T/b2" >>"$T/lifeboat.conf"
    sed '/^\[store far/,$d' "$T/lifeboat.conf" >"$T/near.conf"
    expect 0 "$LIFEBOAT" -q -c "$T/near.conf" init --kit "$T/near.txt"
    expect 0 lb key kit --out "$T/kit.txt"
    contains "$T/kit.txt" "host        box"
    contains "$T/kit.txt" "store       file://$T/store"
    contains "$T/kit.txt" "mirror      s3://bucket/prefix?endpoint=https"
    contains "$T/kit.txt" "by $("$LIFEBOAT" version | head -n 1 | cut -d' ' -f1,2)"
    contains "$T/kit.txt" "restore --host 'box' latest:numbers numbers --to"
    contains "$T/kit.txt" "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    id=$(sed -n 's/^repository //p' "$T/keys/identity.key")
    contains <(tr -d ' ' <"$T/kit.txt") "repository$id"
    expect 1 grep -e AKID -e zzSEC -e "$T/b2" "$T/kit.txt"
    [ "$(wc -L <"$T/near.txt")" -lt $((81 + ${#T})) ]
}
