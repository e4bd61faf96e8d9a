/* The lines of a fingerprint; docs/fingerprint.md is their definition. They are written here byte by byte and
 * not by a JSON library: two are compared years apart, and its next release may escape differently. */
#include "source/pg_archive_internal.h"

#include <stdlib.h>
#include <string.h>

#define HEADER "{\"fingerprint\":1,\"digest\":\"xxh3-128\",\"seed\":\"6c696665626f6174\"}\n"

static void add_text(struct buf *out, const char *s)
{
    size_t n = strlen(s);
    if (!utf8_is_valid(s, n)) {
        AUTO_CHAR text = base64_encode(BYTES(s, n));
        buf_add_fmt(out, "{\"b64\":\"%s\"}", text);
        return;
    }
    buf_add_u8(out, '"');
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            buf_add_fmt(out, "\\u%04x", (unsigned)*s);
            continue;
        }
        if (*s == '"' || *s == '\\')
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)*s);
    }
    buf_add_u8(out, '"');
}

static void add_field(struct buf *out, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    buf_add_fmt(out, ",\"%s\":", key);
    add_text(out, value);
}

/* "heap" is left out: it is what every table was stored as before there was a choice. */
void pg_line_object(struct buf *lines, const struct pg_entry *t, bool of_database)
{
    bool heap = t->access_method && strcmp(t->access_method, "heap") == 0;
    buf_add_str(lines, "{\"object\":[");
    add_text(lines, t->type);
    buf_add_u8(lines, ',');
    add_text(lines, t->schema);
    buf_add_u8(lines, ',');
    add_text(lines, t->tag);
    buf_add_u8(lines, ']');
    if (of_database)
        buf_add_str(lines, ",\"scope\":\"database\"");
    add_field(lines, "owner", t->owner);
    add_field(lines, "tablespace", t->tablespace);
    add_field(lines, "access_method", heap ? NULL : t->access_method);
    if (t->definition && *t->definition) {
        char hex[PG_DIGEST_HEX];
        pg_digest_once(BYTES_STR(t->definition), hex);
        add_field(lines, "definition", hex);
    }
    buf_add_str(lines, "}\n");
}

void pg_line_large_object(struct buf *lines, uint32_t oid, uint64_t bytes, const char *digest)
{
    buf_add_fmt(lines, "{\"large_object\":%u,\"bytes\":%llu,\"content\":\"%s\"}\n", oid,
                (unsigned long long)bytes, digest);
}

char *pg_line_head(const char *schema, const char *name, const struct strings *sorted_columns)
{
    AUTO(buf) line = BUF_NONE;
    buf_add_str(&line, "{\"table\":[");
    add_text(&line, schema);
    buf_add_u8(&line, ',');
    add_text(&line, name);
    buf_add_str(&line, "],\"columns\":[");
    for (size_t i = 0; i < sorted_columns->n; i++) {
        if (i > 0)
            buf_add_u8(&line, ',');
        add_text(&line, sorted_columns->v[i]);
    }
    buf_add_u8(&line, ']');
    return xstrndup((char *)line.p, line.n);
}

static int by_head(const void *a, const void *b)
{
    return strcmp((*(const struct pg_item *const *)a)->head, (*(const struct pg_item *const *)b)->head);
}

/* Items that load into the same table are one line: which partition a row is dumped with is not the same
 * after a restore when it is chosen by a hash of something that the restore makes anew. */
void pg_lines_tables(struct pg_archive *a)
{
    const struct pg_item **v = xcalloc(a->item_count, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < a->item_count; i++)
        if (!a->items[i].objects)
            v[n++] = &a->items[i];
    qsort(v, n, sizeof *v, by_head);
    for (size_t i = 0; i < n;) {
        const char *head = v[i]->head;
        uint64_t rows = 0;
        pg_sum sum = 0;
        for (; i < n && strcmp(v[i]->head, head) == 0; i++) {
            rows += v[i]->rows;
            sum += v[i]->sum;
        }
        char hex[PG_DIGEST_HEX];
        pg_sum_hex(sum, hex);
        buf_add_fmt(&a->lines, "%s,\"rows\":%llu,\"sum\":\"%s\"}\n", head, (unsigned long long)rows, hex);
    }
    free(v);
}

static int by_bytes(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    int order = memcmp(x->p, y->p, MIN(x->n, y->n));
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

void pg_archive_fingerprint(const struct pg_archive *a, struct buf *out)
{
    size_t n = 0, cap = 0;
    struct bytes *lines = NULL, rest = buf_bytes(&a->lines);
    while (rest.n) {
        const uint8_t *lf = memchr(rest.p, '\n', rest.n);
        if (n == cap)
            lines = xrealloc(lines, cap = cap * 2 + 64, sizeof *lines);
        lines[n++] = pg_take_some(&rest, (size_t)(lf - rest.p) + 1);
    }
    if (n)
        qsort(lines, n, sizeof *lines, by_bytes);
    buf_add_str(out, HEADER);
    for (size_t i = 0; i < n; i++)
        buf_add(out, lines[i]);
    free(lines);
}
