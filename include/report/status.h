/* status.h - how the sources of a host stand: pure, from what the snapshots and receipts say. */
#ifndef LIFEBOAT_REPORT_STATUS_H
#define LIFEBOAT_REPORT_STATUS_H

#include "config/config.h"
#include "report/newest.h"
#include "report/record.h"

enum status_level { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL }; /* also exit codes, as Nagios has them */
const char *status_level_name(enum status_level l);               /* "ok", "warning", "critical" */

struct source_status {
    const char *name, *type;
    const struct snapshot *last, *good,
        *proven; /* the newest; NULL: there is none. Borrowed like the texts */
    enum status_level level;
    struct strings problems; /* a sentence each, with what helps */
    /* When the next good backup and the next proof are due: from then on there is a warning. 0: at once. */
    int64_t backup_due_ns, drill_due_ns;
};

/* What this host remembers of its copies to a mirror. */
struct mirror_note {
    char *name;
    int64_t complete_ns; /* when the last complete copy began; 0: none is known */
    char *error;         /* why the last copy was not complete; NULL */
};
struct mirror_notes {
    struct mirror_note *v;
    size_t n;
};
/* For each mirror of the configuration, from `folder`. */
void mirror_notes_load(struct mirror_notes *out, const char *folder, const struct config *c);
/* complete_ns 0: it was not, for the reason `error`; what is known of complete ones stays. */
int mirror_note_save(const char *folder, const char *name, int64_t complete_ns, const char *error,
                     struct err *e) MUST_CHECK;
void mirror_notes_free(struct mirror_notes *m);
AUTO_FOR(mirror_notes)

struct mirror_status {
    const struct mirror_note *note; /* borrowed */
    size_t behind;                  /* snapshots that were taken since the last complete copy */
    int64_t due_ns;                 /* the next complete copy; 0: at once */
    enum status_level level;
    struct strings problems;
};
struct status {
    enum status_level level; /* the worst */
    struct source_status *v;
    size_t n;
    struct mirror_status *mirrors;
    size_t mirror_count;
};
/* For the sources of the configuration, or without one of all that the host's snapshots hold. Warns of a
 * night that was missed (26 hours) and of a proof that is older than 8 days or missing; two days without a
 * good backup and a drill that found a difference are critical. Warns of a mirror without a complete copy for
 * two days. `all`: with proofs applied; narrowed to what counts. A backup that is lost is critical. */
void status_make(const struct config *c, const struct snapshots *all, const struct mirror_notes *mirrors,
                 const struct newest *newest, const char *host, int64_t now_ns, struct status *out);
/* When a command that looks after all sources is due again, having ended at `ran`: prune after 26 hours,
 * check after 8 days, as their timers have it and as long as backups and drills are waited for. 0: nothing
 * waits for it. */
int64_t status_run_due_ns(const struct ran *ran);
void status_free(struct status *s);
AUTO_FOR(status)

#endif
