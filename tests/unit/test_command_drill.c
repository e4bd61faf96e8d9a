/* Drills of commands: what is run, with what, and what may be said afterwards. */
#include "testing.h"

#include "base/child.h"
#include "drill/command.h"

#include <signal.h>
#include <unistd.h>

static struct scene {
    struct test_repo t;
    char *place;
    struct snapshot snap;
    struct config_source config;
    struct config_drill settings;
    struct drill_env env;
    struct drill_result out;
    struct buf data;
} scene;

static int set_up(void **state)
{
    static char name[] = "queue";
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    scene = (struct scene){.config = {.name = name, .type = SOURCE_COMMAND}};
    test_repo_new(&scene.t, NULL);
    scene.place = xasprintf("%s/scratch", scene.t.folder);
    assert_int_equal(mkdir(scene.place, 0700), 0);
    test_bytes(&scene.data, 3000000, 1);
    test_backup(&scene.t, buf_bytes(&scene.data), &scene.snap);
    test_repo_reload(&scene.t);
    scene.env = (struct drill_env){.repo = scene.t.repo,
                                   .source = &scene.snap.sources[0],
                                   .config = &scene.config,
                                   .settings = &scene.settings};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop_requested = 0;
    drill_result_free(&scene.out);
    snapshot_free(&scene.snap);
    buf_free(&scene.data);
    free(scene.place);
    test_repo_free(&scene.t);
    return 0;
}

static int try_drill(const char *drill_command, const char *restore_command, struct err *e)
{
    AUTO_CHAR drill = drill_command ? xstrdup(drill_command) : NULL;
    AUTO_CHAR restore = restore_command ? xstrdup(restore_command) : NULL;
    drill_result_free(&scene.out);
    scene.config.drill_command = drill;
    scene.config.restore_command = restore;
    *e = (struct err)ERR_INIT;
    int rc = command_drill_run(&scene.env, scene.place, &scene.out, e);
    assert_int_equal(rmdir(scene.place), 0); /* nothing was left in it */
    assert_int_equal(mkdir(scene.place, 0700), 0);
    return rc;
}

static void drill(const char *drill_command, const char *restore_command)
{
    struct err e = ERR_INIT;
    if (try_drill(drill_command, restore_command, &e))
        fail_msg("%s", e.text);
}

static void expect(enum drill_outcome outcome, const char *reason)
{
    const struct strings *r = &scene.out.reasons;
    if (scene.out.outcome != outcome || (reason ? r->n != 1 || !strstr(r->v[0], reason) : r->n != 0))
        fail_msg("outcome %d, %zu reasons: %s", scene.out.outcome, r->n, r->n ? r->v[0] : "");
}

static void expect_note(const char *text)
{
    if (scene.out.notes.n != 1 || !strstr(scene.out.notes.v[0], text))
        fail_msg("%zu notes: %s", scene.out.notes.n, scene.out.notes.n ? scene.out.notes.v[0] : "");
}

/* ---- a drill-command ---- */
static void it_gets_the_stream_and_a_folder(void **state)
{
    (void)state;
    AUTO_CHAR shell = xasprintf("set -e\n"
                                "[ \"$LIFEBOAT_DRILL\" = 1 ]; [ \"$LIFEBOAT_SOURCE\" = s ]\n"
                                "[ \"$LIFEBOAT_TARGET\" = %s/command ]; [ \"$PWD\" = \"$LIFEBOAT_TARGET\" ]\n"
                                "[ \"$(ls -A)\" = '' ]; [ \"$(stat -c %%a .)\" = 700 ]\n"
                                "cat >dump; [ $(stat -c %%s dump) = 3000000 ]\n"
                                "cp dump ../../seen",
                                scene.place);
    drill(shell, "exit 1");
    expect(DRILL_PROVEN, NULL);
    assert_false(scene.out.read_only);
    assert_int_equal(scene.out.bytes, 3000000);
    assert_int_equal(scene.out.layer_count, 1);
    assert_string_equal(scene.out.layers[0].name, "restored");
    assert_true(scene.out.layers[0].held && scene.out.restore_seconds > 0);
    struct err e = ERR_INIT;
    AUTO(buf) seen = BUF_NONE;
    AUTO_CHAR path = xasprintf("%s/seen", scene.t.folder);
    assert_ok(file_read(path, 1 << 24, &seen, &e));
    assert_int_equal(seen.n, scene.data.n);
    assert_memory_equal(seen.p, scene.data.p, seen.n);
}

static void its_failure_is_a_difference(void **state)
{
    (void)state;
    drill("cat >/dev/null; echo 'bad magic in dump' >&2; exit 7", NULL);
    expect(DRILL_DIFFERS, "drill-command: exit status 7: bad magic in dump");
    assert_false(scene.out.layers[0].held);
    drill("cat >/dev/null; kill -9 $$", NULL);
    expect(DRILL_DIFFERS, "drill-command: killed by signal 9");
    drill("no-such-program-here", NULL);
    expect(DRILL_DIFFERS, "drill-command: exit status 127");
}

static void it_has_to_read_everything(void **state)
{
    (void)state;
    drill("head -c 1000 >/dev/null", NULL);
    expect(DRILL_DIFFERS, "drill-command: ended well before it had read everything");
    drill("head -c 2999999 >/dev/null", NULL);
    expect(DRILL_DIFFERS, "drill-command: ");
    drill("head -c 3000000 >/dev/null", NULL);
    expect(DRILL_PROVEN, NULL);
}

/* A stream that fits into the pipe was taken by nobody, and is not proven for that. */
static void a_small_stream_has_to_be_read_too(void **state)
{
    (void)state;
    snapshot_free(&scene.snap);
    scene.snap = (struct snapshot){0};
    test_backup(&scene.t, BYTES_STR("a few bytes"), &scene.snap);
    test_repo_reload(&scene.t);
    scene.env.repo = scene.t.repo;
    scene.env.source = &scene.snap.sources[0];
    drill("true", NULL);
    expect(DRILL_DIFFERS, "drill-command: ");
    drill("exec python3 -c 'import array, fcntl, termios\n" /* leaves when all of it has come */
          "n = array.array(\"i\", [0])\n"
          "while n[0] < 11: fcntl.ioctl(0, termios.FIONREAD, n)'",
          NULL);
    expect(DRILL_DIFFERS, "drill-command: left the last 11 bytes unread");
    drill("cat >/dev/null", NULL);
    expect(DRILL_PROVEN, NULL);
}

static void it_has_the_time_of_its_source(void **state)
{
    (void)state;
    scene.config.time_limit_s = 1;
    drill("cat >/dev/null; exec sleep 100", NULL);
    expect(DRILL_DIFFERS, "drill-command: stopped after 1 s (its time limit)");
}

static void nothing_that_it_started_survives(void **state)
{
    AUTO_CHAR path = xasprintf("%s/pid", scene.t.folder);
    (void)state;
    drill("sleep 1000 & echo $! >../../pid; cat >/dev/null", NULL);
    expect(DRILL_PROVEN, NULL);
    test_wait_gone(path);
    drill("(trap '' TERM; sleep 1000) & echo $! >../../pid; cat >/dev/null; exit 1", NULL);
    expect(DRILL_DIFFERS, "exit status 1");
    test_wait_gone(path);
}

/* ---- without one ---- */
static void a_restore_command_that_writes_where_it_is_told(void **state)
{
    (void)state;
    drill(NULL, "cat >\"$LIFEBOAT_TARGET\"/dump && [ $(stat -c %s dump) = 3000000 ]");
    expect(DRILL_PROVEN, NULL);
    assert_false(scene.out.read_only);
    drill(NULL, "cat >\"$LIFEBOAT_TARGET\"/no/such/folder");
    expect(DRILL_DIFFERS, "restore-command: exit status ");
}

static void a_restore_command_that_may_write_anywhere_is_not_run(void **state)
{
    (void)state;
    AUTO_CHAR shell = xasprintf("cat >%s/production", scene.t.folder);
    AUTO_CHAR path = xasprintf("%s/production", scene.t.folder);
    drill(NULL, shell);
    expect(DRILL_PROVEN, NULL);
    assert_true(scene.out.read_only);
    expect_note("a drill-command there proves more");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(scene.out.bytes, 3000000);
    assert_string_equal(scene.out.layers[0].name, "stored");
}

static void without_any_the_stream_is_read(void **state)
{
    (void)state;
    drill(NULL, NULL);
    expect(DRILL_PROVEN, NULL);
    assert_true(scene.out.read_only);
    expect_note("[source s] has no drill-command and no restore-command");
    scene.env.config = NULL;
    drill("exit 1", NULL);
    expect(DRILL_PROVEN, NULL);
    assert_true(scene.out.read_only);
    expect_note("the configuration has no [source s] that is a command");
    scene.env.config = &scene.config;
    scene.config.type = SOURCE_VOLUME; /* another source has its name now */
    drill("exit 1", NULL);
    expect(DRILL_PROVEN, NULL);
    assert_true(scene.out.read_only);
}

/* ---- a stream that is not whole ---- */
static int spoil(void *ctx, const struct store_object *o, struct err *e)
{
    AUTO(buf) b = BUF_NONE;
    (void)ctx;
    assert_int_equal(store_get(scene.t.store, o->name, UINT64_MAX, &b, e), 0);
    b.p[b.n / 2] ^= 1;
    assert_int_equal(store_delete(scene.t.store, o->name, e), 0);
    return store_put(scene.t.store, o->name, buf_bytes(&b), e);
}

static void a_damaged_stream_is_never_proven(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    assert_ok(store_list(scene.t.store, "packs/", spoil, NULL, NULL, &e));
    test_repo_reload(&scene.t);
    scene.env.repo = scene.t.repo;
    drill(NULL, NULL);
    expect(DRILL_DIFFERS, "");
    assert_false(scene.out.read_only);
    drill("cat >dump; touch ../../committed", NULL);
    expect(DRILL_DIFFERS, "");
    AUTO_CHAR path = xasprintf("%s/committed", scene.t.folder);
    assert_int_equal(access(path, F_OK), -1); /* it did not take a part for the whole */
    scene.snap.sources[0].stream_count = 0;
    drill(NULL, NULL);
    expect(DRILL_DIFFERS, "has no stream \"data\"");
}

static void asked_to_stop_it_stops(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    stop_requested = 1;
    assert_int_equal(try_drill("cat >/dev/null", NULL, &e), -1);
    assert_int_equal(e.kind, ERR_STOPPED);
}

static void a_scratch_that_cannot_be_written(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO_CHAR command = xstrdup("cat >/dev/null");
    AUTO_CHAR nowhere = xasprintf("%s/not/there", scene.place);
    scene.config.drill_command = command;
    assert_ok(command_drill_run(&scene.env, nowhere, &scene.out, &e));
    expect(DRILL_UNABLE, "name another folder as [drill] directory");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(it_gets_the_stream_and_a_folder),
        CASE(its_failure_is_a_difference),
        CASE(it_has_to_read_everything),
        CASE(a_small_stream_has_to_be_read_too),
        CASE(it_has_the_time_of_its_source),
        CASE(nothing_that_it_started_survives),
        CASE(a_restore_command_that_writes_where_it_is_told),
        CASE(a_restore_command_that_may_write_anywhere_is_not_run),
        CASE(without_any_the_stream_is_read),
        CASE(a_damaged_stream_is_never_proven),
        CASE(asked_to_stop_it_stops),
        CASE(a_scratch_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
