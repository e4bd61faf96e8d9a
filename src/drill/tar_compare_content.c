#include "drill/tar_compare_parts.h"

#include <stdio.h>
#include <string.h>

/* 1,234,567 */
static void group_digits(char out[32], uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    char *to = out;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
}

struct difference {
    uint64_t count, first;
};

static void compare_bytes(struct bytes a, struct bytes b, uint64_t at, struct difference *d)
{
    size_t n = MIN(a.n, b.n);
    if ((!a.p && !b.p) || (a.p && b.p && memcmp(a.p, b.p, n) == 0))
        return;
    for (size_t i = 0; i < n; i++) {
        if ((a.p ? a.p[i] : 0) == (b.p ? b.p[i] : 0))
            continue;
        if (d->count++ == 0)
            d->first = at + i;
    }
}

int compare_contents(struct comparing *c, uint64_t size, struct findings *f, struct err *e)
{
    struct difference d = {0};
    for (uint64_t at = 0; at < size;) {
        struct bytes a, b;
        if (tar_entries_content(&c->stored, at, size, &a, e))
            return -1;
        if (tar_entries_content(&c->reread, at, size, &b, e)) {
            c->reread_failed = true;
            return -1;
        }
        compare_bytes(a, b, at, &d);
        at += MIN(a.n, b.n);
    }
    char count[32], first[32];
    group_digits(count, d.count);
    group_digits(first, d.first);
    if (d.count == 1)
        tell(f, "1 byte differs at %s", first);
    else if (d.count)
        tell(f, "%s bytes differ, the first at %s", count, first);
    return 0;
}
