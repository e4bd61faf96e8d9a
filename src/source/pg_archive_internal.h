/* pg_archive_internal.h - how the archive reader is divided: pg_archive.c (stages, data items), pg_toc.c
 * (header and table of contents), pg_entry.c (what its entries mean), pg_sql.c (the bits of SQL that have to
 * be understood), pg_rows.c (rows to a sum), pg_fingerprint.c (lines).
 *
 * An archive, from pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL 15 to 18 (int: a sign byte, then
 * 4 bytes, little-endian; text: an int length, -1 for NULL, then the bytes):
 *
 *   "PGDMP"  major 1  minor 12..16  revision  size of int 4  size of offset 8  format 1
 *   compression: int up to 1.14, one byte (an algorithm) since 1.15; 0 is none
 *   7 ints (the time), text database, text server version, text pg_dump version
 *   int count, and so many entries: pg_toc.c has the fields
 *   until the end, data items:
 *     1  int dump id  { int length > 0, bytes } ...  int 0                              rows of a table
 *     3  int dump id  { int oid != 0  { int length > 0, bytes } ...  int 0 } ...  int 0  large objects
 *   and where pg_dump 16+ wrote to its stdout and that was a file, count and entries once more. */
#ifndef LIFEBOAT_SOURCE_PG_ARCHIVE_INTERNAL_H
#define LIFEBOAT_SOURCE_PG_ARCHIVE_INTERNAL_H

#include "source/pg_archive.h"

#define PG_COLUMNS_MAX 1600 /* MaxHeapAttributeNumber */
#define PG_DIGEST_HEX  33

typedef unsigned __int128 pg_sum;

enum pg_stage { PG_HEADER, PG_TOC, PG_ITEM, PG_ITEM_ID, PG_BLOCKS, PG_OBJECT, PG_DONE };

/* What a step found in the bytes at hand; below 0 is an error. */
enum { PG_MORE = 0, PG_READY = 1 };

/* An announced data item. */
struct pg_item {
    int64_t id;
    bool objects, seen; /* objects: large ones */
    size_t table;       /* index in tables, unless `objects` */
    char *head;         /* the start of its line: target and columns */
    size_t columns;
    uint16_t *order; /* order[k]: which field of a row is the k-th by column name; NULL: they are in order */
    uint64_t rows;
    pg_sum sum;
};

struct pg_table_entry {
    char *schema, *name;
    const char *kind; /* static, or NULL */
    size_t item;      /* SIZE_MAX: no data */
};

struct pg_toc;
struct pg_rows;
struct pg_digest;

struct pg_archive {
    enum pg_stage stage;
    struct err broken;  /* the first error */
    uint64_t read;      /* bytes of earlier calls */
    uint8_t partial[8]; /* a number that came in pieces */
    size_t partial_n;
    struct pg_toc *toc;
    char *database, *server_version, *dump_version;

    struct pg_table_entry *tables;
    size_t table_count, table_cap;
    bool listed;           /* the table of contents was read */
    struct pg_item *items; /* sorted by id once the table of contents was read */
    size_t item_count, item_cap, seen_count;
    struct buf lines; /* of the fingerprint, unsorted, each with its newline */

    uint8_t item_type;
    struct pg_item *item; /* the one being read */
    size_t block_left;
    struct pg_rows *rows;
    uint32_t oid; /* the large object being read */
    uint64_t object_bytes;
    struct pg_digest *object_digest;
};

/* Takes n <= 8 bytes off the front of *in; PG_READY: *p has them. */
int pg_take(struct pg_archive *a, struct bytes *in, size_t n, const uint8_t **p);
int pg_take_int_slow(struct pg_archive *a, struct bytes *in, int64_t *v, struct err *e);
int pg_int(const uint8_t raw[5], int64_t *v, struct err *e);
static inline int pg_take_int(struct pg_archive *a, struct bytes *in, int64_t *v, struct err *e)
{
    if (a->partial_n != 0 || in->n < 5)
        return pg_take_int_slow(a, in, v, e);
    const uint8_t *p = in->p;
    *in = BYTES(p + 5, in->n - 5);
    return pg_int(p, v, e);
}
static inline struct bytes pg_take_some(struct bytes *in, size_t most)
{
    struct bytes some = BYTES(in->p, MIN(in->n, most));
    *in = BYTES(in->p + some.n, in->n - some.n);
    return some;
}

/* ---- pg_toc.c ---- */
struct pg_toc *pg_toc_new(void);
int pg_toc_header(struct pg_archive *a, struct bytes *in, struct err *e);
int pg_toc_read(struct pg_archive *a, struct bytes *in,
                struct err *e);          /* the stage moves on when it is done */
void pg_toc_again(struct pg_archive *a); /* what follows must be the same table of contents */
int pg_toc_ends_early(const struct pg_archive *a, struct err *e); /* says where; always -1 */
void pg_toc_free(struct pg_toc *t);

/* ---- pg_entry.c ---- */
enum { PG_OFFSET_NOT_SET = 1, PG_OFFSET_SET = 2, PG_OFFSET_NO_DATA = 3 };

/* An entry of the table of contents; borrowed texts, "" or NULL for none. */
struct pg_entry {
    int64_t id;
    bool has_data;
    uint8_t offset_kind;
    const char *type, *schema, *tag, *owner, *tablespace, *access_method, *definition, *copy;
};
int pg_entry_use(struct pg_archive *a, const struct pg_entry *t, struct err *e);
int pg_entries_end(struct pg_archive *a, struct err *e); /* after the last one */
char *pg_name(const char *schema, const char *name);     /* to show: "public.users"; caller frees */

/* ---- pg_sql.c ---- */
struct pg_copy {
    char *schema; /* NULL: the statement does not say */
    char *name;
    struct strings columns;
};
bool pg_copy_parse(const char *sql, struct pg_copy *out); /* "COPY s.t (a, b) FROM stdin;" */
void pg_copy_free(struct pg_copy *c);
AUTO_FOR(pg_copy)
/* Appends a definition without what differs between equal databases: pg_attver, and with `database` its name.
 */
void pg_definition(struct buf *out, const char *sql, const char *database);

/* ---- pg_rows.c ---- */
struct pg_rows *pg_rows_new(void);
void pg_rows_begin(struct pg_rows *r, size_t columns, const uint16_t *order); /* borrows order */
int pg_rows_push(struct pg_rows *r, struct bytes b, struct err *e);
uint64_t pg_rows_count(const struct pg_rows *r);
int pg_rows_end(struct pg_rows *r, uint64_t *rows, pg_sum *sum, struct err *e);
void pg_rows_free(struct pg_rows *r);

struct pg_digest *pg_digest_new(void);
void pg_digest_begin(struct pg_digest *d);
void pg_digest_add(struct pg_digest *d, struct bytes b);
void pg_digest_end(struct pg_digest *d, char hex[PG_DIGEST_HEX]);
void pg_digest_free(struct pg_digest *d);
void pg_digest_once(struct bytes b, char hex[PG_DIGEST_HEX]);
void pg_sum_hex(pg_sum s, char hex[PG_DIGEST_HEX]);

/* ---- pg_fingerprint.c ---- */
void pg_line_object(struct buf *lines, const struct pg_entry *t, bool of_database);
void pg_line_large_object(struct buf *lines, uint32_t oid, uint64_t bytes, const char *digest);
/* The start of the line of a table's rows: what two items must share for their sums to be added. */
char *pg_line_head(const char *schema, const char *name, const struct strings *sorted_columns);
void pg_lines_tables(struct pg_archive *a); /* once all items were read */

#endif
