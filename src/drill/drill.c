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

int drill_source(const struct drill_env *env, struct drill_result *out, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    const char *type = env->source->type;
    int rc = 0;
    if (strcmp(type, "postgres") == 0)
        rc = drill_postgres(env, out, e);
    else if (strcmp(type, "volume") == 0)
        rc = drill_volume(env, out, e);
    else if (strcmp(type, "command") == 0)
        rc = drill_command(env, out, e);
    else
        drill_unable(out, "it is of a type that this program does not know (%.40s): use a newer lifeboat",
                     type);
    out->seconds = (double)(time_monotonic_ns() - started) / 1e9;
    return rc;
}
