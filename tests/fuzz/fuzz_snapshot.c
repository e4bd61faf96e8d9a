/* The JSON of a snapshot. What is understood is understood the same way when it was written again. */
#include "repo/tree.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool again(struct bytes text, struct buf *out)
{
    struct err e = ERR_INIT;
    struct snapshot s = {0};
    bool good = snapshot_decode(text, &s, &e) == 0;
    HOLDS(good != err_is_set(&e) && (good || e.kind == ERR_DAMAGED));
    if (!good)
        return false;
    HOLDS(*s.host);
    for (size_t i = 0; i < s.source_count; i++) {
        const struct snapshot_source *src = &s.sources[i];
        HOLDS(*src->name && *src->type && snapshot_find_source(&s, src->name));
        for (size_t k = 0; k < src->stream_count; k++)
            HOLDS(src->streams[k].root_count <= STREAM_ROOTS && src->streams[k].depth < TREE_LEVELS &&
                  *src->streams[k].name);
    }
    snapshot_encode(&s, out);
    snapshot_free(&s);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf) first = BUF_NONE, second = BUF_NONE, third = BUF_NONE;
    if (!again(BYTES(data, size), &first))
        return 0;
    /* Twice: of more reasons than an object keeps, the first writing counts those it leaves out. */
    HOLDS(again(buf_bytes(&first), &second) && again(buf_bytes(&second), &third));
    HOLDS(second.n == third.n && memcmp(second.p, third.p, third.n) == 0);
    return 0;
}
