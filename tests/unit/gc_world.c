#include "gc_world.h"

#include <pthread.h>

static uint64_t boot_ns;
static pthread_t main_thread;

static uint64_t boot_clock(void)
{
    return boot_ns;
}

/* ---- the world ---- */
/* In memory where that is possible: tables are mapped there thousands of times. */
static char *fast_folder(void)
{
    char *path = xstrdup("/dev/shm/lifeboat-test-XXXXXX");
    if (mkdtemp(path))
        return path;
    free(path);
    return test_folder();
}

static void world_begin(struct world *w, char *folder, bool is_local)
{
    struct err e = ERR_INIT;
    AUTO(buf) text = BUF_NONE;
    *w = (struct world){
        .folder = folder, .is_local = is_local, .keys = keyring_new_random(), .bounds = GC_BOUNDS_DEFAULT};
    keyring_write_writer_file(w->keys, &text);
    w->writer_keys = keyring_parse_writer_file(buf_bytes(&text), &e);
    assert_non_null(w->writer_keys);
    repo_clock = boot_clock;
    boot_ns = 1000;
    main_thread = pthread_self();
}

void world_new(struct world *w)
{
    struct err e = ERR_INIT;
    world_begin(w, fast_folder(), false);
    w->store = store_mem_new(w->folder);
    w->now_ns = 1000 * DAY;
    store_mem_set_clock(w->store, w->now_ns);
    assert_ok(repo_create(w->store, w->keys, &e));
}

void world_new_local(struct world *w)
{
    struct err e = ERR_INIT;
    world_begin(w, test_folder(), true);
    AUTO_CHAR path = xasprintf("%s/store", w->folder);
    w->store = store_local_new(&(struct store_local_options){.path = path, .create = true}, &e);
    assert_non_null(w->store);
    assert_ok(repo_create(w->store, w->keys, &e));
}

void world_free(struct world *w)
{
    store_free(w->store);
    keyring_free(w->keys);
    keyring_free(w->writer_keys);
    test_remove(w->folder);
}

void world_sleep(struct world *w, int64_t ns)
{
    assert_false(w->is_local);
    w->now_ns += ns;
    store_mem_set_clock(w->store, w->now_ns);
}

void world_wait(struct world *w, int64_t ns)
{
    world_sleep(w, ns);
    if (ns > 0)
        boot_ns += (uint64_t)ns;
}

/* ---- a host's way to the store ---- */
struct door {
    struct store base;
    struct host *host;
    pthread_mutex_t lock;
};

static struct store *pass(struct store *s, const char *what, const char *name, struct err *e)
{
    struct door *d = CONTAINER(s, struct door, base);
    struct host *h = d->host;
    if (pthread_equal(pthread_self(), main_thread) && h->before && !h->dead)
        h->before(h);
    pthread_mutex_lock(&d->lock);
    h->calls++;
    if (h->heard)
        strings_add_fmt(h->heard, "%s %s", what, name);
    if (h->kill_at && --h->kill_at == 0)
        h->dead = true;
    bool dead = h->dead;
    pthread_mutex_unlock(&d->lock);
    if (!dead)
        return h->world->store;
    err_set(e, ERR_IO, "the host was killed");
    return NULL;
}

#define PASS(what, name, call)                 \
    struct store *in = pass(s, what, name, e); \
    return in ? in->ops->call : STORE_FAILED

static int door_put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    PASS("put", name, put(in, name, data, e));
}
static int door_replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    struct store *in = pass(s, "put", name, e);
    return in ? driver_replace(in, name, data, e) : STORE_FAILED;
}
static int door_tempfile(struct store *s, struct err *e)
{
    PASS("tempfile", "", tempfile(in, e));
}
static int door_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    PASS("put", name, put_file(in, name, fd, size, e));
}
static int door_get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    PASS("get", name, get(in, name, limit, out, e));
}
static int door_get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n,
                          struct err *e)
{
    PASS("get", name, get_range(in, name, offset, p, n, e));
}
static int door_size(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    PASS("size", name, size(in, name, size, e));
}
static int door_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                     struct err *e)
{
    PASS("list", prefix, list(in, prefix, each, ctx, now_ns, e));
}
static int door_del(struct store *s, const char *name, struct err *e)
{
    PASS("del", name, del(in, name, e));
}
static int door_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    PASS("space", "", space(in, free_bytes, total_bytes, e));
}
static void door_free(struct store *s)
{
    struct door *d = CONTAINER(s, struct door, base);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
static const struct store_ops door_ops = {.put = door_put,
                                          .replace = door_replace,
                                          .tempfile = door_tempfile,
                                          .put_file = door_put_file,
                                          .get = door_get,
                                          .get_range = door_get_range,
                                          .size = door_size,
                                          .list = door_list,
                                          .del = door_del,
                                          .space = door_space,
                                          .free = door_free};

void host_reopen(struct host *h, bool can_read)
{
    struct err e = ERR_INIT;
    const struct repo_options o = {.store = h->door,
                                   .keys = can_read ? h->world->keys : h->world->writer_keys,
                                   .pool = h->pool,
                                   .spool_dir = h->world->folder,
                                   .bounds = &h->world->bounds};
    void (*before)(struct host *) = h->before;
    repo_free(h->repo);
    h->dead = false;
    h->kill_at = 0;
    h->before = NULL;
    h->repo = repo_open(&o, &e);
    h->before = before;
    if (!h->repo)
        fail_msg("repo_open: %s", e.text);
}

void host_new(struct host *h, struct world *w, bool can_read)
{
    struct door *d = xcalloc(1, sizeof *d);
    d->base.ops = &door_ops;
    d->base.title = xstrdup("store of the test");
    d->host = h;
    pthread_mutex_init(&d->lock, NULL);
    *h = (struct host){.world = w, .door = &d->base, .pool = pool_new(1)};
    host_reopen(h, can_read);
}

void host_free(struct host *h)
{
    repo_free(h->repo);
    store_free(h->door);
    pool_free(h->pool);
}

/* ---- streams of blocks ---- */
void block_bytes(struct buf *out, uint32_t number, uint32_t size)
{
    out->n = 0;
    test_bytes(out, size, 0x1000003ull * number + 1);
}

int taking_begin(struct taking *b, struct host *h, const struct blocks *blocks, struct err *e)
{
    struct stream_options o = test_stream;
    *b = (struct taking){.h = h, .blocks = blocks};
    o.frame = blocks->frame ? blocks->frame : o.frame;
    o.params = (struct chunk_params){.min = 32768, .mean = 65536, .max = 131072};
    if (repo_load(h->repo, e) || !(b->writer = writer_new(h->repo, e)))
        return -1;
    b->stream = stream_new(b->writer, &o, NULL);
    return 0;
}

int taking_write(struct taking *b, size_t blocks, struct err *e)
{
    AUTO(buf) bytes = BUF_NONE;
    for (size_t i = 0; i < blocks && b->next < b->blocks->n; i++) {
        block_bytes(&bytes, b->blocks->v[b->next++], b->blocks->size);
        if (stream_write(b->stream, buf_bytes(&bytes), e) || stream_cut(b->stream, 0, e))
            return -1;
    }
    return 0;
}

int taking_end(struct taking *b, struct snapshot *out, struct err *e)
{
    struct stream_info info;
    struct writer_stats stats;
    if (taking_write(b, SIZE_MAX, e) || stream_finish(b->stream, &info, e) ||
        writer_finish(b->writer, &stats, e))
        return COMMIT_FAILED;
    *out = (struct snapshot){.host = xstrdup("here"), .time_ns = b->h->world->now_ns};
    struct snapshot_source *src = snapshot_add_source(out);
    src->name = xstrdup("s");
    src->type = xstrdup("command");
    src->streams = xcalloc(1, sizeof info);
    src->streams[0] = info;
    src->stream_count = 1;
    src->bytes = info.bytes;
    return snapshot_commit(b->h->repo, out, e);
}

void taking_free(struct taking *b)
{
    stream_free(b->stream);
    writer_free(b->writer);
    b->stream = NULL;
    b->writer = NULL;
}

void backup_all(struct host *h, const struct blocks *blocks, struct snapshot *out)
{
    for (;;) {
        struct err e = ERR_INIT;
        struct taking b;
        assert_ok(taking_begin(&b, h, blocks, &e));
        int rc = taking_end(&b, out, &e);
        taking_free(&b);
        if (rc == COMMIT_DONE)
            return;
        snapshot_free(out);
        if (rc != COMMIT_REPEAT)
            fail_msg("backup: %s", e.text);
    }
}

/* Each block in turn, as it comes. */
static bool is_equal(struct stream_reader *r, const struct blocks *blocks, struct err *e)
{
    AUTO(buf) want = BUF_NONE;
    size_t at = 0, next = 0;
    for (;;) {
        struct bytes b;
        if (stream_reader_next(r, &b, e))
            return false;
        if (b.n == 0)
            return next == blocks->n && at == want.n;
        while (b.n) {
            if (at == want.n) {
                if (next == blocks->n)
                    return false;
                block_bytes(&want, blocks->v[next++], blocks->size);
                at = 0;
            }
            size_t n = MIN(b.n, want.n - at);
            if (memcmp(b.p, want.p + at, n) != 0)
                return false;
            b = BYTES(b.p + n, b.n - n);
            at += n;
        }
    }
}

char *restore_differs(struct host *h, const struct sha *id, const struct blocks *blocks)
{
    struct err e = ERR_INIT;
    AUTO(snapshot) s = {0};
    if (snapshot_load(h->repo, id, &s, &e))
        return xstrdup(e.text);
    AUTO_PTR(stream_reader) r = stream_reader_new(h->repo, &s.sources[0].streams[0], 0, UINT64_MAX, &e);
    if (r && is_equal(r, blocks, &e))
        return NULL;
    return xstrdup(err_is_set(&e) ? e.text : "the bytes are others");
}

void assert_restores(struct world *w, const struct snapshot *s, const struct blocks *blocks)
{
    struct err e = ERR_INIT;
    struct host h;
    host_new(&h, w, true);
    assert_ok(repo_load(h.repo, &e));
    AUTO_CHAR what = restore_differs(&h, &s->id, blocks);
    host_free(&h);
    if (what)
        fail_msg("restore: %s", what);
}

/* ---- looking ---- */
struct sum {
    size_t n;
    uint64_t bytes;
};
static int add(void *ctx, const struct store_object *o, struct err *e)
{
    struct sum *s = ctx;
    (void)e;
    s->n++;
    s->bytes += o->size;
    return 0;
}

static struct sum sum_objects(struct world *w, const char *prefix)
{
    struct err e = ERR_INIT;
    struct sum s = {0};
    assert_ok(store_list(w->store, prefix, add, &s, NULL, &e));
    return s;
}

size_t count_objects(struct world *w, const char *prefix)
{
    return sum_objects(w, prefix).n;
}

uint64_t count_bytes(struct world *w, const char *prefix)
{
    return sum_objects(w, prefix).bytes;
}

void prune_ok(struct host *h, const struct prune_options *o, struct prune_report *out)
{
    struct err e = ERR_INIT;
    assert_ok(repo_prune(h->repo, o, out, &e));
}

/* ---- a scene ---- */
struct blocks blocks_new(size_t n, uint32_t first)
{
    struct blocks b = {.v = xcalloc(n, sizeof *b.v), .n = n, .size = BLOCK};
    for (size_t i = 0; i < n; i++)
        b.v[i] = first + (uint32_t)i;
    return b;
}

void scene_new(struct scene *s, size_t blocks)
{
    *s = (struct scene){0};
    world_new(&s->w);
    host_new(&s->h, &s->w, true);
    s->blocks = blocks_new(blocks, 0);
    backup_all(&s->h, &s->blocks, &s->one);
}

void scene_free(struct scene *s)
{
    snapshot_free(&s->one);
    free(s->blocks.v);
    host_free(&s->h);
    world_free(&s->w);
}

void assert_no_orphans(struct world *w)
{
    struct err e = ERR_INIT;
    struct host h;
    host_new(&h, w, true);
    assert_ok(repo_load(h.repo, &e));
    for (uint32_t i = 0; i < h.repo->index.pack_count; i++)
        assert_false(h.repo->index.packs[i].state & PACK_ORPHAN);
    host_free(&h);
}

void scene_prune(struct scene *s, const struct prune_options *o, struct prune_report *out)
{
    host_reopen(&s->h, keyring_can_read(s->h.repo->keys));
    prune_ok(&s->h, o, out);
}

void scene_forget(struct scene *s, const struct snapshot *snapshot)
{
    struct err e = ERR_INIT;
    assert_ok(mark_forget(s->h.repo, &snapshot->id, 1, &e));
}

struct blocks scene_keep_part(struct scene *s, uint32_t n, uint32_t step, struct snapshot *two)
{
    struct blocks part = blocks_new(n, 0);
    for (uint32_t i = 0; i < n; i++)
        part.v[i] = i * step;
    backup_all(&s->h, &part, two);
    scene_forget(s, &s->one);
    return part;
}
