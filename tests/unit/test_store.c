/* The contract over mem, local and the wrappers; and what happens when an operation fails. (test_s3.c:
 * buckets.) */
#include "contract.h"

#include <unistd.h>

/* A driver that hands out whatever its server says. */
static int list_lies(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                     struct err *e)
{
    (void)s, (void)prefix, (void)now_ns;
    static const char *const names[] = {"packs/../../etc/passwd",
                                        "/etc/passwd",
                                        "packs//a",
                                        "packs/.a",
                                        "packs/A",
                                        "packs/a\n",
                                        "",
                                        "index/other",
                                        "packs",
                                        "packs/aa/good"};
    int rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(names) && rc == 0; i++) {
        const struct store_object o = {.name = names[i], .size = 1};
        rc = each(ctx, &o, e);
    }
    return rc;
}

static void test_hostile_listing(void **state)
{
    (void)state;
    static const struct store_ops ops = {.list = list_lies};
    struct store s = {.ops = &ops, .title = (char *)"store that lies"};
    expect_list(&s, "packs/", "packs/aa/good 1");
}

/* ---- faults ---- */
static int life_of_an_object(struct store *s, struct err *e)
{
    AUTO(buf) out = BUF_NONE;
    struct found f = {0};
    uint64_t size, total;
    char c;
    int rc = put_by_file(s, "packs/aa/a", "pack", 4, e) || store_put(s, "index/b", BYTES_STR("index"), e) ||
             store_size(s, "packs/aa/a", &size, e) || store_get(s, "index/b", 100, &out, e) ||
             store_get_range(s, "packs/aa/a", 1, &c, 1, e) || store_list(s, "", find, &f, NULL, e) ||
             store_space(s, &size, &total, e) < 0 || store_delete(s, "index/b", e);
    strings_free(&f.lines);
    return rc ? -1 : 0;
}

static void test_fault_loop(void **state)
{
    static const char *const said[] = {"make a temporary file", "put packs/aa/a",     "put index/b",
                                       "look at packs/aa/a",    "get index/b",        "get packs/aa/a",
                                       "list everything",       "ask for free space", "delete index/b"};
    (void)state;
    for (unsigned keep = 0; keep < 2; keep++) {
        unsigned n = 1;
        for (;; n++) {
            struct fixture *f = fixture_new(n % 2 ? FAULT_MEM : FAULT_LOCAL);
            struct err e = ERR_INIT;
            f->plan = (struct store_fault){.fail_at = n, .keep_failing = keep, .kind = n == 3 ? ERR_NET : 0};
            int rc = life_of_an_object(f->store, &e);
            bool fails_on = rc && keep;
            uint64_t size;
            assert_int_equal(f->plan.calls, rc ? n : n - 1);
            if (rc) {
                assert_int_equal(e.kind, n == 3 ? ERR_NET : ERR_IO);
                AUTO_CHAR text = xasprintf(": %s: a fault that a test asked for", said[n - 1]);
                assert_text(e, text);
                struct err again = ERR_INIT;
                assert_int_equal(store_size(f->store, "packs/aa/a", &size, &again) == STORE_FAILED, fails_on);
            }
            f->plan = (struct store_fault){0};
            assert_ok(life_of_an_object(f->store, &e)); /* nothing half done is in the way */
            void *done = f;
            tear_down(&done);
            if (!rc)
                break;
        }
        assert_int_equal(n, ARRAY_LEN(said) + 1);
    }
}

/* ---- memory ---- */
static void test_clock_of_mem(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    struct found f = {0};
    int64_t now;
    store_mem_set_clock(s, 1000);
    put(s, "a", "1");
    put(s, "torn", "1");
    store_mem_set_clock(s, 5000);
    put(s, "a", "2");
    put(s, "torn", "22");
    assert_ok(store_list(s, "", find, &f, &now, &e));
    assert_int_equal(now, 5000);
    assert_int_equal(f.oldest_ns, 1000);
    assert_int_equal(f.newest_ns, 5000);
    strings_free(&f.lines);
    store_mem_set_clock(s, 0);
    assert_ok(store_list(s, "x", find, &f, &now, &e));
    assert_true(now > 1000000000ll * 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(set_up_mem),
        CONTRACT(set_up_local),
        CONTRACT(set_up_named),
        CONTRACT(set_up_fault),
        CONTRACT(set_up_retry),
        cmocka_unit_test(test_hostile_listing),
        cmocka_unit_test(test_fault_loop),
        cmocka_unit_test_setup_teardown(test_clock_of_mem, set_up_mem, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
