#include "base/log.h"
#include "drill/cage.h"
#include "drill/scratch_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS      100
#define MAX_DEPTH   1000 /* of processes under one another */
#define PATIENCE_MS 10000

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool folder_is_in(int fd, const struct stat *what)
{
    struct stat here, up;
    AUTO_FD at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0 && fstat(at, &here) == 0) {
        if (is_same(&here, what))
            return true;
        int above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = above;
        if (at < 0 || fstat(at, &up) != 0 || is_same(&here, &up)) /* the root is above itself */
            return false;
    }
    return false;
}

/* ---- processes ---- */
struct process {
    char name[64];
    uid_t uid;
    long parent;
};

/* The owner of the folder in /proc: of the files in it a process can make root the owner. */
static bool look_at(long pid, struct process *p)
{
    char path[64], text[1024];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%ld", pid);
    if (stat(path, &st) != 0)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *name = strchr(text, '('), *end = strrchr(text, ')'); /* the name may hold either */
    if (!name || !end || strlen(end) < 5)
        return false;
    *end = 0;
    snprintf(p->name, sizeof p->name, "%s", name + 1);
    p->parent = strtol(end + 4, NULL, 10);
    p->uid = st.st_uid;
    return true;
}

static bool link_is_in(long pid, const char *link, const struct stat *folder)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", pid, link);
    AUTO_FD fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && folder_is_in(fd, folder);
}

static bool works_in(long pid, const void *folder)
{
    return link_is_in(pid, "cwd", folder) || link_is_in(pid, "root", folder);
}

/* The last two: a container's, which ends with whoever started it, and is removed by its label. */
static const char *const keepers[] = {CAGE_KEEPER, "containerd-shim", "conmon"};

/* Of that user, and the first of another user above it is no keeper: whoever locked it up is dead. */
static bool is_left_over(long pid, const void *uid)
{
    struct process p;
    if (!look_at(pid, &p) || p.uid != *(const uid_t *)uid)
        return false;
    for (unsigned depth = 0; depth < MAX_DEPTH && p.uid == *(const uid_t *)uid; depth++)
        if (!look_at(p.parent, &p))
            return true;
    for (size_t i = 0; p.uid == 0 && i < ARRAY_LEN(keepers); i++)
        if (strcmp(p.name, keepers[i]) == 0)
            return false;
    return true;
}

/* Its number may be another's by now: what is asked after it was opened is true of what gets the signal. */
static bool end_process(long pid, bool (*wanted)(long pid, const void *what), const void *what)
{
    AUTO_FD fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 || !wanted(pid, what) || syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) != 0)
        return false;
    struct pollfd end = {.fd = fd, .events = POLLIN};
    log_info("ended process %ld, left over from a drill", pid);
    if (poll(&end, 1, PATIENCE_MS) < 1)
        log_warn("process %ld, left over from a drill, does not end", pid);
    return true;
}

/* In rounds: a process may start another one behind our back. */
static void end_all(bool (*wanted)(long pid, const void *what), const void *what)
{
    bool again = true;
    for (unsigned round = 0; again && round < ROUNDS; round++) {
        DIR *d = opendir("/proc");
        again = false;
        for (struct dirent *entry; d && (entry = readdir(d));) {
            long pid = strtol(entry->d_name, NULL, 10);
            if (pid > 1 && pid != getpid() && wanted(pid, what))
                again |= end_process(pid, wanted, what);
        }
        if (d)
            closedir(d);
    }
}

void sweep_folder(const struct stat *folder)
{
    end_all(works_in, folder);
}

void sweep_user(void)
{
    struct err e = ERR_INIT;
    const struct passwd *user = geteuid() == 0 ? cage_find_user(&e) : NULL;
    if (user && user->pw_uid != 0) {
        uid_t uid = user->pw_uid;
        end_all(is_left_over, &uid);
    }
}
