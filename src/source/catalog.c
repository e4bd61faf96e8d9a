#include "source/catalog.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VERSION    1
#define LINE_LIMIT (1u << 20) /* three paths of 32 KiB, each byte as \u00XX */

static const struct {
    const char *name;
    mode_t type;
} types[] = {{"file", S_IFREG}, {"dir", S_IFDIR}, {"symlink", S_IFLNK},
             {"fifo", S_IFIFO}, {"chr", S_IFCHR}, {"blk", S_IFBLK}};

/* ---- writing, by hand: there is a line for every file every night ---- */
static void add_json_text(struct buf *out, const char *s)
{
    const char *plain = s;
    buf_add_u8(out, '"');
    for (;; s++) {
        if ((uint8_t)*s >= 0x20 && *s != '"' && *s != '\\')
            continue;
        buf_add(out, BYTES(plain, (size_t)(s - plain)));
        plain = s + 1;
        if (*s == 0)
            break;
        if ((uint8_t)*s < 0x20)
            buf_add_fmt(out, "\\u%04x", (unsigned)(uint8_t)*s);
        else
            buf_add_fmt(out, "\\%c", *s);
    }
    buf_add_u8(out, '"');
}

/* "key":"value", or "key_b64" when the bytes are not UTF-8. */
static void add_path(struct buf *out, const char *key, const char *value)
{
    if (utf8_is_valid(value, strlen(value))) {
        buf_add_fmt(out, ",\"%s\":", key);
        add_json_text(out, value);
        return;
    }
    AUTO_CHAR text = base64_encode(BYTES_STR(value));
    buf_add_fmt(out, ",\"%s_b64\":\"%s\"", key, text);
}

static const char *type_name(mode_t mode)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((mode & S_IFMT) == types[i].type)
            return types[i].name;
    assert(!"no such type is walked");
    return NULL;
}

void catalog_add_start(struct buf *out)
{
    buf_add_fmt(out, "{\"type\":\"catalog\",\"version\":%d}\n", VERSION);
}

void catalog_add_entry(struct buf *out, const struct catalog_entry *e)
{
    buf_add_fmt(out, "{\"type\":\"%s\"", type_name(e->mode));
    add_path(out, "path", e->path);
    buf_add_fmt(out, ",\"size\":%llu,\"mode\":%u,\"uid\":%u,\"gid\":%u,\"mtime_ns\":%lld",
                (unsigned long long)e->size, (unsigned)(e->mode & 07777), e->uid, e->gid,
                (long long)e->mtime_ns);
    if (e->target)
        add_path(out, "target", e->target);
    if (e->link) {
        add_path(out, "link", e->link);
        buf_add_fmt(out, ",\"link_back\":%llu", (unsigned long long)(e->run - e->link_run));
    }
    buf_add_str(out, "}\n");
}

void catalog_add_run(struct buf *out, uint64_t bytes)
{
    buf_add_fmt(out, "{\"type\":\"run\",\"bytes\":%llu}\n", (unsigned long long)bytes);
}

/* ---- reading ---- */
void catalog_reader_init(struct catalog_reader *r, const struct catalog_visitor *v)
{
    *r = (struct catalog_reader){.visitor = *v};
}

/* The text under `key` or `key_b64`, into `keep`; NULL: neither, or not a path. */
static const char *get_path(const json_t *o, const char *key, struct buf *keep)
{
    const char *text = json_string_value(json_object_get(o, key));
    AUTO_CHAR key_b64 = xasprintf("%s_b64", key);
    const char *b64 = json_string_value(json_object_get(o, key_b64));
    if (text)
        buf_add_str(keep, text);
    else if (!b64 || !base64_decode(keep, b64) || keep->n == 0 || memchr(keep->p, 0, keep->n))
        return NULL;
    return buf_cstr(keep);
}

/* A number from 0 to `limit`; else *bad. */
static uint64_t get_number(const json_t *o, const char *key, uint64_t limit, bool *bad)
{
    const json_t *v = json_object_get(o, key);
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || (uint64_t)n > limit) {
        *bad = true;
        return 0;
    }
    return (uint64_t)n;
}

static int damaged(const struct catalog_reader *r, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "the catalog has a line in run %llu that is not one",
                   (unsigned long long)r->run);
}

static mode_t get_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    return 0;
}

static int take_entry(struct catalog_reader *r, const json_t *o, mode_t type, struct err *e)
{
    AUTO(buf) path = BUF_NONE, target = BUF_NONE, link = BUF_NONE;
    bool bad = type == 0 || !json_is_integer(json_object_get(o, "mtime_ns"));
    struct catalog_entry c = {.path = get_path(o, "path", &path),
                              .target = get_path(o, "target", &target),
                              .link = get_path(o, "link", &link),
                              .mode = type | (mode_t)get_number(o, "mode", 07777, &bad),
                              .size = get_number(o, "size", INT64_MAX, &bad),
                              .uid = (uint32_t)get_number(o, "uid", UINT32_MAX, &bad),
                              .gid = (uint32_t)get_number(o, "gid", UINT32_MAX, &bad),
                              .run = r->run,
                              .mtime_ns = json_integer_value(json_object_get(o, "mtime_ns"))};
    if (c.link)
        c.link_run = r->run - get_number(o, "link_back", r->run, &bad);
    if (bad || !c.path || !*c.path)
        return damaged(r, e);
    r->run_is_open = true;
    return r->visitor.entry ? r->visitor.entry(r->visitor.ctx, &c, e) : 0;
}

static int take_run(struct catalog_reader *r, const json_t *o, struct err *e)
{
    bool bad = false;
    uint64_t bytes = get_number(o, "bytes", INT64_MAX - r->offset, &bad);
    if (bad)
        return damaged(r, e);
    int rc = r->visitor.run ? r->visitor.run(r->visitor.ctx, r->run, r->offset, bytes, e) : 0;
    r->offset += bytes;
    r->run++;
    r->run_is_open = false;
    return rc;
}

static int take_start(struct catalog_reader *r, const json_t *o, const char *type, struct err *e)
{
    bool bad = strcmp(type, "catalog") != 0;
    uint64_t version = get_number(o, "version", INT64_MAX, &bad);
    if (bad)
        return damaged(r, e);
    if (version != VERSION)
        return err_set(e, ERR_FAILED, "the catalog has version %llu; this program knows version %d",
                       (unsigned long long)version, VERSION);
    r->started = true;
    return 0;
}

static int take_object(struct catalog_reader *r, const json_t *o, struct err *e)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    if (!type)
        return damaged(r, e);
    if (!r->started)
        return take_start(r, o, type, e);
    return strcmp(type, "run") == 0 ? take_run(r, o, e) : take_entry(r, o, get_type(type), e);
}

static int take_line(struct catalog_reader *r, struct err *e)
{
    json_t *o = json_loadb((const char *)r->line.p, r->line.n, JSON_REJECT_DUPLICATES, NULL);
    int rc = o ? take_object(r, o, e) : damaged(r, e);
    json_decref(o);
    return rc;
}

int catalog_reader_push(struct catalog_reader *r, struct bytes b, struct err *e)
{
    while (b.n) {
        const uint8_t *nl = memchr(b.p, '\n', b.n);
        size_t n = nl ? (size_t)(nl - b.p) : b.n;
        if (n > LINE_LIMIT - r->line.n)
            return damaged(r, e);
        buf_add(&r->line, BYTES(b.p, n));
        if (!nl)
            return 0;
        int rc = take_line(r, e);
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
    if (r->started && r->line.n == 0 && !r->run_is_open)
        return 0;
    return err_set(e, ERR_DAMAGED, "the catalog ends too early, in run %llu", (unsigned long long)r->run);
}

void catalog_reader_free(struct catalog_reader *r)
{
    buf_free(&r->line);
}
