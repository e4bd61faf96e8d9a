/* Unpacking below a folder: what comes back, and that nothing leaves it. */
#include "testing.h"

#include "base/child.h"
#include "target/target.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TIME 1234567890

/* ---- an archive in memory, and a feed of it ---- */
struct tar {
    struct archive *a;
    struct buf bytes;
};

static la_ssize_t collect(struct archive *a, void *ctx, const void *p, size_t n)
{
    (void)a;
    buf_add(ctx, BYTES(p, n));
    return (la_ssize_t)n;
}

static void tar_begin(struct tar *t)
{
    *t = (struct tar){.a = archive_write_new()};
    archive_write_set_format_pax(t->a);
    archive_write_set_format_option(t->a, "pax", "xattrheader", "SCHILY");
    archive_write_set_format_option(t->a, "pax", "hdrcharset", "BINARY");
    archive_write_set_bytes_per_block(t->a, 0);
    archive_write_set_bytes_in_last_block(t->a, 1);
    assert_int_equal(archive_write_open(t->a, &t->bytes, NULL, collect, NULL), ARCHIVE_OK);
}

static struct archive_entry *entry(const char *path, mode_t mode)
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

static void put(struct tar *t, struct archive_entry *ae)
{
    assert_true(archive_write_header(t->a, ae) >= ARCHIVE_WARN);
    archive_entry_free(ae);
}

static void put_data(struct tar *t, struct archive_entry *ae, const char *body)
{
    archive_entry_set_size(ae, (la_int64_t)strlen(body));
    put(t, ae);
    assert_int_equal(archive_write_data(t->a, body, strlen(body)), strlen(body));
}

static void add_file(struct tar *t, const char *path, const char *body)
{
    put_data(t, entry(path, AE_IFREG | 0644), body);
}

static void add_folder(struct tar *t, const char *path, mode_t mode)
{
    put(t, entry(path, AE_IFDIR | mode));
}

static void add_symlink(struct tar *t, const char *path, const char *target)
{
    struct archive_entry *ae = entry(path, AE_IFLNK | 0777);
    archive_entry_copy_symlink(ae, target);
    put(t, ae);
}

static void add_link(struct tar *t, const char *path, const char *to)
{
    struct archive_entry *ae = entry(path, AE_IFREG | 0644);
    archive_entry_copy_hardlink(ae, to);
    put(t, ae);
}

static struct bytes tar_end(struct tar *t)
{
    if (t->a) {
        archive_write_close(t->a);
        archive_write_free(t->a);
        t->a = NULL;
    }
    return buf_bytes(&t->bytes);
}

static void tar_done(struct tar *t)
{
    tar_end(t);
    buf_free(&t->bytes);
}

struct slices {
    struct feed base;
    struct bytes left;
    size_t size; /* of a slice */
    bool broken; /* fails instead of ending */
};

static int next_slice(struct feed *f, struct bytes *out, struct err *e)
{
    struct slices *s = CONTAINER(f, struct slices, base);
    if (s->left.n == 0 && s->broken)
        return err_set(e, ERR_NET, "pack 3f9a: the server hung up");
    *out = BYTES(s->left.p, MIN(s->size, s->left.n));
    s->left = BYTES(s->left.p + out->n, s->left.n - out->n);
    return 0;
}

static struct slices feed_of(struct bytes b)
{
    return (struct slices){.base = {next_slice}, .left = b, .size = 1000};
}

/* ---- a folder "in" to restore to, and one "outside" that nothing may touch ---- */
struct world {
    char *base, *in;
    int fd; /* of `in`, once it is there */
    struct target_directory_options o;
    struct target_counts counts;
    struct err e;
};

static void make_with(const char *folder, const char *name, const char *body)
{
    struct err e = ERR_INIT;
    AUTO_CHAR path = xasprintf("%s/%s", folder, name);
    assert_ok(file_write(path, BYTES_STR(body), 0640, false, &e));
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->base = test_folder();
    w->in = xasprintf("%s/in", w->base);
    w->fd = -1;
    w->o = (struct target_directory_options){.path = w->in, .ownership = geteuid() == 0};
    AUTO_CHAR outside = xasprintf("%s/outside", w->base);
    assert_int_equal(mkdir(outside, 0750), 0);
    make_with(outside, "secret", "the secret");
    *state = w;
    return 0;
}

static int tear_down(void **state)
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

static int unpack(struct world *w, struct bytes b)
{
    struct slices s = feed_of(b);
    target_counts_free(&w->counts);
    w->e = (struct err)ERR_INIT;
    int rc = target_directory(&s.base, &w->o, &w->counts, &w->e);
    assert_int_equal(rc != 0, err_is_set(&w->e));
    fd_auto(&w->fd);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    return rc;
}

static void unpack_ok(struct world *w, struct tar *t)
{
    if (unpack(w, tar_end(t)))
        fail_msg("%s", w->e.text);
}

static struct stat stat_of(const struct world *w, const char *path)
{
    struct stat st;
    if (fstatat(w->fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static bool is_there(const struct world *w, const char *path)
{
    struct stat st;
    return fstatat(w->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_content(const struct world *w, const char *path, const char *body)
{
    char got[4096] = "";
    AUTO_FD fd = openat(w->fd, path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(read(fd, got, sizeof got - 1) >= 0);
    assert_string_equal(got, body);
}

static void assert_time(struct stat st)
{
    assert_int_equal(st.st_mtim.tv_sec, TIME);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
}

static bool notes_say(const struct world *w, const char *part)
{
    for (size_t i = 0; i < w->counts.notes.n; i++)
        if (strstr(w->counts.notes.v[i], part))
            return true;
    return false;
}

static unsigned count_names(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* As set_up() made it: one file, its content, modes, links. */
static void assert_outside_untouched(const struct world *w, const char *after)
{
    struct err e = ERR_INIT;
    struct stat folder, file;
    AUTO(buf) text = BUF_NONE;
    AUTO_CHAR outside = xasprintf("%s/outside", w->base);
    AUTO_CHAR secret = xasprintf("%s/secret", outside);
    assert_ok(file_read(secret, 1000, &text, &e));
    assert_int_equal(lstat(outside, &folder), 0);
    assert_int_equal(lstat(secret, &file), 0);
    if (strcmp(buf_cstr(&text), "the secret") != 0 || count_names(outside) != 1 ||
        count_names(w->base) != 2 || folder.st_mode != (S_IFDIR | 0750) || file.st_mode != (S_IFREG | 0640) ||
        file.st_nlink != 1 || folder.st_mtim.tv_sec == TIME || file.st_mtim.tv_sec == TIME)
        fail_msg("%s: reached outside", after);
}

/* ---- what comes back ---- */
static void test_kinds(void **state)
{
    struct world *w = *state;
    struct tar t;
    char target[100] = "";
    tar_begin(&t);
    add_folder(&t, ".", 0711);
    add_folder(&t, "a", 0500);
    add_file(&t, "a/file", "hello");
    add_symlink(&t, "a/link", "../../nowhere");
    put(&t, entry("a/fifo", AE_IFIFO | 0622));
    add_file(&t, "empty", "");
    add_folder(&t, "none", 0);
    mode_t old = umask(0777);
    unpack_ok(w, &t);
    umask(old);
    assert_content(w, "a/file", "hello");
    assert_int_equal(stat_of(w, ".").st_mode, S_IFDIR | 0711);
    assert_int_equal(stat_of(w, "a").st_mode, S_IFDIR | 0500);
    assert_int_equal(stat_of(w, "a/fifo").st_mode, S_IFIFO | 0622);
    assert_int_equal(stat_of(w, "none").st_mode, S_IFDIR);
    assert_int_equal(stat_of(w, "empty").st_size, 0);
    assert_true(readlinkat(w->fd, "a/link", target, sizeof target) > 0);
    assert_string_equal(target, "../../nowhere");
    const char *const all[] = {".", "a", "a/file", "a/link", "a/fifo", "empty", "none"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_time(stat_of(w, all[i]));
    assert_int_equal(w->counts.entries, 7);
    assert_int_equal(w->counts.bytes, 5);
    assert_int_equal(w->counts.notes.n, 0);
    tar_done(&t);
}

static void test_times(void **state)
{
    static const struct timespec times[] = {
        {-2, 500000000}, {-1, 999999999}, {0, 0}, {4102444800, 1}, {-1234567891, 876543211}};
    struct world *w = *state;
    struct tar t;
    tar_begin(&t);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        AUTO_CHAR name = xasprintf("%zu", i);
        struct archive_entry *ae = entry(name, AE_IFREG | 0644);
        archive_entry_set_mtime(ae, times[i].tv_sec, times[i].tv_nsec);
        put(&t, ae);
    }
    unpack_ok(w, &t);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        AUTO_CHAR name = xasprintf("%zu", i);
        assert_int_equal(stat_of(w, name).st_mtim.tv_sec, times[i].tv_sec);
        assert_int_equal(stat_of(w, name).st_mtim.tv_nsec, times[i].tv_nsec);
    }
    tar_done(&t);
}

static void test_names(void **state)
{
    struct world *w = *state;
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = 0;
    const char *const names[] = {longest, "\xff\xfe",    "e\xcc\x81", "\xc3\xa9",    "mixed-\xc3\xa9-\xff",
                                 "a\nb",  " ",           "-rf",       "back\\slash", "._double",
                                 "tab\t", "esc\x1b[31m", "...",       "..a",         "\xe2\x82\xac"};
    const char *const locales[] = {"C", "C.UTF-8"};
    for (size_t k = 0; k < ARRAY_LEN(locales); k++) {
        struct tar t;
        w->o.overwrite = k > 0;
        tar_begin(&t);
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            AUTO_CHAR folder = xasprintf("f/%s", names[i]);
            AUTO_CHAR inside = xasprintf("f/%s/%s", names[i], names[i]);
            AUTO_CHAR link = xasprintf("l-%zu", i);
            add_folder(&t, folder, 0755);
            add_file(&t, inside, names[i]);
            add_link(&t, link, inside);
        }
        setlocale(LC_ALL, locales[k]);
        unpack_ok(w, &t);
        setlocale(LC_ALL, "C");
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            AUTO_CHAR inside = xasprintf("f/%s/%s", names[i], names[i]);
            assert_content(w, inside, names[i]);
            assert_int_equal(stat_of(w, inside).st_nlink, 2);
        }
        assert_int_equal(w->counts.notes.n, 0);
        tar_done(&t);
    }
}

/* A path of 6,000 levels, with 200 descriptors, and a hard link from its bottom to its top. */
static void test_deep(void **state)
{
    enum { LEVELS = 6000 };
    struct world *w = *state;
    struct tar t;
    struct rlimit before, few;
    AUTO(buf) path = BUF_NONE;
    getrlimit(RLIMIT_NOFILE, &before);
    few = before;
    few.rlim_cur = 200;
    for (unsigned i = 0; i < LEVELS; i++)
        buf_add_str(&path, "d/");
    AUTO_CHAR folder = xstrdup(buf_cstr(&path));
    AUTO_CHAR file = xasprintf("%sfile", folder);
    AUTO_CHAR link = xasprintf("%slink", folder);
    tar_begin(&t);
    add_file(&t, "top", "top");
    add_folder(&t, "d", 0700);
    add_folder(&t, folder, 0500);
    add_file(&t, file, "deep");
    add_link(&t, link, "top");
    add_link(&t, "up", file);
    tar_end(&t);
    setrlimit(RLIMIT_NOFILE, &few);
    unpack_ok(w, &t);
    setrlimit(RLIMIT_NOFILE, &before);
    int fd = dup(w->fd);
    for (unsigned i = 0; i < LEVELS; i++) {
        int below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = below;
    }
    struct stat st;
    assert_int_equal(fstatat(fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_ino, stat_of(w, "top").st_ino);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0500);
    assert_time(st);
    close(fd);
    assert_content(w, "up", "deep");
    assert_int_equal(stat_of(w, "up").st_nlink, 2);
    tar_done(&t);
}

static void test_sparse(void **state)
{
    enum { SIZE = 8 << 20, AT = 4 << 20 };
    struct world *w = *state;
    struct tar t;
    char got[5] = "";
    tar_begin(&t);
    struct archive_entry *ae = entry("middle", AE_IFREG | 0644);
    archive_entry_set_size(ae, SIZE);
    archive_entry_sparse_add_entry(ae, AT, 4);
    put(&t, ae);
    AUTO(buf) body = BUF_NONE;
    memset(buf_reserve(&body, SIZE), 0, SIZE);
    memcpy(body.p + AT, "data", 4);
    for (size_t at = 0; at < SIZE; at += 1 << 20)
        assert_int_equal(archive_write_data(t.a, body.p + at, 1 << 20), 1 << 20);
    ae = entry("all", AE_IFREG | 0644);
    archive_entry_set_size(ae, (la_int64_t)5 << 30);
    archive_entry_sparse_add_entry(ae, (la_int64_t)5 << 30, 0);
    put(&t, ae);
    assert_int_equal(archive_write_data(t.a, body.p, 1 << 20), 1 << 20); /* the rest is filled up */
    unpack_ok(w, &t);
    AUTO_FD fd = openat(w->fd, "middle", O_RDONLY);
    assert_int_equal(pread(fd, got, 4, AT), 4);
    assert_string_equal(got, "data");
    assert_int_equal(stat_of(w, "middle").st_size, SIZE);
    assert_int_equal(stat_of(w, "all").st_size, (off_t)5 << 30);
    assert_true(stat_of(w, "middle").st_blocks < 1024);
    assert_true(stat_of(w, "all").st_blocks < 1024);
    tar_done(&t);
}

static void test_links(void **state)
{
    struct world *w = *state;
    struct tar t;
    tar_begin(&t);
    add_folder(&t, "a", 0755);
    add_file(&t, "a/first", "content");
    add_link(&t, "a/second", "a/first");
    add_link(&t, "b/third", "./a/first");
    add_symlink(&t, "s", "a");
    add_link(&t, "s2", "s");
    add_link(&t, "lost", "a/nothing");
    add_link(&t, "self", "self");
    add_link(&t, "through", "s/first");
    add_file(&t, "z", "after");
    assert_int_equal(unpack(w, tar_end(&t)), -1);
    assert_int_equal(w->e.kind, ERR_IO);
    assert_text(w->e, "3 entries could not be restored, everything else was: the first: "
                      "lost: is a hard link to a/nothing, which was not restored");
    assert_int_equal(stat_of(w, "b/third").st_nlink, 3);
    assert_int_equal(stat_of(w, "b/third").st_ino, stat_of(w, "a/first").st_ino);
    assert_int_equal(stat_of(w, "s2").st_ino, stat_of(w, "s").st_ino);
    assert_content(w, "z", "after");
    assert_int_equal(stat_of(w, "b").st_mode, S_IFDIR | 0755); /* no entry of its own */
    tar_done(&t);
}

/* ---- attributes ---- */
static bool has_xattrs(const struct world *w)
{
    AUTO_CHAR probe = xasprintf("%s/probe", w->base);
    make_with(w->base, "probe", "");
    bool has = setxattr(probe, "user.probe", "1", 1, 0) == 0;
    unlink(probe);
    return has;
}

static void assert_xattr(const struct world *w, const char *path, const char *name, struct bytes want)
{
    char got[256];
    AUTO_CHAR full = xasprintf("%s/%s", w->in, path);
    ssize_t n = lgetxattr(full, name, got, sizeof got);
    if (n != (ssize_t)want.n || memcmp(got, want.p, want.n) != 0)
        fail_msg("%s: %s: %zd bytes, not those of the archive", path, name, n);
}

static void add_acl(struct archive_entry *ae, int type)
{
    archive_entry_acl_add_entry(ae, type, 6, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, NULL);
    archive_entry_acl_add_entry(ae, type, 4, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, NULL);
    archive_entry_acl_add_entry(ae, type, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, NULL);
    archive_entry_acl_add_entry(ae, type, 7, ARCHIVE_ENTRY_ACL_USER, 1001, NULL);
    archive_entry_acl_add_entry(ae, type, 5, ARCHIVE_ENTRY_ACL_USER, 33, NULL);
    archive_entry_acl_add_entry(ae, type, 6, ARCHIVE_ENTRY_ACL_MASK, -1, NULL);
}

/* acl(5): version 2; tag, permissions, id. */
static const uint8_t acl_bytes[] = {2, 0,   0,   0,   1,   0,  6,   0,   255, 255, 255, 255, 2,
                                    0, 5,   0,   33,  0,   0,  0,   2,   0,   7,   0,   233, 3,
                                    0, 0,   4,   0,   4,   0,  255, 255, 255, 255, 16,  0,   6,
                                    0, 255, 255, 255, 255, 32, 0,   0,   0,   255, 255, 255, 255};

static void test_attributes(void **state)
{
    struct world *w = *state;
    struct tar t;
    if (!has_xattrs(w))
        skip();
    tar_begin(&t);
    struct archive_entry *ae = entry("file", AE_IFREG | 0444);
    archive_entry_xattr_add_entry(ae, "user.binary", "a\0\n=", 4);
    archive_entry_xattr_add_entry(ae, "user.empty", "", 0);
    archive_entry_xattr_add_entry(ae, "user.a=b%c\xc3\xa9", "odd", 3);
    put_data(&t, ae, "x");
    ae = entry("folder", AE_IFDIR | 0500);
    archive_entry_xattr_add_entry(ae, "user.x", "y", 1);
    add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
    put(&t, ae);
    add_file(&t, "folder/inherits-nothing", "x");
    ae = entry("acl", AE_IFREG | 0660);
    add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
    put_data(&t, ae, "x");
    unpack_ok(w, &t);
    assert_xattr(w, "file", "user.binary", BYTES("a\0\n=", 4));
    assert_xattr(w, "file", "user.empty", BYTES("", 0));
    assert_xattr(w, "file", "user.a=b%c\xc3\xa9", BYTES("odd", 3));
    assert_xattr(w, "folder", "user.x", BYTES("y", 1));
    assert_xattr(w, "acl", "system.posix_acl_access", BYTES(acl_bytes, sizeof acl_bytes));
    assert_xattr(w, "folder", "system.posix_acl_default", BYTES(acl_bytes, sizeof acl_bytes));
    AUTO_CHAR plain = xasprintf("%s/folder/inherits-nothing", w->in);
    assert_int_equal(getxattr(plain, "system.posix_acl_access", NULL, 0), -1);
    assert_int_equal(stat_of(w, "acl").st_mode, S_IFREG | 0660);
    assert_int_equal(stat_of(w, "folder").st_mode, S_IFDIR | 0500);
    assert_int_equal(w->counts.notes.n, 0);
    tar_done(&t);
}

/* The folder restored to hands a default ACL down to all that is made in it; the archive knows of none. */
static void test_inherited_acl(void **state)
{
    struct world *w = *state;
    struct tar t;
    assert_int_equal(mkdir(w->in, 0755), 0);
    if (setxattr(w->in, "system.posix_acl_default", acl_bytes, sizeof acl_bytes, 0) != 0)
        skip();
    tar_begin(&t);
    add_file(&t, "file", "x");
    add_file(&t, "a/b/file", "x");
    put(&t, entry("a/fifo", AE_IFIFO | 0600));
    unpack_ok(w, &t);
    const char *const all[] = {"file", "a", "a/b", "a/b/file", "a/fifo"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        AUTO_CHAR path = xasprintf("%s/%s", w->in, all[i]);
        assert_int_equal(getxattr(path, "system.posix_acl_access", NULL, 0), -1);
        assert_int_equal(getxattr(path, "system.posix_acl_default", NULL, 0), -1);
    }
    tar_done(&t);
}

static void test_setuid(void **state)
{
    struct world *w = *state;
    struct tar t;
    tar_begin(&t);
    put(&t, entry("mine", AE_IFREG | 06755));
    struct archive_entry *ae = entry("theirs", AE_IFREG | 06755);
    archive_entry_set_uid(ae, 12345);
    archive_entry_set_gid(ae, 12345);
    put(&t, ae);
    ae = entry("device", AE_IFCHR | 0666);
    archive_entry_set_rdevmajor(ae, 1);
    archive_entry_set_rdevminor(ae, 3);
    put(&t, ae);
    struct bytes b = tar_end(&t);
    w->o.ownership = false;
    assert_int_equal(unpack(w, b), 0);
    assert_int_equal(stat_of(w, "mine").st_mode, S_IFREG | 06755);
    assert_int_equal(stat_of(w, "theirs").st_mode, S_IFREG | 0755); /* would lend out the wrong user */
    assert_int_equal(stat_of(w, "theirs").st_uid, geteuid());
    assert_true(notes_say(w, "theirs: setuid or setgid was left out"));
    assert_false(is_there(w, "device"));
    assert_true(notes_say(w, "device: is a device node"));
    assert_int_equal(w->counts.skipped, 1);
    w->o.ownership = w->o.overwrite = true;
    assert_int_equal(unpack(w, b), 0);
    assert_int_equal(stat_of(w, "theirs").st_mode, S_IFREG | (geteuid() == 0 ? 06755 : 0755));
    tar_done(&t);
}

/* ---- nothing leaves the folder ---- */
static char *out(const struct world *w, const char *name)
{
    return xasprintf("%s/outside/%s", w->base, name);
}

static void attack_dots(struct world *w, struct tar *t)
{
    (void)w;
    add_file(t, "../outside/new", "x");
    add_file(t, "a/../../outside/new", "x");
    add_file(t, "..", "x");
    add_folder(t, "../outside", 0777);
}
static void attack_absolute(struct world *w, struct tar *t)
{
    AUTO_CHAR path = out(w, "secret");
    AUTO_CHAR folder = out(w, ".");
    add_file(t, path, "x");
    add_folder(t, folder, 0777);
}
static void attack_symlink_parent(struct world *w, struct tar *t)
{
    AUTO_CHAR folder = out(w, "");
    add_symlink(t, "abs", folder);
    add_symlink(t, "rel", "../outside");
    add_symlink(t, "chain", "rel");
    add_folder(t, "x", 0755);
    add_symlink(t, "x/up", "../../outside");
    const char *const ways[] = {"abs", "rel", "chain", "x/up"};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        AUTO_CHAR file = xasprintf("%s/new", ways[i]);
        AUTO_CHAR old = xasprintf("%s/secret", ways[i]);
        add_file(t, file, "x");
        add_file(t, old, "x");
        add_symlink(t, old, "x");
        put(t, entry(old, AE_IFIFO | 0666));
        add_link(t, "grabbed", old);
    }
}
static void attack_symlink_folder(struct world *w, struct tar *t)
{
    (void)w;
    add_symlink(t, "l", "../outside");
    add_folder(t, "l", 0777); /* becomes a folder of its own */
    add_file(t, "l/new", "x");
}
static void attack_symlink_file(struct world *w, struct tar *t)
{
    AUTO_CHAR secret = out(w, "secret");
    add_symlink(t, "f", secret);
    add_file(t, "f", "overwritten");
    add_symlink(t, "g", "../outside/new");
    add_file(t, "g", "made");
    add_symlink(t, "h", secret);
    put(t, entry("h", AE_IFIFO | 0666));
}
static void attack_hard_link(struct world *w, struct tar *t)
{
    AUTO_CHAR secret = out(w, "secret");
    add_link(t, "a", secret);
    add_file(t, "a", "overwritten");
    add_link(t, "b", "../outside/secret");
    add_link(t, "c", "x/../../outside/secret");
    add_symlink(t, "l", "../outside");
    add_link(t, "d", "l/secret");
    add_file(t, "d", "overwritten");
    add_symlink(t, "s", secret);
    add_link(t, "e", "s"); /* a link to the symlink itself */
    add_file(t, "e", "overwritten");
}
static void attack_root(struct world *w, struct tar *t)
{
    (void)w;
    add_symlink(t, ".", "../outside");
    add_file(t, "new", "x");
}
static void attack_metadata(struct world *w, struct tar *t)
{
    AUTO_CHAR folder = out(w, "");
    struct archive_entry *ae = entry("l", AE_IFLNK | 0777);
    archive_entry_copy_symlink(ae, folder);
    archive_entry_set_uid(ae, 4321);
    archive_entry_set_gid(ae, 4321);
    add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
    archive_entry_xattr_add_entry(ae, "user.x", "y", 1);
    put(t, ae);
}

static void test_attacks(void **state)
{
    static const struct {
        const char *name;
        void (*build)(struct world *w, struct tar *t);
    } attacks[] = {{"dots", attack_dots},
                   {"absolute", attack_absolute},
                   {"symlink as parent", attack_symlink_parent},
                   {"symlink, then folder", attack_symlink_folder},
                   {"symlink, then file", attack_symlink_file},
                   {"hard link", attack_hard_link},
                   {"root", attack_root},
                   {"metadata", attack_metadata}};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
        for (int again = 0; again < 2; again++) {
            struct err e = ERR_INIT;
            struct tar t;
            tar_begin(&t);
            attacks[i].build(w, &t);
            add_file(&t, "ordinary", "still restored");
            w->o.overwrite = again;
            int rc = unpack(w, tar_end(&t));
            if (rc && w->e.kind != ERR_IO)
                fail_msg("%s: %s", attacks[i].name, w->e.text);
            assert_outside_untouched(w, attacks[i].name);
            if (attacks[i].build == attack_absolute)
                assert_int_equal(w->counts.skipped, 2); /* nor is it made elsewhere */
            assert_content(w, "ordinary", "still restored");
            tar_done(&t);
            if (again)
                assert_ok(dir_remove(w->in, &e));
        }
}

/* What lies in the folder already leads out of it. */
static void test_attacks_from_inside(void **state)
{
    struct world *w = *state;
    struct tar t;
    AUTO_CHAR secret = out(w, "secret");
    assert_int_equal(mkdir(w->in, 0755), 0);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    assert_int_equal(symlinkat("../outside", w->fd, "folder"), 0);
    assert_int_equal(symlinkat("../outside", w->fd, "implicit"), 0);
    assert_int_equal(symlinkat(secret, w->fd, "file"), 0);
    make_with(w->in, "mate", "untouched");
    assert_int_equal(linkat(w->fd, "mate", w->fd, "hard", 0), 0);
    tar_begin(&t);
    add_folder(&t, "folder", 0777);
    add_file(&t, "folder/new", "x");
    add_file(&t, "file", "replaced");
    add_file(&t, "hard", "replaced");
    add_file(&t, "implicit/new", "x");
    w->o.overwrite = true;
    assert_int_equal(unpack(w, tar_end(&t)), -1);
    assert_text(w->e,
                "1 entry could not be restored, everything else was: implicit/new: implicit: something that "
                "is no folder is in its place");
    assert_outside_untouched(w, "inside");
    assert_content(w, "folder/new", "x");
    assert_content(w, "file", "replaced");
    assert_content(w, "hard", "replaced");
    assert_content(w, "mate", "untouched");
    assert_int_equal(stat_of(w, "folder").st_mode, S_IFDIR | 0777);
    tar_done(&t);
}

/* ---- over what is there ---- */
static void test_overwrite(void **state)
{
    struct world *w = *state;
    struct tar t;
    tar_begin(&t);
    add_folder(&t, ".", 0755);
    add_file(&t, "empty-folder", "now a file");
    add_folder(&t, "file", 0750);
    add_file(&t, "file/inside", "x");
    add_file(&t, "full-folder", "cannot be");
    add_link(&t, "link", "empty-folder");
    add_symlink(&t, "symlink", "new");
    add_file(&t, "z", "after");
    struct bytes b = tar_end(&t);
    assert_int_equal(mkdir(w->in, 0755), 0);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    make_with(w->in, "file", "old");
    make_with(w->in, "kept", "kept");
    make_with(w->in, "symlink", "old");
    assert_int_equal(mkdirat(w->fd, "empty-folder", 0755), 0);
    assert_int_equal(mkdirat(w->fd, "full-folder", 0755), 0);
    assert_int_equal(mkdirat(w->fd, "full-folder/x", 0755), 0);
    assert_int_equal(unpack(w, b), -1);
    assert_int_equal(w->e.kind, ERR_USAGE);
    assert_text(w->e, "is not empty");
    assert_content(w, "file", "old");
    w->o.overwrite = true;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(unpack(w, b), -1);
        assert_text(w->e,
                    "1 entry could not be restored, everything else was: full-folder: what is in its place "
                    "cannot be replaced: Directory not empty");
        assert_content(w, "empty-folder", "now a file");
        assert_content(w, "file/inside", "x");
        assert_content(w, "kept", "kept");
        assert_content(w, "z", "after");
        assert_int_equal(stat_of(w, "link").st_ino, stat_of(w, "empty-folder").st_ino);
        assert_true(S_ISLNK(stat_of(w, "symlink").st_mode));
        assert_time(stat_of(w, "."));
        assert_int_equal(count_names(w->in), 7); /* and nothing temporary */
    }
    tar_done(&t);
}

/* The last of several entries of one name counts: a file that changed while it was read is in there twice. A
 * folder that is left and entered again keeps its time. */
static void test_twice(void **state)
{
    struct world *w = *state;
    struct tar t;
    tar_begin(&t);
    add_folder(&t, "a", 0500);
    add_file(&t, "a/file", "first try, longer");
    add_file(&t, "a/file", "second try");
    add_link(&t, "link", "a/file");
    add_file(&t, "b/x", "x");
    add_file(&t, "a/more", "x");
    unpack_ok(w, &t);
    assert_content(w, "a/file", "second try");
    assert_int_equal(stat_of(w, "link").st_ino, stat_of(w, "a/file").st_ino);
    assert_int_equal(stat_of(w, "a").st_mode, S_IFDIR | 0500);
    assert_time(stat_of(w, "a"));
    tar_done(&t);
}

/* ---- a part of it ---- */
static void build_parts(struct tar *t)
{
    tar_begin(t);
    add_folder(t, ".", 0755);
    add_folder(t, "a", 0700);
    add_file(t, "a/big", "bytes");
    add_file(t, "a/other", "other");
    add_folder(t, "ab", 0755);
    add_file(t, "ab/c", "not wanted");
    add_folder(t, "b", 0750);
    add_link(t, "b/one", "a/big");
    add_link(t, "b/two", "a/big");
}

static void test_only(void **state)
{
    struct world *w = *state;
    struct tar t;
    const char *const only[] = {"a/other", "ab", NULL};
    const char *const missing[] = {"ab", "a/nothing", NULL};
    build_parts(&t);
    struct bytes b = tar_end(&t);
    w->o.only = only;
    assert_int_equal(unpack(w, BYTES(b.p, b.n - 1024)), 0); /* fed without its end */
    assert_content(w, "a/other", "other");
    assert_content(w, "ab/c", "not wanted");
    assert_int_equal(stat_of(w, "a").st_mode, S_IFDIR | 0700); /* as its own entry says */
    assert_false(is_there(w, "a/big"));
    assert_false(is_there(w, "b"));
    w->o.only = missing;
    w->o.overwrite = true;
    assert_int_equal(fchmodat(w->fd, "a", 0711, 0), 0);
    assert_int_equal(unpack(w, b), -1);
    assert_int_equal(w->e.kind, ERR_USAGE);
    assert_text(w->e, "a/nothing: is not in the snapshot");
    assert_int_equal(stat_of(w, "a").st_mode, S_IFDIR | 0711); /* was there: left alone */
    tar_done(&t);
}

static void test_aliases(void **state)
{
    struct world *w = *state;
    struct tar t;
    const char *const only[] = {"b", NULL};
    const struct target_alias aliases[] = {{"a/big", "b/one"}, {NULL, NULL}};
    build_parts(&t);
    w->o.only = only;
    assert_int_equal(unpack(w, tar_end(&t)), -1); /* never without a word */
    assert_text(w->e, "b/one: is a hard link to a/big, which was not restored");
    w->o.overwrite = true;
    w->o.aliases = aliases;
    unpack_ok(w, &t);
    assert_content(w, "b/one", "bytes");
    assert_int_equal(stat_of(w, "b/two").st_ino, stat_of(w, "b/one").st_ino);
    assert_int_equal(stat_of(w, "b").st_mode, S_IFDIR | 0750);
    assert_time(stat_of(w, "b"));
    assert_false(is_there(w, "a/big"));
    tar_done(&t);
}

/* ---- damage ---- */
static void build_small(struct tar *t)
{
    tar_begin(t);
    add_folder(t, "d", 0755);
    add_file(t, "d/file", "0123456789");
    add_symlink(t, "d/\xff", "target");
    add_file(t, "last", "");
}

static void test_cut_off(void **state)
{
    struct world *w = *state;
    struct tar t;
    build_small(&t);
    struct bytes b = tar_end(&t);
    for (size_t n = 0; n + 1024 <= b.n; n += n % 512 ? 385 : 127) {
        struct err e = ERR_INIT;
        struct stat st;
        if (unpack(w, BYTES(b.p, n)) == 0)
            fail_msg("cut off at %zu of %zu: not noticed", n, b.n);
        assert_int_equal(w->e.kind, ERR_DAMAGED);
        assert_text(w->e, "the restore is not complete");
        assert_false(fstatat(w->fd, "d/file", &st, 0) == 0 && st.st_size != 10); /* whole or not there */
        assert_ok(dir_remove(w->in, &e));
    }
    assert_int_equal(unpack(w, b), 0);
    tar_done(&t);
}

static void test_flipped(void **state)
{
    struct world *w = *state;
    struct tar t;
    build_small(&t);
    tar_end(&t);
    for (size_t i = 0; i < t.bytes.n; i += 7) {
        struct err e = ERR_INIT;
        t.bytes.p[i] ^= 1 << i % 8;
        (void)!unpack(w, buf_bytes(&t.bytes));
        t.bytes.p[i] ^= 1 << i % 8;
        assert_outside_untouched(w, "a flipped bit");
        assert_ok(dir_remove(w->in, &e));
    }
    t.bytes.p[0] ^= 1; /* of the first header, whose sum then is wrong */
    assert_int_equal(unpack(w, buf_bytes(&t.bytes)), -1);
    assert_int_equal(w->e.kind, ERR_DAMAGED);
    tar_done(&t);
}

static void test_feed_fails(void **state)
{
    struct world *w = *state;
    struct tar t;
    build_small(&t);
    struct bytes b = tar_end(&t);
    for (size_t n = 0; n < b.n - 1024; n += 500) {
        struct err e = ERR_INIT;
        struct slices s = feed_of(BYTES(b.p, n));
        const char *const only[] = {"d", NULL};
        s.broken = true;
        w->o.only = n % 1000 ? only : NULL;
        w->e = (struct err)ERR_INIT;
        assert_int_equal(target_directory(&s.base, &w->o, &w->counts, &w->e), -1);
        assert_int_equal(w->e.kind, ERR_NET);
        assert_text(w->e, "the restore is not complete: pack 3f9a: the server hung up");
        assert_ok(dir_remove(w->in, &e));
    }
    w->o.only = NULL;
    stop_requested = 1;
    assert_int_equal(unpack(w, b), -1);
    assert_int_equal(w->e.kind, ERR_STOPPED);
    tar_done(&t);
}

/* One file that does not fit leaves nothing behind, and does not keep the others from being restored. */
static void test_too_large(void **state)
{
    struct world *w = *state;
    struct tar t;
    struct rlimit before, small;
    char body[5001];
    memset(body, 'b', 5000);
    body[5000] = 0;
    tar_begin(&t);
    add_file(&t, "a", "fits");
    add_file(&t, "large", body);
    add_file(&t, "z", "fits");
    tar_end(&t);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 2000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = unpack(w, tar_end(&t));
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, -1);
    assert_text(w->e, "1 entry could not be restored, everything else was: large");
    assert_text(w->e, "File too large");
    assert_false(is_there(w, "large"));
    assert_content(w, "z", "fits");
    tar_done(&t);
}

/* ---- the other targets ---- */
static void test_fd(void **state)
{
    struct world *w = *state;
    int ends[2];
    char got[20] = "";
    uint64_t bytes = 0;
    struct slices s = feed_of(BYTES_STR("0123456789"));
    s.size = 3;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(target_fd(&s.base, ends[1], "stdout", &bytes, &w->e), 0);
    assert_int_equal(bytes, 10);
    assert_int_equal(read(ends[0], got, sizeof got), 10);
    assert_string_equal(got, "0123456789");
    close(ends[0]);
    s = feed_of(BYTES_STR("0123456789"));
    assert_int_equal(target_fd(&s.base, ends[1], "stdout", &bytes, &w->e), -1);
    assert_text(w->e, "the reader went away before it had everything: stdout");
    close(ends[1]);
}

static int command(struct world *w, struct slices *s, const char *shell, unsigned limit)
{
    w->e = (struct err)ERR_INIT;
    return target_command(&s->base, shell, w->base, limit, &w->e);
}

static void test_command(void **state)
{
    struct world *w = *state;
    AUTO(buf) large = BUF_NONE;
    test_bytes(&large, 300000, 1);
    signal(SIGPIPE, SIG_IGN);
    struct slices s = feed_of(buf_bytes(&large));
    if (command(w, &s, "cat > \"$LIFEBOAT_TARGET\"/dump", 0))
        fail_msg("%s", w->e.text);
    AUTO(buf) back = BUF_NONE;
    AUTO_CHAR path = xasprintf("%s/dump", w->base);
    struct err e = ERR_INIT;
    assert_ok(file_read(path, 1 << 20, &back, &e));
    assert_int_equal(back.n, large.n);
    assert_memory_equal(back.p, large.p, large.n);
    s = feed_of(buf_bytes(&large));
    assert_int_equal(command(w, &s, "cat >/dev/null; echo no room >&2; exit 7", 0), -1);
    assert_text(w->e, "restore-command: exit status 7: no room");
    s = feed_of(buf_bytes(&large));
    assert_int_equal(command(w, &s, "head -c 10 >/dev/null", 0), -1);
    assert_text(w->e, "before it had read everything");
    s = feed_of(buf_bytes(&large));
    assert_int_equal(command(w, &s, "exec sleep 100", 1), -1); /* reads nothing */
    assert_text(w->e, "stopped after 1 s (its time limit)");
}

/* A stream that breaks off must not look complete to the command. */
static void test_command_broken(void **state)
{
    struct world *w = *state;
    struct slices s = feed_of(BYTES_STR("part"));
    struct stat st;
    AUTO_CHAR path = xasprintf("%s/committed", w->base);
    s.broken = true;
    assert_int_equal(command(w, &s, "cat >/dev/null && touch \"$LIFEBOAT_TARGET\"/committed", 0), -1);
    assert_text(w->e, "the server hung up");
    assert_int_equal(stat(path, &st), -1);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_kinds),
        WITH_WORLD(test_times),
        WITH_WORLD(test_names),
        WITH_WORLD(test_deep),
        WITH_WORLD(test_sparse),
        WITH_WORLD(test_links),
        WITH_WORLD(test_attributes),
        WITH_WORLD(test_inherited_acl),
        WITH_WORLD(test_setuid),
        WITH_WORLD(test_attacks),
        WITH_WORLD(test_attacks_from_inside),
        WITH_WORLD(test_overwrite),
        WITH_WORLD(test_twice),
        WITH_WORLD(test_only),
        WITH_WORLD(test_aliases),
        WITH_WORLD(test_cut_off),
        WITH_WORLD(test_flipped),
        WITH_WORLD(test_feed_fails),
        WITH_WORLD(test_too_large),
        WITH_WORLD(test_fd),
        WITH_WORLD(test_command),
        WITH_WORLD(test_command_broken),
    };
    return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
