/* An index saves reading the tails of all packs, and is taken at its word. Whoever has the writer key can put
 * one that lies, so before anything is given up the packs are asked themselves. */
#include "repo/internal.h"

#include "base/child.h"
#include "base/log.h"

#define BLOCK 64 /* tables that are asked for at a time */

bool pack_was_misread(struct repo *r, uint32_t pack, struct bytes table)
{
    struct pack_info *p = &r->index.packs[pack];
    char name[NAME_SIZE], index[NAME_SIZE];
    struct sha sha;
    struct err why = ERR_INIT;
    size_t used;
    sha_of(table, &sha);
    if (p->index_object == INDEX_OBJECT_NONE || sha_equal(&sha, &p->table))
        return false;
    pack_name(name, &p->name);
    object_name(index, "index/", &r->index_objects[p->index_object].name);
    AUTO_CHAR text =
        xasprintf("%s: what it says of %s is not what the pack says, which counts: a holder of the "
                  "writer key made it so; remove it from the store",
                  index, name);
    if (!strings_has(&r->bad_objects, text)) {
        strings_add(&r->bad_objects, text);
        log_warn("%s", text);
    }
    p->first_own = r->numbered ? FRAME_NONE : (uint32_t)r->index.frames.n;
    if (!r->numbered && index_add_table(&r->index, pack, table, &used, &why))
        log_warn("%s: %s", name, why.text);
    return true;
}

/* Its size may be what was lied about. */
static bool read_own(struct repo *r, const struct pack_info *p, struct buf *table)
{
    char name[NAME_SIZE];
    uint64_t size;
    struct err ignored = ERR_INIT;
    pack_name(name, &p->name);
    return store_size(r->store, name, &size, &ignored) == STORE_DONE &&
           pack_read_table_from(r, r->store, &p->name, size, table, &ignored) == 0;
}

static bool is_to_ask(const struct pack_info *p)
{
    return !p->asked && p->index_object != INDEX_OBJECT_NONE && (p->state & PACK_LISTED);
}

bool pack_ask(struct repo *r, uint32_t pack)
{
    struct pack_info *p = &r->index.packs[pack];
    AUTO(buf) table = BUF_NONE;
    if (!is_to_ask(p))
        return false;
    p->asked = true;
    return read_own(r, p, &table) && pack_was_misread(r, pack, buf_bytes(&table));
}

struct asking {
    struct repo *r;
    uint32_t packs[BLOCK];
    struct buf tables[BLOCK];
    bool read[BLOCK];
    size_t n;
};

static int ask_one(void *ctx, size_t i, struct err *e)
{
    struct asking *a = ctx;
    a->read[i] = read_own(a->r, &a->r->index.packs[a->packs[i]], &a->tables[i]);
    return stop_check(e);
}

static bool ask_block(struct asking *a)
{
    struct err ignored = ERR_INIT;
    bool found = false;
    (void)!gather(a->n, ask_one, a, &ignored);
    for (size_t i = 0; i < a->n; i++) {
        if (a->read[i])
            found |= pack_was_misread(a->r, a->packs[i], buf_bytes(&a->tables[i]));
        buf_free(&a->tables[i]);
        a->read[i] = false;
    }
    a->n = 0;
    return found;
}

bool packs_ask_all(struct repo *r)
{
    struct asking a = {.r = r};
    bool found = false;
    if (r->asked)
        return false;
    r->asked = true;
    for (uint32_t i = 0; i < r->index.pack_count; i++) {
        struct pack_info *p = &r->index.packs[i];
        if (!is_to_ask(p))
            continue;
        p->asked = true;
        a.packs[a.n++] = i;
        if (a.n == BLOCK)
            found |= ask_block(&a);
    }
    return ask_block(&a) || found;
}
