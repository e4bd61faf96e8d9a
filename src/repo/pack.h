/* pack.h - the bytes of a pack: frames, a sealed table of them, a sealed footer of fixed size.
 *
 *   frames     one after the other, each ciphertext and tag
 *   table      nonce 24, ciphertext, tag 16; padded inside so that the pack is a multiple of 64 KiB
 *   footer     u32 version, u32 generation, 16 random bytes, then sealed: u64 table offset, u64 table length
 * (as stored), u64 size of the pack: 8 + 16 + 24 + 24 + 16 = 88 bytes The random bytes make every name new,
 * also that of a copy (docs/format.md, "Garbage"). */
#ifndef LIFEBOAT_REPO_PACK_H
#define LIFEBOAT_REPO_PACK_H

#include "base/base.h"
#include "codec/seal.h"
#include "repo/stream.h"

#define PACK_TARGET      (16u << 20) /* frames in a full pack */
#define PACK_PADDING     (64u << 10)
#define PACK_FOOTER      88
#define PACK_MAX         (256u << 20) /* larger ones are refused */
#define PACK_TABLE_MAX   (32u << 20)
#define PACK_TABLE_FULL  (2u << 20) /* a pack is full, too, when its table gets this long */
#define TABLE_CHUNK_SIZE 24

/* One frame as a table records it, without its chunks. */
struct frame_entry {
    uint32_t slot; /* number in the table's own list */
    uint64_t number;
    uint32_t offset, sealed_length, raw_length;
    uint8_t compression;
};

/* Building a table. */
struct table {
    uint32_t slot_count, frame_count;
    struct buf slots, frames;
};
void table_add_slot(struct table *t, const struct slot *s); /* its number is slot_count before the call */
/* chunks: TABLE_CHUNK_SIZE bytes each, id and u32 length, in the order of the frame. */
void table_add_frame(struct table *t, const struct frame_entry *f, struct bytes chunks);
void table_encode(const struct table *t, struct buf *out); /* appends */
void table_free(struct table *t);
AUTO_FOR(table)

/* Appends padding, sealed table and footer for a pack whose frames take `offset` bytes. *table_plain gets the
 * encoded table (what an index holds). */
void pack_seal_tail(const struct keyring *k, const struct table *t, uint64_t offset, struct buf *table_plain,
                    struct buf *tail);

/* Reading one. The footer says where the sealed table lies. */
int pack_open_footer(const struct keyring *k, struct bytes footer, uint64_t pack_size, uint64_t *table_offset,
                     uint64_t *table_length, struct err *e) MUST_CHECK;
/* Opens a sealed table: appends the encoded table without its padding. */
int pack_open_table(const struct keyring *k, struct bytes sealed, uint32_t generation, struct buf *out,
                    struct err *e) MUST_CHECK;

/* Walks an encoded table; every number is checked against the pack's size. Each callback: not 0 with *e ends
 * it. */
struct table_visitor {
    int (*slot)(void *ctx, const struct slot *s, struct err *e);
    int (*frame)(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e);
    void *ctx;
};
/* *used gets the length of the table within `table`. ERR_DAMAGED. */
int table_visit(struct bytes table, uint64_t pack_size, const struct table_visitor *v, size_t *used,
                struct err *e) MUST_CHECK;

static inline struct ref chunk_at(struct bytes chunks, size_t i)
{
    struct ref r;
    const uint8_t *p = chunks.p + i * TABLE_CHUNK_SIZE;
    memcpy(r.id.b, p, ID_SIZE);
    struct cursor c = cursor_of(BYTES(p + ID_SIZE, 4));
    r.length = cursor_u32(&c);
    return r;
}
static inline void add_chunk(struct buf *out, const struct ref *r)
{
    buf_add(out, BYTES(r->id.b, ID_SIZE));
    buf_add_u32(out, r->length);
}

#endif
