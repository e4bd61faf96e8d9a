#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Marks a text that was cut, so nobody takes the rest for all. */
static void mark_cut(struct err *e, int wanted)
{
    if (wanted >= (int)sizeof e->text)
        memcpy(e->text + sizeof e->text - 4, "...", 4);
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    if (err_is_set(e))
        return -1;
    va_list ap;
    va_start(ap, fmt);
    mark_cut(e, vsnprintf(e->text, sizeof e->text, fmt, ap));
    va_end(ap);
    e->kind = kind;
    return -1;
}

int err_errno(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    int why = errno;
    if (err_is_set(e))
        return -1;
    char what[sizeof e->text], reason[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    mark_cut(e, snprintf(e->text, sizeof e->text, "%s: %s", what, strerror_r(why, reason, sizeof reason)));
    e->kind = why == ENOSPC || why == EDQUOT ? ERR_SPACE : kind;
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char what[sizeof e->text], old[sizeof e->text];
    memcpy(old, e->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    mark_cut(e, snprintf(e->text, sizeof e->text, "%s: %s", what, old));
    return -1;
}
