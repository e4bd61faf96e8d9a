/* What comes back below a folder. */
#include "unpacking.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- what comes back ---- */
static void test_kinds(void **state)
{
    struct world *w = *state;
    struct tar t;
    char target[100] = "";
    test_tar_begin(&t);
    test_tar_add_folder(&t, ".", 0711);
    test_tar_add_folder(&t, "a", 0500);
    test_tar_add_file(&t, "a/file", "hello");
    test_tar_add_symlink(&t, "a/link", "../../nowhere");
    test_tar_put(&t, test_tar_entry("a/fifo", AE_IFIFO | 0622));
    test_tar_add_file(&t, "empty", "");
    test_tar_add_folder(&t, "none", 0);
    mode_t old = umask(0777);
    world_stream_ok(w, &t);
    umask(old);
    assert_file_content(w, "a/file", "hello");
    assert_int_equal(world_stat(w, ".").st_mode, S_IFDIR | 0711);
    assert_int_equal(world_stat(w, "a").st_mode, S_IFDIR | 0500);
    assert_int_equal(world_stat(w, "a/fifo").st_mode, S_IFIFO | 0622);
    assert_int_equal(world_stat(w, "none").st_mode, S_IFDIR);
    assert_int_equal(world_stat(w, "empty").st_size, 0);
    assert_true(readlinkat(w->fd, "a/link", target, sizeof target) > 0);
    assert_string_equal(target, "../../nowhere");
    const char *const all[] = {".", "a", "a/file", "a/link", "a/fifo", "empty", "none"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_archived_time(world_stat(w, all[i]));
    assert_int_equal(w->counts.entries, 7);
    assert_int_equal(w->counts.bytes, 5);
    assert_int_equal(w->counts.notes.n, 0);
    test_tar_done(&t);
}

static void test_times(void **state)
{
    static const struct timespec times[] = {
        {-2, 500000000}, {-1, 999999999}, {0, 0}, {4102444800, 1}, {-1234567891, 876543211}};
    struct world *w = *state;
    struct tar t;
    test_tar_begin(&t);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        AUTO_CHAR name = xasprintf("%zu", i);
        struct archive_entry *ae = test_tar_entry(name, AE_IFREG | 0644);
        archive_entry_set_mtime(ae, times[i].tv_sec, times[i].tv_nsec);
        test_tar_put(&t, ae);
    }
    world_stream_ok(w, &t);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        AUTO_CHAR name = xasprintf("%zu", i);
        assert_int_equal(world_stat(w, name).st_mtim.tv_sec, times[i].tv_sec);
        assert_int_equal(world_stat(w, name).st_mtim.tv_nsec, times[i].tv_nsec);
    }
    test_tar_done(&t);
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
        test_tar_begin(&t);
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            AUTO_CHAR folder = xasprintf("f/%s", names[i]);
            AUTO_CHAR inside = xasprintf("f/%s/%s", names[i], names[i]);
            AUTO_CHAR link = xasprintf("l-%zu", i);
            test_tar_add_folder(&t, folder, 0755);
            test_tar_add_file(&t, inside, names[i]);
            test_tar_add_link(&t, link, inside);
        }
        setlocale(LC_ALL, locales[k]);
        world_stream_ok(w, &t);
        setlocale(LC_ALL, "C");
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            AUTO_CHAR inside = xasprintf("f/%s/%s", names[i], names[i]);
            assert_file_content(w, inside, names[i]);
            assert_int_equal(world_stat(w, inside).st_nlink, 2);
        }
        assert_int_equal(w->counts.notes.n, 0);
        test_tar_done(&t);
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
    test_tar_begin(&t);
    test_tar_add_file(&t, "top", "top");
    test_tar_add_folder(&t, "d", 0700);
    test_tar_add_folder(&t, folder, 0500);
    test_tar_add_file(&t, file, "deep");
    test_tar_add_link(&t, link, "top");
    test_tar_add_link(&t, "up", file);
    test_tar_end(&t);
    setrlimit(RLIMIT_NOFILE, &few);
    world_stream_ok(w, &t);
    setrlimit(RLIMIT_NOFILE, &before);
    int fd = dup(w->fd);
    for (unsigned i = 0; i < LEVELS; i++) {
        int below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = below;
    }
    struct stat st;
    assert_int_equal(fstatat(fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_ino, world_stat(w, "top").st_ino);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0500);
    assert_archived_time(st);
    close(fd);
    assert_file_content(w, "up", "deep");
    assert_int_equal(world_stat(w, "up").st_nlink, 2);
    test_tar_done(&t);
}

static void test_sparse(void **state)
{
    enum { SIZE = 8 << 20, AT = 4 << 20 };
    struct world *w = *state;
    struct tar t;
    char got[5] = "";
    test_tar_begin(&t);
    struct archive_entry *ae = test_tar_entry("middle", AE_IFREG | 0644);
    archive_entry_set_size(ae, SIZE);
    archive_entry_sparse_add_entry(ae, AT, 4);
    test_tar_put(&t, ae);
    AUTO(buf) body = BUF_NONE;
    memset(buf_reserve(&body, SIZE), 0, SIZE);
    memcpy(body.p + AT, "data", 4);
    for (size_t at = 0; at < SIZE; at += 1 << 20)
        assert_int_equal(archive_write_data(t.a, body.p + at, 1 << 20), 1 << 20);
    ae = test_tar_entry("all", AE_IFREG | 0644);
    archive_entry_set_size(ae, (la_int64_t)5 << 30);
    archive_entry_sparse_add_entry(ae, (la_int64_t)5 << 30, 0);
    test_tar_put(&t, ae);
    assert_int_equal(archive_write_data(t.a, body.p, 1 << 20), 1 << 20); /* the rest is filled up */
    world_stream_ok(w, &t);
    AUTO_FD fd = openat(w->fd, "middle", O_RDONLY);
    assert_int_equal(pread(fd, got, 4, AT), 4);
    assert_string_equal(got, "data");
    assert_int_equal(world_stat(w, "middle").st_size, SIZE);
    assert_int_equal(world_stat(w, "all").st_size, (off_t)5 << 30);
    assert_true(world_stat(w, "middle").st_blocks < 1024);
    assert_true(world_stat(w, "all").st_blocks < 1024);
    test_tar_done(&t);
}

static void test_links(void **state)
{
    struct world *w = *state;
    struct tar t;
    test_tar_begin(&t);
    test_tar_add_folder(&t, "a", 0755);
    test_tar_add_file(&t, "a/first", "content");
    test_tar_add_link(&t, "a/second", "a/first");
    test_tar_add_link(&t, "b/third", "./a/first");
    test_tar_add_symlink(&t, "s", "a");
    test_tar_add_link(&t, "s2", "s");
    test_tar_add_link(&t, "lost", "a/nothing");
    test_tar_add_link(&t, "self", "self");
    test_tar_add_link(&t, "through", "s/first");
    test_tar_add_file(&t, "z", "after");
    assert_int_equal(world_stream(w, test_tar_end(&t)), -1);
    assert_int_equal(w->e.kind, ERR_IO);
    assert_text(w->e, "3 entries could not be restored, everything else was: the first: "
                      "lost: is a hard link to a/nothing, which was not restored");
    assert_int_equal(world_stat(w, "b/third").st_nlink, 3);
    assert_int_equal(world_stat(w, "b/third").st_ino, world_stat(w, "a/first").st_ino);
    assert_int_equal(world_stat(w, "s2").st_ino, world_stat(w, "s").st_ino);
    assert_file_content(w, "z", "after");
    assert_int_equal(world_stat(w, "b").st_mode, S_IFDIR | 0755); /* no entry of its own */
    test_tar_done(&t);
}

/* ---- attributes ---- */
static bool has_xattrs(const struct world *w)
{
    AUTO_CHAR probe = xasprintf("%s/probe", w->base);
    world_make_file(w->base, "probe", "");
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
    test_tar_begin(&t);
    struct archive_entry *ae = test_tar_entry("file", AE_IFREG | 0444);
    archive_entry_xattr_add_entry(ae, "user.binary", "a\0\n=", 4);
    archive_entry_xattr_add_entry(ae, "user.empty", "", 0);
    archive_entry_xattr_add_entry(ae, "user.a=b%c\xc3\xa9", "odd", 3);
    test_tar_put_data(&t, ae, "x");
    ae = test_tar_entry("folder", AE_IFDIR | 0500);
    archive_entry_xattr_add_entry(ae, "user.x", "y", 1);
    test_tar_add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT);
    test_tar_put(&t, ae);
    test_tar_add_file(&t, "folder/inherits-nothing", "x");
    ae = test_tar_entry("acl", AE_IFREG | 0660);
    test_tar_add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
    test_tar_put_data(&t, ae, "x");
    world_stream_ok(w, &t);
    assert_xattr(w, "file", "user.binary", BYTES("a\0\n=", 4));
    assert_xattr(w, "file", "user.empty", BYTES("", 0));
    assert_xattr(w, "file", "user.a=b%c\xc3\xa9", BYTES("odd", 3));
    assert_xattr(w, "folder", "user.x", BYTES("y", 1));
    assert_xattr(w, "acl", "system.posix_acl_access", BYTES(acl_bytes, sizeof acl_bytes));
    assert_xattr(w, "folder", "system.posix_acl_default", BYTES(acl_bytes, sizeof acl_bytes));
    AUTO_CHAR plain = xasprintf("%s/folder/inherits-nothing", w->in);
    assert_int_equal(getxattr(plain, "system.posix_acl_access", NULL, 0), -1);
    assert_int_equal(world_stat(w, "acl").st_mode, S_IFREG | 0660);
    assert_int_equal(world_stat(w, "folder").st_mode, S_IFDIR | 0500);
    assert_int_equal(w->counts.notes.n, 0);
    test_tar_done(&t);
}

/* The folder restored to hands a default ACL down to all that is made in it; the archive knows of none. */
static void test_inherited_acl(void **state)
{
    struct world *w = *state;
    struct tar t;
    assert_int_equal(mkdir(w->in, 0755), 0);
    if (setxattr(w->in, "system.posix_acl_default", acl_bytes, sizeof acl_bytes, 0) != 0)
        skip();
    test_tar_begin(&t);
    test_tar_add_file(&t, "file", "x");
    test_tar_add_file(&t, "a/b/file", "x");
    test_tar_put(&t, test_tar_entry("a/fifo", AE_IFIFO | 0600));
    world_stream_ok(w, &t);
    const char *const all[] = {"file", "a", "a/b", "a/b/file", "a/fifo"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        AUTO_CHAR path = xasprintf("%s/%s", w->in, all[i]);
        assert_int_equal(getxattr(path, "system.posix_acl_access", NULL, 0), -1);
        assert_int_equal(getxattr(path, "system.posix_acl_default", NULL, 0), -1);
    }
    test_tar_done(&t);
}

static void test_setuid(void **state)
{
    struct world *w = *state;
    struct tar t;
    test_tar_begin(&t);
    test_tar_put(&t, test_tar_entry("mine", AE_IFREG | 06755));
    struct archive_entry *ae = test_tar_entry("theirs", AE_IFREG | 06755);
    archive_entry_set_uid(ae, 12345);
    archive_entry_set_gid(ae, 12345);
    test_tar_put(&t, ae);
    ae = test_tar_entry("device", AE_IFCHR | 0666);
    archive_entry_set_rdevmajor(ae, 1);
    archive_entry_set_rdevminor(ae, 3);
    test_tar_put(&t, ae);
    struct bytes b = test_tar_end(&t);
    w->o.ownership = false;
    assert_int_equal(world_stream(w, b), 0);
    assert_int_equal(world_stat(w, "mine").st_mode, S_IFREG | 06755);
    assert_int_equal(world_stat(w, "theirs").st_mode, S_IFREG | 0755); /* would lend out the wrong user */
    assert_int_equal(world_stat(w, "theirs").st_uid, geteuid());
    assert_true(world_notes_say(w, "theirs: setuid or setgid was left out"));
    assert_false(world_has(w, "device"));
    assert_true(world_notes_say(w, "device: is a device node"));
    assert_int_equal(w->counts.skipped, 1);
    w->o.ownership = w->o.overwrite = true;
    assert_int_equal(world_stream(w, b), 0);
    assert_int_equal(world_stat(w, "theirs").st_mode, S_IFREG | (geteuid() == 0 ? 06755 : 0755));
    test_tar_done(&t);
}

/* ---- over what is there ---- */
static void test_overwrite(void **state)
{
    struct world *w = *state;
    struct tar t;
    test_tar_begin(&t);
    test_tar_add_folder(&t, ".", 0755);
    test_tar_add_file(&t, "empty-folder", "now a file");
    test_tar_add_folder(&t, "file", 0750);
    test_tar_add_file(&t, "file/inside", "x");
    test_tar_add_file(&t, "full-folder", "cannot be");
    test_tar_add_link(&t, "link", "empty-folder");
    test_tar_add_symlink(&t, "symlink", "new");
    test_tar_add_file(&t, "z", "after");
    struct bytes b = test_tar_end(&t);
    assert_int_equal(mkdir(w->in, 0755), 0);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    world_make_file(w->in, "file", "old");
    world_make_file(w->in, "kept", "kept");
    world_make_file(w->in, "symlink", "old");
    assert_int_equal(mkdirat(w->fd, "empty-folder", 0755), 0);
    assert_int_equal(mkdirat(w->fd, "full-folder", 0755), 0);
    assert_int_equal(mkdirat(w->fd, "full-folder/x", 0755), 0);
    assert_int_equal(world_stream(w, b), -1);
    assert_int_equal(w->e.kind, ERR_USAGE);
    assert_text(w->e, "is not empty");
    assert_file_content(w, "file", "old");
    w->o.overwrite = true;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(world_stream(w, b), -1);
        assert_text(w->e,
                    "1 entry could not be restored, everything else was: full-folder: what is in its place "
                    "cannot be replaced: Directory not empty");
        assert_file_content(w, "empty-folder", "now a file");
        assert_file_content(w, "file/inside", "x");
        assert_file_content(w, "kept", "kept");
        assert_file_content(w, "z", "after");
        assert_int_equal(world_stat(w, "link").st_ino, world_stat(w, "empty-folder").st_ino);
        assert_true(S_ISLNK(world_stat(w, "symlink").st_mode));
        assert_archived_time(world_stat(w, "."));
        assert_int_equal(count_names_in(w->in), 7); /* and nothing temporary */
    }
    test_tar_done(&t);
}

/* A backup of what a killed restore left behind is restored as anything else, also beside the file it belongs
 * to. */
static void test_archived_temporary(void **state)
{
    struct world *w = *state;
    struct tar t;
    AUTO_CHAR name = xasprintf(".lifeboat-%016llx", (unsigned long long)XXH3_64bits("file", 4));
    test_tar_begin(&t);
    test_tar_add_folder(&t, ".", 0755);
    test_tar_add_file(&t, name, "left behind");
    test_tar_add_file(&t, "file", "new");
    struct bytes b = test_tar_end(&t);
    assert_int_equal(mkdir(w->in, 0755), 0);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    world_make_file(w->in, "file", "old");
    w->o.overwrite = true;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(world_stream(w, b), 0);
        assert_file_content(w, name, "left behind");
        assert_file_content(w, "file", "new");
        assert_int_equal(count_names_in(w->in), 2);
    }
    test_tar_done(&t);
}

/* The last of several entries of one name counts: a file that changed while it was read is in there twice. A
 * folder that is left and entered again keeps its time. */
static void test_twice(void **state)
{
    struct world *w = *state;
    struct tar t;
    test_tar_begin(&t);
    test_tar_add_folder(&t, "a", 0500);
    test_tar_add_file(&t, "a/file", "first try, longer");
    test_tar_add_file(&t, "a/file", "second try");
    test_tar_add_link(&t, "link", "a/file");
    test_tar_add_file(&t, "b/x", "x");
    test_tar_add_file(&t, "a/more", "x");
    world_stream_ok(w, &t);
    assert_file_content(w, "a/file", "second try");
    assert_int_equal(world_stat(w, "link").st_ino, world_stat(w, "a/file").st_ino);
    assert_int_equal(world_stat(w, "a").st_mode, S_IFDIR | 0500);
    assert_archived_time(world_stat(w, "a"));
    test_tar_done(&t);
}

/* ---- a part of it ---- */
static void build_parts(struct tar *t)
{
    test_tar_begin(t);
    test_tar_add_folder(t, ".", 0755);
    test_tar_add_folder(t, "a", 0700);
    test_tar_add_file(t, "a/big", "bytes");
    test_tar_add_file(t, "a/other", "other");
    test_tar_add_folder(t, "ab", 0755);
    test_tar_add_file(t, "ab/c", "not wanted");
    test_tar_add_folder(t, "b", 0750);
    test_tar_add_link(t, "b/one", "a/big");
    test_tar_add_link(t, "b/two", "a/big");
}

static void test_only(void **state)
{
    struct world *w = *state;
    struct tar t;
    const char *const only[] = {"a/other", "ab", NULL};
    const char *const missing[] = {"ab", "a/nothing", NULL};
    build_parts(&t);
    struct bytes b = test_tar_end(&t);
    w->o.only = only;
    assert_int_equal(world_stream(w, BYTES(b.p, b.n - 1024)), 0); /* fed without its end */
    assert_file_content(w, "a/other", "other");
    assert_file_content(w, "ab/c", "not wanted");
    assert_int_equal(world_stat(w, "a").st_mode, S_IFDIR | 0700); /* as its own entry says */
    assert_false(world_has(w, "a/big"));
    assert_false(world_has(w, "b"));
    const char *const folder[] = {"a", NULL};
    struct err e = ERR_INIT;
    assert_ok(dir_remove(w->in, &e));
    w->o.only = folder;
    assert_int_equal(world_stream(w, b), 0);
    assert_file_content(w, "a/big", "bytes");
    assert_false(world_has(w, "ab")); /* begins alike */
    w->o.only = missing;
    w->o.overwrite = true;
    assert_int_equal(fchmodat(w->fd, "a", 0711, 0), 0);
    assert_int_equal(world_stream(w, b), -1);
    assert_int_equal(w->e.kind, ERR_USAGE);
    assert_text(w->e, "a/nothing: is not in the snapshot");
    assert_int_equal(world_stat(w, "a").st_mode, S_IFDIR | 0711); /* was there: left alone */
    test_tar_done(&t);
}

static void test_aliases(void **state)
{
    struct world *w = *state;
    struct tar t;
    const char *const only[] = {"b", NULL};
    const struct target_alias aliases[] = {{.from = "a/big", .to = "b/one"}};
    build_parts(&t);
    w->o.only = only;
    assert_int_equal(world_stream(w, test_tar_end(&t)), -1); /* never without a word */
    assert_text(w->e, "b/one: is a hard link to a/big, which was not restored");
    w->o.overwrite = true;
    w->o.aliases = aliases;
    w->o.alias_count = ARRAY_LEN(aliases);
    world_stream_ok(w, &t);
    assert_file_content(w, "b/one", "bytes");
    assert_int_equal(world_stat(w, "b/two").st_ino, world_stat(w, "b/one").st_ino);
    assert_int_equal(world_stat(w, "b").st_mode, S_IFDIR | 0750);
    assert_archived_time(world_stat(w, "b"));
    assert_false(world_has(w, "a/big"));
    test_tar_done(&t);
}

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
        WITH_WORLD(test_overwrite),
        WITH_WORLD(test_archived_temporary),
        WITH_WORLD(test_twice),
        WITH_WORLD(test_only),
        WITH_WORLD(test_aliases),
    };
    return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
