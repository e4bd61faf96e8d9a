/* Copies to a mirror: what arrives, in which order, what stays away; killed at every operation of either
 * store; beside prunes of both. Whatever happens, each snapshot on the mirror restores byte for byte. */
#include "gc_world.h"

#include "repo/copy.h"
#include "run/run.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SMALL 1500u
#define KNOWN 64

/* What temporary files are read with: call number `failing` cannot. */
static unsigned reads, failing;

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    if (++reads == failing) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

static const struct copy_options quiet = {0};
static const struct prune_options nothing = {0};

/* ---- two stores ---- */
struct known {
    struct sha id;
    struct blocks blocks;
};
struct pair {
    struct world w, m;    /* the first store, its mirror: the same keys, clocks of their own */
    struct host from, to; /* the process that copies */
    struct known known[KNOWN];
    size_t known_count;
    struct blocks files;
    uint64_t random;
    uint32_t next_block;
};

static void mirror_new(struct pair *s)
{
    struct err e = ERR_INIT;
    s->m = s->w;
    s->m.store = store_mem_new(s->w.folder);
    store_mem_set_clock(s->m.store, s->m.now_ns);
    assert_ok(repo_create(s->m.store, s->w.keys, &e));
    host_new(&s->to, &s->m, false);
}

static void mirror_free(struct pair *s)
{
    host_free(&s->to);
    store_free(s->m.store);
}

static void pair_new(struct pair *s, size_t blocks)
{
    *s = (struct pair){.random = 7};
    struct err e = ERR_INIT;
    const uint8_t reader[KEY_SIZE] = {9};
    world_new(&s->w);
    assert_ok(keys_add_recipient(s->w.store, s->w.keys, reader, "test", &e));
    host_new(&s->from, &s->w, false);
    mirror_new(s);
    s->files = (struct blocks){.v = xcalloc(blocks, sizeof(uint32_t)), .n = blocks, .size = SMALL};
    while (s->next_block < blocks) {
        s->files.v[s->next_block] = s->next_block;
        s->next_block++;
    }
}

static void pair_free(struct pair *s)
{
    for (size_t i = 0; i < s->known_count; i++)
        free(s->known[i].blocks.v);
    free(s->files.v);
    mirror_free(s);
    host_free(&s->from);
    world_free(&s->w);
}

static void both_wait(struct pair *s, int64_t ns)
{
    world_wait(&s->w, ns);
    world_sleep(&s->m, ns);
}

static uint64_t roll(struct pair *s, uint64_t n)
{
    return test_random(&s->random) % n;
}

/* A backup of files that have changed; remembered. */
static struct sha back_up(struct pair *s, size_t changes)
{
    AUTO(snapshot) out = {0};
    assert_true(s->known_count < KNOWN);
    struct known *k = &s->known[s->known_count++];
    for (size_t i = 0; i < changes; i++)
        s->files.v[roll(s, s->files.n)] = s->next_block++;
    k->blocks = s->files;
    k->blocks.v = xcalloc(s->files.n, sizeof(uint32_t));
    memcpy(k->blocks.v, s->files.v, s->files.n * sizeof(uint32_t));
    host_reopen(&s->from, false);
    backup_all(&s->from, &s->files, &out);
    k->id = out.id;
    return out.id;
}

static void load(struct world *w, struct snapshots *out)
{
    struct err e = ERR_INIT;
    struct host h;
    host_new(&h, w, true);
    assert_ok(snapshots_load(h.repo, out, &e));
    host_free(&h);
}

/* Every snapshot on the mirror that is not marked as broken restores. */
static size_t mirror_restores(struct pair *s)
{
    struct err e = ERR_INIT;
    struct host h;
    AUTO(snapshots) all = {0};
    host_new(&h, &s->m, true);
    assert_ok(snapshots_load(h.repo, &all, &e));
    assert_int_equal(all.unreadable.n, 0);
    assert_ok(repo_load(h.repo, &e));
    size_t whole = 0;
    for (size_t i = 0; i < all.n; i++)
        for (size_t k = 0; k < s->known_count && !all.v[i].broken; k++) {
            if (!sha_equal(&all.v[i].id, &s->known[k].id))
                continue;
            AUTO_CHAR what = restore_differs(&h, &all.v[i].id, &s->known[k].blocks);
            if (what)
                fail_msg("snapshot %zu of the mirror: %s", i, what);
            whole++;
        }
    host_free(&h);
    return whole;
}

static void reopen(struct pair *s)
{
    host_reopen(&s->from, false);
    host_reopen(&s->to, false);
}

static void copy_ok(struct pair *s, struct copy_report *out)
{
    struct err e = ERR_INIT;
    reopen(s);
    assert_ok(repo_copy(s->from.repo, s->to.repo, &quiet, out, &e));
}

static void prune_world(struct world *w)
{
    struct host h;
    AUTO(prune_report) r = {0};
    host_new(&h, w, true);
    prune_ok(&h, &nothing, &r);
    host_free(&h);
}

static void forget(struct world *w, const struct sha *id)
{
    struct err e = ERR_INIT;
    struct host h;
    host_new(&h, w, false);
    assert_ok(mark_forget(h.repo, id, 1, &e));
    host_free(&h);
}

static bool has_note(const struct copy_report *r, const char *part)
{
    for (size_t i = 0; i < r->notes.n; i++)
        if (strstr(r->notes.v[i], part))
            return true;
    return false;
}

/* ---- what is copied ---- */
static int note_name(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    strings_add(ctx, o->name);
    return 0;
}

static void names_of(struct store *s, const char *prefix, struct strings *out)
{
    struct err e = ERR_INIT;
    assert_ok(store_list(s, prefix, note_name, out, NULL, &e));
}

static void assert_same_objects(struct pair *s, const char *prefix)
{
    AUTO(strings) one = STRINGS_NONE, two = STRINGS_NONE;
    names_of(s->w.store, prefix, &one);
    names_of(s->m.store, prefix, &two);
    assert_int_equal(one.n, two.n);
    for (size_t i = 0; i < one.n; i++)
        assert_string_equal(one.v[i], two.v[i]);
}

static void everything_arrives(void **state)
{
    (void)state;
    struct pair s;
    struct err e = ERR_INIT;
    AUTO(copy_report) r = {0}, again = {0};
    pair_new(&s, 40);
    for (int i = 0; i < 3; i++)
        back_up(&s, 10);
    struct sha gone = back_up(&s, 10);
    forget(&s.w, &gone);
    assert_ok(mark_pin(s.from.repo, &s.known[0].id, "pinned", &e));
    copy_ok(&s, &r);
    assert_int_equal(r.snapshots, 3);
    assert_int_equal(r.waiting + r.notes.n, 0);
    assert_int_equal(mirror_restores(&s), 3);
    static const char *const same[] = {"packs/", "index/", "keys/", "marks/pin/"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_same_objects(&s, same[i]);
    assert_int_equal(count_objects(&s.m, "marks/forget/"), 0); /* of a snapshot that never came */
    /* A second one finds nothing to do, and fetches nothing. */
    copy_ok(&s, &again);
    assert_int_equal(again.packs + again.snapshots + again.others + again.bytes, 0);
    pair_free(&s);
}

static void marks_of_packs_stay_where_they_are(void **state)
{
    (void)state;
    struct pair s;
    struct err e = ERR_INIT;
    AUTO(copy_report) r = {0}, again = {0};
    pair_new(&s, 20);
    struct sha one = back_up(&s, 0);
    copy_ok(&s, &r);
    struct sha pack = {{1}};
    const struct sha_set packs = {.v = &pack, .n = 1};
    assert_ok(mark_packs(s.from.repo, MARK_CONDEMN, &packs, &e));
    assert_ok(mark_packs(s.from.repo, MARK_SWEPT, &packs, &e));
    assert_ok(mark_damaged(s.from.repo, &pack, "test", &e));
    forget(&s.w, &one);
    assert_ok(mark_undo(s.from.repo, &one, &e));
    assert_ok(mark_broken(s.from.repo, &one, &e));
    copy_ok(&s, &again);
    assert_int_equal(count_objects(&s.m, "marks/"), 2);
    assert_int_equal(count_objects(&s.m, "marks/forget/"), 1);
    assert_int_equal(count_objects(&s.m, "marks/undo/"), 1);
    pair_free(&s);
}

/* ---- bytes that do not fit ---- */
static void flip(struct store *s, const char *name)
{
    struct err e = ERR_INIT;
    AUTO(buf) bytes = BUF_NONE;
    assert_ok(store_get(s, name, 1 << 28, &bytes, &e));
    bytes.p[bytes.n / 2] ^= 1;
    bytes.p[20] ^= 1;
    assert_ok(store_replace(s, name, buf_bytes(&bytes), &e));
}

/* The pack that came with the last backup: the one that is on the first store alone. */
static void new_pack(struct pair *s, char out[NAME_SIZE])
{
    AUTO(strings) one = STRINGS_NONE, two = STRINGS_NONE;
    names_of(s->w.store, "packs/", &one);
    names_of(s->m.store, "packs/", &two);
    for (size_t i = 0; i < one.n; i++)
        if (!strings_has(&two, one.v[i]))
            snprintf(out, NAME_SIZE, "%s", one.v[i]);
}

static void wrong_bytes_do_not_travel(void **state)
{
    (void)state;
    struct pair s;
    char pack[NAME_SIZE];
    AUTO(copy_report) r = {0}, bad = {0}, after = {0};
    pair_new(&s, 20);
    back_up(&s, 0);
    copy_ok(&s, &r);
    back_up(&s, 5);
    new_pack(&s, pack);
    flip(s.w.store, pack);
    copy_ok(&s, &bad);
    assert_int_equal(bad.packs + bad.snapshots, 0);
    assert_int_equal(bad.waiting, 1);
    assert_true(has_note(&bad, pack));
    assert_true(has_note(&bad, "SHA-256"));
    assert_int_equal(mirror_restores(&s), 1);
    flip(s.w.store, pack);
    copy_ok(&s, &after);
    assert_int_equal(after.waiting, 0);
    assert_int_equal(mirror_restores(&s), 2);
    pair_free(&s);
}

static void what_cannot_be_read_leaves_the_mirror_incomplete(void **state)
{
    (void)state;
    struct pair s;
    char name[NAME_SIZE];
    AUTO(copy_report) r = {0}, bad = {0}, after = {0};
    pair_new(&s, 20);
    back_up(&s, 0);
    copy_ok(&s, &r);
    assert_int_equal(r.left_out, 0);
    struct sha id = back_up(&s, 5);
    object_name(name, "snapshots/", &id);
    flip(s.w.store, name);
    copy_ok(&s, &bad);
    assert_int_equal(bad.snapshots, 0);
    assert_int_equal(bad.left_out, 1);
    assert_true(has_note(&bad, name));
    const struct run_copied copied = {.report = bad};
    assert_false(run_copied_is_good(&copied));
    flip(s.w.store, name);
    copy_ok(&s, &after);
    assert_int_equal(after.left_out, 0);
    assert_int_equal(mirror_restores(&s), 2);
    pair_free(&s);
}

static void what_the_mirror_has_is_not_missing_there(void **state)
{
    (void)state;
    struct pair s;
    char name[NAME_SIZE];
    AUTO(copy_report) r = {0}, after = {0};
    pair_new(&s, 20);
    struct sha id = back_up(&s, 0);
    copy_ok(&s, &r);
    object_name(name, "snapshots/", &id);
    flip(s.w.store, name);
    copy_ok(&s, &after);
    assert_int_equal(after.left_out, 0);
    assert_int_equal(after.notes.n, 0);
    pair_free(&s);
}

/* Each read of a temporary file fails once: the copy fails and says so, no snapshot waits for a prune. */
static void a_temporary_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    bool failed = true;
    unsigned n = 0;
    while (failed) {
        struct pair s;
        AUTO(copy_report) bad = {0}, after = {0};
        struct err e = ERR_INIT;
        pair_new(&s, 20);
        back_up(&s, 0);
        reopen(&s);
        reads = 0;
        failing = ++n;
        int rc = repo_copy(s.from.repo, s.to.repo, &quiet, &bad, &e);
        failed = reads >= failing;
        failing = 0;
        assert_int_equal(bad.waiting, 0);
        assert_int_equal(rc, failed ? -1 : 0);
        if (failed)
            assert_text(e, "Input/output error");
        copy_ok(&s, &after);
        assert_int_equal(mirror_restores(&s), 1);
        pair_free(&s);
    }
    assert_true(n > 2);
}

static void a_bad_pack_that_nobody_needs_stops_nothing(void **state)
{
    (void)state;
    struct pair s;
    struct err e = ERR_INIT;
    AUTO(copy_report) r = {0};
    pair_new(&s, 20);
    back_up(&s, 0);
    assert_ok(
        store_put(s.w.store, "packs/00/00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  BYTES_STR("a stray object of some length, larger than a footer has to be, of 88 bytes, "
                            "which is this"),
                  &e));
    copy_ok(&s, &r);
    assert_int_equal(r.snapshots, 1);
    assert_true(has_note(&r, "00aaaaaa"));
    pair_free(&s);
}

static void a_bad_pack_on_the_mirror_is_replaced(void **state)
{
    (void)state;
    struct pair s;
    struct err e = ERR_INIT;
    AUTO(copy_report) r = {0}, healed = {0};
    AUTO(check_report) found = {0}, now = {0};
    AUTO(strings) packs = STRINGS_NONE;
    const struct check_options all = {.read_percent = 100};
    pair_new(&s, 20);
    back_up(&s, 0);
    copy_ok(&s, &r);
    names_of(s.m.store, "packs/", &packs);
    flip(s.m.store, packs.v[0]);
    assert_ok(repo_check(s.to.repo, &all, &found, &e));
    assert_int_equal(found.error_count, 1);
    copy_ok(&s, &healed);
    assert_int_equal(healed.packs, 1);
    assert_int_equal(count_objects(&s.m, "marks/damaged/"), 0);
    host_reopen(&s.to, false);
    assert_ok(repo_check(s.to.repo, &all, &now, &e));
    assert_int_equal(now.error_count, 0);
    pair_free(&s);
}

/* ---- names that a prune condemned ---- */
static void give_no_second_life(enum mark_kind kind)
{
    struct pair s;
    struct err e = ERR_INIT;
    char pack[NAME_SIZE];
    uint64_t size;
    AUTO(copy_report) r = {0}, waits = {0}, still = {0}, done = {0};
    pair_new(&s, 20);
    back_up(&s, 0);
    copy_ok(&s, &r);
    back_up(&s, 5);
    new_pack(&s, pack);
    struct sha_set condemned = {0};
    struct sha name;
    assert_true(name_sha(pack, &name));
    sha_set_add(&condemned, &name);
    assert_ok(mark_packs(s.to.repo, kind, &condemned, &e));
    sha_set_free(&condemned);
    copy_ok(&s, &waits);
    assert_int_equal(waits.waiting, 1);
    assert_true(has_note(&waits, "1 snapshots wait"));
    assert_int_equal(store_size(s.m.store, pack, &size, &e), STORE_ABSENT);
    /* What comes after it is not held back with it, unless it needs the same. */
    for (size_t i = 0; i < s.files.n; i++)
        s.files.v[i] = s.next_block++;
    back_up(&s, 0);
    copy_ok(&s, &still);
    assert_int_equal(still.waiting, 1);
    assert_int_equal(still.snapshots, 1);
    assert_int_equal(mirror_restores(&s), 2);
    /* The prune of the mirror sweeps the mark. */
    for (int i = 0; i < 3; i++) {
        both_wait(&s, 2 * DAY);
        prune_world(&s.m);
    }
    copy_ok(&s, &done);
    assert_int_equal(done.waiting, 0);
    assert_int_equal(mirror_restores(&s), 3);
    pair_free(&s);
}

static void a_condemned_name_gets_no_second_life(void **state)
{
    (void)state;
    give_no_second_life(MARK_CONDEMN);
}

/* Its condemn mark went before. */
static void nor_does_a_swept_one(void **state)
{
    (void)state;
    give_no_second_life(MARK_SWEPT);
}

static void what_the_mirror_has_moved_is_not_brought_again(void **state)
{
    (void)state;
    struct pair s;
    AUTO(copy_report) r = {0}, after = {0};
    pair_new(&s, 200);
    struct sha one = back_up(&s, 0);
    back_up(&s, 150);
    copy_ok(&s, &r);
    both_wait(&s, 10 * DAY);
    forget(&s.m, &one); /* on the mirror alone: so only there is something to move */
    for (int i = 0; i < 4; i++) {
        both_wait(&s, 4 * DAY);
        prune_world(&s.m);
    }
    assert_int_equal(count_objects(&s.m, "snapshots/"), 1);
    forget(&s.w, &one);
    copy_ok(&s, &after);
    assert_int_equal(after.snapshots + after.waiting, 0);
    assert_int_equal(mirror_restores(&s), 1);
    pair_free(&s);
}

/* ---- a machine that sleeps ---- */
static bool slept;

/* Right before the snapshots are put the machine is suspended, and a prune of the mirror deletes what nobody
 * needs there. */
static void sleep_long(struct host *h)
{
    struct pair *s = h->ctx;
    bool packs_are_there = count_objects(&s->m, "packs/") > 1;
    if (slept || !packs_are_there)
        return;
    slept = true;
    for (int i = 0; i < 4; i++) {
        world_sleep(&s->w, 4 * DAY);
        world_sleep(&s->m, 4 * DAY);
        prune_world(&s->m);
    }
}

static void a_copy_that_slept_is_not_trusted(void **state)
{
    (void)state;
    struct pair s;
    struct err e = ERR_INIT;
    AUTO(copy_report) r = {0}, again = {0}, done = {0};
    pair_new(&s, 20);
    back_up(&s, 0);
    copy_ok(&s, &r);
    for (size_t i = 0; i < s.files.n; i++)
        s.files.v[i] = s.next_block++;
    back_up(&s, 0);
    reopen(&s);
    slept = false;
    s.to.ctx = &s;
    s.to.before = sleep_long;
    assert_ok(repo_copy(s.from.repo, s.to.repo, &quiet, &again, &e));
    assert_true(slept);
    s.to.before = NULL;
    assert_int_equal(mirror_restores(&s), 1);
    assert_int_equal(again.waiting, 1);
    for (int i = 0; i < 4; i++) {
        both_wait(&s, 4 * DAY);
        prune_world(&s.m);
    }
    copy_ok(&s, &done);
    assert_int_equal(done.waiting, 0);
    assert_int_equal(mirror_restores(&s), 2);
    pair_free(&s);
}

/* ---- killed ---- */
static void killed_anywhere_the_next_goes_on(void **state)
{
    (void)state;
    struct pair s;
    pair_new(&s, 60);
    for (int i = 0; i < 3; i++)
        back_up(&s, 20);
    for (int side = 0; side < 2; side++)
        for (int at = 1;; at++) {
            struct err e = ERR_INIT;
            AUTO(copy_report) r = {0}, rest = {0};
            mirror_free(&s);
            mirror_new(&s);
            reopen(&s);
            (side ? &s.to : &s.from)->kill_at = at;
            int rc = repo_copy(s.from.repo, s.to.repo, &quiet, &r, &e);
            assert_int_equal(mirror_restores(&s), count_objects(&s.m, "snapshots/"));
            copy_ok(&s, &rest);
            assert_int_equal(mirror_restores(&s), 3);
            if (rc == 0)
                break;
            assert_text(e, "the host was killed");
            assert_true(at < 500);
        }
    pair_free(&s);
}

/* ---- everything at once ---- */
static void disturb(struct host *h)
{
    struct pair *s = h->ctx;
    if (roll(s, 60) == 0)
        world_sleep(&s->m, (int64_t)roll(s, 40) * HOUR);
    if (roll(s, 60) == 0)
        prune_world(&s->m);
    if (roll(s, 60) == 0)
        prune_world(&s->w);
}

static void step_copy(struct pair *s)
{
    struct err e = ERR_INIT;
    AUTO(copy_report) r = {0};
    reopen(s);
    if (roll(s, 3) == 0)
        (roll(s, 2) ? &s->to : &s->from)->kill_at = 1 + (int)roll(s, 60);
    bool kills = s->to.kill_at || s->from.kill_at;
    s->to.ctx = s;
    s->to.before = disturb;
    int rc = repo_copy(s->from.repo, s->to.repo, &quiet, &r, &e);
    s->to.before = NULL;
    if (rc && !kills)
        fail_msg("copy: %s", e.text);
}

static void forget_oldest(struct pair *s, struct world *w)
{
    AUTO(snapshots) all = {0};
    load(w, &all);
    size_t counting = 0, oldest = all.n;
    for (size_t i = all.n; i-- > 0;)
        if (!all.v[i].forgotten_ns && !all.v[i].broken) {
            counting++;
            oldest = i;
        }
    if (counting > 1 + roll(s, 3))
        forget(w, &all.v[oldest].id);
}

static void play(uint64_t seed)
{
    struct pair s;
    pair_new(&s, 60);
    s.random = seed;
    for (int i = 0; i < 60; i++) {
        switch (roll(&s, 7)) {
        case 0:
        case 1:
            if (s.known_count < KNOWN)
                back_up(&s, 1 + roll(&s, 40));
            break;
        case 2:
            forget_oldest(&s, roll(&s, 4) ? &s.w : &s.m);
            break;
        case 3:
            prune_world(&s.w);
            break;
        case 4:
            prune_world(&s.m);
            break;
        default:
            step_copy(&s);
        }
        mirror_restores(&s);
        both_wait(&s, (int64_t)roll(&s, 20) * HOUR);
    }
    /* In the end the mirror has what the first store has. */
    for (int i = 0; i < 6; i++) {
        AUTO(copy_report) r = {0};
        prune_world(&s.w);
        copy_ok(&s, &r);
        prune_world(&s.m);
        both_wait(&s, 5 * DAY);
    }
    AUTO(copy_report) last = {0};
    AUTO(snapshots) first = {0}, mirror = {0};
    copy_ok(&s, &last);
    assert_int_equal(last.waiting, 0);
    mirror_restores(&s);
    load(&s.w, &first);
    load(&s.m, &mirror);
    for (size_t i = 0; i < first.n; i++) {
        bool found = first.v[i].forgotten_ns != 0;
        for (size_t k = 0; k < mirror.n; k++)
            found |= sha_equal(&first.v[i].id, &mirror.v[k].id);
        assert_true(found);
    }
    pair_free(&s);
}

static void random_histories(void **state)
{
    (void)state;
    const char *seeds = getenv("LIFEBOAT_COPY_SEEDS");
    unsigned n = seeds ? (unsigned)strtoul(seeds, NULL, 10) : 12;
    for (unsigned i = 1; i <= n; i++) {
        print_message("seed %u\n", i);
        play(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives),
        cmocka_unit_test(marks_of_packs_stay_where_they_are),
        cmocka_unit_test(wrong_bytes_do_not_travel),
        cmocka_unit_test(a_bad_pack_that_nobody_needs_stops_nothing),
        cmocka_unit_test(what_the_mirror_has_is_not_missing_there),
        cmocka_unit_test(a_temporary_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_bad_pack_on_the_mirror_is_replaced),
        cmocka_unit_test(a_condemned_name_gets_no_second_life),
        cmocka_unit_test(nor_does_a_swept_one),
        cmocka_unit_test(what_the_mirror_has_moved_is_not_brought_again),
        cmocka_unit_test(what_cannot_be_read_leaves_the_mirror_incomplete),
        cmocka_unit_test(a_copy_that_slept_is_not_trusted),
        cmocka_unit_test(killed_anywhere_the_next_goes_on),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
