#include "source/pg_tables.h"

#include <stdlib.h>
#include <string.h>

#define LEVELS 100 /* of partitions of partitions */

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
    "       c.relkind = 'r' AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery()),"
    "       c.oid, CASE WHEN c.relispartition"
    "                   THEN (SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid LIMIT 1) END"
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
        t->v[i] = (struct pg_listed){.schema = xstrdup(pg_value(r, row, 0)),
                                     .name = xstrdup(pg_value(r, row, 1)),
                                     .kind = *pg_value(r, row, 2),
                                     .is_partition = *pg_value(r, row, 3) == 't',
                                     .must_have_data = *pg_value(r, row, 4) == 't',
                                     .oid = (uint32_t)strtoul(pg_value(r, row, 5), NULL, 10),
                                     .parent = (uint32_t)strtoul(pg_value(r, row, 6), NULL, 10)};
    }
    qsort(t->v, t->n, sizeof *t->v, compare);
    return 0;
}

/* The function knows the present, the column is the snapshot's. A server looks what others did when it locks
 * a table that it has not locked yet: pg_am. */
static const char rewritten_sql[] =
    "SELECT n.nspname, c.relname"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    "   AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode"
    "   AND EXISTS (SELECT FROM pg_catalog.pg_am)"
    " LIMIT 1";

int pg_tables_rewritten(struct pg *p, char **name, struct err *e)
{
    AUTO_RESULT r = NULL;
    *name = NULL;
    if (pg_query(p, rewritten_sql, NULL, &r, e))
        return err_wrap(e, "look for tables that were written anew");
    if (PQntuples(r)) {
        struct pg_listed l = {.schema = (char *)pg_value(r, 0, 0), .name = (char *)pg_value(r, 0, 1)};
        *name = pg_listed_text(&l);
    }
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

/* ---- rows ---- */

static int by_oid(const void *a, const void *b)
{
    uint32_t x = (*(struct pg_listed *const *)a)->oid, y = (*(struct pg_listed *const *)b)->oid;
    return (x > y) - (x < y);
}

static void count(struct pg_listed **sorted, size_t n, struct pg_listed *l, uint64_t rows)
{
    for (unsigned levels = 0; l && levels < LEVELS; levels++) {
        struct pg_listed like = {.oid = l->parent}, *key = &like;
        l->has_data = true;
        l->rows += rows;
        struct pg_listed **parent = l->parent ? bsearch(&key, sorted, n, sizeof *sorted, by_oid) : NULL;
        l = parent ? *parent : NULL;
    }
}

void pg_tables_count_rows(struct pg_tables *t, const struct pg_archive *a)
{
    struct pg_listed **sorted = xcalloc(t->n + 1, sizeof *sorted);
    for (size_t i = 0; i < t->n; i++)
        sorted[i] = &t->v[i];
    qsort(sorted, t->n, sizeof *sorted, by_oid);
    for (size_t i = 0; i < pg_archive_table_count(a); i++) {
        struct pg_table in = pg_archive_table(a, i);
        const struct pg_listed like = {.schema = (char *)(in.schema ? in.schema : ""),
                                       .name = (char *)in.name};
        struct pg_listed *l = in.has_data && t->n ? bsearch(&like, t->v, t->n, sizeof *t->v, compare) : NULL;
        if (l)
            count(sorted, t->n, l, in.rows);
    }
    free(sorted);
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
