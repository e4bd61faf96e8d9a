/* Hostile, damaged and broken streams: nothing leaves the folder, nothing passes for complete. */
#include "unpacking.h"

#include "base/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- nothing leaves the folder ---- */
static char *out(const struct world *w, const char *name)
{
    return xasprintf("%s/outside/%s", w->base, name);
}

static void attack_dots(struct world *w, struct tar *t)
{
    (void)w;
    test_tar_add_file(t, "../outside/new", "x");
    test_tar_add_file(t, "a/../../outside/new", "x");
    test_tar_add_file(t, "..", "x");
    test_tar_add_folder(t, "../outside", 0777);
}
static void attack_absolute(struct world *w, struct tar *t)
{
    AUTO_CHAR path = out(w, "secret");
    AUTO_CHAR folder = out(w, ".");
    test_tar_add_file(t, path, "x");
    test_tar_add_folder(t, folder, 0777);
}
static void attack_symlink_parent(struct world *w, struct tar *t)
{
    AUTO_CHAR folder = out(w, "");
    test_tar_add_symlink(t, "abs", folder);
    test_tar_add_symlink(t, "rel", "../outside");
    test_tar_add_symlink(t, "chain", "rel");
    test_tar_add_folder(t, "x", 0755);
    test_tar_add_symlink(t, "x/up", "../../outside");
    const char *const ways[] = {"abs", "rel", "chain", "x/up"};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        AUTO_CHAR file = xasprintf("%s/new", ways[i]);
        AUTO_CHAR old = xasprintf("%s/secret", ways[i]);
        test_tar_add_file(t, file, "x");
        test_tar_add_file(t, old, "x");
        test_tar_add_symlink(t, old, "x");
        test_tar_put(t, test_tar_entry(old, AE_IFIFO | 0666));
        test_tar_add_link(t, "grabbed", old);
    }
}
static void attack_symlink_folder(struct world *w, struct tar *t)
{
    (void)w;
    test_tar_add_symlink(t, "l", "../outside");
    test_tar_add_folder(t, "l", 0777); /* becomes a folder of its own */
    test_tar_add_file(t, "l/new", "x");
}
static void attack_symlink_file(struct world *w, struct tar *t)
{
    AUTO_CHAR secret = out(w, "secret");
    test_tar_add_symlink(t, "f", secret);
    test_tar_add_file(t, "f", "overwritten");
    test_tar_add_symlink(t, "g", "../outside/new");
    test_tar_add_file(t, "g", "made");
    test_tar_add_symlink(t, "h", secret);
    test_tar_put(t, test_tar_entry("h", AE_IFIFO | 0666));
}
static void attack_hard_link(struct world *w, struct tar *t)
{
    AUTO_CHAR secret = out(w, "secret");
    test_tar_add_link(t, "a", secret);
    test_tar_add_file(t, "a", "overwritten");
    test_tar_add_link(t, "b", "../outside/secret");
    test_tar_add_link(t, "c", "x/../../outside/secret");
    test_tar_add_symlink(t, "l", "../outside");
    test_tar_add_link(t, "d", "l/secret");
    test_tar_add_file(t, "d", "overwritten");
    test_tar_add_symlink(t, "s", secret);
    test_tar_add_link(t, "e", "s"); /* a link to the symlink itself */
    test_tar_add_file(t, "e", "overwritten");
}
static void attack_root(struct world *w, struct tar *t)
{
    (void)w;
    test_tar_add_symlink(t, ".", "../outside");
    test_tar_add_file(t, "new", "x");
}
static void attack_metadata(struct world *w, struct tar *t)
{
    AUTO_CHAR folder = out(w, "");
    struct archive_entry *ae = test_tar_entry("l", AE_IFLNK | 0777);
    archive_entry_copy_symlink(ae, folder);
    archive_entry_set_uid(ae, 4321);
    archive_entry_set_gid(ae, 4321);
    test_tar_add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
    archive_entry_xattr_add_entry(ae, "user.x", "y", 1);
    test_tar_put(t, ae);
}

static void test_attacks(void **state)
{
    static const struct {
        const char *name;
        void (*build)(struct world *w, struct tar *t);
    } attacks[] = {{"dots", attack_dots},
                   {"absolute", attack_absolute},
                   {"symlink as parent", attack_symlink_parent},
                   {"symlink, then folder", attack_symlink_folder},
                   {"symlink, then file", attack_symlink_file},
                   {"hard link", attack_hard_link},
                   {"root", attack_root},
                   {"metadata", attack_metadata}};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++)
        for (int again = 0; again < 2; again++) {
            struct err e = ERR_INIT;
            struct tar t;
            test_tar_begin(&t);
            attacks[i].build(w, &t);
            test_tar_add_file(&t, "ordinary", "still restored");
            w->o.overwrite = again;
            int rc = world_stream(w, test_tar_end(&t));
            if (rc && w->e.kind != ERR_IO)
                fail_msg("%s: %s", attacks[i].name, w->e.text);
            assert_outside_untouched(w, attacks[i].name);
            if (attacks[i].build == attack_absolute)
                assert_int_equal(w->counts.skipped, 2); /* nor is it made elsewhere */
            assert_file_content(w, "ordinary", "still restored");
            test_tar_done(&t);
            if (again)
                assert_ok(dir_remove(w->in, &e));
        }
}

/* What lies in the folder already leads out of it. */
static void test_attacks_from_inside(void **state)
{
    struct world *w = *state;
    struct tar t;
    AUTO_CHAR secret = out(w, "secret");
    assert_int_equal(mkdir(w->in, 0755), 0);
    w->fd = open(w->in, O_RDONLY | O_DIRECTORY);
    assert_int_equal(symlinkat("../outside", w->fd, "folder"), 0);
    assert_int_equal(symlinkat("../outside", w->fd, "implicit"), 0);
    assert_int_equal(symlinkat(secret, w->fd, "file"), 0);
    world_make_file(w->in, "mate", "untouched");
    assert_int_equal(linkat(w->fd, "mate", w->fd, "hard", 0), 0);
    test_tar_begin(&t);
    test_tar_add_folder(&t, "folder", 0777);
    test_tar_add_file(&t, "folder/new", "x");
    test_tar_add_file(&t, "file", "replaced");
    test_tar_add_file(&t, "hard", "replaced");
    test_tar_add_file(&t, "implicit/new", "x");
    w->o.overwrite = true;
    assert_int_equal(world_stream(w, test_tar_end(&t)), -1);
    assert_text(w->e,
                "1 entry could not be restored, everything else was: implicit/new: implicit: something that "
                "is no folder is in its place");
    assert_outside_untouched(w, "inside");
    assert_file_content(w, "folder/new", "x");
    assert_file_content(w, "file", "replaced");
    assert_file_content(w, "hard", "replaced");
    assert_file_content(w, "mate", "untouched");
    assert_int_equal(world_stat(w, "folder").st_mode, S_IFDIR | 0777);
    test_tar_done(&t);
}

/* ---- damage ---- */
static void build_small(struct tar *t)
{
    test_tar_begin(t);
    test_tar_add_folder(t, "d", 0755);
    test_tar_add_file(t, "d/file", "0123456789");
    test_tar_add_symlink(t, "d/\xff", "target");
    test_tar_add_file(t, "last", "");
}

static void test_cut_off(void **state)
{
    struct world *w = *state;
    struct tar t;
    build_small(&t);
    struct bytes b = test_tar_end(&t);
    for (size_t n = 0; n + 1024 <= b.n; n += n % 512 ? 385 : 127) {
        struct err e = ERR_INIT;
        struct stat st;
        if (world_stream(w, BYTES(b.p, n)) == 0)
            fail_msg("cut off at %zu of %zu: not noticed", n, b.n);
        assert_int_equal(w->e.kind, ERR_DAMAGED);
        assert_text(w->e, "the restore is not complete");
        assert_false(fstatat(w->fd, "d/file", &st, 0) == 0 && st.st_size != 10); /* whole or not there */
        assert_ok(dir_remove(w->in, &e));
    }
    assert_int_equal(world_stream(w, b), 0);
    test_tar_done(&t);
}

static void test_flipped(void **state)
{
    struct world *w = *state;
    struct tar t;
    build_small(&t);
    test_tar_end(&t);
    for (size_t i = 0; i < t.bytes.n; i += 7) {
        struct err e = ERR_INIT;
        t.bytes.p[i] ^= 1 << i % 8;
        (void)!world_stream(w, buf_bytes(&t.bytes));
        t.bytes.p[i] ^= 1 << i % 8;
        assert_outside_untouched(w, "a flipped bit");
        assert_ok(dir_remove(w->in, &e));
    }
    t.bytes.p[0] ^= 1; /* of the first header, whose sum then is wrong */
    assert_int_equal(world_stream(w, buf_bytes(&t.bytes)), -1);
    assert_int_equal(w->e.kind, ERR_DAMAGED);
    test_tar_done(&t);
}

static void test_feed_fails(void **state)
{
    struct world *w = *state;
    struct tar t;
    build_small(&t);
    struct bytes b = test_tar_end(&t);
    for (size_t n = 0; n < b.n - 1024; n += 500) {
        struct err e = ERR_INIT;
        struct slices s = slices_of(BYTES(b.p, n));
        const char *const only[] = {"d", NULL};
        s.broken = true;
        w->o.only = n % 1000 ? only : NULL;
        w->e = (struct err)ERR_INIT;
        assert_int_equal(target_directory(&s.base, &w->o, &w->counts, &w->e), -1);
        assert_int_equal(w->e.kind, ERR_NET);
        assert_text(w->e, "the restore is not complete: pack 3f9a: the server hung up");
        assert_ok(dir_remove(w->in, &e));
    }
    w->o.only = NULL;
    stop_requested = 1;
    assert_int_equal(world_stream(w, b), -1);
    assert_int_equal(w->e.kind, ERR_STOPPED);
    test_tar_done(&t);
}

/* One file that does not fit leaves nothing behind, and does not keep the others from being restored. */
static void test_too_large(void **state)
{
    struct world *w = *state;
    struct tar t;
    struct rlimit before, small;
    char body[5001];
    memset(body, 'b', 5000);
    body[5000] = 0;
    test_tar_begin(&t);
    test_tar_add_file(&t, "a", "fits");
    test_tar_add_file(&t, "large", body);
    test_tar_add_file(&t, "z", "fits");
    test_tar_end(&t);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 2000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = world_stream(w, test_tar_end(&t));
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, -1);
    assert_text(w->e, "1 entry could not be restored, everything else was: large");
    assert_text(w->e, "File too large");
    assert_false(world_has(w, "large"));
    assert_file_content(w, "z", "fits");
    test_tar_done(&t);
}

/* ---- a restore that was killed ---- */
static int next_or_die(struct feed *f, struct bytes *out, struct err *e)
{
    struct slices *s = CONTAINER(f, struct slices, base);
    (void)e;
    if (s->left.n == 0)
        _exit(0);
    *out = s->left;
    s->left = BYTES("", 0);
    return 0;
}

static void die_after(struct world *w, struct bytes b)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct slices s = {.base = {next_or_die}, .left = b};
        _exit(target_directory(&s.base, &w->o, &w->counts, &w->e) ? 2 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define BIG 70000
static void test_killed(void **state)
{
    struct world *w = *state;
    struct tar t;
    AUTO_CHAR big = xcalloc(1, BIG + 1);
    memset(big, 'x', BIG);
    test_tar_begin(&t);
    test_tar_add_folder(&t, ".", 0755);
    test_tar_add_file(&t, "big", big);
    test_tar_add_file(&t, "small", "text");
    struct bytes b = test_tar_end(&t);
    world_stream_ok(w, &t);
    w->o.overwrite = true;
    for (int again = 0; again < 2; again++) {
        die_after(w, BYTES(b.p, b.n / 2));
        assert_int_equal(count_names_in(w->in), 3); /* what was in the making */
        assert_int_equal(world_stat(w, "big").st_size, BIG);
    }
    world_stream_ok(w, &t);
    assert_int_equal(count_names_in(w->in), 2);
    test_tar_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_attacks), WITH_WORLD(test_attacks_from_inside), WITH_WORLD(test_cut_off),
        WITH_WORLD(test_flipped), WITH_WORLD(test_feed_fails),          WITH_WORLD(test_too_large),
        WITH_WORLD(test_killed),
    };
    return cmocka_run_group_tests_name("directory_attacks", tests, NULL, NULL);
}
