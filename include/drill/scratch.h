/* scratch.h - the folder that a drill works in: fresh, 0700, and gone afterwards, also after a crash (the
 * next drill in the same place finds what is left, ends its processes and removes it). */
#ifndef LIFEBOAT_DRILL_SCRATCH_H
#define LIFEBOAT_DRILL_SCRATCH_H

#include "base/base.h"

struct scratch;
struct scratch_options {
    const char *directory;          /* [drill] directory; made when missing (0700) */
    const struct strings *keep_out; /* folders of sources and stores */
    bool temporary; /* `directory` itself goes, too; it is nobody's but ours: else ERR_USAGE */
};
/* Takes the lock of `directory` (one drill at a time there; waits for none: ERR_UNPROVEN "another drill is
 * running"), removes what dead drills left, makes a folder. ERR_USAGE: directory lies inside one of keep_out,
 * or one of these inside it (compared by device and inode on the way up, so symlinks do not help), or on a
 * memory file system. */
struct scratch *scratch_new(const struct scratch_options *o, struct err *e) MUST_CHECK;
const char *scratch_path(const struct scratch *s); /* absolute */
/* Bytes that may be used there (free to us, less 256 MiB). */
uint64_t scratch_room(const struct scratch *s);
void scratch_free(struct scratch *s); /* ends what still runs in it, removes it */
AUTO_PTR_FOR(scratch)

#endif
