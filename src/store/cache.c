/* Small objects of a remote store, kept in a folder of this host: they never change and are named by the
 * SHA-256 of their bytes, so a copy that fits its name is as good as the object. Packs are too large and are
 * not kept. A hint: whatever goes wrong with the folder costs a request, never an answer. */
#include "driver.h"

#include "base/file.h"
#include "codec/digest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBJECT_MAX (64u << 20)

struct cache {
    struct store base;
    struct store *inner;
    char *folder;
};

static struct cache *cache_of(struct store *s)
{
    return CONTAINER(s, struct cache, base);
}

static struct store *inner_of(struct store *s)
{
    return cache_of(s)->inner;
}

/* The folder for a kind of object ("CACHE/index"), by a name or a prefix; NULL: such objects are not kept. */
static char *folder_for(const struct cache *c, const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash || strncmp(name, "packs/", 6) == 0)
        return NULL;
    return xasprintf("%s/%.*s", c->folder, (int)(slash - name), name);
}

/* The file for an object, or NULL for one that is not kept. *sha: what its bytes must be. */
static char *path_for(const struct cache *c, const char *name, struct sha *sha)
{
    const char *hex = strrchr(name, '/');
    AUTO_CHAR folder = folder_for(c, name);
    if (!folder || !sha_parse(sha, hex + 1, strlen(hex + 1)))
        return NULL;
    return xasprintf("%s/%s", folder, hex + 1);
}

static bool fits(struct bytes data, const struct sha *want)
{
    struct sha have;
    sha_of(data, &have);
    return sha_equal(&have, want);
}

/* Under a name of its own first, so that a copy is whole or not there. */
static void keep(const struct cache *c, const char *name, struct bytes data)
{
    struct sha sha;
    struct err ignored = ERR_INIT;
    AUTO_CHAR path = path_for(c, name, &sha);
    AUTO_CHAR folder = folder_for(c, name);
    if (!path || !fits(data, &sha) || dir_make(folder, 0700, &ignored))
        return;
    AUTO_CHAR part = xasprintf("%s.%ld.part", path, (long)getpid());
    AUTO_FD fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (fd_write_all(fd, data, part, &ignored) || rename(part, path) != 0)
        unlink(part);
}

static int get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    const struct cache *c = cache_of(s);
    struct sha sha;
    struct err ignored = ERR_INIT;
    AUTO_CHAR path = path_for(c, name, &sha);
    if (path && access(path, R_OK) == 0 &&
        file_read_regular(path, MIN(limit, (uint64_t)OBJECT_MAX), out, &ignored) == 0 &&
        fits(buf_bytes(out), &sha))
        return STORE_DONE;
    out->n = 0;
    int rc = c->inner->ops->get(c->inner, name, limit, out, e);
    if (rc == STORE_DONE && path)
        keep(c, name, buf_bytes(out));
    return rc;
}

static int put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    struct store *in = inner_of(s);
    int rc = in->ops->put(in, name, data, e);
    if (rc == STORE_DONE)
        keep(cache_of(s), name, data);
    return rc;
}

static int replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    int rc = driver_replace(inner_of(s), name, data, e);
    if (rc == STORE_DONE)
        keep(cache_of(s), name, data);
    return rc;
}

static int del(struct store *s, const char *name, struct err *e)
{
    struct store *in = inner_of(s);
    struct sha sha;
    AUTO_CHAR path = path_for(cache_of(s), name, &sha);
    if (path)
        unlink(path);
    return in->ops->del(in, name, e);
}

/* ---- what is not listed any more ---- */
struct listing {
    store_each *each;
    void *ctx;
    struct strings names; /* of the objects, without the folders before it */
    bool whole;
};

static int hear(void *ctx, const struct store_object *o, struct err *e)
{
    struct listing *l = ctx;
    const char *slash = strrchr(o->name, '/');
    strings_add(&l->names, slash ? slash + 1 : o->name);
    int rc = l->each(l->ctx, o, e);
    l->whole = l->whole && rc == 0;
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tidy(const char *folder, struct strings *listed)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    if (listed->n)
        qsort(listed->v, listed->n, sizeof *listed->v, by_text);
    for (struct dirent *f; (f = readdir(d));) {
        const char *name = f->d_name;
        if (name[0] != '.' && !(listed->n && bsearch(&name, listed->v, listed->n, sizeof name, by_text)))
            unlinkat(dirfd(d), name, 0);
    }
    closedir(d);
}

static int list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e)
{
    struct store *in = inner_of(s);
    AUTO_CHAR folder = folder_for(cache_of(s), prefix);
    if (!folder || prefix[strcspn(prefix, "/") + 1]) /* not all of a kind */
        return in->ops->list(in, prefix, each, ctx, now_ns, e);
    struct listing l = {.each = each, .ctx = ctx, .whole = true};
    int rc = in->ops->list(in, prefix, hear, &l, now_ns, e);
    if (rc == 0 && l.whole)
        tidy(folder, &l.names);
    strings_free(&l.names);
    return rc;
}

/* ---- the rest is the inner store's ---- */
static int tempfile(struct store *s, struct err *e)
{
    struct store *in = inner_of(s);
    return in->ops->tempfile(in, e);
}

static int put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    struct store *in = inner_of(s);
    return in->ops->put_file(in, name, fd, size, e);
}

static int get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    struct store *in = inner_of(s);
    return in->ops->get_range(in, name, offset, p, n, e);
}

static int get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e)
{
    return driver_get_older(inner_of(s), name, nth, offset, p, n, e);
}

static int size_of(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    struct store *in = inner_of(s);
    return in->ops->size(in, name, size, e);
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    struct store *in = inner_of(s);
    return in->ops->space(in, free_bytes, total_bytes, e);
}

static int hide(struct store *s, const char *name, struct err *e)
{
    return driver_hide(inner_of(s), name, e);
}

static int retention(struct store *s, const char *name, int64_t *until_ns, struct err *e)
{
    return driver_retention(inner_of(s), name, until_ns, e);
}

static int extend(struct store *s, const char *name, int64_t until_ns, struct err *e)
{
    return driver_extend(inner_of(s), name, until_ns, e);
}

static int traits(struct store *s, const char *name, struct store_traits *out, struct err *e)
{
    return driver_traits(inner_of(s), name, out, e);
}

static void mended(struct store *s, struct strings *out)
{
    store_mended(inner_of(s), out);
}

static void counts(struct store *s, struct store_counts *out)
{
    store_counts(inner_of(s), out);
}

static void cache_free(struct store *s)
{
    struct cache *c = cache_of(s);
    store_free(c->inner);
    free(c->folder);
    free(c);
}

static const struct store_ops cache_ops = {.put = put,
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
                                           .free = cache_free};

struct store *store_cache_new(struct store *inner, const char *folder)
{
    struct cache *c = xcalloc(1, sizeof *c);
    c->base.ops = &cache_ops;
    c->base.title = xstrdup(inner->title);
    c->inner = inner;
    c->folder = xstrdup(folder);
    return &c->base;
}
