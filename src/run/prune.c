/* prune, forget, undo, pin: the policy chooses, marks are written, garbage is collected (repo/gc.h). */
#include "internal.h"

#include "base/file.h"
#include "base/log.h"
#include "policy/retention.h"
#include "repo/gc.h"

#include <jansson.h>
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

/* ---- what the last prune of this repository left behind: STATE/<repository>/prune.json ---- */
static char *state_path(const struct config *c, const char *id)
{
    return xasprintf("%s/%s/prune.json", c->state_dir, id);
}

/* The store's time of the last prune; 0: there was none, or nobody remembers. */
static int64_t last_prune(const struct config *c, const char *id)
{
    AUTO_CHAR path = state_path(c, id);
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    int64_t ns = 0;
    if (!file_is_there(path))
        return 0;
    if (file_read(path, STATE_MAX, &text, &why)) {
        log_warn("%s (taken as the first prune)", why.text);
        return 0;
    }
    json_t *o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    const char *time = json_string_value(json_object_get(o, "store_time"));
    if (!time || !time_parse_utc(time, &ns))
        log_warn("%s: is not understood (taken as the first prune)", path);
    json_decref(o);
    return ns;
}

static void remember_prune(const struct config *c, const char *id, int64_t now_ns)
{
    char time[40];
    struct err why = ERR_INIT;
    AUTO_CHAR path = state_path(c, id);
    time_format_utc(time, now_ns);
    AUTO_CHAR text = xasprintf("{\"store_time\":\"%s\"}\n", time);
    if (make_parent_folder(path, &why) || file_write(path, BYTES_STR(text), 0600, false, &why))
        log_warn("%s", why.text);
}

/* ---- snapshots as the policy sees them ---- */
struct line { /* of snapshots: what retention looks at together */
    const char *host, *source;
};

struct pruning {
    const struct run_prune_options *o;
    struct run_prune_result *out;
    struct run_repo repo;
    struct snapshots all; /* those that count: neither forgotten nor broken */
    int64_t *stored_ns;   /* of each, by the store's clock */
    int64_t last_ns;
    struct line *lines;
    size_t line_count;
    struct retention retention;
    struct zone *zone;
    bool *drop;
    bool alarmed;
};

static int note_time(void *ctx, const struct store_object *o, struct err *e)
{
    struct pruning *p = ctx;
    const char *slash = strrchr(o->name, '/');
    struct sha id;
    (void)e;
    if (!sha_parse(&id, slash + 1, strlen(slash + 1)))
        return 0;
    for (size_t i = 0; i < p->all.n; i++)
        if (sha_equal(&p->all.v[i].id, &id))
            p->stored_ns[i] = o->mtime_ns;
    return 0;
}

/* A snapshot that is on its way out is nobody's replacement. */
static void leave_out_forgotten(struct snapshots *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].forgotten_ns || all->v[i].broken)
            snapshot_free(&all->v[i]);
        else
            all->v[kept++] = all->v[i];
    }
    all->n = kept;
}

static int load(struct pruning *p, struct err *e)
{
    AUTO(receipts) receipts = {0};
    if (snapshots_load(p->repo.repo, &p->all, e) || receipts_load(p->repo.repo, NULL, &receipts, e))
        return -1;
    if (p->all.unreadable.n)
        return err_set(e, ERR_DAMAGED,
                       "%s: nothing is pruned while a snapshot cannot be read: `lifeboat check`",
                       p->all.unreadable.v[0]);
    receipts_apply(&receipts, &p->all);
    leave_out_forgotten(&p->all);
    p->stored_ns = xcalloc(p->all.n, sizeof *p->stored_ns);
    for (size_t i = 0; i < p->all.n; i++)
        p->stored_ns[i] = p->all.v[i].time_ns;
    return store_list(p->repo.store, "snapshots/", note_time, p, &p->retention.now_ns, e) ? -1 : 0;
}

/* ---- what may go ---- */
static struct run_pruned *decided(struct pruning *p, size_t snapshot)
{
    return &p->out->v[snapshot];
}

/* The moments of one source of one host. *out: free(). */
static size_t collect(const struct pruning *p, const struct line *l, struct moment **out)
{
    size_t n = 0;
    *out = xcalloc(p->all.n, sizeof **out);
    for (size_t i = 0; i < p->all.n; i++) {
        const struct snapshot *s = &p->all.v[i];
        const struct snapshot_source *src = snapshot_find_source(s, l->source);
        if (!src || strcmp(s->host, l->host) != 0)
            continue;
        (*out)[n++] = (struct moment){.snapshot = i,
                                      .time_ns = MIN(s->time_ns, p->stored_ns[i]),
                                      .stored_ns = p->stored_ns[i],
                                      .sequence = src->sequence,
                                      .verdict = src->verdict,
                                      .pinned = s->pins.n > 0,
                                      .proven = src->proof.state == PROOF_HOLDS};
    }
    return n;
}

static void explain(struct pruning *p, const char *source, const struct moment *m, const struct decision *d,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(strings) why = STRINGS_NONE;
        AUTO(buf) line = BUF_NONE;
        retention_explain(&p->retention, &m[i], &d[i], &why);
        buf_add_fmt(&line, "%s: ", source);
        for (size_t k = 0; k < why.n; k++)
            buf_add_fmt(&line, "%s%s", k ? ", " : "", why.v[k]);
        strings_add(&decided(p, m[i].snapshot)->why, buf_cstr(&line));
    }
}

/* The sources of every host, each once; borrowed texts. */
static void find_lines(struct pruning *p)
{
    for (size_t i = 0; i < p->all.n; i++)
        for (size_t k = 0; k < p->all.v[i].source_count; k++) {
            const struct line l = {p->all.v[i].host, p->all.v[i].sources[k].name};
            size_t n = 0;
            while (n < p->line_count &&
                   (strcmp(p->lines[n].host, l.host) != 0 || strcmp(p->lines[n].source, l.source) != 0))
                n++;
            if (n < p->line_count)
                continue;
            p->lines = xrealloc(p->lines, n + 1, sizeof *p->lines);
            p->lines[p->line_count++] = l;
        }
}

static void decide_line(struct pruning *p, const struct line *l)
{
    struct moment *m;
    size_t n = collect(p, l, &m);
    struct decision *d = xcalloc(n, sizeof *d);
    p->retention.keep = *config_keep_rules(p->o->config, l->source);
    retention_decide(&p->retention, m, n, d);
    retention_combine(m, d, n, p->drop);
    explain(p, l->source, m, d, n);
    free(d);
    free(m);
}

static void alarm_line(struct pruning *p, const struct line *l)
{
    struct moment *m;
    struct retention_alarm alarm;
    AUTO(strings) why = STRINGS_NONE;
    size_t n = collect(p, l, &m);
    retention_alarm(m, n, p->drop, p->last_ns ? p->last_ns : RETENTION_NEVER, p->retention.now_ns, &alarm);
    retention_alarm_explain(&alarm, &why);
    for (size_t i = 0; i < why.n; i++)
        strings_add_fmt(&p->out->alarms, "%s on %s: %s", l->source, l->host, why.v[i]);
    free(m);
}

static int decide(struct pruning *p, struct err *e)
{
    const char *zone = p->o->config->retention.time_zone;
    if (zone && !(p->zone = zone_load(zone, e)))
        return -1;
    p->retention.zone = p->zone;
    p->drop = xcalloc(p->all.n, sizeof *p->drop);
    p->out->v = xcalloc(p->all.n, sizeof *p->out->v);
    p->out->n = p->all.n;
    for (size_t i = 0; i < p->all.n; i++) {
        p->drop[i] = p->all.v[i].source_count > 0;
        p->out->v[i] = (struct run_pruned){
            .id = p->all.v[i].id, .time_ns = p->all.v[i].time_ns, .host = xstrdup(p->all.v[i].host)};
    }
    find_lines(p);
    for (size_t i = 0; i < p->line_count; i++)
        decide_line(p, &p->lines[i]);
    for (size_t i = 0; i < p->all.n; i++)
        p->out->v[i].goes = p->drop[i];
    for (size_t i = 0; i < p->line_count; i++)
        alarm_line(p, &p->lines[i]);
    return 0;
}

/* ---- the run ---- */
static int check_exclusive(const struct pruning *p, struct err *e)
{
    for (size_t i = 0; p->o->exclusive && i < p->all.n; i++) {
        const struct snapshot *s = &p->all.v[i];
        char time[40];
        if (strcmp(s->host, p->o->config->host) == 0 ||
            p->retention.now_ns - MAX(s->time_ns, p->stored_ns[i]) > OTHER_HOST_NS)
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

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    const struct pruning *p = ctx;
    const struct run_progress now = {.what = what, .done = done, .total = total};
    if (p->o->progress)
        p->o->progress(p->o->progress_ctx, &now);
}

static int collect_garbage(struct pruning *p, struct err *e)
{
    struct sha *forget = xcalloc(p->all.n, sizeof *forget);
    size_t n = 0;
    for (size_t i = 0; i < p->all.n; i++)
        if (p->drop[i])
            forget[n++] = p->all.v[i].id;
    const struct prune_options o = {.forget = forget,
                                    .forget_count = n,
                                    .last_now_ns = p->last_ns,
                                    .exclusive = p->o->exclusive,
                                    .thorough = p->o->exclusive,
                                    .dry_run = p->o->dry_run,
                                    .progress = on_progress,
                                    .progress_ctx = p};
    int rc = repo_prune(p->repo.repo, &o, &p->out->report, e);
    free(forget);
    if (rc == 0 && !p->o->dry_run)
        remember_prune(p->o->config, p->repo.id, p->out->report.now_ns);
    return rc;
}

static int prune(struct pruning *p, struct err *e)
{
    const struct run_access access = {.config = p->o->config,
                                      .identity_file = p->o->identity_file,
                                      .passphrase_file = p->o->passphrase_file};
    if (run_open(&p->repo, &access, RUN_BEST, e))
        return -1;
    AUTO_FD lock = p->o->exclusive ? lock_take(p->o->config->state_dir, p->repo.id, e) : -1;
    if (p->o->exclusive && lock < 0)
        return -1;
    p->last_ns = last_prune(p->o->config, p->repo.id);
    if (load(p, e) || check_exclusive(p, e) || decide(p, e))
        return -1;
    p->out->stopped = p->out->alarms.n && !p->o->yes && !p->o->dry_run;
    return p->out->stopped ? 0 : collect_garbage(p, e);
}

int run_prune(const struct run_prune_options *o, struct run_prune_result *out, struct err *e)
{
    *out = (struct run_prune_result){0};
    struct pruning p = {.o = o, .out = out};
    int rc = prune(&p, e);
    snapshots_free(&p.all);
    run_repo_free(&p.repo);
    zone_free(p.zone);
    free(p.stored_ns);
    free(p.lines);
    free(p.drop);
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
