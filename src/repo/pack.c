#include "repo/pack.h"

#include <sodium.h>

void table_add_slot(struct table *t, const struct slot *s)
{
    buf_add_u8(&t->slots, s->kind);
    buf_add_u32(&t->slots, s->generation);
    buf_add_u8(&t->slots, s->length);
    buf_add(&t->slots, BYTES(s->sealed, s->length));
    t->slot_count++;
}

void table_add_frame(struct table *t, const struct frame_entry *f, struct bytes chunks)
{
    buf_add_u32(&t->frames, f->slot);
    buf_add_u64(&t->frames, f->number);
    buf_add_u32(&t->frames, f->offset);
    buf_add_u32(&t->frames, f->sealed_length);
    buf_add_u32(&t->frames, f->raw_length);
    buf_add_u8(&t->frames, f->compression);
    buf_add_u32(&t->frames, (uint32_t)(chunks.n / TABLE_CHUNK_SIZE));
    buf_add(&t->frames, chunks);
    t->frame_count++;
}

void table_encode(const struct table *t, struct buf *out)
{
    buf_add_u32(out, t->slot_count);
    buf_add(out, buf_bytes(&t->slots));
    buf_add_u32(out, t->frame_count);
    buf_add(out, buf_bytes(&t->frames));
}

void table_free(struct table *t)
{
    buf_free(&t->slots);
    buf_free(&t->frames);
    *t = (struct table){0};
}

void pack_seal_tail(const struct keyring *k, const struct table *t, uint64_t offset, struct buf *table_plain,
                    struct buf *tail)
{
    AUTO(buf) padded = BUF_NONE;
    table_encode(t, table_plain);
    buf_add(&padded, buf_bytes(table_plain));
    uint64_t size = offset + OBJECT_OVERHEAD - 8 + padded.n + PACK_FOOTER;
    size_t padding = (PACK_PADDING - size % PACK_PADDING) % PACK_PADDING;
    memset(buf_reserve(&padded, padding), 0, padding);
    padded.n += padding;

    AUTO(buf) table = BUF_NONE;
    object_seal(k, OBJECT_TABLE, buf_bytes(&padded), &table);
    buf_add(tail, BYTES(table.p + 8, table.n - 8)); /* version and generation stand in the footer */

    AUTO(buf) where = BUF_NONE, footer = BUF_NONE;
    buf_add_u64(&where, offset);
    buf_add_u64(&where, table.n - 8);
    buf_add_u64(&where, size + padding);
    object_seal(k, OBJECT_FOOTER, buf_bytes(&where), &footer);
    buf_add(tail, BYTES(footer.p, 8));
    randombytes_buf(buf_reserve(tail, 16), 16);
    tail->n += 16;
    buf_add(tail, BYTES(footer.p + 8, footer.n - 8));
}

int pack_open_footer(const struct keyring *k, struct bytes footer, uint64_t pack_size, uint64_t *table_offset,
                     uint64_t *table_length, struct err *e)
{
    AUTO(buf) sealed = BUF_NONE, plain = BUF_NONE;
    struct cursor c = cursor_of(footer);
    buf_add(&sealed, cursor_take(&c, 8));
    cursor_take(&c, 16);
    buf_add(&sealed, BYTES(c.p, c.bad ? 0 : c.n));
    if (object_open(k, OBJECT_FOOTER, buf_bytes(&sealed), &plain, e))
        return err_wrap(e, "footer");
    c = cursor_of(buf_bytes(&plain));
    *table_offset = cursor_u64(&c);
    *table_length = cursor_u64(&c);
    uint64_t size = cursor_u64(&c);
    if (!cursor_is_done(&c) || size != pack_size || *table_length > PACK_TABLE_MAX ||
        *table_length > pack_size - PACK_FOOTER || *table_offset != pack_size - PACK_FOOTER - *table_length)
        return err_set(e, ERR_DAMAGED, "the footer is for a pack of %llu bytes, this one has %llu",
                       (unsigned long long)size, (unsigned long long)pack_size);
    return 0;
}

static int pass_slot(void *ctx, const struct slot *s, struct err *e)
{
    (void)ctx, (void)s, (void)e;
    return 0;
}

static int pass_frame(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    (void)ctx, (void)f, (void)chunks, (void)e;
    return 0;
}

int pack_open_table(const struct keyring *k, struct bytes sealed, uint32_t generation, struct buf *out,
                    struct err *e)
{
    AUTO(buf) whole = BUF_NONE, plain = BUF_NONE;
    buf_add_u32(&whole, FORMAT_VERSION);
    buf_add_u32(&whole, generation);
    buf_add(&whole, sealed);
    if (object_open(k, OBJECT_TABLE, buf_bytes(&whole), &plain, e))
        return err_wrap(e, "table");
    const struct table_visitor nobody = {.slot = pass_slot, .frame = pass_frame};
    size_t used = 0;
    if (table_visit(buf_bytes(&plain), PACK_MAX, &nobody, &used, e))
        return -1;
    for (size_t i = used; i < plain.n; i++)
        if (plain.p[i])
            return err_set(e, ERR_DAMAGED, "table: the padding is not empty");
    buf_add(out, BYTES(plain.p, used));
    return 0;
}

static int visit_slots(struct cursor *c, const struct table_visitor *v, uint32_t *count, struct err *e)
{
    *count = cursor_u32(c);
    for (uint32_t i = 0; i < *count && !c->bad; i++) {
        struct slot s = {0};
        s.kind = cursor_u8(c);
        s.generation = cursor_u32(c);
        s.length = cursor_u8(c);
        if (c->bad || s.length > SLOT_MAX || (s.kind != SLOT_CONTENT && s.kind != SLOT_TREE))
            return err_set(e, ERR_DAMAGED, "table: slot %u is of a kind that this program does not know", i);
        struct bytes sealed = cursor_take(c, s.length);
        if (c->bad)
            break;
        memcpy(s.sealed, sealed.p, sealed.n);
        if (v->slot(v->ctx, &s, e))
            return -1;
    }
    return 0;
}

/* A frame's lengths agree with each other, its chunks and the pack. */
static bool frame_is_sound(const struct frame_entry *f, uint32_t slot_count, struct bytes chunks,
                           uint64_t pack_size)
{
    uint64_t total = 0;
    for (size_t i = 0; i < chunks.n / TABLE_CHUNK_SIZE; i++) {
        uint32_t length = chunk_at(chunks, i).length;
        if (length == 0)
            return false;
        total += length;
    }
    return f->slot < slot_count && total == f->raw_length && f->raw_length <= FRAME_RAW_MAX &&
           f->sealed_length > SEAL_TAG && f->sealed_length - SEAL_TAG <= f->raw_length &&
           (uint64_t)f->offset + f->sealed_length <= pack_size && f->compression <= COMPRESSION_ZSTD &&
           (f->compression != COMPRESSION_NONE || f->sealed_length - SEAL_TAG == f->raw_length);
}

int table_visit(struct bytes table, uint64_t pack_size, const struct table_visitor *v, size_t *used,
                struct err *e)
{
    struct cursor c = cursor_of(table);
    uint32_t slot_count;
    if (visit_slots(&c, v, &slot_count, e))
        return -1;
    uint32_t frame_count = cursor_u32(&c);
    for (uint32_t i = 0; i < frame_count && !c.bad; i++) {
        struct frame_entry f = {0};
        f.slot = cursor_u32(&c);
        f.number = cursor_u64(&c);
        f.offset = cursor_u32(&c);
        f.sealed_length = cursor_u32(&c);
        f.raw_length = cursor_u32(&c);
        f.compression = cursor_u8(&c);
        uint32_t chunk_count = cursor_u32(&c);
        struct bytes chunks = cursor_take(&c, (size_t)chunk_count * TABLE_CHUNK_SIZE);
        if (c.bad)
            break;
        if (!frame_is_sound(&f, slot_count, chunks, pack_size))
            return err_set(e, ERR_DAMAGED, "table: the lengths of frame %u do not agree", i);
        if (v->frame(v->ctx, &f, chunks, e))
            return -1;
    }
    if (c.bad)
        return err_set(e, ERR_DAMAGED, "table: ends early");
    *used = table.n - c.n;
    return 0;
}
