/* What makes two fingerprints equal, and what must not. docs/fingerprint.md has the rules. */
#include "testing.h"

#include "pg_writer.h"

#include <xxhash.h>

static char *fingerprint_of_rows(const char *const *rows)
{
    struct shape s = usual;
    s.rows = rows;
    return fingerprint_of_shape(&s);
}

static void test_golden(void **state)
{
    (void)state;
    AUTO_CHAR text = fingerprint_of_shape(&usual);
    assert_string_equal(text, golden);
}

static unsigned __int128 digest(const char *text)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(text, strlen(text), 0x6c696665626f6174u);
    return (unsigned __int128)h.high64 << 64 | h.low64;
}

static char *hex_of(unsigned __int128 v)
{
    return xasprintf("%016llx%016llx", (unsigned long long)(v >> 64), (unsigned long long)v);
}

/* The sum, computed here by the definition: fields by column name, joined by TAB. */
static void test_sum_by_definition(void **state)
{
    (void)state;
    AUTO_CHAR sum = hex_of(digest("one\t1") + digest("two\t2") + digest("\\N\t3"));
    AUTO_CHAR line = xasprintf(
        "{\"table\":[\"public\",\"t\"],\"columns\":[\"a\",\"b\"],\"rows\":3,\"sum\":\"%s\"}\n", sum);
    AUTO_CHAR text = fingerprint_of_shape(&usual);
    assert_non_null(strstr(text, line));
}

/* A field of more than 4096 bytes stands in its row as newline, length, colon, digest. */
static void test_long_field_by_definition(void **state)
{
    (void)state;
    for (int n = 4096; n <= 4097; n++) {
        AUTO_CHAR field = xasprintf("%0*d", n, 0);
        AUTO_CHAR field_digest = hex_of(digest(field));
        AUTO_CHAR row = n > 4096 ? xasprintf("\n%d:%s\t7", n, field_digest) : xasprintf("%s\t7", field);
        AUTO_CHAR body = xasprintf("7\t%s\n\\.\n\n\n", field);
        AUTO_CHAR sum = hex_of(digest(row));
        AUTO(buf) b = BUF_NONE;
        put_one_table(&b, "COPY app.t (b, a) FROM stdin;\n", BYTES_STR(body), SIZE_MAX);
        AUTO_CHAR text = fingerprint_of(buf_bytes(&b), 65536);
        assert_non_null(strstr(text, sum));
    }
}

static void test_slices(void **state)
{
    (void)state;
    static const size_t slices[] = {1, 2, 3, 5, 7, 64, 4093};
    struct shape s = usual;
    s.second_toc = true;
    AUTO(buf) b = BUF_NONE;
    put_usual(&b, &s);
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        AUTO_CHAR text = fingerprint_of(buf_bytes(&b), slices[i]);
        assert_string_equal(text, golden);
    }
}

static void test_rows_are_a_multiset(void **state)
{
    (void)state;
    AUTO_CHAR shuffled = fingerprint_of_rows(ROWS("3\t\\N", "1\tone", "2\ttwo"));
    assert_string_equal(shuffled, golden);
    AUTO_CHAR aab = fingerprint_of_rows(ROWS("1\ta", "1\ta", "2\tb"));
    AUTO_CHAR abb = fingerprint_of_rows(ROWS("1\ta", "2\tb", "2\tb"));
    assert_string_not_equal(aab, abb);
    AUTO_CHAR aac = fingerprint_of_rows(ROWS("1\ta", "1\ta", "3\tc"));
    AUTO_CHAR bbc = fingerprint_of_rows(ROWS("2\tb", "2\tb", "3\tc"));
    assert_string_not_equal(aac, bbc); /* as they would be if digests were XORed */
}

static void test_column_order(void **state)
{
    (void)state;
    struct shape s = usual;
    s.copy = "COPY public.t (a, b) FROM stdin;\n";
    s.rows = ROWS("one\t1", "two\t2", "\\N\t3");
    AUTO_CHAR text = fingerprint_of_shape(&s);
    assert_string_equal(text, golden);
}

static void test_every_value_counts(void **state)
{
    (void)state;
    static const char *const changed[][4] = {
        {"1\tone", "2\ttwo", "3\t"},     /* '' for NULL */
        {"1\tone", "2\ttwo", "4\t\\N"},  /* another value */
        {"1\ttwo", "2\tone", "3\t\\N"},  /* values swapped between rows */
        {"one\t1", "2\ttwo", "3\t\\N"},  /* and within one */
        {"1\tone", "2\ttwo"},            /* a row fewer */
        {"1\tone ", "2\ttwo", "3\t\\N"}, /* a blank */
    };
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        AUTO_CHAR text = fingerprint_of_rows(changed[i]);
        assert_string_not_equal(text, golden);
    }
}

static void add_row(struct buf *body, uint64_t *seed, size_t longest)
{
    for (int f = 0; f < 4; f++) {
        size_t n = test_random(seed) % (longest + 1);
        for (size_t i = 0; i < n; i++)
            buf_add_u8(body, (uint8_t)('a' + test_random(seed) % 26));
        buf_add_u8(body, f < 3 ? '\t' : '\n');
    }
}

static void test_blocks_are_not_rows(void **state)
{
    (void)state;
    static const size_t blocks[] = {SIZE_MAX, 1, 3, 17, 1000, 5000}, slices[] = {1, 100, 65536};
    static const size_t longest[] = {3, 20, 4095, 4096, 4097, 9000}; /* around where a digest takes over */
    AUTO(buf) body = BUF_NONE;
    uint64_t seed = 5;
    for (int i = 0; i < 60; i++)
        add_row(&body, &seed, longest[i % 6]);
    buf_add_str(&body, "\\.\n\n\n");
    AUTO_CHAR first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        for (size_t k = 0; k < ARRAY_LEN(slices); k++) {
            AUTO(buf) b = BUF_NONE;
            put_one_table(&b, TABLE_COPY, buf_bytes(&body), blocks[i]);
            AUTO_CHAR text = fingerprint_of(buf_bytes(&b), slices[k]);
            if (!first)
                first = xstrdup(text);
            assert_string_equal(text, first);
        }
    assert_non_null(strstr(
        first, "{\"table\":[\"app\",\"we \\\"ird\\\", (\"],\"columns\":[\"\\u000a\",\"a) FROM stdin;\","
               "\"b\",\"c\"],\"rows\":60,"));
}

static void test_long_fields_count(void **state)
{
    (void)state;
    char *texts[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        AUTO(buf) body = BUF_NONE;
        AUTO(buf) b = BUF_NONE;
        for (int k = 0; k < 10000; k++)
            buf_add_u8(&body, i == 1 && k == 9999 ? 'y' : 'x');
        buf_add_str(&body, i == 2 ? "x\tb\tc\td\n\\.\n\n\n" : "\tb\tc\td\n\\.\n\n\n");
        put_one_table(&b, TABLE_COPY, buf_bytes(&body), SIZE_MAX);
        texts[i] = fingerprint_of(buf_bytes(&b), 999);
    }
    assert_string_not_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[0], texts[2]);
    free(texts[0]);
    free(texts[1]);
    free(texts[2]);
}

static void test_no_columns(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_NONE;
    put_one_table(&b, "COPY app.t  FROM stdin;\n", BYTES_STR("\n\n\\.\n\n\n"), SIZE_MAX);
    AUTO_CHAR text = fingerprint_of(buf_bytes(&b), 1);
    assert_non_null(strstr(text, "\"columns\":[],\"rows\":2,"));
}

/* Nothing that COPY writes starts like the end mark, but only the end mark is one. */
static void test_end_mark_is_a_whole_line(void **state)
{
    (void)state;
    for (size_t slice = 1; slice < 10; slice++) {
        AUTO(buf) b = BUF_NONE;
        put_one_table(&b, "COPY app.t (a) FROM stdin;\n", BYTES_STR("\\.x\n\\\\.\n\\\n.\n\\.\n\n\n"),
                      SIZE_MAX);
        AUTO_CHAR text = fingerprint_of(buf_bytes(&b), slice);
        assert_non_null(strstr(text, "\"rows\":4,"));
    }
}

/* The fingerprint of an archive with this one entry. */
static char *fingerprint_of_entry(const struct entry *entry)
{
    AUTO(buf) b = BUF_NONE;
    put_header(&b, 14);
    put_toc(&b, 14, entry, 1, false);
    return fingerprint_of(buf_bytes(&b), 65536);
}

static void assert_same_definition(const char *type, const char *tag, const char *x, const char *y, bool same)
{
    struct entry a = {1, type, "app", tag, x, NULL, NULL}, b = {1, type, "app", tag, y, NULL, NULL};
    AUTO_CHAR one = fingerprint_of_entry(&a);
    AUTO_CHAR two = fingerprint_of_entry(&b);
    if (same)
        assert_string_equal(one, two);
    else
        assert_string_not_equal(one, two);
}

static void test_attver(void **state)
{
    (void)state;
    static const char with[] =
        "CREATE TABLE app.\"x;y\" (a int DEFAULT 'SET (pg_attver=1)', b int);\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN a SET STATISTICS 100;\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN \" SET (\" SET (pg_attver=12);\n"
        "ALTER FOREIGN TABLE ONLY app.\"x;y\" ALTER COLUMN b SET (pg_attver=3, n_distinct=5);\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN b SET (n_distinct=5, pg_attver=3, x='a, b');\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN b SET (n_distinct=5, pg_attver=3);\n";
    static const char without[] =
        "CREATE TABLE app.\"x;y\" (a int DEFAULT 'SET (pg_attver=1)', b int);\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN a SET STATISTICS 100;\n"
        "ALTER FOREIGN TABLE ONLY app.\"x;y\" ALTER COLUMN b SET (n_distinct=5);\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN b SET (n_distinct=5, x='a, b');\n"
        "ALTER TABLE ONLY app.\"x;y\" ALTER COLUMN b SET (n_distinct=5);\n";
    assert_same_definition("TABLE", "t", with, without, true);
    assert_same_definition("TABLE", "t", "SELECT 'pg_attver=1';\n", "SELECT 'pg_attver=2';\n", false);
    assert_same_definition(
        "FUNCTION", "f()", "CREATE $a$;\nALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=1);\n$a$;\n",
        "CREATE $a$;\nALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=2);\n$a$;\n", false);
    assert_same_definition("TABLE", "t", "ALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=1x);\n",
                           "ALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=2x);\n", false);
    /* a list without an end is no list */
    assert_same_definition("TABLE", "t",
                           "ALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=1, y;\nSELECT 1, 2;\n",
                           "ALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=1, y;\nSELECT 1, 3;\n", false);
    assert_same_definition("TABLE", "t", "ALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=1;, y",
                           "ALTER TABLE ONLY x ALTER COLUMN c SET (pg_attver=1;, z", false);
}

static void test_definitions_count(void **state)
{
    (void)state;
    assert_same_definition("SEQUENCE SET", "s", "SELECT setval('s', 7, true);\n",
                           "SELECT setval('s', 7, false);\n", false);
    assert_same_definition("DATABASE", "shop", "CREATE DATABASE shop;\n",
                           "CREATE DATABASE shop LOCALE 'C';\n", true);
    assert_same_definition("STATISTICS DATA", "t", "SELECT 1;\n", "SELECT 2;\n", true);
    struct entry a = {1, "TABLE", "app", "t", "x", NULL, "alice"}, b = a;
    b.owner = "bob";
    AUTO_CHAR one = fingerprint_of_entry(&a);
    AUTO_CHAR two = fingerprint_of_entry(&b);
    assert_string_not_equal(one, two);
}

static void test_name_of_the_database(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {1, "DATABASE PROPERTIES", NULL, "shop", "ALTER DATABASE shop SET a TO 'DATABASE shop';\n", NULL,
         NULL},
        {1, "DATABASE PROPERTIES", NULL, "sh\"op", "ALTER DATABASE \"sh\"\"op\" SET a TO 'DATABASE shop';\n",
         NULL, NULL},
        {1, "DATABASE PROPERTIES", NULL, "shop", "ALTER DATABASE shop2 SET a TO 'DATABASE shop';\n", NULL,
         NULL},
    };
    char *texts[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        AUTO(buf) b = BUF_NONE;
        put_header(&b, 14);
        if (i == 1) { /* the same database under another name */
            uint8_t *name = memmem(b.p, b.n, "\4\0\0\0shop", 8);
            AUTO(buf) rest = BUF_NONE;
            buf_add(&rest, BYTES(name + 8, (size_t)(b.p + b.n - name - 8)));
            b.n = (size_t)(name - b.p) - 1;
            put_text(&b, "sh\"op");
            buf_add(&b, buf_bytes(&rest));
        }
        put_toc(&b, 14, &entries[i], 1, false);
        texts[i] = fingerprint_of(buf_bytes(&b), 65536);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[0], texts[2]);
    assert_non_null(strstr(texts[0], "[\"DATABASE PROPERTIES\",\"\",\":database\"],\"scope\":\"database\""));
    free(texts[0]);
    free(texts[1]);
    free(texts[2]);

    struct entry acl = {1,    "ACL", NULL, "DATABASE shop", "GRANT CONNECT ON DATABASE shop TO a;\n",
                        NULL, NULL};
    AUTO_CHAR text = fingerprint_of_entry(&acl);
    assert_non_null(strstr(text, "[\"ACL\",\"\",\"DATABASE :database\"],\"scope\":\"database\""));
}

static void test_names_in_any_encoding(void **state)
{
    (void)state;
    struct entry entry = {1, "TABLE", "caf\xe9", "a\"\\\x01\x7f\xc3\xa9", NULL, NULL, NULL};
    AUTO_CHAR text = fingerprint_of_entry(&entry);
    assert_non_null(strstr(text, "[\"TABLE\",{\"b64\":\"Y2Fm6Q==\"},\"a\\\"\\\\\\u0001\\u007f\xc3\xa9\"]"));
}

static void test_partitions_are_summed_under_their_root(void **state)
{
    (void)state;
    /* the same rows, but the restored server hashes them into other partitions, and one has its columns in
     * another order */
    static const struct entry entries[] = {
        {1, "TABLE DATA", "parts", "p0", "-- load via partition root app.p",
         "COPY app.p (k, v) FROM stdin;\n", NULL},
        {2, "TABLE DATA", "parts", "p1", "-- load via partition root app.p",
         "COPY app.p (v, k) FROM stdin;\n", NULL},
    };
    char *texts[2] = {NULL};
    for (int i = 0; i < 2; i++) {
        AUTO(buf) b = BUF_NONE;
        put_header(&b, 15);
        put_toc(&b, 15, entries, 2, false);
        put_rows(&b, 1, i ? ROWS("1\ta", "2\tb", "3\tc") : ROWS("1\ta"));
        put_rows(&b, 2, i ? ROWS("d\t4") : ROWS("b\t2", "c\t3", "d\t4"));
        texts[i] = fingerprint_of(buf_bytes(&b), 65536);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_non_null(strstr(texts[0], "{\"table\":[\"app\",\"p\"],\"columns\":[\"k\",\"v\"],\"rows\":4,"));
    assert_null(strstr(texts[0], "p0"));
    free(texts[0]);
    free(texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_sum_by_definition),
        cmocka_unit_test(test_long_field_by_definition),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_rows_are_a_multiset),
        cmocka_unit_test(test_column_order),
        cmocka_unit_test(test_every_value_counts),
        cmocka_unit_test(test_blocks_are_not_rows),
        cmocka_unit_test(test_long_fields_count),
        cmocka_unit_test(test_no_columns),
        cmocka_unit_test(test_end_mark_is_a_whole_line),
        cmocka_unit_test(test_attver),
        cmocka_unit_test(test_definitions_count),
        cmocka_unit_test(test_name_of_the_database),
        cmocka_unit_test(test_names_in_any_encoding),
        cmocka_unit_test(test_partitions_are_summed_under_their_root),
    };
    return cmocka_run_group_tests_name("pg_fingerprint", tests, NULL, NULL);
}
