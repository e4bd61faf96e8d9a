/* index.h - which chunk lies where, for one repository at one moment: packs, slots, frames and a map from
 * chunk ids to frames. The large parts are mapped files (base/bigmap.h): 24 bytes a chunk, 32 a frame, 88 a
 * slot, written out by the kernel when memory is short. Driven by one thread. */
#ifndef LIFEBOAT_REPO_INDEX_H
#define LIFEBOAT_REPO_INDEX_H

#include "base/bigmap.h"
#include "repo/pack.h"

#define FRAME_NONE   UINT32_MAX
#define PACK_PENDING UINT32_MAX /* frames that are not in a finished pack yet */

enum pack_state {
    PACK_LISTED = 1,    /* in the store's listing */
    PACK_INDEXED = 2,   /* its table is in the index */
    PACK_DAMAGED = 4,   /* named by a damaged mark, or of a wrong size */
    PACK_CONDEMNED = 8, /* waits to be deleted */
    PACK_ORPHAN = 16,   /* no index object names it: read from its tail */
    PACK_RELIED = 32,   /* this run's snapshot needs it */
};
#define INDEX_OBJECT_NONE UINT32_MAX
struct pack_info {
    struct sha name;
    struct sha table; /* of the table that is in the index, once one is */
    uint64_t size;    /* as listed */
    int64_t mtime_ns; /* as listed */
    unsigned state;
    uint32_t table_bytes;
    uint32_t index_object; /* that its table was taken from; INDEX_OBJECT_NONE: from itself, or not at all */
    bool marked;           /* a damaged mark named it when the repository was loaded */
    bool asked;            /* it was compared with its own table; one not listed: it is not there at all */
    uint32_t first_own;    /* frames below come from an index that lied of the pack, or broke off */
};
struct frame_info {
    uint32_t pack, slot;
    uint64_t number;
    uint32_t offset, sealed_length, raw_length;
    uint8_t compression;
};
struct place {
    uint32_t frame, offset; /* offset: within the frame's raw bytes */
};

struct index {
    struct pack_info *packs; /* heap: 104 bytes for 16 MiB of stored data */
    uint32_t pack_count, pack_cap;
    struct bigmap *pack_map; /* name -> pack */
    struct bigarray slots, frames;
    struct bigmap *chunks; /* first 16 bytes of the id -> frame << 32 | offset */
};

int index_open(struct index *x, const char *dir, struct err *e) MUST_CHECK;
uint32_t index_add_pack(struct index *x, const struct sha *name, uint64_t size, unsigned state,
                        struct err *e) MUST_CHECK;
uint32_t index_find_pack(const struct index *x, const struct sha *name); /* UINT32_MAX: not there */
/* Adds all slots, frames and chunks of an encoded table. */
int index_add_table(struct index *x, uint32_t pack, struct bytes table, size_t *used,
                    struct err *e) MUST_CHECK;

/* For writers: slots and frames that come to be. */
uint32_t index_add_slot(struct index *x, const struct slot *s, struct err *e) MUST_CHECK;
uint32_t index_add_frame(struct index *x, const struct frame_info *f,
                         struct err *e) MUST_CHECK; /* FRAME_NONE: *e */
int index_add_chunk(struct index *x, const struct chunk_id *id, struct place at, struct err *e) MUST_CHECK;

/* Walks the places of a chunk: start with *iter = BIGMAP_START. */
bool index_next_place(const struct index *x, const struct chunk_id *id, uint64_t *iter, struct place *out);
/* Usable: a new snapshot may rely on it: in this run, or in a listed, sound pack that is not condemned. */
bool index_frame_is_usable(const struct index *x, uint32_t frame);
bool index_has_usable(const struct index *x, const struct chunk_id *id);
/* The same for a snapshot in the making: it relies on the pack from now on. */
bool index_rely(struct index *x, const struct chunk_id *id);
/* Sound: can be read: listed and not damaged, condemned or not. */
bool index_frame_is_sound(const struct index *x, uint32_t frame);
bool index_has_sound(const struct index *x, const struct chunk_id *id);
static inline struct frame_info *index_frame(const struct index *x, uint32_t frame)
{
    return bigarray_at(&x->frames, frame);
}
static inline struct slot *index_slot(const struct index *x, uint32_t slot)
{
    return bigarray_at(&x->slots, slot);
}
void index_free(struct index *x);

#endif
