#include "report/record.h"

#include "base/file.h"
#include "base/log.h"
#include "report/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX (4u << 20)
#define TEXT_MOST  1000 /* of a problem */
#define POLL_MS    50

int record_lock(const char *state_dir, unsigned wait_ms, struct err *e)
{
    const struct timespec pause = {0, POLL_MS * 1000000};
    AUTO_CHAR path = xasprintf("%s/reporting", state_dir);
    if (dir_make(state_dir, 0700, e))
        return -1;
    AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s", path);
    for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += POLL_MS) {
        if (errno != EWOULDBLOCK || waited >= wait_ms)
            return err_errno(e, ERR_IO, "%s: lock", path);
        nanosleep(&pause, NULL);
    }
    int taken = fd;
    fd = -1;
    return taken;
}

/* ---- as JSON ---- */
static char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return xstrdup(s ? s : "");
}

static void load_problem(struct record *r, const json_t *o)
{
    r->problems = xrealloc(r->problems, r->problem_count + 1, sizeof *r->problems);
    r->problems[r->problem_count++] =
        (struct problem){.command = text_of(o, "command"),
                         .about = text_of(o, "about"),
                         .text = text_of(o, "text"),
                         .since_ns = json_integer_value(json_object_get(o, "since")),
                         .told = json_is_true(json_object_get(o, "told")),
                         .over = json_is_true(json_object_get(o, "over"))};
}

static void load_run(struct record *r, const json_t *o)
{
    r->runs = xrealloc(r->runs, r->run_count + 1, sizeof *r->runs);
    r->runs[r->run_count++] = (struct ran){.command = text_of(o, "command"),
                                           .time_ns = json_integer_value(json_object_get(o, "time")),
                                           .seconds = json_number_value(json_object_get(o, "seconds")),
                                           .code = (int)json_integer_value(json_object_get(o, "code"))};
}

int record_load(struct record *r, const char *state_dir, struct err *e)
{
    AUTO_CHAR path = xasprintf("%s/report.json", state_dir);
    struct err why = ERR_INIT;
    *r = (struct record){0};
    json_t *all = state_file_read(path, RECORD_MAX, &why);
    if (err_is_set(&why) && why.kind != ERR_DAMAGED)
        return *e = why, -1;
    if (err_is_set(&why))
        log_warn("%s: problems that stand are told once more", why.text);
    const json_t *problems = json_object_get(all, "problems"), *runs = json_object_get(all, "runs");
    for (size_t i = 0; i < json_array_size(problems); i++)
        load_problem(r, json_array_get(problems, i));
    for (size_t i = 0; i < json_array_size(runs); i++)
        load_run(r, json_array_get(runs, i));
    r->digest_ns = json_integer_value(json_object_get(all, "digest"));
    json_decref(all);
    return 0;
}

int record_save(const struct record *r, const char *state_dir, struct err *e)
{
    AUTO_CHAR path = xasprintf("%s/report.json", state_dir);
    json_t *problems = json_array(), *runs = json_array();
    for (size_t i = 0; i < r->problem_count; i++) {
        const struct problem *p = &r->problems[i];
        json_array_append_new(problems, json_pack("{s:s, s:s, s:s, s:I, s:b, s:b}", "command", p->command,
                                                  "about", p->about, "text", p->text, "since",
                                                  (json_int_t)p->since_ns, "told", p->told, "over", p->over));
    }
    for (size_t i = 0; i < r->run_count; i++) {
        const struct ran *n = &r->runs[i];
        json_array_append_new(runs,
                              json_pack("{s:s, s:I, s:f, s:i}", "command", n->command, "time",
                                        (json_int_t)n->time_ns, "seconds", n->seconds, "code", n->code));
    }
    json_t *all =
        json_pack("{s:o, s:o, s:I}", "problems", problems, "runs", runs, "digest", (json_int_t)r->digest_ns);
    return state_file_write(path, all, e);
}

/* ---- problems ---- */
static void problem_free(struct problem *p)
{
    free(p->command);
    free(p->about);
    free(p->text);
}

static void drop(struct record *r, size_t i)
{
    problem_free(&r->problems[i]);
    r->problem_count--;
    memmove(&r->problems[i], &r->problems[i + 1], (r->problem_count - i) * sizeof *r->problems);
}

static size_t find(const struct record *r, const char *command, const char *about)
{
    size_t i = 0;
    while (i < r->problem_count &&
           (strcmp(r->problems[i].command, command) != 0 || strcmp(r->problems[i].about, about) != 0))
        i++;
    return i;
}

static void end(struct record *r, size_t i)
{
    if (r->problems[i].told)
        r->problems[i].over = true;
    else
        drop(r, i);
}

void record_observe(struct record *r, const char *command, const char *about, const char *text,
                    int64_t now_ns)
{
    size_t i = find(r, command, about);
    if (!text) {
        if (i < r->problem_count)
            end(r, i);
        return;
    }
    AUTO_CHAR one_line = xstrndup(text, TEXT_MOST);
    for (char *c = one_line; *c; c++)
        if (*c == '\n')
            *c = ' ';
    AUTO_CHAR shown = text_printable(one_line, strlen(one_line));
    if (i == r->problem_count) {
        r->problems = xrealloc(r->problems, r->problem_count + 1, sizeof *r->problems);
        r->problems[r->problem_count++] =
            (struct problem){.command = xstrdup(command), .about = xstrdup(about), .since_ns = now_ns};
    }
    struct problem *p = &r->problems[i];
    if (p->over) /* back before its end was told: nobody has to hear of either */
        p->over = false;
    free(p->text);
    p->text = STEAL(shown);
}

static bool is_configured(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->store_count; i++)
        if (strcmp(c->stores[i].name, name) == 0)
            return true;
    return config_find_source(c, name) != NULL;
}

void record_settle(struct record *r, const struct config *c)
{
    for (size_t i = r->problem_count; i-- > 0;)
        if (*r->problems[i].about && !is_configured(c, r->problems[i].about))
            end(r, i);
}

void record_ran(struct record *r, const char *command, int64_t now_ns, double seconds, int code)
{
    size_t i = 0;
    while (i < r->run_count && strcmp(r->runs[i].command, command) != 0)
        i++;
    if (i == r->run_count) {
        r->runs = xrealloc(r->runs, r->run_count + 1, sizeof *r->runs);
        r->runs[r->run_count++] = (struct ran){.command = xstrdup(command)};
    }
    r->runs[i].time_ns = now_ns;
    r->runs[i].seconds = seconds;
    r->runs[i].code = code;
}

size_t record_standing(const struct record *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->problem_count; i++)
        n += !r->problems[i].over;
    return n;
}

void record_told(struct record *r)
{
    for (size_t i = r->problem_count; i-- > 0;)
        if (r->problems[i].over)
            drop(r, i);
        else
            r->problems[i].told = true;
}

void record_free(struct record *r)
{
    for (size_t i = 0; i < r->problem_count; i++)
        problem_free(&r->problems[i]);
    for (size_t i = 0; i < r->run_count; i++)
        free(r->runs[i].command);
    free(r->problems);
    free(r->runs);
    *r = (struct record){0};
}
