#!/usr/bin/env bats
load ../lib/common

@test "a volume comes back identical, into a new folder" {
    ln "$T/files/one.txt" "$T/files/zz-hard"
    ln -s /dangling "$T/files/dangling"
    chmod 4711 "$T/files/sub/two.txt"
    init
    backup
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    [ "$(stat -c '%a %Y' "$T/back/sub/two.txt")" = "$(stat -c '%a %Y' "$T/files/sub/two.txt")" ]
    [ "$T/back/one.txt" -ef "$T/back/zz-hard" ]
}

@test "a folder that is not empty is refused, unless --overwrite" {
    init
    backup
    mkdir "$T/back"
    echo mine >"$T/back/one.txt"
    expect 2 lb restore latest files --to "$T/back"
    says "is not empty"
    [ "$(cat "$T/back/one.txt")" = mine ]
    expect 0 lb restore latest files --to "$T/back" --overwrite
    same_files "$T/back"
}

@test "a disk that keeps nothing of what it takes: neither a restore nor a backup ends well" {
    if ldd "$LIFEBOAT" | grep -qE 'lib[at]san'; then skip "a sanitizer that is a library of its own and a preloaded one do not go together"; fi
    init
    backup
    mkdir "$T/back"
    expect 1 env SWALLOW="$T/back" LD_PRELOAD="$BUILD/torture/swallow.so" "$LIFEBOAT" -c "$T/lifeboat.conf" restore latest files --to "$T/back"
    says "one.txt: the file system said that all 4 bytes were written, and has 0"
    echo three >"$T/files/three.txt"
    got=0
    SWALLOW="$T/store" LD_PRELOAD="$BUILD/torture/swallow.so" lb backup >"$T/out" 2>"$T/err" || got=$?
    [ "$got" != 0 ]
    expect 0 lb check --read-data
    backup
}

@test "a state folder on a full disk is in no restore's way, and no drill's" {
    mount_disk 1m
    sed -i "s|^directory = .*|directory = $T/mount/state|; s|^cache = .*|cache = $T/mount/cache|" "$T/lifeboat.conf"
    printf '[drill]\ndirectory = %s\n' "$T/drill" >>"$T/lifeboat.conf"
    init
    backup
    head -c 2000000 /dev/zero >"$T/mount/large" 2>/dev/null || true
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
    expect 0 lb check --read-data
    expect 0 lb drill
    echo three >"$T/files/three.txt"
    expect 1 lb backup
    says "$T/mount/state: make room for a temporary table of"
    rm "$T/mount/large"
    backup
}

@test "nothing is restored into a repository, whatever is said" {
    init
    backup
    mkdir "$T/other"
    cp -a "$T/store" "$T/other/repository"
    ln -s "$T/store/packs" "$T/link"
    mode=$(stat -c %a "$T/store")
    [ ! -e "$T/store/receipts" ]
    for to in "$T/store" "$T/store/packs" "$T/store/packs/new/folder" "$T/other/repository/" "$T//store//packs//new" "$T/link/new" \
        "$T/store/receipts" "$T/store//marks/" "$T/store/marks/pin/new"; do
        expect 2 lb restore latest files --to "$to" --overwrite
        says "lies in a repository of lifeboat"
    done
    expect 2 lb restore latest numbers --to "$T/store" --overwrite
    expect 0 lb restore latest files --to "$T/store//of-its-own"
    (cd "$T/store" && expect 2 lb restore latest files --to marks)
    (cd "$T/store/packs" && expect 2 lb restore latest files --to new && says "new: lies in a repository of lifeboat, $T/store")
    [ "$mode" = "$(stat -c %a "$T/store")" ]
    [ ! -e "$T/store/new" ]
    expect 0 lb restore latest files --to "$T/other/beside"
}

@test "--path takes what is asked for, hard links with their content" {
    ln "$T/files/one.txt" "$T/files/sub/zz-hard"
    ln "$T/files/one.txt" "$T/files/sub/zz-other"
    init
    backup
    expect 0 lb restore latest files --to "$T/back" --path sub/two.txt
    [ "$(cd "$T/back" && find . -type f)" = ./sub/two.txt ]
    expect 0 lb restore latest files --to "$T/hard" --path /sub/zz-hard --path sub/zz-other
    cmp "$T/files/one.txt" "$T/hard/sub/zz-hard"
    [ "$T/hard/sub/zz-hard" -ef "$T/hard/sub/zz-other" ]
    [ ! -e "$T/hard/one.txt" ]
    expect 2 lb restore latest files --to "$T/none" --path nowhere
    says "nowhere: is not in this snapshot"
    expect 0 lb restore latest files --to "$T/all" --path .
    same_files "$T/all"
}

@test "several sources go into a folder each" {
    init
    backup
    expect 0 lb --json restore latest --to "$T/back"
    json '[s["target"][-len(s["name"]):] for s in d["sources"]] == ["files", "numbers"]'
    same_files "$T/back/files"
    cmp "$T/back/numbers/numbers" <(seq 1 20000)
    expect 2 lb restore latest files files --to "$T/twice"
    says "is named twice"
}

@test "--to - is the stream's bytes" {
    init
    backup
    expect 0 lb restore latest numbers --to -
    seq 1 20000 | cmp - "$T/out"
    lb restore latest files --to - | tar t | grep -qx one.txt
    expect 2 lb restore latest --to -
    says "name those that are meant"
    expect 2 lb --json restore latest numbers --to -
}

@test "--dry-run says what would happen, and does nothing" {
    init
    backup
    expect 0 lb restore latest --to "$T/back" --dry-run --json
    json 'd["dry_run"] and len(d["sources"]) == 2'
    expect 0 lb restore latest files --to "$T/back" --path sub --dry-run
    prints "3 entries"
    [ ! -e "$T/back" ]
    expect 2 lb restore latest files --to "$T/files" --dry-run
    says "is not empty"
}

@test "options and targets that do not fit are said" {
    init
    backup
    expect 2 lb restore latest files
    says "where to?"
    expect 2 lb restore latest files --to 'dbname=x'
    says "--to takes a folder"
    expect 2 lb restore latest files --to "$T/back" --table t
    says "--table means nothing for files"
    expect 2 lb restore latest files --to "$T/back" --clean
    expect 2 lb restore latest files --to "$T/back" --globals
    expect 2 lb restore latest files --to "$T/back" --jobs 2
    expect 2 lb restore latest numbers --to "$T/back" --path x
    says "--path means nothing for numbers"
    expect 2 lb restore latest files --to - --overwrite
    sed -i '/^restore-command/d' "$T/lifeboat.conf"
    expect 2 lb restore latest numbers --to "$T/back"
    says "restore-command"
    expect 2 lb restore latest nothing --to "$T/back"
    says "has no source nothing"
    [ ! -e "$T/back" ]
}

@test "a restore-command that fails is a failure" {
    init
    backup
    sed -i 's/^restore-command = .*/restore-command = cat >\/dev\/null; echo no room >\&2; exit 4/' "$T/lifeboat.conf"
    expect 1 lb restore latest numbers --to "$T/back"
    says "exit status 4"
    says "no room"
}

@test "passphrase: right, wrong, empty, readable by others" {
    init
    backup
    echo 'correct horse' >"$T/p"
    echo 'wrong horse' >"$T/wrong"
    : >"$T/empty"
    chmod 600 "$T/p" "$T/wrong" "$T/empty"
    expect 2 lb restore latest files --to "$T/back" --passphrase-file "$T/p"
    says "no passphrase was set"
    expect 0 lb key passphrase --new-passphrase-file "$T/p"
    expect 0 lb restore latest files --to "$T/back" --passphrase-file "$T/p"
    same_files "$T/back"
    expect 2 lb restore latest files --to "$T/back2" --passphrase-file "$T/wrong"
    says "wrong passphrase"
    expect 2 lb restore latest files --to "$T/back2" --passphrase-file "$T/empty"
    says "is empty"
    expect 2 lb restore latest files --to "$T/back2" --passphrase-file "$T/none"
    says "No such file"
    chmod 644 "$T/p"
    expect 2 lb restore latest files --to "$T/back2" --passphrase-file "$T/p"
    says "chmod 600 $T/p"
    expect 2 lb restore latest files --to "$T/back2" --passphrase-file "$T/wrong" --identity "$T/keys/identity.key"
    says "give one of"
    [ ! -e "$T/back2" ]
}

@test "identity: garbled, of another repository, readable by others" {
    init
    backup
    cp "$T/keys/identity.key" "$T/id"
    sed -i 's/^secret ..../secret 0000/' "$T/id"
    expect 2 lb ls latest files --identity "$T/id"
    says "a digit is wrong"
    chmod 644 "$T/keys/identity.key"
    expect 2 lb ls latest files
    says "chmod 600 $T/keys/identity.key"
    mkdir "$T/other"
    sed "s|$T/store|$T/other/store|; s|$T/keys|$T/other|" "$T/lifeboat.conf" >"$T/other.conf"
    expect 0 "$LIFEBOAT" -q -c "$T/other.conf" init --json
    expect 2 lb ls latest files --identity "$T/other/identity.key"
    says "two different repositories"
}

@test "a restore that meets a bad pack marks it, and the next backup heals it" {
    init
    backup
    pack=$(find "$T/store/packs" -type f)
    printf '\377\376' | dd of="$pack" bs=1 seek=100 conv=notrunc status=none
    lb cat latest numbers >"$T/out" 2>"$T/err" || true
    lb restore latest files --to "$T/back" >"$T/out" 2>"$T/err" || true
    [ "$(find "$T/store/marks/damaged" -type f | wc -l)" = 1 ]
    backup
    expect 0 lb cat latest numbers
    seq 1 20000 | cmp - "$T/out"
    rm -rf "$T/back"
    expect 0 lb restore latest files --to "$T/back"
    diff -r "$T/files" "$T/back"
    expect 0 lb check --read-data
}
