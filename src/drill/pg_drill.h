/* pg_drill.h - how the round trip of databases is divided: pg_drill.c (the order of things), pg_roles.c
 * (stubs of roles and tablespaces), pg_back.c (the restore), pg_redump.c (what is in scratch, as a
 * fingerprint), pg_compare.c, pg_checks.c (the user's own). */
#ifndef LIFEBOAT_DRILL_PG_DRILL_H
#define LIFEBOAT_DRILL_PG_DRILL_H

#include "drill/drill.h"
#include "drill/fingerprint.h"
#include "drill/pg_scratch.h"
#include "source/pg_client.h"
#include "target/target.h"

/* No work in scratch may hang for ever: a restored function may do anything, sleep too. */
#define PG_DRILL_LIMIT_S (24 * 3600)

/* One source. */
struct pg_drill {
    const struct drill_env *env;
    struct drill_result *out;
    struct pg_scratch server; /* of all its databases */
    bool started;
    bool many; /* of several databases: sentences say which */
    bool has_globals;
    struct buf globals;
    struct strings databases; /* those that were drilled */
};

/* One of its databases. */
struct pg_drill_database {
    struct pg_drill *d;
    const struct stream_info *data;
    char *name;              /* as it is called at home */
    char *prefix;            /* of sentences: "database app: ", or empty */
    char *scratch_name;      /* as it is called in scratch */
    char *witness_name;      /* of the witness, in scratch */
    int major, minor;        /* of its server */
    int dump_major;          /* of the pg_dump that read it */
    struct buf stored;       /* its fingerprint, made at the backup */
    bool unable;             /* scratch lacks something: there is nothing to compare */
    struct strings unfilled; /* schema, name: materialized views that cannot be filled without foreign data */
    struct strings refreshes; /* the statements that should have filled them */
    bool tablespaces;         /* they were made in scratch, so they are compared */
};

/* To scratch, to a database of it. */
int pg_drill_connect(const struct pg_drill *d, struct pg *p, const char *database, struct err *e) MUST_CHECK;

/* ---- pg_roles.c ---- */
/* Makes the roles and tablespaces that the database needs and that scratch has not. */
int pg_roles_make(struct pg_drill_database *b, struct err *e) MUST_CHECK;
/* The roles that were made in a server which is not ours go again. */
void pg_roles_drop(const struct pg_drill *d);

/* ---- pg_back.c ---- */
/* With `schema_only` the definitions alone. */
int pg_drill_restore(const struct pg_drill_database *b, const char *database, bool schema_only,
                     struct target_counts *counts, struct target_postgres_report *report,
                     struct err *e) MUST_CHECK;
/* Says what the refusals mean. Sets b->unfilled, and b->unable when scratch is to blame. */
int pg_drill_judge(struct pg_drill_database *b, const struct target_postgres_report *report, bool *held,
                   struct err *e) MUST_CHECK;

/* ---- pg_compare.c ---- */
/* *held: the stream that was read is the one that was backed up. */
int pg_compare_stored(const struct pg_drill_database *b, const struct target_postgres_report *report,
                      bool *held, struct err *e) MUST_CHECK;
/* *held: so is what scratch has. */
int pg_compare_restored(const struct pg_drill_database *b, bool *held, struct err *e) MUST_CHECK;

/* ---- pg_redump.c ---- */
/* Appends the fingerprint of a database of scratch. */
int pg_redump(const struct pg_drill_database *b, const char *database, bool schema_only, struct buf *out,
              struct err *e) MUST_CHECK;
/* Fills b->unfilled, after a restore. */
int pg_unfilled(struct pg_drill_database *b, const struct target_postgres_report *report,
                struct err *e) MUST_CHECK;

/* ---- pg_checks.c ---- */
/* Both say what does not hold in b->d->out. *held: whether all did. */
int pg_after_restore(const struct pg_drill_database *b, bool *held, struct err *e) MUST_CHECK;
int pg_asserts(const struct pg_drill_database *b, bool *held, struct err *e) MUST_CHECK;
bool pg_has_asserts(const struct pg_drill *d);
/* Asserts about databases that were not there to be drilled. */
void pg_asserts_left(struct pg_drill *d);

#endif
