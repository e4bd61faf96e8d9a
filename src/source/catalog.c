#include "source/catalog.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_LIMIT (256u << 10)

static const struct {
    const char *name;
    mode_t type;
} types[] = {{"file", S_IFREG}, {"dir", S_IFDIR}, {"symlink", S_IFLNK},
             {"fifo", S_IFIFO}, {"chr", S_IFCHR}, {"blk", S_IFBLK}};

/* Sets `key`, or `key_b64` when the bytes are not UTF-8. */
static void set_bytes(json_t *o, const char *key, const char *value)
{
    if (utf8_is_valid(value, strlen(value))) {
        json_object_set_new(o, key, json_string(value));
        return;
    }
    AUTO_CHAR key_b64 = xasprintf("%s_b64", key);
    AUTO_CHAR text = base64_encode(BYTES_STR(value));
    json_object_set_new(o, key_b64, json_string(text));
}

static void add_line(struct buf *out, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text)
        abort();
    buf_add_str(out, text);
    buf_add_u8(out, '\n');
    free(text);
    json_decref(o);
}

void catalog_add_entry(struct buf *out, const struct catalog_entry *e)
{
    const char *type = "file";
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((e->mode & S_IFMT) == types[i].type)
            type = types[i].name;
    json_t *o = json_object();
    set_bytes(o, "path", e->path);
    json_object_set_new(o, "type", json_string(type));
    json_object_set_new(o, "size", json_integer((json_int_t)e->size));
    json_object_set_new(o, "mode", json_integer(e->mode & 07777));
    json_object_set_new(o, "uid", json_integer(e->uid));
    json_object_set_new(o, "gid", json_integer(e->gid));
    json_object_set_new(o, "mtime_ns", json_integer(e->mtime_ns));
    if (e->target)
        set_bytes(o, "target", e->target);
    if (e->link) {
        set_bytes(o, "link", e->link);
        json_object_set_new(o, "link_run", json_integer((json_int_t)e->link_run));
    }
    add_line(out, o);
}

void catalog_add_run(struct buf *out, uint64_t run, uint64_t bytes)
{
    add_line(out, json_pack("{s:I, s:I}", "run", (json_int_t)run, "bytes", (json_int_t)bytes));
}

void catalog_reader_init(struct catalog_reader *r, const struct catalog_visitor *v)
{
    *r = (struct catalog_reader){.visitor = *v};
}

/* The text under `key` or `key_b64`, into `keep`; NULL: neither, or not a path. */
static const char *get_bytes(const json_t *o, const char *key, struct buf *keep)
{
    const char *text = json_string_value(json_object_get(o, key));
    AUTO_CHAR key_b64 = xasprintf("%s_b64", key);
    const char *b64 = json_string_value(json_object_get(o, key_b64));
    keep->n = 0;
    if (text)
        buf_add_str(keep, text);
    else if (!b64 || !base64_decode(keep, b64) || memchr(keep->p, 0, keep->n))
        return NULL;
    return buf_cstr(keep);
}

static uint64_t number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v < 0 ? 0 : (uint64_t)v;
}

static int damaged(struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the catalog has a line that is not one");
}

static int take_entry(struct catalog_reader *r, const json_t *o, struct err *e)
{
    AUTO(buf) path = BUF_NONE, target = BUF_NONE, link = BUF_NONE;
    const char *type = json_string_value(json_object_get(o, "type"));
    struct catalog_entry c = {.path = get_bytes(o, "path", &path),
                              .target = get_bytes(o, "target", &target),
                              .link = get_bytes(o, "link", &link),
                              .link_run = number(o, "link_run"),
                              .size = number(o, "size"),
                              .uid = (uint32_t)number(o, "uid"),
                              .gid = (uint32_t)number(o, "gid"),
                              .run = r->run,
                              .mtime_ns = json_integer_value(json_object_get(o, "mtime_ns"))};
    for (size_t i = 0; type && i < ARRAY_LEN(types); i++)
        if (strcmp(type, types[i].name) == 0)
            c.mode = types[i].type | (mode_t)(number(o, "mode") & 07777);
    if (!c.path || !*c.path || !c.mode)
        return damaged(e);
    return r->visitor.entry(r->visitor.ctx, &c, e);
}

static int take_line(struct catalog_reader *r, struct bytes line, struct err *e)
{
    json_t *o = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    int rc;
    if (!json_is_object(o)) {
        rc = damaged(e);
    } else if (json_object_get(o, "run")) {
        uint64_t bytes = number(o, "bytes");
        rc = number(o, "run") != r->run || __builtin_add_overflow(r->offset, bytes, &(uint64_t){0})
                 ? damaged(e)
                 : r->visitor.run(r->visitor.ctx, r->run, r->offset, bytes, e);
        r->offset += bytes;
        r->run++;
    } else {
        rc = take_entry(r, o, e);
    }
    json_decref(o);
    return rc;
}

int catalog_reader_push(struct catalog_reader *r, struct bytes b, struct err *e)
{
    while (b.n) {
        const uint8_t *nl = memchr(b.p, '\n', b.n);
        size_t n = nl ? (size_t)(nl - b.p) : b.n;
        if (r->line.n + n > LINE_LIMIT)
            return damaged(e);
        buf_add(&r->line, BYTES(b.p, n));
        if (!nl)
            return 0;
        int rc = take_line(r, buf_bytes(&r->line), e);
        r->line.n = 0;
        if (rc)
            return rc;
        b.p += n + 1;
        b.n -= n + 1;
    }
    return 0;
}

int catalog_reader_end(struct catalog_reader *r, struct err *e)
{
    return r->line.n ? err_set(e, ERR_DAMAGED, "the catalog ends inside a line") : 0;
}

void catalog_reader_free(struct catalog_reader *r)
{
    buf_free(&r->line);
}
