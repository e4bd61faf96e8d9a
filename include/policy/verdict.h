/* verdict.h - how good a backup of a source is. */
#ifndef LIFEBOAT_POLICY_VERDICT_H
#define LIFEBOAT_POLICY_VERDICT_H

#include "base/base.h"

enum verdict {
    VERDICT_GOOD,
    VERDICT_DEGRADED, /* taken, with something to look at */
    VERDICT_FAILED,   /* no snapshot of it */
};
const char *verdict_name(enum verdict v); /* "good", "degraded", "failed" */
bool verdict_parse(const char *text, enum verdict *out);
static inline enum verdict verdict_worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

#endif
