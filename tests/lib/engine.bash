# shellcheck shell=bash
# engine.bash: a project ($PROJECT, otherwise "tutor") whose containers are local programs. There is no container engine on the test
# machine: its API is played by engine.py, and `docker` is a stand-in that runs commands here instead of in a container.
# shellcheck source=tests/lib/pg.sh
. "$BATS_TEST_DIRNAME/../lib/pg.sh"

engine_start() {
    mkdir -p "$T/engine/containers" "$T/engine/volumes" "$T/bin"
    python3 "$BATS_TEST_DIRNAME/../lib/engine.py" "$T/engine.sock" "$T/engine" >"$T/engine/ready" 2>"$T/engine/log" 3>&- &
    ENGINE=$!
    soon grep -q ready "$T/engine/ready"
    export DOCKER_HOST=unix://$T/engine.sock
    # docker exec -i [-e NAME] CONTAINER COMMAND...: runs it with the variables of that container and those that are named, in
    # a session of its own: as with the engine, what ends the command here does not end what runs in there. There, 127.0.0.1:5432
    # and the usual socket lead to the server of the test, and programs come from $T/image first.
    cat >"$T/bin/docker" <<SH
#!/bin/bash
printf '%s\n' "\${*//[[:cntrl:]]/ }" >>"$T/docker.calls"
[ "\$1 \$2" = "exec -i" ] || exit 64
shift 2
named=()
while [ "\$1" = -e ]; do
    case \$2 in *=*) named+=("\$2") ;; *) [ -z "\${!2+x}" ] || named+=("\$2=\${!2}") ;; esac
    shift 2
done
container=\$1
shift
described=\$(grep -l "\"Id\": \"\$container\"" "$T"/engine/containers/*.json 2>/dev/null)
[ -z "\$described" ] || container=\$(basename "\$described" .json)
[ ! -e "$T/engine/\$container.stopped" ] || { echo "Error response from daemon: container \$container is not running" >&2; exit 1; }
[ ! -f "$T/engine/\$container.env" ] || mapfile -t own <"$T/engine/\$container.env"
case " \${named[*]} " in
*" PGHOST=127.0.0.1 PGPORT=5432 "*) named+=("PGPORT=\$(sed 's/.*"HostPort": "\([0-9]*\)".*/\1/' "\$described")") ;;
*" PGHOST=/"*" PGPORT=5432 "*) ;; # a socket that whoever started the container put there
*" PGHOST= PGPORT=5432 "*) named+=("PGHOST=$T/pg") ;;
*" PGHOST="*) exit 65 ;; # nothing listens there
esac
exec setsid -w env -i "PATH=$T/image:$T/bin:\$PATH" "HOME=\$HOME" "CONTAINER=\$container" "\${own[@]}" "\${named[@]}" "\$@"
SH
    chmod 755 "$T/bin/docker"
    PATH=$T/bin:$PATH
}

engine_stop() {
    [ "${ENGINE:-}" ] || return 0
    kill "$ENGINE"
    wait "$ENGINE" || :
}

# container NAME SERVICE STATUS NETWORK-ADDRESS PUBLISHED-PORT ENV...: as `docker inspect` shows it, shortened.
container() {
    python3 - "$T/engine" "${PROJECT:-tutor}" "$@" <<'PY'
import hashlib, json, sys
folder, project, name, service, status, address, published, *env = sys.argv[1:]
json.dump({
    "Id": hashlib.sha256(name.encode()).hexdigest(), "Name": "/" + name,
    "Image": "sha256:" + hashlib.sha256(b"postgres:15-alpine").hexdigest(),
    "State": {"Status": status, "Running": status == "running"},
    "HostConfig": {"NetworkMode": project + "_default"},
    "Mounts": [{"Type": "bind", "Source": folder + "/secrets", "Destination": "/run/secrets", "RW": False}],
    "Config": {"Image": "postgres:15-alpine", "Env": env + ["PATH=/usr/bin", "PGDATA=/var/lib/postgresql/data"],
               "Labels": {"com.docker.compose.project": project, "com.docker.compose.service": service,
                          "com.docker.compose.oneoff": "False", "com.docker.compose.container-number": "1"}},
    "NetworkSettings": {
        "Ports": {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": published}] if published != "-" else None},
        "Networks": {project + "_default": {"IPAddress": "" if address == "-" else address}}},
}, open(f"{folder}/containers/{name}.json", "w"))
PY
}

volume() { # NAME FOLDER
    printf '{"CreatedAt":"2026-01-01T00:00:00Z","Driver":"local","Labels":{"com.docker.compose.project":"%s"},"Mountpoint":"%s","Name":"%s","Options":null,"Scope":"local"}' \
        "${PROJECT:-tutor}" "$2" "$1" >"$T/engine/volumes/$1.json"
}

# The database of the project: a PostgreSQL that listens on a free port of loopback, and wants a password there. Its role
# and its database have the same name.
database_start() { # [NAME]
    local name=${1:-tutor}
    pg_start "$T/pg"
    PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    echo 'host all all 127.0.0.1/32 scram-sha-256' >>"$T/pg/data/pg_hba.conf"
    printf "listen_addresses = '127.0.0.1'\nport = %s\n" "$PORT" >>"$T/pg/data/postgresql.conf"
    pg_log=$T/restart.log
    pg_quietly "$(pg_bin)/pg_ctl" -D "$T/pg/data" -l "$T/pg/server.log" -w -t 60 restart
    export PGPORT=$PORT
    psql -qX -c "CREATE ROLE $name SUPERUSER LOGIN PASSWORD 'geheim'" -c "CREATE DATABASE $name OWNER $name"
    psql -qX -d "$name" -c 'CREATE TABLE users AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 500) i'
    unset PGHOST PGPORT PGUSER PGDATABASE
}
