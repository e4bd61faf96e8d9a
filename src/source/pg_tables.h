/* pg_tables.h - the tables of a database, as libpq lists them and as an archive holds them. */
#ifndef LIFEBOAT_SOURCE_PG_TABLES_H
#define LIFEBOAT_SOURCE_PG_TABLES_H

#include "source/pg_archive.h"
#include "source/pg_client.h"

struct pg_listed {
    char *schema, *name;
    char kind; /* relkind: r, p, m, f; 0: from an archive */
    bool is_partition;
    uint32_t oid, parent; /* of a partition; 0: from an archive */
    bool has_data;        /* its rows are in the archive */
    uint64_t rows;        /* in it, with those of its partitions */
    bool must_have_data;
};
struct pg_tables {
    struct pg_listed *v; /* sorted by schema and name */
    size_t n;
};
#define PG_TABLES_NONE \
    {                  \
        0              \
    }
/* What a whole dump of the database p is connected to must define: relations of kind r, p, m, f outside the
 * system's schemas and extensions. */
int pg_tables_list(struct pg_tables *t, struct pg *p, struct err *e) MUST_CHECK;
/* In the session that holds a snapshot: a table that was written anew since, or was dropped, whose rows
 * nobody sees any more who reads by that snapshot; NULL: there is none. Safe to show; caller frees. */
int pg_tables_rewritten(struct pg *p, char **name, struct err *e) MUST_CHECK;
void pg_tables_of_archive(struct pg_tables *t, const struct pg_archive *a);
/* Fills has_data and rows of tables that were listed. */
void pg_tables_count_rows(struct pg_tables *t, const struct pg_archive *a);
const struct pg_listed *pg_tables_find(const struct pg_tables *t, const struct pg_listed *like); /* or NULL */
char *pg_listed_text(const struct pg_listed *l); /* "public.users", safe to show; caller frees */
void pg_tables_free(struct pg_tables *t);
AUTO_FOR(pg_tables)

#endif
