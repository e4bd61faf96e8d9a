/* Each rule of forgetting and garbage collection on its own; test_gc.c throws them all together. */
#include "gc_world.h"

#include "store/driver.h"

#define BLOCK 20000u

static struct blocks blocks_new(size_t n, uint32_t first)
{
    struct blocks b = {.v = xcalloc(n, sizeof *b.v), .n = n, .size = BLOCK};
    for (size_t i = 0; i < n; i++)
        b.v[i] = first + (uint32_t)i;
    return b;
}

struct scene {
    struct world w;
    struct host h;
    struct blocks blocks;
    struct snapshot one;
};

static void scene_new(struct scene *s, size_t blocks)
{
    *s = (struct scene){0};
    world_new(&s->w);
    host_new(&s->h, &s->w, true);
    s->blocks = blocks_new(blocks, 0);
    backup_all(&s->h, &s->blocks, &s->one);
}

static void scene_free(struct scene *s)
{
    snapshot_free(&s->one);
    free(s->blocks.v);
    host_free(&s->h);
    world_free(&s->w);
}

static const struct prune_options nothing = {0};

/* Every pack that is there is in an index. */
static void assert_no_orphans(struct world *w)
{
    struct err e = ERR_INIT;
    struct host h;
    host_new(&h, w, true);
    assert_ok(repo_load(h.repo, &e));
    for (uint32_t i = 0; i < h.repo->index.pack_count; i++)
        assert_false(h.repo->index.packs[i].state & PACK_ORPHAN);
    host_free(&h);
}

static void prune_report_of(struct scene *s, const struct prune_options *o, struct prune_report *out)
{
    host_reopen(&s->h, keyring_can_read(s->h.repo->keys));
    prune_ok(&s->h, o, out);
}

static void forget(struct scene *s, const struct snapshot *snapshot)
{
    struct err e = ERR_INIT;
    assert_ok(mark_forget(s->h.repo, &snapshot->id, 1, &e));
}

/* ---- forgetting ---- */
static void a_snapshot_goes_when_its_window_is_over(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    forget(&s, &s.one);
    world_wait(&s.w, 3 * DAY + 12 * HOUR - SECOND);
    AUTO(prune_report) early = {0}, late = {0}, grace = {0}, swept = {0};
    prune_report_of(&s, &nothing, &early);
    assert_int_equal(early.removed.n + early.dead.packs, 0);
    assert_restores(&s.w, &s.one, &s.blocks);
    world_wait(&s.w, SECOND);
    prune_report_of(&s, &nothing, &late);
    assert_int_equal(late.removed.n, 1);
    assert_int_equal(late.dead.packs, 1);
    assert_int_equal(count_objects(&s.w, "packs/"), 1);
    world_wait(&s.w, DAY - SECOND);
    prune_report_of(&s, &nothing, &grace);
    assert_int_equal(grace.swept.packs, 0);
    assert_int_equal(grace.waiting.packs, 1);
    world_wait(&s.w, SECOND);
    prune_report_of(&s, &nothing, &swept);
    assert_int_equal(swept.swept.packs, 1);
    assert_int_equal(count_objects(&s.w, "packs/"), 0);
    scene_free(&s);
}

static void everything_is_tidied_in_the_end(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    assert_ok(mark_pin(s.h.repo, &s.one.id, "why not", &e));
    assert_ok(mark_unpin(s.h.repo, &s.one.id, &e));
    forget(&s, &s.one);
    assert_ok(mark_undo(s.h.repo, &s.one.id, &e));
    forget(&s, &s.one);
    for (int i = 0; i < 8; i++) {
        AUTO(prune_report) r = {0};
        world_wait(&s.w, 2 * DAY);
        prune_report_of(&s, &nothing, &r);
    }
    assert_int_equal(count_objects(&s.w, "snapshots/"), 0);
    assert_int_equal(count_objects(&s.w, "packs/"), 0);
    assert_int_equal(count_objects(&s.w, "marks/"), 0);
    assert_in_range(count_objects(&s.w, "index/"), 0, 1);
    scene_free(&s);
}

/* A late listing may show a pack that is gone: until it cannot, its mark stands. */
static void a_condemn_mark_outlives_its_pack(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) condemned = {0}, swept = {0}, early = {0}, late = {0};
    prune_report_of(&s, &nothing, &condemned);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &swept);
    assert_int_equal(swept.swept.packs, 1);
    world_wait(&s.w, s.w.bounds.lag_ns);
    prune_report_of(&s, &nothing, &early);
    assert_int_equal(count_objects(&s.w, "marks/condemn/"), 1);
    world_wait(&s.w, SECOND);
    prune_report_of(&s, &nothing, &late);
    assert_int_equal(count_objects(&s.w, "marks/condemn/"), 0);
    scene_free(&s);
}

static void undo_brings_it_back(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    assert_int_equal(mark_undo(s.h.repo, &s.one.id, &e), -1);
    assert_text(e, "is not forgotten");
    forget(&s, &s.one);
    world_wait(&s.w, 2 * DAY);
    assert_ok(mark_undo(s.h.repo, &s.one.id, &e));
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) r = {0}, again = {0};
    prune_report_of(&s, &nothing, &r);
    assert_int_equal(r.removed.n, 0);
    AUTO(snapshots) all = {0};
    assert_ok(snapshots_load(s.h.repo, &all, &e));
    assert_int_equal(all.v[0].forgotten_ns, 0);
    /* Forgotten again it counts, and from then on. */
    forget(&s, &s.one);
    world_wait(&s.w, 3 * DAY);
    e = (struct err)ERR_INIT;
    assert_int_equal(mark_undo(s.h.repo, &s.one.id, &e), -1);
    assert_text(e, "longer ago than undo-window");
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &again);
    assert_int_equal(again.removed.n, 1);
    scene_free(&s);
}

static void pins_and_unpins(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 1);
    assert_int_equal(mark_unpin(s.h.repo, &s.one.id, &e), -1);
    assert_text(e, "is not pinned");
    for (int round = 0; round < 2; round++) {
        assert_ok(mark_pin(s.h.repo, &s.one.id, "one", &e));
        assert_ok(mark_pin(s.h.repo, &s.one.id, "two", &e));
        AUTO(snapshots) pinned = {0}, unpinned = {0};
        assert_ok(snapshots_load(s.h.repo, &pinned, &e));
        assert_int_equal(pinned.v[0].pins.n, 2);
        assert_ok(mark_unpin(s.h.repo, &s.one.id, &e));
        assert_ok(snapshots_load(s.h.repo, &unpinned, &e));
        assert_int_equal(unpinned.v[0].pins.n, 0);
    }
    scene_free(&s);
}

/* ---- writers ---- */
static void condemned_packs_are_not_relied_on(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) r = {0}, after = {0};
    prune_report_of(&s, &nothing, &r);
    assert_int_equal(r.dead.packs, 1);
    AUTO(snapshot) two = {0};
    backup_all(&s.h, &s.blocks, &two);
    assert_int_equal(two.sources[0].streams[0].new_bytes, 10 * BLOCK);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &after);
    assert_int_equal(after.swept.packs, 1);
    assert_restores(&s.w, &two, &s.blocks);
    scene_free(&s);
}

/* A backup that began before its packs were condemned, and whose view is young, commits; the next prune moves
 * what it needs. */
static void what_is_needed_after_all_is_moved(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    struct host other;
    struct taking b;
    AUTO(snapshot) two = {0};
    host_new(&other, &s.w, false);
    assert_ok(taking_begin(&b, &other, &s.blocks, &e));
    assert_ok(taking_write(&b, 10, &e));
    AUTO(prune_report) r = {0}, rescue = {0}, late = {0};
    prune_report_of(&s, &nothing, &r);
    assert_int_equal(r.dead.packs, 1);
    world_wait(&s.w, 11 * HOUR);
    assert_int_equal(taking_end(&b, &two, &e), COMMIT_DONE);
    assert_int_equal(two.sources[0].streams[0].new_bytes, 0);
    taking_free(&b);
    world_wait(&s.w, HOUR);
    prune_report_of(&s, &nothing, &rescue);
    assert_int_equal(rescue.rescued.packs, 1);
    assert_int_equal(rescue.moved.packs, 1);
    world_wait(&s.w, 12 * HOUR);
    prune_report_of(&s, &nothing, &late);
    assert_int_equal(late.swept.packs, 1);
    assert_restores(&s.w, &two, &s.blocks);
    host_free(&other);
    scene_free(&s);
}

/* The same with a view that has become old, or a commit that came too late: 20 hours by the clock, or asleep.
 */
static void commit_late(bool asleep, bool prune, int expected)
{
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    struct host other;
    struct taking b;
    AUTO(snapshot) two = {0}, three = {0};
    host_new(&other, &s.w, false);
    assert_ok(taking_begin(&b, &other, &s.blocks, &e));
    assert_ok(taking_write(&b, 10, &e));
    AUTO(prune_report) r = {0}, swept = {0};
    if (prune)
        prune_report_of(&s, &nothing, &r);
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
    prune_report_of(&s, &nothing, &swept);
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
    prune_report_of(&s, &nothing, &r);
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
        prune_report_of(m->s, &nothing, &r);
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
        prune_report_of(&s, &nothing, &merged);
        assert_int_equal(merged.indexes_written, 1);
        forget(&s, &s.one);
        world_wait(&s.w, 4 * DAY);
        prune_report_of(&s, &nothing, &r);
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

static void a_young_view_costs_one_request(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 3);
    AUTO(snapshot) two = {.host = xstrdup("here"), .time_ns = s.w.now_ns};
    assert_ok(repo_load(s.h.repo, &e));
    unsigned before = s.h.calls;
    assert_ok(snapshot_commit(s.h.repo, &two, &e));
    assert_int_equal(s.h.calls - before, 2); /* the put and a look at the clock */
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
    prune_report_of(&s, &nothing, &young);
    assert_int_equal(young.dead.packs, 0);
    assert_int_equal(young.young.packs, 1);
    world_wait(&s.w, HOUR);
    prune_report_of(&s, &nothing, &old);
    assert_int_equal(old.dead.packs, 1);
    free(big.v);
    host_free(&other);
    scene_free(&s);
}

/* ---- moving ---- */
/* Four of five blocks are garbage; the rest is moved, and restores. */
static void thin_packs_are_moved(bool can_read)
{
    struct scene s;
    scene_new(&s, 800); /* 16 MB: one pack */
    struct blocks few = blocks_new(160, 0);
    for (size_t i = 0; i < few.n; i++)
        few.v[i] = can_read ? (uint32_t)i * 5 : (uint32_t)i;
    AUTO(snapshot) two = {0};
    backup_all(&s.h, &few, &two);
    forget(&s, &s.one);
    host_reopen(&s.h, can_read);
    world_wait(&s.w, 4 * DAY);
    uint64_t before = count_bytes(&s.w, "packs/");
    AUTO(prune_report) dry = {0}, r = {0}, swept = {0}, rest = {0};
    const struct prune_options look = {.dry_run = true};
    prune_report_of(&s, &look, &dry);
    assert_int_equal(count_bytes(&s.w, "packs/"), before);
    assert_int_equal(count_objects(&s.w, "marks/"), 1);
    prune_report_of(&s, &nothing, &r);
    assert_true(r.thin.packs >= 1);
    assert_int_equal(r.thin.packs, dry.thin.packs);
    assert_int_equal(r.dead.packs, dry.dead.packs);
    assert_in_range(r.moved.bytes, 160 * BLOCK, 160 * BLOCK * 5 / 4);
    assert_in_range(dry.moved.bytes, r.moved.bytes - 200000, r.moved.bytes + 200000);
    assert_true(r.moved.bytes <= r.thin.bytes + r.dead.bytes - r.moved.bytes);
    assert_restores(&s.w, &two, &few);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &swept);
    assert_int_equal(swept.swept.packs, r.thin.packs + r.dead.packs);
    assert_int_equal(swept.moved.packs, 0); /* nothing is left to do */
    assert_restores(&s.w, &two, &few);
    assert_in_range(count_bytes(&s.w, "packs/"), 160 * BLOCK, 160 * BLOCK * 5 / 4);
    assert_no_orphans(&s.w);
    AUTO(check_report) check = {0};
    struct err e = ERR_INIT;
    const struct check_options all = {.read_percent = 100};
    host_reopen(&s.h, true);
    assert_ok(keys_add_recipient(s.w.store, s.w.keys, keyring_current(s.w.keys)->content_public, "test", &e));
    assert_ok(repo_check(s.h.repo, &all, &check, &e));
    for (size_t i = 0; i < check.error_count; i++)
        fail_msg("%s: %s", check.errors[i].object, check.errors[i].what);
    free(few.v);
    scene_free(&s);
}

static void frames_are_moved_unopened(void **state)
{
    (void)state;
    thin_packs_are_moved(false);
}

static void chunks_are_moved_with_the_identity(void **state)
{
    (void)state;
    thin_packs_are_moved(true);
}

/* Two hosts store the same at the same time: one copy stays, whole. */
static void of_two_copies_one_stays(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 1);
    struct blocks same = blocks_new(20, 700);
    struct host hosts[2];
    struct taking b[2];
    AUTO(snapshot) one = {0}, two = {0};
    for (int i = 0; i < 2; i++) {
        host_new(&hosts[i], &s.w, false);
        assert_ok(taking_begin(&b[i], &hosts[i], &same, &e));
    }
    assert_int_equal(taking_end(&b[0], &one, &e), COMMIT_DONE);
    assert_int_equal(taking_end(&b[1], &two, &e), COMMIT_DONE);
    for (int i = 0; i < 2; i++) {
        taking_free(&b[i]);
        host_free(&hosts[i]);
    }
    AUTO(prune_report) r = {0}, swept = {0};
    world_wait(&s.w, 4 * DAY);
    prune_report_of(&s, &nothing, &r);
    assert_int_equal(r.dead.packs, 1);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &swept);
    assert_int_equal(count_objects(&s.w, "packs/"), 2);
    assert_restores(&s.w, &one, &same);
    assert_restores(&s.w, &two, &same);
    free(same.v);
    scene_free(&s);
}

static void damage_is_not_copied(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) names = STRINGS_NONE;
    AUTO(buf) pack = BUF_NONE;
    scene_new(&s, 400);
    struct blocks few = blocks_new(40, 0);
    AUTO(snapshot) two = {0};
    assert_ok(list_names(s.w.store, "packs/", &names, &e));
    backup_all(&s.h, &few, &two);
    forget(&s, &s.one);
    assert_ok(store_get(s.w.store, names.v[0], UINT64_MAX, &pack, &e));
    pack.p[pack.n / 2] ^= 1; /* in what is garbage */
    assert_int_equal(store_delete(s.w.store, names.v[0], &e), 0);
    assert_ok(store_put(s.w.store, names.v[0], buf_bytes(&pack), &e));
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) r = {0};
    prune_report_of(&s, &nothing, &r);
    assert_int_equal(r.thin.packs, 0);
    assert_int_equal(r.notes.n, 1);
    assert_int_equal(count_objects(&s.w, "marks/damaged/"), 1);
    assert_restores(&s.w, &two, &few);
    free(few.v);
    scene_free(&s);
}

static void small_packs_and_indexes_are_merged(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 200);
    struct snapshot nights[15] = {0};
    struct blocks of[15];
    forget(&s, &s.one); /* the allowance to move others */
    for (uint32_t i = 0; i < 15; i++) {
        of[i] = blocks_new(5, 1000 * (i + 1));
        world_wait(&s.w, DAY);
        backup_all(&s.h, &of[i], &nights[i]);
    }
    AUTO(prune_report) r = {0}, swept = {0}, tidy = {0};
    prune_report_of(&s, &nothing, &r);
    assert_int_equal(r.thin.packs, 15);
    assert_int_equal(r.moved.packs, 1);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &swept);
    assert_int_equal(count_objects(&s.w, "packs/"), 1);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &tidy);
    assert_in_range(count_objects(&s.w, "index/"), 1, 3);
    assert_no_orphans(&s.w);
    for (int i = 0; i < 15; i++) {
        assert_restores(&s.w, &nights[i], &of[i]);
        snapshot_free(&nights[i]);
        free(of[i].v);
    }
    scene_free(&s);
}

/* ---- refusing ---- */
static void expect_refusal(struct scene *s, const char *text)
{
    struct err e = ERR_INIT;
    AUTO(prune_report) r = {0};
    size_t packs = count_objects(&s->w, "packs/"), snapshots = count_objects(&s->w, "snapshots/");
    host_reopen(&s->h, true);
    assert_int_equal(repo_prune(s->h.repo, &nothing, &r, &e), -1);
    assert_text(e, text);
    assert_int_equal(count_objects(&s->w, "packs/"), packs);
    assert_int_equal(count_objects(&s->w, "snapshots/"), snapshots);
    assert_int_equal(count_objects(&s->w, "marks/condemn/"), 0);
}

static void replace(struct world *w, const char *prefix, size_t number, const char *text)
{
    struct err e = ERR_INIT;
    AUTO(strings) names = STRINGS_NONE;
    assert_ok(list_names(w->store, prefix, &names, &e));
    assert_int_equal(store_delete(w->store, names.v[number], &e), 0);
    if (text)
        assert_ok(store_put(w->store, names.v[number], BYTES_STR(text), &e));
}

static void what_cannot_be_read_stops_it(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    struct blocks other = blocks_new(10, 500);
    AUTO(snapshot) two = {0};
    AUTO(prune_report) after = {0};
    backup_all(&s.h, &other, &two);
    forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    char hex[SHA_HEX], name[NAME_SIZE];
    AUTO(buf) good = BUF_NONE;
    sha_hex(hex, &two.id);
    object_name(name, "snapshots/", &two.id);
    assert_ok(store_get(s.w.store, name, UINT64_MAX, &good, &e));
    assert_int_equal(store_delete(s.w.store, name, &e), 0);
    assert_ok(store_put(s.w.store, name, BYTES_STR("no"), &e));
    expect_refusal(&s, hex);
    /* Forgotten, it is in nobody's way once its window is over. */
    forget(&s, &two);
    expect_refusal(&s, hex);
    world_wait(&s.w, 4 * DAY);
    prune_report_of(&s, &nothing, &after);
    assert_int_equal(after.removed.n, 2);
    free(other.v);
    scene_free(&s);
}

static void missing_chunks_stop_it(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    char hex[SHA_HEX];
    sha_hex(hex, &s.one.id);
    replace(&s.w, "packs/", 0, NULL);
    expect_refusal(&s, hex);
    scene_free(&s);
}

static void an_unreadable_mark_stops_it(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    forget(&s, &s.one);
    assert_ok(mark_undo(s.h.repo, &s.one.id, &e));
    replace(&s.w, "marks/undo/", 0, "no");
    world_wait(&s.w, 10 * DAY);
    expect_refusal(&s, "marks/undo/");
    scene_free(&s);
}

static void a_mark_in_another_folder_counts_for_nothing(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    AUTO(strings) names = STRINGS_NONE;
    AUTO(buf) mark = BUF_NONE;
    assert_ok(mark_pin(s.h.repo, &s.one.id, "", &e));
    assert_ok(list_names(s.w.store, "marks/pin/", &names, &e));
    assert_ok(store_get(s.w.store, names.v[0], UINT64_MAX, &mark, &e));
    AUTO_CHAR moved = xasprintf("marks/forget/%s", strrchr(names.v[0], '/') + 1);
    assert_ok(store_put(s.w.store, moved, buf_bytes(&mark), &e));
    world_wait(&s.w, 10 * DAY);
    expect_refusal(&s, "marks/forget/");
    scene_free(&s);
}

static void a_clock_that_went_back_stops_it(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    forget(&s, &s.one);
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) back = {0}, remembered = {0}, forward = {0};
    struct prune_options o = {.last_now_ns = s.w.now_ns};
    assert_ok(store_put(s.w.store,
                        "packs/00/0000000000000000000000000000000000000000000000000000000000000000",
                        BYTES_STR(""), &e)); /* shows that the clock was there */
    world_wait(&s.w, -2 * HOUR);
    prune_report_of(&s, &nothing, &back);
    assert_true(back.clock_went_back);
    assert_int_equal(back.removed.n, 0);
    assert_int_equal(count_objects(&s.w, "marks/condemn/"), 0);
    assert_int_equal(store_delete(s.w.store,
                                  "packs/00/0000000000000000000000000000000000000000000000000000000000000000",
                                  &e),
                     0);
    prune_report_of(&s, &o, &remembered);
    assert_true(remembered.clock_went_back);
    world_wait(&s.w, HOUR);
    prune_report_of(&s, &o, &forward);
    assert_false(forward.clock_went_back);
    assert_int_equal(forward.removed.n, 1);
    scene_free(&s);
}

static void bounds_that_are_unsafe_are_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct gc_bounds b = GC_BOUNDS_DEFAULT;
    assert_ok(gc_bounds_check(&b, &e));
    b.lag_ns = b.grace_ns * 3 / 16 - 1;
    assert_ok(gc_bounds_check(&b, &e));
    b.lag_ns++;
    assert_int_equal(gc_bounds_check(&b, &e), -1);
    assert_text(e, "too short");
    b = (struct gc_bounds){0};
    e = (struct err)ERR_INIT;
    assert_int_equal(gc_bounds_check(&b, &e), -1);
}

/* ---- locks, exclusive ---- */
static void what_the_store_retains_is_no_failure(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    store_mem_set_lock(s.w.store, 30 * DAY);
    forget(&s, &s.one);
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) snapshot = {0}, gone = {0}, packs = {0}, last = {0};
    prune_report_of(&s, &nothing, &snapshot);
    assert_int_equal(snapshot.removed.n + snapshot.dead.packs, 0);
    assert_int_equal(snapshot.notes.n, 1);
    assert_restores(&s.w, &s.one, &s.blocks);
    store_mem_set_lock(s.w.store, 0);
    prune_report_of(&s, &nothing, &gone);
    assert_int_equal(gone.removed.n, 1);
    assert_int_equal(gone.dead.packs, 1);
    store_mem_set_lock(s.w.store, 30 * DAY);
    world_wait(&s.w, 2 * DAY);
    prune_report_of(&s, &nothing, &packs);
    assert_int_equal(packs.retained.packs, 1);
    assert_int_equal(packs.swept.packs, 0);
    world_wait(&s.w, 30 * DAY);
    prune_report_of(&s, &nothing, &last);
    assert_int_equal(last.swept.packs, 1);
    scene_free(&s);
}

static void exclusive_sweeps_at_once(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 400);
    struct blocks few = blocks_new(40, 0);
    AUTO(snapshot) two = {0};
    backup_all(&s.h, &few, &two);
    s.w.bounds.undo_window_ns = 0;
    const struct prune_options o = {.forget = &s.one.id, .forget_count = 1, .exclusive = true};
    AUTO(prune_report) r = {0}, again = {0};
    prune_report_of(&s, &o, &r); /* forgets; the second pass removes */
    prune_report_of(&s, &o, &again);
    assert_int_equal(r.removed.n + again.removed.n, 1);
    assert_true(again.swept.packs + r.swept.packs >= 1);
    assert_in_range(count_bytes(&s.w, "packs/"), 40 * BLOCK, 40 * BLOCK * 3 / 2);
    assert_restores(&s.w, &two, &few);
    free(few.v);
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
    struct blocks few = blocks_new(200, 0);
    for (size_t i = 0; i < few.n; i++)
        few.v[i] = (uint32_t)i * 4;
    AUTO(snapshot) two = {0};
    backup_all(&s.h, &few, &two);
    forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    struct host reader;
    host_new(&reader, &s.w, true);
    assert_ok(repo_load(reader.repo, &e));
    AUTO_PTR(stream_reader) r = stream_reader_new(reader.repo, &two.sources[0].streams[0], 0, UINT64_MAX, &e);
    AUTO(prune_report) moved = {0}, swept = {0};
    prune_report_of(&s, &nothing, &moved);
    world_wait(&s.w, DAY);
    prune_report_of(&s, &nothing, &swept);
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
    forget(&s, &s.one);
    forget(&s, &nights[3]);
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
        cmocka_unit_test(a_snapshot_goes_when_its_window_is_over),
        cmocka_unit_test(everything_is_tidied_in_the_end),
        cmocka_unit_test(a_condemn_mark_outlives_its_pack),
        cmocka_unit_test(undo_brings_it_back),
        cmocka_unit_test(pins_and_unpins),
        cmocka_unit_test(condemned_packs_are_not_relied_on),
        cmocka_unit_test(what_is_needed_after_all_is_moved),
        cmocka_unit_test(an_old_view_is_taken_again),
        cmocka_unit_test(a_commit_after_sleep_is_broken),
        cmocka_unit_test(own_packs_are_looked_at_again),
        cmocka_unit_test(others_prune_at_any_moment_of_a_backup),
        cmocka_unit_test(a_young_view_costs_one_request),
        cmocka_unit_test(packs_of_a_writer_at_work_stay),
        cmocka_unit_test(frames_are_moved_unopened),
        cmocka_unit_test(chunks_are_moved_with_the_identity),
        cmocka_unit_test(of_two_copies_one_stays),
        cmocka_unit_test(damage_is_not_copied),
        cmocka_unit_test(small_packs_and_indexes_are_merged),
        cmocka_unit_test(what_cannot_be_read_stops_it),
        cmocka_unit_test(missing_chunks_stop_it),
        cmocka_unit_test(an_unreadable_mark_stops_it),
        cmocka_unit_test(a_mark_in_another_folder_counts_for_nothing),
        cmocka_unit_test(a_clock_that_went_back_stops_it),
        cmocka_unit_test(bounds_that_are_unsafe_are_refused),
        cmocka_unit_test(what_the_store_retains_is_no_failure),
        cmocka_unit_test(exclusive_sweeps_at_once),
        cmocka_unit_test(a_restore_goes_on_in_the_new_packs),
        cmocka_unit_test(a_prune_may_be_killed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
