/* receipt.h - what drills found: signed records beside the snapshots, made where the identity is, believed
 * wherever the writer key is. */
#ifndef LIFEBOAT_REPO_RECEIPT_H
#define LIFEBOAT_REPO_RECEIPT_H

#include "repo/repo.h"

enum drill_outcome {
    DRILL_PROVEN,
    DRILL_UNABLE,  /* no proof could be made there; the reasons say what helps */
    DRILL_DIFFERS, /* what came back is not what was stored, or could not be brought back */
};
const char *drill_outcome_name(enum drill_outcome o); /* "proven", "unable", "differs" */

/* One step of a drill. */
struct drill_layer {
    char name[16]; /* "stored", "restored", "compared", "asserts", "after-restore", "catalog" */
    bool held;
    double seconds;
};
#define DRILL_LAYERS 8

struct drill_result {
    enum drill_outcome outcome;
    bool read_only; /* proven only in this: the stored stream is whole; no restore was tried */
    struct strings
        reasons; /* not proven: a sentence each, naming the object and, where something helps, that */
    struct strings notes; /* of what the proof does not cover, and what was re-spelled */
    struct drill_layer layers[DRILL_LAYERS];
    size_t layer_count;
    uint64_t bytes, entries; /* that were compared: of the streams; tables or files */
    double restore_seconds;  /* the restore alone: the time to recover */
    double seconds;
};
void drill_result_free(struct drill_result *r);
AUTO_FOR(drill_result)

struct receipt_source {
    char *name, *type;
    struct drill_result result;
};
struct receipt {
    struct sha id, snapshot; /* id: set by put and load */
    int64_t time_ns;
    char *host, *version; /* where it was made, by which lifeboat */
    double seconds;
    struct receipt_source *sources; /* a drill may have been of some sources only */
    size_t source_count;
};
struct receipt_source *receipt_add_source(struct receipt *r, const char *name, const char *type);
void receipt_free(struct receipt *r);
AUTO_FOR(receipt)

/* Signs it with the proof key (the keyring has it: RUN_READ) and puts it. */
int receipt_put(struct repo *r, struct receipt *receipt, struct err *e) MUST_CHECK;

struct receipts {
    struct receipt *v; /* by time, oldest first */
    size_t n;
};
/* Those whose signature holds; any other is passed over with a warning. Works without the identity. NULL for
 * `snapshot`: of all. */
int receipts_load(struct repo *r, const struct sha *snapshot, struct receipts *out, struct err *e) MUST_CHECK;
void receipts_free(struct receipts *r);
AUTO_FOR(receipts)

/* Fills the proof of every source: what the newest receipt says that proved it or found a difference. */
void receipts_apply(const struct receipts *r, struct snapshots *all);

#endif
