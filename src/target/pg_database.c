#include "target/pg_target.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES  63 /* NAMEDATALEN - 1: the server cuts longer ones */
#define BUSY_TRIES      20
#define LAST_TRIES      2   /* of who cleans up; five seconds each */
#define DROP_PATIENCE_S 600 /* files of a large database on a slow disk */
#define LAST_PATIENCE_S 30  /* after a signal: whoever sent it kills us soon */

#define WRONG_OBJECT_TYPE "42809"

int pg_database_server(struct pg *p, const char *connection, const char *name, struct err *e)
{
    static const char *const rooms[] = {"postgres", "template1"};
    struct err first = ERR_INIT;
    if (strlen(name) > NAME_MAX_BYTES)
        return err_set(e, ERR_USAGE, "the database's name has %zu bytes: PostgreSQL knows at most %d",
                       strlen(name), NAME_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
        if (strcmp(rooms[i], name) == 0)
            continue;
        struct err why = ERR_INIT;
        pg_free(p);
        if (pg_connect(p, connection, rooms[i], &why) == 0 && pg_without_limits(p, &why) == 0) {
            p->patience_s = 0; /* making a database copies another: on a slow disk for minutes */
            return 0;
        }
        err_set(&first, why.kind, "%s", why.text);
    }
    pg_free(p);
    return err_set(e, first.kind, "%s", first.text);
}

/* What initdb and CREATE DATABASE leave behind is not looked at. */
static const char contents_sql[] =
    "WITH own AS (SELECT oid, nspname FROM pg_catalog.pg_namespace"
    "              WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),"
    " thing(what) AS ("
    " SELECT pg_catalog.format('relation %s.%s', nspname, relname)"
    "   FROM pg_catalog.pg_class c JOIN own ON own.oid = relnamespace WHERE relkind IN ('r','p','v','m','S','f','c')"
    " UNION ALL SELECT pg_catalog.format('function %s.%s', nspname, proname)"
    "   FROM pg_catalog.pg_proc JOIN own ON own.oid = pronamespace"
    " UNION ALL SELECT pg_catalog.format('type %s.%s', nspname, typname)"
    "   FROM pg_catalog.pg_type JOIN own ON own.oid = typnamespace WHERE typtype IN ('e','d','r')"
    " UNION ALL SELECT 'schema ' || nspname FROM own WHERE nspname <> 'public'"
    " UNION ALL SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'"
    " UNION ALL SELECT 'publication ' || pubname FROM pg_catalog.pg_publication"
    " UNION ALL SELECT 'event trigger ' || evtname FROM pg_catalog.pg_event_trigger"
    " UNION ALL SELECT 'foreign-data wrapper ' || fdwname FROM pg_catalog.pg_foreign_data_wrapper"
    " UNION ALL SELECT 'large object ' || oid FROM pg_catalog.pg_largeobject_metadata)"
    " SELECT pg_catalog.count(*), pg_catalog.min(what) FROM thing";

int pg_database_look(struct pg *p, const char *connection, const char *name, enum pg_database_state *state,
                     char **what, struct err *e)
{
    const char *const params[] = {name, NULL};
    AUTO_RESULT found = NULL;
    AUTO_RESULT held = NULL;
    AUTO(pg) inside = PG_NONE;
    if (pg_query(p, "SELECT FROM pg_catalog.pg_database WHERE datname = $1", params, &found, e))
        return -1;
    *state = PG_DATABASE_ABSENT;
    if (PQntuples(found) == 0)
        return 0;
    if (pg_connect(&inside, connection, name, e) || pg_query(&inside, contents_sql, NULL, &held, e))
        return err_wrap(e, "look into the database");
    *state = strcmp(pg_value(held, 0, 0), "0") == 0 ? PG_DATABASE_EMPTY : PG_DATABASE_FULL;
    const char *example = pg_value(held, 0, 1);
    AUTO_CHAR shown = text_printable(example, strlen(example));
    if (*state == PG_DATABASE_FULL)
        *what = xasprintf("it has %s objects, such as %s", pg_value(held, 0, 0), shown);
    return 0;
}

/* ---- rename, swap, drop ---- */

static int end_sessions(struct pg *p, const char *name, struct err *e)
{
    const char *const params[] = {name, NULL};
    return pg_query(p,
                    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
                    " WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()",
                    params, NULL, e);
}

/* Runs statements (in one transaction, as all in one query are) that need databases without sessions. A
 * rename or drop locks the database against new sessions and waits five seconds for the old ones to end, so
 * only one that came between the two queries makes it fail: 55006. */
static int run_alone(struct pg *p, const char *sql, const char *const *names, struct err *e)
{
    for (unsigned try = 1;; try++) {
        struct err why = ERR_INIT;
        for (size_t i = 0; names[i]; i++)
            if (end_sessions(p, names[i], e))
                return -1;
        if (pg_query(p, sql, NULL, NULL, &why) == 0)
            return 0;
        if (strcmp(p->sqlstate, "55006") != 0 || try == (p->ignores_stop ? LAST_TRIES : BUSY_TRIES) ||
            (!p->ignores_stop && stop_check(e)))
            return err_set(e, why.kind, "%s", why.text);
    }
}

int pg_database_rename(struct pg *p, const char *from, const char *to, struct err *e)
{
    const char *const names[] = {from, NULL};
    AUTO_CHAR a = pg_quote_name(from);
    AUTO_CHAR b = pg_quote_name(to);
    AUTO_CHAR sql = xasprintf("ALTER DATABASE %s RENAME TO %s", a, b);
    return run_alone(p, sql, names, e) ? err_wrap(e, "give the restored database its name") : 0;
}

int pg_database_swap(struct pg *p, const char *name, const char *new, const char *old, struct err *e)
{
    const char *const names[] = {name, new, NULL};
    AUTO_CHAR a = pg_quote_name(name);
    AUTO_CHAR b = pg_quote_name(new);
    AUTO_CHAR c = pg_quote_name(old);
    AUTO_CHAR sql = xasprintf("ALTER DATABASE %s RENAME TO %s; ALTER DATABASE %s RENAME TO %s", a, c, b, a);
    return run_alone(p, sql, names, e) ? err_wrap(e, "swap the databases") : 0;
}

/* A template cannot be dropped: one that was restored, or replaced, may be one. */
static int drop(struct pg *p, const char *name, struct err *e)
{
    const char *const names[] = {name, NULL};
    struct err why = ERR_INIT;
    AUTO_CHAR quoted = pg_quote_name(name);
    AUTO_CHAR sql = xasprintf("DROP DATABASE IF EXISTS %s", quoted);
    AUTO_CHAR plain = xasprintf("ALTER DATABASE %s IS_TEMPLATE false", quoted);
    if (run_alone(p, sql, names, &why) == 0)
        return 0;
    if (strcmp(p->sqlstate, WRONG_OBJECT_TYPE) != 0)
        return err_set(e, why.kind, "%s", why.text);
    return pg_query(p, plain, NULL, NULL, e) || run_alone(p, sql, names, e) ? -1 : 0;
}

int pg_database_drop(struct pg *p, const char *name, struct err *e)
{
    const bool ignored = p->ignores_stop;
    const unsigned patience = p->patience_s;
    struct err stopped = ERR_INIT;
    p->patience_s = stop_check(&stopped) ? LAST_PATIENCE_S : DROP_PATIENCE_S;
    p->ignores_stop = true;
    int rc = drop(p, name, e);
    p->ignores_stop = ignored;
    p->patience_s = patience;
    return rc;
}

int pg_database_missing_extensions(struct pg *p, const struct strings *wanted, struct strings *missing,
                                   struct err *e)
{
    AUTO(strings) offered = STRINGS_NONE;
    AUTO_RESULT r = NULL;
    if (pg_query(p, "SELECT name FROM pg_catalog.pg_available_extensions", NULL, &r, e))
        return -1;
    for (int i = 0; i < PQntuples(r); i++)
        strings_add(&offered, pg_value(r, i, 0));
    for (size_t i = 0; i < wanted->n; i++)
        if (!strings_has(&offered, wanted->v[i]))
            strings_add(missing, wanted->v[i]);
    return 0;
}
