/* An index saves reading the tails of all packs, and is taken at its word. Whoever has the writer key can put
 * one that lies, so before anything is given up the packs are asked themselves. */
#include "repo/internal.h"

#include "base/child.h"
#include "base/log.h"

#define BLOCK 64 /* tables that are asked for at a time */

/* Its size, too, may have been lied about: by it a pack looks torn. */
static void take_size(struct repo *r, struct pack_info *p, uint64_t size)
{
    if (p->size == size || r->numbered)
        return;
    p->size = size;
    if (!p->marked && !sha_set_has(&r->distrusted, &p->name))
        p->state &= ~(unsigned)PACK_DAMAGED;
}

static void blame_index(struct repo *r, const struct pack_info *p)
{
    char name[NAME_SIZE], index[NAME_SIZE];
    pack_name(name, &p->name);
    object_name(index, "index/", &r->index_objects[p->index_object].name);
    AUTO_CHAR text =
        xasprintf("%s: what it says of %s is not what the pack says, which counts: a holder of the "
                  "writer key made it so; remove it from the store",
                  index, name);
    if (strings_has(&r->bad_objects, text))
        return;
    strings_add(&r->bad_objects, text);
    log_warn("%s", text);
}

bool pack_was_misread(struct repo *r, uint32_t pack, uint64_t size, struct bytes table)
{
    struct pack_info *p = &r->index.packs[pack];
    struct sha sha;
    struct err why = ERR_INIT;
    size_t used;
    sha_of(table, &sha);
    bool same_table = sha_equal(&sha, &p->table);
    if (p->index_object == INDEX_OBJECT_NONE || (same_table && p->size == size))
        return false;
    blame_index(r, p);
    take_size(r, p, size);
    if (same_table)
        return true;
    p->first_own = r->numbered ? FRAME_NONE : (uint32_t)r->index.frames.n;
    if (!r->numbered && index_add_table(&r->index, pack, table, &used, &why))
        log_warn("%s", why.text);
    return true;
}

static int read_own(struct repo *r, const struct pack_info *p, uint64_t *size, struct buf *table,
                    struct err *e)
{
    char name[NAME_SIZE];
    pack_name(name, &p->name);
    int rc = store_size(r->store, name, size, e);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_DAMAGED, "%s: is missing from %s", name, store_title(r->store));
    return rc == STORE_DONE ? pack_read_table_from(r, r->store, &p->name, *size, table, e) : -1;
}

static bool is_to_ask(const struct pack_info *p)
{
    return !p->asked && p->index_object != INDEX_OBJECT_NONE && (p->state & PACK_LISTED);
}

bool pack_ask(struct repo *r, uint32_t pack)
{
    struct pack_info *p = &r->index.packs[pack];
    struct err ignored = ERR_INIT;
    uint64_t size;
    AUTO(buf) table = BUF_NONE;
    if (!is_to_ask(p) || mirrors_instead(r))
        return false;
    p->asked = true;
    return read_own(r, p, &size, &table, &ignored) == 0 && pack_was_misread(r, pack, size, buf_bytes(&table));
}

struct asking {
    struct repo *r;
    size_t n;
    struct asked {
        uint32_t pack;
        uint64_t size;
        struct buf table;
        bool was_read;
    } v[BLOCK];
};

/* A pack that is damaged says nothing. A store that does not answer would let each of thousands wait. */
static int ask_one(void *ctx, size_t i, struct err *e)
{
    struct asking *a = ctx;
    struct asked *one = &a->v[i];
    struct err why = ERR_INIT;
    one->was_read = read_own(a->r, &a->r->index.packs[one->pack], &one->size, &one->table, &why) == 0;
    if (why.kind == ERR_NET || why.kind == ERR_STOPPED)
        return *e = why, -1;
    return stop_check(e);
}

static int ask_block(struct asking *a, bool *found, struct err *e)
{
    int rc = gather(a->n, ask_one, a, e);
    for (size_t i = 0; i < a->n; i++) {
        struct asked *one = &a->v[i];
        a->r->index.packs[one->pack].asked |= rc == 0 || one->was_read;
        if (one->was_read)
            *found |= pack_was_misread(a->r, one->pack, one->size, buf_bytes(&one->table));
        buf_free(&one->table);
    }
    a->n = 0;
    return rc;
}

int packs_ask_all(struct repo *r, struct err *e)
{
    struct asking a = {.r = r};
    bool found = false;
    if (r->asked || mirrors_instead(r))
        return 0;
    for (uint32_t i = 0; i < r->index.pack_count; i++) {
        if (is_to_ask(&r->index.packs[i]))
            a.v[a.n++] = (struct asked){.pack = i};
        if (a.n == BLOCK && ask_block(&a, &found, e))
            return -1;
    }
    if (ask_block(&a, &found, e))
        return -1;
    r->asked = true;
    return found;
}
