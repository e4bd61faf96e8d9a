#include "repo/fetch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 20 /* requests at a time, of up to 1 MiB: 1 Gbit/s stays busy with 50 ms for each */
#define IDLE    8  /* buffers kept for the next ranges */
#define SLOW_NS 5000000u

struct fetcher {
    struct repo *repo;
    struct pool *pool;
    pthread_mutex_t lock; /* guards what follows, and how many users each fetch has */
    struct buf idle[IDLE];
    size_t idle_count;
};

struct fetch {
    struct job job;
    struct fetcher *fetcher;
    unsigned users; /* guarded by the fetcher's lock */
    char pack[NAME_SIZE];
    uint32_t offset, length;
    struct buf bytes;
    struct err error;
    bool vanished; /* the pack is not there any more */
    bool slow;
};

struct fetcher *fetcher_new(struct repo *r)
{
    struct fetcher *f = xcalloc(1, sizeof *f);
    f->repo = r;
    f->pool = pool_new(THREADS);
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void fetcher_free(struct fetcher *f)
{
    pool_free(f->pool);
    while (f->idle_count)
        buf_free(&f->idle[--f->idle_count]);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void get(struct job *job, unsigned worker)
{
    (void)worker;
    struct fetch *x = CONTAINER(job, struct fetch, job);
    struct store *s = x->fetcher->repo->store;
    if (mirrors_instead(x->fetcher->repo)) {
        err_set(&x->error, ERR_NET, "%s: does not answer", store_title(s));
        return;
    }
    uint64_t asked_ns = time_monotonic_ns();
    int rc = store_get_range(s, x->pack, x->offset, x->bytes.p, x->length, &x->error);
    x->slow = time_monotonic_ns() - asked_ns > SLOW_NS;
    x->vanished = rc == STORE_ABSENT;
    if (x->vanished)
        err_set(&x->error, ERR_DAMAGED, "%s: is missing from %s", x->pack, store_title(s));
}

struct fetch *fetch_start(struct fetcher *f, const char *pack, uint32_t offset, uint32_t length,
                          unsigned users)
{
    struct fetch *x = xcalloc(1, sizeof *x);
    *x = (struct fetch){.job.run = get, .fetcher = f, .users = users, .offset = offset, .length = length};
    snprintf(x->pack, sizeof x->pack, "%s", pack);
    pthread_mutex_lock(&f->lock);
    if (f->idle_count)
        x->bytes = f->idle[--f->idle_count];
    pthread_mutex_unlock(&f->lock);
    buf_renew(&x->bytes, MAX(length, FETCH_MOST)); /* as in the reader: the next one fits */
    pool_submit(f->pool, &x->job);
    return x;
}

int fetch_wait(struct fetch *x, const struct frame_source *frame, struct bytes *out, bool *slow,
               struct err *e)
{
    pool_wait(x->fetcher->pool, &x->job);
    *slow = x->slow;
    if (err_is_set(&x->error)) {
        *e = x->error;
        return x->vanished ? FRAME_VANISHED : -1;
    }
    *out = BYTES(x->bytes.p + (frame->offset - x->offset), frame->sealed_length);
    return 0;
}

void fetch_end(struct fetch *x)
{
    struct fetcher *f = x->fetcher;
    pthread_mutex_lock(&f->lock);
    bool last = --x->users == 0;
    if (last && f->idle_count < IDLE)
        f->idle[f->idle_count++] = x->bytes, x->bytes = (struct buf)BUF_NONE;
    pthread_mutex_unlock(&f->lock);
    if (!last)
        return;
    buf_free(&x->bytes);
    free(x);
}
