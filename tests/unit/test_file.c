/* Files and folders, and what others may do to them meanwhile. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what happens between two calls of ours ---- */
static struct strings temporary; /* names that were made */
static struct {
    const char *name; /* opened in a folder: becomes a symlink to `target` before that; NULL: nothing does */
    const char *target;
} swap;

/* In place of libc's. */
int openat(int dirfd, const char *name, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    size_t n = strlen(name);
    if ((flags & O_EXCL) && n > 4 && strcmp(name + n - 4, ".tmp") == 0)
        strings_add(&temporary, name);
    if (swap.name && strcmp(name, swap.name) == 0) {
        swap.name = NULL;
        assert_return_code(unlinkat(dirfd, name, AT_REMOVEDIR), errno);
        assert_return_code(symlinkat(swap.target, dirfd, name), errno);
    }
    return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

static unsigned changes; /* of modes, by name: none follows a symlink */

int fchmodat(int dirfd, const char *name, mode_t mode, int flags)
{
    changes++;
    assert_int_equal(flags, AT_SYMLINK_NOFOLLOW);
    return REAL(fchmodat)(dirfd, name, mode, flags);
}

/* ---- a file system that says yes and does nothing ---- */
static bool names_are_lost, bytes_are_lost;

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return names_are_lost ? 0 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return names_are_lost ? 0 : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

ssize_t write(int fd, const void *p, size_t n)
{
    return bytes_are_lost && fd > 2 ? (ssize_t)n : syscall(SYS_write, fd, p, n);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_return_code(stat(path, &st), errno);
    return st.st_mode & 07777;
}

static void assert_gone(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), -1);
    assert_int_equal(errno, ENOENT);
}

/* A folder that is swapped for a symlink while its tree is removed: what that points to stays as it is. */
static void removing_follows_no_symlink(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char *folder = test_folder();
    AUTO_CHAR tree = xasprintf("%s/tree", folder);
    AUTO_CHAR inside = xasprintf("%s/tree/inside", folder);
    AUTO_CHAR other = xasprintf("%s/other", folder);
    AUTO_CHAR file = xasprintf("%s/other/file", folder);
    assert_ok(dir_make(inside, 0755, &e));
    assert_ok(dir_make(other, 0755, &e));
    assert_ok(file_write(file, BYTES_STR("x"), 0644, true, &e));
    assert_return_code(chmod(other, 0755), errno);
    swap.name = "inside";
    swap.target = other;
    int rc = dir_remove(tree, &e);
    assert_null(swap.name);
    assert_int_equal(mode_of(other), 0755);
    assert_int_equal(mode_of(file), 0644);
    if (rc)
        assert_text(e, "inside");
    test_remove(folder);
}

/* A tree deeper than the folders that are held open is taken apart from above: those that are moved up become
 * ours first. */
static void removing_a_deep_tree(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char *folder = test_folder();
    AUTO(buf) deep = BUF_NONE;
    AUTO_CHAR tree = xasprintf("%s/tree", folder);
    buf_add_str(&deep, tree);
    for (int i = 0; i < 300; i++)
        buf_add_str(&deep, "/d");
    assert_ok(dir_make(buf_cstr(&deep), 0755, &e));
    changes = 0;
    assert_ok(dir_remove(tree, &e));
    assert_gone(tree);
    assert_true(changes > 0);
    test_remove(folder);
}

/* Folders without rights, or without the right to change them, as a volume may have them. */
static void removing_what_nobody_may_enter(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char *folder = test_folder();
    AUTO_CHAR tree = xasprintf("%s/tree", folder);
    AUTO_CHAR above = xasprintf("%s/tree/a", folder);
    AUTO_CHAR fixed = xasprintf("%s/tree/a/b", folder);
    AUTO_CHAR inside = xasprintf("%s/tree/a/b/c", folder);
    assert_ok(dir_make(inside, 0700, &e));
    assert_return_code(chmod(fixed, 0500), errno);
    assert_return_code(chmod(above, 0), errno);
    if (geteuid() == 0) { /* who may enter everything */
        assert_return_code(chmod(folder, 0777), errno);
        const char *const all[] = {inside, fixed, above, tree};
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            assert_return_code(lchown(all[i], 64242, 64242), errno);
        assert_return_code(seteuid(64242), errno);
    }
    int rc = dir_remove(above, &e);
    assert_return_code(seteuid(getuid()), errno);
    if (rc)
        fail_msg("%s", e.text);
    assert_gone(above);
    test_remove(folder);
}

/* Two processes may have the same number, each in a container of its own. */
static void temporary_names_differ(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char *folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/last", folder);
    assert_ok(file_write(path, BYTES_STR("one"), 0600, false, &e));
    assert_ok(file_write(path, BYTES_STR("two"), 0600, false, &e));
    assert_int_equal(temporary.n, 2);
    assert_string_not_equal(temporary.v[0], temporary.v[1]);
    strings_free(&temporary);
    test_remove(folder);
}

/* A key that is only said to be there would be missed when all depends on it. */
static void what_is_not_there_was_not_written(void **state)
{
    (void)state;
    char *folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/identity.key", folder);
    for (int k = 0; k < 4; k++) {
        struct err e = ERR_INIT;
        names_are_lost = k & 1;
        bytes_are_lost = !names_are_lost;
        int rc = file_write(path, BYTES_STR("secret"), 0600, k & 2, &e);
        names_are_lost = bytes_are_lost = false;
        assert_int_equal(rc, -1);
        assert_text(e, "the file system said that it was written, and it is not there");
        assert_int_equal(access(path, F_OK), -1);
    }
    struct err e = ERR_INIT;
    assert_ok(file_write(path, BYTES_STR("secret"), 0600, true, &e));
    assert_ok(file_write(path, BYTES_STR(""), 0600, false, &e));
    strings_free(&temporary);
    test_remove(folder);
}

static void making_folders(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char *folder = test_folder();
    AUTO_CHAR deep = xasprintf("%s/a//b/c/", folder);
    AUTO_CHAR file = xasprintf("%s/a/file", folder);
    AUTO_CHAR below = xasprintf("%s/a/file/b", folder);
    assert_ok(dir_make(deep, 0700, &e));
    assert_ok(dir_make(deep, 0700, &e));
    assert_int_equal(mode_of(deep), 0700);
    assert_ok(file_write(file, BYTES_STR("x"), 0600, true, &e));
    assert_int_equal(dir_make(below, 0700, &e), -1);
    e = (struct err)ERR_INIT;
    AUTO_CHAR nothing = xstrdup("");
    assert_int_equal(dir_make(nothing, 0700, &e), -1);
    test_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removing_follows_no_symlink),       cmocka_unit_test(removing_a_deep_tree),
        cmocka_unit_test(removing_what_nobody_may_enter),    cmocka_unit_test(temporary_names_differ),
        cmocka_unit_test(what_is_not_there_was_not_written), cmocka_unit_test(making_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
