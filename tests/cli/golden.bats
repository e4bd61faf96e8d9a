#!/usr/bin/env bats
# Repositories of each format that was ever written (tests/golden/make) are read by this build, and go on with it.
load ../lib/common
load ../lib/nights

GOLDEN=$BATS_TEST_DIRNAME/../golden
# Of a manifest's fields those that can be kept here: owners need root, attributes a file system that has them.
FIELDS="1 2 3 4 5 6 7 8"

# golden FOLDER: a copy of it in $T/store, as a repository lies on a disk (git keeps no modes), with a configuration.
golden() {
    G=$1
    rm -rf "$T/store" "$T/keys" "$T/state" "$T/cache" "$T/files"
    mkdir "$T/keys" "$T/files"
    cp -R "$G/repository" "$T/store"
    cp "$G/identity.key" "$T/keys/identity.key"
    cp "$G/passphrase" "$T/passphrase"
    chmod -R u=rwX,go= "$T/store" "$T/keys" "$T/passphrase"
    HOST=golden write_config
    sed -i '/^\[source numbers\]/,$d' "$T/lifeboat.conf"
    cat >>"$T/lifeboat.conf" <<CONF
[source words]
type = command
command = seq 1 9000
[drill]
CONF
    [ "$(id -u)" = 0 ] || FIELDS=${FIELDS/ 3/}
    touch "$T/probe"
    setfattr -n user.probe -v 1 "$T/probe" 2>/dev/null || FIELDS=${FIELDS/ 8/}
    rm "$T/probe"
}

each() { # TEST: for every golden repository
    [ -d "$GOLDEN/v1" ]
    for g in "$GOLDEN"/*/; do
        golden "${g%/}"
        "$1"
    done
}

expected() { # WORD: the lines of expected.txt that begin with it, without it
    sed -n "s/^$1 //p" "$G/expected.txt"
}

fields() { # the chosen fields of a manifest
    awk -v fields="$FIELDS" '{ n = split(fields, f); for (i = 1; i <= n; i++) printf "%s ", $f[i]; print "" }'
}

same_tree() { # FOLDER SNAPSHOT
    fields <"$G/tree-$2.txt" >"$T/want"
    /usr/bin/python3 "$GOLDEN/tree.py" manifest "$1" | fields | diff "$T/want" -
}

comes_back() { # SNAPSHOT
    rm -rf "$T/back"
    expect 0 lb restore "$1" files --to "$T/back"
    same_tree "$T/back" "$1"
}

# ---- reading ----
read_all() {
    local id stream sha n=0
    expect 0 lb check --read-data
    expect 0 lb list --json
    [ "$(value '"\n".join(sorted(s["id"] for s in d))')" = "$(expected snapshot | sort)" ]
    json 'sum(s["pinned"] for s in d) == 1 and sum(s["proven"] for s in d) == 1'
    expect 0 lb list
    prints "pinned: the second night"
    prints " forgotten "
    while read -r id stream sha; do
        expect 0 lb cat "$id" "$stream"
        sha256sum <"$T/out" | grep -q "^$sha " || { echo "$id $stream" && return 1; }
        n=$((n + 1))
    done < <(expected stream)
    [ "$n" -ge 18 ]
    for id in $(expected snapshot); do comes_back "$id"; done
}
@test "listed, checked, every stream printed, every tree restored" { each read_all; }

open_with_passphrase() {
    local id stream sha
    read -r id stream sha < <(expected stream)
    rm -r "$T/keys"
    expect 0 lb --passphrase-file "$T/passphrase" cat "$id" "$stream" --store "file://$T/store"
    sha256sum <"$T/out" | grep "^$sha "
}
@test "the passphrase opens it" { each open_with_passphrase; }

prove() {
    local major want=0 id
    major=$(expected postgresql)
    id=$(expected snapshot | head -n 1)
    [ -x "/usr/lib/postgresql/$major/bin/initdb" ] || want=4
    expect 0 lb drill "$id" files words
    expect $want lb drill "$id" db
}
@test "drilled" { each prove; }

read_independently() {
    local id stream sha
    while read -r id stream sha; do
        "$TESTS/reader/lifeboat-read.py" "$T/store" --identity "$T/keys/identity.key" cat "$id" "$stream" |
            sha256sum | grep -q "^$sha " || { echo "$id $stream" && return 1; }
    done < <(expected stream)
}
@test "the independent reader prints the same" { each read_independently; }

# ---- writing on top ----
go_on() {
    local first last
    first=$(expected snapshot | head -n 1)
    last=$(expected snapshot | tail -n 1)
    expect 0 lb restore "$last" files --to "$T/files" --overwrite
    expect 0 lb init # on this host
    backup
    if [ "$(id -u)" = 0 ]; then # else the owners are others now
        json '[s["new_bytes"] for s in d["sources"] if s["name"] == "files"] == [0]'
    fi
    json 'sum(s["stored_bytes"] for s in d["sources"]) < 50000'
    retention 'keep-last = 1' 'keep-min = 1'
    days_pass 20
    expect 0 lb prune --yes
    days_pass 20
    find "$T/store/packs" -type f | wc -l >"$T/packs"
    expect 0 lb prune --exclusive --yes
    is_gone "$last"    # forgotten then
    is_there "$first"  # pinned then
    comes_back "$first"
    expect 0 lb cat "$first" db
    sha256sum <"$T/out" | grep "^$(expected stream | sed -n "s/^$first db //p") "
    rm -rf "$T/back"
    expect 0 lb restore "$ID" files --to "$T/back"
    same_tree "$T/back" "$last" # what was backed up again
    expect 0 lb check --read-data
}
@test "a backup finds what is there, prune gives back what was forgotten, and the pinned one restores" { each go_on; }

# ---- what a later version writes ----
# later KIND: an object of the kind is there once more, of version 2; leaves $LATER, its name.
later() {
    LATER=$(/usr/bin/python3 - "$T/store" "$1" <<'PY'
import glob, hashlib, os, sys
store, kind = sys.argv[1:]
path = min(p for p in glob.glob(f"{store}/{kind}/**", recursive=True) if os.path.isfile(p))
data = bytearray(open(path, "rb").read())
version = len(data) - 88 if kind == "packs" else 0
assert data[version] == 1
data[version] = 2
name = hashlib.sha256(data).hexdigest()
folder = f"{store}/packs/{name[:2]}" if kind == "packs" else os.path.dirname(path)
os.makedirs(folder, mode=0o700, exist_ok=True)
with open(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
    f.write(data)
print(f"{folder}/{name}"[len(store) + 1:])
PY
    )
}

# A prune that has much to do names $LATER and does nothing; what does not need it goes on.
passed_over() {
    days_pass 9
    all_objects >"$T/before"
    expect 5 lb prune --yes
    says "$LATER: "
    says "use a newer lifeboat"
    expect 5 lb prune --exclusive --yes
    all_objects | diff "$T/before" -
    expect 0 lb cat "$ID" numbers
    expect 0 lb list
    expect 5 lb check
    prints "$LATER: "
    expect 0 lb backup files
    says "$LATER: "
    [ ! -e "$T/store/marks/damaged" ]
    rm "$T/store/$LATER"
}

# Something to delete in every way.
untidy() {
    init
    backup
    local first=$ID
    rm "$T/files/sub/noise"
    backup
    expect 0 lb forget "$first"
    retention 'keep-last = 9'
}

@test "a pack, an index, a snapshot of a later version: named, passed over, and nothing is deleted" {
    untidy
    for kind in packs index snapshots; do
        later $kind
        passed_over
    done
    expect 0 lb prune --yes
    prints "are gone for good"
}

@test "a repair leaves an index of a later version alone" {
    printf '[store away]\nurl = file://%s\nmin-free = 0\n' "$T/away" >>"$T/lifeboat.conf"
    init
    backup
    later index
    expect 5 lb repair
    prints "$LATER: "
    [ -e "$T/store/$LATER" ]
    expect 0 lb cat "$ID" numbers
}

@test "a mark of a later version: named, and nothing is deleted" {
    untidy
    expect 0 lb pin latest why
    all_objects >"$T/before"
    for kind in marks/forget marks/pin; do
        later $kind
        expect 5 lb prune --exclusive --yes
        says "$LATER: "
        expect 0 lb list
        says "$LATER: "
        expect 0 lb backup numbers
        rm "$T/store/$LATER"
    done
    days_pass 9
    LATER=marks/forget/$(echo "{\"mark\": \"forget\", \"of\": \"$ID\", \"format\": 2}" | forge)
    expect 5 lb prune --exclusive --yes
    says "$LATER: has format 2, this program knows format 1: use a newer lifeboat"
    all_objects | comm -13 - "$T/before" | diff /dev/null -
}
