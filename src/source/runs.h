/* runs.h - how entries are gathered into runs, and what a run is known by. A run ends after an entry that a
 * keyed hash of its path picks, the likelier the more the entry weighs; so a new file moves the ends of its
 * own run and of no other (but for the limit). */
#ifndef LIFEBOAT_SOURCE_RUNS_H
#define LIFEBOAT_SOURCE_RUNS_H

#include "codec/chunker.h"
#include "walk.h"

#define RUN_AIM      (16u << 10)  /* bytes, on the average */
#define RUN_LARGE    (256u << 10) /* a file above this is a run of its own */
#define RUN_MAX      (512u << 10) /* a run ends here at the latest, a large file aside */
#define ENTRY_WEIGHT 1536         /* what the headers of an entry take: three blocks of tar */
#define RUN_ENTRIES  (RUN_MAX / ENTRY_WEIGHT + 1)
#define RUN_KEY      16
#define RUN_CUT_KEY  32

struct run {
    struct entry *entries[RUN_ENTRIES]; /* owned */
    size_t n;
    uint64_t weight;
};

/* Whether this entry must not join others. */
bool run_wants_alone(const struct entry *e);
/* Takes the entry over. true: the run ends with it. */
bool run_add(struct run *r, struct entry *e, const uint8_t cut_key[RUN_CUT_KEY]);
/* A hash over all that the bytes of the run depend on, as far as it can be known without opening a file. */
void run_key(const struct run *r, const struct chunk_params *params, const uint8_t cut_key[RUN_CUT_KEY],
             uint8_t out[RUN_KEY]);
void run_clear(struct run *r);

#endif
