/* P2 to P4: which chunks snapshots need, and where each has its home. A chunk may have several places; a bit
 * for each place (the slot of the chunk map) says whether it is a home. Memory: one bit a slot and 8 bytes a
 * frame, mapped. */
#include "repo/prune.h"

#include "base/child.h"
#include "repo/tree.h"

#include <stdlib.h>

struct walk {
    struct pruning *p;
    struct list_reader reader;
    struct buf lists[TREE_LEVELS + 1];
    struct pruned_snapshot *snapshot; /* of the root that is being walked */
    bool lenient;                     /* what is not there is passed over */
};

/* How good a place is: the best that a chunk has becomes its home. */
enum place_class { PLACE_NONE, PLACE_CONDEMNED_BAD, PLACE_CONDEMNED, PLACE_BAD, PLACE_GOOD };

/* Whether it comes from an index that broke off: its pack was read itself, and has frames of its own. One
 * that is found out while chunks are marked counts as before, so that nothing that is needed looks dead. */
static bool is_void(const struct index *x, uint32_t frame)
{
    const struct pack_info *p = &x->packs[index_frame(x, frame)->pack];
    return p->first_own != FRAME_NONE && frame < p->first_own;
}

static enum place_class class_of(const struct index *x, uint32_t frame)
{
    unsigned state = x->packs[index_frame(x, frame)->pack].state;
    if (!(state & PACK_LISTED) || is_void(x, frame))
        return PLACE_NONE;
    if (state & PACK_CONDEMNED)
        return state & PACK_DAMAGED ? PLACE_CONDEMNED_BAD : PLACE_CONDEMNED;
    return state & PACK_DAMAGED ? PLACE_BAD : PLACE_GOOD;
}

/* Sets the bits of all places of the best class. -1: it has no place. */
static int mark_chunk(struct pruning *p, const struct chunk_id *id)
{
    const struct index *x = &p->repo->index;
    enum place_class best = PLACE_NONE;
    uint64_t iter = BIGMAP_START;
    struct place at;
    while (index_next_place(x, id, &iter, &at))
        best = MAX(best, class_of(x, at.frame));
    if (best == PLACE_NONE)
        return -1;
    iter = BIGMAP_START;
    while (index_next_place(x, id, &iter, &at))
        if (class_of(x, at.frame) == best) {
            if (bigbits_get(&p->live, iter))
                return 0;
            bigbits_set(&p->live, iter);
        }
    return 0;
}

static void miss(struct walk *w)
{
    w->snapshot->hit = true;
}

/* So new that a listing may not show all that it needs. */
static bool is_new(const struct pruning *p, const struct pruned_snapshot *s)
{
    return p->now_ns - s->mtime_ns <= p->repo->bounds.lag_ns;
}

static int refuse_new(const struct pruned_snapshot *s, struct err *e)
{
    char hex[SHA_HEX];
    sha_hex(hex, &s->id);
    return err_set(
        e, ERR_FAILED,
        "snapshots/%s was put a moment ago, and the store does not list all of its packs yet: nothing is "
        "deleted, prune again later",
        hex);
}

static int walk_refs(struct walk *w, struct bytes refs, unsigned depth, struct err *e);

/* A list that was met before is not read again: what is below it is marked. Its own mark says nothing of
 * that: a hostile snapshot may name it as content. */
static int walk_list(struct walk *w, const struct ref *ref, unsigned depth, struct err *e)
{
    struct err why = ERR_INIT;
    const struct chunk_id key = list_key(ref, depth);
    uint64_t iter = BIGMAP_START, ignored;
    if (bigmap_next(w->p->walked, key.b, &iter, &ignored))
        return 0;
    if (stop_check(e) || bigmap_add(w->p->walked, key.b, 1, e))
        return -1;
    if (list_read(&w->reader, ref, &w->lists[depth], &why) == 0)
        return walk_refs(w, buf_bytes(&w->lists[depth]), depth, e);
    if (why.kind == ERR_DAMAGED && w->lenient)
        return 0;
    if (why.kind == ERR_DAMAGED && is_new(w->p, w->snapshot))
        return refuse_new(w->snapshot, e);
    *e = why;
    char hex[SHA_HEX];
    sha_hex(hex, &w->snapshot->id);
    return err_wrap(e, "snapshots/%s: a list of its chunks cannot be read", hex);
}

static int walk_refs(struct walk *w, struct bytes refs, unsigned depth, struct err *e)
{
    for (size_t i = 0; i < refs.n / TABLE_CHUNK_SIZE; i++) {
        struct ref ref = chunk_at(refs, i);
        int rc = mark_chunk(w->p, &ref.id);
        if (rc < 0)
            miss(w);
        if (rc == 0 && depth > 0 && walk_list(w, &ref, depth - 1, e))
            return -1;
    }
    return 0;
}

static int walk_roots(struct walk *w, bool (*wanted)(const struct walk *w, uint32_t snapshot), struct err *e)
{
    struct pruning *p = w->p;
    for (uint64_t i = 0; i < p->roots.n; i++) {
        const struct root *r = bigarray_at(&p->roots, i);
        AUTO(buf) one = BUF_NONE;
        if (!wanted(w, r->snapshot))
            continue;
        w->snapshot = &p->snapshots[r->snapshot];
        add_chunk(&one, &r->ref);
        if (walk_refs(w, buf_bytes(&one), MIN(r->depth, (uint32_t)TREE_LEVELS), e))
            return -1;
        if (p->o->progress)
            p->o->progress(p->o->progress_ctx, "snapshots", i + 1, p->roots.n);
    }
    return 0;
}

static void walk_free(struct walk *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->lists); i++)
        buf_free(&w->lists[i]);
    list_reader_free(&w->reader);
}
AUTO_FOR(walk)

static bool is_whole(const struct walk *w, uint32_t snapshot)
{
    return !w->p->snapshots[snapshot].dead && !w->p->snapshots[snapshot].broken;
}

static bool is_broken(const struct walk *w, uint32_t snapshot)
{
    return !w->p->snapshots[snapshot].dead && w->p->snapshots[snapshot].broken;
}

static int refuse_hit(const struct pruning *p, struct err *e)
{
    for (size_t i = 0; i < p->snapshot_count; i++) {
        char hex[SHA_HEX];
        if (!p->snapshots[i].hit)
            continue;
        if (is_new(p, &p->snapshots[i]))
            return refuse_new(&p->snapshots[i], e);
        sha_hex(hex, &p->snapshots[i].id);
        return err_set(
            e, ERR_DAMAGED,
            "snapshots/%s needs chunks that are in no pack of %s: nothing is deleted. Bring the missing packs "
            "back (`lifeboat check` names them), back up again while the source still has them, or forget "
            "the snapshot",
            hex, store_title(p->repo->store));
    }
    return 0;
}

int prune_mark_live(struct pruning *p, struct err *e)
{
    AUTO(walk) w = {.p = p, .reader = {.repo = p->repo}};
    p->walked = bigmap_new(p->repo->spool_dir, 0, e);
    p->repo->numbered = true;
    if (!p->walked || bigbits_open(&p->live, p->repo->spool_dir, bigmap_slots(p->repo->index.chunks), e) ||
        walk_roots(&w, is_whole, e) || refuse_hit(p, e))
        return -1;
    w.lenient = true; /* after the others: a list that is met twice is walked once */
    return walk_roots(&w, is_broken, e);
}

static bool is_this(const struct walk *w, uint32_t snapshot)
{
    return &w->p->snapshots[snapshot] == w->snapshot;
}

int prune_keep_snapshot(struct pruning *p, size_t snapshot, struct err *e)
{
    AUTO(walk)
    w = {.p = p, .reader = {.repo = p->repo}, .snapshot = &p->snapshots[snapshot], .lenient = true};
    return walk_roots(&w, is_this, e);
}

/* ---- homes ---- */
bool prune_can_open(const struct pruning *p, uint32_t frame)
{
    return frame_is_tree(p->repo, frame) || keyring_can_read(p->repo->keys);
}

bool prune_is_home(const struct pruning *p, const struct chunk_id *id, struct place at)
{
    uint64_t iter = BIGMAP_START;
    struct place other;
    while (index_next_place(&p->repo->index, id, &iter, &other))
        if (other.frame == at.frame && other.offset == at.offset)
            return bigbits_get(&p->live, iter);
    return false;
}

static struct frame_count *count_of(const struct pruning *p, uint32_t frame)
{
    return bigarray_at(&p->frames, frame);
}

/* Chunks by frame: all, and those whose bit is set. */
static int count_chunks(struct pruning *p, struct err *e)
{
    const struct index *x = &p->repo->index;
    const struct frame_count none = {0};
    if (bigarray_open(&p->frames, p->repo->spool_dir, sizeof none, e))
        return -1;
    for (uint64_t i = 0; i < x->frames.n; i++)
        if (bigarray_add(&p->frames, &none, e) == UINT64_MAX)
            return -1;
    uint64_t slot = 0, value;
    const uint8_t *key;
    while (bigmap_each(x->chunks, &slot, &key, &value)) {
        struct frame_count *c = count_of(p, (uint32_t)(value >> 32));
        c->total++;
        c->live += bigbits_get(&p->live, slot - 1);
    }
    return 0;
}

/* What moving the needed part of a frame writes: all of it, unless it can be opened. */
static uint64_t bytes_kept(const struct pruning *p, uint32_t frame)
{
    const struct frame_count *c = count_of(p, frame);
    uint64_t sealed = index_frame(&p->repo->index, frame)->sealed_length;
    if (c->live == 0)
        return 0;
    if (c->live == c->total || !prune_can_open(p, frame))
        return sealed + FRAME_ENTRY + (uint64_t)c->total * TABLE_CHUNK_SIZE;
    return sealed * c->live / c->total + FRAME_ENTRY + (uint64_t)c->live * TABLE_CHUNK_SIZE;
}

static void sum_packs(struct pruning *p)
{
    const struct index *x = &p->repo->index;
    for (uint32_t i = 0; i < p->pack_count; i++)
        p->packs[i] = (struct pack_sum){.first_frame = FRAME_NONE};
    for (uint32_t f = 0; f < x->frames.n; f++) {
        struct pack_sum *s = &p->packs[index_frame(x, f)->pack];
        if (is_void(x, f))
            continue;
        s->first_frame = MIN(s->first_frame, f);
        s->frame_count++;
        s->live += count_of(p, f)->live;
        s->kept += bytes_kept(p, f);
    }
    for (uint32_t i = 0; i < p->pack_count; i++)
        p->packs[i].density = x->packs[i].size ? (double)p->packs[i].kept / (double)x->packs[i].size : 0;
}

/* Of two places: the one in the pack that is needed more, so that a copy and what it was copied from do not
 * share the chunks between them; then by name, so that every host chooses alike. */
static bool is_better(const struct pruning *p, struct place a, struct place b)
{
    const struct index *x = &p->repo->index;
    uint32_t m = index_frame(x, a.frame)->pack, n = index_frame(x, b.frame)->pack;
    if (m == n)
        return a.frame != b.frame ? a.frame < b.frame : a.offset < b.offset;
    if (p->packs[m].density > p->packs[n].density || p->packs[m].density < p->packs[n].density)
        return p->packs[m].density > p->packs[n].density;
    return memcmp(x->packs[m].name.b, x->packs[n].name.b, SHA_SIZE) < 0;
}

/* Leaves one bit for each chunk. */
static void choose(struct pruning *p)
{
    const struct index *x = &p->repo->index;
    uint64_t slot = 0, value;
    const uint8_t *key;
    while (bigmap_each(x->chunks, &slot, &key, &value)) {
        if (!bigbits_get(&p->live, slot - 1))
            continue;
        struct place here = {.frame = (uint32_t)(value >> 32), .offset = (uint32_t)value}, other;
        struct chunk_id id = {0};
        memcpy(id.b, key, BIGMAP_KEY);
        uint64_t iter = BIGMAP_START;
        while (index_next_place(x, &id, &iter, &other))
            if (iter != slot - 1 && bigbits_get(&p->live, iter) && is_better(p, other, here)) {
                bigbits_clear(&p->live, slot - 1);
                break;
            }
    }
}

int prune_choose_homes(struct pruning *p, struct err *e)
{
    p->pack_count = p->repo->index.pack_count;
    p->packs = xcalloc(p->pack_count, sizeof *p->packs);
    if (count_chunks(p, e))
        return -1;
    sum_packs(p);
    choose(p);
    bigarray_free(&p->frames);
    if (count_chunks(p, e))
        return -1;
    sum_packs(p);
    return 0;
}
