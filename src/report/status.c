#include "report/status.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_NS       3600000000000ll
#define NIGHT_NS      (26 * HOUR_NS) /* a daily run, some delay allowed */
#define TWO_DAYS_NS   (2 * 24 * HOUR_NS)
#define PROOF_LIFE_NS (8 * 24 * HOUR_NS) /* a weekly drill, a day's delay allowed */

const char *status_level_name(enum status_level l)
{
    static const char *const names[] = {"ok", "warning", "critical"};
    return names[l];
}

static int64_t due(int64_t last_ns, int64_t limit_ns)
{
    return last_ns ? last_ns + limit_ns : 0;
}

int64_t status_run_due_ns(const struct ran *ran)
{
    return strcmp(ran->command, "prune") == 0   ? due(ran->time_ns, NIGHT_NS)
           : strcmp(ran->command, "check") == 0 ? due(ran->time_ns, PROOF_LIFE_NS)
                                                : 0;
}

static void judge_mirror(const struct mirror_note *note, const struct snapshots *all, int64_t now_ns,
                         struct mirror_status *out)
{
    char age[32];
    *out = (struct mirror_status){.note = note, .due_ns = due(note->complete_ns, TWO_DAYS_NS)};
    for (size_t i = 0; i < all->n; i++)
        out->behind += all->v[i].time_ns > note->complete_ns;
    if (all->n == 0 || (note->complete_ns && now_ns - note->complete_ns <= TWO_DAYS_NS))
        return;
    out->level = STATUS_WARNING;
    duration_format(age, (uint64_t)(now_ns - note->complete_ns));
    AUTO_CHAR when = note->complete_ns ? xasprintf("the last complete copy began %s ago", age)
                                       : xstrdup("this host knows of no complete copy");
    strings_add_fmt(&out->problems, "%s, %zu snapshots are missing there%s%s: lifeboat copy %s", when,
                    out->behind, note->error ? "; the last try: " : "", note->error ? note->error : "",
                    note->name);
}

static void PRINTF_LIKE(3, 4) problem(struct source_status *s, enum status_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strings_add_sentence(&s->problems, fmt, ap);
    va_end(ap);
    s->level = MAX(s->level, level);
}

/* While such a one lies there, no space is given back; and were it the last, nobody would see that backups
 * have stopped. */
static void name_future(struct source_status *s, const struct snapshot *snapshot, int64_t now_ns)
{
    char time[40], hex[SHA_HEX];
    if (snapshot_taken_ns(snapshot) <= now_ns + HOUR_NS)
        return;
    sha_hex(hex, &snapshot->id);
    time_format_local(time, snapshot_taken_ns(snapshot));
    problem(
        s, STATUS_WARNING,
        "snapshot %.8s is dated in the future (%s): a clock was or is wrong: see the runbook, \"A clock was wrong\"",
        hex, time);
}

static void age_text(char out[32], int64_t ns)
{
    duration_format(out, ns > 0 ? (uint64_t)ns : 0);
}

/* Finds the newest of each kind; *doubted: a drill found that this one differs. */
static void look_back(struct source_status *s, const struct snapshots *all, const char *host, int64_t now_ns,
                      const struct snapshot **doubted)
{
    for (size_t i = 0; i < all->n; i++) { /* oldest first */
        const struct snapshot *snapshot = &all->v[i];
        const struct snapshot_source *src = snapshot_find_source(snapshot, s->name);
        if (!src || !snapshot_counts(snapshot) || strcmp(snapshot->host, host) != 0)
            continue;
        s->type = src->type;
        s->last = snapshot;
        name_future(s, snapshot, now_ns);
        if (src->verdict == VERDICT_GOOD)
            s->good = snapshot;
        if (src->proof.state == PROOF_HOLDS)
            s->proven = snapshot;
        if (src->proof.state == PROOF_FAILED)
            *doubted = snapshot;
    }
}

static void judge_backups(struct source_status *s, int64_t now_ns)
{
    char age[32];
    if (!s->good) {
        problem(s, STATUS_CRITICAL, "there is no good backup of it: lifeboat backup %s", s->name);
        return;
    }
    s->backup_due_ns = due(snapshot_taken_ns(s->good), NIGHT_NS);
    int64_t ns = now_ns - snapshot_taken_ns(s->good);
    age_text(age, ns);
    if (ns > NIGHT_NS)
        problem(s, ns > TWO_DAYS_NS ? STATUS_CRITICAL : STATUS_WARNING,
                "the last good backup is %s old: is the timer on, and what did the last run say?", age);
    const struct snapshot_source *last = snapshot_find_source(s->last, s->name);
    if (last->verdict != VERDICT_GOOD)
        problem(s, STATUS_WARNING, "the last backup is %s: %s", verdict_name(last->verdict),
                last->error       ? last->error
                : last->reasons.n ? last->reasons.v[0]
                                  : "see `lifeboat show`");
}

static void judge_proofs(struct source_status *s, const struct snapshot *doubted, int64_t now_ns)
{
    char age[32];
    if (doubted && (!s->proven || doubted > s->proven))
        problem(s, STATUS_CRITICAL,
                "a drill found that its newest drilled backup does not restore to the same: see "
                "`lifeboat show`");
    if (!s->good)
        return;
    if (!s->proven) {
        problem(s, STATUS_WARNING, "no backup of it was ever proven: lifeboat drill");
        return;
    }
    int64_t proven_ns = snapshot_find_source(s->proven, s->name)->proof.time_ns, ns = now_ns - proven_ns;
    s->drill_due_ns = due(proven_ns, PROOF_LIFE_NS);
    age_text(age, ns);
    if (ns < -HOUR_NS)
        problem(s, STATUS_WARNING,
                "the drill that proved it is dated in the future: a clock was or is wrong: lifeboat drill");
    if (ns > PROOF_LIFE_NS)
        problem(s, STATUS_WARNING, "the last drill that proved it was %s ago: lifeboat drill", age);
}

static struct source_status *add(struct status *out, const char *name, const char *type)
{
    for (size_t i = 0; i < out->n; i++)
        if (strcmp(out->v[i].name, name) == 0)
            return NULL;
    out->v = xrealloc(out->v, out->n + 1, sizeof *out->v);
    out->v[out->n] = (struct source_status){.name = name, .type = type};
    return &out->v[out->n++];
}

static void list_sources(const struct config *c, const struct snapshots *all, const char *host,
                         struct status *out)
{
    for (size_t i = 0; c && i < c->source_count; i++)
        add(out, c->sources[i].name, source_type_name(c->sources[i].type));
    for (size_t i = 0; !c && i < all->n; i++)
        for (size_t k = 0; k < all->v[i].source_count && strcmp(all->v[i].host, host) == 0; k++)
            add(out, all->v[i].sources[k].name, all->v[i].sources[k].type);
}

static void judge_newest(struct source_status *s, const struct newest *newest)
{
    if (newest->no_reader)
        problem(s, STATUS_CRITICAL, "%s", NO_READER);
    const struct newest_of *lost = newest_lost(newest, s->name);
    AUTO_CHAR why = lost ? newest_explain(lost) : NULL;
    if (lost)
        problem(s, STATUS_CRITICAL, "%s", why);
}

void status_make(const struct config *c, const struct snapshots *all, const struct mirror_notes *mirrors,
                 const struct newest *newest, const char *host, int64_t now_ns, struct status *out)
{
    *out = (struct status){0};
    list_sources(c, all, host, out);
    for (size_t i = 0; i < out->n; i++) {
        const struct snapshot *doubted = NULL;
        look_back(&out->v[i], all, host, now_ns, &doubted);
        judge_backups(&out->v[i], now_ns);
        judge_proofs(&out->v[i], doubted, now_ns);
        judge_newest(&out->v[i], newest);
        out->level = MAX(out->level, out->v[i].level);
    }
    out->mirror_count = mirrors->n;
    out->mirrors = xcalloc(mirrors->n, sizeof *out->mirrors);
    for (size_t i = 0; i < mirrors->n; i++) {
        judge_mirror(&mirrors->v[i], all, now_ns, &out->mirrors[i]);
        out->level = MAX(out->level, out->mirrors[i].level);
    }
}

void status_free(struct status *s)
{
    for (size_t i = 0; i < s->n; i++)
        strings_free(&s->v[i].problems);
    for (size_t i = 0; i < s->mirror_count; i++)
        strings_free(&s->mirrors[i].problems);
    free(s->mirrors);
    free(s->v);
    *s = (struct status){0};
}
