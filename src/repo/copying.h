/* copying.h - what copy and repair share: bringing objects of one repository into another one's store. */
#ifndef LIFEBOAT_REPO_COPYING_H
#define LIFEBOAT_REPO_COPYING_H

#include "repo/copy.h"
#include "repo/transfer.h"
#include "repo/tree.h"

struct copying {
    struct repo *from, *to;
    struct copy_report *out;
    struct strings *names; /* gets the name of each object that was put; NULL: nobody asks */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
    uint64_t done_bytes, total_bytes; /* of packs, for the progress */
    uint64_t bad_packs;               /* that `from` lists and could not give: damaged in its index now */
    struct transfers sending;
    struct sha_set healed;    /* packs that `to` had with wrong bytes, until now */
    struct sha_set there;     /* snapshots on `to` whose bytes are right, sorted */
    struct sha_set arrived;   /* those that came there meanwhile */
    struct list_reader lists; /* of `from` */
    struct bigmap *walked;    /* list chunks that were looked into -> 1: all below is on `to` */
};
void copying_begin(struct copying *c);
void copying_free(struct copying *c);
AUTO_FOR(copying)

/* One pack, put or in place of a bad one; it is in the index of `to` after transfers_finish(). */
int copy_pack(struct copying *c, const struct pack_info *p, struct err *e) MUST_CHECK;
/* Each of these walks both stores and sends what `to` lacks; both repositories are loaded. Of indexes those
 * that name packs on `to` that no index there knows. */
int copy_indexes(struct copying *c, struct err *e) MUST_CHECK;
int copy_keys(struct copying *c, struct err *e) MUST_CHECK;
/* Those that are wanted (neither forgotten nor broken, says the caller) and not there. Sorts and fills
 * `there`. */
int copy_snapshots(struct copying *c, const struct snapshots *all, struct err *e) MUST_CHECK;
/* Receipts of snapshots that are on `to`, and what marks say of them. */
int copy_receipts(struct copying *c, struct err *e) MUST_CHECK;
int copy_marks(struct copying *c, struct err *e) MUST_CHECK;
/* Lists the snapshots of `to` into `there`. */
int list_there(struct copying *c, struct err *e) MUST_CHECK;

/* Takes the marks away that call healed packs damaged. What cannot be deleted is a note. */
int marks_heal(struct copying *c, struct err *e) MUST_CHECK;

#endif
