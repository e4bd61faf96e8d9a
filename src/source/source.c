#include "source/source.h"

#include "base/child.h"
#include "source/engine.h"

#include <stdlib.h>
#include <string.h>

#define HOOK_LIMIT_S 3600

void source_result_free(struct source_result *r)
{
    strings_free(&r->reasons);
    strings_free(&r->notes);
    free(r->streams);
    free(r->server_id);
    strings_free(&r->server_settings);
    buf_free(&r->state);
    *r = (struct source_result)SOURCE_RESULT_NONE;
}

void source_result_add_stream(struct source_result *r, const struct stream_info *info)
{
    r->streams = xrealloc(r->streams, r->stream_count + 1, sizeof *r->streams);
    r->streams[r->stream_count++] = *info;
}

void source_result_degrade(struct source_result *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->verdict = verdict_worse(r->verdict, VERDICT_DEGRADED);
    strings_add_sentence(&r->reasons, fmt, ap);
    va_end(ap);
}

void source_result_note(struct source_result *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strings_add_sentence(&r->notes, fmt, ap);
    va_end(ap);
}

int source_run_hook(const char *source, const char *which, const char *command, struct err *e)
{
    if (!command)
        return 0;
    AUTO_CHAR name = source ? xasprintf("LIFEBOAT_SOURCE=%s", source) : NULL;
    AUTO_CHAR hook = xasprintf("LIFEBOAT_HOOK=%s", which);
    const char *const set[] = {hook, name, NULL};
    /* Who stops a backup wants the service that `before` paused to go on. */
    const struct child_options run = {.shell = command,
                                      .setenv = set,
                                      .in = CHILD_NULL,
                                      .out = CHILD_NULL,
                                      .time_limit_s = HOOK_LIMIT_S,
                                      .to_its_end = strcmp(which, "before") != 0};
    AUTO(child) c = CHILD_NONE;
    return child_start(&c, &run, e) || child_wait(&c, which, NULL, e) ? -1 : 0;
}

static int take(const struct source_env *env, struct source_result *out, struct err *e)
{
    switch (env->source->type) {
    case SOURCE_POSTGRES:
        return source_postgres(env, out, e);
    case SOURCE_VOLUME:
        return source_volume(env, out, e);
    case SOURCE_COMMAND:
        return source_command(env, out, e);
    }
    return err_set(e, ERR_FAILED, "an unknown type of source");
}

/* With what the engine says of its container or volume, after `before` had its say: that may start it. */
static int take_resolved(const struct source_env *env, struct source_result *out, struct err *e)
{
    AUTO(engine_source) found = {0};
    struct source_env resolved = *env;
    if (engine_resolve(env->source, &found, e))
        return -1;
    resolved.source = &found.source;
    resolved.container = found.container.id ? &found.container : NULL;
    return take(&resolved, out, e);
}

int source_backup(const struct source_env *env, struct source_result *out, struct err *e)
{
    struct err hook = ERR_INIT;
    int rc = source_run_hook(env->source->name, "before", env->source->before, e);
    if (rc == 0) {
        rc = take_resolved(env, out, e);
        if (source_run_hook(env->source->name, "after", env->source->after, &hook))
            source_result_degrade(out, "hook %s", hook.text);
    }
    hook = (struct err)ERR_INIT;
    if (rc && source_run_hook(env->source->name, "on-failure", env->source->on_failure, &hook))
        source_result_note(out, "hook %s", hook.text);
    if (rc)
        out->verdict = VERDICT_FAILED;
    return rc ? err_wrap(e, "source %s", env->source->name) : 0;
}
