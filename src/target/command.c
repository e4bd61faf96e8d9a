#include "target/target.h"

#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define POLL_MS 250

enum fed { FED_FAILED = -1, FED_ALL = 0, FED_REFUSED, FED_LATE };

/* A command that has stopped reading must not keep us past the time limit or a signal. */
static enum fed write_to(struct child *c, struct bytes b, struct err *e)
{
    while (b.n) {
        struct pollfd room = {.fd = c->in, .events = POLLOUT};
        if (stop_check(e))
            return FED_FAILED;
        if (child_is_late(c))
            return FED_LATE;
        if (poll(&room, 1, POLL_MS) <= 0)
            continue;
        ssize_t n = write(c->in, b.p, b.n);
        if (n < 0 && errno == EPIPE)
            return FED_REFUSED;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(e, ERR_IO, "restore-command: write");
        b = n > 0 ? BYTES(b.p + n, b.n - (size_t)n) : b;
    }
    return FED_ALL;
}

static enum fed feed_all(struct feed *in, struct child *c, struct err *e)
{
    for (;;) {
        struct bytes b;
        if (in->next(in, &b, e))
            return FED_FAILED;
        enum fed fed = b.n ? write_to(c, b, e) : FED_ALL;
        if (fed != FED_ALL || b.n == 0)
            return fed;
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
    fcntl(c.in, F_SETFL, O_NONBLOCK); /* our end of the pipe alone */
    enum fed fed = feed_all(in, &c, e);
    if (fed == FED_FAILED) { /* before it sees the end of its input and takes a part for the whole */
        kill(-c.pid, SIGTERM);
        return -1;
    }
    if (child_wait(&c, "restore-command", NULL, e))
        return -1;
    return fed == FED_ALL
               ? 0
               : err_set(e, ERR_FAILED, "restore-command: ended well before it had read everything");
}
