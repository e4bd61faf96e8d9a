#!/usr/bin/env bats
# Clocks: the end of 32 bits, wrong ones, such as are put back, summer time. A host's clock is changed by faketime, a store's by
# touching what lies in it; the clock that measures durations is left alone.
# shellcheck disable=SC2016,SC2153 # for another shell; set by nights.bash
load ../lib/common
load ../lib/nights

export NO_FAKE_STAT=1 # the times of files stay what they are
export TZ=UTC

at() { # TIME ARGUMENT...: as on a host whose clock says so
    faketime --exclude-monotonic -f "@$1" "$LIFEBOAT" -c "$T/lifeboat.conf" "${@:2}"
}

# The store has had that clock, too, since the last call: by names, for a machine may be faster than the ticks of its files.
stored_at() { # TIME
    touch "$T/stored"
    find "$T/store" -type f | sort | comm -13 "$T/stored" - | xargs -r touch -d "$1"
    remember_stored
}
remember_stored() { find "$T/store" -type f | sort >"$T/stored"; }

at_backup() { # TIME
    expect 0 at "$1" --json backup
    ID=$(value 'd["snapshot"]')
}

level() { # CODE [TIME]: of status
    if [ "$2" ]; then expect "$1" at "$2" status; else expect "$1" lb status; fi
}

@test "before and after 2038-01-19 03:14:07, and files of 1901 to 2400" {
    local time=00:00:00.123456789
    for year in 1903 1969 1970 2039 2106 2400; do
        echo $year >"$T/files/$year"
        touch -d "$year-06-01 $time" "$T/files/$year"
        [ "$(stat -c %y "$T/files/$year")" = "$year-06-01 $time +0000" ] || rm "$T/files/$year" # not on this file system
    done
    (cd "$T/files" && stat -c '%n %y' -- *) >"$T/before"
    at "2038-01-18 03:00:00" -q init --kit "$T/kit.txt"
    at_backup "2038-01-18 03:14:00"
    stored_at "2038-01-18 03:14:00"
    at_backup "2038-01-19 03:14:07"
    stored_at "2038-01-19 03:14:08"
    at_backup "2038-01-19 03:14:09"
    stored_at "2038-01-19 03:14:10"
    expect 0 at "2038-01-19 04:00:00" list
    [ "$(grep -o '2038-01-1. ..:..:..' "$T/out" | tr '\n' ,)" = "2038-01-18 03:14:00,2038-01-19 03:14:07,2038-01-19 03:14:09," ]
    expect 0 at "2038-01-19 04:00:00" --json show latest
    json "d['id'] == '$ID'"
    expect 0 at "2038-01-19 04:00:00" drill
    level 0 "2038-01-19 04:00:00"
    prints "2038-01-20 05:14:09"
    level 2 "2038-01-29 04:00:00"
    prints "the last good backup is 10 days old"
    retention 'keep-daily = 5' 'keep-min = 1'
    at "2038-01-19 04:00:00" prune --dry-run >"$T/out" || [ $? = 3 ]
    prints "files: daily 2038-01-18"
    prints "daily 2038-01-19"
    expect 0 at "2038-01-19 04:00:00" restore latest files --to "$T/back"
    (cd "$T/back" && stat -c '%n %y' -- *) | diff "$T/before" -
}

@test "a night with the clock of 2031, host and store: not the latest for ever, and the cure of the runbook helps" {
    local wrong
    first_night 9
    nights 8 1
    retention 'keep-within = 5d' 'keep-min = 1'
    remember_stored
    at_backup "2031-01-01 02:30:00"
    wrong=$ID
    stored_at "2031-01-01 02:30:00"
    level 1
    prints "snapshot ${wrong:0:8} is dated in the future (2031-01-01 02:30:00)"
    backup
    expect 0 lb drill
    expect 0 lb --json show latest
    json "d['id'] == '$ID'"
    level 1
    prints "snapshot ${wrong:0:8} is dated in the future"
    # It does not hide that backups have stopped.
    level 2 "$(date -d '73 hours' '+%F %T')"
    prints "the last good backup is 3 days old"
    objects snapshots >"$T/before"
    expect 3 lb prune --yes
    prints "forgot 0 of 11 snapshots"
    prints 'see the runbook, "A clock was wrong"'
    objects snapshots | diff "$T/before" -
    sed -n '/^## A clock was wrong/,/^## The disk/ s/^\(find\|rm\) /&/p' "$TESTS/../docs/runbook.md" |
        sed "s|/var/backups/lifeboat|$T/store|; s|/var/lib/lifeboat|$T/state|" >"$T/cure"
    [ "$(wc -l <"$T/cure")" = 2 ]
    bash -e "$T/cure"
    level 0
    expect 0 lb prune --yes
    prints "forgot 5 of 11 snapshots"
    expect 0 lb --json show latest
    json "d['id'] == '$ID'"
    [ "$(lb --json list | python3 -c 'import json, sys; print(sum(s["forgotten"] is None for s in json.load(sys.stdin)))')" = 6 ]
}

@test "a night with the clock of 2031 on the host alone hides nothing" {
    first_night 9
    nights 8 1
    retention 'keep-within = 5d' 'keep-min = 1'
    at_backup "2031-01-01 02:30:00"
    level 1
    level 2 "$(date -d '73 hours' '+%F %T')"
    prints "the last good backup is 3 days old"
    backup
    expect 0 lb drill
    level 0
    expect 0 lb --json show latest
    json "d['id'] == '$ID'"
    expect 0 lb prune --yes
    prints "forgot 5 of 11 snapshots"
}

@test "a drill of the future is named until the next" {
    init
    backup
    expect 0 at "2031-01-01 02:30:00" drill
    level 1
    prints "the drill that proved it is dated in the future"
    backup
    expect 0 lb drill
    level 0
}

@test "a forget mark of the future deletes nothing early" {
    first_night 9
    backup
    expect 0 lb forget "$FIRST"
    find "$T/store/marks/forget" -type f -exec touch -d '1 year' {} +
    expect 3 lb prune --exclusive --yes
    is_there "$FIRST"
    expect 0 lb undo "$FIRST"
    restores "$FIRST"
}

@test "the clock is put back by an hour while a backup runs, and forward by a year" {
    local preload
    preload=$(faketime -f +0 sh -c 'echo "$LD_PRELOAD"')
    init
    for jump in -3600 +31536000; do
        echo +0 >"$T/clock"
        sed -i "s|^command = .*|command = echo $jump >$T/clock; seq 1 20000|" "$T/lifeboat.conf"
        expect 0 env LD_PRELOAD="$preload" FAKETIME_TIMESTAMP_FILE="$T/clock" FAKETIME_NO_CACHE=1 \
            FAKETIME_DONT_FAKE_MONOTONIC=1 "$LIFEBOAT" -c "$T/lifeboat.conf" --json backup
        [ "$(cat "$T/clock")" = "$jump" ]
        json 'd["verdict"] == "good" and 0 <= d["seconds"] < 60 and all(0 <= s["seconds"] < 60 for s in d["sources"])'
    done
    expect 0 lb check
    expect 0 lb cat latest numbers
    seq 1 20000 | cmp - "$T/out"
}

# ---- calendars ----
# Snapshots at these moments: lines like 2024-03-31T00:30.
nights_at() {
    python3 -c 'import json, sys, time, calendar
for line in sys.stdin:
    t = calendar.timegm(time.strptime(line.strip(), "%Y-%m-%dT%H:%M"))
    print(json.dumps({"days_ago": (time.time() - t) / 86400}))' | forge >"$T/forged"
}

# kept ZONE RULE...: keeps exactly the last one of each day (or month, by its pattern) of that zone's calendar.
kept() { # ZONE PATTERN LINE
    retention "$3" 'keep-min = 1'
    sed -i "s|^time-zone = .*|time-zone = $1|" "$T/lifeboat.conf"
    expect 0 lb --json prune --dry-run --yes
    lb --json list >"$T/list"
    python3 - "$T/out" "$T/list" "$1" "$2" <<'PY'
import datetime, json, sys, zoneinfo
goes = {s["id"]: s["goes"] for s in json.load(open(sys.argv[1]))["snapshots"]}
last, zone = {}, zoneinfo.ZoneInfo(sys.argv[3])
for s in json.load(open(sys.argv[2])):
    t = datetime.datetime.fromisoformat(s["time"].replace("Z", "+00:00")).astimezone(zone)
    last[t.strftime(sys.argv[4])] = s["id"]
stay = {i for i in goes if not goes[i]}
assert stay == set(last.values()), (sys.argv[3], len(stay), sorted(last))
print(len(stay), "stay")
PY
}

@test "one a day, also where 02:30 does not exist or comes twice; the leap day; the last of a month" {
    init
    backup
    local first=$ID
    for day in 2024-02-28 2024-02-29 2024-03-01 2024-03-0{9..9} 2024-03-{10..11} 2024-03-{30..31} 2024-04-01 2024-10-{26..28} \
        2024-11-0{2..4} 2024-12-31 2025-01-01; do
        for half in {00..23..2}:30 {01..23..2}:30; do echo "${day}T$half"; done
    done | sort | nights_at
    rm "$T/store/snapshots/$first"
    for zone in UTC Europe/Prague America/New_York; do
        kept $zone %Y-%m-%d 'keep-daily = 99'
        kept $zone %Y-%m 'keep-monthly = 99'
        kept $zone "%G-%V" 'keep-weekly = 99'
    done
    kept Europe/Prague %Y-%m-%dT%H%z 'keep-hourly = 999'
}

@test "a store that gives all its objects one time, long ago: the latest is what was taken last" {
    taken=()
    init
    for n in {1..6}; do
        echo "$n" >"$T/files/now"
        backup files
        taken+=("$ID")
    done
    find "$T/store/snapshots" -type f -exec touch -d 1999-01-01 {} +
    expect 0 lb --json list
    [ "$(value '" ".join(s["id"] for s in d)')" = "${taken[*]}" ]
    expect 0 lb restore latest:files files --to "$T/back"
    same_files "$T/back"
}
