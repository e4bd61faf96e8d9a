/* The front door: names are checked, errors are completed, once for all drivers. */
#include "driver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 200

bool store_name_is_valid(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_LIMIT || name[n - 1] == '/')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '-'))
            return false;
        if ((i == 0 || name[i - 1] == '/') && (c == '/' || c == '.'))
            return false;
    }
    return true;
}

/* A prefix is the start of a name, or nothing. */
static bool prefix_is_valid(const char *prefix)
{
    size_t n = strlen(prefix);
    AUTO_CHAR name = xstrndup(prefix, n && prefix[n - 1] == '/' ? n - 1 : n);
    return n == 0 || store_name_is_valid(name);
}

/* Names may have come from a command line or a damaged object, so a bad one is an error and no assertion. */
static int refuse(struct store *s, const char *operation, const char *name, struct err *e)
{
    AUTO_CHAR shown = text_printable(name, strnlen(name, NAME_LIMIT));
    return err_set(e, ERR_FAILED, "%s: %s: \"%s\" is not the name of an object", s->title, operation, shown);
}

/* No driver fails in silence; every failure says what was done, to what, where. */
static int say(struct store *s, int rc, const char *operation, const char *name, struct err *e)
{
    if (rc >= STORE_DONE)
        return rc;
    assert(err_is_set(e));
    return err_wrap(e, "%s: %s %s", s->title, operation, name);
}

const char *store_title(const struct store *s)
{
    return s->title;
}

int store_put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "put", name, e);
    return say(s, s->ops->put(s, name, data, e), "put", name, e);
}

int driver_replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    return s->ops->replace ? s->ops->replace(s, name, data, e) : s->ops->put(s, name, data, e);
}

int store_replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "replace", name, e);
    return say(s, driver_replace(s, name, data, e), "replace", name, e);
}

int store_tempfile(struct store *s, struct err *e)
{
    int fd = s->ops->tempfile(s, e);
    return fd < 0 ? say(s, STORE_FAILED, "make", "a temporary file", e) : fd;
}

int store_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "put", name, e);
    return say(s, s->ops->put_file(s, name, fd, size, e), "put", name, e);
}

/* Half an object is none. */
static int got(struct store *s, int rc, const char *operation, const char *name, struct buf *out,
               struct err *e)
{
    if (rc != STORE_DONE)
        out->n = 0;
    return say(s, rc, operation, name, e);
}

int store_get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    out->n = 0;
    if (!store_name_is_valid(name))
        return refuse(s, "get", name, e);
    return got(s, s->ops->get(s, name, limit, out, e), "get", name, out, e);
}

int store_get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "get", name, e);
    if (offset > INT64_MAX || n > INT64_MAX - offset) {
        err_set(e, ERR_DAMAGED, "no object reaches byte %llu", (unsigned long long)offset);
        return say(s, STORE_FAILED, "get", name, e);
    }
    return say(s, s->ops->get_range(s, name, offset, p, n, e), "get", name, e);
}

int driver_get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e)
{
    return s->ops->get_older ? s->ops->get_older(s, name, nth, offset, p, n, e) : STORE_ABSENT;
}

int store_get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                    struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "get", name, e);
    return say(s, driver_get_older(s, name, nth, offset, p, n, e), "get an older version of", name, e);
}

void store_mended(struct store *s, struct strings *out)
{
    if (s->ops->mended)
        s->ops->mended(s, out);
}

int store_size(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "look at", name, e);
    return say(s, s->ops->size(s, name, size, e), "look at", name, e);
}

/* What lies in a folder or bucket is not ours alone: only names that could be ours get through. */
struct gate {
    const char *prefix;
    store_each *each;
    void *ctx;
};

static int pass_gate(void *ctx, const struct store_object *o, struct err *e)
{
    const struct gate *g = ctx;
    if (!store_name_is_valid(o->name) || strncmp(o->name, g->prefix, strlen(g->prefix)) != 0)
        return 0;
    return g->each(g->ctx, o, e);
}

int store_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
               struct err *e)
{
    struct gate g = {.prefix = prefix, .each = each, .ctx = ctx};
    if (!prefix_is_valid(prefix))
        return refuse(s, "list", prefix, e);
    int rc = s->ops->list(s, prefix, pass_gate, &g, now_ns, e);
    return rc > 0 ? STORE_DONE : say(s, rc, "list", *prefix ? prefix : "everything", e);
}

int store_delete(struct store *s, const char *name, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "delete", name, e);
    return say(s, s->ops->del(s, name, e), "delete", name, e);
}

int driver_hide(struct store *s, const char *name, struct err *e)
{
    return s->ops->hide ? s->ops->hide(s, name, e) : STORE_ABSENT;
}

int store_hide(struct store *s, const char *name, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "hide", name, e);
    return say(s, driver_hide(s, name, e), "hide", name, e);
}

int store_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    return say(s, s->ops->space(s, free_bytes, total_bytes, e), "ask", "for free space", e);
}

int driver_retention(struct store *s, const char *name, int64_t *until_ns, struct err *e)
{
    uint64_t size;
    if (s->ops->retention)
        return s->ops->retention(s, name, until_ns, e);
    *until_ns = 0;
    return s->ops->size(s, name, &size, e);
}

int store_retention(struct store *s, const char *name, int64_t *until_ns, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "look at the lock of", name, e);
    return say(s, driver_retention(s, name, until_ns, e), "look at the lock of", name, e);
}

int driver_extend(struct store *s, const char *name, int64_t until_ns, struct err *e)
{
    if (s->ops->extend)
        return s->ops->extend(s, name, until_ns, e);
    return err_set(e, ERR_FAILED, "such a store keeps no locks: remove object-lock-days");
}

int store_extend(struct store *s, const char *name, int64_t until_ns, struct err *e)
{
    if (!store_name_is_valid(name))
        return refuse(s, "lock", name, e);
    return say(s, driver_extend(s, name, until_ns, e), "lock", name, e);
}

int driver_traits(struct store *s, const char *name, struct store_traits *out, struct err *e)
{
    return s->ops->traits ? s->ops->traits(s, name, out, e) : STORE_DONE;
}

int store_traits(struct store *s, const char *name, struct store_traits *out, struct err *e)
{
    *out = (struct store_traits){0};
    if (!store_name_is_valid(name))
        return refuse(s, "look at", name, e);
    return say(s, driver_traits(s, name, out, e), "ask", "what it is like", e);
}

void store_counts(struct store *s, struct store_counts *out)
{
    *out = (struct store_counts){0};
    if (s->ops->counts)
        s->ops->counts(s, out);
}

const char *store_class_name(enum store_class class)
{
    static const char *const names[] = {"put", "get", "list", "head", "delete"};
    return names[class];
}

void store_free(struct store *s)
{
    if (!s)
        return;
    char *title = s->title;
    s->ops->free(s);
    free(title);
}
