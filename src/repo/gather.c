/* Many small objects at a time: a bucket is 50 ms away for each, and opening them is work for every core. */
#include "repo/internal.h"

#include "base/pool.h"

#include <stdlib.h>

#define THREADS 32
#define FEW     2 /* objects, for which another thread does not pay */

/* Every `step`th from `first` on. */
struct share {
    struct job job;
    size_t first, step, n;
    gather_one *one;
    void *ctx;
    int rc;
    struct err error;
};

static void run_share(struct job *job, unsigned worker)
{
    struct share *s = CONTAINER(job, struct share, job);
    (void)worker;
    for (size_t i = s->first; i < s->n && s->rc == 0; i += s->step)
        s->rc = s->one(s->ctx, i, &s->error);
}

int gather(size_t n, gather_one *one, void *ctx, struct err *e)
{
    struct share *shares = xcalloc(THREADS, sizeof *shares); /* 34 KiB: much for a stack */
    unsigned threads = (unsigned)MIN(n / FEW + 1, (size_t)THREADS);
    AUTO_PTR(pool) pool = threads > 1 ? pool_new(threads) : NULL;
    int rc = 0;
    for (unsigned i = 0; i < threads; i++) {
        shares[i] =
            (struct share){.job.run = run_share, .first = i, .step = threads, .n = n, .one = one, .ctx = ctx};
        if (pool)
            pool_submit(pool, &shares[i].job);
        else
            run_share(&shares[i].job, 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        if (pool)
            pool_wait(pool, &shares[i].job);
        if (shares[i].rc && rc == 0)
            *e = shares[i].error, rc = -1;
    }
    free(shares);
    return rc;
}
