/* Objects of a later version than this: not to be taken for damaged ones. */
#include "repo/internal.h"

#define HEADER 8 /* version, key generation */
#define SLICE  (1u << 20)

static bool is_whole(struct repo *r, const char *name, uint64_t size)
{
    struct sha_stream s;
    struct sha have, want;
    struct err why = ERR_INIT;
    AUTO(buf) slice = BUF_NONE;
    buf_reserve(&slice, SLICE);
    sha_begin(&s);
    for (uint64_t at = 0, n; at < size; at += n) {
        n = MIN(size - at, (uint64_t)SLICE);
        if (store_get_range(r->store, name, at, slice.p, n, &why) != STORE_DONE)
            return false;
        sha_add(&s, BYTES(slice.p, n));
    }
    sha_end(&s, &have);
    return name_sha(name, &want) && sha_equal(&have, &want);
}

void note_later(struct repo *r, const char *name, uint64_t from_end, const char *text)
{
    uint64_t size;
    uint8_t header[HEADER];
    struct err why = ERR_INIT;
    if (store_size(r->store, name, &size, &why) != STORE_DONE || size < MAX(from_end, (uint64_t)HEADER) ||
        store_get_range(r->store, name, from_end ? size - from_end : 0, header, HEADER, &why) != STORE_DONE)
        return;
    if (!object_is_known(r->keys, BYTES(header, HEADER)) && is_whole(r, name, size))
        strings_add(&r->later, text);
}

bool is_of_later(const struct repo *r, const char *name)
{
    for (size_t i = 0; i < r->later.n; i++)
        if (strncmp(r->later.v[i], name, strlen(name)) == 0)
            return true;
    return false;
}
