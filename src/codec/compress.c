#include "codec/compress.h"

#include <stdlib.h>
#include <zstd.h>

struct codec {
    ZSTD_CCtx *in;
    ZSTD_DCtx *out;
    struct buf probe, scratch[2];
};

/* A look at this much, at the fastest level, tells media files and archives from the rest. Small frames are
 * not worth it. */
#define PROBE 16384

struct codec *codec_new(void)
{
    struct codec *c = xcalloc(1, sizeof *c);
    c->in = ZSTD_createCCtx();
    c->out = ZSTD_createDCtx();
    if (!c->in || !c->out)
        die(OUT_OF_MEMORY);
    return c;
}

static size_t compress(struct codec *c, struct bytes raw, int level, struct buf *out)
{
    size_t bound = ZSTD_compressBound(raw.n);
    uint8_t *to = buf_reserve(out, bound);
    size_t n = ZSTD_compressCCtx(c->in, to, bound, raw.p, raw.n, level);
    return ZSTD_isError(n) ? raw.n : n;
}

static bool shrinks(size_t packed, size_t raw)
{
    return packed < raw - raw / 32;
}

enum compression codec_compress(struct codec *c, struct bytes raw, int level, struct buf *out)
{
    if (raw.n >= 16 * PROBE) {
        /* From the middle: headers of media files compress, their bodies do not. */
        struct bytes part = BYTES(raw.p + raw.n / 2 - PROBE / 2, PROBE);
        if (!shrinks(compress(c, part, 1, &c->probe), PROBE))
            return COMPRESSION_NONE;
    }
    size_t n = compress(c, raw, level, out);
    if (!shrinks(n, raw.n))
        return COMPRESSION_NONE;
    out->n += n;
    return COMPRESSION_ZSTD;
}

bool codec_decompress(struct codec *c, struct bytes packed, uint8_t *raw, size_t raw_length)
{
    size_t n = ZSTD_decompressDCtx(c->out, raw, raw_length, packed.p, packed.n);
    return !ZSTD_isError(n) && n == raw_length;
}

struct buf *codec_scratch(struct codec *c, unsigned which)
{
    c->scratch[which].n = 0;
    return &c->scratch[which];
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->in);
    ZSTD_freeDCtx(c->out);
    buf_free(&c->probe);
    buf_free(&c->scratch[0]);
    buf_free(&c->scratch[1]);
    free(c);
}
