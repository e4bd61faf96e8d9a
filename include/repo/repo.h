/* repo.h - a repository: a store that holds our format (docs/format.md). What is in it, who can read it, what
 * was backed up, and whether it is whole. Driven by one thread; the work behind it is spread over a pool. */
#ifndef LIFEBOAT_REPO_REPO_H
#define LIFEBOAT_REPO_REPO_H

#include "base/base.h"
#include "base/pool.h"
#include "codec/keys.h"
#include "policy/verdict.h"
#include "repo/bounds.h"
#include "repo/stream.h"
#include "store/store.h"

/* ---- opening ---- */
struct repo_options {
    struct store *store; /* borrowed, like the next two */
    const struct keyring *keys;
    struct pool *pool;
    const char *spool_dir;          /* for unlinked temporary files */
    const struct gc_bounds *bounds; /* copied; NULL: GC_BOUNDS_DEFAULT */
    /* Mirrors to read from what the store does not give; for reading alone, never where something is written
     * or judged. mirror_open opens the one of that number when it is first needed, from any thread. */
    const char *const *mirror_names; /* what messages call them */
    size_t mirror_count;
    struct store *(*mirror_open)(void *ctx, size_t number, struct err *e);
    void *mirror_ctx;
};
/* Puts the `lifeboat` object. ERR_USAGE when the store already holds a repository. */
int repo_create(struct store *s, const struct keyring *k, struct err *e) MUST_CHECK;
/* The same in place of a damaged one. */
int repo_renew_root(struct store *s, const struct keyring *k, struct err *e) MUST_CHECK;
/* Reads `lifeboat` and compares: ERR_USAGE when the store holds another repository than the keys are for. */
struct repo *repo_open(const struct repo_options *o, struct err *e) MUST_CHECK;
struct store *repo_store(const struct repo *r);
const struct keyring *repo_keys(const struct repo *r);
bool repo_used_mirror(const struct repo *r); /* something was read from one */
/* The repository id in the store's `lifeboat` object (trusted for nothing). STORE_ABSENT: there is none. */
int repo_read_id(struct store *s, char out[REPOSITORY_ID_HEX], struct err *e) MUST_CHECK;

/* Lists marks, packs and indexes, in this order, and builds the map of chunks: a view of the repository.
 * Needed before streams are written or read; again, when no writer or reader is open, takes a new view.
 * Objects that do not open are passed over with a warning (check names them): what they described is read
 * from the packs themselves. */
int repo_load(struct repo *r, struct err *e) MUST_CHECK;
void repo_free(struct repo *r);
AUTO_PTR_FOR(repo)

/* ---- readers: the `keys/` objects ---- */
struct key_object {
    struct sha name;
    bool is_passphrase;
    uint8_t recipient[KEY_SIZE]; /* of an identity */
    int64_t created_ns;
    char label[64];
};
/* Lists them; an object that cannot be understood is skipped with a warning. *out: free(). */
int keys_list(struct store *s, struct key_object **out, size_t *n, struct err *e) MUST_CHECK;
/* Wraps the keyring's secrets for a recipient, or by a passphrase (argon2id, ops 3, 256 MiB: takes a second
 * and that memory). Puts the object. */
int keys_add_recipient(struct store *s, const struct keyring *k, const uint8_t recipient[KEY_SIZE],
                       const char *label, struct err *e) MUST_CHECK;
int keys_add_passphrase(struct store *s, const struct keyring *k, struct bytes passphrase, const char *label,
                        struct err *e) MUST_CHECK;
/* Puts the keys objects that `to` lacks; one that does not fit its name stays away. */
int keys_copy(struct store *from, struct store *to, struct err *e) MUST_CHECK;
/* Keeps copies of the keys objects in `folder`, which is made (they are sealed for their readers), and puts
 * back what the store lost: one whose bytes are wrong, and, where no sound one is left, all. *any: there is a
 * sound one now. */
int keys_keep(struct store *s, const char *folder, bool *any, struct err *e) MUST_CHECK;
/* Refuses to remove the last reader. */
int keys_remove(struct store *s, const struct sha *name, struct err *e) MUST_CHECK;
/* Opens the keyring, secrets included, and checks that it is the one that expected_id commits to. ERR_USAGE:
 * nobody wrapped the keys for this identity / wrong passphrase / another repository. */
struct keyring *keys_open_identity(struct store *s, const struct identity *id, struct err *e) MUST_CHECK;
/* expected_id: from writer.key or the recovery kit, NULL when neither is at hand (then the store's word is
 * taken for it and *e stays unset; the caller says so). */
struct keyring *keys_open_passphrase(struct store *s, struct bytes passphrase,
                                     const uint8_t expected_id[REPOSITORY_ID_SIZE], struct err *e) MUST_CHECK;

/* ---- snapshots ---- */
/* What drills found of a source; not part of the object, filled by receipts_apply(). */
struct proof {
    enum { PROOF_NONE, PROOF_HOLDS, PROOF_FAILED } state;
    bool read_only; /* only that the stored stream is whole: no restore was tried */
    int64_t time_ns;
    double seconds, restore_seconds; /* of the drill; of the restore in it */
};
struct snapshot_source {
    char *name;
    char *type; /* "postgres", "volume", "command" */
    enum verdict verdict;
    struct strings reasons, notes;
    uint64_t sequence; /* counts up for each host and source */
    uint64_t bytes, new_bytes, stored_bytes, files;
    double seconds;
    char *error; /* of a failed one; NULL */
    struct stream_info *streams;
    size_t stream_count;
    char *server_id;                /* databases: the system identifier of their server; NULL: not known */
    uint64_t database_bytes;        /* what they take on it; 0: not known */
    struct strings server_settings; /* "NAME=VALUE": what it says of the meaning of values */
    struct proof proof;
};
struct snapshot {
    struct sha id; /* its name; set by put and load */
    int64_t time_ns;
    char *host;
    struct strings tags;
    enum verdict verdict; /* the worst of its sources */
    double seconds;
    struct snapshot_source *sources;
    size_t source_count;
    /* Not part of the object, filled by snapshots_load: what the store and marks say of it. */
    int64_t stored_ns;    /* the store's time of the object */
    int64_t order_ns;     /* among the others: when it was taken, as far as can be told */
    struct strings pins;  /* reasons of the pins that stand */
    int64_t forgotten_ns; /* the store's time of the forget mark that counts; 0: it is not forgotten */
    bool broken; /* it was put too late to be trusted: never good, and it goes like a forgotten one */
};
const struct snapshot_source *snapshot_find_source(const struct snapshot *s, const char *name); /* or NULL */
const struct stream_info *snapshot_find_stream(const struct snapshot_source *s,
                                               const char *name); /* or NULL */
/* When it was taken: the store knows better than a host whose clock was ahead. */
static inline int64_t snapshot_taken_ns(const struct snapshot *s)
{
    return s->stored_ns ? MIN(s->time_ns, s->stored_ns) : s->time_ns;
}
/* It is neither on its way out nor put too late to be trusted. */
static inline bool snapshot_counts(const struct snapshot *s)
{
    return !s->forgotten_ns && !s->broken;
}
/* Every source was taken, and the proof of each holds. */
bool snapshot_is_proven(const struct snapshot *s);
struct snapshot_source *snapshot_add_source(struct snapshot *s); /* zeroed; valid until the next add */
void snapshot_free(struct snapshot *s);
AUTO_FOR(snapshot)
/* Puts the object. Too many streams for 64 KiB is ERR_USAGE. Sets s->id. Backups use snapshot_commit (gc.h).
 */
int snapshot_put(struct repo *r, struct snapshot *s, struct err *e) MUST_CHECK;
int snapshot_load(struct repo *r, const struct sha *id, struct snapshot *out, struct err *e) MUST_CHECK;

struct snapshots {
    struct snapshot *v; /* ordered by order_ns, oldest first */
    size_t n;
    struct strings unreadable; /* "snapshots/<sha>: why" of those that do not open */
    struct strings let_go;     /* hex ids that are not there, and that a mark which counts says may go */
    int64_t now_ns;            /* the store's clock before the listing */
};
/* Every snapshot there is. Works before repo_load and without the identity. */
int snapshots_load(struct repo *r, struct snapshots *out, struct err *e) MUST_CHECK;
/* Adds those that only mirrors have; marks of them are not looked at. */
int snapshots_load_mirrors(struct repo *r, struct snapshots *all, struct err *e) MUST_CHECK;
void snapshots_free(struct snapshots *s);
AUTO_FOR(snapshots)

/* JSON of one snapshot as the object holds it, for tools and tests. */
void snapshot_encode(const struct snapshot *s, struct buf *out);
int snapshot_decode(struct bytes json, struct snapshot *out, struct err *e) MUST_CHECK; /* ERR_DAMAGED */

/* ---- marks; more in gc.h ---- */
/* Says that a pack is bad, so that backups store its chunks again. Signed when the keyring can. */
int mark_damaged(struct repo *r, const struct sha *pack, const char *reason, struct err *e) MUST_CHECK;

/* ---- writing: streams of one run (stream.h); then the snapshot ---- */
/* Starts a run. One at a time for a repo; repo_load was called. */
struct writer *writer_new(struct repo *r, struct err *e) MUST_CHECK;
struct writer_stats {
    uint64_t packs, pack_bytes; /* put */
    uint64_t new_chunks, new_bytes;
    uint64_t indexes;
    uint64_t adopted_packs; /* left by a run that was cut off, now in an index */
};
void writer_stats(const struct writer *w, struct writer_stats *out); /* so far */
/* Everything written is durable and in an index when this returns: a snapshot may name the finished streams.
 */
int writer_finish(struct writer *w, struct writer_stats *out, struct err *e) MUST_CHECK;
void writer_free(
    struct writer *w); /* unfinished: packs that went out already stay and are found by the next run */
AUTO_PTR_FOR(writer)

/* ---- check ---- */
struct check_error {
    char *object, *what;
    struct strings snapshots; /* hex ids of those that cannot be restored whole for it */
};
struct check_report {
    uint64_t packs, chunks, bytes_read, snapshots;
    struct check_error *errors;
    size_t error_count;
    struct strings
        notes; /* healed damage, orphans, content that was not looked at for want of the identity */
};
struct check_options {
    unsigned
        read_percent; /* 0: structure only; 100: every byte of every pack; between: a share of the packs */
    uint64_t rota;    /* which share: count up from check to check and all packs have their turn */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};
/* 0 also when damage was found: see the report. -1: the check itself could not be done. Marks bad packs.
 * Calls repo_load itself. */
int repo_check(struct repo *r, const struct check_options *o, struct check_report *out,
               struct err *e) MUST_CHECK;
void check_report_free(struct check_report *r);
AUTO_FOR(check_report)

#endif
