#include "repo/check.h"

#include "base/child.h"

#include <stdlib.h>

#define SLICE (1u << 20)

struct checked_slot {
    struct slot slot;
    bool opened;
    uint8_t key[SLOT_KEY]; /* when it is */
};
struct pack_check {
    struct job job;
    struct checking *c;
    uint32_t pack;
    struct codec *codec;
    struct buf slice, raw, table;
    struct sha_stream sha;
    uint64_t hashed;
    struct checked_slot *slots; /* of the pack */
    uint32_t slot_count, slot_cap;
    bool hidden; /* content of it that was not looked into */
    struct err error;
};

static int note_slot(void *ctx, const struct slot *s, struct err *e)
{
    struct pack_check *p = ctx;
    struct err why = ERR_INIT;
    if (p->slot_count == p->slot_cap) {
        p->slot_cap = p->slot_cap ? 2 * p->slot_cap : 8;
        p->slots = xrealloc(p->slots, p->slot_cap, sizeof *p->slots);
    }
    struct checked_slot *c = &p->slots[p->slot_count++];
    c->slot = *s;
    c->opened = slot_open(p->c->repo->keys, s, c->key, &why) == 0;
    return !c->opened && why.kind == ERR_DAMAGED ? err_set(e, ERR_DAMAGED, "%s", why.text) : 0;
}

/* Hashes the pack's bytes up to `to`. */
static int hash_to(struct pack_check *p, const char *name, uint64_t to, struct err *e)
{
    while (p->hashed < to) {
        size_t n = (size_t)MIN((uint64_t)SLICE, to - p->hashed);
        p->slice.n = 0;
        buf_reserve(&p->slice, n);
        if (store_get_range(p->c->repo->store, name, p->hashed, p->slice.p, n, e) != STORE_DONE)
            return err_set(e, ERR_DAMAGED, "%s: is missing", name);
        p->slice.n = n;
        sha_add(&p->sha, buf_bytes(&p->slice));
        p->hashed += n;
    }
    return 0;
}

static int check_frame(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    struct pack_check *p = ctx;
    struct repo *r = p->c->repo;
    struct frame_source src = {.offset = f->offset, .sealed_length = f->sealed_length};
    pack_name(src.name, &r->index.packs[p->pack].name);
    if (f->offset < p->hashed)
        return err_set(e, ERR_DAMAGED, "%s: its frames overlap", src.name);
    const struct checked_slot *c = &p->slots[f->slot];
    const struct slot *s = &c->slot;
    if (!c->opened) {
        p->hidden = true;
        return 0;
    }
    if (hash_to(p, src.name, f->offset, e))
        return -1;
    p->slice.n = 0;
    buf_reserve(&p->slice, f->sealed_length);
    if (store_get_range(r->store, src.name, f->offset, p->slice.p, f->sealed_length, e) != STORE_DONE)
        return err_set(e, ERR_DAMAGED, "%s: is missing", src.name);
    p->slice.n = f->sealed_length;
    sha_add(&p->sha, buf_bytes(&p->slice));
    p->hashed += f->sealed_length;
    src.facts = (struct frame_facts){.kind = s->kind,
                                     .generation = s->generation,
                                     .number = f->number,
                                     .raw_length = f->raw_length,
                                     .compression = f->compression};
    memcpy(src.key, c->key, SLOT_KEY);
    if (frame_open_bytes(r, &src, buf_bytes(&p->slice), p->codec, &p->raw, e))
        return -1;
    const struct generation *g = keyring_find(r->keys, s->generation);
    uint32_t offset = 0;
    for (size_t i = 0; i < chunks.n / TABLE_CHUNK_SIZE; i++) {
        struct ref ref = chunk_at(chunks, i);
        struct chunk_id id;
        id_of(s->kind == SLOT_TREE ? &g->tree_ids : &g->content_ids, BYTES(p->raw.p + offset, ref.length),
              &id);
        if (!id_equal(&id, &ref.id))
            return err_set(e, ERR_DAMAGED,
                           "%s: a chunk in the frame at byte %u is not the one it is filed as", src.name,
                           f->offset);
        offset += ref.length;
    }
    return 0;
}

static void check_pack(struct job *job, unsigned worker)
{
    (void)worker;
    struct pack_check *p = CONTAINER(job, struct pack_check, job);
    const struct pack_info *info = &p->c->repo->index.packs[p->pack];
    char name[NAME_SIZE];
    pack_name(name, &info->name);
    sha_begin(&p->sha);
    p->hashed = 0;
    p->slot_count = 0;
    p->hidden = false;
    p->table.n = 0;
    const struct table_visitor v = {.slot = note_slot, .frame = check_frame, .ctx = p};
    size_t used;
    uint64_t size;
    struct sha have;
    int rc = store_size(p->c->repo->store, name, &size, &p->error);
    if (rc == STORE_ABSENT)
        err_set(&p->error, ERR_DAMAGED, "%s: is missing", name);
    if (rc != STORE_DONE || pack_read_table(p->c->repo, &info->name, size, &p->table, &p->error) ||
        table_visit(buf_bytes(&p->table), size, &v, &used, &p->error) || hash_to(p, name, size, &p->error))
        return;
    sha_end(&p->sha, &have);
    if (!sha_equal(&have, &info->name))
        err_set(&p->error, ERR_DAMAGED, "%s: its bytes are not those it was named by (SHA-256): damaged",
                name);
}

/* A disk that could not read for a while, or somebody put the right bytes back. */
static void believe(struct checking *c, struct pack_info *info, const char *name)
{
    info->state &= ~(unsigned)PACK_DAMAGED;
    sha_set_add(&c->good, &info->name);
    strings_add_fmt(&c->report->notes, "%s was marked as damaged, and every byte of it is right", name);
}

static int take_pack(struct checking *c, struct pack_check *p, struct err *e)
{
    if (!p->c)
        return 0;
    pool_wait(c->repo->pool, &p->job);
    p->c = NULL;
    struct pack_info *info = &c->repo->index.packs[p->pack];
    c->report->bytes_read += p->hashed;
    c->hidden |= p->hidden;
    char name[NAME_SIZE];
    pack_name(name, &info->name);
    if (!err_is_set(&p->error)) {
        info->asked = true;
        (void)pack_was_misread(c->repo, p->pack, p->hashed, buf_bytes(&p->table));
        if (info->marked && !p->hidden && info->size == p->hashed)
            believe(c, info, name);
        return 0;
    }
    if (p->error.kind != ERR_DAMAGED) {
        *e = p->error;
        return -1;
    }
    info->state |= PACK_DAMAGED;
    check_add_error(c->report, name, said_of_object(name, p->error.text));
    return 0;
}

static bool has_its_turn(const struct check_options *o, const struct sha *name)
{
    if (o->read_percent == 0)
        return false;
    uint32_t shares = (100 + o->read_percent - 1) / o->read_percent;
    struct cursor c = cursor_of(BYTES(name->b, 4));
    return cursor_u32(&c) % shares == o->rota % shares;
}

int check_packs(struct checking *c, struct err *e)
{
    struct index *x = &c->repo->index;
    unsigned n = pool_threads(c->repo->pool) + 1;
    struct pack_check *ring = xcalloc(n, sizeof *ring);
    uint64_t total = 0, done = 0, started = 0;
    int rc = 0;
    for (uint32_t i = 0; i < x->pack_count; i++)
        if ((x->packs[i].state & PACK_LISTED) && has_its_turn(c->options, &x->packs[i].name))
            total += x->packs[i].size;
    for (uint32_t i = 0; i < x->pack_count && rc == 0; i++) {
        if (!(x->packs[i].state & PACK_LISTED) || !has_its_turn(c->options, &x->packs[i].name))
            continue;
        struct pack_check *p = &ring[started++ % n];
        rc = take_pack(c, p, e) || stop_check(e);
        if (rc)
            break;
        if (!p->codec)
            p->codec = codec_new();
        p->c = c;
        p->pack = i;
        p->error = (struct err)ERR_INIT;
        p->job.run = check_pack;
        pool_submit(c->repo->pool, &p->job);
        done += x->packs[i].size;
        if (c->options->progress)
            c->options->progress(c->options->progress_ctx, done, total);
    }
    for (unsigned i = 0; i < n; i++) {
        struct err later = ERR_INIT;
        if (take_pack(c, &ring[i], &later) && rc == 0) {
            *e = later;
            rc = -1;
        }
        buf_free(&ring[i].slice);
        buf_free(&ring[i].raw);
        buf_free(&ring[i].table);
        free(ring[i].slots);
        codec_free(ring[i].codec);
    }
    free(ring);
    if (c->hidden)
        strings_add(&c->report->notes, "content was hashed, not opened: that needs the identity");
    return rc;
}
