/* The volume source: equal trees give equal bytes, and what a second backup opens and stores. The test has
 * its own clock, so that files are old enough to be remembered. */
#include "volume_scene.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

static int seconds_ahead;

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += seconds_ahead;
    return rc;
}

static int set_up(void **state)
{
    seconds_ahead = 3600;
    return scene_set_up(state);
}

/* ---- what was opened meanwhile ---- */
/* Watches the folders for files being opened (also by root, whom no mode keeps out). */
struct watch {
    int fd;
    unsigned opened;
};

static void watch_folder(struct watch *w, const char *path)
{
    AUTO_CHAR full = xasprintf("%s/%s", scene.tree, path);
    assert_true(inotify_add_watch(w->fd, full, IN_OPEN | IN_ACCESS) >= 0);
}

static unsigned files_opened(struct watch *w)
{
    char block[65536] __attribute__((aligned(8)));
    ssize_t n;
    while ((n = read(w->fd, block, sizeof block)) > 0)
        for (char *p = block; p < block + n;) {
            const struct inotify_event *event = (void *)p;
            w->opened += (event->mask & IN_OPEN) && !(event->mask & IN_ISDIR);
            p += sizeof *event + event->len;
        }
    unsigned opened = w->opened;
    w->opened = 0;
    return opened;
}

static struct watch watch_all(void)
{
    struct watch w = {.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    assert_true(w.fd >= 0);
    watch_folder(&w, ".");
    for (int i = 0; i < FOLDERS; i++) {
        AUTO_CHAR dir = xasprintf("folder%d", i);
        watch_folder(&w, dir);
    }
    return w;
}

/* ---- the tests ---- */
static void equal_trees_give_equal_bytes(void **state)
{
    AUTO(buf) first = BUF_NONE;
    make_files(false);
    assert_int_equal(symlinkat("tg\xff", scene.dirfd, "link"), 0);
    set_times("link", 5);
    set_times(".", 2000000);
    scene_back_up();
    expect_good();
    assert_int_equal(scene.result.files, FOLDERS * FILES + FOLDERS + 2);
    buf_add(&first, buf_bytes(&scene.tar));
    scene_tear_down(state);
    set_up(state);
    scene_put_text("ballast", "so that the numbers of inodes are others");
    assert_int_equal(symlinkat("tg\xff", scene.dirfd, "link"), 0);
    set_times("link", 5);
    make_files(true);
    assert_int_equal(unlinkat(scene.dirfd, "ballast", 0), 0);
    set_times(".", 2000000);
    scene_back_up();
    assert_int_equal(first.n, scene.tar.n);
    assert_memory_equal(first.p, scene.tar.p, first.n);
}

static void an_unchanged_tree_is_not_opened(void **state)
{
    (void)state;
    make_files(false);
    AUTO(buf) first = BUF_NONE, first_catalog = BUF_NONE;
    struct watch w = watch_all();
    scene_back_up();
    assert_int_equal(files_opened(&w), FOLDERS * FILES);
    buf_add(&first, buf_bytes(&scene.tar));
    buf_add(&first_catalog, buf_bytes(&scene.catalog));
    for (int i = 0; i < 3; i++) {
        scene_back_up();
        assert_int_equal(files_opened(&w), 0);
        assert_int_equal(scene.result.streams[0].new_bytes + scene.result.streams[1].new_bytes, 0);
        assert_int_equal(first.n, scene.tar.n);
        assert_memory_equal(first.p, scene.tar.p, first.n);
        assert_int_equal(first_catalog.n, scene.catalog.n);
        assert_memory_equal(first_catalog.p, scene.catalog.p, first_catalog.n);
    }
    close(w.fd);
}

static void one_new_file_opens_one_run(void **state)
{
    (void)state;
    make_files(false);
    struct watch w = watch_all();
    scene_back_up();
    files_opened(&w);
    scene_put_text("folder3/new", "hello");
    set_times("folder3", 2000000);
    scene_back_up();
    /* its own run, and the one with the folder, whose ctime it changed */
    assert_in_range(files_opened(&w), 1, 2 * FILES);
    assert_in_range(scene.result.streams[0].new_bytes, 1, 1200000);
    expect_text("folder3/new", "hello");
    close(w.fd);
}

static void a_moved_file_is_not_stored_again(void **state)
{
    (void)state;
    uint64_t random = 7;
    char text[200001];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = (char)('a' + test_random(&random) % 26);
    text[sizeof text - 1] = 0;
    scene_put_text("b", text);
    scene_back_up();
    assert_true(scene.result.streams[0].new_bytes > sizeof text);
    assert_int_equal(renameat(scene.dirfd, "b", scene.dirfd, "a longer name"), 0);
    scene_back_up();
    expect_text("a longer name", text);
    assert_in_range(scene.result.streams[0].new_bytes, 1, 10000); /* headers */
}

static void young_files_are_read_again(void **state)
{
    (void)state;
    seconds_ahead = 0;
    scene_put_text("a", "one");
    set_times("a", 1000);
    scene_back_up();
    scene_put_text("a", "two"); /* within a tick perhaps, and dated back */
    set_times("a", 1000);
    scene_back_up();
    expect_text("a", "two");
}

static void reading_all_again(void **state)
{
    (void)state;
    make_files(false);
    struct watch w = watch_all();
    scene_back_up();
    files_opened(&w);
    scene.env.read_all = true;
    scene_back_up();
    assert_int_equal(files_opened(&w), FOLDERS * FILES);
    assert_int_equal(scene.result.streams[0].new_bytes, 0);
    scene.env.read_all = false;
    scene.source.reread_days = 1;
    scene_back_up();
    assert_int_equal(files_opened(&w), FOLDERS * FILES);
    assert_true(was_said(&scene.result.notes, "reread-days"));
    scene.source.reread_days = 4; /* each run on one of four days */
    unsigned opened = 0;
    for (int day = 0; day < 4; day++, seconds_ahead += 86400) {
        scene_back_up();
        unsigned today = files_opened(&w);
        assert_in_range(today, 1, FOLDERS * FILES - 1);
        opened += today;
    }
    assert_int_equal(opened, FOLDERS * FILES);
    close(w.fd);
}

/* The cache says one thing, the repository another: the repository is right. */
static void a_cache_of_lost_chunks(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    make_files(false);
    scene_back_up();
    repo_free(scene.t.repo);
    store_free(scene.t.store);
    scene.t.repo = NULL;
    scene.t.store = store_mem_new(scene.t.folder);
    assert_ok(repo_create(scene.t.store, scene.t.keys, &e));
    test_repo_reload(&scene.t);
    scene_back_up();
    expect_good();
    assert_true(scene.result.streams[0].new_bytes > 1000000);
}

static void a_cache_of_rubbish_costs_time_only(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    make_files(false);
    AUTO(buf) first = BUF_NONE, file = BUF_NONE;
    AUTO_CHAR path = xasprintf("%s/v.runs", scene.cache);
    scene_back_up();
    buf_add(&first, buf_bytes(&scene.tar));
    uint64_t random = 1;
    for (int i = 0; i < 20; i++) {
        file.n = 0;
        assert_ok(file_read(path, 1 << 24, &file, &e));
        for (int k = 0; k < 50; k++)
            file.p[test_random(&random) % file.n] ^= (uint8_t)(test_random(&random) | 1);
        AUTO_FD fd = open(path, O_WRONLY | O_TRUNC);
        assert_ok(fd_write_all(fd, BYTES(file.p, file.n - (size_t)i * 100), path, &e));
        scene_back_up();
        expect_good();
        assert_int_equal(first.n, scene.tar.n);
        assert_memory_equal(first.p, scene.tar.p, first.n);
    }
}

static void no_room_for_a_cache_is_a_note(void **state)
{
    (void)state;
    make_files(false);
    AUTO_CHAR path = xasprintf("%s/v.runs.new", scene.cache);
    assert_int_equal(mkdir(path, 0755), 0);
    scene_back_up();
    expect_good();
    assert_true(was_said(&scene.result.notes, "no cache of unchanged files"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(equal_trees_give_equal_bytes),  CASE(an_unchanged_tree_is_not_opened),
        CASE(one_new_file_opens_one_run),    CASE(a_moved_file_is_not_stored_again),
        CASE(young_files_are_read_again),    CASE(reading_all_again),
        CASE(a_cache_of_lost_chunks),        CASE(a_cache_of_rubbish_costs_time_only),
        CASE(no_room_for_a_cache_is_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
