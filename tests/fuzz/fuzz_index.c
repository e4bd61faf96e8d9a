/* What stands behind the seal of an index object. What is taken as whole is, written again, the same bytes;
 * and a repository that holds it loads, whatever it says. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct copy {
    struct buf packs;
    uint32_t n;
};

static int copy_pack(void *ctx, const struct sha *pack, uint64_t size, struct bytes table, struct err *e)
{
    struct copy *c = ctx;
    (void)e;
    buf_add(&c->packs, BYTES(pack->b, SHA_SIZE));
    buf_add_u64(&c->packs, size);
    buf_add_u32(&c->packs, (uint32_t)table.n);
    buf_add(&c->packs, table);
    c->n++;
    return 0;
}

static void compare(struct bytes in, const struct copy *c)
{
    struct cursor head = cursor_of(in);
    cursor_take(&head, (size_t)cursor_u32(&head) * SHA_SIZE); /* what it supersedes */
    HOLDS(cursor_u32(&head) == c->n && !head.bad && head.n == c->packs.n);
    HOLDS(head.n == 0 || memcmp(head.p, c->packs.p, head.n) == 0);
}

static void load(struct bytes in)
{
    struct err e = ERR_INIT;
    struct sha name;
    AUTO(fuzz_repo) f;
    fuzz_repo_new(&f);
    HOLDS(object_put(f.repo, "index/", OBJECT_INDEX, in, &name, &e) == 0);
    HOLDS(repo_load(f.repo, &e) == 0);
    for (uint32_t i = 0; i < f.repo->index.pack_count; i++)
        HOLDS(!(f.repo->index.packs[i].state & PACK_LISTED)); /* none is in the store */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct copy c = {0};
    bool good = index_visit(BYTES(data, size), copy_pack, &c, &e) == 0;
    HOLDS(good != err_is_set(&e));
    if (good)
        compare(BYTES(data, size), &c);
    buf_free(&c.packs);
    if (c.n && !FUZZ_MEMORY) /* files are made for it: not for nothing */
        load(BYTES(data, size));
    return 0;
}
