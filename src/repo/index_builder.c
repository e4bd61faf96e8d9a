#include "repo/internal.h"

int index_builder_put(struct index_builder *b, const struct sha_set *superseded, struct err *e)
{
    if (b->packs == 0 && !superseded)
        return 0;
    AUTO(buf) plain = BUF_NONE;
    struct sha name;
    buf_add_u32(&plain, superseded ? (uint32_t)superseded->n : 0);
    for (size_t i = 0; superseded && i < superseded->n; i++)
        buf_add(&plain, BYTES(superseded->v[i].b, SHA_SIZE));
    buf_add_u32(&plain, b->packs);
    buf_add(&plain, buf_bytes(&b->tables));
    if (object_put(b->repo, "index/", OBJECT_INDEX, buf_bytes(&plain), &name, e))
        return -1;
    b->tables.n = 0;
    b->packs = 0;
    b->written++;
    return 0;
}

int index_builder_add(struct index_builder *b, const struct sha *pack, uint64_t size, struct bytes table,
                      struct err *e)
{
    buf_add(&b->tables, BYTES(pack->b, SHA_SIZE));
    buf_add_u64(&b->tables, size);
    buf_add_u32(&b->tables, (uint32_t)table.n);
    buf_add(&b->tables, table);
    b->packs++;
    return b->tables.n >= INDEX_FULL ? index_builder_put(b, NULL, e) : 0;
}

void index_builder_free(struct index_builder *b)
{
    buf_free(&b->tables);
}
