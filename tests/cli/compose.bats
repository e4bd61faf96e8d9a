#!/usr/bin/env bats
# From a compose file to a proven snapshot. The engine is played (tests/lib/engine.py), `docker exec` runs local programs.
load ../lib/common
load ../lib/engine

teardown() {
    engine_stop
    [ ! -d "$T/pg" ] || pg_stop "$T/pg"
    remove_folder
}

holds_no() { # TEXT FILE...
    if grep -F -- "$@"; then return 1; fi
}

project() {
    rm "$T/lifeboat.conf"
    mkdir "$T/tutor"
    cat >"$T/tutor/docker-compose.yml" <<'YML'
x-common: &common
  restart: unless-stopped
services:
  postgres:
    <<: *common
    image: postgres:15-alpine
    environment:
      POSTGRES_USER: tutor
      POSTGRES_DB: tutor
      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?set it in .env}
    volumes: [postgres_data:/var/lib/postgresql/data]
  redis:
    <<: *common
    image: redis:7-alpine
    command: redis-server --requirepass ${REDIS_SECRET}
    volumes: [redis_data:/data]
  backend:
    <<: *common
    build: ./backend
    volumes:
      - uploads_data:/app/uploads
      - type: bind
        source: ./notebooks
        target: /app/notebooks
  nginx:
    image: nginx:alpine
    volumes: [certs:/etc/letsencrypt, uploads_data:/srv/uploads:ro]
volumes: {postgres_data: , redis_data: , uploads_data: , certs: }
YML
    printf 'POSTGRES_PASSWORD=geheim\nREDIS_SECRET=topfgeheim\n' >"$T/tutor/.env"
}

make_config() {
    expect 0 lb init --compose "$T/tutor/docker-compose.yml" "$@"
}

# What a test may not use: the usual folders, and the ones that the machine's own lifeboat has.
relocate() {
    sed -i "s|file:///var/backups/lifeboat|file://$T/store\nmin-free = 0|; s|^\[keys\]|[state]\ndirectory = $T/state\ncache = $T/cache\n&|" "$T/lifeboat.conf"
}

@test "a configuration is written, shown, and holds no password" {
    project
    make_config
    prints "[source postgres]"
    prints "compose-service = tutor/postgres"
    prints "docker-volume = tutor_uploads_data"
    prints "path = $T/tutor/notebooks"
    prints "# tutor_certs (nginx: /etc/letsencrypt):"
    prints "Look it through, then: lifeboat -c $T/lifeboat.conf init"
    prints "A password went into $T/redis.password (mode 0600)."
    [ "$(stat -c %a "$T/lifeboat.conf" "$T/redis.password" | sort -u)" = 600 ]
    [ "$(cat "$T/redis.password")" = topfgeheim ]
    holds_no geheim "$T/lifeboat.conf" "$T/out" "$T/err"
    [ ! -e "$T/writer.key" ]
    [ ! -e "$T/store" ]
    head -n "$(wc -l <"$T/lifeboat.conf")" "$T/out" | cmp - "$T/lifeboat.conf"
}

@test "what is there is not overwritten" {
    project
    make_config -q
    sha256sum "$T/lifeboat.conf" >"$T/sums"
    expect 2 lb init --compose "$T/tutor/docker-compose.yml"
    says "is there already and is not overwritten"
    sha256sum -c --quiet "$T/sums"
    rm "$T/lifeboat.conf" # its password file is still there, and the same
    make_config -q
    rm "$T/lifeboat.conf"
    echo other >"$T/redis.password"
    expect 2 lb init --compose "$T/tutor/docker-compose.yml"
    says "redis.password is there already, with something else in it"
    [ ! -e "$T/lifeboat.conf" ]
}

@test "--json names what was found and left out; a relative file is found, and named after its folder" {
    project
    cd "$T/tutor"
    expect 0 "$LIFEBOAT" -c ../lifeboat.conf --json init --compose docker-compose.yml
    json 'd["type"] == "summary" and d["project"] == "tutor" and d["configuration"].endswith("/lifeboat.conf")'
    json '[s["name"] for s in d["sources"] if s["active"]] == ["postgres", "redis", "uploads_data", "notebooks", "compose-files"]'
    json 'sorted(l["what"].split(" ")[0] for l in d["left_out"]) == ["tutor_certs", "tutor_postgres_data", "tutor_redis_data"]'
    json 'len(d["password_files"]) == 1'
}

@test "several files, an environment file, profiles" {
    project
    cat >"$T/tutor/prod.yml" <<'YML'
services:
  postgres: {image: "pgvector/pgvector:pg${MAJOR:-15}"}
  admin: {image: mongo:7, profiles: [tools], volumes: ["mongo:/data/db"]}
volumes: {mongo: {name: real-mongo}}
YML
    cp "$T/tutor/.env" "$T/prod.env"
    echo MAJOR=17 >>"$T/prod.env"
    make_config --compose "$T/tutor/prod.yml" --env-file "$T/prod.env"
    prints "# Service postgres, image pgvector/pgvector:pg17."
    prints "#[source admin]"
    prints "tar -C / -cf - '${T#/}/prod.env' '${T#/}/tutor/docker-compose.yml' '${T#/}/tutor/prod.yml'"
    rm "$T/lifeboat.conf"
    COMPOSE_PROFILES=tools make_config --compose "$T/tutor/prod.yml" --env-file "$T/prod.env"
    grep -qx '\[source admin\]' "$T/out"
}

@test "mistakes say what to do" {
    project
    expect 2 lb init --compose "$T/no.yml"
    says "--compose: there is no $T/no.yml"
    expect 2 lb init --compose "$T/tutor/docker-compose.yml" --env-file "$T/no.env"
    says "--env-file: there is no $T/no.env"
    : >"$T/tutor/.env"
    expect 2 lb init --compose "$T/tutor/docker-compose.yml"
    says "docker-compose.yml:10: the variable POSTGRES_PASSWORD is not set: set it in .env; set it in the environment file (--env-file FILE)"
    truncate -s 100M "$T/large.yml"
    expect 2 lb init --compose "$T/large.yml"
    says "large.yml"
    mkfifo "$T/tutor/fifo" # nobody writes there
    printf 'services:\n  db: {image: postgres, env_file: fifo}\n' >"$T/tutor/fifo.yml"
    expect 2 timeout 60 "$LIFEBOAT" -c "$T/lifeboat.conf" init --compose "$T/tutor/fifo.yml"
    says "$T/tutor/fifo: is not a file"
    expect 2 lb init --env-file "$T/tutor/.env" -c "$BATS_TEST_DIRNAME/../../conf/lifeboat.conf"
    says "belongs to --compose FILE"
    expect 2 lb init --compose "$T/tutor/docker-compose.yml" --kit "$T/kit"
    says "keys are for the init after that"
    [ ! -e "$T/lifeboat.conf" ]
}

@test "from a compose file to a proven snapshot" {
    pg_bin >/dev/null || skip "there is no PostgreSQL server"
    project
    engine_start
    database_start
    container tutor-postgres-1 postgres running - "$PORT" POSTGRES_USER=tutor POSTGRES_DB=tutor POSTGRES_PASSWORD=geheim
    volume tutor_uploads_data "$T/files"
    mkdir "$T/tutor/notebooks"
    echo note >"$T/tutor/notebooks/one.ipynb"
    cat >"$T/bin/redis-cli" <<SH
#!/bin/sh
[ "\$REDISCLI_AUTH \$*" = "topfgeheim --rdb -" ] && printf 'REDIS0011 of %s' "\$CONTAINER"
SH
    chmod 755 "$T/bin/redis-cli"
    make_config -q
    relocate
    expect 0 lb -q init --kit "$T/kit.txt"
    expect 0 lb backup --dry-run
    prints "PostgreSQL"
    holds_no geheim "$T/out" "$T/err"
    backup
    json 'd["verdict"] == "good" and len(d["sources"]) == 5'
    grep -qF 'exec -i -e REDISCLI_AUTH tutor-redis-1 redis-cli --rdb -' "$T/docker.calls"
    holds_no geheim "$T/docker.calls"

    expect 0 lb restore latest uploads_data --to "$T/back"
    same_files "$T/back"
    expect 0 lb restore latest notebooks --to "$T/notes"
    diff -r "$T/tutor/notebooks" "$T/notes"
    mkdir "$T/rdb" "$T/compose"
    expect 0 lb restore latest redis --to "$T/rdb"
    [ "$(cat "$T/rdb/dump.rdb")" = "REDIS0011 of tutor-redis-1" ]
    expect 0 lb restore latest compose-files --to "$T/compose"
    cmp "$T/tutor/.env" "$T/compose/$T/tutor/.env"
    expect 0 env PGPASSWORD=geheim "$LIFEBOAT" -c "$T/lifeboat.conf" restore latest postgres \
        --to "host=127.0.0.1 port=$PORT user=tutor dbname=again"
    [ "$(PGPASSWORD=geheim psql -AtX -h 127.0.0.1 -p "$PORT" -U tutor -d again -c 'SELECT count(*), sum(id) FROM users')" = "500|125250" ]

    sed -i "s|^scratch = auto|scratch = auto\ndirectory = $T/scratch|; s|^#assert postgres.*|assert postgres = SELECT count(*) = 500 FROM users|" "$T/lifeboat.conf"
    chmod go+x "$T"
    expect 0 lb --json drill
    json 'd["proven"] == True'
}

@test "the engine's word: what runs, where it is, and what is wrong" {
    project
    make_config -q
    relocate
    expect 0 lb -q init --kit "$T/kit.txt"
    export DOCKER_HOST=unix://$T/no.sock
    expect 1 lb backup uploads_data
    says "is it running (systemctl status docker)?"
    DOCKER_HOST=tcp://10.0.0.1:2375 expect 1 lb backup uploads_data
    says "only an engine of this machine can be asked"
    engine_start
    expect 1 lb backup uploads_data
    says "the container engine has no volume tutor_uploads_data"
    expect 1 lb backup postgres
    says "no container of service postgres of project tutor runs (docker compose -p tutor up -d postgres)"
    container tutor-postgres-1 postgres exited - - POSTGRES_PASSWORD=geheim
    expect 1 lb backup postgres
    says "no container of service postgres of project tutor runs"
    container tutor-postgres-1 postgres running - - POSTGRES_PASSWORD=geheim
    expect 1 lb backup postgres
    says "has no address: publish its port"
    container tutor-postgres-2 postgres running - 1 POSTGRES_PASSWORD=geheim
    expect 1 lb backup postgres
    says "2 containers run for service postgres"
    sed -i 's|^compose-service.*|container = tutor-postgres-3|' "$T/lifeboat.conf"
    expect 1 lb backup postgres
    says "the container engine has no container tutor-postgres-3"
    holds_no geheim "$T/err"
}

@test "a password in a secret, and a setting that goes before the engine's" {
    pg_bin >/dev/null || skip "there is no PostgreSQL server"
    project
    engine_start
    database_start
    make_config -q
    relocate
    expect 0 lb -q init --kit "$T/kit.txt"
    container tutor-postgres-1 postgres running - "$PORT" POSTGRES_USER=tutor POSTGRES_PASSWORD_FILE=/run/secrets/db
    expect 1 lb backup postgres
    says "engine/secrets/db"
    # What a container says of its files leads to none of this machine's others.
    mkdir "$T/engine/secrets"
    echo geheim >"$T/outside"
    ln -s ../../outside "$T/engine/secrets/db"
    expect 1 lb backup postgres
    says "engine/secrets/db: No such file"
    mkfifo "$T/engine/secrets/fifo"
    ln -sf fifo "$T/engine/secrets/db"
    expect 1 lb backup postgres
    says "is not a file"
    # A file that is mounted itself lies in a folder that may be another's.
    cp "$T/engine/containers/tutor-postgres-1.json" "$T/folder.json"
    sed -i 's|engine/secrets"|engine/secrets/fifo"|; s|"/run/secrets"|"/run/secrets/db"|' "$T/engine/containers/tutor-postgres-1.json"
    expect 1 timeout 60 "$LIFEBOAT" -c "$T/lifeboat.conf" backup postgres
    says "engine/secrets/fifo: is not a file"
    mv "$T/folder.json" "$T/engine/containers/tutor-postgres-1.json"
    rm "$T/engine/secrets/db"
    echo geheim >"$T/engine/secrets/db"
    backup postgres
    json 'd["verdict"] == "good"'
    sed -i 's|^compose-service.*|&\nconnection = dbname=template1|' "$T/lifeboat.conf"
    expect 0 lb backup --dry-run postgres
    prints "database template1"
}
