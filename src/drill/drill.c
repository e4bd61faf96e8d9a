#include "drill/drill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void drill_differs(struct drill_result *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->outcome = DRILL_DIFFERS;
    strings_add_sentence(&r->reasons, fmt, ap);
    va_end(ap);
}

void drill_unable(struct drill_result *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (r->outcome == DRILL_PROVEN)
        r->outcome = DRILL_UNABLE;
    strings_add_sentence(&r->reasons, fmt, ap);
    va_end(ap);
}

void drill_note(struct drill_result *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strings_add_sentence(&r->notes, fmt, ap);
    va_end(ap);
}

void drill_layer_add(struct drill_result *r, const char *name, uint64_t started_ns, bool held)
{
    if (r->layer_count == DRILL_LAYERS)
        abort();
    struct drill_layer *l = &r->layers[r->layer_count++];
    snprintf(l->name, sizeof l->name, "%s", name);
    l->held = held;
    l->seconds = (double)(time_monotonic_ns() - started_ns) / 1e9;
}

/* A private server needs what the databases took on theirs, and some more while indexes are built. Old
 * snapshots do not say it: then twice their dumps. */
static bool has_room(const struct drill_env *env, struct drill_result *out)
{
    const struct snapshot_source *s = env->source;
    uint64_t need = s->database_bytes ? s->database_bytes / 5 * 6 : 2 * s->bytes,
             room = scratch_room(env->scratch);
    char need_text[32], more[32];
    if (strcmp(s->type, "postgres") != 0 || !drill_is_private(env->settings) || need <= room)
        return true;
    size_format(need_text, need);
    size_format(more, need - room);
    drill_unable(
        out,
        "restoring it takes about %s in %s, which wants %s more: free it, or name another place in [drill] "
        "directory",
        need_text, env->settings->directory, more);
    return false;
}

int drill_source(const struct drill_env *env, struct drill_result *out, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    const char *type = env->source->type;
    if (!has_room(env, out))
        return 0;
    int rc = strcmp(type, "postgres") == 0 ? drill_postgres(env, out, e)
             : strcmp(type, "volume") == 0 ? drill_volume(env, out, e)
                                           : drill_command(env, out, e);
    out->seconds = (double)(time_monotonic_ns() - started) / 1e9;
    return rc;
}
