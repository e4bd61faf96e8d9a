/* Forgetting and prune, rule by rule, one host at a time; test_sharing.c has several, test_gc.c throws all
 * together. */
#include "gc_world.h"

#include "store/driver.h"

static const struct prune_options nothing = {0};

/* ---- forgetting ---- */
static void a_snapshot_goes_when_its_window_is_over(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    scene_forget(&s, &s.one);
    world_wait(&s.w, 3 * DAY + 12 * HOUR - SECOND);
    AUTO(prune_report) early = {0}, late = {0}, grace = {0}, swept = {0};
    scene_prune(&s, &nothing, &early);
    assert_int_equal(early.removed.n + early.dead.packs, 0);
    assert_restores(&s.w, &s.one, &s.blocks);
    world_wait(&s.w, SECOND);
    scene_prune(&s, &nothing, &late);
    assert_int_equal(late.removed.n, 1);
    assert_int_equal(late.dead.packs, 1);
    assert_int_equal(count_objects(&s.w, "packs/"), 1);
    world_wait(&s.w, DAY - SECOND);
    scene_prune(&s, &nothing, &grace);
    assert_int_equal(grace.swept.packs, 0);
    assert_int_equal(grace.waiting.packs, 1);
    world_wait(&s.w, SECOND);
    scene_prune(&s, &nothing, &swept);
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
    scene_forget(&s, &s.one);
    assert_ok(mark_undo(s.h.repo, &s.one.id, &e));
    scene_forget(&s, &s.one);
    for (int i = 0; i < 8; i++) {
        AUTO(prune_report) r = {0};
        world_wait(&s.w, 2 * DAY);
        scene_prune(&s, &nothing, &r);
    }
    assert_int_equal(count_objects(&s.w, "snapshots/"), 0);
    assert_int_equal(count_objects(&s.w, "packs/"), 0);
    assert_int_equal(count_objects(&s.w, "marks/"), 0);
    assert_in_range(count_objects(&s.w, "index/"), 0, 1);
    scene_free(&s);
}

/* A late listing may show a pack that is gone, and a slow prune still delete it: until neither can be, its
 * mark stands. */
static void a_condemn_mark_outlives_its_pack(void **state)
{
    (void)state;
    struct scene s;
    scene_new(&s, 10);
    scene_forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) condemned = {0}, swept = {0}, early = {0}, late = {0};
    scene_prune(&s, &nothing, &condemned);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &swept);
    assert_int_equal(swept.swept.packs, 1);
    world_wait(&s.w, s.w.bounds.grace_ns);
    scene_prune(&s, &nothing, &early);
    assert_int_equal(count_objects(&s.w, "marks/condemn/"), 1);
    world_wait(&s.w, SECOND);
    scene_prune(&s, &nothing, &late);
    assert_int_equal(count_objects(&s.w, "marks/condemn/"), 0);
    scene_free(&s);
}

/* A mark may be removed, and a copy bring the pack back, after a prune has listed the marks. */
static void a_pack_younger_than_its_mark_stays(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    scene_forget(&s, &s.one);
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) condemned = {0}, young = {0}, old = {0};
    scene_prune(&s, &nothing, &condemned);
    assert_int_equal(condemned.dead.packs, 1);
    world_wait(&s.w, 2 * DAY);
    AUTO(strings) names = STRINGS_NONE;
    AUTO(buf) bytes = BUF_NONE;
    assert_ok(list_names(s.w.store, "packs/", &names, &e));
    assert_ok(store_get(s.w.store, names.v[0], UINT64_MAX, &bytes, &e));
    assert_ok(store_replace(s.w.store, names.v[0], buf_bytes(&bytes), &e));
    scene_prune(&s, &nothing, &young);
    assert_int_equal(young.swept.packs, 0);
    world_wait(&s.w, 2 * DAY);
    scene_prune(&s, &nothing, &old);
    assert_int_equal(old.swept.packs, 1);
    scene_free(&s);
}

/* ---- two prunes at once ---- */
struct rival {
    int operations; /* until another host prunes */
    struct host *other;
};

static void let_the_other_prune(struct host *h)
{
    struct rival *rival = h->ctx;
    if (--rival->operations)
        return;
    for (int i = 0; i < 2; i++) { /* gives what is needed a new home; deletes the old one */
        AUTO(prune_report) r = {0};
        host_reopen(rival->other, true);
        prune_ok(rival->other, &nothing, &r);
    }
}

/* All packs are condemned, and needed: what one prune reads, another moves away and deletes. */
static void a_prune_survives_another(void **state)
{
    (void)state;
    for (int at = 2; at < 14; at++) {
        struct scene s;
        struct host other;
        struct err e = ERR_INIT;
        AUTO(strings) names = STRINGS_NONE;
        AUTO(sha_set) packs = {0};
        AUTO(prune_report) r = {0};
        scene_new(&s, 300);
        assert_ok(list_names(s.w.store, "packs/", &names, &e));
        for (size_t i = 0; i < names.n; i++) {
            struct sha name;
            assert_true(name_sha(names.v[i], &name));
            sha_set_add(&packs, &name);
        }
        assert_ok(mark_packs(s.h.repo, MARK_CONDEMN, &packs, &e));
        world_wait(&s.w, 2 * DAY);
        host_new(&other, &s.w, true);
        struct rival rival = {.operations = at, .other = &other};
        host_reopen(&s.h, true);
        s.h.ctx = &rival;
        s.h.before = let_the_other_prune;
        assert_ok(repo_prune(s.h.repo, &nothing, &r, &e));
        s.h.before = NULL;
        assert_true(rival.operations <= 0);
        assert_restores(&s.w, &s.one, &s.blocks);
        host_free(&other);
        scene_free(&s);
    }
}

struct nap {
    int operations; /* until the machine sleeps */
    size_t packs, notes;
};

static void sleep_at_last(struct host *h)
{
    struct nap *nap = h->ctx;
    if (--nap->operations)
        return;
    world_wait(h->world, h->world->bounds.grace_ns);
    nap->packs = count_objects(h->world, "packs/");
    nap->notes = count_objects(h->world, "marks/swept/");
}

static void a_prune_that_slept_deletes_nothing(void **state)
{
    (void)state;
    for (int at = 4; at < 12; at++) {
        struct scene s;
        struct nap nap = {.operations = at};
        struct err e = ERR_INIT;
        scene_new(&s, 10);
        for (uint32_t i = 1; i < 5; i++) {
            struct blocks other = blocks_new(10, 100 * i);
            AUTO(snapshot) more = {0};
            backup_all(&s.h, &other, &more);
            scene_forget(&s, &more);
            free(other.v);
        }
        scene_forget(&s, &s.one);
        world_wait(&s.w, 4 * DAY);
        AUTO(prune_report) condemned = {0}, slept = {0}, awake = {0};
        scene_prune(&s, &nothing, &condemned);
        world_wait(&s.w, 2 * DAY);
        host_reopen(&s.h, true);
        s.h.ctx = &nap;
        s.h.before = sleep_at_last;
        assert_ok(repo_prune(s.h.repo, &nothing, &slept, &e));
        s.h.before = NULL;
        assert_true(nap.operations <= 0);
        /* The operation that it slept in is done, and no more. */
        size_t deleted = nap.packs - count_objects(&s.w, "packs/");
        assert_true(deleted + count_objects(&s.w, "marks/swept/") - nap.notes <= 1);
        scene_prune(&s, &nothing, &awake);
        assert_int_equal(count_objects(&s.w, "packs/"), 0);
        scene_free(&s);
    }
}

static void undo_brings_it_back(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    scene_new(&s, 10);
    assert_int_equal(mark_undo(s.h.repo, &s.one.id, &e), -1);
    assert_text(e, "is not forgotten");
    scene_forget(&s, &s.one);
    world_wait(&s.w, 2 * DAY);
    assert_ok(mark_undo(s.h.repo, &s.one.id, &e));
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) r = {0}, again = {0};
    scene_prune(&s, &nothing, &r);
    assert_int_equal(r.removed.n, 0);
    AUTO(snapshots) all = {0};
    assert_ok(snapshots_load(s.h.repo, &all, &e));
    assert_int_equal(all.v[0].forgotten_ns, 0);
    /* Forgotten again it counts, and from then on. */
    scene_forget(&s, &s.one);
    world_wait(&s.w, 3 * DAY);
    e = (struct err)ERR_INIT;
    assert_int_equal(mark_undo(s.h.repo, &s.one.id, &e), -1);
    assert_text(e, "longer ago than undo-window");
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &again);
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
    /* One host forgets what another pins at the same time. */
    scene_forget(&s, &s.one);
    assert_ok(mark_pin(s.h.repo, &s.one.id, "both", &e));
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) kept = {0}, gone = {0};
    scene_prune(&s, &nothing, &kept);
    assert_int_equal(kept.removed.n, 0);
    e = (struct err)ERR_INIT;
    assert_ok(mark_unpin(s.h.repo, &s.one.id, &e));
    scene_prune(&s, &(struct prune_options){.dry_run = true}, &gone);
    assert_int_equal(gone.removed.n, 1);
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

/* ---- moving ---- */
/* Four of five blocks are garbage; the rest is moved, and restores. */
static void thin_packs_are_moved(bool can_read)
{
    struct scene s;
    scene_new(&s, 800); /* 16 MB: one pack */
    AUTO(snapshot) two = {0};
    struct blocks few = scene_keep_part(&s, 160, can_read ? 5 : 1, &two);
    host_reopen(&s.h, can_read);
    world_wait(&s.w, 4 * DAY);
    uint64_t before = count_bytes(&s.w, "packs/");
    AUTO(prune_report) dry = {0}, r = {0}, swept = {0};
    const struct prune_options look = {.dry_run = true};
    scene_prune(&s, &look, &dry);
    assert_int_equal(count_bytes(&s.w, "packs/"), before);
    assert_int_equal(count_objects(&s.w, "marks/"), 1);
    scene_prune(&s, &nothing, &r);
    assert_true(r.thin.packs >= 1);
    assert_int_equal(r.thin.packs, dry.thin.packs);
    assert_int_equal(r.dead.packs, dry.dead.packs);
    assert_in_range(r.moved.bytes, 160 * BLOCK, 160 * BLOCK * 5 / 4);
    assert_in_range(dry.moved.bytes, r.moved.bytes - 200000, r.moved.bytes + 200000);
    assert_true(r.moved.bytes <= r.thin.bytes + r.dead.bytes - r.moved.bytes);
    assert_restores(&s.w, &two, &few);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &swept);
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
    scene_prune(&s, &nothing, &r);
    assert_int_equal(r.dead.packs, 1);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &swept);
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
    assert_ok(list_names(s.w.store, "packs/", &names, &e));
    AUTO(snapshot) two = {0};
    struct blocks few = scene_keep_part(&s, 40, 1, &two);
    assert_ok(store_get(s.w.store, names.v[0], UINT64_MAX, &pack, &e));
    pack.p[pack.n / 2] ^= 1; /* in what is garbage */
    assert_int_equal(store_delete(s.w.store, names.v[0], &e), 0);
    assert_ok(store_put(s.w.store, names.v[0], buf_bytes(&pack), &e));
    world_wait(&s.w, 4 * DAY);
    AUTO(prune_report) r = {0};
    scene_prune(&s, &nothing, &r);
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
    scene_forget(&s, &s.one); /* the allowance to move others */
    for (uint32_t i = 0; i < 15; i++) {
        of[i] = blocks_new(5, 1000 * (i + 1));
        world_wait(&s.w, DAY);
        backup_all(&s.h, &of[i], &nights[i]);
    }
    AUTO(prune_report) r = {0}, swept = {0}, tidy = {0};
    scene_prune(&s, &nothing, &r);
    assert_int_equal(r.thin.packs, 15);
    assert_int_equal(r.moved.packs, 1);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &swept);
    assert_int_equal(count_objects(&s.w, "packs/"), 1);
    world_wait(&s.w, DAY);
    scene_prune(&s, &nothing, &tidy);
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
    scene_forget(&s, &s.one);
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
    scene_forget(&s, &two);
    expect_refusal(&s, hex);
    world_wait(&s.w, 4 * DAY);
    scene_prune(&s, &nothing, &after);
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
    scene_forget(&s, &s.one);
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
    scene_forget(&s, &s.one);
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) back = {0}, remembered = {0}, forward = {0};
    struct prune_options o = {.last_now_ns = s.w.now_ns};
    assert_ok(store_put(s.w.store,
                        "packs/00/0000000000000000000000000000000000000000000000000000000000000000",
                        BYTES_STR(""), &e)); /* shows that the clock was there */
    world_wait(&s.w, -2 * HOUR);
    scene_prune(&s, &nothing, &back);
    assert_true(back.clock_went_back);
    assert_int_equal(back.removed.n, 0);
    assert_int_equal(count_objects(&s.w, "marks/condemn/"), 0);
    assert_int_equal(store_delete(s.w.store,
                                  "packs/00/0000000000000000000000000000000000000000000000000000000000000000",
                                  &e),
                     0);
    scene_prune(&s, &o, &remembered);
    assert_true(remembered.clock_went_back);
    world_wait(&s.w, HOUR);
    scene_prune(&s, &o, &forward);
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
    scene_forget(&s, &s.one);
    world_wait(&s.w, 10 * DAY);
    AUTO(prune_report) snapshot = {0}, gone = {0}, packs = {0}, last = {0};
    scene_prune(&s, &nothing, &snapshot);
    assert_int_equal(snapshot.removed.n + snapshot.dead.packs, 0);
    assert_int_equal(snapshot.notes.n, 1);
    assert_restores(&s.w, &s.one, &s.blocks);
    store_mem_set_lock(s.w.store, 0);
    scene_prune(&s, &nothing, &gone);
    assert_int_equal(gone.removed.n, 1);
    assert_int_equal(gone.dead.packs, 1);
    store_mem_set_lock(s.w.store, 30 * DAY);
    world_wait(&s.w, 2 * DAY);
    scene_prune(&s, &nothing, &packs);
    assert_int_equal(packs.retained.packs, 1);
    assert_int_equal(packs.swept.packs, 0);
    world_wait(&s.w, 30 * DAY);
    scene_prune(&s, &nothing, &last);
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
    scene_prune(&s, &o, &r); /* forgets; the second pass removes */
    scene_prune(&s, &o, &again);
    assert_int_equal(r.removed.n + again.removed.n, 1);
    assert_true(again.swept.packs + r.swept.packs >= 1);
    assert_in_range(count_bytes(&s.w, "packs/"), 40 * BLOCK, 40 * BLOCK * 3 / 2);
    assert_restores(&s.w, &two, &few);
    free(few.v);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_goes_when_its_window_is_over),
        cmocka_unit_test(everything_is_tidied_in_the_end),
        cmocka_unit_test(a_condemn_mark_outlives_its_pack),
        cmocka_unit_test(a_pack_younger_than_its_mark_stays),
        cmocka_unit_test(a_prune_that_slept_deletes_nothing),
        cmocka_unit_test(a_prune_survives_another),
        cmocka_unit_test(undo_brings_it_back),
        cmocka_unit_test(pins_and_unpins),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
