#!/usr/bin/env bats
# Each block of docs/runbook.md, run as it stands there against a real PostgreSQL, real folders and a real bucket; then the
# data are compared. Not on this machine, and played: systemctl, docker (it drops what it should), a second machine (the same
# one with nothing of the first left), a newer PostgreSQL (a second fresh cluster of the one that is installed).
# shellcheck disable=SC2030,SC2031,SC2034 # each test is a subshell, and that is meant; blocks use what is set for them
load ../lib/common
RUNBOOK=$BATS_TEST_DIRNAME/../../docs/runbook.md

setup_file() {
    start_postgres
}

teardown_file() {
    stop_postgres
}

# ---- the runbook's machine: its paths, below a folder; its programs ----
setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-cli-XXXXXX")
    chmod 755 "$T"
    mkdir -p "$T/bin" "$T/root" "$T/etc" "$T/var/backups" "$T/mnt" "$T/srv/app/uploads/2026"
    ln -s "$LIFEBOAT" "$T/bin/lifeboat"
    printf '#!/bin/sh\necho "systemctl $*" >>%s/systemctl.log\n' "$T" >"$T/bin/systemctl"
    chmod 755 "$T/bin/systemctl"
    PATH=$T/bin:$PATH
    export LIFEBOAT_CONFIG=$T/etc/lifeboat/lifeboat.conf TMPDIR=$T/tmp
    mkdir "$TMPDIR"
    echo one >"$T/srv/app/uploads/one.txt"
    head -c 200000 /dev/urandom >"$T/srv/app/uploads/2026/invoice-7.pdf"
    cp -a "$T/srv/app/uploads" "$T/uploads.before"
    fresh_database
    write_host "file://$T/var/backups/lifeboat"
    SUMS=$(rows app)
}

teardown() {
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    # shellcheck source=tests/lib/ceph.sh
    . "$BATS_TEST_DIRNAME/../lib/ceph.sh"
    [ ! -d "$T/pg2" ] || pg_stop "$T/pg2"
    [ ! -d "$T/ceph" ] || ceph_stop "$T/ceph"
    remove_folder
}

rows() { query "$1" "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"; }
gone() { [ -z "$(query postgres "SELECT 1 FROM pg_database WHERE datname = '$1'")" ]; }

drop_all() {
    psql -qX -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS app" -c "DROP DATABASE IF EXISTS app_restored" \
        -c "DROP DATABASE IF EXISTS app_orders" -c "DROP ROLE IF EXISTS shop"
}

fresh_database() {
    drop_all
    psql -qX -d postgres -c "CREATE ROLE shop LOGIN" -c "CREATE DATABASE app OWNER shop"
    query app "SET ROLE shop; CREATE TABLE users(id int PRIMARY KEY, name text NOT NULL);
        INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 100) i;
        CREATE TABLE orders(id bigserial PRIMARY KEY, who int REFERENCES users, what jsonb);
        INSERT INTO orders(who, what) SELECT 1 + i % 100, jsonb_build_object('n', i) FROM generate_series(1, 1000) i"
}

# write_host STORE [CONFIGURATION-LINE...]: /etc/lifeboat of the README; more lines are for that store.
write_host() {
    install -d -m 700 "$T/etc/lifeboat"
    {
        echo "[store main]"
        printf '%s\n' "url = $1" "${@:2}"
        cat <<CONF
[keys]
writer = $T/etc/lifeboat/writer.key
identity = $T/etc/lifeboat/identity.key
[state]
directory = $T/var/lib/lifeboat
cache = $T/var/cache/lifeboat
[source db]
type = postgres
connection = host=$PGHOST user=postgres dbname=app
[source uploads]
type = volume
path = $T/srv/app/uploads
CONF
    } >"$LIFEBOAT_CONFIG"
}

with_mirror() { printf '[store away]\nurl = file://%s/mnt/away\n' "$T" >>"$LIFEBOAT_CONFIG"; }

# A first night.
night() {
    lifeboat -q init --kit "$T/root/kit.txt"
    lifeboat -q backup
}

# The server and all that was on it; the kit is in a drawer.
server_is_gone() {
    drop_all
    rm -rf "$T/etc/lifeboat" "$T/var/lib" "$T/var/cache" "$T/srv/app"
    mkdir -p "$T/srv/app"
    chmod 644 "$T/root/kit.txt"
}

all_is_back() {
    [ "$(rows app)" = "$SUMS" ]
    [ "$(query app "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'")" = shop ]
    diff -r "$T/uploads.before" "$T/srv/app/uploads"
}

# ---- the blocks ----

# block_text TITLE N: the Nth block of that section.
block_text() {
    awk -v title="## $1" -v wanted="$2" '
        /^## / { inside = $0 == title }
        /^```/ && open { open = 0; next }
        /^```/ { open = 1; n += inside; next }
        open && inside && n == wanted' "$RUNBOOK"
}

# What is put in the place of names in the runbook, here and nowhere else: folders; a moment and a reader's id that the
# test has; the address of the server.
here() {
    sed -E "s#(^|[ =:|\"'/])(/(etc/lifeboat|var/backups|var/lib/lifeboat|srv/app|root)\\b)#\\1$T\\2#g
        s#/run/postgresql port=5433#${PGHOST2:-}#g
        s#/run/postgresql#$PGHOST#g
        s#2026-03-01 14:00#${WHEN:-}#g
        s#2026-03-01T04:00#${SINCE:-}#g
        s#3f9a01bc#${READER:-}#g"
}

# block TITLE N: runs its commands in this shell. Each must end well, or as a "#=> exit N" below it says; what it prints has
# the words of the other "#=>" below it.
block() {
    local line command="" code=0 want=0 n=0
    set -o pipefail
    while IFS= read -r line <&4; do
        case $line in
        "#=> exit "*) want=${line#\#=> exit } ;;
        "#=> "*) contains "$T/said" "${line#\#=> }" ;;
        "" | "#"*) ;;
        *)
            came_to "$command" "$code" "$want"
            command=$line want=0 code=0 n=$((n + 1))
            set +e
            eval "$command" >"$T/said" 2>&1 </dev/null
            code=$?
            set -e
            ;;
        esac
    done 4< <(block_text "$1" "$2" | here)
    came_to "$command" "$code" "$want"
    [ $n != 0 ] || { echo "there is no block $2 under \"$1\"" && return 1; }
}

came_to() { # COMMAND CODE WANTED
    [ "$2" = "$3" ] && return 0
    printf 'exit code %s, not %s: %s\n' "$2" "$3" "$1"
    head -n 30 "$T/said"
    return 1
}

@test "every block of the runbook is run by a test here, and all are of one kind" {
    awk '/^## / { title = substr($0, 4); n = 0 }
        /^```/ && open { open = 0; next }
        /^```/ { open = 1; print "block \"" title "\" " ++n }' "$RUNBOOK" | sort >"$T/there"
    grep -oE 'block "[^"$]+" [0-9]+' "$BATS_TEST_FILENAME" | sort -u >"$T/run"
    diff "$T/there" "$T/run"
    [ "$(wc -l <"$T/there")" -gt 30 ]
    # Nothing that looks like a command hides in another kind of block.
    [ "$(grep -cE '^ *```' "$RUNBOOK")" = $((2 * $(wc -l <"$T/there"))) ]
    [ "$(grep -c '^```sh$' "$RUNBOOK")" = "$(wc -l <"$T/there")" ]
    expect 1 grep -nE '^( {4}|	)' "$RUNBOOK"
    # Every name under the heading leads to a section.
    grep -oE '\(#[a-z0-9-]+\)' "$RUNBOOK" | tr -d '(#)' | sort >"$T/links"
    sed -n 's/^## //p' "$RUNBOOK" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n-' | sort | diff "$T/links" -
}

@test "the server is gone: from the kit and the disk" {
    night
    server_is_gone
    block "The server is gone" 1
    block "The server is gone" 2
    all_is_back
    write_host "file://$T/var/backups/lifeboat"
    block "The server is gone" 3
    contains "$T/systemctl.log" "enable --now lifeboat-backup.timer"
}

@test "a bucket is damaged; then the server is gone: from the kit and the bucket" {
    start_ceph "$T"
    s3 PUT /bucket
    (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" >"$T/b2")
    bucket=(s3://bucket/host "endpoint = $CEPH_HTTP" "insecure = yes" "credentials = $T/b2")
    write_host "${bucket[@]}"
    night
    pack=$(s3 LIST bucket host/packs/ | head -n 1)
    s3 DELETE "/bucket/host/packs/$pack"
    block "The repository is damaged" 1
    block "The repository is damaged" 3
    server_is_gone
    export AWS_ACCESS_KEY_ID=$CEPH_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$CEPH_SECRET_KEY
    block "The server is gone" 1
    block "The server is gone" 2
    all_is_back
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    write_host "${bucket[@]}"
    block "The server is gone" 3
}

@test "a database was dropped" {
    night
    query postgres "DROP DATABASE app"
    block "A database was dropped, or its data are wrong" 1
    block "A database was dropped, or its data are wrong" 2
    [ "$(rows app)" = "$SUMS" ]
}

@test "a database's data are wrong" {
    night
    WHEN=$(date '+%F %T')
    until [ "$(date '+%F %T')" != "$WHEN" ]; do :; done
    query app "UPDATE orders SET what = 'null'"
    wrong=$(rows app)
    lifeboat -q backup db
    block "A database was dropped, or its data are wrong" 1
    block "A database was dropped, or its data are wrong" 3
    [ "$(rows app)" = "$SUMS" ]
    gone app_restored
    lifeboat -q restore latest:db db --to "host=$PGHOST user=postgres dbname=app_restored"
    [ "$(rows app_restored)" = "$wrong" ]
}

@test "one table is lost, or rows of it" {
    night
    query app "DROP TABLE orders"
    block "One table is lost" 1
    [ "$(rows app)" = "$SUMS" ]
    query app "DELETE FROM orders WHERE id % 3 = 0"
    query app "UPDATE orders SET what = '\"newer\"' WHERE id = 1"
    block "One table is lost" 2
    [ "$(query app "SELECT count(*), min(what::text) FILTER (WHERE id = 1) FROM orders")" = '1000|"newer"' ]
    gone app_orders
    block "One table is lost" 3
}

@test "one file is lost" {
    night
    rm "$T/srv/app/uploads/2026/invoice-7.pdf"
    block "One file is lost" 1
    diff -r "$T/uploads.before" "$T/srv/app/uploads"
}

# reads_all: what is in the store can be read, and is whole.
reads_all() {
    rm -rf "$T/srv/app/uploads"
    lifeboat -q restore latest:uploads uploads --to "$T/srv/app/uploads"
    diff -r "$T/uploads.before" "$T/srv/app/uploads"
}

@test "keys are lost: the identity, with a kit; the writer key; both" {
    night
    rm "$T/etc/lifeboat/identity.key"
    block "Keys are lost" 1
    reads_all
    rm "$T/etc/lifeboat/writer.key"
    block "Keys are lost" 3
    cp "$LIFEBOAT_CONFIG" "$T/lifeboat.conf"
    rm -r "$T/etc/lifeboat"
    mkdir "$T/etc/lifeboat" && cp "$T/lifeboat.conf" "$LIFEBOAT_CONFIG"
    block "Keys are lost" 4
    reads_all
}

@test "keys are lost: the identity, with a passphrase" {
    night
    (umask 077 && echo 'correct horse' >"$T/root/passphrase")
    lifeboat -q key passphrase --new-passphrase-file "$T/root/passphrase"
    rm "$T/etc/lifeboat/identity.key" "$T/root/kit.txt"
    block "Keys are lost" 2
    mv "$T/etc/lifeboat/identity.key" "$T/x"
    lifeboat -q --identity "$T/root/kit-new.txt" ls latest uploads
    mv "$T/x" "$T/etc/lifeboat/identity.key"
    reads_all
}

@test "keys are lost: one of two readers; all that read" {
    with_mirror
    night
    lifeboat -q key add --identity-out "$T/stick.key" --label "the safe"
    READER=$(lifeboat --json key show | python3 -c 'import json, sys
print([r["id"][:8] for r in json.load(sys.stdin)["readers"] if r["label"] == "the safe"][0])')
    block "Keys are lost" 5
    expect 2 lifeboat --identity "$T/stick.key" ls latest uploads
    expect 2 lifeboat --store away --identity "$T/stick.key" ls latest uploads
    expect 0 lifeboat --store away --identity "$T/root/second.key" ls latest uploads
    rm "$T/etc/lifeboat/identity.key"
    sed -i "s#url = file://$T/var/backups/lifeboat#&-2#; /^\[store away/,\$d" "$LIFEBOAT_CONFIG"
    block "Keys are lost" 6
    reads_all
    [ -d "$T/var/backups/lifeboat" ]
}

@test "the repository is damaged, with a mirror" {
    with_mirror
    night
    for pack in "$T"/var/backups/lifeboat/packs/*/*; do flip "$pack" 3000; done
    block "The repository is damaged" 1
    reads_all
    block "The repository is damaged" 2
    rm -r "$T/mnt/away"
    reads_all
}

@test "a disk of the store died: the first one's, the mirror's" {
    with_mirror
    night
    rm -r "$T/var/backups/lifeboat"
    reads_all
    block "A disk of the store died" 1
    reads_all
    rm -r "$T/mnt/away"
    block "A disk of the store died" 2
    rm -r "$T/var/backups/lifeboat"
    reads_all
}

@test "the host was stolen" {
    night
    server_is_gone
    block "The server is gone" 1
    block "The server is gone" 2
    all_is_back
    write_host "file://$T/var/backups/lifeboat-2"
    block "The host was stolen" 1
    expect 2 lifeboat --identity "$T/root/kit.txt" ls latest uploads # what the thief has
    expect 0 lifeboat --identity "$T/root/kit-new.txt" ls latest uploads
    expect 0 lifeboat --store "file://$T/var/backups/lifeboat" --identity "$T/root/kit.txt" ls latest uploads
}

@test "moving to a new server" {
    lifeboat -q init >/dev/null
    block "Moving to a new server" 1
    contains "$T/systemctl.log" "disable --now"
    cp "$LIFEBOAT_CONFIG" "$T/lifeboat.conf"
    server_is_gone
    block "The server is gone" 1
    block "The server is gone" 2
    all_is_back
    mkdir "$T/etc/lifeboat" && (cat "$T/lifeboat.conf" && printf '[general]\nhost = newhost\n') >"$LIFEBOAT_CONFIG"
    block "The server is gone" 3
    lifeboat unpin latest --host "$(uname -n)"
}

@test "upgrading PostgreSQL: into a second server, here of the same major" {
    night
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    host=$PGHOST
    pg_start "$T/pg2"
    PGHOST2=$PGHOST PGHOST=$host
    block "Upgrading PostgreSQL" 1
    [ "$(PGHOST=$PGHOST2 rows app)" = "$SUMS" ]
    [ "$(PGHOST=$PGHOST2 query app "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'")" = shop ]
    query postgres "DROP DATABASE app"
    block "Upgrading PostgreSQL" 2
}

@test "guard, then the disaster" {
    lifeboat -q init --kit "$T/root/kit.txt"
    printf '#!/bin/sh\n[ "$*" = "compose down -v" ] && psql -qXd postgres -c "DROP DATABASE app" && rm -r %s/srv/app/uploads\n' "$T" >"$T/bin/docker"
    chmod 755 "$T/bin/docker"
    block "Before something that may destroy data" 1
    gone app
    block "The server is gone" 1
    block "The server is gone" 2
    all_is_back
}

@test "is the backup any good?" {
    night
    lifeboat -q drill
    block "Is the backup any good?" 1
    chmod 600 "$T/root/kit.txt"
    block "Is the backup any good?" 2
}

@test "a mirror is behind; a database is degraded; a snapshot was forgotten" {
    with_mirror
    night
    mv "$T/mnt/away" "$T/unplugged"
    expect 3 lifeboat -q backup uploads
    mv "$T/unplugged" "$T/mnt/away"
    block "A mirror is not up to date (exit 3)" 1
    expect 0 lifeboat --json --store away list
    json 'len(d) == 2'
    query app "DROP TABLE orders"
    expect 3 lifeboat -q backup db
    block "A source stays degraded because much of it is gone" 1
    expect 0 lifeboat -q backup db
    lifeboat -q forget latest --yes
    block "The wrong snapshot was forgotten" 1
    expect 0 lifeboat --json list
    json 'not any(s["forgotten"] for s in d) and any(s["pinned"] for s in d)'
}

@test "prune stops and asks; the disk is full" {
    printf '[retention]\nkeep-last = 1\nkeep-min = 1\n' >>"$LIFEBOAT_CONFIG"
    SINCE=$(date -u +%FT%H:%M) # the minute may end while these are taken
    night
    for _ in 1 2 3 4 5; do lifeboat -q backup uploads; done
    block "Prune stops and asks (exit 3)" 1
    block "Prune stops and asks (exit 3)" 2
    expect 0 lifeboat --json list
    json 'all(s["forgotten"] for s in d)'
    lifeboat -q undo
    expect 0 lifeboat -q prune --yes
    block "The disk of the store is full" 1
    reads_all
}

@test "a clock was wrong" {
    night
    find "$T/var/backups/lifeboat" -type f -exec touch -d '5 years' {} +
    expect 3 lifeboat -q prune
    block "A clock was wrong" 1
}
