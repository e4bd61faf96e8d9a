/* The archive reader, against archives made here byte by byte: every version, every trap that is known. */
#include "testing.h"

#include "pg_writer.h"

static void test_every_version_gives_the_same(void **state)
{
    (void)state;
    for (unsigned version = 12; version <= 16; version++)
        for (int second = 0; second < 2; second++) {
            struct shape s = usual;
            s.version = version;
            s.second_toc = second;
            AUTO_CHAR text = fingerprint_of_shape(&s);
            assert_string_equal(text, golden);
        }
}

static void refuse_body(const char *copy, const char *body, const char *text)
{
    static const size_t slices[] = {1, 4, 65536};
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        struct err e = ERR_INIT;
        AUTO(buf) b = BUF_NONE;
        AUTO(buf) out = BUF_NONE;
        put_one_table(&b, copy, BYTES_STR(body), SIZE_MAX);
        assert_int_equal(fingerprint(buf_bytes(&b), slices[i], &out, &e), -1);
        assert_int_equal(e.kind, ERR_DAMAGED);
        assert_text(e, text);
    }
}

static void test_bad_rows(void **state)
{
    (void)state;
    refuse_body(TABLE_COPY, "a\tb\tc\td\n", "ends after 1 rows without the end mark");
    refuse_body(TABLE_COPY, "a\tb\tc\td", "without the end mark");
    refuse_body(TABLE_COPY, "\\.\n", "without the end mark");
    refuse_body(TABLE_COPY, "\\.\n\n\n\n", "goes on after its end mark");
    refuse_body(TABLE_COPY, "\\.\n\nx", "goes on after its end mark");
    refuse_body(TABLE_COPY, "a\tb\tc\td\na\tb\tc\n\\.\n\n\n", "row 2 does not have the 4 fields");
    refuse_body(TABLE_COPY, "a\tb\tc\td\te\n\\.\n\n\n", "row 1 does not have the 4 fields");
    refuse_body("COPY app.t (a, b) FROM stdin;\n", "a\n\\.\n\n\n", "row 1 does not have the 2 fields");
    refuse_body("COPY app.t (a, b) FROM stdin;\n", "a\tb\tc\n\\.\n\n\n", "row 1 does not have the 2 fields");
    refuse_body("COPY app.t  FROM stdin;\n", "a\n\\.\n\n\n", "row 1 does not have the 0 fields");
    AUTO_CHAR many = xasprintf("%03000d", 0);
    memset(many, '\t', strlen(many));
    refuse_body(TABLE_COPY, many, "row 1 does not have the 4 fields");
    refuse_body(TABLE_COPY, "a\n\\.\n\n\n", "data of table app.we \"ird\", (");
}

static void test_truncated_anywhere(void **state)
{
    (void)state;
    for (unsigned version = 14; version <= 16; version++) {
        struct shape s = usual;
        s.version = version;
        AUTO(buf) b = BUF_NONE;
        put_usual(&b, &s);
        size_t whole = b.n;
        s.second_toc = true;
        b.n = 0;
        put_usual(&b, &s);
        for (size_t n = 0; n <= b.n; n++) {
            struct err e = ERR_INIT;
            AUTO(buf) out = BUF_NONE;
            int rc = fingerprint(BYTES(b.p, n), 65536, &out, &e);
            if (n == whole || n == b.n)
                assert_int_equal(rc, 0);
            else {
                assert_int_equal(rc, -1);
                assert_int_equal(e.kind, ERR_DAMAGED);
                assert_text(e, n == 0 ? "pg_dump wrote nothing" : "ends");
            }
        }
    }
}

static void test_says_where_it_ends(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) b = BUF_NONE;
    AUTO(buf) out = BUF_NONE;
    put_usual(&b, &usual);
    const uint8_t *two = memmem(b.p, b.n, "2\ttwo", 5);
    assert_non_null(two);
    assert_int_equal(fingerprint(BYTES(b.p, (size_t)(two - b.p)), 65536, &out, &e), -1);
    assert_text(e, "ends inside the data of table public.t (after 1 rows)");
    e = (struct err)ERR_INIT;
    assert_int_equal(fingerprint(BYTES(b.p, 100), 65536, &out, &e), -1);
    assert_text(e, "ends inside its table of contents (entry 1 of 10)");
    e = (struct err)ERR_INIT;
    assert_int_equal(fingerprint(BYTES(b.p, b.n - 5), 65536, &out, &e), -1);
    assert_text(e, "ends inside the large objects");
}

static void test_missing_item(void **state)
{
    (void)state;
    struct entry entries[16];
    size_t n = usual_entries(&usual, entries);
    AUTO(buf) b = BUF_NONE;
    put_header(&b, 14);
    put_toc(&b, 14, entries, n, false);
    put_rows(&b, ID_EMPTY, (const char *const[]){NULL});
    put_objects(&b, 14);
    assert_refused(&b, "ends without the data of table public.t (1 of 3 data items are missing)");
    put_rows(&b, ID_EMPTY, (const char *const[]){NULL});
    assert_refused(&b, "the data of table public.empty: come a second time");
}

static void test_wrong_items(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_NONE;
    put_usual(&b, &usual);
    put_rows(&b, 99, usual.rows);
    assert_refused(&b, "goes on after its last data item");

    struct entry entries[16];
    size_t n = usual_entries(&usual, entries);
    b.n = 0;
    put_header(&b, 14);
    put_toc(&b, 14, entries, n, false);
    size_t toc = b.n;
    put_rows(&b, 99, usual.rows);
    assert_refused(&b, "a data item 99 is not in its table of contents");
    b.n = toc;
    put_rows(&b, ID_BLOBS, usual.rows);
    assert_refused(&b, "come as another kind than announced");
    b.n = toc;
    buf_add_u8(&b, 0);
    assert_refused(&b, "where a data item should start stands the byte 0");
    entries[n - 1].id = ID_T;
    b.n = 0;
    put_header(&b, 14);
    put_toc(&b, 14, entries, n, false);
    assert_refused(&b, "two entries announce the same data (id 11)");
}

static void test_after_the_end(void **state)
{
    (void)state;
    struct shape s = usual;
    s.second_toc = true;
    AUTO(buf) b = BUF_NONE;
    put_usual(&b, &usual);
    size_t first = b.n;
    buf_add_u8(&b, 7);
    assert_refused(&b, "goes on after its last data item");
    b.n = 0;
    put_usual(&b, &s);
    size_t second = b.n;
    buf_add_u8(&b, 0);
    assert_refused(&b, "goes on after the second copy");
    b.n = second;
    uint8_t *t = memmem(b.p + first, b.n - first, "public.t", 8);
    t[7] = 'u';
    assert_refused(&b, "the second copy of its table of contents differs from the first");
}

static void test_bit_flips(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_NONE;
    struct shape s = usual;
    s.version = 16;
    put_usual(&b, &s);
    AUTO_CHAR whole = fingerprint_of(buf_bytes(&b), 65536);
    size_t data = (size_t)((uint8_t *)memmem(b.p, b.n, "1\tone", 5) - b.p);
    for (size_t i = 0; i < b.n * 8; i++) {
        struct err e = ERR_INIT;
        AUTO(buf) out = BUF_NONE;
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
        int rc = fingerprint(buf_bytes(&b), i % 2 ? 65536 : 13, &out, &e);
        if (rc == 0 && i / 8 >= data)
            assert_string_not_equal(buf_cstr(&out), whole);
        if (rc)
            assert_true(err_is_set(&e));
        b.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_stays_broken(void **state)
{
    (void)state;
    struct err e = ERR_INIT, again = ERR_INIT;
    AUTO_PTR(pg_archive) a = pg_archive_new();
    assert_int_equal(pg_archive_write(a, BYTES_STR("--\n-- PostgreSQL database dump\n"), &e), -1);
    assert_text(e, "not what pg_dump --format=custom writes: it starts with \"--\\x0a-- Postg\"");
    assert_int_equal(pg_archive_finish(a, &again), -1);
    assert_string_equal(e.text, again.text);
}

static void test_not_supported(void **state)
{
    (void)state;
    AUTO(buf) b = BUF_NONE;
    put_header(&b, 17);
    assert_refused(&b, "archive format 1.17 is not known");
    b.n = 0;
    put_header(&b, 11);
    assert_refused(&b, "archive format 1.11 is too old");
    b.n = 0;
    put_usual(&b, &usual);
    b.p[10] = 3;
    assert_refused(&b, "archive kind 3 is not the custom format");
    b.p[10] = 1;
    b.p[9] = 4;
    assert_refused(&b, "offsets of 4 bytes are not supported");
    b.p[9] = 8;
    b.p[12] = 6;
    assert_refused(&b, "the archive is compressed: pg_dump must be run with -Z0");

    struct entry entry = {5, "TABLE DATA", "app", "t", NULL, NULL, NULL};
    b.n = 0;
    put_header(&b, 14);
    put_toc(&b, 14, &entry, 1, false);
    assert_refused(&b, "entry 1: TABLE DATA app.t: its data are not COPY text: archives made with --inserts");
    b.n = 0;
    entry.copy = "COPY app.t (a) FROM stdin;\n";
    put_header(&b, 14);
    put_toc(&b, 14, &entry, 1, true);
    assert_refused(&b, "the offset of its data is filled in: pg_dump must write to a pipe");
    entry.copy = "COPY app.t (a, a) FROM stdin;\n";
    b.n = 0;
    put_header(&b, 14);
    put_toc(&b, 14, &entry, 1, false);
    assert_refused(&b, "names a column twice");
}

static void test_copy_statements(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "COPY app.t (a FROM stdin;\n",     "COPY app.t (a) FROM stdin; DROP\n",
        "COPY app.t (\"a) FROM stdin;\n",  "COPY app. (a) FROM stdin;\n",
        "COPY app.t (a, ) FROM stdin;\n",  "COPY app.t (a) WITH OIDS FROM stdin;\n",
        "COPY \"\".t (a) FROM stdin;\n",   "COPY app.t(a) FROM stdin;\n",
        "INSERT INTO app.t VALUES (1);\n", "COPY"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct entry entry = {5, "TABLE DATA", "app", "t", NULL, bad[i], NULL};
        AUTO(buf) b = BUF_NONE;
        put_header(&b, 14);
        put_toc(&b, 14, &entry, 1, false);
        assert_refused(&b, "its COPY statement is not understood");
    }
    AUTO(buf) b = BUF_NONE; /* as old servers' pg_dump wrote it, with a search path */
    put_one_table(&b, "COPY \"select\" (a) FROM stdin;\n", BYTES_STR("1\n\\.\n\n\n"), SIZE_MAX);
    AUTO_CHAR text = fingerprint_of(buf_bytes(&b), 65536);
    assert_non_null(strstr(text, "{\"table\":[\"app\",\"select\"],\"columns\":[\"a\"],\"rows\":1,"));
}

static void test_lengths_from_outside(void **state)
{
    (void)state;
    static const int64_t lengths[] = {-2, 2000000000, -2147483648ll, 1 << 30};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        AUTO(buf) b = BUF_NONE;
        put_header(&b, 14);
        put_int(&b, 1);
        put_int(&b, 1); /* id */
        put_int(&b, 0); /* has data */
        put_text(&b, "1259");
        put_text(&b, "16384");
        put_int(&b, lengths[i]); /* the tag */
        buf_add_str(&b, "t");
        assert_refused(&b, "bytes cannot be");
    }
    struct entry entry = {1, "TABLE", "app", "zero byte", NULL, NULL, NULL};
    AUTO(buf) zero = BUF_NONE;
    put_header(&zero, 14);
    put_toc(&zero, 14, &entry, 1, false);
    *(uint8_t *)memmem(zero.p, zero.n, " byte", 5) = 0;
    assert_refused(&zero, "a text holds a zero byte");
    AUTO(buf) b = BUF_NONE;
    put_header(&b, 14);
    size_t header = b.n;
    put_int(&b, -1);
    assert_refused(&b, "a table of contents of -1 entries cannot be");
    b.n = header;
    put_int(&b, INT32_MAX);
    assert_refused(&b, "entries cannot be");
    b.n = header;
    put_int(&b, 1 << 26);
    assert_refused(&b, "ends inside its table of contents (entry 1 of 67108864)");
    b.n = header;
    buf_add(&b, BYTES("\2\1\0\0\0", 5));
    assert_refused(&b, "a number is malformed");
}

static void test_tables(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {1, "TABLE", "b", "t", NULL, NULL, NULL},
        {2, "FOREIGN TABLE", "a", "z", NULL, NULL, NULL},
        {3, "MATERIALIZED VIEW", "a", "m", NULL, NULL, NULL},
        {4, "VIEW", "a", "v", NULL, NULL, NULL},
        {5, "TABLE DATA", "ext", "config", NULL, "COPY ext.config (a) FROM stdin;\n", NULL},
        {6, "TABLE DATA", "b", "t", NULL, "COPY b.root (a) FROM stdin;\n", NULL},
        {7, "TABLE DATA", "b", "t", NULL, "COPY b.root (a) FROM stdin;\n",
         NULL}, /* never seen, but it could be */
    };
    static const struct pg_table expected[] = {{"a", "m", "MATERIALIZED VIEW", false, 0},
                                               {"a", "z", "FOREIGN TABLE", false, 0},
                                               {"b", "t", "TABLE", true, 2},
                                               {"b", "t", NULL, true, 3},
                                               {"ext", "config", NULL, true, 1}};
    struct err e;
    AUTO(buf) b = BUF_NONE;
    AUTO_PTR(pg_archive) a = pg_archive_new();
    assert_int_equal(pg_archive_table_count(a), 0);
    assert_null(pg_archive_server_version(a));
    put_header(&b, 16);
    put_toc(&b, 16, entries, ARRAY_LEN(entries), false);
    put_rows(&b, 5, ROWS("1"));
    put_rows(&b, 6, ROWS("1", "2"));
    put_rows(&b, 7, ROWS("1", "2", "3"));
    assert_ok(push(a, buf_bytes(&b), 10, &e));
    assert_string_equal(pg_archive_database(a), "shop");
    assert_string_equal(pg_archive_server_version(a), "15.20 (Debian)");
    assert_string_equal(pg_archive_dump_version(a), "15.20");
    assert_int_equal(pg_archive_table_count(a), ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct pg_table t = pg_archive_table(a, i);
        assert_string_equal(t.schema, expected[i].schema);
        assert_string_equal(t.name, expected[i].name);
        assert_true((t.kind == NULL) == (expected[i].kind == NULL));
        if (t.kind)
            assert_string_equal(t.kind, expected[i].kind);
        assert_int_equal(t.has_data, expected[i].has_data);
        assert_int_equal(t.rows, expected[i].rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version_gives_the_same),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_says_where_it_ends),
        cmocka_unit_test(test_missing_item),
        cmocka_unit_test(test_wrong_items),
        cmocka_unit_test(test_after_the_end),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_stays_broken),
        cmocka_unit_test(test_not_supported),
        cmocka_unit_test(test_copy_statements),
        cmocka_unit_test(test_lengths_from_outside),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests_name("pg_archive", tests, NULL, NULL);
}
