/* newest.h - what this host remembers of its own newest backups, STATE/<repository>/newest.json, so that a
 * store which was put back to an older state is noticed. A hint: a host that lost it notices nothing once. */
#ifndef LIFEBOAT_REPORT_NEWEST_H
#define LIFEBOAT_REPORT_NEWEST_H

#include "repo/repo.h"

struct newest_of { /* one source */
    char *source;
    struct sha snapshot;
    uint64_t sequence;
    int64_t time_ns;    /* the snapshot's */
    int64_t written_ns; /* when this host put it; 0: it has been listed since */
    bool unlisted;      /* not listed, but there by its name; found out by who asks the store, not kept */
    bool lost;          /* it is gone, and nobody has said that it may; a newer one may stand beside it */
};
struct newest {
    struct newest_of *v;
    size_t n;
    bool changed; /* since it was loaded */
    bool
        no_reader; /* the store lost its keys objects: NO_READER; found out by who asks the store, not kept */
};

#define NO_READER                                                                                           \
    "the store has lost its keys objects: nobody can read what is in it, old or new, with any identity or " \
    "passphrase: `lifeboat repair` brings them from a mirror; without one make a new repository, today"

/* What is missing is empty, and so is what is not understood, after a warning, or another host's. */
void newest_load(struct newest *out, const char *folder, const char *host);
int newest_save(struct newest *n, const char *folder, const char *host, struct err *e) MUST_CHECK;

/* Compares with all snapshots that the store lists: what is not there, was not forgotten, and has no
 * successor, is lost. What was forgotten is remembered no more. */
void newest_compare(struct newest *n, const struct snapshots *all, const char *host);
/* Remembers the sources of a snapshot of this host that are newer than those remembered. */
void newest_learn(struct newest *n, const struct snapshot *s, int64_t written_ns);
/* The highest sequence number that is remembered; 0: none. */
uint64_t newest_sequence(const struct newest *n, const char *source);
/* The one of the source that is lost, or NULL. */
const struct newest_of *newest_lost(const struct newest *n, const char *source);
/* Takes those that are lost and whose id begins with `prefix` as gone for good: how many. */
size_t newest_give_up(struct newest *n, const char *prefix);
/* A sentence: what is gone, why that may be, and what to do. Caller frees. */
char *newest_explain(const struct newest_of *lost);
void newest_free(struct newest *n);
AUTO_FOR(newest)

#endif
