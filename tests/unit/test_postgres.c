/* The postgres source against a real server. */
#include "testing.h"

#include "pg_cluster.h"

#include "base/child.h"
#include "base/file.h"
#include "source/pg_client.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define ODD "a=b \"q\" 'é'"

/* ---- the source when things are not as they should be ---- */

static void assert_fails(struct pg_backup *b, const char *text)
{
    backup_run(b);
    assert_int_equal(b->rc, -1);
    assert_text(b->e, text);
    assert_int_equal(b->result.verdict, VERDICT_FAILED);
    assert_int_equal(b->result.stream_count, 0);
}

static void connect_with(struct pg_backup *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void connect_with(struct pg_backup *b, const char *fmt, ...)
{
    va_list ap;
    free(b->config.connection);
    va_start(ap, fmt);
    assert_true(vasprintf(&b->config.connection, fmt, ap) >= 0);
    va_end(ap);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct pg_backup b;
    const char *at = cluster_folder();
    backup_init(&b, "postgres");
    connect_with(&b, "host=%s port=1 dbname=postgres", at);
    assert_fails(&b, ".s.PGSQL.1\" failed: No such file or directory");
    assert_text(b.e, "is the server running (systemctl");
    assert_null(strstr(b.e.text, "Is the server"));
    connect_with(&b, "host=%s dbname=nowhere", at);
    assert_fails(&b, "database \"nowhere\" does not exist");
    connect_with(&b, "host=%s user=nobody_here dbname=postgres", at);
    assert_fails(&b, "role \"nobody_here\" does not exist");
    connect_with(&b, "hots=%s", at);
    assert_fails(&b, "invalid connection option \"hots\"");
    assert_int_equal(b.e.kind, ERR_USAGE);
    backup_free(&b);
}

static void test_passwords(void **state)
{
    (void)state;
    struct pg_backup b;
    const char *at = cluster_folder();
    backup_init(&b, "small");
    connect_with(&b, "host=%s user=needs_it dbname=small", at);
    assert_fails(&b, "no password supplied");
    assert_text(b.e, ".pgpass");
    setenv("PGPASSWORD", "wrong", 1);
    assert_fails(&b, "password authentication failed");
    setenv("PGPASSWORD", "p'w \\", 1);
    backup_run(&b);
    assert_good(&b);
    unsetenv("PGPASSWORD");
    connect_with(&b, "host=%s user=needs_it dbname=small password='p\\'w \\\\'", at);
    backup_run(&b);
    assert_good(&b);
    assert_sentence(&b.result.notes, "without their passwords: needs_it may not read pg_authid");
    backup_free(&b);
}

static void test_empty_database(void **state)
{
    (void)state;
    struct pg_backup b;
    create_database("nothing in it");
    backup_init(&b, "nothing in it");
    backup_run(&b);
    assert_int_equal(b.rc, 0);
    assert_int_equal(b.result.verdict, VERDICT_DEGRADED);
    assert_sentence(&b.result.reasons, "database nothing in it has no tables (allow-empty = yes");
    b.config.may_be_empty = true;
    backup_run(&b);
    assert_good(&b);
    backup_free(&b);
}

static void test_what_is_gone(void **state)
{
    (void)state;
    struct pg_backup b;
    make_small("shrinking");
    cluster_sql("shrinking",
                "CREATE SCHEMA s; CREATE TABLE s.\"new\nline\" (i int); CREATE TABLE p (i int) PARTITION BY "
                "RANGE (i); CREATE TABLE p1 PARTITION OF p DEFAULT");
    backup_init(&b, "shrinking");
    backup_run(&b);
    assert_good(&b);
    AUTO(buf) before = BUF_NONE;
    buf_add(&before, buf_bytes(&b.result.state));
    b.env.last_good_state = buf_bytes(&before);
    b.env.last_good_bytes = b.result.bytes;
    backup_run(&b);
    assert_good(&b);
    cluster_sql("shrinking", "DROP TABLE s.\"new\nline\"; DROP TABLE p1; TRUNCATE t CASCADE");
    backup_run(&b);
    assert_int_equal(b.result.verdict, VERDICT_DEGRADED);
    assert_int_equal(b.result.reasons.n, 3);
    assert_sentence(&b.result.reasons,
                    "database shrinking: table s.new\\x0aline is gone since the last good backup");
    assert_sentence(&b.result.reasons,
                    "database shrinking: table public.t has 0 rows, and had 20000 in the last "
                    "good backup (may-shrink = public.t if it comes and goes");
    assert_sentence(&b.result.reasons, "less than half of the last good one");
    b.config.may_shrink = true;
    backup_run(&b);
    assert_int_equal(b.result.verdict, VERDICT_GOOD);
    assert_sentence(&b.result.notes, "less than half of the last good one");
    backup_free(&b);
}

static void compare_with(struct pg_backup *b, const char *state)
{
    b->env.last_good_state = BYTES_STR(state);
    backup_run(b);
    assert_int_equal(b->rc, 0);
    assert_int_equal(b->result.verdict, b->result.reasons.n ? VERDICT_DEGRADED : VERDICT_GOOD);
}

static void test_fewer_rows(void **state)
{
    (void)state;
    struct pg_backup b;
    create_database("rows");
    cluster_sql("rows",
                "CREATE TABLE a AS SELECT generate_series(1, 100) i; CREATE TABLE b AS SELECT 1 i;"
                "CREATE TABLE p (i int) PARTITION BY RANGE (i); CREATE MATERIALIZED VIEW m AS SELECT 1 x;"
                "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (50) PARTITION BY LIST (i);"
                "CREATE TABLE p11 PARTITION OF p1 DEFAULT; CREATE TABLE p2 PARTITION OF p DEFAULT;"
                "INSERT INTO p SELECT generate_series(1, 60)");
    backup_init(&b, "rows");
    compare_with(&b, "");
    assert_string_equal(buf_cstr(&b.result.state),
                        "rows\tpublic.a\t100\nrows\tpublic.b\t1\nrows\tpublic.m\nrows\tpublic.p\t60\n");
    compare_with(&b, "rows\tpublic.a\t199\nrows\tpublic.b\t2\nrows\tpublic.p\t119\n"); /* just so */
    assert_int_equal(b.result.reasons.n, 0);
    compare_with(&b, "rows\tpublic.a\nrows\tpublic.p\n"); /* of an older lifeboat */
    assert_int_equal(b.result.reasons.n, 0);
    compare_with(&b, "rows\tpublic.a\t200\nrows\tpublic.b\t99\nrows\tpublic.p\t60\n");
    assert_int_equal(b.result.reasons.n, 1);
    assert_sentence(&b.result.reasons,
                    "database rows: table public.a has 100 rows, and had 200 in the last good backup "
                    "(may-shrink = public.a if it comes and goes; allow-shrink = yes for one backup");
    compare_with(&b, "rows\tpublic.a\t100\nrows\tpublic.b\t1\nrows\tpublic.p\t120\n");
    assert_sentence(&b.result.reasons, "table public.p has 60 rows, and had 120");

    /* many small tables: the sum tells */
    cluster_sql("rows", "TRUNCATE a, p");
    compare_with(&b, "rows\tpublic.a\t9\nrows\tpublic.b\t1\nrows\tpublic.p\t9\n");
    assert_int_equal(b.result.reasons.n, 0);
    compare_with(&b, "rows\tpublic.a\t10\nrows\tpublic.b\t1\nrows\tpublic.m\nrows\tpublic.p\t9\n");
    assert_int_equal(b.result.reasons.n, 1);
    assert_sentence(&b.result.reasons,
                    "database rows has 1 rows in all its tables, and had 20 in the last good");
    assert_sentence(&b.result.reasons, "allow-shrink = yes");

    /* what the configuration lets go */
    strings_add(&b.config.shrinking, "public.a");
    compare_with(&b, "rows\tpublic.a\t10\nrows\tpublic.b\t1\nrows\tpublic.p\t9\n");
    assert_int_equal(b.result.reasons.n, 0);
    compare_with(&b, "rows\tpublic.a\t5000\nrows\tpublic.b\t1\n");
    assert_int_equal(b.result.reasons.n, 0);
    b.config.shrinking.v[0][7] = 'x';
    strings_add(&b.config.shrinking, "rows/public.*");
    compare_with(&b, "rows\tpublic.a\t5000\nrows\tpublic.b\t1\n");
    assert_int_equal(b.result.reasons.n, 0);
    b.config.shrinking.v[1][0] = 'x';
    compare_with(&b, "rows\tpublic.a\t5000\nrows\tpublic.b\t1\n");
    assert_int_equal(b.result.reasons.n, 1);
    b.config.may_shrink = true;
    compare_with(&b, "rows\tpublic.a\t5000\nrows\tpublic.b\t1\n");
    assert_int_equal(b.result.reasons.n, 0);
    assert_sentence(&b.result.notes, "table public.a has 0 rows, and had 5000");
    strings_free(&b.config.shrinking);

    /* rows that are excluded on purpose did not get lost */
    b.config.may_shrink = false;
    strings_add(&b.config.exclude_table_data, "a");
    compare_with(&b, "rows\tpublic.a\t5000\nrows\tpublic.b\t1\nrows\tpublic.m\nrows\tpublic.p\t0\n");
    assert_int_equal(b.result.reasons.n, 0);
    compare_with(&b, "garbage\n\t\n\t\t\nrows\nrows\tpublic.b\tmany\n");
    backup_free(&b);
}

static void test_many_databases(void **state)
{
    (void)state;
    struct pg_backup b;
    backup_init(&b, NULL);
    make_small("other");
    strings_add(&b.config.databases, ODD);
    strings_add(&b.config.databases, "small");
    backup_run(&b);
    assert_good(&b);
    assert_string_equal(b.result.streams[0].name, "data:" ODD);
    backup_stream(&b, "fingerprint:small");
    backup_stream(&b, "globals");
    assert_int_equal(b.result.stream_count, 5);

    AUTO(buf) before = BUF_NONE;
    buf_add(&before, buf_bytes(&b.result.state));
    b.env.last_good_state = buf_bytes(&before);
    strings_free(&b.config.databases);
    strings_add(&b.config.databases, "small");
    strings_add(&b.config.databases, "other");
    backup_run(&b);
    assert_int_equal(b.result.reasons.n, 1);
    assert_sentence(&b.result.reasons, "database " ODD " is gone since the last good backup");

    /* one that fails does not keep the rest from being stored */
    b.env.last_good_state = BYTES_STR("not there\tpublic.t\n");
    strings_free(&b.config.databases);
    strings_add(&b.config.databases, "not there");
    strings_add(&b.config.databases, "small");
    backup_run(&b);
    assert_int_equal(b.rc, 0);
    assert_int_equal(b.result.verdict, VERDICT_DEGRADED);
    assert_int_equal(b.result.reasons.n, 1);
    assert_sentence(&b.result.reasons, "database not there: connection to server");
    backup_stream(&b, "data:small");
    strings_free(&b.config.databases);
    strings_add(&b.config.databases, "not there");
    strings_add(&b.config.databases, "nor there");
    assert_fails(&b, "database not there: connection to server");
    backup_free(&b);
}

static void test_all_databases(void **state)
{
    (void)state;
    struct pg_backup b;
    backup_init(&b, NULL);
    strings_add(&b.config.databases, "all");
    b.config.globals = false;
    create_database("closed");
    cluster_sql("postgres", "ALTER DATABASE closed ALLOW_CONNECTIONS false");
    backup_run(&b);
    cluster_sql("postgres", "DROP DATABASE closed");
    assert_good(&b);
    assert_sentence(&b.result.notes, "database closed is not in it: it allows no connections");
    backup_stream(&b, "data:postgres");
    backup_stream(&b, "data:" ODD);
    assert_sentence(&b.result.notes, "database postgres has no tables");
    for (size_t i = 0; i < b.result.stream_count; i++)
        assert_null(strstr(b.result.streams[i].name, "template"));
    backup_free(&b);
}

/* pg_dump of a role that may not see them says nothing. */
static void test_hidden_passwords(void **state)
{
    (void)state;
    struct pg_backup b;
    create_database("far");
    cluster_sql("far", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
                       "CREATE USER MAPPING FOR postgres SERVER s OPTIONS (password 'x');"
                       "CREATE TABLE t (a int); CREATE ROLE reader LOGIN IN ROLE pg_read_all_data");
    for (int super = 0; super < 2; super++) {
        backup_init(&b, "far");
        AUTO_CHAR connection = cluster_connection(super ? "postgres" : "reader", "far");
        free(b.config.connection);
        b.config.connection = xstrdup(connection);
        backup_run(&b);
        assert_good(&b);
        assert_int_equal(has_sentence(&b.result.notes,
                                      "database far: 1 user mappings, such as postgres on server s, "
                                      "are in it without their options"),
                         !super);
        backup_free(&b);
    }
    cluster_sql("postgres", "DROP DATABASE far");
    cluster_sql("postgres", "DROP ROLE reader");
}

/* PostgreSQL's own programs pass no such name on, so nothing could bring it back as it is. */
static void test_names_that_cannot_be_restored(void **state)
{
    (void)state;
    static const char *const names[] = {"two\nlines", "ends\r"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct pg_backup b;
        make_small(names[i]);
        backup_init(&b, NULL);
        strings_add(&b.config.databases, names[i]);
        strings_add(&b.config.databases, "small");
        backup_run(&b);
        assert_int_equal(b.rc, 0);
        assert_int_equal(b.result.verdict, VERDICT_DEGRADED);
        assert_int_equal(b.result.reasons.n, 1);
        assert_sentence(&b.result.reasons, i ? "database ends\\x0d: " : "database two\\x0alines: ");
        assert_sentence(&b.result.reasons, "ALTER DATABASE ... RENAME TO");
        backup_free(&b);
        AUTO_CHAR quoted = pg_quote_name(names[i]);
        AUTO_CHAR drop = xasprintf("DROP DATABASE %s", quoted);
        cluster_sql("postgres", drop);
    }
}

static void test_excluded_rows(void **state)
{
    (void)state;
    struct pg_backup b;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    backup_init(&b, "small");
    strings_add(&b.config.exclude_table_data, "public.t");
    strings_add(&b.config.exclude_table_data, "u");
    backup_run(&b);
    assert_good(&b);
    backup_read(&b, "data", &data);
    assert_restored(r, buf_bytes(&data), "without rows");
    AUTO_CHAR n = cluster_value("without rows", "SELECT count(*) FROM t");
    assert_string_equal(n, "0");
    backup_free(&b);
}

/* A role that may not export a snapshot, as behind some poolers. */
static void test_no_shared_snapshot(void **state)
{
    (void)state;
    struct pg_backup b;
    make_small("alone");
    cluster_sql("alone", "REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC;"
                         "CREATE ROLE plain LOGIN BYPASSRLS IN ROLE pg_read_all_data");
    backup_init(&b, "alone");
    connect_with(&b, "host=%s user=plain dbname=alone", cluster_folder());
    backup_run(&b);
    assert_good(&b);
    assert_sentence(&b.result.notes, "the snapshot cannot be shared (permission denied for function");
    backup_free(&b);
}

/* ---- a dump that breaks off ---- */

static const char *meanwhile;

static void run_meanwhile(void *ctx, uint64_t done, uint64_t expected)
{
    unsigned *calls = ctx;
    (void)done;
    (void)expected;
    if ((*calls)++ == 0)
        free(cluster_shell("%s", meanwhile));
}

static void make_large(void)
{
    if (!cluster_has_database("large")) {
        create_database("large");
        cluster_sql("large",
                    "CREATE TABLE l AS SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 30000) i");
    }
}

static void break_off(const char *command, const char *text)
{
    struct pg_backup b;
    unsigned calls = 0;
    make_large();
    backup_init(&b, "large");
    meanwhile = command;
    b.env.progress = run_meanwhile;
    b.env.progress_ctx = &calls;
    assert_fails(&b, text);
    assert_int_not_equal(calls, 0);
    backup_free(&b);
}

static void test_pg_dump_is_killed(void **state)
{
    (void)state;
    AUTO_CHAR command = xasprintf("for p in /proc/[0-9]*; do read -r _ name _ parent _ < $p/stat;"
                                  "[ \"$name $parent\" = '(pg_dump) %d' ] && kill -9 ${p#/proc/}; done; true",
                                  (int)getpid());
    break_off(command, "pg_dump: killed by signal 9");
}

static void test_session_is_ended(void **state)
{
    (void)state;
    break_off(
        "psql -X -d postgres -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
        "'COPY %'\"",
        "pg_dump: exit status 1: Dumping the contents of table \"l\" failed");
}

static pid_t hanging[2]; /* the server, and its process for a connection */

static void let_go_on(int number)
{
    (void)number;
    for (size_t i = 0; i < ARRAY_LEN(hanging); i++)
        kill(hanging[i], SIGCONT);
}

/* A server that hangs as a whole does not answer a cancel request, either. */
static void test_server_hangs(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct pg p;
    AUTO(buf) pid = BUF_NONE;
    AUTO_CHAR connection = xasprintf("host=%s user=postgres dbname=small", cluster_folder());
    AUTO_CHAR path = xasprintf("%s/data/postmaster.pid", cluster_folder());
    assert_ok(pg_connect(&p, connection, NULL, &e));
    assert_ok(file_read(path, 4096, &pid, &e));
    hanging[0] = (pid_t)strtol(buf_cstr(&pid), NULL, 10);
    hanging[1] = PQbackendPID(p.conn);
    p.patience_s = 1;
    uint64_t start = time_monotonic_ns();
    kill(hanging[0], SIGSTOP);
    kill(hanging[1], SIGSTOP);
    signal(SIGALRM, let_go_on);
    alarm(60);
    int rc = pg_query(&p, "SELECT 1", NULL, NULL, &e);
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    let_go_on(0);
    assert_int_equal(rc, -1);
    assert_text(e, "the server has not answered for 1 s");
    assert_true(time_monotonic_ns() - start < 30000000000ull);
    pg_free(&p);
}

static void test_stopped(void **state)
{
    (void)state;
    struct pg_backup b;
    make_large();
    backup_init(&b, "large");
    stop_requested = 1;
    assert_fails(&b, "stopped by a signal");
    assert_int_equal(b.e.kind, ERR_STOPPED);
    stop_requested = 0;
    backup_free(&b);
}

/* pg_dump waits for a lock that nobody gives back. */
static void test_time_limit(void **state)
{
    (void)state;
    struct pg_backup b;
    struct err e = ERR_INIT;
    AUTO(pg) locker = PG_NONE;
    assert_ok(pg_connect(&locker, "", "small", &e));
    assert_ok(pg_query(&locker, "BEGIN; LOCK TABLE t", NULL, NULL, &e));
    backup_init(&b, "small");
    b.config.time_limit_s = 1;
    assert_fails(&b, "not done after 1 s, its time-limit");
    backup_free(&b);
}

/* COPY asks for more than a query gives: a message, and no waiting without end. (A query of the user's may be
 * one, and a server may say anything.) */
static void test_copy_is_no_query(void **state)
{
    (void)state;
    static const char *const copies[] = {"COPY t TO STDOUT", "COPY t FROM STDIN",
                                         "SELECT 1; COPY t TO STDOUT"};
    for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
        struct err e = ERR_INIT;
        AUTO(pg) p = PG_NONE;
        AUTO_RESULT r = NULL;
        assert_ok(pg_connect(&p, "", "small", &e));
        alarm(60); /* it would turn round and round, and not hear a signal */
        assert_int_equal(pg_query(&p, copies[i], NULL, &r, &e), -1);
        alarm(0);
        assert_text(e, "COPY from or to this program is not for here");
        assert_null(r);
    }
}

/* ---- a pg_dump that does not do what it says ---- */

static void backup_by(struct pg_backup *b, const char *script)
{
    char *path = cluster_fake("pg_dump", script);
    backup_run(b);
    cluster_fake_end("pg_dump", path);
}

static void test_lying_pg_dump(void **state)
{
    (void)state;
    static const struct {
        const char *script, *text;
    } lies[] = {
        {"exec $real -T u \"$@\"", "database small: table public.u is in the database and not in the dump"},
        {"exec $real --exclude-table-data=t \"$@\"", "the rows of table public.t are not in the dump"},
        {"$real \"$@\" | head -c 100000", "ends inside"},
        {"$real \"$@\"; echo more", "after"},
        {"$real \"$@\"; exit 1", "pg_dump: exit status 1"},
        {"$real \"$@\"; kill -9 $$", "pg_dump: killed by signal 9"},
        {"echo 'pg_dump: error: no luck' >&2; exit 3", "pg_dump: exit status 3: no luck"},
        {"echo 'pg_dump: error: out of luck' >&2; exec $real \"$@\"",
         "pg_dump: exit status 0, but it said: error: out of luck"},
        {"true", "pg_dump wrote nothing"},
    };
    struct pg_backup b;
    backup_init(&b, "small");
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        backup_by(&b, lies[i].script);
        if (b.rc == 0)
            fail_msg("taken for good: %s", lies[i].script);
        assert_text(b.e, lies[i].text);
        assert_int_equal(b.result.stream_count, 0);
    }
    backup_by(&b, "echo 'pg_dump: warning: take care' >&2; exec $real \"$@\"");
    assert_good(&b);
    assert_sentence(&b.result.notes, "database small: pg_dump: take care");
    cluster_sql("small", "REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC"); /* nor without it */
    connect_with(&b, "host=%s user=needs_it password='p\\'w \\\\' dbname=small", cluster_folder());
    backup_by(&b, lies[0].script);
    cluster_sql("small", "GRANT EXECUTE ON FUNCTION pg_export_snapshot() TO PUBLIC");
    assert_sentence(&b.result.notes, "the snapshot cannot be shared");
    assert_text(b.e, lies[0].text);
    backup_free(&b);
}

/* What it leaves out of the roles is seen where they are needed, if not now. */
static void test_lying_pg_dumpall(void **state)
{
    (void)state;
    static const char *const lies[] = {"true", "$real \"$@\" | head -c 300",
                                       "$real \"$@\"; echo 'pg_dumpall: error: no luck' >&2"};
    struct pg_backup b;
    backup_init(&b, "small");
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        char *path = cluster_fake("pg_dumpall", lies[i]);
        backup_run(&b);
        cluster_fake_end("pg_dumpall", path);
        assert_int_equal(b.rc, 0);
        assert_int_equal(b.result.verdict, VERDICT_DEGRADED);
        assert_sentence(&b.result.reasons, "roles and tablespaces are not in it: pg_dumpall");
    }
    backup_free(&b);
}

/* Rows and tables that come between the snapshot and pg_dump's start are not in it. */
static void test_one_moment(void **state)
{
    (void)state;
    struct pg_backup b;
    AUTO(buf) fingerprint = BUF_NONE;
    make_small("moving");
    AUTO_CHAR before = fingerprint_now("moving");
    backup_init(&b, "moving");
    backup_by(&b,
              "PGOPTIONS= psql -qX -c \"INSERT INTO u VALUES (2, 'late'); CREATE TABLE late (i int)\" >&2\n"
              "exec $real \"$@\"");
    assert_good(&b);
    backup_read(&b, "fingerprint", &fingerprint);
    assert_string_equal(buf_cstr(&fingerprint), before);
    AUTO_CHAR n = cluster_value("moving", "SELECT count(*) FROM late, u");
    assert_string_equal(n, "0");
    backup_free(&b);
}

/* ---- which pg_dump ---- */

static void fake_program(const char *folder, const char *sub, const char *version)
{
    free(cluster_shell(
        "mkdir -p %s/%s && printf '#!/bin/sh\\necho \"pg_dump (PostgreSQL) %s (Debian)\"\\n' > %s/%s/pg_dump && "
        "chmod 755 %s/%s/pg_dump",
        folder, sub, version, folder, sub, folder, sub));
}

static void assert_found(const char *folder, const char *path, int major, const char *want)
{
    struct err e = ERR_INIT;
    int found = 0;
    AUTO_CHAR versions = xasprintf("%s/versions", folder);
    AUTO_CHAR program = pg_find_program(versions, path, "pg_dump", major, &found, &e);
    AUTO_CHAR full = xasprintf("%s/%s/pg_dump", folder, want);
    if (!program)
        fail_msg("%s", e.text);
    assert_string_equal(program, full);
}

static void test_choice_of_client(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    int found;
    char *folder = test_folder();
    AUTO_CHAR path = xasprintf("/nowhere:%s/own", folder);
    AUTO_CHAR versions = xasprintf("%s/versions", folder);
    assert_null(pg_find_program(versions, path, "pg_dump", 15, &found, &e));
    assert_text(e, "install postgresql-client-15");
    fake_program(folder, "versions/13/bin", "13.2");
    e = (struct err)ERR_INIT;
    assert_null(pg_find_program(versions, path, "pg_dump", 15, &found, &e));
    assert_text(e,
                "the newest pg_dump here is of PostgreSQL 13, too old for 15: install postgresql-client-15");
    assert_int_equal(e.kind, ERR_USAGE);
    fake_program(folder, "versions/18/bin", "18.1");
    assert_found(folder, path, 15, "versions/18/bin");
    fake_program(folder, "own", "16.4");
    assert_found(folder, path, 15, "own");
    assert_found(folder, path, 17, "versions/18/bin");
    fake_program(folder, "versions/15/bin", "15.1");
    assert_found(folder, path, 15, "versions/15/bin");
    assert_found(folder, path, 9, "versions/13/bin");
    fake_program(folder, "own", "15.7");
    assert_found(folder, path, 15, "own");
    test_remove(folder);
}

/* No password among the arguments of any program that was run: it would stand in `ps`. */
static void test_no_password_in_arguments(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(pg) p = PG_NONE;
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    setenv("PGSSLMODE", "disable", 1); /* the connection goes before, also with a default */
    AUTO_CHAR connection =
        xasprintf("host=%s user=needs_it password='p\\'w \\\\' dbname=small options='-c work_mem=3MB' "
                  "keepalives_idle=77 sslmode=prefer",
                  cluster_folder());
    assert_ok(pg_connect(&p, connection, NULL, &e));
    assert_ok(pg_program_new(&g, &p, "pg_dump", 0, &e));
    assert_ok(pg_program_connect(&g, &p, ODD, &e));
    for (size_t i = 0; i < g.arguments.n; i++)
        assert_null(strstr(g.arguments.v[i], "p'w"));
    assert_true(strings_has(&g.environment, "PGPASSWORD=p'w \\"));
    unsetenv("PGSSLMODE");
    assert_true(strings_has(&g.environment, "PGSSLMODE=prefer"));
    assert_true(strings_has(&g.environment, "PGDATABASE=" ODD));
    assert_true(strings_has(&g.environment, "PGSERVICE"));
    assert_true(has_sentence(&g.environment, "PGOPTIONS=-c work_mem=3MB -c quote_all"));
    assert_true(has_sentence(&g.arguments, "keepalives_idle='77'"));
}

static int start(void **state)
{
    (void)state;
    cluster_start();
    create_database(ODD);
    cluster_sql(ODD, "CREATE TABLE t (i int)");
    make_small("small");
    cluster_sql("small", "CREATE ROLE needs_it LOGIN BYPASSRLS PASSWORD 'p''w \\' IN ROLE needs_password;"
                         "GRANT SELECT ON ALL TABLES IN SCHEMA public TO needs_it;"
                         "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO needs_it");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_empty_database),
        cmocka_unit_test(test_what_is_gone),
        cmocka_unit_test(test_fewer_rows),
        cmocka_unit_test(test_many_databases),
        cmocka_unit_test(test_all_databases),
        cmocka_unit_test(test_hidden_passwords),
        cmocka_unit_test(test_names_that_cannot_be_restored),
        cmocka_unit_test(test_excluded_rows),
        cmocka_unit_test(test_no_shared_snapshot),
        cmocka_unit_test(test_pg_dump_is_killed),
        cmocka_unit_test(test_session_is_ended),
        cmocka_unit_test(test_server_hangs),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_copy_is_no_query),
        cmocka_unit_test(test_lying_pg_dump),
        cmocka_unit_test(test_lying_pg_dumpall),
        cmocka_unit_test(test_one_moment),
        cmocka_unit_test(test_choice_of_client),
        cmocka_unit_test(test_no_password_in_arguments),
    };
    return cmocka_run_group_tests(tests, start, cluster_tear_down);
}
