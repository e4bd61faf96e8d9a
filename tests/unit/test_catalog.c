/* The catalog of a volume: what goes in comes out, whatever the names; what is not a catalog is refused. */
#include "testing.h"

#include "source/catalog.h"

#include <sys/stat.h>

struct heard {
    struct buf text; /* one line for each call, to compare */
    int stop_at, calls;
};

static void add_shown(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    AUTO_CHAR shown = text_printable(value, strlen(value));
    buf_add_fmt(out, " %s=%s", key, shown);
}

static int hear_entry(void *ctx, const struct catalog_entry *c, struct err *e)
{
    struct heard *h = ctx;
    (void)e;
    buf_add_fmt(&h->text, "%o %llu %u:%u %lld run %llu", c->mode, (unsigned long long)c->size, c->uid, c->gid,
                (long long)c->mtime_ns, (unsigned long long)c->run);
    add_shown(&h->text, "path", c->path);
    add_shown(&h->text, "target", c->target);
    add_shown(&h->text, "link", c->link);
    if (c->link)
        buf_add_fmt(&h->text, " in %llu", (unsigned long long)c->link_run);
    buf_add_str(&h->text, "\n");
    return ++h->calls == h->stop_at ? 7 : 0;
}

static int hear_run(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e)
{
    struct heard *h = ctx;
    (void)e;
    buf_add_fmt(&h->text, "run %llu at %llu, %llu\n", (unsigned long long)run, (unsigned long long)offset,
                (unsigned long long)bytes);
    return 0;
}

static const struct catalog_entry entries[] = {
    {.path = ".", .mode = S_IFDIR | 0755, .mtime_ns = -1},
    {.path = "plain", .mode = S_IFREG | 04755, .size = 5ull << 40, .uid = 4294967294u, .gid = 1},
    {.path = "a\n\"\\\x01\x7f", .mode = S_IFLNK | 0777, .target = "/\xff\xfe"},
    {.path = "\xc3\xa9/\xed\xa0\x80", .mode = S_IFIFO | 0600, .mtime_ns = INT64_MIN},
    {.path = "z", .mode = S_IFREG, .link = "plain", .link_run = 0, .run = 1, .mtime_ns = INT64_MAX},
    {.path = "d", .mode = S_IFCHR | 0660, .run = 1},
    {.path = "e", .mode = S_IFBLK | 0660, .run = 1, .link = "\xff", .link_run = 1},
};

static void write_all(struct buf *out)
{
    catalog_add_start(out);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        if (i && entries[i].run != entries[i - 1].run)
            catalog_add_run(out, 1000);
        catalog_add_entry(out, &entries[i]);
    }
    catalog_add_run(out, 234);
}

/* Pushes in slices of n bytes; the result of the push that ended it, or of the end. */
static int read_all(struct bytes text, size_t n, struct heard *h, struct err *e)
{
    const struct catalog_visitor v = {.entry = hear_entry, .run = hear_run, .ctx = h};
    AUTO(catalog_reader) r;
    catalog_reader_init(&r, &v);
    for (; text.n; text.p += MIN(n, text.n), text.n -= MIN(n, text.n)) {
        int rc = catalog_reader_push(&r, BYTES(text.p, MIN(n, text.n)), e);
        if (rc)
            return rc;
    }
    return catalog_reader_end(&r, e);
}

static void round_trip(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) text = BUF_NONE;
    struct heard want = {0};
    write_all(&text);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        if (i && entries[i].run != entries[i - 1].run)
            hear_run(&want, 0, 0, 1000, &e);
        hear_entry(&want, &entries[i], &e);
    }
    hear_run(&want, 1, 1000, 234, &e);
    static const size_t slices[] = {1, 7, 100, 1 << 20};
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        struct heard h = {0};
        assert_ok(read_all(buf_bytes(&text), slices[i], &h, &e));
        assert_string_equal(buf_cstr(&h.text), buf_cstr(&want.text));
        buf_free(&h.text);
    }
    buf_free(&want.text);
}

/* Any bytes but NUL may be a name. */
static void any_name(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint64_t random = 11;
    for (int i = 0; i < 3000; i++) {
        char name[64];
        size_t n = 1 + test_random(&random) % (sizeof name - 1);
        static const char edges[] = "\xed\xa0\x80\xf4\x8f\xbf\xc2\xe0\"\\";
        for (size_t k = 0; k < n; k++) /* half of them near the edges of UTF-8 */
            name[k] = test_random(&random) % 2 ? (char)(1 + test_random(&random) % 255) : edges[k % 10];
        name[n - 1] = 0;
        if (n == 1)
            continue;
        const struct catalog_entry c = {.path = name, .mode = S_IFREG | 0644};
        AUTO(buf) text = BUF_NONE;
        struct heard want = {0}, h = {0};
        catalog_add_start(&text);
        catalog_add_entry(&text, &c);
        catalog_add_run(&text, 1);
        hear_entry(&want, &c, &e);
        hear_run(&want, 0, 0, 1, &e);
        assert_ok(read_all(buf_bytes(&text), 1 << 20, &h, &e));
        assert_string_equal(buf_cstr(&h.text), buf_cstr(&want.text));
        buf_free(&want.text);
        buf_free(&h.text);
    }
}

static void the_longest_names_fit(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) text = BUF_NONE;
    static char name[32768], bytes[32768];
    struct heard h = {0};
    memset(name, 1, sizeof name - 1);
    memset(bytes, 0xff, sizeof bytes - 1);
    const struct catalog_entry c = {.path = name, .mode = S_IFREG, .link = bytes, .target = name};
    catalog_add_start(&text);
    catalog_add_entry(&text, &c);
    catalog_add_run(&text, 1);
    assert_ok(read_all(buf_bytes(&text), 1000, &h, &e));
    buf_free(&h.text);
}

static void a_visitor_may_stop(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) text = BUF_NONE;
    struct heard h = {.stop_at = 2};
    write_all(&text);
    assert_int_equal(read_all(buf_bytes(&text), 5, &h, &e), 7);
    assert_int_equal(h.calls, 2);
    assert_false(err_is_set(&e));
    buf_free(&h.text);
}

static void a_cut_off_one_is_damaged(void **state)
{
    (void)state;
    AUTO(buf) text = BUF_NONE;
    write_all(&text);
    for (size_t n = 0; n < text.n; n++) {
        struct err e = ERR_INIT;
        struct heard h = {0};
        int rc = read_all(BYTES(text.p, n), 1 << 20, &h, &e);
        bool after_start = n && memchr(text.p, '\n', n) == text.p + n - 1;
        bool after_run = n > 6 && memcmp(text.p + n - 6, "1000}\n", 6) == 0;
        if (rc == 0 && !after_start && !after_run)
            fail_msg("cut off after %zu bytes, and taken for whole", n);
        assert_true(rc == 0 || (rc == -1 && e.kind == ERR_DAMAGED));
        buf_free(&h.text);
    }
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
#define START  "{\"type\":\"catalog\",\"version\":1}\n"
#define FIELDS "\"size\":1,\"mode\":1,\"uid\":1,\"gid\":1,\"mtime_ns\":1"
    static const struct {
        const char *text;
        enum err_kind kind;
    } cases[] = {
        {"", ERR_DAMAGED},
        {"\n", ERR_DAMAGED},
        {"{}\n", ERR_DAMAGED},
        {"[]\n", ERR_DAMAGED},
        {"{\"type\":\"run\",\"bytes\":1}\n", ERR_DAMAGED},
        {"{\"type\":\"catalog\"}\n", ERR_DAMAGED},
        {"{\"type\":\"catalog\",\"version\":2}\n", ERR_FAILED},
        {START "rubbish\n", ERR_DAMAGED},
        {START "{\"type\":\"run\"}\n", ERR_DAMAGED},
        {START "{\"type\":\"run\",\"bytes\":-1}\n", ERR_DAMAGED},
        {START "{\"type\":\"run\",\"bytes\":1.5}\n", ERR_DAMAGED},
        {START "{\"type\":\"run\",\"bytes\":9223372036854775807}\n{\"type\":\"run\",\"bytes\":1}\n",
         ERR_DAMAGED},
        {START "{\"type\":\"run\",\"bytes\":1}\n{\"type\":\"run\",\"bytes\":1,\"bytes\":2}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\"," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path\":\"\"," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path\":\"a\\u0000b\"," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path_b64\":\"YQBi\"," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path_b64\":\"!\"," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"what\",\"path\":\"a\"," FIELDS "}\n", ERR_DAMAGED},
        {START
         "{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"mode\":4096,\"uid\":1,\"gid\":1,\"mtime_ns\":1}\n",
         ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path\":\"a\",\"link\":\"b\",\"link_back\":1," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path\":\"a\",\"link\":\"b\"," FIELDS "}\n", ERR_DAMAGED},
        {START "{\"type\":\"file\",\"path\":\"a\"," FIELDS "}\n", ERR_DAMAGED}, /* no end of the run */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct heard h = {0};
        if (read_all(BYTES_STR(cases[i].text), 1 << 20, &h, &e) != -1 || e.kind != cases[i].kind)
            fail_msg("%s: %s", cases[i].text, err_is_set(&e) ? e.text : "taken");
        buf_free(&h.text);
    }
}

static void an_endless_line_is_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    static char block[100000];
    AUTO(catalog_reader) r;
    catalog_reader_init(&r, &(struct catalog_visitor){0});
    memset(block, ' ', sizeof block);
    int rc = 0, pushes = 0;
    for (; rc == 0; pushes++)
        rc = catalog_reader_push(&r, BYTES(block, sizeof block), &e);
    assert_int_equal(e.kind, ERR_DAMAGED);
    assert_in_range(pushes, 2, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(any_name),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(a_visitor_may_stop),
        cmocka_unit_test(a_cut_off_one_is_damaged),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(an_endless_line_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
