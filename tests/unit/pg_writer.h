/* pg_writer.h - writes pg_dump archives byte by byte, for tests: any version, any mistake. Include testing.h
 * before. */
#ifndef LIFEBOAT_TESTS_PG_WRITER_H
#define LIFEBOAT_TESTS_PG_WRITER_H

#include "source/pg_archive.h"

struct entry {
    int id;
    const char *type, *schema, *tag, *definition, *copy, *owner;
};

void put_int(struct buf *b, int64_t v);
void put_text(struct buf *b, const char *s);
void put_header(struct buf *b, unsigned version); /* up to the number of entries */
/* The number of entries and each; with `offsets` as after the data were written. */
void put_toc(struct buf *b, unsigned version, const struct entry *entries, size_t n, bool offsets);
void put_block(struct buf *b, struct bytes data);
/* Rows one to a block, as releases up to 18 do, and their end. NULL ends them. */
void put_rows(struct buf *b, int id, const char *const *rows);

/* ---- the usual one: two tables, two large objects, and what stands around them ---- */
#define ROWS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ID_T      11
#define ID_EMPTY  12
#define ID_BLOBS  13
#define ID_BLOBS2 14

struct shape {
    unsigned version;
    const char *copy;
    const char *const *rows; /* of public.t */
    bool second_toc;
};
extern const struct shape usual;
extern const char golden[]; /* its fingerprint */

size_t usual_entries(const struct shape *s, struct entry v[16]);
void put_objects(struct buf *b, unsigned version);
void put_usual(struct buf *b, const struct shape *s);

/* A COPY statement of four columns, not in the order of their names. */
#define TABLE_COPY "COPY app.\"we \"\"ird\"\", (\" (c, \"a) FROM stdin;\", \"\n\", b) FROM stdin;\n"

/* An archive with one table whose COPY text `body` comes in blocks of `block` bytes. */
void put_one_table(struct buf *b, const char *copy, struct bytes body, size_t block);

/* ---- reading ---- */
int push(struct pg_archive *a, struct bytes b, size_t slice, struct err *e); /* and finish */
int fingerprint(struct bytes b, size_t slice, struct buf *out, struct err *e);
char *fingerprint_of(struct bytes b, size_t slice); /* of a good archive; the caller frees */
char *fingerprint_of_shape(const struct shape *s);

#define assert_refused(b, text)                                             \
    do {                                                                    \
        struct err e_ = ERR_INIT;                                           \
        AUTO(buf) out_ = BUF_NONE;                                          \
        assert_int_equal(fingerprint(buf_bytes(b), 65536, &out_, &e_), -1); \
        assert_text(e_, text);                                              \
    } while (0)

#endif
