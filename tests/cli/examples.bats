#!/usr/bin/env bats
# The set-ups of conf/examples: each is found by init --compose, set up, backed up, drilled and restored by the commands of its
# README. tests/lib/examples.bash says what is real here and what is played.
# shellcheck disable=SC2016,SC2030,SC2031 # stand-ins expand their own words; each test is a subshell, and that is meant
load ../lib/examples

proven() {
    expect 0 lifeboat list --json
    json 'd[0]["verdict"] == "good" and d[0]["proven"]'
}

@test "ai-coding-tutor: nothing is reset before it is proven, and everything comes back" {
    unpack ai-coding-tutor
    engine
    postgres tutor ai-coding-tutor-postgres-1 postgres
    files uploads_data
    files notebooks_data
    found
    follow "Set up"
    prints "proven"
    proven

    # the step of the workflow, at a server that is this one
    sed -n '/run: |/,$s/^          //p' "$R/opt/ai-coding-tutor/deploy-step.yml" >"$T/step"
    SERVER=$(sed -n 's/^ *SERVER: //p' "$R/opt/ai-coding-tutor/deploy-step.yml")
    export SERVER
    stand_in ssh <<<'[ "$1 $2 $3" = "-o BatchMode=yes deploy@tutor.example.com" ] && exec sh -c "$4"'
    stand_in sudo <<<'exec "$@"'
    mv "$T/engine/volumes/ai-coding-tutor_uploads_data.json" "$T/gone"
    expect 1 bash -e "$T/step" # no snapshot of everything, no reset
    if grep compose "$T/docker.calls"; then return 1; fi
    mv "$T/gone" "$T/engine/volumes/ai-coding-tutor_uploads_data.json"
    expect 0 bash -e "$T/step"
    [ "$(grep compose "$T/docker.calls")" = $'compose down -v\ncompose up -d' ]
    [ -z "$(find "$T/volumes" -mindepth 2)" ]
    if same_contents >"$T/out"; then return 1; fi
    expect 0 lifeboat list --json --tag deploy
    json '[(s["verdict"], s["proven"]) for s in d] == [("failed", False), ("good", True)]'
    grep -qF "$(sed -n 's/.*sudo \(lifeboat .*\)/\1/p' "$T/step")" "$R/opt/ai-coding-tutor/README.md" # the line for sudoers

    follow "Restore"
    same_contents
    same_volume uploads_data
    same_volume notebooks_data
}

@test "tlac: cron, a folder for root alone, a mirror that restores, two years and not more" {
    unpack tlac
    engine
    mkdir "$T/engine/secrets" "$R/opt/tlac/secrets"
    echo geheim | tee "$T/engine/secrets/db_password" >"$R/opt/tlac/secrets/db_password"
    postgres tlac tlac-db-1 db POSTGRES_PASSWORD_FILE=/run/secrets/db_password
    echo '{"old": "new"}' >"$R/opt/tlac/link-overrides.json"
    cp -a "$R/opt/tlac" "$T/copy"
    found link-overrides
    grep -q 'link-overrides.json' "$T/found/lifeboat.conf" # left out, with a reason
    play_b2
    credentials b2.credentials "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY"
    follow "Set up"
    [ "$(stat -c %a "$R/store")" = 700 ]
    [ "$(find "$R/store" -type f -printf '%m\n' | sort -u)" = 600 ]
    if grep -rqF -e repeat -e geheim "$R/store"; then return 1; fi
    proven
    # A receipt goes to the mirror with the next backup.
    diff <(cd "$R/store" && find . -type f | sed 's|^\./||' | grep -v receipts/ | sort) <(s3 LIST example-tlac server-1/)

    follow "At night"
    sed -n 's/^[0-9]\+ .*\troot\t//p' "$R/etc/cron.d/lifeboat" >"$T/lines"
    [ "$(wc -l <"$T/lines")" = 4 ]
    [ "$(sed -n 's/ -q backup$//p' "$R/etc/cron.d/lifeboat")" = $'0 3 * * *\troot\tlifeboat' ]
    while read -r line; do
        expect 0 sh -c "$line"
        [ ! -s "$T/out" ] && [ ! -s "$T/err" ]
    done <"$T/lines"
    [ "$(s3 LIST example-tlac server-1/snapshots/ | wc -l)" = 2 ]

    # 24 months with the one that runs, and 7 days
    expect 0 lifeboat --json prune --simulate 1200d --every 24h
    json 'len(d["held"]) <= 24 + 8' || head -c 600 "$T/out"

    query 'DROP TABLE articles' 'UPDATE users SET name = NULL'
    rm -r "$R/opt/tlac/link-overrides.json" "$R/store" # the mirror has it all
    sed -i 's/^    lifeboat /&--store away /; s/lifeboat cat/lifeboat --store away cat/' "$R/opt/tlac/README.md"
    follow "Restore"
    same_contents
    diff "$T/copy/link-overrides.json" "$R/opt/tlac/link-overrides.json"
    diff -r "$T/copy/secrets" "$R/root/back/compose-files/$R/opt/tlac/secrets"
}

# rights FILE: gives the second account what conf/examples/FILE says. (Backblaze has keys with capabilities in place of policies.)
rights() {
    python3 - "$EXAMPLES/$1" <<'PY' | python3 "$TESTS/lib/s3.py" PUT '/example-course-backups?policy'
import json, sys
p = json.loads(open(sys.argv[1]).read().replace("BUCKET", "example-course-backups"))
for s in p["Statement"]:
    s["Principal"] = {"AWS": ["arn:aws:iam:::user/test2"]}
print(json.dumps(p))
PY
}
# This server calls a policy for one account public: check --store says that, with 3.
public() { sed -i 's/^    lifeboat check --store$/& || [ $? = 3 ]/' "$R/opt/course-supporter/README.md"; }

@test "course-supporter: the server adds to the bucket, and another machine drills, prunes and restores" {
    unpack course-supporter admin
    public
    ADMIN=$R
    play_b2
    follow "The bucket and its keys"
    [ "$(grep 'key create' "$T/b2.calls" | grep -vc deleteFiles)" = 2 ] # nightly, app
    # Both machines come as another account of this server, which has the rights of the one key or of the other.
    credentials b2-prune.credentials "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2"
    rights aws-prune-policy.json
    follow "Set up: the machine that looks after it"

    rights aws-nightly-policy.json
    unpack course-supporter
    engine
    postgres course_supporter course-supporter-db postgres-cs
    found
    credentials b2.credentials "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2"
    cp -p "$ADMIN/etc/lifeboat/writer.key" "$R/etc/lifeboat/"
    public
    follow "Set up: the server"
    name=snapshots/$(s3 LIST example-course-backups course-supporter/snapshots/)
    if CEPH_ACCESS_KEY=$CEPH_ACCESS_KEY2 CEPH_SECRET_KEY=$CEPH_SECRET_KEY2 s3 DELETE "/example-course-backups/course-supporter/$name" >"$T/out"; then return 1; fi
    prints "AccessDenied"
    expect 3 lifeboat check --store
    prints "object-lock-days locks for 14 days"
    expect 2 lifeboat cat latest postgres-cs # cannot read what it stored
    cp -a "$R/opt/course-supporter/.env" "$T/env"


    R=$ADMIN LIFEBOAT_CONFIG=$ADMIN/etc/lifeboat/lifeboat.conf
    rights aws-prune-policy.json
    follow "At night"
    proven
    query 'DROP TABLE articles' 'DELETE FROM users'
    follow "Restore"
    same_contents
    diff "$T/env" "$R/root/back/$T/server/opt/course-supporter/.env"
}

# Elasticsearch, as far as the example goes: an index, and snapshots of it in the registered repository.
play_elasticsearch() {
    echo "an index" >"$T/index"
    stand_in curl <<SH
case "\$*" in
*"-X PUT localhost:9200/_snapshot/lifeboat "*'{"type": "fs", "settings": {"location": "/usr/share/elasticsearch/snapshots"}}') touch "$T/registered" ;;
*"-X DELETE localhost:9200/_snapshot/lifeboat/night") rm -f "$T/volumes/es_snapshots/night" ;;
*"-X PUT localhost:9200/_snapshot/lifeboat/night?wait_for_completion=true")
    [ -e "$T/registered" ] && cp "$T/index" "$T/volumes/es_snapshots/night" && echo "{\"snapshot\":{\"state\":\"\$(cat "$T/state.es")\"}}" ;;
*"-X POST localhost:9200/_snapshot/lifeboat/night/_restore?wait_for_completion=true") cp "$T/volumes/es_snapshots/night" "$T/index" ;;
*) exit 22 ;;
esac
SH
    echo SUCCESS >"$T/state.es"
}

# A Redis with a password; in "its container" redis-cli leads to it.
redis_start() {
    redis-server --port 0 --unixsocket "$T/redis.sock" --dir "${1:-$T}" --save '' --repl-diskless-sync-delay 0 --pidfile "$T/redis.pid" --requirepass topfgeheim --daemonize yes >"$T/redis.log"
    printf '#!/bin/sh\nexec /usr/bin/redis-cli -s %s "$@"\n' "$T/redis.sock" >"$T/bin/redis-cli"
    chmod 755 "$T/bin/redis-cli"
    soon redis ping
}
redis() { REDISCLI_AUTH=topfgeheim redis-cli "$@"; }

@test "blog-creator: PostgreSQL, a real Redis, ChromaDB, Elasticsearch's snapshots; metrics and JSON logs" {
    unpack blog-creator
    engine
    postgres blog blog-creator-db-1 db
    files chroma_data
    files media_data
    volume blog-creator_redis_data "$T/volumes/redis_data" && mkdir "$T/volumes/redis_data"
    volume blog-creator_es_snapshots "$T/volumes/es_snapshots" && mkdir "$T/volumes/es_snapshots"
    play_elasticsearch
    echo REDIS_PASSWORD=topfgeheim >"$T/engine/blog-creator-redis-1.env"
    redis_start
    redis rpush jobs one two three >/dev/null
    redis set draft "$(seq 5000 | tr -d '\n')" >/dev/null
    found
    follow "Set up"
    proven
    [ "$(grep -E '^(stop|start)' "$T/docker.calls")" = $'stop blog-creator-chroma-1\nstart blog-creator-chroma-1' ]
    if grep -q geheim "$T/docker.calls"; then return 1; fi
    expect 0 lifeboat show latest --json

    python3 "$TESTS/lib/exposition.py" "$R/prometheus/node-exporter/lifeboat.prom"
    follow "Metrics and logs"
    sed -n 's/^ExecStart=\(.\+\)/\1/p' "$R/etc/systemd/system/lifeboat-backup.service.d/json-logs.conf" >"$T/line"
    expect 0 sh -c "$(cat "$T/line")"
    python3 -c 'import json, sys; [json.loads(l)["message"] for l in open(sys.argv[1])]' "$T/err"
    echo PARTIAL >"$T/state.es" # a snapshot that is not whole is none
    expect 1 sh -c "$(cat "$T/line")"
    python3 -c 'import json, sys; assert any("es_snapshots" in json.loads(l)["message"] for l in open(sys.argv[1]))' "$T/err"
    echo SUCCESS >"$T/state.es"
    expect 0 lifeboat -q backup

    redis shutdown nosave
    query 'DROP TABLE articles'
    rm -r "$T"/volumes/*/* "$T/index"
    follow "Restore"
    same_contents
    same_volume chroma_data
    same_volume media_data
    [ "$(cat "$T/index")" = "an index" ]
    redis_start "$T/volumes/redis_data"
    [ "$(redis lrange jobs 0 -1 | tr '\n' ' ')" = "one two three " ]
    [ "$(redis get draft)" = "$(seq 5000 | tr -d '\n')" ]
}

# mongodump, mongorestore and mongod, as far as the example goes: the database is a file.
play_mongo() {
    seq -f '{"n": %g}' 20000 >"$T/mongo"
    cp "$T/mongo" "$T/mongo.copy"
    stand_in password_of <<<'python3 -c "import re, sys; print(re.fullmatch(r\"password: \|-\n  (.*)\n\", open(sys.argv[1]).read())[1])" "$1"'
    stand_in mongodump <<SH
case "\$*" in
"--quiet --archive --authenticationDatabase admin --username root --config "*) [ "\$(password_of "\$8")" = geheim ] ;;
"--quiet --archive --config=$R/etc/lifeboat/atlas.yaml") grep -q '^uri: mongodb+srv://' "\${3#*=}" ;;
*) exit 1 ;;
esac || exit 1
echo mongodump archive && cat "$T/mongo"
SH
    stand_in mongod <<SH
[[ "\$*" =~ --dbpath\ ($T/container/db)\  ]] && touch "\${BASH_REMATCH[1]}/up"
SH
    stand_in mongorestore <<SH
case "\$*" in
"--quiet --archive --stopOnError") [ -e "$T/container/db/up" ] && to=$T/container/db/data ;;
"--quiet --archive --drop --authenticationDatabase admin --username root --config "*) [ "\$(password_of "\$9")" = geheim ] && to=$T/mongo ;;
*) false ;;
esac || exit 1
read -r first && [ "\$first" = "mongodump archive" ] && cat >"\$to" && echo "\$to" >>"$T/restores"
SH
}

@test "brainbytes: MongoDB on a small server, in a container or at Atlas" {
    unpack brainbytes
    engine
    files uploads 1000000
    for _ in $(seq 100); do cat "$T/copies/uploads/sub/noise"; done | tee "$T/copies/uploads/large" >"$T/volumes/uploads/large"
    touch -r "$T/copies/uploads/large" "$T/volumes/uploads/large"
    touch -r "$T/copies/uploads" "$T/volumes/uploads"
    play_mongo
    printf 'MONGO_INITDB_ROOT_USERNAME=root\nMONGO_INITDB_ROOT_PASSWORD=geheim\n' >"$T/engine/brainbytes-mongo-1.env"
    found
    play_b2
    b2 bucket create example-brainbytes allPrivate
    credentials b2.credentials "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY"
    follow "Set up"
    proven
    [ "$(cat "$T/restores")" = "$T/container/db/data" ] # the drill's own server, and no other
    if grep -q geheim "$T/docker.calls"; then return 1; fi
    follow "Small"
    expect 0 python3 -c 'import resource, subprocess, sys
subprocess.run(["lifeboat", "-q", "backup", "--read-all"], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)'
    [ "$(cat "$T/out")" -lt 128 ] # MemoryMax of small-server.conf is twice that
    [ "$(find "$R/state" "$R/cache" -type f -size +1M | wc -l)" = 0 ]

    echo lost >"$T/mongo"
    rm -r "$T/volumes/uploads"/*
    follow "Restore"
    cmp "$T/mongo" "$T/mongo.copy"
    same_volume uploads

    # the other [source mongo]
    awk 'FNR == NR { atlas = atlas $0 "\n"; next } /^\[source mongo\]/ { printf "%s", atlas; skip = 1 } /^\[/ && !/mongo/ { skip = 0 } !skip' \
        "$R/opt/brainbytes/atlas.conf" "$R/opt/brainbytes/lifeboat.conf" >"$LIFEBOAT_CONFIG"
    (umask 077 && sed -n 's/^#   uri/uri/p' "$R/opt/brainbytes/atlas.conf" >"$R/etc/lifeboat/atlas.yaml")
    expect 0 lifeboat -q backup mongo
    expect 0 lifeboat -q drill latest:mongo mongo
    expect 0 lifeboat cat latest:mongo mongo
    tail -n +2 "$T/out" | cmp - "$T/mongo.copy"
}

@test "every file is installed, and no configuration has anything to complain about" {
    expect 0 make -s -C "$TESTS/.." O="${BUILD#"$(realpath "$TESTS/..")/"}" DESTDIR="$T/root" PREFIX=/usr install
    diff -r "$EXAMPLES" "$T/root/usr/share/doc/lifeboat/examples"
    for conf in "$EXAMPLES"/*/lifeboat.conf "$EXAMPLES"/*/admin.conf "$EXAMPLES"/*.conf; do
        expect 0 lifeboat -c "$conf" prune --simulate 10d
        [ ! -s "$T/err" ]
    done
}
