/* notify.h - tells others how runs end: a dead-man's switch, and news to a webhook. What cannot be told costs
 * seconds and a warning, never the run. */
#ifndef LIFEBOAT_REPORT_NOTIFY_H
#define LIFEBOAT_REPORT_NOTIFY_H

#include "report/record.h"

/* Says in the background that a run has begun, to [notify] ping-url followed by /start. `c` is borrowed until
 * notify_end(). NULL where no switch is set. */
struct ping *notify_begin(const struct config *c);

enum notify_end { NOTIFY_WELL, NOTIFY_BADLY };
struct notify_result {
    enum notify_end end;
    const char *reason; /* for NOTIFY_BADLY: what goes to ping-url followed by /fail */
    int64_t now_ns;
};
/* Ends `ping` (may be NULL): to ping-url itself when all went well. At the same time the webhook gets what is
 * news in the record; when it has taken it the record says so, else it is tried again by the next run. */
void notify_end(struct ping *ping, const struct config *c, const struct notify_result *how, struct record *r);

#endif
