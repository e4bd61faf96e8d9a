/* metrics.h - how a host's backups stand, in Prometheus' text exposition format 0.0.4. */
#ifndef LIFEBOAT_REPORT_METRICS_H
#define LIFEBOAT_REPORT_METRICS_H

#include "report/record.h"
#include "report/status.h"

struct metrics {
    const char *host;
    const struct status *status; /* NULL: the store could not be read */
    const struct record *record;
    size_t snapshots;
    bool has_space;
    uint64_t free_bytes, total_bytes;
};
void metrics_write(const struct metrics *m, struct buf *out);

#endif
