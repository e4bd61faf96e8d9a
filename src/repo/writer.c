#include "repo/writer.h"

#include "base/file.h"
#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define UPLOADS 3 /* packs that wait for the store while the next one fills */

/* One frame on its way: compressed and sealed by a worker, then hashed and written at the end of the pack. */
struct sealing {
    struct job job;
    struct pool *on; /* where the job is; NULL: nowhere */
    struct writer *writer;
    uint32_t frame;
    int level;
    struct frame_facts facts;
    uint8_t key[SLOT_KEY];
    uint32_t slot;
    struct buf raw, chunks, packed, sealed;
    uint64_t *stored;
    struct err error; /* of writing */
};

/* One finished pack on its way into the store. */
struct upload {
    struct job job;
    struct writer *writer;
    bool busy;
    int fd;
    uint64_t size;
    struct sha name;
    struct buf table;
    struct err error;
};

/* The slot that new frames are sealed with: index number, key, next frame number. */
struct open_slot {
    bool is_open;
    uint32_t index;
    uint8_t key[SLOT_KEY];
    uint64_t next_number;
};

/* The pack being filled. */
struct open_pack {
    int fd; /* -1: none */
    uint64_t size;
    struct sha_stream sha;
    struct table table;
    uint32_t
        *slots; /* index numbers of its slots, in table order: its own two and those of frames in flight */
    size_t slot_cap;
    uint32_t *frames; /* index numbers of its frames, to be told the pack's number */
    size_t frame_count, frame_cap;
};

struct writer {
    struct repo *repo;
    struct codec **codecs; /* one for each worker */
    struct pool *appender; /* one thread: what it hashes and writes stays in order */
    struct pool *uploader;
    struct open_slot slots[3]; /* by enum slot_kind */
    struct open_pack pack;
    struct sealing *sealings; /* a ring: those being appended, then those being sealed */
    size_t sealing_count, oldest, appending, in_flight;
    struct upload uploads[UPLOADS];
    size_t next_upload;
    struct index_builder indexes;
    bool copies; /* for prune: the index is left as it is, orphans too */
    struct writer_stats stats;
    uint64_t abandoned; /* where bytes of streams that were given up are counted */
    struct err broken;  /* the first failure: what the index says of this run is not true any more */
};

/* Chunks that were gathered are in the index before they are in the store. So after any failure in here
 * nothing that this writer wrote may be relied on: the failure stands for every later call. */
static int break_writer(struct writer *w, const struct err *e)
{
    if (!err_is_set(&w->broken))
        w->broken = *e;
    return -1;
}

static int is_broken(const struct writer *w, struct err *e)
{
    return err_is_set(&w->broken) ? err_set(e, w->broken.kind, "%s", w->broken.text) : 0;
}

static void seal(struct job *job, unsigned worker)
{
    struct sealing *s = CONTAINER(job, struct sealing, job);
    struct writer *w = s->writer;
    s->packed.n = 0;
    s->facts.compression =
        (uint8_t)codec_compress(w->codecs[worker], buf_bytes(&s->raw), s->level, &s->packed);
    struct bytes plain = buf_bytes(s->facts.compression == COMPRESSION_NONE ? &s->raw : &s->packed);
    s->sealed.n = 0;
    buf_reserve(&s->sealed, plain.n + SEAL_TAG);
    frame_seal(w->repo->keys, s->key, &s->facts, plain, s->sealed.p);
    s->sealed.n = plain.n + SEAL_TAG;
}

static void put_pack(struct job *job, unsigned worker)
{
    (void)worker;
    struct upload *u = CONTAINER(job, struct upload, job);
    char name[NAME_SIZE];
    pack_name(name, &u->name);
    if (store_put_file(u->writer->repo->store, name, u->fd, u->size, &u->error) == STORE_DONE)
        log_debug("%s put, %llu bytes", name, (unsigned long long)u->size);
}

struct writer *writer_new(struct repo *r, struct err *e)
{
    if (!r->loaded)
        return err_set(e, ERR_FAILED, "the repository was not loaded"), NULL;
    struct writer *w = xcalloc(1, sizeof *w);
    unsigned threads = pool_threads(r->pool);
    w->repo = w->indexes.repo = r;
    w->pack.fd = -1;
    w->codecs = xcalloc(threads, sizeof *w->codecs);
    for (unsigned i = 0; i < threads; i++)
        w->codecs[i] = codec_new();
    w->appender = pool_new(1);
    w->uploader = pool_new(UPLOADS);
    w->sealing_count = 2 * threads + 4;
    w->sealings = xcalloc(w->sealing_count, sizeof *w->sealings);
    for (size_t i = 0; i < UPLOADS; i++)
        w->uploads[i].fd = -1;
    return w;
}

struct writer *writer_new_copying(struct repo *r, struct err *e)
{
    struct writer *w = writer_new(r, e);
    if (w)
        w->copies = true;
    return w;
}

struct repo *writer_repo(struct writer *w)
{
    return w->repo;
}

void writer_count_new(struct writer *w, uint32_t bytes)
{
    w->stats.new_chunks++;
    w->stats.new_bytes += bytes;
}

/* ---- indexes ---- */
/* Packs that no index names get into one of ours. One that cannot be read any more is let be, unless it is
 * needed. */
static int adopt_orphans(struct writer *w, struct err *e)
{
    struct index *x = &w->repo->index;
    for (uint32_t i = 0; i < x->pack_count; i++) {
        struct pack_info *p = &x->packs[i];
        if ((p->state & (PACK_ORPHAN | PACK_LISTED | PACK_DAMAGED | PACK_CONDEMNED)) !=
            (PACK_ORPHAN | PACK_LISTED))
            continue;
        AUTO(buf) table = BUF_NONE;
        struct err why = ERR_INIT;
        if (pack_read_table(w->repo, &p->name, p->size, &table, &why)) {
            if (why.kind != ERR_DAMAGED)
                return *e = why, -1;
            p->state |= PACK_DAMAGED;
            continue;
        }
        if (index_builder_add(&w->indexes, &p->name, p->size, buf_bytes(&table), e))
            return -1;
        p->state &= ~(unsigned)PACK_ORPHAN;
        w->stats.adopted_packs++;
    }
    return 0;
}

/* ---- packs ---- */
static int finish_upload(struct writer *w, struct upload *u, struct err *e)
{
    if (!u->busy)
        return 0;
    pool_wait(w->uploader, &u->job);
    u->busy = false;
    close(u->fd);
    u->fd = -1;
    if (err_is_set(&u->error)) {
        if (!err_is_set(e))
            *e = u->error;
        return -1;
    }
    w->stats.packs++;
    w->stats.pack_bytes += u->size;
    return index_builder_add(&w->indexes, &u->name, u->size, buf_bytes(&u->table), e);
}

static int start_pack(struct writer *w, struct err *e)
{
    w->pack.fd = store_tempfile(w->repo->store, e);
    if (w->pack.fd < 0)
        return -1;
    w->pack.size = 0;
    w->pack.frame_count = 0;
    sha_begin(&w->pack.sha);
    return 0;
}

static int append(struct writer *w, struct bytes b, struct err *e)
{
    sha_add(&w->pack.sha, b);
    if (fd_write_all(w->pack.fd, b, "temporary pack", e) == 0)
        return 0;
    return err_wrap(e,
                    e->kind == ERR_SPACE ? "%s: no room for a pack in its folder (of a bucket: in [state] "
                                           "directory); `lifeboat prune --exclusive` makes room"
                                         : "%s",
                    store_title(w->repo->store));
}

/* The nth frame that is on its way, the oldest being number 0. */
static struct sealing *on_its_way(const struct writer *w, size_t n)
{
    assert(w->sealing_count > 0);
    return &w->sealings[(w->oldest + n) % w->sealing_count];
}

static void append_sealed(struct job *job, unsigned worker)
{
    (void)worker;
    struct sealing *s = CONTAINER(job, struct sealing, job);
    (void)!append(s->writer, buf_bytes(&s->sealed), &s->error);
}

/* Waits for the oldest frame that is being appended. */
static int settle_oldest(struct writer *w, struct err *e)
{
    struct sealing *s = on_its_way(w, 0);
    assert(w->appending > 0);
    pool_wait(w->appender, &s->job);
    s->on = NULL;
    w->oldest = (w->oldest + 1) % w->sealing_count;
    w->appending--;
    return err_is_set(&s->error) ? (*e = s->error, -1) : 0;
}

static int settle(struct writer *w, struct err *e)
{
    while (w->appending)
        if (settle_oldest(w, e))
            return -1;
    return 0;
}

static int close_pack(struct writer *w, struct err *e)
{
    struct open_pack *p = &w->pack;
    struct upload *u = &w->uploads[w->next_upload];
    w->next_upload = (w->next_upload + 1) % UPLOADS;
    if (finish_upload(w, u, e))
        return -1;
    AUTO(buf) tail = BUF_NONE;
    u->table.n = 0;
    pack_seal_tail(w->repo->keys, &p->table, p->size, &u->table, &tail);
    if (settle(w, e) || append(w, buf_bytes(&tail), e))
        return -1;
    p->size += tail.n;
    sha_end(&p->sha, &u->name);
    uint32_t number =
        index_add_pack(&w->repo->index, &u->name, p->size, PACK_LISTED | PACK_INDEXED | PACK_RELIED, e);
    if (number == UINT32_MAX)
        return -1;
    for (size_t i = 0; i < p->frame_count; i++)
        index_frame(&w->repo->index, p->frames[i])->pack = number;
    u->fd = p->fd;
    u->size = p->size;
    u->writer = w;
    u->error = (struct err)ERR_INIT;
    u->job.run = put_pack;
    u->busy = true;
    p->fd = -1;
    table_free(&p->table);
    memset(w->slots, 0, sizeof w->slots); /* frames in flight keep theirs; it goes along into their pack */
    pool_submit(w->uploader, &u->job);
    return 0;
}

/* The number of an index slot in the table of the pack being filled. */
static uint32_t slot_in_table(struct writer *w, uint32_t slot)
{
    struct open_pack *p = &w->pack;
    for (uint32_t i = 0; i < p->table.slot_count; i++)
        if (p->slots[i] == slot)
            return i;
    if (p->table.slot_count == p->slot_cap) {
        p->slot_cap += 8;
        p->slots = xrealloc(p->slots, p->slot_cap, sizeof *p->slots);
    }
    p->slots[p->table.slot_count] = slot;
    table_add_slot(&p->table, index_slot(&w->repo->index, slot));
    return p->table.slot_count - 1;
}

/* Gives a frame its place at the end of the pack; *info, all but pack and offset, says of what slot and
 * shape. Its bytes are appended next. */
static int place_frame(struct writer *w, struct frame_info *info, struct bytes chunks, struct err *e)
{
    struct open_pack *p = &w->pack;
    if (p->fd < 0 && start_pack(w, e))
        return -1;
    info->pack = PACK_PENDING;
    info->offset = (uint32_t)p->size;
    struct frame_entry entry = {.slot = slot_in_table(w, info->slot),
                                .number = info->number,
                                .offset = info->offset,
                                .sealed_length = info->sealed_length,
                                .raw_length = info->raw_length,
                                .compression = info->compression};
    table_add_frame(&p->table, &entry, chunks);
    p->size += info->sealed_length;
    return 0;
}

static int close_full_pack(struct writer *w, struct err *e)
{
    const struct open_pack *p = &w->pack;
    return p->size >= PACK_TARGET || p->table.frames.n + p->table.slots.n >= PACK_TABLE_FULL
               ? close_pack(w, e)
               : 0;
}

static int append_frame(struct writer *w, struct sealing *s, struct err *e)
{
    struct open_pack *p = &w->pack;
    struct frame_info info = {.slot = s->slot,
                              .number = s->facts.number,
                              .sealed_length = (uint32_t)s->sealed.n,
                              .raw_length = s->facts.raw_length,
                              .compression = s->facts.compression};
    if (place_frame(w, &info, buf_bytes(&s->chunks), e))
        return -1;
    s->job.run = append_sealed;
    s->on = w->appender;
    w->appending++;
    pool_submit(w->appender, &s->job);
    *index_frame(&w->repo->index, s->frame) = info;
    if (p->frame_count == p->frame_cap) {
        p->frame_cap = p->frame_cap ? 2 * p->frame_cap : 256;
        p->frames = xrealloc(p->frames, p->frame_cap, sizeof *p->frames);
    }
    p->frames[p->frame_count++] = s->frame;
    *s->stored += s->sealed.n;
    return close_full_pack(w, e);
}

int writer_move_frame(struct writer *w, uint32_t frame, struct bytes chunks, struct bytes sealed,
                      struct err *e)
{
    struct frame_info info = *index_frame(&w->repo->index, frame);
    if (is_broken(w, e))
        return -1;
    return place_frame(w, &info, chunks, e) || settle(w, e) || append(w, sealed, e) || close_full_pack(w, e)
               ? break_writer(w, e)
               : 0;
}

/* ---- frames ---- */
static int take_oldest(struct writer *w, struct err *e)
{
    struct sealing *s = on_its_way(w, w->appending);
    assert(w->in_flight > 0);
    pool_wait(w->repo->pool, &s->job);
    s->on = NULL;
    w->in_flight--;
    return append_frame(w, s, e);
}

int writer_drain(struct writer *w, struct err *e)
{
    if (is_broken(w, e))
        return -1;
    while (w->in_flight)
        if (take_oldest(w, e))
            return break_writer(w, e);
    return settle(w, e) ? break_writer(w, e) : 0;
}

static bool oldest_is_sealed(struct writer *w)
{
    return w->in_flight && pool_is_done(w->repo->pool, &on_its_way(w, w->appending)->job);
}

int writer_poll(struct writer *w, struct err *e)
{
    if (is_broken(w, e))
        return -1;
    while (oldest_is_sealed(w))
        if (take_oldest(w, e))
            return break_writer(w, e);
    return 0;
}

void writer_forget(struct writer *w, const uint64_t *stored)
{
    for (size_t i = 0; i < w->sealing_count; i++)
        if (w->sealings[i].stored == stored)
            w->sealings[i].stored = &w->abandoned;
}

static int open_slot(struct writer *w, enum slot_kind kind, struct err *e)
{
    struct open_slot *o = &w->slots[kind];
    if (o->is_open)
        return 0;
    struct slot s;
    slot_new(w->repo->keys, kind, &s, o->key);
    o->index = index_add_slot(&w->repo->index, &s, e);
    o->next_number = 0;
    o->is_open = o->index != UINT32_MAX;
    return o->is_open ? 0 : -1;
}

static void swap(struct buf *a, struct buf *b)
{
    struct buf t = *a;
    *a = *b;
    *b = t;
}

static int make_room(struct writer *w, struct err *e)
{
    while (w->appending + w->in_flight == w->sealing_count)
        if (w->appending ? settle_oldest(w, e) : take_oldest(w, e))
            return -1;
    return 0;
}

int writer_flush_frame(struct writer *w, struct frame_builder *b, enum slot_kind kind, int level,
                       uint64_t *stored, struct err *e)
{
    if (b->raw.n == 0)
        return 0;
    if (writer_poll(w, e))
        return -1;
    if (make_room(w, e) || open_slot(w, kind, e))
        return break_writer(w, e);
    struct sealing *s = on_its_way(w, w->appending + w->in_flight);
    w->in_flight++;
    struct open_slot *o = &w->slots[kind];
    swap(&s->raw, &b->raw);
    swap(&s->chunks, &b->chunks);
    b->raw.n = b->chunks.n = 0;
    s->writer = w;
    s->on = w->repo->pool;
    s->frame = b->frame;
    s->level = level;
    s->slot = o->index;
    s->stored = stored;
    s->facts = (struct frame_facts){.kind = kind,
                                    .generation = index_slot(&w->repo->index, o->index)->generation,
                                    .number = o->next_number++,
                                    .raw_length = (uint32_t)s->raw.n};
    memcpy(s->key, o->key, SLOT_KEY);
    s->job.run = seal;
    b->frame = FRAME_NONE;
    pool_submit(w->repo->pool, &s->job);
    return 0;
}

int writer_gather(struct writer *w, struct frame_builder *b, const struct ref *ref, struct bytes data,
                  uint32_t target, enum slot_kind kind, int level, uint64_t *stored, struct err *e)
{
    if (b->raw.n && b->raw.n + data.n > target && writer_flush_frame(w, b, kind, level, stored, e))
        return -1;
    if (b->raw.n == 0) {
        const struct frame_info unknown = {.pack = PACK_PENDING};
        b->frame = index_add_frame(&w->repo->index, &unknown, e);
        if (b->frame == FRAME_NONE)
            return -1;
    }
    const struct place at = {.frame = b->frame, .offset = (uint32_t)b->raw.n};
    if (!w->copies && index_add_chunk(&w->repo->index, &ref->id, at, e))
        return -1;
    add_chunk(&b->chunks, ref);
    buf_add(&b->raw, data);
    return b->raw.n >= target ? writer_flush_frame(w, b, kind, level, stored, e) : 0;
}

void frame_builder_free(struct frame_builder *b)
{
    buf_free(&b->raw);
    buf_free(&b->chunks);
}

/* ---- the two endings ---- */
void writer_stats(const struct writer *w, struct writer_stats *out)
{
    *out = w->stats;
    out->indexes = w->indexes.written;
}

static int finish(struct writer *w, struct err *e)
{
    if (w->pack.fd >= 0 && close_pack(w, e))
        return -1;
    for (size_t i = 0; i < UPLOADS; i++)
        if (finish_upload(w, &w->uploads[(w->next_upload + i) % UPLOADS], e))
            return -1;
    return (!w->copies && adopt_orphans(w, e)) || index_builder_put(&w->indexes, NULL, e) ? -1 : 0;
}

int writer_finish(struct writer *w, struct writer_stats *out, struct err *e)
{
    if (writer_drain(w, e))
        return -1;
    if (finish(w, e))
        return break_writer(w, e);
    writer_stats(w, out);
    return 0;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->sealing_count; i++) {
        struct sealing *s = &w->sealings[i];
        if (s->on)
            pool_wait(s->on, &s->job);
        buf_free(&s->raw);
        buf_free(&s->chunks);
        buf_free(&s->packed);
        buf_free(&s->sealed);
    }
    for (size_t i = 0; i < UPLOADS; i++) {
        if (w->uploads[i].busy)
            pool_wait(w->uploader, &w->uploads[i].job);
        fd_auto(&w->uploads[i].fd);
        buf_free(&w->uploads[i].table);
    }
    fd_auto(&w->pack.fd);
    table_free(&w->pack.table);
    free(w->pack.frames);
    free(w->pack.slots);
    pool_free(w->appender);
    pool_free(w->uploader);
    for (unsigned i = 0; i < pool_threads(w->repo->pool); i++)
        codec_free(w->codecs[i]);
    free(w->codecs);
    free(w->sealings);
    index_builder_free(&w->indexes);
    free(w);
}
