/* The folder that a drill works in: where it may be, one drill at a time, what dead drills left. */
#include "testing.h"

#include "drill/cage.h"
#include "drill/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEFT_OVER "lifeboat-drill-0123456789abcdef"
#define DEPTH     3000 /* more than files may be open, more than a path may be long */

static char *folder; /* of each test */

static int set_up(void **state)
{
    (void)state;
    folder = test_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_remove(folder);
    return 0;
}

static char *below(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static struct scratch *open_scratch(const char *directory, const struct strings *keep_out, struct err *e)
{
    const struct scratch_options o = {.directory = directory, .keep_out = keep_out};
    *e = (struct err)ERR_INIT;
    return scratch_new(&o, e);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? (unsigned)st.st_mode & 07777 : 0;
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void make_file(const char *path)
{
    struct err e = ERR_INIT;
    assert_ok(file_write(path, BYTES_STR("x"), 0600, true, &e));
}

static void a_fresh_folder_and_none_afterwards(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR directory = below("state/drill");
    (void)state;
    struct scratch *s = open_scratch(directory, NULL, &e);
    assert_non_null(s);
    AUTO_CHAR path = xstrdup(scratch_path(s));
    assert_int_equal(path[0], '/');
    assert_int_equal(mode_of(directory), 0700);
    assert_int_equal(mode_of(path), 0700);
    AUTO_CHAR file = xasprintf("%s/file", path);
    make_file(file);
    struct statvfs fs;
    assert_int_equal(statvfs(folder, &fs), 0);
    uint64_t room = scratch_room(s), all = (uint64_t)fs.f_bavail * fs.f_frsize;
    assert_true(all < (1u << 30) || (room > 0 && room < all - (200u << 20)));
    scratch_free(s);
    assert_false(is_there(path));
    assert_true(is_there(directory));
}

static void one_at_a_time(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    AUTO_PTR(scratch) first = open_scratch(folder, NULL, &e);
    assert_non_null(first);
    assert_null(open_scratch(folder, NULL, &e));
    assert_int_equal(e.kind, ERR_UNPROVEN);
    assert_text(e, "another drill is running in ");
    assert_true(is_there(scratch_path(first)));
}

static void not_in_memory(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    assert_null(open_scratch("/dev/shm/lifeboat-no-such-folder/drill", NULL, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, "file system in memory");
    assert_false(is_there("/dev/shm/lifeboat-no-such-folder"));
}

/* ---- sources and stores ---- */
static void expect_refused(const char *directory, const char *other, const char *text)
{
    struct err e = ERR_INIT;
    AUTO(strings) keep_out = STRINGS_NONE;
    strings_add(&keep_out, "/no/such/folder");
    strings_add(&keep_out, other);
    assert_null(open_scratch(directory, &keep_out, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, text);
    assert_text(e, other);
}

static void apart_from_sources_and_stores(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR source = below("source");
    AUTO_CHAR inside = below("source/a/drill");
    AUTO_CHAR link = below("link");
    AUTO_CHAR by_link = below("link/drill");
    AUTO_CHAR made = below("source/a");
    AUTO_CHAR beside = below("source-drill");
    (void)state;
    assert_ok(dir_make(source, 0700, &e));
    assert_int_equal(symlink("source", link), 0);
    expect_refused(inside, source, " lies in ");
    assert_false(is_there(made));
    expect_refused(source, source, " lies in ");
    expect_refused(by_link, source, " lies in ");
    expect_refused(inside, link, " lies in ");
    expect_refused(folder, source, " has ");
    expect_refused(folder, link, " has ");
    AUTO(strings) keep_out = STRINGS_NONE;
    strings_add(&keep_out, source);
    AUTO_PTR(scratch) s = open_scratch(beside, &keep_out, &e);
    assert_non_null(s);
}

static void apart_by_bind_mounts_too(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR source = below("source");
    AUTO_CHAR mounted = below("mounted");
    AUTO_CHAR inside = below("mounted/drill");
    int status;
    (void)state;
    assert_ok(dir_make(source, 0700, &e));
    assert_ok(dir_make(mounted, 0700, &e));
    pid_t pid = fork();
    if (pid == 0) {
        AUTO(strings) keep_out = STRINGS_NONE;
        strings_add(&keep_out, source);
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount(source, mounted, NULL, MS_BIND, NULL) != 0)
            _exit(77);
        _exit(!open_scratch(inside, &keep_out, &e) && strstr(e.text, " lies in ") ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WEXITSTATUS(status) == 77) {
        printf("skipped: mounting takes root\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- what dead drills left ---- */
static void left_over_folders_go_and_nothing_else(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR left = below(LEFT_OVER "/pg/base");
    AUTO_CHAR file = below(LEFT_OVER "/pg/base/1");
    AUTO_CHAR top = below(LEFT_OVER);
    AUTO_CHAR other = below("lifeboat-drill-mine");
    AUTO_CHAR plain = below("plain");
    AUTO_CHAR longer = below(LEFT_OVER "0");
    AUTO_CHAR kept = below("plain/kept");
    AUTO_CHAR escape = below(LEFT_OVER "/out");
    AUTO_CHAR link = below("lifeboat-drill-aaaaaaaaaaaaaaaa");
    AUTO_CHAR odd = below("lifeboat-drill-bbbbbbbbbbbbbbbb");
    (void)state;
    assert_ok(dir_make(left, 0700, &e));
    make_file(file);
    assert_int_equal(chmod(left, 0), 0);
    assert_ok(dir_make(other, 0700, &e));
    assert_ok(dir_make(longer, 0700, &e));
    assert_ok(dir_make(plain, 0700, &e));
    make_file(kept);
    make_file(odd);
    assert_int_equal(symlink("plain", link), 0);
    assert_int_equal(symlink("../plain", escape), 0);
    AUTO_PTR(scratch) s = open_scratch(folder, NULL, &e);
    assert_non_null(s);
    assert_false(is_there(top));
    assert_true(is_there(other) && is_there(longer) && is_there(kept) && is_there(link) && is_there(odd));
}

static unsigned refusals; /* of the folder that is left over: somebody puts files into it */

int unlinkat(int dirfd, const char *name, int flags)
{
    const char *slash = strrchr(name, '/');
    if (refusals && strcmp(slash ? slash + 1 : name, LEFT_OVER) == 0) {
        refusals--;
        errno = ENOTEMPTY;
        return -1;
    }
    return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

/* A server whose drill was killed has two seconds to end. */
static void left_over_folders_go_once_nobody_writes_there(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR top = below(LEFT_OVER);
    AUTO_CHAR path = xstrdup(getenv("PATH"));
    (void)state;
    assert_ok(dir_make(top, 0700, &e));
    refusals = 3;
    setenv("PATH", folder, 1); /* no rm: it would remove it */
    AUTO_PTR(scratch) s = open_scratch(folder, NULL, &e);
    setenv("PATH", path, 1);
    assert_non_null(s);
    assert_int_equal(refusals, 0);
    assert_false(is_there(top));
}

static void left_over_folders_go_however_deep(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR top = below(LEFT_OVER);
    int at = AT_FDCWD;
    (void)state;
    assert_int_equal(mkdir(top, 0700), 0);
    for (unsigned i = 0; i < DEPTH; i++) {
        int next = openat(at, i ? "d" : top, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (i)
            close(at);
        at = next;
        assert_int_equal(mkdirat(at, "d", 0700), 0);
    }
    close(at);
    AUTO_PTR(scratch) s = open_scratch(folder, NULL, &e);
    assert_non_null(s);
    assert_false(is_there(top));
}

/* A process that waits for its end; its user and working directory as told. */
static pid_t start_waiting(uid_t uid, const char *directory, const char *parent_name)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    prctl(PR_SET_NAME, parent_name);
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(directory) != 0 || (uid != geteuid() && setresuid(uid, uid, uid) != 0))
            _exit(99);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "a (strange) name");
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    close(ready[1]); /* or this would wait for ever, should a drill elsewhere end it early */
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static bool is_killed(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, WNOHANG) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void left_over_processes_go(void **state)
{
    struct err e = ERR_INIT;
    AUTO_CHAR left = below(LEFT_OVER "/pg/base");
    AUTO_CHAR plain = below("plain");
    (void)state;
    assert_ok(dir_make(left, 0700, &e));
    assert_ok(dir_make(plain, 0700, &e));
    pid_t inside = start_waiting(geteuid(), left, "test"), beside = start_waiting(geteuid(), plain, "test");
    AUTO_PTR(scratch) s = open_scratch(folder, NULL, &e);
    assert_non_null(s);
    assert_true(is_killed(inside));
    assert_int_equal(waitpid(beside, NULL, WNOHANG), 0);
    kill(beside, SIGKILL);
    waitpid(beside, NULL, 0);
}

static void processes_in_it_end_with_it(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    struct scratch *s = open_scratch(folder, NULL, &e);
    assert_non_null(s);
    pid_t inside = start_waiting(geteuid(), scratch_path(s), "test");
    scratch_free(s);
    assert_true(is_killed(inside));
}

/* Those of the drills' user, wherever they are, unless a keeper stands above them. */
static void orphans_of_the_user_go(void **state)
{
    struct err e = ERR_INIT;
    const struct passwd *user = getpwnam(CAGE_USER);
    (void)state;
    if (geteuid() != 0 || !user) {
        printf("skipped: takes root and the user " CAGE_USER "\n");
        skip();
    }
    pid_t kept = start_waiting(user->pw_uid, "/", CAGE_KEEPER);
    struct scratch *s = open_scratch(folder, NULL, &e);
    assert_non_null(s);
    scratch_free(s);
    assert_int_equal(waitpid(kept, NULL, WNOHANG), 0);
    kill(kept, SIGKILL);
    waitpid(kept, NULL, 0);
    pid_t orphan = start_waiting(user->pw_uid, "/", "test");
    s = open_scratch(folder, NULL, &e);
    assert_non_null(s);
    assert_true(is_killed(orphan));
    scratch_free(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_fresh_folder_and_none_afterwards),
        TEST(one_at_a_time),
        TEST(not_in_memory),
        TEST(apart_from_sources_and_stores),
        TEST(apart_by_bind_mounts_too),
        TEST(left_over_folders_go_and_nothing_else),
        TEST(left_over_folders_go_once_nobody_writes_there),
        TEST(left_over_folders_go_however_deep),
        TEST(left_over_processes_go),
        TEST(processes_in_it_end_with_it),
        TEST(orphans_of_the_user_go),
    };
    setenv("TMPDIR", "/var/tmp", 0); /* /tmp may be in memory */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
