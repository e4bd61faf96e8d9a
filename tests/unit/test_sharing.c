/* Backups and restores while others prune, and prunes that are killed. */
#include "gc_world.h"

static const struct prune_options nothing = {0};

/* ---- writers ---- */
static void condemned_packs_are_not_relied_on(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    scene_forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) r = {0}, after = {0};
    scene_prune(&s, &nothing, &r);
    assert_int_equal(r.dead.packs, 1);
    AUTO(snapshot) two = {0};
    backup_all(&s.h, &s.blocks, &two);
    assert_int_equal(two.sources[0].streams[0].new_bytes, 10 * BLOCK);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &after);
    assert_int_equal(after.swept.packs, 1);
    assert_restores(&s.w, &two, &s.blocks);
    scene_free(&s);
}

/* A backup that began before its packs were condemned, and whose view is young, commits *two. */
static void commit_on_condemned(struct scene *s, struct snapshot *two)
{
    struct err e = ERR_INIT;
    scene_new(s, 10);
    scene_forget(s, &s->one);
    world_wait(&s->w, 4 * DAY);
    struct host other;
    struct taking b;
    host_new(&other, &s->w, false);
    assert_ok(taking_begin(&b, &other, &s->blocks, &e));
    assert_ok(taking_write(&b, 10, &e));
    AUTO(prune_report) r = {0};
    scene_prune(s, &nothing, &r);
    assert_int_equal(r.dead.packs, 1);
    world_wait(&s->w, 11 * HOUR);
    assert_int_equal(taking_end(&b, two, &e), COMMIT_DONE);
    assert_int_equal(two->sources[0].streams[0].new_bytes, 0);
    taking_free(&b);
    host_free(&other);
}

/* The next prune moves what it needs. */
static void what_is_needed_after_all_is_moved(void **state)
{
    (void)state;
    struct scene s;
    AUTO(snapshot) two = {0};
    AUTO(prune_report) rescue = {0}, late = {0};
    commit_on_condemned(&s, &two);
    world_wait(&s.w, HOUR);
    scene_prune(&s, &nothing, &rescue);
    assert_int_equal(rescue.rescued.packs, 1);
    assert_int_equal(rescue.moved.packs, 1);
    world_wait(&s.w, 12 * HOUR);
    scene_prune(&s, &nothing, &late);
    assert_int_equal(late.swept.packs, 1);
    assert_restores(&s.w, &two, &s.blocks);
    scene_free(&s);
}

/* An exclusive one deletes in the same run what it moved from: not before, wherever it is killed. */
static void what_is_moved_goes_last(void **state)
{
    (void)state;
    const struct prune_options exclusive = {.exclusive = true};
    bool killed = true;
    for (int n = 1; killed; n++) {
        struct scene s;
        struct err e = ERR_INIT;
        AUTO(snapshot) two = {0};
        AUTO(prune_report) r = {0};
        commit_on_condemned(&s, &two);
        world_wait(&s.w, HOUR);
        host_reopen(&s.h, true);
        s.h.kill_at = n;
        killed = repo_prune(s.h.repo, &exclusive, &r, &e) != 0;
        if (killed)
            assert_text(e, "killed");
        else
            assert_int_equal(r.swept.packs, 1);
        s.h.kill_at = 0;
        assert_restores(&s.w, &two, &s.blocks);
        scene_free(&s);
    }
}

/* The same with a view that has become old, or a commit that came too late: 20 hours by the clock, or asleep.
 */
static void commit_late(bool asleep, bool prune, int expected)
{
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    scene_forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    struct host other;
    struct taking b;
    AUTO(snapshot) two = {0}, three = {0};
    host_new(&other, &s.w, false);
    assert_ok(taking_begin(&b, &other, &s.blocks, &e));
    assert_ok(taking_write(&b, 10, &e));
    AUTO(prune_report) r = {0}, swept = {0};
    if (prune)
        scene_prune(&s, &nothing, &r);
    if (asleep)
        world_sleep(&s.w, 20 * HOUR);
    else
        world_wait(&s.w, 20 * HOUR);
    assert_int_equal(taking_end(&b, &two, &e), expected);
    taking_free(&b);
    AUTO(snapshots) all = {0};
    assert_ok(snapshots_load(s.h.repo, &all, &e));
    assert_int_equal(all.n, !prune + (expected == COMMIT_DONE || asleep));
    if (all.n)
        assert_int_equal(all.v[all.n - 1].broken, asleep);
    backup_all(&other, &s.blocks, &three);
    world_wait(&s.w, 20 * HOUR);
    scene_prune(&s, &nothing, &swept);
    assert_restores(&s.w, &three, &s.blocks);
    host_free(&other);
    scene_free(&s);
}

static void an_old_view_is_taken_again(void **state)
{
    (void)state;
    commit_late(false, true, COMMIT_REPEAT);
    commit_late(false, false, COMMIT_DONE);
}

static void a_commit_after_sleep_is_broken(void **state)
{
    (void)state;
    commit_late(true, true, COMMIT_REPEAT);
    commit_late(true, false, COMMIT_REPEAT);
}

/* What a long backup has uploaded itself may be condemned, too. */
static void own_packs_are_looked_at_again(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    struct host other;
    struct taking b;
    struct blocks big = blocks_new(3200, 5000); /* the first of its packs has gone out for sure */
    AUTO(snapshot) two = {0}, again = {0};
    AUTO(prune_report) r = {0};
    host_new(&other, &s.w, false);
    assert_ok(taking_begin(&b, &other, &big, &e));
    assert_ok(taking_write(&b, 3200, &e));
    world_wait(&s.w, 4 * DAY);
    scene_prune(&s, &nothing, &r);
    assert_in_range(r.dead.packs, 1, 3);
    assert_int_equal(taking_end(&b, &two, &e), COMMIT_REPEAT);
    taking_free(&b);
    backup_all(&other, &big, &again);
    assert_in_range(again.sources[0].streams[0].new_bytes, r.dead.packs * 800 * BLOCK, 3200 * BLOCK);
    assert_restores(&s.w, &again, &big);
    free(big.v);
    host_free(&other);
    scene_free(&s);
}

/* ---- a host that looks while others prune ---- */
struct meanwhile {
    struct scene *s;
    unsigned at; /* before this operation */
    bool done;
};

/* Everything that is due goes, and the marks that told of it. */
static void prune_meanwhile(struct host *h)
{
    struct meanwhile *m = h->ctx;
    if (m->done || h->calls + 1 < m->at)
        return;
    m->done = true;
    for (int i = 0; i < 4; i++) {
        AUTO(prune_report) r = {0};
        scene_prune(m->s, &nothing, &r);
        world_wait(&m->s->w, 2 * HOUR);
    }
}

static void others_prune_at_any_moment_of_a_backup(void **state)
{
    (void)state;
    unsigned last = 100;
    for (unsigned at = 1; at <= last; at++) {
        struct scene s;
        scene_new(&s, 10);
        for (uint32_t i = 1; i <= 10;
             i++) { /* one index gets all their packs, and is not made anew for the first */
            struct blocks more = blocks_new(5, 1000 * i);
            AUTO(snapshot) night = {0};
            backup_all(&s.h, &more, &night);
            free(more.v);
        }
        AUTO(prune_report) merged = {0}, r = {0};
        scene_prune(&s, &nothing, &merged);
        assert_int_equal(merged.indexes_written, 1);
        scene_forget(&s, &s.one);
        world_wait(&s.w, 4 * DAY);
        scene_prune(&s, &nothing, &r);
        assert_int_equal(r.dead.packs, 1);
        world_wait(&s.w, DAY);
        struct host other;
        struct meanwhile m = {.s = &s, .at = at};
        AUTO(snapshot) two = {0};
        host_new(&other, &s.w, false);
        other.calls = 0;
        other.ctx = &m;
        other.before = prune_meanwhile;
        backup_all(&other, &s.blocks, &two);
        last = MIN(last, other.calls);
        assert_restores(&s.w, &two, &s.blocks);
        host_free(&other);
        scene_free(&s);
    }
    assert_in_range(last, 5, 50);
}

/* Of a snapshot without sources, on a view of just now; s->h.calls and s->h.before are the commit's. */
static int commit_nothing(struct scene *s, int64_t time_ns, void (*before)(struct host *h), struct err *e)
{
    AUTO(snapshot) two = {.host = xstrdup("here"), .time_ns = time_ns};
    assert_int_equal(repo_load(s->h.repo, e), 0);
    s->h.calls = 0;
    s->h.before = before;
    int rc = snapshot_commit(s->h.repo, &two, e);
    s->h.before = NULL;
    return rc;
}

static void a_young_view_costs_one_request(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 3);
    assert_int_equal(commit_nothing(&s, s.w.now_ns, NULL, &e), COMMIT_DONE);
    assert_int_equal(s.h.calls, 2); /* the put and a look at the clock */
    scene_free(&s);
}

static int delete_other(void *ctx, const struct store_object *o, struct err *e)
{
    struct scene *s = ctx;
    char one[SHA_HEX];
    sha_hex(one, &s->one.id);
    return strstr(o->name, one) ? 0 : store_delete(s->w.store, o->name, e);
}

/* As a store that says yes to what it does not keep. */
static void lose_snapshots(struct host *h)
{
    struct err e = ERR_INIT;
    struct scene *s = CONTAINER(h, struct scene, h);
    assert_ok(store_list(s->w.store, "snapshots/", delete_other, s, NULL, &e));
}

static void a_snapshot_that_was_not_stored_is_not_reported(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 3);
    assert_int_equal(commit_nothing(&s, s.w.now_ns, lose_snapshots, &e), COMMIT_FAILED);
    assert_text(e, "the store said that it was stored, and does not have it");
    scene_free(&s);
}

/* A clock in the year 9999: the nanoseconds overflow, and such a time is not understood. */
static void a_snapshot_that_cannot_be_read_is_not_stored(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 3);
    assert_int_equal(commit_nothing(&s, INT64_MIN, NULL, &e), COMMIT_FAILED);
    assert_text(e, "is this machine's clock right");
    assert_int_equal(count_objects(&s.w, "snapshots/"), 1);
    scene_free(&s);
}

static void packs_of_a_writer_at_work_stay(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    struct host other;
    struct taking b;
    struct blocks big = blocks_new(1000, 5000); /* more than a pack */
    host_new(&other, &s.w, false);
    assert_ok(taking_begin(&b, &other, &big, &e));
    assert_ok(taking_write(&b, 1000, &e));
    taking_free(&b); /* as good as killed: packs without an index */
    AUTO(prune_report) young = {0}, old = {0};
    world_wait(&s.w, 3 * DAY - HOUR);
    scene_prune(&s, &nothing, &young);
    assert_int_equal(young.dead.packs, 0);
    assert_int_equal(young.young.packs, 1);
    world_wait(&s.w, HOUR);
    scene_prune(&s, &nothing, &old);
    assert_int_equal(old.dead.packs, 1);
    free(big.v);
    host_free(&other);
    scene_free(&s);
}

/* ---- readers ---- */
/* A restore whose packs are moved and deleted under its hands. */
static void a_restore_goes_on_in_the_new_packs(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 800);
    AUTO(snapshot) two = {0};
    struct blocks few = scene_keep_part(&s, 200, 4, &two);
    world_wait(&s.w, 4 * DAY);
    struct host reader;
    host_new(&reader, &s.w, true);
    assert_ok(repo_load(reader.repo, &e));
    AUTO_PTR(stream_reader) r = stream_reader_new(reader.repo, &two.sources[0].streams[0], 0, UINT64_MAX, &e);
    AUTO(prune_report) moved = {0}, swept = {0};
    scene_prune(&s, &nothing, &moved);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &swept);
    assert_true(swept.swept.packs >= 1);
    for (size_t i = 0; i < few.n; i++) {
        AUTO(buf) want = BUF_NONE;
        struct bytes b;
        block_bytes(&want, few.v[i], BLOCK);
        assert_ok(stream_reader_next(r, &b, &e));
        assert_int_equal(b.n, want.n);
        assert_memory_equal(b.p, want.p, want.n);
    }
    assert_int_equal(count_objects(&s.w, "marks/damaged/"), 0);
    stream_reader_free(STEAL(r));
    host_free(&reader);
    free(few.v);
    scene_free(&s);
}

/* ---- every operation of a prune is the last ---- */
static void a_prune_may_be_killed_anywhere(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 300);
    struct blocks few = blocks_new(60, 0);
    struct snapshot nights[12] = {0};
    struct blocks of[12];
    for (size_t i = 0; i < few.n; i++)
        few.v[i] = (uint32_t)i * 5;
    AUTO(snapshot) two = {0};
    backup_all(&s.h, &few, &two);
    for (uint32_t i = 0; i < 12; i++) {
        of[i] = blocks_new(4, 1000 * (i + 1));
        backup_all(&s.h, &of[i], &nights[i]);
    }
    scene_forget(&s, &s.one);
    scene_forget(&s, &nights[3]);
    world_wait(&s.w, 4 * DAY);
    int n = 0;
    for (bool done = false; !done;) {
        struct err e = ERR_INIT;
        AUTO(prune_report) r = {0};
        host_reopen(&s.h, true);
        s.h.kill_at = ++n;
        done = repo_prune(s.h.repo, &nothing, &r, &e) == 0 && n > 100;
        if (!done && err_is_set(&e))
            assert_text(e, "killed");
        if (n % 7 == 0)
            world_wait(&s.w, DAY);
        if (n % 5 == 0 || done) {
            assert_restores(&s.w, &two, &few);
            assert_restores(&s.w, &nights[n % 3], &of[n % 3]);
        }
    }
    assert_int_equal(count_objects(&s.w, "snapshots/"), 12);
    assert_in_range(count_objects(&s.w, "packs/"), 1, 4);
    for (int i = 0; i < 12; i++) {
        snapshot_free(&nights[i]);
        free(of[i].v);
    }
    free(few.v);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(condemned_packs_are_not_relied_on),
        cmocka_unit_test(what_is_needed_after_all_is_moved),
        cmocka_unit_test(what_is_moved_goes_last),
        cmocka_unit_test(an_old_view_is_taken_again),
        cmocka_unit_test(a_commit_after_sleep_is_broken),
        cmocka_unit_test(own_packs_are_looked_at_again),
        cmocka_unit_test(others_prune_at_any_moment_of_a_backup),
        cmocka_unit_test(a_young_view_costs_one_request),
        cmocka_unit_test(a_snapshot_that_was_not_stored_is_not_reported),
        cmocka_unit_test(a_snapshot_that_cannot_be_read_is_not_stored),
        cmocka_unit_test(packs_of_a_writer_at_work_stay),
        cmocka_unit_test(a_restore_goes_on_in_the_new_packs),
        cmocka_unit_test(a_prune_may_be_killed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
