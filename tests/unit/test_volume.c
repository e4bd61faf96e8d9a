/* The volume source on a repository in memory: what goes in, what a second backup opens and stores, what is
 * said of what. The test has its own clock, so that files are old enough to be remembered. */
#include "testing.h"

#include "base/child.h"
#include "source/catalog.h"
#include "source/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int seconds_ahead = 3600;
static void (*on_next_clock)(void); /* the clock is looked at between the walk of a run and its writing */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && id == CLOCK_REALTIME) {
        t->tv_sec += seconds_ahead;
        void (*f)(void) = on_next_clock;
        on_next_clock = NULL;
        if (f)
            f();
    }
    return rc;
}

/* ---- a scene: a tree, a repository, a cache ---- */
static struct scene {
    struct test_repo t;
    char *tree, *cache;
    int dirfd; /* of the tree */
    struct config_source source;
    struct source_env env; /* what is not set for each backup */
    struct source_result result;
    struct buf tar, catalog;
} scene;

static int set_up(void **state)
{
    (void)state;
    scene = (struct scene){0};
    test_repo_new(&scene.t, NULL);
    scene.tree = xasprintf("%s/tree", scene.t.folder);
    scene.cache = xasprintf("%s/cache", scene.t.folder);
    assert_int_equal(mkdir(scene.tree, 0755) | mkdir(scene.cache, 0755), 0);
    scene.dirfd = open(scene.tree, O_RDONLY | O_DIRECTORY);
    static char name[] = "v";
    scene.source = (struct config_source){.name = name, .type = SOURCE_VOLUME, .path = scene.tree};
    seconds_ahead = 3600;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(scene.dirfd);
    source_result_free(&scene.result);
    buf_free(&scene.tar);
    buf_free(&scene.catalog);
    strings_free(&scene.source.exclude);
    strings_free(&scene.source.may_change);
    free(scene.tree);
    free(scene.cache);
    test_repo_free(&scene.t);
    return 0;
}

static void read_stream(const struct stream_info *info, struct buf *out)
{
    struct err e = ERR_INIT;
    out->n = 0;
    assert_ok(test_read(&scene.t, info, out, &e));
}

/* One backup. -1: failed, with *e. */
static int try_backup(struct err *e)
{
    struct writer_stats stats;
    struct writer *w = writer_new(scene.t.repo, e);
    source_result_free(&scene.result);
    scene.env.writer = w;
    scene.env.source = &scene.source;
    scene.env.cache_dir = scene.cache;
    scene.env.run_cut_key = keyring_current(scene.t.keys)->run_cut;
    scene.env.volume_params = (struct chunk_params){16384, 65536, 262144};
    scene.env.volume_level = 1;
    *e = (struct err)ERR_INIT;
    int rc = source_backup(&scene.env, &scene.result, e);
    if (rc == 0)
        assert_int_equal(writer_finish(w, &stats, e), 0);
    writer_free(w);
    if (rc)
        return -1;
    test_repo_reload(&scene.t);
    assert_int_equal(scene.result.stream_count, 2);
    read_stream(&scene.result.streams[0], &scene.tar);
    read_stream(&scene.result.streams[1], &scene.catalog);
    return 0;
}

static void back_up(void)
{
    struct err e = ERR_INIT;
    if (try_backup(&e))
        fail_msg("%s", e.text);
}

/* ---- making things ---- */
static void put(const char *path, const char *text)
{
    int fd = openat(scene.dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail_msg("%s: %s", path, strerror(errno));
    close(fd);
}

static void put_seeded(const char *path, size_t n, uint64_t seed)
{
    struct err e = ERR_INIT;
    AUTO(buf) data = BUF_NONE;
    AUTO_FD fd = openat(scene.dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    test_bytes(&data, n, seed);
    assert_ok(fd_write_all(fd, buf_bytes(&data), path, &e));
}

static void make_dir(const char *path)
{
    assert_int_equal(mkdirat(scene.dirfd, path, 0755), 0);
}

static void set_times(const char *path, time_t s)
{
    const struct timespec times[2] = {{s, 1}, {s, 2}};
    assert_int_equal(utimensat(scene.dirfd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Some hundred files of all sizes in folders, in this order or backwards. */
#define FOLDERS 6
#define FILES   40
static void make_files(bool backwards)
{
    for (int k = 0; k < FOLDERS * FILES; k++) {
        int i = backwards ? FOLDERS * FILES - 1 - k : k;
        AUTO_CHAR dir = xasprintf("folder%d", i / FILES);
        AUTO_CHAR path = xasprintf("%s/file%02d", dir, i % FILES);
        (void)!mkdirat(scene.dirfd, dir, 0755);
        put_seeded(path, (size_t)(i * i * 13 % 40000) + (i == 77 ? 900000 : 0), (uint64_t)i);
        set_times(path, 1000000 + i);
    }
    for (int i = 0; i < FOLDERS; i++) {
        AUTO_CHAR dir = xasprintf("folder%d", i);
        set_times(dir, 2000000);
    }
    set_times(".", 2000000);
}

/* ---- looking at the stream ---- */
typedef void each_entry(struct archive *a, struct archive_entry *ae, void *ctx);

static size_t each_in_tar(each_entry *f, void *ctx)
{
    struct archive *a = archive_read_new();
    struct archive_entry *ae;
    size_t n = 0;
    int rc;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, scene.tar.p, scene.tar.n), ARCHIVE_OK);
    for (; (rc = archive_read_next_header(a, &ae)) == ARCHIVE_OK; n++)
        f(a, ae, ctx);
    if (rc != ARCHIVE_EOF)
        fail_msg("%s", archive_error_string(a));
    archive_read_free(a);
    return n;
}

struct wanted {
    const char *path;
    bool found;
    char link[256];
    struct buf content;
    mode_t mode;
};

static void take_wanted(struct archive *a, struct archive_entry *ae, void *ctx)
{
    struct wanted *w = ctx;
    if (strcmp(archive_entry_pathname(ae), w->path) != 0)
        return;
    w->found = true;
    w->mode = archive_entry_mode(ae);
    snprintf(w->link, sizeof w->link, "%s", archive_entry_hardlink(ae) ? archive_entry_hardlink(ae) : "");
    size_t n = (size_t)archive_entry_size(ae);
    w->content.n = 0;
    assert_int_equal(archive_read_data(a, buf_reserve(&w->content, n), n), n);
    w->content.n = n;
}

static struct wanted look_up(const char *path)
{
    struct wanted w = {.path = path};
    each_in_tar(take_wanted, &w);
    return w;
}

static void expect_text(const char *path, const char *text)
{
    struct wanted w = look_up(path);
    if (!w.found)
        fail_msg("%s is not in the stream", path);
    if (*w.link) {
        AUTO_CHAR first = xstrdup(w.link);
        expect_text(first, text);
    } else {
        assert_string_equal(buf_cstr(&w.content), text);
    }
    buf_free(&w.content);
}

static void expect_absent(const char *path)
{
    struct wanted w = look_up(path);
    if (w.found)
        fail_msg("%s is in the stream", path);
    buf_free(&w.content);
}

static void expect_link(const char *path, const char *to)
{
    struct wanted w = look_up(path);
    assert_true(w.found);
    assert_string_equal(w.link, to);
    buf_free(&w.content);
}

static bool was_said(const struct strings *list, const char *part)
{
    for (size_t i = 0; i < list->n; i++)
        if (strstr(list->v[i], part))
            return true;
    return false;
}

static void expect_degraded(const char *part)
{
    assert_int_equal(scene.result.verdict, VERDICT_DEGRADED);
    if (!was_said(&scene.result.reasons, part))
        fail_msg("\"%s\" is not among the reasons (%s)", part,
                 scene.result.reasons.n ? scene.result.reasons.v[0] : "none");
}

static void expect_good(void)
{
    if (scene.result.verdict != VERDICT_GOOD)
        fail_msg("degraded: %s", scene.result.reasons.v[0]);
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
    back_up();
    expect_good();
    assert_int_equal(scene.result.files, FOLDERS * FILES + FOLDERS + 2);
    buf_add(&first, buf_bytes(&scene.tar));
    tear_down(state);
    set_up(state);
    put("ballast", "so that the numbers of inodes are others");
    assert_int_equal(symlinkat("tg\xff", scene.dirfd, "link"), 0);
    set_times("link", 5);
    make_files(true);
    assert_int_equal(unlinkat(scene.dirfd, "ballast", 0), 0);
    set_times(".", 2000000);
    back_up();
    assert_int_equal(first.n, scene.tar.n);
    assert_memory_equal(first.p, scene.tar.p, first.n);
}

static void an_unchanged_tree_is_not_opened(void **state)
{
    (void)state;
    make_files(false);
    AUTO(buf) first = BUF_NONE, first_catalog = BUF_NONE;
    struct watch w = watch_all();
    back_up();
    assert_int_equal(files_opened(&w), FOLDERS * FILES);
    buf_add(&first, buf_bytes(&scene.tar));
    buf_add(&first_catalog, buf_bytes(&scene.catalog));
    for (int i = 0; i < 3; i++) {
        back_up();
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
    back_up();
    files_opened(&w);
    put("folder3/new", "hello");
    set_times("folder3", 2000000);
    back_up();
    assert_in_range(files_opened(&w), 1, FILES);
    assert_in_range(scene.result.streams[0].new_bytes, 1, 600000);
    expect_text("folder3/new", "hello");
    close(w.fd);
}

static void young_files_are_read_again(void **state)
{
    (void)state;
    seconds_ahead = 0;
    put("a", "one");
    set_times("a", 1000);
    back_up();
    put("a", "two"); /* within a tick perhaps, and dated back */
    set_times("a", 1000);
    back_up();
    expect_text("a", "two");
}

static void reading_all_again(void **state)
{
    (void)state;
    make_files(false);
    struct watch w = watch_all();
    back_up();
    files_opened(&w);
    scene.env.read_all = true;
    back_up();
    assert_int_equal(files_opened(&w), FOLDERS * FILES);
    assert_int_equal(scene.result.streams[0].new_bytes, 0);
    scene.env.read_all = false;
    scene.source.reread_days = 1;
    back_up();
    assert_int_equal(files_opened(&w), FOLDERS * FILES);
    assert_true(was_said(&scene.result.notes, "reread-days"));
    scene.source.reread_days = 4; /* each run on one of four days */
    unsigned opened = 0;
    for (int day = 0; day < 4; day++, seconds_ahead += 86400) {
        back_up();
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
    back_up();
    repo_free(scene.t.repo);
    store_free(scene.t.store);
    scene.t.repo = NULL;
    scene.t.store = store_mem_new(scene.t.folder);
    assert_ok(repo_create(scene.t.store, scene.t.keys, &e));
    test_repo_reload(&scene.t);
    back_up();
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
    back_up();
    buf_add(&first, buf_bytes(&scene.tar));
    uint64_t random = 1;
    for (int i = 0; i < 20; i++) {
        file.n = 0;
        assert_ok(file_read(path, 1 << 24, &file, &e));
        for (int k = 0; k < 50; k++)
            file.p[test_random(&random) % file.n] ^= (uint8_t)(test_random(&random) | 1);
        AUTO_FD fd = open(path, O_WRONLY | O_TRUNC);
        assert_ok(fd_write_all(fd, BYTES(file.p, file.n - (size_t)i * 100), path, &e));
        back_up();
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
    back_up();
    expect_good();
    assert_true(was_said(&scene.result.notes, "no cache of unchanged files"));
}

/* ---- links ---- */
static void link_to(const char *from, const char *to)
{
    assert_int_equal(linkat(scene.dirfd, from, scene.dirfd, to, 0), 0);
}

static void hard_links(void **state)
{
    (void)state;
    put("b", "content");
    link_to("b", "c");
    link_to("b", "a");
    assert_int_equal(symlinkat("nowhere", scene.dirfd, "s1"), 0);
    link_to("s1", "s2");
    assert_int_equal(mkfifoat(scene.dirfd, "f1", 0600), 0);
    link_to("f1", "f2");
    for (int i = 0; i < 2; i++) {
        back_up();
        expect_text("a", "content");
        expect_link("a", "");
        expect_link("b", "a");
        expect_link("c", "a");
        expect_link("s2", "s1");
        expect_link("f2", "f1");
    }
}

/* Nothing of `z/x` changes when the folder of its first link is renamed, and yet it has to hold the content
 * then. */
static void a_renamed_parent_of_a_first_link(void **state)
{
    (void)state;
    make_files(false); /* so that the two are in runs of their own */
    make_dir("a");
    make_dir("z");
    put_seeded("a/filler", 300000, 3);
    put("a/x", "content");
    put_seeded("z/filler", 300000, 4);
    link_to("a/x", "z/x");
    back_up();
    expect_link("z/x", "a/x");
    assert_int_equal(renameat(scene.dirfd, "a", scene.dirfd, "zz"), 0);
    back_up();
    expect_link("z/x", "");
    expect_text("z/x", "content");
    expect_link("zz/x", "z/x");
    assert_int_equal(renameat(scene.dirfd, "zz", scene.dirfd, "b"), 0);
    back_up();
    expect_link("z/x", "b/x");
    expect_text("z/x", "content");
}

static void unlink_a(void)
{
    assert_int_equal(unlinkat(scene.dirfd, "a", 0), 0);
}

static void replace_a(void)
{
    assert_int_equal(renameat(scene.dirfd, "other", scene.dirfd, "a"), 0);
}

static void a_first_link_that_vanishes_leaves_its_content(void **state)
{
    (void)state;
    put("a", "content");
    link_to("a", "b");
    link_to("a", "c");
    on_next_clock = unlink_a;
    back_up();
    expect_good();
    assert_true(was_said(&scene.result.notes, "a: vanished before it was read"));
    expect_absent("a");
    expect_link("b", "");
    expect_text("b", "content");
    expect_link("c", "b");
}

static void a_first_link_that_is_replaced_leaves_its_content(void **state)
{
    (void)state;
    put("a", "content");
    link_to("a", "b");
    link_to("a", "c");
    put("other", "new content");
    on_next_clock = replace_a;
    back_up();
    expect_good();
    expect_text("a", "new content");
    expect_link("b", "");
    expect_text("b", "content");
    expect_link("c", "b");
    back_up();
    expect_text("a", "new content");
    expect_text("c", "content");
}

/* Where the catalog says that the content of each link lies. */
struct located {
    uint64_t run_of[2], link_run;
};

static int locate(void *ctx, const struct catalog_entry *c, struct err *e)
{
    struct located *l = ctx;
    (void)e;
    if (strcmp(c->path, "a/x") == 0)
        l->run_of[0] = c->run;
    if (strcmp(c->path, "z/x") == 0) {
        l->run_of[1] = c->run;
        l->link_run = c->link_run;
        assert_string_equal(c->link, "a/x");
    }
    return 0;
}

static void the_catalog_finds_the_content_of_a_link(void **state)
{
    (void)state;
    make_dir("a");
    make_dir("z");
    for (int large = 0; large < 2; large++) {
        struct err e = ERR_INIT;
        struct located l = {{0}, 99};
        const struct catalog_visitor v = {.entry = locate, .ctx = &l};
        if (large) {
            put_seeded("a/w", 300000, 1);
            put_seeded("z/w", 300000, 2);
        } else {
            put("a/x", "content");
            link_to("a/x", "z/x");
        }
        for (int twice = 0; twice < 2; twice++) {
            back_up();
            AUTO(catalog_reader) r;
            catalog_reader_init(&r, &v);
            assert_ok(catalog_reader_push(&r, buf_bytes(&scene.catalog), &e));
            assert_ok(catalog_reader_end(&r, &e));
            assert_int_equal(l.link_run, l.run_of[0]);
            assert_int_equal(l.run_of[0] != l.run_of[1], large);
        }
    }
}

/* The places that the catalog gives are those of the entries: each run can be unpacked by itself. */
static int read_run(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e)
{
    uint64_t *end = ctx;
    (void)run;
    (void)e;
    assert_int_equal(offset, *end);
    *end = offset + bytes;
    assert_true(*end <= scene.tar.n);
    struct archive *a = archive_read_new();
    struct archive_entry *ae;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, scene.tar.p + offset, bytes), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(a, &ae), ARCHIVE_OK);
    archive_read_free(a);
    return 0;
}

static void runs_lie_where_the_catalog_says(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint64_t end = 0;
    const struct catalog_visitor v = {.run = read_run, .ctx = &end};
    make_files(false);
    back_up();
    AUTO(catalog_reader) r;
    catalog_reader_init(&r, &v);
    assert_ok(catalog_reader_push(&r, buf_bytes(&scene.catalog), &e));
    assert_ok(catalog_reader_end(&r, &e));
    assert_true(r.run > 10);
    assert_int_equal(scene.tar.n, end + 1024); /* the two empty blocks */
}

/* ---- what changes under our hands ---- */
/* A large file is a run of its own; what comes after it is told of in its progress. */
static unsigned progress_calls;
static void (*on_progress)(unsigned call);

static void progress(void *ctx, uint64_t done, uint64_t expected)
{
    (void)ctx;
    (void)done;
    (void)expected;
    if (on_progress)
        on_progress(++progress_calls);
}

static void vanish(unsigned call)
{
    if (call == 1)
        assert_int_equal(unlinkat(scene.dirfd, "z", 0), 0);
}

static void a_file_that_vanishes_is_a_note(void **state)
{
    (void)state;
    put_seeded("a", 300000, 1);
    put("z", "soon gone");
    progress_calls = 0;
    on_progress = vanish;
    scene.env.progress = progress;
    back_up();
    on_progress = NULL;
    expect_good();
    assert_true(was_said(&scene.result.notes, "z: vanished before it was read"));
    expect_absent("z");
}

/* ---- people without rights ---- */
static void unreadable_things_are_named(void **state)
{
    (void)state;
    make_dir("closed");
    put("closed/inside", "x");
    put("secret", "x");
    put("open", "x");
    put("sec\nret.log", "x");
    assert_int_equal(fchmodat(scene.dirfd, "secret", 0, 0), 0);
    assert_int_equal(fchmodat(scene.dirfd, "sec\nret.log", 0, 0), 0);
    assert_int_equal(fchmodat(scene.dirfd, "closed", 0, 0), 0);
    bool root = geteuid() == 0;
    if (root) {
        assert_int_equal(chmod(scene.t.folder, 0777) | chmod(scene.cache, 0777), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    back_up();
    expect_degraded("secret: cannot be read (Permission denied); not stored");
    expect_degraded("closed: cannot be read (Permission denied)");
    expect_degraded("sec\\x0aret.log: cannot be read");
    expect_text("open", "x");
    back_up(); /* and again: it was not remembered as done */
    expect_degraded("secret: cannot be read");
    strings_add(&scene.source.may_change, "*");
    back_up();
    expect_good();
    assert_true(was_said(&scene.result.notes, "secret: cannot be read"));
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(fchmodat(scene.dirfd, "closed", 0700, 0), 0);
}

/* ---- what is left out ---- */
static void excludes_caches_and_sockets(void **state)
{
    (void)state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    make_dir("keep");
    make_dir("keep/tmp");
    make_dir("cache");
    make_dir("nocache");
    put("keep/a.tmp", "x");
    put("keep/b", "x");
    put("keep/tmp/c", "x");
    put("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more");
    put("cache/AAA", "x");
    put("nocache/CACHEDIR.TAG", "not a tag");
    put("nocache/data", "x");
    snprintf(a.sun_path, sizeof a.sun_path, "%s/sock", scene.tree);
    AUTO_FD s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    strings_add(&scene.source.exclude, "*.tmp");
    strings_add(&scene.source.exclude, "keep/tmp");
    scene.source.exclude_caches = true;
    back_up();
    expect_good();
    expect_absent("keep/a.tmp");
    expect_absent("keep/tmp/");
    expect_absent("keep/tmp/c");
    expect_absent("cache/AAA");
    expect_absent("sock");
    expect_text("keep/b", "x");
    expect_text("nocache/data", "x");
    expect_text("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more");
    assert_true(was_said(&scene.result.notes, "sockets passed over: 1"));
    scene.source.exclude_caches = false;
    back_up();
    expect_text("cache/AAA", "x");
}

static void an_empty_volume_is_looked_at(void **state)
{
    (void)state;
    back_up();
    expect_degraded("is empty (allow-empty = yes");
    scene.source.may_be_empty = true;
    back_up();
    expect_good();
}

static void a_missing_folder_is_a_failure(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    scene.source.path = (char[]){"/no/such/folder"};
    assert_int_equal(try_backup(&e), -1);
    assert_int_equal(e.kind, ERR_FAILED);
    assert_text(e, "/no/such/folder: no such folder");
    assert_int_equal(scene.result.verdict, VERDICT_FAILED);
    put("file", "x");
    scene.source.path = xasprintf("%s/file", scene.tree);
    assert_int_equal(try_backup(&e), -1);
    assert_text(e, "cannot be opened as a folder: Not a directory");
    free(scene.source.path);
}

static void asked_to_stop_it_stops(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    make_files(false);
    stop_requested = 1;
    assert_int_equal(try_backup(&e), -1);
    stop_requested = 0;
    assert_int_equal(e.kind, ERR_STOPPED);
    back_up();
    expect_good();
}

/* ---- deep trees ---- */
/* Deeper than PATH_MAX and than the files we may have open. */
static void a_deep_tree(void **state)
{
    (void)state;
    struct rlimit was, few = {.rlim_cur = 160, .rlim_max = 160};
    const int depth = 900;
    char name[12];
    int fd = dup(scene.dirfd);
    for (int i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "d%08d", i % 10);
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        for (int k = 0; k < 2; k++) { /* something before the next folder, and something after it */
            int file = openat(fd, k ? "a" : "z", O_WRONLY | O_CREAT, 0644);
            assert_int_equal(write(file, "content", 7), 7);
            close(file);
        }
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    getrlimit(RLIMIT_NOFILE, &was);
    few.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 2; i++) {
        back_up();
        expect_good();
        assert_int_equal(scene.result.files, 3 * depth + 1);
    }
    assert_int_equal(scene.result.streams[0].new_bytes, 0);
    setrlimit(RLIMIT_NOFILE, &was);
}

static void a_path_beyond_the_limit_is_named(void **state)
{
    (void)state;
    char name[201];
    int fd = dup(scene.dirfd);
    memset(name, 'n', 200);
    name[200] = 0;
    for (int i = 0; i < 170; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    back_up();
    expect_degraded("a path of more than 32767 bytes; not stored");
    assert_int_equal(scene.result.files, 164);
}

/* ---- a tool that is not ours ---- */
static bool have(const char *program)
{
    struct err e = ERR_INIT;
    const char *const argv[] = {program, "--version", NULL};
    AUTO(buf) out = BUF_NONE;
    return child_output(&(struct child_options){.argv = argv}, program, 1 << 16, &out, &e) == 0;
}

static int run_tool(const char *const *argv, struct buf *out, struct err *e)
{
    out->n = 0;
    return child_output(&(struct child_options){.argv = argv}, argv[0], 1 << 20, out, e);
}

static void make_special_files(void)
{
    make_files(false);
    put("n\xff\xc3\xa9\nname", "x");
    put("u\xcc\x88 and \xc3\xbc", "both forms");
    put("setuid", "x");
    assert_int_equal(fchmodat(scene.dirfd, "setuid", 04755, 0), 0);
    assert_int_equal(symlinkat("/absolute/nowhere", scene.dirfd, "dangling"), 0);
    link_to("setuid", "setuid-again");
    assert_int_equal(mkfifoat(scene.dirfd, "fifo", 0640), 0);
    AUTO_FD fd = openat(scene.dirfd, "sparse", O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(fd, 10 << 20) | (pwrite(fd, "data", 4, 5 << 20) != 4), 0);
    (void)!fsetxattr(fd, "user.empty", "", 0, 0);
    (void)!fsetxattr(fd, "user.bytes", "\0\1\xff\n", 4, 0);
    (void)!fsetxattr(scene.dirfd, "user.root", "of the tree", 11, 0);
    if (geteuid() == 0)
        (void)!mknodat(scene.dirfd, "device", S_IFCHR | 0600, makedev(1, 3));
    (void)!fchownat(scene.dirfd, "fifo", 4000000000u, 4294967294u, 0);
    set_times("sparse", -86400 * 365);
    set_times("dangling", 1);
}

static void others_unpack_it_the_same(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    if (!have("bsdtar") || !have("rsync"))
        skip();
    make_special_files();
    AUTO_CHAR acl = xasprintf("setfacl -m u:1234:rwx,g:4321:x,m::r %s/setuid; "
                              "setfacl -d -m u:1234:rx %s/folder1",
                              scene.tree, scene.tree);
    const char *const setfacl[] = {"sh", "-c", acl, NULL};
    (void)!run_tool(setfacl, &out, &e);
    back_up();
    expect_good();
    AUTO_CHAR tar = xasprintf("%s/x.tar", scene.t.folder);
    AUTO_CHAR to = xasprintf("%s/unpacked/", scene.t.folder);
    AUTO_CHAR from = xasprintf("%s/", scene.tree);
    assert_int_equal(mkdir(to, 0700), 0);
    assert_ok(file_write(tar, buf_bytes(&scene.tar), 0600, false, &e));
    const char *const unpack[] = {"bsdtar", "--numeric-owner", "--xattrs", "--acls", "-xpf", tar, "-C", to,
                                  NULL};
    assert_ok(run_tool(unpack, &out, &e));
    set_times(".", 77); /* bsdtar leaves the time of the folder that it unpacks into */
    const char *const touch[] = {"touch", "-r", from, to, NULL};
    assert_ok(run_tool(touch, &out, &e));
    const char *const compare[] = {"rsync",         "-naHAXSi", "--specials", "--devices", "--checksum",
                                   "--numeric-ids", "--delete", from,         to,          NULL};
    assert_ok(run_tool(compare, &out, &e));
    if (out.n)
        fail_msg("rsync sees differences:\n%s", buf_cstr(&out));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(equal_trees_give_equal_bytes),
        CASE(an_unchanged_tree_is_not_opened),
        CASE(one_new_file_opens_one_run),
        CASE(young_files_are_read_again),
        CASE(reading_all_again),
        CASE(a_cache_of_lost_chunks),
        CASE(a_cache_of_rubbish_costs_time_only),
        CASE(no_room_for_a_cache_is_a_note),
        CASE(hard_links),
        CASE(a_renamed_parent_of_a_first_link),
        CASE(a_first_link_that_vanishes_leaves_its_content),
        CASE(a_first_link_that_is_replaced_leaves_its_content),
        CASE(the_catalog_finds_the_content_of_a_link),
        CASE(runs_lie_where_the_catalog_says),
        CASE(a_file_that_vanishes_is_a_note),
        CASE(unreadable_things_are_named),
        CASE(excludes_caches_and_sockets),
        CASE(an_empty_volume_is_looked_at),
        CASE(a_missing_folder_is_a_failure),
        CASE(asked_to_stop_it_stops),
        CASE(a_deep_tree),
        CASE(a_path_beyond_the_limit_is_named),
        CASE(others_unpack_it_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
