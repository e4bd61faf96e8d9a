#!/usr/bin/env bats
# Databases in containers, by the programs in there. No engine runs here: its API is played by tests/lib/engine.py, and `docker
# exec` is a stand-in that runs local programs (tests/lib/engine.bash). This host has none of PostgreSQL's: they are hidden.
# shellcheck disable=SC2016 # inner shells expand their own words
load ../lib/common
load ../lib/engine

setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-cli-XXXXXX")
    chmod go+x "$T"
    pg_bin >/dev/null || skip "there is no PostgreSQL server"
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    mkdir -p "$T/files" "$T/nothing" "$T/image" "$T/running" "$T/root/usr/lib/postgresql" "$T/root/usr/share"
    ln -s /usr/share/postgresql "$T/root/usr/share/postgresql"
    cp "$(pg_bin)"/pg_{dump,dumpall,restore} "$T/image"
    write_config
    printf '[source db]\ntype = postgres\ncompose-service = tutor/postgres\n' >>"$T/lifeboat.conf"
    sed -i "s|^\[general\]|[drill]\ndirectory = $T/drill\nassert db = SELECT count(*) = 500 FROM users\n&|" "$T/lifeboat.conf"
    engine_start
    play_run
    database_start
    container tutor-postgres-1 postgres running - "$PORT" POSTGRES_USER=tutor POSTGRES_DB=tutor POSTGRES_PASSWORD=geheim
    init
}

teardown() {
    engine_stop
    for container in "$T"/running/*; do [ ! -e "$container" ] || kill -9 "-$(head -n 1 "$container")" || :; done
    [ ! -d "$T/pg" ] || pg_stop "$T/pg"
    remove_folder
}

# docker run, ps and rm besides exec: a container is a session of processes of that user, with what PostgreSQL there is in the
# folder $T/root, and a file in $T/running: its process, its label.
play_run() {
    mv "$T/bin/docker" "$T/bin/docker-exec"
    cat >"$T/bin/docker" <<SH
#!/bin/bash
[ "\$1" = exec ] && exec "$T/bin/docker-exec" "\$@"
printf '%s\n' "\${*//[[:cntrl:]]/ }" >>"$T/docker.calls"
case \$1 in
run)
    while shift && [[ \$1 = -* ]]; do
        case \$1 in --name=*) name=\${1#*=} ;; --label=*) label=\${1#*=} ;; --user=*) user=\${1#*=} ;; esac
    done
    shift
    path=\$(echo "$T"/root/usr/lib/postgresql/*/bin):$(pg_bin):/usr/bin:/bin
    chmod go+x "$T/drill" "$T"/drill/lifeboat-drill-* # a mount does not need them
    printf containerd-shim >/proc/\$\$/comm             # as which it is above the processes of a container
    setsid -w bash -c 'printf "%s\n" \$\$ "\$2" >"\$1" && shift 2 && exec "\$@"' bash "$T/running/\$name" "\$label" \
        setpriv --reuid "\${user%:*}" --regid "\${user#*:}" --clear-groups env -i "PATH=\$path" LC_ALL=C.UTF-8 sh "\$@"
    status=\$?
    rm -f "$T/running/\$name"
    exit \$status ;;
ps) cd "$T/running" && last=\${!#} && grep -lxF "\${last#--filter=label=}" -- * || : ;;
rm)
    [ -e "$T/running/\$4" ] || { echo "Error response from daemon: No such container: \$4" >&2; exit 1; }
    kill -9 "-\$(head -n 1 "$T/running/\$4")"
    rm -f "$T/running/\$4" ;;
*) exit 64 ;;
esac
SH
    chmod 755 "$T/bin/docker"
}

# lifeboat where no client of PostgreSQL is installed: not in Debian's folder, and not in PATH.
bare() {
    unshare -m sh -c 'mount --bind /usr/lib/postgresql "$1/root/usr/lib/postgresql" &&
        mount --bind "$1/nothing" /usr/lib/postgresql && PATH=$1/bin:/usr/bin:/bin && shift && exec "$@"' sh "$T" \
        "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"
}

admin() { # DATABASE SQL
    PGHOST=$T/pg PGPORT=$PORT PGUSER=postgres psql -AtqX -d "$1" -c "$2"
}

# Waits until a query says "t".
await() { soon says_t "$1"; }
says_t() { [ "$(admin postgres "$1")" = t ]; }

# Processes that run in the container.
inside() { grep -lsz "^PATH=$T/image:" /proc/[0-9]*/environ | wc -l; }

# Waits until none does, and the server knows of none either.
all_gone() {
    await "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pg_dump'"
    soon nothing_inside
}
nothing_inside() { [ "$(inside)" = 0 ]; }

no_container() { [ -z "$(ls "$T/running")" ]; }

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

@test "drilled in a container of the image of the source, which is gone afterwards" {
    admin tutor 'CREATE ROLE reader' 
    admin tutor 'GRANT SELECT ON users TO reader; CREATE INDEX ON users (name)'
    expect 0 bare backup db
    : >"$T/docker.calls"
    expect 0 bare --json drill latest db
    json 'd["proven"] == True and "in a container of the image of tutor/postgres" in str(d)'
    run=$(grep '^run .* postgres -D' "$T/docker.calls")
    for option in network=none cap-drop=ALL security-opt=no-new-privileges read-only memory= pids-limit= label=lifeboat.drill= \
        entrypoint=sh user="$(id -u lifeboat-drill)":; do
        [[ $run = *" --$option"* ]]
    done
    grep -q 'pg_restore --no-password' "$T/docker.calls"
    grep -q 'pg_dump --no-password' "$T/docker.calls"
    no_container
    [ "$(ls "$T/drill")" = lock ]

    : >"$T/docker.calls"
    expect 0 lb drill latest db # here is a server of that version, and a better cage
    prints proven
    [ ! -s "$T/docker.calls" ]
    sed -i 's|^directory = .*/drill$|&\nscratch = image|' "$T/lifeboat.conf"
    expect 0 lb drill latest db
    prints "in a container of the image"
}

@test "a drill that is killed leaves no container, and what another one left is removed" {
    expect 0 bare backup db
    gate go-on
    sed -i "s|^directory = .*/drill\$|&\nafter-restore = touch $T/reads; read -r x <$T/go-on|" "$T/lifeboat.conf"
    beside bare drill latest db >"$T/out" 2>"$T/err" </dev/null
    run=$!
    soon test -e "$T/reads"
    [ "$(ls "$T/running")" ]
    kill -9 "$(pgrep -P "$run")"
    wait "$run" || [ $? = 137 ]
    soon no_container

    setsid bash -c 'printf "%s\n" $$ "lifeboat.drill=$1" >"$2"; exec sleep 600' bash "$(realpath "$T/drill")" "$T/running/left" 3>&- &
    left=$!
    sed -i '/^after-restore/d' "$T/lifeboat.conf"
    expect 0 bare drill latest db
    wait "$left" || [ $? = 137 ]
    no_container
    [ "$(ls "$T/drill")" = lock ]
}

@test "no image, no proof: what is missing is said" {
    expect 0 bare backup db
    mv "$T/engine/containers/tutor-postgres-1.json" "$T/gone"
    expect 4 bare drill latest db
    prints "this machine has no server of PostgreSQL"
    prints "no container of service postgres of project tutor runs"
    mv "$T/gone" "$T/engine/containers/tutor-postgres-1.json"
    mv "$T/bin/docker" "$T/docker"
    expect 4 bare drill latest db
    prints "takes docker or podman, and neither is in PATH"
    mv "$T/docker" "$T/bin/docker"
    sed -i 's|^run)|& exit 125|' "$T/bin/docker"
    expect 4 bare drill latest db
    prints "exit status 125"
    sed -i '/^compose-service/d; s|^directory = .*/drill$|&\nscratch = image|' "$T/lifeboat.conf"
    expect 4 lb drill latest db
    prints "[drill] scratch = image is for sources in containers"
}
