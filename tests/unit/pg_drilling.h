/* pg_drilling.h - a backup of a database of the test cluster (pg_cluster.h), and drills of it. Include
 * testing.h before. */
#ifndef LIFEBOAT_TESTS_PG_DRILLING_H
#define LIFEBOAT_TESTS_PG_DRILLING_H

#include "drill/drill.h"
#include "pg_cluster.h"

struct drilling {
    struct pg_backup b;           /* configure before drilling_backup() */
    struct config_drill settings; /* scratch: the test cluster, which is quicker than a private one */
    char *here;
    struct strings server_ids;     /* that scratch must not be */
    struct snapshot_source source; /* of the snapshot: what the backup made; tests may change its streams */
    struct drill_result result;
    struct err e;
    int rc;
};
void drilling_init(struct drilling *d, const char *database); /* NULL: databases are in b.config */
void drilling_in_private(struct drilling *d);
void drilling_backup(struct drilling *d); /* must not fail */
void drilling_run(struct drilling *d);    /* any number of times */
void drilling_free(struct drilling *d);
/* A command for after-restore that runs SQL by psql; valid until the next call. */
char *drilling_sql(const char *sql);

/* All three show what was said when it was not that. */
void assert_proven(const struct drilling *d);
void assert_differs(const struct drilling *d, const char *sentence); /* a part of one of the reasons */
void assert_unable(const struct drilling *d, const char *sentence);

#endif
