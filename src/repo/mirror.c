/* Mirrors as a second source to read from: object by object, opened when the first is needed. What they give
 * is compared with its name, or proven by its tags, like anything else. */
#include "repo/internal.h"

#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

struct mirror {
    char *name;
    struct store *store; /* NULL: not opened, or not to be had */
    bool tried;
};
struct mirrors {
    struct repo *repo;
    struct store *(*open)(void *ctx, size_t number, struct err *e);
    void *ctx;
    pthread_mutex_t lock; /* guards all below */
    struct mirror *v;
    size_t n;
    struct strings said; /* kinds of objects */
    bool used, given_up, indexes_loaded;
};

struct mirrors *mirrors_new(struct repo *r, const struct repo_options *o)
{
    if (o->mirror_count == 0)
        return NULL;
    struct mirrors *m = xcalloc(1, sizeof *m);
    *m = (struct mirrors){.repo = r,
                          .open = o->mirror_open,
                          .ctx = o->mirror_ctx,
                          .v = xcalloc(o->mirror_count, sizeof *m->v),
                          .n = o->mirror_count};
    for (size_t i = 0; i < m->n; i++)
        m->v[i].name = xstrdup(o->mirror_names[i]);
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void mirrors_free(struct mirrors *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        store_free(m->v[i].store);
        free(m->v[i].name);
    }
    free(m->v);
    strings_free(&m->said);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* NULL with *e. */
static struct store *open_one(const struct mirrors *m, size_t i, struct err *e)
{
    char ours[REPOSITORY_ID_HEX], there[REPOSITORY_ID_HEX] = "";
    AUTO_PTR(store) s = m->open(m->ctx, i, e);
    if (!s || repo_read_id(s, there, e) < 0)
        return NULL;
    keyring_repository_hex(m->repo->keys, ours);
    if (strcmp(ours, there) != 0)
        return err_set(e, ERR_USAGE, "%s: does not hold this repository", store_title(s)), NULL;
    return STEAL(s);
}

/* The store of a mirror, or NULL: one that cannot be opened is tried once. */
static struct store *mirror_store(struct mirrors *m, size_t i)
{
    struct err why = ERR_INIT;
    pthread_mutex_lock(&m->lock);
    struct mirror *v = &m->v[i];
    if (!v->tried) {
        v->store = open_one(m, i, &why);
        v->tried = true;
    }
    struct store *s = v->store;
    pthread_mutex_unlock(&m->lock);
    if (err_is_set(&why))
        log_warn("mirror %s: %s", v->name, why.text);
    return s;
}

/* Once for each kind of object: a whole store that is bad would be thousands of lines. */
static void say(struct mirrors *m, size_t i, const char *object, const struct err *why)
{
    AUTO_CHAR kind = xstrndup(object, strcspn(object, "/"));
    pthread_mutex_lock(&m->lock);
    bool is_new = !strings_has(&m->said, kind);
    if (is_new)
        strings_add(&m->said, kind);
    m->used = true;
    /* A server that does not answer costs its time-out each time: not asked again. */
    m->given_up |= why->kind == ERR_NET;
    pthread_mutex_unlock(&m->lock);
    if (is_new)
        log_warn("read from mirror %s: %s", m->v[i].name, why->text);
    else
        log_debug("read from mirror %s: %s", m->v[i].name, why->text);
}

bool mirrors_instead(struct repo *r)
{
    struct mirrors *m = r->mirrors;
    if (!m)
        return false;
    pthread_mutex_lock(&m->lock);
    bool given_up = m->given_up;
    pthread_mutex_unlock(&m->lock);
    return given_up;
}

bool repo_used_mirror(const struct repo *r)
{
    return r->mirrors && r->mirrors->used;
}

/* ---- reading ---- */
static bool helps(const struct repo *r, const struct err *why)
{
    return r->mirrors && why->kind != ERR_STOPPED;
}

int list_own(struct repo *r, const char *prefix, store_each *each, void *ctx, int64_t *now_ns, struct err *e)
{
    struct err why = ERR_INIT;
    if (store_list(r->store, prefix, each, ctx, now_ns, &why) != STORE_FAILED)
        return 0;
    if (!helps(r, &why))
        return *e = why, -1;
    log_warn("%s; going on with what mirrors hold", why.text);
    pthread_mutex_lock(&r->mirrors->lock);
    r->mirrors->used = true;
    pthread_mutex_unlock(&r->mirrors->lock);
    return 1;
}

int mirror_object(struct repo *r, const char *name, enum object_type type, uint64_t limit, struct buf *out,
                  const struct err *why)
{
    for (size_t i = 0; helps(r, why) && i < r->mirrors->n; i++) {
        struct store *s = mirror_store(r->mirrors, i);
        struct err ignored = ERR_INIT;
        if (!s || object_get_from(r, s, name, type, limit, out, &ignored) != STORE_DONE)
            continue;
        say(r->mirrors, i, name, why);
        return STORE_DONE;
    }
    return STORE_ABSENT;
}

int mirror_frame(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw,
                 const struct err *why)
{
    for (size_t i = 0; helps(r, why) && i < r->mirrors->n; i++) {
        struct store *s = mirror_store(r->mirrors, i);
        struct err ignored = ERR_INIT;
        if (!s)
            continue;
        uint8_t *sealed = buf_reserve(codec_scratch(c, 0), f->sealed_length);
        if (store_get_range(s, f->name, f->offset, sealed, f->sealed_length, &ignored) != STORE_DONE ||
            frame_open_bytes(r, f, BYTES(sealed, f->sealed_length), c, raw, &ignored))
            continue;
        say(r->mirrors, i, f->name, why);
        return STORE_DONE;
    }
    return STORE_ABSENT;
}

int mirror_table(struct repo *r, const struct sha *pack, uint64_t size, struct buf *out,
                 const struct err *why)
{
    char name[NAME_SIZE];
    pack_name(name, pack);
    for (size_t i = 0; helps(r, why) && i < r->mirrors->n; i++) {
        struct store *s = mirror_store(r->mirrors, i);
        struct err ignored = ERR_INIT;
        out->n = 0;
        if (!s || pack_read_table_from(r, s, pack, size, out, &ignored))
            continue;
        say(r->mirrors, i, name, why);
        return STORE_DONE;
    }
    return STORE_ABSENT;
}

int mirrors_each(struct repo *r, int (*each)(struct repo *r, struct store *s, void *ctx, struct err *e),
                 void *ctx, struct err *e)
{
    for (size_t i = 0; r->mirrors && i < r->mirrors->n; i++) {
        struct store *s = mirror_store(r->mirrors, i);
        struct err why = ERR_INIT;
        if (!s || each(r, s, ctx, &why) == 0)
            continue;
        if (why.kind == ERR_STOPPED)
            return *e = why, -1;
        log_warn("mirror %s: %s", r->mirrors->v[i].name, why.text);
    }
    return 0;
}

static int load_from(struct repo *r, struct store *s, void *ctx, struct err *e)
{
    (void)ctx;
    return view_more_indexes(r, s, e);
}

bool mirrors_load_indexes(struct repo *r)
{
    struct err ignored = ERR_INIT;
    if (!r->mirrors || r->mirrors->indexes_loaded)
        return false;
    r->mirrors->indexes_loaded = true;
    return mirrors_each(r, load_from, NULL, &ignored) == 0;
}
