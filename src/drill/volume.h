/* volume.h - the round trip of a volume in its parts: a test can come in between. For each slice (usually
 * one, all of it): volume_drill_restore(), volume_drill_compare(), volume_drill_clear(); then
 * volume_drill_end(). */
#ifndef LIFEBOAT_DRILL_VOLUME_H
#define LIFEBOAT_DRILL_VOLUME_H

#include "drill/catalog_check.h"
#include "drill/drill.h"
#include "drill/slices.h"
#include "drill/tar_compare.h"

#include <xxhash.h>

struct volume_drill {
    const struct drill_env *env;
    struct drill_result *out;
    const char *place; /* scratch; borrowed */
    uint64_t limit;    /* bytes that may be in it at a time */
    bool is_root;
    const struct stream_info *data, *catalog;
    char *folder; /* in scratch: where it is restored */
    bool whole;   /* all of it fits: no slices */
    bool done;    /* no slice is left */
    struct slicer slicer;
    struct slice slice; /* at hand */
    struct catalog_check check;
    bool may_be_equal;  /* the stream of what is in scratch; not when owners are left out */
    XXH128_hash_t hash; /* of the stored stream, seeded: */
    uint64_t hash_seed;
    struct err refused; /* some entries of the slice could not be made */
    struct tar_tally tally;
    uint64_t restored_ns, compared_ns;
    bool restored, compared; /* what was, so far */
    bool catalog_failed;     /* what broke the restore off was the look at the catalog */
    const char *step;        /* for the progress */
};
/* `place`: an existing folder. `limit`: what may be used of it. 1: it is no use to go on, here and below; the
 * result says why. */
int volume_drill_open(struct volume_drill *d, const struct drill_env *env, const char *place, uint64_t limit,
                      struct drill_result *out, struct err *e) MUST_CHECK;
int volume_drill_next(struct volume_drill *d, bool *more, struct err *e) MUST_CHECK;
int volume_drill_restore(struct volume_drill *d, struct err *e) MUST_CHECK;
int volume_drill_compare(struct volume_drill *d, struct err *e) MUST_CHECK;
int volume_drill_clear(struct volume_drill *d, struct err *e) MUST_CHECK;
int volume_drill_end(struct volume_drill *d, struct err *e) MUST_CHECK;
void volume_drill_finish(struct volume_drill *d, bool ended); /* notes, layers, counts; `ended`: all gave 0 */
void volume_drill_free(struct volume_drill *d);
AUTO_FOR(volume_drill)

/* All of it. */
int volume_drill_run(const struct drill_env *env, const char *place, uint64_t limit, struct drill_result *out,
                     struct err *e) MUST_CHECK;

#endif
