/* internal.h - what the files of repo/ share. */
#ifndef LIFEBOAT_REPO_INTERNAL_H
#define LIFEBOAT_REPO_INTERNAL_H

#include "codec/compress.h"
#include "repo/index.h"
#include "repo/marks.h"
#include "repo/repo.h"

#include <jansson.h>

/* An index object that was read. */
struct index_object {
    struct sha name;
    int64_t mtime_ns;
    uint64_t size;         /* as listed */
    uint32_t bytes;        /* of its tables */
    bool is_read;          /* it was whole */
    bool superseded;       /* by another one that was read: nothing is lost without it */
    int64_t superseded_ns; /* the mtime of that one */
};

struct repo {
    struct store *store;
    const struct keyring *keys;
    struct pool *pool;
    char *spool_dir;
    struct gc_bounds bounds;
    bool loaded, refreshed;
    bool asked;    /* every pack was, for its own table */
    bool numbered; /* places in the index are known by their numbers: nothing may be added to it */
    struct index index;
    struct index_object *index_objects;
    size_t index_object_count;
    struct slot_cache *slot_keys;
    struct strings bad_objects; /* indexes and marks that did not open: "name: why" (check reports them) */
    struct strings
        later; /* indexes and packs that are whole, and of a version or key generation unknown here */
    /* The view: what was listed when. */
    struct sha_set condemned, damaged; /* packs that marks name */
    struct sha_set distrusted;         /* packs that this run does not rely on */
    int64_t view_ns;                   /* the store's clock before the first listing */
    uint64_t view_boot_ns;             /* this machine's at the same moment */
    int64_t newest_ns;                 /* of all that was listed */
    struct mirrors *mirrors;           /* NULL: none */
};

#define NAME_SIZE    160        /* "receipts/<sha>/<sha>" */
#define INDEX_FULL   (2u << 20) /* an index object is written when its tables take this much */
#define INDEX_MAX    (64u << 20)
#define METADATA_MAX (256u << 10) /* marks, keys, snapshots */
#define SNAPSHOT_MAX (64u << 10)

/* "packs/3f/3f9a..." */
void pack_name(char out[NAME_SIZE], const struct sha *sha);
/* "<prefix><sha>" */
void object_name(char out[NAME_SIZE], const char *prefix, const struct sha *sha);
/* The SHA-256 that ends a name; false when there is none (foreign object). */
bool name_sha(const char *name, struct sha *out);
/* Whether these are the bytes that the object is named by. */
bool name_fits(const char *name, struct bytes data);

/* Adds an object that did not open (`text` says so) to r->later when it is whole, and its version or key
 * generation, which stand `from_end` bytes before its end (0: at its beginning), are not known here. */
void note_later(struct repo *r, const char *name, uint64_t from_end, const char *text);
bool is_of_later(const struct repo *r, const char *name);

/* "marks/<kind>/<sha>" */
void mark_name(char out[NAME_SIZE], enum mark_kind kind, const struct sha *sha);

/* Appends what the `lifeboat` object of this repository holds. */
void repo_describe(const struct keyring *k, struct buf *out);

/* Seals JSON or binary metadata and puts it under prefix + SHA-256. *out gets the name. */
int object_put(struct repo *r, const char *prefix, enum object_type type, struct bytes plain, struct sha *out,
               struct err *e) MUST_CHECK;
/* Gets, compares the bytes with the name, opens. STORE_ABSENT as store_get. */
int object_get(struct repo *r, const char *name, enum object_type type, uint64_t limit, struct buf *out,
               struct err *e) MUST_CHECK;

/* The same from this store, whatever there is of mirrors. */
int object_get_from(struct repo *r, struct store *s, const char *name, enum object_type type, uint64_t limit,
                    struct buf *out, struct err *e) MUST_CHECK;
/* Hands on what a store said of an object: the texts of ERR_DAMAGED begin with the object's name. -1. */
int err_of_object(struct err *e, const char *name, const struct err *why);
/* What an error's text says behind the object's name; all of it when it does not name it. */
const char *said_of_object(const char *name, const char *text);

#define KEYS_MAX (64u << 10) /* of a keys object */

/* Names below a prefix, sorted. */
int list_names(struct store *s, const char *prefix, struct strings *out, struct err *e) MUST_CHECK;
/* Of small objects, those whose bytes are what they are named by. */
int list_sound(struct store *s, const struct strings *names, struct strings *out, struct err *e) MUST_CHECK;

/* ---- load.c: the view, step by step. The order is the safety: marks, then packs, then indexes ---- */
/* Takes what condemn and damaged marks say, and the time of their listing. */
void view_marks(struct repo *r, const struct marks *m);
/* Lists the packs: those that are known get their state anew, others are added. */
int view_packs(struct repo *r, struct err *e) MUST_CHECK;
/* Reads the indexes that were not read yet, and the tails of packs that none names. */
int view_indexes(struct repo *r, struct err *e) MUST_CHECK;
/* Reads the indexes that another store has, too; packs they name are not listed. */
int view_more_indexes(struct repo *r, struct store *s, struct err *e) MUST_CHECK;
/* Marks and packs again, nothing else: what may still be relied on. */
int view_again(struct repo *r, struct err *e) MUST_CHECK;
/* Empties the index for a new view. */
int view_begin(struct repo *r, struct err *e) MUST_CHECK;
/* All of it again, into the same index: what is known keeps its numbers. */
int repo_refresh(struct repo *r, struct err *e) MUST_CHECK;

/* ---- commit.c ---- */
/* Whether the view is too old to commit on (W5); and, asked after a commit, whether that came too late (W7).
 */
int view_is_old(const struct repo *r, bool *old, struct err *e) MUST_CHECK;
int view_is_late(const struct repo *r, bool *late, struct err *e) MUST_CHECK;

/* Walks the packs of an index object. */
typedef int index_each(void *ctx, const struct sha *pack, uint64_t size, struct bytes table, struct err *e);
int index_visit(struct bytes plain, index_each *each, void *ctx, struct err *e) MUST_CHECK;
/* Gathers tables of packs into index objects of INDEX_FULL bytes. */
struct index_builder {
    struct repo *repo;
    struct buf tables;
    uint32_t packs;   /* in `tables` */
    uint64_t written; /* index objects */
};
int index_builder_add(struct index_builder *b, const struct sha *pack, uint64_t size, struct bytes table,
                      struct err *e) MUST_CHECK;
/* Puts what was gathered, if anything was or something is superseded (NULL: nothing). */
int index_builder_put(struct index_builder *b, const struct sha_set *superseded, struct err *e) MUST_CHECK;
void index_builder_free(struct index_builder *b);
AUTO_FOR(index_builder)

/* A clock of this machine that runs on while it sleeps; tests replace it. */
extern uint64_t (*repo_clock)(void);

/* Reads the table of a pack from its tail. */
int pack_read_table(struct repo *r, const struct sha *name, uint64_t size, struct buf *out,
                    struct err *e) MUST_CHECK;
int pack_read_table_from(struct repo *r, struct store *s, const struct sha *name, uint64_t size,
                         struct buf *out, struct err *e) MUST_CHECK;

/* ---- ask.c: what a pack says of itself counts, whatever an index says of it. Main thread only ---- */
/* Whether size and table, the pack's own, are not those that an index gave: then they are taken into the
 * index, and the object that lies is among r->bad_objects. */
bool pack_was_misread(struct repo *r, uint32_t pack, uint64_t size, struct bytes table);
/* Compares a listed pack, once. */
bool pack_ask(struct repo *r, uint32_t pack);
/* All of them, once: 1 when that has brought up anything. -1 with *e: the store does not answer. */
int packs_ask_all(struct repo *r, struct err *e) MUST_CHECK;

/* Keys of slots: opening a content slot costs an X25519 operation. */
struct slot_cache *slot_cache_new(void);
void slot_cache_free(struct slot_cache *c);

/* Everything a worker needs to fetch and open one frame. */
struct frame_source {
    char name[NAME_SIZE]; /* of the pack */
    struct frame_facts facts;
    uint32_t offset, sealed_length;
    uint8_t key[SLOT_KEY];
};
/* Fills *out for a frame of the index. ERR_DAMAGED when its pack is not in the store. */
int frame_source(struct repo *r, uint32_t frame, struct frame_source *out, struct err *e) MUST_CHECK;
/* Fetches, opens and decompresses into raw (replaced). Any thread, its own codec. ERR_DAMAGED names the pack.
 * FRAME_VANISHED, with the same: the pack is not there any more, a prune may have deleted it.
 * FRAME_ELSEWHERE, alone or with FRAME_VANISHED added: a mirror gave it, and *e says why not the store. */
#define FRAME_VANISHED  1
#define FRAME_ELSEWHERE 2
static inline bool frame_was_read(int rc)
{
    return rc == 0 || (rc > 0 && (rc & FRAME_ELSEWHERE));
}
int frame_read(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw,
               struct err *e) MUST_CHECK;
/* After the store has failed with rc: tries older versions and the mirrors, and adds FRAME_ELSEWHERE to it.
 */
int frame_elsewhere(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw, int rc,
                    const struct err *why) MUST_CHECK;
/* Opens the sealed bytes of a frame that are at hand. */
int frame_open_bytes(struct repo *r, const struct frame_source *f, struct bytes sealed, struct codec *c,
                     struct buf *raw, struct err *e) MUST_CHECK;

/* Reads one chunk from wherever it can be had, trying every place; verified. For tree chunks and as the last
 * resort. `not_frame`: skip this one (FRAME_NONE: none). ERR_DAMAGED names what was tried. */
int chunk_read(struct repo *r, const struct ref *ref, bool tree, uint32_t not_frame, struct codec *c,
               struct buf *raw, struct err *e) MUST_CHECK;
/* A reader has met a frame that is not what it was, and frame_read() has said rc: marks its pack, once, so
 * that backups store its chunks again; or one that has vanished: its pack is not listed any more. */
void frame_met_bad(struct repo *r, uint32_t frame, int rc, const struct err *why);
/* Whether `data` is the chunk, by the id key of its slot's generation. Any thread. */
bool chunk_verify(const struct repo *r, uint32_t generation, bool tree, struct bytes data,
                  const struct chunk_id *id);

/* Whether index `frame` lies in a tree slot. */
bool frame_is_tree(const struct repo *r, uint32_t frame);

/* Whether a mark carries no signature, or one that the proof key made. */
bool mark_signature_holds(const struct repo *r, const json_t *mark);

/* ---- mirror.c: reading from mirrors what the store does not give, for the reason `why` ---- */
struct mirrors *mirrors_new(struct repo *r, const struct repo_options *o); /* NULL: there are none */
void mirrors_free(struct mirrors *m);
/* Whether the store is not to be asked any more: it has stopped to answer. */
bool mirrors_instead(struct repo *r);
/* Lists the store. 1: it cannot be listed, not to its end at least, and mirrors stand in for what is not
 * seen. */
int list_own(struct repo *r, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
             struct err *e) MUST_CHECK;
/* STORE_DONE, or STORE_ABSENT: no mirror gave it. Any thread. */
int mirror_object(struct repo *r, const char *name, enum object_type type, uint64_t limit, struct buf *out,
                  const struct err *why) MUST_CHECK;
int mirror_frame(struct repo *r, const struct frame_source *f, struct codec *c, struct buf *raw,
                 const struct err *why) MUST_CHECK;
int mirror_table(struct repo *r, const struct sha *pack, uint64_t size, struct buf *out,
                 const struct err *why) MUST_CHECK;
/* Calls `each` for every mirror that can be opened; one that fails is a warning. -1: asked to stop. */
int mirrors_each(struct repo *r, int (*each)(struct repo *r, struct store *s, void *ctx, struct err *e),
                 void *ctx, struct err *e) MUST_CHECK;
/* Takes up what the indexes of mirrors say, once: true when that was now. */
bool mirrors_load_indexes(struct repo *r);

/* ---- gather.c ---- */
/* Calls `one` for each number below n, from several threads at a time and in no order. The first error ends
 * it soon. */
typedef int gather_one(void *ctx, size_t i, struct err *e);
int gather(size_t n, gather_one *one, void *ctx, struct err *e) MUST_CHECK;

/* ---- json.c ---- */
/* Parses one object with an integer "format": 1. ERR_DAMAGED, with the advice at its end ("": none). The
 * caller owns the reference. */
json_t *json_read(struct bytes text, const char *advice, struct err *e) MUST_CHECK;
/* The advice for what was sealed: it opened, so its bytes are those that somebody meant. */
#define NO_LIFEBOATS \
    ": no lifeboat seals such a thing, so somebody else did who has the writer key: remove it from the store"
const char *json_text(const json_t *o, const char *key); /* "" when absent or not a string */
double json_seconds(const json_t *o, const char *key);   /* what cannot be one is 0 */
bool json_u64(const json_t *o, const char *key, uint64_t *out);
bool json_u32(const json_t *o, const char *key, uint32_t *out);
void json_write(const json_t *o, struct buf *out); /* compact, keys in the order they were set */
void json_list_read(const json_t *array, struct strings *out);
json_t *json_list_write(const struct strings *s);
json_t *json_list_write_some(const struct strings *s, size_t most); /* then "... and 12 more" */
static inline void json_auto(json_t **o)
{
    json_decref(*o);
}
#define AUTO_JSON __attribute__((cleanup(json_auto))) json_t *

#endif
