/* check.h - how repo_check() is divided: check.c (small objects, snapshots, marks) and check_packs.c (every
 * byte of packs). */
#ifndef LIFEBOAT_REPO_CHECK_H
#define LIFEBOAT_REPO_CHECK_H

#include "repo/internal.h"
#include "repo/marks.h"
#include "repo/tree.h"

struct checking {
    struct repo *repo;
    struct check_report *report;
    const struct check_options *options;
    const struct snapshot *snapshot; /* being walked */
    uint64_t snapshot_number;        /* counts from 1 */
    struct bigmap
        *lists; /* seen, by list_key(); for each: 0, or the snapshots in which something is missing */
    struct list_reader reader;
    bool *known_bad;  /* by pack: had a mark before this check */
    size_t *error_of; /* by pack: 1 + the number of its error; 0: none is known. There may be a million chunks
                         missing. */
    struct marks marks;  /* those of damage, from before this check; read when there are some */
    struct sha_set good; /* packs that they name, and of which every byte was verified */
    bool hidden;         /* content that was not looked into */
};

/* The error of that object; one with `what` when there is none yet. */
struct check_error *check_add_error(struct check_report *report, const char *object, const char *what);

/* Reads each pack that has its turn: those that are bad get PACK_DAMAGED and an error. */
int check_packs(struct checking *c, struct err *e) MUST_CHECK;

#endif
