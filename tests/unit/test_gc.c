/* Random histories of several hosts on one repository: backups in steps, prunes, forgets, undos, clocks that
 * jump, hosts that sleep or are killed at any operation, listings that lag; each operation of one host may
 * find another host at work before it. After each step every snapshot that was reported good restores byte
 * for byte, and a simple model agrees which snapshots there are.
 *
 * LIFEBOAT_GC_SECONDS (40) is how long; LIFEBOAT_GC_SEED one seed to try alone. */
#include "gc_world.h"

#include "base/pool.h"
#include "store/driver.h"

#include <sodium.h>

#define HOSTS       3
#define SNAPSHOTS   24 /* the model's memory; the oldest are forgotten before it is full */
#define STEPS       120
#define SMALL_BLOCK 1500u

/* ---- a seed replays: jobs run at once in the thread that submits them, keys and names follow from the seed
 * ---- */
struct pool {
    unsigned threads;
};
struct pool *pool_new(unsigned threads)
{
    struct pool *p = xcalloc(1, sizeof *p);
    p->threads = threads;
    return p;
}
unsigned pool_threads(const struct pool *p)
{
    return p->threads;
}
void pool_submit(struct pool *p, struct job *job)
{
    (void)p;
    job->run(job, 0);
}
void pool_wait(struct pool *p, struct job *job)
{
    (void)p;
    (void)job;
}
bool pool_is_done(struct pool *p, struct job *job)
{
    (void)p;
    (void)job;
    return true;
}
void pool_free(struct pool *p)
{
    free(p);
}

static uint64_t chaos;

static const char *chaos_name(void)
{
    return "seeded";
}
static uint32_t chaos_number(void)
{
    return (uint32_t)test_random(&chaos);
}
static void chaos_bytes(void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(test_random(&chaos) >> 16);
}
static struct randombytes_implementation seeded = {
    .implementation_name = chaos_name, .random = chaos_number, .buf = chaos_bytes};

/* ---- the model ---- */
struct known {
    struct sha id;
    struct blocks blocks;
    bool reported;        /* as good; others may be there or not, whole or not */
    int64_t forgotten_ns; /* 0: it is not */
    int64_t undone_ns;    /* the last undo: a forget that does not see it yet would not count */
    bool gone;
};

struct game;
struct player {
    struct host h;
    struct game *game;
    int number;
    struct taking taking; /* in the middle of a backup; its blocks: */
    bool busy;
    struct blocks blocks;
    int64_t last_now_ns;
};
struct game {
    struct world w;
    uint64_t random, seed;
    struct player players[HOSTS];
    struct known known[SNAPSHOTS];
    size_t known_count;
    struct blocks files; /* what the source looks like now */
    uint32_t next_block;
    bool nested;
    uint64_t sleepy;   /* one jump in so many is a sleep */
    int64_t lag_ns;    /* of listings */
    int64_t behind_ns; /* how far the store's clock was put back */
    /* what happened, for the end */
    unsigned backups, prunes, repeats, broken, kills, forgets, undos, jumps, swept, moved, rescued, refused,
        nests;
};

static uint64_t roll(struct game *g, uint64_t n)
{
    return test_random(&g->random) % n;
}

static bool one_in(struct game *g, uint64_t n)
{
    return roll(g, n) == 0;
}

#define fail_game(g, ...)                                                \
    do {                                                                 \
        AUTO_CHAR text_ = xasprintf(__VA_ARGS__);                        \
        fail_msg("seed %llu: %s", (unsigned long long)(g)->seed, text_); \
    } while (0)

/* ---- time ---- */
static int64_t undo_ns(const struct game *g)
{
    return g->w.bounds.undo_window_ns;
}

static int64_t some_time(struct game *g)
{
    static const int64_t spans[] = {SECOND, 60 * SECOND, HOUR, HOUR, 3 * HOUR, 6 * HOUR, 13 * HOUR};
    return (int64_t)roll(g, (uint64_t)spans[roll(g, ARRAY_LEN(spans))]);
}

/* ---- a backup, step by step ---- */
static void change_files(struct game *g)
{
    size_t changes = 1 + roll(g, 1 + roll(g, g->files.n));
    for (size_t i = 0; i < changes; i++)
        g->files.v[roll(g, g->files.n)] = /* what was there lately comes back as often as not */
            one_in(g, 2) ? g->next_block - 1 - (uint32_t)roll(g, MIN(g->next_block, 100u)) : g->next_block++;
}

static struct blocks copy_blocks(const struct blocks *from)
{
    struct blocks out = {.v = xcalloc(from->n, sizeof *out.v), .n = from->n, .size = from->size};
    memcpy(out.v, from->v, from->n * sizeof *out.v);
    return out;
}

static struct known *remember(struct game *g, const struct sha *id, const struct blocks *blocks,
                              bool reported)
{
    struct known *k = NULL;
    for (size_t i = 0; i < g->known_count && !k; i++)
        if (g->known[i].gone)
            k = &g->known[i];
    if (!k && g->known_count < SNAPSHOTS)
        k = &g->known[g->known_count++];
    if (!k)
        fail_game(g, "the model is full");
    free(k->blocks.v);
    *k = (struct known){.id = *id, .blocks = copy_blocks(blocks), .reported = reported};
    return k;
}

static void stop_backup(struct player *p)
{
    if (p->busy) {
        taking_free(&p->taking);
        free(p->blocks.v);
    }
    p->busy = false;
}

/* The process ends where it is; a new one may begin later. */
static void restart(struct player *p)
{
    stop_backup(p);
    host_reopen(&p->h, p->number != 1);
}

static size_t alive(const struct game *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->known_count; i++)
        n += !g->known[i].gone;
    return n;
}

static void finish_backup(struct player *p)
{
    struct game *g = p->game;
    struct err e = ERR_INIT;
    AUTO(snapshot) s = {0};
    int rc = taking_end(&p->taking, &s, &e);
    static const struct sha zero;
    if (rc == COMMIT_DONE) {
        remember(g, &s.id, &p->blocks, true);
        g->backups++;
    } else if (!sha_equal(&s.id, &zero)) {
        remember(g, &s.id, &p->blocks, false); /* broken, or killed before it was known to be good */
        g->broken++;
    }
    if (rc == COMMIT_REPEAT)
        g->repeats++;
    if (rc == COMMIT_FAILED && !p->h.dead)
        fail_game(g, "commit: %s", e.text);
    stop_backup(p);
}

static void step_backup(struct player *p)
{
    struct game *g = p->game;
    struct err e = ERR_INIT;
    int rc = 0;
    if (!p->busy) {
        if (alive(g) + HOSTS + 1 >= SNAPSHOTS)
            return;
        change_files(g);
        p->blocks = copy_blocks(&g->files);
        p->busy = true;
        rc = taking_begin(&p->taking, &p->h, &p->blocks, &e);
    } else if (p->taking.next < p->blocks.n) {
        rc = taking_write(&p->taking, 1 + roll(g, p->blocks.n), &e);
    } else {
        finish_backup(p);
    }
    if (rc && !p->h.dead)
        fail_game(g, "backup: %s", e.text);
}

/* ---- prune, forget, undo ---- */
static bool may_be_dead(const struct game *g, const struct known *k)
{
    return k->forgotten_ns && g->w.now_ns - k->forgotten_ns >= undo_ns(g) + gc_view_ns(&g->w.bounds);
}

static void step_prune(struct player *p)
{
    struct game *g = p->game;
    struct err e = ERR_INIT;
    AUTO(prune_report) r = {0};
    struct prune_options o = {.last_now_ns = p->last_now_ns, .thorough = one_in(g, 4)};
    host_reopen(&p->h, p->number != 1);
    if (one_in(g, 5)) {
        p->h.kill_at = 1 + (int)roll(g, 60);
        g->kills++;
    }
    int rc = repo_prune(p->h.repo, &o, &r, &e);
    g->prunes++;
    g->swept += r.swept.packs;
    g->moved += r.moved.packs;
    g->rescued += r.rescued.packs;
    g->refused += r.clock_went_back;
    if (r.now_ns)
        p->last_now_ns = MAX(p->last_now_ns, r.now_ns);
    /* Others are at work: a prune, a listing that lags, a backup between its commit and its second look. */
    if (rc && !p->h.dead && !strstr(e.text, "another prune") && !strstr(e.text, "put a moment ago")) {
        /* A snapshot of a host that was killed before it looked at the clock may be unreadable: the user
         * forgets it. */
        bool excused = false;
        for (size_t i = 0; i < g->known_count; i++) {
            char hex[SHA_HEX];
            struct known *k = &g->known[i];
            sha_hex(hex, &k->id);
            if (k->reported || !strstr(e.text, hex))
                continue;
            excused = true;
            struct err ignored = ERR_INIT;
            if (!k->forgotten_ns && mark_forget(p->h.repo, &k->id, 1, &ignored) == 0)
                k->forgotten_ns = g->w.now_ns;
        }
        if (!excused)
            fail_game(g, "prune: %s", e.text);
    }
    host_reopen(&p->h, p->number != 1);
}

static void step_forget(struct player *p)
{
    struct game *g = p->game;
    struct err e = ERR_INIT;
    if (!g->known_count)
        return;
    struct known *k = &g->known[roll(g, g->known_count)];
    if (k->gone || k->forgotten_ns || g->w.now_ns - k->undone_ns < g->lag_ns)
        return;
    int64_t now = g->w.now_ns;
    void (*before)(struct host *) = p->h.before;
    p->h.before = NULL; /* nothing in between: the model would have to know the order */
    if (mark_forget(p->h.repo, &k->id, 1, &e) == 0) {
        k->forgotten_ns = now;
        g->forgets++;
    }
    p->h.before = before;
}

static void step_undo(struct player *p)
{
    struct game *g = p->game;
    struct err e = ERR_INIT;
    if (!g->known_count)
        return;
    struct known *k = &g->known[roll(g, g->known_count)];
    if (k->gone || !k->forgotten_ns || g->w.now_ns - k->forgotten_ns < g->w.bounds.lag_ns)
        return;
    void (*before)(struct host *) = p->h.before;
    p->h.before = NULL;
    if (mark_undo(p->h.repo, &k->id, &e) == 0) {
        k->forgotten_ns = 0;
        k->undone_ns = g->w.now_ns;
        g->undos++;
    } else if (k->reported && !p->h.dead &&
               g->w.now_ns - k->forgotten_ns < undo_ns(g) - gc_gap_ns(&g->w.bounds)) {
        fail_game(g, "undo refused: %s", e.text);
    }
    p->h.before = before;
}

/* ---- what must hold ---- */
static void check_snapshot(struct game *g, struct host *h, struct known *k)
{
    char name[NAME_SIZE];
    uint64_t size;
    struct err e = ERR_INIT;
    if (k->gone)
        return;
    object_name(name, "snapshots/", &k->id);
    int rc = store_size(g->w.store, name, &size, &e);
    if (rc == STORE_ABSENT) {
        if (k->reported && !may_be_dead(g, k) && g->behind_ns == 0)
            fail_game(g, "%s is gone", name);
        k->gone = true;
        return;
    }
    if (!k->reported)
        return;
    AUTO_CHAR what = restore_differs(h, &k->id, &k->blocks);
    if (what)
        fail_game(g, "%s does not restore: %s", name, what);
}

static void check_all(struct game *g)
{
    struct err e = ERR_INIT;
    struct host h;
    store_mem_set_lag(g->w.store, 0); /* what there is, not what a listing shows of it */
    host_new(&h, &g->w, true);
    if (repo_load(h.repo, &e))
        fail_game(g, "load: %s", e.text);
    for (size_t i = 0; i < g->known_count; i++)
        check_snapshot(g, &h, &g->known[i]);
    host_free(&h);
    store_mem_set_lag(g->w.store, g->lag_ns);
}

/* ---- the game ---- */
static void play(struct player *p)
{
    struct game *g = p->game;
    if (p->h.dead)
        restart(p);
    if (one_in(g, 25)) {
        p->h.kill_at = 1 + (int)roll(g, 12);
        g->kills++;
    }
    uint64_t r = roll(g, 20);
    if (p->busy)
        step_backup(p);
    else if (r < 8)
        step_backup(p);
    else if (r < 13)
        step_prune(p);
    else if (r < 18)
        step_forget(p);
    else
        step_undo(p);
    if (p->h.dead)
        restart(p);
}

static void jump(struct game *g)
{
    if (one_in(g, g->sleepy)) { /* this machine sleeps: only the store's clock goes on */
        world_sleep(&g->w, (int64_t)roll(g, 2 * DAY));
        g->jumps++;
    } else if (one_in(g, 60)) { /* the store's clock is put back */
        int64_t back = (int64_t)roll(g, one_in(g, 2) ? 10 * 60 * SECOND : 10 * HOUR);
        world_wait(&g->w, -back);
        g->behind_ns += back;
        g->jumps++;
    } else {
        int64_t on = some_time(g);
        world_wait(&g->w, on);
        g->behind_ns = MAX(g->behind_ns - on, 0);
    }
}

/* Before an operation of one host, another one does something. */
static void before_operation(struct host *h)
{
    struct player *p = CONTAINER(h, struct player, h);
    struct game *g = p->game;
    if (g->nested || !one_in(g, 12))
        return;
    g->nested = true;
    g->nests++;
    if (one_in(g, 3))
        jump(g);
    int other = (p->number + 1 + (int)roll(g, HOSTS - 1)) % HOSTS;
    play(&g->players[other]);
    g->nested = false;
}

/* Everybody has gone; all but one snapshot are forgotten: in the end only what it needs is there, and few
 * marks. */
static void check_end(struct game *g)
{
    struct player *p = &g->players[0];
    struct known *last = NULL;
    for (size_t i = 0; i < HOSTS; i++) {
        g->players[i].h.before = NULL;
        restart(&g->players[i]);
    }
    world_wait(&g->w, 2 * DAY + g->behind_ns);
    g->behind_ns = 0;
    for (size_t i = 0; i < g->known_count; i++) {
        struct err e = ERR_INIT;
        struct known *k = &g->known[i];
        if (k->gone || (k->reported && !k->forgotten_ns && !last && (last = k)))
            continue;
        assert_ok(mark_forget(p->h.repo, &k->id, 1, &e));
        if (!k->forgotten_ns)
            k->forgotten_ns = g->w.now_ns;
    }
    for (int i = 0; i < 10; i++) {
        struct err e = ERR_INIT;
        AUTO(prune_report) r = {0};
        const struct prune_options o = {.thorough = true};
        world_wait(&g->w, 2 * DAY);
        host_reopen(&p->h, true);
        if (repo_prune(p->h.repo, &o, &r, &e) && i > 4)
            fail_game(g, "the last prunes: %s", e.text);
        check_all(g);
    }
    if (count_objects(&g->w, "snapshots/") != (last != NULL))
        fail_game(g, "%zu snapshots are left", count_objects(&g->w, "snapshots/"));
    if (count_objects(&g->w, "marks/condemn/") || count_objects(&g->w, "marks/swept/") ||
        (count_objects(&g->w, "marks/forget/") && !(last && last->undone_ns)) ||
        count_objects(&g->w, "marks/broken/"))
        fail_game(g, "marks are left: %zu condemn, %zu swept, %zu forget, %zu broken",
                  count_objects(&g->w, "marks/condemn/"), count_objects(&g->w, "marks/swept/"),
                  count_objects(&g->w, "marks/forget/"), count_objects(&g->w, "marks/broken/"));
    uint64_t needed = last ? last->blocks.n * SMALL_BLOCK * 3 / 2 + 10 * PACK_PADDING : 0;
    if (count_bytes(&g->w, "packs/") > needed)
        fail_game(g, "%llu bytes are left", (unsigned long long)count_bytes(&g->w, "packs/"));
}

static void game_new(struct game *g, uint64_t seed)
{
    *g = (struct game){.seed = seed, .random = seed};
    chaos = ~seed;
    world_new(&g->w);
    g->w.bounds.undo_window_ns = one_in(g, 2) ? 3 * DAY : HOUR;
    g->sleepy = one_in(g, 2) ? 40 : 8;
    g->lag_ns = one_in(g, 2) ? g->w.bounds.lag_ns : 0;
    store_mem_set_lag(g->w.store, g->lag_ns);
    g->files =
        (struct blocks){.v = xcalloc(40, sizeof *g->files.v), .n = 8 + roll(g, 32), .size = SMALL_BLOCK};
    for (size_t i = 0; i < g->files.n; i++)
        g->files.v[i] = g->next_block++;
    for (int i = 0; i < HOSTS; i++) {
        struct player *p = &g->players[i];
        p->game = g;
        p->number = i;
        host_new(&p->h, &g->w, i != 1);
        p->h.before = before_operation;
    }
}

static void game_free(struct game *g)
{
    for (int i = 0; i < HOSTS; i++) {
        stop_backup(&g->players[i]);
        host_free(&g->players[i].h);
    }
    for (size_t i = 0; i < g->known_count; i++)
        free(g->known[i].blocks.v);
    free(g->files.v);
    world_free(&g->w);
}

static struct game *totals;

static void play_game(uint64_t seed)
{
    struct game *g = xcalloc(1, sizeof *g);
    game_new(g, seed);
    for (int i = 0; i < STEPS; i++) {
        jump(g);
        play(&g->players[roll(g, HOSTS)]);
        check_all(g);
    }
    check_end(g);
    unsigned *sum = &totals->backups, *one = &g->backups;
    for (size_t i = 0; i < (size_t)(&g->nests - &g->backups) + 1; i++)
        sum[i] += one[i];
    game_free(g);
    free(g);
}

static void random_histories(void **state)
{
    (void)state;
    const char *seconds = getenv("LIFEBOAT_GC_SECONDS"), *alone = getenv("LIFEBOAT_GC_SEED");
    uint64_t limit_ns = (seconds ? strtoull(seconds, NULL, 10) : 40) * (uint64_t)SECOND;
    uint64_t started = time_monotonic_ns(), seed = (uint64_t)time_now_ns() % 1000000000u, games = 0;
    totals = xcalloc(1, sizeof *totals);
    if (alone)
        seed = strtoull(alone, NULL, 10);
    printf("first seed %llu\n", (unsigned long long)seed);
    do {
        play_game(seed + games++);
    } while (!alone && time_monotonic_ns() - started < limit_ns);
    printf(
        "%llu games: %u backups, %u repeats, %u broken or unknown, %u prunes (%u refused for the clock), %u packs "
        "moved, %u rescued, %u swept, %u forgets, %u undos, %u kills, %u jumps, %u interleavings\n",
        (unsigned long long)games, totals->backups, totals->repeats, totals->broken, totals->prunes,
        totals->refused, totals->moved, totals->rescued, totals->swept, totals->forgets, totals->undos,
        totals->kills, totals->jumps, totals->nests);
    free(totals);
}

int main(void)
{
    if (sodium_init() < 0 || randombytes_set_implementation(&seeded) != 0)
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
