#include "source/pg_tables.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct pg_listed *x = a, *y = b;
    int by_schema = strcmp(x->schema, y->schema);
    return by_schema ? by_schema : strcmp(x->name, y->name);
}

/* pg_dump takes no other schemas for the system's than these. Rows of an unlogged table cannot be read on a
 * standby, and foreign tables have none here. */
static const char list_sql[] =
    "SELECT n.nspname, c.relname, c.relkind, c.relispartition,"
    "       c.relkind = 'r' AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'm', 'f')"
    "   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    "   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
    "                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "                      AND d.objid = c.oid AND d.deptype = 'e')";

int pg_tables_list(struct pg_tables *t, struct pg *p, struct err *e)
{
    AUTO_RESULT r = NULL;
    if (pg_query(p, list_sql, NULL, &r, e))
        return err_wrap(e, "list the tables");
    t->n = (size_t)PQntuples(r);
    t->v = xcalloc(t->n + 1, sizeof *t->v);
    for (size_t i = 0; i < t->n; i++) {
        const int row = (int)i;
        t->v[i] = (struct pg_listed){.schema = xstrdup(PQgetvalue(r, row, 0)),
                                     .name = xstrdup(PQgetvalue(r, row, 1)),
                                     .kind = *PQgetvalue(r, row, 2),
                                     .is_partition = *PQgetvalue(r, row, 3) == 't',
                                     .must_have_data = *PQgetvalue(r, row, 4) == 't'};
    }
    qsort(t->v, t->n, sizeof *t->v, compare);
    return 0;
}

void pg_tables_of_archive(struct pg_tables *t, const struct pg_archive *a)
{
    t->n = pg_archive_table_count(a);
    t->v = xcalloc(t->n + 1, sizeof *t->v);
    for (size_t i = 0; i < t->n; i++) {
        struct pg_table in = pg_archive_table(a, i);
        t->v[i] = (struct pg_listed){
            .schema = xstrdup(in.schema ? in.schema : ""), .name = xstrdup(in.name), .has_data = in.has_data};
    }
    qsort(t->v, t->n, sizeof *t->v, compare);
}

const struct pg_listed *pg_tables_find(const struct pg_tables *t, const struct pg_listed *like)
{
    return t->n ? bsearch(like, t->v, t->n, sizeof *t->v, compare) : NULL;
}

char *pg_listed_text(const struct pg_listed *l)
{
    AUTO_CHAR text = xasprintf("%s.%s", l->schema, l->name);
    return text_printable(text, strlen(text));
}

void pg_tables_free(struct pg_tables *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].schema);
        free(t->v[i].name);
    }
    free(t->v);
    *t = (struct pg_tables)PG_TABLES_NONE;
}
