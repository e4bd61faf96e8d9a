#!/usr/bin/env bats
# Databases in containers, by the programs in there. No engine runs here: its API is played by tests/lib/engine.py, and `docker
# exec` is a stand-in that runs local programs (tests/lib/engine.bash). This host has none of PostgreSQL's: they are hidden.
load ../lib/common
load ../lib/engine

setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-cli-XXXXXX")
    chmod go+x "$T"
    pg_bin >/dev/null || skip "there is no PostgreSQL server"
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    mkdir "$T/files" "$T/nothing" "$T/image"
    cp "$(pg_bin)"/pg_{dump,dumpall,restore} "$T/image"
    write_config
    printf '[source db]\ntype = postgres\ncompose-service = tutor/postgres\n' >>"$T/lifeboat.conf"
    engine_start
    database_start
    container tutor-postgres-1 postgres running - "$PORT" POSTGRES_USER=tutor POSTGRES_DB=tutor POSTGRES_PASSWORD=geheim
    init
}

teardown() {
    engine_stop
    [ ! -d "$T/pg" ] || pg_stop "$T/pg"
    rm -rf "$T"
}

# lifeboat where no client of PostgreSQL is installed: not in Debian's folder, and not in PATH.
bare() {
    unshare -m sh -c 'mount --bind "$1/nothing" /usr/lib/postgresql && PATH=$1/bin:/usr/bin:/bin && shift && exec "$@"' sh "$T" \
        "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

admin() { # DATABASE SQL
    PGHOST=$T/pg PGPORT=$PORT PGUSER=postgres psql -AtqX -d "$1" -c "$2"
}

# Waits until a query says "t".
await() {
    for _ in $(seq 200); do
        [ "$(admin postgres "$1")" = t ] && return
        read -rt 0.1 <> <(:) || :
    done
    return 1
}

# Processes that run in the container.
inside() { grep -lsz "^PATH=$T/image:" /proc/[0-9]*/environ | wc -l; }

# Waits until none does, and the server knows of none either.
all_gone() {
    await "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_dump'"
    for _ in $(seq 100); do
        [ "$(inside)" != 0 ] || return 0
        read -rt 0.1 <> <(:) || :
    done
    return 1
}

# The dump stops at a table that somebody else has locked. The session's end is the file that goes.
hold_table() {
    admin tutor 'CREATE TABLE held (i int)'
    mkfifo "$T/hold"
    PGHOST=$T/pg PGPORT=$PORT PGUSER=postgres psql -qX -d tutor <"$T/hold" >/dev/null &
    exec 7>"$T/hold"
    echo 'BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE;' >&7
    await "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
}
dump_waits="SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"

@test "no client on this host: the container's dumps and restores, and no password stands in an argument" {
    expect 0 bare --json backup db
    json 'd["verdict"] == "good"'
    grep -q 'pg_dump --no-password .*--format=custom.*--snapshot=' "$T/docker.calls"
    grep -q 'pg_dumpall --no-password .*--globals-only' "$T/docker.calls"
    if grep -vq '^exec -i ' "$T/docker.calls"; then return 1; fi
    expect 0 lb show latest
    prints globals

    : >"$T/docker.calls"
    expect 0 bare restore latest db --to 'compose-service=tutor/postgres dbname=again'
    [ "$(admin again 'SELECT count(*), sum(id) FROM users')" = "500|125250" ]
    grep -q 'pg_restore --no-password' "$T/docker.calls"
    if grep -q geheim "$T/docker.calls"; then return 1; fi
}

@test "a list for pg_restore goes into the container and is removed from it" {
    admin tutor 'CREATE TABLE other AS SELECT 1 AS i'
    expect 0 bare backup db
    admin tutor 'DROP TABLE other'
    expect 0 bare restore latest db --to 'container=tutor-postgres-1' --table other
    [ "$(admin tutor 'SELECT i FROM other')" = 1 ]
    list=$(grep -o 'use-list=/tmp/lifeboat-[0-9a-f]*' "$T/docker.calls" | tail -n 1)
    [ "$list" ]
    [ ! -e "${list#use-list=}" ]
}

@test "what cannot be restored to says what to do" {
    expect 0 bare backup db
    expect 2 bare restore latest db --to "host=127.0.0.1 port=$PORT user=tutor password=geheim dbname=again"
    says "--to 'container=NAME dbname=...'"
    expect 2 bare restore latest db --to 'compose-service=tutor dbname=again'
    says '"tutor" is no PROJECT/SERVICE'
    expect 2 bare restore latest db --to 'container=tutor-postgres-1 dbname=again' --jobs 2
    says "through a pipe: leave it out"
    expect 1 bare restore latest db --to 'container=gone dbname=again'
    says "the container engine has no container gone"
}

@test "a container without the programs: those of this host, or what to install" {
    for program in pg_dump pg_dumpall pg_restore; do printf '#!/bin/sh\nexit 127\n' >"$T/image/$program"; done
    backup db # of this host
    json 'd["verdict"] == "good"'
    expect 1 bare backup db
    says "container tutor/postgres: its pg_dump: docker: exit status 127"
    says "install postgresql-client-"
    mv "$T/bin/docker" "$T/docker"
    expect 1 bare backup db
    says "it takes docker or podman, and neither is in PATH"
    mv "$T/docker" "$T/bin/podman"
    cp "$(pg_bin)"/pg_{dump,dumpall} "$T/image"
    expect 0 bare backup db
}

@test "killed in the middle: nothing stays behind in the container" {
    hold_table
    bare -q backup db >"$T/out" 2>"$T/err" </dev/null 3>&- 7>&- &
    run=$!
    await "$dump_waits"
    [ "$(inside)" != 0 ]
    kill -9 "$(pgrep -P "$run")"
    wait "$run" || [ $? = 137 ]
    all_gone
    exec 7>&-
}

@test "past its time limit: nothing stays behind in the container" {
    hold_table
    sed -i 's|^compose-service.*|&\ntime-limit = 2s|' "$T/lifeboat.conf"
    expect 1 bare backup db 7>&-
    says "its time-limit"
    all_gone
    exec 7>&-
}

@test "a container that goes away in the middle" {
    hold_table
    bare backup db >"$T/out" 2>"$T/err" </dev/null 3>&- 7>&- &
    run=$!
    await "$dump_waits"
    admin postgres "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'" >"$T/ended"
    code=0
    wait "$run" || code=$?
    [ "$code" = 1 ]
    says "source db: database tutor: pg_dump: "
    exec 7>&-
}

@test "the exit status of docker exec is explained" {
    for status in 125 126 137; do
        printf '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.1" && exit\nexit %s\n' "$status" >"$T/image/pg_dump"
        chmod 755 "$T/image/pg_dump"
        expect 1 bare backup db
        case $status in
        125) says "docker cannot run pg_dump in container tutor/postgres" ;;
        126) says "there is no pg_dump in it that can be run, or the container has stopped" ;;
        137) says "pg_dump was killed in it: the container has stopped or was restarted, or memory ran out" ;;
        esac
    done
    touch "$T/engine/tutor-postgres-1.stopped"
    expect 1 bare backup db
    says "is not running"
}
