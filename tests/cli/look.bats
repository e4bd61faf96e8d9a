#!/usr/bin/env bats
load ../lib/common

@test "SNAP: prefixes, latest, and what is none of them" {
    init
    backup
    first=$ID
    backup numbers
    expect 0 lb show "${first:0:4}" --json
    json "d['id'] == '$first'"
    expect 0 lb show "${ID^^}" --json
    expect 0 lb show latest --json
    json "d['id'] == '$ID'"
    expect 0 lb show latest:files --json
    json "d['id'] == '$first'"
    expect 2 lb show abc
    says "give at least 4 hex digits"
    expect 2 lb show lastest
    says "or latest, or latest:SOURCE"
    expect 2 lb show "$(printf '%064d' 0)"
    says "there is no such snapshot"
    expect 2 lb show latest:nothing
    says "there is no good or degraded snapshot of nothing"
}

@test "--host, --at, and hosts of one repository" {
    init
    backup
    HOST=second write_config
    backup
    expect 0 lb show latest --json
    json 'd["host"] == "second"'
    expect 0 lb show latest --host box --json
    json 'd["host"] == "box"'
    HOST=third write_config
    expect 2 lb show latest
    says "choose one of these with --host: box, second"
    expect 0 lb list --host box --json
    json 'len(d) == 1'
    expect 2 lb show latest --at 2001-01-01 --host box
    says "there is no snapshot"
    expect 0 lb list --at '2199-01-01 10:00' --json
    json 'len(d) == 2'
    expect 0 lb list --at 2001-01-01T00:00:00Z --json
    json 'd == []'
    expect 2 lb list --at yesterday
    says "is not a time"
    expect 2 lb list --at 2026-02-31
}

@test "ls and find show paths safely" {
    printf 'x' >"$T/files/$(printf 'new\nline')"
    printf 'x' >"$T/files/$(printf 'not\xffutf8')"
    ln -s one.txt "$T/files/link"
    ln "$T/files/one.txt" "$T/files/zz-hard"
    init
    backup
    expect 0 lb ls latest files
    prints 'new\x0aline'
    prints 'not\xffutf8'
    prints 'link -> one.txt'
    prints 'zz-hard is linked to one.txt'
    expect 0 lb ls latest files sub/ --json
    python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert [e["path"] for e in d] == ["sub","sub/noise","sub/two.txt"], d' "$T/out"
    expect 0 lb ls latest files --json
    python3 -c 'import json,sys,base64; d=json.load(open(sys.argv[1])); assert any(base64.b64decode(e.get("path_b64","")) == b"not\xffutf8" for e in d)' "$T/out"
    expect 1 lb ls latest files nowhere
    says "nowhere: is not in this snapshot"
    expect 2 lb ls latest numbers
    says "has no files to look at"
    expect 2 lb ls latest fils
    says "has no source fils; it has: files, numbers"
    expect 0 lb find 'two.*'
    prints sub/two.txt
    expect 0 lb find '**/two.txt' --snapshot latest --source files --json
    expect 0 lb find '*.nothing'
    says "nothing matches"
    expect 0 lb find '*.nothing' --json
    json 'd == []'
}

@test "find lists each version once, newest first" {
    init
    backup
    backup
    echo changed >>"$T/files/one.txt"
    backup
    expect 0 lb find one.txt --json
    python3 - "$T/out" "$ID" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
assert [e["size"] for e in d] == [12, 4], d
assert d[0]["snapshot"] == sys.argv[2]
PY
    expect 0 lb find two.txt --json
    json "[e['snapshot'] for e in d] == ['$ID']"
}

@test "cat gives the stream's own bytes" {
    init
    backup
    lb cat latest files | tar t | grep -qx sub/two.txt
    lb cat latest numbers/data | cmp - <(seq 1 20000)
    expect 2 lb cat latest files/nothing
    says "files/catalog"
    expect 2 lb cat latest numbers --json
    if command -v script >/dev/null; then
        # A terminal gets text, nothing else.
        script -qec "'$LIFEBOAT' -c '$T/lifeboat.conf' cat latest numbers" /dev/null </dev/null | grep -q 20000
        script -qec "'$LIFEBOAT' -c '$T/lifeboat.conf' cat latest files" /dev/null </dev/null | grep -q 'is a terminal'
        # Nor what some take for the beginning of an escape sequence: U+009B.
        sed -i -e "s/^command = seq .*/command = printf 'caf\\\\303\\\\251 \\\\302\\\\2332J'/" -e '/^command = /a allow-shrink = yes' "$T/lifeboat.conf"
        backup
        script -qec "'$LIFEBOAT' -c '$T/lifeboat.conf' cat latest numbers" /dev/null </dev/null | grep -q 'is a terminal'
        sed -i "s/\\\\302\\\\2332J//" "$T/lifeboat.conf"
        backup
        script -qec "'$LIFEBOAT' -c '$T/lifeboat.conf' cat latest numbers" /dev/null </dev/null | grep -q café
    fi
}

@test "the writer key alone looks, and reads nothing" {
    init
    backup
    mv "$T/keys/identity.key" "$T/identity"
    expect 0 lb list
    expect 0 lb show latest
    expect 0 lb check
    for c in "ls latest files" "find x" "cat latest numbers" "restore latest files --to $T/back"; do
        # shellcheck disable=SC2086
        expect 2 lb $c
        says "--identity FILE or --passphrase-file FILE"
    done
    [ ! -e "$T/back" ]
    expect 0 lb ls latest files --identity "$T/identity"
    expect 0 sh -c "'$LIFEBOAT' -c '$T/lifeboat.conf' ls latest files --identity - <'$T/identity'"
    prints one.txt
}

@test "a bare machine: the store and the kit are enough" {
    init
    backup
    mkdir "$T/bare"
    mv "$T/kit.txt" "$T/store" "$T/bare"
    rm -r "$T/keys" "$T/state" "$T/cache" "$T/lifeboat.conf"
    bare() { TMPDIR=$T "$LIFEBOAT" --store "file://$T/bare/store" --identity "$T/bare/kit.txt" "$@"; }
    for c in list "show latest" "ls latest files" "find *.txt" check "key show"; do
        # shellcheck disable=SC2086
        expect 0 bare $c
    done
    expect 0 bare restore latest files --to "$T/back"
    same_files "$T/back"
    expect 2 "$LIFEBOAT" --store "$T/bare/store" list
    says "--identity FILE or --passphrase-file FILE"
    expect 2 "$LIFEBOAT" --store relative list
    says "file:///PATH"
}
