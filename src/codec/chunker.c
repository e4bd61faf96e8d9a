#include "codec/chunker.h"

bool chunk_params_are_valid(const struct chunk_params *p)
{
    return p->min >= 64 && p->min < p->mean && p->mean < p->max && p->max <= (8u << 20) &&
           (p->mean & (p->mean - 1)) == 0;
}

/* The top `bits` bits: the gear hash shifts left, so they depend on the most bytes. */
static uint64_t mask_of(unsigned bits)
{
    return ~0ull << (64 - bits);
}

void chunker_init(struct chunker *c, const struct gear *gear, struct chunk_params params)
{
    unsigned bits = (unsigned)__builtin_ctz(params.mean);
    /* Normalisation level 2, as the paper recommends: 4 times rarer before the mean, 4 times likelier after.
     */
    *c = (struct chunker){
        .gear = gear, .params = params, .mask_hard = mask_of(bits + 2), .mask_easy = mask_of(bits - 2)};
}

void chunker_reset(struct chunker *c)
{
    c->hash = 0;
    c->n = 0;
}

/* Rolls over [p, end) until the hash fits the mask; returns the place after the cut byte, or NULL. */
static inline const uint8_t *roll(const uint64_t *t, uint64_t *hash, const uint8_t *p, const uint8_t *end,
                                  uint64_t mask)
{
    uint64_t h = *hash;
    while (p < end) {
        h = (h << 1) + t[*p++];
        if (!(h & mask)) {
            *hash = h;
            return p;
        }
    }
    *hash = h;
    return NULL;
}

/* The part of p[0..n) that lies before chunk position `limit`. */
static size_t up_to(const struct chunker *c, size_t n, uint32_t limit)
{
    return c->n >= limit ? 0 : MIN(n, (size_t)(limit - c->n));
}

size_t chunker_scan(struct chunker *c, const uint8_t *p, size_t n, bool *cut)
{
    const uint8_t *start = p, *end = p + n, *at = NULL;
    *cut = false;
    /* Only the last 64 bytes reach the hash, so what lies further before the minimum is skipped. */
    size_t skip = up_to(c, n, c->params.min - 64);
    p += skip;
    c->n += (uint32_t)skip;
    const struct {
        uint32_t limit;
        uint64_t mask;
    } zones[] = {{c->params.min, 0}, {c->params.mean, c->mask_hard}, {c->params.max, c->mask_easy}};
    for (size_t z = 0; z < ARRAY_LEN(zones) && !at && p < end; z++) {
        size_t take = up_to(c, (size_t)(end - p), zones[z].limit);
        if (z == 0) { /* warm up the hash; no cut before the minimum */
            for (size_t i = 0; i < take; i++)
                c->hash = (c->hash << 1) + c->gear->t[p[i]];
        } else {
            at = roll(c->gear->t, &c->hash, p, p + take, zones[z].mask);
        }
        size_t used = at ? (size_t)(at - p) : take;
        p += used;
        c->n += (uint32_t)used;
    }
    if (at || c->n == c->params.max) {
        *cut = true;
        chunker_reset(c);
    }
    return (size_t)(p - start);
}
