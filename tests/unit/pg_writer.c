#include "testing.h"

#include "pg_writer.h"

void put_int(struct buf *b, int64_t v)
{
    buf_add_u8(b, v < 0);
    buf_add_u32(b, (uint32_t)(v < 0 ? -v : v));
}

void put_text(struct buf *b, const char *s)
{
    put_int(b, s ? (int64_t)strlen(s) : -1);
    if (s)
        buf_add_str(b, s);
}

static bool entry_has_data(const struct entry *t)
{
    return strcmp(t->type, "TABLE DATA") == 0 || strcmp(t->type, "BLOBS") == 0;
}

static void put_entry(struct buf *b, unsigned version, const struct entry *t, bool offsets)
{
    bool data = entry_has_data(t);
    put_int(b, t->id);
    put_int(b, data);
    put_text(b, "1259");
    put_text(b, "16384");
    put_text(b, t->tag);
    put_text(b, t->type);
    put_int(b, 2);
    put_text(b, t->definition);
    put_text(b, "DROP it;\n");
    put_text(b, t->copy);
    put_text(b, t->schema);
    put_text(b, "");
    if (version >= 14)
        put_text(b, strcmp(t->type, "TABLE") == 0 ? "heap" : NULL);
    if (version >= 16)
        put_int(b, 'r');
    put_text(b, t->owner ? t->owner : "app");
    put_text(b, "false");
    put_text(b, "7");
    put_text(b, NULL);
    buf_add_u8(b, !data ? 3 : offsets ? 2 : 1);
    buf_add_u64(b, offsets ? 4711 : 0);
}

void put_toc(struct buf *b, unsigned version, const struct entry *entries, size_t n, bool offsets)
{
    put_int(b, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        put_entry(b, version, &entries[i], offsets);
}

void put_header(struct buf *b, unsigned version)
{
    buf_add(b, BYTES("PGDMP\1", 6));
    buf_add_u8(b, (uint8_t)version);
    buf_add(b, BYTES("\0\4\10\1", 4));
    if (version < 15)
        put_int(b, 0);
    else
        buf_add_u8(b, 0);
    for (int i = 0; i < 7; i++)
        put_int(b, i);
    put_text(b, "shop");
    put_text(b, "15.20 (Debian)");
    put_text(b, "15.20");
}

void put_block(struct buf *b, struct bytes data)
{
    put_int(b, (int64_t)data.n);
    buf_add(b, data);
}

/* Rows one to a block, as releases up to 18 do. NULL ends them. */
void put_rows(struct buf *b, int id, const char *const *rows)
{
    buf_add_u8(b, 1);
    put_int(b, id);
    for (; *rows; rows++) {
        AUTO_CHAR line = xasprintf("%s\n", *rows);
        put_block(b, BYTES_STR(line));
    }
    put_block(b, BYTES_STR("\\.\n\n\n"));
    put_int(b, 0);
}

static void put_object(struct buf *b, uint32_t oid, const char *content)
{
    put_int(b, (int32_t)oid);
    for (; *content; content++)
        put_block(b, BYTES(content, 1));
    put_int(b, 0);
}

/* ---- the usual one: two tables, two large objects, and what stands around them ---- */
const struct shape usual = {
    .version = 14, .copy = "COPY public.t (b, a) FROM stdin;\n", .rows = ROWS("1\tone", "2\ttwo", "3\t\\N")};

const char golden[] =
    "{\"fingerprint\":1,\"digest\":\"xxh3-128\",\"seed\":\"6c696665626f6174\"}\n"
    "{\"large_object\":16385,\"bytes\":5,\"content\":\"f9196b6e60688471000b25d1caabeaa6\"}\n"
    "{\"large_object\":4000000001,\"bytes\":0,\"content\":\"199e782f935dc96ea04c1b4fda177d3b\"}\n"
    "{\"object\":[\"BLOB\",\"\",\"16385\"],\"owner\":\"app\"}\n"
    "{\"object\":[\"BLOB\",\"\",\"4000000001\"],\"owner\":\"app\"}\n"
    "{\"object\":[\"ENCODING\",\"\",\"ENCODING\"],\"definition\":\"aae8f6d719ade70b413fa87285b754f5\"}\n"
    "{\"object\":[\"SEQUENCE SET\",\"public\",\"s\"],\"owner\":\"app\",\"definition\":\"4eb8a07f1e7e1815c9d443c9c400f9f5\"}\n"
    "{\"object\":[\"TABLE\",\"public\",\"empty\"],\"owner\":\"app\",\"definition\":\"4a0059f14fbc7de73d5cbfef14d52f2e\"}\n"
    "{\"object\":[\"TABLE\",\"public\",\"t\"],\"owner\":\"app\",\"definition\":\"07f1059b89857f4cc27ded6663ca2ac2\"}\n"
    "{\"table\":[\"public\",\"empty\"],\"columns\":[\"a\"],\"rows\":0,\"sum\":\"00000000000000000000000000000000\"}\n"
    "{\"table\":[\"public\",\"t\"],\"columns\":[\"a\",\"b\"],\"rows\":3,\"sum\":\"f7bf132ab1d8017ff5796672ec25d728\"}\n";

size_t usual_entries(const struct shape *s, struct entry v[16])
{
    size_t n = 0;
    v[n++] = (struct entry){1, "ENCODING", NULL, "ENCODING", "SET client_encoding = 'UTF8';\n", NULL, ""};
    v[n++] = (struct entry){2, "DATABASE", NULL, "shop", "CREATE DATABASE shop;\n", NULL, NULL};
    v[n++] =
        (struct entry){3, "TABLE", "public", "t", "CREATE TABLE public.t (b int, a text);\n", NULL, NULL};
    v[n++] =
        (struct entry){4, "TABLE", "public", "empty", "CREATE TABLE public.empty (a int);\n", NULL, NULL};
    v[n++] =
        (struct entry){5, "SEQUENCE SET", "public", "s", "SELECT setval('public.s', 7, true);\n", NULL, NULL};
    if (s->version < 16) {
        v[n++] = (struct entry){6, "BLOB", NULL, "16385", "SELECT lo_create('16385');\n", NULL, NULL};
        v[n++] =
            (struct entry){7, "BLOB", NULL, "4000000001", "SELECT lo_create('4000000001');\n", NULL, NULL};
    } else
        v[n++] =
            (struct entry){6, "BLOB METADATA", NULL, "16385..4000000001", "16385\n4000000001\n", NULL, NULL};
    v[n++] = (struct entry){ID_T, "TABLE DATA", "public", "t", NULL, s->copy, NULL};
    v[n++] = (struct entry){
        ID_EMPTY, "TABLE DATA", "public", "empty", "", "COPY public.empty (a) FROM stdin;\n", NULL};
    v[n++] = (struct entry){ID_BLOBS, "BLOBS", NULL, "BLOBS", NULL, NULL, NULL};
    if (s->version >= 16)
        v[n++] = (struct entry){ID_BLOBS2, "BLOBS", NULL, "BLOBS", NULL, NULL, NULL};
    return n;
}

void put_objects(struct buf *b, unsigned version)
{
    buf_add_u8(b, 3);
    put_int(b, ID_BLOBS);
    put_object(b, 16385, "hello");
    if (version >= 16) {
        put_int(b, 0);
        buf_add_u8(b, 3);
        put_int(b, ID_BLOBS2);
    }
    put_object(b, 4000000001u, "");
    put_int(b, 0);
}

void put_usual(struct buf *b, const struct shape *s)
{
    struct entry entries[16];
    size_t n = usual_entries(s, entries);
    put_header(b, s->version);
    put_toc(b, s->version, entries, n, false);
    put_rows(b, ID_T, s->rows);
    put_rows(b, ID_EMPTY, (const char *const[]){NULL});
    put_objects(b, s->version);
    if (s->second_toc)
        put_toc(b, s->version, entries, n, true);
}

void put_one_table(struct buf *b, const char *copy, struct bytes body, size_t block)
{
    struct entry entry = {5, "TABLE DATA", "app", "we \"ird\", (", NULL, copy, NULL};
    put_header(b, 15);
    put_toc(b, 15, &entry, 1, false);
    buf_add_u8(b, 1);
    put_int(b, 5);
    for (size_t i = 0; i < body.n; i += block)
        put_block(b, BYTES(body.p + i, MIN(block, body.n - i)));
    put_int(b, 0);
}

/* ---- reading ---- */
int push(struct pg_archive *a, struct bytes b, size_t slice, struct err *e)
{
    for (size_t i = 0; i < b.n; i += slice) {
        /* in memory of its own, so that a sanitizer sees a read beyond the slice */
        size_t n = MIN(slice, b.n - i);
        uint8_t *copy = malloc(n);
        memcpy(copy, b.p + i, n);
        int rc = pg_archive_write(a, BYTES(copy, n), e);
        free(copy);
        if (rc)
            return -1;
    }
    return pg_archive_finish(a, e);
}

int fingerprint(struct bytes b, size_t slice, struct buf *out, struct err *e)
{
    AUTO_PTR(pg_archive) a = pg_archive_new();
    if (push(a, b, slice, e))
        return -1;
    pg_archive_fingerprint(a, out);
    return 0;
}

char *fingerprint_of(struct bytes b, size_t slice)
{
    struct err e;
    AUTO(buf) out = BUF_NONE;
    assert_ok(fingerprint(b, slice, &out, &e));
    return xstrdup(buf_cstr(&out));
}

char *fingerprint_of_shape(const struct shape *s)
{
    AUTO(buf) b = BUF_NONE;
    put_usual(&b, s);
    return fingerprint_of(buf_bytes(&b), 65536);
}
