#include "target/pg_target.h"

#include "config/config.h"

#include <stdlib.h>
#include <string.h>

static int nothing_like(const char *asked, const struct strings *known, struct err *e)
{
    const char **words = xcalloc(known->n + 1, sizeof *words);
    for (size_t i = 0; i < known->n; i++)
        words[i] = known->v[i];
    const char *near = nearest_word(asked, words);
    int rc = err_set(e, ERR_USAGE, "table %s is not in this backup: %s%s%s", asked,
                     near ? "did you mean " : "`lifeboat cat SNAP SOURCE | pg_restore --list` shows what is",
                     near ? near : "", near ? "?" : "");
    free(words);
    return rc;
}

/* Adds schema and name of each table that was meant to `chosen`. */
static int choose_table(struct pg_restore *r, const char *asked, struct strings *chosen, struct err *e)
{
    AUTO(strings) known = STRINGS_NONE;
    AUTO(strings) matches = STRINGS_NONE;
    for (size_t i = 0; i < pg_archive_table_count(r->archive); i++) {
        struct pg_table t = pg_archive_table(r->archive, i);
        AUTO_CHAR full = xasprintf("%s.%s", t.schema, t.name);
        strings_add(&known, t.name);
        strings_add(&known, full);
        if (strcmp(asked, full) != 0 && strcmp(asked, t.name) != 0)
            continue;
        struct pg_wanted w = {t.schema, t.name};
        if (!strings_has(&matches, full))
            strings_add(&matches, full);
        if (!pg_contents_choose_table(&r->contents, &w))
            return err_set(e, ERR_FAILED, "table %s has rows in this backup, but no definition", full);
        strings_add(chosen, t.schema);
        strings_add(chosen, t.name);
    }
    if (matches.n > 1)
        return err_set(e, ERR_USAGE, "table %s is in several schemas: say %s or %s", asked, matches.v[0],
                       matches.v[1]);
    return matches.n ? 0 : nothing_like(asked, &known, e);
}

static int refuse_existing(struct pg_restore *r, const struct strings *chosen, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (r->state == PG_DATABASE_ABSENT)
        return 0;
    if (pg_connect(&p, r->o->connection, r->name, e))
        return -1;
    for (size_t i = 0; i + 1 < chosen->n; i += 2) {
        const char *const params[] = {chosen->v[i], chosen->v[i + 1], NULL};
        AUTO_RESULT found = NULL;
        if (pg_query(
                &p,
                "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = $1 AND relname = $2",
                params, &found, e))
            return -1;
        if (PQntuples(found))
            return err_set(e, ERR_USAGE,
                           "table %s.%s exists in that database: rename it first, or restore to another "
                           "database",
                           params[0], params[1]);
    }
    return 0;
}

static int choose_tables(struct pg_restore *r, struct err *e)
{
    AUTO(strings) chosen = STRINGS_NONE;
    for (size_t i = 0; r->o->tables[i]; i++)
        if (choose_table(r, r->o->tables[i], &chosen, e))
            return -1;
    r->counts->entries = chosen.n / 2;
    if (pg_restore_adds_tables(r) && r->o->jobs > 1)
        strings_add(&r->counts->notes, "one job: tables go into a database in use in one transaction");
    pg_contents_complete(&r->contents, !pg_restore_adds_tables(r), &r->counts->notes);
    return refuse_existing(r, &chosen, e);
}

int pg_choose_entries(struct pg_restore *r, struct err *e)
{
    pg_contents_forget_choice(&r->contents);
    r->listed = pg_restore_has_tables(r) || pg_contents_choose_first(&r->contents, !r->o->no_subscriptions);
    return pg_restore_has_tables(r) ? choose_tables(r, e) : 0;
}

int pg_choose_check(struct pg_restore *r, struct err *e)
{
    AUTO(strings) wanted = STRINGS_NONE;
    AUTO(strings) missing = STRINGS_NONE;
    pg_contents_extensions(&r->contents, &wanted);
    if (pg_database_missing_extensions(&r->server, &wanted, &missing, e))
        return -1;
    AUTO(buf) list = BUF_NONE;
    for (size_t i = 0; i < missing.n; i++)
        buf_add_fmt(&list, "%s%s", i ? ", " : "", missing.v[i]);
    if (missing.n == 0)
        return 0;
    return err_set(e, r->o->report ? ERR_UNPROVEN : ERR_USAGE,
                   "the server does not have what the database needs, extension %s: install it (packages of "
                   "Debian: postgresql-%d-...; apt-cache search postgresql-%d)",
                   buf_cstr(&list), pg_major(r->server.version), pg_major(r->server.version));
}
