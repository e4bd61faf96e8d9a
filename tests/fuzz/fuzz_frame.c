/* A frame that opens: u32 the raw length that its table claims, u8 the compression, then what was sealed. Any
 * bytes decompress to exactly that length, or to nothing. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* It is no frame of another length. */
static void one_length(struct codec *c, struct bytes packed, size_t n)
{
    AUTO(buf) raw = BUF_NONE;
    HOLDS(!codec_decompress(c, packed, buf_renew(&raw, n + 1), n + 1));
    HOLDS(!n || !codec_decompress(c, packed, raw.p, n - 1));
}

static void there_and_back(struct codec *c, struct bytes raw)
{
    AUTO(buf) packed = BUF_NONE, again = BUF_NONE;
    if (codec_compress(c, raw, 1, &packed) == COMPRESSION_NONE)
        return;
    uint8_t *to = buf_renew(&again, raw.n);
    HOLDS(codec_decompress(c, buf_bytes(&packed), to, raw.n) && memcmp(to, raw.p, raw.n) == 0);
    one_length(c, buf_bytes(&packed), raw.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct cursor in = cursor_of(BYTES(data, size));
    struct frame_source f = {.name = "packs/00/00", .facts = {.kind = SLOT_TREE, .generation = 1}};
    f.facts.raw_length = cursor_u32(&in) % (1u << 20);
    f.facts.compression = cursor_u8(&in) & 1;
    if (in.bad)
        return 0;
    AUTO_PTR(codec) c = codec_new();
    AUTO(buf) sealed = BUF_NONE, raw = BUF_NONE;
    struct repo r = {.keys = fuzz_keys()};
    frame_seal(fuzz_keys(), f.key, &f.facts, BYTES(in.p, in.n), buf_reserve(&sealed, in.n + SEAL_TAG));
    sealed.n = in.n + SEAL_TAG;
    bool good = frame_open_bytes(&r, &f, buf_bytes(&sealed), c, &raw, &e) == 0;
    HOLDS(good != err_is_set(&e) && (good || e.kind == ERR_DAMAGED));
    if (good)
        HOLDS(raw.n == f.facts.raw_length);
    if (good && f.facts.compression == COMPRESSION_NONE)
        HOLDS(raw.n == in.n && (raw.n == 0 || memcmp(raw.p, in.p, raw.n) == 0));
    if (good && f.facts.compression == COMPRESSION_ZSTD)
        one_length(c, BYTES(in.p, in.n), raw.n);
    if (good && raw.n)
        there_and_back(c, buf_bytes(&raw));
    return 0;
}
