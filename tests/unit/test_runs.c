/* How entries are gathered into runs, what a run is known by, and the cache of runs on disk, sound or not. */
#include "testing.h"

#include "source/run_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint8_t cut_key[RUN_CUT_KEY] = {1, 2, 3};
static const struct chunk_params params = {.min = 16384, .mean = 65536, .max = 262144};
static struct folder here = {.users = 1, .fd = -1, .fs = {.stable_inodes = true}};

static struct entry *new_entry(const char *path, off_t size)
{
    struct entry *e = xcalloc(1, sizeof *e);
    e->path = xstrdup(path);
    e->name = e->path;
    e->folder = folder_hold(&here);
    e->st.st_mode = S_IFREG | 0644;
    e->st.st_size = size;
    e->st.st_nlink = 1;
    return e;
}

/* ---- grouping ---- */
struct ends {
    struct strings paths; /* of the last entry of each run */
    uint64_t most, weight;
};

/* Gathers `n` files of seeded sizes, and one more called `extra` where it belongs. */
static void gather(size_t n, const char *extra, struct ends *out)
{
    struct run run = {0};
    uint64_t random = 5;
    for (size_t i = 0; i < n; i++) {
        AUTO_CHAR path = xasprintf("folder/%08zu", i);
        off_t size = (off_t)(test_random(&random) % 20000);
        bool has_extra = extra && strncmp(extra, path, strlen(path)) == 0;
        for (int k = 0; k < 1 + has_extra; k++) {
            struct entry *e = k ? new_entry(extra, 777) : new_entry(path, size);
            bool ends = run_add(&run, e, cut_key);
            out->most = MAX(out->most, run.weight);
            if (!ends)
                continue;
            strings_add(&out->paths, e->path);
            out->weight += run.weight;
            run_clear(&run);
        }
    }
    run_clear(&run);
}

static void runs_have_the_size_they_should(void **state)
{
    (void)state;
    struct ends x = {0};
    gather(20000, NULL, &x);
    assert_in_range(x.weight / x.paths.n, 8 << 10, 32 << 10);
    assert_in_range(x.most, RUN_AIM, RUN_MAX + 20000 + 2 * ENTRY_WEIGHT);
    strings_free(&x.paths);
}

static void a_new_file_disturbs_one_run(void **state)
{
    (void)state;
    struct ends before = {0};
    size_t moved = 0;
    gather(3000, NULL, &before);
    for (int i = 0; i < 50; i++) {
        struct ends after = {0};
        AUTO_CHAR extra = xasprintf("folder/%08d+", i * 57 + 3);
        gather(3000, extra, &after);
        for (size_t k = 0; k < before.paths.n; k++)
            moved += !strings_has(&after.paths, before.paths.v[k]);
        for (size_t k = 0; k < after.paths.n; k++)
            moved += !strings_has(&before.paths, after.paths.v[k]);
        strings_free(&after.paths);
    }
    assert_in_range(moved, 0, 50); /* ends that came, went or moved, of 50 insertions in 240 runs each */
    strings_free(&before.paths);
}

static void a_large_file_wants_to_be_alone(void **state)
{
    (void)state;
    struct run run = {0};
    struct entry *large = new_entry("large", RUN_LARGE + 1);
    assert_true(run_wants_alone(large));
    assert_true(run_add(&run, large, cut_key));
    run_clear(&run);
    struct entry *link = new_entry("link", RUN_LARGE + 1);
    link->link_to = xstrdup("large");
    assert_false(run_wants_alone(link));
    entry_free(link);
}

/* ---- keys ---- */
static void key_of(struct entry *e, uint8_t out[RUN_KEY])
{
    struct run run = {.entries = {e}, .n = 1};
    run_key(&run, &params, cut_key, out);
}

static void every_field_is_in_the_key(void **state)
{
    (void)state;
    uint8_t keys[20][RUN_KEY];
    size_t n = 0;
    struct entry *e = new_entry("a", 100);
    key_of(e, keys[n++]);
#define CHANGE(field, value)   \
    do {                       \
        struct entry was = *e; \
        e->field = (value);    \
        key_of(e, keys[n++]);  \
        e->field = was.field;  \
    } while (0)
    CHANGE(path, (char[]){"b"});
    CHANGE(st.st_mode, S_IFREG | 0600);
    CHANGE(st.st_uid, 1);
    CHANGE(st.st_gid, 1);
    CHANGE(st.st_size, 101);
    CHANGE(st.st_mtim.tv_sec, 1);
    CHANGE(st.st_mtim.tv_nsec, 1);
    CHANGE(st.st_ctim.tv_sec, 1);
    CHANGE(st.st_ctim.tv_nsec, 1);
    CHANGE(st.st_ino, 1);
    CHANGE(target, (char[]){"t"});
    CHANGE(link_to, (char[]){"l"});
    CHANGE(link_to, (char[]){"m"});
    e->st.st_mode = S_IFCHR;
    key_of(e, keys[n++]);
    CHANGE(st.st_rdev, 1);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (memcmp(keys[i], keys[k], RUN_KEY) == 0)
                fail_msg("change %zu and change %zu give the same key", i, k);
    entry_free(e);
}

static void unstable_inodes_and_sizes_of_folders_are_not(void **state)
{
    (void)state;
    uint8_t a[RUN_KEY], b[RUN_KEY];
    struct entry *e = new_entry("a", 100);
    here.fs.stable_inodes = false;
    key_of(e, a);
    e->st.st_ino = 77;
    key_of(e, b);
    assert_memory_equal(a, b, RUN_KEY);
    here.fs.stable_inodes = true;
    e->st.st_mode = S_IFDIR;
    key_of(e, a);
    e->st.st_size = 4097;
    key_of(e, b);
    assert_memory_equal(a, b, RUN_KEY);
    entry_free(e);
}

static void parameters_and_order_are_in_the_key(void **state)
{
    (void)state;
    uint8_t keys[4][RUN_KEY];
    struct entry *a = new_entry("a", 1), *b = new_entry("b", 1);
    struct run ab = {.entries = {a, b}, .n = 2}, ba = {.entries = {b, a}, .n = 2};
    struct chunk_params other = params;
    other.max++;
    const uint8_t other_key[RUN_CUT_KEY] = {9};
    run_key(&ab, &params, cut_key, keys[0]);
    run_key(&ba, &params, cut_key, keys[1]);
    run_key(&ab, &other, cut_key, keys[2]);
    run_key(&ab, &params, other_key, keys[3]);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(keys[i], keys[k], RUN_KEY);
    entry_free(a);
    entry_free(b);
}

/* ---- the cache ---- */
static char *folder, *path;

static int set_up(void **state)
{
    (void)state;
    folder = test_folder();
    path = xasprintf("%s/x.runs", folder);
    return 0;
}

static bool disk_fails;

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    if (disk_fails && at == 0) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

static int tear_down(void **state)
{
    (void)state;
    disk_fails = false;
    free(path);
    test_remove(folder);
    return 0;
}

static struct run_cache *open_cache(void)
{
    struct err e = ERR_INIT;
    struct run_cache *c = run_cache_new(path, folder, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

/* A run's references are made of its number, so that any of them can be known again. */
static void key_for(unsigned run, uint8_t key[RUN_KEY])
{
    uint64_t random = run;
    for (size_t i = 0; i < RUN_KEY; i++)
        key[i] = (uint8_t)test_random(&random);
}

static struct ref ref_for(unsigned run, size_t i)
{
    struct ref r = {.length = (uint32_t)(run * 1000 + i + 1)};
    memcpy(r.id.b, &run, sizeof run);
    memcpy(r.id.b + 8, &i, sizeof i);
    return r;
}

static uint64_t add_run(struct run_cache *c, unsigned run, size_t count, bool keep)
{
    struct err e = ERR_INIT;
    uint8_t key[RUN_KEY];
    uint64_t bytes = 0;
    key_for(run, key);
    for (size_t i = 0; i < count; i++) {
        struct ref r = ref_for(run, i);
        assert_ok(run_cache_add_refs(c, &r, 1, &e));
        bytes += r.length;
    }
    assert_ok(run_cache_end_run(c, key, bytes, keep, &e));
    return bytes;
}

/* true: known, and then right. */
static bool knows(struct run_cache *c, unsigned run, size_t count)
{
    uint8_t key[RUN_KEY];
    uint64_t bytes, want = 0;
    const struct ref *refs;
    size_t n;
    key_for(run, key);
    if (!run_cache_find(c, key, &bytes, &refs, &n))
        return false;
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) {
        struct ref r = ref_for(run, i);
        assert_true(id_equal(&r.id, &refs[i].id) && r.length == refs[i].length);
        want += r.length;
    }
    assert_int_equal(bytes, want);
    return true;
}

static size_t count_for(unsigned run)
{
    return run == 3 ? 20000 : run * 7 % 40 + 1; /* one that does not fit into the cache's buffer */
}

static void fill_cache(unsigned runs)
{
    struct err e = ERR_INIT;
    struct run_cache *c = open_cache();
    for (unsigned i = 0; i < runs; i++)
        add_run(c, i, count_for(i), i % 5 != 4);
    assert_ok(run_cache_finish(c, &e));
    run_cache_free(c);
}

static void runs_are_remembered(void **state)
{
    (void)state;
    fill_cache(500);
    struct run_cache *c = open_cache();
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(knows(c, i, count_for(i)), i % 5 != 4);
    assert_false(knows(c, 500, 1));
    run_cache_free(c);
}

static void a_large_run_can_be_dropped(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct run_cache *c = open_cache();
    add_run(c, 1, 5, true);
    add_run(c, 3, 20000, false);
    add_run(c, 2, 6, true);
    assert_ok(run_cache_finish(c, &e));
    run_cache_free(c);
    c = open_cache();
    assert_true(knows(c, 1, 5));
    assert_false(knows(c, 3, 20000));
    assert_true(knows(c, 2, 6));
    run_cache_free(c);
    AUTO(buf) file = BUF_NONE;
    assert_ok(file_read(path, 1 << 20, &file, &e));
    assert_int_equal(file.n, 16 + 2 * 40 + 11 * 24);
}

static void an_unfinished_backup_leaves_the_old_cache(void **state)
{
    (void)state;
    fill_cache(10);
    struct run_cache *c = open_cache();
    add_run(c, 77, 3, true);
    run_cache_free(c);
    c = open_cache();
    assert_true(knows(c, 1, count_for(1)));
    assert_false(knows(c, 77, 3));
    run_cache_free(c);
}

static void write_cache(struct bytes b)
{
    struct err e = ERR_INIT;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_ok(fd_write_all(fd, b, path, &e));
    close(fd);
}

/* Whatever is in the file: what is known is right (knows() sees to that), and nothing crashes. */
static void a_damaged_cache_is_never_wrong(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) file = BUF_NONE;
    uint64_t random = 3;
    unsigned known = 0, looks = 0;
    fill_cache(3);
    assert_ok(file_read(path, 1 << 20, &file, &e));
    for (size_t i = 0; i < file.n; i++) {
        uint8_t was = file.p[i];
        file.p[i] ^= (uint8_t)(1 + test_random(&random) % 255);
        write_cache(buf_bytes(&file));
        struct run_cache *c = open_cache();
        for (unsigned run = 0; run < 3; run++, looks++)
            known += knows(c, run, count_for(run));
        run_cache_free(c);
        file.p[i] = was;
    }
    assert_in_range(known, 1, looks - file.n); /* each flip hides one run at the least */
}

static void a_short_cache_is_used_as_far_as_it_goes(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) file = BUF_NONE;
    fill_cache(3);
    assert_ok(file_read(path, 1 << 20, &file, &e));
    for (size_t n = 0; n <= file.n; n++) {
        size_t end = 16;
        write_cache(BYTES(file.p, n));
        struct run_cache *c = open_cache();
        for (unsigned run = 0; run < 3; run++) {
            end += 40 + 24 * count_for(run);
            assert_int_equal(knows(c, run, count_for(run)), n >= end);
        }
        run_cache_free(c);
    }
}

static void rubbish_is_no_cache(void **state)
{
    (void)state;
    AUTO(buf) rubbish = BUF_NONE;
    buf_add_str(&rubbish, "lifeboat runs 1\n");
    test_bytes(&rubbish, 100000, 1);
    write_cache(buf_bytes(&rubbish));
    struct run_cache *c = open_cache();
    assert_false(knows(c, 1, 1));
    run_cache_free(c);
}

/* Mapped, a bad sector of it would be the end of every backup. */
static void a_cache_that_cannot_be_read_is_written_anew(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    fill_cache(3);
    disk_fails = true;
    struct run_cache *c = open_cache();
    disk_fails = false;
    assert_false(knows(c, 1, count_for(1)));
    add_run(c, 2, count_for(2), true);
    assert_ok(run_cache_finish(c, &e));
    run_cache_free(c);
    c = open_cache();
    assert_true(knows(c, 2, count_for(2)));
    run_cache_free(c);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_have_the_size_they_should),
        cmocka_unit_test(a_new_file_disturbs_one_run),
        cmocka_unit_test(a_large_file_wants_to_be_alone),
        cmocka_unit_test(every_field_is_in_the_key),
        cmocka_unit_test(unstable_inodes_and_sizes_of_folders_are_not),
        cmocka_unit_test(parameters_and_order_are_in_the_key),
        CASE(runs_are_remembered),
        CASE(a_large_run_can_be_dropped),
        CASE(an_unfinished_backup_leaves_the_old_cache),
        CASE(a_damaged_cache_is_never_wrong),
        CASE(a_short_cache_is_used_as_far_as_it_goes),
        CASE(rubbish_is_no_cache),
        CASE(a_cache_that_cannot_be_read_is_written_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
