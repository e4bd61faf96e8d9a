#include "source/pg_globals.h"

#include <stdlib.h>
#include <string.h>

#define GLOBALS_LIMIT (64u << 20) /* some 100,000 roles */

/* What every pg_dumpall writes last; 15.14, 16.10, 17.6 and later may add \unrestrict. */
static int check_end(struct bytes script, struct err *e)
{
    static const char end[] = "-- PostgreSQL database cluster dump complete\n";
    size_t tail = MIN(script.n, (size_t)4096);
    if (memmem(script.p + script.n - tail, tail, end, strlen(end)))
        return 0;
    return err_set(e, ERR_FAILED,
                   "pg_dumpall ended with exit status 0, but what it wrote (%zu bytes) has no end: is it "
                   "PostgreSQL's own?",
                   script.n);
}

int pg_globals(struct pg *p, unsigned time_limit_s, struct buf *script, bool *passwords,
               struct strings *warnings, struct err *e)
{
    const struct child_options run = {.in = CHILD_NULL, .time_limit_s = time_limit_s};
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO_CHAR may =
        pg_query_text(p, "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')", NULL, e);
    if (!may || pg_program_new(&g, p, "pg_dumpall", 0, e) || pg_program_connect(&g, p, NULL, e))
        return -1;
    *passwords = *may == 't';
    AUTO_CHAR database = pg_conninfo_database(PQdb(p->conn));
    pg_program_add(&g, "--globals-only");
    pg_program_add(&g, "--database=%s", database); /* it looks for "postgres" otherwise */
    if (!*passwords)
        pg_program_add(&g, "--no-role-passwords");
    size_t start = script->n;
    if (pg_program_output(&g, &run, GLOBALS_LIMIT, script, warnings, e))
        return -1;
    return check_end(BYTES(script->p + start, script->n - start), e);
}
