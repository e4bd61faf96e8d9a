# shellcheck shell=bash
# examples.bash: runs a folder of conf/examples as it is shipped. Real here: PostgreSQL (one version, for all that the compose
# files name), Redis, folders, an S3 server (Ceph, in the place of Backblaze B2). Played: the engine's API (engine.py), and by
# programs in $T/bin `docker`, `ssh`, `sudo`, `b2`, and mongodump, mongorestore, mongod, Elasticsearch's curl.
# shellcheck source=tests/lib/bucket.bash
load ../lib/bucket
load ../lib/engine
EXAMPLES=$TESTS/../conf/examples

setup() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/lifeboat-cli-XXXXXX")
    chmod go+x "$T"
    mkdir "$T/bin"
    ln -s "$(realpath "$LIFEBOAT")" "$T/bin/lifeboat"
    PATH=$T/bin:$PATH
}

teardown() {
    engine_stop
    [ ! -d "$T/pg" ] || pg_stop "$T/pg"
    [ ! -e "$T/redis.pid" ] || kill "$(cat "$T/redis.pid")"
    remove_folder
}

# unpack EXAMPLE [MACHINE]: the example in $R/opt/EXAMPLE, fitted to this machine by these substitutions and no others.
unpack() {
    EXAMPLE=$1 R=$T/${2:-server}
    export PROJECT=$1 LIFEBOAT_CONFIG=$R/etc/lifeboat/lifeboat.conf
    mkdir -p "$R/opt" "$R/root" "$R/etc/cron.d"
    cp -r "$EXAMPLES/$1" "$R/opt/$1"
    find "$R/opt/$1" -type f -exec sed -i \
        -e "s|/etc/lifeboat|$R/etc/lifeboat|g; s|/etc/cron.d|$R/etc/cron.d|g; s|/etc/systemd|$R/etc/systemd|g" \
        -e "s|/opt/|$R/opt/|g; s|'opt/|'${R#/}/opt/|g; s|/root/|$R/root/|g" \
        -e "s|/var/backups/lifeboat|$R/store|g; s|/var/lib/prometheus|$R/prometheus|g; s|/usr/local/bin/lifeboat|lifeboat|" \
        -e "s|^url = file:.*|&\nmin-free = 0|" \
        -e "s|^endpoint = .*|endpoint = $CEPH_HTTPS\nca-file = $CEPH_CA|" \
        -e "s|^\[keys\]|[state]\ndirectory = $R/state\ncache = $R/cache\n&|" {} +
    sed 's/change-me-too/topfgeheim/; s/change-me/geheim/' "$R/opt/$1/env.example" >"$R/opt/$1/.env"
}

# credentials FILE KEY SECRET
credentials() {
    mkdir -p "$R/etc/lifeboat"
    (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$2" "$3" >"$R/etc/lifeboat/$1")
}

# follow SECTION: runs the commands of that part of the example's README, as they stand there.
follow() {
    sed -n "/^## $1\$/,/^## /s/^    //p" "$R/opt/$EXAMPLE/README.md" >"$T/commands"
    [ -s "$T/commands" ]
    cd "$R/opt/$EXAMPLE" || return
    expect 0 bash -euxo pipefail "$T/commands"
}

# found: what init --compose finds in the example is what its configuration backs up, by the same settings; [EXTRA SOURCE...]
found() {
    expect 0 lifeboat -c "$T/found/lifeboat.conf" -q init --compose "$R/opt/$EXAMPLE/docker-compose.yml"
    [ ! -s "$T/err" ]
    python3 - "$T/found/lifeboat.conf" "$R/opt/$EXAMPLE/lifeboat.conf" "$@" <<'PY'
import re, sys
def sources(path):
    found, at = {}, None
    for line in open(path, encoding="utf-8"):
        section, setting = re.match(r"\[(.*)\]$", line), re.match(r"([a-z-]+) = (.*)", line)
        if section:
            at = found.setdefault(section[1], {})
        elif setting:
            at[setting[1]] = setting[2]
    wanted = "type compose-service container docker-volume path command restore-command".split()
    return {k: {w: v[w] for w in wanted if w in v} for k, v in found.items() if k.startswith("source ")}
made, shipped = sources(sys.argv[1]), sources(sys.argv[2])
for extra in sys.argv[3:]:
    del shipped["source " + extra]
assert made == shipped, f"\n{made}\n{shipped}"
PY
}

# stand_in NAME: a program of that name, from standard input.
stand_in() {
    { echo '#!/bin/bash' && cat; } >"$T/bin/$1"
    chmod 755 "$T/bin/$1"
}

# The engine, with what the examples ask of `docker` besides exec: compose, whose `down -v` empties the volumes and the
# database; stop, start; volume inspect; and `run --rm`, whose container is a folder.
engine() {
    engine_start
    : >"$T/docker.calls"
    mv "$T/bin/docker" "$T/bin/docker-exec"
    stand_in docker <<SH
[ "\$1" = exec ] && exec "$T/bin/docker-exec" "\$@"
echo "\$*" >>"$T/docker.calls"
case "\$1 \$2 \$3" in
"compose down -v")
    for v in "$T"/engine/volumes/*.json; do find "\$(mountpoint_of "\$v")" -mindepth 1 -delete; done
    PGHOST=$T/pg PGPORT=\$(cat "$T/port") PGUSER=postgres psql -qX -d postgres -c "DROP DATABASE \$(cat "$T/database")" -c "CREATE DATABASE \$(cat "$T/database")" ;;
"compose up "* | "compose create "* | "stop "* | "start "*) ;;
"volume inspect -f") [ "\$4" = '{{.Mountpoint}}' ] && mountpoint_of "$T/engine/volumes/\$5.json" ;;
"run --rm -i")
    mkdir "$T/container"
    bash -c "\${!#//\/tmp\//$T/container/}" || s=\$?
    rm -r "$T/container"
    exit \${s:-0} ;;
*) echo "docker \$*: nobody plays that" >&2 && exit 64 ;;
esac
SH
    stand_in mountpoint_of <<'SH'
exec python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["Mountpoint"])' "$1"
SH
}

# postgres NAME CONTAINER SERVICE [VARIABLE=VALUE]: the database of an example.
postgres() {
    database_start "$1"
    echo "$1" >"$T/database"
    echo "$PORT" >"$T/port"
    query 'CREATE TABLE articles AS SELECT i AS id, repeat(md5(i::text), 20) AS text FROM generate_series(1, 1000) i' \
        'CREATE INDEX ON articles (md5(text))' "CREATE TABLE sessions (id int)" "INSERT INTO sessions VALUES (1)"
    container "$2" "$3" running - "$PORT" "POSTGRES_USER=$1" "POSTGRES_DB=$1" "${4:-POSTGRES_PASSWORD=geheim}"
    printf 'POSTGRES_USER=%s\nPOSTGRES_DB=%s\nPGHOST=%s\nPGPORT=%s\n' "$1" "$1" "$T/pg" "$PORT" >"$T/engine/$2.env"
    contents >"$T/contents"
}

query() {
    local words=()
    for q in "$@"; do words+=(-c "$q"); done
    PGHOST=$T/pg PGPORT=$PORT PGUSER=postgres psql -AtqX -v ON_ERROR_STOP=1 -d "$(cat "$T/database")" "${words[@]}"
}

# Every definition and every row.
contents() {
    PGHOST=$T/pg PGPORT=$PORT PGUSER=postgres pg_dump --no-owner "$(cat "$T/database")" | sed '/^\\\(un\)\?restrict /d'
}
same_contents() { contents | diff "$T/contents" -; }

# files VOLUME [BYTES]: a volume with something in it, and a copy to compare with.
files() {
    mkdir -p "$T/volumes/$1/sub" "$T/copies"
    echo "one of $1" >"$T/volumes/$1/one.txt"
    head -c "${2:-200000}" /dev/urandom >"$T/volumes/$1/sub/noise"
    ln -s one.txt "$T/volumes/$1/link"
    chmod 640 "$T/volumes/$1/one.txt"
    volume "$PROJECT"_"$1" "$T/volumes/$1"
    cp -a "$T/volumes/$1" "$T/copies/$1"
}
same_volume() { python3 "$TESTS/lib/compare_trees.py" "$T/copies/$1" "$T/volumes/$1"; }

# Backblaze's command line, as far as the READMEs go: buckets are made at the S3 server.
play_b2() {
    stand_in b2 <<SH
echo "\$*" >>"$T/b2.calls"
case "\$1 \$2" in
"bucket create") python3 "$TESTS/lib/s3.py" PUT "/\${*: -2:1}" \$([[ "\$*" = *--file-lock-enabled* ]] && echo x-amz-bucket-object-lock-enabled:true) </dev/null ;;
"bucket update" | "key create") ;;
*) exit 64 ;;
esac
SH
}
