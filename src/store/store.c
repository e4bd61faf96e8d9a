#include "driver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 200

bool store_name_is_valid(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX_LEN || name[0] == '/' || name[n - 1] == '/')
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

/* No driver fails in silence; every failure says what was done, to what, where. */
static int say(struct store *s, int rc, const char *operation, const char *name, struct err *e)
{
    if (rc != STORE_FAILED)
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
    assert(store_name_is_valid(name));
    return say(s, s->ops->put(s, name, data, e), "put", name, e);
}

int store_tempfile(struct store *s, struct err *e)
{
    int fd = s->ops->tempfile(s, e);
    return fd < 0 ? say(s, STORE_FAILED, "make", "a temporary file", e) : fd;
}

int store_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    assert(store_name_is_valid(name) && fd >= 0);
    return say(s, s->ops->put_file(s, name, fd, size, e), "put", name, e);
}

int store_get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    assert(store_name_is_valid(name));
    out->n = 0;
    return say(s, s->ops->get(s, name, limit, out, e), "get", name, e);
}

int store_get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    assert(store_name_is_valid(name));
    return say(s, s->ops->get_range(s, name, offset, p, n, e), "get", name, e);
}

int store_size(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    assert(store_name_is_valid(name));
    return say(s, s->ops->size(s, name, size, e), "look at", name, e);
}

int store_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
               struct err *e)
{
    return say(s, s->ops->list(s, prefix, each, ctx, now_ns, e), "list", prefix, e);
}

int store_delete(struct store *s, const char *name, struct err *e)
{
    assert(store_name_is_valid(name));
    return say(s, s->ops->del(s, name, e), "delete", name, e);
}

int store_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    return say(s, s->ops->space(s, free_bytes, total_bytes, e), "ask", "for free space", e);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    char *title = s->title;
    s->ops->free(s);
    free(title);
}
