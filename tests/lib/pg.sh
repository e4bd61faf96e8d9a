# shellcheck shell=sh disable=SC2016
# pg.sh - a private, throwaway PostgreSQL for tests: sourced by shell scripts, also run by the unit tests.
# Unix socket only, in a folder of its own; the server runs as `postgres` when we are root (it refuses root),
# else as us.
#
#   pg_start DIR        initdb and start; DIR is made; then PGHOST, PGUSER and PGDATABASE lead to it
#   pg_stop DIR         stop it and remove DIR
#   pg_as_owner CMD...  run something as the server's user

# The bin folder of the newest server installed; fails with a reason.
pg_bin() {
    pg_found=
    for pg_dir in /usr/lib/postgresql/?/bin /usr/lib/postgresql/??/bin; do
        [ -x "$pg_dir/initdb" ] && [ -x "$pg_dir/postgres" ] && pg_found=$pg_dir
    done
    [ "$pg_found" ] || { echo "no PostgreSQL server is installed (apt-get install postgresql)" >&2; return 1; }
    echo "$pg_found"
}

pg_as_owner() {
    if [ "$(id -u)" != 0 ]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        (cd / && setpriv --reuid postgres --regid postgres --init-groups "$@")
    else
        (cd / && su -s /bin/sh postgres -c 'exec "$@"' -- sh "$@")
    fi
}

# Runs quietly; what was said is shown when it fails.
pg_quietly() {
    pg_as_owner "$@" >"$pg_log" 2>&1 </dev/null || { cat "$pg_log" >&2; return 1; }
}

pg_start() {
    pg_home=$1
    pg_log=$pg_home.log
    pg_path=$(pg_bin) || return 1
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null 2>&1 || { echo "root needs a system user postgres to run the server" >&2; return 1; }
        install -d -m 755 -o postgres "$pg_home" || return 1
        # mktemp -d makes folders that only root may pass
        pg_as_owner test -x "$pg_home" || chmod go+x "$(dirname "$pg_home")" || return 1
    else
        mkdir -p "$pg_home" || return 1
    fi
    # en_US and the like may not be installed; C.UTF-8 is in libc itself.
    pg_quietly "$pg_path/initdb" -D "$pg_home/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N || return 1
    # Members of needs_password have to give one.
    pg_as_owner sh -c 'cat > "$1"' sh "$pg_home/data/pg_hba.conf" <<HBA
local all +needs_password scram-sha-256
local all all trust
HBA
    pg_as_owner sh -c 'cat >> "$1"' sh "$pg_home/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$pg_home'
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 20
log_min_messages = fatal
CONF
    pg_quietly "$pg_path/pg_ctl" -D "$pg_home/data" -l "$pg_home/server.log" -w -t 60 start || return 1
    rm -f "$pg_log"
    PGHOST=$pg_home PGUSER=postgres PGDATABASE=postgres
    export PGHOST PGUSER PGDATABASE
    unset PGPORT PGPASSWORD PGSERVICE PGOPTIONS
    PATH=$pg_path:$PATH
    psql -qXc 'CREATE ROLE needs_password'
}

pg_stop() {
    pg_path=$(pg_bin) || return 1
    pg_log=$1.log
    pg_quietly "$pg_path/pg_ctl" -D "$1/data" -m immediate -w stop
    rm -rf "$1" "$pg_log"
}
