/* The restore into scratch, and what the statements mean that the server refused. */
#include "pg_drill.h"

#include "target/stream_feed.h"

#include <string.h>

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct drill_env *env = ctx;
    env->progress(env->progress_ctx, "restore", done, total);
}

int pg_drill_restore(const struct pg_drill_database *b, const char *database, bool schema_only,
                     struct target_counts *counts, struct target_postgres_report *report, struct err *e)
{
    const struct drill_env *env = b->d->env;
    AUTO(stream_feed) f = {0};
    AUTO_CHAR named = pg_conninfo_database(database);
    AUTO_CHAR connection = xasprintf("%s %s", b->d->server.connection, named);
    const struct target_postgres_options o = {.connection = connection,
                                              .container = b->d->server.container,
                                              .settings = &env->source->server_settings,
                                              .jobs = 1,
                                              .spool_dir = scratch_path(env->scratch),
                                              .no_subscriptions = true,
                                              .no_tablespaces = !b->tablespaces,
                                              .schema_only = schema_only,
                                              .time_limit_s = PG_DRILL_LIMIT_S,
                                              .report = report};
    stream_feed_init(&f, env->repo, b->data, &whole_stream, 1);
    if (env->progress && !schema_only) {
        f.progress = on_progress;
        f.progress_ctx = (void *)env;
    }
    return target_postgres(&f.base, &o, counts, e);
}

/* What scratch lacks, and the backup is not to blame for; NULL: nothing of the kind. */
static const char *lack(const struct pg_drill *d, const char *text)
{
    if (strstr(text, "No space left on device") || strstr(text, "Disk quota exceeded"))
        return "scratch is full ([drill] directory)";
    if (!d->has_globals && strstr(text, "role \"") && strstr(text, "\" does not exist"))
        return "the backup is without its roles (globals = yes)";
    return NULL;
}

static void judge_one(struct pg_drill_database *b, const struct target_refusal *r)
{
    struct drill_result *out = b->d->out;
    const char *why = lack(b->d, r->text), *of = *r->statement ? ", refused: " : "";
    if (why)
        drill_unable(out, "%s%s: %s%s%s", b->prefix, why, r->text, of, r->statement);
    else
        drill_differs(out, "%snot restored: %s%s%s", b->prefix, r->text, of, r->statement);
    b->unable |= why != NULL;
}

int pg_drill_judge(struct pg_drill_database *b, const struct target_postgres_report *report, bool *held,
                   struct err *e)
{
    unsigned long told = 0;
    if (pg_unfilled(b, report, e))
        return -1;
    for (size_t i = 0; i < report->n; i++)
        if (!strings_has(&b->refreshes, report->v[i].statement)) {
            judge_one(b, &report->v[i]);
            told++;
        }
    /* Of very many refusals the words of some are not known. */
    unsigned long known = told + (unsigned long)b->refreshes.n;
    if (report->refused > known)
        drill_differs(b->d->out, "%snot restored: %lu statements more were refused", b->prefix,
                      report->refused - known);
    *held = told == 0 && report->refused <= known;
    return 0;
}
