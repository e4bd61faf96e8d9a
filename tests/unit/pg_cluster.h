/* pg_cluster.h - a PostgreSQL of the test's own (tests/lib/pg.sh), and backups and restores of its databases.
 * Include testing.h before. */
#ifndef LIFEBOAT_TESTS_PG_CLUSTER_H
#define LIFEBOAT_TESTS_PG_CLUSTER_H

#include "source/source.h"
#include "target/target.h"

/* Starts it; PGHOST and PGUSER lead to it. Exits with 77 and a reason where no PostgreSQL is installed. */
void cluster_start(void);
void cluster_stop(void);
/* The same, for a group of tests. */
int cluster_set_up(void **state);
int cluster_tear_down(void **state);
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

/* Puts a script before a program of PostgreSQL ("pg_dump"), which it finds as $real. Returns what PATH was.
 */
char *cluster_fake(const char *program, const char *script);
void cluster_fake_end(const char *program, char *path); /* frees it */

/* ---- restores ---- */
struct memory_feed {
    struct feed base;
    struct bytes left;
    size_t piece;
    const char *fails; /* at the end, with this error */
    bool stops;        /* at the end, as if the signal came */
};
void memory_feed_init(struct memory_feed *f, struct bytes data, size_t piece);

struct restoring {
    struct target_postgres_options o;
    struct target_counts counts;
    struct err e;
    size_t piece;
    const char *fails;
    bool stops;
};
void restoring_free(struct restoring *r);
AUTO_FOR(restoring)
/* Restores a dump into a database (NULL: none is named). -1 with r->e. */
int restore(struct restoring *r, struct bytes data, const char *database);

#define assert_restored(r, data, database)       \
    do {                                         \
        if (restore(&(r), data, database))       \
            fail_msg("restore: %s", (r).e.text); \
    } while (0)
#define assert_not_restored(r, data, database, text)            \
    do {                                                        \
        assert_int_equal(restore(&(r), data, database), -1);    \
        assert_text((r).e, text);                               \
        assert_false(cluster_has_database_like("lifeboat_re")); \
    } while (0)

/* ---- databases to work with ---- */
void create_database(const char *name);
void make_small(const char *name); /* tables t (20,000 rows) and u, which refers to it */
void dump(const char *database, struct buf *out);
bool cluster_has_database_like(const char *start);

bool has_sentence(const struct strings *s, const char *part);
void assert_sentence(const struct strings *s, const char *part);
void assert_good(const struct pg_backup *b);

#endif
