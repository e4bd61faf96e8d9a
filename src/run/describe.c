#include "internal.h"

#include "source/engine.h"
#include "source/pg_client.h"

#include <dirent.h>
#include <string.h>

static void add_list(struct buf *out, const char *before, const struct strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        buf_add_fmt(out, "%s%s", i ? ", " : before, s->v[i]);
}

static int describe_folder(const struct config_source *s, struct buf *out, struct err *e)
{
    DIR *d = opendir(s->path);
    if (!d)
        return err_errno(e, ERR_FAILED, "%s", s->path);
    closedir(d);
    buf_add_fmt(out, "the folder %s", s->path);
    add_list(out, ", without ", &s->exclude);
    return 0;
}

static int describe_database(const struct config_source *s, struct buf *out, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (pg_connect(&p, s->connection,
                   s->databases.n && strcmp(s->databases.v[0], "all") != 0 ? s->databases.v[0] : NULL, e))
        return -1;
    buf_add_fmt(out, "PostgreSQL %d at %s, database ", pg_major(p.version), PQhost(p.conn));
    if (s->databases.n)
        add_list(out, "", &s->databases);
    else
        buf_add_str(out, PQdb(p.conn));
    add_list(out, ", without the rows of ", &s->exclude_table_data);
    return 0;
}

static int describe(const struct config_source *s, struct buf *out, struct err *e)
{
    switch (s->type) {
    case SOURCE_VOLUME:
        return describe_folder(s, out, e);
    case SOURCE_POSTGRES:
        return describe_database(s, out, e);
    case SOURCE_COMMAND:
        buf_add_fmt(out, "what this prints: %s", s->command);
        return 0;
    }
    return 0;
}

int run_describe(const struct config_source *s, struct buf *out, struct err *e)
{
    AUTO(engine_source) found = {0};
    return engine_resolve(s, &found, e) ? -1 : describe(&found.source, out, e);
}
