/* The wrapper that tries again: how often, how long, and that a listing that broke off is whole all the same.
 */
#include "stores.h"

#include "base/child.h"

#include <unistd.h>

/* A driver whose next calls end as the test says, and then well. */
struct moody {
    struct store base;
    const int *ends; /* what calls return, up to a 0 */
    unsigned calls;
    const char *const *names; /* of its listing, up to a NULL */
    unsigned breaks_after;    /* objects of each listing that does not end well */
};

static int mood(struct store *s, struct err *e)
{
    struct moody *m = CONTAINER(s, struct moody, base);
    m->calls++;
    if (*m->ends == STORE_DONE)
        return STORE_DONE;
    err_set(e, ERR_NET, "mood %u", m->calls);
    return *m->ends++;
}

static int moody_put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    (void)name, (void)data;
    return mood(s, e);
}

static int moody_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                      struct err *e)
{
    struct moody *m = CONTAINER(s, struct moody, base);
    (void)prefix;
    int end = mood(s, e);
    if (now_ns)
        *now_ns = m->calls;
    for (unsigned i = 0; m->names[i] && (end == STORE_DONE || i < m->breaks_after); i++) {
        const struct store_object o = {.name = m->names[i], .size = 1};
        int rc = each(ctx, &o, e);
        if (rc)
            return rc;
    }
    return end;
}

static void moody_free(struct store *s)
{
    (void)s;
}

static const struct store_ops moody_ops = {.put = moody_put, .list = moody_list, .free = moody_free};

static struct moody moody_of(const int *ends)
{
    return (struct moody){.base = {.ops = &moody_ops, .title = strdup("store of moods")}, .ends = ends};
}

static const struct store_retry_options quick = {
    .first_limit_ms = 300, .limit_ms = 5000, .pause_ms = 1, .longest_pause_ms = 20};

static int try_put(struct store *s, struct err *e)
{
    *e = (struct err)ERR_INIT;
    return store_put(s, "a", BYTES_STR("1"), e);
}

static void test_success_after_tries(void **state)
{
    (void)state;
    struct err e;
    static const int ends[] = {STORE_AGAIN, STORE_AGAIN, STORE_AGAIN, STORE_DONE};
    struct moody m = moody_of(ends);
    AUTO_PTR(store) s = store_retry_new(&m.base, &quick);
    assert_int_equal(try_put(s, &e), STORE_DONE);
    assert_int_equal(m.calls, 4);
    assert_false(err_is_set(&e));
}

static void test_refusal(void **state)
{
    (void)state;
    struct err e;
    static const int ends[] = {STORE_FAILED, STORE_AGAIN, STORE_FAILED, STORE_DONE};
    struct moody m = moody_of(ends);
    AUTO_PTR(store) s = store_retry_new(&m.base, &quick);
    assert_int_equal(try_put(s, &e), STORE_FAILED);
    assert_int_equal(m.calls, 1);
    assert_string_equal(e.text, "store of moods: put a: mood 1");
    assert_int_equal(try_put(s, &e), STORE_FAILED);
    assert_int_equal(m.calls, 3);
    assert_text(e, "store of moods: put a: mood 3 (2 tries in ");
}

/* A store that never answered is given up soon, one that did is waited for. */
static void test_limits(void **state)
{
    (void)state;
    struct err e;
    static int ends[1000];
    for (unsigned i = 0; i < ARRAY_LEN(ends) - 1; i++)
        ends[i] = STORE_AGAIN;
    struct store_retry_options o = quick;
    o.first_limit_ms = 1500;
    o.limit_ms = 100000;
    struct moody m = moody_of(ends);
    struct store *s = store_retry_new(&m.base, &o);
    uint64_t start = time_monotonic_ns();
    assert_int_equal(try_put(s, &e), STORE_FAILED);
    uint64_t first = time_monotonic_ns() - start;
    assert_true(first > 1400000000 && first < 50000000000);
    assert_text(e, " tries in ");
    assert_true(m.calls > 20 && m.calls < 300); /* pauses grow, and stay below the longest */
    store_free(s);
    o.first_limit_ms = 1;
    o.limit_ms = 900;
    m = moody_of(ends + ARRAY_LEN(ends) - 1);
    s = store_retry_new(&m.base, &o);
    assert_int_equal(try_put(s, &e), STORE_DONE);
    m.ends = ends;
    start = time_monotonic_ns();
    assert_int_equal(try_put(s, &e), STORE_FAILED);
    assert_true(time_monotonic_ns() - start > 800000000);
    store_free(s);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct err e;
    static const int ends[] = {STORE_DONE, STORE_AGAIN_AFTER(1), STORE_DONE};
    static const int long_ones[] = {STORE_AGAIN_AFTER(60), STORE_DONE};
    struct moody m = moody_of(ends + 2);
    AUTO_PTR(store) s = store_retry_new(&m.base, &quick);
    assert_int_equal(try_put(s, &e), STORE_DONE);
    m.ends = ends + 1;
    uint64_t start = time_monotonic_ns();
    assert_int_equal(try_put(s, &e), STORE_DONE);
    assert_true(time_monotonic_ns() - start > 990000000);
    m.ends = long_ones;
    assert_int_equal(try_put(s, &e), STORE_FAILED);
    assert_text(e, "the server wants to be left alone for 1 min 0 s (1 try in ");
}

static void expect_listing(struct moody *m, int rc, const char *expected)
{
    struct err e = ERR_INIT;
    struct found f = {0};
    AUTO(buf) all = BUF_NONE;
    int64_t now = 0;
    AUTO_PTR(store) s = store_retry_new(&m->base, &quick);
    assert_int_equal(store_list(s, "", find, &f, &now, &e), rc);
    for (size_t i = 0; i < f.lines.n; i++)
        buf_add_fmt(&all, "%s%s", i ? ", " : "", f.lines.v[i]);
    assert_string_equal(buf_cstr(&all), expected);
    if (rc == STORE_DONE)
        assert_int_equal(now, 1); /* the clock of the first, for it is about all that was heard */
    else
        assert_text(e, "came in no order");
    strings_free(&f.lines);
}

static void test_listing_that_breaks_off(void **state)
{
    (void)state;
    static const int ends[] = {STORE_AGAIN, STORE_AGAIN, STORE_DONE};
    static const char *const ordered[] = {"a", "b", "c", "d", NULL}, *const wild[] = {"b", "a", "c", NULL};
    struct moody m = moody_of(ends);
    m.names = ordered;
    m.breaks_after = 2;
    expect_listing(&m, STORE_DONE, "a 1, b 1, c 1, d 1");
    m = moody_of(ends);
    m.names = wild;
    m.breaks_after = 2;
    expect_listing(&m, STORE_FAILED, "b 1, a 1");
}

static void test_stop(void **state)
{
    (void)state;
    struct err e;
    static const int ends[] = {STORE_AGAIN_AFTER(60), STORE_DONE};
    const struct store_retry_options o = {
        .first_limit_ms = 100000, .limit_ms = 100000, .pause_ms = 1, .longest_pause_ms = 1};
    struct moody m = moody_of(ends);
    AUTO_PTR(store) s = store_retry_new(&m.base, &o);
    uint64_t start = time_monotonic_ns();
    stop_in(300);
    assert_int_equal(try_put(s, &e), STORE_FAILED);
    stop_requested = 0;
    assert_int_equal(e.kind, ERR_STOPPED);
    assert_text(e, "mood 1");
    assert_true(time_monotonic_ns() - start < 30000000000); /* not the minute that it was asked for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_after_tries),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_listing_that_breaks_off),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
