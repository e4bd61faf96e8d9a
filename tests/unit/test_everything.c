/* A database with everything PostgreSQL has, out by the source and back by the target, compared from outside.
 */
#include "testing.h"

#include "pg_cluster.h"

#define ODD  "a=b \"q\" 'é'"
#define BACK "c=d \\ ü"

static char *of_shell(const char *name) /* for '...' of sh */
{
    AUTO(buf) out = BUF_NONE;
    for (; *name; name++)
        buf_add_fmt(&out, *name == '\'' ? "'\\''" : "%c", *name);
    return xstrdup(buf_cstr(&out));
}

static struct buf everything = BUF_NONE;
static char *everything_fingerprint;

/* Everything, in a database whose name is not nice either, is backed up once. */
static void make_everything(void)
{
    struct pg_backup b;
    AUTO(buf) fingerprint = BUF_NONE;
    AUTO_CHAR name = of_shell(ODD);
    create_database(ODD);
    free(cluster_shell("PGDATABASE='%s' psql -X -q -f '%s/data/everything.sql' 2>&1", name, tests_folder()));
    backup_init(&b, ODD);
    backup_run(&b);
    assert_good(&b);
    assert_true(b.result.files > 50);
    assert_string_equal(b.result.streams[0].name, "data");
    backup_read(&b, "data", &everything);
    backup_read(&b, "fingerprint", &fingerprint);
    everything_fingerprint = xstrdup(buf_cstr(&fingerprint));
    assert_int_equal(everything.n, b.result.bytes);
    assert_non_null(memmem(b.result.state.p, b.result.state.n, "\tpublic.churned\t2572\n", 21));
    assert_null(memmem(b.result.state.p, b.result.state.n, "measured_2020", 13));
    backup_free(&b);
}

/* Lines that only `a` has must be spelled in `a` as the witness spells them; returns how many there are. */
static size_t count_respelled(const char *a, const char *b, const char *witness)
{
    size_t n = 0;
    AUTO_CHAR lines = xstrdup(a);
    char *save = NULL;
    for (char *l = strtok_r(lines, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        AUTO_CHAR whole = xasprintf("%s\n", l);
        if (strstr(b, whole))
            continue;
        if (!strstr(witness, whole))
            fail_msg("differs: %s", l);
        n++;
    }
    return n;
}

static size_t count_lines(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

/* The witness is made by PostgreSQL's own programs alone. */
static void make_witness(void)
{
    AUTO_CHAR odd = of_shell(ODD);
    create_database("witness");
    free(cluster_shell("PGDATABASE='%s' pg_dump -Fc -Z0 | pg_restore -d witness", odd));
}

static void assert_same_as_everything(const char *database)
{
    AUTO_CHAR now = fingerprint_now(database);
    AUTO_CHAR witness = fingerprint_now("witness");
    assert_int_equal(count_lines(everything_fingerprint), count_lines(now));
    size_t respelled = count_respelled(now, everything_fingerprint, witness);
    assert_in_range(respelled, 3, 30); /* those at the end of everything.sql, and what hangs on them */
}

#define PLAIN_DUMP                                                                                    \
    "dump() { PGTZ=UTC PGOPTIONS='-c quote_all_identifiers=off -c bytea_output=hex -c search_path=' " \
    "  pg_dump \"$@\" | sed '/^.\\(un\\)\\{0,1\\}restrict/d'; };"                                     \
    "both() { dump --schema-only; dump --data-only --load-via-partition-root | LC_ALL=C sort; };"

/* pg_dump's own text of what was restored, and of what pg_restore alone makes of the same. */
static void test_everything_comes_back(void **state)
{
    (void)state;
    AUTO(restoring) r = {.piece = 0};
    assert_restored(r, buf_bytes(&everything), BACK);
    assert_int_equal(r.counts.bytes, everything.n);
    assert_true(r.counts.entries > 50);
    assert_same_as_everything(BACK);
    AUTO_CHAR back = of_shell(BACK);
    AUTO_CHAR same = cluster_shell("cd '%s';" PLAIN_DUMP "(PGDATABASE='%s'; export PGDATABASE; both) > a;"
                                   "(PGDATABASE=witness; export PGDATABASE; both) > b;"
                                   "[ $(wc -c < a) -gt 5000000 ] && diff a b && echo same",
                                   cluster_folder(), back);
    assert_string_equal(same, "same\n");
    assert_false(cluster_has_database_like("lifeboat_"));
}

/* What a dump keeps outside the database: --create is needed for it. */
static void test_settings_of_the_database_come_back(void **state)
{
    (void)state;
    static const char sql[] =
        "SELECT concat_ws(E'\\n', pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, (SELECT array_agg(a ORDER BY a::text) FROM unnest(datacl) a), "
        "shobj_description(d.oid, 'pg_database'), (SELECT string_agg(concat(setrole::regrole, setconfig), ';' "
        "ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)) FROM pg_database d WHERE datname "
        "= current_database()";
    AUTO(restoring) r = {.piece = 0};
    assert_restored(r, buf_bytes(&everything), "settings");
    AUTO_CHAR out = cluster_value(ODD, sql);
    AUTO_CHAR back = cluster_value("settings", sql);
    assert_string_equal(out, back);
    assert_non_null(strstr(out, "Kathmandu"));
}

static void test_everything_comes_back_by_jobs(void **state)
{
    (void)state;
    AUTO(restoring) r = {.o = {.jobs = 2}, .piece = 5000};
    assert_restored(r, buf_bytes(&everything), "jobs");
    assert_same_as_everything("jobs");
}

static void test_tables_of_everything(void **state)
{
    (void)state;
    const char *const tables[] = {"odd schema.a \"table\", with; everything' \\ $$ -- /*",
                                  "new\nline.new\nline",
                                  "public.measured",
                                  "DATA.x",
                                  "churned",
                                  "generated",
                                  NULL};
    AUTO(restoring) r = {.o = {.tables = tables}};
    assert_restored(r, buf_bytes(&everything), "some");
    AUTO_CHAR names =
        cluster_value("some", "SELECT string_agg(relname, ';' ORDER BY relname COLLATE \"C\") FROM pg_class "
                              "WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ "
                              "'^(pg_|information)' AND relname ~ '^(a|new|me|x|chu|gen)'");
    assert_string_equal(names,
                        "a \"table\", with; everything' \\ $$ -- /*;churned;generated;measured;measured 2021 "
                        "rest;measured_2020;measured_2021;measured_2021_sad;measured_early;measured_rest;"
                        "new\nline;x");
    static const char sum[] = "SELECT count(*) || md5(string_agg(m::text, ',' ORDER BY m)) FROM measured m";
    AUTO_CHAR before = cluster_value(ODD, sum);
    AUTO_CHAR after =
        cluster_value("some", "SET timezone = 'Asia/Kathmandu'; SELECT count(*) || md5(string_agg(m::text, "
                              "',' ORDER BY m)) FROM measured m");
    assert_string_equal(before, after);
}

static int start(void **state)
{
    (void)state;
    cluster_start();
    make_everything();
    make_witness();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    buf_free(&everything);
    free(everything_fingerprint);
    cluster_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_settings_of_the_database_come_back),
        cmocka_unit_test(test_everything_comes_back_by_jobs),
        cmocka_unit_test(test_tables_of_everything),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
