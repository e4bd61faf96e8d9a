/* Rows of COPY text to a number of rows and a sum of digests: the only code that every byte of a dump goes
 * through, so a row that lies whole in a slice is digested where it lies. docs/fingerprint.md has the rules.
 */
#include "source/pg_archive_internal.h"

#define XXH_INLINE_ALL
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SEED 0x6c696665626f6174u /* "lifeboat"; the first line of a fingerprint says it */

/* A longer field stands in its row as a digest, so memory does not grow with what people keep in a column. A
 * row up to this length cannot have one. */
#define FIELD_LIMIT 4096
#define SLACK       16 /* bytes that copying a short field may write beyond it */

struct pg_digest {
    XXH3_state_t *state;
};

struct pg_rows {
    size_t columns;
    const uint16_t *order;
    uint64_t rows;
    pg_sum sum;
    unsigned newlines; /* 1: after the end mark; it is followed by two more */

    /* `at[i]` is where field i of the row at hand starts, at[fields] one past the TAB that could follow it */
    uint32_t at[PG_COLUMNS_MAX + 1];
    struct buf joined;

    /* a row that comes in pieces: its fields so far, each with a TAB behind it when it is complete */
    bool in_row, is_long;
    struct buf row;
    size_t fields;
    uint64_t long_bytes;
    struct pg_digest *long_digest;
};

/* ---- digests ---- */
static void hash_hex(XXH128_hash_t h, char hex[PG_DIGEST_HEX])
{
    pg_sum_hex((pg_sum)h.high64 << 64 | h.low64, hex);
}

void pg_sum_hex(pg_sum s, char hex[PG_DIGEST_HEX])
{
    uint8_t raw[16];
    for (int i = 15; i >= 0; i--, s >>= 8)
        raw[i] = (uint8_t)s;
    hex_encode(hex, BYTES(raw, sizeof raw));
}

struct pg_digest *pg_digest_new(void)
{
    struct pg_digest *d = xcalloc(1, sizeof *d);
    d->state = XXH3_createState();
    if (!d->state)
        die(OUT_OF_MEMORY);
    return d;
}

void pg_digest_begin(struct pg_digest *d)
{
    XXH3_128bits_reset_withSeed(d->state, SEED);
}

void pg_digest_add(struct pg_digest *d, struct bytes b)
{
    if (b.n)
        XXH3_128bits_update(d->state, b.p, b.n);
}

void pg_digest_end(struct pg_digest *d, char hex[PG_DIGEST_HEX])
{
    hash_hex(XXH3_128bits_digest(d->state), hex);
}

void pg_digest_free(struct pg_digest *d)
{
    if (!d)
        return;
    XXH3_freeState(d->state);
    free(d);
}

void pg_digest_once(struct bytes b, char hex[PG_DIGEST_HEX])
{
    hash_hex(XXH3_128bits_withSeed(b.p, b.n, SEED), hex);
}

/* ---- TABs, eight bytes at a time ---- */
#define EACH(b) (0x0101010101010101u * (b))

/* 0x80 in each byte that is a TAB, the first byte lowest */
static inline uint64_t tabs_in(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    w = le64toh(w) ^ EACH((uint64_t)'\t');
    return ~(((w & EACH(0x7full)) + EACH(0x7full)) | w | EACH(0x7full));
}

static size_t tab_count(struct bytes line)
{
    size_t count = 0, i = 0;
    while (line.n - i >= 8) {
        uint64_t each = 0; /* a count in each byte: at most 255 */
        size_t stop = i + MIN((line.n - i) / 8, (size_t)255) * 8;
        for (; i < stop; i += 8)
            each += tabs_in(line.p + i) >> 7;
        for (; each; each >>= 8)
            count += each & 0xff;
    }
    for (; i < line.n; i++)
        count += line.p[i] == '\t';
    return count;
}

/* Fills r->at; returns the number of fields, or one more than `most`. */
static size_t split(struct pg_rows *r, struct bytes line, size_t most)
{
    size_t n = 1, i = 0;
    r->at[0] = 0;
    for (; i + 8 <= line.n; i += 8)
        for (uint64_t tabs = tabs_in(line.p + i); tabs; tabs &= tabs - 1) {
            if (n == most)
                return most + 1;
            r->at[n++] = (uint32_t)(i + (unsigned)__builtin_ctzll(tabs) / 8 + 1);
        }
    for (; i < line.n; i++)
        if (line.p[i] == '\t') {
            if (n == most)
                return most + 1;
            r->at[n++] = (uint32_t)(i + 1);
        }
    r->at[n] = (uint32_t)(line.n + 1);
    return n;
}

/* ---- rows ---- */
static size_t fields_expected(const struct pg_rows *r)
{
    return MAX(r->columns, (size_t)1); /* a row of a table without columns is an empty line */
}

static int wrong_fields(const struct pg_rows *r, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "row %llu does not have the %zu fields that the COPY statement names",
                   (unsigned long long)r->rows + 1, r->columns);
}

static inline void add_row(struct pg_rows *r, struct bytes canonical)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(canonical.p, canonical.n, SEED);
    r->sum += (pg_sum)h.high64 << 64 | h.low64;
    r->rows++;
}

/* Puts the fields of `line` (r->at) in the order of their columns' names. Up to `readable` there are bytes
 * that may be looked at: copying a fixed size is several times faster than asking for seven bytes. */
static struct bytes reorder(struct pg_rows *r, struct bytes line, const uint8_t *readable)
{
    r->joined.n = 0;
    uint8_t *start = buf_reserve(&r->joined, line.n + 1 + SLACK), *to = start;
    for (size_t k = 0; k < r->columns; k++) {
        size_t f = r->order[k];
        const uint8_t *from = line.p + r->at[f];
        size_t n = r->at[f + 1] - r->at[f] - 1;
        if (n <= SLACK && readable - from >= SLACK)
            memcpy(to, from, SLACK);
        else
            memcpy(to, from, n);
        to += n;
        *to++ = '\t';
    }
    return BYTES(start, (size_t)(to - start) - 1);
}

static inline bool is_end_mark(struct bytes line)
{
    return line.n == 2 && line.p[0] == '\\' && line.p[1] == '.';
}

/* A row that lies whole in the slice and is no longer than FIELD_LIMIT. */
static int whole_row(struct pg_rows *r, struct bytes line, const uint8_t *readable, struct err *e)
{
    if (is_end_mark(line)) {
        r->newlines = 1;
        return 0;
    }
    if (!r->order) {
        if (tab_count(line) + 1 != fields_expected(r) || (r->columns == 0 && line.n != 0))
            return wrong_fields(r, e);
        add_row(r, line);
        return 0;
    }
    if (split(r, line, r->columns) != r->columns)
        return wrong_fields(r, e);
    add_row(r, reorder(r, line, readable));
    return 0;
}

static void field_part(struct pg_rows *r, struct bytes b)
{
    size_t start = r->at[r->fields];
    if (!r->is_long && r->row.n - start + b.n <= FIELD_LIMIT) {
        buf_add(&r->row, b);
        return;
    }
    if (!r->is_long) {
        r->is_long = true;
        r->long_bytes = r->row.n - start;
        pg_digest_begin(r->long_digest);
        pg_digest_add(r->long_digest, BYTES(r->row.p + start, r->row.n - start));
        r->row.n = start;
    }
    r->long_bytes += b.n;
    pg_digest_add(r->long_digest, b);
}

/* A newline never stands in a field, so what follows one can only be a digest. */
static void field_end(struct pg_rows *r)
{
    if (r->is_long) {
        char hex[PG_DIGEST_HEX];
        pg_digest_end(r->long_digest, hex);
        buf_add_fmt(&r->row, "\n%llu:%s", (unsigned long long)r->long_bytes, hex);
        r->is_long = false;
    }
    buf_add_u8(&r->row, '\t');
    r->at[++r->fields] = (uint32_t)r->row.n;
}

/* A piece of a row that is not whole in the slice, or is long. */
static int row_part(struct pg_rows *r, struct bytes b, struct err *e)
{
    r->in_row = true;
    while (b.n) {
        const uint8_t *tab = memchr(b.p, '\t', b.n);
        field_part(r, pg_take_some(&b, tab ? (size_t)(tab - b.p) : b.n));
        if (!tab)
            return 0;
        pg_take_some(&b, 1);
        field_end(r);
        if (r->fields == fields_expected(r))
            return wrong_fields(r, e);
    }
    return 0;
}

static int row_end(struct pg_rows *r, struct err *e)
{
    field_end(r);
    struct bytes line = BYTES(r->row.p, r->row.n - 1);
    size_t fields = r->fields;
    r->in_row = false;
    r->row.n = r->fields = 0;
    if (is_end_mark(line)) {
        r->newlines = 1;
        return 0;
    }
    if (fields != fields_expected(r) || (r->columns == 0 && line.n != 0))
        return wrong_fields(r, e);
    add_row(r, r->order ? reorder(r, line, line.p + line.n) : line);
    return 0;
}

static int after_end_mark(struct pg_rows *r, struct bytes b, struct err *e)
{
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] != '\n' || ++r->newlines > 3)
            return err_set(e, ERR_DAMAGED, "goes on after its end mark (row %llu)",
                           (unsigned long long)r->rows);
    return 0;
}

struct pg_rows *pg_rows_new(void)
{
    struct pg_rows *r = xcalloc(1, sizeof *r);
    r->long_digest = pg_digest_new();
    buf_reserve(&r->row, FIELD_LIMIT); /* so there is a place where its first field starts */
    return r;
}

void pg_rows_begin(struct pg_rows *r, size_t columns, const uint16_t *order)
{
    r->columns = columns;
    r->order = order;
    r->rows = r->sum = r->newlines = 0;
    r->in_row = r->is_long = false;
    r->row.n = r->fields = 0;
    r->at[0] = 0;
}

int pg_rows_push(struct pg_rows *r, struct bytes b, struct err *e)
{
    const uint8_t *readable = b.p + b.n;
    while (b.n && !r->newlines) {
        const uint8_t *lf = memchr(b.p, '\n', b.n);
        struct bytes line = pg_take_some(&b, lf ? (size_t)(lf - b.p) : b.n);
        if (lf)
            pg_take_some(&b, 1);
        if (lf && !r->in_row && line.n <= FIELD_LIMIT) {
            if (whole_row(r, line, readable, e))
                return -1;
            continue;
        }
        if (!r->in_row)
            r->at[0] = 0;
        if (row_part(r, line, e) || (lf && row_end(r, e)))
            return -1;
    }
    return after_end_mark(r, b, e);
}

uint64_t pg_rows_count(const struct pg_rows *r)
{
    return r->rows;
}

int pg_rows_end(struct pg_rows *r, uint64_t *rows, pg_sum *sum, struct err *e)
{
    if (r->newlines != 3)
        return err_set(e, ERR_DAMAGED, "ends after %llu rows without the end mark \"\\.\"",
                       (unsigned long long)r->rows);
    *rows = r->rows;
    *sum = r->sum;
    return 0;
}

void pg_rows_free(struct pg_rows *r)
{
    if (!r)
        return;
    pg_digest_free(r->long_digest);
    buf_free(&r->joined);
    buf_free(&r->row);
    free(r);
}
