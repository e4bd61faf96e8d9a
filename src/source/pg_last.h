/* pg_last.h - databases against what they were in the last good backup. */
#ifndef LIFEBOAT_SOURCE_PG_LAST_H
#define LIFEBOAT_SOURCE_PG_LAST_H

#include "source/source.h"

/* What is kept from one good backup to the next: lines "database TAB schema.table TAB rows", names as they
 * are shown; older ones have no rows, as tables whose rows were excluded. */
struct pg_last {
    const struct config_source *source;
    struct strings now;    /* lines of this run, in any order; sorted by pg_last_compare() */
    struct strings failed; /* databases that this run has not, and says so elsewhere */
};
void pg_last_add(struct pg_last *l, const char *database, const char *table, const uint64_t *rows);
/* Says in `out` what is gone, and what lost half of its rows: reasons, or notes with allow-shrink. */
void pg_last_compare(struct pg_last *l, struct bytes last, struct source_result *out);
void pg_last_free(struct pg_last *l);

#endif
