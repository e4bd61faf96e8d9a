#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/common
# shellcheck source=tests/lib/ceph.sh
. "$BATS_TEST_DIRNAME/../lib/ceph.sh"
TESTS_LIB=$BATS_TEST_DIRNAME/../lib

teardown() {
    if [ -d "$T/ceph" ]; then ceph_stop "$T/ceph"; fi
    remove_folder
}

# add_mirror NAME [URL]: behind the other stores.
add_mirror() {
    cat >>"$T/lifeboat.conf" <<CONF
[store $1]
url = ${2:-file://$T/$1}
min-free = 0
CONF
}

# Two stores and three backups, the last of which is $ID.
two_stores() {
    add_mirror away
    init
    backup
    echo more >"$T/files/more.txt"
    backup
    head -c 400000 /dev/urandom >"$T/files/noise2"
    backup --pin "for the test"
}

# Everything of the store that is no mark of damage, by name and sum.
sums() { # STORE
    (cd "$1" && find . -type f ! -path './marks/damaged/*' | sort | xargs sha256sum)
}

restores_from_mirror() {
    restores
    json 'd["mirror"] is True'
    says "mirror away"
}

restores_from_mirror_by_id() {
    restores "${ID:0:12}"
    json 'd["mirror"] is True'
}

@test "init makes the mirrors, backup copies to them" {
    add_mirror away
    add_mirror third
    expect 0 lb init
    prints "mirror      away"
    prints "mirror      third"
    cmp "$T/store/lifeboat" "$T/away/lifeboat"
    backup
    json '[m["name"] for m in d["mirrors"]] == ["away", "third"] and all(m["ok"] and m["packs"] > 0 and m["bytes"] > 300000 and m["waiting"] == 0 and m["error"] is None for m in d["mirrors"])'
    sums "$T/store" >"$T/sums"
    for m in away third; do
        sums "$T/$m" | cmp "$T/sums"
        expect 0 lb check --read-data --store $m
    done
    expect 0 lb backup
    prints "mirror away"
    # Nothing is copied twice.
    expect 0 lb copy --json
    json 'all(m["packs"] == 0 and m["bytes"] == 0 and m["ok"] for m in d["mirrors"])'
}

@test "without a mirror nothing is said of mirrors" {
    init
    backup
    json '"mirrors" not in d'
    expect 2 lb copy
    says "has no mirror"
    expect 2 lb repair
    says "has no mirror"
}

@test "a mirror that is added later gets everything" {
    init
    backup
    backup --pin x
    add_mirror away
    expect 3 lb backup
    says "mirror away: store $T/away: no such folder"
    expect 0 lb init --json
    json 'd["outcome"] == "mirrored"'
    expect 2 lb init
    says "is set up already"
    expect 2 lb copy nowhere
    says "nowhere: is no mirror; there is: away"
    expect 0 lb copy away
    sums "$T/store" >"$T/sums"
    sums "$T/away" | cmp "$T/sums"
    LIFEBOAT_CONFIG=$T/lifeboat.conf expect 0 "$LIFEBOAT" --store away list --json
    json 'len(d) == 3 and d[1]["pinned"]'
}

@test "a mirror with another repository in it is left alone" {
    init
    mv "$T/store" "$T/away"
    rm -r "$T/keys"
    add_mirror away
    sums "$T/away" >"$T/sums"
    expect 3 lb -q init --kit "$T/kit2.txt"
    says "it is not touched"
    expect 3 lb backup
    says "holds repository"
    sums "$T/away" | cmp "$T/sums"
}

@test "a mirror that fails leaves the snapshot good, and the exit code 3" {
    two_stores
    mv "$T/away" "$T/gone"
    expect 3 lb --json backup
    json 'd["verdict"] == "good" and d["snapshot"] and not d["mirrors"][0]["ok"] and "no such folder" in d["mirrors"][0]["error"]'
    says "mirror away: "
    mv "$T/gone" "$T/away"
    # Full: less would stay free than is asked for.
    sed -i '/^\[store away\]/,$s/^min-free = 0/min-free = 50/' "$T/lifeboat.conf"
    if [ "$(df --output=pcent "$T" | tr -dc 0-9)" -gt 51 ]; then
        expect 3 lb --json backup
        json 'not d["mirrors"][0]["ok"] and d["verdict"] == "good"'
        says "mirror away: store $T/away: put"
    fi
    sed -i 's/^min-free = 50/min-free = 0/' "$T/lifeboat.conf"
    expect 0 lb copy
    sums "$T/store" >"$T/sums"
    sums "$T/away" | cmp "$T/sums"
}

@test "damage is restored around, object by object, and repaired" {
    two_stores
    cp -a "$T/store" "$T/sound"
    sums "$T/store" >"$T/sums"
    restores
    json 'd["mirror"] is False'
    for kind in packs index snapshots keys lifeboat; do
        for how in flip rm; do
            rm -rf "$T/store"
            cp -a "$T/sound" "$T/store"
            find "$T/store/$kind" -type f | while read -r f; do $how "$f"; done
            case $kind,$how in
            index,rm) restores ;; # packs say themselves what is in them
            snapshots,rm)
                restores_from_mirror_by_id
                ;;
            *) restores_from_mirror ;;
            esac
            expect 0 lb repair --read-data
            expect 0 lb check --read-data --json
            json 'd["ok"] and not d["errors"]'
            sums "$T/store" >"$T/now"
            # An index that nobody misses need not come back.
            diff "$T/sums" "$T/now" || { [ $kind,$how = index,rm ] && expect 0 lb list; }
            [ -z "$(find "$T/store/marks/damaged" -type f 2>/dev/null)" ]
            mv "$T/away" "$T/away2"
            restores
            mv "$T/away2" "$T/away"
        done
    done
}

@test "what is damaged on a mirror comes anew with the next copy" {
    two_stores
    cp -a "$T/away" "$T/sound"
    for kind in index snapshots keys; do
        rm -rf "$T/away"
        cp -a "$T/sound" "$T/away"
        find "$T/away/$kind" -type f | while read -r f; do flip "$f"; done
        expect 5 lb check --store away
        expect 0 lb copy
        expect 0 lb check --store away --read-data
        expect 0 lb restore latest:files files --store away --to "$T/back"
        rm -r "$T/back"
    done
}

@test "single objects: a flipped byte in packs, a short one, receipts and marks" {
    two_stores
    expect 0 lb drill latest files
    expect 0 lb copy
    sums "$T/store" >"$T/sums"
    for pack in "$T"/store/packs/*/*; do flip "$pack" 1000; done
    truncate -s -70000 "$(find "$T/store/packs" -type f | sort | tail -n 1)"
    rm -r "$T/store/receipts" "$T/store/marks/pin"
    restores_from_mirror
    says "packs/"
    expect 0 lb repair --read-data
    expect 0 lb check --read-data
    sums "$T/store" | diff "$T/sums" -
    expect 0 lb repair --json
    json 'd["ok"] and d["healed"] == [] and d["bytes"] == 0'
}

wants_failing() {
    export ASAN_OPTIONS=detect_leaks=0 # LeakSanitizer does not work under strace
    command -v strace >/dev/null || skip "there is no strace"
    strace -qq -o /dev/null true || skip "tracing is not permitted here"
    [ "$(id -u)" = 0 ] || skip "wants root: from its own user lifeboat hides which files it has open, and strace goes by their paths"
}

# failing CALL PATH ARGUMENT...: lifeboat, with a disk that gives no more at PATH.
failing() {
    local call=$1 path=$2
    shift 2
    strace -qq -f -o /dev/null -P "$path" -e "trace=$call" -e "inject=$call:error=EIO" "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

@test "a bad sector in an object is damage: named, read around, repaired" {
    wants_failing
    two_stores
    expect 0 lb drill latest files
    expect 0 lb copy
    for kind in packs index snapshots keys receipts marks; do
        # One that the mirror has: it has indexes of its own, too.
        bad=$T/store/$(cd "$T/away" && find "$kind" -type f | sort | while read -r o; do [ ! -f "$T/store/$o" ] || echo "$o"; done | head -n 1)
        expect 5 failing pread64 "$bad" check --read-data
        prints "${bad#"$T/store/"}: read: Input/output error (the disk or its cable fails"
        rm -rf "$T/back"
        expect 0 failing pread64 "$bad" restore latest files --to "$T/back"
        same_files "$T/back"
        expect 0 failing pread64 "$bad" backup
        # What is put in its place cannot be read here either: on a disk it lies elsewhere.
        failing pread64 "$bad" repair --read-data >"$T/out" 2>"$T/err" || true
        prints "healed: ${bad#"$T/store/"}"
        expect 0 lb check --read-data
    done
}

@test "a folder of the first store that cannot be listed" {
    wants_failing
    two_stores
    for folder in packs index snapshots marks keys; do
        rm -rf "$T/back"
        expect 0 failing getdents64 "$T/store/$folder" --json restore latest files --to "$T/back"
        same_files "$T/back"
        json 'd["mirror"] is True'
        says "Input/output error"
        expect 0 failing getdents64 "$T/store/$folder" --json list
        json 'len(d) == 3'
        # Nobody takes what is not seen for gone.
        [ $folder = keys ] || expect 1 failing getdents64 "$T/store/$folder" prune --yes
    done
}

@test "a damaged keys object is read around, repaired, and damage where no mirror is" {
    two_stores
    printf x >>"$(echo "$T"/store/keys/*)"
    expect 0 lb restore latest files --to "$T/back"
    says "going on with mirror away"
    expect 5 lb restore latest files --to "$T/again" --store main
    says "cannot be read, and no other keys object is for this reader: the next backup"
    expect 0 lb repair
    expect 0 lb restore latest files --to "$T/again" --store main
}

@test "what no mirror has is named" {
    two_stores
    mv "$T/away" "$T/off"
    head -c 200000 /dev/urandom >"$T/files/noise3"
    expect 3 lb --json backup
    before=$(find "$T/off/packs" -type f -printf '%f\n' | sort)
    new=$(find "$T/store/packs" -type f -printf '%f\n' | sort | comm -13 <(echo "$before") - | head -n 1)
    rm "$T/store/packs/${new:0:2}/$new"
    mv "$T/off" "$T/away"
    expect 5 lb repair
    prints "LOST: packs/${new:0:2}/$new: is missing"
    # It does not get to the mirror half: the snapshot waits, everything older is there.
    expect 3 lb copy
    says "1 snapshots wait"
    expect 0 lb --store away list --json
    json 'len(d) == 3'
    # The next backup stores it again.
    backup
    expect 0 lb copy
    expect 0 lb check
}

@test "the first store is gone: looking and restoring go on with the mirror" {
    two_stores
    mv "$T/store" "$T/off"
    restores_from_mirror
    says "going on with mirror away"
    expect 0 lb list --json
    json 'len(d) == 3'
    expect 0 lb ls latest files
    prints "noise2"
    expect 0 lb find '*2'
    expect 0 lb cat latest numbers
    seq 1 20000 | cmp - "$T/out"
    # Nothing is written or judged on a mirror's word.
    expect 2 lb backup
    expect 2 lb check
    expect 2 lb drill
    expect 2 lb prune
}

@test "a new disk in place of the first store is filled from the mirror" {
    two_stores
    sums "$T/store" >"$T/sums"
    rm -r "$T/store"
    expect 2 lb repair
    says "is the disk mounted?"
    mkdir "$T/store"
    expect 2 lb repair
    says "--new-disk"
    [ -z "$(ls -A "$T/store")" ]
    expect 0 lb repair --new-disk
    sums "$T/store" | diff "$T/sums" -
    expect 0 lb check --read-data
    backup
}

# Keeps one snapshot; packs go at once with --exclusive.
short_retention() {
    cat >>"$T/lifeboat.conf" <<CONF
[retention]
keep-last = 1
keep-min = 1
undo-window = 0s
CONF
}

@test "the kit names the mirrors: with the first store burnt, it still brings everything back" {
    two_stores
    contains "$T/kit.txt" "store       file://$T/store"
    contains "$T/kit.txt" "mirror      file://$T/away"
    rm -r "$T/store" "$T/keys" "$T/state" "$T/cache"
    url=$(sed -n 's/^ *mirror  *//p' "$T/kit.txt")
    expect 0 "$LIFEBOAT" --store "$url" --identity "$T/kit.txt" restore latest files --to "$T/back"
    same_files "$T/back"
    expect 0 "$LIFEBOAT" --store "$url" drill --from-kit "$T/kit.txt" --host box --directory "$T/drill" latest files
}

@test "a kit of a store alone names no mirror; a mirror that came later is in a new one" {
    init
    [ "$(grep -c irror "$T/kit.txt")" = 0 ]
    add_mirror away
    expect 0 lb init
    prints "key kit"
    expect 0 lb key kit
    prints "mirror      file://$T/away"
    expect 0 lb copy
    expect 0 lb --store away key kit
    prints "store       file://$T/away"
    prints "mirror      file://$T/store"
}

readers_of() { # STORE: how many
    find "$T/$1/keys" -type f | wc -l
}

@test "readers are added to, and removed from, the mirrors at once" {
    two_stores
    expect 0 lb key add --identity-out "$T/second.key" --label 'the safe'
    expect 0 lb --store away cat latest numbers --identity "$T/second.key"
    expect 0 lb key show --json
    id=$(value '[r["id"] for r in d["readers"] if r["label"] == "the safe"][0]')
    expect 0 lb key remove "${id:0:8}"
    expect 2 lb --store away cat latest numbers --identity "$T/second.key"
    [ "$(readers_of away)" = 1 ]
    # A mirror that is away is named, and each copy reminds of it.
    expect 0 lb key add --identity-out "$T/third.key" --label third
    expect 0 lb key show --json
    id=$(value '[r["id"] for r in d["readers"] if r["label"] == "third"][0]')
    mv "$T/away" "$T/off"
    expect 3 lb key remove "${id:0:8}" --json
    json 'd["removed"]["label"] == "third" and d["left"][0].startswith("away: ")'
    says "CAN STILL BE READ"
    mv "$T/off" "$T/away"
    expect 0 lb copy
    prints "lifeboat key remove ${id:0:8}"
    expect 0 lb --store away cat latest numbers --identity "$T/third.key"
    expect 0 lb key remove "${id:0:8}"
    expect 2 lb --store away cat latest numbers --identity "$T/third.key"
    expect 2 lb key remove "${id:0:8}"
    says "there is no such reader"
    expect 0 lb copy --json
    json 'd["mirrors"][0]["notes"] == []'
    [ "$(readers_of store)" = 1 ] && [ "$(readers_of away)" = 1 ]
}

@test "a former passphrase opens no mirror" {
    two_stores
    (umask 077 && echo first >"$T/p1" && echo second >"$T/p2")
    expect 0 lb key passphrase --new-passphrase-file "$T/p1"
    expect 0 lb --store away cat latest numbers --passphrase-file "$T/p1"
    mv "$T/away" "$T/off"
    expect 3 lb key passphrase --new-passphrase-file "$T/p2"
    says "may still be opened by a former passphrase"
    mv "$T/off" "$T/away"
    expect 0 lb key passphrase --new-passphrase-file "$T/p2"
    expect 2 lb --store away cat latest numbers --passphrase-file "$T/p1"
    expect 0 lb --store away cat latest numbers --passphrase-file "$T/p2"
    [ "$(readers_of store)" = 2 ] && [ "$(readers_of away)" = 2 ]
}

@test "prune prunes each mirror by marks of its own" {
    short_retention
    add_mirror away
    init
    backup
    rm "$T/files/sub/noise"
    head -c 300000 /dev/urandom >"$T/files/other"
    backup
    for _ in 1 2 3; do
        expect 0 lb --json prune --exclusive --yes
        json 'd["mirrors"][0]["ok"] and d["mirrors"][0]["forgotten"] == 0'
    done
    for store in main away; do
        expect 0 lb --store $store list --json
        json "[s['id'] for s in d] == ['$ID']"
        expect 0 lb --store $store check --read-data
    done
    # What the first snapshot alone needed is gone from both.
    [ "$(du -sb "$T/away/packs" | cut -f 1)" -lt 600000 ]
    rm -r "$T/store/packs"
    restores_from_mirror
}

@test "a mirror that was away is pruned by retention when it is back" {
    short_retention
    two_stores
    mv "$T/away" "$T/off"
    for _ in 1 2 3; do
        expect 3 lb --json prune --exclusive --yes
        json '"no such folder" in d["mirrors"][0]["error"]'
    done
    expect 0 lb list --json
    json 'len(d) == 1'
    # A day later nothing on the first store says any more that the others were forgotten.
    rm -r "$T/store/marks/forget"
    mv "$T/off" "$T/away"
    expect 0 lb --json prune --yes
    json 'd["mirrors"][0]["ok"] and d["mirrors"][0]["forgotten"] == 2'
    for _ in 1 2; do expect 0 lb prune --exclusive --yes; done
    expect 0 lb --store away list --json
    json 'len(d) == 1'
}

@test "a mirror is never pruned down to a first store that has lost something" {
    short_retention
    sed -i 's/^keep-last = 1/keep-last = 10/' "$T/lifeboat.conf"
    two_stores
    mv "$T/store/snapshots" "$T/lost"
    mkdir "$T/store/snapshots"
    (cd "$T/away" && find packs snapshots marks -type f | sort) >"$T/before"
    for _ in 1 2; do
        expect 3 lb --json prune --yes
        json 'not d["mirrors"][0]["ok"] and "holds 3 snapshots that stay, and the first store 0" in d["mirrors"][0]["error"]'
    done
    (cd "$T/away" && find packs snapshots marks -type f | sort) | diff "$T/before" -
    # It all comes back.
    expect 0 lb repair
    expect 0 lb --json list
    json 'len(d) == 3 and d[2]["pinned"]'
    expect 0 lb check --read-data
    restores
    expect 0 lb prune --exclusive --yes
}

@test "what a prune condemned does not come back under its name" {
    short_retention
    sed -i 's/^keep-last = 1/keep-last = 10/' "$T/lifeboat.conf"
    two_stores
    mv "$T/store/snapshots" "$T/lost"
    mkdir "$T/store/snapshots"
    expect 3 lb prune --exclusive --yes
    [ -z "$(find "$T/store/packs" -type f)" ]
    expect 5 lb repair
    prints "LOST: snapshots/$ID: packs that it needs were condemned by a prune here"
    [ -z "$(find "$T/store/packs" "$T/store/snapshots" -type f)" ]
    restores_from_mirror_by_id
}

@test "a bucket as the mirror, and as the first store" {
    start_ceph "$T"
    (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" >"$T/credentials")
    s3 PUT /copies
    bucket="url = s3://copies/box
endpoint = $CEPH_HTTP
insecure = yes
credentials = $T/credentials"
    printf '[store away]\n%s\n' "$bucket" >>"$T/lifeboat.conf"
    init
    backup
    json 'd["mirrors"][0]["ok"] and d["mirrors"][0]["packs"] > 0'
    expect 0 lb check --read-data --store away
    find "$T/store/packs" "$T/store/index" -type f -delete
    restores_from_mirror
    expect 0 lb repair --read-data
    expect 0 lb check --read-data
    # The other way round: the bucket comes first.
    mv "$T/store" "$T/near"
    sed -i -e "s|^url = s3:.*|url = file://$T/near|" -e '/^endpoint/d' -e '/^insecure/d' -e '/^credentials/d' "$T/lifeboat.conf"
    python3 - "$T/lifeboat.conf" "$bucket" "$T" <<'PY'
import sys
path, bucket, folder = sys.argv[1:]
text = open(path).read()
text = text.replace(f"url = file://{folder}/store\nmin-free = 0", bucket)
open(path, "w").write(text)
PY
    sed -i 's/^\[store away\]/[store near]/' "$T/lifeboat.conf"
    head -c 300000 /dev/urandom >"$T/files/noise4"
    backup
    json 'd["mirrors"][0]["name"] == "near" and d["mirrors"][0]["packs"] > 0'
    python3 "$TESTS_LIB/s3.py" LIST copies box/packs/ >"$T/packs"
    python3 "$TESTS_LIB/s3.py" DELETE "/copies/box/packs/$(head -n 1 "$T/packs")" </dev/null
    rm -rf "$T/back"
    expect 0 lb --json restore latest files --to "$T/back"
    same_files "$T/back"
    json 'd["mirror"] is True'
    expect 0 lb repair --read-data
    expect 0 lb check --read-data
    # Nobody answers for the bucket: the key was taken away.
    (umask 077 && printf 'access-key = %s\nsecret-key = wrong\n' "$CEPH_ACCESS_KEY" >"$T/credentials")
    rm -rf "$T/back"
    expect 0 lb --json restore latest files --to "$T/back"
    same_files "$T/back"
    says "going on with mirror near"
}
