#include "volume_scene.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct scene scene;

/* Always the same, so that the runs end where they always do. */
static const uint8_t run_cut_key[32] = {1, 2, 3};

int scene_set_up(void **state)
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
    return 0;
}

int scene_tear_down(void **state)
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
int scene_try_backup(struct err *e)
{
    struct writer_stats stats;
    struct writer *w = writer_new(scene.t.repo, e);
    source_result_free(&scene.result);
    scene.env.writer = w;
    scene.env.source = &scene.source;
    scene.env.temp_dir = scene.env.cache_dir = scene.cache;
    scene.env.run_cut_key = run_cut_key;
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

void scene_back_up(void)
{
    struct err e = ERR_INIT;
    if (scene_try_backup(&e))
        fail_msg("%s", e.text);
}

/* ---- making things ---- */
void scene_put_text(const char *path, const char *text)
{
    int fd = openat(scene.dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail_msg("%s: %s", path, strerror(errno));
    close(fd);
}

void put_seeded(const char *path, size_t n, uint64_t seed)
{
    struct err e = ERR_INIT;
    AUTO(buf) data = BUF_NONE;
    AUTO_FD fd = openat(scene.dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    test_bytes(&data, n, seed);
    assert_ok(fd_write_all(fd, buf_bytes(&data), path, &e));
}

void make_dir(const char *path)
{
    assert_int_equal(mkdirat(scene.dirfd, path, 0755), 0);
}

void set_times(const char *path, time_t s)
{
    const struct timespec times[2] = {{s, 1}, {s, 2}};
    assert_int_equal(utimensat(scene.dirfd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

void link_to(const char *from, const char *to)
{
    assert_int_equal(linkat(scene.dirfd, from, scene.dirfd, to, 0), 0);
}

/* Some hundred files of all sizes in folders, in this order or backwards. */
void make_files(bool backwards)
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

/* ---- what is in the tar stream ---- */
struct wanted {
    bool found;
    char link[256];
    struct buf content;
};

static void take(struct archive *a, struct archive_entry *ae, struct wanted *w)
{
    const char *link = archive_entry_hardlink(ae);
    size_t n = (size_t)archive_entry_size(ae);
    w->found = true;
    snprintf(w->link, sizeof w->link, "%s", link ? link : "");
    w->content.n = 0;
    assert_int_equal(archive_read_data(a, buf_reserve(&w->content, n), n), n);
    w->content.n = n;
}

static struct wanted look_up(const char *path)
{
    struct wanted w = {0};
    struct archive *a = archive_read_new();
    struct archive_entry *ae;
    int rc;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, scene.tar.p, scene.tar.n), ARCHIVE_OK);
    while ((rc = archive_read_next_header(a, &ae)) == ARCHIVE_OK)
        if (strcmp(archive_entry_pathname(ae), path) == 0)
            take(a, ae, &w);
    if (rc != ARCHIVE_EOF)
        fail_msg("%s", archive_error_string(a));
    archive_read_free(a);
    return w;
}

void expect_text(const char *path, const char *text)
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

void scene_expect_absent(const char *path)
{
    struct wanted w = look_up(path);
    if (w.found)
        fail_msg("%s is in the stream", path);
    buf_free(&w.content);
}

void expect_link(const char *path, const char *to)
{
    struct wanted w = look_up(path);
    assert_true(w.found);
    assert_string_equal(w.link, to);
    buf_free(&w.content);
}

bool was_said(const struct strings *list, const char *part)
{
    for (size_t i = 0; i < list->n; i++)
        if (strstr(list->v[i], part))
            return true;
    return false;
}

void expect_degraded(const char *part)
{
    assert_int_equal(scene.result.verdict, VERDICT_DEGRADED);
    if (!was_said(&scene.result.reasons, part))
        fail_msg("\"%s\" is not among the reasons (%s)", part,
                 scene.result.reasons.n ? scene.result.reasons.v[0] : "none");
}

void expect_good(void)
{
    if (scene.result.verdict != VERDICT_GOOD)
        fail_msg("degraded: %s", scene.result.reasons.v[0]);
}
