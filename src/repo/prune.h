/* prune.h - what the steps of a prune share (docs/format.md, section 11: P1 to P8). */
#ifndef LIFEBOAT_REPO_PRUNE_H
#define LIFEBOAT_REPO_PRUNE_H

#include "repo/gc.h"
#include "repo/internal.h"

/* The step that rounds up the size of a pack; overhead of its own: footer, sealed table, two slots. */
#define PACK_OVERHEAD (PACK_FOOTER + SEAL_NONCE + SEAL_TAG + 8 + 2 * (6 + SLOT_CONTENT_LEN))
#define FRAME_ENTRY   29 /* bytes of a frame in a table, without its chunks */

enum fate {
    FATE_GONE,    /* not listed */
    FATE_KEEP,    /* somebody's home */
    FATE_YOUNG,   /* not needed, and so new that its writer may be at work */
    FATE_DEAD,    /* not needed: to be condemned */
    FATE_THIN,    /* mostly garbage: what is needed moves, then it is condemned */
    FATE_WAITING, /* condemned before this run, not needed */
    FATE_RESCUE,  /* condemned before this run, and needed: what is needed moves */
};
struct pack_sum {
    uint32_t first_frame; /* its frames are numbered on from here */
    uint32_t frame_count;
    uint64_t live;  /* chunks that have their home here */
    uint64_t kept;  /* bytes that moving them would write */
    double density; /* share of the pack that was needed when a chunk's every place was counted */
    enum fate fate;
};

/* Of the chunks in one frame. */
struct frame_count {
    uint32_t total, live;
};

struct pruned_snapshot {
    struct sha id;
    int64_t mtime_ns;
    bool dead;   /* to be deleted, and not looked into */
    bool broken; /* looked into as far as it goes */
    bool hit;    /* it needs what is not there */
};

/* Where a stream of a snapshot begins. */
struct root {
    struct ref ref;
    uint32_t depth, snapshot;
};

struct pruning {
    struct repo *repo;
    const struct prune_options *o;
    struct prune_report *out;
    int64_t now_ns, grace_ns;          /* the store's clock at P1; 0 when exclusive */
    struct marks marks;                /* P1 */
    struct sha_set due;                /* packs whose condemn mark was past the grace at P1 */
    struct pruned_snapshot *snapshots; /* P2 */
    size_t snapshot_count;
    struct sha_set snapshot_names; /* all that were listed */
    bool refused;                  /* something here cannot be understood, and would be again */
    bool sweeping; /* a later pass of an exclusive run: saves no more space than the first has */
    struct bigarray roots;
    struct bigmap *walked;  /* lists, by list_key() */
    struct bigbits live;    /* by place (bigmap slot): the home of a live chunk */
    struct bigarray frames; /* struct frame_count by frame */
    struct pack_sum *packs; /* by pack */
    uint32_t pack_count;
};

/* ---- live.c ---- */
/* Gives every chunk that a snapshot needs its home, and counts. ERR_DAMAGED: what cannot be read or found. */
int prune_mark_live(struct pruning *p, struct err *e) MUST_CHECK;
/* Also what this snapshot needs, as far as it can be read: the store does not let it go. */
int prune_keep_snapshot(struct pruning *p, size_t snapshot, struct err *e) MUST_CHECK;
int prune_choose_homes(struct pruning *p, struct err *e) MUST_CHECK;
bool prune_can_open(const struct pruning *p, uint32_t frame);
/* Whether the chunk has its home at this place. */
bool prune_is_home(const struct pruning *p, const struct chunk_id *id, struct place at);

/* ---- fates.c: which packs stay, which go ---- */
void prune_decide_fates(struct pruning *p);

/* ---- repack.c: P4 ---- */
int prune_repack(struct pruning *p, struct err *e) MUST_CHECK;

/* ---- merge.c: P6 ---- */
/* Whether the pack is deleted by this run. */
bool prune_is_due(const struct pruning *p, uint32_t pack);
int prune_merge_indexes(struct pruning *p, struct err *e) MUST_CHECK;

/* ---- tidy.c: P8 ---- */
bool prune_is_listed(const struct pruning *p, const struct sha *pack);
/* The packs that marks of this kind name, of those marks that are older than age_ns; sorted. */
void prune_collect(const struct pruning *p, enum mark_kind kind, int64_t age_ns, struct sha_set *out);
int prune_tidy(struct pruning *p, struct err *e) MUST_CHECK;

#endif
