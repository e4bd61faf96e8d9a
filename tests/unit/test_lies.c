/* Indexes that say of packs what the packs do not say of themselves, as whoever has the writer key can make
 * them: they hide nothing, and what is moved on their word is moved whole or not at all. */
#include "gc_world.h"

#include "base/child.h"

#include <signal.h>

static const struct prune_options nothing = {0};

/* ---- lies ---- */
struct lie {
    struct table table;
    bool other_slots, content_alone, no_frames, other_lengths;
    bool breaks_off; /* behind the last frame comes what is none */
    int longer;      /* bytes, of packs */
};

static int lie_of_slot(void *ctx, const struct slot *s, struct err *e)
{
    struct lie *l = ctx;
    struct slot other = *s;
    (void)e;
    other.sealed[3] ^= l->other_slots && (s->kind == SLOT_CONTENT || !l->content_alone);
    table_add_slot(&l->table, &other);
    return 0;
}

/* With other lengths: one chunk, under the first one's id, as long as a frame can be. */
static int lie_of_frame(void *ctx, const struct frame_entry *f, struct bytes chunks, struct err *e)
{
    struct lie *l = ctx;
    struct frame_entry other = *f;
    AUTO(buf) one = BUF_NONE;
    (void)e;
    if (l->no_frames)
        return 0;
    if (l->other_lengths) {
        struct ref ref = chunk_at(chunks, 0);
        ref.length = other.raw_length = FRAME_RAW_MAX;
        other.compression = COMPRESSION_ZSTD;
        add_chunk(&one, &ref);
        chunks = buf_bytes(&one);
    }
    table_add_frame(&l->table, &other, chunks);
    return 0;
}

static void tell(struct lie *l, struct bytes truth, uint64_t pack_size)
{
    const struct table_visitor v = {.slot = lie_of_slot, .frame = lie_of_frame, .ctx = l};
    struct err e = ERR_INIT;
    size_t used;
    assert_ok(table_visit(truth, pack_size, &v, &used, &e));
    if (l->breaks_off)
        table_add_frame(&l->table, &(struct frame_entry){.offset = UINT32_MAX}, BYTES("", 0));
}

/* An index of every pack with such tables; the newest, and it supersedes all others. */
static void put_index(struct scene *s, struct lie what)
{
    struct err e = ERR_INIT;
    AUTO(sha_set) all = {0};
    host_reopen(&s->h, true);
    assert_ok(repo_load(s->h.repo, &e));
    AUTO(index_builder) b = {.repo = s->h.repo};
    const struct index *x = &s->h.repo->index;
    for (size_t i = 0; i < s->h.repo->index_object_count; i++)
        sha_set_add(&all, &s->h.repo->index_objects[i].name);
    for (uint32_t i = 0; i < x->pack_count; i++) {
        AUTO(buf) truth = BUF_NONE, table = BUF_NONE;
        struct lie l = what;
        assert_ok(pack_read_table(s->h.repo, &x->packs[i].name, x->packs[i].size, &truth, &e));
        tell(&l, buf_bytes(&truth), x->packs[i].size);
        table_encode(&l.table, &table);
        table_free(&l.table);
        assert_ok(index_builder_add(&b, &x->packs[i].name, x->packs[i].size + (uint64_t)l.longer,
                                    buf_bytes(&table), &e));
        if (l.breaks_off) /* nothing behind it is read */
            assert_ok(index_builder_put(&b, &all, &e));
    }
    world_wait(&s->w, HOUR);
    assert_ok(index_builder_put(&b, &all, &e));
    host_reopen(&s->h, true);
}

/* ---- reading ---- */
static void assert_no_pack_is_named(const struct check_report *r)
{
    for (size_t i = 0; i < r->error_count; i++) {
        assert_true(strncmp(r->errors[i].object, "packs/", 6) != 0);
        assert_int_equal(r->errors[i].snapshots.n, 0);
    }
}

static void check_finds_all(struct scene *s)
{
    struct err e = ERR_INIT;
    AUTO(check_report) r = {0};
    const struct check_options quick = {0};
    assert_ok(repo_check(s->h.repo, &quick, &r, &e));
    assert_no_pack_is_named(&r);
}

static void check_names_the_index(struct scene *s)
{
    struct err e = ERR_INIT;
    AUTO(check_report) r = {0};
    const struct check_options all = {.read_percent = 100};
    size_t named = 0;
    assert_ok(repo_check(s->h.repo, &all, &r, &e));
    for (size_t i = 0; i < r.error_count; i++)
        named += strncmp(r.errors[i].object, "index/", 6) == 0;
    assert_int_equal(named, 1);
    assert_no_pack_is_named(&r);
    assert_int_equal(count_objects(&s->w, "marks/"), 0);
}

static void an_index_hides_nothing(struct lie what)
{
    struct scene s;
    scene_new(&s, 60);
    put_index(&s, what);
    assert_restores(&s.w, &s.one, &s.blocks);
    assert_int_equal(count_objects(&s.w, "marks/"), 0); /* the packs are sound */
    check_finds_all(&s);
    check_names_the_index(&s);
    scene_free(&s);
}

static void other_slots_hide_nothing(void **state)
{
    (void)state;
    an_index_hides_nothing((struct lie){.other_slots = true});
}

static void chunks_left_out_are_found(void **state)
{
    (void)state;
    an_index_hides_nothing((struct lie){.no_frames = true});
}

static void other_lengths_hide_nothing(void **state)
{
    (void)state;
    an_index_hides_nothing((struct lie){.other_lengths = true});
}

static void other_sizes_hide_nothing(void **state)
{
    (void)state;
    an_index_hides_nothing((struct lie){.longer = 1});
    an_index_hides_nothing((struct lie){.longer = -1});
    an_index_hides_nothing((struct lie){.longer = -65536, .other_slots = true});
}

static void an_index_that_breaks_off_hides_nothing(void **state)
{
    (void)state;
    an_index_hides_nothing((struct lie){.breaks_off = true, .other_slots = true});
}

/* Of a pack that is missing, thousands of chunks are: the others are asked once. */
static void packs_are_asked_once(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) packs = STRINGS_NONE, heard = STRINGS_NONE;
    AUTO(snapshot) two = {0};
    AUTO(check_report) r = {0};
    const struct check_options quick = {0};
    scene_new(&s, 800);
    struct blocks more = blocks_new(800, 5000);
    backup_all(&s.h, &more, &two);
    assert_ok(list_names(s.w.store, "packs/", &packs, &e));
    assert_true(packs.n > 1);
    assert_int_equal(store_delete(s.w.store, packs.v[0], &e), STORE_DONE);
    host_reopen(&s.h, true);
    s.h.heard = &heard;
    assert_ok(repo_check(s.h.repo, &quick, &r, &e));
    assert_true(r.error_count > 0);
    for (size_t i = 1; i < packs.n; i++) {
        AUTO_CHAR asked = xasprintf("size %s", packs.v[i]);
        size_t times = 0;
        for (size_t k = 0; k < heard.n; k++)
            times += strcmp(heard.v[k], asked) == 0;
        assert_int_equal(times, 1);
    }
    free(more.v);
    scene_free(&s);
}

static void stop_at_the_first_question(struct host *h)
{
    const struct strings *heard = h->heard;
    if (heard->n && strncmp(heard->v[heard->n - 1], "size packs/", strlen("size packs/")) == 0)
        stop_requested = SIGTERM;
}

/* What else the packs would have said is not known then: no chunk is called missing. */
static void a_signal_ends_the_asking(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(strings) heard = STRINGS_NONE;
    AUTO(check_report) r = {0};
    const struct check_options quick = {0};
    scene_new(&s, 60);
    put_index(&s, (struct lie){.no_frames = true});
    s.h.heard = &heard;
    s.h.before = stop_at_the_first_question;
    int rc = repo_check(s.h.repo, &quick, &r, &e);
    stop_requested = 0;
    assert_int_equal(rc, -1);
    assert_int_equal(e.kind, ERR_STOPPED);
    assert_no_pack_is_named(&r);
    scene_free(&s);
}

/* Not all places of a chunk are kept in mind, but some of every pack that is there: so none that holds it
 * looks dead. */
static size_t places_in(const struct index *x, const struct chunk_id *id, uint32_t pack)
{
    uint64_t iter = BIGMAP_START;
    struct place at;
    size_t n = 0;
    while (index_next_place(x, id, &iter, &at))
        n += index_frame(x, at.frame)->pack == pack;
    return n;
}

static void every_pack_that_is_there_keeps_a_place(void **state)
{
    (void)state;
    enum { PACKS = 40, PLACES = 70 };
    char *folder = test_folder();
    struct err e = ERR_INIT;
    struct index x;
    const struct chunk_id id = {.b = {1}};
    assert_ok(index_open(&x, folder, &e));
    for (uint32_t pack = 0; pack < PACKS; pack++) {
        const struct sha name = {.b = {(uint8_t)pack}};
        bool there = pack % 20 == 19; /* behind more than a thousand that are not */
        assert_int_equal(index_add_pack(&x, &name, 1000, there ? PACK_LISTED : 0, &e), pack);
        uint32_t frame = index_add_frame(&x, &(struct frame_info){.pack = pack}, &e);
        for (uint32_t i = 0; i < PLACES; i++)
            assert_ok(index_add_chunk(&x, &id, (struct place){.frame = frame, .offset = i}, &e));
    }
    for (uint32_t pack = 0; pack < PACKS; pack++)
        assert_in_range(places_in(&x, &id, pack), pack % 20 == 19, PLACES - 1);
    index_free(&x);
    test_remove(folder);
}

/* ---- pruning ---- */
/* Nothing is deleted, and everything can be read, whatever the prune says. */
static void prunes_lose_nothing(struct lie what, bool can_read, bool exclusive)
{
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(snapshot) two = {0};
    scene_new(&s, 800);
    struct blocks few = scene_keep_part(&s, 160, 1, &two);
    put_index(&s, what);
    for (int i = 0; i < 3; i++) {
        AUTO(prune_report) r = {0};
        world_wait(&s.w, 4 * DAY);
        host_reopen(&s.h, can_read);
        const struct prune_options o = {.exclusive = exclusive};
        e = (struct err)ERR_INIT;
        assert_int_equal(repo_prune(s.h.repo, &o, &r, &e), -1);
        assert_int_equal(e.kind, ERR_DAMAGED);
        assert_int_equal(r.swept.packs, 0);
    }
    assert_restores(&s.w, &two, &few);
    free(few.v);
    scene_free(&s);
}

static void prunes_do_not_move_by_other_slots(void **state)
{
    (void)state;
    for (int content_alone = 0; content_alone < 2; content_alone++) {
        const struct lie what = {.other_slots = true, .content_alone = content_alone};
        prunes_lose_nothing(what, false, false);
        prunes_lose_nothing(what, false, true);
        prunes_lose_nothing(what, true, true);
    }
}

/* The packs are read themselves then. */
static void prunes_do_not_move_by_what_broke_off(void **state)
{
    (void)state;
    for (int can_read = 0; can_read < 2; can_read++) {
        struct scene s;
        AUTO(snapshot) two = {0};
        AUTO(prune_report) r = {0};
        scene_new(&s, 800);
        struct blocks few = scene_keep_part(&s, 160, 1, &two);
        put_index(&s, (struct lie){.breaks_off = true, .other_slots = true});
        world_wait(&s.w, 4 * DAY);
        host_reopen(&s.h, can_read);
        prune_ok(&s.h, &(struct prune_options){.exclusive = true}, &r);
        assert_true(r.moved.packs > 0);
        assert_restores(&s.w, &two, &few);
        free(few.v);
        scene_free(&s);
    }
}

static void prunes_do_not_move_by_other_lengths(void **state)
{
    (void)state;
    prunes_lose_nothing((struct lie){.other_lengths = true}, false, true);
}

/* ---- a pack that says of itself what its frames are not ---- */
/* In place of the pack, and its indexes say the truth. */
static void make_pack_lie(struct scene *s)
{
    struct err e = ERR_INIT;
    AUTO(strings) indexes = STRINGS_NONE;
    host_reopen(&s->h, true);
    assert_ok(repo_load(s->h.repo, &e));
    const struct index *x = &s->h.repo->index;
    const struct keyring *keys = repo_keys(s->h.repo);
    AUTO(index_builder) b = {.repo = s->h.repo};
    assert_ok(list_names(s->w.store, "index/", &indexes, &e));
    for (uint32_t i = 0; i < x->pack_count; i++) {
        AUTO(buf) pack = BUF_NONE, truth = BUF_NONE, plain = BUF_NONE, tail = BUF_NONE;
        char name[NAME_SIZE];
        uint64_t offset, length;
        struct sha sha;
        struct lie l = {.other_lengths = true};
        pack_name(name, &x->packs[i].name);
        assert_ok(store_get(s->w.store, name, UINT64_MAX, &pack, &e));
        assert_ok(pack_open_footer(keys, BYTES(pack.p + pack.n - PACK_FOOTER, PACK_FOOTER), pack.n, &offset,
                                   &length, &e));
        assert_ok(pack_read_table(s->h.repo, &x->packs[i].name, pack.n, &truth, &e));
        tell(&l, buf_bytes(&truth), pack.n);
        pack_seal_tail(keys, &l.table, offset, &plain, &tail);
        table_free(&l.table);
        pack.n = offset;
        buf_add(&pack, buf_bytes(&tail));
        sha_of(buf_bytes(&pack), &sha);
        assert_int_equal(store_delete(s->w.store, name, &e), STORE_DONE);
        pack_name(name, &sha);
        assert_ok(store_put(s->w.store, name, buf_bytes(&pack), &e));
        assert_ok(index_builder_add(&b, &sha, pack.n, buf_bytes(&truth), &e));
    }
    for (size_t i = 0; i < indexes.n; i++)
        assert_int_equal(store_delete(s->w.store, indexes.v[i], &e), STORE_DONE);
    assert_ok(index_builder_put(&b, NULL, &e));
}

static void prunes_do_not_move_by_a_table_that_lies(void **state)
{
    (void)state;
    struct scene s;
    struct err e = ERR_INIT;
    AUTO(snapshot) two = {0};
    AUTO(prune_report) r = {0};
    scene_new(&s, 800);
    struct blocks few = scene_keep_part(&s, 160, 5, &two);
    make_pack_lie(&s);
    world_wait(&s.w, 4 * DAY);
    host_reopen(&s.h, true);
    assert_int_equal(repo_prune(s.h.repo, &nothing, &r, &e), -1);
    assert_int_equal(e.kind, ERR_DAMAGED);
    assert_text(e, "is not the one that");
    assert_restores(&s.w, &two, &few);
    free(few.v);
    scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_slots_hide_nothing),
        cmocka_unit_test(chunks_left_out_are_found),
        cmocka_unit_test(other_lengths_hide_nothing),
        cmocka_unit_test(other_sizes_hide_nothing),
        cmocka_unit_test(an_index_that_breaks_off_hides_nothing),
        cmocka_unit_test(every_pack_that_is_there_keeps_a_place),
        cmocka_unit_test(packs_are_asked_once),
        cmocka_unit_test(a_signal_ends_the_asking),
        cmocka_unit_test(prunes_do_not_move_by_other_slots),
        cmocka_unit_test(prunes_do_not_move_by_other_lengths),
        cmocka_unit_test(prunes_do_not_move_by_what_broke_off),
        cmocka_unit_test(prunes_do_not_move_by_a_table_that_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
