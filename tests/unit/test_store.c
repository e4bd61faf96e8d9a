/* The contract of a store, over every driver and wrapper; then what a directory adds to it. */
#include "store/driver.h"
#include "store/local.h"
#include "testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a store of each kind ---- */
enum kind { MEM, LOCAL, LOCAL_NAMED, FAULT_MEM, FAULT_LOCAL };
struct fixture {
    char *folder; /* removed at the end */
    struct store *store;
    struct store_fault plan;
};

static struct store *open_local(const char *path, bool create, unsigned min_free)
{
    struct err e = ERR_INIT;
    const struct store_local_options o = {.path = path, .create = create, .min_free = min_free};
    struct store *s = store_local_new(&o, &e);
    if (!s)
        fail_msg("%s", e.text);
    return s;
}

static struct fixture *fixture_new(enum kind kind)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/new/store", f->folder);
    bool local = kind == LOCAL || kind == LOCAL_NAMED || kind == FAULT_LOCAL;
    f->store = local ? open_local(path, true, 0) : store_mem_new(f->folder);
    if (kind == LOCAL_NAMED)
        local_of(f->store)->unnamed = LINK_FAILS;
    if (kind == FAULT_MEM || kind == FAULT_LOCAL)
        f->store = store_fault_new(f->store, &f->plan);
    return f;
}

static int set_up_mem(void **state)
{
    return !(*state = fixture_new(MEM));
}
static int set_up_local(void **state)
{
    return !(*state = fixture_new(LOCAL));
}
static int set_up_named(void **state)
{
    return !(*state = fixture_new(LOCAL_NAMED));
}
static int set_up_fault(void **state)
{
    return !(*state = fixture_new(FAULT_LOCAL));
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_free(f->store);
    test_remove(f->folder);
    free(f);
    return 0;
}

static struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

/* ---- helpers ---- */
static void put(struct store *s, const char *name, const char *text)
{
    struct err e;
    assert_ok(store_put(s, name, BYTES_STR(text), &e));
}

static void expect(struct store *s, const char *name, const char *text)
{
    struct err e;
    AUTO(buf) out = BUF_NONE;
    uint64_t size = 0;
    buf_add_str(&out, "what was in it before");
    assert_ok(store_get(s, name, 1 << 20, &out, &e));
    assert_int_equal(out.n, strlen(text));
    assert_memory_equal(buf_cstr(&out), text, out.n);
    assert_ok(store_size(s, name, &size, &e));
    assert_int_equal(size, strlen(text));
}

static void expect_absent(struct store *s, const char *name)
{
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    uint64_t size;
    char c;
    assert_int_equal(store_get(s, name, 1 << 20, &out, &e), STORE_ABSENT);
    assert_int_equal(store_size(s, name, &size, &e), STORE_ABSENT);
    assert_int_equal(store_get_range(s, name, 0, &c, 1, &e), STORE_ABSENT);
    assert_int_equal(store_delete(s, name, &e), STORE_ABSENT);
    assert_false(err_is_set(&e));
}

static int put_by_file(struct store *s, const char *name, const char *text, uint64_t size, struct err *e)
{
    AUTO_FD fd = store_tempfile(s, e);
    if (fd < 0 || fd_write_all(fd, BYTES_STR(text), "spool", e))
        return -1;
    return store_put_file(s, name, fd, size, e);
}

struct found {
    struct strings lines; /* "name size" */
    int64_t oldest_ns, newest_ns;
    size_t stop_after;
};

static int find(void *ctx, const struct store_object *o, struct err *e)
{
    struct found *f = ctx;
    (void)e;
    strings_add_fmt(&f->lines, "%s %llu", o->name, (unsigned long long)o->size);
    f->oldest_ns = f->lines.n == 1 ? o->mtime_ns : MIN(f->oldest_ns, o->mtime_ns);
    f->newest_ns = MAX(f->newest_ns, o->mtime_ns);
    return f->stop_after && f->lines.n == f->stop_after;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The listing, sorted, as one text. */
static void expect_list(struct store *s, const char *prefix, const char *expected)
{
    struct err e;
    struct found f = {0};
    AUTO(buf) all = BUF_NONE;
    assert_ok(store_list(s, prefix, find, &f, NULL, &e));
    if (f.lines.n)
        qsort(f.lines.v, f.lines.n, sizeof *f.lines.v, by_text);
    for (size_t i = 0; i < f.lines.n; i++)
        buf_add_fmt(&all, "%s%s", i ? ", " : "", f.lines.v[i]);
    assert_string_equal(buf_cstr(&all), expected);
    strings_free(&f.lines);
}

/* ---- the contract ---- */
static void test_put_and_get(void **state)
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

static void test_put_of_an_existing_name(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    put(s, "index/a", "12345");
    put(s, "index/a", "abcde");
    expect(s, "index/a", "12345");
    assert_ok(put_by_file(s, "index/a", "vwxyz", 5, &e));
    expect(s, "index/a", "12345");
    put(s, "index/a", "not torn");
    expect(s, "index/a", "not torn");
    assert_ok(put_by_file(s, "index/a", "by file", 7, &e));
    expect(s, "index/a", "by file");
    expect_list(s, "", "index/a 7");
}

static void test_put_file(void **state)
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

static void test_limit_of_get(void **state)
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

static void test_ranges(void **state)
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
static void test_ranges_of_many(void **state)
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

static void test_list(void **state)
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
    assert_true(f.oldest_ns > now - minute && f.newest_ns <= now);
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

static void test_list_callbacks(void **state)
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

static void test_hostile_names(void **state)
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

static void test_space(void **state)
{
    struct err e = ERR_INIT;
    uint64_t free_bytes = 0, total = 0;
    int rc = store_space(store_of(state), &free_bytes, &total, &e);
    assert_true(rc == STORE_ABSENT || (rc == STORE_DONE && free_bytes <= total && total > 0));
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

static void test_threads(void **state)
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

/* ---- a directory ---- */
static const char *root_of(void **state)
{
    return local_of(store_of(state))->path;
}

static unsigned mode_of(const char *root, const char *name)
{
    struct stat st;
    AUTO_CHAR path = xasprintf("%s/%s", root, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void write_plain(const char *root, const char *name, const char *text)
{
    struct err e;
    AUTO_CHAR path = xasprintf("%s/%s", root, name);
    assert_ok(file_write(path, BYTES_STR(text), 0600, false, &e));
}

static void test_modes(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 0777};
    for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
        char *folder = test_folder();
        AUTO_CHAR path = xasprintf("%s/store", folder);
        struct err e;
        mode_t old = umask(masks[i]);
        struct store *s = open_local(path, true, 0);
        for (unsigned named = 0; named < 2; named++) {
            local_of(s)->unnamed = named ? LINK_FAILS : LINK_UNKNOWN;
            put(s, named ? "packs/cc/y" : "packs/aa/x", "1");
            assert_ok(put_by_file(s, named ? "packs/dd/y" : "packs/bb/x", "1", 1, &e));
        }
        umask(old);
        assert_int_equal(mode_of(path, "."), 0700);
        assert_int_equal(mode_of(path, "packs"), 0700);
        assert_int_equal(mode_of(path, "packs/aa"), 0700);
        static const char *const objects[] = {"packs/aa/x", "packs/bb/x", "packs/cc/y", "packs/dd/y"};
        for (size_t k = 0; k < ARRAY_LEN(objects); k++)
            assert_int_equal(mode_of(path, objects[k]), 0600);
        store_free(s);
        test_remove(folder);
    }
}

static void test_torn_object_is_replaced(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    char c;
    put(s, "packs/aa/x", "whole");
    write_plain(root_of(state), "packs/aa/x", "who");
    assert_ok(store_get_range(s, "packs/aa/x", 2, &c, 1, &e)); /* the torn one is open now */
    e = (struct err)ERR_INIT;
    assert_int_equal(store_get_range(s, "packs/aa/x", 4, &c, 1, &e), STORE_FAILED);
    put(s, "packs/aa/x", "whole");
    assert_ok(store_get_range(s, "packs/aa/x", 4, &c, 1, &e));
    assert_int_equal(c, 'e');
    write_plain(root_of(state), "packs/aa/x", "longer than whole");
    assert_ok(put_by_file(s, "packs/aa/x", "whole", 5, &e));
    expect(s, "packs/aa/x", "whole");
    expect_list(s, "", "packs/aa/x 5");
}

static size_t count_files(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, NULL);
    assert_true(n >= 2);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return (size_t)n - 2;
}

/* A temporary file that was not put is gone at the end, and one of a run that was killed after a day. */
static void test_temporary_files(void **state)
{
    struct fixture *f = *state;
    struct err e;
    const char *root = root_of(state);
    AUTO_FD unused = store_tempfile(f->store, &e);
    assert_true(unused >= 0);
    expect_list(f->store, "", "");
    static const char *const names[] = {".tmp-old", ".tmp-new", "old", ".other"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_CHAR path = xasprintf("%s/%s", root, names[i]);
        struct timespec t[2] = {{.tv_sec = time(NULL) - (i == 1 ? 23 : 25) * 3600}};
        t[1] = t[0];
        write_plain(root, names[i], "x");
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    }
    AUTO_CHAR path = xstrdup(root);
    expect_list(f->store, "packs/", "");
    store_free(STEAL(f->store));
    assert_int_equal(count_files(path), 3);
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        assert_int_equal(mode_of(path, names[i]), 0600);
}

static void test_foreign_files(void **state)
{
    struct store *s = store_of(state);
    struct err e = ERR_INIT;
    const char *root = root_of(state);
    AUTO(buf) out = BUF_NONE;
    uint64_t size;
    char c;
    put(s, "packs/aa/x", "1");
    static const char *const folders[] = {".git", "lost+found", "UPPER", "packs/aa/deeper",
                                          "packs/aa/.hidden"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        AUTO_CHAR path = xasprintf("%s/%s", root, folders[i]);
        AUTO_CHAR file = xasprintf("%s/file", folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        if (i != 3)
            write_plain(root, file, "x");
    }
    write_plain(root, "packs/aa/x~", "x");
    write_plain(root, "README", "x");
    AUTO_CHAR link = xasprintf("%s/packs/aa/link", root);
    AUTO_CHAR loop = xasprintf("%s/packs/loop", root);
    AUTO_CHAR fifo = xasprintf("%s/packs/fifo", root);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(symlink("..", loop), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_list(s, "", "packs/aa/x 1");
    static const char *const odd[] = {"packs/aa/link", "packs/fifo", "packs/loop"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        for (unsigned operation = 0; operation < 3; operation++) {
            e = (struct err)ERR_INIT;
            int rc = operation == 0   ? store_get(s, odd[i], 1 << 20, &out, &e)
                     : operation == 1 ? store_get_range(s, odd[i], 0, &c, 1, &e)
                                      : store_size(s, odd[i], &size, &e);
            assert_int_equal(rc, STORE_FAILED);
            assert_int_equal(e.kind, ERR_DAMAGED);
            assert_text(e, "is not a regular file");
        }
    put(s, "packs/aa/link", "ours"); /* replaced, not followed */
    expect(s, "packs/aa/link", "ours");
}

static size_t open_fds(void)
{
    return count_files("/proc/self/fd");
}

static void test_descriptors(void **state)
{
    struct fixture *f = *state;
    struct err e;
    char name[32], c;
    size_t before = open_fds();
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "packs/aa/%u", i);
        put(f->store, name, "x");
        assert_ok(store_get_range(f->store, name, 0, &c, 1, &e));
        assert_int_equal(store_get_range(f->store, name, 1, &c, 1, &e), STORE_FAILED);
    }
    assert_int_equal(open_fds(), before + 16);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "packs/aa/%u", i);
        assert_ok(store_delete(f->store, name, &e));
    }
    assert_int_equal(open_fds(), before);
}

static void refuse_open(const struct store_local_options *o, const char *text)
{
    struct err e = ERR_INIT;
    struct store *s = store_local_new(o, &e);
    assert_null(s);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, text);
}

static void test_opening(void **state)
{
    (void)state;
    char *folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/a/b", folder);
    struct store_local_options o = {.path = path};
    AUTO_CHAR missing = xasprintf("store %s: no such folder: is the disk mounted?", path);
    refuse_open(&o, missing);
    store_free(open_local(path, true, 2));
    AUTO_CHAR no_sentinel = xasprintf("store %s: holds no repository", path);
    refuse_open(&o, no_sentinel);
    refuse_open(&o, "is the disk mounted?");
    struct store *s = open_local(path, true, 2);
    put(s, "lifeboat", "{}");
    store_free(s);
    s = open_local(path, false, 2);
    expect(s, "lifeboat", "{}");
    store_free(s);
    AUTO_CHAR file = xasprintf("%s/lifeboat", path);
    o.path = file;
    refuse_open(&o, "is not a folder");

    struct stat here, root;
    assert_int_equal(stat(folder, &here) | stat("/", &root), 0);
    AUTO_CHAR fresh = xasprintf("%s/mnt/store", folder);
    o = (struct store_local_options){.path = fresh, .create = true, .require_mount = true};
    if (here.st_dev == root.st_dev) {
        refuse_open(&o,
                    "lies on the root file system, and require-mount = yes wants it on a disk of its own");
        assert_int_equal(access(fresh, F_OK), -1);
    }
    test_remove(folder);
}

static void test_min_free(void **state)
{
    (void)state;
    char *folder = test_folder();
    struct err e = ERR_INIT;
    struct store *s = open_local(folder, true, 101); /* no disk is that empty */
    assert_int_equal(store_put(s, "a", BYTES_STR("x"), &e), STORE_FAILED);
    assert_int_equal(e.kind, ERR_SPACE);
    assert_text(e, ": put a: only ");
    assert_text(e, "the last 101 % are left alone (min-free): make room on that file system");
    e = (struct err)ERR_INIT;
    assert_int_equal(store_tempfile(s, &e), -1);
    assert_int_equal(e.kind, ERR_SPACE);
    assert_int_equal(count_files(folder), 0);
    store_free(s);
    test_remove(folder);
}

/* ---- disks that are full, read-only or away: on a small tmpfs, in a child with mounts of its own ---- */
#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, e.text); \
            _exit(1);                                                           \
        }                                                                       \
        e = (struct err)ERR_INIT;                                               \
    } while (0)

static bool write_proc(const char *path, const char *text)
{
    struct err e = ERR_INIT;
    AUTO_FD fd = open(path, O_WRONLY);
    return fd >= 0 && fd_write_all(fd, BYTES_STR(text), path, &e) == 0;
}

/* Mounts of its own: as root, or in a user namespace where the kernel grants one. */
static bool leave_mounts(void)
{
    AUTO_CHAR uid = xasprintf("0 %u 1", (unsigned)getuid());
    AUTO_CHAR gid = xasprintf("0 %u 1", (unsigned)getgid());
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_proc("/proc/self/uid_map", uid) &&
           write_proc("/proc/self/setgroups", "deny") && write_proc("/proc/self/gid_map", gid);
}

static bool mount_small(const char *path)
{
    return leave_mounts() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0;
}

static void on_a_small_disk(const char *path)
{
    struct err e = ERR_INIT;
    const struct store_local_options o = {.path = path, .create = true, .require_mount = true, .min_free = 2};
    struct store *s = store_local_new(&o, &e);
    AUTO(buf) big = BUF_NONE;
    AUTO(buf) out = BUF_NONE;
    struct found f = {0};
    CHECK(s);
    CHECK(store_put(s, "lifeboat", BYTES_STR("{}"), &e) == STORE_DONE);
    test_bytes(&big, 2 << 20, 1);
    CHECK(store_put(s, "packs/aa/x", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_SPACE &&
          strstr(e.text, "No space left on device (") && strstr(e.text, "make room on that file system"));
    int fd = store_tempfile(s, &e);
    CHECK(fd >= 0);
    CHECK(fd_write_all(fd, buf_bytes(&big), "spool", &e) && e.kind == ERR_SPACE);
    close(fd);
    big.n = 1010 << 10;
    CHECK(store_put(s, "packs/aa/x", buf_bytes(&big), &e) == STORE_DONE);
    big.n = 20 << 10;
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_SPACE &&
          strstr(e.text, "the last 2 % are left alone (min-free)"));
    local_of(s)->min_free = 0;
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_SPACE &&
          strstr(e.text, "No space left on device ("));
    CHECK(store_list(s, "", find, &f, NULL, &e) == STORE_DONE && f.lines.n == 2);
    CHECK(store_delete(s, "packs/aa/x", &e) == STORE_DONE);
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_DONE);

    CHECK(mount("none", path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK(store_put(s, "packs/aa/z", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_IO &&
          strstr(e.text, "Read-only file system") && strstr(e.text, "look at dmesg"));
    CHECK(store_tempfile(s, &e) < 0 && strstr(e.text, "Read-only file system"));
    CHECK(store_delete(s, "packs/aa/y", &e) == STORE_FAILED && strstr(e.text, "Read-only file system"));
    store_free(s);
    const struct store_local_options again = {.path = path};
    s = store_local_new(&again, &e);
    int64_t now = 0;
    strings_free(&f.lines);
    CHECK(s);
    CHECK(store_list(s, "", find, &f, &now, &e) == STORE_DONE && f.lines.n == 2 && now > 0);
    CHECK(store_get(s, "packs/aa/y", big.n, &out, &e) == STORE_DONE && out.n == big.n);
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_DONE); /* it is there already */
    strings_free(&f.lines);
    store_free(s);
    CHECK(umount2(path, MNT_DETACH) == 0);
    s = store_local_new(&again, &e);
    CHECK(!s && e.kind == ERR_USAGE && strstr(e.text, "is the disk mounted?"));
}

static void test_small_disk(void **state)
{
    (void)state;
    char *folder = test_folder();
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!mount_small(folder))
            _exit(77);
        on_a_small_disk(folder);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    test_remove(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("test_small_disk: skipped: no file system may be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* clang-format off */
#define CONTRACT(set_up) \
    cmocka_unit_test_setup_teardown(test_put_and_get, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_put_of_an_existing_name, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_put_file, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_limit_of_get, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_ranges, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_ranges_of_many, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_list, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_list_callbacks, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_hostile_names, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_space, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down)
#define DIRECTORY(set_up) \
    cmocka_unit_test_setup_teardown(test_torn_object_is_replaced, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_temporary_files, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_foreign_files, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down)
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(set_up_mem),
        CONTRACT(set_up_local),
        CONTRACT(set_up_named),
        CONTRACT(set_up_fault),
        DIRECTORY(set_up_local),
        DIRECTORY(set_up_named),
        cmocka_unit_test(test_hostile_listing),
        cmocka_unit_test(test_fault_loop),
        cmocka_unit_test_setup_teardown(test_clock_of_mem, set_up_mem, tear_down),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_min_free),
        cmocka_unit_test(test_small_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
