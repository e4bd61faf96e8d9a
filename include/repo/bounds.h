/* bounds.h - the times that make garbage collection without locks safe (docs/format.md, section 11). They are
 * the same on every host of a repository, and measured by the store's clock. */
#ifndef LIFEBOAT_REPO_BOUNDS_H
#define LIFEBOAT_REPO_BOUNDS_H

#include "base/base.h"

struct gc_bounds {
    int64_t grace_ns;       /* a condemned pack may be deleted when its mark is this old */
    int64_t lag_ns;         /* how late a listing may show or hide an object */
    int64_t undo_window_ns; /* how long a forgotten snapshot can be brought back */
};
/* 24 hours, 1 hour, 3 days. */
#define GC_BOUNDS_DEFAULT                                            \
    {                                                                \
        .grace_ns = 24 * 3600000000000ll, .lag_ns = 3600000000000ll, \
        .undo_window_ns = 3 * 24 * 3600000000000ll                   \
    }

/* The view of the repository that a backup commits on is not older than this. */
static inline int64_t gc_view_ns(const struct gc_bounds *b)
{
    return b->grace_ns / 2;
}
/* The longest from the last look at the clock to the commit: what all tries of one request may take. */
static inline int64_t gc_gap_ns(const struct gc_bounds *b)
{
    return b->grace_ns / 8;
}
/* ERR_USAGE unless view + gap + 2 lag < grace, which everything rests on. */
int gc_bounds_check(const struct gc_bounds *b, struct err *e) MUST_CHECK;

#endif
