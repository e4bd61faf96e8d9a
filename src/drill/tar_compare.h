/* tar_compare.h - two tar streams of a tree, entry by entry: the stored one, and what was read from scratch.
 */
#ifndef LIFEBOAT_DRILL_TAR_COMPARE_H
#define LIFEBOAT_DRILL_TAR_COMPARE_H

#include "drill/drill.h"
#include "target/target.h"

struct tar_comparison {
    struct feed *stored, *reread;
    const uint64_t *replaced; /* as `skip` of tar_entries.h, of the stored one */
    size_t replaced_count;
    const char *place; /* a folder of the file system of scratch, for probes and temporary files */
    bool is_root;
    /* Of a part of a tree: the folders above it are no surprise, and a hard link to something that is not in
     * this part is not expected. NULL: this is the whole tree. */
    bool (*is_elsewhere)(void *ctx, const char *path);
    void *ctx;
};
struct tar_tally {
    uint64_t owners, modes, devices, attributes, unread; /* left out, as we are not root */
    uint64_t links;                                      /* to what lies elsewhere */
    uint64_t holes;                                      /* files with others than they had */
};
/* Says in *out what differs, and what scratch cannot hold. -1: the stored stream: ERR_DAMAGED, or its feed's
 * error; `*reread_failed`: the other one. ERR_STOPPED, ERR_SPACE for a temporary file. */
int tar_compare(const struct tar_comparison *c, struct tar_tally *tally, bool *reread_failed,
                struct drill_result *out, struct err *e) MUST_CHECK;

#endif
