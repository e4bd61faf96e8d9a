/* Fingerprints compared: what differs, in words. */
#include "testing.h"

#include "drill/fingerprint.h"

#define HEADER "{\"fingerprint\":1,\"digest\":\"xxh3-128\",\"seed\":\"6c696665626f6174\"}\n"
#define D1     "00000000000000000000000000000001"
#define D2     "00000000000000000000000000000002"
#define D3     "00000000000000000000000000000003"

#define OBJECT(type, schema, name, more) "{\"object\":[\"" type "\",\"" schema "\",\"" name "\"]" more "}\n"
#define DEF(digest)                      ",\"definition\":\"" digest "\""
#define ROWS(name, columns, rows, sum) \
    "{\"table\":[\"public\",\"" name "\"],\"columns\":[" columns "],\"rows\":" rows ",\"sum\":\"" sum "\"}\n"
#define LARGE(oid, bytes, digest) \
    "{\"large_object\":" oid ",\"bytes\":" bytes ",\"content\":\"" digest "\"}\n"

struct comparing {
    struct fingerprint_compare c;
    struct fingerprint_result r;
    struct strings differs, respelled;
    struct err e;
};

static void on_differs(void *ctx, const char *sentence)
{
    strings_add(&((struct comparing *)ctx)->differs, sentence);
}

static void on_respelled(void *ctx, const char *object)
{
    strings_add(&((struct comparing *)ctx)->respelled, object);
}

static void comparing_free(struct comparing *x)
{
    strings_free(&x->differs);
    strings_free(&x->respelled);
    fingerprint_result_free(&x->r);
}
AUTO_FOR(comparing)

static int compare(struct comparing *x, const char *original, const char *now, const char *witness)
{
    comparing_free(x);
    x->e = (struct err)ERR_INIT;
    x->c.original = BYTES_STR(original);
    x->c.now = BYTES_STR(now);
    x->c.witness = witness ? BYTES_STR(witness) : BYTES(NULL, 0);
    x->c.differs = on_differs;
    x->c.respelled = on_respelled;
    x->c.ctx = x;
    int rc = fingerprint_compare(&x->c, &x->r, &x->e);
    assert_int_equal(rc != 0, err_is_set(&x->e));
    if (rc == 0)
        assert_int_equal(x->r.differences, x->differs.n);
    return rc;
}

/* Lists end with NULL. */
static void assert_says(const struct strings *said, const char *const *wanted)
{
    size_t n = 0;
    for (; wanted[n]; n++)
        if (!strings_has(said, wanted[n]))
            fail_msg("nothing says \"%s\", but \"%s\"", wanted[n], said->n ? said->v[0] : "");
    if (said->n != n)
        fail_msg("%zu sentences and not %zu, such as \"%s\"", said->n, n, said->v[said->n - 1]);
}

#define assert_differences(original, now, ...)                   \
    do {                                                         \
        const char *wanted_[] = {__VA_ARGS__, NULL};             \
        AUTO(comparing) x_ = {.c = {.without_database = false}}; \
        if (compare(&x_, HEADER original, HEADER now, NULL))     \
            fail_msg("%s", x_.e.text);                           \
        assert_says(&x_.differs, wanted_);                       \
    } while (0)

static void test_equal(void **state)
{
    (void)state;
    AUTO(comparing) x = {.c = {.without_database = false}};
    static const char text[] = HEADER LARGE("10", "3", D1) LARGE("100", "3", D1)
        OBJECT("FOREIGN TABLE", "public", "f", "") OBJECT("TABLE", "public", "t", DEF(D1))
            ROWS("t", "\"a\",\"b\"", "1000", D1) ROWS("u", "", "5", D2);
    assert_int_equal(compare(&x, text, text, NULL), 0);
    assert_int_equal(x.r.differences, 0);
    assert_int_equal(x.r.tables, 2);
    assert_int_equal(x.r.rows, 1005);
    assert_int_equal(x.r.foreign_tables, 1);
    assert_int_equal(compare(&x, HEADER, HEADER, NULL), 0);
    assert_int_equal(x.r.differences, 0);
}

static void assert_refused(const char *original, const char *now, enum err_kind kind, const char *text)
{
    AUTO(comparing) x = {.c = {.without_database = false}};
    assert_int_equal(compare(&x, original, now, NULL), -1);
    assert_int_equal(x.e.kind, kind);
    assert_text(x.e, text);
}

/* What is not understood is never equal, though it is the same on both sides. */
static void test_not_understood(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"what\":[\"a\"]}\n",
        "{}\n",
        "\n",
        "{\"object\":[\"A\",\"b\"]}\n",
        "{\"object\":[\"A\",\"b\",\"c\"],\"new\":1}\n",
        "{\"object\":[\"A\",\"b\",\"c\"],\"definition\":\"" D1 "\",\"owner\":\"x\"}\n",
        "{\"object\":[\"A\",\"b\",\"c\"],\"definition\":\"0\"}\n",
        "{\"object\":[\"A\",\"b\",\"c\"],\"definition\":\"" D1 "0\"}\n",
        "{\"object\":[\"A\",\"b\",\"c]}\n",
        "{\"object\":[\"A\",\"b\",{\"b64\":\"AA==\"]}\n",
        "{\"table\":[\"a\",\"b\"],\"columns\":[\"c\"],\"rows\":,\"sum\":\"" D1 "\"}\n",
        "{\"table\":[\"a\",\"b\"],\"columns\":[\"c\",],\"rows\":1,\"sum\":\"" D1 "\"}\n",
        "{\"table\":[\"a\",\"b\"],\"columns\":[],\"rows\":18446744073709551616,\"sum\":\"" D1 "\"}\n",
        "{\"table\":[\"a\",\"b\"],\"columns\":[],\"rows\":1,\"sum\":\"" D1 "\"}x\n",
        "{\"large_object\":,\"bytes\":1,\"content\":\"" D1 "\"}\n",
        "{\"large_object\":1,\"bytes\":1}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        AUTO_CHAR text = xasprintf("%s%s", HEADER, lines[i]);
        assert_refused(text, text, ERR_DAMAGED, "line 2 ");
    }
    static const char unsorted[] = HEADER OBJECT("TABLE", "a", "b", "") OBJECT("TABLE", "a", "a", "");
    assert_refused(unsorted, unsorted, ERR_DAMAGED, "line 3 is not in order");
    assert_refused(HEADER "{\"object\":[\"A\",\"b\",\"c\"]}", HEADER, ERR_DAMAGED, "it was cut off");
    assert_refused("", "", ERR_DAMAGED, "is empty");
    assert_refused(HEADER, "", ERR_DAMAGED, "the fingerprint of what was restored: is empty");
    assert_refused("{\"x\":1}\n", HEADER, ERR_DAMAGED, "the fingerprint of the backup: line 1 is no header");
    static const char newer[] = "{\"fingerprint\":2,\"digest\":\"xxh3-128\",\"seed\":\"6c696665626f6174\"}\n";
    assert_refused(newer, newer, ERR_UNPROVEN, "of a version that this program does not know");
    static const char other_seed[] =
        "{\"fingerprint\":1,\"digest\":\"xxh3-128\",\"seed\":\"0000000000000000\"}\n";
    assert_refused(other_seed, other_seed, ERR_UNPROVEN, "does not know");
}

static void test_objects(void **state)
{
    (void)state;
    assert_differences(OBJECT("INDEX", "public", "users_email_idx", DEF(D1)), "",
                       "index public.users_email_idx is missing");
    assert_differences("", OBJECT("TRIGGER", "public", "users stamp", DEF(D1)),
                       "trigger stamp on public.users is there and should not be");
    assert_differences(OBJECT("POLICY", "public", "a b c", DEF(D1)),
                       OBJECT("POLICY", "public", "a b c", DEF(D2)),
                       "policy public.a b c: its definition differs");
    assert_differences(
        OBJECT("TABLE", "s", "t", ",\"owner\":\"a\"" DEF(D1)),
        OBJECT("TABLE", "s", "t", ",\"owner\":\"b\",\"tablespace\":\"x\"" DEF(D2)),
        "table s.t: its owner is b instead of a, its tablespace is x instead of the default, its "
        "definition differs");
    assert_differences(OBJECT("SEQUENCE SET", "public", "s", DEF(D1)),
                       OBJECT("SEQUENCE SET", "public", "s", DEF(D2)),
                       "sequence public.s: its value differs");
    assert_differences(OBJECT("SEQUENCE SET", "public", "s", DEF(D1)), "",
                       "sequence public.s: its value is missing");
    assert_differences(OBJECT("ACL", "public", "TABLE t", DEF(D1)), "",
                       "privileges on TABLE t in schema public are missing");
    assert_differences(OBJECT("EXTENSION", "", "hstore", DEF(D1)), "", "extension hstore is missing");
    assert_differences(OBJECT("CAST", "", "CAST (a AS b)", DEF(D1)), "", "CAST (a AS b) is missing");
    assert_differences(OBJECT("BLOB", "", "16423", ",\"owner\":\"a\""),
                       OBJECT("BLOB", "", "16423", ",\"owner\":\"b\""),
                       "large object 16423: its owner is b instead of a");
    assert_differences(
        OBJECT("DEFAULT ACL", "s", "DEFAULT PRIVILEGES FOR TABLES", ",\"owner\":\"r\"" DEF(D1)), "",
        "default privileges of role r in schema s (DEFAULT PRIVILEGES FOR TABLES) are missing");
    assert_differences(OBJECT("TABLE", "new\\u000aline", "a \\\"b\\\" \\\\", DEF(D1)), "",
                       "table new\\x0aline.a \"b\" \\ is missing");
    assert_differences("{\"object\":[\"TABLE\",\"s\",{\"b64\":\"Y2Fm6Q==\"}]}\n", "",
                       "table s.caf\\xe9 is missing");
}

static void test_rows(void **state)
{
    (void)state;
    assert_differences(ROWS("t", "\"a\"", "1000", D1), ROWS("t", "\"a\"", "999", D2),
                       "table public.t: 1 row is missing (999 of 1,000)");
    assert_differences(ROWS("t", "\"a\"", "5", D1), ROWS("t", "\"a\"", "1234567", D2),
                       "table public.t: 1,234,562 rows too many (1,234,567 instead of 5)");
    assert_differences(ROWS("t", "\"a\"", "5", D1), ROWS("t", "\"a\"", "5", D2),
                       "table public.t: as many rows (5), but their content differs");
    assert_differences(ROWS("t", "\"a\"", "5", D1), ROWS("t", "\"b\"", "5", D1),
                       "table public.t: as many rows (5), but of other columns");
    assert_differences(ROWS("t", "\"a\"", "5", D1), "", "table public.t: 5 rows are missing (0 of 5)");
    assert_differences("", ROWS("t", "\"a\"", "1", D1), "table public.t: 1 row too many (1 instead of 0)");
    /* partitions of one table that were dumped with their columns in two orders */
    assert_differences(ROWS("t", "\"a\",\"b\"", "7", D1) ROWS("t", "\"a\"", "5", D1),
                       ROWS("t", "\"a\",\"b\"", "6", D2) ROWS("t", "\"a\"", "5", D1),
                       "table public.t: 1 row is missing (6 of 7)");
    assert_differences(LARGE("10", "3", D1) LARGE("100", "3", D1), LARGE("10", "3", D2) LARGE("100", "4", D1),
                       "large object 10: its content differs",
                       "large object 100: its content differs (4 bytes instead of 3)");
    assert_differences(LARGE("10", "3000", D1), LARGE("100", "3", D1),
                       "large object 10: its content is missing (3,000 bytes)",
                       "large object 100: it has content and should not be there");
}

/* Rows and values that the backup left out come back as none. */
static void test_excluded(void **state)
{
    (void)state;
    AUTO(comparing) x = {.c = {.without_database = false}};
    assert_int_equal(compare(&x, HEADER OBJECT("SEQUENCE", "public", "s", "") ROWS("u", "\"a\"", "0", D1),
                             HEADER OBJECT("SEQUENCE SET", "public", "s", DEF(D1))
                                 OBJECT("SEQUENCE", "public", "s", "") ROWS("t", "\"a\"", "0", D1),
                             NULL),
                     0);
    assert_int_equal(x.r.differences, 0);
    assert_int_equal(x.r.without_rows, 1);
    assert_string_equal(x.r.without_rows_example, "table public.t");
}

static void test_same_key_twice(void **state)
{
    (void)state;
    assert_differences(OBJECT("DEFAULT ACL", "", "X", ",\"owner\":\"a\"" DEF(D1))
                           OBJECT("DEFAULT ACL", "", "X", ",\"owner\":\"b\"" DEF(D1))
                               OBJECT("DEFAULT ACL", "", "X", ",\"owner\":\"c\"" DEF(D1)),
                       OBJECT("DEFAULT ACL", "", "X", ",\"owner\":\"a\"" DEF(D1))
                           OBJECT("DEFAULT ACL", "", "X", ",\"owner\":\"c\"" DEF(D1)),
                       "default privileges of role b (X) are missing");
    assert_differences(OBJECT("X", "", "Y", DEF(D1)) OBJECT("X", "", "Y", DEF(D1)),
                       OBJECT("X", "", "Y", DEF(D1)) OBJECT("X", "", "Y", DEF(D1))
                           OBJECT("X", "", "Y", DEF(D1)),
                       "x Y is there and should not be");
}

static void test_witness(void **state)
{
    (void)state;
    AUTO(comparing) x = {.c = {.without_database = false}};
    static const char original[] = HEADER OBJECT("POLICY", "public", "t p", ",\"owner\":\"a\"" DEF(D1));
    static const char now[] = HEADER OBJECT("POLICY", "public", "t p", ",\"owner\":\"a\"" DEF(D2));
    static const char third[] = HEADER OBJECT("POLICY", "public", "t p", ",\"owner\":\"a\"" DEF(D3));
    static const char other_owner[] = HEADER OBJECT("POLICY", "public", "t p", ",\"owner\":\"b\"" DEF(D2));
    static const char wide[] = HEADER OBJECT("INDEX", "public", "a", DEF(D1))
        OBJECT("POLICY", "public", "t p", ",\"owner\":\"a\"" DEF(D2)) OBJECT("VIEW", "public", "v", DEF(D1));
    assert_int_equal(compare(&x, original, now, NULL), 0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(x.r.spellings, 1);

    assert_int_equal(compare(&x, original, now, now), 0);
    assert_int_equal(x.r.differences, 0);
    assert_says(&x.respelled, (const char *[]){"policy p on public.t", NULL});
    assert_int_equal(compare(&x, original, now, wide), 0);
    assert_int_equal(x.r.differences, 0);
    assert_int_equal(compare(&x, original, now, third), 0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(compare(&x, original, now, original), 0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(compare(&x, original, now, HEADER), 0);
    assert_int_equal(x.r.differences, 1);
    /* an owner is no spelling, and what is missing or too much none either */
    assert_int_equal(compare(&x, original, other_owner, other_owner), 0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(x.r.spellings, 0);
    assert_int_equal(compare(&x, original, HEADER, HEADER), 0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(compare(&x, HEADER, now, now), 0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(compare(&x, HEADER ROWS("t", "", "1", D1), HEADER ROWS("t", "", "1", D2),
                             HEADER ROWS("t", "", "1", D2)),
                     0);
    assert_int_equal(x.r.differences, 1);
    assert_int_equal(compare(&x, original, now, "{\"x\":1}\n"), -1);
}

static void test_left_out(void **state)
{
    (void)state;
    AUTO(comparing)
    x = {.c = {.without_database = true, .without_subscriptions = true, .without_tablespaces = true}};
    AUTO(strings) views = STRINGS_NONE;
    static const char original[] =
        HEADER OBJECT("COMMENT", "", "DATABASE :database", ",\"scope\":\"database\"" DEF(D1))
            OBJECT("COMMENT", "", "SUBSCRIPTION s", DEF(D1))
                OBJECT("MATERIALIZED VIEW DATA", "public", "m", DEF(D1))
                    OBJECT("SUBSCRIPTION", "", "s", DEF(D1))
                        OBJECT("TABLE", "public", "t", ",\"tablespace\":\"x\"" DEF(D1));
    static const char now[] =
        HEADER OBJECT("DATABASE PROPERTIES", "", ":database", ",\"scope\":\"database\"" DEF(D1))
            OBJECT("TABLE", "public", "t", DEF(D1));
    strings_add(&views, "public");
    strings_add(&views, "m");
    x.c.unfilled = &views;
    assert_int_equal(compare(&x, original, now, NULL), 0);
    assert_int_equal(x.r.differences, 0);
    assert_int_equal(x.r.subscriptions, 1);
    assert_int_equal(compare(&x, now, original, NULL), 0); /* only where it may be missing */
    assert_int_equal(x.r.differences, 3);
    x.c = (struct fingerprint_compare){.without_database = false};
    assert_int_equal(compare(&x, original, now, NULL), 0);
    assert_int_equal(x.r.differences, 6);
}

static void test_names(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(strings) owners = STRINGS_NONE;
    AUTO(strings) mighty = STRINGS_NONE;
    AUTO(strings) spaces = STRINGS_NONE;
    struct bytes text = BYTES_STR(
        HEADER OBJECT("EVENT TRIGGER", "", "e", ",\"owner\":\"an \\\"owner\"")
            OBJECT("TABLE", "public", "a", ",\"owner\":\"b\",\"tablespace\":\"fast disk\"")
                OBJECT("TABLE", "public", "b", ",\"owner\":\"b\"") OBJECT("TABLE", "public", "c", ""));
    assert_ok(fingerprint_owners(text, NULL, &owners, &e));
    assert_says(&owners, (const char *[]){"an \"owner", "b", NULL});
    assert_ok(fingerprint_owners(text, "EVENT TRIGGER", &mighty, &e));
    assert_says(&mighty, (const char *[]){"an \"owner", NULL});
    assert_ok(fingerprint_tablespaces(text, &spaces, &e));
    assert_says(&spaces, (const char *[]){"fast disk", NULL});
    assert_int_equal(fingerprint_owners(BYTES_STR("x"), NULL, &owners, &e), -1);
}

/* All lines differ, and a third of them has one key. */
static void test_very_many_lines(void **state)
{
    (void)state;
    AUTO(buf) a = BUF_NONE;
    AUTO(buf) b = BUF_NONE;
    struct fingerprint_result r;
    struct err e = ERR_INIT;
    const unsigned n = 100000;
    struct buf *const sides[] = {&a, &b};
    for (unsigned side = 0; side < 2; side++) {
        struct buf *out = sides[side];
        buf_add_str(out, HEADER);
        for (unsigned i = 0; i < n; i++)
            buf_add_fmt(out, "{\"object\":[\"A\",\"\",\"same\"],\"definition\":\"%024x%08x\"}\n", side, i);
        for (unsigned i = 0; i < n; i++)
            buf_add_fmt(out, "{\"object\":[\"B\",\"\",\"t%08x\"],\"owner\":\"o%u\"}\n", i, side);
        for (unsigned i = 0; i < n; i++)
            buf_add_fmt(out, "{\"table\":[\"\",\"%u%08x\"],\"columns\":[],\"rows\":1,\"sum\":\"" D1 "\"}\n",
                        side, i);
    }
    struct fingerprint_compare c = {
        .original = buf_bytes(&a), .now = buf_bytes(&b), .witness = buf_bytes(&b)};
    uint64_t started = time_monotonic_ns();
    assert_ok(fingerprint_compare(&c, &r, &e));
    assert_int_equal(r.respelled, n);
    assert_int_equal(r.differences, 3 * n);
    assert_true(time_monotonic_ns() - started <
                60000000000ull); /* it takes half a second; were it quadratic, minutes at least */
    fingerprint_result_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),    cmocka_unit_test(test_not_understood),
        cmocka_unit_test(test_objects),  cmocka_unit_test(test_rows),
        cmocka_unit_test(test_excluded), cmocka_unit_test(test_same_key_twice),
        cmocka_unit_test(test_witness),  cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_very_many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
