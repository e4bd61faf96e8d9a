/* A dump back into a server: see pg_target.h for the names that databases bear meanwhile. The archive reader
 * looks at every byte on its way, so a stream that is not whole is found out whatever pg_restore makes of it.
 */
#include "target/pg_target.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERRORS_SHOWN  3
#define REFUSALS_KEPT 1000

static void pg_restore_free(struct pg_restore *r)
{
    pg_free(&r->server);
    free(r->name);
    free(r->into);
    free(r->create);
    if (r->spool >= 0)
        close(r->spool);
    pg_archive_free(r->archive);
    pg_contents_free(&r->contents);
    strings_free(&r->settings);
    strings_free(&r->about);
    strings_free(&r->errors);
}
AUTO_FOR(pg_restore)

/* ---- what is there ---- */

static int look(struct pg_restore *r, struct err *e)
{
    AUTO_CHAR what = NULL;
    r->name = pg_connection_setting(r->o->connection, "dbname", e);
    if (!r->name)
        return err_set(e, ERR_USAGE, "the connection names no database: add dbname=NAME, the one to make");
    if (r->o->clean && pg_restore_has_tables(r))
        return err_set(
            e, ERR_USAGE,
            "--clean replaces a whole database: to get a table back, rename the one that is there");
    if (r->o->container && r->o->jobs > 1)
        return err_set(
            e, ERR_USAGE,
            "--jobs takes an archive in a file, and a container's pg_restore gets it through a pipe: "
            "leave it out");
    if (pg_database_server(&r->server, r->o->connection, r->name, e))
        return -1;
    r->server.container = r->o->container;
    if (pg_database_look(&r->server, r->o->connection, r->name, &r->state, &what, e))
        return -1;
    if (r->state == PG_DATABASE_FULL && !r->o->clean && !pg_restore_has_tables(r))
        return err_set(
            e, ERR_USAGE,
            "the database is not empty (%s): name another, or --clean to replace it by the restored one",
            what);
    return 0;
}

static void add_context(const struct target_postgres_options *o, struct err *e)
{
    struct err ignored = ERR_INIT;
    AUTO_CHAR name = pg_connection_setting(o->connection, "dbname", &ignored);
    if (name) {
        AUTO_CHAR shown = text_printable(name, strlen(name));
        (void)err_wrap(e, "restore to database %s", shown);
    }
}

int pg_restore_program(const struct pg_restore *r, struct pg_program *g, struct err *e)
{
    struct err why = ERR_INIT;
    if (pg_program_new(g, &r->server, "pg_restore", r->at_least, &why) == 0)
        return 0;
    bool elsewhere = why.kind == ERR_USAGE && !r->o->container && !r->o->report;
    return err_set(e, why.kind, "%s%s", why.text,
                   elsewhere ? "; a server in a container has its own: --to 'container=NAME dbname=...'"
                             : "");
}

int target_postgres_check(const struct target_postgres_options *o, struct err *e)
{
    AUTO(pg_restore) r = {.o = o, .spool = -1};
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    if (look(&r, e) || pg_restore_program(&r, &g, e)) {
        add_context(o, e);
        return -1;
    }
    return 0;
}

/* ---- the end ---- */

void pg_restore_error(struct pg_restore *r, struct bytes what, struct bytes statement)
{
    AUTO_CHAR text = text_printable((const char *)what.p, MIN(what.n, (size_t)220));
    struct target_postgres_report *to = r->o->report;
    r->error_count++;
    if (r->errors.n < ERRORS_SHOWN)
        strings_add(&r->errors, text);
    if (!to || to->n == REFUSALS_KEPT)
        return;
    to->v = xrealloc(to->v, to->n + 1, sizeof *to->v);
    to->v[to->n++] = (struct target_refusal){
        .statement = text_printable((const char *)statement.p, statement.n), .text = STEAL(text)};
}

void target_postgres_report_free(struct target_postgres_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].statement);
        free(r->v[i].text);
    }
    free(r->v);
    buf_free(&r->fingerprint);
    *r = (struct target_postgres_report){0};
}

char *pg_restore_errors(const struct pg_restore *r)
{
    AUTO(buf) out = BUF_NONE;
    for (size_t i = 0; i < r->errors.n; i++)
        buf_add_fmt(&out, "%s%s", i ? "; " : "", r->errors.v[i]);
    return xstrdup(buf_cstr(&out));
}

void pg_side_name(char out[64], const char *what)
{
    char hex[13];
    random_hex(hex, 6);
    snprintf(out, 64, "lifeboat_%s_%s", what, hex);
}

static int report_errors(struct pg_restore *r, struct err *e)
{
    AUTO_CHAR list = pg_restore_errors(r);
    AUTO_CHAR left = NULL;
    if (pg_restore_adds_tables(r))
        left = xstrdup("nothing was changed");
    else if (!r->made)
        left = xstrdup("the database holds what could be restored");
    else if (r->state == PG_DATABASE_ABSENT)
        left = xasprintf("what could be restored is in database %s: ALTER DATABASE %s RENAME TO ... if that "
                         "will do, else drop it",
                         r->into, r->into);
    else
        left = xstrdup("the database is as it was");
    r->made &= r->state != PG_DATABASE_ABSENT; /* keep it */
    return err_set(e, ERR_FAILED, "the server refused %lu of the statements (%s): %s%s", r->error_count, left,
                   list, r->error_count > r->errors.n ? "; ..." : "");
}

static int publish(struct pg_restore *r, struct err *e)
{
    char old[64];
    struct err why = ERR_INIT;
    if (!r->made)
        return 0;
    if (r->state == PG_DATABASE_ABSENT) {
        if (pg_database_rename(&r->server, r->into, r->name, e))
            return -1;
        r->made = false;
        return 0;
    }
    pg_side_name(old, "old");
    if (pg_database_swap(&r->server, r->name, r->into, old, e))
        return -1;
    r->made = false;
    if (pg_database_drop(&r->server, old, &why))
        strings_add_fmt(&r->counts->notes,
                        "the database that was replaced is still there as %s, drop it when you can: %s", old,
                        why.text);
    return 0;
}

/* What is left in scratch goes with it, or with the next drill. */
static void take_back(struct pg_restore *r)
{
    struct err why = ERR_INIT;
    if (r->made && pg_database_drop(&r->server, r->into, &why) && !r->o->report)
        strings_add_fmt(&r->counts->notes, "the unfinished database %s is left, drop it: %s", r->into,
                        why.text);
}

static int restore(struct pg_restore *r, struct err *e)
{
    r->spool = file_spool(r->o->spool_dir, e);
    if (r->spool < 0 || look(r, e) || pg_stream_contents(r, e) || pg_setup_read(r, e) ||
        pg_choose_entries(r, e) || pg_choose_check(r, e) || pg_setup_roles(r, e) || pg_setup_database(r, e) ||
        pg_stream_restore(r, e) || pg_setup_verify(r, e) || pg_stream_late(r, e) || pg_setup_finish(r, e))
        return -1;
    struct target_postgres_report *report = r->o->report;
    if (report && !r->o->schema_only)
        pg_archive_fingerprint(r->archive, &report->fingerprint);
    if (report)
        report->refused = r->error_count;
    return r->error_count && !report ? report_errors(r, e) : publish(r, e);
}

int target_postgres(struct feed *in, const struct target_postgres_options *o, struct target_counts *counts,
                    struct err *e)
{
    AUTO(pg_restore) r = {.in = in, .o = o, .counts = counts, .spool = -1, .archive = pg_archive_new()};
    int rc = restore(&r, e);
    if (!pg_restore_has_tables(&r))
        counts->entries = pg_archive_table_count(r.archive);
    if (rc && r.begun && r.state == PG_DATABASE_EMPTY && !r.error_count)
        (void)err_wrap(e, "the database was empty and holds a part now");
    if (rc) {
        take_back(&r);
        add_context(o, e);
    }
    return rc ? -1 : 0;
}
