#include "target/pg_target.h"

#include "base/file.h"
#include "base/log.h"
#include "source/pg_settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCRIPT_LIMIT (64u << 20)

/* ---- roles ---- */

static int read_globals(struct feed *f, struct buf *script, struct err *e)
{
    for (;;) {
        struct bytes b;
        if (f->next(f, &b, e))
            return -1;
        if (b.n == 0)
            return 0;
        if (script->n + b.n > SCRIPT_LIMIT)
            return err_set(e, ERR_DAMAGED, "the globals are longer than %u MiB", SCRIPT_LIMIT >> 20);
        buf_add(script, b);
    }
}

/* Statement by statement over libpq, and not by psql: there is nothing that a psql command in it could do,
 * and the server says by number which errors mean that a role is there already. */
int pg_setup_roles(struct pg_restore *r, struct err *e)
{
    AUTO(buf) script = BUF_NONE;
    AUTO(pg) p = PG_NONE; /* its own: the script changes settings */
    if (!r->o->globals)
        return 0;
    if (read_globals(r->o->globals, &script, e) || pg_database_server(&p, r->o->connection, r->name, e))
        return -1;
    struct pg_script s = pg_script_of(&script);
    struct bytes b;
    int more;
    while ((more = pg_script_next(&s, &b, e)) > 0) {
        struct err why = ERR_INIT;
        AUTO_CHAR sql = xstrndup((const char *)b.p, b.n);
        if (pg_query(&p, sql, NULL, NULL, &why) == 0 || strcmp(p.sqlstate, "42710") == 0)
            continue;
        if (!*p.sqlstate)
            return err_set(e, why.kind, "roles: %s", why.text);
        pg_restore_error(r, BYTES_STR(why.text), b);
    }
    if (more == 0 && r->error_count) {
        AUTO_CHAR list = pg_restore_errors(r);
        return err_set(e, ERR_FAILED,
                       "roles: %lu statements of the globals failed (no database was touched): %s",
                       r->error_count, list);
    }
    return more;
}

/* ---- the database itself ---- */

static bool is_about_session(struct bytes s)
{
    static const char *const starts[] = {"SET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION",
                                         "SET client_encoding"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (bytes_start(s, starts[i]))
            return true;
    return false;
}

/* Takes the script apart: what makes the database, and what is said about it then. */
static int keep_statements(struct pg_restore *r, struct buf *script, struct err *e)
{
    AUTO_CHAR from = NULL;
    AUTO_CHAR to = pg_quote_name(r->into);
    struct pg_script s = pg_script_of(script);
    struct bytes b;
    int more;
    while ((more = pg_script_next(&s, &b, e)) > 0) {
        if (!from && (from = pg_script_created_database(b))) {
            r->create = pg_script_rename(b, from, to);
            continue;
        }
        AUTO_CHAR renamed = from ? pg_script_rename(b, from, to) : NULL;
        AUTO_CHAR as_is = xstrndup((const char *)b.p, b.n);
        if (renamed || is_about_session(b))
            strings_add(&r->about, renamed ? renamed : as_is);
    }
    return more;
}

/* Names the database to restore into: one that is there and empty is used as it is. */
int pg_setup_read(struct pg_restore *r, struct err *e)
{
    char side[64];
    AUTO(buf) script = BUF_NONE;
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    pg_side_name(side, r->o->report ? "drill" : "restore"); /* the next drill knows its own */
    r->into = xstrdup(r->state == PG_DATABASE_EMPTY || pg_restore_adds_tables(r) ? r->name : side);
    pg_contents_choose_database(&r->contents);
    AUTO_FD list = pg_stream_list(r, e);
    pg_contents_forget_choice(&r->contents);
    if (list < 0 || pg_restore_program(r, &g, e))
        return -1;
    const struct child_options run = {.in = CHILD_FD, .in_fd = r->spool};
    pg_program_add(&g, "--create");
    if (pg_program_use_list(&g, list, e))
        return -1;
    pg_program_add(&g, "--file=-");
    if (lseek(r->spool, 0, SEEK_SET) < 0)
        return err_errno(e, ERR_IO, "spool file");
    return pg_program_output(&g, &run, SCRIPT_LIMIT, &script, NULL, e) ? -1 : keep_statements(r, &script, e);
}

/* For a setting that says what values mean, by which materialized views are filled and constraints checked:
 * the statement that takes it back; caller frees. The others come last: a role, a time-out or a library would
 * be in a restore's way. */
static char *reset_of_value(const char *statement)
{
    const char *p = statement, *end = p + strlen(p);
    struct bytes t[5]; /* ALTER DATABASE a SET b */
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (!pg_script_token(&p, end, &t[i]))
            return NULL;
    if (!pg_script_is(t[0], "ALTER") || !pg_script_is(t[1], "DATABASE") || !pg_script_is(t[3], "SET"))
        return NULL;
    const size_t quote = t[4].n > 2 && t[4].p[0] == '"';
    AUTO_CHAR name = xstrndup((const char *)t[4].p + quote, t[4].n - 2 * quote);
    bool known = pg_setting_gives_meaning(name) ||
                 strchr(name, '.') != NULL; /* an extension's, or the application's own */
    int before = (int)(t[3].p - t[0].p);
    return known ? xasprintf("%.*s RESET %.*s", before, statement, (int)t[4].n, (const char *)t[4].p) : NULL;
}

/* What the server refuses becomes *refused; a connection that is gone is *e. */
static int say(struct pg *p, const char *sql, struct err *refused, struct err *e)
{
    if (pg_query(p, sql, NULL, NULL, refused) == 0 || *p->sqlstate)
        return 0;
    return err_set(e, refused->kind, "%s", refused->text);
}

/* What is refused is left for the end to tell. `back`: takes them back; the end says all in their order. */
static int say_values(struct pg_restore *r, struct pg *p, bool back, struct err *e)
{
    for (size_t i = 0; i < r->about.n; i++) {
        const char *sql = r->about.v[i];
        struct err ignored = ERR_INIT;
        AUTO_CHAR reset = reset_of_value(sql);
        if ((reset || is_about_session(BYTES_STR(sql))) && say(p, back && reset ? reset : sql, &ignored, e))
            return -1;
    }
    return 0;
}

static bool is_about_nothing(const struct pg_restore *r)
{
    return pg_restore_has_tables(r) || r->about.n == 0;
}

static int create_database(struct pg_restore *r, struct err *e)
{
    AUTO_CHAR name = pg_quote_name(r->into);
    AUTO_CHAR plain = xasprintf("CREATE DATABASE %s TEMPLATE template0", name);
    struct err why = ERR_INIT;
    if (strcmp(r->into, r->name) == 0)
        return 0;
    r->made = true; /* also when the answer gets lost */
    if (pg_query(&r->server, r->create ? r->create : plain, NULL, NULL, &why) == 0)
        return 0;
    const char *advice = pg_advice(why.text);
    bool refused = r->o->report && *r->server.sqlstate;
    return err_set(e, refused ? ERR_UNPROVEN : why.kind, "make the database: %s%s%s", why.text,
                   advice ? "; " : "", advice ? advice : "");
}

/* What its server said, and not the database, is in no dump. A drill's scratch is nobody's server. */
static int say_settings(struct pg_restore *r, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    AUTO(buf) list = BUF_NONE;
    AUTO(strings) notes = STRINGS_NONE;
    if (pg_restore_has_tables(r) || !r->o->settings || r->o->settings->n == 0)
        return 0;
    if (pg_connect(&p, r->o->connection, r->into, e) ||
        pg_settings_use(&p, r->o->settings, &r->settings, &notes, e))
        return err_wrap(e, "the settings of its server");
    for (size_t i = 0; i < r->settings.n; i++)
        buf_add_fmt(&list, "%s%s", i ? ", " : "", r->settings.v[i]);
    /* Nothing is wrong: other machines have other locales. */
    for (size_t i = 0; i < notes.n; i++)
        log_info("%s", notes.v[i]);
    if (list.n && !r->o->report)
        log_warn("its server had %s, by which it was filled and checked; this one has other settings: "
                 "ALTER DATABASE ... SET them if applications rely on them",
                 buf_cstr(&list));
    return 0;
}

/* From elsewhere, for nothing of what is in it is asked then, as triggers of a login; but names of roles, and
 * comments, are bytes that each database reads in its own encoding. */
static int connect_about(const struct pg_restore *r, struct pg *p, struct err *e)
{
    for (size_t i = 0; i < r->about.n; i++)
        if (!bytes_are_ascii(BYTES_STR(r->about.v[i])))
            return pg_connect(p, r->o->connection, r->into, e) || pg_without_limits(p, e) ? -1 : 0;
    return pg_database_server(p, r->o->connection, r->into, e);
}

int pg_setup_database(struct pg_restore *r, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (create_database(r, e))
        return -1;
    if (!is_about_nothing(r) && (connect_about(r, &p, e) || say_values(r, &p, false, e)))
        return -1;
    return say_settings(r, e);
}

/* Whether what was restored may take the place of another database: pg_restore's exit status is one word,
 * that the tables are there, and have rows where the archive has some, is another. By number: names have
 * encodings, and rows may be hidden from this role. Rows of a partition may have gone into another: by the
 * hash of an enum, which differs from database to database. Who knows where an access method other than heap
 * (number 2) keeps them. */
static const char there_sql[] =
    "SELECT pg_catalog.count(*),"
    "       pg_catalog.count(*) FILTER (WHERE relkind = 'r' AND"
    "                                    (relispartition OR relam NOT IN (0, 2) OR"
    "                                     pg_catalog.pg_relation_size(c.oid) > 0))"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
    " WHERE relkind IN ('r', 'p', 'm', 'f') AND nspname !~ '^pg_' AND nspname <> 'information_schema'";

int pg_setup_verify(struct pg_restore *r, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    AUTO_RESULT there = NULL;
    size_t tables = 0, filled = 0;
    if (pg_restore_has_tables(r) || r->o->report || r->error_count)
        return 0;
    for (size_t i = 0; i < pg_archive_table_count(r->archive); i++) {
        struct pg_table t = pg_archive_table(r->archive, i);
        tables += t.kind != NULL;
        filled += t.kind && t.rows > 0;
    }
    if (pg_connect(&p, r->o->connection, r->into, e) || pg_without_limits(&p, e) ||
        pg_query(&p, there_sql, NULL, &there, e))
        return err_wrap(e, "look at what was restored");
    size_t tables_there = strtoul(pg_value(there, 0, 0), NULL, 10),
           filled_there = strtoul(pg_value(there, 0, 1), NULL, 10);
    if (tables_there >= tables && filled_there >= filled)
        return 0;
    return err_set(e, ERR_FAILED,
                   "pg_restore reported success, but the database has %zu of %zu tables, and %zu of %zu that "
                   "have rows: is that pg_restore PostgreSQL's own?",
                   tables_there, tables, filled_there, filled);
}

/* Owner, settings, comment, privileges. */
int pg_setup_finish(struct pg_restore *r, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (is_about_nothing(r))
        return 0;
    if (connect_about(r, &p, e) || say_values(r, &p, true, e))
        return -1;
    for (size_t i = 0; i < r->about.n; i++) {
        struct err why = ERR_INIT;
        if (say(&p, r->about.v[i], &why, e))
            return -1;
        if (err_is_set(&why))
            pg_restore_error(r, BYTES_STR(why.text), BYTES_STR(r->about.v[i]));
    }
    return 0;
}
