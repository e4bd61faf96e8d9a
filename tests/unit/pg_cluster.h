/* pg_cluster.h - a PostgreSQL of the test's own (tests/lib/pg.sh), and backups and restores of its databases.
 * Include testing.h before. */
#ifndef LIFEBOAT_TESTS_PG_CLUSTER_H
#define LIFEBOAT_TESTS_PG_CLUSTER_H

#include "source/source.h"
#include "target/target.h"

/* Starts it; PGHOST and PGUSER lead to it. Exits with 77 and a reason where no PostgreSQL is installed. */
void cluster_start(void);
void cluster_stop(void);
const char *cluster_folder(void); /* holds the socket; removed by cluster_stop */

/* Runs SQL in a database; the test fails when it fails. */
void cluster_sql(const char *database, const char *sql);
/* The first value of the answer; free(). */
char *cluster_value(const char *database, const char *sql);
bool cluster_has_database(const char *name);
/* Runs a shell command with PGHOST and the like set; the test fails when it does. Its output; free(). */
char *cluster_shell(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* "host='...' user='postgres' dbname='...'", quoted; free(). */
char *cluster_connection(const char *user, const char *database);

/* ---- a backup by source_backup() into a repository in memory ---- */
struct pg_backup {
    struct test_repo repo;
    struct config_source config; /* set up before; connection is the server without a database */
    struct source_env env;       /* the same */
    struct source_result result;
    struct err e;
    int rc;
};
void backup_init(struct pg_backup *b, const char *database); /* NULL: none is named */
void backup_run(struct pg_backup *b);                        /* any number of times */
void backup_free(struct pg_backup *b);
const struct stream_info *backup_stream(const struct pg_backup *b, const char *name); /* fails if not there */
void backup_read(struct pg_backup *b, const char *stream, struct buf *out);
/* The fingerprint of a database as it is now; free(). */
char *fingerprint_now(const char *database);

/* ---- restores ---- */
struct memory_feed {
    struct feed base;
    struct bytes left;
    size_t piece;
    const char *fails; /* at the end, with this error */
    bool stops;        /* at the end, as if the signal came */
};
void memory_feed_init(struct memory_feed *f, struct bytes data, size_t piece);

#endif
