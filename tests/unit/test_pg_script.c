/* The scripts and lists that come with a dump, without a server. */
#include "testing.h"

#include "target/pg_target.h"

static char *statements(const char *script)
{
    struct pg_script s = {script, script + strlen(script)};
    struct err e = ERR_INIT;
    struct buf out = BUF_NONE;
    struct bytes b;
    int more;
    while ((more = pg_script_next(&s, &b, &e)) > 0)
        buf_add_fmt(&out, "<%.*s>", (int)b.n, (const char *)b.p);
    if (more < 0)
        buf_add_fmt(&out, "!%s", e.text);
    buf_cstr(&out);
    return (char *)out.p;
}

#define assert_statements(script, want)     \
    do {                                    \
        AUTO_CHAR got = statements(script); \
        assert_string_equal(got, want);     \
    } while (0)

static void test_statements(void **state)
{
    (void)state;
    assert_statements("", "");
    assert_statements(" ;; \n", "");
    assert_statements("a;b ;\n c", "<a><b ><c>");
    assert_statements("-- x; y\na /* ; /* ; */ ; */ b; -- end", "<a /* ; /* ; */ ; */ b>");
    assert_statements("'a;''b\\'; \"c;\"\"d\"; E'e\\';f';", "<'a;''b\\'><\"c;\"\"d\"><E'e\\';f'>");
    assert_statements("$$;$$; $x$ ; $$ ; $x$; $1;", "<$$;$$><$x$ ; $$ ; $x$><$1>");
    assert_statements("'open; to the end", "<'open; to the end>");
    assert_statements("a$b;c$b;", "<a$b><c$b>");
}

static void test_psql_commands(void **state)
{
    (void)state;
    assert_statements(
        "\\restrict abc\na;\n\\connect -reuse-previous=on \"dbname='x;y'\"\nb;\\unrestrict abc\n", "<a><b>");
    assert_statements("\\encoding SQL_ASCII\na;", "<a>");
    assert_statements("a;\n\\! rm -rf /\nb;",
                      "<a>!the script has a psql command that no dump has: \\! rm -rf /");
    assert_statements("\\restrictx\n", "!the script has a psql command that no dump has: \\restrictx");
    assert_statements("COMMENT ON ROLE x IS '\n\\! x\n';", "<COMMENT ON ROLE x IS '\n\\! x\n'>");
}

static void assert_renamed(const char *sql, const char *want)
{
    AUTO_CHAR got = pg_script_rename(BYTES_STR(sql), "\"A b\"", "new");
    if (!want)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void test_rename(void **state)
{
    (void)state;
    AUTO_CHAR name = pg_script_created_database(BYTES_STR("CREATE DATABASE \"A b\" WITH TEMPLATE = x"));
    assert_string_equal(name, "\"A b\"");
    assert_null(pg_script_created_database(BYTES_STR("CREATE DATABASE")));
    assert_null(pg_script_created_database(BYTES_STR("CREATE ROLE x")));
    assert_renamed("ALTER DATABASE \"A b\" SET x TO 'ALTER DATABASE \"A b\"'",
                   "ALTER DATABASE new SET x TO 'ALTER DATABASE \"A b\"'");
    assert_renamed("ALTER ROLE r IN DATABASE \"A b\" SET x TO 'y'",
                   "ALTER ROLE r IN DATABASE new SET x TO 'y'");
    assert_renamed("GRANT ALL ON DATABASE \"A b\" TO database", "GRANT ALL ON DATABASE new TO database");
    assert_renamed("COMMENT ON DATABASE \"A b\" IS 'x'", "COMMENT ON DATABASE new IS 'x'");
    assert_renamed("ALTER DATABASE /* \"A b\" */ \"A b\" x", "ALTER DATABASE /* \"A b\" */ new x");
    assert_renamed("ALTER DATABASE other SET x TO 1", NULL);
    assert_renamed("ALTER ROLE DATABASE \"A b\"", NULL);
    assert_renamed("SELECT 1", NULL);
}

/* ---- lists ---- */

static const char list[] = ";\n; Archive created at x\n;\n"
                           "1; 1262 5 DATABASE - app postgres\n"
                           "2; 0 0 COMMENT - DATABASE app postgres\n"
                           "3; 0 0 DATABASE PROPERTIES - app postgres\n"
                           "5; 2615 7 SCHEMA - s postgres\n"
                           "6; 3079 8 EXTENSION - hstore \n"
                           "7; 0 0 COMMENT - EXTENSION hstore \n;\tdepends on: 6\n"
                           "10; 1259 16 TABLE s a postgres\n;\tdepends on: 5\n"
                           "11; 1259 17 TABLE s a b postgres\n;\tdepends on: 5 6\n"
                           "12; 1259 18 SEQUENCE s a_id_seq postgres\n;\tdepends on: 10\n"
                           "13; 2604 19 DEFAULT s a b id postgres\n;\tdepends on: 11 14\n"
                           "14; 1259 20 SEQUENCE s serial postgres\n;\tdepends on: 5\n"
                           "15; 0 0 SEQUENCE OWNED BY s serial postgres\n;\tdepends on: 14\n"
                           "16; 1259 21 TABLE DATA x postgres\n"
                           "20; 0 16 TABLE DATA s a postgres\n;\tdepends on: 10\n"
                           "21; 0 17 TABLE DATA s a b postgres\n;\tdepends on: 11\n"
                           "22; 2606 22 CONSTRAINT s a a_pkey postgres\n;\tdepends on: 10\n"
                           "23; 2606 23 FK CONSTRAINT s a b fk postgres\n;\tdepends on: 11 22\n"
                           "24; 1259 24 INDEX s i postgres\n;\tdepends on: 11\n"
                           "25; 2620 25 TRIGGER s a b t postgres\n;\tdepends on: 11 30\n"
                           "30; 1255 26 FUNCTION s f() postgres\n;\tdepends on: 5\n";

static void parse(struct pg_contents *c)
{
    buf_add_str(&c->text, list);
    pg_contents_parse(c);
}

static void assert_chosen(const struct pg_contents *c, const char *want)
{
    AUTO(buf) ids = BUF_NONE;
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].chosen)
            buf_add_fmt(&ids, "%ld ", c->v[i].id);
    assert_string_equal(buf_cstr(&ids), want);
}

static void test_choosing(void **state)
{
    (void)state;
    AUTO(pg_contents) c = PG_CONTENTS_NONE;
    AUTO(strings) notes = STRINGS_NONE;
    parse(&c);
    assert_int_equal(c.n, 20);
    pg_contents_choose_database(&c);
    assert_chosen(&c, "1 2 3 ");
    pg_contents_forget_choice(&c);
    assert_true(pg_contents_choose_table(&c, &(struct pg_wanted){"s", "a"}));
    pg_contents_complete(&c, false, &notes);
    assert_chosen(&c, "10 12 20 22 ");
    pg_contents_forget_choice(&c);
    assert_true(pg_contents_choose_table(&c, &(struct pg_wanted){"s", "a b"}));
    pg_contents_complete(&c, false, &notes);
    assert_chosen(&c, "11 13 14 15 21 24 25 ");
    assert_int_equal(notes.n, 1);
    assert_true(pg_contents_choose_table(&c, &(struct pg_wanted){"s", "a"}));
    pg_contents_complete(&c, true, &notes);
    assert_chosen(&c, "5 6 7 10 11 12 13 14 15 20 21 22 23 24 25 30 ");
    assert_false(pg_contents_choose_table(&c, &(struct pg_wanted){"s", "c"}));
    pg_contents_forget_choice(&c);
    assert_true(pg_contents_choose_table(&c, &(struct pg_wanted){"DATA", "x"}));
    assert_chosen(&c, "16 ");
}

static void test_extensions(void **state)
{
    (void)state;
    AUTO(pg_contents) c = PG_CONTENTS_NONE;
    AUTO(strings) names = STRINGS_NONE;
    parse(&c);
    pg_contents_extensions(&c, &names);
    assert_int_equal(names.n, 1);
    assert_string_equal(names.v[0], "hstore");
    assert_true(pg_contents_choose_table(&c, &(struct pg_wanted){"s", "a"}));
    strings_free(&names);
    pg_contents_extensions(&c, &names);
    assert_int_equal(names.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements), cmocka_unit_test(test_psql_commands),
        cmocka_unit_test(test_rename),     cmocka_unit_test(test_choosing),
        cmocka_unit_test(test_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
