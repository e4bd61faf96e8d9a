#!/usr/bin/env bats
load ../lib/common

@test "a sound repository" {
    init
    backup --pin x
    expect 0 lb check
    prints "good: 1 snapshots"
    expect 0 lb check --read-data --json
    json 'set(d) == {"type", "ok", "packs", "chunks", "bytes_read", "errors"} and d["ok"] and d["bytes_read"] > 300000'
}

@test "the rota reads everything over time" {
    init
    for i in 1 2 3 4 5 6; do
        head -c 100000 /dev/urandom >"$T/files/sub/$i"
        backup files
    done
    total=0
    for _ in 1 2 3 4; do
        expect 0 lb check --read-data=25% --json
        total=$((total + $(value 'd["bytes_read"]')))
    done
    [ $total -ge "$(find "$T/store/packs" -type f -printf '%s\n' | awk '{s += $1} END {print s}')" ]
}

@test "a flipped byte in any kind of object is found, named, and refused" {
    init
    backup --pin x
    cp -a "$T/store" "$T/sound"
    for kind in lifeboat keys packs index snapshots marks/pin; do
        rm -rf "$T/store"
        cp -a "$T/sound" "$T/store"
        victim=$(object $kind)
        flip "$victim"
        expect 5 lb check --read-data
        prints "${victim#"$T/store/"}: "
        rm -rf "$T/store"
        cp -a "$T/sound" "$T/store"
        flip "$victim"
        expect 5 lb --json check --read-data
        json "not d['ok'] and any(e['object'] == '${victim#"$T/store/"}' for e in d['errors'])"
    done
}

@test "the snapshots that a bad pack hits are named, with their times" {
    init
    backup
    flip "$(object packs)" 5000
    expect 5 lb check --read-data
    prints "snapshot ${ID:0:8} of 20"
    prints "on box cannot be restored whole"
    expect 5 lb check --json
    json "d['errors'][0]['snapshots'] == ['$ID']"
}

@test "restore refuses wrong bytes wherever they are" {
    init
    backup files
    pack=$(object packs)
    size=$(stat -c %s "$pack")
    cp "$pack" "$T/pack"
    for at in 0 100 $((size / 3)) $((size / 2)); do
        cp "$T/pack" "$pack"
        flip "$pack" "$at"
        got=0
        lb restore latest files --to "$T/back$at" >"$T/out" 2>"$T/err" || got=$?
        if [ $got = 0 ]; then
            same_files "$T/back$at" # in padding: nobody is harmed
        else
            [ $got = 5 ]
            says "${pack#"$T/store/"}"
            # Whatever was written is right.
            [ ! -e "$T/back$at/sub/noise" ] || cmp -n "$(stat -c %s "$T/back$at/sub/noise")" "$T/back$at/sub/noise" "$T/files/sub/noise"
        fi
    done
    cp "$T/pack" "$pack"
    flip "$(object snapshots)"
    expect 5 lb restore "${ID:0:8}" files --to "$T/back"
    says "snapshots/$ID"
}

@test "a bad pack heals with the next backup" {
    init
    backup
    flip "$(object packs)" 5000
    expect 5 lb check --read-data
    backup
    expect 0 lb check
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

@test "missing packs are named" {
    init
    backup
    pack=$(object packs)
    rm "$pack"
    expect 5 lb check
    prints "${pack#"$T/store/"}: is missing"
    expect 5 lb restore latest files --to "$T/back"
    backup
    expect 0 lb check
}

@test "the object lifeboat can be made anew" {
    init
    backup
    flip "$T/store/lifeboat"
    expect 5 lb check
    prints "Remove that one file"
    rm "$T/store/lifeboat"
    expect 0 lb -q init --json
    expect 0 lb check --read-data
}

@test "a write-only host checks what it can" {
    write_only
    expect 0 lb -q init --identity-out "$T/identity.key"
    backup
    expect 0 lb check --read-data
    prints "that needs the identity"
    expect 0 lb check --read-data --identity "$T/identity.key"
    flip "$(object packs)" 5000
    expect 5 lb check --read-data
}

@test "--store says what a folder can and cannot do" {
    init
    expect 0 lb check --store --json
    json '[c["name"] for c in d["checks"]] == ["put", "get", "range", "list", "clock", "device", "sync", "space", "delete"]'
    json 'd["ok"] and d["store"].startswith("file://")'
    expect 0 lb check --store
    prints "survives a power cut"
    [ "$(find "$T/store" -name '*probe*')" = "" ]
    rm -r "$T/store"
    expect 2 lb check --store
}
