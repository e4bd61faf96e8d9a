/* fingerprint.h - what differs between two databases, by their fingerprints (docs/fingerprint.md), in words.
 * No I/O; memory and time grow with the lines, whatever stands in them. */
#ifndef LIFEBOAT_DRILL_FINGERPRINT_H
#define LIFEBOAT_DRILL_FINGERPRINT_H

#include "base/base.h"

struct fingerprint_compare {
    struct bytes original, now;
    struct bytes witness; /* of a schema-only restore of the same archive; n = 0: there is none */
    /* Lines of the original that are not expected in `now`: */
    bool without_subscriptions;     /* subscriptions, and what is said about them */
    bool without_tablespaces;       /* not the lines, only what they say of tablespaces, on both sides */
    bool without_database;          /* lines of scope "database", on both sides */
    const struct strings *unfilled; /* schema, name, schema, name ...: materialized views that may be empty in
                                     * `now`; NULL: none */
    /* May be NULL; texts are borrowed. A sentence that names the object; an object by its name. */
    void (*differs)(void *ctx, const char *sentence);
    void (*respelled)(void *ctx, const char *object);
    void *ctx;
};
struct fingerprint_result {
    uint64_t differences;
    uint64_t
        spellings; /* of the differences: only the definition is another one, so a witness may settle it */
    uint64_t respelled;    /* settled by the witness */
    uint64_t tables, rows; /* of the original */
    uint64_t without_rows; /* tables that are there, and whose rows the original has not (excluded data) */
    char *without_rows_example; /* one of them; NULL: none */
    uint64_t subscriptions;     /* left out */
    uint64_t foreign_tables;    /* of the original */
};
/* 0: *out tells. -1: ERR_DAMAGED, one of them is not a fingerprint, or ERR_UNPROVEN, of a version that is not
 * known: nothing may be concluded. What was said to `differs` before that means nothing either. */
int fingerprint_compare(const struct fingerprint_compare *c, struct fingerprint_result *out,
                        struct err *e) MUST_CHECK;
void fingerprint_result_free(struct fingerprint_result *r);
AUTO_FOR(fingerprint_result)

/* Names that stand in it: who owns objects, of which types, and where they lie. Adds each once. `type` NULL:
 * any. */
int fingerprint_owners(struct bytes fingerprint, const char *type, struct strings *out,
                       struct err *e) MUST_CHECK;
int fingerprint_tablespaces(struct bytes fingerprint, struct strings *out, struct err *e) MUST_CHECK;

#endif
