#include "unpacking.h"

#include "base/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- an archive in memory, and a feed of it ---- */

static la_ssize_t collect(struct archive *a, void *ctx, const void *p, size_t n)
{
    (void)a;
    buf_add(ctx, BYTES(p, n));
    return (la_ssize_t)n;
}

void test_tar_begin(struct tar *t)
{
    *t = (struct tar){.a = archive_write_new()};
    archive_write_set_format_pax(t->a);
    archive_write_set_format_option(t->a, "pax", "xattrheader", "SCHILY");
    archive_write_set_format_option(t->a, "pax", "hdrcharset", "BINARY");
    archive_write_set_bytes_per_block(t->a, 0);
    archive_write_set_bytes_in_last_block(t->a, 1);
    assert_int_equal(archive_write_open(t->a, &t->bytes, NULL, collect, NULL), ARCHIVE_OK);
}

struct archive_entry *test_tar_entry(const char *path, mode_t mode)
{
    struct archive_entry *ae = archive_entry_new();
    archive_entry_copy_pathname(ae, path);
    archive_entry_set_mode(ae, mode);
    archive_entry_set_uid(ae, geteuid());
    archive_entry_set_gid(ae, getegid());
    archive_entry_set_mtime(ae, TIME, 123456789);
    archive_entry_set_size(ae, 0);
    return ae;
}

void test_tar_put(struct tar *t, struct archive_entry *ae)
{
    assert_true(archive_write_header(t->a, ae) >= ARCHIVE_WARN);
    archive_entry_free(ae);
}

void test_tar_put_data(struct tar *t, struct archive_entry *ae, const char *body)
{
    archive_entry_set_size(ae, (la_int64_t)strlen(body));
    test_tar_put(t, ae);
    assert_int_equal(archive_write_data(t->a, body, strlen(body)), strlen(body));
}

void test_tar_add_file(struct tar *t, const char *path, const char *body)
{
    test_tar_put_data(t, test_tar_entry(path, AE_IFREG | 0644), body);
}

void test_tar_add_folder(struct tar *t, const char *path, mode_t mode)
{
    test_tar_put(t, test_tar_entry(path, AE_IFDIR | mode));
}

void test_tar_add_symlink(struct tar *t, const char *path, const char *target)
{
    struct archive_entry *ae = test_tar_entry(path, AE_IFLNK | 0777);
    archive_entry_copy_symlink(ae, target);
    test_tar_put(t, ae);
}

void test_tar_add_link(struct tar *t, const char *path, const char *to)
{
    struct archive_entry *ae = test_tar_entry(path, AE_IFREG | 0644);
    archive_entry_copy_hardlink(ae, to);
    test_tar_put(t, ae);
}

struct bytes test_tar_end(struct tar *t)
{
    if (t->a) {
        archive_write_close(t->a);
        archive_write_free(t->a);
        t->a = NULL;
    }
    return buf_bytes(&t->bytes);
}

void test_tar_done(struct tar *t)
{
    test_tar_end(t);
    buf_free(&t->bytes);
}

static int next_slice(struct feed *f, struct bytes *out, struct err *e)
{
    struct slices *s = CONTAINER(f, struct slices, base);
    if (s->left.n == 0 && s->broken)
        return err_set(e, ERR_NET, "pack 3f9a: the server hung up");
    *out = BYTES(s->left.p, MIN(s->size, s->left.n));
    s->left = BYTES(s->left.p + out->n, s->left.n - out->n);
    return 0;
}

struct slices slices_of(struct bytes b)
{
    return (struct slices){.base = {next_slice}, .left = b, .size = 1000};
}

/* ---- a folder "in" to restore to, and one "outside" that nothing may touch ---- */

void world_make_file(const char *folder, const char *name, const char *body)
{
    struct err e = ERR_INIT;
    AUTO_CHAR path = xasprintf("%s/%s", folder, name);
    assert_ok(file_write(path, BYTES_STR(body), 0640, false, &e));
}

int world_set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->base = test_folder();
    w->in = xasprintf("%s/in", w->base);
    w->fd = -1;
    w->o = (struct target_directory_options){.path = w->in, .ownership = geteuid() == 0};
    AUTO_CHAR outside = xasprintf("%s/outside", w->base);
    assert_int_equal(mkdir(outside, 0750), 0);
    world_make_file(outside, "secret", "the secret");
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    fd_auto(&w->fd);
    AUTO_CHAR opened = xasprintf("chmod -R u+rwx '%s'; rm -rf '%s'", w->base, w->base); /* of any depth */
    assert_int_equal(system(opened), 0);
    target_counts_free(&w->counts);
    free(w->base);
    free(w->in);
    free(w);
    umask(022);
    stop_requested = 0;
    return 0;
}

int world_stream(struct world *w, struct bytes b)
{
    struct slices s = slices_of(b);
    target_counts_free(&w->counts);
    w->e = (struct err)ERR_INIT;
    int rc = target_directory(&s.base, &w->o, &w->counts, &w->e);
    assert_int_equal(rc != 0, err_is_set(&w->e));
    fd_auto(&w->fd);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    return rc;
}

void world_stream_ok(struct world *w, struct tar *t)
{
    if (world_stream(w, test_tar_end(t)))
        fail_msg("%s", w->e.text);
}

struct stat world_stat(const struct world *w, const char *path)
{
    struct stat st;
    if (fstatat(w->fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

bool world_has(const struct world *w, const char *path)
{
    struct stat st;
    return fstatat(w->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void assert_file_content(const struct world *w, const char *path, const char *body)
{
    char got[4096] = "";
    AUTO_FD fd = openat(w->fd, path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(read(fd, got, sizeof got - 1) >= 0);
    assert_string_equal(got, body);
}

void assert_archived_time(struct stat st)
{
    assert_int_equal(st.st_mtim.tv_sec, TIME);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
}

bool world_notes_say(const struct world *w, const char *part)
{
    for (size_t i = 0; i < w->counts.notes.n; i++)
        if (strstr(w->counts.notes.v[i], part))
            return true;
    return false;
}

unsigned count_names_in(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* As world_world_set_up() made it: one file, its content, modes, links. */
void assert_outside_untouched(const struct world *w, const char *after)
{
    struct err e = ERR_INIT;
    struct stat folder, file;
    AUTO(buf) text = BUF_NONE;
    AUTO_CHAR outside = xasprintf("%s/outside", w->base);
    AUTO_CHAR secret = xasprintf("%s/secret", outside);
    assert_ok(file_read(secret, 1000, &text, &e));
    assert_int_equal(lstat(outside, &folder), 0);
    assert_int_equal(lstat(secret, &file), 0);
    if (strcmp(buf_cstr(&text), "the secret") != 0 || count_names_in(outside) != 1 ||
        count_names_in(w->base) != 2 || folder.st_mode != (S_IFDIR | 0750) ||
        file.st_mode != (S_IFREG | 0640) || file.st_nlink != 1 || folder.st_mtim.tv_sec == TIME ||
        file.st_mtim.tv_sec == TIME)
        fail_msg("%s: reached outside", after);
}

void test_tar_add_acl(struct archive_entry *ae, int type)
{
    archive_entry_acl_add_entry(ae, type, 6, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, NULL);
    archive_entry_acl_add_entry(ae, type, 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, NULL);
    archive_entry_acl_add_entry(ae, type, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, NULL);
    archive_entry_acl_add_entry(ae, type, 7, ARCHIVE_ENTRY_ACL_USER, 1001, NULL);
    archive_entry_acl_add_entry(ae, type, 5, ARCHIVE_ENTRY_ACL_USER, 33, NULL);
    archive_entry_acl_add_entry(ae, type, 6, ARCHIVE_ENTRY_ACL_MASK, -1, NULL);
}
