#include "pace.h"

#define SECOND 1000000000ull

struct pace pace_start(uint64_t timeout_ns)
{
    uint64_t now = time_monotonic_ns();
    return (struct pace){.timeout_ns = timeout_ns, .moved_ns = now, .mark_ns = now};
}

int pace_check(struct pace *p, uint64_t moved, struct err *e)
{
    uint64_t now = time_monotonic_ns(), window = 2 * p->timeout_ns;
    if (p->moved != moved) {
        p->moved = moved;
        p->moved_ns = now;
    }
    if (moved - p->mark >= window / SECOND * PACE_SLOWEST) {
        p->mark = moved;
        p->mark_ns = now;
    }
    if (now > p->moved_ns + p->timeout_ns)
        return err_set(e, ERR_NET, "nothing moved for %llu s", (unsigned long long)(p->timeout_ns / SECOND));
    if (now > p->mark_ns + window)
        return err_set(e, ERR_NET, "only %llu bytes moved in %llu s", (unsigned long long)(moved - p->mark),
                       (unsigned long long)(window / SECOND));
    return 0;
}

int pace_wait(struct pace *p, struct limit *l, size_t n, struct err *e)
{
    uint64_t start = time_monotonic_ns();
    int rc = limit_wait(l, n, e);
    uint64_t waited = time_monotonic_ns() - start;
    p->moved_ns += waited;
    p->mark_ns += waited;
    return rc;
}
