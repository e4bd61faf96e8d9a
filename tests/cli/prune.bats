#!/usr/bin/env bats
# What a person sees of retention: what stays and why, what goes and when, and what nobody can make go.
load ../lib/common

# forge: snapshots and marks of any age, one JSON a line; see lib/forge.py.
forge() { /usr/bin/python3 "$BATS_TEST_DIRNAME/../lib/forge.py" "$T/store" "$T/keys/writer.key"; }

# nights FIRST LAST [MORE]: a snapshot each night, from FIRST to LAST days ago.
nights() {
    for d in $(seq "$1" -1 "$2"); do echo "{\"days_ago\": $d${3:+, $3}}"; done | forge >"$T/forged"
}

# A repository whose only snapshot, $ID, was taken so many days ago.
first_night() { # DAYS
    init
    backup
    nights "$1" "$1"
    rm "$T/store/snapshots/$ID"
    FIRST=$(cat "$T/forged")
}

# retention LINE...: replaces [retention].
retention() {
    sed -i '/^\[retention\]/,$d' "$T/lifeboat.conf"
    printf '%s\n' '[retention]' 'time-zone = UTC' "$@" >>"$T/lifeboat.conf"
}

objects() { # KIND: names of its objects
    find "$T/store/$1" -type f 2>/dev/null | sort
}

# Everything in the store, by name.
all_objects() {
    (cd "$T/store" && find . -type f | sort)
}

restores() { # SNAP
    rm -rf "$T/back"
    expect 0 lb restore "$1" files --to "$T/back"
    same_files "$T/back"
}

is_there() { [ -e "$T/store/snapshots/$1" ]; }
is_gone() { ! is_there "$1"; }

# Time passes for whatever lies in the store, and in what the last prune remembers.
days_pass() { # DAYS
    python3 - "$1" "$T" <<'PY'
import glob, os, re, sys, time
shift = float(sys.argv[1]) * 86400
for path in glob.glob(f"{sys.argv[2]}/store/**/*", recursive=True):
    if os.path.isfile(path):
        os.utime(path, (0, os.stat(path).st_mtime - shift))
for path in glob.glob(f"{sys.argv[2]}/state/*/prune.json"):
    text = open(path).read()
    then = time.mktime(time.strptime(re.search(r"\d[^.]*", text)[0], "%Y-%m-%dT%H:%M:%S")) - shift
    open(path, "w").write(re.sub(r"\d[^.]*", time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(then)), text, 1))
PY
}

# ---- what stays ----
stay() { # COUNT LINE...: so many of the nights stay by these lines
    retention "${@:2}"
    lb prune --dry-run --json >"$T/out" 2>"$T/err" || [ $? = 3 ]
    json "sum(not s['goes'] for s in d['snapshots']) in ($1)"
}

@test "users' habits are one line each" {
    first_night 500
    nights 499 0
    stay 7, 'keep-within = 7d'
    stay 30, 'keep-within = 30d'
    # the last day of a month may be one of the last 31
    stay 41,42 'keep-daily = 31' 'keep-monthly = 12'
    stay 5, 'keep-last = 5'
    stay 501,
    stay 3, 'keep-last = 1'
    stay 8, 'keep-last = 1' 'keep-min = 8'
    expect 2 lb -c "$T/none" prune
    retention 'keep-daily = many'
    expect 2 lb prune
    says 'keep-daily'
    retention 'keep-dayly = 7'
    expect 2 lb prune
    says 'keep-daily'
    retention 'grace = 4s'
    expect 2 lb prune
    says 'grace'
}

@test "--dry-run names the rules for every snapshot, and changes nothing" {
    first_night 40
    nights 39 0
    expect 0 lb pin "$FIRST" "the first"
    expect 0 lb drill "$(sed -n 5p "$T/forged")"
    retention 'keep-within = 7d' 'keep-weekly = 3'
    all_objects >"$T/before"
    expect 3 lb prune --dry-run
    says "more than half would go"
    says "would stop there, and go on with --yes"
    grep -A1 "^${FIRST:0:8} .* stays$" "$T/out" | grep "    files: pinned$"
    prints "    numbers: pinned"
    prints "    files: newest proven good"
    prints "    files: last good 1 of 3, within 7d, weekly 20"
    prints "    files: last good 3 of 3, within 7d"
    prints "  GOES"
    prints "    files: no rule keeps it"
    [ "$(grep -cE '^[0-9a-f]{8} .*(stays|GOES)$' "$T/out")" = 41 ]
    [ "$(grep -c '^    files: ' "$T/out")" = 41 ]
    grep -E '^would forget (30|31) of 41 snapshots ' "$T/out"
    expect 0 lb prune --dry-run --yes
    expect 3 lb prune --dry-run --json
    json 'd["dry_run"] and not d["stopped"] and len(d["alarms"]) == 2 and len(d["snapshots"]) == 41 and all(len(s["why"]) == 2 and s["forgotten"] is None for s in d["snapshots"])'
    all_objects | diff "$T/before" -
    [ ! -e "$T"/state/*/prune.json ]
    # What was forgotten earlier is there, too.
    expect 0 lb forget "$(sed -n 1p "$T/forged")"
    expect 3 lb prune --dry-run
    grep -E '^    forgotten since 20.*; `lifeboat undo` brings it back until 20' "$T/out"
    grep -E '^would forget (29|30) of 40 snapshots ' "$T/out"
    expect 3 lb prune --dry-run --json
    json 'sum(s["forgotten"] is not None and s["goes"] for s in d["snapshots"]) == 1'
}

@test "--simulate: what a policy would hold" {
    retention 'keep-daily = 31' 'keep-monthly = 12'
    expect 0 lb prune --simulate 400d --every 24h
    [ "$(wc -l <"$T/out")" = 402 ]
    head -n 1 "$T/out" | grep "AFTER THE PRUNE OF  *HELD  THE OLDEST  *KEPT FOR"
    tail -n 1 "$T/out" | grep -E '^20[0-9-]+ [0-9:]+ +4[12]  20[0-9-]+ [0-9:]+  monthly 20[0-9-]+$'
    expect 0 lb --json prune --simulate 400d --every 24h
    [ "$(wc -l <"$T/out")" = 401 ]
    json 'd["type"] == "moment" and d["held"] in (41, 42) and len(d["snapshots"]) == d["held"] and d["snapshots"][-1] == d["time"]'
    expect 0 lb prune --simulate 10d
    [ "$(wc -l <"$T/out")" = 12 ]
    expect 0 lb prune --simulate 1d --every 1h
    [ "$(wc -l <"$T/out")" = 26 ]
    retention 'keep-within = 7d'
    expect 0 lb --json prune --simulate 30d
    json 'd["held"] == 7'
    # It opens nothing: there is no repository yet.
    [ ! -e "$T/store" ]
}

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
}

# ---- what retention cannot make go ----
@test "90 nights of failed and degraded backups, and the last good and the last proven ones are there" {
    retention 'keep-within = 7d' 'keep-daily = 7'
    first_night 100
    expect 0 lb drill
    nights 99 91
    last_good=$(tail -n 1 "$T/forged")
    nights 90 46 '"verdict": "degraded"'
    nights 45 0 '"verdict": "failed"'
    expect 0 lb prune
    prints "forgot 2 of 101 snapshots"
    is_there "$FIRST"
    expect 0 lb --json prune --yes
    json "not [s for s in d['snapshots'] if s['goes'] and s['id'] in ('$FIRST', '$last_good')]"
    days_pass 4
    expect 0 lb prune --yes
    days_pass 4
    expect 0 lb prune --yes
    restores "$FIRST"
    restores "$last_good"
    expect 0 lb check --read-data
    # The next good night: what failed goes, what was good before is still counted from the last good one.
    backup
    expect 0 lb --json prune
    json "not [s for s in d['snapshots'] if s['goes'] and s['id'] in ('$FIRST', '$last_good', '$ID')]"
    json "40 <= sum(s['goes'] and not s['forgotten'] for s in d['snapshots']) <= 90"
}

@test "real failures, night after night" {
    retention 'keep-last = 2' 'keep-min = 2'
    init
    backup
    FIRST=$ID
    expect 0 lb drill
    sed -i 's/^command = .*/command = exit 1/' "$T/lifeboat.conf"
    for _ in 1 2 3 4 5; do
        rm -f "$T/files/one.txt"
        expect 1 lb backup
    done
    rm -r "$T/files"
    for _ in 1 2 3; do expect 1 lb backup; done
    expect 0 lb prune
    prints "forgot 0 of 6 snapshots"
    for _ in 1 2 3; do expect 0 lb prune --exclusive --yes; done
    rm -rf "$T/back"
    expect 0 lb restore "$FIRST" files --to "$T/back"
    [ "$(cat "$T/back/one.txt")" = one ]
    expect 0 lb cat "$FIRST" numbers
    seq 1 20000 | cmp - "$T/out"
}

# ---- a thief with the writer key ----
month() {
    retention 'keep-daily = 31'
    first_night 31
    nights 30 1
    expect 0 lb prune
    cp "$T/forged" "$T/good"
    days_pass 0.8
}

# Night after night prune stops, and every good snapshot stays.
prune_stops() { # MESSAGE
    for _ in 1 2 3; do
        expect 3 lb prune
        says "$1"
        says "nothing was done: look at the list above, then prune --yes"
        days_pass 2
    done
    expect 3 lb --json prune
    json 'd["stopped"] and d["removed"] == [] and d["swept"]["packs"] == 0 and d["found"]["packs"] == 0'
    while read -r id; do is_there "$id"; done <"$T/good"
}

@test "a thief adds 1,000 empty snapshots: the good ones stay until a person acts" {
    month
    for i in $(seq 1000); do
        echo "{\"days_ago\": 0.1, \"empty\": true, \"claims\": $((i % 40)), \"sequence\": $((1000000 + i))}"
    done | forge >"$T/forged"
    all_objects >"$T/before"
    prune_stops "1000 snapshots appeared since the prune of"
    all_objects | diff "$T/before" -
    restores "$(tail -n 1 "$T/good")"
    # The person forgets them, as the runbook says, by the store's time.
    since=$(date -u -d '149 hours ago' +%Y-%m-%dT%H:%M) # six days have passed
    lb --json list | python3 -c 'import json, sys
for s in json.load(sys.stdin):
    if s["stored"] >= sys.argv[1] and s["forgotten"] is None: print(s["id"])' "$since" | sort >"$T/fakes"
    sort "$T/forged" | cmp - "$T/fakes"
    while read -r id; do echo "{\"mark\": \"forget\", \"of\": \"$id\"}"; done <"$T/fakes" | forge >/dev/null
    expect 0 lb prune
    prints "forgot 0 of 31 snapshots"
}

@test "a thief forgets everything: prune stops, and undo brings it back" {
    month
    while read -r id; do echo "{\"mark\": \"forget\", \"of\": \"$id\"}"; done <"$T/good" | forge >/dev/null
    expect 3 lb prune --dry-run
    says "30 of them forgotten by hand (\`lifeboat undo\` brings them back)"
    expect 3 lb prune
    says "more than half would go: 30 of the 31 snapshots with data that the prune of"
    expect 0 lb undo
    expect 0 lb prune
    while read -r id; do is_there "$id"; done <"$T/good"
}

@test "a thief forgets everything, and nobody looks for a week" {
    month
    while read -r id; do echo "{\"mark\": \"forget\", \"of\": \"$id\"}"; done <"$T/good" | forge >/dev/null
    prune_stops "more than half would go"
    restores "$(head -n 1 "$T/good")"
}

@test "the last proven one does not go by a mark alone" {
    month
    id=$(sed -n 7p "$T/good")
    expect 0 lb drill "$id"
    expect 0 lb forget "$id"
    for _ in 1 2 3; do
        expect 3 lb prune
        says "files on box: its newest proven snapshot was forgotten by hand (\`lifeboat undo\` brings it back)"
        days_pass 2
    done
    restores "$id"
    expect 0 lb prune --yes
    is_gone "$id"
}

@test "what is forgotten takes nobody's place" {
    retention 'keep-last = 2' 'keep-min = 1'
    first_night 3
    nights 2 0
    expect 0 lb forget "$(sed -n 2p "$T/forged")"
    expect 0 lb --json prune
    json "[s['id'] for s in d['snapshots'] if not s['goes']] == ['$(sed -n 1p "$T/forged")', '$(sed -n 3p "$T/forged")']"
}

@test "what a person forgot is asked for once" {
    retention
    first_night 5
    nights 4 0
    head -n 4 "$T/forged" | xargs -n 1 "$LIFEBOAT" -c "$T/lifeboat.conf" -q forget
    expect 3 lb prune
    says "more than half would go: 4 of 6 snapshots with data; 4 of them forgotten by hand"
    expect 0 lb prune --yes
    expect 0 lb prune
    days_pass 4
    expect 0 lb --json prune
    json 'len(d["removed"]) == 4'
}

@test "a rule that would drop more than half stops until --yes" {
    retention 'keep-within = 30d'
    first_night 29
    nights 28 0
    expect 0 lb prune
    retention 'keep-within = 7d'
    all_objects >"$T/before"
    expect 3 lb prune
    says "files on box: more than half would go: 23 of the 30 snapshots with data that the prune of"
    prints "    files: no rule keeps it"
    all_objects | diff "$T/before" -
    expect 3 lb -q prune
    prints "    files: no rule keeps it"
    expect 0 lb prune --yes
    prints "forgot 23 of 30 snapshots (\`lifeboat undo\` brings them back for a while)"
    # Not every night again.
    expect 0 lb prune
    prints "forgot 0 of 7 snapshots"
    expect 0 lb undo
    expect 0 lb --json list
    json 'all(s["forgotten"] is None for s in d)'
}

# ---- when it cannot ----
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

@test "a snapshot that cannot be read stops it; forgotten long enough it goes" {
    retention 'keep-last = 1' 'keep-min = 1'
    first_night 9
    backup
    flip "$T/store/snapshots/$FIRST"
    all_objects >"$T/before"
    expect 5 lb prune
    says "snapshots/${FIRST:0:8}"
    says "nothing is pruned while a snapshot cannot be read"
    expect 5 lb prune --exclusive --yes
    all_objects | diff "$T/before" -
}

@test "a store that cannot be written to" {
    [ "$(id -u)" = 0 ] || skip "a disk of its own needs root"
    mkdir "$T/mount"
    mount -t tmpfs -o size=20m tmpfs "$T/mount" 2>/dev/null || skip "mounting a tmpfs is not permitted here"
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
    mv "$T/files/large" "$T/large"
    head -c 5000000 /dev/urandom >"$T/files/large"
    backup
    head -c 2000000 "$T/large" >"$T/files/large"
    head -c 5000000 /dev/urandom >"$T/files/new"
    backup
    # Somebody else fills the disk: there is room for a few small objects.
    head -c "$(($(df --output=avail -B1 "$T/mount" | tail -n 1) - 500000))" /dev/zero >"$T/mount/filler"
    head -c 3000000 /dev/urandom >"$T/files/newer"
    expect 1 lb backup
    says "the last 5 % are left alone (min-free): \`lifeboat prune --exclusive\`, or make room"
    # The first forgets, the second condemns.
    for _ in 1 2; do expect 0 lb prune --exclusive --yes; done
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
    for _ in 1 2; do expect 0 lb prune --exclusive --yes; done
    [ "$(du -sb "$T/store/packs" | cut -f 1)" -lt 1600000 ]
    expect 0 lb check --read-data
    rm -rf "$T/back"
    expect 0 lb restore latest files --to "$T/back" --identity "$T/identity.key"
    same_files "$T/back"
}
