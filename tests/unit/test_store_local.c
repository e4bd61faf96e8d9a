/* What a directory adds to the contract of a store: modes, torn and foreign files, disks that are full,
 * read-only or away. */
#include "stores.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned failing; /* so many calls of pread() fail with EIO */

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    if (failing) {
        failing--;
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

static bool names_get_lost; /* link and rename say yes, and do nothing */

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    return names_get_lost ? 0 : (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return names_get_lost ? 0 : (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

static const char *root_of(void **state)
{
    return local_of(store_of(state))->path;
}

static unsigned mode_of(const char *root, const char *name)
{
    struct stat st;
    AUTO_CHAR path = xasprintf("%s/%s", root, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void write_plain(const char *root, const char *name, const char *text)
{
    struct err e;
    AUTO_CHAR path = xasprintf("%s/%s", root, name);
    assert_ok(file_write(path, BYTES_STR(text), 0600, false, &e));
}

static void test_modes(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 0777};
    for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
        char *folder = test_folder();
        AUTO_CHAR path = xasprintf("%s/store", folder);
        struct err e;
        mode_t old = umask(masks[i]);
        struct store *s = open_local(path, true, 0);
        for (unsigned named = 0; named < 2; named++) {
            local_of(s)->unnamed = named ? LINK_FAILS : LINK_UNKNOWN;
            put(s, named ? "packs/cc/y" : "packs/aa/x", "1");
            assert_ok(put_by_file(s, named ? "packs/dd/y" : "packs/bb/x", "1", 1, &e));
        }
        umask(old);
        assert_int_equal(mode_of(path, "."), 0700);
        assert_int_equal(mode_of(path, "packs"), 0700);
        assert_int_equal(mode_of(path, "packs/aa"), 0700);
        static const char *const objects[] = {"packs/aa/x", "packs/bb/x", "packs/cc/y", "packs/dd/y"};
        for (size_t k = 0; k < ARRAY_LEN(objects); k++)
            assert_int_equal(mode_of(path, objects[k]), 0600);
        store_free(s);
        test_remove(folder);
    }
}

static void test_torn_object_is_replaced(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    char c;
    put(s, "packs/aa/x", "whole");
    write_plain(root_of(state), "packs/aa/x", "who");
    assert_ok(store_get_range(s, "packs/aa/x", 2, &c, 1, &e)); /* the torn one is open now */
    e = (struct err)ERR_INIT;
    assert_int_equal(store_get_range(s, "packs/aa/x", 4, &c, 1, &e), STORE_FAILED);
    put(s, "packs/aa/x", "whole");
    assert_ok(store_get_range(s, "packs/aa/x", 4, &c, 1, &e));
    assert_int_equal(c, 'e');
    write_plain(root_of(state), "packs/aa/x", "longer than whole");
    assert_ok(put_by_file(s, "packs/aa/x", "whole", 5, &e));
    expect(s, "packs/aa/x", "whole");
    expect_list(s, "", "packs/aa/x 5");
}

/* A read that fails once is no damage; a sector that stays bad is. */
static void test_bad_sector(void **state)
{
    struct store *s = store_of(state);
    char c;
    put(s, "packs/aa/x", "whole");
    for (unsigned times = 1; times <= 2; times++) {
        struct err e = ERR_INIT;
        AUTO(buf) all = BUF_NONE;
        failing = times;
        assert_int_equal(store_get_range(s, "packs/aa/x", 4, &c, 1, &e),
                         times == 1 ? STORE_DONE : STORE_FAILED);
        assert_int_equal(e.kind, times == 1 ? ERR_NONE : ERR_DAMAGED);
        failing = times;
        e = (struct err)ERR_INIT;
        assert_int_equal(store_get(s, "packs/aa/x", 99, &all, &e), times == 1 ? STORE_DONE : STORE_FAILED);
        assert_int_equal(e.kind, times == 1 ? ERR_NONE : ERR_DAMAGED);
        if (times == 2)
            assert_text(e, "Input/output error");
    }
}

static size_t count_files(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, NULL);
    assert_true(n >= 2);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return (size_t)n - 2;
}

/* A temporary file that was not put is gone at the end, and one of a run that was killed after a day. */
static void test_temporary_files(void **state)
{
    struct fixture *f = *state;
    struct err e;
    const char *root = root_of(state);
    AUTO_FD unused = store_tempfile(f->store, &e);
    assert_true(unused >= 0);
    expect_list(f->store, "", "");
    static const char *const names[] = {".tmp-old", ".tmp-new", "old", ".other"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_CHAR path = xasprintf("%s/%s", root, names[i]);
        struct timespec t[2] = {{.tv_sec = time(NULL) - (i == 1 ? 23 : 25) * 3600}};
        t[1] = t[0];
        write_plain(root, names[i], "x");
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    }
    AUTO_CHAR path = xstrdup(root);
    expect_list(f->store, "packs/", "");
    store_free(STEAL(f->store));
    assert_int_equal(count_files(path), 3);
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        assert_int_equal(mode_of(path, names[i]), 0600);
}

/* A file may say that it is of any time: the future stays the future, and ages can be reckoned. */
static int take_time(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    *(int64_t *)ctx = o->mtime_ns;
    return 0;
}

static void test_strange_times(void **state)
{
    struct fixture *f = *state;
    struct err e;
    const char *root = root_of(state);
    static const time_t seconds[] = {15000000000, INT64_MAX / 4, 0, -1};
    AUTO_CHAR path = xasprintf("%s/strange", root);
    write_plain(root, "strange", "x");
    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        const struct timespec t[2] = {{.tv_sec = seconds[i]}, {.tv_sec = seconds[i]}};
        int64_t mtime_ns = 0, now_ns;
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
        assert_ok(store_list(f->store, "strange", take_time, &mtime_ns, &now_ns, &e));
        if (seconds[i] > 0)
            assert_true(mtime_ns > now_ns && mtime_ns < INT64_MAX / 9 * 8);
        else
            assert_int_equal(mtime_ns, 1); /* 0 is no time of a listing */
    }
}

static void test_foreign_files(void **state)
{
    struct store *s = store_of(state);
    struct err e = ERR_INIT;
    const char *root = root_of(state);
    AUTO(buf) out = BUF_NONE;
    uint64_t size;
    char c;
    put(s, "packs/aa/x", "1");
    static const char *const folders[] = {".git", "lost+found", "UPPER", "packs/aa/deeper",
                                          "packs/aa/.hidden"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        AUTO_CHAR path = xasprintf("%s/%s", root, folders[i]);
        AUTO_CHAR file = xasprintf("%s/file", folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        if (i != 3)
            write_plain(root, file, "x");
    }
    write_plain(root, "packs/aa/x~", "x");
    write_plain(root, "README", "x");
    AUTO_CHAR link = xasprintf("%s/packs/aa/link", root);
    AUTO_CHAR loop = xasprintf("%s/packs/loop", root);
    AUTO_CHAR fifo = xasprintf("%s/packs/fifo", root);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(symlink("..", loop), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect_list(s, "", "packs/aa/x 1");
    static const char *const odd[] = {"packs/aa/link", "packs/fifo", "packs/loop"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        for (unsigned operation = 0; operation < 3; operation++) {
            e = (struct err)ERR_INIT;
            int rc = operation == 0   ? store_get(s, odd[i], 1 << 20, &out, &e)
                     : operation == 1 ? store_get_range(s, odd[i], 0, &c, 1, &e)
                                      : store_size(s, odd[i], &size, &e);
            assert_int_equal(rc, STORE_FAILED);
            assert_int_equal(e.kind, ERR_DAMAGED);
            assert_text(e, "is not a regular file");
        }
    put(s, "packs/aa/link", "ours"); /* replaced, not followed */
    expect(s, "packs/aa/link", "ours");
}

static size_t open_fds(void)
{
    return count_files("/proc/self/fd");
}

static void test_descriptors(void **state)
{
    struct fixture *f = *state;
    struct err e;
    char name[32], c;
    size_t before = open_fds();
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "packs/aa/%u", i);
        put(f->store, name, "x");
        assert_ok(store_get_range(f->store, name, 0, &c, 1, &e));
        assert_int_equal(store_get_range(f->store, name, 1, &c, 1, &e), STORE_FAILED);
    }
    assert_int_equal(open_fds(), before + 16);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "packs/aa/%u", i);
        assert_ok(store_delete(f->store, name, &e));
    }
    assert_int_equal(open_fds(), before);
}

static void refuse_open(const struct store_local_options *o, const char *text)
{
    struct err e = ERR_INIT;
    struct store *s = store_local_new(o, &e);
    assert_null(s);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, text);
}

static void test_opening(void **state)
{
    (void)state;
    char *folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/a/b", folder);
    struct store_local_options o = {.path = path};
    AUTO_CHAR missing = xasprintf("store %s: no such folder: is the disk mounted?", path);
    refuse_open(&o, missing);
    store_free(open_local(path, true, 2));
    AUTO_CHAR no_sentinel = xasprintf("store %s: holds no repository", path);
    refuse_open(&o, no_sentinel);
    refuse_open(&o, "is the disk mounted?");
    struct store *s = open_local(path, true, 2);
    put(s, "lifeboat", "{}");
    store_free(s);
    s = open_local(path, false, 2);
    expect(s, "lifeboat", "{}");
    store_free(s);
    AUTO_CHAR file = xasprintf("%s/lifeboat", path);
    o.path = file;
    refuse_open(&o, "is not a folder");

    struct stat here, root;
    assert_int_equal(stat(folder, &here) | stat("/", &root), 0);
    AUTO_CHAR fresh = xasprintf("%s/mnt/store", folder);
    o = (struct store_local_options){.path = fresh, .create = true, .require_mount = true};
    if (here.st_dev == root.st_dev) {
        refuse_open(&o,
                    "lies on the root file system, and require-mount = yes wants it on a disk of its own");
        assert_int_equal(access(fresh, F_OK), -1);
    }
    test_remove(folder);
}

static void test_min_free(void **state)
{
    (void)state;
    char *folder = test_folder();
    struct err e = ERR_INIT;
    struct store *s = open_local(folder, true, 101); /* no disk is that empty */
    assert_int_equal(store_put(s, "a", BYTES_STR("x"), &e), STORE_FAILED);
    assert_int_equal(e.kind, ERR_SPACE);
    assert_text(e, ": put a: only ");
    assert_text(e, "the last 101 % are left alone (min-free): `lifeboat prune --exclusive`, or make room on");
    e = (struct err)ERR_INIT;
    assert_int_equal(store_tempfile(s, &e), -1);
    assert_int_equal(e.kind, ERR_SPACE);
    assert_int_equal(count_files(folder), 0);
    /* What a prune puts, so that it can give space back. */
    assert_ok(store_put(s, "marks/condemn/a", BYTES_STR("x"), &e));
    assert_ok(store_put(s, "index/a", BYTES_STR("x"), &e));
    store_free(s);
    test_remove(folder);
}

/* ---- disks that are full, read-only or away: on a small tmpfs, in a child with mounts of its own ---- */
#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, e.text); \
            _exit(1);                                                           \
        }                                                                       \
        e = (struct err)ERR_INIT;                                               \
    } while (0)

static bool write_proc(const char *path, const char *text)
{
    struct err e = ERR_INIT;
    AUTO_FD fd = open(path, O_WRONLY);
    return fd >= 0 && fd_write_all(fd, BYTES_STR(text), path, &e) == 0;
}

/* Mounts of its own: as root, or in a user namespace where the kernel grants one. */
static bool leave_mounts(void)
{
    AUTO_CHAR uid = xasprintf("0 %u 1", (unsigned)getuid());
    AUTO_CHAR gid = xasprintf("0 %u 1", (unsigned)getgid());
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_proc("/proc/self/uid_map", uid) &&
           write_proc("/proc/self/setgroups", "deny") && write_proc("/proc/self/gid_map", gid);
}

static bool mount_small(const char *path)
{
    return leave_mounts() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0;
}

static void on_a_small_disk(const char *path)
{
    struct err e = ERR_INIT;
    const struct store_local_options o = {.path = path, .create = true, .require_mount = true, .min_free = 2};
    struct store *s = store_local_new(&o, &e);
    AUTO(buf) big = BUF_NONE;
    AUTO(buf) out = BUF_NONE;
    struct found f = {0};
    CHECK(s);
    CHECK(store_put(s, "lifeboat", BYTES_STR("{}"), &e) == STORE_DONE);
    test_bytes(&big, 2 << 20, 1);
    CHECK(store_put(s, "packs/aa/x", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_SPACE &&
          strstr(e.text, "No space left on device (") && strstr(e.text, "make room on that file system"));
    int fd = store_tempfile(s, &e);
    CHECK(fd >= 0);
    CHECK(fd_write_all(fd, buf_bytes(&big), "spool", &e) && e.kind == ERR_SPACE);
    close(fd);
    big.n = 1010 << 10;
    CHECK(store_put(s, "packs/aa/x", buf_bytes(&big), &e) == STORE_DONE);
    big.n = 20 << 10;
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_SPACE &&
          strstr(e.text, "the last 2 % are left alone (min-free)"));
    local_of(s)->min_free = 0;
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_SPACE &&
          strstr(e.text, "No space left on device ("));
    CHECK(store_list(s, "", find, &f, NULL, &e) == STORE_DONE && f.lines.n == 2);
    CHECK(store_delete(s, "packs/aa/x", &e) == STORE_DONE);
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_DONE);

    CHECK(mount("none", path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK(store_put(s, "packs/aa/z", buf_bytes(&big), &e) == STORE_FAILED && e.kind == ERR_IO &&
          strstr(e.text, "Read-only file system") && strstr(e.text, "look at dmesg"));
    CHECK(store_tempfile(s, &e) < 0 && strstr(e.text, "Read-only file system"));
    CHECK(store_delete(s, "packs/aa/y", &e) == STORE_FAILED && strstr(e.text, "Read-only file system"));
    store_free(s);
    const struct store_local_options again = {.path = path};
    s = store_local_new(&again, &e);
    int64_t now = 0;
    strings_free(&f.lines);
    CHECK(s);
    CHECK(store_list(s, "", find, &f, &now, &e) == STORE_DONE && f.lines.n == 2 && now > 0);
    CHECK(store_get(s, "packs/aa/y", big.n, &out, &e) == STORE_DONE && out.n == big.n);
    CHECK(store_put(s, "packs/aa/y", buf_bytes(&big), &e) == STORE_DONE); /* it is there already */
    strings_free(&f.lines);
    store_free(s);
    CHECK(umount2(path, MNT_DETACH) == 0);
    s = store_local_new(&again, &e);
    CHECK(!s && e.kind == ERR_USAGE && strstr(e.text, "is the disk mounted?"));
}

static void test_small_disk(void **state)
{
    (void)state;
    char *folder = test_folder();
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!mount_small(folder))
            _exit(77);
        on_a_small_disk(folder);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    test_remove(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("test_small_disk: skipped: no file system may be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- files that are not of a store ---- */
static bool is_in(const char *folder, const char *name)
{
    struct stat st;
    AUTO_CHAR path = xasprintf("%s/%s", folder, name);
    return lstat(path, &st) == 0;
}

/* Killed between the temporary name and the final one: the next write of the same file takes it away, once it
 * cannot be in use any more. */
static void test_left_temporary_file(void **state)
{
    (void)state;
    static const char *const names[] = {".last.4194305.tmp", ".last.4194306.tmp", ".lasting.1.tmp",
                                        ".last.x.tmp"};
    struct err e = ERR_INIT;
    char *folder = test_folder();
    AUTO_CHAR path = xasprintf("%s/last", folder);
    const struct timespec long_ago[2] = {{.tv_sec = time(NULL) - 90000}, {.tv_sec = time(NULL) - 90000}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_CHAR left = xasprintf("%s/%s", folder, names[i]);
        assert_ok(file_write(left, BYTES_STR("x"), 0600, true, &e));
        assert_return_code(i == 1 ? 0 : utimensat(AT_FDCWD, left, long_ago, 0), errno);
    }
    assert_ok(file_write(path, BYTES_STR("y"), 0600, false, &e));
    assert_false(is_in(folder, names[0]));
    for (size_t i = 1; i < ARRAY_LEN(names); i++) /* young, of another file, or of somebody else */
        assert_true(is_in(folder, names[i]));
    test_remove(folder);
}

/* As a network file system does that has lost its server. */
static void test_names_that_get_lost(void **state)
{
    struct store *s = store_of(state);
    struct err e = ERR_INIT;
    put(s, "packs/aa/x", "1"); /* it knows how files get their names here */
    names_get_lost = true;
    int by_bytes = store_put(s, "packs/aa/y", BYTES_STR("2"), &e);
    assert_text(e, "the file system said that it was stored, and it is not there");
    e = (struct err)ERR_INIT;
    int by_file = put_by_file(s, "packs/aa/z", "3", 1, &e);
    assert_text(e, "the file system said that it was stored, and it is not there");
    names_get_lost = false;
    assert_int_equal(by_bytes, STORE_FAILED);
    assert_int_equal(by_file, STORE_FAILED);
    expect_list(s, "packs/", "packs/aa/x 1");
}

/* clang-format off */
#define DIRECTORY(set_up) \
    cmocka_unit_test_setup_teardown(test_torn_object_is_replaced, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_bad_sector, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_temporary_files, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_strange_times, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_foreign_files, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_names_that_get_lost, set_up, tear_down)
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIRECTORY(set_up_local),
        DIRECTORY(set_up_named),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_min_free),
        cmocka_unit_test(test_small_disk),
        cmocka_unit_test(test_left_temporary_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
