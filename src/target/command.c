#include "target/target.h"

#include "base/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* 1: it took no more. */
static int feed_all(struct feed *in, struct child *c, struct err *e)
{
    for (;;) {
        struct bytes b;
        if (in->next(in, &b, e))
            return -1;
        int full = child_give(c, b, e);
        if (full || b.n == 0)
            return full;
    }
}

/* The other end of the pipe, to see what stays in it. Opened late: while we have it, writing never fails. */
static int open_reader(const struct child *c)
{
    AUTO_CHAR path = xasprintf("/proc/self/fd/%d", c->in);
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static int run(struct feed *in, struct child *c, const struct target_command_options *o, struct err *e)
{
    child_give_start(c);
    int full = feed_all(in, c, e), unread = 0;
    if (full < 0) { /* before it sees the end of its input and takes a part for the whole */
        kill(-c->pid, SIGTERM);
        return -1;
    }
    AUTO_FD reader = o->strict && !full ? open_reader(c) : -1;
    if (child_wait(c, o->what, NULL, e))
        return -1;
    if (full)
        return err_set(e, ERR_FAILED, "%s: ended well before it had read everything", o->what);
    if (reader >= 0 && ioctl(reader, FIONREAD, &unread) == 0 && unread > 0)
        return err_set(e, ERR_FAILED, "%s: left the last %d bytes unread", o->what, unread);
    return 0;
}

int target_command(struct feed *in, const struct target_command_options *o, struct err *e)
{
    AUTO_CHAR target =
        o->target_dir ? xasprintf("LIFEBOAT_TARGET=%s", o->target_dir) : xstrdup("LIFEBOAT_TARGET");
    size_t n = 0;
    while (o->setenv && o->setenv[n])
        n++;
    const char **set = xcalloc(n + 2, sizeof *set);
    set[0] = target;
    for (size_t i = 0; i < n; i++)
        set[1 + i] = o->setenv[i];
    const struct child_options start = {.shell = o->shell,
                                        .setenv = set,
                                        .directory = o->directory,
                                        .in = CHILD_PIPE,
                                        .out = CHILD_NULL,
                                        .time_limit_s = o->time_limit_s};
    AUTO(child) c = CHILD_NONE;
    int rc = child_start(&c, &start, e);
    free(set);
    if (rc)
        return -1;
    pid_t group = c.pid;
    rc = run(in, &c, o, e);
    child_free(&c);
    if (o->strict)
        kill(-group, SIGKILL);
    return rc;
}
