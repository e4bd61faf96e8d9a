/* gc_world.h - what the tests of garbage collection share: one store in memory with a clock of ours, several
 * hosts that use it, each behind a door that can fail, and streams made of numbered blocks. */
#ifndef LIFEBOAT_TESTS_GC_WORLD_H
#define LIFEBOAT_TESTS_GC_WORLD_H

#include "repo/gc.h"
#include "repo/internal.h"
#include "store/driver.h"
#include "testing.h"

#define SECOND 1000000000ll
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

struct world {
    char *folder;
    struct store *store; /* in memory, or a folder */
    bool is_local;
    struct keyring *keys, *writer_keys;
    struct gc_bounds bounds;
    int64_t now_ns;
};
void world_new(struct world *w);
void world_new_local(struct world *w); /* on disk, by the machine's clock */
void world_free(struct world *w);
void world_wait(struct world *w, int64_t ns);  /* the store's clock and repo_clock go on */
void world_sleep(struct world *w, int64_t ns); /* only the store's does: this machine was suspended */

/* A process with the repository open. */
struct host {
    struct world *world;
    struct store *door; /* its own way to the store */
    struct pool *pool;
    struct repo *repo;
    int kill_at; /* the Nth operation from now fails, and all that follow; 0: never */
    bool dead;
    unsigned calls;                 /* operations so far, */
    struct strings *heard;          /* and what they were: "put packs/..."; may be NULL */
    void (*before)(struct host *h); /* called before each operation of the main thread; may be NULL */
    void *ctx;
};
void host_new(struct host *h, struct world *w, bool can_read);
void host_reopen(struct host *h, bool can_read); /* as a new process */
void host_free(struct host *h);

/* A stream is blocks one after the other, each cut apart: the bytes of a block follow from its number and
 * size. */
struct blocks {
    uint32_t *v;
    size_t n;
    uint32_t size;  /* at most 32 KiB */
    uint32_t frame; /* bytes of a full frame; 0: as for databases */
};
void block_bytes(struct buf *out, uint32_t number, uint32_t size);

/* A backup in steps. */
struct taking {
    struct host *h;
    const struct blocks *blocks;
    struct writer *writer;
    struct stream *stream;
    size_t next;
};
int taking_begin(struct taking *b, struct host *h, const struct blocks *blocks, struct err *e);
int taking_write(struct taking *b, size_t blocks, struct err *e);
int taking_end(struct taking *b, struct snapshot *out, struct err *e); /* a commit_result */
void taking_free(struct taking *b);
/* All of it; repeats. */
void backup_all(struct host *h, const struct blocks *blocks, struct snapshot *out);

/* Restores the snapshot through a fresh view and compares. NULL: equal. Otherwise what is wrong; the caller
 * frees. */
char *restore_differs(struct host *h, const struct sha *id, const struct blocks *blocks);
void assert_restores(struct world *w, const struct snapshot *s, const struct blocks *blocks);

size_t count_objects(struct world *w, const char *prefix);
uint64_t count_bytes(struct world *w, const char *prefix);

void prune_ok(struct host *h, const struct prune_options *o, struct prune_report *out);

/* ---- a scene: one host, one snapshot of blocks that are numbered on from 0 ---- */
#define BLOCK 20000u
struct blocks blocks_new(size_t n, uint32_t first); /* free(v) */
struct scene {
    struct world w;
    struct host h;
    struct blocks blocks;
    struct snapshot one;
};
void scene_new(struct scene *s, size_t blocks);
void scene_free(struct scene *s);
void scene_prune(struct scene *s, const struct prune_options *o,
                 struct prune_report *out); /* as a new process */
void scene_forget(struct scene *s, const struct snapshot *snapshot);
/* A second snapshot, of n blocks of the first one: 0, step, 2 * step ...; the first one is forgotten. free(v)
 */
struct blocks scene_keep_part(struct scene *s, uint32_t n, uint32_t step, struct snapshot *two);
void assert_no_orphans(struct world *w); /* every pack that is there is in an index */

#endif
