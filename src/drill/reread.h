/* reread.h - the volume source over what was restored: as one digest, or as a feed of its tar stream. */
#ifndef LIFEBOAT_DRILL_REREAD_H
#define LIFEBOAT_DRILL_REREAD_H

#include "source/source.h"
#include "target/target.h"

#include <pthread.h>
#include <xxhash.h>

struct reread_options {
    const char *folder;         /* what was restored */
    const char *place;          /* for temporary files */
    const uint8_t *run_cut_key; /* the repository's */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};
/* *troubles: what could not be read as it should be. */
int reread_digest(const struct reread_options *o, XXH3_state_t *hash, struct strings *troubles,
                  struct err *e) MUST_CHECK;

/* A feed that a thread fills. The process ignores SIGPIPE. */
struct reread {
    struct feed base;
    const struct reread_options *o;
    struct strings troubles;
    struct err e; /* of the source */
    int rc;
    pthread_t thread;
    int from, to; /* of the pipe */
    uint8_t *block;
};
int reread_start(struct reread *r, const struct reread_options *o, struct err *e) MUST_CHECK;
/* Ends it, read or not. Afterwards rc, e and troubles say how it went; a feed that was not read to its end
 * makes the source fail, too. */
void reread_join(struct reread *r);
void reread_free(struct reread *r); /* after reread_join() */
AUTO_FOR(reread)

#endif
