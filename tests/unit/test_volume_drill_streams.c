/* Drills of volumes whose streams are not what they should be. */
#include "volume_drilling.h"

#include "source/catalog.h"
#include "unpacking.h"

#include <unistd.h>

/* ---- damage in the store ---- */
static int keep_name(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    strings_add(ctx, o->name);
    return 0;
}

static void replace(const char *name, struct bytes b)
{
    struct err e = ERR_INIT;
    assert_ok(store_delete(scene.t.store, name, &e));
    assert_ok(store_put(scene.t.store, name, b, &e));
}

/* Whatever comes of it, it is not called proven; an answer names the reason. */
static void expect_not_proven(void)
{
    struct err e = ERR_INIT;
    drilling.inject = NULL;
    if (drill_try(&e))
        assert_true(err_is_set(&e));
    else if (drilling.out.outcome != DRILL_DIFFERS || drilling.out.reasons.n == 0)
        fail_msg("outcome %d with %zu reasons", drilling.out.outcome, drilling.out.reasons.n);
    assert_int_equal(access(drilling.folder, F_OK), -1);
}

static void damage_in_the_store_is_a_difference(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint64_t random = 5;
    AUTO(strings) packs = STRINGS_NONE;
    make_files(false);
    scene_back_up();
    drill_prepare();
    assert_ok(store_list(scene.t.store, "packs/", keep_name, &packs, NULL, &e));
    for (size_t i = 0; i < packs.n; i++)
        for (int k = 0; k < 8; k++) {
            AUTO(buf) good = BUF_NONE, bad = BUF_NONE;
            assert_ok(store_get(scene.t.store, packs.v[i], UINT64_MAX, &good, &e));
            buf_add(&bad, buf_bytes(&good));
            for (size_t at = 0; at < bad.n - 100000; at += 50000) /* its table is left alone */
                bad.p[at + test_random(&random) % 50000] ^= 1;
            replace(packs.v[i], buf_bytes(&bad));
            test_repo_reload(&scene.t);
            drilling.env.repo = scene.t.repo;
            expect_not_proven();
            expect_outcome(DRILL_DIFFERS, "");
            replace(packs.v[i], buf_bytes(&good));
        }
    test_repo_reload(&scene.t);
    drill_now(NULL);
    expect_proven();
}

/* ---- other streams ---- */
static void a_tar_stream_that_is_cut_off(void **state)
{
    (void)state;
    AUTO(buf) tar = BUF_NONE;
    make_dir("d");
    put_seeded("d/a", 3000, 1);
    put_seeded("d/b", 700, 2);
    scene_back_up();
    drill_prepare();
    buf_add(&tar, buf_bytes(&scene.tar));
    for (size_t n = 0; n < tar.n; n += 512 - 511 * (n > tar.n - 1024)) {
        drilling.streams[0] = put_stream("data", BYTES(tar.p, n));
        expect_not_proven();
        n += n < tar.n - 1024 ? 0 : 170;
    }
    buf_add(&tar, BYTES_STR("more"));
    drilling.streams[0] = put_stream("data", buf_bytes(&tar));
    expect_not_proven();
}

static void an_end_that_is_none(void **state)
{
    (void)state;
    AUTO(buf) tar = BUF_NONE;
    make_files(false);
    scene_back_up();
    drill_prepare();
    buf_add(&tar, buf_bytes(&scene.tar));
    tar.p[tar.n - 1] = 1;
    drilling.streams[0] = put_stream("data", buf_bytes(&tar));
    expect_not_proven();
    expect_outcome(DRILL_DIFFERS, "the stored stream has no end mark");
    drilling.limit = 1 << 20; /* in slices */
    expect_not_proven();
    expect_outcome(DRILL_DIFFERS, "the stored stream has no end mark");
    drilling.streams[0] = scene.result.streams[0];
    drill_now(NULL);
    expect_proven();
}

static void headers_that_are_damaged(void **state)
{
    (void)state;
    make_dir("d");
    put_seeded("d/a", 3000, 1);
    scene_back_up();
    drill_prepare();
    AUTO(buf) tar = BUF_NONE;
    buf_add(&tar, buf_bytes(&scene.tar));
    const size_t headers =
        4608; /* of the three entries: a pax header, its content, the header; twice to `d` */
    for (size_t at = 0; at < headers; at += 37) {
        if (tar.p[at] == 0)
            continue; /* filling, much of it meaningless */
        tar.p[at] ^= 0x15;
        drilling.streams[0] = put_stream("data", buf_bytes(&tar));
        struct err e = ERR_INIT;
        bool answered = drill_try(&e) == 0;
        if (answered && drilling.out.outcome == DRILL_PROVEN)
            fail_msg("proven with byte %zu changed", at);
        tar.p[at] ^= 0x15;
    }
}

static void streams_that_were_swapped(void **state)
{
    (void)state;
    struct stream_info other[2];
    put_seeded("a", 1000, 1);
    scene_back_up();
    memcpy(other, scene.result.streams, sizeof other);
    put_seeded("b", 1000, 1);
    scene_back_up();
    drill_prepare();
    drilling.streams[0] = other[0];
    expect_not_proven();
    expect_outcome(DRILL_DIFFERS, "catalog: b: is not in the tar stream");
    drill_prepare();
    drilling.streams[1] = other[1];
    expect_not_proven();
    drill_prepare();
    drilling.streams[0] = scene.result.streams[1];
    drilling.streams[1] = scene.result.streams[0];
    snprintf(drilling.streams[0].name, sizeof other[0].name, "data");
    snprintf(drilling.streams[1].name, sizeof other[0].name, "catalog");
    expect_not_proven();
    drill_prepare();
    drilling.source.stream_count = 1;
    expect_not_proven();
    expect_outcome(DRILL_DIFFERS, "has no stream \"catalog\"");
}

/* ---- catalogs that would lead a restore astray ---- */
static void edit_catalog(const char *from, const char *to)
{
    AUTO(buf) text = BUF_NONE;
    const char *all = buf_cstr(&scene.catalog), *at = strstr(all, from);
    if (!at)
        fail_msg("\"%s\" is not in the catalog:\n%s", from, all);
    buf_add(&text, BYTES(all, (size_t)(at - all)));
    buf_add_str(&text, to);
    buf_add_str(&text, at + strlen(from));
    drilling.streams[1] = put_stream("catalog", buf_bytes(&text));
}

static void a_catalog_that_lies(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *sentence;
    } lies[] = {
        {"\"size\":5,", "\"size\":6,", "catalog: a: another size"},
        {"\"mode\":420,", "\"mode\":421,", "catalog: a: another mode or owner"},
        {"\"mtime_ns\":1000", "\"mtime_ns\":2000", "catalog: a: another time"},
        {"\"path\":\"a\"", "\"path\":\"aa\"", "catalog: aa: the tar stream has another entry there"},
        {"{\"type\":\"symlink\"", "{\"type\":\"fifo\"", "catalog: s: of another kind"},
        {"\"target\":\"a\"", "\"target\":\"b\"", "catalog: s: another symlink target"},
        {"\"link\":\"a\"", "\"link\":\"m\"", "catalog: z: another hard link"},
        {"\"link_back\":", "\"link_back\":1,\"was\":", "catalog: z: its content does not lie in the run"},
        {"{\"type\":\"run\",\"bytes\":", "{\"type\":\"run\",\"bytes\":1",
         "does not lie where the catalog says"},
        {"{\"type\":\"catalog\",\"version\":1}\n", "", "catalog: the catalog has a line"},
        {"\"type\":\"catalog\"", "\"type\":\"catalogue\"", "catalog: the catalog has a line"},
    };
    scene_put_text("a", "text\n");
    put_seeded("m", 300000, 7); /* a run of its own */
    assert_int_equal(symlinkat("a", scene.dirfd, "s"), 0);
    link_to("a", "z");
    set_times("a", 1000);
    scene_back_up();
    drill_now(NULL);
    expect_proven();
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        drill_prepare();
        edit_catalog(lies[i].from, lies[i].to);
        expect_not_proven();
        expect_outcome(DRILL_DIFFERS, lies[i].sentence);
        assert_false(drill_layer_named("catalog").held);
        assert_true(drill_layer_named("compared").held); /* the files are what they were */
    }
    drill_prepare();
    drilling.source.files++;
    expect_not_proven();
    expect_outcome(DRILL_DIFFERS, "the snapshot counts 6 entries, and the tar stream has 5");
}

static void a_catalog_that_ends_early(void **state)
{
    (void)state;
    make_files(false);
    scene_back_up();
    AUTO(buf) all = BUF_NONE;
    buf_add(&all, buf_bytes(&scene.catalog));
    for (size_t n = 0; n < all.n; n += all.n / 50) {
        drill_prepare();
        drilling.streams[1] = put_stream("catalog", BYTES(all.p, n));
        expect_not_proven();
        if (n > 500) { /* and in slices */
            drilling.limit = 4 << 20;
            expect_not_proven();
            drilling.limit = UINT64_MAX;
        }
    }
}

/* ---- a file that changed while it was read, and is in the stream twice ---- */
static void add_line(struct buf *catalog, const char *path, mode_t mode, uint64_t size)
{
    const struct catalog_entry c = {.path = path,
                                    .mode = mode,
                                    .size = size,
                                    .uid = geteuid(),
                                    .gid = getegid(),
                                    .mtime_ns = TIME * 1000000000ll + 123456789};
    catalog_add_entry(catalog, &c);
}

static void the_last_of_several_entries_counts(void **state)
{
    (void)state;
    struct tar t;
    struct err e = ERR_INIT;
    AUTO(buf) catalog = BUF_NONE;
    scene_put_text("x", "some backup to begin with");
    scene_back_up();
    test_tar_begin(&t);
    test_tar_add_folder(&t, "./", 0755);
    test_tar_add_file(&t, "f", "first");
    test_tar_add_file(&t, "f", "second");
    test_tar_add_file(&t, "f", "the third");
    test_tar_add_link(&t, "g", "f");
    struct bytes tar = test_tar_end(&t);
    catalog_add_start(&catalog);
    add_line(&catalog, ".", S_IFDIR | 0755, 0);
    add_line(&catalog, "f", S_IFREG | 0644, 9);
    const struct catalog_entry link = {.path = "g",
                                       .link = "f",
                                       .mode = S_IFREG | 0644,
                                       .uid = geteuid(),
                                       .gid = getegid(),
                                       .mtime_ns = TIME * 1000000000ll + 123456789};
    catalog_add_entry(&catalog, &link);
    catalog_add_run(&catalog, tar.n - 1024);
    drill_prepare();
    drilling.source.files = 3;
    drilling.streams[0] = put_stream("data", tar);
    drilling.streams[1] = put_stream("catalog", buf_bytes(&catalog));
    assert_ok(drill_try(&e));
    expect_proven();
    assert_int_equal(drilling.out.entries, 3);
    test_tar_done(&t);
}

/* What a restore says it could not make counts, even when all is there in the end. */
static void a_restore_that_says_it_failed(void **state)
{
    (void)state;
    struct tar t;
    struct err e = ERR_INIT;
    AUTO(buf) catalog = BUF_NONE;
    NEEDS_ROOT;
    scene_put_text("x", "some backup to begin with");
    scene_back_up();
    test_tar_begin(&t);
    test_tar_add_folder(&t, "./", 0755);
    test_tar_add_link(&t, "f", "nowhere");
    test_tar_add_file(&t, "f", "and yet");
    struct bytes tar = test_tar_end(&t);
    catalog_add_start(&catalog);
    add_line(&catalog, ".", S_IFDIR | 0755, 0);
    add_line(&catalog, "f", S_IFREG | 0644, 7);
    catalog_add_run(&catalog, tar.n - 1024);
    drill_prepare();
    drilling.source.files = 2;
    drilling.streams[0] = put_stream("data", tar);
    drilling.streams[1] = put_stream("catalog", buf_bytes(&catalog));
    assert_ok(drill_try(&e));
    expect_outcome(DRILL_UNABLE, "1 entry could not be restored");
    test_tar_done(&t);
}

static void what_leads_out_is_never_proven(void **state)
{
    (void)state;
    static const char *const paths[] = {"../x", "/x", "a/../../x", "a//b", "a/./b"};
    scene_put_text("x", "some backup to begin with");
    scene_back_up();
    drill_prepare();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct tar t;
        test_tar_begin(&t);
        test_tar_add_folder(&t, "./", 0755);
        test_tar_add_file(&t, paths[i], "x");
        drilling.streams[0] = put_stream("data", test_tar_end(&t));
        expect_not_proven();
        test_tar_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DRILL_CASE(damage_in_the_store_is_a_difference),
        DRILL_CASE(a_tar_stream_that_is_cut_off),
        DRILL_CASE(an_end_that_is_none),
        DRILL_CASE(headers_that_are_damaged),
        DRILL_CASE(streams_that_were_swapped),
        DRILL_CASE(a_catalog_that_lies),
        DRILL_CASE(a_catalog_that_ends_early),
        DRILL_CASE(the_last_of_several_entries_counts),
        DRILL_CASE(a_restore_that_says_it_failed),
        DRILL_CASE(what_leads_out_is_never_proven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
