#include "policy/verdict.h"

#include <string.h>

static const char *const names[] = {"good", "degraded", "failed"};

const char *verdict_name(enum verdict v)
{
    return names[v];
}

bool verdict_parse(const char *text, enum verdict *out)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum verdict)i;
            return true;
        }
    return false;
}
