/* Files that change between being listed and being stored, and while they are read. The test has its own
 * pread() and clock, so that "while" is exactly then and nothing waits. */
#include "testing.h"

#include "source/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MB (1u << 20)

/* ---- what the code under test gets from the system ---- */
static void (*on_read)(unsigned call, off_t at); /* before each pread() */
static unsigned reads;
static off_t fail_from = -1; /* pread() at or beyond fails with EIO */
static uint64_t bytes_read;

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    reads++;
    if (on_read)
        on_read(reads, at);
    if (fail_from >= 0 && at >= fail_from) {
        errno = EIO;
        return -1;
    }
    ssize_t got = syscall(SYS_pread64, fd, p, fail_from >= 0 ? MIN(n, (size_t)(fail_from - at)) : n, at);
    bytes_read += got > 0 ? (uint64_t)got : 0;
    return got;
}

static off_t told_less;    /* by fstat() of a file */
static bool whole_seconds; /* of the ctime */

int fstat(int fd, struct stat *st)
{
    int rc = (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
    if (rc == 0 && S_ISREG(st->st_mode))
        st->st_size -= told_less;
    if (rc == 0 && whole_seconds)
        st->st_ctim.tv_nsec = 0;
    return rc;
}

static int hours;              /* what the clock is ahead */
static struct timespec clock_; /* what it says, when set */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += hours * 3600;
    if (rc == 0 && id == CLOCK_REALTIME && clock_.tv_sec)
        *t = clock_;
    return rc;
}

/* ---- a folder with one file, walked ---- */
static struct strings no_globs;

static struct scene {
    char *folder, *path;
    struct walk *walk;
    struct entry *entries[16];
    size_t count;
    struct buf tar;
    struct tar_result result;
} scene;

static int keep_entry(void *ctx, struct entry *entry, struct err *e)
{
    (void)ctx;
    (void)e;
    assert_true(scene.count < ARRAY_LEN(scene.entries));
    scene.entries[scene.count++] = entry;
    return 0;
}

static void no_problem(void *ctx, const char *path, int error)
{
    (void)ctx;
    fail_msg("%s: %s", path, strerror(error));
}

static int collect(void *ctx, struct bytes b, struct err *e)
{
    (void)ctx;
    (void)e;
    buf_add(&scene.tar, b);
    return 0;
}

static void put_file(const char *path, struct bytes data)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    struct err e = ERR_INIT;
    assert_true(fd >= 0);
    assert_ok(fd_write_all(fd, data, path, &e));
    close(fd);
}

/* An old time, so that the next write surely sets another. */
static void make_old(const char *path)
{
    const struct timespec times[2] = {{1000000, 0}, {1000000, 5}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static int set_up(void **state)
{
    (void)state;
    scene = (struct scene){.folder = test_folder()};
    scene.path = xasprintf("%s/file", scene.folder);
    on_read = NULL;
    reads = 0;
    bytes_read = 0;
    fail_from = -1;
    told_less = 0;
    hours = 1;
    whole_seconds = false;
    clock_ = (struct timespec){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < scene.count; i++)
        entry_free(scene.entries[i]);
    walk_free(scene.walk);
    buf_free(&scene.tar);
    free(scene.path);
    test_remove(scene.folder);
    return 0;
}

/* Makes the file with n bytes of `seed` and lists the folder. */
static void list_file(size_t n, uint64_t seed)
{
    struct err e = ERR_INIT;
    AUTO(buf) data = BUF_NONE;
    const struct walk_options o = {.root = scene.folder, .exclude = &no_globs};
    const struct walk_visitor v = {.entry = keep_entry, .problem = no_problem};
    test_bytes(&data, n, seed);
    put_file(scene.path, buf_bytes(&data));
    make_old(scene.path);
    scene.walk = walk_new(&o, &e);
    assert_non_null(scene.walk);
    assert_ok(walk_run(scene.walk, &v, &e));
    assert_int_equal(scene.count, 2);
}

static void store_file(void)
{
    struct err e = ERR_INIT;
    AUTO_PTR(tar_writer) t = tar_writer_new(collect, NULL, NULL);
    assert_ok(tar_writer_add(t, scene.entries[1], &scene.result, &e));
    assert_ok(tar_writer_end(t, &e));
}

/* What an unpacker ends with: the content of the last entry. Returns how many there are. */
static unsigned unpack(struct buf *out)
{
    struct archive *a = archive_read_new();
    struct archive_entry *ae;
    unsigned count = 0;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, scene.tar.p, scene.tar.n), ARCHIVE_OK);
    int rc;
    for (; (rc = archive_read_next_header(a, &ae)) == ARCHIVE_OK; count++) {
        assert_string_equal(archive_entry_pathname(ae), "file");
        const void *block;
        size_t n, size = (size_t)archive_entry_size(ae);
        la_int64_t at;
        out->n = 0;
        memset(buf_reserve(out, size + 1), 0, size);
        out->n = size;
        while (archive_read_data_block(a, &block, &n, &at) == ARCHIVE_OK) {
            assert_true((size_t)at <= size && n <= size - (size_t)at);
            if (n)
                memcpy(out->p + at, block, n);
        }
    }
    if (rc != ARCHIVE_EOF)
        fail_msg("%s", archive_error_string(a));
    archive_read_free(a);
    return count;
}

static void expect(enum tar_outcome outcome, unsigned copies, struct bytes content)
{
    AUTO(buf) got = BUF_NONE;
    assert_int_equal(scene.result.outcome, outcome);
    assert_int_equal(unpack(&got), copies);
    assert_int_equal(got.n, content.n);
    assert_true(got.n == 0 || memcmp(got.p, content.p, got.n) == 0);
}

static void expect_seeded(enum tar_outcome outcome, unsigned copies, size_t n, uint64_t seed)
{
    AUTO(buf) want = BUF_NONE;
    test_bytes(&want, n, seed);
    expect(outcome, copies, buf_bytes(&want));
}

/* ---- nothing happens ---- */
static void an_unchanged_file(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 511, 512, MB, MB + 1, 3 * MB + 5};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (i)
            set_up(NULL);
        list_file(sizes[i], i);
        store_file();
        expect_seeded(TAR_WHOLE, 1, sizes[i], i);
        assert_true(scene.result.settled);
        if (i + 1 < ARRAY_LEN(sizes))
            tear_down(NULL);
    }
}

static void a_young_file_is_not_settled(void **state)
{
    (void)state;
    hours = 0;
    list_file(1000, 1);
    store_file();
    expect_seeded(TAR_WHOLE, 1, 1000, 1);
    assert_false(scene.result.settled);
}

/* Where a file system keeps whole seconds, a change 800 ms after another may leave the times as they are. */
static void a_ctime_in_whole_seconds_settles_later(void **state)
{
    (void)state;
    for (int seconds = 0; seconds <= 3; seconds += 3) {
        tear_down(NULL);
        set_up(NULL);
        list_file(1000, 1);
        whole_seconds = true;
        scene.entries[1]->st.st_ctim.tv_nsec = 0;
        clock_ = (struct timespec){scene.entries[1]->st.st_ctim.tv_sec + seconds, 800000000};
        store_file();
        expect_seeded(TAR_WHOLE, 1, 1000, 1);
        assert_int_equal(scene.result.settled, seconds > 2);
    }
}

static void a_file_from_the_future_settles_too(void **state)
{
    (void)state;
    const struct timespec times[2] = {{1ll << 33, 0}, {1ll << 33, 5}}; /* the year 2242 */
    list_file(1000, 1);
    assert_int_equal(utimensat(AT_FDCWD, scene.path, times, 0), 0);
    assert_int_equal(stat(scene.path, &scene.entries[1]->st), 0);
    store_file();
    assert_true(scene.result.settled);
}

/* ---- between the walk and the opening ---- */
static void a_vanished_file(void **state)
{
    (void)state;
    list_file(1000, 1);
    assert_int_equal(unlink(scene.path), 0);
    store_file();
    expect(TAR_VANISHED, 0, BYTES(NULL, 0));
}

static void a_symlink_in_its_place_is_not_followed(void **state)
{
    (void)state;
    list_file(1000, 1);
    assert_int_equal(unlink(scene.path), 0);
    assert_int_equal(symlink("/etc/hostname", scene.path), 0);
    store_file();
    expect(TAR_REPLACED, 0, BYTES(NULL, 0));
}

static void a_fifo_in_its_place_does_not_block(void **state)
{
    (void)state;
    list_file(1000, 1);
    assert_int_equal(unlink(scene.path), 0);
    assert_int_equal(mkfifo(scene.path, 0600), 0);
    store_file();
    expect(TAR_REPLACED, 0, BYTES(NULL, 0));
}

static void another_file_in_its_place_is_stored(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    AUTO_CHAR other = xasprintf("%s/other", scene.folder);
    list_file(1000, 1);
    test_bytes(&data, 2000, 2);
    put_file(other, buf_bytes(&data));
    assert_int_equal(rename(other, scene.path), 0);
    store_file();
    expect_seeded(TAR_WHOLE, 1, 2000, 2);
    assert_true(scene.result.other_file);
    assert_false(scene.result.settled);
}

static void a_rewrite_since_the_walk_is_not_settled(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    list_file(1000, 1);
    test_bytes(&data, 1000, 2);
    put_file(scene.path, buf_bytes(&data));
    store_file();
    expect_seeded(TAR_WHOLE, 1, 1000, 2);
    assert_false(scene.result.settled); /* the key of its run is of what the walk saw */
}

/* ---- while it is read ---- */
static struct buf news;       /* what a rewrite puts */
static unsigned change_until; /* changes happen before the reads up to this one */

/* Touches nothing but the mode and the ctime, until the clock has ticked: on most kernels that takes
 * milliseconds, and what is written before has the times of what was. */
static void chmod_until_tick(mode_t mode)
{
    struct stat before, after;
    assert_int_equal(stat(scene.path, &before), 0);
    do {
        assert_int_equal(chmod(scene.path, mode), 0);
        assert_int_equal(stat(scene.path, &after), 0);
    } while (before.st_ctim.tv_sec == after.st_ctim.tv_sec &&
             before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
}

static void rewrite_file(unsigned call, off_t at)
{
    (void)at;
    if (call > change_until)
        return;
    chmod_until_tick(0644);
    make_old(scene.path);
    news.p[0] = (uint8_t)call;
    put_file(scene.path, buf_bytes(&news));
}

static void truncate_file(unsigned call, off_t at)
{
    (void)at;
    if (call <= change_until)
        assert_int_equal(truncate(scene.path, 5000 - (off_t)call), 0);
}

static void append_to_file(unsigned call, off_t at)
{
    (void)at;
    if (call > change_until)
        return;
    int fd = open(scene.path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "more", 4), 4);
    close(fd);
}

static void chmod_file(unsigned call, off_t at)
{
    (void)at;
    if (call <= change_until)
        chmod_until_tick(0600);
}

static void a_small_file_rewritten_once_is_read_again(void **state)
{
    (void)state;
    list_file(10000, 1);
    test_bytes(&news, 10000, 2);
    on_read = rewrite_file;
    change_until = 1;
    store_file();
    expect(TAR_WHOLE, 1, buf_bytes(&news));
    assert_false(scene.result.settled);
    buf_free(&news);
}

static void a_small_file_rewritten_always_is_told(void **state)
{
    (void)state;
    list_file(10000, 1);
    test_bytes(&news, 10000, 2);
    on_read = rewrite_file;
    change_until = 1000;
    store_file();
    assert_int_equal(scene.result.outcome, TAR_CHANGED);
    assert_int_equal(reads, 3);
    expect(TAR_CHANGED, 1, buf_bytes(&news));
    buf_free(&news);
}

static void a_small_file_cut_off_always_is_told(void **state)
{
    (void)state;
    AUTO(buf) got = BUF_NONE;
    list_file(10000, 1);
    on_read = truncate_file;
    change_until = 1000;
    store_file();
    assert_int_equal(scene.result.outcome, TAR_CHANGED);
    assert_int_equal(unpack(&got), 1);
}

static void a_small_file_that_grows_is_stored_as_it_was(void **state)
{
    (void)state;
    list_file(10000, 1);
    on_read = append_to_file;
    change_until = 1000;
    store_file();
    expect_seeded(TAR_GROWN, 1, 10000, 1);
    assert_false(scene.result.settled);
}

static void a_large_file_that_grows_is_stored_as_it_was(void **state)
{
    (void)state;
    list_file(3 * MB + 5, 1);
    on_read = append_to_file;
    change_until = 1000;
    store_file();
    expect_seeded(TAR_GROWN, 1, 3 * MB + 5, 1);
}

/* FUSE file systems that do not know how long their files are, and /proc. */
static void a_file_longer_than_its_size_is_told(void **state)
{
    (void)state;
    static const size_t sizes[] = {10000, 3 * MB, 1};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (i) {
            tear_down(NULL);
            set_up(NULL);
        }
        list_file(sizes[i], 1);
        told_less = 1;
        store_file();
        told_less = 0;
        expect_seeded(TAR_LONGER, 1, sizes[i] - 1, 1);
        assert_false(scene.result.settled);
    }
}

static void append_late(unsigned call, off_t at)
{
    if (at == 10000)
        append_to_file(call, at);
}

static void a_file_that_grows_a_moment_later_is_not_called_longer(void **state)
{
    (void)state;
    list_file(10000, 1);
    on_read = append_late;
    change_until = 1000;
    store_file();
    expect_seeded(TAR_GROWN, 1, 10000, 1);
}

/* Growing may hide a rewrite: what was there is compared. */
static void rewrite_and_append(unsigned call, off_t at)
{
    rewrite_file(call, at);
    append_to_file(call, at);
}

static void a_file_rewritten_and_grown_is_not_called_grown(void **state)
{
    (void)state;
    static const size_t sizes[] = {10000, 3 * MB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (i) {
            tear_down(NULL);
            set_up(NULL);
        }
        list_file(sizes[i], 1);
        test_bytes(&news, sizes[i], 2);
        on_read = rewrite_and_append;
        change_until = 1000;
        store_file();
        assert_int_equal(scene.result.outcome, TAR_CHANGED);
        buf_free(&news);
    }
}

static void a_large_file_rewritten_once_is_stored_again(void **state)
{
    (void)state;
    list_file(3 * MB, 1);
    test_bytes(&news, 3 * MB, 2);
    on_read = rewrite_file;
    change_until = 2;
    store_file();
    expect(TAR_WHOLE, 2, buf_bytes(&news)); /* the second copy counts */
    buf_free(&news);
}

static void a_large_file_that_becomes_small_is_stored_again(void **state)
{
    (void)state;
    AUTO(buf) want = BUF_NONE;
    list_file(3 * MB, 1);
    on_read = truncate_file;
    change_until = 1;
    store_file();
    test_bytes(&want, 3 * MB, 1);
    expect(TAR_WHOLE, 2, BYTES(want.p, 4999));
}

static void a_large_file_rewritten_always_is_told(void **state)
{
    (void)state;
    AUTO(buf) got = BUF_NONE;
    list_file(3 * MB, 1);
    test_bytes(&news, 3 * MB, 2);
    on_read = rewrite_file;
    change_until = 1000;
    store_file();
    assert_int_equal(scene.result.outcome, TAR_CHANGED);
    assert_int_equal(unpack(&got), 3);
    buf_free(&news);
}

static void a_changed_mode_is_no_changed_content(void **state)
{
    (void)state;
    list_file(3 * MB, 1);
    on_read = chmod_file;
    change_until = 1;
    store_file();
    expect_seeded(TAR_WHOLE, 1, 3 * MB, 1);
    assert_false(scene.result.settled);
}

static void unlink_file(unsigned call, off_t at)
{
    (void)at;
    if (call == 1)
        unlink(scene.path);
}

static void a_file_unlinked_while_it_is_read_is_whole(void **state)
{
    (void)state;
    list_file(3 * MB, 1);
    on_read = unlink_file;
    store_file();
    expect_seeded(TAR_WHOLE, 1, 3 * MB, 1);
}

/* ---- what cannot be read ---- */
static void a_bad_block_is_told_with_its_place(void **state)
{
    (void)state;
    AUTO(buf) want = BUF_NONE;
    list_file(3 * MB, 1);
    fail_from = MB + 100;
    store_file();
    test_bytes(&want, 3 * MB, 1);
    memset(want.p + fail_from, 0, want.n - (size_t)fail_from);
    expect(TAR_UNREADABLE, 1, buf_bytes(&want));
    assert_int_equal(scene.result.error, EIO);
    assert_int_equal(scene.result.readable, fail_from);
    assert_false(scene.result.settled);
}

static void a_bad_block_in_a_small_file(void **state)
{
    (void)state;
    AUTO(buf) want = BUF_NONE;
    list_file(1000, 1);
    fail_from = 300;
    store_file();
    test_bytes(&want, 1000, 1);
    memset(want.p + 300, 0, 700);
    expect(TAR_UNREADABLE, 1, buf_bytes(&want));
    assert_int_equal(scene.result.readable, 300);
}

static void a_small_file_that_cannot_be_read_at_all(void **state)
{
    (void)state;
    list_file(1000, 1);
    fail_from = 0;
    store_file();
    expect(TAR_UNREADABLE, 0, BYTES(NULL, 0));
    assert_int_equal(scene.result.error, EIO);
}

/* ---- holes ---- */
static void make_sparse(off_t size, const off_t *data_at, size_t n)
{
    int fd = open(scene.path, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(fd, size), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pwrite(fd, "data", 4, data_at[i]), 4);
    close(fd);
}

static bool has_holes(void)
{
    int fd = open(scene.path, O_RDONLY);
    off_t hole = lseek(fd, 0, SEEK_HOLE);
    struct stat st;
    fstat(fd, &st);
    close(fd);
    return hole < st.st_size;
}

static void holes_are_not_read(void **state)
{
    (void)state;
    static const off_t data_at[] = {0, 20 << 20, (64 << 20) - 4};
    make_sparse(64 << 20, data_at, ARRAY_LEN(data_at));
    if (!has_holes())
        skip(); /* this file system has none */
    list_file(0, 0);
    store_file();
    assert_int_equal(scene.result.outcome, TAR_WHOLE);
    assert_in_range(bytes_read, 12, MB);
    assert_in_range(scene.tar.n, 1000, MB);
    AUTO(buf) got = BUF_NONE;
    assert_int_equal(unpack(&got), 1);
    assert_int_equal(got.n, 64 << 20);
    for (size_t i = 0; i < ARRAY_LEN(data_at); i++)
        assert_memory_equal(got.p + data_at[i], "data", 4);
}

static void nothing_but_a_hole(void **state)
{
    (void)state;
    make_sparse(30 << 20, NULL, 0);
    if (!has_holes())
        skip();
    list_file(0, 0);
    store_file();
    AUTO(buf) want = BUF_NONE;
    memset(buf_reserve(&want, 30 << 20), 0, 30 << 20);
    want.n = 30 << 20;
    expect(TAR_WHOLE, 1, buf_bytes(&want));
    assert_int_equal(bytes_read, 0);
}

/* Data that comes into a hole after the holes were looked for must not be lost in silence. */
static void fill_hole(unsigned call, off_t at)
{
    (void)at;
    if (call > 1)
        return;
    int fd = open(scene.path, O_WRONLY);
    assert_int_equal(pwrite(fd, "late", 4, 300000), 4);
    close(fd);
}

static void a_hole_filled_while_the_file_is_read(void **state)
{
    (void)state;
    static const off_t data_at[] = {0};
    static const off_t sizes[] = {600000, 10 << 20};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (i) {
            tear_down(NULL);
            set_up(NULL);
        }
        make_sparse(sizes[i], data_at, 1);
        list_file(0, 0);
        on_read = fill_hole;
        store_file();
        AUTO(buf) got = BUF_NONE;
        assert_int_equal(scene.result.outcome, TAR_WHOLE);
        unpack(&got);
        assert_int_equal(got.n, sizes[i]);
        assert_memory_equal(got.p + 300000, "late", 4);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_unchanged_file),
        CASE(a_young_file_is_not_settled),
        CASE(a_ctime_in_whole_seconds_settles_later),
        CASE(a_file_from_the_future_settles_too),
        CASE(a_vanished_file),
        CASE(a_symlink_in_its_place_is_not_followed),
        CASE(a_fifo_in_its_place_does_not_block),
        CASE(another_file_in_its_place_is_stored),
        CASE(a_rewrite_since_the_walk_is_not_settled),
        CASE(a_small_file_rewritten_once_is_read_again),
        CASE(a_small_file_rewritten_always_is_told),
        CASE(a_small_file_cut_off_always_is_told),
        CASE(a_small_file_that_grows_is_stored_as_it_was),
        CASE(a_large_file_that_grows_is_stored_as_it_was),
        CASE(a_file_longer_than_its_size_is_told),
        CASE(a_file_that_grows_a_moment_later_is_not_called_longer),
        CASE(a_file_rewritten_and_grown_is_not_called_grown),
        CASE(a_large_file_rewritten_once_is_stored_again),
        CASE(a_large_file_that_becomes_small_is_stored_again),
        CASE(a_large_file_rewritten_always_is_told),
        CASE(a_changed_mode_is_no_changed_content),
        CASE(a_file_unlinked_while_it_is_read_is_whole),
        CASE(a_bad_block_is_told_with_its_place),
        CASE(a_bad_block_in_a_small_file),
        CASE(a_small_file_that_cannot_be_read_at_all),
        CASE(holes_are_not_read),
        CASE(nothing_but_a_hole),
        CASE(a_hole_filled_while_the_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
