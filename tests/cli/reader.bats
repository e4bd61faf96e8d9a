#!/usr/bin/env bats
# The reader that was written from docs/format.md alone sees what the program wrote.
load ../lib/common

# A stream of several levels of reference lists, one that compresses to nothing, one of noise, an empty one.
more_sources() {
    head -c 3000000 /dev/urandom >"$T/noise"
    cat >>"$T/lifeboat.conf" <<CONF
[source big]
type = command
command = seq 1 ${BIG:-11000000}
[source zeros]
type = command
command = head -c 5000000 /dev/zero
[source noise]
type = command
command = cat $T/noise
[source nothing]
type = command
command = true
allow-empty = yes
CONF
}

reader() {
    "$TESTS/reader/lifeboat-read.py" "$T/store" --identity "$T/keys/identity.key" "$@"
}

# same SNAPSHOT STREAM: the program and the reader write the same bytes; keeps them in $T/ours and $T/theirs.
same() {
    lb cat "$1" "$2" >"$T/ours" </dev/null
    reader cat "$1" "$2" >"$T/theirs"
    cmp "$T/ours" "$T/theirs"
}

fails() { # COMMAND...: with one line
    expect 1 "$@"
    [ "$(wc -l <"$T/err")" = 1 ] || { cat "$T/err" && return 1; }
}

setup_file() {
    TESTS=${TESTS:-$BATS_TEST_DIRNAME/..}
    export TESTS
}

@test "every stream of several sources is read byte for byte" {
    more_sources
    init
    backup
    expect 0 lb show latest --json
    json '[s["streams"][0]["chunks"] > 8 * 512 for s in d["sources"] if s["name"] == "big"] == [True]'
    for s in big zeros noise nothing numbers files files/catalog; do
        same latest "$s"
    done
    seq 1 11000000 | cmp - <(reader cat latest big)
    same latest files
    tar -tf "$T/theirs" | grep -q noise
}

@test "list names snapshots and streams; older snapshots are read by their prefix" {
    init
    backup
    first=$ID
    cp "$T/files/one.txt" "$T/files/three.txt"
    backup
    expect 0 reader list
    prints "${first:0:16}"
    prints "${ID:0:16}"
    prints "files/data"
    prints "numbers/data"
    same "$first" files
    cp "$T/theirs" "$T/first.tar"
    same latest files
    ! cmp -s "$T/theirs" "$T/first.tar" || return 1
    reader cat "${first:0:12}" files/data | cmp - "$T/first.tar"
}

@test "the recovery kit and a passphrase open it, another identity and another passphrase do not" {
    init
    backup
    (umask 077 && printf 'correct horse battery staple\n' >"$T/pass" && echo wrong >"$T/wrong")
    expect 0 lb key passphrase --new-passphrase-file "$T/pass"
    reader=$TESTS/reader/lifeboat-read.py
    "$reader" "$T/store" --identity "$T/kit.txt" cat latest numbers | cmp - <(seq 1 20000)
    "$reader" "$T/store" --passphrase-file "$T/pass" cat latest numbers | cmp - <(seq 1 20000)
    fails "$reader" "$T/store" --passphrase-file "$T/wrong" list
    says "holds no keys that open with this passphrase"
    mv "$T/keys" "$T/old-keys"
    mv "$T/store" "$T/old-store"
    rm "$T/kit.txt"
    init
    fails "$reader" "$T/old-store" --identity "$T/keys/identity.key" list
    says "holds no keys that open with this identity"
}

@test "without indexes the packs' own tables serve" {
    BIG=300000 more_sources
    init
    backup
    rm -r "$T/store/index"
    for s in big noise files; do
        same latest "$s"
    done
}

@test "a damaged index is named, and the packs' own tables serve" {
    init
    backup
    index=$(find "$T/store/index" -type f)
    flip "$index"
    expect 0 reader cat latest numbers
    seq 1 20000 | cmp - "$T/out"
    says "index/$(basename "$index"): does not match its name"
}

@test "a damaged pack is an error; what lies outside of the damage is still read" {
    init
    backup
    pack=$(find "$T/store/packs" -type f -size +200k)
    [ "$(wc -l <<<"$pack")" = 1 ]
    same latest numbers
    flip "$pack" 150000
    expect 1 reader cat latest files
    says "$(basename "$pack"): does not match its name"
    says "chunk "
    expect 0 reader cat latest numbers
    cmp "$T/out" "$T/theirs"
}

@test "a missing pack, snapshot or stream, and wrong words, are one line and exit code 1" {
    init
    backup
    fails reader cat latest nobody
    says "holds no stream nobody/data"
    fails reader cat 00000000 numbers
    says "0 snapshots begin so"
    expect 1 reader print latest
    says "lifeboat-read.py STORE"
    rm -r "$T/store/packs"
    fails reader cat latest numbers
    says "is in no readable pack"
    snapshot=$(find "$T/store/snapshots" -type f)
    flip "$snapshot"
    expect 1 reader list
    says "snapshots/$(basename "$snapshot"): does not match its name"
    says "1 snapshots cannot be read"
}

@test "chunks that were stored twice are read from the sound pack" {
    init
    backup
    first=$ID
    lb cat "$first" files >"$T/first" </dev/null
    while read -r pack; do
        flip "$pack" 100
        flip "$pack" 150000
    done < <(find "$T/store/packs" -type f)
    expect 1 reader cat "$first" files
    expect 5 lb check --read-data
    rm -rf "$T/cache"
    backup
    reader cat "$first" files | cmp - "$T/first"
    same latest files
}
