#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* Of a thread: JSON nested as deep as jansson lets it takes less than half. The usual 8 MiB would count
 * against limits of memory, used or not. */
#define STACK (512u << 10)

enum { JOB_IDLE, JOB_QUEUED, JOB_DONE };

struct worker {
    struct pool *pool;
    unsigned number;
    pthread_t thread;
};
struct pool {
    pthread_mutex_t lock; /* guards all below and every job's state */
    pthread_cond_t work, done;
    struct job *first, **last;
    bool closing;
    unsigned threads;
    struct worker workers[];
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->first && !p->closing)
            pthread_cond_wait(&p->work, &p->lock);
        struct job *j = p->first;
        if (!j)
            break;
        p->first = j->next;
        if (!p->first)
            p->last = &p->first;
        pthread_mutex_unlock(&p->lock);
        j->run(j, w->number);
        pthread_mutex_lock(&p->lock);
        j->state = JOB_DONE;
        pthread_cond_broadcast(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(unsigned threads)
{
    assert(threads >= 1 && threads <= 64);
    struct pool *p = xcalloc(1, sizeof *p + threads * sizeof *p->workers);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    p->last = &p->first;
    p->threads = threads;
    for (unsigned i = 0; i < threads; i++) {
        p->workers[i] = (struct worker){.pool = p, .number = i};
        if (pthread_create(&p->workers[i].thread, &attributes, work, &p->workers[i]) != 0)
            die(OUT_OF_THREADS);
    }
    pthread_attr_destroy(&attributes);
    return p;
}

unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}

void pool_submit(struct pool *p, struct job *job)
{
    pthread_mutex_lock(&p->lock);
    job->state = JOB_QUEUED;
    job->next = NULL;
    *p->last = job;
    p->last = &job->next;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void pool_wait(struct pool *p, struct job *job)
{
    pthread_mutex_lock(&p->lock);
    while (job->state == JOB_QUEUED)
        pthread_cond_wait(&p->done, &p->lock);
    job->state = JOB_IDLE;
    pthread_mutex_unlock(&p->lock);
}

bool pool_is_done(struct pool *p, struct job *job)
{
    pthread_mutex_lock(&p->lock);
    bool done = job->state != JOB_QUEUED;
    pthread_mutex_unlock(&p->lock);
    return done;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    free(p);
}
