/* drill: which snapshot, then each of its sources there and back; what was found is signed and kept beside
 * it. */
#include "internal.h"

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "drill/drill.h"
#include "source/engine.h"
#include "source/pg_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY "/var/lib/lifeboat/drill" /* where no configuration names another */

struct drilling {
    struct run_repo *repo;
    const struct snapshot *snapshot;
    const struct run_drill_options *o;
    struct config_drill settings; /* borrowed texts */
    struct strings keep_out, server_ids;
    struct scratch *scratch;
    const char *source; /* under drill, for the progress */
    uint64_t started_ns;
};

/* ---- which ---- */
/* What was taken out of the configuration is of no interest any more; other hosts have one of their own. */
static bool is_wanted(const struct config *c, const char *host, const char *source)
{
    return !c || strcmp(c->host, host) != 0 || config_find_source(c, source);
}

static struct run_drill_target *target_for(struct run_drill_targets *t, const struct snapshot *s)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].snapshot == s)
            return &t->v[i];
    t->v = xrealloc(t->v, t->n + 1, sizeof *t->v);
    t->v[t->n] = (struct run_drill_target){.snapshot = s};
    return &t->v[t->n++];
}

static bool has_target(const struct run_drill_targets *t, const char *source)
{
    for (size_t i = 0; i < t->n; i++)
        if (strings_has(&t->v[i].sources, source))
            return true;
    return false;
}

static void choose(const struct config *c, const struct snapshots *all, const char *host,
                   struct run_drill_targets *out)
{
    for (size_t i = all->n; i-- > 0;) {
        const struct snapshot *s = &all->v[i];
        bool counts = snapshot_counts(s) && strcmp(s->host, host) == 0;
        for (size_t k = 0; k < s->source_count && counts; k++) {
            const char *name = s->sources[k].name;
            if (s->sources[k].verdict == VERDICT_GOOD && is_wanted(c, host, name) && !has_target(out, name))
                strings_add(&target_for(out, s)->sources, name);
        }
    }
}

int run_drill_choose(const struct config *c, const struct snapshots *all, const struct run_select *select,
                     struct run_drill_targets *out, struct err *e)
{
    *out = (struct run_drill_targets){0};
    const struct snapshot *latest = run_pick(all, "latest", select, e);
    if (!latest)
        return -1;
    choose(c, all, latest->host, out);
    for (size_t i = 0; c && strcmp(c->host, latest->host) == 0 && i < c->source_count; i++)
        if (!has_target(out, c->sources[i].name))
            strings_add(&out->without, c->sources[i].name);
    return out->n ? 0
                  : err_set(e, ERR_UNPROVEN,
                            "there is no good backup of any source of %s to drill: see `lifeboat list`",
                            latest->host);
}

void run_drill_targets_free(struct run_drill_targets *t)
{
    for (size_t i = 0; i < t->n; i++)
        strings_free(&t->v[i].sources);
    free(t->v);
    strings_free(&t->without);
    *t = (struct run_drill_targets){0};
}

/* ---- what scratch must not be ---- */
static void add_folders(struct drilling *d)
{
    const struct config *c = d->o->config;
    for (size_t i = 0; c && i < c->store_count; i++)
        if (c->stores[i].path)
            strings_add(&d->keep_out, c->stores[i].path);
    for (size_t i = 0; c && i < c->source_count; i++) {
        AUTO(engine_source) found = {0};
        struct err unknown =
            ERR_INIT; /* a volume that the engine does not know has no folder to keep out of */
        if (c->sources[i].type == SOURCE_VOLUME && engine_resolve(&c->sources[i], &found, &unknown) == 0)
            strings_add(&d->keep_out, found.source.path);
    }
}

static void add_id(struct drilling *d, const char *id)
{
    if (id && !strings_has(&d->server_ids, id))
        strings_add(&d->server_ids, id);
}

/* From the snapshots, true when one of them knows the server of `source`. */
static bool add_recorded_ids(struct drilling *d, const char *source)
{
    bool known = false;
    for (size_t i = 0; i < d->o->all->n; i++) {
        const struct snapshot_source *s = snapshot_find_source(&d->o->all->v[i], source);
        if (!s || !s->server_id)
            continue;
        add_id(d, s->server_id);
        known = true;
    }
    return known;
}

/* A server that the user set aside must be none that is backed up, so each of these is asked who it is. */
static int add_server_ids(struct drilling *d, struct err *e)
{
    const struct config *c = d->o->config;
    if (drill_is_private(&d->settings))
        return 0;
    for (size_t i = 0; i < d->snapshot->source_count; i++)
        add_id(d, d->snapshot->sources[i].server_id);
    for (size_t i = 0; c && i < c->source_count; i++) {
        AUTO(pg) p = PG_NONE;
        AUTO(engine_source) found = {0};
        struct err why = ERR_INIT;
        if (c->sources[i].type != SOURCE_POSTGRES)
            continue;
        bool known = add_recorded_ids(d, c->sources[i].name);
        bool asked = engine_resolve(&c->sources[i], &found, &why) == 0 &&
                     pg_connect(&p, found.source.connection, NULL, &why) == 0;
        AUTO_CHAR id = asked ? pg_system_identifier(&p) : NULL;
        add_id(d, id);
        if (!id && !known)
            return err_set(
                e, ERR_UNPROVEN,
                "the server of source %s does not say which it is%s%s, so it cannot be ruled out that "
                "[drill] scratch is that very server",
                c->sources[i].name, asked ? "" : ": ", why.text);
    }
    return 0;
}

/* Once more when the server is used; here before anything is. */
static int refuse_sources(const struct drilling *d, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (drill_is_private(&d->settings))
        return 0;
    if (pg_connect(&p, d->settings.scratch, NULL, e)) {
        e->kind = ERR_UNPROVEN;
        return err_wrap(e, "[drill] scratch");
    }
    AUTO_CHAR id = pg_system_identifier(&p);
    if (id && strings_has(&d->server_ids, id))
        return err_set(
            e, ERR_USAGE,
            "[drill] scratch leads to the server of a source: a drill needs one that holds nothing of "
            "value; leave the key out for a private one");
    return 0;
}

/* ---- one source ---- */
static void on_progress(void *ctx, const char *step, uint64_t done, uint64_t total)
{
    const struct drilling *d = ctx;
    AUTO_CHAR what = xasprintf("%s: %s", d->source, step);
    const struct run_progress p = {.what = what, .done = done, .total = total};
    if (d->o->progress)
        d->o->progress(d->o->progress_ctx, &p);
}

static int drill_one(struct drilling *d, const struct snapshot_source *s, struct drill_result *out,
                     struct err *e)
{
    const struct drill_env env = {.repo = d->repo->repo,
                                  .source = s,
                                  .config = d->o->config ? config_find_source(d->o->config, s->name) : NULL,
                                  .settings = &d->settings,
                                  .server_ids = &d->server_ids,
                                  .scratch = d->scratch,
                                  .progress = on_progress,
                                  .progress_ctx = d};
    if (s->verdict == VERDICT_FAILED) {
        drill_unable(out, "there is no backup of it in this snapshot: %s", s->error ? s->error : "it failed");
        return 0;
    }
    d->source = s->name;
    return drill_source(&env, out, e);
}

static int drill_sources(struct drilling *d, struct receipt *out, struct err *e)
{
    const struct snapshot *s = d->snapshot;
    for (size_t i = 0; i < s->source_count; i++) {
        const struct snapshot_source *src = &s->sources[i];
        if (d->o->sources->n && !strings_has(d->o->sources, src->name))
            continue;
        struct receipt_source *to = receipt_add_source(out, src->name, src->type);
        if (stop_check(e) || drill_one(d, src, &to->result, e))
            return err_wrap(e, "%s", src->name);
    }
    return 0;
}

/* ---- the whole ---- */
/* On a machine that is not set up for it: on a disk, so not /tmp. */
static char *temporary_place(void)
{
    const char *tmp = getenv("TMPDIR");
    return xasprintf("%s/lifeboat-kit-%u", tmp && *tmp ? tmp : "/var/tmp", (unsigned)geteuid());
}

static struct config_drill settings_for(const struct run_drill_options *o, char *anywhere)
{
    struct config_drill s = {.scratch = (char *)"auto",
                             .directory = o->from_kit ? anywhere : (char *)DIRECTORY};
    if (o->config)
        s = o->config->drill;
    if (o->directory)
        s.directory = (char *)o->directory;
    return s;
}

/* A kit is tried with what can be read: a store that takes nothing now is no fault of it. */
static int put_receipt(const struct drilling *d, struct receipt *out, struct err *e)
{
    struct err why = ERR_INIT;
    if (!d->o->from_kit)
        return receipt_put(d->repo->repo, out, e);
    if (receipt_put(d->repo->repo, out, &why))
        log_warn(
            "the store does not take the receipt of this drill, so `lifeboat list` will not know of it: %s",
            why.text);
    return 0;
}

static int drill(struct drilling *d, struct receipt *out, struct err *e)
{
    const struct strings *names = d->o->sources;
    for (size_t i = 0; i < names->n; i++)
        if (!run_find_source(d->snapshot, names->v[i], e))
            return -1;
    add_folders(d);
    const struct scratch_options place = {.directory = d->settings.directory,
                                          .keep_out = &d->keep_out,
                                          .temporary = d->o->from_kit && !d->o->directory};
    if (add_server_ids(d, e) || refuse_sources(d, e))
        return -1;
    d->scratch = scratch_new(&place, e);
    if (!d->scratch || drill_sources(d, out, e))
        return -1;
    out->seconds = (double)(time_monotonic_ns() - d->started_ns) / 1e9;
    return put_receipt(d, out, e);
}

int run_drill(struct run_repo *r, const struct snapshot *s, const struct run_drill_options *o,
              struct receipt *out, struct err *e)
{
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    *out = (struct receipt){.snapshot = s->id,
                            .time_ns = time_now_ns(),
                            .host = xstrdup(o->config ? o->config->host : host),
                            .version = xstrdup(LIFEBOAT_VERSION)};
    AUTO_CHAR anywhere = temporary_place();
    struct drilling d = {.repo = r,
                         .snapshot = s,
                         .o = o,
                         .settings = settings_for(o, anywhere),
                         .started_ns = time_monotonic_ns()};
    int rc = drill(&d, out, e);
    scratch_free(d.scratch);
    strings_free(&d.keep_out);
    strings_free(&d.server_ids);
    return rc;
}

bool run_drill_proves(const struct receipt *r)
{
    for (size_t i = 0; i < r->source_count; i++)
        if (r->sources[i].result.outcome != DRILL_PROVEN)
            return false;
    return r->source_count > 0;
}
