/* A store in memory, for tests: a sorted array under a lock. */
#include "driver.h"

#include "base/file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct object {
    char *name;
    struct buf data;
    int64_t mtime_ns;
    bool gone;        /* deleted: kept for listings that lag */
    int64_t since_ns; /* put or deleted then, by steady() */
};
struct mem {
    struct store base;
    char *spool_dir;
    pthread_mutex_t lock; /* guards all below */
    struct object *v;     /* sorted by name */
    size_t n, cap;
    int64_t clock_ns;  /* 0: the machine's */
    int64_t steady_ns; /* what the clock went on, without the times that it was put back */
    int64_t lag_ns, lock_ns;
    uint64_t dice; /* which of the young a listing shows */
};

static struct mem *mem_of(struct store *s)
{
    return CONTAINER(s, struct mem, base);
}

void store_mem_set_clock(struct store *s, int64_t now_ns)
{
    struct mem *m = mem_of(s);
    pthread_mutex_lock(&m->lock);
    m->steady_ns += MAX(now_ns - m->clock_ns, 0);
    m->clock_ns = now_ns;
    pthread_mutex_unlock(&m->lock);
}

void store_mem_set_lag(struct store *s, int64_t lag_ns)
{
    struct mem *m = mem_of(s);
    pthread_mutex_lock(&m->lock);
    m->lag_ns = lag_ns;
    pthread_mutex_unlock(&m->lock);
}

void store_mem_set_lock(struct store *s, int64_t lock_ns)
{
    struct mem *m = mem_of(s);
    pthread_mutex_lock(&m->lock);
    m->lock_ns = lock_ns;
    pthread_mutex_unlock(&m->lock);
}

static int64_t clock_of(const struct mem *m)
{
    return m->clock_ns ? m->clock_ns : time_now_ns();
}

/* Listings lag by real time: a clock that is put back hides nothing again. */
static int64_t steady(const struct mem *m)
{
    return m->clock_ns ? m->steady_ns : (int64_t)time_monotonic_ns();
}

/* Where the name is or would be, there or gone. */
static size_t slot_of(const struct mem *m, const char *name, bool *taken)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(m->v[mid].name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *taken = low < m->n && strcmp(m->v[low].name, name) == 0;
    return low;
}

/* Where the object is. */
static size_t place(const struct mem *m, const char *name, bool *found)
{
    size_t i = slot_of(m, name, found);
    *found = *found && !m->v[i].gone;
    return i;
}

static void drop(struct mem *m, size_t i)
{
    free(m->v[i].name);
    buf_free(&m->v[i].data);
    memmove(m->v + i, m->v + i + 1, (m->n - i - 1) * sizeof *m->v);
    m->n--;
}

static void keep(struct mem *m, const char *name, struct buf data, bool replace)
{
    bool found;
    pthread_mutex_lock(&m->lock);
    size_t i = slot_of(m, name, &found);
    if (found && m->v[i].gone) {
        drop(m, i);
        found = false;
    }
    if (found && m->v[i].data.n == data.n && !replace) {
        buf_free(&data);
    } else if (found) {
        buf_free(&m->v[i].data);
        m->v[i].data = data;
        m->v[i].mtime_ns = clock_of(m);
        m->v[i].since_ns = steady(m);
    } else {
        if (m->n == m->cap) {
            m->cap = m->cap ? 2 * m->cap : 64;
            m->v = xrealloc(m->v, m->cap, sizeof *m->v);
        }
        memmove(m->v + i + 1, m->v + i, (m->n - i) * sizeof *m->v);
        m->v[i] = (struct object){
            .name = xstrdup(name), .data = data, .mtime_ns = clock_of(m), .since_ns = steady(m)};
        m->n++;
    }
    pthread_mutex_unlock(&m->lock);
}

static int put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    (void)e;
    struct buf copy = BUF_NONE;
    buf_add(&copy, data);
    keep(mem_of(s), name, copy, false);
    return STORE_DONE;
}

static int replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    (void)e;
    struct buf copy = BUF_NONE;
    buf_add(&copy, data);
    keep(mem_of(s), name, copy, true);
    return STORE_DONE;
}

static int tempfile(struct store *s, struct err *e)
{
    return file_spool(mem_of(s)->spool_dir, e);
}

static int put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    AUTO(buf) data = BUF_NONE;
    buf_reserve(&data, (size_t)size);
    if (fd_pread_all(fd, data.p, (size_t)size, 0, "temporary file", e))
        return -1;
    data.n = (size_t)size;
    keep(mem_of(s), name, data, false);
    data = (struct buf)BUF_NONE;
    return STORE_DONE;
}

static int get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    struct mem *m = mem_of(s);
    bool found;
    int rc = STORE_DONE;
    pthread_mutex_lock(&m->lock);
    size_t i = place(m, name, &found);
    if (!found)
        rc = STORE_ABSENT;
    else if (m->v[i].data.n > limit)
        rc = err_set(e, ERR_DAMAGED, "has %zu bytes, and such an object has at most %llu", m->v[i].data.n,
                     (unsigned long long)limit);
    else
        buf_add(out, buf_bytes(&m->v[i].data));
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    struct mem *m = mem_of(s);
    bool found;
    int rc = STORE_DONE;
    pthread_mutex_lock(&m->lock);
    size_t i = place(m, name, &found);
    if (!found)
        rc = STORE_ABSENT;
    else if (n && (offset > m->v[i].data.n || n > m->v[i].data.n - offset))
        rc = err_set(e, ERR_DAMAGED, "ends at byte %zu", m->v[i].data.n);
    else if (n)
        memcpy(p, m->v[i].data.p + offset, n);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int size_of(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    (void)e;
    struct mem *m = mem_of(s);
    bool found;
    pthread_mutex_lock(&m->lock);
    size_t i = place(m, name, &found);
    if (found)
        *size = m->v[i].data.n;
    pthread_mutex_unlock(&m->lock);
    return found ? STORE_DONE : STORE_ABSENT;
}

/* Whether a listing shows it: for objects that came or went a moment ago, it may or it may not. */
static bool is_shown(struct mem *m, const struct object *o)
{
    if (steady(m) - o->since_ns >= m->lag_ns)
        return !o->gone;
    m->dice = m->dice * 6364136223846793005u + 1442695040888963407u; /* Knuth's LCG */
    return m->dice >> 63;
}

/* Works on a copy of the names, so that `each` may call the store. */
static int list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e)
{
    struct mem *m = mem_of(s);
    AUTO(strings) names = STRINGS_NONE;
    bool exact;
    pthread_mutex_lock(&m->lock);
    if (now_ns)
        *now_ns = clock_of(m);
    for (size_t i = slot_of(m, prefix, &exact);
         i < m->n && strncmp(m->v[i].name, prefix, strlen(prefix)) == 0; i++)
        if (is_shown(m, &m->v[i]))
            strings_add(&names, m->v[i].name);
    pthread_mutex_unlock(&m->lock);
    int rc = 0;
    for (size_t i = 0; i < names.n && rc == 0; i++) {
        struct store_object o = {.name = names.v[i]};
        bool found;
        pthread_mutex_lock(&m->lock);
        size_t k = slot_of(m, names.v[i], &found);
        if (found) {
            o.size = m->v[k].data.n;
            o.mtime_ns = m->v[k].mtime_ns;
        }
        pthread_mutex_unlock(&m->lock);
        if (found)
            rc = each(ctx, &o, e);
    }
    return rc;
}

static int del(struct store *s, const char *name, struct err *e)
{
    (void)e;
    struct mem *m = mem_of(s);
    bool found;
    pthread_mutex_lock(&m->lock);
    size_t i = place(m, name, &found);
    bool locked = found && m->lock_ns && clock_of(m) - m->v[i].mtime_ns < m->lock_ns;
    if (found && !locked && m->lag_ns) {
        size_t size = m->v[i].data.n;
        buf_free(&m->v[i].data);
        m->v[i].data.n = size; /* what a late listing says */
        m->v[i].gone = true;
        m->v[i].since_ns = steady(m);
    } else if (found && !locked) {
        drop(m, i);
    }
    pthread_mutex_unlock(&m->lock);
    return locked ? STORE_RETAINED : found ? STORE_DONE : STORE_ABSENT;
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    (void)s, (void)free_bytes, (void)total_bytes, (void)e;
    return STORE_ABSENT;
}

static void mem_free(struct store *s)
{
    struct mem *m = mem_of(s);
    for (size_t i = 0; i < m->n; i++) {
        free(m->v[i].name);
        buf_free(&m->v[i].data);
    }
    free(m->v);
    free(m->spool_dir);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const struct store_ops mem_ops = {.put = put,
                                         .replace = replace,
                                         .tempfile = tempfile,
                                         .put_file = put_file,
                                         .get = get,
                                         .get_range = get_range,
                                         .size = size_of,
                                         .list = list,
                                         .del = del,
                                         .space = space,
                                         .free = mem_free};

struct store *store_mem_new(const char *spool_dir)
{
    struct mem *m = xcalloc(1, sizeof *m);
    m->base.ops = &mem_ops;
    m->base.title = xstrdup("store in memory");
    m->spool_dir = xstrdup(spool_dir);
    pthread_mutex_init(&m->lock, NULL);
    return &m->base;
}
