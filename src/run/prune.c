/* prune, forget, undo, pin: the policy chooses, marks are written, garbage is collected (repo/gc.h). */
#include "internal.h"

#include "base/log.h"
#include "repo/gc.h"
#include "report/state_file.h"

#include <stdlib.h>
#include <string.h>

#define OTHER_HOST_NS (30ll * 24 * 3600 * 1000000000) /* prune --exclusive: nobody else wrote for so long */
#define STATE_MAX     (64u << 10)

struct gc_bounds run_bounds(const struct config *c)
{
    struct gc_bounds b = GC_BOUNDS_DEFAULT;
    if (!c)
        return b;
    b.grace_ns = (int64_t)c->retention.grace_s * 1000000000;
    b.undo_window_ns = (int64_t)c->retention.undo_window_s * 1000000000;
    b.lag_ns = config_lag_ns(&c->retention);
    return b;
}

/* ---- what the last prune of this store left behind: STATE/<repository>/prune.json or prune-<mirror>.json
 * ----
 */
static char *state_path(const struct config *c, const char *id, const char *mirror)
{
    return xasprintf("%s/%s/prune%s%s.json", c->state_dir, id, mirror ? "-" : "", mirror ? mirror : "");
}

/* The store's time of the last prune; 0: there was none, or nobody remembers. */
static int64_t last_prune(const struct config *c, const char *id, const char *mirror)
{
    AUTO_CHAR path = state_path(c, id, mirror);
    struct err why = ERR_INIT;
    int64_t ns = 0;
    json_t *o = state_file_read(path, STATE_MAX, &why);
    if (err_is_set(&why))
        log_warn("%s (taken as the first prune)", why.text);
    if (!o)
        return 0;
    const char *time = json_string_value(json_object_get(o, "store_time"));
    if (!time || !time_parse_utc(time, &ns))
        log_warn("%s: is not understood (taken as the first prune)", path);
    json_decref(o);
    return ns;
}

static void remember_prune(const struct config *c, const char *id, const char *mirror, int64_t now_ns)
{
    char time[40];
    struct err why = ERR_INIT;
    AUTO_CHAR path = state_path(c, id, mirror);
    time_format_utc(time, now_ns);
    if (state_file_write(path, json_pack("{s:s}", "store_time", time), &why))
        log_warn("%s", why.text);
}

/* ---- one store ---- */
struct pruning {
    const struct run_prune_options *o;
    struct run_prune_result *out;
    struct run_repo repo;
    struct retaining retaining; /* of the first store */
};

static int check_exclusive(const struct pruning *p, struct err *e)
{
    for (size_t i = 0; p->o->exclusive && i < p->retaining.all.n; i++) {
        const struct snapshot *s = &p->retaining.all.v[i];
        char time[40];
        if (strcmp(s->host, p->o->config->host) == 0 ||
            p->retaining.retention.now_ns - MAX(s->time_ns, s->stored_ns) > OTHER_HOST_NS)
            continue;
        time_format_local(time, s->time_ns);
        return err_set(
            e, ERR_FAILED,
            "--exclusive: host %s wrote here on %s, and may be writing now: without --exclusive, space is given "
            "back after the grace",
            s->host, time);
    }
    return 0;
}

/* [retention SOURCE] may be about another host's; one of nobody's is a slip, by which its source is kept by
 * other rules. */
static void warn_of_unknown(const struct config *c, const struct retaining *t)
{
    size_t n = 0;
    const char **names = xcalloc(c->source_count + t->line_count + 1, sizeof *names);
    for (size_t i = 0; i < c->source_count; i++)
        names[n++] = c->sources[i].name;
    for (size_t i = 0; i < t->line_count; i++)
        names[n++] = t->lines[i].source;
    for (size_t i = 0; i < c->exception_count; i++) {
        const char *name = c->exceptions[i].source, *near = nearest_word(name, names);
        if (!near || strcmp(near, name) != 0)
            log_warn(
                "[retention %s]: there is no such source here or in a snapshot, so it keeps nothing%s%s%s",
                name, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    }
    free(names);
}

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    const struct pruning *p = ctx;
    const struct run_progress now = {.what = what, .done = done, .total = total, .counts = true};
    if (p->o->progress)
        p->o->progress(p->o->progress_ctx, &now);
}

/* Forgets what is to be dropped, and collects. mirror: its name; NULL: the first store. */
static int collect_garbage(struct pruning *p, struct repo *r, const struct retaining *t, const char *mirror,
                           struct prune_report *out, struct err *e)
{
    const struct config *c = p->o->config;
    struct sha *forget = xcalloc(t->all.n, sizeof *forget);
    size_t n = 0;
    for (size_t i = 0; i < t->all.n; i++)
        if (t->drop[i])
            forget[n++] = t->all.v[i].id;
    const struct prune_options o = {.forget = forget,
                                    .forget_count = n,
                                    .last_now_ns = last_prune(c, p->repo.id, mirror),
                                    .exclusive = p->o->exclusive,
                                    .thorough = p->o->exclusive,
                                    .dry_run = p->o->dry_run,
                                    .progress = on_progress,
                                    .progress_ctx = p};
    int rc = repo_prune(r, &o, out, e);
    free(forget);
    if (rc == 0 && !p->o->dry_run)
        remember_prune(c, p->repo.id, mirror, out->now_ns);
    return rc;
}

/* ---- mirrors ---- */
/* Whether the snapshot is on the first store, and stays there. */
static bool stays_on_first(const struct pruning *p, const struct sha *id)
{
    for (size_t i = 0; i < p->retaining.all.n; i++)
        if (sha_equal(&p->retaining.all.v[i].id, id))
            return snapshot_counts(&p->retaining.all.v[i]) && !p->retaining.drop[i];
    return false;
}

static size_t count_staying(const struct retaining *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->all.n; i++)
        n += snapshot_counts(&t->all.v[i]) && !t->drop[i];
    return n;
}

/* What the first store keeps is kept. Whatever has become of that store, a mirror that holds more is not
 * pruned down to it. */
static int decide_mirror(const struct pruning *p, struct retaining *t, uint64_t *forgotten, struct err *e)
{
    size_t there = count_staying(&p->retaining);
    if (retaining_decide(t, NULL, e))
        return -1;
    for (size_t i = 0; i < t->all.n; i++) {
        t->drop[i] &= !stays_on_first(p, &t->all.v[i].id);
        *forgotten += t->drop[i];
    }
    size_t here = count_staying(t);
    return here <= there
               ? 0
               : err_set(
                     e, ERR_FAILED,
                     "holds %zu snapshots that stay, and the first store %zu: not pruned. Is the first store "
                     "whole? `lifeboat repair` brings snapshots back that it has lost",
                     here, there);
}

static int prune_mirror(struct pruning *p, const struct config_store *s, struct run_pruned_mirror *out,
                        struct err *e)
{
    AUTO(run_repo) mirror = {0};
    AUTO(retaining) t = {0};
    AUTO(copy_report) copied = {0};
    if (open_mirror(&p->repo, s, p->o->config, &mirror, e))
        return -1;
    /* First: what the first store's prune has moved need not be moved there, too. */
    if (!p->o->dry_run && copy_to(&p->repo, mirror.repo, s, p->o->progress, p->o->progress_ctx, &copied, e))
        return -1;
    if (retaining_load(&t, p->o->config, mirror.repo, e) || decide_mirror(p, &t, &out->forgotten, e))
        return -1;
    return collect_garbage(p, mirror.repo, &t, s->name, &out->report, e);
}

static int prune_mirrors(struct pruning *p, struct err *e)
{
    const struct config *c = p->o->config;
    p->out->mirrors = xcalloc(c->store_count, sizeof *p->out->mirrors);
    for (size_t i = 1; i < c->store_count; i++) {
        struct run_pruned_mirror *out = &p->out->mirrors[p->out->mirror_count++];
        struct err why = ERR_INIT;
        out->name = xstrdup(c->stores[i].name);
        if (prune_mirror(p, &c->stores[i], out, &why) == 0)
            continue;
        if (why.kind == ERR_STOPPED)
            return *e = why, -1;
        out->error = xstrdup(why.text);
    }
    return 0;
}

/* ---- the run ---- */
/* What a snapshot needs that is there, and that the listing does not show, would be taken for garbage: at
 * once by an exclusive prune, in time by any when the listing does not just lag behind. */
static int check_listed(const struct pruning *p, const struct newest_of *one, struct err *e)
{
    char hex[SHA_HEX];
    if (!one->unlisted || !(p->o->exclusive || one->lost))
        return 0;
    sha_hex(hex, &one->snapshot);
    return err_set(
        e, ERR_FAILED,
        "snapshot %.8s of %s is in the store, and its listing does not show it: what it needs would be "
        "deleted. Nothing was; run this again in a few hours. If it is the same then, mend the store: on a "
        "bucket with versions, remove the delete marker",
        hex, one->source);
}

/* Before anything goes: what was forgotten is nobody's loss, and what is lost wants a person. */
static int look_for_lost(struct pruning *p, struct err *e)
{
    AUTO(newest) newest = {0};
    run_newest(&p->repo, p->o->config, &p->retaining.all, &newest);
    for (size_t i = 0; i < newest.n; i++) {
        if (check_listed(p, &newest.v[i], e))
            return -1;
        AUTO_CHAR why = newest.v[i].lost ? newest_explain(&newest.v[i]) : NULL;
        if (why)
            strings_add_fmt(&p->out->alarms, "%s: %s", newest.v[i].source, why);
    }
    if (!p->o->dry_run)
        newest_keep(&p->repo, p->o->config, &newest);
    return 0;
}

static int prune(struct pruning *p, struct err *e)
{
    const struct run_access access = {.config = p->o->config,
                                      .identity_file = p->o->identity_file,
                                      .passphrase_file = p->o->passphrase_file};
    struct retaining *t = &p->retaining;
    if (run_open(&p->repo, &access, RUN_BEST, e))
        return -1;
    AUTO_FD lock = p->o->exclusive ? lock_take(p->o->config->state_dir, p->repo.id, e) : -1;
    if (p->o->exclusive && lock < 0)
        return -1;
    if (retaining_load(t, p->o->config, p->repo.repo, e) || check_exclusive(p, e) ||
        retaining_decide(t, p->out, e) || look_for_lost(p, e))
        return -1;
    warn_of_unknown(p->o->config, t);
    retaining_alarms(t, last_prune(p->o->config, p->repo.id, NULL), &p->out->alarms);
    p->out->stopped = p->out->alarms.n && !p->o->yes && !p->o->dry_run;
    if (p->out->stopped)
        return 0;
    return collect_garbage(p, p->repo.repo, t, NULL, &p->out->report, e) || prune_mirrors(p, e) ? -1 : 0;
}

int run_prune(const struct run_prune_options *o, struct run_prune_result *out, struct err *e)
{
    *out = (struct run_prune_result){0};
    struct pruning p = {.o = o, .out = out};
    int rc = prune(&p, e);
    retaining_free(&p.retaining);
    run_repo_free(&p.repo);
    return rc;
}

void run_prune_result_free(struct run_prune_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].host);
        strings_free(&r->v[i].why);
    }
    free(r->v);
    strings_free(&r->alarms);
    prune_report_free(&r->report);
    for (size_t i = 0; i < r->mirror_count; i++) {
        free(r->mirrors[i].name);
        free(r->mirrors[i].error);
        prune_report_free(&r->mirrors[i].report);
    }
    free(r->mirrors);
    *r = (struct run_prune_result){0};
}

/* ---- by hand ---- */
/* Whether `s` is the newest good one of any of its sources, among those that stay. */
static const char *last_good_of(const struct snapshots *all, const struct snapshot *s)
{
    for (size_t k = 0; k < s->source_count; k++) {
        const struct snapshot *newest = NULL;
        for (size_t i = 0; i < all->n; i++) { /* oldest first */
            const struct snapshot *other = &all->v[i];
            const struct snapshot_source *src = snapshot_find_source(other, s->sources[k].name);
            if (src && src->verdict == VERDICT_GOOD && !other->forgotten_ns && !other->broken &&
                strcmp(other->host, s->host) == 0)
                newest = other;
        }
        if (newest == s)
            return s->sources[k].name;
    }
    return NULL;
}

int run_forget(struct run_repo *r, const struct snapshots *all, const struct snapshot *s, bool yes,
               struct err *e)
{
    const char *last = last_good_of(all, s);
    if (s->pins.n)
        return err_set(e, ERR_USAGE, "the snapshot is pinned (%s): `lifeboat unpin` first", s->pins.v[0]);
    if (last && !yes)
        return err_set(e, ERR_USAGE,
                       "it is the last good backup of %s on %s: --yes if it shall go all the same", last,
                       s->host);
    return mark_forget(r->repo, &s->id, 1, e);
}
