/* The volume source: what changes or cannot be read, what is left out, deep trees, what other tools make of
 * the stream. By the test's own clock files are old. */
#include "volume_scene.h"

#include "base/child.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += 3600;
    return rc;
}

/* ---- what changes under our hands ---- */
/* A large file is a run of its own; what comes after it is told of in its progress. */
static unsigned progress_calls;
static void (*on_progress)(unsigned call);

static void progress(void *ctx, uint64_t done, uint64_t expected)
{
    (void)ctx;
    (void)done;
    (void)expected;
    if (on_progress)
        on_progress(++progress_calls);
}

static void vanish(unsigned call)
{
    if (call == 1)
        assert_int_equal(unlinkat(scene.dirfd, "z", 0), 0);
}

static void a_file_that_vanishes_is_a_note(void **state)
{
    (void)state;
    put_seeded("a", 300000, 1);
    scene_put_text("z", "soon gone");
    progress_calls = 0;
    on_progress = vanish;
    scene.env.progress = progress;
    scene_back_up();
    on_progress = NULL;
    expect_good();
    assert_true(was_said(&scene.result.notes, "z: vanished before it was read"));
    scene_expect_absent("z");
}

/* ---- people without rights ---- */
static void unreadable_things_are_named(void **state)
{
    (void)state;
    make_dir("closed");
    scene_put_text("closed/inside", "x");
    scene_put_text("secret", "x");
    scene_put_text("open", "x");
    scene_put_text("sec\nret.log", "x");
    assert_int_equal(fchmodat(scene.dirfd, "secret", 0, 0), 0);
    assert_int_equal(fchmodat(scene.dirfd, "sec\nret.log", 0, 0), 0);
    assert_int_equal(fchmodat(scene.dirfd, "closed", 0, 0), 0);
    bool root = geteuid() == 0;
    if (root) {
        assert_int_equal(chmod(scene.t.folder, 0777) | chmod(scene.cache, 0777), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    scene_back_up();
    expect_degraded("secret: cannot be read (Permission denied); not stored");
    expect_degraded("closed: cannot be read (Permission denied)");
    expect_degraded("sec\\x0aret.log: cannot be read");
    expect_text("open", "x");
    scene_back_up(); /* and again: it was not remembered as done */
    expect_degraded("secret: cannot be read");
    strings_add(&scene.source.may_change, "*");
    scene_back_up();
    expect_good();
    assert_true(was_said(&scene.result.notes, "secret: cannot be read"));
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(fchmodat(scene.dirfd, "closed", 0700, 0), 0);
}

/* ---- what is left out ---- */
static void excludes_caches_and_sockets(void **state)
{
    (void)state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    make_dir("keep");
    make_dir("keep/tmp");
    make_dir("cache");
    make_dir("nocache");
    scene_put_text("keep/a.tmp", "x");
    scene_put_text("keep/b", "x");
    scene_put_text("keep/tmp/c", "x");
    scene_put_text("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more");
    scene_put_text("cache/AAA", "x");
    scene_put_text("nocache/CACHEDIR.TAG", "not a tag");
    scene_put_text("nocache/data", "x");
    snprintf(a.sun_path, sizeof a.sun_path, "%s/sock", scene.tree);
    AUTO_FD s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    strings_add(&scene.source.exclude, "*.tmp");
    strings_add(&scene.source.exclude, "keep/tmp");
    scene.source.exclude_caches = true;
    scene_back_up();
    expect_good();
    scene_expect_absent("keep/a.tmp");
    scene_expect_absent("keep/tmp/");
    scene_expect_absent("keep/tmp/c");
    scene_expect_absent("cache/AAA");
    scene_expect_absent("sock");
    expect_text("keep/b", "x");
    expect_text("nocache/data", "x");
    expect_text("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more");
    assert_true(was_said(&scene.result.notes, "sockets passed over: 1"));
    scene.source.exclude_caches = false;
    scene_back_up();
    expect_text("cache/AAA", "x");
}

static void a_volume_that_is_a_cache_is_looked_at(void **state)
{
    (void)state;
    scene_put_text("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
    scene_put_text("data", "x");
    scene.source.exclude_caches = true;
    scene_back_up();
    expect_degraded("its own CACHEDIR.TAG marks all of it as a cache");
    scene_expect_absent("data");
    scene.source.may_be_empty = true;
    scene_back_up();
    expect_good();
}

static void an_empty_volume_is_looked_at(void **state)
{
    (void)state;
    scene_back_up();
    expect_degraded("is empty (allow-empty = yes");
    scene.source.may_be_empty = true;
    scene_back_up();
    expect_good();
}

static void a_missing_folder_is_a_failure(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    scene.source.path = (char[]){"/no/such/folder"};
    assert_int_equal(scene_try_backup(&e), -1);
    assert_int_equal(e.kind, ERR_FAILED);
    assert_text(e, "/no/such/folder: no such folder");
    assert_int_equal(scene.result.verdict, VERDICT_FAILED);
    scene_put_text("file", "x");
    scene.source.path = xasprintf("%s/file", scene.tree);
    assert_int_equal(scene_try_backup(&e), -1);
    assert_text(e, "cannot be opened as a folder: Not a directory");
    free(scene.source.path);
}

static void asked_to_stop_it_stops(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    make_files(false);
    stop_requested = 1;
    assert_int_equal(scene_try_backup(&e), -1);
    stop_requested = 0;
    assert_int_equal(e.kind, ERR_STOPPED);
    scene_back_up();
    expect_good();
}

/* ---- deep trees ---- */
/* Deeper than PATH_MAX and than the files we may have open. */
static void a_deep_tree(void **state)
{
    (void)state;
    struct rlimit was, few = {.rlim_cur = 160, .rlim_max = 160};
    const int depth = 900;
    char name[12];
    int fd = dup(scene.dirfd);
    for (int i = 0; i < depth; i++) {
        snprintf(name, sizeof name, "d%08d", i % 10);
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        for (int k = 0; k < 2; k++) { /* something before the next folder, and something after it */
            int file = openat(fd, k ? "a" : "z", O_WRONLY | O_CREAT, 0644);
            assert_int_equal(write(file, "content", 7), 7);
            close(file);
        }
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    getrlimit(RLIMIT_NOFILE, &was);
    few.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 2; i++) {
        scene_back_up();
        expect_good();
        assert_int_equal(scene.result.files, 3 * depth + 1);
    }
    assert_int_equal(scene.result.streams[0].new_bytes, 0);
    setrlimit(RLIMIT_NOFILE, &was);
}

static void a_path_beyond_the_limit_is_named(void **state)
{
    (void)state;
    char name[201];
    int fd = dup(scene.dirfd);
    memset(name, 'n', 200);
    name[200] = 0;
    for (int i = 0; i < 170; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    scene_back_up();
    expect_degraded("a path of more than 32767 bytes; not stored");
    assert_int_equal(scene.result.files, 164);
}

/* ---- a tool that is not ours ---- */
static bool have(const char *program)
{
    struct err e = ERR_INIT;
    const char *const argv[] = {program, "--version", NULL};
    AUTO(buf) out = BUF_NONE;
    return child_output(&(struct child_options){.argv = argv}, program, 1 << 16, &out, &e) == 0;
}

static int run_tool(const char *const *argv, struct buf *out, struct err *e)
{
    out->n = 0;
    return child_output(&(struct child_options){.argv = argv}, argv[0], 1 << 20, out, e);
}

/* Beyond ASCII and too long for a ustar header. The last one looks like a record. */
static void make_holes_with_long_names(void)
{
    static const char *const names[] = {"\xc3\xbc", "\xff", "\xc3\xa9\n150 GNU.sparse.name="};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (int j = 0; j < 2; j++) {
            AUTO_CHAR name = xasprintf("%s%0160d", names[i], j);
            AUTO_FD fd = openat(scene.dirfd, name, O_WRONLY | O_CREAT, 0644);
            assert_int_equal(ftruncate(fd, 1 << 20), 0);
            assert_int_equal(pwrite(fd, name, 4, 1 << 19), 4);
        }
}

static void make_special_files(void)
{
    make_holes_with_long_names();
    make_files(false);
    scene_put_text("n\xff\xc3\xa9\nname", "x");
    scene_put_text("u\xcc\x88 and \xc3\xbc", "both forms");
    scene_put_text("setuid", "x");
    assert_int_equal(fchmodat(scene.dirfd, "setuid", 04755, 0), 0);
    assert_int_equal(symlinkat("/absolute/nowhere", scene.dirfd, "dangling"), 0);
    link_to("setuid", "setuid-again");
    assert_int_equal(mkfifoat(scene.dirfd, "fifo", 0640), 0);
    AUTO_FD fd = openat(scene.dirfd, "sparse", O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(fd, 10 << 20) | (pwrite(fd, "data", 4, 5 << 20) != 4), 0);
    (void)!fsetxattr(fd, "user.empty", "", 0, 0);
    (void)!fsetxattr(fd, "user.bytes", "\0\1\xff\n", 4, 0);
    (void)!fsetxattr(scene.dirfd, "user.root", "of the tree", 11, 0);
    if (geteuid() == 0)
        (void)!mknodat(scene.dirfd, "device", S_IFCHR | 0600, makedev(1, 3));
    (void)!fchownat(scene.dirfd, "fifo", 4000000000u, 4294967294u, 0);
    set_times("sparse", -86400 * 365);
    set_times("dangling", 1);
}

static void others_unpack_it_the_same(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    if (!have("bsdtar") || !have("rsync"))
        skip();
    make_special_files();
    AUTO_CHAR acl = xasprintf("setfacl -m u:1234:rwx,g:4321:x,m::r %s/setuid; "
                              "setfacl -d -m u:1234:rx %s/folder1",
                              scene.tree, scene.tree);
    const char *const setfacl[] = {"sh", "-c", acl, NULL};
    (void)!run_tool(setfacl, &out, &e);
    scene_back_up();
    expect_good();
    AUTO_CHAR tar = xasprintf("%s/x.tar", scene.t.folder);
    AUTO_CHAR to = xasprintf("%s/unpacked/", scene.t.folder);
    AUTO_CHAR from = xasprintf("%s/", scene.tree);
    assert_int_equal(mkdir(to, 0700), 0);
    assert_ok(file_write(tar, buf_bytes(&scene.tar), 0600, false, &e));
    const char *const unpack[] = {"bsdtar", "--numeric-owner", "--xattrs", "--acls", "-xpf", tar, "-C", to,
                                  NULL};
    assert_ok(run_tool(unpack, &out, &e));
    set_times(".", 77); /* bsdtar leaves the time of the folder that it unpacks into */
    const char *const touch[] = {"touch", "-r", from, to, NULL};
    assert_ok(run_tool(touch, &out, &e));
    const char *const compare[] = {"rsync",         "-naHAXSi", "--specials", "--devices", "--checksum",
                                   "--numeric-ids", "--delete", from,         to,          NULL};
    assert_ok(run_tool(compare, &out, &e));
    if (out.n)
        fail_msg("rsync sees differences:\n%s", buf_cstr(&out));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_file_that_vanishes_is_a_note),   CASE(unreadable_things_are_named),
        CASE(excludes_caches_and_sockets),      CASE(a_volume_that_is_a_cache_is_looked_at),
        CASE(an_empty_volume_is_looked_at),     CASE(a_missing_folder_is_a_failure),
        CASE(asked_to_stop_it_stops),           CASE(a_deep_tree),
        CASE(a_path_beyond_the_limit_is_named), CASE(others_unpack_it_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
