/* pace.h - whether a transfer still gets on: one that stands still, or drips, would hold up a run for ever.
 */
#ifndef LIFEBOAT_STORE_PACE_H
#define LIFEBOAT_STORE_PACE_H

#include "limit.h"

/* A line that is slower is of no use: a full pack would take a day, half of what a backup may take. */
#define PACE_SLOWEST 256 /* bytes a second */

struct pace {
    uint64_t timeout_ns;
    uint64_t moved, moved_ns; /* bytes in both directions, and since when it is so */
    uint64_t mark, mark_ns;   /* bytes when it was last seen to be fast enough, and when */
};
struct pace pace_start(uint64_t timeout_ns);
/* Called now and then with what has moved so far. ERR_NET: nothing for the time-out, or in twice that fewer
 * than PACE_SLOWEST bytes for each second. */
int pace_check(struct pace *p, uint64_t moved, struct err *e) MUST_CHECK;
/* limit_wait(), and we make it wait ourselves: that time does not count. */
int pace_wait(struct pace *p, struct limit *l, size_t n, struct err *e) MUST_CHECK;

#endif
