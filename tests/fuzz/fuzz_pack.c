/* What stands behind the seals of a pack: its table and its footer. Whoever holds the writer key can seal any
 * bytes. What is taken must agree with itself and survive being written and read again. */
#include "repo/index.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE ((uint64_t)PACK_PADDING) /* of the pack */

static int copy_slot(void *ctx, const struct slot *s, struct err *e)
{
    (void)e;
    HOLDS(s->length <= SLOT_MAX);
    table_add_slot(ctx, s);
    return 0;
}

static int copy_frame(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    struct table *t = ctx;
    uint64_t total = 0;
    (void)e;
    for (size_t i = 0; i < chunks.n / TABLE_CHUNK_SIZE; i++) {
        HOLDS(chunk_at(chunks, i).length);
        total += chunk_at(chunks, i).length;
    }
    HOLDS(f->slot < t->slot_count && total == f->raw_length && f->raw_length <= FRAME_RAW_MAX);
    HOLDS(f->sealed_length > SEAL_TAG && (uint64_t)f->offset + f->sealed_length <= SIZE);
    table_add_frame(t, f, chunks);
    return 0;
}

/* Every chunk of it is found, within its frame. */
static void look_up(const struct index *x, struct bytes ids)
{
    for (size_t i = 0; i + ID_SIZE <= ids.n; i += ID_SIZE) {
        struct chunk_id id;
        uint64_t iter = BIGMAP_START;
        struct place at;
        memcpy(id.b, ids.p + i, ID_SIZE);
        HOLDS(index_next_place(x, &id, &iter, &at));
        HOLDS(at.offset < index_frame(x, at.frame)->raw_length);
        HOLDS(index_frame(x, at.frame)->slot < x->slots.n);
    }
}

static int note_ids(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    (void)f, (void)e;
    for (size_t i = 0; i < chunks.n / TABLE_CHUNK_SIZE; i++)
        buf_add(ctx, BYTES(chunk_at(chunks, i).id.b, ID_SIZE));
    return 0;
}

static int no_slot(void *ctx, const struct slot *s, struct err *e)
{
    (void)ctx, (void)s, (void)e;
    return 0;
}

static void into_index(struct bytes table)
{
    struct err e = ERR_INIT;
    struct index x;
    AUTO(buf) ids = BUF_NONE;
    const struct sha name = {0};
    const struct table_visitor v = {.slot = no_slot, .frame = note_ids, .ctx = &ids};
    size_t used = 0, again = 0;
    HOLDS(index_open(&x, fuzz_folder(), &e) == 0 && index_add_pack(&x, &name, SIZE, PACK_LISTED, &e) == 0);
    bool good = index_add_table(&x, 0, table, &used, &e) == 0;
    HOLDS(good != err_is_set(&e) && (table_visit(table, SIZE, &v, &again, &e) == 0) == good && used == again);
    if (good)
        look_up(&x, buf_bytes(&ids));
    index_free(&x);
}

/* Sealed and opened: what was taken out of it is what it was, with nothing behind it but zeros. How large the
 * pack is, its table does not say: whoever takes it up looks again. */
static void sealed_table(struct bytes plain)
{
    struct err e = ERR_INIT;
    AUTO(buf) sealed = BUF_NONE, out = BUF_NONE;
    object_seal(fuzz_keys(), OBJECT_TABLE, plain, &sealed);
    bool good = pack_open_table(fuzz_keys(), BYTES(sealed.p + 8, sealed.n - 8), 1, &out, &e) == 0;
    HOLDS(good != err_is_set(&e) && out.n <= plain.n && (good || !out.n));
    for (size_t i = 0; good && i < plain.n; i++)
        HOLDS(plain.p[i] == (i < out.n ? out.p[i] : 0));
}

static void sealed_footer(struct bytes plain)
{
    struct err e = ERR_INIT;
    AUTO(buf) sealed = BUF_NONE, footer = BUF_NONE;
    uint64_t offset = 0, length = 0, pack_size = PACK_FOOTER;
    if (plain.n >= 24) {
        struct cursor c = cursor_of(BYTES(plain.p + 16, 8));
        pack_size = cursor_u64(&c);
        pack_size = MAX(pack_size, (uint64_t)PACK_FOOTER); /* who asks has checked it */
    }
    object_seal(fuzz_keys(), OBJECT_FOOTER, BYTES(plain.p, MIN(plain.n, (size_t)24)), &sealed);
    buf_add(&footer, BYTES(sealed.p, 8));
    buf_add(&footer, BYTES("0123456789abcdef", 16));
    buf_add(&footer, BYTES(sealed.p + 8, sealed.n - 8));
    bool good = pack_open_footer(fuzz_keys(), buf_bytes(&footer), pack_size, &offset, &length, &e) == 0;
    HOLDS(good != err_is_set(&e));
    if (good)
        HOLDS(length <= PACK_TABLE_MAX && offset + length + PACK_FOOTER == pack_size && offset < pack_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    AUTO(table) t = {0};
    AUTO(buf) again = BUF_NONE;
    const struct table_visitor v = {.slot = copy_slot, .frame = copy_frame, .ctx = &t};
    size_t used = 0;
    bool good = table_visit(BYTES(data, size), SIZE, &v, &used, &e) == 0;
    HOLDS(good != err_is_set(&e) && used <= size);
    if (good) {
        table_encode(&t, &again);
        HOLDS(again.n == used && memcmp(again.p, data, used) == 0);
    }
    if (t.frame_count) /* files are made for it: not for nothing */
        into_index(BYTES(data, size));
    if (!FUZZ_MEMORY) {
        sealed_table(BYTES(data, size));
        sealed_footer(BYTES(data, size));
    }
    return 0;
}
