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

/* ---- the cache ---- */
/* An object of a kind, named by its bytes. */
static char *named(const char *kind, const char *text)
{
    struct sha sha;
    char hex[SHA_HEX];
    sha_of(BYTES_STR(text), &sha);
    sha_hex(hex, &sha);
    return xasprintf("%s/%s", kind, hex);
}

/* How many calls of the store behind the cache a get of `text` costs. */
static unsigned cost_of_get(struct fixture *f, const char *name, const char *text)
{
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    unsigned before = f->plan.calls;
    assert_ok(store_get(f->store, name, 1 << 20, &out, &e));
    assert_int_equal(out.n, strlen(text));
    assert_memory_equal(out.p, text, out.n);
    return f->plan.calls - before;
}

static void test_cache_hits(void **state)
{
    struct fixture *f = *state;
    struct err e;
    static const char *const kinds[] = {"index", "snapshots", "keys", "marks/pin", "receipts/00"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        AUTO_CHAR name = named(kinds[i], "some bytes");
        AUTO_CHAR other = named(kinds[i], "put elsewhere");
        put(f->store, name, "some bytes");
        assert_int_equal(cost_of_get(f, name, "some bytes"), 0);
        assert_ok(store_replace(f->store, other, BYTES_STR("put elsewhere"), &e));
        assert_int_equal(cost_of_get(f, other, "put elsewhere"), 0);
        assert_int_equal(store_delete(f->store, name, &e), STORE_DONE);
        expect_absent(f->store, name);
    }
    AUTO_CHAR pack = named("packs/00", "a pack");
    put(f->store, pack, "a pack");
    assert_int_equal(cost_of_get(f, pack, "a pack"), 1);
    put(f->store, "lifeboat", "{}");
    assert_int_equal(cost_of_get(f, "lifeboat", "{}"), 1);
    put(f->store, "index/a", "not named by its bytes");
    assert_int_equal(cost_of_get(f, "index/a", "not named by its bytes"), 1);
}

/* Another host's object is fetched once; so is one whose copy here is not what it was. */
static void test_cache_of_others(void **state)
{
    struct fixture *f = *state;
    struct err e;
    AUTO_CHAR name = named("index", "of another host");
    AUTO_CHAR kept = xasprintf("%s/kept/%s", f->folder, name);
    put(f->store, name, "of another host");
    assert_int_equal(unlink(kept), 0);
    assert_int_equal(cost_of_get(f, name, "of another host"), 1);
    assert_int_equal(cost_of_get(f, name, "of another host"), 0);
    assert_ok(file_write(kept, BYTES_STR("of another hosT"), 0600, false, &e));
    assert_int_equal(cost_of_get(f, name, "of another host"), 1);
    assert_int_equal(cost_of_get(f, name, "of another host"), 0);
    assert_ok(file_write(kept, BYTES_STR(""), 0600, false, &e));
    assert_int_equal(cost_of_get(f, name, "of another host"), 1);
    assert_int_equal(unlink(kept), 0);
    assert_int_equal(mkdir(kept, 0700), 0); /* whatever is in the way costs a request */
    assert_int_equal(cost_of_get(f, name, "of another host"), 1);
    assert_int_equal(cost_of_get(f, name, "of another host"), 1);
}

static void test_cache_is_tidied(void **state)
{
    struct fixture *f = *state;
    struct err e;
    static const char *const texts[] = {"one", "two", "three"};
    AUTO_CHAR gone = named("marks/pin", "gone");
    AUTO_CHAR stale = xasprintf("%s/kept/marks/%s", f->folder, strrchr(gone, '/') + 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_CHAR name = named("marks/forget", texts[i]);
        put(f->store, name, texts[i]);
    }
    assert_ok(file_write(stale, BYTES_STR("gone"), 0600, false, &e));
    assert_int_equal(cost_of_get(f, gone, "gone"), 0);
    struct found half = {.stop_after = 1}, part = {0}, all = {0};
    assert_ok(store_list(f->store, "marks/", find, &half, NULL, &e));
    assert_ok(store_list(f->store, "marks/forget/", find, &part, NULL, &e));
    assert_int_equal(cost_of_get(f, gone, "gone"), 0); /* neither listing was of all marks */
    assert_ok(store_list(f->store, "marks/", find, &all, NULL, &e));
    assert_int_equal(all.lines.n, 3);
    assert_int_equal(access(stale, F_OK), -1);
    expect_absent(f->store, gone);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_CHAR name = named("marks/forget", texts[i]);
        assert_int_equal(cost_of_get(f, name, texts[i]), 0);
    }
    strings_free(&half.lines);
    strings_free(&part.lines);
    strings_free(&all.lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(set_up_mem),
        CONTRACT(set_up_local),
        CONTRACT(set_up_named),
        CONTRACT(set_up_fault),
        CONTRACT(set_up_retry),
        CONTRACT(set_up_cache),
        cmocka_unit_test_setup_teardown(test_cache_hits, set_up_cache, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_of_others, set_up_cache, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_is_tidied, set_up_cache, tear_down),
        cmocka_unit_test(test_hostile_listing),
        cmocka_unit_test(test_fault_loop),
        cmocka_unit_test_setup_teardown(test_clock_of_mem, set_up_mem, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
