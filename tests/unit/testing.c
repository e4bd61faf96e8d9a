#include "testing.h"

#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const struct stream_options test_stream = {
    .name = "data", .params = {.min = 2048, .mean = 8192, .max = 32768}, .frame = 128 << 10, .level = 1};

char *test_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = xasprintf("%s/lifeboat-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

void test_remove(char *path)
{
    struct err e = ERR_INIT;
    assert_ok(dir_remove(path, &e));
    free(path);
}

const char *tests_folder(void)
{
    const char *tests = getenv("TESTS");
    return tests ? tests : "tests";
}

void sleep_ms(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

void test_wait_gone(const char *path)
{
    struct err e;
    AUTO(buf) text = BUF_NONE;
    assert_ok(file_read(path, 100, &text, &e));
    pid_t pid = (pid_t)strtol(buf_cstr(&text), NULL, 10);
    assert_true(pid > 1);
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (end.fd < 0)
        return;
    assert_int_equal(poll(&end, 1, 60000), 1);
    close(end.fd);
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void test_bytes(struct buf *out, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = test_random(&seed);
        buf_add(out, BYTES(&v, MIN((size_t)8, n - i)));
    }
}

void test_repo_reload(struct test_repo *t)
{
    struct err e = ERR_INIT;
    repo_free(t->repo);
    const struct repo_options o = {
        .store = t->store, .keys = t->keys, .pool = t->pool, .spool_dir = t->folder};
    t->repo = repo_open(&o, &e);
    if (!t->repo)
        fail_msg("repo_open: %s", e.text);
    assert_ok(repo_load(t->repo, &e));
}

void test_repo_new(struct test_repo *t, struct store *store)
{
    struct err e = ERR_INIT;
    *t = (struct test_repo){.folder = test_folder(), .keys = keyring_new_random(), .pool = pool_new(2)};
    t->store = store ? store : store_mem_new(t->folder);
    assert_ok(repo_create(t->store, t->keys, &e));
    test_repo_reload(t);
}

void test_repo_free(struct test_repo *t)
{
    repo_free(t->repo);
    store_free(t->store);
    keyring_free(t->keys);
    pool_free(t->pool);
    test_remove(t->folder);
}

void test_backup(struct test_repo *t, struct bytes data, struct snapshot *out)
{
    struct err e = ERR_INIT;
    AUTO_PTR(writer) w = writer_new(t->repo, &e);
    AUTO_PTR(stream) s = stream_new(w, &test_stream, NULL);
    struct stream_info info;
    struct writer_stats stats;
    assert_ok(stream_write(s, data, &e));
    assert_ok(stream_finish(s, &info, &e));
    assert_ok(writer_finish(w, &stats, &e));
    *out = (struct snapshot){.host = xstrdup("here"), .time_ns = time_now_ns()};
    struct snapshot_source *src = snapshot_add_source(out);
    src->name = xstrdup("s");
    src->type = xstrdup("command");
    src->streams = xcalloc(1, sizeof info);
    src->streams[0] = info;
    src->stream_count = 1;
    src->bytes = info.bytes;
    assert_ok(snapshot_put(t->repo, out, &e));
}

int test_read(struct test_repo *t, const struct stream_info *info, struct buf *out, struct err *e)
{
    AUTO_PTR(stream_reader) r = stream_reader_new(t->repo, info, 0, UINT64_MAX, e);
    if (!r)
        return -1;
    for (;;) {
        struct bytes b;
        if (stream_reader_next(r, &b, e))
            return -1;
        if (b.n == 0)
            return 0;
        buf_add(out, b);
    }
}
