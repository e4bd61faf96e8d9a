#include "repo/stream.h"

#include "repo/tree.h"
#include "repo/writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_BYTES (1u << 20) /* hashed by one worker at a time; at least four of the largest chunks */
#define BATCH_ITEMS 8192
#define BATCHES     4
#define TREE_LEVEL  1 /* zstd: ids do not compress, lengths do a little */

enum item_kind { ITEM_CHUNK, ITEM_KNOWN, ITEM_CUT };
/* What happened in a stream, in order. */
struct item {
    uint8_t kind;
    uint32_t offset; /* ITEM_CHUNK: in the batch's bytes */
    union {
        struct ref ref; /* the id of ITEM_CHUNK is computed by a worker */
        uint64_t tag;   /* ITEM_CUT */
    };
};

struct batch {
    struct job job;
    const struct id_key *ids;
    bool busy;
    struct buf data;
    struct item *items;
    size_t item_count;
};

struct stream {
    struct writer *writer;
    struct stream_options options;
    struct stream_watch watch;
    struct stream_info info;
    struct chunker chunker;
    struct batch batches[BATCHES]; /* a ring; the current one follows those in flight */
    size_t oldest, in_flight;
    size_t batch_bytes;
    size_t chunk_start; /* of the open chunk, in the current batch */
    struct frame_builder content, lists;
    struct tree_builder tree;
};

static void hash_batch(struct job *job, unsigned worker)
{
    (void)worker;
    struct batch *b = CONTAINER(job, struct batch, job);
    for (size_t i = 0; i < b->item_count; i++)
        if (b->items[i].kind == ITEM_CHUNK)
            id_of(b->ids, BYTES(b->data.p + b->items[i].offset, b->items[i].ref.length), &b->items[i].ref.id);
}

static struct batch *current(struct stream *s)
{
    return &s->batches[(s->oldest + s->in_flight) % BATCHES];
}

/* Stores a list chunk, or finds it stored. */
static int put_list(void *ctx, struct bytes list, struct ref *out, struct err *e)
{
    struct stream *s = ctx;
    struct repo *r = writer_repo(s->writer);
    id_of(&keyring_current(r->keys)->tree_ids, list, &out->id);
    out->length = (uint32_t)list.n;
    if (index_rely(&r->index, &out->id))
        return 0;
    writer_count_new(s->writer, out->length);
    return writer_gather(s->writer, &s->lists, out, list, TREE_FRAME, SLOT_TREE, TREE_LEVEL,
                         &s->info.stored_bytes, e);
}

struct stream *stream_new(struct writer *w, const struct stream_options *o, const struct stream_watch *watch)
{
    assert(chunk_params_are_valid(&o->params) && strlen(o->name) < STREAM_NAME_SIZE);
    struct stream *s = xcalloc(1, sizeof *s);
    s->writer = w;
    s->options = *o;
    s->options.name = NULL;
    if (watch)
        s->watch = *watch;
    snprintf(s->info.name, sizeof s->info.name, "%s", o->name);
    s->info.params = o->params;
    s->info.frame = o->frame;
    s->batch_bytes = MAX((size_t)BATCH_BYTES, 4 * (size_t)o->params.max);
    s->content.frame = s->lists.frame = FRAME_NONE;
    s->tree.put = put_list;
    s->tree.ctx = s;
    chunker_init(&s->chunker, &keyring_current(writer_repo(w)->keys)->gear, o->params);
    return s;
}

static int take_chunk(struct stream *s, const struct ref *ref, struct bytes data, struct err *e)
{
    if (!index_rely(&writer_repo(s->writer)->index, &ref->id)) {
        s->info.new_bytes += ref->length;
        writer_count_new(s->writer, ref->length);
        return writer_gather(s->writer, &s->content, ref, data, s->options.frame, SLOT_CONTENT,
                             s->options.level, &s->info.stored_bytes, e);
    }
    return 0;
}

static int take_item(struct stream *s, const struct batch *b, const struct item *i, struct err *e)
{
    if (i->kind == ITEM_CUT)
        return s->watch.cut ? s->watch.cut(s->watch.ctx, i->tag, e) : 0;
    if (i->kind == ITEM_CHUNK && take_chunk(s, &i->ref, BYTES(b->data.p + i->offset, i->ref.length), e))
        return -1;
    s->info.chunks++;
    s->info.bytes += i->ref.length;
    if (tree_add(&s->tree, &i->ref, e))
        return -1;
    return s->watch.refs ? s->watch.refs(s->watch.ctx, &i->ref, 1, e) : 0;
}

/* Waits for the oldest batch and takes what is in it. */
static int take_batch(struct stream *s, struct err *e)
{
    struct batch *b = &s->batches[s->oldest];
    pool_wait(writer_repo(s->writer)->pool, &b->job);
    b->busy = false;
    s->oldest = (s->oldest + 1) % BATCHES;
    s->in_flight--;
    for (size_t i = 0; i < b->item_count; i++)
        if (take_item(s, b, &b->items[i], e))
            return -1;
    b->item_count = 0;
    b->data.n = 0;
    return writer_poll(s->writer, e);
}

/* Sends the current batch to be hashed. What follows its last chunk goes along into the next one. */
static int submit(struct stream *s, struct err *e)
{
    struct pool *pool = writer_repo(s->writer)->pool;
    struct batch *b = current(s);
    struct bytes rest = {0};
    if (b->data.n > s->chunk_start)
        rest = BYTES(b->data.p + s->chunk_start, b->data.n - s->chunk_start);
    b->job.run = hash_batch;
    b->ids = &keyring_current(writer_repo(s->writer)->keys)->content_ids;
    b->busy = true;
    s->in_flight++;
    pool_submit(pool, &b->job);
    while (s->in_flight && (s->in_flight == BATCHES || pool_is_done(pool, &s->batches[s->oldest].job))) {
        if (&s->batches[s->oldest] == b && rest.n)
            break; /* its tail is still wanted */
        if (take_batch(s, e))
            return -1;
    }
    struct batch *next = current(s);
    buf_reserve(&next->data, s->batch_bytes);
    buf_add(&next->data, rest);
    s->chunk_start = 0;
    return 0;
}

static struct item *add_item(struct stream *s, enum item_kind kind)
{
    struct batch *b = current(s);
    if (!b->items)
        b->items = xcalloc(BATCH_ITEMS, sizeof *b->items);
    struct item *i = &b->items[b->item_count++];
    *i = (struct item){.kind = kind};
    return i;
}

static int make_room(struct stream *s, struct err *e)
{
    struct batch *b = current(s);
    return b->item_count == BATCH_ITEMS || b->data.n == s->batch_bytes ? submit(s, e) : 0;
}

static void end_chunk(struct stream *s)
{
    size_t end = current(s)->data.n;
    if (end == s->chunk_start)
        return;
    struct item *i = add_item(s, ITEM_CHUNK);
    i->offset = (uint32_t)s->chunk_start;
    i->ref.length = (uint32_t)(end - s->chunk_start);
    s->chunk_start = end;
}

int stream_write(struct stream *s, struct bytes b, struct err *e)
{
    while (b.n) {
        if (make_room(s, e))
            return -1;
        struct batch *to = current(s);
        if (!to->data.cap)
            buf_reserve(&to->data, s->batch_bytes); /* at once: growing would copy */
        bool cut;
        size_t n = chunker_scan(&s->chunker, b.p, MIN(b.n, s->batch_bytes - to->data.n), &cut);
        buf_add(&to->data, BYTES(b.p, n));
        if (cut)
            end_chunk(s);
        b.p += n;
        b.n -= n;
    }
    return 0;
}

int stream_split(struct stream *s, struct err *e)
{
    if (make_room(s, e))
        return -1;
    end_chunk(s);
    chunker_reset(&s->chunker);
    return 0;
}

int stream_cut(struct stream *s, uint64_t tag, struct err *e)
{
    if (stream_split(s, e) || make_room(s, e))
        return -1;
    add_item(s, ITEM_CUT)->tag = tag;
    return 0;
}

int stream_append(struct stream *s, const struct ref *refs, size_t n, struct err *e)
{
    assert(current(s)->data.n == s->chunk_start);
    for (size_t i = 0; i < n; i++)
        if (refs[i].length == 0 || !index_rely(&writer_repo(s->writer)->index, &refs[i].id))
            return 0;
    for (size_t i = 0; i < n; i++) {
        if (make_room(s, e))
            return -1;
        add_item(s, ITEM_KNOWN)->ref = refs[i];
    }
    return 1;
}

int stream_finish(struct stream *s, struct stream_info *out, struct err *e)
{
    if (make_room(s, e))
        return -1;
    end_chunk(s);
    if (submit(s, e))
        return -1;
    while (s->in_flight)
        if (take_batch(s, e))
            return -1;
    if (writer_flush_frame(s->writer, &s->content, SLOT_CONTENT, s->options.level, &s->info.stored_bytes,
                           e) ||
        tree_finish(&s->tree, &s->info, e) ||
        writer_flush_frame(s->writer, &s->lists, SLOT_TREE, TREE_LEVEL, &s->info.stored_bytes, e) ||
        writer_drain(s->writer, e))
        return -1;
    *out = s->info;
    return 0;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < BATCHES; i++) {
        struct batch *b = &s->batches[i];
        if (b->busy)
            pool_wait(writer_repo(s->writer)->pool, &b->job);
        buf_free(&b->data);
        free(b->items);
    }
    /* An abandoned stream has chunks in the index that others may share already: they must reach their packs.
     * A failure to do so breaks the writer. */
    struct err ignored = ERR_INIT;
    (void)!writer_flush_frame(s->writer, &s->content, SLOT_CONTENT, s->options.level, &s->info.stored_bytes,
                              &ignored);
    (void)!writer_flush_frame(s->writer, &s->lists, SLOT_TREE, TREE_LEVEL, &s->info.stored_bytes, &ignored);
    writer_forget(s->writer, &s->info.stored_bytes);
    frame_builder_free(&s->content);
    frame_builder_free(&s->lists);
    tree_free(&s->tree);
    free(s);
}
