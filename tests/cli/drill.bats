#!/usr/bin/env bats
# drill, guard, status: what is proven, what is not, and that nothing else is touched.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/database.bash

drill_setting() {
    echo "$1" >>"$T/lifeboat.conf"
}

lacks() {
    if grep -qF -- "$1" "$T/out"; then return 1; fi
}

# Nothing of a drill is left: no folder, no process that works in one.
nothing_left() {
    [ -z "$(find "$T/state/drill" -mindepth 1 -maxdepth 1 -type d)" ] || { ls -la "$T/state/drill" && return 1; }
    for p in /proc/[0-9]*; do
        case $(readlink "$p/cwd") in
        "$T"/state/drill/*) tr '\0' ' ' <"$p/cmdline" && return 1 ;;
        esac
    done
}

@test "a drill proves a database, a folder and a command" {
    with_database
    init
    backup
    expect 0 lb list
    lacks proven
    expect 0 lb --json drill
    json 'd["type"] == "summary" and d["proven"] is True and d["snapshot"] == "'"$ID"'"'
    json '{s["name"]: s["outcome"] for s in d["sources"]} == {"db": "proven", "files": "proven", "numbers": "proven"}'
    json 'all(l["held"] for s in d["sources"] for l in s["layers"].values())'
    json '[s["entries"] for s in d["sources"] if s["name"] == "db"] == [2]'
    expect 0 lb list
    prints ' proven '
    expect 0 lb --json list
    json 'd[0]["proven"] is True'
    expect 0 lb --json show latest
    json 'd["proven"] is True and len(d["drills"]) == 1 and all(s["proof"]["proven"] for s in d["sources"])'
    expect 0 lb show latest
    prints "proven on "
    expect 0 lb status
    prints "ok"
    nothing_left
}

@test "what a check of one's own changes or refuses is not proven" {
    with_database
    drill_setting "after-restore = psql -qc 'DELETE FROM orders WHERE id = 7'"
    init
    backup
    expect 4 lb --json drill latest db
    json 'd["proven"] is False'
    prints orders
    expect 0 lb list
    prints "DRILL FAILED"
    expect 2 lb status
    prints "critical: db:"
    sed -i "/^after-restore/d" "$T/lifeboat.conf"
    drill_setting "after-restore = echo the books do not balance >&2; exit 3"
    expect 4 lb drill latest db
    prints "the books do not balance"
    sed -i "/^after-restore/d" "$T/lifeboat.conf"
    drill_setting "after-restore = test \$(psql -qAtc 'SELECT count(*) FROM users') = 500"
    expect 0 lb drill latest db
    nothing_left
}

@test "asserts must hold" {
    with_database
    drill_setting "assert db = SELECT count(*) > 0 FROM users"
    init
    backup
    expect 0 lb drill latest db
    sed -i '/^assert/d' "$T/lifeboat.conf"
    drill_setting "assert db = SELECT count(*) > 5000 FROM users"
    expect 4 lb drill latest db
    prints "SELECT count(*) > 5000 FROM users"
    sed -i '/^assert/d' "$T/lifeboat.conf"
    drill_setting "assert db = SELECT nonsense"
    expect 4 lb drill latest db
    prints "nonsense"
    nothing_left
}

@test "damage is never proven" {
    with_database
    init
    backup
    expect 0 lb drill
    for pack in "$T"/store/packs/*/*; do
        flip "$pack" 3000
    done
    expect 4 lb drill
    prints "NOT PROVEN"
    expect 0 lb list
    prints "DRILL FAILED"
    lacks ' proven '
    nothing_left
}

@test "a drill never works where the sources or the store are" {
    with_database
    init
    backup
    drill_setting "directory = $T/files/sub/drill"
    expect 2 lb drill
    says "$T/files"
    [ -z "$(find "$T/files" -name 'lifeboat-drill*')" ]
    sed -i '/^directory = .*files/d' "$T/lifeboat.conf"
    ln -s "$T/store" "$T/link"
    drill_setting "directory = $T/link/drill"
    expect 2 lb drill
    says "$T/store"
    sed -i '/^directory = .*link/d' "$T/lifeboat.conf"
    before=$(pg_dump "$DB" | grep -v restrict | sha256sum)
    drill_setting "scratch = host=$PGHOST user=postgres dbname=postgres"
    expect 2 lb drill latest db
    [ "$before" = "$(pg_dump "$DB" | grep -v restrict | sha256sum)" ]
    [ -z "$(query postgres "SELECT datname FROM pg_database WHERE datname LIKE 'lifeboat%'")" ]
}

@test "a server that was set aside" {
    with_database
    init
    backup
    # shellcheck source=tests/lib/pg.sh
    . "$TESTS/lib/pg.sh"
    chmod 755 "$T"
    host=$PGHOST
    pg_start "$T/aside"
    aside=$PGHOST
    PGHOST=$host
    drill_setting "scratch = host=$aside user=postgres dbname=postgres"
    drill_setting "after-restore = psql -qAtc 'SELECT current_database()' >$T/scratch-name"
    expect 0 lb --json drill latest db
    json 'd["proven"] is True and len(d["sources"][0]["notes"]) > 0'
    grep -q '^lifeboat_drill_' "$T/scratch-name"
    left=$(psql -h "$aside" -qAtXc "SELECT datname FROM pg_database WHERE datname LIKE 'lifeboat%'" postgres)
    pg_stop "$T/aside"
    [ -z "$left" ]
}

@test "a write-only host sees what is proven, and cannot drill" {
    init
    backup
    expect 0 lb drill
    mv "$T/keys/identity.key" "$T/elsewhere.key"
    write_only
    expect 0 lb --json list
    json 'd[0]["proven"] is True'
    expect 0 lb status
    expect 2 lb drill
    says "--identity FILE"
    expect 0 lb --identity "$T/elsewhere.key" drill
    expect 2 lb guard -- true
    says "--no-drill"
}

@test "commands: the drill-command, a safe restore-command, or only read" {
    init
    backup
    expect 0 lb --json drill latest numbers
    json 'd["sources"][0]["read_only"] is False'
    sed -i '/^restore-command/d' "$T/lifeboat.conf"
    expect 0 lb --json drill latest numbers
    json 'd["sources"][0]["read_only"] is True and "restore" in " ".join(d["sources"][0]["notes"])'
    sed -i "/^command = seq/a restore-command = touch $T/in-production; cat >/dev/null" "$T/lifeboat.conf"
    expect 0 lb --json drill latest numbers
    json 'd["sources"][0]["read_only"] is True'
    [ ! -e "$T/in-production" ]
    # shellcheck disable=SC2016 # for the shell that runs it
    sed -i '/^command = seq/a drill-command = test "$(wc -l)" = 20001' "$T/lifeboat.conf"
    expect 4 lb drill latest numbers
    prints "NOT PROVEN"
    nothing_left
}

@test "guard runs the command only after a proven snapshot, and ends as it does" {
    with_database
    init
    expect 7 lb guard -- sh -c "touch $T/ran; exit 7"
    [ -e "$T/ran" ]
    expect 0 lb --json list
    json 'len(d) == 1 and d[0]["proven"] is True and d[0]["pinned"] is True'
    rm "$T/ran"
    expect 0 lb guard touch "$T/ran"
    [ -e "$T/ran" ]
    rm "$T/ran"
    expect 0 lb --json guard --dry-run -- touch "$T/ran"
    [ ! -e "$T/ran" ]
    expect 2 lb guard -- no-such-program-at-all
    says "no such program"
    expect 2 lb guard --no-drill
    expect 0 lb --json list
    json 'len(d) == 2'
    drill_setting "assert db = SELECT false"
    expect 4 lb guard -- touch "$T/ran"
    says "was NOT run"
    [ ! -e "$T/ran" ]
    expect 0 lb guard --no-drill -- touch "$T/ran"
    [ -e "$T/ran" ]
}

@test "guard refuses a snapshot that is not good" {
    with_database
    init
    backup
    query "$DB" "DROP TABLE orders"
    expect 3 lb guard -- touch "$T/ran"
    says "was NOT run"
    mv "$T/files" "$T/files.gone"
    expect 1 lb guard -- touch "$T/ran"
    says "was NOT run"
    [ ! -e "$T/ran" ]
}

@test "guard, then a real disaster, then everything is back" {
    with_database
    init
    query "$DB" "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o" >"$T/before"
    cp -a "$T/files" "$T/files.before"
    expect 0 lb guard -- sh -c "psql -qXc 'DROP DATABASE $DB' postgres && rm -rf $T/files"
    [ ! -e "$T/files" ]
    pinned=$(sed -n 's/.*snapshot \([0-9a-f]*\) is good, proven and pinned.*/\1/p' "$T/err")
    expect 0 lb restore "$pinned" db --to "host=$PGHOST user=postgres dbname=$DB"
    expect 0 lb restore "$pinned" files --to "$T/files"
    diff -r "$T/files.before" "$T/files"
    query "$DB" "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o" | cmp - "$T/before"
}

@test "a backup that lost half of its rows, its tables or its database is not good" {
    with_database
    init
    backup
    query "$DB" "DELETE FROM orders; DELETE FROM users WHERE id % 2 = 0"
    expect 3 lb --json backup db
    json 'd["verdict"] == "degraded"'
    prints half
    query "$DB" "DROP TABLE orders; DROP TABLE users"
    expect 3 lb backup db
    sed -i "s/dbname=$DB/dbname=postgres/" "$T/lifeboat.conf"
    expect 3 lb backup db
    sed -i "s/dbname=postgres/dbname=nowhere/" "$T/lifeboat.conf"
    expect 1 lb backup db
    expect 0 lb --json list
    json '[s["verdict"] for s in d] == ["good", "degraded", "degraded", "degraded"]'
}

@test "killed at any moment, nothing is left after the next run" {
    with_database
    init
    backup
    for moment in 0.05 0.2 0.4 0.6 0.8 1.0 1.3 1.6; do
        "$LIFEBOAT" -c "$T/lifeboat.conf" -q drill >/dev/null 2>&1 3>&- &
        pid=$!
        timeout "$moment" tail --pid=$pid -f /dev/null || :
        kill -9 $pid 2>/dev/null || :
        wait $pid 2>/dev/null || :
    done
    expect 0 lb drill
    nothing_left
}

@test "two drills do not meet in one place" {
    with_database
    drill_setting "after-restore = $LIFEBOAT -c $T/lifeboat.conf drill latest files >$T/inner 2>&1; echo \$? >$T/inner-code"
    init
    backup
    expect 0 lb drill latest db
    [ "$(cat "$T/inner-code")" = 4 ]
    contains "$T/inner" "another drill"
}

@test "status tells as a Nagios check does" {
    init
    expect 2 lb status
    prints "critical: files: there is no good backup of it"
    backup
    expect 1 lb status
    prints "warning: files: no backup of it was ever proven"
    expect 0 lb drill
    expect 0 lb --json status
    json 'd["level"] == "ok" and d["host"] == "box" and d["sources"][0]["last_proven"]["proof"]["proven"] is True'
    mv "$T/files" "$T/gone"
    expect 1 lb backup
    expect 1 lb status
    prints "warning: files: the last backup is failed"
}

@test "what a server says while it is connected to reaches the terminal as text, and only with -v" {
    query postgres "CREATE DATABASE loud TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    query loud "CREATE TABLE t(id int); INSERT INTO t VALUES (1)"
    query postgres "UPDATE pg_database SET datcollversion = E'1\\x1b]0;owned\\x07' WHERE datname = 'loud'"
    printf '[source db]\ntype = postgres\nconnection = host=%s user=postgres dbname=loud\n' "$PGHOST" >>"$T/lifeboat.conf"
    init
    psql -qAtX -d loud -c "" 2>"$T/err"
    says "collation version mismatch"
    expect 0 lb backup db
    if grep -F "collation" "$T/err"; then return 1; fi
    expect 0 lb -v backup db
    says "PostgreSQL: WARNING:  database \"loud\" has a collation version mismatch"
    if grep -P '[\x07\x1b]' "$T/err" "$T/out"; then return 1; fi
}

@test "a scratch disk that is full, or has no inodes left: not proven, and why" {
    [ "$(id -u)" = 0 ] || skip "mounts a file system: for root"
    local size inodes
    with_database
    init
    backup db
    drill_setting "directory = $T/mount/scratch"
    mkdir "$T/mount"
    chmod 755 "$T" "$T/mount"
    for size in 8M:4000 300M:300 300M:700; do
        inodes=${size#*:}
        rm -f "$T/disk"
        truncate -s "${size%:*}" "$T/disk"
        mkfs.ext4 -q -N "$inodes" "$T/disk"
        mount -o loop "$T/disk" "$T/mount" || skip "no loop devices here"
        chmod 755 "$T/mount"
        expect 4 lb drill latest db
        prints "NOT PROVEN (could not be tried)"
        prints "the disk of [drill] directory is full, or has no inodes left: free some, or name another folder"
        [ -z "$(find "$T/mount/scratch" -mindepth 1 -type d)" ]
        umount "$T/mount"
    done
    drill_setting "directory = $T/state/scratch"
    sed -i "\#^directory = $T/mount#d" "$T/lifeboat.conf"
    expect 0 lb drill latest db
}

@test "a standby is backed up, and rows that it does not have are named" {
    local bin
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    bin=$(pg_bin)
    with_database
    query "$DB" "CREATE UNLOGGED TABLE cache AS SELECT 1 AS x"
    # shellcheck disable=SC2016 # its shell's
    pg_as_owner sh -c 'echo "local replication all trust" >>"$1"' sh "$PGHOST/data/pg_hba.conf"
    query postgres "SELECT pg_reload_conf()"
    chmod 755 "$T"
    install -d -m 755 "$T/standby"
    if [ "$(id -u)" = 0 ]; then chown postgres "$T/standby"; fi
    pg_as_owner "$bin/pg_basebackup" -h "$PGHOST" -U postgres -D "$T/standby/data" -R -c fast
    # shellcheck disable=SC2016 # its shell's
    pg_as_owner sh -c 'echo "unix_socket_directories = '"'"'$1'"'"'" >>"$1/data/postgresql.conf"' sh "$T/standby"
    sed -i "s|^connection = .*|connection = host=$T/standby user=postgres dbname=$DB|" "$T/lifeboat.conf"
    init
    pg_as_owner "$bin/pg_ctl" -D "$T/standby/data" -l "$T/standby/log" -w start >/dev/null 3>&-
    expect 0 lb backup db || { pg_as_owner "$bin/pg_ctl" -D "$T/standby/data" -m immediate stop && return 1; }
    pg_as_owner "$bin/pg_ctl" -D "$T/standby/data" -m immediate -w stop >/dev/null
    prints "note: database $DB: the rows of table public.cache are not in it: it is unlogged, and this server is a standby"
    expect 0 lb drill latest db
}

@test "a restore goes by the time zone that the server had, which is in no dump" {
    with_database
    init
    was=$(query postgres "SHOW timezone")
    query postgres "ALTER SYSTEM SET timezone = 'Asia/Tokyo'"
    query postgres "SELECT pg_reload_conf()" >"$T/reload"
    soon zone_is Asia/Tokyo
    query "$DB" "CREATE MATERIALIZED VIEW days AS SELECT timestamptz '2026-01-01 20:00+00'::date AS day"
    backup db
    query postgres "ALTER SYSTEM RESET timezone"
    query postgres "SELECT pg_reload_conf()" >"$T/reload"
    soon zone_is "$was"
    expect 0 lb restore latest:db db --to "host=$PGHOST user=postgres dbname=${DB}_back"
    [ "$(query "${DB}_back" "SELECT day FROM days")" = 2026-01-02 ]
}
zone_is() { [ "$(query postgres "SHOW timezone")" = "$1" ]; }
