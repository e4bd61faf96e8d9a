/* Drills of volumes that do not fit into scratch at once, and of many files. */
#include "volume_drilling.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- slices ---- */
static void make_links_across(void)
{
    make_files(false);
    for (int i = 0; i < FOLDERS; i++) {
        AUTO_CHAR from = xasprintf("folder%d/file05", i);
        AUTO_CHAR to = xasprintf("folder%d/link", (i + 3) % FOLDERS);
        link_to(from, to);
        set_times(from, 5);
    }
    put_seeded("zlarge", 700000, 3);
    scene_put_text("zpair-a", "content");
    link_to("zpair-a", "zpair-b");
}

static void a_volume_in_slices(void **state)
{
    (void)state;
    make_links_across();
    scene_back_up();
    drilling.limit = 1 << 20;
    drill_now(NULL);
    expect_proven();
    assert_int_equal(drilling.out.entries, scene.result.files);
    assert_true(was_said(&drilling.out.notes, "drilled in slices"));
    assert_true(drill_layer_named("compared").held && drill_layer_named("catalog").held);
    /* The same in one piece: no note. */
    drilling.limit = UINT64_MAX;
    drill_now(NULL);
    expect_proven();
    assert_int_equal(drilling.out.notes.n, 0);
}

static void nothing(void)
{
}

static void change_once(void)
{
    AUTO_CHAR path = xasprintf("%s/folder3/file07", drilling.folder);
    AUTO_CHAR zlarge = xasprintf("%s/zlarge", drilling.folder);
    AUTO_CHAR pair = xasprintf("%s/zpair-b", drilling.folder); /* its first name is in the same slice */
    if (access(path, F_OK) == 0)
        assert_int_equal(chmod(path, 0600), 0);
    (void)unlink(zlarge);
    (void)unlink(pair);
}

static void a_change_in_a_slice_is_named(void **state)
{
    (void)state;
    make_links_across();
    scene_back_up();
    drilling.limit = 1 << 20;
    drill_now(nothing);
    expect_proven();
    assert_in_range(drilling.slices, 4, 40);
    drill_now(change_once);
    expect_outcome(DRILL_DIFFERS, "folder3/file07: mode 0600, was 0644");
    expect_outcome(DRILL_DIFFERS, "zlarge: is missing");
    expect_outcome(DRILL_DIFFERS, "zpair-b: is missing");
}

static void hostile_slices(void **state)
{
    (void)state;
    make_hostile_tree();
    scene_back_up();
    drilling.limit = 3 << 20;
    drill_now(nothing);
    expect_proven();
    assert_true(drilling.slices > 3);
    if (drill_as_nobody()) {
        drill_now(nothing);
        expect_proven();
    }
}

static void a_file_that_does_not_fit(void **state)
{
    (void)state;
    put_seeded("movies", 3000000, 1);
    scene_put_text("a", "x");
    scene_back_up();
    drilling.limit = 1 << 20;
    drill_now(NULL);
    expect_outcome(DRILL_UNABLE, "movies: takes 2.9 MiB in scratch, and ");
    expect_outcome(DRILL_UNABLE, "has room for 1.0 MiB: free more there");
    drilling.settings.max_bytes = 1 << 20;
    drill_now(NULL);
    expect_outcome(DRILL_UNABLE, "[drill] max-bytes allows 1.0 MiB: raise it");
    drilling.limit = 0;
    drilling.settings.max_bytes = 0;
    drill_now(NULL);
    expect_outcome(DRILL_UNABLE, "has room for 0 B");
}

/* Deeper than the files that may be open, and gone from scratch all the same. */
static void a_deep_tree(void **state)
{
    (void)state;
    struct rlimit was, few;
    AUTO_FD fd = dup(scene.dirfd);
    for (int i = 0; i < 700; i++) {
        char name[20];
        snprintf(name, sizeof name, ".removing-%d", i % 3); /* as what is moved up is called */
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        close(openat(fd, "file", O_WRONLY | O_CREAT, 0644));
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        assert_int_equal(fchmod(fd, i % 5 && i ? 0755 : 0555), 0);
        close(fd);
        fd = next;
    }
    scene_back_up();
    getrlimit(RLIMIT_NOFILE, &was);
    few = (struct rlimit){.rlim_cur = 200, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    drill_now(NULL);
    expect_proven();
    drilling.limit = 1 << 20;
    drill_now(nothing);
    expect_proven();
    assert_true(drilling.slices > 2);
    setrlimit(RLIMIT_NOFILE, &was);
}

/* ---- many ---- */
static long memory_kib(const char *field)
{
    struct err e = ERR_INIT;
    AUTO(buf) text = BUF_NONE;
    assert_ok(file_read("/proc/self/status", 1 << 16, &text, &e));
    const char *at = strstr(buf_cstr(&text), field);
    return at ? strtol(at + strlen(field), NULL, 10) : 0;
}

static void memory_stays_small_with_many_files(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    const int folders = 20;
#else
    const int folders = 200;
#endif
    for (int i = 0; i < folders; i++) {
        AUTO_CHAR dir = xasprintf("d%03d", i);
        make_dir(dir);
        AUTO_FD fd = openat(scene.dirfd, dir, O_RDONLY | O_DIRECTORY);
        for (int k = 0; k < 500; k++) { /* mostly links: an inode for each would take minutes to make */
            char name[16];
            snprintf(name, sizeof name, "f%03d", k);
            if (k < 20)
                close(openat(fd, name, O_WRONLY | O_CREAT, 0644));
            else
                assert_int_equal(linkat(fd, "f000", fd, name, 0), 0);
        }
    }
    scene_back_up();
    buf_free(&scene.tar);
    buf_free(&scene.catalog);
    AUTO_FD peak = open("/proc/self/clear_refs", O_WRONLY);
    (void)!write(peak, "5", 1); /* proc(5): VmHWM starts anew */
    long before = memory_kib("VmRSS:");
    drill_now(nothing); /* quick */
    expect_proven();
    long quick = memory_kib("VmHWM:") - before;
    drilling.limit = 50 << 20;
    drill_now(nothing); /* entry by entry */
    expect_proven();
    long closer = memory_kib("VmHWM:") - before;
    print_message("%llu entries: %ld KiB more, entry by entry %ld\n",
                  (unsigned long long)drilling.out.entries, quick, closer);
#ifndef __SANITIZE_ADDRESS__
    if (getenv("LIFEBOAT_EMULATED")) /* qemu's own memory counts */
        skip();
    assert_true(closer < 48 << 10);
#endif
}

/* ---- in a scratch of its own ---- */
static void a_drill_in_scratch(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO_CHAR directory = xasprintf("%s/drill", scene.t.folder);
    const struct scratch_options o = {.directory = directory};
    AUTO_PTR(scratch) s = scratch_new(&o, &e);
    if (!s) { /* a /tmp in memory */
        print_message("skipped: %s\n", e.text);
        skip();
    }
    make_files(false);
    scene_back_up();
    drill_prepare();
    drilling.env.repo = scene.t.repo;
    drilling.env.scratch = s;
    assert_ok(drill_source(&drilling.env, &drilling.out, &e));
    if (scratch_room(s) > 1 << 26)
        expect_proven();
    drilling.settings.max_bytes = 1 << 20;
    drill_result_free(&drilling.out);
    assert_ok(drill_source(&drilling.env, &drilling.out, &e));
    if (scratch_room(s) > 1 << 26)
        expect_proven();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DRILL_CASE(a_volume_in_slices), DRILL_CASE(a_change_in_a_slice_is_named),
        DRILL_CASE(hostile_slices),     DRILL_CASE(a_file_that_does_not_fit),
        DRILL_CASE(a_deep_tree),        DRILL_CASE(memory_stays_small_with_many_files),
        DRILL_CASE(a_drill_in_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
