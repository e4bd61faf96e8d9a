/* Databases there and back: damaged and swapped streams, what the user asks, what a backup or this machine
 * lacks. */
#include "testing.h"

#include "pg_drilling.h"

#include "base/child.h"

#include <signal.h>
#include <unistd.h>

/* ---- streams that are not what they should be ---- */

static void make_one(const char *name)
{
    create_database(name);
    cluster_sql(name, "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 3000) i;"
                      "CREATE TABLE u AS SELECT 1 AS one; SELECT lo_from_bytea(99, '\\x0102')");
}

static struct stream_info *stream_of(struct drilling *d, const char *name)
{
    return (struct stream_info *)backup_stream(&d->b, name);
}

/* Puts other bytes in the place of a stream. */
static void replace_stream(struct drilling *d, const char *name, struct bytes bytes)
{
    struct err e = ERR_INIT;
    struct writer_stats stats;
    struct stream_options o = test_stream;
    o.name = name;
    AUTO_PTR(writer) w = writer_new(d->b.repo.repo, &e);
    AUTO_PTR(stream) s = stream_new(w, &o, NULL);
    assert_ok(stream_write(s, bytes, &e));
    assert_ok(stream_finish(s, stream_of(d, name), &e));
    assert_ok(writer_finish(w, &stats, &e));
    stream_free(STEAL(s));
    writer_free(STEAL(w));
    test_repo_reload(&d->b.repo);
}

static void test_truncated_streams(void **state)
{
    (void)state;
    struct drilling d;
    AUTO(buf) data = BUF_NONE;
    make_one("cut");
    drilling_init(&d, "cut");
    drilling_backup(&d);
    backup_read(&d.b, "data", &data);
    const size_t ends[] = {0, 5, 60, 3000, data.n / 2, data.n - 40, data.n - 1};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        replace_stream(&d, "data", BYTES(data.p, ends[i]));
        drilling_run(&d);
        assert_differs(&d, "pg_dump");
    }
    replace_stream(&d, "data", buf_bytes(&data));
    drilling_run(&d);
    assert_proven(&d);
    drilling_free(&d);
}

/* A byte turned over where the archive's own structure does not notice. */
static void test_changed_stream(void **state)
{
    (void)state;
    struct drilling d;
    AUTO(buf) data = BUF_NONE;
    make_one("changed");
    drilling_init(&d, "changed");
    drilling_backup(&d);
    backup_read(&d.b, "data", &data);
    uint8_t *row = memmem(data.p, data.n, "1\tc4ca4238a0", 12);
    assert_non_null(row);
    row[3]++;
    replace_stream(&d, "data", buf_bytes(&data));
    drilling_run(&d);
    assert_differs(&d,
                   "the stored dump is not the one that was made: table public.t: as many rows (3,000), but "
                   "their content differs");
    assert_int_equal(d.result.reasons.n, 1);
    drilling_free(&d);
}

static void test_swapped_streams(void **state)
{
    (void)state;
    struct drilling d;
    make_one("swapped");
    drilling_init(&d, "swapped");
    drilling_backup(&d);
    struct stream_info fingerprint = *stream_of(&d, "fingerprint"), globals = *stream_of(&d, "globals"),
                       data = *stream_of(&d, "data");
    cluster_sql("swapped", "DELETE FROM t WHERE i = 7; CREATE INDEX new_index ON t (i)");
    drilling_backup(&d);
    struct stream_info now = *stream_of(&d, "fingerprint");
    *stream_of(&d, "fingerprint") = fingerprint;
    drilling_run(&d);
    assert_differs(
        &d,
        "the stored dump is not the one that was made: index public.new_index is there and should not be");
    assert_differs(&d, "table public.t: 1 row is missing (2,999 of 3,000)");

    *stream_of(&d, "fingerprint") = now;
    *stream_of(&d, "data") = data;
    drilling_run(&d);
    assert_differs(&d, "index public.new_index is missing");

    snprintf(globals.name, sizeof globals.name, "data");
    *stream_of(&d, "data") = globals;
    drilling_run(&d);
    assert_differs(&d, "this is not what pg_dump --format=custom writes");
    snprintf(data.name, sizeof data.name, "fingerprint");
    *stream_of(&d, "fingerprint") = data;
    drilling_run(&d);
    assert_differs(&d, "this is not what pg_dump --format=custom writes");
    drilling_free(&d);
}

/* A fingerprint of a version to come is no proof, and no reproach. */
static void test_other_fingerprints(void **state)
{
    (void)state;
    struct drilling d;
    AUTO(buf) f = BUF_NONE;
    make_one("prints");
    drilling_init(&d, "prints");
    drilling_backup(&d);
    backup_read(&d.b, "fingerprint", &f);
    f.p[15] = '2';
    replace_stream(&d, "fingerprint", buf_bytes(&f));
    drilling_run(&d);
    assert_unable(&d, "is of a version that this program does not know");
    f.p[15] = '1';
    replace_stream(&d, "fingerprint", BYTES(f.p, f.n - 10));
    drilling_run(&d);
    assert_differs(&d, "it was cut off");
    drilling_free(&d);
}

/* ---- the user's own ---- */

static void set_asserts(struct drilling *d, struct config_assert *v, size_t n)
{
    d->settings.asserts = v;
    d->settings.assert_count = n;
}

#define ASSERT(source, sql)             \
    {                                   \
        (char *)(source), (char *)(sql) \
    }

static void test_asserts(void **state)
{
    (void)state;
    struct drilling d;
    struct config_assert good[] = {
        ASSERT("app", "SELECT count(*) > 10 FROM t"), ASSERT("app", "SELECT count(*) FROM t"),
        ASSERT("app/asserted", "SELECT -0.5, false"),
        ASSERT("app", "CREATE TEMPORARY TABLE x (i int); SELECT true"), ASSERT("apple", "SELECT false")};
    struct config_assert bad[] = {ASSERT("app", "SELECT count(*) < 10 FROM t"),
                                  ASSERT("app", "SELECT 0.0"),
                                  ASSERT("app", "SELECT NULL"),
                                  ASSERT("app", "SELECT true WHERE false"),
                                  ASSERT("app", "SELECT nothing FROM nowhere"),
                                  ASSERT("app", "SET work_mem = '1MB'"),
                                  ASSERT("app", "SELECT 'NaN'"),
                                  ASSERT("app/other", "SELECT true")};
    make_one("asserted");
    drilling_init(&d, "asserted");
    drilling_backup(&d);
    set_asserts(&d, good, ARRAY_LEN(good));
    drilling_run(&d);
    assert_proven(&d);
    set_asserts(&d, bad, ARRAY_LEN(bad));
    drilling_run(&d);
    assert_differs(&d, "assert \"SELECT count(*) < 10 FROM t\": it gives f");
    assert_differs(&d, "assert \"SELECT 0.0\": it gives 0.0");
    assert_differs(&d, "assert \"SELECT NULL\": it gives null");
    assert_differs(&d, "it gives no row");
    assert_differs(&d, "relation \"nowhere\" does not exist");
    assert_differs(&d, "it gives no value");
    assert_differs(&d, "it gives NaN");
    assert_differs(&d, "there is no database other in this backup");
    assert_int_equal(d.result.reasons.n, ARRAY_LEN(bad));
    drilling_free(&d);
}

static void test_after_restore_fails(void **state)
{
    (void)state;
    struct drilling d;
    make_one("checked");
    drilling_init(&d, "checked");
    drilling_backup(&d);
    d.settings.after_restore =
        (char *)"psql -X -c 'SELECT one FROM u' >/dev/null && echo 'not good enough' >&2; exit 3";
    drilling_run(&d);
    assert_differs(&d, "after-restore: exit status 3: not good enough");
    assert_int_equal(d.result.reasons.n, 1);
    drilling_free(&d);
}

/* ---- what is in a backup, and what is not ---- */

static void test_many_databases(void **state)
{
    (void)state;
    struct drilling d;
    struct config_assert asserts[] = {ASSERT("app/one", "SELECT true"), ASSERT("app", "SELECT true")};
    make_one("one");
    create_database("two");
    cluster_sql("two", "CREATE TABLE of_two (i int); CREATE TABLE postgres (i int)");
    cluster_sql("postgres", "CREATE TABLE in_postgres AS SELECT 1 i; COMMENT ON DATABASE postgres IS NULL");
    drilling_init(&d, NULL);
    drilling_in_private(&d);
    strings_add(&d.b.config.databases, "one");
    strings_add(&d.b.config.databases, "postgres");
    strings_add(&d.b.config.databases, "two");
    drilling_backup(&d);
    set_asserts(&d, asserts, 1);
    drilling_run(&d);
    assert_proven(&d);
    assert_int_equal(d.result.layer_count, 4);
    assert_int_equal(d.result.entries, 5);
    set_asserts(&d, asserts, 2);
    d.settings.after_restore = (char *)"[ $PGDATABASE = one ] || psql -X -q -c 'CREATE TABLE more (i int)'";
    drilling_run(&d);
    assert_differs(&d, "database two: table public.more is there and should not be");
    assert_differs(&d, "database postgres: table public.more is there and should not be");
    assert_differs(&d, "say which, as in `assert app/DATABASE = ...`");
    assert_int_equal(d.result.reasons.n, 3);
    cluster_sql("postgres", "DROP TABLE in_postgres");
    drilling_free(&d);
}

/* pg_dump takes such a pattern for sequences and materialized views, too. */
static void test_excluded_rows(void **state)
{
    (void)state;
    struct drilling d;
    create_database("excluding");
    cluster_sql("excluding",
                "CREATE TABLE session (i serial); INSERT INTO session SELECT FROM generate_series(1, 5);"
                "CREATE TABLE kept (i serial); INSERT INTO kept DEFAULT VALUES;"
                "CREATE MATERIALIZED VIEW session_m AS SELECT 1 x; CREATE TABLE session_e (i int)");
    drilling_init(&d, "excluding");
    strings_add(&d.b.config.exclude_table_data, "public.session*");
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);
    assert_sentence(&d.result.notes, "(exclude-table-data): 2, such as table public.session");
    d.settings.after_restore = drilling_sql("INSERT INTO session VALUES (1); SELECT setval('kept_i_seq', 9)");
    drilling_run(&d);
    assert_differs(&d, "table public.session: 1 row too many (1 instead of 0)");
    assert_differs(&d, "sequence public.kept_i_seq: its value differs");
    assert_int_equal(d.result.reasons.n, 2);
    drilling_free(&d);
}

#define NEEDS_ROLES                                                                                           \
    "CREATE TABLE t (i int); ALTER TABLE t OWNER TO \"an \"\"owner\"; GRANT SELECT ON t TO grantee;"          \
    "CREATE POLICY p ON t TO policed; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;" \
    "CREATE USER MAPPING FOR mapped SERVER s; CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS " \
    "'BEGIN END'; CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f(); ALTER EVENT TRIGGER e OWNER TO "   \
    "mighty; CREATE PUBLICATION p FOR ALL TABLES; ALTER PUBLICATION p OWNER TO mighty;"                       \
    "ALTER DEFAULT PRIVILEGES FOR ROLE grantor GRANT SELECT ON TABLES TO member;"

static void test_roles(void **state)
{
    (void)state;
    struct drilling d;
    cluster_sql(
        "postgres",
        "CREATE ROLE \"an \"\"owner\" LOGIN PASSWORD 'x'; CREATE ROLE grantee; CREATE ROLE policed;"
        "CREATE ROLE mapped BYPASSRLS; CREATE ROLE mighty SUPERUSER LOGIN; CREATE ROLE idle SUPERUSER LOGIN; CREATE ROLE grantor;"
        "CREATE ROLE member; GRANT policed TO member WITH ADMIN OPTION; CREATE ROLE in_rows");
    create_database("roles");
    cluster_sql("roles", NEEDS_ROLES);
    drilling_init(&d, "roles");
    drilling_in_private(&d);
    drilling_backup(&d);
    d.settings.after_restore = drilling_sql(
        "DO $$ BEGIN\n"
        "ASSERT (SELECT count(*) = 1 FROM pg_roles WHERE rolsuper AND NOT rolcanlogin), 'superusers';\n"
        "ASSERT (SELECT bool_and(rolpassword IS NULL) FROM pg_authid WHERE rolname = 'an \"owner'), 'password';\n"
        "ASSERT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'mapped'), 'bypassrls';\n"
        "ASSERT pg_has_role('member', 'policed', 'USAGE WITH ADMIN OPTION'), 'membership';\n"
        "ASSERT NOT (SELECT rolcanlogin FROM pg_roles WHERE rolname = 'an \"owner'), 'login';\n"
        "END $$");
    drilling_run(&d);
    assert_proven(&d);

    d.b.config.globals = false; /* they are found out */
    d.settings.after_restore = NULL;
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);

    cluster_sql("roles", "CREATE TABLE r (r regrole); INSERT INTO r VALUES ('in_rows')");
    drilling_backup(&d);
    drilling_run(&d);
    assert_unable(&d, "the backup is without its roles (globals = yes): COPY failed for table \"r\"");
    d.b.config.globals = true;
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);
    drilling_free(&d);
}

static void test_tablespaces(void **state)
{
    (void)state;
    struct drilling d;
    cluster_sql("postgres", "SET allow_in_place_tablespaces = on");
    free(cluster_shell("psql -X -q -d postgres -c 'SET allow_in_place_tablespaces = on' -c "
                       "\"CREATE TABLESPACE \\\"fast disk\\\" LOCATION ''\" 2>&1"));
    cluster_sql("postgres", "CREATE DATABASE spaced TEMPLATE template0 TABLESPACE \"fast disk\"");
    cluster_sql("spaced", "CREATE TABLE t (i int) TABLESPACE pg_default; CREATE TABLE u (i int PRIMARY KEY)");
    drilling_init(&d, "spaced");
    drilling_in_private(&d);
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);
    d.settings.after_restore = drilling_sql("ALTER TABLE t SET TABLESPACE \"fast disk\"");
    drilling_run(&d);
    assert_differs(&d, "table public.t: its tablespace is the default instead of pg_default");
    drilling_free(&d);
    cluster_sql("postgres", "DROP DATABASE spaced");
    cluster_sql("postgres", "DROP TABLESPACE \"fast disk\"");
}

static void test_other_encoding(void **state)
{
    (void)state;
    struct drilling d;
    cluster_sql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    cluster_sql("latin", "CREATE TABLE \"caf\xe9\" (\"\xfc\" text); INSERT INTO \"caf\xe9\" VALUES ('\xdf')");
    drilling_init(&d, "latin");
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);
    d.settings.after_restore = (char *)"PGCLIENTENCODING=UTF8 psql -X -q -c 'DELETE FROM \"café\"'";
    drilling_run(&d);
    assert_differs(&d, "table public.caf\\xe9: 1 row is missing (0 of 1)");
    drilling_free(&d);
}

/* Names of roles have no encoding: each database reads their bytes in its own. */
static void test_roles_of_other_encoding(void **state)
{
    (void)state;
    struct drilling d;
    cluster_sql("postgres", "CREATE DATABASE west TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    cluster_sql("west",
                "CREATE ROLE \"J\xfcrgen\"; CREATE ROLE \"caf\xe9\"; GRANT \"caf\xe9\" TO \"J\xfcrgen\";"
                "CREATE TABLE t AS SELECT 1 AS i; ALTER TABLE t OWNER TO \"J\xfcrgen\";"
                "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO \"caf\xe9\" USING (true);"
                "ALTER ROLE \"J\xfcrgen\" IN DATABASE west SET work_mem = '5MB'");
    drilling_init(&d, "west");
    drilling_backup(&d);
    drilling_in_private(&d);
    drilling_run(&d);
    assert_proven(&d);
    d.settings.scratch = d.here;
    drilling_run(&d);
    assert_proven(&d);
    assert_false(cluster_has_database_like("lifeboat_drill"));
    drilling_free(&d);
    cluster_sql("west", "DROP TABLE t; ALTER ROLE \"J\xfcrgen\" IN DATABASE west RESET work_mem;"
                        "DROP ROLE \"J\xfcrgen\"; DROP ROLE \"caf\xe9\"");
}

/* ---- what this machine lacks ---- */

static void replace_all(struct buf *b, const char *from, const char *to)
{
    size_t n = strlen(from);
    for (uint8_t *p = b->p; (p = memmem(p, b->n - (size_t)(p - b->p), from, n)); p += n)
        memcpy(p, to, n);
}

static void test_missing_extension(void **state)
{
    (void)state;
    struct drilling d;
    AUTO(buf) data = BUF_NONE;
    create_database("extended");
    cluster_sql("extended", "CREATE EXTENSION hstore; CREATE TABLE t (h hstore)");
    drilling_init(&d, "extended");
    drilling_backup(&d);
    backup_read(&d.b, "data", &data);
    replace_all(&data, "hstore", "nstore");
    replace_stream(&d, "data", buf_bytes(&data));
    drilling_run(&d);
    assert_unable(&d, "extension nstore: install it (packages of Debian: postgresql-");
    drilling_free(&d);
}

static void test_no_room(void **state)
{
    (void)state;
    struct drilling d;
    make_one("roomy");
    drilling_init(&d, "roomy");
    drilling_in_private(&d);
    drilling_backup(&d);
    d.settings.max_bytes = 1 << 20;
    drilling_run(&d);
    assert_unable(&d, "more than [drill] max-bytes allows");
    drilling_free(&d);
}

static void test_no_such_locale(void **state)
{
    (void)state;
    struct drilling d;
    AUTO(buf) data = BUF_NONE;
    make_one("placed");
    drilling_init(&d, "placed");
    drilling_backup(&d);
    backup_read(&d.b, "data", &data);
    replace_all(&data, "LOCALE = 'C.UTF-8'", "LOCALE = 'tlh__QO'");
    replace_stream(&d, "data", buf_bytes(&data));
    drilling_run(&d);
    assert_unable(&d, "dpkg-reconfigure locales");
    drilling_free(&d);
}

/* Nobody is told to drop a database of a server that is gone. */
static void test_scratch_ends(void **state)
{
    (void)state;
    struct drilling d;
    make_one("survivor");
    drilling_init(&d, "survivor");
    drilling_backup(&d);
    drilling_in_private(&d);
    char *path = cluster_fake(
        "pg_restore", "case \" $*\" in *\" --dbname=\"*) psql -qX -d template1 -c \"COPY (SELECT 1) TO "
                      "PROGRAM 'kill -QUIT \\$(head -n 1 postmaster.pid)'\" ;; esac\nexec $real \"$@\"");
    drilling_run(&d);
    cluster_fake_end("pg_restore", path);
    assert_unable(&d, "the scratch server ended during the drill");
    for (size_t i = 0; i < d.result.notes.n; i++)
        assert_null(strstr(d.result.notes.v[i], "drop it"));
    drilling_free(&d);
}

static void test_stopped(void **state)
{
    (void)state;
    struct drilling d;
    make_one("stopping");
    drilling_init(&d, "stopping");
    drilling_in_private(&d);
    drilling_backup(&d);
    d.settings.after_restore = (char *)"kill -USR1 $PPID; exec sleep 60";
    drilling_run(&d);
    assert_int_equal(d.rc, -1);
    assert_int_equal(d.e.kind, ERR_STOPPED);
    stop_requested = 0;
    drilling_free(&d);
}

/* ---- a server that the user set aside ---- */

static void test_server_set_aside(void **state)
{
    (void)state;
    struct drilling d;
    create_database("lent");
    cluster_sql("lent", NEEDS_ROLES);
    cluster_sql("lent", "GRANT SET ON PARAMETER work_mem TO grantee");
    cluster_sql("lent", "ALTER DATABASE lent SET work_mem = '9MB'; ALTER DATABASE lent IS_TEMPLATE true");
    cluster_sql("postgres",
                "CREATE DATABASE lifeboat_drill_0123456789ab IS_TEMPLATE true"); /* of a dead one */
    drilling_init(&d, "lent");
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);
    assert_sentence(&d.result.notes, "a server set aside, not into a server of its own");
    assert_false(cluster_has_database_like("lifeboat_"));
    cluster_sql("lent", "DROP OWNED BY grantee, mapped"); /* made for the drill, and dropped again */
    cluster_sql("roles", "DROP OWNED BY grantee, mapped");
    cluster_sql("postgres", "DROP ROLE mapped, grantee");
    drilling_run(&d);
    assert_proven(&d);
    AUTO_CHAR n =
        cluster_value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname IN ('mapped', 'grantee')");
    assert_string_equal(n, "0");
    d.settings.after_restore = drilling_sql("DROP TABLE t");
    drilling_run(&d);
    assert_differs(&d, "table public.t is missing");
    assert_false(cluster_has_database_like("lifeboat_"));

    strings_add(&d.server_ids, d.source.server_id);
    drilling_run(&d);
    assert_unable(&d, "this is the server of a source");
    drilling_free(&d);
}

static void on_signal(int number)
{
    (void)number;
    stop_requested = 1;
}

static int start(void **state)
{
    (void)state;
    signal(SIGUSR1, on_signal);
    cluster_start();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated_streams),
        cmocka_unit_test(test_changed_stream),
        cmocka_unit_test(test_swapped_streams),
        cmocka_unit_test(test_other_fingerprints),
        cmocka_unit_test(test_asserts),
        cmocka_unit_test(test_after_restore_fails),
        cmocka_unit_test(test_many_databases),
        cmocka_unit_test(test_excluded_rows),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_tablespaces),
        cmocka_unit_test(test_other_encoding),
        cmocka_unit_test(test_roles_of_other_encoding),
        cmocka_unit_test(test_missing_extension),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_no_such_locale),
        cmocka_unit_test(test_scratch_ends),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_server_set_aside),
    };
    return cmocka_run_group_tests(tests, start, cluster_tear_down);
}
