/* Drills of volumes: what is restored as it was is proven, and each kind of change is named by its path. */
#include "volume_drilling.h"

#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---- reading scratch may fail ---- */
static bool reads_fail; /* of files that begin with "bad sector" */

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    ssize_t got = syscall(SYS_pread64, fd, p, n, at);
    if (reads_fail && got >= 10 && memcmp(p, "bad sector", 10) == 0) {
        errno = EIO;
        return -1;
    }
    return got;
}

/* ---- what is restored as it was ---- */
static void a_hostile_tree_is_proven(void **state)
{
    (void)state;
    make_hostile_tree();
    scene_back_up();
    drill_now(NULL);
    expect_proven();
    assert_int_equal(drilling.out.notes.n, 0);
    assert_int_equal(drilling.out.entries, scene.result.files);
    assert_int_equal(drilling.out.bytes, scene.result.streams[0].bytes);
    assert_int_equal(drilling.out.bytes, scene.result.bytes);
    assert_true(drill_layer_named("restored").held);
    assert_true(drill_layer_named("compared").held);
    assert_true(drill_layer_named("catalog").held);
    assert_true(drilling.out.restore_seconds > 0);
}

static void nothing(void)
{
}

/* The stream of what was restored is another when it has another hole: then each entry is looked at. */
static void fill_a_hole(void)
{
    AUTO_CHAR path = xasprintf("%s/sparse/start", drilling.folder);
    struct stat st;
    AUTO_FD fd = open(path, O_WRONLY);
    assert_int_equal(fstat(fd, &st), 0);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(pwrite(fd, (char[4096]){0}, 4096, 1 << 20), 4096);
    assert_int_equal(futimens(fd, times), 0);
}

static void a_hostile_tree_is_proven_entry_by_entry(void **state)
{
    (void)state;
    make_hostile_tree();
    scene_back_up();
    drill_now(fill_a_hole);
    expect_proven();
    assert_int_equal(drilling.out.notes.n, 1);
    assert_true(was_said(&drilling.out.notes,
                         "files whose holes lie elsewhere in scratch, with the same content: 1"));
}

static void nobody_proves_all_but_owners(void **state)
{
    (void)state;
    NEEDS_ROOT;
    make_hostile_tree();
    if (faccessat(scene.dirfd, "special/null", F_OK, 0) == 0)
        link_to("special/null", "special/null-too"); /* to what is left out */
    link_to("modes/file-0000", "modes/file-0000-too");
    scene_back_up();
    assert_true(drill_as_nobody());
    drill_now(NULL);
    expect_proven();
    assert_true(was_said(&drilling.out.notes, "not run as root, so this was left out"));
    assert_true(drill_layer_named("compared").held);
    drill_as_root_again();
}

static void nobody_proves_files_of_its_own_whole(void **state)
{
    (void)state;
    make_files(false);
    if (drill_as_nobody()) {
        drill_as_root_again();
        AUTO_CHAR chown = xasprintf("chown -R 65534:65534 %s", scene.tree);
        assert_int_equal(system(chown), 0);
    }
    scene_back_up();
    drill_as_nobody();
    drill_now(NULL);
    expect_proven();
    assert_int_equal(drilling.out.notes.n, 0);
    drill_as_root_again();
}

/* ---- what is not as it was ---- */
#define ACL \
    "\2\0\0\0\1\0\6\0\377\377\377\377\2\0\7\0\1\0\0\0\4\0\4\0\377\377\377\377\20\0\7\0\377\377\377\377\40\0\0\0\377\377\377\377"

static bool has_device; /* root may make one, but not in each container */

static void make_simple_tree(void)
{
    make_dir("dir");
    put_seeded("dir/file", 10000, 1);
    put_seeded("large", 2000000, 2);
    scene_put_text("linked", "content");
    link_to("linked", "linked-too");
    assert_int_equal(symlinkat("here", scene.dirfd, "symlink"), 0);
    assert_int_equal(mkfifoat(scene.dirfd, "fifo", 0640), 0);
    AUTO_FD fd = openat(scene.dirfd, "dir/file", O_RDONLY);
    assert_int_equal(fsetxattr(fd, "user.colour", "green", 5, 0), 0);
    assert_int_equal(fsetxattr(fd, "system.posix_acl_access", ACL, sizeof ACL - 1, 0), 0);
    AUTO_FD sparse = openat(scene.dirfd, "sparse", O_WRONLY | O_CREAT, 0644);
    assert_int_equal(ftruncate(sparse, 1 << 20) | (pwrite(sparse, "data", 4, 1 << 19) != 4), 0);
    has_device = geteuid() == 0 && mknodat(scene.dirfd, "device", S_IFCHR | 0600, makedev(1, 3)) == 0;
    if (geteuid() == 0 && !has_device)
        printf("skipped: no device node may be made here\n");
    const char *const old[] = {"dir/file", "large", "linked", "symlink", "fifo", "sparse", "dir", "."};
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        set_times(old[i], 1000000 + (time_t)i);
}

/* Changes something in scratch, and leaves the times of what is around it as they were. */
static void in_scratch(const char *shell)
{
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    AUTO_CHAR script = xasprintf(
        "set -e; cd %s; touch -r . ../top; touch -r dir ../dir\n"
        "for f in dir/file large linked symlink fifo sparse device; do\n"
        "[ ! -e $f -a ! -L $f ] || { : >../$(basename $f).time; touch -r $f -h ../$(basename $f).time; }; done\n"
        "%s\n"
        "[ ! -d dir ] || touch -r ../dir dir; touch -r ../top .\n"
        "rm -f ../top ../dir ../*.time",
        drilling.folder, shell);
    const struct child_options o = {.shell = script};
    assert_ok(child_output(&o, shell, 1000, &out, &e));
}

static const struct change {
    const char *shell, *sentence;
    bool root;
} changes[] = {
    {"printf X | dd of=large bs=1 seek=4711 conv=notrunc status=none; touch -r ../large.time large",
     "large: 1 byte differs at 4,711", false},
    {"head -c 1500000 /dev/zero | dd of=large bs=1000 seek=100 conv=notrunc status=none; touch -r ../large.time "
     "large",
     " bytes differ, the first at 100,000", false},
    {"printf X | dd of=sparse bs=1 seek=99 conv=notrunc status=none; touch -r ../sparse.time sparse",
     "sparse: 1 byte differs at 99", false},
    {"printf x >>large; touch -r ../large.time large", "large: size 2000001, was 2000000", false},
    {"truncate -s 5 dir/file; touch -r ../file.time dir/file", "dir/file: size 5, was 10000", false},
    {"chmod 600 large", "large: mode 0600, was 0644", false},
    {"chmod 700 dir", "dir: mode 0700, was 0755", false},
    {"chmod 600 fifo", "fifo: mode 0600, was 0640", false},
    {"touch -d @1000001.000000003 large",
     "large: time 1970-01-12T13:46:41.000000003, was "
     "1970-01-12T13:46:41.000000002",
     false},
    {"touch -h -d @7 symlink", "symlink: time 1970-01-01T00:00:07.000000000", false},
    {"chown 12:34 large", "large: owner 12:34, was ", true},
    {"chown -h 12:34 symlink", "symlink: owner 12:34, was ", true},
    {"setfattr -n user.colour -v red dir/file", "dir/file: extended attribute user.colour has another value",
     false},
    {"setfattr -x user.colour dir/file", "dir/file: extended attribute user.colour is missing", false},
    {"setfattr -n user.new -v x large", "large: extended attribute user.new was not there", false},
    {"setfacl -m u:1:r dir/file",
     "dir/file: its ACL is user::rw-,group::r--,other::---,user:1:r--:1,mask::r--, was user", false},
    {"setfacl -m u:77:r large",
     "large: its ACL is user::rw-,group::r--,other::r--,user:77:r--:77,mask::r--, was none", false},
    {"setfacl -d -m u:77:r dir", "dir: its default ACL is ", false},
    {"ln -sfn there symlink; touch -h -r ../symlink.time symlink", "symlink: leads to there, led to here",
     false},
    {"cp -p linked x; mv x linked-too", "linked-too: is no hard link to linked any more", false},
    {"rm linked-too; ln large linked-too", "linked-too: is a hard link to large, was one to linked", false},
    {"rm sparse; ln large sparse", "sparse: is a hard link to large, had its own content", false},
    {"rm large", "large: is missing", false},
    {"rm symlink", "symlink: is missing", false},
    {"rm linked-too", "linked-too: is missing", false},
    {"rm fifo", "fifo: is missing", false},
    {"rm device", "device: is missing", true},
    {"rm dir/file", "dir/file: is missing", false},
    {"touch dir/extra", "dir/extra: was not there", false},
    {"mkdir zzz", "zzz: was not there", false},
    {"rm large; mkdir large", "large: is a folder, was a file", false},
    {"rm fifo; touch -r ../fifo.time fifo", "fifo: is a file, was a fifo", false},
    {"rm device; mknod -m 600 device c 1 5; touch -r ../device.time device", "device: device 1:5, was 1:3",
     true},
};
static const struct change *change;

static void make_change(void)
{
    in_scratch(change->shell);
}

static void each_kind_of_change_is_named(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    drill_now(nothing);
    expect_proven();
    for (change = changes; change < changes + ARRAY_LEN(changes); change++) {
        if ((change->root && geteuid() != 0) || (strstr(change->shell, "device") && !has_device))
            continue;
        drill_now(make_change);
        expect_outcome(DRILL_DIFFERS, change->sentence);
        expect_reasons(1);
    }
}

static void many_at_once(void)
{
    in_scratch("chmod 600 large; printf X | dd of=large bs=1 seek=3 conv=notrunc status=none\n"
               "touch -r ../large.time large; rm fifo; echo >new");
}

static void several_changes_are_all_named(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    drill_now(many_at_once);
    expect_outcome(DRILL_DIFFERS, "large: mode 0600, was 0644; 1 byte differs at 3");
    expect_outcome(DRILL_DIFFERS, "fifo: is missing");
    expect_outcome(DRILL_DIFFERS, "new: was not there");
    expect_reasons(3);
}

static void fill_the_hole(void)
{
    in_scratch("head -c 8192 /dev/zero | dd of=sparse bs=4096 conv=notrunc status=none\n"
               "touch -r ../sparse.time sparse");
}

static void another_hole_is_no_difference(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    drill_now(fill_the_hole);
    expect_proven();
    assert_true(was_said(&drilling.out.notes,
                         "files whose holes lie elsewhere in scratch, with the same content: 1"));
}

/* ---- what says nothing about the backup ---- */
/* A namespace of our own, so that nothing stays mounted whatever happens. */
static bool mount_on_scratch(const char *type, unsigned long flags, const char *data)
{
    if (geteuid() == 0 && mount("none", drilling.place, type, flags, data) == 0)
        return true;
    print_message("skipped: a %s cannot be mounted here\n", type);
    return false;
}

static void a_full_scratch_proves_nothing(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    if (!mount_on_scratch("tmpfs", 0, "size=1m"))
        skip();
    drill_now(NULL);
    expect_outcome(DRILL_UNABLE, "scratch is full");
    assert_false(drill_layer_named("restored").held);
}

static void a_scratch_for_reading_only_proves_nothing(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    if (!mount_on_scratch("tmpfs", MS_RDONLY, ""))
        skip();
    struct err e = ERR_INIT;
    drill_prepare();
    assert_ok(drill_try(&e));
    expect_outcome(DRILL_UNABLE, "[drill] directory");
}

/* ramfs has neither extended attributes nor ACLs. */
static void what_the_file_system_lacks_is_no_difference(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    if (!mount_on_scratch("ramfs", 0, ""))
        skip();
    drill_now(NULL);
    expect_outcome(DRILL_UNABLE, "dir/file: the file system of ");
    expect_outcome(DRILL_UNABLE, "extended attribute user.colour (Operation not supported)");
    expect_outcome(DRILL_UNABLE, "its ACL (Operation not supported)");
    expect_outcome(DRILL_UNABLE, "[drill] directory");
    expect_reasons(1);
}

static void remove_large(void)
{
    in_scratch("rm large");
}

static void a_difference_counts_for_more(void **state)
{
    (void)state;
    make_simple_tree();
    scene_back_up();
    if (!mount_on_scratch("ramfs", 0, ""))
        skip();
    drill_now(remove_large);
    expect_outcome(DRILL_DIFFERS, "large: is missing");
    expect_outcome(DRILL_DIFFERS, "its ACL (Operation not supported)");
}

static void let_reads_fail(void)
{
    reads_fail = true;
}

/* A bad disk below scratch reads as zeros: that is not the backup's fault, even if it finds a difference. */
static void a_scratch_that_cannot_be_read_proves_nothing(void **state)
{
    (void)state;
    AUTO(buf) text = BUF_NONE;
    make_simple_tree();
    for (int i = 0; i < 200000; i++)
        buf_add_str(&text, "bad sector");
    scene_put_text("unlucky", buf_cstr(&text));
    scene_back_up();
    drill_now(let_reads_fail);
    reads_fail = false;
    expect_outcome(DRILL_UNABLE, "reading scratch again: unlucky: cannot be read beyond byte 0");
    expect_reasons(1);
    assert_true(was_said(&drilling.out.notes, "unlucky: 2,000,000 bytes differ"));
}

/* ---- what breaks it off ---- */
static void ask_to_stop(void)
{
    stop_requested = 1;
}

static void asked_to_stop_it_stops(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    make_simple_tree();
    scene_back_up();
    drill_prepare();
    drilling.inject = ask_to_stop;
    assert_int_equal(drill_try(&e), -1);
    assert_int_equal(e.kind, ERR_STOPPED);
    assert_int_equal(access(drilling.folder, F_OK), -1);
    drilling.inject = NULL; /* still asked */
    assert_int_equal(drill_try(&e), -1);
    assert_int_equal(e.kind, ERR_STOPPED);
}

static struct strings steps;

static void progress(void *ctx, const char *step, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done <= total);
    if (!strings_has(&steps, step))
        strings_add(&steps, step);
}

static void it_says_how_far_it_is(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    make_simple_tree();
    scene_back_up();
    drill_prepare();
    drilling.env.progress = progress;
    assert_ok(drill_try(&e));
    assert_true(strings_has(&steps, "restoring") && strings_has(&steps, "comparing"));
    strings_free(&steps);
}

int main(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0)
        (void)!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    const struct CMUnitTest tests[] = {
        DRILL_CASE(a_hostile_tree_is_proven),
        DRILL_CASE(a_hostile_tree_is_proven_entry_by_entry),
        DRILL_CASE(nobody_proves_all_but_owners),
        DRILL_CASE(nobody_proves_files_of_its_own_whole),
        DRILL_CASE(each_kind_of_change_is_named),
        DRILL_CASE(several_changes_are_all_named),
        DRILL_CASE(another_hole_is_no_difference),
        DRILL_CASE(a_full_scratch_proves_nothing),
        DRILL_CASE(a_scratch_for_reading_only_proves_nothing),
        DRILL_CASE(what_the_file_system_lacks_is_no_difference),
        DRILL_CASE(a_difference_counts_for_more),
        DRILL_CASE(a_scratch_that_cannot_be_read_proves_nothing),
        DRILL_CASE(asked_to_stop_it_stops),
        DRILL_CASE(it_says_how_far_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
