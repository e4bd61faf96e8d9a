/* A store that tries again: the one place where that is done. */
#include "driver.h"
#include "limit.h"

#include "base/log.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull

static const struct store_retry_options usual = {
    .first_limit_ms = 60000, .limit_ms = 600000, .pause_ms = 500, .longest_pause_ms = 30000};

struct retry {
    struct store base;
    struct store *inner;
    struct store_retry_options o;
    pthread_mutex_t lock;
    bool answered; /* guarded by lock: the store has done something, so its address and our keys are right */
};

static struct retry *retry_of(struct store *s)
{
    return CONTAINER(s, struct retry, base);
}

/* One operation with all its tries. */
struct effort {
    struct retry *r;
    const char *what;
    unsigned tries;
    uint64_t started_ns, pause_ns;
    struct err why; /* of the last try */
};

static struct effort effort_of(struct store *s, const char *what)
{
    struct retry *r = retry_of(s);
    return (struct effort){
        .r = r, .what = what, .started_ns = time_monotonic_ns(), .pause_ns = r->o.pause_ms * MS};
}

static uint64_t limit_of(struct retry *r, bool answered)
{
    pthread_mutex_lock(&r->lock);
    r->answered |= answered;
    unsigned ms = r->answered ? r->o.limit_ms : r->o.first_limit_ms;
    pthread_mutex_unlock(&r->lock);
    return ms * MS;
}

/* Between a half and the whole of it, so that many who failed together do not come back together. */
static uint64_t jitter(uint64_t ns)
{
    return ns / 2 + randombytes_uniform((uint32_t)(ns / MS / 2) + 1) * MS;
}

static int give_up(const struct effort *f, struct err *e)
{
    char spent[32];
    duration_format(spent, time_monotonic_ns() - f->started_ns);
    return err_set(e, f->why.kind, "%s (%u %s in %s)", f->why.text, f->tries, f->tries == 1 ? "try" : "tries",
                   spent);
}

static void say_asked(struct effort *f, uint64_t asked)
{
    char wait[32];
    struct err why = f->why;
    duration_format(wait, asked);
    f->why = (struct err)ERR_INIT;
    err_set(&f->why, why.kind, "%s: the server wants to be left alone for %s", why.text, wait);
}

/* Whether to try again; *rc and *e are what to return when not. */
static bool try_again(struct effort *f, int *rc, struct err *e)
{
    struct retry *r = f->r;
    uint64_t limit = limit_of(r, *rc >= STORE_DONE);
    f->tries++;
    if (*rc >= STORE_DONE)
        return false;
    if (!store_is_again(*rc)) {
        *rc = f->tries > 1 && f->why.kind != ERR_STOPPED ? give_up(f, e)
                                                         : err_set(e, f->why.kind, "%s", f->why.text);
        return false;
    }
    uint64_t asked = store_again_after(*rc) * 1000 * MS;
    uint64_t pause = MAX(jitter(f->pause_ns), asked);
    if (time_monotonic_ns() - f->started_ns + pause > limit) {
        if (asked > f->pause_ns)
            say_asked(f, asked);
        *rc = give_up(f, e);
        return false;
    }
    log_warn("%s: %s: %s: trying again in %.1f s", r->base.title, f->what, f->why.text, (double)pause / 1e9);
    if (sleep_unless_stopped(pause, e)) {
        *rc = err_wrap(e, "%s", f->why.text);
        return false;
    }
    f->pause_ns = MIN(2 * f->pause_ns, r->o.longest_pause_ms * MS);
    f->why = (struct err)ERR_INIT;
    return true;
}

#define TRY(what, call)                   \
    struct effort f = effort_of(s, what); \
    struct store *in = f.r->inner;        \
    int rc;                               \
    do                                    \
        rc = call;                        \
    while (try_again(&f, &rc, e));        \
    return rc

static int put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    TRY(name, in->ops->put(in, name, data, &f.why));
}

static int replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    TRY(name, driver_replace(in, name, data, &f.why));
}

static int tempfile(struct store *s, struct err *e)
{
    TRY("temporary file", in->ops->tempfile(in, &f.why));
}

static int put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    TRY(name, in->ops->put_file(in, name, fd, size, &f.why));
}

static int get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    TRY(name, (out->n = 0, in->ops->get(in, name, limit, out, &f.why)));
}

static int get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    TRY(name, in->ops->get_range(in, name, offset, p, n, &f.why));
}

static int get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e)
{
    TRY(name, driver_get_older(in, name, nth, offset, p, n, &f.why));
}

static int size_of(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    TRY(name, in->ops->size(in, name, size, &f.why));
}

static int del(struct store *s, const char *name, struct err *e)
{
    TRY(name, in->ops->del(in, name, &f.why));
}

static int hide(struct store *s, const char *name, struct err *e)
{
    TRY(name, driver_hide(in, name, &f.why));
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    TRY("free space", in->ops->space(in, free_bytes, total_bytes, &f.why));
}

static int retention(struct store *s, const char *name, int64_t *until_ns, struct err *e)
{
    TRY(name, driver_retention(in, name, until_ns, &f.why));
}

static int extend(struct store *s, const char *name, int64_t until_ns, struct err *e)
{
    TRY(name, driver_extend(in, name, until_ns, &f.why));
}

static int traits(struct store *s, const char *name, struct store_traits *out, struct err *e)
{
    TRY("what it is like", driver_traits(in, name, out, &f.why));
}

/* ---- a listing that broke off starts anew, and what was handed on already is passed over ---- */
struct resumed {
    store_each *each;
    void *ctx;
    char *last;  /* handed on; NULL: nothing yet */
    char *until; /* where the try before broke off */
    bool disorder;
};

static int hand_on(void *ctx, const struct store_object *o, struct err *e)
{
    struct resumed *m = ctx;
    if (m->until && strcmp(o->name, m->until) <= 0)
        return 0;
    m->disorder |= m->last && strcmp(o->name, m->last) <= 0;
    free(m->last);
    m->last = xstrdup(o->name);
    return m->each(m->ctx, o, e);
}

static int list_once(struct store *in, const char *prefix, struct resumed *m, int64_t *now_ns, struct err *e)
{
    int64_t now = 0;
    if (m->disorder)
        return err_set(e, ERR_NET, "the listing broke off, and cannot go on because it came in no order");
    bool first = !m->last;
    free(m->until);
    m->until = m->last ? xstrdup(m->last) : NULL;
    int rc = in->ops->list(in, prefix, hand_on, m, now_ns ? &now : NULL, e);
    if (now_ns && first)
        *now_ns = now; /* the clock from before the first object */
    return rc;
}

static int list_all(struct store *s, const char *prefix, struct resumed *m, int64_t *now_ns, struct err *e)
{
    TRY(*prefix ? prefix : "listing", list_once(in, prefix, m, now_ns, &f.why));
}

static int list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e)
{
    struct resumed m = {.each = each, .ctx = ctx};
    int rc = list_all(s, prefix, &m, now_ns, e);
    free(m.last);
    free(m.until);
    return rc;
}

/* ---- the rest ---- */
static void mended(struct store *s, struct strings *out)
{
    store_mended(retry_of(s)->inner, out);
}

static void counts(struct store *s, struct store_counts *out)
{
    store_counts(retry_of(s)->inner, out);
}

static void retry_free(struct store *s)
{
    struct retry *r = retry_of(s);
    store_free(r->inner);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static const struct store_ops retry_ops = {.put = put,
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
                                           .free = retry_free};

struct store *store_retry_new(struct store *inner, const struct store_retry_options *o)
{
    struct retry *r = xcalloc(1, sizeof *r);
    r->base.ops = &retry_ops;
    r->base.title = xstrdup(inner->title);
    r->inner = inner;
    r->o = o ? *o : usual;
    pthread_mutex_init(&r->lock, NULL);
    return &r->base;
}
