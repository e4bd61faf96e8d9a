/* What is in scratch now: dumped by pg_dump as at the backup, and read as it flows by; nothing is kept. */
#include "pg_drill.h"

#include "base/file.h"
#include "source/pg_archive.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK     (256u << 10)
#define PIPE_SIZE (1 << 20) /* an unprivileged process's most: /proc/sys/fs/pipe-max-size */

int pg_drill_connect(const struct pg_drill *d, struct pg *p, const char *database, struct err *e)
{
    if (pg_connect(p, d->server.connection, database, e))
        return err_wrap(e, "scratch server");
    p->container = d->server.container;
    return 0;
}

static int read_dump(const struct pg_drill_database *b, struct child *c, struct pg_archive *a, struct err *e)
{
    const struct drill_env *env = b->d->env;
    uint64_t done = 0;
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, BLOCK);
    fcntl(c->out, F_SETPIPE_SZ, PIPE_SIZE); /* a hint: fewer wake-ups */
    for (;;) {
        if (child_wait_readable(c, e))
            return -1;
        ssize_t n = fd_read(c->out, block.p, BLOCK, "pg_dump", e);
        if (n <= 0)
            return (int)n;
        if (pg_archive_write(a, BYTES(block.p, (size_t)n), e))
            return -1;
        done += (uint64_t)n;
        if (env->progress)
            env->progress(env->progress_ctx, "compare", MIN(done, b->data->bytes), b->data->bytes);
    }
}

/* A newer pg_dump spells things its own way, so the one that made the backup is asked for first. */
static int choose_pg_dump(const struct pg_drill_database *b, const struct pg *p, struct pg_program *g,
                          struct err *e)
{
    struct err ignored = ERR_INIT;
    if (pg_program_new(g, p, "pg_dump", b->dump_major, &ignored) == 0)
        return 0;
    return pg_program_new(g, p, "pg_dump", 0, e);
}

int pg_redump(const struct pg_drill_database *b, const char *database, bool schema_only, struct buf *out,
              struct err *e)
{
    AUTO(pg) p = PG_NONE;
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO(child) c = CHILD_NONE;
    AUTO_PTR(pg_archive) a = pg_archive_new();
    const struct child_options run = {.in = CHILD_NULL, .out = CHILD_PIPE, .time_limit_s = PG_DRILL_LIMIT_S};
    if (pg_drill_connect(b->d, &p, database, e) || choose_pg_dump(b, &p, &g, e) ||
        pg_program_connect(&g, &p, NULL, e))
        return -1;
    pg_program_add(&g, "--format=custom");
    pg_program_add(&g, "--compress=0");
    if (schema_only)
        pg_program_add(&g, "--schema-only");
    if (pg_program_start(&g, &run, &c, e) || read_dump(b, &c, a, e) || pg_program_wait(&g, &c, e) ||
        pg_archive_finish(a, e))
        return -1;
    pg_archive_fingerprint(a, out);
    return 0;
}

/* ---- what cannot be filled offline ---- */

/* Materialized views that are empty here, and whether they read foreign tables: through views, others of
 * their kind, partitions and children. */
static const char unfilled_sql[] =
    "WITH RECURSIVE edge(reader, source) AS ("
    "  SELECT r.ev_class, d.refobjid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d"
    "      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid"
    "     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "  UNION ALL SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits),"
    " far(oid) AS (SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'f'"
    "  UNION SELECT reader FROM edge JOIN far ON source = far.oid)"
    " SELECT n.nspname, c.relname, c.oid IN (SELECT oid FROM far),"
    "       pg_catalog.format('REFRESH MATERIALIZED VIEW %I.%I;', n.nspname, c.relname)"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'm' AND NOT c.relispopulated ORDER BY 1, 2";

/* Functions read foreign data, too: then only the refusal tells. */
static bool was_cut_off(const struct target_postgres_report *report, const char *refresh)
{
    static const char *const signs[] = {"could not connect to server", "could not establish connection",
                                        "has not been populated"};
    for (size_t i = 0; i < report->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(signs); k++)
            if (strcmp(report->v[i].statement, refresh) == 0 && strstr(report->v[i].text, signs[k]))
                return true;
    return false;
}

int pg_unfilled(struct pg_drill_database *b, const struct target_postgres_report *report, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    AUTO_RESULT r = NULL;
    if (pg_drill_connect(b->d, &p, b->scratch_name, e) || pg_query(&p, unfilled_sql, NULL, &r, e))
        return -1;
    for (int i = 0; i < PQntuples(r); i++) {
        const char *schema = pg_value(r, i, 0), *name = pg_value(r, i, 1);
        AUTO_CHAR refresh = text_printable(pg_value(r, i, 3), strlen(pg_value(r, i, 3)));
        if (*pg_value(r, i, 2) != 't' && !was_cut_off(report, refresh))
            continue;
        strings_add(&b->refreshes, refresh);
        strings_add(&b->unfilled, schema);
        strings_add(&b->unfilled, name);
    }
    return 0;
}
