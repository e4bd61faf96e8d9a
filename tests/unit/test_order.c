/* The order of what a backup and a prune do at the store: it is their safety (docs/format.md, section 11).
 * And the merging of indexes, whose mistakes would cost time, not data: every pack stays in an index that
 * others find, whatever they see of it meanwhile. */
#include "gc_world.h"

static const struct prune_options nothing = {0};

#define NEVER SIZE_MAX

/* The position of the first, or last, operation that starts with `what`. */
static size_t first_of(const struct strings *heard, const char *what)
{
    for (size_t i = 0; i < heard->n; i++)
        if (strncmp(heard->v[i], what, strlen(what)) == 0)
            return i;
    return NEVER;
}

static size_t last_of(const struct strings *heard, const char *what)
{
    for (size_t i = heard->n; i-- > 0;)
        if (strncmp(heard->v[i], what, strlen(what)) == 0)
            return i;
    return NEVER;
}

/* Each of those was done, and nothing of one before the whole of the one above it. */
static void assert_order(const struct strings *heard, const char *const *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (first_of(heard, steps[i]) == NEVER)
            fail_msg("%s: was never done", steps[i]);
        if (i > 0 && last_of(heard, steps[i - 1]) > first_of(heard, steps[i]))
            fail_msg("%s: came before the end of %s", steps[i], steps[i - 1]);
    }
}
#define ASSERT_ORDER(heard, ...)                            \
    assert_order(heard, (const char *const[]){__VA_ARGS__}, \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void a_view_is_marks_packs_indexes(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) heard = STRINGS_NONE;
    scene_new(&s, 10);
    s.h.heard = &heard;
    assert_ok(repo_load(s.h.repo, &e));
    ASSERT_ORDER(&heard, "list marks/", "list packs/", "list index/");
    scene_free(&s);
}

static void a_backup_puts_packs_index_snapshot(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    struct taking b;
    AUTO(snapshot) two = {0};
    AUTO(strings) heard = STRINGS_NONE;
    struct blocks big = blocks_new(2000, 5000); /* several packs */
    scene_new(&s, 10);
    assert_ok(taking_begin(&b, &s.h, &big, &e));
    s.h.heard = &heard;
    assert_int_equal(taking_end(&b, &two, &e), COMMIT_DONE);
    ASSERT_ORDER(&heard, "put packs/", "put index/", "put snapshots/", "list snapshots/");
    taking_free(&b);
    free(big.v);
    scene_free(&s);
}

static void a_prune_looks_at_marks_snapshots_packs_indexes(void **state)
{
    (void)state;
    struct scene s;
    AUTO(strings) heard = STRINGS_NONE;
    AUTO(prune_report) r = {0};
    scene_new(&s, 10);
    host_reopen(&s.h, true);
    s.h.heard = &heard;
    prune_ok(&s.h, &nothing, &r);
    ASSERT_ORDER(&heard, "list marks/", "list snapshots/", "list packs/", "list index/");
    scene_free(&s);
}

/* Else what a backup commits meanwhile would be damage. */
static void a_check_looks_at_snapshots_before_packs_and_indexes(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) heard = STRINGS_NONE;
    struct check_report r;
    scene_new(&s, 10);
    host_reopen(&s.h, true);
    s.h.heard = &heard;
    assert_ok(repo_check(s.h.repo, &(struct check_options){0}, &r, &e));
    ASSERT_ORDER(&heard, "list snapshots/", "list packs/", "list index/");
    check_report_free(&r);
    scene_free(&s);
}

/* Of one snapshot another needs a fifth, which moves when that one goes. */
static void a_prune_moves_condemns_deletes_and_says_so(void **state)
{
    (void)state;
    struct scene s;
    AUTO(snapshot) two = {0};
    AUTO(prune_report) r = {0}, swept = {0};
    AUTO(strings) heard = STRINGS_NONE, later = STRINGS_NONE;
    scene_new(&s, 100);
    struct blocks few = scene_keep_part(&s, 20, 1, &two);
    world_wait(&s.w, 4 * DAY);
    host_reopen(&s.h, true);
    s.h.heard = &heard;
    prune_ok(&s.h, &nothing, &r);
    assert_int_equal(r.thin.packs, 1);
    ASSERT_ORDER(&heard, "del snapshots/", "put packs/", "put index/", "put marks/condemn/");
    world_wait(&s.w, DAY);
    host_reopen(&s.h, true);
    s.h.heard = &later;
    prune_ok(&s.h, &nothing, &swept);
    assert_int_equal(swept.swept.packs, 1);
    ASSERT_ORDER(&later, "del packs/", "put marks/swept/");
    assert_restores(&s.w, &two, &few);
    free(few.v);
    scene_free(&s);
}

/* A pack that was just condemned, and that a late listing does not show, is not noted as gone. */
static void what_is_not_listed_yet_is_not_noted_as_gone(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(sha_set) unseen = {0};
    AUTO(prune_report) young = {0}, old = {0};
    const struct sha name = {.b = {1, 2, 3}};
    scene_new(&s, 10);
    sha_set_add(&unseen, &name);
    assert_ok(mark_packs(s.h.repo, MARK_CONDEMN, &unseen, &e));
    scene_prune(&s, &nothing, &young);
    assert_int_equal(count_objects(&s.w, "marks/swept/"), 0);
    world_wait(&s.w, s.w.bounds.grace_ns + SECOND);
    scene_prune(&s, &nothing, &old);
    assert_int_equal(count_objects(&s.w, "marks/swept/"), 1);
    scene_free(&s);
}

/* ---- indexes ---- */
#define NIGHTS 12 /* enough small indexes to be merged */

static void some_nights(struct scene *s)
{
    scene_new(s, 10);
    for (uint32_t i = 0; i < NIGHTS; i++) {
        AUTO(snapshot) night = {0};
        struct blocks of = blocks_new(5, 1000 * (i + 1));
        world_wait(&s->w, HOUR);
        backup_all(&s->h, &of, &night);
        free(of.v);
    }
}

static void what_is_superseded_stays_while_listings_lag(void **state)
{
    (void)state;
    struct scene s;
    AUTO(prune_report) merges = {0}, early = {0}, late = {0};
    some_nights(&s);
    scene_prune(&s, &nothing, &merges);
    assert_int_equal(count_objects(&s.w, "index/"), 1 + NIGHTS + 1);
    world_wait(&s.w, s.w.bounds.lag_ns);
    scene_prune(&s, &nothing, &early);
    assert_int_equal(early.indexes_removed, 0);
    world_wait(&s.w, SECOND);
    scene_prune(&s, &nothing, &late);
    assert_int_equal(late.indexes_removed, 1 + NIGHTS);
    assert_no_orphans(&s.w);
    scene_free(&s);
}

/* Others merge and tidy between two operations of `h`, once. */
static void others_merge(struct host *h)
{
    struct host other;
    h->before = NULL;
    for (int i = 0; i < 2; i++) {
        AUTO(prune_report) r = {0};
        host_new(&other, h->world, true);
        prune_ok(&other, &nothing, &r);
        host_free(&other);
        world_wait(h->world, h->world->bounds.lag_ns + SECOND);
    }
}

static void others_merge_after_the_listing(struct host *h)
{
    if (first_of(h->heard, "list index/") != NEVER)
        others_merge(h);
}

static void who_finds_an_index_gone_lists_again(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) heard = STRINGS_NONE;
    some_nights(&s);
    host_reopen(&s.h, true);
    s.h.heard = &heard;
    s.h.before = others_merge_after_the_listing;
    assert_ok(repo_load(s.h.repo, &e));
    assert_null(s.h.before); /* they did */
    assert_int_equal(s.h.repo->index.pack_count, 1 + NIGHTS);
    for (uint32_t i = 0; i < s.h.repo->index.pack_count; i++)
        assert_int_equal(s.h.repo->index.packs[i].state & (PACK_INDEXED | PACK_ORPHAN), PACK_INDEXED);
    scene_free(&s);
}

/* Just before it reads again, one by one, what it merges. */
static void others_merge_first(struct host *h)
{
    size_t listed = last_of(h->heard, "list index/");
    if (listed != NEVER && h->heard->n >= listed + 1 + 1 + NIGHTS + 1)
        others_merge(h);
}

static void two_merge_at_once(void **state)
{
    (void)state;
    struct scene s;
    AUTO(strings) heard = STRINGS_NONE;
    AUTO(prune_report) r = {0};
    some_nights(&s);
    host_reopen(&s.h, true);
    s.h.heard = &heard;
    s.h.before = others_merge_first;
    prune_ok(&s.h, &nothing, &r);
    assert_null(s.h.before);                /* the other was there, */
    assert_int_equal(r.indexes_written, 0); /* and it is left to it */
    assert_no_orphans(&s.w);
    scene_free(&s);
}

/* An index that cannot be read is no part of what is merged. */
static void what_was_not_read_is_not_superseded(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) names = STRINGS_NONE;
    AUTO(prune_report) r = {0};
    some_nights(&s);
    assert_ok(list_names(s.w.store, "index/", &names, &e));
    assert_int_equal(store_delete(s.w.store, names.v[3], &e), 0);
    assert_ok(store_put(s.w.store, names.v[3], BYTES("damaged", 7), &e));
    scene_prune(&s, &nothing, &r);
    assert_int_equal(r.indexes_written, 1);
    host_reopen(&s.h, true);
    assert_ok(repo_load(s.h.repo, &e));
    size_t superseded = 0;
    for (size_t i = 0; i < s.h.repo->index_object_count; i++) {
        char name[NAME_SIZE];
        object_name(name, "index/", &s.h.repo->index_objects[i].name);
        if (strcmp(name, names.v[3]) == 0)
            assert_false(s.h.repo->index_objects[i].superseded);
        superseded += s.h.repo->index_objects[i].superseded;
    }
    assert_int_equal(superseded, 1 + NIGHTS - 1);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_is_marks_packs_indexes),
        cmocka_unit_test(a_backup_puts_packs_index_snapshot),
        cmocka_unit_test(a_prune_looks_at_marks_snapshots_packs_indexes),
        cmocka_unit_test(a_check_looks_at_snapshots_before_packs_and_indexes),
        cmocka_unit_test(a_prune_moves_condemns_deletes_and_says_so),
        cmocka_unit_test(what_is_not_listed_yet_is_not_noted_as_gone),
        cmocka_unit_test(what_is_superseded_stays_while_listings_lag),
        cmocka_unit_test(who_finds_an_index_gone_lists_again),
        cmocka_unit_test(two_merge_at_once),
        cmocka_unit_test(what_was_not_read_is_not_superseded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
