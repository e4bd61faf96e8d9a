/* P4: new homes. What is needed of a pack goes into new packs: whole frames as they are, with their slots;
 * and out of frames that can be opened and are partly garbage, the chunks that are needed, sealed anew. A
 * pack is fetched whole and compared with its name first, so a copy never makes damage look sound. */
#include "repo/prune.h"

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "repo/tree.h"
#include "repo/writer.h"

#include <stdlib.h>
#include <unistd.h>

#define SLICE      (1u << 20)
#define COPY_LEVEL 3 /* zstd, of frames that are made anew */

enum { GATHER_DATABASE, GATHER_VOLUME, GATHER_TREE, GATHERS };
static const struct {
    uint32_t frame;
    enum slot_kind kind;
    int level;
} gather_of[GATHERS] = {
    [GATHER_DATABASE] = {STREAM_FRAME_DATABASE, SLOT_CONTENT, COPY_LEVEL},
    [GATHER_VOLUME] = {STREAM_FRAME_VOLUME, SLOT_CONTENT, COPY_LEVEL},
    [GATHER_TREE] = {TREE_FRAME, SLOT_TREE, 1},
};

struct repacking {
    struct pruning *p;
    struct writer *writer;
    struct codec *codec;
    struct frame_builder builders[GATHERS];
    uint64_t stored;
    int fd; /* the pack that is being taken apart, compared with its name; -1: none */
    uint32_t pack, next_frame;
    struct buf sealed, raw;
};

/* 0, or -1 with *e: ERR_DAMAGED when it is not what its name says. */
static int fetch_pack(struct repacking *k, struct err *e)
{
    struct repo *r = k->p->repo;
    const struct pack_info *info = &r->index.packs[k->pack];
    char name[NAME_SIZE];
    struct sha_stream sha;
    struct sha have;
    pack_name(name, &info->name);
    fd_auto(&k->fd);
    k->fd = file_spool(r->spool_dir, e);
    if (k->fd < 0)
        return -1;
    sha_begin(&sha);
    for (uint64_t at = 0; at < info->size; at += SLICE) {
        size_t n = (size_t)MIN((uint64_t)SLICE, info->size - at);
        k->raw.n = 0;
        int rc = store_get_range(r->store, name, at, buf_reserve(&k->raw, n), n, e);
        if (rc == STORE_ABSENT)
            return err_set(e, ERR_DAMAGED, "%s: is missing from %s", name, store_title(r->store));
        if (rc != STORE_DONE || fd_write_all(k->fd, BYTES(k->raw.p, n), "temporary pack", e))
            return -1;
        sha_add(&sha, BYTES(k->raw.p, n));
    }
    sha_end(&sha, &have);
    return sha_equal(&have, &info->name)
               ? 0
               : err_set(e, ERR_DAMAGED, "%s: its bytes are not those it was named by (SHA-256): damaged",
                         name);
}

static int open_frame(struct repacking *k, uint32_t frame, struct err *e)
{
    struct frame_source source;
    return frame_source(k->p->repo, frame, &source, e) ||
                   frame_open_bytes(k->p->repo, &source, buf_bytes(&k->sealed), k->codec, &k->raw, e)
               ? -1
               : 0;
}

static int gather_chunks(struct repacking *k, uint32_t frame, struct bytes chunks, struct err *e)
{
    struct repo *r = k->p->repo;
    bool tree = frame_is_tree(r, frame);
    int g = tree                                                                 ? GATHER_TREE
            : index_frame(&r->index, frame)->raw_length <= STREAM_FRAME_DATABASE ? GATHER_DATABASE
                                                                                 : GATHER_VOLUME;
    uint32_t generation = index_slot(&r->index, index_frame(&r->index, frame)->slot)->generation;
    struct place at = {.frame = frame};
    if (open_frame(k, frame, e))
        return -1;
    for (size_t i = 0; i < chunks.n / TABLE_CHUNK_SIZE; i++) {
        struct ref ref = chunk_at(chunks, i);
        struct bytes data = BYTES(k->raw.p + at.offset, ref.length);
        if (prune_is_home(k->p, &ref.id, at)) {
            if (!chunk_verify(r, generation, tree, data, &ref.id))
                return err_set(e, ERR_DAMAGED,
                               "a chunk in the frame at byte %u is not the one it is filed as",
                               index_frame(&r->index, frame)->offset);
            if (writer_gather(k->writer, &k->builders[g], &ref, data, gather_of[g].frame, gather_of[g].kind,
                              gather_of[g].level, &k->stored, e))
                return -1;
        }
        at.offset += ref.length;
    }
    return 0;
}

static int pass_slot(void *ctx, const struct slot *s, struct err *e)
{
    (void)ctx, (void)s, (void)e;
    return 0;
}

static int take_frame(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    struct repacking *k = ctx;
    struct pruning *p = k->p;
    uint32_t frame = k->next_frame++;
    const struct frame_count *count = bigarray_at(&p->frames, frame);
    if (count->live == 0)
        return 0;
    k->sealed.n = 0;
    buf_reserve(&k->sealed, f->sealed_length);
    if (fd_pread_all(k->fd, k->sealed.p, f->sealed_length, f->offset, "temporary pack", e))
        return -1;
    k->sealed.n = f->sealed_length;
    if (count->live < count->total && prune_can_open(p, frame))
        return gather_chunks(k, frame, chunks, e);
    return writer_move_frame(k->writer, frame, chunks, buf_bytes(&k->sealed), e);
}

static int take_apart(struct repacking *k, struct err *e)
{
    struct repo *r = k->p->repo;
    const struct pack_info *info = &r->index.packs[k->pack];
    AUTO(buf) table = BUF_NONE;
    size_t used;
    const struct table_visitor v = {.slot = pass_slot, .frame = take_frame, .ctx = k};
    char name[NAME_SIZE];
    k->next_frame = k->p->packs[k->pack].first_frame;
    if (pack_read_table(r, &info->name, info->size, &table, e))
        return -1;
    pack_name(name, &info->name);
    /* Slots, frames and chunks are known by the numbers that an index gave them. */
    if (pack_was_misread(r, k->pack, info->size, buf_bytes(&table)))
        return err_set(e, ERR_DAMAGED, "%s: its table is not the one that an index has: nothing is moved",
                       name);
    return table_visit(buf_bytes(&table), info->size, &v, &used, e) ? err_wrap(e, "%s", name) : 0;
}

/* A damaged pack stays as it is, marked; one that was condemned and is needed ends the run. */
static int leave_damaged(struct repacking *k, const struct err *why, struct err *e)
{
    struct pruning *p = k->p;
    struct pack_info *info = &p->repo->index.packs[k->pack];
    if (p->packs[k->pack].fate == FATE_RESCUE || why->kind != ERR_DAMAGED)
        return *e = *why, -1;
    log_warn("%s", why->text);
    strings_add_fmt(&p->out->notes, "%s; it is marked, and stays", why->text);
    p->packs[k->pack].fate = FATE_KEEP;
    p->out->thin.packs--;
    p->out->thin.bytes -= info->size;
    p->out->waiting.packs--;
    p->out->waiting.bytes -= info->size;
    info->state |= PACK_DAMAGED;
    return mark_damaged(p->repo, &info->name, why->text, e);
}

static int flush(struct repacking *k, struct err *e)
{
    for (size_t g = 0; g < GATHERS; g++)
        if (writer_flush_frame(k->writer, &k->builders[g], gather_of[g].kind, gather_of[g].level, &k->stored,
                               e))
            return -1;
    struct writer_stats stats;
    if (writer_finish(k->writer, &stats, e))
        return -1;
    k->p->out->moved.packs += stats.packs;
    k->p->out->moved.bytes += stats.pack_bytes;
    k->p->out->indexes_written += stats.indexes;
    return 0;
}

/* In the order in which they were written, so that neighbours stay neighbours. */
static int by_time(const void *a, const void *b, void *index)
{
    const struct index *all = index;
    const struct pack_info *x = &all->packs[*(const uint32_t *)a], *y = &all->packs[*(const uint32_t *)b];
    if (x->mtime_ns != y->mtime_ns)
        return x->mtime_ns < y->mtime_ns ? -1 : 1;
    return memcmp(x->name.b, y->name.b, SHA_SIZE);
}

static int repack_all(struct repacking *k, const uint32_t *packs, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;
        k->pack = packs[i];
        if (stop_check(e))
            return -1;
        if (fetch_pack(k, &why) == 0) {
            if (take_apart(k, e))
                return -1;
        } else if (leave_damaged(k, &why, e)) {
            return -1;
        }
        if (k->p->o->progress)
            k->p->o->progress(k->p->o->progress_ctx, "packs to move", i + 1, n);
    }
    return flush(k, e);
}

static int repack(struct pruning *p, enum fate fate, struct err *e)
{
    uint32_t *packs = xcalloc(p->pack_count, sizeof *packs);
    size_t n = 0;
    for (uint32_t i = 0; i < p->pack_count; i++)
        if (p->packs[i].fate == fate)
            packs[n++] = i;
    qsort_r(packs, n, sizeof *packs, by_time, &p->repo->index);
    struct repacking k = {.p = p, .codec = codec_new(), .fd = -1};
    for (size_t g = 0; g < GATHERS; g++)
        k.builders[g].frame = FRAME_NONE;
    int rc = 0;
    if (n)
        rc = (k.writer = writer_new_copying(p->repo, e)) ? repack_all(&k, packs, n, e) : -1;
    writer_free(k.writer);
    for (size_t g = 0; g < GATHERS; g++)
        frame_builder_free(&k.builders[g]);
    codec_free(k.codec);
    fd_auto(&k.fd);
    buf_free(&k.sealed);
    buf_free(&k.raw);
    free(packs);
    return rc;
}

/* A full disk has no room for copies; what is dead can go all the same, and makes some. */
static void leave_thin(struct pruning *p, const struct err *why)
{
    struct prune_report *out = p->out;
    strings_add_fmt(&out->notes,
                    "nothing was moved out of packs that are partly garbage: %s; the next prune tries again",
                    why->text);
    for (uint32_t i = 0; i < p->pack_count; i++) {
        uint64_t size = p->repo->index.packs[i].size;
        if (p->packs[i].fate != FATE_THIN)
            continue;
        p->packs[i].fate = FATE_KEEP;
        out->garbage_left += size - MIN(size, p->packs[i].kept);
    }
    out->waiting.packs -= out->thin.packs;
    out->waiting.bytes -= out->thin.bytes;
    out->thin = (struct prune_count){0};
}

int prune_repack(struct pruning *p, struct err *e)
{
    struct err why = ERR_INIT;
    if (repack(p, FATE_RESCUE, e))
        return -1;
    if (repack(p, FATE_THIN, &why) == 0)
        return 0;
    if (why.kind == ERR_SPACE) {
        leave_thin(p, &why);
        return 0;
    }
    *e = why;
    return -1;
}
