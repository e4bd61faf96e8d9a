/* The postgres target against a real server. */
#include "testing.h"

#include "pg_cluster.h"

#include "base/child.h"
#include "source/pg_client.h"
#include "target/pg_target.h"

#include <signal.h>

/* Names in another encoding than the server's; a dump keeps them as they are. */
static void test_other_encoding(void **state)
{
    (void)state;
    struct pg_backup b;
    AUTO(buf) data = BUF_NONE;
    AUTO(buf) before = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    cluster_sql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    cluster_sql("latin", "CREATE TABLE \"caf\xe9\" (\"\xfc\" text); INSERT INTO \"caf\xe9\" VALUES ('\xdf')");
    backup_init(&b, "latin");
    setenv("PGCLIENTENCODING", "UTF8", 1);
    backup_run(&b);
    unsetenv("PGCLIENTENCODING");
    assert_good(&b);
    assert_string_equal(buf_cstr(&b.result.state), "latin\tpublic.caf\\xe9\t1\n");
    backup_read(&b, "data", &data);
    backup_read(&b, "fingerprint", &before);
    assert_restored(r, buf_bytes(&data), "latin back");
    AUTO_CHAR after = fingerprint_now("latin back");
    assert_string_equal(buf_cstr(&before), after);
    AUTO_CHAR encoding = cluster_value("latin back", "SELECT getdatabaseencoding()");
    assert_string_equal(encoding, "LATIN1");
    backup_free(&b);
}

/* A dump is in the database's encoding, whatever settings say: others lack characters, and give other bytes.
 */
static void test_settings_of_encoding(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    create_database("euro");
    cluster_sql("euro", "CREATE TABLE t AS SELECT U&'\\20AC' AS v;"
                        "ALTER DATABASE euro SET client_encoding = 'LATIN1'");
    dump("euro", &data);
    cluster_sql("latin", "ALTER ROLE postgres SET client_encoding = 'UTF8'");
    AUTO_CHAR set = fingerprint_now("latin");
    cluster_sql("latin", "ALTER ROLE postgres RESET client_encoding");
    AUTO_CHAR unset = fingerprint_now("latin");
    assert_string_equal(set, unset);
    assert_restored(r, buf_bytes(&data), "euro back");
    AUTO_CHAR v = cluster_value("euro back", "SELECT ascii(v) FROM t");
    assert_string_equal(v, "8364");
}

static void test_not_over_what_is_there(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    dump("small", &data);
    assert_not_restored(r, buf_bytes(&data), "small", "not empty (it has 3 objects, such as ");
    assert_text(r.e, "--clean");
    AUTO_CHAR connection = cluster_connection("postgres", "small");
    r.o.connection = connection;
    r.e = (struct err)ERR_INIT;
    assert_int_equal(target_postgres_check(&r.o, &r.e), -1);
    assert_int_equal(r.e.kind, ERR_USAGE);
    r.o.clean = true;
    r.e = (struct err)ERR_INIT;
    assert_int_equal(target_postgres_check(&r.o, &r.e), 0);
    r.o.clean = false;

    create_database("was empty");
    assert_restored(r, buf_bytes(&data), "was empty");
    AUTO_CHAR n = cluster_value("was empty", "SELECT count(*) FROM t");
    assert_string_equal(n, "20000");
}

static void test_no_database_named(void **state)
{
    (void)state;
    AUTO(restoring) r = {.piece = 0};
    assert_not_restored(r, BYTES(NULL, 0), NULL, "names no database");
    AUTO_CHAR uri = xasprintf("postgresql:///small?host=%s", cluster_folder());
    r.o = (struct target_postgres_options){.connection = uri, .spool_dir = cluster_folder()};
    r.e = (struct err)ERR_INIT;
    assert_int_equal(target_postgres_check(&r.o, &r.e), -1);
    assert_text(r.e, "restore to database small: the database is not empty");
}

/* A live one is replaced under its sessions, and its settings are those of the backup. */
static void test_clean_swaps(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    struct err e = ERR_INIT;
    AUTO(restoring) r = {.o = {.clean = true}};
    AUTO(pg) session = PG_NONE;
    make_small("live");
    cluster_sql("live", "ALTER DATABASE live SET work_mem = '7MB'; ALTER DATABASE live IS_TEMPLATE true");
    dump("live", &data);
    cluster_sql("live", "UPDATE t SET v = 'changed'; DROP TABLE u; ALTER DATABASE live RESET ALL");
    assert_ok(pg_connect(&session, "", "live", &e));
    assert_restored(r, buf_bytes(&data), "live");
    assert_int_equal(pg_query(&session, "SELECT 1", NULL, NULL, &e), -1);
    AUTO_CHAR v = cluster_value("live", "SELECT v || current_setting('work_mem') FROM t JOIN u USING (id)");
    assert_string_equal(v, "row 17MB");
    assert_int_equal(r.counts.notes.n, 0);
    assert_false(cluster_has_database_like("lifeboat_"));

    cluster_sql("live", "UPDATE t SET v = 'changed'");
    assert_not_restored(r, BYTES(data.p, data.n - 1000), "live", "");
    r.fails = "chunk 1234 is damaged";
    assert_not_restored(r, BYTES(data.p, data.n / 2), "live", "chunk 1234");
    assert_int_equal(r.e.kind, ERR_DAMAGED);
    AUTO_CHAR still = cluster_value("live", "SELECT min(v) FROM t");
    assert_string_equal(still, "changed");
}

/* What is filled and checked on the way goes by the database's settings, as it was at home. */
static void test_settings_that_values_need(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    create_database("tokyo");
    cluster_sql("tokyo", "ALTER DATABASE tokyo SET timezone = 'Asia/Tokyo';"
                         "ALTER DATABASE tokyo SET app.tenant = 'it''s';"
                         "ALTER DATABASE tokyo SET default_text_search_config = 'german'");
    cluster_sql("tokyo",
                "CREATE TABLE t (at timestamptz, day date, CHECK (day = at::date));"
                "INSERT INTO t SELECT v, v::date FROM generate_series('2026-01-01 00:00+09',"
                "  '2026-01-02 23:00+09', interval '1 hour') v;"
                "CREATE MATERIALIZED VIEW days AS SELECT at::date AS day, count(*) FROM t GROUP BY 1;"
                "CREATE MATERIALIZED VIEW own AS SELECT current_setting('app.tenant') AS tenant,"
                "  to_tsvector('Häuser') AS word");
    dump("tokyo", &data);
    assert_restored(r, buf_bytes(&data), "tokyo back");
    create_database("tokyo empty");
    assert_restored(r, buf_bytes(&data), "tokyo empty");
    for (int i = 0; i < 2; i++) {
        AUTO_CHAR v = cluster_value(i ? "tokyo empty" : "tokyo back",
                                    "SELECT string_agg(day || ' ' || count, ', ' ORDER BY day) ||"
                                    " (SELECT ', ' || tenant || ' ' || word FROM own) FROM days");
        assert_string_equal(v, "2026-01-01 24, 2026-01-02 24, it's 'haus':1");
    }
}

/* Who cleans up does not wait long for a session that does not end: whoever stopped us kills us soon. */
static void test_drop_of_a_frozen_one(void **state)
{
    (void)state;
    struct err e = ERR_INIT, why = ERR_INIT;
    AUTO(pg) session = PG_NONE, server = PG_NONE;
    create_database("frozen");
    AUTO_CHAR connection = cluster_connection("postgres", NULL);
    assert_ok(pg_connect(&session, connection, "frozen", &e));
    assert_ok(pg_database_server(&server, connection, "frozen", &e));
    AUTO_CHAR pid = pg_query_text(&session, "SELECT pg_backend_pid()", NULL, &e);
    uint64_t start = time_monotonic_ns();
    assert_int_equal(kill(atoi(pid), SIGSTOP), 0);
    int rc = pg_database_drop(&server, "frozen", &why);
    assert_int_equal(kill(atoi(pid), SIGCONT), 0);
    assert_int_equal(rc, -1);
    assert_text(why, "is being accessed by other users");
    assert_true(time_monotonic_ns() - start < 50000000000ull);
    assert_ok(pg_database_drop(&server, "frozen", &e));
}

/* The live database stays whatever pg_restore says of its success. */
static void test_lying_pg_restore(void **state)
{
    (void)state;
    static const struct {
        const char *script, *text;
    } lies[] = {
        {"case \"$*\" in *--list*|*--file*) exec $real \"$@\";; *) cat >/dev/null;; esac",
         "pg_restore reported success, but the database has 0 of 2 tables, and 0 of 2 that have rows"},
        {"case \"$*\" in *--list*|*--file*) exec $real \"$@\";; *) exec $real --schema-only \"$@\";; esac",
         "the database has 2 of 2 tables, and 0 of 2 that have rows"},
        {"$real \"$@\"; echo 'pg_restore: error: no luck' >&2; exit 0", "but it said: error: no luck"},
        {"$real \"$@\"; case \"$*\" in *--list*|*--file*) ;; *) echo 'pg_restore: warning: errors ignored on "
         "restore: 7' >&2;; esac; exit 0",
         "the server refused 7 of the statements (the database is as it was)"},
    };
    AUTO(buf) data = BUF_NONE;
    make_small("trusting");
    dump("trusting", &data);
    cluster_sql("trusting", "UPDATE t SET v = 'live'");
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        AUTO(restoring) r = {.o = {.clean = true}};
        char *path = cluster_fake("pg_restore", lies[i].script);
        assert_not_restored(r, buf_bytes(&data), "trusting", lies[i].text);
        cluster_fake_end("pg_restore", path);
        AUTO_CHAR still = cluster_value("trusting", "SELECT min(v) FROM t");
        assert_string_equal(still, "live");
    }
}

/* Clients that come back at once, as pools do. */
static void test_clean_under_load(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    struct err e = ERR_INIT;
    AUTO(restoring) r = {.o = {.clean = true}};
    AUTO(child) load = CHILD_NONE;
    const struct child_options o = {
        .shell =
            "while kill -0 $PPID; do psql -X -q -d busy -c 'SELECT pg_sleep(0.02)'; done >/dev/null 2>&1",
        .in = CHILD_NULL,
        .out = CHILD_NULL};
    make_small("busy");
    dump("busy", &data);
    assert_ok(child_start(&load, &o, &e));
    for (unsigned i = 0; i < 3; i++)
        assert_restored(r, buf_bytes(&data), "busy");
    assert_false(cluster_has_database_like("lifeboat_"));
}

/* DROP DATABASE refuses one with subscriptions: it stays, and is named. */
static void test_clean_with_subscription(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.o = {.clean = true}};
    make_small("subscribed");
    cluster_sql("subscribed",
                "CREATE SUBSCRIPTION s CONNECTION 'host=192.0.2.1' PUBLICATION p WITH (connect = false, "
                "slot_name = NONE)");
    dump("subscribed", &data);
    assert_restored(r, buf_bytes(&data), "subscribed");
    assert_sentence(&r.counts.notes, "the database that was replaced is still there as lifeboat_old_");
    AUTO_CHAR old = cluster_value(
        "postgres", "SELECT datname FROM pg_database WHERE starts_with(datname, 'lifeboat_old')");
    AUTO_CHAR drop = xasprintf("DROP DATABASE %s", old);
    cluster_sql(old, "DROP SUBSCRIPTION s");
    cluster_sql("postgres", drop);
}

static void test_stopped_restore(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    dump("small", &data);
    for (unsigned jobs = 1; jobs <= 2; jobs++) {
        AUTO(restoring) r = {.o = {.jobs = jobs}, .stops = true};
        assert_int_equal(restore(&r, BYTES(data.p, data.n / 2), "stopped"), -1);
        stop_requested = 0;
        assert_int_equal(r.e.kind, ERR_STOPPED);
        assert_false(cluster_has_database_like("lifeboat_re"));
        assert_false(cluster_has_database("stopped"));
    }
}

/* What is cut off is never reported as good and leaves nothing. */
static void test_cut_streams(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    dump("small", &data);
    for (unsigned jobs = 1; jobs <= 2; jobs++)
        for (size_t n = 0; n < data.n; n = n * 7 + 1) {
            AUTO(restoring) r = {.o = {.jobs = jobs}};
            assert_not_restored(r, BYTES(data.p, n), "cut", "restore to database cut");
            assert_false(cluster_has_database("cut"));
        }
    AUTO(restoring) r = {.piece = 0};
    assert_not_restored(r, BYTES(data.p, data.n - 1), "cut", "");
    buf_add_str(&data, "more");
    assert_not_restored(r, buf_bytes(&data), "cut", "");
}

/* The server refuses some: what could be had is kept, under another name, and nobody calls it good. */
static void test_refused_statements(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    cluster_sql("postgres", "CREATE ROLE gone");
    make_small("owned");
    cluster_sql("owned", "ALTER TABLE u OWNER TO gone; GRANT SELECT ON t TO gone");
    dump("owned", &data);
    cluster_sql("owned", "DROP OWNED BY gone");
    cluster_sql("postgres", "DROP ROLE gone");
    assert_int_equal(restore(&r, buf_bytes(&data), "owned2"), -1);
    assert_text(r.e, "role \"gone\" does not exist");
    assert_text(r.e, "the server refused 2 of the statements");
    assert_false(cluster_has_database("owned2"));
    AUTO_CHAR kept = cluster_value(
        "postgres", "SELECT datname FROM pg_database WHERE starts_with(datname, 'lifeboat_restore_')");
    assert_text(r.e, kept);
    AUTO_CHAR n = cluster_value(kept, "SELECT count(*) FROM t");
    assert_string_equal(n, "20000");
    AUTO_CHAR drop = xasprintf("DROP DATABASE %s", kept);
    cluster_sql("postgres", drop);
    r.o.clean = true;
    assert_not_restored(r, buf_bytes(&data), "owned", "the database is as it was");
}

static void test_roles(void **state)
{
    (void)state;
    struct pg_backup b;
    AUTO(buf) data = BUF_NONE;
    AUTO(buf) roles = BUF_NONE;
    struct memory_feed f;
    AUTO(restoring) r = {.o = {.globals = &f.base}};
    cluster_sql(
        "postgres",
        "CREATE ROLE \"app ; -- \\! x\" LOGIN PASSWORD 'p''w'; COMMENT ON ROLE \"app ; -- \\! x\" IS E'\\n\\\\! x'");
    make_small("with roles");
    cluster_sql("with roles", "ALTER TABLE u OWNER TO \"app ; -- \\! x\"");
    backup_init(&b, "with roles");
    backup_run(&b);
    assert_good(&b);
    backup_read(&b, "data", &data);
    backup_read(&b, "globals", &roles);
    cluster_sql("with roles", "DROP OWNED BY \"app ; -- \\! x\"");
    cluster_sql("postgres", "DROP ROLE \"app ; -- \\! x\"");
    memory_feed_init(&f, buf_bytes(&roles), 7);
    assert_restored(r, buf_bytes(&data), "roles back");
    AUTO_CHAR v = cluster_value(
        "roles back", "SELECT tableowner || (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles "
                      "WHERE rolname = tableowner) FROM pg_tables WHERE tablename = 'u'");
    assert_string_equal(v, "app ; -- \\! x\n\\! x");
    AUTO(buf) evil = BUF_NONE;
    buf_add_str(&evil, "CREATE ROLE never;\n\\! touch /tmp/never\n");
    memory_feed_init(&f, buf_bytes(&evil), 7);
    assert_not_restored(r, buf_bytes(&data), "roles again", "psql command");
    evil.n = 0;
    buf_add_str(&evil, "CREATE ROLE postgres; CREATE NONSENSE;");
    memory_feed_init(&f, buf_bytes(&evil), 7);
    assert_not_restored(r, buf_bytes(&data), "roles again", "1 statements of the globals failed");
    assert_false(cluster_has_database("roles again"));
    backup_free(&b);
}

/* ---- some tables ---- */

static void test_one_table(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    const char *tables[] = {"u", NULL};
    AUTO(restoring) r = {.o = {.tables = tables}, .piece = 1000};
    make_small("shop");
    dump("shop", &data);
    assert_not_restored(r, buf_bytes(&data), "shop", "table public.u exists");
    cluster_sql("shop", "DROP TABLE u");
    assert_restored(r, buf_bytes(&data), "shop");
    assert_sentence(&r.counts.notes, "foreign key public u u_id_fkey");
    AUTO_CHAR v = cluster_value(
        "shop", "SELECT note || (SELECT count(*) FROM pg_indexes WHERE tablename = 'u') FROM u");
    assert_string_equal(v, "x1");

    tables[0] = "public.t"; /* with its sequence and default */
    assert_restored(r, buf_bytes(&data), "only t");
    AUTO_CHAR w =
        cluster_value("only t", "INSERT INTO t (v) VALUES ('new') RETURNING id || "
                                "(SELECT count(*)::text FROM pg_class WHERE relname IN ('t_pkey', 'u'))");
    assert_string_equal(w, "200011");

    tables[0] = "publik.t";
    assert_not_restored(r, buf_bytes(&data), "nothing",
                        "table publik.t is not in this backup: did you mean public.t?");
    assert_false(cluster_has_database("nothing"));
    r.o.clean = true;
    tables[0] = "t";
    assert_not_restored(r, buf_bytes(&data), "shop", "--clean replaces a whole database");
}

/* Into a database in use it is all or nothing. */
static void test_table_that_does_not_fit(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    const char *tables[] = {"m", "t", NULL};
    AUTO(restoring) r = {.o = {.tables = tables}};
    make_small("fitting");
    cluster_sql("fitting", "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE m (m mood)");
    dump("fitting", &data);
    cluster_sql("fitting", "DROP TABLE m, t CASCADE; DROP TYPE mood");
    assert_not_restored(r, buf_bytes(&data), "fitting", "type \"public.mood\" does not exist");
    assert_text(r.e, "(nothing was changed)");
    AUTO_CHAR n = cluster_value("fitting", "SELECT count(*) FROM pg_tables WHERE tablename IN ('m', 't')");
    assert_string_equal(n, "0");
    assert_restored(r, buf_bytes(&data), "fitting anew"); /* what it needs comes along */
}

/* Those that forbid every change come after all that they would forbid. */
static void test_event_triggers_come_last(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    create_database("denying");
    cluster_sql("denying",
                "CREATE TABLE t AS SELECT 1 i; CREATE MATERIALIZED VIEW m AS SELECT * FROM t;"
                "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE 'no changes here'; END $$;"
                "CREATE EVENT TRIGGER deny ON ddl_command_start EXECUTE FUNCTION f();"
                "COMMENT ON EVENT TRIGGER deny IS 'none'; COMMENT ON DATABASE denying IS 'a database'");
    dump("denying", &data);
    for (unsigned jobs = 1; jobs <= 2; jobs++) {
        AUTO(restoring) r = {.o = {.jobs = jobs}};
        AUTO_CHAR name = xasprintf("denying back %u", jobs);
        assert_restored(r, buf_bytes(&data), name);
        AUTO_CHAR back = cluster_value(
            name,
            "SELECT i || shobj_description((SELECT oid FROM pg_database WHERE datname = current_database()),"
            " 'pg_database') || obj_description(e.oid, 'pg_event_trigger') FROM m, pg_event_trigger e");
        assert_string_equal(back, "1a databasenone");
    }
}

static void test_missing_extension(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    create_database("extended");
    cluster_sql("extended", "CREATE EXTENSION hstore; CREATE TABLE t (h hstore)");
    dump("extended", &data);
    for (uint8_t *p = data.p; (p = memmem(p, data.n - (size_t)(p - data.p), "hstore", 6)); p += 6)
        memcpy(p, "nstore", 6);
    assert_not_restored(r, buf_bytes(&data), "extended2", "extension nstore");
    assert_text(r.e, "postgresql-");
}

static int start(void **state)
{
    (void)state;
    cluster_start();
    make_small("small");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_encoding),
        cmocka_unit_test(test_settings_of_encoding),
        cmocka_unit_test(test_not_over_what_is_there),
        cmocka_unit_test(test_no_database_named),
        cmocka_unit_test(test_clean_swaps),
        cmocka_unit_test(test_settings_that_values_need),
        cmocka_unit_test(test_drop_of_a_frozen_one),
        cmocka_unit_test(test_lying_pg_restore),
        cmocka_unit_test(test_clean_under_load),
        cmocka_unit_test(test_clean_with_subscription),
        cmocka_unit_test(test_stopped_restore),
        cmocka_unit_test(test_cut_streams),
        cmocka_unit_test(test_refused_statements),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_table_that_does_not_fit),
        cmocka_unit_test(test_missing_extension),
        cmocka_unit_test(test_event_triggers_come_last),
    };
    return cmocka_run_group_tests(tests, start, cluster_tear_down);
}
