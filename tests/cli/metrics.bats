#!/usr/bin/env bats
# status --prometheus, the textfile, mirrors in status; the rules and the dashboard that go with them.
load ../lib/common

metrics() { # FILE [EXPRESSION]
    python3 "$TESTS/lib/exposition.py" "$@"
}

# with_mirror: behind the first store, and the textfile.
with_mirror() {
    sed -i "s|^\\[keys\\]|[store away]\\nurl = file://$T/away\\nmin-free = 0\\n&|" "$T/lifeboat.conf"
}
with_textfile() {
    mkdir "$T/textfile"
    printf '[metrics]\ntextfile = %s\n' "$T/textfile/lifeboat.prom" >>"$T/lifeboat.conf"
}

@test "the parser of the tests is strict" {
    good='# HELP a x
# TYPE a gauge
a{b="c\"d\\"} 1
'
    printf '%s' "$good" >"$T/good"
    metrics "$T/good" 'm["a"][frozenset({("b", "c\"d\\")})] == 1'
    for bad in 's/ 1$/ one/' 's/ 1$/  1/' 's/^# TYPE.*/# TYPE a guage/' '/^# TYPE/d' '/^# HELP/d' 's/"c/c/' 's/^a{.*/&\n&/' \
        's/^a{.*/&\n/' 's/b="c/b="x",b="c/' 's/\\"d/\\d/' 's/^a/1a/'; do
        printf '%s' "$good" | sed "$bad" >"$T/bad"
        if metrics "$T/bad" 2>/dev/null; then
            echo "taken: $bad"
            return 1
        fi
    done
    printf 'a 1' >"$T/bad"
    expect 1 metrics "$T/bad"
}

@test "metrics before the first backup, after it, and after a drill" {
    init
    expect 0 lb status --prometheus
    metrics "$T/out" 'v("last_good_timestamp_seconds", source="files") == 0 and v("snapshots") == 0 and v("status_level") == 2 and v("store_readable") == 1'
    backup
    expect 0 lb status --prometheus
    metrics "$T/out" 'abs(now - v("last_good_timestamp_seconds", source="files", host="box")) < 60 and v("last_proven_timestamp_seconds", source="files") == 0'
    metrics "$T/out" 'v("source_bytes", source="files") > 300000 and v("source_stored_bytes", source="files") > 0 and v("last_run_exit_code", command="backup") == 0'
    metrics "$T/out" '0 < v("store_free_bytes") < v("store_size_bytes") and "lifeboat_mirror_snapshots_behind" not in m and v("problems") == 0'
    expect 0 lb -q drill
    expect 0 lb status --prometheus
    metrics "$T/out" 'abs(now - v("last_proven_timestamp_seconds", source="files")) < 60 and v("status_level") == 0 and v("last_run_exit_code", command="drill") == 0'
    expect 2 lb status --prometheus --store "$T/store"
    expect 2 lb status --prometheus --json
}

@test "a failing night shows, the last good one stays" {
    init
    backup
    mv "$T/files" "$T/away"
    expect 1 lb -q backup
    expect 0 lb status --prometheus
    metrics "$T/out" 'v("last_run_exit_code", command="backup") == 1 and v("problems") == 1 and v("last_good_timestamp_seconds", source="files") > 0 and v("source_level", source="files") == 1'
}

@test "a name with quotes in it is a label all the same" {
    # shellcheck disable=SC1003
    HOST='bo"x\' write_config
    init
    expect 0 lb status --prometheus
    metrics "$T/out" 'any(("host", "bo\"x\\") in k for k in m["lifeboat_snapshots"])'
}

@test "the textfile is written by each run, whole, and for others to read" {
    with_textfile
    init
    [ ! -e "$T/textfile/lifeboat.prom" ]
    backup
    metrics "$T/textfile/lifeboat.prom" 'v("snapshots") == 1 and v("last_run_exit_code", command="backup") == 0'
    [ "$(stat -c %a "$T/textfile/lifeboat.prom")" = 644 ]
    [ "$(ls "$T/textfile")" = lifeboat.prom ]
    for command in drill "check --read-data" prune; do
        # shellcheck disable=SC2086
        expect 0 lb -q $command
        metrics "$T/textfile/lifeboat.prom" "v('last_run_exit_code', command='${command%% *}') == 0"
    done
    before=$(stat -c %i "$T/textfile/lifeboat.prom")
    expect 0 lb backup --dry-run
    expect 0 lb list
    [ "$(stat -c %i "$T/textfile/lifeboat.prom")" = "$before" ]
}

@test "a textfile that is something else is not overwritten" {
    with_textfile
    init
    for file in "$T/keys/identity.key" "$T/lifeboat.conf" "$T/files/one.txt"; do
        cp "$file" "$T/before"
        sed -i "s|^textfile = .*|textfile = $file|" "$T/lifeboat.conf"
        [ "$file" != "$T/lifeboat.conf" ] || cp "$file" "$T/before"
        expect 0 lb -q backup
        says "$file: holds something else and is not overwritten"
        cmp "$file" "$T/before"
    done
    mkfifo "$T/fifo"
    sed -i "s|^textfile = .*|textfile = $T/fifo|" "$T/lifeboat.conf"
    expect 0 timeout 20 "$LIFEBOAT" -c "$T/lifeboat.conf" -q backup
    says "$T/fifo: holds something else and is not overwritten"
    [ -p "$T/fifo" ]
    ln -s loop "$T/loop"
    sed -i "s|^textfile = .*|textfile = $T/loop|" "$T/lifeboat.conf"
    expect 0 lb -q backup
    says "$T/loop: holds something else and is not overwritten"
    [ -L "$T/loop" ]
    : >"$T/empty"
    sed -i "s|^textfile = .*|textfile = $T/empty|" "$T/lifeboat.conf"
    backup
    metrics "$T/empty" 'v("snapshots") == 6'
}

@test "a store that cannot be read is said in the textfile; a textfile that cannot be written costs a warning" {
    with_textfile
    init
    backup
    mv "$T/store" "$T/store.away"
    expect 2 lb -q backup
    metrics "$T/textfile/lifeboat.prom" 'v("store_readable") == 0 and v("last_run_exit_code", command="backup") == 2 and "lifeboat_snapshots" not in m'
    expect 2 lb status --prometheus
    metrics "$T/out" 'v("store_readable") == 0'
    mv "$T/store.away" "$T/store"
    rm -r "$T/textfile"
    expect 0 lb backup
    says "[metrics] textfile: "
}

@test "status shows mirrors: complete, behind, and why" {
    with_mirror
    init
    backup
    expect 1 lb --json status
    json 'd["mirrors"][0]["name"] == "away" and d["mirrors"][0]["behind"] == 0 and d["mirrors"][0]["last_complete"] and d["mirrors"][0]["level"] == "ok"'
    mv "$T/away" "$T/moved"
    expect 3 lb -q backup
    expect 1 lb --json status
    json 'd["mirrors"][0]["behind"] == 1 and d["mirrors"][0]["last_complete"] and "no such folder" in d["mirrors"][0]["error"] and d["mirrors"][0]["level"] == "ok"'
    # Three days later.
    python3 - "$T"/state/*/away.mirror <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
d["complete"] -= 3 * 86400 * 10**9
json.dump(d, open(sys.argv[1], "w"))
PY
    expect 1 lb status
    prints "MIRROR            LAST COMPLETE"
    prints "warning: mirror away: the last complete copy began"
    expect 0 lb status --prometheus
    metrics "$T/out" 'v("mirror_snapshots_behind", mirror="away") == 2 and now - v("mirror_last_complete_timestamp_seconds", mirror="away") > 2 * 86400'
    mv "$T/moved" "$T/away"
    expect 0 lb -q copy
    expect 1 lb --json status
    json 'd["mirrors"][0]["behind"] == 0 and d["mirrors"][0]["error"] is None and d["mirrors"][0]["problems"] == []'
}

@test "status says what is due next: on the screen, as JSON, as metrics" {
    with_mirror
    init
    expect 2 lb status
    prints "NEXT DUE BY       BACKUP               DRILL"
    [ "$(grep -c '^\(files\|numbers\) \+now \+now' "$T/out")" = 2 ]
    if grep -q "LAST RUN" "$T/out"; then return 1; fi
    expect 2 lb --json status
    json 'd["runs"] == [] and all(s["backup_due"] is None and s["drill_due"] is None for s in d["sources"]) and d["mirrors"][0]["copy_due"] is None'
    backup
    expect 0 lb -q drill
    expect 0 lb -q prune
    expect 0 lb -q check
    expect 0 lb --json status
    python3 - "$T/out" <<'PY'
import json, sys
from datetime import datetime
d = json.load(open(sys.argv[1]))
def at(text):
    return datetime.fromisoformat(text.split(".")[0].rstrip("Z") + "+00:00").timestamp()
for s in d["sources"]:
    assert abs(at(s["backup_due"]) - at(s["last_good"]["time"]) - 26 * 3600) < 2, s
    assert abs(at(s["drill_due"]) - at(s["last_proven"]["proof"]["time"]) - 8 * 86400) < 2, s
assert abs(at(d["mirrors"][0]["copy_due"]) - at(d["mirrors"][0]["last_complete"]) - 2 * 86400) < 2
runs = {r["command"]: r for r in d["runs"]}
assert set(runs) == {"backup", "drill", "prune", "check"} and all(r["exit_code"] == 0 and r["seconds"] > 0 for r in d["runs"]), runs
assert runs["backup"]["due"] is None and runs["drill"]["due"] is None
assert abs(at(runs["prune"]["due"]) - at(runs["prune"]["time"]) - 26 * 3600) < 2
assert abs(at(runs["check"]["due"]) - at(runs["check"]["time"]) - 8 * 86400) < 2
PY
    expect 0 lb status
    prints "COMMAND           LAST RUN             NEXT DUE BY          EXIT CODE"
    grep -q '^prune  \+20[0-9: -]*  20[0-9: -]*  0$' "$T/out"
    grep -q '^backup  \+20[0-9: -]* 0$' "$T/out"
    expect 0 lb status --prometheus
    metrics "$T/out" 'abs(v("backup_due_timestamp_seconds", source="files") - v("last_good_timestamp_seconds", source="files") - 26 * 3600) < 1'
    metrics "$T/out" 'abs(v("drill_due_timestamp_seconds", source="files") - v("last_proven_timestamp_seconds", source="files") - 8 * 86400) < 1'
    metrics "$T/out" 'abs(v("mirror_due_timestamp_seconds", mirror="away") - v("mirror_last_complete_timestamp_seconds", mirror="away") - 2 * 86400) < 1'
    metrics "$T/out" 'len(m["lifeboat_run_due_timestamp_seconds"]) == 2 and abs(v("run_due_timestamp_seconds", command="check") - v("last_run_timestamp_seconds", command="check") - 8 * 86400) < 1'
    # What is not this host's is not known here; a record that cannot be read costs a warning.
    expect 0 lb --json status --host box
    json 'd["runs"] == []'
    echo '[]' >"$T/state/report.json"
    expect 0 lb --json status
    says "is not understood"
    json 'd["runs"] == []'
}

@test "alert rules and dashboard speak of metrics that there are" {
    with_mirror
    init
    backup
    expect 0 lb -q drill
    expect 0 lb -q prune
    expect 0 lb status --prometheus
    python3 - "$TESTS" "$T/out" <<'PY'
import json, re, sys
sys.path.insert(0, sys.argv[1] + "/lib")
import exposition
known = exposition.read(open(sys.argv[2]).read())
conf = sys.argv[1] + "/../conf/"
rules, board = open(conf + "prometheus/lifeboat.rules.yml").read(), open(conf + "grafana/lifeboat.json").read()
json.loads(board)
used = set(re.findall(r"\blifeboat_\w+", rules + board))
assert used <= set(known), used - set(known)
assert set(known) - used == {"lifeboat_last_snapshot_timestamp_seconds", "lifeboat_source_level", "lifeboat_last_run_duration_seconds",
    "lifeboat_backup_due_timestamp_seconds", "lifeboat_drill_due_timestamp_seconds", "lifeboat_mirror_due_timestamp_seconds"}, set(known) - used
for what in ("26 * 3600", "8 * 86400", "predict_linear", "lifeboat_mirror_snapshots_behind > 0"):
    assert what in rules, what
labels = {n: set().union(*({k for k, _ in s} for s in v)) for n, v in known.items()}
for text in re.split(r"- alert:", rules)[1:]:
    names = set(re.findall(r"\blifeboat_\w+", text))
    for label in re.findall(r"\$labels\.(\w+)", text):
        assert all(label in labels[n] for n in names), (label, names)
PY
}
