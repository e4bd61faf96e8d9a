/* The rules of docs/retention.md. Moments are looked at from the newest back, by sequence: a position counts
 * from the newest, 0. */
#include "policy/retention.h"

#include <stdlib.h>
#include <string.h>

#define NS 1000000000ll

struct work {
    const struct retention *r;
    const struct moment *m;
    size_t n;
    size_t *order; /* order[position]: index in m and out */
    struct decision *out;
    size_t last_good; /* its position; n: there is none */
};

static const struct moment *at(const struct work *w, size_t position)
{
    return &w->m[w->order[position]];
}

static void keep(const struct work *w, size_t position, unsigned why)
{
    w->out[w->order[position]].why |= why;
}

static bool is_good(const struct moment *m)
{
    return m->verdict == VERDICT_GOOD;
}

static bool has_rule(const struct keep_rules *k)
{
    bool any = k->last || k->within_s;
    for (size_t i = 0; i < KEEP_PERIODS; i++)
        any |= k->periods[i] > 0;
    return any;
}

/* ---- the order ---- */
#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_newest_first(const void *a, const void *b, void *moments)
{
    const struct moment *m = moments, *x = m + *(const size_t *)a, *y = m + *(const size_t *)b;
    int by_sequence = COMPARE(y->sequence, x->sequence);
    int by_time = COMPARE(y->time_ns, x->time_ns);
    return by_sequence ? by_sequence : by_time ? by_time : COMPARE(y->snapshot, x->snapshot);
}

static void sort_newest_first(struct work *w)
{
    for (size_t i = 0; i < w->n; i++)
        w->order[i] = i;
    qsort_r(w->order, w->n, sizeof *w->order, compare_newest_first, (void *)w->m);
    w->last_good = 0;
    while (w->last_good < w->n && !is_good(at(w, w->last_good)))
        w->last_good++;
}

/* ---- what no rule can drop ---- */
static void keep_always(const struct work *w)
{
    bool proven = false, proven_good = false;
    for (size_t i = 0; i < w->n; i++) {
        const struct moment *m = at(w, i);
        if (m->pinned)
            keep(w, i, KEPT_PINNED);
        if (m->proven && (!proven || (is_good(m) && !proven_good)))
            keep(w, i, KEPT_PROVEN);
        proven |= m->proven;
        proven_good |= m->proven && is_good(m);
        if (i < w->last_good)
            keep(w, i, KEPT_UNREPLACED);
    }
}

/* ---- counts ---- */
static void keep_counted(const struct work *w)
{
    unsigned rank = 0;
    for (size_t i = w->last_good; i < w->n; i++) {
        if (!is_good(at(w, i)))
            continue;
        w->out[w->order[i]].rank = ++rank;
        if (rank <= w->r->keep.min)
            keep(w, i, KEPT_MIN);
        if (rank <= w->r->keep.last)
            keep(w, i, KEPT_LAST);
    }
}

/* ---- the window, which ends with the last good one ---- */
static void keep_within(const struct work *w)
{
    if (!w->r->keep.within_s || w->last_good == w->n)
        return;
    int64_t end = MIN(at(w, w->last_good)->time_ns, w->r->now_ns), start;
    if (__builtin_sub_overflow(end, (int64_t)w->r->keep.within_s * NS, &start))
        start = INT64_MIN;
    size_t oldest =
        0; /* of those whose clock is not ahead: later ones are in the window whatever theirs said */
    for (size_t i = w->last_good; i < w->n; i++)
        if (is_good(at(w, i)) && at(w, i)->time_ns > start && at(w, i)->time_ns <= end)
            oldest = i;
    for (size_t i = 0; i < w->n; i++)
        if (i < oldest || at(w, i)->time_ns > start)
            keep(w, i, KEPT_WITHIN);
}

/* ---- periods of the calendar ---- */
struct place {
    int64_t period; /* which hour, day, ... */
    size_t position;
    enum verdict verdict;
};

/* An hour that comes twice has two offsets. Offsets are less than 2^18 seconds. */
static int64_t period_number(enum keep_period p, const struct local_time *l)
{
    switch (p) {
    case KEEP_HOURLY:
        return (l->day * 24 + l->hour) * (1 << 19) + l->offset_s;
    case KEEP_DAILY:
        return l->day;
    case KEEP_WEEKLY: /* 1970-01-01 was a Thursday */
        return (l->day + 3 - ((l->day + 3) % 7 + 7) % 7) / 7;
    case KEEP_MONTHLY:
        return (int64_t)l->year * 12 + l->month;
    case KEEP_YEARLY:
        break;
    }
    return l->year;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int by_period = COMPARE(x->period, y->period), by_verdict = COMPARE(x->verdict, y->verdict);
    return by_period ? by_period : by_verdict ? by_verdict : COMPARE(x->position, y->position);
}

/* The first of each period stands for it: the last good one, or else the last degraded one, which does not
 * count. */
static void keep_period(const struct work *w, enum keep_period p, struct place *places, bool *stands)
{
    for (size_t i = 0; i < w->n; i++) {
        struct local_time l;
        zone_local(w->r->zone, at(w, i)->time_ns, &l);
        places[i] = (struct place){period_number(p, &l), i, at(w, i)->verdict};
    }
    qsort(places, w->n, sizeof *places, compare_places);
    memset(stands, 0, w->n);
    for (size_t i = 0; i < w->n; i++)
        if (i == 0 || places[i].period != places[i - 1].period)
            stands[places[i].position] = places[i].verdict != VERDICT_FAILED;
    unsigned wanted = w->r->keep.periods[p];
    for (size_t i = 0; i < w->n && wanted; i++)
        if (stands[i]) {
            keep(w, i, KEPT_PERIOD << p);
            wanted -= is_good(at(w, i));
        }
}

static void keep_periods(const struct work *w)
{
    struct place *places = xcalloc(w->n, sizeof *places);
    bool *stands = xcalloc(w->n, sizeof *stands);
    for (enum keep_period p = 0; p < KEEP_PERIODS; p++)
        if (w->r->keep.periods[p])
            keep_period(w, p, places, stands);
    free(places);
    free(stands);
}

void retention_decide(const struct retention *r, const struct moment *m, size_t n, struct decision *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (struct decision){0};
    if (n == 0)
        return;
    struct work w = {.r = r, .m = m, .n = n, .out = out, .order = xcalloc(n, sizeof *w.order)};
    sort_newest_first(&w);
    keep_always(&w);
    keep_counted(&w);
    keep_within(&w);
    keep_periods(&w);
    for (size_t i = 0; i < n && !has_rule(&r->keep); i++)
        keep(&w, i, KEPT_NO_RULE);
    free(w.order);
}

void retention_combine(const struct moment *m, const struct decision *d, size_t n, bool *drop)
{
    for (size_t i = 0; i < n; i++)
        drop[m[i].snapshot] &= d[i].why == 0;
}
