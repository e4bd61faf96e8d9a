#include "repo/tree.h"

#include <stdlib.h>

static int add_at(struct tree_builder *t, unsigned level, const struct ref *ref, struct err *e);

static int flush(struct tree_builder *t, unsigned level, struct err *e)
{
    struct ref list;
    if (t->put(t->ctx, buf_bytes(&t->lists[level]), &list, e))
        return -1;
    t->lists[level].n = 0;
    t->cut_before[level] = true;
    return add_at(t, level + 1, &list, e);
}

static int add_at(struct tree_builder *t, unsigned level, const struct ref *ref, struct err *e)
{
    if (level == TREE_LEVELS)
        return err_set(e, ERR_FAILED, "the stream has more chunks than a list of lists can hold");
    struct buf *list = &t->lists[level];
    add_chunk(list, ref);
    size_t n = list->n / TABLE_CHUNK_SIZE;
    struct cursor last = cursor_of(BYTES(ref->id.b + ID_SIZE - 4, 4));
    if (n >= LIST_MAX || (n >= LIST_MIN && (cursor_u32(&last) & LIST_MASK) == 0))
        return flush(t, level, e);
    return 0;
}

int tree_add(struct tree_builder *t, const struct ref *ref, struct err *e)
{
    return add_at(t, 0, ref, e);
}

int tree_finish(struct tree_builder *t, struct stream_info *out, struct err *e)
{
    unsigned level = 0;
    while (t->cut_before[level] || t->lists[level].n > WRITTEN_ROOTS * TABLE_CHUNK_SIZE) {
        if (t->lists[level].n && flush(t, level, e))
            return -1;
        level++;
    }
    out->depth = level;
    out->root_count = (uint32_t)(t->lists[level].n / TABLE_CHUNK_SIZE);
    for (uint32_t i = 0; i < out->root_count; i++)
        out->roots[i] = chunk_at(buf_bytes(&t->lists[level]), i);
    return 0;
}

void tree_free(struct tree_builder *t)
{
    for (size_t i = 0; i < TREE_LEVELS; i++)
        buf_free(&t->lists[i]);
}

/* ---- reading ---- */
/* Whether the list lies, verified, in the frame read last; otherwise reads the frame of its first sound
 * place. */
static bool take_from_frame(struct list_reader *l, const struct ref *ref, struct buf *out)
{
    uint64_t iter = BIGMAP_START;
    struct place at;
    while (index_next_place(&l->repo->index, &ref->id, &iter, &at)) {
        if (l->frame.n == 0 || at.frame != l->cached_frame) {
            struct frame_source f;
            struct err ignored = ERR_INIT;
            if (!index_frame_is_sound(&l->repo->index, at.frame) || !frame_is_tree(l->repo, at.frame) ||
                frame_source(l->repo, at.frame, &f, &ignored))
                continue;
            int rc = frame_read(l->repo, &f, l->codec, &l->frame, &ignored);
            if (rc)
                frame_met_bad(l->repo, at.frame, rc, &ignored);
            if (!frame_was_read(rc)) { /* and its pack may have been asked: there may be other places now */
                l->frame.n = 0;
                return false;
            }
            l->cached_frame = at.frame;
            l->generation = f.facts.generation;
        }
        if (at.offset > l->frame.n || ref->length > l->frame.n - at.offset)
            continue;
        struct bytes list = BYTES(l->frame.p + at.offset, ref->length);
        if (chunk_verify(l->repo, l->generation, true, list, &ref->id)) {
            out->n = 0;
            buf_add(out, list);
            return true;
        }
    }
    return false;
}

int list_read(struct list_reader *l, const struct ref *ref, struct buf *out, struct err *e)
{
    if (ref->length == 0 || ref->length > LIST_MAX * TABLE_CHUNK_SIZE || ref->length % TABLE_CHUNK_SIZE)
        return err_set(e, ERR_DAMAGED, "a reference list of %u bytes is not one", ref->length);
    if (!l->codec)
        l->codec = codec_new();
    if (take_from_frame(l, ref, out))
        return 0;
    return chunk_read(l->repo, ref, true, FRAME_NONE, l->codec, out, e);
}

struct chunk_id list_key(const struct ref *list, unsigned depth)
{
    struct chunk_id key = list->id;
    key.b[0] ^= (uint8_t)depth;
    return key;
}

void list_reader_free(struct list_reader *l)
{
    buf_free(&l->frame);
    codec_free(l->codec);
}

/* ---- walking ---- */
struct ref_walk {
    uint32_t depth;
    uint64_t left; /* content references that the snapshot says there are */
    struct {
        struct buf list;
        size_t next;
    } levels[TREE_LEVELS + 1]; /* [depth]: the roots; [0]: content references */
    struct list_reader reader;
};

struct ref_walk *ref_walk_new(struct repo *r, const struct stream_info *info)
{
    struct ref_walk *w = xcalloc(1, sizeof *w);
    w->reader.repo = r;
    w->depth = MIN(info->depth, (uint32_t)TREE_LEVELS);
    w->left = info->chunks;
    for (uint32_t i = 0; i < info->root_count; i++)
        add_chunk(&w->levels[w->depth].list, &info->roots[i]);
    return w;
}

int ref_walk_next(struct ref_walk *w, struct ref *ref, struct err *e)
{
    unsigned level = 0;
    for (;;) {
        struct buf *list = &w->levels[level].list;
        if (w->levels[level].next < list->n / TABLE_CHUNK_SIZE) {
            *ref = chunk_at(buf_bytes(list), w->levels[level].next);
            if (ref->length == 0) /* no bytes are how a stream ends */
                return err_set(e, ERR_DAMAGED, "a reference list names a chunk of no bytes");
            if (level > 0 && list_read(&w->reader, ref, &w->levels[level - 1].list, e))
                return -1; /* the same again when it is called again */
            if (level == 0 && w->left == 0)
                return err_set(e, ERR_DAMAGED,
                               "the lists of a stream name more chunks than its snapshot says");
            w->levels[level].next++;
            if (level == 0) {
                w->left--;
                return 1;
            }
            w->levels[--level].next = 0;
        } else if (level == w->depth) {
            return 0;
        } else {
            level++;
        }
    }
}

void ref_walk_free(struct ref_walk *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < ARRAY_LEN(w->levels); i++)
        buf_free(&w->levels[i].list);
    list_reader_free(&w->reader);
    free(w);
}
