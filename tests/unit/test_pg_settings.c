/* Settings of a server, which are in no dump, and by which its databases' values get their meaning. */
#include "testing.h"

#include "pg_drilling.h"

#include "source/pg_settings.h"

/* A server takes it up a moment later. */
static void set_zone(const char *zone)
{
    AUTO_CHAR sql = xasprintf("ALTER SYSTEM SET timezone = '%s'", zone);
    cluster_sql("postgres", sql);
    cluster_sql("postgres", "SELECT pg_reload_conf()");
    for (int i = 0; i < 3000; i++) {
        AUTO_CHAR now = cluster_value("postgres", "SHOW timezone");
        if (strcmp(now, zone) == 0)
            return;
        sleep_ms(10);
    }
    fail_msg("the server does not take up its zone");
}

static void make_days(const char *name)
{
    create_database(name);
    cluster_sql(name, "CREATE TABLE t (at timestamptz, day date, CHECK (day = at::date));"
                      "INSERT INTO t SELECT v, v::date FROM generate_series('2026-01-01 00:00+09',"
                      "  '2026-01-02 23:00+09', interval '1 hour') v;"
                      "CREATE MATERIALIZED VIEW days AS SELECT at::date AS day, count(*) FROM t GROUP BY 1");
}

#define DAYS "SELECT string_agg(day || ' ' || count, ', ' ORDER BY day) FROM days"

static void assert_days(const char *database)
{
    AUTO_CHAR v = cluster_value(database, DAYS);
    assert_string_equal(v, "2026-01-01 24, 2026-01-02 24");
}

/* A scratch server is in UTC. */
static void drill_in_tokyo(struct drilling *d)
{
    struct config_assert asserts[] = {
        {.source = (char *)"app", .sql = (char *)"SELECT (" DAYS ") = '2026-01-01 24, 2026-01-02 24'"},
        {.source = (char *)"app", .sql = (char *)"SELECT current_setting('TimeZone') = 'Asia/Tokyo'"}};
    d->settings.asserts = asserts;
    d->settings.assert_count = ARRAY_LEN(asserts);
    d->settings.after_restore =
        (char *)"test \"$(psql -XAtc \"SELECT '2026-01-01 20:00+00'::timestamptz::date\")\" = 2026-01-02";
    drilling_in_private(d);
    drilling_run(d);
    assert_proven(d);
}

static void test_server_in_tokyo(void **state)
{
    (void)state;
    struct drilling d;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    AUTO_CHAR was = cluster_value("postgres", "SHOW timezone");
    set_zone("Asia/Tokyo");
    make_days("tokyo");
    drilling_init(&d, "tokyo");
    drilling_backup(&d);
    set_zone(was);
    assert_true(strings_has(&d.source.server_settings, "TimeZone=Asia/Tokyo"));
    backup_read(&d.b, "data", &data);

    if (!getenv("LIFEBOAT_EMULATED")) /* qemu-user has no seccomp, which the cage of a drill wants */
        drill_in_tokyo(&d);
    r.o.settings = &d.source.server_settings;
    assert_restored(r, buf_bytes(&data), "tokyo back");
    assert_days("tokyo back");
    assert_int_equal(r.counts.notes.n, 0);
    AUTO_CHAR zone = cluster_value("tokyo back", "SHOW timezone"); /* nothing was left behind */
    assert_string_equal(zone, was);
    AUTO(restoring) jobs = {.o = {.settings = &d.source.server_settings, .jobs = 2}};
    assert_restored(jobs, buf_bytes(&data), "tokyo jobs");
    assert_days("tokyo jobs");
    drilling_free(&d);
}

/* What a database says of itself, in the dump, goes before what its server said. */
static void test_database_goes_first(void **state)
{
    (void)state;
    struct pg_backup b;
    AUTO(buf) data = BUF_NONE;
    AUTO(restoring) r = {.piece = 0};
    create_database("own zone");
    cluster_sql("own zone", "ALTER DATABASE \"own zone\" SET timezone = 'Asia/Tokyo'");
    cluster_sql("own zone", "CREATE TABLE t AS SELECT '2026-01-01 20:00+00'::timestamptz AS at;"
                            "CREATE MATERIALIZED VIEW days AS SELECT at::date AS day, 1 AS count FROM t");
    backup_init(&b, "own zone");
    backup_run(&b);
    assert_good(&b);
    for (size_t i = 0; i < b.result.server_settings.n; i++)
        assert_null(strstr(b.result.server_settings.v[i], "TimeZone"));
    backup_read(&b, "data", &data);
    AUTO(strings) settings = STRINGS_NONE;
    strings_add(&settings, "TimeZone=America/Lima");
    r.o.settings = &settings;
    assert_restored(r, buf_bytes(&data), "own zone back");
    AUTO_CHAR v = cluster_value("own zone back", DAYS);
    assert_string_equal(v, "2026-01-02 1");
    assert_int_equal(r.counts.notes.n, 0);
    backup_free(&b);
}

/* A snapshot is from outside. */
static void test_others_are_not_set(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(pg) p = PG_NONE;
    AUTO(strings) settings = STRINGS_NONE, set = STRINGS_NONE, notes = STRINGS_NONE;
    AUTO_CHAR connection = cluster_connection("postgres", "postgres");
    static const char *const bad[] = {
        "session_preload_libraries=evil", "role=postgres", "", "=", "TimeZone", "TimeZone=\n", "=TimeZone"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        strings_add(&settings, bad[i]);
    strings_add(&settings, "lc_monetary=xx_XX.nowhere");
    strings_add(&settings, "IntervalStyle=sql_standard");
    assert_ok(pg_connect(&p, connection, NULL, &e));
    assert_ok(pg_settings_use(&p, &settings, &set, &notes, &e));
    assert_int_equal(set.n, 1);
    assert_string_equal(set.v[0], "IntervalStyle=sql_standard");
    assert_int_equal(notes.n, 1);
    assert_sentence(&notes, "lc_monetary=xx_XX.nowhere, which cannot be set here");
    assert_true(pg_setting_gives_meaning("datestyle"));
    assert_true(pg_setting_gives_meaning("extra_float_digits"));
    assert_false(pg_setting_gives_meaning("Date"));
    assert_false(pg_setting_gives_meaning(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_in_tokyo),
        cmocka_unit_test(test_database_goes_first),
        cmocka_unit_test(test_others_are_not_set),
    };
    return cmocka_run_group_tests(tests, cluster_set_up, cluster_tear_down);
}
