#include "stores.h"

#include "base/child.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

struct store *open_local(const char *path, bool create, unsigned min_free)
{
    struct err e = ERR_INIT;
    const struct store_local_options o = {.path = path, .create = create, .min_free = min_free};
    struct store *s = store_local_new(&o, &e);
    if (!s)
        fail_msg("%s", e.text);
    return s;
}

struct fixture *fixture_new(enum kind kind)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/new/store", f->folder);
    bool local = kind == LOCAL || kind == LOCAL_NAMED || kind == FAULT_LOCAL;
    f->store = local ? open_local(path, true, 0) : store_mem_new(f->folder);
    if (kind == LOCAL_NAMED)
        local_of(f->store)->unnamed = LINK_FAILS;
    if (kind == FAULT_MEM || kind == FAULT_LOCAL || kind == CACHE_MEM)
        f->store = store_fault_new(f->store, &f->plan);
    if (kind == CACHE_MEM) {
        AUTO_CHAR kept = xasprintf("%s/kept", f->folder);
        f->store = store_cache_new(f->store, kept);
    }
    if (kind == RETRY) {
        static const struct store_retry_options fast = {10000, 10000, 1, 1};
        f->plan = (struct store_fault){.fail_at = 1, .passing = true, .every = 3};
        f->store = store_retry_new(store_fault_new(f->store, &f->plan), &fast);
    }
    return f;
}

int set_up_mem(void **state)
{
    return !(*state = fixture_new(MEM));
}
int set_up_local(void **state)
{
    return !(*state = fixture_new(LOCAL));
}
int set_up_named(void **state)
{
    return !(*state = fixture_new(LOCAL_NAMED));
}
int set_up_fault(void **state)
{
    return !(*state = fixture_new(FAULT_LOCAL));
}

int set_up_retry(void **state)
{
    return !(*state = fixture_new(RETRY));
}

int set_up_cache(void **state)
{
    return !(*state = fixture_new(CACHE_MEM));
}

int tear_down(void **state)
{
    struct fixture *f = *state;
    store_free(f->store);
    test_remove(f->folder);
    free(f);
    return 0;
}

struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

bool has_server(const struct store *s)
{
    return s->ops->counts && strstr(s->title, "s3://");
}

void put(struct store *s, const char *name, const char *text)
{
    struct err e;
    assert_ok(store_put(s, name, BYTES_STR(text), &e));
}

void expect(struct store *s, const char *name, const char *text)
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

void expect_absent(struct store *s, const char *name)
{
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    uint64_t size;
    char c;
    assert_int_equal(store_get(s, name, 1 << 20, &out, &e), STORE_ABSENT);
    assert_int_equal(store_size(s, name, &size, &e), STORE_ABSENT);
    assert_int_equal(store_get_range(s, name, 0, &c, 1, &e), STORE_ABSENT);
    int rc = store_delete(s, name, &e);
    assert_true(rc == STORE_ABSENT || (rc == STORE_DONE && has_server(s)));
    assert_false(err_is_set(&e));
}

int put_by_file(struct store *s, const char *name, const char *text, uint64_t size, struct err *e)
{
    AUTO_FD fd = store_tempfile(s, e);
    if (fd < 0 || fd_write_all(fd, BYTES_STR(text), "spool", e))
        return -1;
    return store_put_file(s, name, fd, size, e);
}

static void ask_to_stop(int number)
{
    (void)number;
    stop_requested = 1;
}

void stop_in(unsigned ms)
{
    const struct itimerval in = {
        .it_value = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000}};
    signal(SIGALRM, ask_to_stop);
    assert_int_equal(setitimer(ITIMER_REAL, &in, NULL), 0);
}

int find(void *ctx, const struct store_object *o, struct err *e)
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

void expect_list(struct store *s, const char *prefix, const char *expected)
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
