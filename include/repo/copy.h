/* copy.h - mirrors: other stores of the same repository. They get what they lack, and give back what the
 * first store has lost (docs/format.md, section 12). Both repositories are open with the same keys; the
 * writer key is enough. */
#ifndef LIFEBOAT_REPO_COPY_H
#define LIFEBOAT_REPO_COPY_H

#include "repo/repo.h"

struct copy_options {
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* bytes of packs; may be NULL */
    void *progress_ctx;
};
struct copy_report {
    uint64_t packs, snapshots, others; /* objects that were put; others: indexes, keys, receipts, marks */
    uint64_t bytes;                    /* of all of them */
    uint64_t waiting;                  /* snapshots that are held back: not all they need can be had there */
    uint64_t left_out;                 /* snapshots, keys, receipts, marks that could not be read on `from` */
    struct strings notes;              /* sentences: what was not copied, and why */
};
/* Brings `to` up to date: packs, indexes, keys, then each snapshot of which every chunk is on `to` outside
 * packs that are condemned there, then receipts and marks of snapshots. A name that is condemned on `to` gets
 * no second life. Every object is compared with its name on the way; one that does not fit is named and not
 * copied. What is on `to` is not fetched. Nothing is deleted. Can be killed anywhere; the next copy goes on.
 * -1: the copy could not go on (a store does not answer, is full, ...). Takes new views of both. */
int repo_copy(struct repo *from, struct repo *to, const struct copy_options *o, struct copy_report *out,
              struct err *e) MUST_CHECK;
void copy_report_free(struct copy_report *r);
AUTO_FOR(copy_report)

struct repair_options {
    unsigned read_percent; /* as for a check: 100 reads every byte of every pack */
    /* Whether a snapshot that only a mirror has shall come back; NULL: none does. */
    bool (*wanted)(void *ctx, const struct snapshot *s);
    void *wanted_ctx;
    /* Snapshots that are there by their names and not listed: below delete markers. */
    const struct sha *hidden;
    size_t hidden_count;
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};
struct repair_report {
    struct strings healed; /* names of objects that are whole again */
    struct strings lost;   /* "name: why": what no mirror could give */
    struct strings notes;
    uint64_t bytes; /* put back */
};
/* Looks at `first` as a check does, and puts back what is damaged or missing there, from older versions in a
 * bucket that keeps them, then from the mirrors (n may be 0): small objects, packs, snapshots. Names that are
 * condemned on `first` get no second life. Takes the marks away that call a healed pack damaged. -1: could
 * not go on. */
int repo_repair(struct repo *first, struct repo *const *mirrors, size_t n, const struct repair_options *o,
                struct repair_report *out, struct err *e) MUST_CHECK;
void repair_report_free(struct repair_report *r);
AUTO_FOR(repair_report)

#endif
