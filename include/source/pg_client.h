/* pg_client.h - talking to a PostgreSQL server: a control connection by libpq, and the server's own programs
 * (pg_dump, pg_dumpall, pg_restore) run against the very same server as the very same user. Settings reach a
 * program through its environment; a password never stands in an argument. One thread a connection. */
#ifndef LIFEBOAT_SOURCE_PG_CLIENT_H
#define LIFEBOAT_SOURCE_PG_CLIENT_H

#include "base/base.h"
#include "base/child.h"
#include "source/pg_container.h"

#include <libpq-fe.h>

struct pg {
    PGconn *conn;
    int version;         /* 150020 */
    char sqlstate[6];    /* of the last query that failed; "" when it was no SQL error */
    unsigned patience_s; /* a query without an answer for that long has failed; 0: no limit */
    bool ignores_stop;   /* for cleaning up after the signal came */
    const struct pg_container *container; /* that it runs in, for its programs; borrowed; or NULL */
};
#define PG_NONE \
    {           \
        0       \
    }

/* Connects. `connection`: libpq string or URI, NULL or "" for libpq's environment. `database` overrides its
 * dbname (taken as a name, whatever it looks like), NULL: as the connection says. Texts arrive in the
 * database's own encoding, as in a dump. ERR_USAGE: not a connection string; ERR_NET: with advice. */
int pg_connect(struct pg *p, const char *connection, const char *database, struct err *e) MUST_CHECK;
/* What `connection` itself says, to PQconninfoFree(). NULL with *e: ERR_USAGE. */
PQconninfoOption *pg_connection_read(const char *connection, struct err *e) MUST_CHECK;
/* What it says of a keyword ("dbname"); NULL when it says nothing. Caller frees. */
char *pg_connection_setting(const char *connection, const char *keyword, struct err *e);
void pg_free(struct pg *p);
AUTO_FOR(pg)
/* Turns off every time-out that roles and databases may have set, and read-only by default. */
int pg_without_limits(struct pg *p, struct err *e) MUST_CHECK;
/* What helps against an error of libpq, the server or its programs; NULL: nothing known. */
const char *pg_advice(const char *message);
static inline int pg_major(int version)
{
    return version / 10000; /* 10 and newer */
}

/* Runs one query. `params`: its $1.. as text, NULL-ended, or NULL: then several statements may stand in
 * `sql`. *out, when not NULL, gets the result, to PQclear. ERR_FAILED for an SQL error, ERR_NET when the
 * connection broke or the server kept silent for p->patience_s, ERR_STOPPED. */
int pg_query(struct pg *p, const char *sql, const char *const *params, PGresult **out,
             struct err *e) MUST_CHECK;
/* As PQgetvalue(), and "" where there is no such column: what answers need not be PostgreSQL. */
const char *pg_value(const PGresult *r, int row, int column);
/* The first column of the first row, owned by the caller; "" for NULL; NULL with *e for an error or no row.
 */
char *pg_query_text(struct pg *p, const char *sql, const char *const *params, struct err *e) MUST_CHECK;
/* The system identifier of the server, in decimal; NULL when it does not tell this user. Caller frees. */
char *pg_system_identifier(struct pg *p);
char *pg_quote_name(const char *name); /* "name" for SQL; caller frees */
static inline void pg_result_auto(PGresult **r)
{
    PQclear(*r);
}
#define AUTO_RESULT __attribute__((cleanup(pg_result_auto))) PGresult *

/* "dbname='name'", where a name alone might be taken for a connection string; caller frees. */
char *pg_conninfo_database(const char *name);
/* Adds keyword='value' to a connection string. */
void pg_conninfo_add(struct buf *conninfo, const char *keyword, const char *value);

/* ---- the server's programs ---- */
struct pg_program {
    char *path;
    int major;
    const struct pg_container *container; /* it runs in this one; NULL: here */
    char *list;                           /* in there; or: */
    int list_fd;                          /* here, borrowed; 0: none */
    struct strings arguments;
    struct buf settings;        /* as in PGOPTIONS */
    struct strings environment; /* "NAME=value" or "NAME" to remove */
};
#define PG_PROGRAM_NONE \
    {                   \
        0               \
    }
/* Chooses program `name` ("pg_dump") for the server of `p`: the one in its container, when there is one that
 * is new enough; else of those here the one of its own major, else the lowest newer one; never older than
 * `at_least` (0: no matter). ERR_USAGE naming the package to install when there is none. */
int pg_program_new(struct pg_program *g, const struct pg *p, const char *name, int at_least,
                   struct err *e) MUST_CHECK;
/* "NAME=VALUE", for its sessions, where the connection's own options say nothing else. Before it connects. */
void pg_program_set(struct pg_program *g, const char *setting);
/* Makes it connect where p is connected, to `database` (NULL: p's). */
int pg_program_connect(struct pg_program *g, const struct pg *p, const char *database,
                       struct err *e) MUST_CHECK;
/* Adds the variables (as in child_options.setenv) that lead any program of libpq to where p is connected,
 * with these settings: a command of the user's. */
int pg_variables(const struct pg *p, const char *database, const struct strings *settings,
                 struct strings *out, struct err *e) MUST_CHECK;
void pg_program_add(struct pg_program *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds --use-list. `fd` stays open until the program has ended. */
int pg_program_use_list(struct pg_program *g, int fd, struct err *e) MUST_CHECK;
/* Starts it; `o` says where stdin and stdout go and how long it may take. */
int pg_program_start(const struct pg_program *g, const struct child_options *o, struct child *c,
                     struct err *e) MUST_CHECK;
/* Starts it, appends what it prints to `out` (more than `limit` bytes is ERR_FAILED), waits for its end.
 * `warnings`, when not NULL, gets those on stderr. */
int pg_program_output(const struct pg_program *g, const struct child_options *o, size_t limit,
                      struct buf *out, struct strings *warnings, struct err *e) MUST_CHECK;
void pg_program_free(struct pg_program *g);
AUTO_FOR(pg_program)

/* The choice alone: looks in `path` (as PATH; Debian's wrapper scripts do not count) and in `versions`/NN/bin
 * (Debian's layout). NULL with *e. */
char *pg_find_program(const char *versions, const char *path, const char *name, int major, int *found_major,
                      struct err *e) MUST_CHECK;

/* child_wait() for such a program: the message names the first errors, not the last lines, of what it said.
 */
int pg_program_wait(const struct pg_program *g, struct child *c, struct err *e) MUST_CHECK;

/* "a warning" for each warning among what such a program said on stderr. */
void pg_program_warnings(const struct buf *said, struct strings *out);

#endif
