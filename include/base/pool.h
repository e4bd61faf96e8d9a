/* pool.h - a few worker threads that run small jobs. Who submits keeps its jobs in order and waits for the
 * oldest, so results are taken in the order of submission and the number in flight (and so memory) is bounded
 * by the submitter. */
#ifndef LIFEBOAT_BASE_POOL_H
#define LIFEBOAT_BASE_POOL_H

#include "base/base.h"

struct pool;
struct job {
    void (*run)(struct job *job, unsigned worker); /* worker: 0 .. pool_threads() - 1; own contexts by it */
    struct job *next;                              /* private to pool.c, like `state` */
    int state;
};

struct pool *pool_new(unsigned threads); /* 1 to 64; aborts when no thread can be made */
unsigned pool_threads(const struct pool *p);
void pool_submit(struct pool *p, struct job *job); /* borrowed until pool_wait() returned; never blocks */
void pool_wait(struct pool *p, struct job *job);   /* until it has run; fine when it was never submitted */
bool pool_is_done(struct pool *p, struct job *job);
void pool_free(struct pool *p); /* every job must have been waited for */
AUTO_PTR_FOR(pool)

#endif
