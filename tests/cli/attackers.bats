#!/usr/bin/env bats
# What docs/security.md says of a store, or a thief, that lies: a repository put back to an older state, objects withheld,
# swapped and replayed, hostile catalogs and lists made with the keys.
load ../lib/common

forge() { "$TESTS/lib/forge.py" "$T/store" "$T/keys/writer.key"; }
newest() { find "$T/state" -name newest.json; }

# two_nights: the first is $YESTERDAY, kept whole in $T/yesterday.
two_nights() {
    init
    backup
    YESTERDAY=$ID
    cp -a "$T/store" "$T/yesterday"
    echo more >>"$T/files/one.txt"
    backup
}
put_back() {
    rm -rf "$T/store"
    cp -a "$T/yesterday" "$T/store"
}

# pruned SNAPSHOT: is gone, by a prune.
pruned() { lb -q prune --exclusive --yes && [ ! -e "$T/store/snapshots/$1" ]; }

# ---- a store that is older than it was ----

@test "rollback: a store that was put back is noticed by status, check, prune and the next backup, until a person says so" {
    two_nights
    [ "$(stat -c %a "$(newest)")" = 600 ]
    expect 1 lb status
    put_back
    expect 2 lb status
    prints "snapshot ${ID:0:8}"
    prints "put back to an older state"
    expect 2 lb status --json
    json 'all(any("put back" in p for p in s["problems"]) for s in d["sources"])'
    expect 5 lb --json check
    json '{e["object"] for e in d["errors"]} == {"snapshots/'"$ID"'"}'
    expect 3 lb -q prune
    says "put back to an older state"
    says "nothing was done"
    lost=$ID
    expect 3 lb --json backup
    says "snapshot ${lost:0:8}"
    says "lifeboat forget ${lost:0:8}"
    json 'd["verdict"] == "good"'
    expect 0 lb list --json
    json '[s["snapshot" if "snapshot" in s else "id"] for s in d][0] == "'"$YESTERDAY"'" and len(d) == 2'
    expect 0 lb show latest --json
    json 'all(s["sequence"] == 3 for s in d["sources"])' # not 2: that number was taken
    # written over, and still missed
    expect 3 lb -q backup
    expect 2 lb -q status
    expect 0 lb status --prometheus
    prints 'lifeboat_problems{host="box"} '
    grep -qE '^lifeboat_problems\{host="box"\} [1-9]' "$T/out"
    expect 0 lb -q forget "${lost:0:8}"
    expect 0 lb -q backup
    expect 0 lb -q check
    expect 2 lb -q forget "${lost:0:8}"
}

@test "rollback: the right disk again, and nothing is missed" {
    two_nights
    mv "$T/store" "$T/right"
    cp -a "$T/yesterday" "$T/store"
    expect 2 lb -q status
    expect 3 lb -q prune
    rm -rf "$T/store"
    mv "$T/right" "$T/store"
    expect 0 lb -q check
    expect 0 lb -q backup
}

@test "rollback: single snapshots withheld, and the newest of one source" {
    two_nights
    first=$ID
    backup numbers
    rm "$T/store/snapshots/$first" # a newer one is there, but not of files
    expect 2 lb status
    prints "snapshot ${first:0:8}"
    expect 3 lb -q backup numbers
    says "files: snapshot ${first:0:8}"
    expect 5 lb -q check
}

@test "rollback: an older snapshot that goes is what prunes are for; so are other hosts, undo, a lost state" {
    two_nights
    rm "$T/store/snapshots/$YESTERDAY"
    expect 0 lb -q check
    expect 0 lb -q backup
    # another host with an old state of its own, and one with none
    HOST=other write_config
    sed -i "s|directory = .*|directory = $T/state2|" "$T/lifeboat.conf"
    expect 0 lb -q backup
    expect 0 lb -q check
    write_config
    expect 0 lb -q backup
    mv "$T/state" "$T/state.old"
    expect 0 lb -q backup
    expect 0 lb -q check
    # a state from last year, whose snapshots were pruned since
    rm -rf "$T/state"
    mv "$T/state.old" "$T/state"
    rm "$T/store/snapshots/$ID"
    expect 0 lb -q backup
    expect 0 lb -q check
}

@test "rollback: what was forgotten by hand is not missed, from this host or another" {
    two_nights
    expect 0 lb -q forget "$ID" --yes
    expect 0 lb -q undo
    expect 0 lb -q backup
    expect 0 lb -q check
    expect 0 lb show latest --json
    last=$(value 'd["id"]')
    echo "{\"mark\": \"forget\", \"of\": \"$last\"}" | forge >/dev/null # somebody else's word
    rm "$T/store/snapshots/$last"
    expect 0 lb -q check
    expect 1 lb -q status
    expect 0 lb -q backup
    # gone for good, by this host's own prune
    printf '[retention]\nundo-window = 0\ngrace = 1m\n' >>"$T/lifeboat.conf"
    expect 0 lb show latest --json
    last=$(value 'd["id"]')
    expect 0 lb -q forget "$last" --yes
    soon pruned "$last"
    rm -rf "$T/store/marks"
    expect 0 lb -q check
}

@test "rollback: a memory that is garbled is said, and made anew; a symlink in its place is replaced" {
    two_nights
    echo '{"host": "box", "newest": [{"source": 7}]}' >"$(newest)"
    expect 0 lb -q backup
    says "cannot be said this time"
    echo keep >"$T/elsewhere"
    path=$(newest)
    ln -sf "$T/elsewhere" "$path"
    expect 0 lb -q backup
    [ ! -L "$path" ]
    [ "$(cat "$T/elsewhere")" = keep ]
}

@test "rollback: a mirror that was put back gets everything again" {
    sed -i "s|^\\[keys\\]|[store away]\\nurl = file://$T/away\\nmin-free = 0\\n&|" "$T/lifeboat.conf"
    init
    backup
    cp -a "$T/away" "$T/away.old"
    echo more >>"$T/files/one.txt"
    backup
    rm -rf "$T/away"
    mv "$T/away.old" "$T/away"
    expect 0 lb -q copy
    [ "$(ls "$T/away/snapshots")" = "$(ls "$T/store/snapshots")" ]
    expect 0 lb check --read-data --store away
}

@test "rollback: repair brings from a mirror what the first store has lost" {
    sed -i "s|^\\[keys\\]|[store away]\\nurl = file://$T/away\\nmin-free = 0\\n&|" "$T/lifeboat.conf"
    two_nights
    put_back
    expect 5 lb -q check
    expect 0 lb -q repair
    expect 0 lb -q check
    expect 0 lb -q backup
}

@test "rollback: a forged sequence number at the end of the numbers harms no later backup" {
    init
    backup
    echo '{"days_ago": 0, "sequence": 9223372036854775807}' | forge >/dev/null
    expect 0 lb -q backup
    expect 0 lb -q check
    expect 0 lb list --json
    json 'len(d) == 3'
}

# ---- what the keys can seal: catalogs, lists, frames, snapshots, marks that lie (lib/hostile.py has the cases) ----

# alive COMMAND...: it ends by itself, within a minute, whatever its exit code, and no sanitizer has anything to say.
alive() {
    local code=0
    timeout 60 "$LIFEBOAT" -c "$T/lifeboat.conf" "$@" >"$T/out" 2>"$T/err" </dev/null || code=$?
    if [ "$code" -gt 5 ] || grep -qE 'Sanitizer|runtime error' "$T/err"; then
        echo "$CASE: exit code $code: lifeboat $*"
        head -n 40 "$T/err"
        return 1
    fi
    # escapes, also those of one character, and what turns the text around it
    if LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$T/out" "$T/err"; then
        echo "$CASE: a character that a terminal obeys got through: lifeboat $*"
        return 1
    fi
    CODE=$code
}

# attack CASES: each in a copy of one small repository, met by every command that reads.
attack() {
    init
    backup
    mv "$T/store" "$T/sound"
    mkdir "$T/to"
    for CASE in $("$TESTS/lib/hostile.py" cases | grep -E "^($1)"); do
        rm -rf "$T/store" "$T/cache" "${T:?}/to"
        cp -a "$T/sound" "$T/store"
        mkdir "$T/to"
        echo untouched >"$T/to/outside"
        bad=$("$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" "$CASE")
        alive list
        alive show "$bad"
        alive status
        alive --json list
        alive ls "$bad" files
        alive --json ls "$bad" files
        alive --log-format json find '*'
        alive --json find '*'
        alive prune --dry-run
        alive check --read-data
        [ "$CODE" = 0 ] || [ "$CODE" = 5 ]
        (ulimit -f 20000 && alive restore "$bad" files --path ok --to "$T/to/in")
        (ulimit -f 20000 && alive restore "$bad" --overwrite --to "$T/to/in2")
        (ulimit -f 20000 && alive --json drill "$bad" && echo "$CODE" >"$T/code")
        CODE=$(cat "$T/code")
        case $CASE in
        list* | too* | chunks* | lengths* | content* | shorter* | frame* | not_what* | table*) [ "$CODE" != 0 ] ;; # not proven
        esac
        [ "$(cat "$T/to/outside")" = untouched ]
        [ "$(find "$T/to" -name '*escaped*')" = "" ]
        [ ! -e "$T/escaped" ]
        [ ! -e "$T/to/ok" ]
        # and the sound snapshot is as it was
        expect 0 lb restore "$ID" files --to "$T/to/sound"
        same_files "$T/to/sound"
    done
}

@test "hostile archives and catalogs" { attack 'paths|links|terminal|link_|runs|numbers|path_|json|line|sparse'; }

@test "a catalog that lies hides no file that others list from find" {
    init
    backup
    for case in json_that_is_deep path_with_nul list_bomb_of_missing; do
        bad=$("$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" "$case")
    done
    bad=$("$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" line_without_end)
    expect 5 lb find 'two.*'
    prints "${ID:0:8}"
    prints sub/two.txt
    says "snapshot ${bad:0:8}: files: the catalog has a line in run 0 that is not one (the others are searched)"
    says "3 of the lists of files could not be read"
    expect 5 lb --json find 'two.*'
    python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert [e["path"] for e in d] == ["sub/two.txt"], d' "$T/out"
    expect 5 lb --json find '*.nothing'
    json 'd == []'
    # what is not the catalog's fault ends it
    sed -i '/^identity/d' "$T/lifeboat.conf"
    expect 2 lb find 'two.*'
}

@test "a source that is damaged does not keep the others from being restored" {
    init
    backup
    bad=$("$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" two_sources)
    expect 5 lb restore "$bad" --to "$T/back"
    prints "whole: 10.0 KiB restored into $T/back/whole"
    says "$T/back/damaged: the restore is not complete: chunk "
    says "damaged, and not restored or not whole: damaged (an older snapshot"
    [ "$(cat "$T/back/whole/ok")" = x ]
    if grep -q '^damaged: ' "$T/out"; then return 1; fi
    # what is no damage ends it, and what was not tried is named
    sed -i 's/^restore-command = .*/restore-command = exit 7/' "$T/lifeboat.conf"
    expect 1 lb restore "$ID" numbers files --to "$T/other"
    says "not tried after numbers, which failed: name what else is wanted: files"
}

@test "hostile lists" { attack 'list_|too_|chunks|lengths|content|shorter|longer'; }

@test "hostile frames and tables" { attack 'frame|not_what|table'; }

@test "hostile snapshots" { attack 'snapshot'; }

@test "a type of source that nobody knows is not proven by reading its stream" {
    init
    backup
    bad=$("$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" snapshot_type)
    expect 4 lb --json drill "$bad"
    json '"a type that this program does not know" in d["sources"][0]["reasons"][0]'
}

@test "what stops prune for good is said with the way out of it" {
    init
    backup
    for case in snapshot_year snapshot_deep marks_that_are_none; do
        "$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" "$case" >"$T/id"
        expect 5 lb prune
        says "somebody else did who has the writer key: remove it from the store"
        expect 5 lb check
        prints "remove it from the store"
        [ "$(cat "$T/id")" = "$ID" ] || rm "$T/store/snapshots/$(cat "$T/id")"
        rm -rf "$T/store/marks"
        expect 0 lb prune
        expect 0 lb check
    done
}

@test "hostile marks, receipts and indexes" { attack 'receipt|marks|index'; }

@test "prune keeps what a list leads to, though a thief's snapshots call the list content" {
    head -c 6000000 /dev/urandom >"$T/files/big"
    printf '[retention]\ngrace = 1m\n' >>"$T/lifeboat.conf"
    init
    backup
    "$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" lists_called_content >/dev/null
    expect 0 lb -q prune --exclusive --yes
    expect 0 lb check --read-data --json
    expect 0 lb restore "$ID" files --to "$T/back"
    same_files "$T/back"
}

@test "a store that swaps the bytes of two names, or gives one repository's objects for another's, is refused" {
    init
    backup
    first=$ID
    echo more >>"$T/files/one.txt"
    backup
    mv "$T/store/snapshots/$first" "$T/kept"
    cp "$T/store/snapshots/$ID" "$T/store/snapshots/$first"
    expect 5 lb check --json
    json 'd["errors"][0]["object"] == "snapshots/'"$first"'"'
    expect 5 lb show "$first"
    mv "$T/kept" "$T/store/snapshots/$first"
    mapfile -t packs < <(find "$T/store/packs" -type f)
    cp "${packs[0]}" "$T/kept"
    cat "${packs[1]}" >"${packs[0]}"
    expect 5 lb check --read-data
    cat "$T/kept" >"${packs[0]}"
    # another repository's snapshot, under its right name
    mkdir "$T/other"
    sed -E "s#$T/(store|keys|state|cache)#$T/other/\1#" "$T/lifeboat.conf" >"$T/other.conf"
    "$LIFEBOAT" -c "$T/other.conf" -q init >/dev/null
    "$LIFEBOAT" -c "$T/other.conf" -q backup
    cp "$T"/other/store/snapshots/* "$T/store/snapshots/"
    expect 0 lb list --json
    json 'len(d) == 2'
    says "does not open with this repository's key"
    # and the whole other repository in its place
    rm -rf "$T/store"
    cp -a "$T/other/store" "$T/store"
    expect 2 lb backup
    expect 2 lb list
}

@test "a snapshot that the store brings back when it was deleted is never the latest, and what it lacks is named" {
    printf '[retention]\nundo-window = 0\ngrace = 1m\n' >>"$T/lifeboat.conf"
    head -c 3000000 /dev/urandom >"$T/files/big"
    init
    backup
    old=$ID
    cp -p "$T/store/snapshots/$old" "$T/replayed"
    rm "$T/files/big"
    backup
    expect 0 lb -q forget "$old" --yes
    soon pruned "$old"
    cp "$T/replayed" "$T/store/snapshots/$old"
    expect 0 lb show latest --json
    json 'd["id"] == "'"$ID"'"'
    expect 5 lb check
    prints "${old:0:8}"
    expect 0 lb restore latest files --to "$T/back"
    same_files "$T/back"
}

@test "who has the store alone sees sizes and times: packs are whole multiples of 64 KiB, and no name or text is in it" {
    init
    backup
    [ "$(find "$T/store/packs" -type f -printf '%s\n' | awk '$1 % 65536')" = "" ]
    for text in one.txt sub/two files numbers box 19999 '"sources"' volume; do
        if grep -rqaF -- "$text" "$T/store"; then
            echo "$text is in the store"
            return 1
        fi
    done
    # without keys nothing opens
    mv "$T/keys" "$T/away"
    expect 2 lb list --store "$T/store"
    expect 2 lb restore latest files --to "$T/back" --store "$T/store"
}

@test "a forged receipt proves nothing" {
    init
    backup
    "$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" receipt_unsigned >/dev/null
    expect 0 lb --json list
    json 'not any(s["proven"] for s in d)'
    expect 1 lb status
    prints "was ever proven"
}

@test "what the writer key can poison is found by whoever holds the identity" {
    init
    backup
    bad=$("$TESTS/lib/hostile.py" "$T/store" "$T/keys/writer.key" not_what_it_is_filed_as)
    sed -i.whole '/^identity/d' "$T/lifeboat.conf"
    expect 0 lb check --read-data
    mv "$T/lifeboat.conf.whole" "$T/lifeboat.conf"
    expect 5 lb check --read-data
    prints "is not the one it is filed as"
    expect 5 lb restore "$bad" --to - # not a byte of it
    says "is not the one it is filed as"
    [ ! -s "$T/out" ]
}

# ---- the page ----

# lying LIE: a backup of a database whose server lies ends, and failed.
lying() {
    mkdir "$T/$1"
    python3 "$BATS_TEST_DIRNAME/../lib/pg_liar.py" "$T/$1" "$1" >"$T/$1.out" 2>&1 3>&- </dev/null &
    LIAR=$!
    soon grep -q ready "$T/$1.out"
    sed -i "s|^connection = .*|connection = host=$T/$1 user=u dbname=d|" "$T/lifeboat.conf"
    expect 1 timeout -k 1 60 "$LIFEBOAT" -c "$T/lifeboat.conf" backup db
    kill $LIAR
    wait $LIAR || :
}

@test "a database server that lies: a message, no crash and no hang" {
    printf '[source db]\ntype = postgres\nconnection = host=x\n' >>"$T/lifeboat.conf"
    expect 0 lb init --kit "$T/kit.txt"
    lying columns
    says "source db:"
    lying results
    says "source db: the server's answer does not end"
    lying copy
    says "source db: COPY from or to this program is not for here"
}

@test "this page names tests that there are" {
    python3 - "$TESTS" <<'PY'
import re, sys
page, missing, rows = open(f"{sys.argv[1]}/../docs/security.md").read(), [], 0
for line in page.splitlines():
    if line.startswith("| ") and not line.startswith("| |"):
        rows += 1
        if "`" not in line.rsplit("|", 2)[1]:
            missing.append("no test: " + line)
for file, name in re.findall(r"`(\w+\.(?:bats|c)): ([^`]+)`", page):
    bats = file.endswith(".bats")
    text = open(f"{sys.argv[1]}/{'cli' if bats else 'unit'}/{file}").read()
    if (f'@test "{name}" {{' if bats else f"static void {name}(void **state)") not in text:
        missing.append(f"{file}: {name}")
assert rows > 50, rows
assert not missing, "\n".join(missing)
PY
}
