/* slices.h - a volume that does not fit into scratch at once, in stretches of whole runs that do. */
#ifndef LIFEBOAT_DRILL_SLICES_H
#define LIFEBOAT_DRILL_SLICES_H

#include "drill/catalog_cursor.h"

/* What restored files take: their content, and for each an inode and the rest of its last block. */
#define SLICE_ENTRY_ROOM 4096

struct slice {
    uint64_t offset, length; /* in the tar stream */
    uint64_t first_run;
    uint64_t room; /* what it takes, restored */
};
struct slicer {
    struct catalog_cursor catalog;
    uint64_t limit;
    struct slice next; /* a run that did not fit into the one before */
    bool has_next;
    uint64_t run;
    char *largest; /* of a run that is more than the limit by itself: its largest entry */
};
int slicer_open(struct slicer *s, struct repo *r, const struct stream_info *catalog, uint64_t limit,
                struct err *e) MUST_CHECK;
/* 1: *out is the next one; its room is above the limit when it is one run, too large. 0: there are no more.
 */
int slicer_next(struct slicer *s, struct slice *out, struct err *e) MUST_CHECK;
void slicer_free(struct slicer *s);

#endif
