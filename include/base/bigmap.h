/* bigmap.h - a hash table of 16-byte keys and 8-byte values in a mapped, unlinked file: 24 bytes an entry
 * that the kernel may write out, so memory stays small with millions of entries. A key may stand several
 * times; each time it is added costs as much as there are of it. Not thread-safe for writing; reading from
 * threads is fine. */
#ifndef LIFEBOAT_BASE_BIGMAP_H
#define LIFEBOAT_BASE_BIGMAP_H

#include "base/base.h"

#define BIGMAP_KEY 16
struct bigmap;

struct bigmap *bigmap_new(const char *dir, uint64_t expected, struct err *e) MUST_CHECK; /* file in `dir` */
int bigmap_add(struct bigmap *m, const uint8_t key[BIGMAP_KEY], uint64_t value, struct err *e) MUST_CHECK;

/* Walks the values of a key in the order they were added: start with *at = BIGMAP_START; false: no more. */
#define BIGMAP_START UINT64_MAX
bool bigmap_next(const struct bigmap *m, const uint8_t key[BIGMAP_KEY], uint64_t *at, uint64_t *value);
/* While nothing is added, *at numbers the entry: below this. */
uint64_t bigmap_slots(const struct bigmap *m);

/* Walks every entry in no order: start with *slot = 0; its number is *slot - 1 afterwards. */
bool bigmap_each(const struct bigmap *m, uint64_t *slot, const uint8_t **key, uint64_t *value);
uint64_t bigmap_count(const struct bigmap *m);
void bigmap_free(struct bigmap *m);
AUTO_PTR_FOR(bigmap)

/* ---- a growing array in a mapped, unlinked file: the same idea for plain records ---- */
struct bigarray {
    uint8_t *p; /* moves when it grows */
    uint64_t n; /* records */
    uint64_t cap;
    size_t record;
    int fd;
};
int bigarray_open(struct bigarray *a, const char *dir, size_t record, struct err *e) MUST_CHECK;
/* Appends one record; returns its index or UINT64_MAX with *e. */
uint64_t bigarray_add(struct bigarray *a, const void *record, struct err *e) MUST_CHECK;
static inline void *bigarray_at(const struct bigarray *a, uint64_t i)
{
    return a->p + i * a->record;
}
void bigarray_free(struct bigarray *a);
#define BIGARRAY_NONE \
    {                 \
        .fd = -1      \
    }
AUTO_FOR(bigarray)

/* ---- one bit each, in a mapped, unlinked file; all 0 at first ---- */
struct bigbits {
    uint8_t *p;
    uint64_t n;
    int fd;
};
int bigbits_open(struct bigbits *b, const char *dir, uint64_t n, struct err *e) MUST_CHECK;
static inline bool bigbits_get(const struct bigbits *b, uint64_t i)
{
    return b->p[i / 8] >> (i % 8) & 1;
}
static inline void bigbits_set(struct bigbits *b, uint64_t i)
{
    b->p[i / 8] |= (uint8_t)(1u << (i % 8));
}
static inline void bigbits_clear(struct bigbits *b, uint64_t i)
{
    b->p[i / 8] &= (uint8_t) ~(1u << (i % 8));
}
void bigbits_free(struct bigbits *b);
#define BIGBITS_NONE \
    {                \
        .fd = -1     \
    }

#endif
