/* gc.h - sharing and garbage collection without locks: what hosts say of snapshots by marks, the commit at
 * the end of a backup, and prune. docs/format.md, section 11, has the protocol; the order of its steps is the
 * safety. */
#ifndef LIFEBOAT_REPO_GC_H
#define LIFEBOAT_REPO_GC_H

#include "repo/repo.h"

/* ---- marks; struct snapshot says what became of them ---- */
int mark_pin(struct repo *r, const struct sha *snapshot, const char *reason, struct err *e) MUST_CHECK;
/* Cancels every pin of the snapshot. ERR_USAGE: it has none. */
int mark_unpin(struct repo *r, const struct sha *snapshot, struct err *e) MUST_CHECK;
/* Says that the snapshots may go. Nothing is deleted before undo-window has passed, and until then each can
 * be brought back. Those that are forgotten already are left as they are. */
int mark_forget(struct repo *r, const struct sha *snapshots, size_t n, struct err *e) MUST_CHECK;
/* Brings a forgotten snapshot back. ERR_USAGE: it is not forgotten, is marked as broken, or was forgotten for
 * so long that a prune may be deleting it. */
int mark_undo(struct repo *r, const struct sha *snapshot, struct err *e) MUST_CHECK;

/* ---- the end of a backup ---- */
enum commit_result {
    COMMIT_FAILED = -1,
    COMMIT_DONE = 0,
    COMMIT_REPEAT =
        1, /* what the snapshot relies on may be deleted: repo_load() and write the streams again */
};
/* Puts the snapshot after writer_finish(), if it may rely on what it relies on. A view of the repository
 * (repo_load) that has become old is taken anew first; a young one costs one request, to look at the store's
 * clock after the put. COMMIT_REPEAT: *e is not set, a warning was logged, and the snapshot is not there or
 * marked as broken. */
int snapshot_commit(struct repo *r, struct snapshot *s, struct err *e) MUST_CHECK;

/* ---- for stores that lock objects for a time ---- */
/* Calls `each` for every object that the snapshot in the making needs besides itself: packs, their indexes,
 * the keys. is_new: this run has put it. After writer_finish(). */
typedef int repo_needed(void *ctx, const char *name, bool is_new, struct err *e);
int repo_each_needed(struct repo *r, repo_needed *each, void *ctx, struct err *e) MUST_CHECK;
/* From the next repo_load() on the pack counts as damaged for this run, so that what it holds is stored
 * again. */
void repo_distrust(struct repo *r, const char *name);

/* ---- prune ---- */
struct prune_options {
    const struct sha *forget; /* snapshots to forget now; who chose them is not prune's affair */
    size_t forget_count;
    int64_t last_now_ns; /* what the report of the last prune of this store said; 0: there is none */
    bool exclusive;      /* no other host is at work, this host's lock is held: the grace is 0 */
    bool thorough; /* rewrite packs until 1/25 of the garbage is left, though more is moved than freed */
    bool dry_run;  /* write and delete nothing, say what would be */
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total); /* may be NULL */
    void *progress_ctx;
};
struct prune_count {
    uint64_t packs, bytes;
};
struct prune_report {
    int64_t now_ns;              /* the store's clock when the run began: the next run's last_now_ns */
    bool clock_went_back;        /* so nothing was condemned or deleted */
    uint64_t snapshots;          /* that are there and stay */
    struct strings removed;      /* hex ids of the snapshots whose undo-window is over: deleted */
    struct prune_count found;    /* all packs before the run */
    struct prune_count dead;     /* condemned: nothing in them is needed */
    struct prune_count thin;     /* condemned: what is needed of them was moved */
    struct prune_count moved;    /* new packs that hold what was moved */
    struct prune_count rescued;  /* condemned earlier, and needed after all: moved, part of `moved` */
    struct prune_count waiting;  /* condemned, and still in their grace: this run's and earlier ones' */
    struct prune_count swept;    /* deleted */
    struct prune_count retained; /* the store's own lock keeps them; tried again next time */
    struct prune_count young;    /* not needed, but so new that a backup may be at work on them */
    uint64_t garbage_left;       /* bytes in packs that stay, of what no snapshot needs */
    uint64_t marks_removed, indexes_removed, indexes_written;
    struct strings notes; /* sentences */
};
/* One run: forgets, marks what is live, moves it out of packs that are mostly garbage, condemns, sweeps,
 * tidies. Opens and loads for itself: `r` is fresh from repo_open(). The writer key is enough; where the
 * keyring can read content, frames are repacked chunk by chunk. Can be stopped or killed anywhere; the next
 * run goes on. ERR_DAMAGED when a snapshot, a mark or a list cannot be read or a chunk has no place: it is
 * named, and nothing was deleted. */
int repo_prune(struct repo *r, const struct prune_options *o, struct prune_report *out,
               struct err *e) MUST_CHECK;
void prune_report_free(struct prune_report *r);
AUTO_FOR(prune_report)

#endif
