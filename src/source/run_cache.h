/* run_cache.h - the runs of a volume's last backup: a run's key, and the references of its bytes. A hint on
 * disk, never trusted: each record carries a checksum, and its references count only if the repository has
 * their chunks.
 *
 *   "lifeboat runs 1\n"[16], then records: key[16], u64 bytes, u32 references, u32 zero, u64 XXH3-64 of the
 * references (24 bytes each) and of the 32 bytes before it, then the references. In the machine's byte order:
 * a cache does not travel. */
#ifndef LIFEBOAT_SOURCE_RUN_CACHE_H
#define LIFEBOAT_SOURCE_RUN_CACHE_H

#include "base/base.h"
#include "repo/stream.h"
#include "runs.h"

struct run_cache;

/* Opens what the last backup left at `path` (nothing there, or rubbish, is fine) and starts a new file beside
 * it. Temporary files go to spool_dir. */
struct run_cache *run_cache_new(const char *path, const char *spool_dir, struct err *e) MUST_CHECK;
/* The references of a known run, within the mapped file; they add up to *bytes. false: not known, or not
 * sound. */
bool run_cache_find(const struct run_cache *c, const uint8_t key[RUN_KEY], uint64_t *bytes,
                    const struct ref **refs, size_t *n);
/* Writing, one run after the other: its references as they come, then its end with `keep` or without. After
 * a failure nothing more is to be written; the old file stays, and what it knows is found. */
int run_cache_add_refs(struct run_cache *c, const struct ref *refs, size_t n, struct err *e) MUST_CHECK;
int run_cache_end_run(struct run_cache *c, const uint8_t key[RUN_KEY], uint64_t bytes, bool keep,
                      struct err *e) MUST_CHECK;
int run_cache_finish(struct run_cache *c,
                     struct err *e) MUST_CHECK; /* the new file takes the old one's place */
/* Gives the room of the new file back. NULL is fine. */
void run_cache_abandon(struct run_cache *c);
void run_cache_free(struct run_cache *c);
AUTO_PTR_FOR(run_cache)

#endif
