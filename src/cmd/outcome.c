/* What is told to others about a run: collected while it works, told when it ends. */
#include "cmd.h"

#include "base/file.h"
#include "base/log.h"
#include "base/service.h"
#include "report/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS 10000 /* whoever has the record talks to servers for less than that */

struct seen {
    const char *command;
    char *about, *problem; /* problem NULL: all is well */
};
static struct {
    const struct config *config; /* NULL: nothing is told of this run */
    bool whole;
    uint64_t started_ns;
    struct ping *ping;
    struct seen *seen;
    size_t count;
} run;

void outcome_begin(const struct cli *c, bool whole, bool ping)
{
    if (!c->config || c->store)
        return;
    service_ready();
    run.config = c->config;
    run.whole = whole;
    run.started_ns = time_monotonic_ns();
    run.ping = ping ? notify_begin(c->config) : NULL;
}

void outcome_of(const char *command, const char *about, const char *fmt, ...)
{
    char *problem = NULL;
    va_list ap;
    if (!run.config)
        return;
    va_start(ap, fmt);
    if (fmt && vasprintf(&problem, fmt, ap) < 0)
        die(OUT_OF_MEMORY);
    va_end(ap);
    run.seen = xrealloc(run.seen, run.count + 1, sizeof *run.seen);
    run.seen[run.count++] = (struct seen){command, xstrdup(about), problem};
}

/* What a dead-man's switch is told of a run that did not end well. */
static void add_reason(struct buf *out, int code, const struct err *e)
{
    if (err_is_set(e))
        buf_add_str(out, e->text);
    for (size_t i = 0; i < run.count; i++)
        if (run.seen[i].problem)
            buf_add_fmt(out, "%s%s%s%s", out->n ? "\n" : "", run.seen[i].about,
                        *run.seen[i].about ? ": " : "", run.seen[i].problem);
    if (!out->n)
        buf_add_fmt(out, "exit code %d", code);
}

/* Whether the command itself said what is wrong with all. */
static bool has_seen_all(void)
{
    for (size_t i = 0; i < run.count; i++)
        if (!*run.seen[i].about)
            return true;
    return false;
}

static void observe(struct record *r, int code, const struct err *e, int64_t now_ns)
{
    const char *command = cli.command->name;
    for (size_t i = 0; i < run.count; i++)
        record_observe(r, run.seen[i].command, run.seen[i].about, run.seen[i].problem, now_ns);
    if (run.whole) {
        if (err_is_set(e) || !has_seen_all())
            record_observe(r, command, "", err_is_set(e) ? e->text : NULL, now_ns);
        record_ran(r, command, now_ns, (double)(time_monotonic_ns() - run.started_ns) / 1e9, code);
    }
    record_settle(r, run.config);
}

/* Somebody wants to hear of it: then it is worth a warning when that cannot be. */
static bool is_wanted(const struct config *c)
{
    return c->notify.ping_url || c->notify.webhook_url || c->metrics_file;
}

static void report_trouble(const struct err *why)
{
    if (is_wanted(run.config))
        log_warn("what is told of this run is not remembered: %s", why->text);
    else
        log_info("%s", why->text);
}

/* A slip in the configuration must not cost a key: only metrics are replaced, or a file with nothing in it;
 * what cannot be read may be anything. */
static bool may_replace(const char *file)
{
    static const char start[] = "# HELP lifeboat_";
    char there[sizeof start] = "";
    struct stat st;
    if (stat(file, &st) != 0)
        return errno == ENOENT;
    if (!S_ISREG(st.st_mode)) /* /dev/null, a FIFO */
        return false;
    if (st.st_size == 0)
        return true;
    FILE *f = fopen(file, "re");
    size_t n = f ? fread(there, 1, sizeof start - 1, f) : 0;
    if (f)
        fclose(f);
    return n && strcmp(there, start) == 0;
}

/* [metrics] textfile: others read it, so it is complete or not at all. */
static void write_metrics(const struct record *r)
{
    AUTO(buf) out = BUF_NONE;
    struct err unread = ERR_INIT, why = ERR_INIT;
    const char *file = run.config->metrics_file;
    if (!file)
        return;
    if (!may_replace(file)) {
        log_warn(
            "[metrics] textfile: %s: holds something else and is not overwritten: name a file of its own",
            file);
        return;
    }
    if (status_metrics(run.config, r, &out, &unread))
        log_warn("metrics: %s", unread.text);
    if (file_write(file, buf_bytes(&out), 0644, false, &why))
        log_warn("[metrics] textfile: %s", why.text);
}

void outcome_end(int code, const struct err *e)
{
    AUTO(record) r = {0};
    AUTO(buf) reason = BUF_NONE;
    struct err why = ERR_INIT;
    if (!run.config)
        return;
    const char *dir = run.config->state_dir;
    AUTO_FD lock = record_lock(dir, LOCK_WAIT_MS, &why);
    if (lock < 0 || record_load(&r, dir, &why))
        report_trouble(&why);
    int64_t now_ns = time_now_ns();
    observe(&r, code, e, now_ns);
    add_reason(&reason, code, e);
    const struct notify_result how = {
        .end = code == EXIT_GOOD ? NOTIFY_WELL : NOTIFY_BADLY, .reason = buf_cstr(&reason), .now_ns = now_ns};
    service_status("telling how it ended");
    notify_end(run.ping, run.config, &how, &r);
    if (!err_is_set(&why) && record_save(&r, dir, &why))
        report_trouble(&why);
    fd_auto(&lock); /* the store may take its time */
    lock = -1;
    write_metrics(&r);
    for (size_t i = 0; i < run.count; i++) {
        free(run.seen[i].about);
        free(run.seen[i].problem);
    }
    free(run.seen);
    run.config = NULL;
}
