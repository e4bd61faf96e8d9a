#include "repo/index.h"

#include <stdlib.h>

int index_open(struct index *x, const char *dir, struct err *e)
{
    *x = (struct index){.slots = BIGARRAY_NONE, .frames = BIGARRAY_NONE};
    x->pack_map = bigmap_new(dir, 0, e);
    x->chunks = x->pack_map ? bigmap_new(dir, 0, e) : NULL;
    return x->chunks && bigarray_open(&x->slots, dir, sizeof(struct slot), e) == 0 &&
                   bigarray_open(&x->frames, dir, sizeof(struct frame_info), e) == 0
               ? 0
               : -1;
}

void index_free(struct index *x)
{
    free(x->packs);
    bigmap_free(x->pack_map);
    bigmap_free(x->chunks);
    bigarray_free(&x->slots);
    bigarray_free(&x->frames);
}

uint32_t index_find_pack(const struct index *x, const struct sha *name)
{
    uint64_t at = BIGMAP_START, pack;
    while (bigmap_next(x->pack_map, name->b, &at, &pack))
        if (sha_equal(&x->packs[pack].name, name))
            return (uint32_t)pack;
    return UINT32_MAX;
}

uint32_t index_add_pack(struct index *x, const struct sha *name, uint64_t size, unsigned state, struct err *e)
{
    if (x->pack_count == x->pack_cap) {
        x->pack_cap = x->pack_cap ? 2 * x->pack_cap : 64;
        x->packs = xrealloc(x->packs, x->pack_cap, sizeof *x->packs);
    }
    if (bigmap_add(x->pack_map, name->b, x->pack_count, e))
        return UINT32_MAX;
    x->packs[x->pack_count] =
        (struct pack_info){.name = *name, .size = size, .state = state, .index_object = INDEX_OBJECT_NONE};
    return x->pack_count++;
}

static uint32_t add_record(struct bigarray *a, const void *record, struct err *e)
{
    if (a->n == UINT32_MAX - 1)
        return err_set(e, ERR_FAILED, "the repository has more frames than this version can hold (2^32)"),
               UINT32_MAX;
    return (uint32_t)bigarray_add(a, record, e);
}

uint32_t index_add_slot(struct index *x, const struct slot *s, struct err *e)
{
    return add_record(&x->slots, s, e);
}

uint32_t index_add_frame(struct index *x, const struct frame_info *f, struct err *e)
{
    return add_record(&x->frames, f, e);
}

/* Places of a chunk in one pack: a prune that moves frames whole may leave a few. And all that are noted
 * before those in packs that are not there. More are of nobody who wants it to be found. */
#define PLACES_MOST          64
#define PLACES_MOST_UNLISTED 1000

static bool has_enough_places(const struct index *x, const struct chunk_id *id, uint32_t pack)
{
    bool listed = pack == PACK_PENDING || (x->packs[pack].state & PACK_LISTED);
    unsigned all = 0, here = 0;
    uint64_t iter = BIGMAP_START;
    struct place at;
    while (here < PLACES_MOST && (listed || all < PLACES_MOST_UNLISTED) &&
           index_next_place(x, id, &iter, &at)) {
        here += index_frame(x, at.frame)->pack == pack;
        all++;
    }
    return here == PLACES_MOST || (!listed && all == PLACES_MOST_UNLISTED);
}

int index_add_chunk(struct index *x, const struct chunk_id *id, struct place at, struct err *e)
{
    if (has_enough_places(x, id, index_frame(x, at.frame)->pack))
        return 0;
    return bigmap_add(x->chunks, id->b, (uint64_t)at.frame << 32 | at.offset, e);
}

struct loading {
    struct index *x;
    uint32_t pack, first_slot;
};

static int load_slot(void *ctx, const struct slot *s, struct err *e)
{
    struct loading *l = ctx;
    return index_add_slot(l->x, s, e) == UINT32_MAX ? -1 : 0;
}

static int load_frame(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    struct loading *l = ctx;
    struct frame_info info = {.pack = l->pack,
                              .slot = l->first_slot + f->slot,
                              .number = f->number,
                              .offset = f->offset,
                              .sealed_length = f->sealed_length,
                              .raw_length = f->raw_length,
                              .compression = f->compression};
    uint32_t frame = index_add_frame(l->x, &info, e);
    if (frame == FRAME_NONE)
        return -1;
    uint32_t offset = 0;
    for (size_t i = 0; i < chunks.n / TABLE_CHUNK_SIZE; i++) {
        struct ref r = chunk_at(chunks, i);
        if (index_add_chunk(l->x, &r.id, (struct place){.frame = frame, .offset = offset}, e))
            return -1;
        offset += r.length;
    }
    return 0;
}

int index_add_table(struct index *x, uint32_t pack, struct bytes table, size_t *used, struct err *e)
{
    struct loading l = {.x = x, .pack = pack, .first_slot = (uint32_t)x->slots.n};
    const struct table_visitor v = {.slot = load_slot, .frame = load_frame, .ctx = &l};
    if (table_visit(table, x->packs[pack].size, &v, used, e))
        return -1;
    x->packs[pack].state |= PACK_INDEXED;
    x->packs[pack].table_bytes = (uint32_t)*used;
    sha_of(BYTES(table.p, *used), &x->packs[pack].table);
    return 0;
}

bool index_next_place(const struct index *x, const struct chunk_id *id, uint64_t *iter, struct place *out)
{
    uint64_t value;
    if (!bigmap_next(x->chunks, id->b, iter, &value))
        return false;
    *out = (struct place){.frame = (uint32_t)(value >> 32), .offset = (uint32_t)value};
    return true;
}

static bool is_one_of(const struct index *x, uint32_t frame, unsigned look_at)
{
    uint32_t pack = index_frame(x, frame)->pack;
    return pack == PACK_PENDING ||
           ((x->packs[pack].state & look_at) == PACK_LISTED && frame >= x->packs[pack].first_own);
}

bool index_frame_is_usable(const struct index *x, uint32_t frame)
{
    return is_one_of(x, frame, PACK_LISTED | PACK_DAMAGED | PACK_CONDEMNED);
}

bool index_frame_is_sound(const struct index *x, uint32_t frame)
{
    return is_one_of(x, frame, PACK_LISTED | PACK_DAMAGED);
}

/* The first place of the chunk for which `is` says yes; FRAME_NONE: there is none. */
static uint32_t find_frame(const struct index *x, const struct chunk_id *id,
                           bool (*is)(const struct index *, uint32_t))
{
    uint64_t iter = BIGMAP_START;
    struct place at;
    while (index_next_place(x, id, &iter, &at))
        if (is(x, at.frame))
            return at.frame;
    return FRAME_NONE;
}

bool index_has_usable(const struct index *x, const struct chunk_id *id)
{
    return find_frame(x, id, index_frame_is_usable) != FRAME_NONE;
}

bool index_has_sound(const struct index *x, const struct chunk_id *id)
{
    return find_frame(x, id, index_frame_is_sound) != FRAME_NONE;
}

bool index_rely(struct index *x, const struct chunk_id *id)
{
    uint32_t frame = find_frame(x, id, index_frame_is_usable);
    if (frame == FRAME_NONE)
        return false;
    uint32_t pack = index_frame(x, frame)->pack;
    if (pack != PACK_PENDING)
        x->packs[pack].state |= PACK_RELIED;
    return true;
}
