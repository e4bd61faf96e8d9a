/* P6: fewer, fuller indexes. Those that are small or mostly name packs that are gone are read and written
 * anew; the last new one supersedes exactly those that were read. */
#include "repo/prune.h"

#include "base/child.h"
#include "base/log.h"

#include <stdlib.h>

#define SMALL_INDEX (INDEX_FULL / 4)
#define SMALL_MANY  10
#define PACK_ENTRY  44 /* bytes of a pack in an index beside its table */

struct merging {
    struct pruning *p;
    struct index_builder builder;
    uint64_t *live; /* by index object: bytes of packs that stay */
    size_t object;  /* being read */
};

/* One that was needed until now waits for the next run, whose listing cannot miss the copy. One that is
 * younger than the mark by which it is due is not what was condemned: its mark went, and a copy or a repair
 * has brought the name back since this run looked. */
bool prune_is_due(const struct pruning *p, uint32_t pack)
{
    const struct pack_info *info = &p->repo->index.packs[pack];
    enum fate fate = p->packs[pack].fate;
    return (fate == FATE_WAITING || (fate == FATE_RESCUE && p->o->exclusive)) &&
           sha_set_has(&p->due, &info->name) && p->now_ns - info->mtime_ns >= p->grace_ns;
}

/* A pack that was not listed is gone if its index is so old that the listing must have shown it. */
static bool stays(const struct merging *m, uint32_t pack)
{
    const struct pruning *p = m->p;
    const struct pack_info *info = &p->repo->index.packs[pack];
    if (info->state & PACK_LISTED)
        return pack >= p->pack_count || !prune_is_due(p, pack);
    return p->repo->index_objects[info->index_object].mtime_ns >= p->now_ns - p->repo->bounds.lag_ns;
}

static void sum_live(struct merging *m)
{
    const struct repo *r = m->p->repo;
    m->live = xcalloc(r->index_object_count, sizeof *m->live);
    for (uint32_t i = 0; i < r->index.pack_count; i++)
        if (r->index.packs[i].index_object != INDEX_OBJECT_NONE && stays(m, i))
            m->live[r->index.packs[i].index_object] += r->index.packs[i].table_bytes + PACK_ENTRY;
}

/* *merge[i]: the object is to be written anew. Returns how many. */
static size_t choose(const struct merging *m, bool *merge)
{
    const struct repo *r = m->p->repo;
    size_t small = 0, n = 0;
    for (size_t i = 0; i < r->index_object_count; i++)
        small += r->index_objects[i].is_read && !r->index_objects[i].superseded && m->live[i] < SMALL_INDEX;
    for (size_t i = 0; i < r->index_object_count; i++) {
        const struct index_object *o = &r->index_objects[i];
        bool is_small = m->live[i] < SMALL_INDEX && small >= SMALL_MANY;
        merge[i] = o->is_read && !o->superseded && (is_small || m->live[i] < o->bytes / 4 * 3);
        n += merge[i];
    }
    return n;
}

/* An entry that another index has as well, which stays, is left to that one. */
static int keep_pack(void *ctx, const struct sha *name, uint64_t size, struct bytes table, struct err *e)
{
    struct merging *m = ctx;
    const struct repo *r = m->p->repo;
    uint32_t pack = index_find_pack(&r->index, name);
    uint32_t owner = pack == UINT32_MAX ? INDEX_OBJECT_NONE : r->index.packs[pack].index_object;
    if (owner == INDEX_OBJECT_NONE || (owner != m->object && !r->index_objects[owner].superseded) ||
        !stays(m, pack))
        return 0;
    return index_builder_add(&m->builder, name, size, table, e);
}

/* 1: the object has gone: another prune merges, too. */
static int copy_object(struct merging *m, struct err *e)
{
    struct repo *r = m->p->repo;
    char name[NAME_SIZE];
    AUTO(buf) plain = BUF_NONE;
    object_name(name, "index/", &r->index_objects[m->object].name);
    int rc = object_get(r, name, OBJECT_INDEX, INDEX_MAX, &plain, e);
    if (rc != STORE_DONE)
        return rc == STORE_ABSENT ? 1 : -1;
    return index_visit(buf_bytes(&plain), keep_pack, m, e);
}

static int merge_chosen(struct merging *m, const bool *merge, struct err *e)
{
    struct repo *r = m->p->repo;
    AUTO(sha_set) superseded = {0};
    for (size_t i = 0; i < r->index_object_count; i++) {
        struct index_object *o = &r->index_objects[i];
        m->object = i;
        /* Those that were superseded by what is superseded now stay so. */
        if (merge[i] || o->superseded)
            sha_set_add(&superseded, &o->name);
        int rc = merge[i] ? copy_object(m, e) : 0;
        if (rc > 0) {
            log_info("another prune merges indexes: left to it");
            return index_builder_put(&m->builder, NULL, e);
        }
        if (rc < 0 || stop_check(e))
            return -1;
    }
    return index_builder_put(&m->builder, &superseded, e);
}

int prune_merge_indexes(struct pruning *p, struct err *e)
{
    struct merging m = {.p = p, .builder = {.repo = p->repo}};
    bool *merge = xcalloc(p->repo->index_object_count, sizeof *merge);
    int rc = 0;
    sum_live(&m);
    if (choose(&m, merge))
        rc = merge_chosen(&m, merge, e);
    p->out->indexes_written += m.builder.written;
    index_builder_free(&m.builder);
    free(m.live);
    free(merge);
    return rc;
}
