/* A store that fails when a test says so. */
#include "driver.h"

#include <pthread.h>
#include <stdlib.h>

struct fault {
    struct store base;
    struct store *inner;
    pthread_mutex_t lock;
    struct store_fault *plan; /* guarded by lock */
};

static struct fault *fault_of(struct store *s)
{
    return CONTAINER(s, struct fault, base);
}

/* The inner store, or NULL with *e and *rc when this call is to fail. */
static struct store *pass(struct store *s, int *rc, struct err *e)
{
    struct fault *f = fault_of(s);
    pthread_mutex_lock(&f->lock);
    struct store_fault *p = f->plan;
    p->calls++;
    bool fails = p->fail_at == 1;
    if (p->fail_at > 1 || (p->fail_at == 1 && !p->keep_failing))
        p->fail_at--;
    if (fails && p->every)
        p->fail_at = p->every;
    enum err_kind kind = p->kind ? p->kind : ERR_IO;
    *rc = p->passing ? STORE_AGAIN : STORE_FAILED;
    pthread_mutex_unlock(&f->lock);
    if (!fails)
        return f->inner;
    err_set(e, kind, "a fault that a test asked for");
    return NULL;
}

#define PASS(call)                      \
    int rc;                             \
    struct store *in = pass(s, &rc, e); \
    return in ? in->ops->call : rc

static int put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    PASS(put(in, name, data, e));
}

static int replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    int rc;
    struct store *in = pass(s, &rc, e);
    return in ? driver_replace(in, name, data, e) : rc;
}

static int tempfile(struct store *s, struct err *e)
{
    PASS(tempfile(in, e));
}

static int put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    PASS(put_file(in, name, fd, size, e));
}

static int get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    PASS(get(in, name, limit, out, e));
}

static int get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    PASS(get_range(in, name, offset, p, n, e));
}

static int size_of(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    PASS(size(in, name, size, e));
}

static int list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e)
{
    PASS(list(in, prefix, each, ctx, now_ns, e));
}

static int del(struct store *s, const char *name, struct err *e)
{
    PASS(del(in, name, e));
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    PASS(space(in, free_bytes, total_bytes, e));
}

/* ---- what no test makes fail ---- */
static int get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e)
{
    return driver_get_older(fault_of(s)->inner, name, nth, offset, p, n, e);
}

static int hide(struct store *s, const char *name, struct err *e)
{
    return driver_hide(fault_of(s)->inner, name, e);
}

static int retention(struct store *s, const char *name, int64_t *until_ns, struct err *e)
{
    return driver_retention(fault_of(s)->inner, name, until_ns, e);
}

static int extend(struct store *s, const char *name, int64_t until_ns, struct err *e)
{
    return driver_extend(fault_of(s)->inner, name, until_ns, e);
}

static int traits(struct store *s, const char *name, struct store_traits *out, struct err *e)
{
    return driver_traits(fault_of(s)->inner, name, out, e);
}

static void mended(struct store *s, struct strings *out)
{
    store_mended(fault_of(s)->inner, out);
}

static void counts(struct store *s, struct store_counts *out)
{
    store_counts(fault_of(s)->inner, out);
}

static void fault_free(struct store *s)
{
    struct fault *f = fault_of(s);
    store_free(f->inner);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static const struct store_ops fault_ops = {.put = put,
                                           .replace = replace,
                                           .tempfile = tempfile,
                                           .put_file = put_file,
                                           .get = get,
                                           .get_range = get_range,
                                           .size = size_of,
                                           .list = list,
                                           .del = del,
                                           .hide = hide,
                                           .space = space,
                                           .get_older = get_older,
                                           .mended = mended,
                                           .retention = retention,
                                           .extend = extend,
                                           .traits = traits,
                                           .counts = counts,
                                           .free = fault_free};

struct store *store_fault_new(struct store *inner, struct store_fault *plan)
{
    struct fault *f = xcalloc(1, sizeof *f);
    f->base.ops = &fault_ops;
    f->base.title = xasprintf("faulty %s", inner->title);
    f->inner = inner;
    f->plan = plan;
    pthread_mutex_init(&f->lock, NULL);
    return &f->base;
}
