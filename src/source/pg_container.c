#include "source/pg_container.h"

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_LIMIT_S 60
#define SAID_MOST   4096

/* The end of an exec here does not reach what runs in there, but the end of its input does. A shell waits for
 * both ends; `read` is its own, so it leaves no process behind either. */
const char pg_container_guard[] = "exec 3<&0 </dev/null\n"
                                  "\"$@\" 3<&- & p=$!\n"
                                  "{ read -r x <&3; kill $p; } >/dev/null 2>&1 & w=$!\n"
                                  "exec 3<&-\n"
                                  "wait $p; s=$?\n"
                                  "kill $w 2>/dev/null\n"
                                  "exit $s";

void pg_container_free(struct pg_container *c)
{
    free(c->command);
    free(c->engine);
    free(c->id);
    free(c->name);
    free(c->port);
    free(c->socket);
    free(c->image);
    *c = (struct pg_container){0};
}

static void add_words(struct strings *out, const char *const *words)
{
    for (; *words; words++)
        strings_add(out, *words);
}

void pg_container_words(const struct pg_container *c, const struct strings *environment, bool guarded,
                        struct strings *out)
{
    add_words(out, (const char *const[]){c->command, "exec", "-i", NULL});
    for (size_t i = 0; i < environment->n; i++) {
        size_t name = strcspn(environment->v[i], "=");
        if (!environment->v[i][name])
            continue;
        strings_add(out, "-e");
        strings_add_fmt(out, "%.*s", (int)name, environment->v[i]);
    }
    strings_add(out, c->id);
    strings_add(out, "env"); /* the container has an environment of its own */
    for (size_t i = 0; i < environment->n; i++)
        if (!strchr(environment->v[i], '='))
            add_words(out, (const char *const[]){"-u", environment->v[i], NULL});
    if (guarded)
        add_words(out, (const char *const[]){"sh", "-c", pg_container_guard, "sh", NULL});
}

/* Runs some words in it. *status: as of waitpid. */
static int run_words(const struct pg_container *c, const char *const *words, int in, struct buf *out,
                     int *status, struct err *e)
{
    AUTO(strings) all = STRINGS_NONE;
    AUTO(child) run = CHILD_NONE;
    const struct strings none = STRINGS_NONE;
    const char *const engine[] = {c->engine, "DOCKER_CONTEXT", NULL};
    pg_container_words(c, &none, false, &all);
    add_words(&all, words);
    const char **argv = xcalloc(all.n + 1, sizeof *argv);
    memcpy(argv, all.v, all.n * sizeof *argv);
    const struct child_options o = {.argv = argv,
                                    .setenv = engine,
                                    .in = in < 0 ? CHILD_NULL : CHILD_FD,
                                    .in_fd = in,
                                    .out = CHILD_PIPE,
                                    .time_limit_s = ASK_LIMIT_S};
    int rc = child_start(&run, &o, e);
    free(argv);
    for (ssize_t n = 1; rc == 0 && n > 0;) {
        n = child_wait_readable(&run, e)
                ? -1
                : fd_read(run.out, buf_reserve(out, SAID_MOST), SAID_MOST, c->command, e);
        rc = n < 0 ? -1 : 0;
        if (n > 0 && (out->n += (size_t)n) > SAID_MOST)
            rc = err_set(e, ERR_FAILED, "%s prints more than %d bytes", c->command, SAID_MOST);
    }
    return rc || child_wait(&run, c->command, status, e) ? -1 : 0;
}

int pg_container_major(const struct pg_container *c, const char *name, int *major, struct err *e)
{
    AUTO(buf) said = BUF_NONE;
    const char *const words[] = {name, "--version", NULL};
    int status = 0;
    if (!c->command) {
        err_set(e, ERR_USAGE,
                "to run its %s in container %s it takes docker or podman, and neither is in PATH", name,
                c->name);
        return 1;
    }
    if (run_words(c, words, -1, &said, &status, e)) {
        bool absent = WIFEXITED(status) && (WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127);
        (void)err_wrap(e, "container %s: its %s", c->name, name);
        return absent ? 1 : -1;
    }
    const char *number = strstr(buf_cstr(&said), "(PostgreSQL) ");
    *major = number ? atoi(number + strlen("(PostgreSQL) ")) : 0;
    if (*major)
        return 0;
    err_set(e, ERR_USAGE, "container %s: its %s does not say of which version it is", c->name, name);
    return 1;
}

bool pg_container_explain(const struct pg_container *c, const char *name, int exit_status, const char *said,
                          struct err *e)
{
    AUTO_CHAR text = text_printable(said, strnlen(said, 400));
    const char *colon = *text ? ": " : "";
    switch (exit_status) {
    case 125:
        err_set(e, ERR_FAILED, "%s cannot run %s in container %s%s%s", c->command, name, c->name, colon,
                text);
        return true;
    case 126:
    case 127:
        err_set(e, ERR_FAILED,
                "container %s: there is no %s in it that can be run, or the container has stopped (%s ps "
                "-a)%s%s",
                c->name, name, c->command, colon, text);
        return true;
    case 128 + 9:
    case 128 + 15:
        err_set(e, ERR_FAILED,
                "container %s: %s was killed in it: the container has stopped or was restarted, or memory "
                "ran out (%s ps -a, %s logs)%s%s",
                c->name, name, c->command, c->command, colon, text);
        return true;
    default:
        return false;
    }
}

int pg_container_put(const struct pg_container *c, int fd, char **path, struct err *e)
{
    char hex[17];
    AUTO(buf) said = BUF_NONE;
    random_hex(hex, 8);
    AUTO_CHAR name = xasprintf("/tmp/lifeboat-%s", hex);
    const char *const words[] = {"sh", "-c", "umask 077; cat >\"$1\"", "sh", name, NULL};
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(e, ERR_IO, "list of contents");
    if (run_words(c, words, fd, &said, NULL, e))
        return err_wrap(e, "container %s: a file for its pg_restore", c->name);
    *path = STEAL(name);
    return 0;
}

void pg_container_remove(const struct pg_container *c, const char *path)
{
    AUTO(buf) said = BUF_NONE;
    struct err why = ERR_INIT;
    const char *const words[] = {"rm", "-f", path, NULL};
    if (run_words(c, words, -1, &said, NULL, &why))
        log_warn("container %s: %s is left in it: %s", c->name, path, why.text);
}
