/* The repository on a store in memory: streams in and out, sharing of chunks, what a cut-off run leaves,
 * damage. */
#include "testing.h"

#include "repo/internal.h"
#include "store/driver.h"

#include <unistd.h>

#define MB (1u << 20)

static void expect_equal(struct bytes a, struct bytes b)
{
    assert_int_equal(a.n, b.n);
    assert_true(a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static void round_trip(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    static const size_t sizes[] = {0, 1, 100, 2048, 100000, 5 * MB + 7, 60 * MB};
    struct test_repo t;
    test_repo_new(&t, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO(buf) data = BUF_NONE, back = BUF_NONE;
        AUTO(snapshot) s = {0}, loaded = {0};
        test_bytes(&data, sizes[i], i);
        test_backup(&t, buf_bytes(&data), &s);
        test_repo_reload(&t);
        assert_ok(snapshot_load(t.repo, &s.id, &loaded, &e));
        assert_ok(test_read(&t, &loaded.sources[0].streams[0], &back, &e));
        expect_equal(buf_bytes(&data), buf_bytes(&back));
    }
    test_repo_free(&t);
}

static void unchanged_data_is_stored_once(void **state)
{
    (void)state;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE;
    AUTO(snapshot) a = {0}, b = {0}, c = {0};
    test_bytes(&data, 20 * MB, 1);
    test_backup(&t, buf_bytes(&data), &a);
    test_backup(&t, buf_bytes(&data), &b);
    assert_int_equal(b.sources[0].streams[0].new_bytes, 0);
    assert_int_equal(b.sources[0].streams[0].stored_bytes, 0);
    memset(data.p + 10 * MB, 0, 10); /* a small change touches a chunk or two; keys, so cuts, are random */
    test_repo_reload(&t);
    test_backup(&t, buf_bytes(&data), &c);
    assert_in_range(c.sources[0].streams[0].new_bytes, 1, 4 * test_stream.params.max);
    test_repo_free(&t);
}

static void ranges(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE;
    AUTO(snapshot) s = {0};
    test_bytes(&data, 3 * MB, 2);
    test_backup(&t, buf_bytes(&data), &s);
    uint64_t random = 3;
    for (int i = 0; i < 200; i++) {
        uint64_t from = test_random(&random) % data.n, n = test_random(&random) % 100000;
        AUTO_PTR(stream_reader) r = stream_reader_new(t.repo, &s.sources[0].streams[0], from, n, &e);
        AUTO(buf) back = BUF_NONE;
        struct bytes b;
        do {
            assert_ok(stream_reader_next(r, &b, &e));
            buf_add(&back, b);
        } while (b.n);
        expect_equal(BYTES(data.p + from, MIN(n, data.n - from)), buf_bytes(&back));
    }
    test_repo_free(&t);
}

struct heard {
    struct buf refs;
    uint64_t cuts[8];
    size_t at_cut[8], cut_count;
};

static int hear_refs(void *ctx, const struct ref *refs, size_t n, struct err *e)
{
    (void)e;
    buf_add(&((struct heard *)ctx)->refs, BYTES(refs, n * sizeof *refs));
    return 0;
}

static int hear_cut(void *ctx, uint64_t tag, struct err *e)
{
    struct heard *h = ctx;
    (void)e;
    h->at_cut[h->cut_count] = h->refs.n / sizeof(struct ref);
    h->cuts[h->cut_count++] = tag;
    return 0;
}

static void cuts_and_known_references(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) one = BUF_NONE, two = BUF_NONE, back = BUF_NONE;
    test_bytes(&one, 3 * MB, 4);
    test_bytes(&two, 2 * MB, 5);
    struct heard h = {0};
    struct stream_info info;
    struct writer_stats stats;
    const struct stream_watch watch = {.refs = hear_refs, .cut = hear_cut, .ctx = &h};
    struct writer *w = writer_new(t.repo, &e);
    struct stream *s = stream_new(w, &test_stream, &watch);
    assert_ok(stream_write(s, buf_bytes(&one), &e));
    assert_ok(stream_cut(s, 11, &e));
    assert_ok(stream_write(s, buf_bytes(&two), &e));
    assert_ok(stream_cut(s, 12, &e));
    assert_ok(stream_finish(s, &info, &e));
    assert_int_equal(h.cut_count, 2);
    assert_int_equal(h.cuts[0], 11);
    assert_int_equal(h.cuts[1], 12);

    /* The same in another order, the first half by reference only. */
    struct stream *again = stream_new(w, &test_stream, NULL);
    const struct ref *refs = (const struct ref *)h.refs.p;
    struct ref unknown = refs[0];
    unknown.id.b[0] ^= 1;
    assert_int_equal(stream_append(again, &unknown, 1, &e), 0);
    assert_int_equal(stream_append(again, refs + h.at_cut[0], h.at_cut[1] - h.at_cut[0], &e), 1);
    assert_ok(stream_write(again, buf_bytes(&one), &e));
    assert_ok(stream_finish(again, &info, &e));
    assert_int_equal(info.new_bytes, 0);
    assert_ok(writer_finish(w, &stats, &e));
    assert_ok(test_read(&t, &info, &back, &e));
    expect_equal(buf_bytes(&two), BYTES(back.p, two.n));
    expect_equal(buf_bytes(&one), BYTES(back.p + two.n, back.n - two.n));
    buf_free(&h.refs);
    stream_free(again);
    stream_free(s);
    writer_free(w);
    test_repo_free(&t);
}

/* ---- a listing that leaves out a pack, as below a delete marker ---- */
static const struct store_ops *all_ops;
static char hidden_pack[NAME_SIZE];
struct hearing {
    store_each *each;
    void *ctx;
};

static int hear_listed(void *ctx, const struct store_object *o, struct err *e)
{
    const struct hearing *h = ctx;
    return strcmp(o->name, hidden_pack) == 0 ? 0 : h->each(h->ctx, o, e);
}

static int list_the_rest(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                         struct err *e)
{
    struct hearing h = {.each = each, .ctx = ctx};
    return all_ops->list(s, prefix, hear_listed, &h, now_ns, e);
}

static void put_snapshot_of(struct test_repo *t, const struct stream_info *info)
{
    struct err e = ERR_INIT;
    AUTO(snapshot) s = {.host = xstrdup("here"), .time_ns = time_now_ns()};
    struct snapshot_source *src = snapshot_add_source(&s);
    src->name = xstrdup("s");
    src->type = xstrdup("command");
    src->streams = xcalloc(1, sizeof *info);
    src->streams[0] = *info;
    src->stream_count = 1;
    assert_ok(snapshot_put(t->repo, &s, &e));
}

static size_t errors_of_check(struct test_repo *t, const char *object)
{
    struct err e = ERR_INIT;
    AUTO(check_report) r = {0};
    size_t snapshots = 0;
    assert_ok(repo_check(t->repo, &(struct check_options){0}, &r, &e));
    for (size_t i = 0; i < r.error_count; i++)
        snapshots += strcmp(r.errors[i].object, object) == 0 ? r.errors[i].snapshots.n : 0;
    return snapshots;
}

/* The same bytes in another order: the second pack holds lists and no content. */
static void a_pack_of_lists_that_is_not_listed_is_missing(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, back = BUF_NONE;
    AUTO(snapshot) first = {0};
    struct heard h = {0};
    struct stream_info info;
    struct writer_stats stats;
    const struct stream_watch watch = {.refs = hear_refs, .ctx = &h};
    test_bytes(&data, 6 * MB, 21);
    test_backup(&t, buf_bytes(&data), &first);
    struct writer *w = writer_new(t.repo, &e);
    struct stream *s = stream_new(w, &test_stream, &watch);
    assert_ok(stream_write(s, buf_bytes(&data), &e));
    assert_ok(stream_finish(s, &info, &e));
    const struct ref *refs = (const struct ref *)h.refs.p;
    size_t n = h.refs.n / sizeof *refs;
    struct stream *again = stream_new(w, &test_stream, NULL);
    assert_int_equal(stream_append(again, refs + n / 2, n - n / 2, &e), 1);
    assert_int_equal(stream_append(again, refs, n / 2, &e), 1);
    assert_ok(stream_finish(again, &info, &e));
    assert_ok(writer_finish(w, &stats, &e));
    assert_true(info.depth > 0);
    put_snapshot_of(&t, &info);
    buf_free(&h.refs);
    stream_free(again);
    stream_free(s);
    writer_free(w);

    test_repo_reload(&t);
    assert_int_equal(t.repo->index.pack_count, 2);
    uint64_t iter = BIGMAP_START;
    struct place at;
    assert_true(index_next_place(&t.repo->index, &info.roots[0].id, &iter, &at));
    pack_name(hidden_pack, &t.repo->index.packs[index_frame(&t.repo->index, at.frame)->pack].name);
    assert_int_equal(errors_of_check(&t, hidden_pack), 0);
    struct store_ops hiding = *(all_ops = t.store->ops);
    hiding.list = list_the_rest;
    t.store->ops = &hiding;
    test_repo_reload(&t);
    assert_ok(test_read(&t, &info, &back, &e)); /* it is there by its name */
    assert_int_equal(errors_of_check(&t, hidden_pack), 1);
    t.store->ops = all_ops;
    test_repo_free(&t);
}

static void abandoned_streams_do_no_harm(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, back = BUF_NONE;
    test_bytes(&data, 6 * MB, 6);
    struct stream_info info;
    struct writer_stats stats;
    struct writer *w = writer_new(t.repo, &e);
    struct stream *given_up = stream_new(w, &test_stream, NULL);
    assert_ok(stream_write(given_up, BYTES(data.p, 4 * MB), &e));
    stream_free(given_up);
    struct stream *s = stream_new(w, &test_stream, NULL);
    assert_ok(stream_write(s, buf_bytes(&data), &e)); /* shares chunks with what was given up */
    assert_ok(stream_finish(s, &info, &e));
    assert_ok(writer_finish(w, &stats, &e));
    stream_free(s);
    writer_free(w);
    test_repo_reload(&t);
    assert_ok(test_read(&t, &info, &back, &e));
    expect_equal(buf_bytes(&data), buf_bytes(&back));
    test_repo_free(&t);
}

static void packs_of_a_run_that_was_cut_off_are_used(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE;
    test_bytes(&data, 50 * MB, 7);
    struct writer *w = writer_new(t.repo, &e);
    struct stream *s = stream_new(w, &test_stream, NULL);
    assert_ok(stream_write(s, buf_bytes(&data), &e));
    stream_free(s);
    writer_free(w); /* three packs went out, no index, no snapshot */
    test_repo_reload(&t);
    AUTO(snapshot) snap = {0};
    test_backup(&t, buf_bytes(&data), &snap);
    assert_in_range(snap.sources[0].streams[0].new_bytes, 1, 30 * MB);
    test_repo_reload(&t);
    AUTO(buf) back = BUF_NONE;
    assert_ok(test_read(&t, &snap.sources[0].streams[0], &back, &e));
    expect_equal(buf_bytes(&data), buf_bytes(&back));
    test_repo_free(&t);
}

static int flip(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    strings_add(ctx, o->name);
    return 0;
}

static void check(struct test_repo *t, struct check_report *report)
{
    struct err e = ERR_INIT;
    repo_free(t->repo);
    const struct repo_options o = {
        .store = t->store, .keys = t->keys, .pool = t->pool, .spool_dir = t->folder};
    t->repo = repo_open(&o, &e);
    assert_non_null(t->repo);
    const struct check_options all = {.read_percent = 100};
    assert_ok(repo_check(t->repo, &all, report, &e));
}

static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint64_t random = 8;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE;
    AUTO(snapshot) snap = {0};
    test_bytes(&data, 300000, 9);
    test_backup(&t, buf_bytes(&data), &snap);
    AUTO(check_report) clean = {0};
    assert_ok(keys_add_recipient(t.store, t.keys, keyring_current(t.keys)->content_public, "test", &e));
    check(&t, &clean);
    assert_int_equal(clean.error_count, 0);
    AUTO(strings) names = STRINGS_NONE;
    assert_ok(store_list(t.store, "", flip, &names, NULL, &e));
    assert_in_range(names.n, 5, 5); /* lifeboat, keys, pack, index, snapshot */
    for (size_t i = 0; i < names.n; i++) {
        AUTO(buf) good = BUF_NONE;
        if (strcmp(names.v[i], "lifeboat") == 0)
            continue; /* the repository does not open then: tested from the command line */
        assert_ok(store_get(t.store, names.v[i], UINT64_MAX, &good, &e));
        for (int k = 0; k < 25; k++) {
            AUTO(buf) bad = BUF_NONE, back = BUF_NONE;
            AUTO(check_report) report = {0};
            size_t at = (size_t)(test_random(&random) % good.n);
            buf_add(&bad, buf_bytes(&good));
            bad.p[at] ^= (uint8_t)(1u << test_random(&random) % 8);
            assert_int_equal(store_delete(t.store, names.v[i], &e), 0);
            assert_ok(store_put(t.store, names.v[i], buf_bytes(&bad), &e));
            check(&t, &report);
            bool named = false, hit = false;
            for (size_t n = 0; n < report.error_count; n++) {
                named |= strcmp(report.errors[n].object, names.v[i]) == 0;
                hit |= report.errors[n].snapshots.n > 0;
            }
            if (!named)
                fail_msg("%s, byte %zu: not named", names.v[i], at);
            assert_true(hit == (strncmp(names.v[i], "packs/", 6) == 0));
            struct err why = ERR_INIT;
            if (test_read(&t, &snap.sources[0].streams[0], &back, &why) == 0)
                expect_equal(buf_bytes(&data), buf_bytes(&back));
            else
                assert_int_equal(why.kind, ERR_DAMAGED);
            /* back to good, marks away */
            AUTO(strings) marks = STRINGS_NONE;
            assert_ok(store_list(t.store, "marks/", flip, &marks, NULL, &e));
            for (size_t m = 0; m < marks.n; m++)
                assert_int_equal(store_delete(t.store, marks.v[m], &e), 0);
            assert_int_equal(store_delete(t.store, names.v[i], &e), 0);
            assert_ok(store_put(t.store, names.v[i], buf_bytes(&good), &e));
        }
    }
    test_repo_free(&t);
}

static void damage_heals_from_the_source(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, back = BUF_NONE;
    AUTO(snapshot) one = {0}, two = {0};
    AUTO(check_report) before = {0}, after = {0};
    AUTO(strings) packs = STRINGS_NONE;
    test_bytes(&data, 40 * MB, 10);
    assert_ok(keys_add_recipient(t.store, t.keys, keyring_current(t.keys)->content_public, "test", &e));
    test_backup(&t, buf_bytes(&data), &one);
    assert_ok(store_list(t.store, "packs/", flip, &packs, NULL, &e));
    AUTO(buf) pack = BUF_NONE;
    assert_ok(store_get(t.store, packs.v[0], UINT64_MAX, &pack, &e));
    pack.p[pack.n / 3] ^= 1;
    assert_int_equal(store_delete(t.store, packs.v[0], &e), 0);
    assert_ok(store_put(t.store, packs.v[0], buf_bytes(&pack), &e));
    assert_int_equal(store_delete(t.store, packs.v[1], &e), 0);
    check(&t, &before);
    assert_int_equal(before.error_count, 2);
    test_repo_reload(&t);
    test_backup(&t, buf_bytes(&data), &two);
    assert_true(two.sources[0].streams[0].new_bytes > 0);
    check(&t, &after);
    assert_int_equal(after.error_count, 0);
    assert_ok(
        test_read(&t, &one.sources[0].streams[0], &back, &e)); /* the old snapshot is whole again, too */
    expect_equal(buf_bytes(&data), buf_bytes(&back));
    test_repo_free(&t);
}

/* A mark of a pack that reads well again goes when every byte was verified, and one that is bad keeps its
 * own. */
static void a_mark_of_damage_is_withdrawn(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, pack = BUF_NONE;
    AUTO(snapshot) one = {0};
    AUTO(strings) packs = STRINGS_NONE, before = STRINGS_NONE, quick = STRINGS_NONE;
    AUTO(strings) kept = STRINGS_NONE, after = STRINGS_NONE;
    AUTO(check_report) shallow = {0}, whole = {0}, bad = {0};
    const struct check_options no_data = {0};
    struct sha sha;
    test_bytes(&data, MB, 17);
    assert_ok(keys_add_recipient(t.store, t.keys, keyring_current(t.keys)->content_public, "test", &e));
    test_backup(&t, buf_bytes(&data), &one);
    assert_ok(store_list(t.store, "packs/", flip, &packs, NULL, &e));
    for (size_t i = 0; i < packs.n; i++) {
        assert_true(name_sha(packs.v[i], &sha));
        assert_ok(mark_damaged(t.repo, &sha, "it could not be read", &e));
    }
    assert_ok(store_list(t.store, "marks/damaged/", flip, &before, NULL, &e));
    assert_int_equal(before.n, packs.n);
    test_repo_reload(&t);
    assert_ok(repo_check(t.repo, &no_data, &shallow, &e));
    assert_true(shallow.error_count > 0);
    assert_ok(store_list(t.store, "marks/damaged/", flip, &quick, NULL, &e));
    assert_int_equal(quick.n, packs.n);
    assert_ok(store_get(t.store, packs.v[0], UINT64_MAX, &pack, &e));
    pack.p[pack.n / 3] ^= 1;
    assert_ok(store_replace(t.store, packs.v[0], buf_bytes(&pack), &e));
    test_repo_reload(&t);
    check(&t, &bad);
    assert_int_equal(bad.error_count, 1);
    assert_string_equal(bad.errors[0].object, packs.v[0]);
    assert_ok(store_list(t.store, "marks/damaged/", flip, &kept, NULL, &e));
    assert_int_equal(kept.n, 1);
    pack.p[pack.n / 3] ^= 1;
    assert_ok(store_replace(t.store, packs.v[0], buf_bytes(&pack), &e));
    test_repo_reload(&t);
    check(&t, &whole);
    assert_int_equal(whole.error_count, 0);
    assert_ok(store_list(t.store, "marks/damaged/", flip, &after, NULL, &e));
    assert_int_equal(after.n, 0);
    test_repo_free(&t);
}

/* Puts a damaged mark for the first pack with this signature; returns what a backup then stores anew. */
static uint64_t new_bytes_with_mark(const char *signature)
{
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, text = BUF_NONE;
    AUTO(snapshot) one = {0}, two = {0};
    AUTO(strings) packs = STRINGS_NONE;
    struct sha name;
    test_bytes(&data, MB, 14);
    test_backup(&t, buf_bytes(&data), &one);
    assert_ok(store_list(t.store, "packs/", flip, &packs, NULL, &e));
    buf_add_fmt(&text, "{\"format\":1,\"kind\":\"damaged\",\"pack\":\"%s\",\"random\":\"00\"%s}",
                strrchr(packs.v[0], '/') + 1, signature);
    assert_ok(object_put(t.repo, "marks/damaged/", OBJECT_MARK, buf_bytes(&text), &name, &e));
    test_repo_reload(&t);
    test_backup(&t, buf_bytes(&data), &two);
    uint64_t out = two.sources[0].streams[0].new_bytes;
    test_repo_free(&t);
    return out;
}

static void a_forged_signature_makes_a_mark_void(void **state)
{
    (void)state;
    assert_int_equal(new_bytes_with_mark(""), MB);
    assert_int_equal(new_bytes_with_mark(",\"signature\":\"00\""), 0);
}

static void a_lost_index_is_made_up_for(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, back = BUF_NONE;
    AUTO(snapshot) s = {0};
    AUTO(strings) names = STRINGS_NONE;
    test_bytes(&data, 20 * MB, 11);
    test_backup(&t, buf_bytes(&data), &s);
    assert_ok(store_list(t.store, "index/", flip, &names, NULL, &e));
    for (size_t i = 0; i < names.n; i++)
        assert_int_equal(store_delete(t.store, names.v[i], &e), 0);
    test_repo_reload(&t);
    assert_ok(test_read(&t, &s.sources[0].streams[0], &back, &e));
    expect_equal(buf_bytes(&data), buf_bytes(&back));
    test_repo_free(&t);
}

/* Every store operation of a backup fails once: never a snapshot that is not whole, and the next run
 * completes. */
static void every_store_operation_fails_once(void **state)
{
    (void)state;
    AUTO(buf) data = BUF_NONE;
    test_bytes(&data, 20 * MB, 12);
    struct store_fault plan = {0};
    struct test_repo t;
    AUTO_CHAR dir = test_folder();
    test_repo_new(&t, store_fault_new(store_mem_new(dir), &plan));
    unsigned n = 0;
    for (bool passed = false; !passed;) {
        struct err e = ERR_INIT;
        plan = (struct store_fault){.fail_at = ++n};
        struct writer *w = writer_new(t.repo, &e);
        struct stream *s = stream_new(w, &test_stream, NULL);
        struct stream_info info;
        struct writer_stats stats;
        passed = stream_write(s, buf_bytes(&data), &e) == 0 && stream_finish(s, &info, &e) == 0 &&
                 writer_finish(w, &stats, &e) == 0;
        if (!passed)
            assert_text(e, "a fault that a test asked for");
        stream_free(s);
        writer_free(w);
        plan = (struct store_fault){0};
        test_repo_reload(&t);
        if (passed) {
            AUTO(buf) back = BUF_NONE;
            assert_ok(test_read(&t, &info, &back, &e));
            expect_equal(buf_bytes(&data), buf_bytes(&back));
        }
    }
    assert_in_range(n, 3, 100);
    test_repo_free(&t);
    rmdir(dir);
}

static void the_writer_key_reads_no_content(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO(buf) data = BUF_NONE, text = BUF_NONE, back = BUF_NONE;
    AUTO(snapshot) s = {0}, t2 = {0};
    test_bytes(&data, MB, 13);
    test_backup(&t, buf_bytes(&data), &s);
    keyring_write_writer_file(t.keys, &text);
    struct keyring *all = t.keys;
    t.keys = keyring_parse_writer_file(buf_bytes(&text), &e);
    assert_non_null(t.keys);
    test_repo_reload(&t);
    assert_int_equal(test_read(&t, &s.sources[0].streams[0], &back, &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, "--identity");
    AUTO(check_report) report = {0};
    check(&t, &report);
    assert_int_equal(report.error_count, 1); /* only that no keys object was put here */
    test_repo_reload(&t);
    test_backup(&t, buf_bytes(&data), &t2); /* but it adds, and shares */
    assert_int_equal(t2.sources[0].streams[0].new_bytes, 0);
    keyring_free(t.keys);
    t.keys = all;
    test_repo_free(&t);
}

static void readers(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    test_repo_new(&t, NULL);
    AUTO_PTR(identity) id = identity_new(keyring_repository_id(t.keys));
    AUTO_PTR(identity) other = identity_new(keyring_repository_id(t.keys));
    assert_ok(keys_add_recipient(t.store, t.keys, id->recipient, "me", &e));
    assert_ok(keys_add_passphrase(t.store, t.keys, BYTES("correct horse", 13), "paper", &e));
    AUTO_PTR(keyring) by_id = keys_open_identity(t.store, id, &e);
    assert_non_null(by_id);
    assert_true(keyring_can_read(by_id));
    AUTO_PTR(keyring) by_phrase = keys_open_passphrase(t.store, BYTES("correct horse", 13), NULL, &e);
    assert_non_null(by_phrase);
    assert_memory_equal(keyring_repository_id(by_phrase), keyring_repository_id(t.keys), REPOSITORY_ID_SIZE);
    assert_null(keys_open_passphrase(t.store, BYTES("wrong", 5), NULL, &e));
    assert_text(e, "wrong passphrase");
    e = (struct err)ERR_INIT;
    assert_null(keys_open_identity(t.store, other, &e));
    assert_int_equal(e.kind, ERR_USAGE);

    /* A keys object of an attacker's, wrapped for our identity: the id does not commit to it. */
    struct test_repo evil;
    test_repo_new(&evil, NULL);
    AUTO(strings) names = STRINGS_NONE;
    assert_ok(store_list(t.store, "keys/", flip, &names, NULL, &e));
    for (size_t i = 0; i < names.n; i++)
        assert_int_equal(store_delete(t.store, names.v[i], &e), 0);
    assert_ok(keys_add_recipient(t.store, evil.keys, id->recipient, "me", &e));
    assert_null(keys_open_identity(t.store, id, &e));
    assert_text(e, "tampered");
    test_repo_free(&evil);
    test_repo_free(&t);
}

static struct index_object *find_index_object(struct test_repo *t, const struct sha *name)
{
    for (size_t i = 0; i < t->repo->index_object_count; i++)
        if (sha_equal(&t->repo->index_objects[i].name, name))
            return &t->repo->index_objects[i];
    fail_msg("an index object is gone");
    return NULL;
}

/* Also one that was asked for together with the index that supersedes it. */
static void a_superseded_index_is_not_taken(void **state)
{
    (void)state;
    enum { OLD = 20 };
    struct err e = ERR_INIT;
    struct test_repo t;
    AUTO(sha_set) old = {0};
    test_repo_new(&t, NULL);
    for (int i = 0; i < OLD; i++) {
        AUTO(snapshot) s = {0};
        test_backup(&t, BYTES(&i, sizeof i), &s);
    }
    test_repo_reload(&t);
    for (size_t i = 0; i < t.repo->index_object_count; i++)
        sha_set_add(&old, &t.repo->index_objects[i].name);
    sha_set_sort(&old);
    AUTO(index_builder) b = {.repo = t.repo};
    assert_ok(index_builder_put(&b, &old, &e));
    for (int i = OLD; i < OLD + 3; i++) { /* newer than that one, so they are read before it */
        AUTO(snapshot) s = {0};
        test_backup(&t, BYTES(&i, sizeof i), &s);
    }
    test_repo_reload(&t);
    assert_int_equal(t.repo->index_object_count, OLD + 1 + 3);
    for (size_t i = 0; i < old.n; i++) {
        const struct index_object *o = find_index_object(&t, &old.v[i]);
        assert_true(o->superseded && !o->is_read);
    }
    test_repo_free(&t);
}

/* No stream or source is left out because its name is no text. */
static void what_cannot_be_said_is_no_snapshot(void **state)
{
    (void)state;
    struct test_repo t;
    struct err e = ERR_INIT;
    AUTO(snapshot) s = {0};
    test_repo_new(&t, NULL);
    test_backup(&t, BYTES("content", 7), &s);
    assert_ok(snapshot_put(t.repo, &s, &e));
    strcpy(s.sources[0].streams[0].name, "data:\xe9");
    assert_int_equal(snapshot_put(t.repo, &s, &e), -1);
    assert_text(e, "not UTF-8");
    strcpy(s.sources[0].streams[0].name, "data");
    s.sources[0].name[0] = '\xe9';
    e = (struct err)ERR_INIT;
    assert_int_equal(snapshot_put(t.repo, &s, &e), -1);
    assert_text(e, "not UTF-8");
    test_repo_free(&t);
}

/* More than one thread's share of them. */
static void many_snapshots(void **state)
{
    (void)state;
    enum { MANY = 60, BAD = 37 };
    struct err e = ERR_INIT;
    struct store_fault plan = {0};
    struct test_repo t;
    char *dir = test_folder(), name[NAME_SIZE];
    struct sha ids[MANY];
    test_repo_new(&t, store_fault_new(store_mem_new(dir), &plan));
    for (int i = 0; i < MANY; i++) {
        AUTO(snapshot) s = {0};
        test_backup(&t, BYTES(&i, sizeof i), &s);
        ids[i] = s.id;
    }
    object_name(name, "snapshots/", &ids[BAD]);
    assert_ok(store_replace(t.store, name, BYTES_STR("something else"), &e));
    AUTO(snapshots) all = {0}, none = {0};
    assert_ok(snapshots_load(t.repo, &all, &e));
    assert_int_equal(all.n, MANY - 1);
    assert_int_equal(all.unreadable.n, 1);
    assert_non_null(strstr(all.unreadable.v[0], name));
    for (size_t i = 0; i < all.n; i++) {
        size_t known = 0;
        while (known < MANY && !sha_equal(&ids[known], &all.v[i].id))
            known++;
        assert_true(known < MANY && known != BAD);
        assert_true(all.v[i].source_count == 1 && all.v[i].stored_ns > 0);
        assert_true(i == 0 || all.v[i - 1].time_ns <= all.v[i].time_ns);
        memset(&ids[known], 0, sizeof ids[known]); /* each once */
    }
    plan = (struct store_fault){.fail_at = 30};
    assert_int_equal(snapshots_load(t.repo, &none, &e), -1);
    assert_text(e, "a fault that a test asked for");
    assert_int_equal(none.n, 0);
    plan = (struct store_fault){0};
    test_repo_free(&t);
    test_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(unchanged_data_is_stored_once),
        cmocka_unit_test(ranges),
        cmocka_unit_test(cuts_and_known_references),
        cmocka_unit_test(a_pack_of_lists_that_is_not_listed_is_missing),
        cmocka_unit_test(abandoned_streams_do_no_harm),
        cmocka_unit_test(packs_of_a_run_that_was_cut_off_are_used),
        cmocka_unit_test(every_flipped_byte_is_found),
        cmocka_unit_test(damage_heals_from_the_source),
        cmocka_unit_test(a_mark_of_damage_is_withdrawn),
        cmocka_unit_test(a_forged_signature_makes_a_mark_void),
        cmocka_unit_test(a_lost_index_is_made_up_for),
        cmocka_unit_test(every_store_operation_fails_once),
        cmocka_unit_test(the_writer_key_reads_no_content),
        cmocka_unit_test(readers),
        cmocka_unit_test(a_superseded_index_is_not_taken),
        cmocka_unit_test(what_cannot_be_said_is_no_snapshot),
        cmocka_unit_test(many_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
