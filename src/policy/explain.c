/* Retention in words. */
#include "policy/retention.h"

#include <stdio.h>
#include <stdlib.h>

/* As one would write it in the configuration: 30d, 36h, 90m. */
static void format_setting(char out[24], uint64_t seconds)
{
    static const struct {
        unsigned seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t u = 0;
    while (seconds % units[u].seconds)
        u++;
    snprintf(out, 24, "%llu%c", (unsigned long long)(seconds / units[u].seconds), units[u].letter);
}

/* An ISO week belongs to the year that has its Thursday. */
static void format_week(char out[40], int64_t day)
{
    int64_t thursday = day + 3 - ((day + 3) % 7 + 7) % 7;
    int year;
    unsigned month, mday;
    date_of_day(thursday, &year, &month, &mday);
    snprintf(out, 40, "weekly %d-W%02d", year, (int)((thursday - day_of_date(year, 1, 1)) / 7) + 1);
}

static void format_period(char out[40], enum keep_period p, const struct local_time *l)
{
    int offset = abs(l->offset_s);
    switch (p) {
    case KEEP_HOURLY:
        snprintf(out, 40, "hourly %d-%02u-%02u %02u:00%c%02d:%02d", l->year, l->month, l->mday, l->hour,
                 l->offset_s < 0 ? '-' : '+', offset / 3600, offset / 60 % 60);
        break;
    case KEEP_DAILY:
        snprintf(out, 40, "daily %d-%02u-%02u", l->year, l->month, l->mday);
        break;
    case KEEP_WEEKLY:
        format_week(out, l->day);
        break;
    case KEEP_MONTHLY:
        snprintf(out, 40, "monthly %d-%02u", l->year, l->month);
        break;
    case KEEP_YEARLY:
        snprintf(out, 40, "yearly %d", l->year);
        break;
    }
}

static void explain_periods(const struct retention *r, const struct moment *m, unsigned why,
                            struct strings *out)
{
    struct local_time l;
    zone_local(r->zone, m->time_ns, &l);
    for (enum keep_period p = 0; p < KEEP_PERIODS; p++) {
        if (!(why & (KEPT_PERIOD << p)))
            continue;
        char period[40];
        format_period(period, p, &l);
        strings_add_fmt(out, "%s%s", period, m->verdict == VERDICT_GOOD ? "" : ", which has no good one");
    }
}

void retention_explain(const struct retention *r, const struct moment *m, const struct decision *d,
                       struct strings *out)
{
    const char *verdict = verdict_name(m->verdict);
    if (d->why & KEPT_NO_RULE)
        strings_add(out, "no keep rule is set");
    if (d->why & KEPT_PINNED)
        strings_add(out, "pinned");
    if (d->why & KEPT_PROVEN)
        strings_add_fmt(out, "newest proven%s", m->verdict == VERDICT_GOOD ? " good" : "");
    if (d->why & KEPT_UNREPLACED)
        strings_add_fmt(out, "%s, and no good one since", verdict);
    if (d->why & KEPT_MIN)
        strings_add_fmt(out, "last good %u of %u", d->rank, r->keep.min);
    if (d->why & KEPT_LAST)
        strings_add_fmt(out, "last %u of %u", d->rank, r->keep.last);
    if (d->why & KEPT_WITHIN) {
        char window[24];
        format_setting(window, r->keep.within_s);
        strings_add_fmt(out, "within %s", window);
    }
    explain_periods(r, m, d->why, out);
    if (!d->why && m->verdict == VERDICT_GOOD)
        strings_add(out, "no rule keeps it");
    if (!d->why && m->verdict != VERDICT_GOOD)
        strings_add_fmt(out, "%s, and a good one came after it", verdict);
}
