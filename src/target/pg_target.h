/* pg_target.h - how the postgres target is divided: postgres.c (the order of things), pg_contents.c (what is
 * in an archive, and what of it belongs to a table), pg_database.c (databases: are they empty, made, swapped,
 * dropped), pg_script.c (SQL scripts, statement by statement).
 *
 * A database is restored under a name of its own ("lifeboat_restore_...") and gets the real one by ALTER
 * DATABASE
 * ... RENAME when it is complete, so what is half done never stands under the name that applications use.
 * What `pg_restore --create` would do for the database itself (encoding, locale, owner, settings, comment,
 * privileges) is taken as SQL from `pg_restore --create -f -` over those entries alone, with the archive's
 * database name, which stands after the word DATABASE, replaced by ours. */
#ifndef LIFEBOAT_TARGET_PG_TARGET_H
#define LIFEBOAT_TARGET_PG_TARGET_H

#include "source/pg_archive.h"
#include "source/pg_client.h"
#include "target/target.h"

/* ---- pg_script.c: scripts as pg_dumpall and pg_restore write them (standard_conforming_strings on) ---- */
struct pg_script {
    const char *p, *end;
};
static inline struct pg_script pg_script_of(struct buf *text) /* borrowed */
{
    const char *p = buf_cstr(text);
    return (struct pg_script){p, p + text->n};
}
/* 1: the next statement, without its semicolon, comments before it and psql's \restrict, \connect, \encoding;
 * 0: no more; -1: ERR_FAILED, another psql command. */
int pg_script_next(struct pg_script *s, struct bytes *statement, struct err *e) MUST_CHECK;
/* The next of its tokens but blanks and comments. False: no more. */
bool pg_script_token(const char **p, const char *end, struct bytes *token);
bool pg_script_is(struct bytes token, const char *word);
/* The token after `CREATE DATABASE`; NULL: another statement. Caller frees. */
char *pg_script_created_database(struct bytes statement);
/* The statement with `to` for the database name `from` wherever it names a database; NULL when it does
 * nowhere. Both as they stand in SQL. Caller frees. */
char *pg_script_rename(struct bytes statement, const char *from, const char *to);

/* ---- pg_contents.c ---- */
struct pg_entry {
    long id;
    unsigned long catalog; /* OID of the catalog of its object; 0: it is data, a comment, an ACL, ... */
    const char *type;      /* one of a static list, or NULL: another */
    const char *line;      /* as pg_restore lists it, without the newline */
    const char *rest;      /* of the line, behind the type: schema, name, owner, newlines as spaces */
    long *dependencies;
    size_t dependency_count;
    bool chosen;
};
struct pg_contents {
    struct buf text; /* what `pg_restore --list --verbose` printed */
    struct pg_entry *v;
    size_t n, cap;
    struct pg_entry **by_id; /* sorted */
};
#define PG_CONTENTS_NONE \
    {                    \
        0                \
    }
/* Takes over c->text. */
void pg_contents_parse(struct pg_contents *c);
/* Chooses the entries about the database itself. */
void pg_contents_choose_database(struct pg_contents *c);
struct pg_wanted {
    const char *schema, *name;
};
/* Chooses a table and what belongs to it (rows, defaults, indexes, constraints, triggers, policies, its
 * sequences, partitions). With `needs` also what these need to exist. Foreign keys to tables that are not
 * chosen are left out and noted. False: it is not in there. */
bool pg_contents_choose_table(struct pg_contents *c, const struct pg_wanted *w);
void pg_contents_complete(struct pg_contents *c, bool needs, struct strings *notes);
void pg_contents_forget_choice(struct pg_contents *c);
/* Chooses all but event triggers and, without `subscriptions`, these. False: nothing had to be left out, and
 * nothing is chosen. */
bool pg_contents_choose_first(struct pg_contents *c, bool subscriptions);
/* Chooses event triggers and what is said about them. False: there are none. */
bool pg_contents_choose_late(struct pg_contents *c);
/* The extensions that it makes (of the chosen entries, if any is chosen). */
void pg_contents_extensions(const struct pg_contents *c, struct strings *out);
void pg_contents_print(const struct pg_contents *c, struct buf *list); /* the chosen ones, for --use-list */
void pg_contents_free(struct pg_contents *c);
AUTO_FOR(pg_contents)

/* ---- pg_database.c: over a connection to another database of the server ---- */
enum pg_database_state { PG_DATABASE_ABSENT, PG_DATABASE_EMPTY, PG_DATABASE_FULL };
/* Connects to a database of the server that is not `name`. */
int pg_database_server(struct pg *p, const char *connection, const char *name, struct err *e) MUST_CHECK;
/* *what: a sentence about what is in it when it is full; the caller frees it. */
int pg_database_look(struct pg *p, const char *connection, const char *name, enum pg_database_state *state,
                     char **what, struct err *e) MUST_CHECK;
/* Both end the sessions that stand in the way. */
int pg_database_rename(struct pg *p, const char *from, const char *to, struct err *e) MUST_CHECK;
/* `name` becomes `old` and `new` becomes `name`, both or neither. */
int pg_database_swap(struct pg *p, const char *name, const char *new, const char *old,
                     struct err *e) MUST_CHECK;
/* Ends its sessions. Works after a signal, too. */
int pg_database_drop(struct pg *p, const char *name, struct err *e) MUST_CHECK;
/* Those of `wanted` that the server does not have to offer. */
int pg_database_missing_extensions(struct pg *p, const struct strings *wanted, struct strings *missing,
                                   struct err *e) MUST_CHECK;

/* ---- one restore ---- */
struct pg_restore {
    struct feed *in;
    const struct target_postgres_options *o;
    struct target_counts *counts;
    struct pg server; /* connected to another database */
    char *name;       /* the database asked for */
    enum pg_database_state state;
    char *into;   /* what is restored into: `name`, or a side database */
    bool made;    /* `into` was made here, and goes again when the restore fails */
    char *create; /* the statement that makes it; NULL: the archive has none */
    int spool;    /* the start of the stream; with jobs all of it */
    uint64_t spooled;
    bool ended;  /* the stream was read to its end */
    bool begun;  /* pg_restore was started */
    bool listed; /* it gets a list of what to restore */
    struct pg_archive *archive;
    int at_least; /* the major of a pg_restore that can read the archive; 0: any */
    struct pg_contents contents;
    struct strings settings; /* of the options', those that its sessions must be given */
    struct strings about;    /* statements about the database, to run at the end */
    struct strings errors;   /* the first that the server refused */
    unsigned long error_count;
};
static inline bool pg_restore_has_tables(const struct pg_restore *r)
{
    return r->o->tables && r->o->tables[0];
}
/* Tables go into a database that is in use. */
static inline bool pg_restore_adds_tables(const struct pg_restore *r)
{
    return pg_restore_has_tables(r) && r->state == PG_DATABASE_FULL;
}
/* Counts it, keeps the first. `statement`: what was refused, n = 0 when that is not known. */
void pg_restore_error(struct pg_restore *r, struct bytes what, struct bytes statement);
char *pg_restore_errors(const struct pg_restore *r); /* those kept; caller frees */
void pg_side_name(char out[64], const char *what);   /* "lifeboat_WHAT_3f9a..." */
/* The pg_restore that reads this archive and knows that server. */
int pg_restore_program(const struct pg_restore *r, struct pg_program *g, struct err *e) MUST_CHECK;

/* ---- pg_stream.c: from the feed to pg_restore ---- */
/* Reads as much as it takes to know the table of contents. */
int pg_stream_contents(struct pg_restore *r, struct err *e) MUST_CHECK;
/* 0 also when the server refused statements: r->errors. */
int pg_stream_restore(struct pg_restore *r, struct err *e) MUST_CHECK;
int pg_stream_late(struct pg_restore *r, struct err *e) MUST_CHECK; /* event triggers */
/* The chosen entries as a file that a child opens as /proc/self/fd/N; returns N. */
int pg_stream_list(struct pg_restore *r, struct err *e) MUST_CHECK;

/* ---- pg_choose.c ---- */
int pg_choose_entries(struct pg_restore *r, struct err *e) MUST_CHECK;
int pg_choose_check(struct pg_restore *r,
                    struct err *e) MUST_CHECK; /* can this server take what is chosen? */

/* ---- pg_setup.c: around the restore ---- */
int pg_setup_roles(struct pg_restore *r, struct err *e) MUST_CHECK; /* runs the globals */
int pg_setup_read(struct pg_restore *r, struct err *e) MUST_CHECK;  /* fills create and about */
int pg_setup_database(struct pg_restore *r,
                      struct err *e) MUST_CHECK;                     /* makes it, and says what values mean */
int pg_setup_verify(struct pg_restore *r, struct err *e) MUST_CHECK; /* is it all there? */
int pg_setup_finish(struct pg_restore *r,
                    struct err *e) MUST_CHECK; /* owner, settings, comment, privileges */

#endif
