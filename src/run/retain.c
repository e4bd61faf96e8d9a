/* What [retention] says: the snapshots of a repository as the policy sees them. */
#include "internal.h"

#include "policy/retention.h"

#include <stdlib.h>
#include <string.h>

int retaining_load(struct retaining *t, const struct config *c, struct repo *r, struct err *e)
{
    AUTO(receipts) receipts = {0};
    *t = (struct retaining){.config = c};
    if (snapshots_load(r, &t->all, e) || receipts_load(r, NULL, &receipts, e))
        return -1;
    if (t->all.unreadable.n)
        return err_set(
            e, ERR_DAMAGED,
            "%s: nothing is pruned while a snapshot cannot be read. If it is damaged, `lifeboat repair` "
            "brings it from a mirror; where no copy of it is left, remove that object from the store",
            t->all.unreadable.v[0]);
    receipts_apply(&receipts, &t->all);
    t->retention.now_ns = t->all.now_ns;
    return 0;
}

/* The moments of one source of one host. A snapshot that is on its way out is nobody's replacement, so those
 * are left out, unless they are wanted too: then `lost`. *out: free(). */
static size_t collect(const struct retaining *t, const struct line *l, bool forgotten_too,
                      struct moment **out)
{
    size_t n = 0;
    *out = xcalloc(t->all.n, sizeof **out);
    for (size_t i = 0; i < t->all.n; i++) {
        const struct snapshot *s = &t->all.v[i];
        const struct snapshot_source *src = snapshot_find_source(s, l->source);
        if (!src || strcmp(s->host, l->host) != 0 || !(snapshot_counts(s) || forgotten_too))
            continue;
        (*out)[n++] = (struct moment){.snapshot = i,
                                      .time_ns = snapshot_taken_ns(s),
                                      .stored_ns = s->stored_ns,
                                      .sequence = src->sequence,
                                      .verdict = src->verdict,
                                      .pinned = s->pins.n > 0,
                                      .proven = src->proof.state == PROOF_HOLDS,
                                      .lost = !snapshot_counts(s)};
    }
    return n;
}

/* The sources of every host, each once; borrowed texts. */
static void find_lines(struct retaining *t)
{
    for (size_t i = 0; i < t->all.n; i++)
        for (size_t k = 0; k < t->all.v[i].source_count; k++) {
            const struct line l = {t->all.v[i].host, t->all.v[i].sources[k].name};
            size_t n = 0;
            while (n < t->line_count &&
                   (strcmp(t->lines[n].host, l.host) != 0 || strcmp(t->lines[n].source, l.source) != 0))
                n++;
            if (n < t->line_count)
                continue;
            t->lines = xrealloc(t->lines, n + 1, sizeof *t->lines);
            t->lines[t->line_count++] = l;
        }
}

static void explain(const struct retaining *t, const char *source, const struct moment *m,
                    const struct decision *d, size_t n, struct run_prune_result *out)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(strings) why = STRINGS_NONE;
        AUTO(buf) line = BUF_NONE;
        retention_explain(&t->retention, &m[i], &d[i], &why);
        buf_add_fmt(&line, "%s: ", source);
        for (size_t k = 0; k < why.n; k++)
            buf_add_fmt(&line, "%s%s", k ? ", " : "", why.v[k]);
        strings_add(&out->v[m[i].snapshot].why, buf_cstr(&line));
    }
}

/* On its way out since an earlier day. */
static void explain_forgotten(const struct retaining *t, const struct snapshot *s, struct strings *why)
{
    const struct gc_bounds b = run_bounds(t->config);
    int64_t end_ns = s->forgotten_ns + b.undo_window_ns - gc_gap_ns(&b);
    char since[40], until[40];
    time_format_local(since, s->forgotten_ns);
    time_format_local(until, end_ns);
    strings_add_fmt(why, "%s since %s%s%s", s->broken ? "broken" : "forgotten", since,
                    t->all.now_ns < end_ns ? "; `lifeboat undo` brings it back until "
                                           : ", too long for undo",
                    t->all.now_ns < end_ns ? until : "");
}

static void decide_line(struct retaining *t, const struct line *l, struct run_prune_result *out)
{
    struct moment *m;
    size_t n = collect(t, l, false, &m);
    struct decision *d = xcalloc(n, sizeof *d);
    t->retention.keep = *config_keep_rules(t->config, l->source);
    retention_decide(&t->retention, m, n, d);
    retention_combine(m, d, n, t->drop);
    if (out)
        explain(t, l->source, m, d, n, out);
    free(d);
    free(m);
}

int retaining_decide(struct retaining *t, struct run_prune_result *out, struct err *e)
{
    const char *zone = t->config->retention.time_zone;
    if (zone && !(t->zone = zone_load(zone, e)))
        return -1;
    t->retention.zone = t->zone;
    t->drop = xcalloc(t->all.n, sizeof *t->drop);
    for (size_t i = 0; i < t->all.n; i++)
        t->drop[i] = t->all.v[i].source_count > 0 && snapshot_counts(&t->all.v[i]);
    if (out) {
        out->v = xcalloc(t->all.n, sizeof *out->v);
        out->n = t->all.n;
    }
    for (size_t i = 0; out && i < t->all.n; i++) {
        const struct snapshot *s = &t->all.v[i];
        out->v[i] = (struct run_pruned){
            .id = s->id, .time_ns = s->time_ns, .host = xstrdup(s->host), .forgotten_ns = s->forgotten_ns};
        if (!snapshot_counts(s))
            explain_forgotten(t, s, &out->v[i].why);
    }
    find_lines(t);
    for (size_t i = 0; i < t->line_count; i++)
        decide_line(t, &t->lines[i], out);
    for (size_t i = 0; out && i < t->all.n; i++)
        out->v[i].goes = t->drop[i] || !snapshot_counts(&t->all.v[i]);
    return 0;
}

/* What was forgotten before the last prune is settled, and what [retention] would not keep is no loss. Of
 * proven ones the newest matters. */
static size_t collect_for_alarm(struct retaining *t, const struct line *l, int64_t last_ns,
                                struct moment **out)
{
    size_t n = collect(t, l, true, out), kept = 0;
    struct decision *d = xcalloc(n, sizeof *d);
    t->retention.keep = *config_keep_rules(t->config, l->source);
    retention_decide(&t->retention, *out, n, d);
    for (size_t i = 0; i < n; i++) {
        const struct moment *m = &(*out)[i];
        if (m->lost && (!d[i].why || t->all.v[m->snapshot].forgotten_ns <= last_ns))
            continue;
        (*out)[kept] = *m;
        (*out)[kept++].proven = (d[i].why & KEPT_PROVEN) != 0;
    }
    free(d);
    return kept;
}

void retaining_alarms(struct retaining *t, int64_t last_ns, struct strings *out)
{
    for (size_t i = 0; i < t->line_count; i++) {
        struct moment *m;
        struct retention_alarm alarm;
        AUTO(strings) why = STRINGS_NONE;
        size_t n = collect_for_alarm(t, &t->lines[i], last_ns, &m);
        retention_alarm(m, n, t->drop, last_ns ? last_ns : RETENTION_NEVER, t->retention.now_ns, &alarm);
        retention_alarm_explain(&alarm, &why);
        for (size_t k = 0; k < why.n; k++)
            strings_add_fmt(out, "%s on %s: %s", t->lines[i].source, t->lines[i].host, why.v[k]);
        free(m);
    }
}

void retaining_free(struct retaining *t)
{
    snapshots_free(&t->all);
    zone_free(t->zone);
    free(t->lines);
    free(t->drop);
}
