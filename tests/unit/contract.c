#include "contract.h"
#include "base/child.h"

#include <pthread.h>
#include <unistd.h>

void test_put_and_get(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    expect_absent(s, "packs/3f/3f00");
    put(s, "packs/3f/3f00", "hello");
    put(s, "lifeboat", "{}");
    put(s, "empty", "");
    expect(s, "packs/3f/3f00", "hello");
    expect(s, "lifeboat", "{}");
    expect(s, "empty", "");
    assert_int_equal(store_delete(s, "packs/3f/3f00", &e), STORE_DONE);
    expect_absent(s, "packs/3f/3f00");
    expect_absent(s, "packs/3f");
    expect_absent(s, "packs");
    expect_absent(s, "lifeboat/below");
    put(s, "packs/3f/3f00", "again");
    expect(s, "packs/3f/3f00", "again");
    assert_non_null(strstr(store_title(s), "store "));
}

void test_put_of_an_existing_name(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    put(s, "index/a", "12345");
    put(s, "index/a", "abcde"); /* a server replaces it, who can tell does nothing */
    expect(s, "index/a", has_server(s) ? "abcde" : "12345");
    assert_ok(put_by_file(s, "index/a", "vwxyz", 5, &e));
    expect(s, "index/a", has_server(s) ? "vwxyz" : "12345");
    put(s, "index/a", "not torn");
    expect(s, "index/a", "not torn");
    assert_ok(put_by_file(s, "index/a", "by file", 7, &e));
    expect(s, "index/a", "by file");
    expect_list(s, "", "index/a 7");
}

void test_replace(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    assert_ok(store_replace(s, "packs/3f/a", BYTES_STR("wrong"), &e));
    expect(s, "packs/3f/a", "wrong");
    assert_ok(store_replace(s, "packs/3f/a", BYTES_STR("right"), &e));
    expect(s, "packs/3f/a", "right");
    assert_ok(store_replace(s, "packs/3f/a", BYTES_STR("longer"), &e));
    expect(s, "packs/3f/a", "longer");
    expect_list(s, "", "packs/3f/a 6");
}

void test_put_file(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    AUTO(buf) big = BUF_NONE;
    AUTO(buf) back = BUF_NONE;
    test_bytes(&big, 3000001, 7);
    AUTO_FD fd = store_tempfile(s, &e);
    assert_true(fd >= 0);
    assert_ok(fd_write_all(fd, buf_bytes(&big), "spool", &e));
    assert_ok(store_put_file(s, "packs/aa/aa01", fd, big.n, &e));
    assert_ok(store_get(s, "packs/aa/aa01", big.n, &back, &e));
    assert_int_equal(back.n, big.n);
    assert_memory_equal(back.p, big.p, big.n);

    assert_ok(put_by_file(s, "packs/aa/aa02", "body and more", 4, &e));
    expect(s, "packs/aa/aa02", "body");
    e = (struct err)ERR_INIT;
    assert_int_equal(put_by_file(s, "packs/aa/aa03", "short", 6, &e), STORE_FAILED);
    assert_int_equal(e.kind, ERR_IO);
    assert_text(e, "put packs/aa/aa03: temporary file: ends at byte 5");
    expect_absent(s, "packs/aa/aa03");
}

void test_limit_of_get(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    AUTO(buf) out = BUF_NONE;
    put(s, "index/a", "12345");
    assert_ok(store_get(s, "index/a", 5, &out, &e));
    assert_int_equal(store_get(s, "index/a", 4, &out, &e), STORE_FAILED);
    assert_int_equal(e.kind, ERR_DAMAGED);
    assert_int_equal(out.n, 0);
    assert_text(e, ": get index/a: has 5 bytes, and such an object has at most 4");
}

void test_ranges(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    char out[8] = "";
    put(s, "packs/aa/aa", "0123456789");
    assert_ok(store_get_range(s, "packs/aa/aa", 0, out, 3, &e));
    assert_memory_equal(out, "012", 3);
    assert_ok(store_get_range(s, "packs/aa/aa", 7, out, 3, &e));
    assert_memory_equal(out, "789", 3);
    assert_ok(store_get_range(s, "packs/aa/aa", 10, out, 0, &e));
    static const struct {
        uint64_t offset;
        size_t n;
    } past[] = {
        {8, 3}, {10, 1}, {11, 1}, {1u << 30, 4}, {INT64_MAX, 1}, {UINT64_MAX, 1}, {UINT64_MAX - 1, 8}};
    for (size_t i = 0; i < ARRAY_LEN(past); i++) {
        e = (struct err)ERR_INIT;
        assert_int_equal(store_get_range(s, "packs/aa/aa", past[i].offset, out, past[i].n, &e), STORE_FAILED);
        assert_int_equal(e.kind, ERR_DAMAGED);
        assert_text(e, ": get packs/aa/aa: ");
    }
}

/* More objects than a driver keeps open, in turn; and each change is seen. */
void test_ranges_of_many(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    char out[8], name[32], text[32];
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 40; i++) {
            snprintf(name, sizeof name, "packs/%02x/p%u", i % 4, i);
            snprintf(text, sizeof text, "object%u-%0*u", round, (int)round + 2, i);
            put(s, name, text);
            for (unsigned k = 0; k <= i; k += 5) {
                snprintf(name, sizeof name, "packs/%02x/p%u", k % 4, k);
                assert_ok(store_get_range(s, name, 6, out, 1, &e));
                assert_int_equal(out[0], '0' + (int)round);
            }
        }
    snprintf(name, sizeof name, "packs/00/p0");
    assert_int_equal(store_delete(s, name, &e), STORE_DONE);
    expect_absent(s, name);
}

void test_list(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    expect_list(s, "", "");
    expect_list(s, "packs/", "");
    put(s, "lifeboat", "1");
    put(s, "packs/3f/a", "22");
    put(s, "packs/3f/b", "333");
    put(s, "packs/40/c", "");
    put(s, "packs-old/x", "4");
    put(s, "index/d", "55555");
    expect_list(s, "", "index/d 5, lifeboat 1, packs-old/x 1, packs/3f/a 2, packs/3f/b 3, packs/40/c 0");
    expect_list(s, "packs/", "packs/3f/a 2, packs/3f/b 3, packs/40/c 0");
    expect_list(s, "packs", "packs-old/x 1, packs/3f/a 2, packs/3f/b 3, packs/40/c 0");
    expect_list(s, "packs/3", "packs/3f/a 2, packs/3f/b 3");
    expect_list(s, "packs/3f", "packs/3f/a 2, packs/3f/b 3");
    expect_list(s, "packs/3f/", "packs/3f/a 2, packs/3f/b 3");
    expect_list(s, "packs/3f/b", "packs/3f/b 3");
    expect_list(s, "packs/3f/b/", "");
    expect_list(s, "packs/3f/bb", "");
    expect_list(s, "packs/50/", "");
    expect_list(s, "l", "lifeboat 1");
    expect_list(s, "lifeboat/", "");

    struct found f = {.stop_after = 2};
    int64_t now = 0;
    assert_ok(store_list(s, "", find, &f, &now, &e));
    assert_int_equal(f.lines.n, 2);
    strings_free(&f.lines);
    f = (struct found){0};
    assert_ok(store_list(s, "", find, &f, &now, &e));
    int64_t minute = 60 * 1000000000ll;
    assert_in_range(now, time_now_ns() - minute, time_now_ns() + minute);
    /* the clock of a server counts whole seconds */
    assert_true(f.oldest_ns > now - minute && f.newest_ns < now + 1000000000);
    strings_free(&f.lines);
}

static int complain_about(void *ctx, const struct store_object *o, struct err *e)
{
    ++*(unsigned *)ctx;
    return err_set(e, ERR_DAMAGED, "%s is odd", o->name);
}

static int delete_it(void *ctx, const struct store_object *o, struct err *e)
{
    return store_delete(ctx, o->name, e) == STORE_DONE ? 0 : -1;
}

void test_list_callbacks(void **state)
{
    struct store *s = store_of(state);
    struct err e = ERR_INIT;
    unsigned calls = 0;
    put(s, "index/a", "1");
    put(s, "index/b", "1");
    assert_int_equal(store_list(s, "index/", complain_about, &calls, NULL, &e), STORE_FAILED);
    assert_int_equal(calls, 1);
    assert_int_equal(e.kind, ERR_DAMAGED);
    assert_text(e, ": list index/: index/");
    assert_ok(store_list(s, "index/", delete_it, s, NULL, &e));
    expect_list(s, "", "");
}

void test_hostile_names(void **state)
{
    struct store *s = store_of(state);
    char longest[202];
    memset(longest, 'n', sizeof longest);
    longest[200] = 0;
    put(s, longest, "fits");
    expect(s, longest, "fits");
    longest[200] = 'n';
    longest[201] = 0;
    static const char *const bad[] = {"",     "/",      "/a",   "a/",  "a//b",  ".",        "..",
                                      "../a", "a/../b", "a/..", "a/.", ".tmp-", "a/.b",     "A",
                                      "a b",  "a_b",    "a\n",  "a\\", "a%",    "\xc3\xa4", "a\x1b[2J"};
    for (size_t i = 0; i <= ARRAY_LEN(bad); i++) {
        const char *name = i < ARRAY_LEN(bad) ? bad[i] : longest;
        AUTO(buf) out = BUF_NONE;
        uint64_t size;
        char c;
        for (unsigned operation = 0; operation < 7; operation++) {
            struct err e = ERR_INIT;
            int rc = operation == 0   ? store_put(s, name, BYTES_STR("x"), &e)
                     : operation == 1 ? put_by_file(s, name, "x", 1, &e)
                     : operation == 2 ? store_get(s, name, 10, &out, &e)
                     : operation == 3 ? store_get_range(s, name, 0, &c, 1, &e)
                     : operation == 4 ? store_size(s, name, &size, &e)
                     : operation == 5 ? store_delete(s, name, &e)
                                      : store_list(s, *name ? name : "/", delete_it, s, NULL, &e);
            if (operation == 6 && strcmp(name, "a/") == 0) /* a good prefix */
                continue;
            if (rc != STORE_FAILED || e.kind != ERR_FAILED || !strstr(e.text, "is not the name of an object"))
                fail_msg("operation %u took \"%s\": %d %s", operation, name, rc, e.text);
            assert_null(strchr(e.text, '\x1b'));
        }
    }
}

void test_space(void **state)
{
    struct err e = ERR_INIT;
    uint64_t free_bytes = 0, total = 0;
    int rc = store_space(store_of(state), &free_bytes, &total, &e);
    assert_true(rc == STORE_ABSENT || (rc == STORE_DONE && free_bytes <= total && total > 0));
}

/* What stays open (files, connections) does not reach the programs that are started. */
void test_nothing_is_inherited(void **state)
{
    struct store *s = store_of(state);
    struct err e = ERR_INIT;
    const struct child_options ls = {.shell = "ls -l /proc/$$/fd", .in = CHILD_NULL};
    AUTO(buf) out = BUF_NONE;
    put(s, "packs/3f/a", "hello");
    expect(s, "packs/3f/a", "hello");
    AUTO_FD spool = store_tempfile(s, &e);
    assert_true(spool >= 0);
    assert_ok(child_output(&ls, "ls", 10000, &out, &e));
    if (!strstr(buf_cstr(&out), " 2 -> pipe:") || strstr(buf_cstr(&out), "socket:") ||
        strstr(buf_cstr(&out), "deleted"))
        fail_msg("a program gets:\n%s", buf_cstr(&out));
}

/* Several threads at once: every one puts its own objects and some that all put, and reads what others did.
 */
#define THREADS 6
#define OBJECTS 60
struct worker {
    pthread_t thread;
    struct store *store;
    unsigned number;
    struct err e;
};

static int work_on(struct worker *w, unsigned i)
{
    char name[64], text[64], back[64];
    unsigned owner = i % 3 ? w->number : 99;
    snprintf(name, sizeof name, "packs/%02x/w%u-%u", i % 5, owner, i);
    snprintf(text, sizeof text, "content of %u %u", owner, i);
    int rc = i % 2 ? store_put(w->store, name, BYTES_STR(text), &w->e)
                   : put_by_file(w->store, name, text, strlen(text), &w->e);
    if (rc)
        return rc;
    for (unsigned k = 0; k <= i; k += 3) {
        snprintf(name, sizeof name, "packs/%02x/w99-%u", k % 5, k);
        snprintf(text, sizeof text, "content of 99 %u", k);
        if (store_get_range(w->store, name, 0, back, strlen(text), &w->e) || memcmp(back, text, strlen(text)))
            return err_set(&w->e, ERR_DAMAGED, "%s reads wrong", name);
    }
    struct found f = {0};
    rc = i % 20 ? 0 : store_list(w->store, "packs/", find, &f, NULL, &w->e);
    strings_free(&f.lines);
    return rc;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < OBJECTS && !err_is_set(&w->e); i++)
        if (work_on(w, i) && !err_is_set(&w->e))
            err_set(&w->e, ERR_FAILED, "failed in silence at %u", i);
    return NULL;
}

void test_threads(void **state)
{
    struct worker w[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.store = store_of(state), .number = i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        if (err_is_set(&w[i].e))
            fail_msg("thread %u: %s", i, w[i].e.text);
    struct found f = {0};
    struct err e;
    assert_ok(store_list(store_of(state), "", find, &f, NULL, &e));
    assert_int_equal(f.lines.n, OBJECTS / 3 + THREADS * (OBJECTS - OBJECTS / 3));
    strings_free(&f.lines);
}
