/* Which snapshots are kept: examples by hand, then thousands of random calendars against
 * tests/lib/retention_oracle.py. */
#include "policy/retention.h"
#include "testing.h"

#include <time.h>

#define NS     1000000000ll
#define HOUR_S 3600ll
#define DAY_S  86400ll
#define NOW    (20000 * DAY_S * NS) /* 2024-10-04 */

static int64_t utc(const char *text)
{
    int64_t ns;
    assert_true(time_parse_utc(text, &ns));
    return ns;
}

static struct zone *load_zone(const char *name)
{
    struct err e = ERR_INIT;
    struct zone *z = zone_load(name, &e);
    if (!z)
        fail_msg("%s", e.text);
    return z;
}

/* ---- a calendar under test ---- */
#define MOST 2000
struct calendar {
    struct retention r;
    struct moment m[MOST];
    struct decision d[MOST];
    size_t n;
};

static struct calendar *calendar_new(const struct keep_rules *keep)
{
    struct calendar *c = xcalloc(1, sizeof *c);
    c->r = (struct retention){.keep = *keep, .now_ns = NOW};
    if (!c->r.keep.min)
        c->r.keep.min = 3;
    return c;
}

static void take_at(struct calendar *c, enum verdict v, int64_t time_ns)
{
    assert_true(c->n < MOST);
    c->m[c->n] = (struct moment){
        .snapshot = c->n, .time_ns = time_ns, .stored_ns = time_ns, .sequence = c->n + 1, .verdict = v};
    c->n++;
}

/* One for each letter, every `every_s`, the last one now: g(ood), d(egraded), f(ailed). */
static void take(struct calendar *c, const char *letters, int64_t every_s)
{
    size_t n = strlen(letters);
    for (size_t i = 0; i < n; i++)
        take_at(c,
                letters[i] == 'g'   ? VERDICT_GOOD
                : letters[i] == 'd' ? VERDICT_DEGRADED
                                    : VERDICT_FAILED,
                NOW - (int64_t)(n - 1 - i) * every_s * NS);
}

/* What is kept, as letters; what goes, as dots. */
static void expect(struct calendar *c, const char *kept)
{
    char *seen = xcalloc(c->n + 1, 1);
    retention_decide(&c->r, c->m, c->n, c->d);
    for (size_t i = 0; i < c->n; i++)
        seen[i] = c->d[i].why ? "gdf"[c->m[i].verdict] : '.';
    if (strcmp(seen, kept) != 0)
        fail_msg("kept %s\nnot  %s", seen, kept);
    free(seen);
}

static void expect_of(const struct keep_rules *keep, const char *letters, int64_t every_s, const char *kept)
{
    struct calendar *c = calendar_new(keep);
    take(c, letters, every_s);
    expect(c, kept);
    free(c);
}

static void expect_words(const struct calendar *c, size_t i, const char *words)
{
    AUTO(strings) said = STRINGS_NONE;
    AUTO(buf) all = BUF_NONE;
    retention_explain(&c->r, &c->m[i], &c->d[i], &said);
    for (size_t k = 0; k < said.n; k++)
        buf_add_fmt(&all, "%s%s", k ? ", " : "", said.v[k]);
    assert_string_equal(buf_cstr(&all), words);
}

/* ---- one rule at a time ---- */
static void test_no_rule_keeps_everything(void **state)
{
    (void)state;
    expect_of(&(struct keep_rules){0}, "gdfggggggggf", DAY_S, "gdfggggggggf");
    expect_of(&(struct keep_rules){.min = 1}, "gdfgggf", DAY_S, "gdfgggf");
    expect_of(&(struct keep_rules){.last = 1}, "", DAY_S, "");
}

static void test_last(void **state)
{
    (void)state;
    expect_of(&(struct keep_rules){.last = 5}, "gggggggg", DAY_S, "...ggggg");
    expect_of(&(struct keep_rules){.last = 1}, "gggggggg", DAY_S, ".....ggg"); /* keep-min */
    expect_of(&(struct keep_rules){.last = 1, .min = 1}, "gggggggg", DAY_S, ".......g");
    expect_of(&(struct keep_rules){.last = 2, .min = 1}, "ggdggfgd", DAY_S, "....g.gd");
}

static void test_within(void **state)
{
    (void)state;
    struct keep_rules week = {.within_s = 7 * DAY_S, .min = 1};
    expect_of(&week, "gggggggggg", DAY_S, "...ggggggg");
    expect_of(&week, "gg", 8 * DAY_S, ".g");
    expect_of(&week, "gdgdgdgd", 2 * DAY_S, "...dgdgd"); /* counted from the last good one, two days ago */
}

static void test_month_of_failures(void **state)
{
    (void)state;
    static const char nights[] =
        "gggggggggg"
        "ffffffffffddddddddddffffffffffddddddddddffffffffffddddddddddffffffffffdddddddddd"
        "ffffffffff";
    struct keep_rules rules[] = {{.within_s = 7 * DAY_S}, {.last = 7}, {.periods[KEEP_DAILY] = 7}};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        AUTO_CHAR kept = xstrdup(nights);
        memset(kept, '.', 3);
        expect_of(&rules[i], nights, DAY_S, kept);
    }
    /* Nothing good ever: nothing goes. */
    expect_of(&rules[1], nights + 10, DAY_S, nights + 10);
}

static void test_periods_keep_the_last(void **state)
{
    (void)state;
    AUTO_PTR(zone) utc_zone = load_zone("UTC");
    struct calendar *c = calendar_new(&(struct keep_rules){.periods[KEEP_DAILY] = 2, .min = 1});
    c->r.zone = utc_zone;
    take_at(c, VERDICT_GOOD, utc("2026-03-01T23:59:59Z"));
    take_at(c, VERDICT_GOOD, utc("2026-03-02T00:00:00Z"));
    take_at(c, VERDICT_GOOD, utc("2026-03-02T23:59:59.999Z"));
    take_at(c, VERDICT_GOOD, utc("2026-03-09T00:00:00Z"));
    take_at(c, VERDICT_GOOD, utc("2026-03-09T00:00:00Z"));
    expect(c, "..g.g");
    expect_words(c, 2, "daily 2026-03-02");
    expect_words(c, 4, "last good 1 of 1, daily 2026-03-09");
    expect_words(c, 1, "no rule keeps it");
    free(c);
}

static void test_days_without_a_good_one(void **state)
{
    (void)state;
    struct keep_rules daily = {.periods[KEEP_DAILY] = 3, .min = 1};
    expect_of(&daily, "gggdgfg", DAY_S, "..gdg.g");   /* beside the three days, not one of them */
    expect_of(&daily, "ggdggddg", DAY_S, "...ggddg"); /* the third good day ends it */
    expect_of(&daily, "ggddgdgf", DAY_S, ".gddgdgf");
    struct keep_rules monthly = {.periods[KEEP_MONTHLY] = 3, .min = 1};
    AUTO_PTR(zone) z = load_zone("UTC");
    struct calendar *c = calendar_new(&monthly);
    c->r.zone = z;
    take_at(c, VERDICT_DEGRADED, utc("2026-01-10T00:00:00Z"));
    take_at(c, VERDICT_DEGRADED, utc("2026-01-20T00:00:00Z"));
    take_at(c, VERDICT_FAILED, utc("2026-01-30T00:00:00Z"));
    take_at(c, VERDICT_GOOD, utc("2026-02-10T00:00:00Z"));
    take_at(c, VERDICT_DEGRADED, utc("2026-02-20T00:00:00Z"));
    take_at(c, VERDICT_GOOD, utc("2026-03-10T00:00:00Z"));
    expect(c, ".d.g.g");
    expect_words(c, 1, "monthly 2026-01, which has no good one");
    expect_words(c, 4, "degraded, and a good one came after it");
    free(c);
}

static void test_every_period_in_words(void **state)
{
    (void)state;
    struct keep_rules keep = {.last = 7, .within_s = 30 * DAY_S, .periods = {1, 1, 1, 1, 1}};
    static const struct {
        const char *zone, *time, *words;
    } cases[] = {
        {"UTC", "2026-01-01T00:00:00Z",
         "hourly 2026-01-01 00:00+00:00, daily 2026-01-01, weekly 2026-W01, monthly 2026-01, yearly 2026"},
        {"America/New_York", "2026-01-01T00:30:00Z",
         "hourly 2025-12-31 19:00-05:00, daily 2025-12-31, weekly 2026-W01, monthly 2025-12, yearly 2025"},
        {"Asia/Kathmandu", "2024-02-28T18:15:00Z", /* a leap day begins */
         "hourly 2024-02-29 00:00+05:45, daily 2024-02-29, weekly 2024-W09, monthly 2024-02, yearly 2024"},
        {"UTC", "2021-01-03T23:00:00Z",
         "hourly 2021-01-03 23:00+00:00, daily 2021-01-03, weekly 2020-W53, monthly 2021-01, yearly 2021"},
        {"Europe/Berlin", "1969-12-31T23:30:00Z", NULL},
    };
    for (size_t i = 0; cases[i].words; i++) {
        AUTO_PTR(zone) z = load_zone(cases[i].zone);
        struct calendar *c = calendar_new(&keep);
        c->r.zone = z;
        take_at(c, VERDICT_GOOD, utc(cases[i].time));
        c->m[0].pinned = c->m[0].proven = true;
        expect(c, "g");
        AUTO_CHAR words = xasprintf(
            "pinned, newest proven good, last good 1 of 3, last 1 of 7, within 30d, %s", cases[i].words);
        expect_words(c, 0, words);
        free(c);
    }
    struct calendar *c = calendar_new(&(struct keep_rules){.within_s = 5400, .min = 1});
    take(c, "gdf", HOUR_S);
    expect(c, "gdf");
    expect_words(c, 0, "last good 1 of 1, within 90m");
    expect_words(c, 1, "degraded, and no good one since, within 90m");
    expect_words(c, 2, "failed, and no good one since, within 90m");
    c->r.keep.within_s = 0;
    expect(c, "gdf");
    expect_words(c, 0, "no keep rule is set, last good 1 of 1");
    free(c);
}

/* Clocks are set back at 03:00 in Berlin, by an hour, and at 02:00 on Lord Howe, by half of one. */
static void test_the_hour_that_comes_twice(void **state)
{
    (void)state;
    AUTO_PTR(zone) berlin = load_zone("Europe/Berlin");
    AUTO_PTR(zone) island = load_zone("Australia/Lord_Howe");
    struct calendar *c = calendar_new(&(struct keep_rules){.periods[KEEP_HOURLY] = 9, .min = 1});
    c->r.zone = berlin;
    take_at(c, VERDICT_GOOD, utc("2026-10-25T00:10:00Z")); /* 02:10 */
    take_at(c, VERDICT_GOOD, utc("2026-10-25T00:50:00Z")); /* 02:50 */
    take_at(c, VERDICT_GOOD, utc("2026-10-25T01:10:00Z")); /* 02:10 again */
    take_at(c, VERDICT_GOOD, utc("2026-10-25T01:50:00Z")); /* 02:50 again */
    expect(c, ".g.g");
    expect_words(c, 1, "hourly 2026-10-25 02:00+02:00");
    expect_words(c, 3, "last good 1 of 1, hourly 2026-10-25 02:00+01:00");
    c->r.zone = island;
    c->n = 0;
    take_at(c, VERDICT_GOOD, utc("2026-04-04T14:45:00Z")); /* 01:45 */
    take_at(c, VERDICT_GOOD, utc("2026-04-04T15:15:00Z")); /* 01:45 again */
    take_at(c, VERDICT_GOOD, utc("2026-04-04T15:20:00Z"));
    expect(c, "g.g");
    free(c);
}

/* ---- what never goes ---- */
static void test_pinned_and_proven(void **state)
{
    (void)state;
    struct calendar *c = calendar_new(&(struct keep_rules){.last = 1, .min = 1});
    take(c, "gggggdgg", DAY_S);
    c->m[0].pinned = true;
    c->m[1].proven = c->m[2].proven = c->m[5].proven = true;
    expect(c, "g.g..d.g");
    expect_words(c, 0, "pinned");
    expect_words(c, 2, "newest proven good");
    expect_words(c, 5, "newest proven");
    c->m[6].proven = true;
    expect(c, "g.....gg");
    free(c);
}

/* ---- clocks that jump: the sequence is the order ---- */
static void test_clock_that_jumped(void **state)
{
    (void)state;
    static const int64_t wrong[] = {0, NOW + 10 * 365 * DAY_S * NS};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct keep_rules week = {.within_s = 7 * DAY_S, .min = 1};
        struct calendar *c = calendar_new(&week);
        c->r.now_ns = MAX(NOW, wrong[i]);
        take(c, "gggggggggggg", DAY_S);
        c->m[9].time_ns = wrong[i]; /* two nights ago: it stays, and nothing else changes */
        expect(c, ".....ggggggg");
        c->m[9].time_ns = NOW - 2 * DAY_S * NS;
        c->m[1].time_ns = wrong[i]; /* long ago */
        expect(c, wrong[i] ? ".g...ggggggg" : ".....ggggggg");
        c->m[1].time_ns = NOW - 10 * DAY_S * NS;
        c->r.keep = (struct keep_rules){.periods[KEEP_DAILY] = 7, .min = 1};
        c->m[9].time_ns = wrong[i]; /* a day like any other */
        expect(c, ".....ggggggg");
        c->m[1].time_ns = wrong[i];
        c->m[9].time_ns = NOW - 2 * DAY_S * NS;
        expect(c, ".....ggggggg");
        free(c);
    }
}

static void test_clock_is_wrong_now(void **state)
{
    (void)state;
    struct calendar *c = calendar_new(&(struct keep_rules){.within_s = 7 * DAY_S, .min = 1});
    take(c, "ggggggggg", DAY_S);
    c->m[8].time_ns = NOW + 3650 * DAY_S * NS; /* the store knows better */
    expect(c, "..ggggggg");
    c->m[8].time_ns = 5 * NS; /* 1970 */
    expect(c, "ggggggggg");
    free(c);
}

static void test_order_of_input_does_not_matter(void **state)
{
    (void)state;
    struct calendar *c = calendar_new(&(struct keep_rules){.last = 4, .min = 1});
    take(c, "ggggdgggf", DAY_S);
    struct moment first = c->m[0];
    c->m[0] = c->m[7];
    c->m[7] = first;
    expect(c, "g..g.gg.f");
    free(c);
}

static void test_snapshots_of_several_sources(void **state)
{
    (void)state;
    struct moment a[] = {{.snapshot = 0}, {.snapshot = 1}, {.snapshot = 2}},
                  b[] = {{.snapshot = 1}, {.snapshot = 2}};
    struct decision da[] = {{0}, {0}, {0}}, db[] = {{.why = KEPT_LAST}, {0}};
    bool drop[] = {true, true, true};
    retention_combine(a, da, 3, drop);
    retention_combine(b, db, 2, drop);
    assert_true(drop[0]);
    assert_false(drop[1]);
    assert_true(drop[2]);
}

/* ---- alarms ---- */
static struct retention_alarm alarm_of(struct calendar *c, int64_t last_prune_ns)
{
    bool drop[MOST];
    struct retention_alarm a;
    memset(drop, 1, sizeof drop);
    retention_decide(&c->r, c->m, c->n, c->d);
    retention_combine(c->m, c->d, c->n, drop);
    retention_alarm(c->m, c->n, drop, last_prune_ns, c->r.now_ns, &a);
    return a;
}

static void test_alarm_when_half_would_go(void **state)
{
    (void)state;
    struct calendar *c = calendar_new(&(struct keep_rules){.last = 5});
    take(c, "gggggggggg", DAY_S);
    assert_false(alarm_of(c, RETENTION_NEVER).half);
    c->r.keep.last = 4;
    struct retention_alarm a = alarm_of(c, RETENTION_NEVER);
    assert_true(a.half);
    assert_false(a.flood);
    AUTO(strings) said = STRINGS_NONE;
    retention_alarm_explain(&a, &said);
    assert_int_equal(said.n, 1);
    assert_string_equal(said.v[0], "more than half would go: 6 of 10 snapshots with data");
    /* Three came since the last prune: of the seven before, six go. */
    a = alarm_of(c, NOW - 3 * DAY_S * NS);
    assert_true(a.half);
    assert_int_equal(a.left, 7);
    assert_int_equal(a.dropped, 6);
    assert_int_equal(a.appeared, 3);
    free(c);
    /* Hourly backups and 7 days: every night 23 of 24 go, of what the last prune left two of 7. */
    c = calendar_new(&(struct keep_rules){.periods[KEEP_DAILY] = 7});
    take(c, "ggggggg", DAY_S);
    for (int i = 1; i <= 24; i++)
        take_at(c, VERDICT_GOOD, NOW + i * HOUR_S * NS);
    c->r.now_ns = NOW + DAY_S * NS;
    a = alarm_of(c, NOW);
    assert_false(a.half);
    assert_int_equal(a.left, 7);
    assert_int_equal(a.dropped, 2); /* the oldest day, and what was the last of a day that went on */
    free(c);
    /* What somebody forgot counts with what the rules drop. */
    c = calendar_new(&(struct keep_rules){.last = 9});
    take(c, "gggggggggg", DAY_S);
    for (size_t i = 2; i < 7; i++)
        c->m[i].lost = true;
    a = alarm_of(c, NOW);
    assert_true(a.half);
    assert_int_equal(a.dropped, 6);
    assert_int_equal(a.lost, 5);
    c->m[2].lost = false;
    assert_false(alarm_of(c, NOW).half);
    free(c);
    /* Records of failures are no data. */
    c = calendar_new(&(struct keep_rules){.last = 5});
    take(c, "ggggfffffffffffffffg", DAY_S);
    expect(c, "gggg...............g");
    assert_false(alarm_of(c, RETENTION_NEVER).half);
    free(c);
}

static void test_alarm_of_a_flood(void **state)
{
    (void)state;
    struct calendar *c = calendar_new(&(struct keep_rules){.last = 30});
    char nights[31];
    memset(nights, 'g', 30);
    nights[30] = 0;
    take(c, nights, DAY_S);
    c->r.now_ns = NOW + DAY_S * NS;
    for (int i = 0; i < 20; i++)
        take_at(c, VERDICT_GOOD, NOW + (i + 1) * NS);
    assert_false(alarm_of(c, NOW).flood);
    take_at(c, VERDICT_GOOD, NOW + 100 * NS);
    struct retention_alarm a = alarm_of(c, NOW);
    assert_true(a.flood);
    assert_int_equal(a.appeared, 21);
    assert_int_equal(a.usual, 1);
    assert_false(alarm_of(c, RETENTION_NEVER).flood);
    c->r.now_ns = NOW + 6 * DAY_S * NS; /* in six days six are usual */
    assert_false(alarm_of(c, NOW).flood);
    assert_int_equal(alarm_of(c, NOW).usual, 6);
    /* A thousand: forged times and sequence numbers do not hide them. */
    for (int i = 0; i < 979; i++) {
        take_at(c, VERDICT_GOOD, NOW + 200 * NS);
        c->m[c->n - 1].time_ns = NOW - i * DAY_S * NS;
        c->m[c->n - 1].sequence = 1000000 + (uint64_t)i;
    }
    a = alarm_of(c, NOW);
    assert_true(a.flood && a.half);
    AUTO(strings) said = STRINGS_NONE;
    retention_alarm_explain(&a, &said);
    assert_int_equal(said.n, 2);
    assert_non_null(strstr(said.v[1], "1000 snapshots appeared since the prune of 2024-10-0"));
    assert_non_null(strstr(said.v[1], "where 6 are usual"));
    free(c);
}

/* What was dropped since shows in the sequence numbers: 24 a day are usual though one a day is left. */
static void test_usual_counts_what_was_dropped(void **state)
{
    (void)state;
    struct calendar *c = calendar_new(&(struct keep_rules){.periods[KEEP_DAILY] = 30});
    take(c, "ggggggggg", DAY_S);
    for (size_t i = 0; i < 9; i++)
        c->m[i].sequence = 24 * (i + 1);
    c->m[3].sequence = 1ull << 60; /* one forged number changes nothing */
    c->r.now_ns = NOW + DAY_S * NS;
    assert_int_equal(alarm_of(c, NOW).usual, 24);
    for (int i = 0; i < 96; i++)
        take_at(c, VERDICT_GOOD, NOW + (i + 1) * NS);
    assert_false(alarm_of(c, NOW).flood);
    take_at(c, VERDICT_GOOD, NOW + 200 * NS);
    assert_true(alarm_of(c, NOW).flood);
    free(c);
}

/* ---- simulation ---- */
struct seen {
    size_t steps, most, last, stop_after;
    int64_t oldest_ns, time_ns;
    struct strings why; /* of the oldest, at the end */
    const struct retention *r;
};
static bool look(void *ctx, const struct simulation *s)
{
    struct seen *seen = ctx;
    seen->steps++;
    seen->most = MAX(seen->most, s->n);
    seen->last = s->n;
    seen->oldest_ns = s->held[0].time_ns;
    seen->time_ns = s->time_ns;
    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->why[i].why != 0);
        assert_true(i == 0 || s->held[i].time_ns > s->held[i - 1].time_ns);
    }
    assert_int_equal(s->held[s->n - 1].time_ns, s->time_ns);
    strings_free(&seen->why);
    retention_explain(seen->r, &s->held[0], &s->why[0], &seen->why);
    return seen->steps != seen->stop_after;
}

static struct seen simulate(const struct keep_rules *keep, int64_t every_s, int64_t for_s)
{
    AUTO_PTR(zone) z = load_zone("Europe/Berlin");
    struct retention r = {.keep = *keep, .zone = z};
    r.keep.min = 3;
    struct seen seen = {.r = &r};
    retention_simulate(&r, utc("2026-01-01T01:00:00Z"), (uint64_t)every_s, (uint64_t)for_s, look, &seen);
    return seen;
}

static void test_habits(void **state)
{
    (void)state;
    struct seen s = simulate(&(struct keep_rules){.within_s = 7 * DAY_S}, DAY_S, 60 * DAY_S);
    assert_int_equal(s.steps, 61);
    assert_int_equal(s.most, 7);
    assert_int_equal(s.last, 7);
    assert_string_equal(s.why.v[0], "within 7d");
    strings_free(&s.why);
    s = simulate(&(struct keep_rules){.within_s = 30 * DAY_S}, DAY_S, 400 * DAY_S);
    assert_int_equal(s.most, 30);
    assert_int_equal(s.last, 30);
    assert_int_equal(s.time_ns - s.oldest_ns, 29 * DAY_S * NS);
    strings_free(&s.why);
    s = simulate(&(struct keep_rules){.periods[KEEP_DAILY] = 31, .periods[KEEP_MONTHLY] = 12}, DAY_S,
                 800 * DAY_S);
    assert_in_range(s.most, 41, 43);
    assert_in_range(s.last, 41, 43);
    assert_string_equal(s.why.v[0], "monthly 2027-04");
    strings_free(&s.why);
    s = simulate(&(struct keep_rules){.periods[KEEP_DAILY] = 31, .periods[KEEP_MONTHLY] = 12}, HOUR_S,
                 400 * DAY_S);
    assert_in_range(s.last, 41, 43);
    strings_free(&s.why);
    s = simulate(&(struct keep_rules){0}, DAY_S, 99 * DAY_S);
    assert_int_equal(s.last, 100);
    strings_free(&s.why);
}

static void test_simulation_can_be_stopped(void **state)
{
    (void)state;
    struct retention r = {.keep = {.last = 2, .min = 1}};
    struct seen seen = {.r = &r, .stop_after = 5};
    retention_simulate(&r, NOW, 3600, 3600 * 100, look, &seen);
    assert_int_equal(seen.steps, 5);
    assert_int_equal(seen.last, 2);
    strings_free(&seen.why);
}

/* ---- bounded ---- */
static void test_hundred_thousand(void **state)
{
    (void)state;
    size_t n = 100000;
    AUTO_PTR(zone) z = load_zone("America/New_York");
    struct moment *m = xcalloc(n, sizeof *m);
    struct decision *d = xcalloc(n, sizeof *d);
    uint64_t seed = 7;
    for (size_t i = 0; i < n; i++)
        m[i] = (struct moment){.snapshot = i,
                               .time_ns = NOW - (int64_t)(test_random(&seed) % (1ull << 60)),
                               .sequence = test_random(&seed) % n,
                               .verdict = test_random(&seed) % 4 == 0};
    struct retention r = {
        .keep = {.last = 9, .periods = {1000, 1000, 1000, 100, 10}, .min = 3}, .zone = z, .now_ns = NOW};
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    retention_decide(&r, m, n, d);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        kept += d[i].why != 0;
    assert_in_range(kept, 1000, 4000);
    /* 0.15 s here; n squared would take a minute. */
    assert_true(after.tv_sec - before.tv_sec < 10);
    free(m);
    free(d);
}

/* ---- random calendars ---- */
static const char *const zones[] = {
    "Europe/Berlin",     "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Sao_Paulo", "Antarctica/Troll", "Pacific/Apia",        "UTC"};
static const int64_t steps_s[] = {0,     1,     600,   1800,      HOUR_S,    6 * HOUR_S,
                                  DAY_S, DAY_S, DAY_S, 7 * DAY_S, 30 * DAY_S};
/* Days around which something happens: clocks go forward and back, months and years end, leap days. */
static const char *const starts[] = {"2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-11-01T03:00:00Z",
                                     "2026-04-04T12:00:00Z", "2024-02-28T00:00:00Z", "2099-12-30T00:00:00Z",
                                     "2020-12-26T00:00:00Z", "2011-12-28T00:00:00Z", "1970-01-01T00:00:00Z"};

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return test_random(seed) % n;
}

static void random_rules(struct keep_rules *k, uint64_t *seed)
{
    *k = (struct keep_rules){.min = 1 + (unsigned)below(seed, 4)};
    if (below(seed, 3) == 0)
        k->last = (unsigned)below(seed, 12);
    if (below(seed, 3) == 0)
        k->within_s = below(seed, 2) ? (below(seed, 40)) * (uint64_t)DAY_S : below(seed, 100000);
    for (size_t p = 0; p < KEEP_PERIODS; p++)
        if (below(seed, 2))
            k->periods[p] = (unsigned)below(seed, below(seed, 2) ? 4 : 30);
}

static void random_moments(struct calendar *c, uint64_t *seed)
{
    int64_t step = steps_s[below(seed, ARRAY_LEN(steps_s))], skew = 0;
    int64_t t = utc(starts[below(seed, ARRAY_LEN(starts))]) +
                (int64_t)below(seed, below(seed, 2) ? HOUR_S : 40 * DAY_S) * NS;
    uint64_t jitter = below(seed, 2) ? 1 : (uint64_t)(step / 4 + 1) * NS; /* exact, or not */
    uint64_t sequence = below(seed, 100), storm = 0, badness = below(seed, 3) * 10;
    size_t n = 1 + below(seed, 120);
    for (c->n = 0; c->n < n;) {
        t += step * NS + (int64_t)below(seed, jitter);
        if (below(seed, 30) == 0)
            t += (int64_t)below(seed, 60 * DAY_S) * NS; /* a pause */
        if (below(seed, 40) == 0)                       /* the clock is set, well or badly */
            skew = below(seed, 2)
                       ? 0
                       : ((int64_t)below(seed, 20000) - 10000) * (below(seed, 2) ? NS : HOUR_S * NS);
        if (below(seed, 60) == 0)
            storm = below(seed, 40);
        bool bad = storm || below(seed, 100) < badness;
        storm -= storm > 0;
        take_at(c, bad ? (enum verdict)(1 + below(seed, 2)) : VERDICT_GOOD, MAX(t + skew, 0));
        struct moment *m = &c->m[c->n - 1];
        m->pinned = below(seed, 30) == 0;
        m->proven = m->verdict != VERDICT_FAILED && below(seed, 15) == 0;
        m->sequence = sequence +=
            below(seed, 50) ? 1 : below(seed, 3); /* dropped ones leave holes; twins happen */
    }
    c->r.now_ns = below(seed, 4) ? t : t - (int64_t)below(seed, 20 * DAY_S) * NS;
    for (size_t i = c->n - 1; i > 0; i--) { /* any order */
        size_t k = below(seed, i + 1);
        struct moment m = c->m[i];
        c->m[i] = c->m[k];
        c->m[k] = m;
    }
}

static void write_case(FILE *to, const struct calendar *c, const char *zone)
{
    const struct keep_rules *k = &c->r.keep;
    fprintf(to, "case %s %lld %llu %u %u %u %u %u %u %u\n", zone, (long long)c->r.now_ns,
            (unsigned long long)k->within_s, k->last, k->periods[0], k->periods[1], k->periods[2],
            k->periods[3], k->periods[4], k->min);
    for (size_t i = 0; i < c->n; i++) {
        const struct moment *m = &c->m[i];
        AUTO(strings) said = STRINGS_NONE;
        retention_explain(&c->r, m, &c->d[i], &said);
        fprintf(to, "m %lld %llu %s %d %d %zu | ", (long long)m->time_ns, (unsigned long long)m->sequence,
                verdict_name(m->verdict), m->pinned, m->proven, m->snapshot);
        for (size_t s = 0; s < said.n; s++)
            fprintf(to, "%s%s", s ? ", " : "", said.v[s]);
        fputc('\n', to);
    }
    fputs("end\n", to);
}

static void test_random_calendars(void **state)
{
    (void)state;
    AUTO_CHAR command = xasprintf("exec python3 '%s/lib/retention_oracle.py'", tests_folder());
    fflush(NULL);
    FILE *oracle = popen(command, "w"); /* NOLINT(cert-env33-c): what it says goes to the test's output */
    assert_non_null(oracle);
    struct zone *loaded[ARRAY_LEN(zones)];
    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        loaded[i] = load_zone(zones[i]);
    struct calendar *c = calendar_new(&(struct keep_rules){0});
    uint64_t seed = 20260301;
    for (unsigned i = 0; i < 5000; i++) {
        size_t z = below(&seed, ARRAY_LEN(zones));
        c->r.zone = loaded[z];
        random_rules(&c->r.keep, &seed);
        random_moments(c, &seed);
        retention_decide(&c->r, c->m, c->n, c->d);
        write_case(oracle, c, zones[z]);
    }
    int status = pclose(oracle);
    for (size_t i = 0; i < ARRAY_LEN(zones); i++)
        zone_free(loaded[i]);
    free(c);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_rule_keeps_everything),
        cmocka_unit_test(test_last),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_month_of_failures),
        cmocka_unit_test(test_periods_keep_the_last),
        cmocka_unit_test(test_days_without_a_good_one),
        cmocka_unit_test(test_every_period_in_words),
        cmocka_unit_test(test_the_hour_that_comes_twice),
        cmocka_unit_test(test_pinned_and_proven),
        cmocka_unit_test(test_clock_that_jumped),
        cmocka_unit_test(test_clock_is_wrong_now),
        cmocka_unit_test(test_order_of_input_does_not_matter),
        cmocka_unit_test(test_snapshots_of_several_sources),
        cmocka_unit_test(test_alarm_when_half_would_go),
        cmocka_unit_test(test_alarm_of_a_flood),
        cmocka_unit_test(test_usual_counts_what_was_dropped),
        cmocka_unit_test(test_habits),
        cmocka_unit_test(test_simulation_can_be_stopped),
        cmocka_unit_test(test_hundred_thousand),
        cmocka_unit_test(test_random_calendars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
