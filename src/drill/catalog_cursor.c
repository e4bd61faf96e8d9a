#include "drill/catalog_cursor.h"

#include <stdlib.h>

static struct catalog_item *add(struct catalog_cursor *c)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->v = xrealloc(c->v, c->cap, sizeof *c->v);
    }
    return &c->v[c->n++];
}

static const char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static int keep_entry(void *ctx, const struct catalog_entry *entry, struct err *e)
{
    struct catalog_item *item = add(ctx);
    (void)e;
    *item = (struct catalog_item){.entry = *entry};
    item->entry.path = copy(entry->path);
    item->entry.target = copy(entry->target);
    item->entry.link = copy(entry->link);
    return 0;
}

static int keep_run(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e)
{
    (void)run;
    (void)e;
    *add(ctx) = (struct catalog_item){.is_run = true, .offset = offset, .bytes = bytes};
    return 0;
}

static void forget(struct catalog_cursor *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free((char *)c->v[i].entry.path);
        free((char *)c->v[i].entry.target);
        free((char *)c->v[i].entry.link);
    }
    c->n = c->at = 0;
}

int catalog_cursor_open(struct catalog_cursor *c, struct repo *r, const struct stream_info *info,
                        struct err *e)
{
    const struct catalog_visitor v = {.entry = keep_entry, .run = keep_run, .ctx = c};
    *c = (struct catalog_cursor){.stream = stream_reader_new(r, info, 0, UINT64_MAX, e)};
    catalog_reader_init(&c->lines, &v);
    return c->stream ? 0 : -1;
}

int catalog_cursor_next(struct catalog_cursor *c, const struct catalog_item **out, struct err *e)
{
    while (c->at == c->n && !c->ended) {
        struct bytes b;
        forget(c);
        if (stream_reader_next(c->stream, &b, e))
            return -1;
        c->ended = b.n == 0;
        if (c->ended ? catalog_reader_end(&c->lines, e) : catalog_reader_push(&c->lines, b, e))
            return -1;
    }
    if (c->at == c->n)
        return 0;
    *out = &c->v[c->at++];
    return 1;
}

void catalog_cursor_free(struct catalog_cursor *c)
{
    forget(c);
    free(c->v);
    catalog_reader_free(&c->lines);
    stream_reader_free(c->stream);
    *c = (struct catalog_cursor){0};
}
