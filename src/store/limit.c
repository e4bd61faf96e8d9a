#include "limit.h"

#include "base/child.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define SECOND   1000000000ull
#define TENTH    (SECOND / 10)
#define SMALLEST 512 /* bytes moved at once, however low the limit */

struct limit {
    uint64_t rate;
    pthread_mutex_t lock;
    uint64_t free_ns; /* guarded by lock: when all that was let through has passed */
};

struct limit *limit_new(uint64_t bytes_per_second)
{
    if (!bytes_per_second)
        return NULL;
    struct limit *l = xcalloc(1, sizeof *l);
    l->rate = bytes_per_second;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

size_t limit_piece(const struct limit *l, size_t n)
{
    return l ? MIN(n, MAX((size_t)(l->rate / 20), (size_t)SMALLEST)) : n;
}

int sleep_unless_stopped(uint64_t ns, struct err *e)
{
    uint64_t end = time_monotonic_ns() + ns;
    for (uint64_t now; (now = time_monotonic_ns()) < end;) {
        uint64_t left = MIN(end - now, TENTH);
        if (stop_check(e))
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = (long)left}, NULL);
    }
    return stop_check(e);
}

int limit_wait(struct limit *l, size_t n, struct err *e)
{
    if (!l)
        return 0;
    uint64_t now = time_monotonic_ns();
    pthread_mutex_lock(&l->lock);
    uint64_t start = MAX(l->free_ns, now);
    l->free_ns = start + (uint64_t)((double)n * (double)SECOND / (double)l->rate);
    pthread_mutex_unlock(&l->lock);
    return sleep_unless_stopped(start - now, e);
}

void limit_free(struct limit *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}
