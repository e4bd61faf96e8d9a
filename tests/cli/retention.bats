#!/usr/bin/env bats
# What stays and why, and what nobody can make go: neither rules nor failures nor a thief.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/common
load ../lib/nights

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
    # the last days of one, two or (on March 1 and 2) three months are among the last 31
    stay 40,41,42 'keep-daily = 31' 'keep-monthly = 12'
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
    grep -E '^would forget (30|31) of 41 snapshots$' "$T/out"
    expect 0 lb prune --dry-run --yes
    expect 3 lb prune --dry-run --json
    json 'd["dry_run"] and not d["stopped"] and len(d["alarms"]) == 2 and len(d["snapshots"]) == 41 and all(len(s["why"]) == 2 and s["forgotten"] is None for s in d["snapshots"])'
    all_objects | diff "$T/before" -
    [ -z "$(find "$T/state" -name prune.json)" ]
    # What was forgotten earlier is there, too.
    expect 0 lb forget "$(sed -n 1p "$T/forged")"
    expect 3 lb prune --dry-run
    grep -E "^    forgotten since 20.*; \`lifeboat undo\` brings it back until 20" "$T/out"
    grep -E '^would forget (29|30) of 40 snapshots$' "$T/out"
    expect 3 lb prune --dry-run --json
    json 'sum(s["forgotten"] is not None and s["goes"] for s in d["snapshots"]) == 1'
}

@test "rules for a source that nobody has are named, those for another host's are not" {
    init
    backup
    sed -i 's/^host = .*/host = second/; s/^\[source files\]/[source uploads]/' "$T/lifeboat.conf"
    printf '[retention files]\nkeep-last = 9\n[retention uplaods]\nkeep-last = 2\n[retention other]\nkeep-last = 2\n' >>"$T/lifeboat.conf"
    expect 0 lb prune --dry-run
    says "[retention uplaods]: there is no such source here or in a snapshot, so it keeps nothing: did you mean uploads?"
    says "[retention other]: there is no such source here or in a snapshot, so it keeps nothing"
    [ "$(grep -c 'no such source' "$T/err")" = 2 ]
}

@test "--simulate: what a policy would hold" {
    retention 'keep-daily = 31' 'keep-monthly = 12'
    expect 0 lb prune --simulate 400d --every 24h
    [ "$(wc -l <"$T/out")" = 402 ]
    head -n 1 "$T/out" | grep "AFTER THE PRUNE OF  *HELD  THE OLDEST  *KEPT FOR"
    tail -n 1 "$T/out" | grep -E '^20[0-9-]+ [0-9:]+ +4[0-2]  20[0-9-]+ [0-9:]+  monthly 20[0-9-]+$'
    expect 0 lb --json prune --simulate 400d --every 24h
    [ "$(wc -l <"$T/out")" = 401 ]
    json 'd["type"] == "moment" and d["held"] in (40, 41, 42) and len(d["snapshots"]) == d["held"] and d["snapshots"][-1] == d["time"]'
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
