/* chunker.h - where a stream is cut. A gear hash (a rolling hash over the last 64 bytes, one table look-up
 * and one shift a byte: Xia et al., "FastCDC", USENIX ATC 2016) with normalised chunking: a harder mask
 * before the mean, an easier one after, so that sizes gather around it. The table is keyed: cuts tell an
 * outsider nothing. */
#ifndef LIFEBOAT_CODEC_CHUNKER_H
#define LIFEBOAT_CODEC_CHUNKER_H

#include "base/base.h"

struct gear {
    uint64_t t[256];
};
struct chunk_params {
    uint32_t min, mean, max; /* bytes; mean a power of two; 64 <= min < mean < max <= 8 MiB */
};
struct chunker {
    const struct gear *gear;
    struct chunk_params params;
    uint64_t mask_hard, mask_easy;
    uint64_t hash;
    uint32_t n; /* bytes of the current chunk seen so far */
};

bool chunk_params_are_valid(const struct chunk_params *p);
void chunker_init(struct chunker *c, const struct gear *gear, struct chunk_params params); /* gear borrowed */

/* Looks at the next n bytes of the stream: returns how many of them belong to the current chunk; *cut is set
 * when the chunk ends there (the next call starts a new one). Without a cut all n were taken. */
size_t chunker_scan(struct chunker *c, const uint8_t *p, size_t n, bool *cut);
void chunker_reset(struct chunker *c); /* the next byte starts a chunk */

#endif
