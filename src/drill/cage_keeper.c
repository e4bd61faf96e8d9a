#include "drill/cage_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_LOST  127
#define GRACE_MS   2000 /* for a server to take its shared memory away */
#define PAUSE_NS   1000000
#define SPACES     (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWUTS)
#define PROC_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define OOM_SCORE  "800" /* of 1000: before the services of the machine */

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* "/proc/", the number, `name`. */
static const char *proc_path(char out[64], pid_t pid, const char *name)
{
    char digits[16], *first = digits + sizeof digits;
    *--first = 0;
    do
        *--first = (char)('0' + pid % 10);
    while ((pid /= 10) > 0);
    stpcpy(stpcpy(stpcpy(out, "/proc/"), first), name);
    return out;
}

static bool put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* ---- without a PID namespace: who is left is found by its parent ---- */

/* The parent in "PID (name) S PARENT ..."; the name may hold anything, but nothing after it a ")". */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    int fd = open(proc_path(path, pid, "/stat"), O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return 0;
    text[got] = 0;
    const char *p = strrchr(text, ')');
    pid_t parent = 0;
    if (p && strlen(p) > 4)
        for (p += 4; *p >= '0' && *p <= '9'; p++)
            parent = parent * 10 + (*p - '0');
    return parent;
}

static void kill_children(void)
{
    char block[4096] __attribute__((aligned(8)));
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;
    while (fd >= 0 && (n = syscall(SYS_getdents64, fd, block, sizeof block)) > 0) {
        for (long at = 0; at < n;) {
            const struct dirent64 *entry = (const void *)(block + at);
            pid_t pid = 0;
            for (const char *c = entry->d_name; *c >= '0' && *c <= '9'; c++)
                pid = pid * 10 + (*c - '0');
            if (pid && parent_of(pid) == getpid())
                kill(pid, SIGKILL);
            at += entry->d_reclen;
        }
    }
    if (fd >= 0)
        close(fd);
}

/* Orphans become our children: round by round all descendants are reached. */
static void end_children(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (;;) {
        pid_t got;
        kill_children();
        while ((got = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (got < 0 && errno == ECHILD)
            return;
        nanosleep(&pause, NULL);
    }
}

/* ---- the keeper ---- */

/* Reaps; whether `pid` was among those that ended. */
static bool has_ended(pid_t pid, int *status)
{
    bool ended = false;
    int st;
    for (pid_t got; (got = waitpid(-1, &st, WNOHANG)) > 0;)
        if (got == pid) {
            *status = st;
            ended = true;
        }
    return ended;
}

/* A server that is told to stop at once removes its System V segment; nobody else would. */
static void end_gently(pid_t pid)
{
    sigset_t ends;
    const struct timespec grace = {.tv_sec = GRACE_MS / 1000, .tv_nsec = GRACE_MS % 1000 * 1000000};
    int status;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    kill(pid, SIGQUIT);
    while (!has_ended(pid, &status))
        if (sigtimedwait(&ends, NULL, &grace) < 0 && errno == EAGAIN)
            return;
}

/* Until `pid` ends, or we are told to end it: by SIGTERM, also when our parent dies. */
static _Noreturn void keep(pid_t pid, bool in_namespaces)
{
    sigset_t awaited;
    int status = EXIT_LOST << 8, sig;
    prctl(PR_SET_DUMPABLE, 0);
    close_range(3, ~0u, 0);
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGHUP);
    while (!has_ended(pid, &status)) {
        sig = sigwaitinfo(&awaited, NULL);
        if (sig < 0 || sig == SIGCHLD)
            continue;
        if (in_namespaces)
            kill(pid, SIGKILL); /* its whole namespace */
        else
            end_gently(pid);
        break;
    }
    if (in_namespaces)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    else
        end_children();
    _exit(exit_code(status));
}

/* Everything read-only but its folder, which is at /tmp, too: Landlock knows nothing of chmod and the like.
 * And a /proc of its own processes. What the kernel does not allow (before 5.12; where /proc is covered in
 * part, as in containers) is left as it is. */
static void arrange_mounts(const struct cage *c)
{
    struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return;
    int tree = open_tree(AT_FDCWD, c->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree >= 0 && mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &readonly, sizeof readonly) == 0 &&
        move_mount(tree, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) == 0)
        dup3(tree, c->folder, O_CLOEXEC); /* from the old one ".." leads to what is writable */
    mount("proc", "/proc", "proc", PROC_FLAGS, NULL);
}

/* The first process of a PID namespace: when it ends, the kernel ends all others in there. It may not be
 * killed from inside. Returns in the program's process. */
static int be_first(struct cage *c)
{
    prctl(PR_SET_DUMPABLE, 0);
    arrange_mounts(c);
    pid_t pid = _Fork(), got;
    if (pid == 0)
        return cage_lock(c);
    if (pid < 0)
        return errno;
    close_range(3, ~0u, 0);
    int status = 0;
    do
        got = waitpid(-1, &status, 0);
    while (got != pid && (got >= 0 || errno == EINTR));
    _exit(got == pid ? exit_code(status) : EXIT_LOST);
}

/* Without root: this user and group are the only ones that a user namespace knows. */
static bool map_user(const struct cage *c, pid_t pid)
{
    char path[64];
    return put_text(proc_path(path, pid, "/setgroups"), "deny") &&
           put_text(proc_path(path, pid, "/uid_map"), c->uid_map) &&
           put_text(proc_path(path, pid, "/gid_map"), c->gid_map);
}

/* 0: in the first process of new namespaces; its pid; or -1: they are not to be had. */
static pid_t enter_namespaces(const struct cage *c)
{
    struct clone_args args = {.flags = SPACES | (c->own_user ? 0 : CLONE_NEWUSER), .exit_signal = SIGCHLD};
    int go[2];
    char byte = 0;
    if (pipe2(go, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        close(go[1]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(go[0], &byte, 1) != 1) /* the keeper died before that, or wants it otherwise */
            _exit(EXIT_LOST);
        return 0;
    }
    if (pid > 0 && ((!c->own_user && !map_user(c, pid)) || write(go[1], &byte, 1) != 1)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(go[0]);
    close(go[1]);
    return pid;
}

int cage_enter(void *cage)
{
    struct cage *c = cage;
    sigset_t all;
    pid_t pid = -1;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_NAME, CAGE_KEEPER);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != c->parent)
        return ECANCELED;
    if (!c->own_user)
        prctl(PR_SET_DUMPABLE, 1); /* or our files in /proc are root's; nothing runs in the cage yet */
    put_text("/proc/self/oom_score_adj", OOM_SCORE);
    c->report->step = "namespaces";
    if (!c->no_namespaces && (pid = enter_namespaces(c)) == 0)
        return be_first(c);
    bool in_namespaces = c->report->in_namespaces = pid > 0;
    if (!in_namespaces) {
        c->report->step = "fork";
        prctl(PR_SET_DUMPABLE, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        if ((pid = _Fork()) == 0)
            return cage_lock(c);
        if (pid < 0)
            return errno;
    }
    keep(pid, in_namespaces);
}
