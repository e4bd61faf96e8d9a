/* The round trip of a command's output: its drill-command takes the stream; else its restore-command, when
 * that writes below the folder that it is given; else the stream is read, and the result says that this is
 * all. */
#include "drill/command.h"

#include "base/file.h"
#include "base/log.h"
#include "target/stream_feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct command_drill {
    const struct drill_env *env;
    const struct config_source *config; /* NULL: there is none */
    struct drill_result *out;
    struct stream_feed in;
    struct feed base;
    bool stream_failed; /* the repository could not give it */
};

static int next(struct feed *f, struct bytes *out, struct err *e)
{
    struct command_drill *d = CONTAINER(f, struct command_drill, base);
    int rc = d->in.base.next(&d->in.base, out, e);
    d->stream_failed = rc != 0;
    return rc;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct command_drill *d = ctx;
    if (d->env->progress)
        d->env->progress(d->env->progress_ctx, "restoring", done, total);
}

/* 0: *out says it. -1: nothing is known. */
static int judge(struct command_drill *d, const struct err *why, struct err *e)
{
    if (why->kind == ERR_STOPPED || (d->stream_failed && why->kind != ERR_DAMAGED)) {
        *e = *why;
        return -1;
    }
    if (why->kind == ERR_DAMAGED || why->kind == ERR_FAILED)
        drill_differs(d->out, "%s", why->text);
    else
        drill_unable(d->out, "%s", why->text);
    return 0;
}

/* ---- with a command ---- */
static int run(struct command_drill *d, const char *what, const char *shell, const char *folder,
               struct err *e)
{
    AUTO_CHAR name = xasprintf("LIFEBOAT_SOURCE=%s", d->env->source->name);
    const char *const set[] = {"LIFEBOAT_DRILL=1", name, NULL};
    const struct target_command_options o = {.what = what,
                                             .shell = shell,
                                             .target_dir = folder,
                                             .directory = folder,
                                             .setenv = set,
                                             .time_limit_s = (unsigned)d->config->time_limit_s,
                                             .strict = true};
    uint64_t began = time_monotonic_ns();
    struct err why = ERR_INIT;
    int rc = target_command(&d->base, &o, &why);
    d->out->restore_seconds = (double)(time_monotonic_ns() - began) / 1e9;
    drill_layer_add(d->out, "restored", began, rc == 0);
    return rc ? judge(d, &why, e) : 0;
}

static int run_in_folder(struct command_drill *d, const char *place, const char *what, const char *shell,
                         struct err *e)
{
    struct err left = ERR_INIT;
    AUTO_CHAR folder = xasprintf("%s/command", place);
    if (mkdir(folder, 0700) != 0) {
        char why[128];
        drill_unable(d->out, "scratch cannot be used: %s: %s: name another folder as [drill] directory",
                     folder, strerror_r(errno, why, sizeof why));
        return 0;
    }
    int rc = run(d, what, shell, folder, e);
    if (dir_remove(folder, &left))
        log_warn("scratch: %s", left.text);
    return rc;
}

/* ---- without ---- */
static int read_only(struct command_drill *d, struct err *e)
{
    uint64_t began = time_monotonic_ns();
    struct err why = ERR_INIT;
    struct bytes b;
    int rc;
    do
        rc = next(&d->base, &b, &why);
    while (rc == 0 && b.n);
    drill_layer_add(d->out, "stored", began, rc == 0);
    if (rc)
        return judge(d, &why, e);
    d->out->read_only = true;
    return 0;
}

static void note_read_only(struct command_drill *d)
{
    const struct config_source *c = d->config;
    const char *name = d->env->source->name;
    if (!c)
        drill_note(
            d->out,
            "no restore was tried, the stream was only read: the configuration has no [source %s] that "
            "is a command",
            name);
    else if (c->restore_command)
        drill_note(
            d->out,
            "no restore was tried, the stream was only read: the restore-command of [source %s] does not "
            "write below $LIFEBOAT_TARGET, so it may write into what is in use; a drill-command there "
            "proves more",
            name);
    else
        drill_note(d->out,
                   "no restore was tried, the stream was only read: [source %s] has no drill-command and no "
                   "restore-command",
                   name);
}

/* ---- which ---- */
static int drill(struct command_drill *d, const char *place, struct err *e)
{
    const struct config_source *c = d->config;
    if (c && c->drill_command)
        return run_in_folder(d, place, "drill-command", c->drill_command, e);
    if (c && c->restore_command && strstr(c->restore_command, "LIFEBOAT_TARGET"))
        return run_in_folder(d, place, "restore-command", c->restore_command, e);
    note_read_only(d);
    return read_only(d, e);
}

int command_drill_run(const struct drill_env *env, const char *place, struct drill_result *out, struct err *e)
{
    const struct stream_info *data = snapshot_find_stream(env->source, "data");
    struct command_drill d = {.env = env, .out = out, .base = {.next = next}};
    if (!data) {
        drill_differs(out, "the snapshot has no stream \"data\" of it");
        return 0;
    }
    if (env->config && env->config->type == SOURCE_COMMAND)
        d.config = env->config;
    stream_feed_init(&d.in, env->repo, data, &whole_stream, 1);
    d.in.progress = on_progress;
    d.in.progress_ctx = &d;
    int rc = drill(&d, place, e);
    stream_feed_free(&d.in);
    out->bytes = d.in.done;
    return rc;
}

int drill_command(const struct drill_env *env, struct drill_result *out, struct err *e)
{
    return command_drill_run(env, scratch_path(env->scratch), out, e);
}
