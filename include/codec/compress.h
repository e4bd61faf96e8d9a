/* compress.h - zstd for whole frames, with contexts that are made once a worker. */
#ifndef LIFEBOAT_CODEC_COMPRESS_H
#define LIFEBOAT_CODEC_COMPRESS_H

#include "base/base.h"
#include "codec/seal.h"

struct codec;
struct codec *codec_new(void) MUST_CHECK; /* one for each thread */
/* Compresses `raw` to the end of `out`, or leaves `out` alone and says COMPRESSION_NONE when it is not worth
 * it (no piece of it that was tried shrinks, or the whole shrinks by less than 1/32). */
enum compression codec_compress(struct codec *c, struct bytes raw, int level, struct buf *out);
/* Decompresses into raw, which holds exactly raw_length bytes. false: not one zstd frame of that length. */
bool codec_decompress(struct codec *c, struct bytes packed, uint8_t *raw, size_t raw_length) MUST_CHECK;
/* Buffers that belong to the thread, for whoever works on whole frames: 0 and 1. Kept from call to call,
 * since large ones cost more to get from the kernel than to fill. */
struct buf *codec_scratch(struct codec *c, unsigned which);
void codec_free(struct codec *c);
AUTO_PTR_FOR(codec)

#endif
