#!/usr/bin/env bats
# What goes, when, by whose word; and when it cannot.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/common
load ../lib/nights

@test "wrong use" {
    init
    backup
    expect 2 lb prune latest
    expect 2 lb prune --every 3h
    says "--every goes with --simulate"
    for time in 3x -1d 0x 101y 40000d; do
        expect 2 lb prune "--simulate=$time"
        says "--simulate $time: is not a time such as 400d"
    done
    expect 2 lb prune --simulate 400d --every 0s
    says "--every 0s: is not a time such as 24h"
    expect 2 lb prune --simulate 30000d --every 1s
    says "more than a million moments"
    for more in --dry-run --yes --exclusive; do
        expect 2 lb prune --simulate 4d $more
        says "--simulate looks at [retention] alone"
    done
    for command in forget pin unpin; do expect 2 lb $command; done
    expect 2 lb pin latest
    expect 2 lb pin latest ''
    says "the reason has 1 to 500 bytes"
    expect 2 lb pin latest "$(printf '%501s' x)"
    expect 2 lb undo one two
    expect 2 lb forget lastest
    says "give at least 4 hex digits of its id, or latest"
    expect 2 lb unpin latest
    says "is not pinned"
    expect 2 lb undo latest
    says "is not forgotten"
    expect 0 lb undo
    says "no snapshot is forgotten"
}

# ---- one snapshot at a time ----
@test "forget and undo" {
    first_night 3
    nights 2 0
    last=$(tail -n 1 "$T/forged")
    expect 0 lb forget "${FIRST:0:8}"
    prints "snapshot ${FIRST:0:8}: forgotten"
    expect 0 lb list
    grep -E "^${FIRST:0:8} .* forgotten " "$T/out"
    expect 0 lb --json list
    json 'd[0]["forgotten"].startswith("20") and not d[0]["broken"] and [s["forgotten"] for s in d[1:]] == [None] * 3'
    expect 0 lb show "$FIRST"
    grep -E '^forgotten since 20' "$T/out"
    expect 0 lb --json show "$FIRST"
    json 'd["forgotten"] and not d["broken"]'
    # It is all there, and stays until its window is over.
    expect 0 lb prune
    prints "forgot 0 of 3 snapshots"
    restores "$FIRST"
    expect 0 lb --json undo "$FIRST"
    json "d['snapshot'] == '$FIRST' and d['done'] == 'brought back'"
    expect 0 lb --json list
    json 'all(s["forgotten"] is None for s in d)'
    # Again, and all at once.
    expect 0 lb --json forget "$FIRST"
    json 'd["done"] == "forgotten"'
    expect 0 lb forget "$(head -n 1 "$T/forged")"
    expect 0 lb undo
    [ "$(grep -c 'brought back$' "$T/out")" = 2 ]
    # The last good one takes --yes.
    expect 2 lb forget latest
    says "it is the last good backup of files on box: --yes if it shall go all the same"
    expect 0 lb forget latest --yes
    expect 0 lb --json show latest
    json "d['id'] != '$last'"
    expect 0 lb undo "$last"
    expect 0 lb --json show latest
    json "d['id'] == '$last'"
}

@test "what is forgotten goes in three steps, and its space with it" {
    retention 'keep-within = 30d'
    head -c 3000000 /dev/urandom >"$T/files/large"
    first_night 3
    rm "$T/files/large"
    backup
    expect 0 lb forget "$FIRST"
    days_pass 2.95
    # The undo window is over for undo, and not yet for prune.
    expect 2 lb undo "$FIRST"
    says "forgotten longer ago than undo-window allows"
    expect 1 lb undo
    expect 0 lb prune --dry-run
    prints "too long for undo"
    expect 0 lb prune
    is_there "$FIRST"
    days_pass 0.6
    expect 0 lb --json prune
    json "d['removed'] == ['$FIRST'] and d['dead']['packs'] + d['thin']['packs'] > 0 and d['swept']['packs'] == 0"
    is_gone "$FIRST"
    expect 0 lb prune
    prints "waiting for their grace: "
    days_pass 1.1
    expect 0 lb prune
    prints "swept: "
    [ "$(du -sb "$T/store/packs" | cut -f 1)" -lt 1000000 ]
    for _ in 1 2 3; do
        days_pass 1.1
        expect 0 lb prune
    done
    [ -z "$(objects marks)" ]
    expect 0 lb check --read-data
    restores latest
}

@test "a pinned snapshot stays until it is unpinned" {
    retention 'keep-last = 1' 'keep-min = 1'
    init
    backup --pin "before the upgrade"
    FIRST=$ID
    backup
    backup
    expect 0 lb list
    grep -E "^${FIRST:0:8} .* pinned .*  pinned: before the upgrade$" "$T/out"
    expect 2 lb forget "$FIRST"
    says "the snapshot is pinned (before the upgrade): \`lifeboat unpin\` first"
    expect 2 lb forget "$FIRST" --yes
    expect 0 lb --json prune
    json "[s['id'] for s in d['snapshots'] if not s['goes']] == ['$FIRST', '$ID']"
    expect 0 lb pin "$FIRST" "twice"
    expect 0 lb --json unpin "$FIRST"
    json 'd["done"] == "no longer pinned"'
    expect 0 lb --json prune --yes
    json "[s['id'] for s in d['snapshots'] if not s['goes']] == ['$ID']"
    # A pin is no undo.
    expect 2 lb pin "$FIRST" "too late"
    says "the snapshot is forgotten, and a pin does not bring it back: \`lifeboat undo ${FIRST:0:8}\` first"
    expect 0 lb undo "$FIRST"
    expect 0 lb pin "$FIRST" "in time"
}

@test "a broken snapshot is named so, and is never the latest" {
    init
    backup
    FIRST=$ID
    nights 0 0
    last=$(cat "$T/forged")
    echo "{\"mark\": \"broken\", \"of\": \"$last\"}" | forge >/dev/null
    expect 0 lb list
    grep -E "^${last:0:8} .* broken " "$T/out"
    expect 0 lb --json list
    json "all(s['broken'] == (s['id'] == '$last') for s in d)"
    expect 0 lb show "$last"
    grep -E '^broken    since 20' "$T/out"
    expect 0 lb --json show latest
    json "d['id'] == '$FIRST'"
    expect 0 lb --json prune --yes
    json "[s['id'] for s in d['snapshots'] if s['goes']] == ['$last']"
    # Nor is it once something is brought back.
    expect 0 lb undo
    expect 2 lb undo "$last"
    says "the snapshot is broken"
    echo "{\"mark\": \"undo\", \"of\": \"$last\"}" | forge >/dev/null
    expect 0 lb --json list
    json "all(s['broken'] == (s['id'] == '$last') for s in d)"
}

# ---- when it cannot ----
@test "an object of a time that no clock shows is from the future, and not old" {
    init
    backup
    touch -d 2300-01-01 "$T"/store/packs/*/*
    expect 3 lb prune --yes
    prints "the store's clock has gone back"
    touch -d 1900-01-01 "$T"/store/packs/*/*
    expect 0 lb prune --yes
    expect 0 lb check
}

@test "a store whose clock went back: nothing is deleted" {
    retention 'keep-last = 1' 'keep-min = 1'
    head -c 3000000 /dev/urandom >"$T/files/large"
    first_night 9
    rm "$T/files/large"
    backup
    expect 0 lb prune
    days_pass 4
    expect 0 lb prune
    is_gone "$FIRST"
    days_pass 2
    objects packs >"$T/before"
    touch -d '2 days' "$T/store/snapshots/$ID"
    expect 3 lb prune
    prints "note: the store's clock has gone back: nothing is condemned or deleted until it has caught up"
    expect 3 lb --json prune --exclusive --yes
    json 'd["swept"]["packs"] == 0'
    objects packs | diff "$T/before" -
    touch "$T/store/snapshots/$ID"
    # What the last prune remembers counts as well.
    sed -i 's/"store_time":"20/"store_time":"21/' "$T"/state/*/prune.json
    expect 3 lb prune
    objects packs | diff "$T/before" -
    rm "$T"/state/*/prune.json
    expect 0 lb prune
    prints "swept: "
}

@test "a snapshot of a host whose clock was ahead is not the latest for ever" {
    init
    backup
    echo '{"days_ago": 0.01, "claims": -3650}' | forge >"$T/forged"
    backup
    expect 0 lb --json list
    json "d[2]['id'] == '$ID' and any(s['time'] > s['stored'] for s in d)"
    expect 0 lb --json show latest
    json "d['id'] == '$ID'"
}

@test "a snapshot that cannot be read stops it, until it is removed" {
    retention 'keep-last = 1' 'keep-min = 1'
    first_night 9
    backup
    flip "$T/store/snapshots/$FIRST"
    all_objects >"$T/before"
    expect 5 lb prune
    says "snapshots/${FIRST:0:8}"
    says "nothing is pruned while a snapshot cannot be read"
    says "where no copy of it is left, remove that object from the store"
    expect 5 lb prune --exclusive --yes
    all_objects | diff "$T/before" -
    rm "$T/store/snapshots/$FIRST"
    expect 0 lb prune
    expect 0 lb check
}

@test "a store that cannot be written to" {
    mount_disk 20m
    STORE=$T/mount/store write_config
    retention 'keep-last = 1' 'keep-min = 1'
    init
    backup
    backup
    mount -o remount,ro "$T/mount"
    expect 1 lb prune --yes
    says "Read-only file system"
    expect 1 lb forget latest --yes
    says "Read-only file system"
    expect 1 lb pin latest why
    says "Read-only file system"
    expect 0 lb list
}

@test "a full disk: what is dead goes at once, and the rest with the room that makes" {
    [ "$(id -u)" = 0 ] || skip "a disk of its own needs root"
    mkdir "$T/mount"
    mount -t tmpfs -o size=32m tmpfs "$T/mount" 2>/dev/null || skip "mounting a tmpfs is not permitted here"
    STORE=$T/mount/store write_config
    sed -i 's/^min-free = .*/min-free = 5/' "$T/lifeboat.conf"
    retention 'keep-last = 1' 'keep-min = 1' 'undo-window = 0'
    head -c 5000000 /dev/urandom >"$T/files/large"
    init
    backup
    forgotten=$ID
    mv "$T/files/large" "$T/large"
    head -c 5000000 /dev/urandom >"$T/files/large"
    backup
    forgotten+=" $ID"
    head -c 2000000 "$T/large" >"$T/files/large"
    head -c 5000000 /dev/urandom >"$T/files/new"
    backup
    # Somebody else fills the disk: there is room for a few small objects.
    head -c "$(($(df --output=avail -B1 "$T/mount" | tail -n 1) - 500000))" /dev/zero >"$T/mount/filler"
    head -c 3000000 /dev/urandom >"$T/files/newer"
    expect 1 lb backup
    says "the last 5 % are left alone (min-free): \`lifeboat prune --exclusive\`, or make room"
    for id in $forgotten; do expect 0 lb forget "$id" --yes; done
    expect 0 lb prune --exclusive --yes
    prints "swept: 1 packs"
    prints "note: nothing was moved out of packs that are partly garbage: "
    expect 0 lb prune --exclusive --yes
    [ "$(du -sb "$T/mount/store/packs" | cut -f 1)" -lt 9000000 ]
    expect 0 lb check --read-data
    rm "$T/mount/filler"
    backup
    restores latest
}

@test "--exclusive: not while another host may be writing, nor another lifeboat" {
    retention 'keep-last = 1' 'keep-min = 1' 'undo-window = 0'
    first_night 50
    nights 40 39 '"host": "other"'
    backup
    nights 29 29 '"host": "other"'
    expect 1 lb prune --exclusive --yes
    says "--exclusive: host other wrote here on 20"
    says "without --exclusive, space is given back after the grace"
    # Also when that snapshot is on its way out.
    expect 0 lb forget "$(cat "$T/forged")" --yes
    expect 1 lb prune --exclusive --yes
    says "--exclusive: host other wrote here on 20"
    rm "$T/store/snapshots/$(cat "$T/forged")"
    exec 9>>"$(find "$T/state" -name '*.lock')"
    flock 9
    expect 1 lb prune --exclusive --yes
    says "another lifeboat is at work"
    exec 9>&-
    for _ in 1 2; do expect 0 lb --json prune --exclusive --yes; done
    is_gone "$FIRST"
    is_there "$ID"
}

@test "the writer key is enough to prune" {
    retention 'keep-last = 1' 'keep-min = 1' 'undo-window = 0'
    head -c 3000000 /dev/urandom >"$T/files/large"
    init
    backup
    cp "$T/files/large" "$T/large"
    head -c 400000 "$T/large" >"$T/files/large"
    backup
    mv "$T/keys/identity.key" "$T/identity.key"
    write_only
    expect 0 lb prune --yes
    [ "$(cat "$T/out")" = "forgot 1 of 2 snapshots" ] # there is no undo window to speak of
    for _ in 1 2; do expect 0 lb prune --exclusive --yes; done
    [ "$(du -sb "$T/store/packs" | cut -f 1)" -lt 1600000 ]
    expect 0 lb check --read-data
    rm -rf "$T/back"
    expect 0 lb restore latest files --to "$T/back" --identity "$T/identity.key"
    same_files "$T/back"
}
