/* Frames and chunks out of packs: the slow, sure way (chunk_read tries every place) and the pieces that the
 * planned reader (reader.c) spreads over workers. */
#include "repo/internal.h"

#include "base/log.h"

#include <sodium.h>
#include <stdlib.h>

#define SLOT_CACHE 256 /* direct-mapped; 32 bytes each, for about 2 GiB of packs in use at a time */

struct slot_cache {
    struct {
        uint32_t slot_plus_1;
        uint8_t key[SLOT_KEY];
    } v[SLOT_CACHE];
};

struct slot_cache *slot_cache_new(void)
{
    struct slot_cache *c = sodium_malloc(sizeof *c);
    if (!c)
        die(OUT_OF_MEMORY);
    memset(c, 0, sizeof *c);
    return c;
}

void slot_cache_free(struct slot_cache *c)
{
    sodium_free(c);
}

static int slot_key(struct repo *r, uint32_t slot, uint8_t key[SLOT_KEY], struct err *e)
{
    size_t i = slot % SLOT_CACHE;
    struct slot_cache *c = r->slot_keys;
    if (c->v[i].slot_plus_1 != slot + 1) {
        if (slot_open(r->keys, index_slot(&r->index, slot), c->v[i].key, e)) {
            c->v[i].slot_plus_1 = 0;
            return -1;
        }
        c->v[i].slot_plus_1 = slot + 1;
    }
    memcpy(key, c->v[i].key, SLOT_KEY);
    return 0;
}

bool frame_is_tree(const struct repo *r, uint32_t frame)
{
    return index_slot(&r->index, index_frame(&r->index, frame)->slot)->kind == SLOT_TREE;
}

int frame_source(struct repo *r, uint32_t frame, struct frame_source *out, struct err *e)
{
    const struct frame_info *f = index_frame(&r->index, frame);
    const struct slot *s = index_slot(&r->index, f->slot);
    *out = (struct frame_source){.offset = f->offset, .sealed_length = f->sealed_length};
    out->facts = (struct frame_facts){.kind = s->kind,
                                      .generation = s->generation,
                                      .number = f->number,
                                      .raw_length = f->raw_length,
                                      .compression = f->compression};
    if (f->pack == PACK_PENDING)
        return err_set(e, ERR_FAILED, "a frame that is not in a pack yet was asked for");
    pack_name(out->name, &r->index.packs[f->pack].name);
    const struct pack_info *pack = &r->index.packs[f->pack];
    /* What is not listed may lie below a delete marker, and is asked for once. */
    if (!(pack->state & PACK_LISTED) && pack->asked && !r->mirrors)
        return err_set(e, ERR_DAMAGED, "%s: is missing from %s", out->name, store_title(r->store));
    if (slot_key(r, f->slot, out->key, e))
        return err_wrap(e, "%s", out->name);
    return 0;
}

int frame_open_bytes(struct repo *r, const struct frame_source *f, struct bytes sealed, struct codec *c,
                     struct buf *raw, struct err *e)
{
    size_t packed = sealed.n - SEAL_TAG;
    bool is_raw = f->facts.compression == COMPRESSION_NONE;
    bool fits = !is_raw || packed == f->facts.raw_length; /* before anything is written there */
    buf_renew(raw, f->facts.raw_length);
    uint8_t *to = is_raw && fits ? raw->p : buf_reserve(codec_scratch(c, 1), packed);
    if (!frame_open(r->keys, f->key, &f->facts, sealed, to))
        return err_set(e, ERR_DAMAGED, "%s: the frame at byte %u does not open: damaged", f->name, f->offset);
    if (!fits || (!is_raw && !codec_decompress(c, BYTES(to, packed), raw->p, f->facts.raw_length)))
        return err_set(e, ERR_DAMAGED, "%s: the frame at byte %u does not decompress: damaged", f->name,
                       f->offset);
    raw->n = f->facts.raw_length;
    return 0;
}

static int read_own(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw,
                    struct err *e)
{
    if (mirrors_instead(r))
        return err_set(e, ERR_NET, "%s: does not answer", store_title(r->store));
    uint8_t *sealed = buf_reserve(codec_scratch(c, 0), f->sealed_length);
    int rc = store_get_range(r->store, f->name, f->offset, sealed, f->sealed_length, e);
    if (rc == STORE_ABSENT) {
        err_set(e, ERR_DAMAGED, "%s: is missing from %s", f->name, store_title(r->store));
        return FRAME_VANISHED;
    }
    if (rc != STORE_DONE)
        return -1;
    return frame_open_bytes(r, f, BYTES(sealed, f->sealed_length), c, raw, e);
}

/* A bucket that keeps versions has what was overwritten as an older one. */
static bool read_older(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw,
                       const struct err *why)
{
    for (unsigned nth = 1; why->kind == ERR_DAMAGED && nth <= STORE_OLDEST; nth++) {
        struct err e = ERR_INIT;
        uint8_t *sealed = buf_reserve(codec_scratch(c, 0), f->sealed_length);
        int rc = store_get_older(r->store, f->name, nth, f->offset, sealed, f->sealed_length, &e);
        if (rc == STORE_DONE && frame_open_bytes(r, f, BYTES(sealed, f->sealed_length), c, raw, &e) == 0)
            return true;
        if (rc == STORE_ABSENT || e.kind != ERR_DAMAGED)
            return false;
    }
    return false;
}

int frame_elsewhere(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw, int rc,
                    const struct err *why)
{
    if (!read_older(r, f, c, raw, why) && mirror_frame(r, f, c, raw, why) != STORE_DONE)
        return rc;
    return rc == FRAME_VANISHED ? FRAME_VANISHED | FRAME_ELSEWHERE : FRAME_ELSEWHERE;
}

int frame_read(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw, struct err *e)
{
    int rc = read_own(r, f, c, raw, e);
    return rc ? frame_elsewhere(r, f, c, raw, rc, e) : 0;
}

bool chunk_verify(const struct repo *r, uint32_t generation, bool tree, struct bytes data,
                  const struct chunk_id *id)
{
    const struct generation *g = keyring_find(r->keys, generation);
    struct chunk_id have;
    if (!g)
        return false;
    id_of(tree ? &g->tree_ids : &g->content_ids, data, &have);
    return id_equal(&have, id);
}

/* Reads the chunk from one place; raw gets the whole frame, *at the chunk in it. */
static int read_place(struct repo *r, const struct ref *ref, bool tree, struct place at, struct codec *c,
                      struct buf *frame, struct err *e)
{
    struct frame_source f;
    if (frame_source(r, at.frame, &f, e))
        return -1;
    struct err why = ERR_INIT;
    int rc = frame_read(r, &f, c, frame, &why);
    if (!frame_was_read(rc))
        return *e = why, rc;
    if (rc)
        frame_met_bad(r, at.frame, rc, &why);
    if ((f.facts.kind == SLOT_TREE) != tree || at.offset > frame->n || ref->length > frame->n - at.offset ||
        !chunk_verify(r, f.facts.generation, tree, BYTES(frame->p + at.offset, ref->length), &ref->id))
        return err_set(e, ERR_DAMAGED,
                       "%s: a chunk in the frame at byte %u is not the one it is filed as: damaged", f.name,
                       f.offset);
    return 0;
}

void frame_met_bad(struct repo *r, uint32_t frame, int rc, const struct err *why)
{
    uint32_t number = index_frame(&r->index, frame)->pack;
    struct pack_info *pack = number == PACK_PENDING ? NULL : &r->index.packs[number];
    struct err lost = ERR_INIT;
    if (why->kind != ERR_DAMAGED)
        return;
    if (pack && rc > 0 && (rc & FRAME_VANISHED)) {
        pack->state &= ~(unsigned)PACK_LISTED;
        pack->asked = true;
    }
    if (!pack || !(pack->state & PACK_LISTED) || (pack->state & PACK_DAMAGED) || pack_ask(r, number) ||
        frame < pack->first_own)
        return;
    pack->state |= PACK_DAMAGED;
    if (rc < 0) /* what a mirror gave instead was said */
        log_warn("%s (another place is looked for)", why->text);
    if (mark_damaged(r, &pack->name, why->text, &lost))
        log_warn("the pack could not be marked as damaged: %s", lost.text);
}

/* 1: a pack said something else of itself than an index, so there are other places now. */
static int try_places(struct repo *r, const struct ref *ref, bool tree, uint32_t not_frame, struct codec *c,
                      struct buf *raw, struct err *e)
{
    /* Sound packs first, then those that are said to be bad: half a pack may be fine. */
    struct err first = ERR_INIT;
    const uint64_t places = bigmap_count(r->index.chunks);
    for (int want_usable = 1; want_usable >= 0; want_usable--) {
        uint64_t iter = BIGMAP_START;
        struct place at;
        while (index_next_place(&r->index, &ref->id, &iter, &at)) {
            if (at.frame == not_frame || index_frame_is_usable(&r->index, at.frame) != want_usable)
                continue;
            struct err why = ERR_INIT;
            AUTO(buf) frame = BUF_NONE;
            int rc = read_place(r, ref, tree, at, c, &frame, &why);
            if (rc == 0) {
                raw->n = 0;
                buf_add(raw, BYTES(frame.p + at.offset, ref->length));
                return 0;
            }
            if (why.kind != ERR_DAMAGED)
                return *e = why, -1;
            frame_met_bad(r, at.frame, rc, &why);
            if (bigmap_count(r->index.chunks) != places)
                return 1;
            if (!err_is_set(&first))
                first = why;
        }
    }
    char hex[ID_HEX];
    hex_encode(hex, BYTES(ref->id.b, ID_SIZE));
    if (err_is_set(&first))
        return err_set(e, first.kind, "%s", first.text);
    return err_set(e, ERR_DAMAGED,
                   "%s %.12s...: no pack holds it: a pack is missing from %s (the next backup stores it "
                   "again if the source still has it)",
                   tree ? "list" : "chunk", hex, store_title(r->store));
}

static int read_anywhere(struct repo *r, const struct ref *ref, bool tree, uint32_t not_frame,
                         struct codec *c, struct buf *raw, struct err *e)
{
    int rc;
    do
        rc = try_places(r, ref, tree, not_frame, c, raw, e);
    while (rc > 0);
    return rc;
}

int chunk_read(struct repo *r, const struct ref *ref, bool tree, uint32_t not_frame, struct codec *c,
               struct buf *raw, struct err *e)
{
    struct err why = ERR_INIT;
    if (read_anywhere(r, ref, tree, not_frame, c, raw, &why) == 0)
        return 0;
    bool more = why.kind == ERR_DAMAGED && mirrors_load_indexes(r);
    if (more && read_anywhere(r, ref, tree, not_frame, c, raw, &why) == 0)
        return 0;
    int found = why.kind == ERR_DAMAGED ? packs_ask_all(r, e) : 0;
    if (found > 0)
        return read_anywhere(r, ref, tree, not_frame, c, raw, e);
    if (found == 0)
        *e = why;
    return -1;
}
