#include "base/child.h"

#include "base/service.h"

#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

volatile int stop_requested;

int stop_check(struct err *e)
{
    service_tick();
    return stop_requested ? err_set(e, ERR_STOPPED, "stopped by a signal") : 0;
}

#define STDERR_KEPT (16u << 10)
#define SHOWN_LINES 4
#define WITHHELD    8         /* variables */
#define PIPE_SIZE   (1 << 20) /* an unprivileged process's most: /proc/sys/fs/pipe-max-size */

/* Drains stderr in a thread of its own, so that a chatty child never blocks, and keeps the end of it. Once
 * the child has ended, whoever else still holds the pipe (a daemon that it started) is not waited for: not
 * until it speaks, and not until it is silent. */
struct reader {
    pthread_t thread;
    int fd;
    atomic_bool ended;
    struct buf text;
};
#define LINGER_MS  200
#define LONGEST_MS 2000

static void *drain(void *arg)
{
    struct reader *r = arg;
    uint8_t block[4096];
    for (uint64_t ended_ns = 0;;) {
        struct pollfd ready = {.fd = r->fd, .events = POLLIN};
        bool last = r->ended;
        if (last && ended_ns == 0)
            ended_ns = time_monotonic_ns();
        int some = poll(&ready, 1, LINGER_MS);
        if (last && (some == 0 || time_monotonic_ns() - ended_ns > LONGEST_MS * 1000000ull))
            return NULL;
        if (some <= 0)
            continue;
        ssize_t n = read(r->fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        buf_add(&r->text, BYTES(block, n));
        if (r->text.n > 2 * STDERR_KEPT) {
            memmove(r->text.p, r->text.p + r->text.n - STDERR_KEPT, STDERR_KEPT);
            r->text.n = STDERR_KEPT;
        }
    }
}

/* ---- what is ours alone ---- */
static struct {
    pthread_mutex_t lock;
    const char *names[WITHHELD];
} withheld = {.lock = PTHREAD_MUTEX_INITIALIZER};

void child_withhold(const char *name)
{
    size_t i = 0;
    pthread_mutex_lock(&withheld.lock);
    while (i < WITHHELD && withheld.names[i] && strcmp(withheld.names[i], name) != 0)
        i++;
    assert(i < WITHHELD);
    withheld.names[i] = name;
    pthread_mutex_unlock(&withheld.lock);
}

static bool is_withheld(const char *variable)
{
    bool found = false;
    size_t n = strcspn(variable, "=");
    pthread_mutex_lock(&withheld.lock);
    for (size_t i = 0; i < WITHHELD && withheld.names[i]; i++)
        found |= strlen(withheld.names[i]) == n && strncmp(withheld.names[i], variable, n) == 0;
    pthread_mutex_unlock(&withheld.lock);
    return found;
}

static char **make_environment(const char *const *change)
{
    size_t n = 0, extra = 0;
    while (environ[n])
        n++;
    while (change && change[extra])
        extra++;
    char **env = xcalloc(n + extra + 1, sizeof *env);
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        size_t name = strcspn(environ[i], "=");
        bool changed = is_withheld(environ[i]);
        for (size_t k = 0; k < extra; k++)
            changed |= strcspn(change[k], "=") == name && strncmp(change[k], environ[i], name) == 0;
        if (!changed)
            env[out++] = environ[i];
    }
    for (size_t k = 0; k < extra; k++)
        if (strchr(change[k], '='))
            env[out++] = (char *)change[k];
    return env;
}

struct pipes {
    int in[2], out[2], err[2], exec[2];
};

static void close_all(struct pipes *p)
{
    int *fd = (int *)p;
    for (size_t i = 0; i < sizeof *p / sizeof *fd; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

static int put_at(int fd, int to)
{
    return fd == to ? fcntl(fd, F_SETFD, 0) : dup2(fd, to);
}

/* In the child, between fork and exec: async-signal-safe calls only. */
static _Noreturn void become(const struct child_options *o, const struct pipes *p, char *const *argv,
                             char **env)
{
    int null = open("/dev/null", O_RDWR);
    int why = null < 0 ? -errno : 0;
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    int in = o->in == CHILD_PIPE ? p->in[0] : o->in == CHILD_FD ? o->in_fd : null;
    int out = o->out == CHILD_PIPE ? p->out[1] : o->out == CHILD_FD ? o->out_fd : null;
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* libraries do not say it of all that they open */
    if (o->kept_fd)
        fcntl(o->kept_fd, F_SETFD, 0);
    if (!why && put_at(in, 0) >= 0 && put_at(out, 1) >= 0 && put_at(p->err[1], 2) >= 0 &&
        (!o->directory || chdir(o->directory) == 0) && (!o->prepare || !(why = o->prepare(o->prepare_ctx)))) {
        environ = env;
        execvp(argv[0], argv);
    }
    if (!why)
        why = errno;
    (void)!write(p->exec[1], &why, sizeof why);
    _exit(127);
}

int child_start(struct child *c, const struct child_options *o, struct err *e)
{
    *c = (struct child)CHILD_NONE;
    struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    const char *const by_shell[] = {"/bin/sh", "-c", o->shell, NULL};
    char *const *argv = (char *const *)(o->shell ? by_shell : o->argv);
    if ((o->in == CHILD_PIPE && pipe2(p.in, O_CLOEXEC)) ||
        (o->out == CHILD_PIPE && pipe2(p.out, O_CLOEXEC)) || pipe2(p.err, O_CLOEXEC) ||
        pipe2(p.exec, O_CLOEXEC)) {
        close_all(&p);
        return err_errno(e, ERR_FAILED, "%s: pipe", argv[0]);
    }
    char **env = make_environment(o->setenv);
    pid_t pid = fork();
    if (pid == 0)
        become(o, &p, argv, env);
    free(env);
    if (pid < 0) {
        close_all(&p);
        return err_errno(e, ERR_FAILED, "%s: fork", argv[0]);
    }
    setpgid(pid, pid); /* whoever of the two comes first */
    close(p.exec[1]);
    p.exec[1] = -1;
    int why = 0;
    ssize_t got;
    while ((got = read(p.exec[0], &why, sizeof why)) < 0 && errno == EINTR)
        ;
    if (got == sizeof why) {
        waitpid(pid, NULL, 0);
        close_all(&p);
        errno = abs(why);
        if (why < 0)
            return err_errno(e, ERR_FAILED, "%s: /dev/null, which it needs", argv[0]);
        if (why == ENOENT)
            return err_set(e, ERR_USAGE, "%s: no such program (looked in PATH=%s)", argv[0],
                           getenv("PATH") ? getenv("PATH") : "");
        return err_errno(e, ERR_FAILED, "%s: cannot be run", argv[0]);
    }
    struct reader *r = xcalloc(1, sizeof *r);
    r->fd = p.err[0];
    *c = (struct child){.pid = pid,
                        .in = p.in[1],
                        .out = p.out[0],
                        .err_fd = p.err[0],
                        .time_limit_s = o->time_limit_s,
                        .to_its_end = o->to_its_end,
                        .started_ns = time_monotonic_ns(),
                        .reader = r};
    p.in[1] = p.out[0] = p.err[0] = -1;
    close_all(&p);
    if (pthread_create(&r->thread, NULL, drain, r) != 0)
        die(OUT_OF_THREADS);
    return 0;
}

/* Whether its time limit has passed. */
static bool is_late(const struct child *c)
{
    return c->time_limit_s && time_monotonic_ns() - c->started_ns > c->time_limit_s * 1000000000ull;
}

int child_wait_readable(struct child *c, struct err *e)
{
    for (;;) {
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        if (stop_check(e))
            return -1;
        if (is_late(c))
            return err_set(e, ERR_FAILED, "stopped after %u s (its time limit)", c->time_limit_s);
        int rc = poll(&p, 1, 250);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return err_errno(e, ERR_IO, "poll");
    }
}

void child_give_start(struct child *c)
{
    fcntl(c->in, F_SETPIPE_SZ, PIPE_SIZE);
    fcntl(c->in, F_SETFL, O_NONBLOCK);
}

int child_give(struct child *c, struct bytes b, struct err *e)
{
    while (b.n) {
        struct pollfd room = {.fd = c->in, .events = POLLOUT};
        if (stop_check(e))
            return -1;
        if (is_late(c))
            return 1;
        if (poll(&room, 1, 250) <= 0)
            continue;
        ssize_t n = write(c->in, b.p, b.n);
        if (n < 0 && errno == EPIPE)
            return 1;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(e, ERR_IO, "its input");
        if (n > 0)
            b = BYTES(b.p + n, b.n - (size_t)n);
    }
    return 0;
}

static void close_pipe(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

#define STATUS_UNKNOWN (-1) /* waitpid() gives none: neither exited nor killed */

/* Reaps within `ms` milliseconds (forever when negative); looks at the time limit and at stop_requested. */
static bool reap(struct child *c, long ms, int *status)
{
    long waited = 0, pause = 1;
    for (;;) {
        bool just_wait = ms < 0 && !c->time_limit_s && !stop_requested && !service_is_watched();
        pid_t got = waitpid(c->pid, status, just_wait ? 0 : WNOHANG);
        service_tick();
        if (got == c->pid || (got < 0 && errno != EINTR)) {
            *status = got < 0 ? STATUS_UNKNOWN : *status;
            c->pid = 0;
            return true;
        }
        if (got < 0)
            continue;
        if (ms >= 0 && waited >= ms)
            return false;
        if (ms < 0 && is_late(c)) {
            c->timed_out = true;
            return false;
        }
        if (ms < 0 && stop_requested && !c->to_its_end)
            return false;
        sleep_ms(pause);
        waited += pause;
        pause = MIN(pause * 2, 50L);
    }
}

static void end_group(struct child *c, int *status)
{
    pid_t group = c->pid;
    kill(-group, SIGTERM);
    if (!reap(c, 5000, status)) {
        kill(-group, SIGKILL);
        while (!reap(c, 1000, status))
            ;
    }
    kill(-group, SIGKILL); /* what it left in its group */
}

static void join_reader(struct child *c)
{
    struct reader *r = c->reader;
    if (!r)
        return;
    r->ended = true;
    pthread_join(r->thread, NULL);
    c->reader = NULL;
    size_t drop = r->text.n > STDERR_KEPT ? r->text.n - STDERR_KEPT : 0;
    buf_add(&c->err_text, BYTES(r->text.p ? r->text.p + drop : NULL, r->text.n - drop));
    buf_free(&r->text);
    free(r);
    close_pipe(&c->err_fd);
}

/* The last lines of stderr, for the error text. */
static const char *last_lines(struct child *c)
{
    const char *text = buf_cstr(&c->err_text);
    size_t n = c->err_text.n;
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    c->err_text.p[n] = 0;
    size_t start = n;
    for (unsigned lines = 0; start > 0; start--)
        if (text[start - 1] == '\n' && ++lines == SHOWN_LINES)
            break;
    return text + start;
}

int child_wait(struct child *c, const char *what, int *status, struct err *e)
{
    close_pipe(&c->in);
    close_pipe(&c->out);
    int st = 0;
    if (!reap(c, -1, &st))
        end_group(c, &st);
    join_reader(c);
    if (status)
        *status = st;
    const char *said = last_lines(c);
    const char *colon = *said ? ": " : "";
    if (c->timed_out)
        return err_set(e, ERR_FAILED, "%s: stopped after %u s (its time limit)%s%s", what, c->time_limit_s,
                       colon, said);
    if (st == STATUS_UNKNOWN)
        return err_set(e, ERR_FAILED,
                       "%s: how it ended is not known, so it counts as failed (is SIGCHLD ignored here?)%s%s",
                       what, colon, said);
    if (WIFSIGNALED(st))
        return err_set(e, ERR_FAILED, "%s: killed by signal %d (%s)%s%s", what, WTERMSIG(st),
                       strsignal(WTERMSIG(st)), colon, said);
    if (WEXITSTATUS(st) != 0)
        return err_set(e, ERR_FAILED, "%s: exit status %d%s%s", what, WEXITSTATUS(st), colon, said);
    return 0;
}

void child_free(struct child *c)
{
    int status;
    if (c->pid > 0) /* before its input ends: it shall not take that for a good end */
        end_group(c, &status);
    close_pipe(&c->in);
    close_pipe(&c->out);
    join_reader(c);
    buf_free(&c->err_text);
    *c = (struct child)CHILD_NONE;
}

int child_output(const struct child_options *o, const char *what, size_t limit, struct buf *out,
                 struct err *e)
{
    struct child_options with_pipe = *o;
    with_pipe.out = CHILD_PIPE;
    AUTO(child) c = CHILD_NONE;
    if (child_start(&c, &with_pipe, e))
        return -1;
    size_t start = out->n;
    for (;;) {
        if (child_wait_readable(&c, e))
            return err_wrap(e, "%s", what);
        ssize_t n = fd_read(c.out, buf_reserve(out, 65536), 65536, what, e);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        out->n += (size_t)n;
        if (out->n - start > limit)
            return err_set(e, ERR_FAILED, "%s: printed more than %zu bytes", what, limit);
    }
    return child_wait(&c, what, NULL, e);
}
