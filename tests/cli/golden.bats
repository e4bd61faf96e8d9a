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
    [ "$(id -u)" != 0 ] || json '[s["new_bytes"] for s in d["sources"] if s["name"] == "files"] == [0]' # else other owners
    json 'sum(s["stored_bytes"] for s in d["sources"]) < 20000'
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
