/* What `status` makes of snapshots and proofs. */
#include "testing.h"

#include "report/status.h"

#define HOUR 3600000000000ll
#define DAY  (24 * HOUR)
#define NOW  (1000 * DAY)

static const struct mirror_notes none;
static struct newest remembered;

static struct snapshot_source *add(struct snapshots *all, int64_t age, const char *host, enum verdict verdict)
{
    all->v = xrealloc(all->v, all->n + 1, sizeof *all->v);
    struct snapshot *s = &all->v[all->n++];
    *s = (struct snapshot){.time_ns = NOW - age, .host = xstrdup(host), .verdict = verdict};
    struct snapshot_source *src = snapshot_add_source(s);
    src->name = xstrdup("app");
    src->type = xstrdup("postgres");
    src->verdict = verdict;
    return src;
}

static void prove(struct snapshot_source *s, int64_t age, bool holds)
{
    s->proof.state = holds ? PROOF_HOLDS : PROOF_FAILED;
    s->proof.time_ns = NOW - age;
}

static void check(const struct snapshots *all, enum status_level level, const char *sentence)
{
    AUTO(status) s = {0};
    status_make(NULL, all, &none, &remembered, "box", NOW, &s);
    assert_int_equal(s.level, level);
    if (!sentence) {
        assert_int_equal(s.n ? s.v[0].problems.n : 0, 0);
        return;
    }
    for (size_t i = 0; i < s.v[0].problems.n; i++)
        if (strstr(s.v[0].problems.v[i], sentence))
            return;
    fail_msg("nothing says \"%s\"", sentence);
}

static void good_and_proven_is_ok(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    check(&all, STATUS_OK, NULL); /* nothing at all is known of */
    prove(add(&all, 3 * DAY, "box", VERDICT_GOOD), 2 * DAY, true);
    add(&all, 20 * HOUR, "box", VERDICT_GOOD);
    check(&all, STATUS_OK, NULL);
}

/* Ages are counted by the store's time where the host's clock was ahead; what both put into the future is
 * named. */
static void the_future_hides_nothing(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    prove(add(&all, -1500 * DAY, "box", VERDICT_GOOD), 2 * DAY, true);
    check(&all, STATUS_WARNING, "is dated in the future");
    all.v[0].stored_ns = NOW - 3 * DAY;
    check(&all, STATUS_CRITICAL, "the last good backup is 3 days old");
    all.v[0].stored_ns = NOW - HOUR;
    check(&all, STATUS_OK, NULL);
    all.v[0].sources[0].proof.time_ns = NOW + DAY;
    check(&all, STATUS_WARNING, "the drill that proved it is dated in the future");
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    struct snapshot_source *first = add(&all, 10 * DAY, "box", VERDICT_DEGRADED);
    check(&all, STATUS_CRITICAL, "no good backup");
    first->verdict = VERDICT_GOOD;
    check(&all, STATUS_CRITICAL, "old: is the timer on");
    add(&all, 27 * HOUR, "box", VERDICT_GOOD);
    check(&all, STATUS_WARNING, "last good backup is");
    check(&all, STATUS_WARNING, "was ever proven");
    prove(&all.v[1].sources[0], 9 * DAY, true);
    check(&all, STATUS_WARNING, "the last drill that proved it was");
    add(&all, HOUR, "other", VERDICT_GOOD); /* another host's backup helps nobody here */
    check(&all, STATUS_WARNING, "last good backup is");
    strings_add(&add(&all, HOUR, "box", VERDICT_DEGRADED)->reasons, "table x is gone");
    check(&all, STATUS_WARNING, "degraded: table x is gone");
    add(&all, HOUR, "box", VERDICT_FAILED)->error = xstrdup("no route");
    check(&all, STATUS_WARNING, "failed: no route");
}

static void a_difference_stays_until_a_newer_proof(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    prove(add(&all, 3 * DAY, "box", VERDICT_GOOD), 2 * DAY, true);
    prove(add(&all, 2 * HOUR, "box", VERDICT_GOOD), HOUR, false);
    check(&all, STATUS_CRITICAL, "does not restore to the same");
    prove(add(&all, HOUR, "box", VERDICT_GOOD), 0, true);
    check(&all, STATUS_OK, NULL);
}

static void configured_sources_are_expected(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    AUTO(status) s = {0};
    struct config_source sources[] = {{.name = "app", .type = SOURCE_POSTGRES},
                                      {.name = "uploads", .type = SOURCE_VOLUME}};
    struct config c = {.sources = sources, .source_count = 2};
    prove(add(&all, HOUR, "box", VERDICT_GOOD), HOUR, true);
    status_make(&c, &all, &none, &remembered, "box", NOW, &s);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.v[0].level, STATUS_OK);
    assert_int_equal(s.v[1].level, STATUS_CRITICAL);
    assert_null(s.v[1].last);
}

static void mirrors_are_watched(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    struct mirror_note notes[] = {{.name = (char *)"away", .complete_ns = NOW - 47 * HOUR},
                                  {.name = (char *)"far", .error = (char *)"no route"}};
    const struct mirror_notes mirrors = {notes, 2};
    AUTO(status) before = {0};
    status_make(NULL, &all, &mirrors, &remembered, "box", NOW, &before);
    assert_int_equal(before.level, STATUS_OK); /* nothing to copy */
    prove(add(&all, 50 * HOUR, "box", VERDICT_GOOD), HOUR, true);
    prove(add(&all, HOUR, "box", VERDICT_GOOD), HOUR, true);
    AUTO(status) s = {0};
    status_make(NULL, &all, &mirrors, &remembered, "box", NOW, &s);
    assert_int_equal(s.level, STATUS_WARNING);
    assert_int_equal(s.mirrors[0].level, STATUS_OK);
    assert_int_equal(s.mirrors[0].behind, 1);
    assert_int_equal(s.mirrors[1].behind, 2);
    assert_string_equal(
        s.mirrors[1].problems.v[0],
        "this host knows of no complete copy, 2 snapshots are missing there; the last try: no "
        "route: lifeboat copy far");
    notes[0].complete_ns = NOW - 49 * HOUR;
    AUTO(status) later = {0};
    status_make(NULL, &all, &mirrors, &remembered, "box", NOW, &later);
    assert_int_equal(later.mirrors[0].level, STATUS_WARNING);
    assert_non_null(strstr(later.mirrors[0].problems.v[0], "complete copy began"));
}

/* Exactly when status begins to warn, and not a moment sooner. */
static void what_is_due_is_what_is_warned_of(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    AUTO(status) nothing = {0}, s = {0}, on_time = {0}, late = {0};
    struct mirror_note note = {.name = (char *)"away", .complete_ns = NOW - HOUR};
    const struct mirror_notes mirrors = {&note, 1};
    add(&all, 3 * HOUR, "box", VERDICT_DEGRADED);
    status_make(NULL, &all, &none, &remembered, "box", NOW, &nothing);
    assert_int_equal(nothing.v[0].backup_due_ns, 0);
    assert_int_equal(nothing.v[0].drill_due_ns, 0);
    prove(add(&all, 2 * HOUR, "box", VERDICT_GOOD), HOUR, true);
    status_make(NULL, &all, &mirrors, &remembered, "box", NOW, &s);
    assert_int_equal(s.v[0].backup_due_ns, NOW + 24 * HOUR);
    assert_int_equal(s.v[0].drill_due_ns, NOW - HOUR + 8 * DAY);
    assert_int_equal(s.mirrors[0].due_ns, NOW + 47 * HOUR);
    status_make(NULL, &all, &none, &remembered, "box", s.v[0].backup_due_ns, &on_time);
    assert_int_equal(on_time.level, STATUS_OK);
    status_make(NULL, &all, &none, &remembered, "box", s.v[0].backup_due_ns + 1, &late);
    assert_int_equal(late.level, STATUS_WARNING);
}

static void prune_and_check_are_due_again(void **state)
{
    (void)state;
    struct ran ran = {.command = (char *)"prune", .time_ns = NOW};
    assert_int_equal(status_run_due_ns(&ran), NOW + 26 * HOUR);
    ran.command = (char *)"check";
    assert_int_equal(status_run_due_ns(&ran), NOW + 8 * DAY);
    ran.command = (char *)"guard";
    assert_int_equal(status_run_due_ns(&ran), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_proven_is_ok),
        cmocka_unit_test(the_future_hides_nothing),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(a_difference_stays_until_a_newer_proof),
        cmocka_unit_test(configured_sources_are_expected),
        cmocka_unit_test(mirrors_are_watched),
        cmocka_unit_test(what_is_due_is_what_is_warned_of),
        cmocka_unit_test(prune_and_check_are_due_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
