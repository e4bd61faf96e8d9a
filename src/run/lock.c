#include "internal.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* The kernel drops the lock with its holder, so a killed run leaves none behind; the file stays. */
int lock_take(const char *state_dir, const char *id, struct err *e)
{
    char holder[24] = "";
    AUTO_CHAR path = xasprintf("%s/%s.lock", state_dir, id);
    AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_errno(e, ERR_IO, "%s: lock", path);
        if (pread(fd, holder, sizeof holder - 1, 0) < 0)
            holder[0] = 0;
        long pid = strtol(holder, NULL, 10); /* 0: it came just now and has not written it yet */
        AUTO_CHAR who = pid > 0 ? xasprintf(" (pid %ld)", pid) : xstrdup("");
        return err_set(e, ERR_FAILED, "another lifeboat is at work%s: wait for it, or stop it", who);
    }
    snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0)
        return err_errno(e, ERR_IO, "%s", path);
    if (fd_pwrite_all(fd, BYTES_STR(holder), 0, path, e))
        return -1;
    int taken = fd;
    fd = -1;
    return taken;
}
