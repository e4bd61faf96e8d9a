/* The volume source: hard links, and where the catalog says that content lies. Things can happen between the
 * walk of a run and its writing, where the clock is looked at: it is the test's own, and files are old. */
#include "volume_scene.h"

#include "source/catalog.h"

#include <archive.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void (*on_next_clock)(void);

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    void (*f)(void) = on_next_clock;
    if (rc == 0 && id == CLOCK_REALTIME) {
        t->tv_sec += 3600;
        on_next_clock = NULL;
        if (f)
            f();
    }
    return rc;
}

static void hard_links(void **state)
{
    (void)state;
    scene_put_text("b", "content");
    link_to("b", "c");
    link_to("b", "a");
    assert_int_equal(symlinkat("nowhere", scene.dirfd, "s1"), 0);
    link_to("s1", "s2");
    assert_int_equal(mkfifoat(scene.dirfd, "f1", 0600), 0);
    link_to("f1", "f2");
    for (int i = 0; i < 2; i++) {
        scene_back_up();
        expect_text("a", "content");
        expect_link("a", "");
        expect_link("b", "a");
        expect_link("c", "a");
        expect_link("s2", "s1");
        expect_link("f2", "f1");
    }
}

/* Nothing of `z/x` changes when the folder of its first link is renamed, and yet it has to hold the content
 * then. */
static void a_renamed_parent_of_a_first_link(void **state)
{
    (void)state;
    make_files(false); /* so that the two are in runs of their own */
    make_dir("a");
    make_dir("z");
    put_seeded("a/filler", 300000, 3);
    scene_put_text("a/x", "content");
    put_seeded("z/filler", 300000, 4);
    link_to("a/x", "z/x");
    scene_back_up();
    expect_link("z/x", "a/x");
    assert_int_equal(renameat(scene.dirfd, "a", scene.dirfd, "zz"), 0);
    scene_back_up();
    expect_link("z/x", "");
    expect_text("z/x", "content");
    expect_link("zz/x", "z/x");
    assert_int_equal(renameat(scene.dirfd, "zz", scene.dirfd, "b"), 0);
    scene_back_up();
    expect_link("z/x", "b/x");
    expect_text("z/x", "content");
    assert_int_equal(renameat(scene.dirfd, "b", scene.dirfd, "c"), 0);
    scene_back_up();
    expect_link("z/x", "c/x");
    expect_text("z/x", "content");
}

static void unlink_a(void)
{
    assert_int_equal(unlinkat(scene.dirfd, "a", 0), 0);
}

static void replace_a(void)
{
    assert_int_equal(renameat(scene.dirfd, "other", scene.dirfd, "a"), 0);
}

static void a_first_link_that_vanishes_leaves_its_content(void **state)
{
    (void)state;
    scene_put_text("a", "content");
    link_to("a", "b");
    link_to("a", "c");
    on_next_clock = unlink_a;
    scene_back_up();
    expect_good();
    assert_true(was_said(&scene.result.notes, "a: vanished before it was read"));
    scene_expect_absent("a");
    expect_link("b", "");
    expect_text("b", "content");
    expect_link("c", "b");
}

static void a_first_link_that_is_replaced_leaves_its_content(void **state)
{
    (void)state;
    scene_put_text("a", "content");
    link_to("a", "b");
    link_to("a", "c");
    scene_put_text("other", "new content");
    on_next_clock = replace_a;
    scene_back_up();
    expect_good();
    expect_text("a", "new content");
    expect_link("b", "");
    expect_text("b", "content");
    expect_link("c", "b");
    scene_back_up();
    expect_text("a", "new content");
    expect_text("c", "content");
}

/* Where the catalog says that the content of each link lies. */
struct located {
    uint64_t run_of[2], link_run;
};

static int locate(void *ctx, const struct catalog_entry *c, struct err *e)
{
    struct located *l = ctx;
    (void)e;
    if (strcmp(c->path, "a/x") == 0)
        l->run_of[0] = c->run;
    if (strcmp(c->path, "z/x") == 0) {
        l->run_of[1] = c->run;
        l->link_run = c->link_run;
        assert_string_equal(c->link, "a/x");
    }
    return 0;
}

static void the_catalog_finds_the_content_of_a_link(void **state)
{
    (void)state;
    make_dir("a");
    make_dir("z");
    for (int large = 0; large < 2; large++) {
        struct err e = ERR_INIT;
        struct located l = {{0}, 99};
        const struct catalog_visitor v = {.entry = locate, .ctx = &l};
        if (large) {
            put_seeded("a/w", 300000, 1);
            put_seeded("z/w", 300000, 2);
        } else {
            scene_put_text("a/x", "content");
            link_to("a/x", "z/x");
        }
        for (int twice = 0; twice < 2; twice++) {
            scene_back_up();
            AUTO(catalog_reader) r;
            catalog_reader_init(&r, &v);
            assert_ok(catalog_reader_push(&r, buf_bytes(&scene.catalog), &e));
            assert_ok(catalog_reader_end(&r, &e));
            assert_int_equal(l.link_run, l.run_of[0]);
            assert_int_equal(l.run_of[0] != l.run_of[1], large);
        }
    }
}

/* The places that the catalog gives are those of the entries: each run can be unpacked by itself. */
static int read_run(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e)
{
    uint64_t *end = ctx;
    (void)run;
    (void)e;
    assert_int_equal(offset, *end);
    *end = offset + bytes;
    assert_true(*end <= scene.tar.n);
    struct archive *a = archive_read_new();
    struct archive_entry *ae;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, scene.tar.p + offset, bytes), ARCHIVE_OK);
    assert_int_equal(archive_read_next_header(a, &ae), ARCHIVE_OK);
    archive_read_free(a);
    return 0;
}

static void runs_lie_where_the_catalog_says(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint64_t end = 0;
    const struct catalog_visitor v = {.run = read_run, .ctx = &end};
    make_files(false);
    scene_back_up();
    AUTO(catalog_reader) r;
    catalog_reader_init(&r, &v);
    assert_ok(catalog_reader_push(&r, buf_bytes(&scene.catalog), &e));
    assert_ok(catalog_reader_end(&r, &e));
    assert_true(r.run > 10);
    assert_int_equal(scene.tar.n, end + 1024); /* the two empty blocks */
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(hard_links),
        CASE(a_renamed_parent_of_a_first_link),
        CASE(a_first_link_that_vanishes_leaves_its_content),
        CASE(a_first_link_that_is_replaced_leaves_its_content),
        CASE(the_catalog_finds_the_content_of_a_link),
        CASE(runs_lie_where_the_catalog_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
