#include "drill/cage_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICENESS      10
#define MAX_PROCESSES 256 /* the server's 20 connections, its helpers, and what they start */

static int set_limits(const struct cage *c)
{
    const struct rlimit none = {0, 0}, processes = {MAX_PROCESSES, MAX_PROCESSES};
    umask(077);
    if (setpriority(PRIO_PROCESS, 0, NICENESS) != 0 && errno != EACCES && errno != EPERM) /* nicer already */
        return errno;
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return errno;
    /* The limit counts all of a user's: it is not for a user who has others. */
    if (c->own_user && setrlimit(RLIMIT_NPROC, &processes) != 0)
        return errno;
    return 0;
}

/* By system calls: libc's functions would look for our threads. */
static int drop_rights(const struct cage *c)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct nothing[2] = {{0}, {0}};
    if (c->own_user &&
        (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, c->gid, c->gid, c->gid) != 0 ||
         syscall(SYS_setresuid, c->uid, c->uid, c->uid) != 0))
        return errno;
    if (syscall(SYS_capset, &header, nothing) != 0)
        return errno;
    if (getuid() != c->uid || geteuid() != c->uid || getegid() != c->gid ||
        syscall(SYS_setresuid, 0, 0, 0) == 0)
        return EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}

int cage_lock(struct cage *c)
{
    const pid_t keeper = getppid();
    sigset_t none;
    int rc;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* and so without a terminal */
    c->report->step = "limits";
    if ((rc = set_limits(c)))
        return rc;
    c->report->step = "user";
    if ((rc = drop_rights(c)))
        return rc;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of user, which clears it */
    if (getppid() != keeper)
        return ECANCELED;
    c->report->step = "Landlock";
    if ((rc = cage_lock_files(c)))
        return rc;
    c->report->step = "files";
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0 || fcntl(c->folder, F_SETFD, 0) != 0)
        return errno; /* open until exec: child_start() waits for that */
    c->report->step = "seccomp";
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &c->filter) != 0)
        return errno;
    c->report->step = "exec";
    return 0;
}
