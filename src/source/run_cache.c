#include "run_cache.h"

#include "base/bigmap.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#define MAGIC       "lifeboat runs 1\n"
#define MAGIC_SIZE  16
#define WRITE_BLOCK (64u << 10)
#define READ_BLOCK  (256u << 10)

struct record {
    uint8_t key[RUN_KEY];
    uint64_t bytes;
    uint32_t count, zero;
    uint64_t check;
};
_Static_assert(sizeof(struct record) == 40 && sizeof(struct ref) == 24, "the layout in run_cache.h");

struct run_cache {
    char *path, *new_path;
    const uint8_t *map; /* the old file; NULL: none */
    size_t map_size;
    struct bigmap *runs; /* key -> offset of its record */
    int fd;              /* the new file; -1: could not be made, then nothing is kept */
    uint64_t start;      /* of the record being written */
    uint64_t end;
    uint32_t count;
    XXH3_state_t *writing; /* hash of its references */
    XXH3_state_t *finding;
    struct buf pending; /* references not written yet */
};

static XXH3_state_t *new_hash(void)
{
    XXH3_state_t *hash = xxh3_new();
    XXH3_64bits_reset(hash);
    return hash;
}

static uint64_t check_of(const struct record *r, XXH3_state_t *refs)
{
    XXH3_64bits_update(refs, r, offsetof(struct record, check));
    return XXH3_64bits_digest(refs);
}

static int index_records(struct run_cache *c, struct err *e)
{
    if (c->map_size < MAGIC_SIZE || memcmp(c->map, MAGIC, MAGIC_SIZE) != 0)
        return 0;
    for (size_t at = MAGIC_SIZE; at + sizeof(struct record) <= c->map_size;) {
        const struct record *r = (const struct record *)(c->map + at);
        size_t size = sizeof *r + (size_t)r->count * sizeof(struct ref);
        if (size > c->map_size - at)
            return 0;
        if (bigmap_add(c->runs, r->key, at, e))
            return -1;
        at += size;
    }
    return 0;
}

/* What a mapped file cannot be read of is a SIGBUS. */
static int read_through(int fd, uint64_t size, const char *path, struct err *e)
{
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, READ_BLOCK);
    for (uint64_t at = 0, n; at < size; at += n) {
        n = MIN(size - at, (uint64_t)READ_BLOCK);
        if (fd_pread_all(fd, block.p, n, at, path, e))
            return -1;
    }
    return 0;
}

static void map_old(struct run_cache *c)
{
    AUTO_FD fd = open(c->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    struct err why = ERR_INIT;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < MAGIC_SIZE)
        return;
    if (read_through(fd, (uint64_t)st.st_size, c->path, &why)) {
        log_warn("%s (unchanged files are read again this time)", why.text);
        return;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return;
    c->map = p;
    c->map_size = (size_t)st.st_size;
}

struct run_cache *run_cache_new(const char *path, const char *spool_dir, struct err *e)
{
    AUTO_PTR(run_cache) c = xcalloc(1, sizeof *c);
    c->writing = new_hash();
    c->finding = new_hash();
    c->fd = -1;
    c->path = xstrdup(path);
    c->new_path = xasprintf("%s.new", path);
    c->runs = bigmap_new(spool_dir, 0, e);
    if (!c->runs)
        return NULL;
    map_old(c);
    if (c->map && index_records(c, e))
        return NULL;
    unlink(c->new_path);
    c->fd = open(c->new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (c->fd < 0)
        return err_errno(e, ERR_IO, "%s", c->new_path), NULL;
    if (fd_write_all(c->fd, BYTES(MAGIC, MAGIC_SIZE), c->new_path, e))
        return NULL;
    c->start = c->end = MAGIC_SIZE;
    return STEAL(c);
}

static bool is_sound(const struct record *r, const struct ref *list, XXH3_state_t *hash)
{
    uint64_t bytes = 0;
    XXH3_64bits_reset(hash);
    XXH3_64bits_update(hash, list, (size_t)r->count * sizeof *list);
    if (check_of(r, hash) != r->check)
        return false;
    for (uint32_t i = 0; i < r->count; i++)
        bytes += list[i].length;
    return bytes == r->bytes;
}

bool run_cache_find(const struct run_cache *c, const uint8_t key[RUN_KEY], uint64_t *bytes,
                    const struct ref **refs, size_t *n)
{
    uint64_t iter = BIGMAP_START, at;
    while (bigmap_next(c->runs, key, &iter, &at)) {
        const struct record *r = (const struct record *)(c->map + at);
        const struct ref *list = (const struct ref *)(r + 1);
        if (!is_sound(r, list, c->finding))
            continue;
        *bytes = r->bytes;
        *refs = list;
        *n = r->count;
        return true;
    }
    return false;
}

static int write_pending(struct run_cache *c, struct err *e)
{
    uint64_t at = c->end - c->pending.n;
    if (c->pending.n && fd_pwrite_all(c->fd, buf_bytes(&c->pending), at, c->new_path, e))
        return -1;
    c->pending.n = 0;
    return 0;
}

int run_cache_add_refs(struct run_cache *c, const struct ref *refs, size_t n, struct err *e)
{
    if (c->end == c->start) {
        const struct record room = {0};
        buf_add(&c->pending, BYTES(&room, sizeof room));
        c->end += sizeof room;
    }
    struct bytes b = BYTES(refs, n * sizeof *refs);
    XXH3_64bits_update(c->writing, b.p, b.n);
    buf_add(&c->pending, b);
    c->end += b.n;
    c->count += (uint32_t)n;
    return c->pending.n >= WRITE_BLOCK ? write_pending(c, e) : 0;
}

int run_cache_end_run(struct run_cache *c, const uint8_t key[RUN_KEY], uint64_t bytes, bool keep,
                      struct err *e)
{
    struct record r = {.bytes = bytes, .count = c->count};
    memcpy(r.key, key, RUN_KEY);
    r.check = check_of(&r, c->writing);
    uint64_t written = c->end - c->pending.n;
    if (!keep || c->count == 0) {
        c->pending.n = c->start > written ? (size_t)(c->start - written) : 0;
        c->end = c->start;
    } else if (c->start >= written) { /* its head is still in memory */
        memcpy(c->pending.p + (c->start - written), &r, sizeof r);
    } else if (fd_pwrite_all(c->fd, BYTES(&r, sizeof r), c->start, c->new_path, e)) {
        return -1;
    }
    c->start = c->end;
    c->count = 0;
    XXH3_64bits_reset(c->writing);
    return 0;
}

int run_cache_finish(struct run_cache *c, struct err *e)
{
    if (write_pending(c, e))
        return -1;
    if (ftruncate(c->fd, (off_t)c->end) != 0 || rename(c->new_path, c->path) != 0)
        return err_errno(e, ERR_IO, "%s", c->path);
    return 0;
}

void run_cache_abandon(struct run_cache *c)
{
    if (!c)
        return;
    fd_auto(&c->fd);
    c->fd = -1;
    if (c->new_path)
        unlink(c->new_path); /* gone already after a finish */
}

void run_cache_free(struct run_cache *c)
{
    if (!c)
        return;
    run_cache_abandon(c);
    if (c->map)
        munmap((void *)c->map, c->map_size);
    bigmap_free(c->runs);
    XXH3_freeState(c->writing);
    XXH3_freeState(c->finding);
    buf_free(&c->pending);
    free(c->path);
    free(c->new_path);
    free(c);
}
