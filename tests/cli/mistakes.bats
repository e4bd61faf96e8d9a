#!/usr/bin/env bats
# Mistakes that people make, and what they are told: what failed, on which object, why, and what to do about it. A line for
# each: mistake EXIT-CODE 'WORDS|MORE WORDS|...' COMMAND...; all of the words must stand in the message.
# shellcheck disable=SC2030,SC2031,SC2016 # each test is a subshell, and that is meant; dollars are for others
load ../lib/common

# One repository for all, which a test copies.
setup_file() {
    export MADE PGT
    make_folder
    write_config
    chmod 755 "$T"
    init
    backup
    expect 0 lb key add --identity-out "$T/second.key" --label "the safe"
    MADE=$T
    PGT=$T/server
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    pg_start "$PGT"
    psql -qXd postgres -c "CREATE TABLE t(id int PRIMARY KEY)" -c "INSERT INTO t SELECT generate_series(1, 10)" \
        -c "CREATE ROLE nobody_yet LOGIN PASSWORD 'secret' IN ROLE needs_password" -c "CREATE ROLE reader LOGIN"
}

teardown_file() {
    # shellcheck source=tests/lib/pg.sh
    . "$BATS_TEST_DIRNAME/../lib/pg.sh"
    pg_stop "$PGT"
    T=$MADE remove_folder
}

setup() {
    T=$MADE/test-$BATS_TEST_NUMBER
    mkdir "$T"
    cp -a "$MADE/files" "$MADE/store" "$MADE/keys" "$MADE/state" "$MADE/cache" "$MADE/kit.txt" "$MADE/second.key" "$T"
    write_config
}

teardown() {
    # shellcheck source=tests/lib/ceph.sh
    . "$BATS_TEST_DIRNAME/../lib/ceph.sh"
    if [ -e "$T/proxy/pid" ]; then kill "$(cat "$T/proxy/pid")"; fi
    if [ -d "$T/ceph" ]; then ceph_stop "$T/ceph"; fi
    remove_folder
}

mistake() {
    local want=$1 words=$2 word
    shift 2
    expect "$want" "$@"
    while [ -n "$words" ]; do
        word=${words%%|*}
        words=${words#"$word"}
        words=${words#|}
        says "$word"
    done
}

# with LINE... -- COMMAND...: with more lines at the end of the configuration.
with() {
    cp "$T/lifeboat.conf" "$T/with.conf"
    while [ "$1" != -- ]; do
        echo "$1" >>"$T/with.conf"
        shift
    done
    shift
    "$LIFEBOAT" -c "$T/with.conf" "$@"
}

# without REGEX COMMAND...: without the lines that match.
without() {
    sed "/$1/d" "$T/lifeboat.conf" >"$T/without.conf"
    shift
    "$LIFEBOAT" -c "$T/without.conf" "$@"
}

# edited SCRIPT COMMAND...: with the configuration as sed changes it.
edited() {
    sed "$1" "$T/lifeboat.conf" >"$T/edited.conf"
    shift
    "$LIFEBOAT" -c "$T/edited.conf" "$@"
}

@test "slips of the fingers" {
    mistake 2 'bakcup|did you mean backup?' lb bakcup
    mistake 2 'undelete: unknown command|lifeboat help' lb undelete
    mistake 2 'which command?|lifeboat help COMMAND' lb
    mistake 2 '--jsno|did you mean --json?' lb list --jsno
    mistake 2 '-x: unknown option|lifeboat help backup' lb backup -x
    mistake 2 '--to wants a value: TARGET' lb restore latest files --to
    mistake 2 'wants: lifeboat show SNAP' lb show
    mistake 2 '[source fils]|did you mean files?' lb backup fils
    mistake 2 'has no source fils|files' lb restore latest fils --to "$T/back"
    mistake 2 '"lates" is not a snapshot|latest' lb show lates
    mistake 2 'no good or degraded snapshot of fils|did you mean latest:files?' lb show latest:fils
    mistake 2 '00ff00ff|there is no such snapshot|lifeboat list' lb show 00ff00ff
    mistake 2 'no [store mian]|did you mean main?' lb --store mian list
    mistake 2 'frob|is not a time|2026-03-01 02:03' lb list --at frob
    mistake 2 'no snapshot of host nohost|lifeboat list' lb show latest --host nohost
    mistake 2 '--jobs many|1 to 64' lb restore latest files --to "$T/back" --jobs many
    mistake 2 'log-format|text|json' lb --log-format xml list
    mistake 2 'there is no such reader|lifeboat key show' lb key remove 00ff00ff
    mistake 2 'one of show, kit, add, remove, passphrase' lb key
}

@test "the configuration" {
    mistake 2 "$T/none.conf|No such file|lifeboat init --compose" "$LIFEBOAT" -c "$T/none.conf" backup
    mistake 2 "$T/files|Is a directory" "$LIFEBOAT" -c "$T/files" backup
    mistake 2 "with.conf:19|colour|unknown key" with 'colour = red' -- list
    mistake 2 "edited.conf:6|identiy|did you mean \"identity\"?" edited 's/^identity/identiy/' list
    mistake 2 "edited.conf:12|sorce|unknown section|did you mean \"source\"?" edited 's/^\[source files/[sorce files/' list
    mistake 2 "with.conf:20|keep-within|30 days|2d" with '[retention]' 'keep-within = 30 days' -- list
    mistake 2 "keep-last|many|number" with '[retention]' 'keep-last = many' -- list
    mistake 2 "min-free|2 percent|whole number from 0 to 50" edited 's/^min-free.*/min-free = 2 percent/' list
    mistake 2 "limit-up|fast|500MiB" with '[store away]' "url = file://$T/away" 'limit-up = fast' -- list
    mistake 2 "path|files|absolute" edited 's/^path = .*/path = files/' list
    mistake 2 "url|backups|file:///" edited 's/^url = .*/url = backups/' list
    mistake 2 "type|volum|none of postgres, volume, command" edited 's/^type = volume/type = volum/' list
    mistake 2 "source files|path" without '^path' list
    mistake 2 "store|url" without '^url' list
    mistake 2 "store away|store main|a mirror is another place" with '[store away]' "url = file://$T/store" -- list
    mistake 2 "source files|[store main] lies in it|exclude = sub/store" edited "s#^url = .*#url = file://$T/files/sub/store#" backup
    mistake 2 "source files|lies in [store main]" edited "s#^path = .*#path = $T/store/packs#" backup
    mistake 2 "source files|stands in line 12 already" with '[source files]' 'type = command' 'command = true' -- list
    mistake 2 "notify|ping-url|https" with '[notify]' 'ping-url = example.org' -- list
    mistake 2 "time-zone|Mars|timedatectl list-timezones" with '[retention]' 'time-zone = Mars/Base' -- list
    mistake 2 "port|numbers" edited 's/^type = command/type = command\nport = 5/' list
}

@test "keys" {
    mv "$T/keys/writer.key" "$T/w"
    mistake 2 "writer.key|there is no writer key|lifeboat init" lb backup
    sed 's/^writer ..../writer 0000/' "$T/w" >"$T/keys/writer.key" && chmod 600 "$T/keys/writer.key"
    mistake 2 "writer.key|was changed|lifeboat init" lb backup
    cp "$T/keys/identity.key" "$T/keys/writer.key"
    mistake 2 "writer.key|is not a writer key file" lb backup
    cp "$T/w" "$T/keys/writer.key" && chmod 644 "$T/keys/writer.key"
    mistake 2 "writer.key|others can read|chmod 600" lb backup
    chmod 600 "$T/keys/writer.key"
    mistake 2 "identity|write-only host|--identity FILE" without '^identity' restore latest files --to "$T/back"
    mistake 2 "write-only host|--identity FILE" without '^identity' drill
    mistake 2 "the identity|$T/none|No such file" lb --identity "$T/none" ls latest files
    mistake 2 "$T/files|is not a regular file" lb --identity "$T/files" ls latest files
    mistake 2 "writer.key|holds no identity|lifeboat-identity 1" lb --identity "$T/keys/writer.key" ls latest files
    cp "$T/second.key" "$T/other.key" && chmod 600 "$T/other.key"
    sed -i 's/^repository ..../repository 0000/' "$T/other.key"
    mistake 2 "other.key|writer.key|two different repositories" lb --identity "$T/other.key" ls latest files
    (umask 077 && echo wrong >"$T/p" && : >"$T/empty")
    mistake 2 "wrong passphrase|lifeboat key show" lb --passphrase-file "$T/p" ls latest files
    mistake 2 "$T/empty|is empty" lb --passphrase-file "$T/empty" ls latest files
    mistake 2 "give one of --identity FILE or --passphrase-file FILE" lb --passphrase-file "$T/p" --identity "$T/second.key" ls latest files
    mistake 2 "set up already|nothing was changed" lb init
    mistake 2 "holds repository|already|--identity FILE" edited "s#^\(writer\|identity\) = .*#\1 = $T/new/\1#" init
    mistake 2 "--recipient|64 hex digits" lb key add --recipient 1234
    mistake 2 "second.key|is there already" lb key add --identity-out "$T/second.key"
    mistake 2 "last reader|add another first" sh -c "set -e; for id in \$('$LIFEBOAT' -c '$T/lifeboat.conf' --json key show | python3 -c 'import json, sys; print(*(r[\"id\"] for r in json.load(sys.stdin)[\"readers\"]))'); do '$LIFEBOAT' -c '$T/lifeboat.conf' key remove \$id; done"
}

@test "the store" {
    mistake 2 "$T/nowhere|no such folder|mounted|lifeboat init" edited "s#^url = .*#url = file://$T/nowhere#" list
    mkdir "$T/empty"
    mistake 2 "$T/empty|holds no repository|mounted|lifeboat init" edited "s#^url = .*#url = file://$T/empty#" list
    mistake 2 "kit.txt|is not a folder" edited "s#^url = .*#url = file://$T/kit.txt#" list
    mistake 2 "relative|file:///PATH" "$LIFEBOAT" --identity "$T/second.key" --store relative/path list
    mistake 2 "s3://|bucket" "$LIFEBOAT" --identity "$T/second.key" --store s3:// list
    mistake 2 "ftp|file:///|s3://" edited "s#^url = .*#url = ftp://example.org/x#" list
    mistake 2 "no credentials|credentials = FILE|AWS_ACCESS_KEY_ID" env -u AWS_ACCESS_KEY_ID "$LIFEBOAT" --identity "$T/second.key" --store s3://bucket/x list
    mistake 2 "insecure" env AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b "$LIFEBOAT" --identity "$T/second.key" --store 's3://bucket/x?endpoint=http://127.0.0.1:1' list
    echo "access-key = x" >"$T/b2" && chmod 600 "$T/b2"
    mistake 2 "$T/b2|no secret-key" with '[store away]' 'url = s3://bucket/x' 'endpoint = https://127.0.0.1:1' "credentials = $T/b2" -- --store away list
    mistake 2 "$T/store|require-mount|mount that disk" edited "s#^min-free.*#require-mount = yes#" backup
    printf 'another' >"$T/store/lifeboat"
    mistake 5 "$T/store|object lifeboat|is not JSON" lb list
}

@test "where to restore to" {
    mkdir "$T/full" && touch "$T/full/x"
    mistake 2 "$T/full|is not empty|--overwrite" lb restore latest files --to "$T/full"
    mistake 2 "where to?|--to" lb restore latest files
    mistake 2 "source files|one.txt|Not a directory" lb restore latest files --to "$T/files/one.txt"
    mistake 2 "--to takes a folder|files" lb restore latest files --to "dbname=x"
    mistake 2 "nowhere.txt|is not in this snapshot|lifeboat ls" lb restore latest files --to "$T/back" --path nowhere.txt
    mistake 2 "--table means nothing for files" lb restore latest files --to "$T/back" --table t
    mistake 2 "--path means nothing for numbers" lb restore latest numbers --to "$T/back" --path x
    mistake 2 "numbers|restore-command" without '^restore-command' restore latest numbers --to "$T/back"
    mistake 2 "name those that are meant" lb restore latest --to -
    mistake 2 "numbers|no files to look at|lifeboat cat" lb ls latest numbers
    mistake 1 "nosuch|lifeboat ls" lb ls latest files nosuch
}

db() { printf '[source db]\ntype = postgres\nconnection = %s\n' "$1" >>"$T/lifeboat.conf"; }

@test "databases: the source" {
    cp "$T/lifeboat.conf" "$T/plain.conf"
    fails() { # CODE WORDS CONNECTION
        cp "$T/plain.conf" "$T/lifeboat.conf"
        db "$3"
        mistake "$1" "$2" lb backup db
    }
    fails 1 "db|is the server running|postgresql" "host=$T user=postgres dbname=postgres"
    fails 1 "db|nowhere|psql -l" "host=$PGHOST user=postgres dbname=nowhere"
    fails 1 "db|nobody_at_all|create the role" "host=$PGHOST user=nobody_at_all dbname=postgres"
    fails 1 "db|password|passfile" "host=$PGHOST user=nobody_yet dbname=postgres"
    PGPASSWORD=wrong fails 1 "db|password authentication failed|check the password" "host=$PGHOST user=nobody_yet dbname=postgres"
    fails 1 "db|host name|DNS" "host=no.such.host.invalid user=postgres dbname=postgres"
    fails 1 "db|pg_read_all_data" "host=$PGHOST user=reader dbname=postgres"
    fails 2 "connection|db" "host postgres"
}

@test "databases: programs that are older than the server" {
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    mkdir -p "$T/old/9/bin"
    for p in pg_dump pg_dumpall pg_restore; do
        printf '#!/bin/sh\necho "%s (PostgreSQL) 9.6.24"\n' $p >"$T/old/9/bin/$p"
        chmod 755 "$T/old/9/bin/$p"
    done
    db "host=$PGHOST user=postgres dbname=postgres"
    major=$(($(psql -qAtX -d postgres -c 'SHOW server_version_num') / 10000))
    mistake 1 "database postgres|pg_dump|too old for $major|postgresql-client-$major" unshare -m sh -c 'mount --bind "$1/old" /usr/lib/postgresql && PATH=$1/old/9/bin:/usr/bin:/bin exec "$0" -c "$1/lifeboat.conf" backup db' "$LIFEBOAT" "$T"
}

@test "buckets" {
    start_ceph "$T"
    s3 PUT /bucket
    bucket() { # NAME ACCESS-KEY SECRET-KEY COMMAND...
        (umask 077 && printf 'access-key = %s\nsecret-key = %s\n' "$2" "$3" >"$T/b2")
        sed "s#^url = .*#url = s3://$1/x\nendpoint = ${URL:-$CEPH_HTTP}\ninsecure = yes\ncredentials = $T/b2#; /^min-free/d" "$T/lifeboat.conf" >"$T/bucket.conf"
        shift 3
        "$LIFEBOAT" -c "$T/bucket.conf" "$@"
    }
    mistake 1 "s3://buckte|NoSuchBucket" bucket buckte "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" list
    mistake 1 "SignatureDoesNotMatch|secret" bucket bucket "$CEPH_ACCESS_KEY" wrong list
    mistake 1 "InvalidAccessKeyId|access key" bucket bucket NOBODY x list
    mistake 1 "AccessDenied|may not" bucket bucket "$CEPH_ACCESS_KEY2" "$CEPH_SECRET_KEY2" list
    mistake 2 "holds no repository|lifeboat init" bucket bucket "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" list
    mkdir "$T/proxy"
    echo '{"clock_s": 800}' >"$T/proxy/plan"
    python3 "$BATS_TEST_DIRNAME/../lib/s3_proxy.py" "${CEPH_HTTP#http://}" "$T/proxy" >"$T/proxy/out" 2>&1 3>&- </dev/null &
    echo $! >"$T/proxy/pid"
    soon test -e "$T/proxy/port"
    to_stderr() { "$@" >&2; }
    URL=http://127.0.0.1:$(cat "$T/proxy/port")
    mistake 3 "this machine's clock is 13 min|set it" to_stderr bucket bucket "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" check --store
}

@test "another user" {
    [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || skip "only root can become another user"
    nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$LIFEBOAT" -c "$T/lifeboat.conf" "$@"; }
    chmod 755 "$T"
    chmod 644 "$T/lifeboat.conf"
    chmod 711 "$T/keys"
    mistake 2 "[state] directory $T/state|cannot be written to|run lifeboat as the user it belongs to" nobody backup
    chown -R 65534 "$T/state" "$T/cache"
    mistake 2 "$T/keys/writer.key|user 65534 may not read it|run lifeboat as root or its owner" nobody backup
    chown -R 65534 "$T/keys"
    mistake 1 "$T/store|Permission denied" nobody backup
}

@test "databases: where to restore to" {
    db "host=$PGHOST user=postgres dbname=postgres"
    expect 0 lb -q backup db
    to="host=$PGHOST user=postgres"
    mistake 2 "postgres|not empty|--clean" lb restore latest:db db --to "$to dbname=postgres"
    mistake 2 "nosuch|is not in this backup|pg_restore --list" lb restore latest:db db --to "$to dbname=back" --table nosuch
    mistake 2 "public.tt|did you mean public.t?" lb restore latest:db db --to "$to dbname=back" --table public.tt
    mistake 2 "t exists|rename it first|another" lb restore latest:db db --to "$to dbname=postgres" --table t
    mistake 2 "db is a database|host=/run/postgresql dbname=db" lb restore latest:db db --to "$T/back"
    mistake 2 "dbname" lb restore latest:db db --to "$to"
    mistake 1 "database back|CREATEDB|user=" lb restore latest:db db --to "host=$PGHOST user=reader dbname=back"
}

@test "folders, commands, the machine" {
    mv "$T/files" "$T/moved"
    mistake 1 "source files|$T/files|no such folder|mounted" lb backup files
    touch "$T/files"
    mistake 1 "$T/files|folder" lb backup files
    rm "$T/files" && mv "$T/moved" "$T/files"
    mistake 1 "numbers|no-such-program|not found" edited 's/^command = .*/command = no-such-program/' backup numbers
    mistake 1 "numbers|printed nothing|allow-empty" edited 's/^command = .*/command = true/' backup numbers
    mistake 1 "numbers|exit status 3" edited 's/^command = .*/command = echo x; exit 3/' backup numbers
    mistake 2 "no such program|no-such-program" lb guard -- no-such-program
    mistake 2 "guard|COMMAND" lb guard
    mistake 2 "drill|$T/files|apart" with '[drill]' "directory = $T/files/drill" -- drill
    gate off
    beside edited "s|^command = .*|command = touch $T/on; read -r x <$T/off; seq 20000|" -q backup numbers >/dev/null 2>&1
    soon test -e "$T/on"
    mistake 1 "another lifeboat is at work|wait for it" lb backup files
    echo >"$T/off"
    wait $!
    mistake 2 "lifeboat.conf|has no mirror|[store NAME]" lb copy
    mistake 2 "lifeboat.conf|has no mirror|[store NAME]" lb repair
}

@test "a disk that is full, one that is read-only" {
    mount_disk 800k
    head -c 2000000 /dev/urandom >"$T/files/big"
    backup files
    head -c 2000000 /dev/urandom >"$T/files/big"
    rm -r "$T/state"
    cp -a "$MADE/store/." "$T/mount"
    mistake 1 "$T/mount|No space left|lifeboat prune --exclusive" edited "s#$T/store#$T/mount#" backup files
    mistake 1 "$T/mount/back|No space left" lb restore latest files --to "$T/mount/back"
    mount -o remount,ro "$T/mount"
    mistake 1 "$T/mount|Read-only file system" edited "s#$T/store#$T/mount#" backup files
}

@test "there are more than fifty" {
    n=$(grep -cE '^ *(PGPASSWORD=wrong )?(mistake|fails) [0-9]' "$BATS_TEST_FILENAME")
    [ "$n" -ge 50 ]
}
