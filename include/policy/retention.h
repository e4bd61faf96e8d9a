/* retention.h - which snapshots are kept, and why: pure functions over plain data. docs/retention.md has the
 * rules in words. Nothing here deletes anything. */
#ifndef LIFEBOAT_POLICY_RETENTION_H
#define LIFEBOAT_POLICY_RETENTION_H

#include "base/zone.h"
#include "config/config.h"
#include "policy/verdict.h"

/* One source of one host, as one snapshot has it. */
struct moment {
    size_t snapshot; /* the caller's number of the snapshot, for retention_combine() and retention_alarm() */
    int64_t time_ns; /* the earlier of the snapshot's own time and stored_ns */
    int64_t stored_ns; /* the store's time of the object */
    uint64_t sequence;
    enum verdict verdict; /* of this source */
    bool pinned, proven;
    bool lost; /* somebody forgot it since the last prune: for retention_alarm() alone */
};

struct retention {
    struct keep_rules keep;
    const struct zone *zone; /* borrowed; NULL: the machine's */
    int64_t now_ns;          /* the store's */
};

/* Why a moment is kept: a set of these. */
enum {
    KEPT_NO_RULE = 1 << 0, /* none is set */
    KEPT_PINNED = 1 << 1,
    KEPT_PROVEN = 1 << 2,     /* the newest proven one */
    KEPT_UNREPLACED = 1 << 3, /* not good, and no good one came after it */
    KEPT_MIN = 1 << 4,
    KEPT_LAST = 1 << 5,
    KEPT_WITHIN = 1 << 6,
    KEPT_PERIOD = 1 << 7, /* shifted by an enum keep_period */
};
struct decision {
    unsigned why;  /* 0: it may go */
    unsigned rank; /* of a good one: 1 for the last, and so on */
};

/* Decides for all moments of one source of one host, in any order: out[i] is about m[i]. n log n. */
void retention_decide(const struct retention *r, const struct moment *m, size_t n, struct decision *out);
/* Appends a phrase for each rule that keeps it ("daily 2026-03-01", "within 30d", "last good 2 of 3"), or one
 * that says why none does. */
void retention_explain(const struct retention *r, const struct moment *m, const struct decision *d,
                       struct strings *out);

/* Begin with `drop` all true for every snapshot that has a source, then call it for each source of each host:
 * what stays true may go in every source of its snapshot. */
void retention_combine(const struct moment *m, const struct decision *d, size_t n, bool *drop);

/* ---- when a person should look first ---- */
#define RETENTION_NEVER INT64_MIN /* there was no prune before */
struct retention_alarm {
    bool half;            /* more than half would go: */
    size_t left, dropped; /* of so many that the last prune left, so many */
    size_t lost;          /* of these so many because somebody forgot them */
    bool flood;           /* more than 4 times the usual number appeared: */
    size_t appeared, usual;
    bool proof;       /* somebody forgot what is proven */
    int64_t since_ns; /* the last prune */
};
/* For one source of one host; `drop` as retention_combine() left it. last_prune_ns is in the store's time. */
void retention_alarm(const struct moment *m, size_t n, const bool *drop, int64_t last_prune_ns,
                     int64_t now_ns, struct retention_alarm *out);
/* Appends a sentence for each alarm. */
void retention_alarm_explain(const struct retention_alarm *a, struct strings *out);

/* ---- what a policy would hold ---- */
struct simulation {
    const struct moment *held; /* after the prune of this moment, oldest first; sequences count from 1 */
    const struct decision *why;
    size_t n;
    int64_t time_ns; /* of the backup and prune */
};
/* From start_ns on, for `for_s` seconds, takes a good snapshot every `every_s` (at least 1) and prunes after
 * it. Calls `step` after each; one that returns false ends it. A step costs n log n in what is held. */
void retention_simulate(const struct retention *r, int64_t start_ns, uint64_t every_s, uint64_t for_s,
                        bool (*step)(void *ctx, const struct simulation *s), void *ctx);

#endif
