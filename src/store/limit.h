/* limit.h - one speed for many transfers: who wants to move n bytes waits until they fit. Safe from any
 * thread.
 */
#ifndef LIFEBOAT_STORE_LIMIT_H
#define LIFEBOAT_STORE_LIMIT_H

#include "base/base.h"

struct limit;
struct limit *limit_new(uint64_t bytes_per_second); /* NULL for 0: no limit, and fine below */
/* How much to move at once so that nobody waits long. */
size_t limit_piece(const struct limit *l, size_t n);
int limit_wait(struct limit *l, size_t n, struct err *e) MUST_CHECK; /* -1: asked to stop */
void limit_free(struct limit *l);
AUTO_PTR_FOR(limit)

/* Sleeps, looking at stop_requested ten times a second. -1 with ERR_STOPPED. */
int sleep_unless_stopped(uint64_t ns, struct err *e) MUST_CHECK;

#endif
