/* When a prune should not go on without a person. Only the store's times are believed here, and sequence
 * numbers from before the last prune: whoever holds the writer key chooses the rest. */
#include "policy/retention.h"

#include <stdlib.h>

#define FLOOD_TIMES 4
#define FLOOD_LEAST 20 /* fewer are a busy day */

/* ---- what is usual ---- */
static int compare_stored(const void *a, const void *b)
{
    const struct moment *x = *(const struct moment *const *)a, *y = *(const struct moment *const *)b;
    int by_time = (x->stored_ns > y->stored_ns) - (x->stored_ns < y->stored_ns);
    return by_time ? by_time : (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static int compare_pace(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Snapshots for each nanosecond between two neighbours; those that retention dropped since show in the
 * sequence. */
static double pace(const struct moment *a, const struct moment *b)
{
    double passed = (double)b->stored_ns - (double)a->stored_ns;
    double taken = b->sequence > a->sequence ? (double)(b->sequence - a->sequence) : 1;
    return taken / MAX(passed, 1.0);
}

/* How many appear in `span` at the pace of the slowest quarter of the gaps: neither a burst of backups nor a
 * forged sequence number makes a flood look usual. */
static size_t usual_number(const struct moment **m, size_t n, int64_t span)
{
    if (n < 2)
        return 1;
    qsort(m, n, sizeof(struct moment *), compare_stored);
    double *paces = xcalloc(n - 1, sizeof *paces);
    for (size_t i = 0; i + 1 < n; i++)
        paces[i] = pace(m[i], m[i + 1]);
    qsort(paces, n - 1, sizeof *paces, compare_pace);
    double usual = paces[(n - 1) / 4] * (double)span;
    free(paces);
    return usual < 1 ? 1 : usual > 1e9 ? (size_t)1e9 : (size_t)(usual + 0.5);
}

/* ---- the alarms ---- */
void retention_alarm(const struct moment *m, size_t n, const bool *drop, int64_t last_prune_ns,
                     int64_t now_ns, struct retention_alarm *out)
{
    bool first = last_prune_ns == RETENTION_NEVER;
    const struct moment **before = xcalloc(n + 1, sizeof *before);
    size_t before_count = 0;
    *out = (struct retention_alarm){.since_ns = last_prune_ns};
    for (size_t i = 0; i < n; i++) {
        out->proof |= m[i].lost && m[i].proven;
        if (!first && m[i].stored_ns > last_prune_ns) {
            out->appeared += !m[i].lost;
            continue;
        }
        before[before_count++] = &m[i];
        bool has_data = m[i].verdict != VERDICT_FAILED;
        out->left += has_data;
        out->lost += has_data && m[i].lost;
        out->dropped += has_data && (m[i].lost || drop[m[i].snapshot]);
    }
    int64_t span = first || now_ns < last_prune_ns ? 0 : now_ns - last_prune_ns;
    out->usual = usual_number(before, before_count, span);
    out->half = out->dropped > out->left / 2;
    out->flood = out->appeared > FLOOD_LEAST && out->appeared > FLOOD_TIMES * out->usual;
    free(before);
}

void retention_alarm_explain(const struct retention_alarm *a, struct strings *out)
{
    char since[40];
    time_format_local(since, a->since_ns);
    if (a->half) {
        AUTO(buf) line = BUF_NONE;
        bool first = a->since_ns == RETENTION_NEVER;
        buf_add_fmt(&line, "more than half would go: %zu of %s%zu snapshots with data", a->dropped,
                    first ? "" : "the ", a->left);
        if (!first)
            buf_add_fmt(&line, " that the prune of %s left", since);
        if (a->lost)
            buf_add_fmt(&line, "; %zu of them forgotten by hand (`lifeboat undo` brings them back)", a->lost);
        strings_add(out, buf_cstr(&line));
    }
    if (a->proof)
        strings_add(out, "its newest proven snapshot was forgotten by hand (`lifeboat undo` brings it back)");
    if (a->flood)
        strings_add_fmt(out,
                        "%zu snapshots appeared since the prune of %s, where %zu %s usual: were they all "
                        "made by this host?",
                        a->appeared, since, a->usual, a->usual == 1 ? "is" : "are");
}
