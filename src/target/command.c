#include "target/target.h"

#include "base/child.h"

#include <signal.h>

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

int target_command(struct feed *in, const char *shell_command, const char *target_dir, unsigned time_limit_s,
                   struct err *e)
{
    AUTO_CHAR target = target_dir ? xasprintf("LIFEBOAT_TARGET=%s", target_dir) : xstrdup("LIFEBOAT_TARGET");
    const char *const set[] = {target, NULL};
    const struct child_options run = {.shell = shell_command,
                                      .setenv = set,
                                      .in = CHILD_PIPE,
                                      .out = CHILD_NULL,
                                      .time_limit_s = time_limit_s};
    AUTO(child) c = CHILD_NONE;
    if (child_start(&c, &run, e))
        return -1;
    child_give_start(&c);
    int full = feed_all(in, &c, e);
    if (full < 0) { /* before it sees the end of its input and takes a part for the whole */
        kill(-c.pid, SIGTERM);
        return -1;
    }
    if (child_wait(&c, "restore-command", NULL, e))
        return -1;
    return full ? err_set(e, ERR_FAILED, "restore-command: ended well before it had read everything") : 0;
}
