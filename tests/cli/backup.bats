#!/usr/bin/env bats
load ../lib/common

@test "the summary has the fields that were promised" {
    init
    backup
    json 'set(d) == {"type", "snapshot", "verdict", "seconds", "sources", "requests"} and d["type"] == "summary"'
    json 'all(set(s) == {"name", "type", "verdict", "bytes", "new_bytes", "stored_bytes", "files", "seconds", "reasons"} for s in d["sources"])'
    json '[s["name"] for s in d["sources"]] == ["files", "numbers"] and d["requests"]["put_snapshots"] == 1'
}

@test "volumes come before commands, whatever the order in the file; a source can be named" {
    init
    expect 0 lb backup
    prints "good"
    prints "files"
    backup numbers
    json '[s["name"] for s in d["sources"]] == ["numbers"]'
    expect 2 lb backup flies
    says "there is no [source flies]: did you mean files?"
}

@test "a second backup of an unchanged tree stores next to nothing" {
    init
    backup
    touch -d '2020-01-01' "$T/files/one.txt"
    backup
    backup
    json 'sum(s["new_bytes"] for s in d["sources"]) == 0 and d["requests"]["put_packs"] == 0'
    backup --read-all
    json 'sum(s["new_bytes"] for s in d["sources"]) == 0'
}

@test "tags, pins, list" {
    init
    backup --tag monday --tag week --pin 'before the reset'
    backup
    expect 0 lb list --json
    json 'len(d) == 2 and d[0]["pinned"] and not d[1]["pinned"] and d[0]["proven"] is False and d[0]["tags"] == ["monday", "week"]'
    json 'set(d[0]) == {"id", "time", "stored", "host", "verdict", "pinned", "proven", "forgotten", "broken", "tags", "sources"} and set(d[0]["sources"][0]) == {"name", "type", "bytes", "verdict"}'
    expect 0 lb list --tag week --json
    json 'len(d) == 1'
    expect 0 lb list
    prints "pinned"
    expect 0 lb show "$(lb list --tag week --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["id"][:6])')"
    prints "before the reset"
    expect 2 lb backup --tag ''
    expect 2 lb backup --pin ''
}

@test "--dry-run looks and stores nothing" {
    init
    expect 0 lb backup --dry-run
    prints "the folder $T/files"
    expect 0 lb list --json
    json 'd == []'
    mv "$T/files" "$T/elsewhere"
    expect 1 lb backup --dry-run --json
    json 'd["dry_run"] and d["sources"][0]["ready"] is False'
}

@test "a source that fails leaves the others good, and the snapshot says so" {
    init
    mv "$T/files" "$T/elsewhere"
    expect 1 lb --json backup
    says "files"
    json 'd["verdict"] == "failed" and [s["verdict"] for s in d["sources"]] == ["failed", "good"] and d["snapshot"] and d["sources"][0]["reasons"]'
    expect 0 lb cat latest:numbers numbers
    seq 1 20000 | cmp - "$T/out"
    expect 1 lb cat latest files
    says "whose backup failed that time"
    expect 2 lb cat latest:files files
    says "there is no good or degraded snapshot of files"
}

@test "when every source fails there is no snapshot" {
    init
    sed -i 's/^command = .*/command = exit 7/' "$T/lifeboat.conf"
    rm -r "$T/files"
    expect 1 lb --json backup
    says "no snapshot was written"
    says "exit status 7"
    json 'd["snapshot"] is None and d["verdict"] == "failed"'
    expect 0 lb list --json
    json 'd == []'
}

@test "an unreadable file makes it degraded: exit 3, with the path" {
    [ "$(id -u)" != 0 ] || skip "root reads everything"
    init
    chmod 000 "$T/files/one.txt"
    expect 3 lb --json backup
    json 'd["verdict"] == "degraded" and "one.txt" in d["sources"][0]["reasons"][0]'
}

@test "two at a time: the second says who is at work" {
    init
    mkfifo "$T/at-work"
    gate go-on
    sed -i "s|^command = .*|command = echo >$T/at-work; read x <$T/go-on; echo done|" "$T/lifeboat.conf"
    beside "$LIFEBOAT" -c "$T/lifeboat.conf" backup >"$T/first" 2>&1
    first=$!
    read -r _ <"$T/at-work"
    expect 1 timeout 20 "$LIFEBOAT" -c "$T/lifeboat.conf" backup
    says "another lifeboat is at work (pid $first)"
    echo >"$T/go-on"
    wait $first
}

@test "SIGTERM ends a run cleanly, without a snapshot" {
    init
    mkfifo "$T/at-work"
    gate go-on
    sed -i "s|^command = .*|command = echo; echo >$T/at-work; read x <$T/go-on|" "$T/lifeboat.conf"
    beside "$LIFEBOAT" -c "$T/lifeboat.conf" backup >"$T/out" 2>"$T/err"
    first=$!
    read -r _ <"$T/at-work"
    kill -TERM $first
    got=0
    wait $first || got=$?
    [ $got = 1 ]
    says "no snapshot was written"
    sed -i 's/^command = .*/command = seq 5/' "$T/lifeboat.conf"
    backup
    expect 0 lb list --json
    json 'len(d) == 1'
}

@test "a command that prints less than half is degraded, until a person says that it is on purpose" {
    init
    sed -i "s/^command = .*/command = seq 2000/" "$T/lifeboat.conf"
    backup numbers
    sed -i "s/^command = .*/command = (echo begun; exit 3) | cat/" "$T/lifeboat.conf"
    for _ in 1 2; do
        expect 3 lb backup numbers
        prints "look: the command printed 6 B, and 8.7 KiB for the last good backup"
    done
    sed -i "s/^command = .*/command = seq 1200/" "$T/lifeboat.conf"
    backup numbers
    sed -i "s/^command = .*/command = seq 100/; /^command = /a allow-shrink = yes" "$T/lifeboat.conf"
    expect 0 lb backup numbers
    prints "note: the command printed"
    sed -i "/^allow-shrink/d" "$T/lifeboat.conf"
    backup numbers
    sed -i "s/^command = .*/command = echo little, which may halve/" "$T/lifeboat.conf"
    backup numbers
}

@test "hooks put things in order also when the run is stopped" {
    init
    mkfifo "$T/at-work" "$T/go-on" "$T/answer" "$T/answer-run"
    sed -i "s|^command = .*|command = echo; echo >$T/at-work; read x <$T/go-on|" "$T/lifeboat.conf"
    sed -i "s|^host = .*|&\nafter = read x <$T/answer-run; echo after run >>$T/hooked\non-failure = echo on-failure run >>$T/hooked|" "$T/lifeboat.conf"
    echo "after = read x <$T/answer; echo after numbers >>$T/hooked" >>"$T/lifeboat.conf"
    "$LIFEBOAT" -c "$T/lifeboat.conf" backup >"$T/out" 2>"$T/err" 3>&- &
    first=$!
    read -r _ <"$T/at-work"
    kill -TERM $first
    # shellcheck disable=SC2016 # the other shell's
    for fifo in answer answer-run; do timeout 60 sh -c 'echo >"$1"' - "$T/$fifo"; done
    got=0
    wait $first || got=$?
    [ $got = 1 ]
    says "no snapshot was written"
    printf '%s\n' 'after numbers' 'after run' 'on-failure run' | diff - "$T/hooked"
}

@test "kill -9 in the middle: the next run completes and uses what was stored" {
    init
    head -c 50000000 /dev/urandom >"$T/big"
    mkfifo "$T/at-work"
    gate go-on
    touch "$T/block"
    sed -i "s|^command = .*|command = cat $T/big; test ! -e $T/block \|\| { echo >$T/at-work; read x <$T/go-on; }|" "$T/lifeboat.conf"
    beside "$LIFEBOAT" -c "$T/lifeboat.conf" backup >"$T/first" 2>&1
    first=$!
    read -r _ <"$T/at-work"
    until [ -n "$(find "$T/store/packs" -type f 2>/dev/null)" ]; do sleep 0.05; done
    kill -KILL $first
    wait $first || :
    rm "$T/block"
    echo >"$T/go-on"
    expect 0 lb list --json
    json 'd == []'
    expect 0 lb check
    backup
    json 'd["sources"][1]["bytes"] == 50000000 and d["sources"][1]["stored_bytes"] < 40000000'
    expect 0 lb check --read-data
    lb cat latest numbers | cmp - "$T/big"
}

@test "backup killed at any write to disk: sound, and the next one completes" {
    export ASAN_OPTIONS=detect_leaks=0 # LeakSanitizer does not work under strace
    command -v strace >/dev/null || skip "there is no strace"
    strace -qq -o /dev/null true || skip "tracing is not permitted here"
    init
    for call in linkat renameat; do
        n=1
        while :; do
            head -c 200000 /dev/urandom >"$T/files/sub/noise"
            got=0
            strace -qq -f -o /dev/null -e trace=$call -e "inject=$call:signal=KILL:when=$n" "$LIFEBOAT" \
                -c "$T/lifeboat.conf" -q backup >"$T/out" 2>"$T/err" </dev/null || got=$?
            [ $got = 137 ] || break
            expect 0 lb check
            backup
            expect 0 lb cat latest files
            tar xOf "$T/out" sub/noise | cmp - "$T/files/sub/noise"
            n=$((n + 1))
        done
        [ $got = 0 ]
    done
    expect 0 lb check --read-data
}

@test "a state folder that was lost costs nothing but time" {
    init
    backup
    rm -r "$T/state" "$T/cache"
    backup
    json 'sum(s["new_bytes"] for s in d["sources"]) == 0'
    expect 0 lb show latest --json
    json 'd["sources"][0]["sequence"] == 2'
}

@test "keys: missing, readable by others, of another repository, garbled" {
    init
    chmod 644 "$T/keys/writer.key"
    expect 2 lb backup
    says "chmod 600 $T/keys/writer.key"
    chmod 600 "$T/keys/writer.key"
    mv "$T/keys/writer.key" "$T/w"
    expect 2 lb backup
    says "there is no writer key"
    head -c 200 "$T/w" >"$T/keys/writer.key"
    chmod 600 "$T/keys/writer.key"
    expect 2 lb backup
    says "$T/keys/writer.key"
    mkdir "$T/other"
    sed "s|$T/store|$T/other/store|; s|$T/keys|$T/other|" "$T/lifeboat.conf" >"$T/other.conf"
    expect 0 "$LIFEBOAT" -q -c "$T/other.conf" init --json
    cp "$T/other/writer.key" "$T/keys/writer.key"
    expect 2 lb backup
    says "holds repository"
}

small_disk() { # SIZE
    mount_disk "$1"
    STORE=$T/mount/store write_config
}

@test "a full store: a clear message, no half snapshot, and it goes on when there is room" {
    small_disk 8m
    init
    backup
    head -c 20000000 /dev/urandom >"$T/files/large"
    expect 1 lb --json backup
    grep -qE 'No space left|are free' "$T/err"
    says "no snapshot was written"
    expect 0 lb list --json
    json 'len(d) == 1'
    rm "$T/files/large"
    backup
    expect 0 lb check --read-data
}

@test "a store that cannot be written to" {
    small_disk 8m
    init
    backup
    mount -o remount,ro "$T/mount"
    echo more >"$T/files/more"
    expect 1 lb backup
    says "Read-only file system"
    says "no snapshot was written"
    expect 0 lb restore latest files --to "$T/back"
    rm "$T/files/more"
    same_files "$T/back"
}

@test "a store whose disk is not mounted" {
    init
    mv "$T/store" "$T/away"
    mkdir "$T/store"
    expect 2 lb backup
    says "is the disk mounted?"
}

@test "a cache that cannot be: a note, and the next backup reads everything again" {
    ln "$T/files/one.txt" "$T/files/hard"
    init
    sed -i "s|^cache = .*|cache = $T/lifeboat.conf/cache|" "$T/lifeboat.conf"
    expect 0 lb backup
    prints "note: no cache of unchanged files"
    expect 0 lb restore latest:files files --to "$T/back"
    same_files "$T/back"
}

@test "a cache that fills up while unchanged files go in by what it knows: a note, and no crash" {
    small_disk 4m
    STORE=$T/store write_config
    sed -i "s|^cache = .*|cache = $T/mount|; /^path = /a chunk-mean = 4KiB" "$T/lifeboat.conf"
    for n in {1..170}; do head -c 1000000 /dev/urandom >"$T/files/$n"; done
    touch -d '1 hour ago' "$T/files"/*
    init
    backup files
    backup files # by now all of them are older than the cache asks for
    head -c 2900000 /dev/urandom >"$T/mount/filler"
    expect 0 lb backup files
    prints "note: no cache of unchanged files"
    prints "100 % was there"
    expect 0 lb restore latest:files files --to "$T/back"
    same_files "$T/back"
}

@test "a volume that lost more than half is degraded, until a person says that it is on purpose" {
    mkdir "$T/files/mounted"
    for n in {1..50}; do head -c 50000 /dev/urandom >"$T/files/mounted/$n"; done
    init
    backup
    mv "$T/files/mounted" "$T/elsewhere"
    for _ in 1 2; do
        expect 3 lb backup files
        prints "is all of it mounted?"
    done
    mv "$T/elsewhere" "$T/files/mounted"
    backup files
    # One large file that goes is no matter.
    head -c 9000000 /dev/urandom >"$T/files/large"
    backup files
    mkdir "$T/away"
    mv "$T/files"/* "$T/away"
    sed -i '/^path = /a allow-empty = yes' "$T/lifeboat.conf"
    expect 0 lb backup files # which is what that says
    mv "$T/away"/* "$T/files"
    backup files
    rm "$T/files/large"
    backup files
    rm -r "$T/files/mounted"
    sed -i '/^path = /a allow-shrink = yes' "$T/lifeboat.conf"
    expect 0 lb backup files
    prints "note: $T/files: has"
    sed -i '/^allow-shrink/d' "$T/lifeboat.conf"
    backup files
}
