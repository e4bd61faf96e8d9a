#include "codec/compress.h"

#include <stdlib.h>
#include <zstd.h>

struct codec {
    ZSTD_CCtx *in;
    ZSTD_DCtx *out;
    struct buf probe, scratch[2];
};

/* Looks at this much in so many places, at the fastest level, tell media files and archives from the rest.
 * Small frames are not worth it. */
#define PROBE  4096
#define PROBES 4

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

/* Evenly spread, and none at the start: headers of media files compress, their bodies do not. */
static bool may_shrink(struct codec *c, struct bytes raw)
{
    if (raw.n < 16 * PROBES * PROBE)
        return true;
    for (size_t i = 0; i < PROBES; i++) {
        struct bytes part = BYTES(raw.p + (2 * i + 1) * raw.n / (2 * PROBES) - PROBE / 2, PROBE);
        if (shrinks(compress(c, part, 1, &c->probe), PROBE))
            return true;
    }
    return false;
}

enum compression codec_compress(struct codec *c, struct bytes raw, int level, struct buf *out)
{
    if (!may_shrink(c, raw))
        return COMPRESSION_NONE;
    size_t n = compress(c, raw, level, out);
    if (!shrinks(n, raw.n))
        return COMPRESSION_NONE;
    out->n += n;
    return COMPRESSION_ZSTD;
}

/* As the format has it. libzstd would also take several, those that are to be skipped, and those of the
 * drafts before 1.0, for which it has other, older code. */
static bool is_one_frame(struct bytes packed)
{
    struct cursor start = cursor_of(packed);
    return cursor_u32(&start) == ZSTD_MAGICNUMBER &&
           ZSTD_findFrameCompressedSize(packed.p, packed.n) == packed.n;
}

bool codec_decompress(struct codec *c, struct bytes packed, uint8_t *raw, size_t raw_length)
{
    if (!is_one_frame(packed))
        return false;
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
