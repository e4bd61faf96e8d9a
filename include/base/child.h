/* child.h - running other programs: argv, never a shell unless asked; stdin, stdout as pipes when wanted;
 * stderr collected apart; no other descriptor is inherited, whoever opened it; the whole process group is
 * ended with the handle. */
#ifndef LIFEBOAT_BASE_CHILD_H
#define LIFEBOAT_BASE_CHILD_H

#include "base/base.h"

#include <sys/types.h>

enum child_io { CHILD_NULL, CHILD_PIPE, CHILD_FD };
struct child_options {
    const char *const *argv;   /* NULL-ended; argv[0] is looked up in PATH; or: */
    const char *shell;         /* run by /bin/sh -c */
    const char *const *setenv; /* "NAME=value" added or replaced, "NAME" removed; NULL-ended; NULL for none */
    const char *directory;     /* working directory, NULL: ours */
    enum child_io in, out;     /* CHILD_FD: in_fd, out_fd (borrowed) */
    int in_fd, out_fd;
    int kept_fd;           /* one more descriptor that it gets, under its number here; 0: none */
    unsigned time_limit_s; /* 0: none; past it the group gets SIGTERM, 10 s later SIGKILL */
    bool to_its_end;       /* child_wait() does not end it when asked to stop: it puts something in order */
    /* Called in the child right before exec, in its process group, with 0 to 2 in place: async-signal-safe
     * calls only. Not 0 (an errno) gives up: child_start() fails with it. May be NULL. */
    int (*prepare)(void *ctx);
    void *prepare_ctx;
};
struct child {
    pid_t pid;           /* also its process group; 0: not running */
    int in, out;         /* our ends of the pipes, or -1; closed by child_wait and child_free */
    int err_fd;          /* private: the reader of stderr */
    struct buf err_text; /* the last 16 KiB of stderr, complete once child_wait returned */
    unsigned time_limit_s;
    uint64_t started_ns;
    bool to_its_end, timed_out;
    void *reader; /* private */
};
#define CHILD_NONE                        \
    {                                     \
        .in = -1, .out = -1, .err_fd = -1 \
    }

/* From now on no program that is started gets this variable of our environment. `name` is a constant. */
void child_withhold(const char *name);

/* ERR_USAGE when the program is not there ("pg_dump: not found in PATH"). */
int child_start(struct child *c, const struct child_options *o, struct err *e) MUST_CHECK;

/* Makes c->in, a pipe, fit for child_give(): large, and not blocking. */
void child_give_start(struct child *c);
/* Writes all of it into c->in. 1: the child reads no more, or its time limit has passed (child_wait() says
 * which). ERR_STOPPED when asked to stop. The program ignores SIGPIPE. */
int child_give(struct child *c, struct bytes b, struct err *e) MUST_CHECK;

/* Waits until c->out can be read (data, or its end). ERR_FAILED past the time limit, ERR_STOPPED when asked
 * to stop. */
int child_wait_readable(struct child *c, struct err *e) MUST_CHECK;

/* Waits for the end. 0: it exited with 0. Otherwise -1 and ERR_FAILED: "pg_dump: exit status 1: <last lines
 * of stderr>", "killed by signal 9 (Killed)", "stopped after 300 s (time limit)". *status as from waitpid,
 * may be NULL. */
int child_wait(struct child *c, const char *what, int *status, struct err *e) MUST_CHECK;

/* Ends the group if it still runs (SIGTERM, then SIGKILL after 5 s) and reaps it. */
void child_free(struct child *c);
AUTO_FOR(child)

/* Start, collect at most `limit` bytes of stdout, wait. */
int child_output(const struct child_options *o, const char *what, size_t limit, struct buf *out,
                 struct err *e) MUST_CHECK;

/* Set by the program's signal handler: long loops look at it and end with ERR_STOPPED. */
extern volatile int stop_requested;
int stop_check(struct err *e) MUST_CHECK; /* -1 with ERR_STOPPED when set */

#endif
