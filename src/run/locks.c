/* object-lock-days: what a snapshot needs must stay locked as long as the snapshot itself. When each lock
 * ends is kept in STATE/<repository>/<store>.locks, lines of "name until"; without that file the store is
 * asked for each object once. */
#include "internal.h"

#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define LOCKS_MAX (64u << 20)
#define THREADS   8 /* requests at a time */
#define DAY_NS    (86400ll * 1000000000)

struct lock {
    char *name;
    int64_t until_ns; /* 0: not known */
};
struct locks {
    struct lock *v;
    size_t n, cap;
};

static void locks_free(struct locks *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].name);
    free(l->v);
    *l = (struct locks){0};
}

static void add(struct locks *l, const char *name, int64_t until_ns)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 256;
        l->v = xrealloc(l->v, l->cap, sizeof *l->v);
    }
    l->v[l->n++] = (struct lock){xstrdup(name), until_ns};
}

static int by_name(const void *a, const void *b)
{
    const struct lock *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int64_t known_until(const struct locks *l, const char *name)
{
    const struct lock key = {.name = (char *)name};
    const struct lock *found = l->n ? bsearch(&key, l->v, l->n, sizeof key, by_name) : NULL;
    return found ? found->until_ns : 0;
}

/* ---- the file ---- */
static void locks_read(struct locks *l, const char *path)
{
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    char *save = NULL;
    if (!file_is_there(path))
        return;
    if (file_read_regular(path, LOCKS_MAX, &text, &why)) {
        log_warn("%s (the store is asked for its locks)", why.text);
        return;
    }
    (void)buf_cstr(&text);
    for (char *line = strtok_r((char *)text.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *blank = strchr(line, ' ');
        int64_t until = 0;
        if (!blank || !time_parse_utc(blank + 1, &until))
            continue;
        *blank = 0;
        add(l, line, until);
    }
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_name);
}

static void locks_write(const struct locks *l, const char *path)
{
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    for (size_t i = 0; i < l->n; i++) {
        char time[40];
        if (!l->v[i].until_ns)
            continue;
        time_format_utc(time, l->v[i].until_ns);
        buf_add_fmt(&text, "%s %s\n", l->v[i].name, time);
    }
    if (file_write(path, buf_bytes(&text), 0600, false, &why))
        log_warn("%s (the next backup asks the store for its locks)", why.text);
}

/* ---- what is needed ---- */
struct extending {
    struct store *store;
    struct locks known, needed;
    int64_t soon_ns, until_ns; /* locks that end before are extended; to here */
};

static int take_needed(void *ctx, const char *name, bool is_new, struct err *e)
{
    struct extending *x = ctx;
    (void)e;
    add(&x->needed, name, is_new ? x->until_ns : known_until(&x->known, name));
    return 0;
}

/* ---- asking for one ---- */
struct asking {
    struct job job;
    struct extending *x;
    struct lock *lock;
    int rc;
    struct err error;
};

static void ask(struct job *job, unsigned worker)
{
    struct asking *a = CONTAINER(job, struct asking, job);
    struct extending *x = a->x;
    int64_t until = a->lock->until_ns;
    (void)worker;
    a->rc = until ? STORE_DONE : store_retention(x->store, a->lock->name, &until, &a->error);
    if (a->rc == STORE_DONE && until < x->soon_ns) {
        a->rc = store_extend(x->store, a->lock->name, x->until_ns, &a->error);
        until = x->until_ns;
    }
    a->lock->until_ns = a->rc == STORE_DONE ? until : 0;
}

/* What cannot be locked is not relied on; a store that cannot be reached ends the run. */
static int judge(struct repo *r, const struct asking *a, struct err *e)
{
    if (a->rc == STORE_DONE)
        return COMMIT_DONE;
    if (a->rc == STORE_FAILED && a->error.kind != ERR_FAILED && a->error.kind != ERR_DAMAGED)
        return *e = a->error, COMMIT_FAILED;
    bool is_pack = strncmp(a->lock->name, "packs/", 6) == 0;
    log_warn("%s%s", a->rc == STORE_ABSENT ? a->lock->name : a->error.text,
             a->rc == STORE_ABSENT ? " is gone, so its lock cannot be extended"
             : is_pack             ? ": its lock cannot be extended, so what it holds is stored again"
                                   : ": its lock cannot be extended");
    repo_distrust(r, a->lock->name);
    return is_pack ? COMMIT_REPEAT : COMMIT_DONE;
}

static int ask_all(struct repo *r, struct extending *x, struct err *e)
{
    struct asking *v = xcalloc(x->needed.n, sizeof *v);
    AUTO_PTR(pool) pool = pool_new(THREADS);
    size_t n = 0;
    int rc = COMMIT_DONE;
    for (size_t i = 0; i < x->needed.n; i++) {
        if (x->needed.v[i].until_ns >= x->soon_ns)
            continue;
        v[n] = (struct asking){.job.run = ask, .x = x, .lock = &x->needed.v[i]};
        pool_submit(pool, &v[n++].job);
    }
    for (size_t i = 0; i < n; i++) {
        pool_wait(pool, &v[i].job);
        int one = rc == COMMIT_FAILED ? COMMIT_DONE : judge(r, &v[i], e);
        rc = one == COMMIT_DONE ? rc : one;
    }
    free(v);
    if (n)
        log_info("%s: the locks of %zu objects were looked at", store_title(x->store), n);
    return rc;
}

int locks_extend(struct repo *r, const struct config_store *s, const char *folder, struct err *e)
{
    struct extending x = {.store = repo_store(r)};
    int64_t now_ns = time_now_ns();
    if (!s->object_lock_days)
        return COMMIT_DONE;
    AUTO_CHAR path = xasprintf("%s/%s.locks", folder, s->name);
    x.until_ns = now_ns + s->object_lock_days * DAY_NS;
    x.soon_ns = now_ns + s->object_lock_days * DAY_NS / 2;
    locks_read(&x.known, path);
    int rc = repo_each_needed(r, take_needed, &x, e) ? COMMIT_FAILED : ask_all(r, &x, e);
    if (rc != COMMIT_FAILED)
        locks_write(&x.needed, path);
    locks_free(&x.known);
    locks_free(&x.needed);
    return rc;
}
