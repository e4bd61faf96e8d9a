#include "target/target.h"

#include "base/child.h"
#include "base/file.h"

int target_fd(struct feed *in, int fd, const char *what, uint64_t *bytes, struct err *e)
{
    for (;;) {
        struct bytes b;
        if (stop_check(e) || in->next(in, &b, e))
            return -1;
        if (b.n == 0)
            return 0;
        if (fd_write_all(fd, b, what, e))
            return -1;
        *bytes += b.n;
    }
}

int target_command(struct feed *in, const char *shell_command, const char *target_dir, unsigned time_limit_s,
                   struct err *e)
{
    AUTO_CHAR target = xasprintf("LIFEBOAT_TARGET=%s", target_dir);
    const char *const set[] = {target, NULL};
    const struct child_options run = {.shell = shell_command,
                                      .setenv = set,
                                      .in = CHILD_PIPE,
                                      .out = CHILD_NULL,
                                      .time_limit_s = time_limit_s};
    AUTO(child) c = CHILD_NONE;
    uint64_t bytes = 0;
    struct err pipe = ERR_INIT;
    if (child_start(&c, &run, e))
        return -1;
    int fed = target_fd(in, c.in, "restore-command", &bytes, &pipe);
    if (fed && pipe.kind != ERR_IO) { /* the stream's fault, not that of a command which stopped listening */
        *e = pipe;
        return -1;
    }
    if (child_wait(&c, "restore-command", NULL, e))
        return -1;
    return fed ? err_set(e, ERR_FAILED, "restore-command ended well before it had read everything: %s",
                         pipe.text)
               : 0;
}
