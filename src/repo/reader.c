/* The planned reader. The reference list is known before the first byte, so a window of references ahead is
 * resolved to frames; each frame is fetched (fetch.h), with its neighbours that are wanted soon, opened and
 * verified by a worker shortly before its first use, kept while the window still wants it and there is room,
 * and the one wanted latest goes first. */
#include "repo/fetch.h"
#include "repo/tree.h"

#include "repo/stream.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#define WINDOW      4096        /* references looked ahead: 128 KiB of bookkeeping, 64 to 256 MiB of stream */
#define CACHE_BYTES (24u << 20) /* frames that are kept opened, and those on their way */
/* Of the stream, on their way or opened before they are needed: little while the store is quick, so that
 * bytes are still in the processor's cache when they are opened; more each time that it took its
 * time. */
#define AHEAD_FIRST  (4u << 20)
#define AHEAD_MOST   (20u << 20)
#define GROUP        64 /* frames fetched in one range, at most */
#define BUCKETS      (2 * WINDOW)
#define IDLE_BUFFERS 64         /* what a range of frames that compress well makes room for at once, */
#define IDLE_BYTES   (8u << 20) /* but no more than this: the bytes of the range want room, too */
#define NEVER        UINT64_MAX

/* A chunk that a worker verifies in a frame it has opened. */
struct wanted {
    struct chunk_id id;
    uint32_t offset, length;
    uint64_t position; /* in the window */
    bool sound;
};

/* A frame that the window wants. */
struct plan {
    struct job job;
    struct stream_reader *reader;
    uint32_t frame;
    enum { PLAN_IDLE, PLAN_LOADING, PLAN_READY, PLAN_BAD } state;
    uint64_t next_use, last_use; /* positions; next_use NEVER: not in the window any more */
    struct frame_source source;
    struct fetch *fetch; /* while it is being loaded */
    struct buf raw;
    struct wanted *wanted;
    size_t wanted_count;
    struct err error;
    int result; /* as frame_read() */
    struct plan *next_in_bucket;
};

struct slot_in_window {
    struct ref ref;
    struct plan *plan; /* NULL: no place is known for it */
    uint32_t offset;
    uint64_t next_same; /* position of the next use of the same frame */
    bool verified;
};

struct stream_reader {
    struct repo *repo;
    struct ref_walk *walk;
    struct fetcher *fetcher;
    struct codec **codecs, *own_codec;
    struct slot_in_window *window; /* a ring by position */
    uint64_t head, tail;           /* positions: next to hand out, next to fill */
    uint64_t loaded_to;            /* positions before were asked for */
    uint64_t ahead_bytes;          /* between head and loaded_to */
    uint64_t ahead_wanted;
    bool end_of_walk;
    struct plan *buckets[BUCKETS];
    struct plan **resident; /* plans that hold bytes or are being loaded */
    size_t resident_count, resident_cap;
    uint64_t resident_bytes;
    pthread_mutex_t lock;          /* guards what follows: */
    bool is_slow;                  /* the store was, of late */
    struct buf idle[IDLE_BUFFERS]; /* of frames that went, for those to come */
    size_t idle_count, idle_bytes;
    struct plan *current; /* the caller looks at its bytes */
    struct buf spare;     /* a chunk that had to be read on its own */
    uint64_t skip, left;  /* bytes before the range, bytes of it still to come */
};

static struct slot_in_window *at(struct stream_reader *s, uint64_t position)
{
    return &s->window[position % WINDOW];
}

/* A buffer for n bytes, rather one that has room for them. It is taken when there is something to put into
 * it, not when it is asked for: what lies ahead is in memory once, sealed or opened. */
static void take_idle(struct stream_reader *s, size_t n, struct buf *b)
{
    pthread_mutex_lock(&s->lock);
    if (s->idle_count) {
        size_t i = s->idle_count - 1;
        while (i > 0 && s->idle[i].cap < n)
            i--;
        *b = s->idle[i];
        s->idle_bytes -= b->cap;
        s->idle[i] = s->idle[--s->idle_count];
    }
    pthread_mutex_unlock(&s->lock);
    if (b->cap >= n)
        return;
    size_t room = 1u << 16; /* a power of two fits the next one, too; what is not used takes no memory */
    while (room < n)
        room *= 2;
    buf_free(b);
    buf_reserve(b, room);
}

static void give_idle(struct stream_reader *s, struct buf *b)
{
    pthread_mutex_lock(&s->lock);
    if (b->p && s->idle_count < IDLE_BUFFERS && s->idle_bytes + b->cap <= IDLE_BYTES) {
        s->idle_bytes += b->cap;
        s->idle[s->idle_count++] = *b;
        *b = (struct buf)BUF_NONE;
    }
    pthread_mutex_unlock(&s->lock);
    buf_free(b);
}

static void say_slow(struct stream_reader *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_slow = true;
    pthread_mutex_unlock(&s->lock);
}

static void look_further(struct stream_reader *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->is_slow)
        s->ahead_wanted = MIN(2 * s->ahead_wanted, AHEAD_MOST);
    s->is_slow = false;
    pthread_mutex_unlock(&s->lock);
}

static void load(struct job *job, unsigned worker)
{
    struct plan *p = CONTAINER(job, struct plan, job);
    struct repo *r = p->reader->repo;
    struct codec *c = p->reader->codecs[worker];
    struct bytes sealed;
    bool slow;
    int rc = fetch_wait(p->fetch, &p->source, &sealed, &slow, &p->error);
    if (slow)
        say_slow(p->reader);
    take_idle(p->reader, p->source.facts.raw_length, &p->raw);
    if (rc == 0)
        rc = frame_open_bytes(r, &p->source, sealed, c, &p->raw, &p->error);
    fetch_end(STEAL(p->fetch));
    if (rc)
        rc = frame_elsewhere(r, &p->source, c, &p->raw, rc, &p->error);
    p->result = rc;
    if (!frame_was_read(rc))
        return;
    for (size_t i = 0; i < p->wanted_count; i++) {
        struct wanted *w = &p->wanted[i];
        w->sound = w->offset <= p->raw.n && w->length <= p->raw.n - w->offset &&
                   chunk_verify(r, p->source.facts.generation, false, BYTES(p->raw.p + w->offset, w->length),
                                &w->id);
    }
}

struct stream_reader *stream_reader_new(struct repo *r, const struct stream_info *info, uint64_t offset,
                                        uint64_t length, struct err *e)
{
    if (!keyring_can_read(r->keys))
        return err_set(e, ERR_USAGE,
                       "reading content needs the identity: --identity FILE or --passphrase-file FILE (the "
                       "writer key alone reads none)"),
               NULL;
    struct stream_reader *s = xcalloc(1, sizeof *s);
    s->repo = r;
    s->ahead_wanted = AHEAD_FIRST;
    s->walk = ref_walk_new(r, info);
    s->fetcher = fetcher_new(r);
    pthread_mutex_init(&s->lock, NULL);
    s->codecs = xcalloc(pool_threads(r->pool), sizeof *s->codecs);
    for (unsigned i = 0; i < pool_threads(r->pool); i++)
        s->codecs[i] = codec_new();
    s->own_codec = codec_new();
    s->window = xcalloc(WINDOW, sizeof *s->window);
    s->skip = MIN(offset, info->bytes);
    s->left = MIN(length, info->bytes - s->skip);
    return s;
}

/* ---- the plan ---- */
static struct plan **bucket(struct stream_reader *s, uint32_t frame)
{
    return &s->buckets[(frame * 2654435761u) % BUCKETS];
}

static struct plan *find_plan(struct stream_reader *s, uint32_t frame)
{
    for (struct plan *p = *bucket(s, frame); p; p = p->next_in_bucket)
        if (p->frame == frame)
            return p;
    return NULL;
}

static struct plan *new_plan(struct stream_reader *s, uint32_t frame)
{
    struct plan *p = xcalloc(1, sizeof *p);
    p->reader = s;
    p->frame = frame;
    p->next_use = p->last_use = NEVER;
    p->job.run = load;
    struct plan **b = bucket(s, frame);
    p->next_in_bucket = *b;
    *b = p;
    return p;
}

static void free_plan(struct plan *p)
{
    buf_free(&p->raw);
    free(p->wanted);
    free(p);
}

static void drop_plan(struct stream_reader *s, struct plan *p)
{
    struct plan **b = bucket(s, p->frame);
    while (*b != p)
        b = &(*b)->next_in_bucket;
    *b = p->next_in_bucket;
    free_plan(p);
}

/* A place that is not sound here may be so on a mirror. */
static bool choose_elsewhere(const struct stream_reader *s, const struct ref *ref, struct place *out)
{
    uint64_t iter = BIGMAP_START;
    while (s->repo->mirrors && index_next_place(&s->repo->index, &ref->id, &iter, out))
        if (!frame_is_tree(s->repo, out->frame))
            return true;
    return false;
}

/* The place to read a chunk from: one that is resident or planned already, else the first that is sound,
 * rather in a pack that is not condemned. */
static bool choose_place(struct stream_reader *s, const struct ref *ref, struct place *out)
{
    uint64_t iter = BIGMAP_START;
    struct place p;
    bool found = false, stays = false;
    while (index_next_place(&s->repo->index, &ref->id, &iter, &p)) {
        if (!index_frame_is_sound(&s->repo->index, p.frame) || frame_is_tree(s->repo, p.frame))
            continue;
        bool usable = index_frame_is_usable(&s->repo->index, p.frame), planned = find_plan(s, p.frame);
        if (!found || planned || (usable && !stays))
            *out = p;
        if (planned)
            return true;
        found = true;
        stays |= usable;
    }
    return found || choose_elsewhere(s, ref, out);
}

/* Takes references into the window until it is full. */
static int fill_window(struct stream_reader *s, struct err *e)
{
    while (!s->end_of_walk && s->tail - s->head < WINDOW) {
        struct slot_in_window *w = at(s, s->tail);
        *w = (struct slot_in_window){.next_same = NEVER};
        int rc = ref_walk_next(s->walk, &w->ref, e);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            s->end_of_walk = true;
            break;
        }
        if (s->skip >= w->ref.length && s->head == s->tail) { /* before the range: never fetched */
            s->skip -= w->ref.length;
            continue;
        }
        struct place place = {0};
        if (choose_place(s, &w->ref, &place)) {
            w->plan = find_plan(s, place.frame);
            if (!w->plan)
                w->plan = new_plan(s, place.frame);
            w->offset = place.offset;
            if (w->plan->next_use == NEVER)
                w->plan->next_use = s->tail;
            else
                at(s, w->plan->last_use)->next_same = s->tail;
            w->plan->last_use = s->tail;
        }
        s->tail++;
    }
    return 0;
}

static void settle(struct stream_reader *s, struct plan *p)
{
    if (p->state != PLAN_LOADING)
        return;
    pool_wait(s->repo->pool, &p->job);
    p->state = frame_was_read(p->result) ? PLAN_READY : PLAN_BAD;
    if (p->state == PLAN_READY && p->result)
        frame_met_bad(s->repo, p->frame, p->result, &p->error);
    for (size_t i = 0; i < p->wanted_count; i++)
        if (p->wanted[i].position >= s->head)
            at(s, p->wanted[i].position)->verified = p->wanted[i].sound;
    free(p->wanted);
    p->wanted = NULL;
    p->wanted_count = 0;
    sodium_memzero(p->source.key, sizeof p->source.key);
}

static void evict(struct stream_reader *s, size_t i)
{
    struct plan *p = s->resident[i];
    s->resident_bytes -= index_frame(&s->repo->index, p->frame)->raw_length;
    s->resident[i] = s->resident[--s->resident_count];
    give_idle(s, &p->raw);
    p->state = PLAN_IDLE;
    if (p->next_use == NEVER)
        drop_plan(s, p);
}

/* Makes room for `more` bytes: frames that are wanted latest go first; those being loaded or looked at stay.
 */
static void make_room(struct stream_reader *s, uint64_t more)
{
    while (s->resident_bytes + more > CACHE_BYTES) {
        size_t worst = SIZE_MAX;
        for (size_t i = 0; i < s->resident_count; i++) {
            struct plan *p = s->resident[i];
            if (p->state != PLAN_LOADING && p != s->current &&
                (worst == SIZE_MAX || p->next_use > s->resident[worst]->next_use))
                worst = i;
        }
        if (worst == SIZE_MAX)
            return;
        evict(s, worst);
    }
}

/* Whether a frame that is wanted at `position` fits in, when all goes that is wanted later. A stream may want
 * little of each of many large frames. */
static bool has_room(const struct stream_reader *s, const struct plan *wanted, uint64_t position)
{
    uint64_t bytes = index_frame(&s->repo->index, wanted->frame)->raw_length;
    for (size_t i = 0; i < s->resident_count; i++) {
        const struct plan *p = s->resident[i];
        if (p->state == PLAN_LOADING || p == s->current || p->next_use <= position)
            bytes += index_frame(&s->repo->index, p->frame)->raw_length;
    }
    return bytes <= CACHE_BYTES;
}

/* Lists the uses of a frame that are in the window, for the worker to verify. */
static void want_all(struct stream_reader *s, struct plan *p)
{
    size_t cap = 0;
    for (uint64_t i = p->next_use; i != NEVER; i = at(s, i)->next_same) {
        if (p->wanted_count == cap) {
            cap = cap ? 2 * cap : 16;
            p->wanted = xrealloc(p->wanted, cap, sizeof *p->wanted);
        }
        const struct slot_in_window *w = at(s, i);
        p->wanted[p->wanted_count++] =
            (struct wanted){.id = w->ref.id, .offset = w->offset, .length = w->ref.length, .position = i};
    }
}

/* Makes the plan one that holds bytes. 1: where they lie is known; 0: they cannot be had; -1: *e. */
static int reserve(struct stream_reader *s, struct plan *p, struct err *e)
{
    uint64_t bytes = index_frame(&s->repo->index, p->frame)->raw_length;
    make_room(s, bytes);
    if (s->resident_count == s->resident_cap) {
        s->resident_cap = s->resident_cap ? 2 * s->resident_cap : 64;
        s->resident = xrealloc(s->resident, s->resident_cap, sizeof *s->resident);
    }
    s->resident[s->resident_count++] = p;
    s->resident_bytes += bytes;
    p->error = (struct err)ERR_INIT;
    if (frame_source(s->repo, p->frame, &p->source, &p->error)) {
        p->state = PLAN_BAD;
        p->result = -1;
        if (p->error.kind == ERR_DAMAGED)
            return 0;
        *e = p->error;
        return -1;
    }
    want_all(s, p);
    p->state = PLAN_LOADING;
    return 1;
}

/* Whether a frame lies so that the range that begins with `first` and ends at `end` may reach over it. */
static bool is_near(const struct frame_info *first, uint64_t end, const struct frame_info *f)
{
    return f->pack == first->pack && f->offset >= end && f->offset - end <= FETCH_GAP &&
           (uint64_t)f->offset + f->sealed_length - first->offset <= FETCH_MOST;
}

/* Starts to load the plan of the window's `position`, and with it what lies behind it in the pack and is
 * wanted soon after. */
static int start_loading(struct stream_reader *s, uint64_t position, struct err *e)
{
    struct plan *group[GROUP] = {at(s, position)->plan};
    const struct frame_info first = *index_frame(&s->repo->index, group[0]->frame);
    uint64_t end = (uint64_t)first.offset + first.sealed_length, seen = 0;
    unsigned n = 1;
    int rc = reserve(s, group[0], e);
    if (rc <= 0)
        return rc;
    for (uint64_t i = position + 1; i < s->tail && n < GROUP && seen < FETCH_MOST; i++) {
        struct plan *p = at(s, i)->plan;
        seen += at(s, i)->ref.length;
        if (!p || p->state != PLAN_IDLE)
            continue;
        const struct frame_info *f = index_frame(&s->repo->index, p->frame);
        if (!is_near(&first, end, f) || !has_room(s, p, i))
            continue;
        end = (uint64_t)f->offset + f->sealed_length;
        if ((rc = reserve(s, p, e)) < 0)
            break;
        if (rc > 0)
            group[n++] = p;
    }
    struct fetch *x =
        fetch_start(s->fetcher, group[0]->source.name, first.offset, (uint32_t)(end - first.offset), n);
    for (unsigned i = 0; i < n; i++) {
        group[i]->fetch = x;
        pool_submit(s->repo->pool, &group[i]->job);
    }
    return rc < 0 ? -1 : 0;
}

/* Starts what will be needed soon. */
static int look_ahead(struct stream_reader *s, struct err *e)
{
    look_further(s);
    while (s->loaded_to < s->tail && (s->ahead_bytes < s->ahead_wanted || s->loaded_to == s->head)) {
        struct slot_in_window *w = at(s, s->loaded_to);
        bool idle = w->plan && w->plan->state == PLAN_IDLE;
        if (idle && s->loaded_to != s->head && !has_room(s, w->plan, s->loaded_to))
            break;
        if (idle && start_loading(s, s->loaded_to, e))
            return -1;
        s->ahead_bytes += w->ref.length;
        s->loaded_to++;
    }
    return 0;
}

/* The verified bytes of the chunk at the head of the window. */
static int take(struct stream_reader *s, struct slot_in_window *w, struct bytes *out, struct err *e)
{
    struct plan *p = w->plan;
    s->current = p;
    if (p && p->state == PLAN_IDLE && start_loading(s, s->head, e)) /* evicted before it was used again */
        return -1;
    if (p)
        settle(s, p);
    if (p && p->state == PLAN_BAD && p->error.kind != ERR_DAMAGED) {
        *e = p->error;
        return -1;
    }
    if (p && p->state == PLAN_BAD)
        frame_met_bad(s->repo, p->frame, p->result, &p->error);
    if (p && p->state == PLAN_READY) {
        *out = BYTES(p->raw.p + w->offset, w->ref.length);
        bool inside = w->offset <= p->raw.n && w->ref.length <= p->raw.n - w->offset;
        if (inside &&
            (w->verified || chunk_verify(s->repo, p->source.facts.generation, false, *out, &w->ref.id)))
            return 0;
    }
    if (chunk_read(s->repo, &w->ref, false, FRAME_NONE, s->own_codec, &s->spare, e))
        return -1;
    *out = buf_bytes(&s->spare);
    return 0;
}

static int next(struct stream_reader *s, struct bytes *out, struct err *e)
{
    s->current = NULL;
    if (fill_window(s, e))
        return -1;
    if (s->head == s->tail)
        return err_set(e, ERR_DAMAGED, "the stream is %llu bytes shorter than its snapshot says",
                       (unsigned long long)s->left);
    s->loaded_to = MAX(s->loaded_to, s->head);
    if (look_ahead(s, e))
        return -1;
    struct slot_in_window *w = at(s, s->head);
    struct bytes b;
    if (take(s, w, &b, e))
        return -1;
    s->head++;
    s->ahead_bytes -= w->ref.length;
    if (w->plan)
        w->plan->next_use = w->next_same;
    *out = BYTES(b.p + s->skip, b.n - s->skip);
    s->skip = 0;
    out->n = (size_t)MIN((uint64_t)out->n, s->left);
    s->left -= out->n;
    return 0;
}

int stream_reader_next(struct stream_reader *s, struct bytes *out, struct err *e)
{
    struct err first = ERR_INIT, second = ERR_INIT;
    *out = (struct bytes){0};
    if (s->left == 0)
        return 0;
    if (next(s, out, &first) == 0)
        return 0;
    /* What is not where it was may have moved since the repository was loaded: a prune copies what is needed
     * into new packs before it deletes old ones. So the indexes are read again, once. */
    if (first.kind == ERR_DAMAGED && !s->repo->refreshed && repo_refresh(s->repo, &second) == 0 &&
        next(s, out, &second) == 0)
        return 0;
    *e = first;
    return -1;
}

void stream_reader_free(struct stream_reader *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->resident_count; i++)
        settle(s, s->resident[i]);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct plan *p = s->buckets[i], *next; p; p = next) {
            next = p->next_in_bucket;
            free_plan(p);
        }
    for (unsigned i = 0; i < pool_threads(s->repo->pool); i++)
        codec_free(s->codecs[i]);
    free(s->codecs);
    codec_free(s->own_codec);
    free(s->resident);
    free(s->window);
    buf_free(&s->spare);
    while (s->idle_count)
        buf_free(&s->idle[--s->idle_count]);
    pthread_mutex_destroy(&s->lock);
    fetcher_free(s->fetcher);
    ref_walk_free(s->walk);
    free(s);
}
