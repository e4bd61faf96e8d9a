/* status.h - how the sources of a host stand: pure, from what the snapshots and receipts say. */
#ifndef LIFEBOAT_REPORT_STATUS_H
#define LIFEBOAT_REPORT_STATUS_H

#include "config/config.h"
#include "repo/repo.h"

enum status_level { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL }; /* also exit codes, as Nagios has them */
const char *status_level_name(enum status_level l);               /* "ok", "warning", "critical" */

struct source_status {
    const char *name, *type;
    const struct snapshot *last, *good,
        *proven; /* the newest; NULL: there is none. Borrowed like the texts */
    enum status_level level;
    struct strings problems; /* a sentence each, with what helps */
};
struct status {
    enum status_level level; /* the worst */
    struct source_status *v;
    size_t n;
};
/* For the sources of the configuration, or without one of all that the host's snapshots hold. Warns of a
 * night that was missed (26 hours) and of a proof that is older than 8 days or missing; two days without a
 * good backup and a drill that found a difference are critical. `all`: with proofs applied; narrowed to what
 * counts. */
void status_make(const struct config *c, const struct snapshots *all, const char *host, int64_t now_ns,
                 struct status *out);
void status_free(struct status *s);
AUTO_FOR(status)

#endif
