/* Tables that are written anew between the snapshot and pg_dump's lock: to the snapshot they are empty, for
 * TRUNCATE and ALTER TABLE are not bound by it. A nightly job that fills a table anew does that. */
#include "testing.h"

#include "pg_cluster.h"

/* A backup by a pg_dump before which this SQL has been run, once or each time. */
static void backup_after(struct pg_backup *b, const char *sql, bool once)
{
    AUTO_CHAR script =
        xasprintf("mark=%s/done\n[ -e \"$mark\" ] || psql -qX -d anew -c \"%s\" >/dev/null || exit 9\n"
                  "%s\nexec $real \"$@\"",
                  cluster_folder(), sql, once ? ">\"$mark\"" : "");
    char *path = cluster_fake("pg_dump", script);
    backup_run(b);
    cluster_fake_end("pg_dump", path);
    free(cluster_shell("rm -f %s/done", cluster_folder()));
    if (b->rc)
        fail_msg("%s", b->e.text);
}

static void test_tables_written_anew_are_dumped_again(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "BEGIN; TRUNCATE t; INSERT INTO t SELECT generate_series(1, 500); COMMIT",
        "ALTER TABLE t ALTER i TYPE bigint",
        "BEGIN; DROP TABLE t; CREATE TABLE t AS SELECT generate_series(1, 500) AS i; COMMIT",
        "VACUUM FULL t",
        "BEGIN; TRUNCATE p1; INSERT INTO p SELECT generate_series(1, 500); COMMIT",
    };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct pg_backup b;
        AUTO(buf) data = BUF_NONE;
        AUTO(restoring) r = {.piece = 0};
        AUTO_CHAR back = xasprintf("anew %zu", i);
        backup_init(&b, "anew");
        backup_after(&b, ways[i], true);
        assert_good(&b);
        backup_read(&b, "data", &data);
        assert_restored(r, buf_bytes(&data), back);
        AUTO_CHAR n = cluster_value(back, "SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM p)");
        assert_string_equal(n, "1000");
        backup_free(&b);
    }
}

static void test_one_written_anew_each_time_degrades(void **state)
{
    (void)state;
    struct pg_backup b;
    backup_init(&b, "anew");
    backup_after(&b, "TRUNCATE p1", false);
    assert_int_equal(b.result.verdict, VERDICT_DEGRADED);
    assert_sentence(&b.result.reasons, "database anew: table public.p1 was written anew");
    backup_free(&b);
}

static int set_up(void **state)
{
    cluster_set_up(state);
    create_database("anew");
    cluster_sql("anew",
                "CREATE TABLE t AS SELECT generate_series(1, 500) AS i;"
                "CREATE TABLE p (i int) PARTITION BY RANGE (i);"
                "CREATE TABLE p1 PARTITION OF p DEFAULT; INSERT INTO p SELECT generate_series(1, 500)");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_written_anew_are_dumped_again),
        cmocka_unit_test(test_one_written_anew_each_time_degrades),
    };
    return cmocka_run_group_tests(tests, set_up, cluster_tear_down);
}
