/* The command source: what a command prints goes in; what ends badly does not. */
#include "testing.h"

#include "base/child.h"
#include "source/source.h"

static struct scene {
    struct test_repo t;
    struct config_source source;
    struct source_result result;
} scene;

static int set_up(void **state)
{
    static char name[] = "queue";
    (void)state;
    scene = (struct scene){.source = {.name = name, .type = SOURCE_COMMAND}};
    test_repo_new(&scene.t, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    source_result_free(&scene.result);
    test_repo_free(&scene.t);
    return 0;
}

static int run(const char *command, struct err *e)
{
    struct writer_stats stats;
    struct writer *w = writer_new(scene.t.repo, e);
    AUTO_CHAR text = xstrdup(command);
    scene.source.command = text;
    const struct source_env env = {
        .writer = w, .source = &scene.source, .database_params = {4096, 16384, 65536}, .database_level = 1};
    source_result_free(&scene.result);
    *e = (struct err)ERR_INIT;
    int rc = source_backup(&env, &scene.result, e);
    if (rc == 0)
        assert_int_equal(writer_finish(w, &stats, e), 0);
    writer_free(w);
    return rc;
}

static void expect_failure(const char *command, const char *text)
{
    struct err e = ERR_INIT;
    assert_int_equal(run(command, &e), -1);
    assert_int_equal(scene.result.verdict, VERDICT_FAILED);
    assert_int_equal(scene.result.stream_count, 0);
    assert_text(e, "source queue: ");
    assert_text(e, text);
}

static void what_it_prints_goes_in(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) back = BUF_NONE;
    assert_ok(run("printf 'a\\n\\0b'; echo said >&2; printf c", &e));
    assert_int_equal(scene.result.verdict, VERDICT_GOOD);
    assert_int_equal(scene.result.bytes, 5);
    assert_string_equal(scene.result.streams[0].name, "data");
    test_repo_reload(&scene.t);
    assert_ok(test_read(&scene.t, &scene.result.streams[0], &back, &e));
    assert_int_equal(back.n, 5);
    assert_memory_equal(back.p, "a\n\0bc", 5);
}

static void much_of_it(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(buf) back = BUF_NONE;
    assert_ok(run("head -c 20000000 /dev/zero", &e));
    test_repo_reload(&scene.t);
    assert_ok(test_read(&scene.t, &scene.result.streams[0], &back, &e));
    assert_int_equal(back.n, 20000000);
}

static void a_bad_end_is_a_failure(void **state)
{
    (void)state;
    expect_failure("echo half; echo out of memory >&2; exit 3", "exit status 3: out of memory");
    expect_failure("echo half; kill -9 $$", "killed by signal 9");
    expect_failure("no-such-program-here", "exit status 127");
}

static void nothing_is_a_failure_unless_allowed(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    expect_failure("true", "printed nothing (allow-empty = yes");
    scene.source.may_be_empty = true;
    assert_ok(run("true", &e));
    assert_int_equal(scene.result.bytes, 0);
}

/* It would go on for ever, and so would the helper that holds its stdout. */
static void past_its_time_it_is_ended_with_its_group(void **state)
{
    (void)state;
    AUTO_CHAR file = xasprintf("%s/pid", scene.t.folder);
    AUTO_CHAR command =
        xasprintf("cat /dev/tty0-none /dev/zero 2>/dev/null >/dev/null & echo $! >%s; yes", file);
    scene.source.time_limit_s = 1;
    expect_failure(command, "stopped after 1 s (its time limit)");
    test_wait_gone(file);
}

static void asked_to_stop_it_stops(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    stop_requested = 1;
    assert_int_equal(run("yes", &e), -1);
    stop_requested = 0;
    assert_int_equal(e.kind, ERR_STOPPED);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_it_prints_goes_in),
        CASE(much_of_it),
        CASE(a_bad_end_is_a_failure),
        CASE(nothing_is_a_failure_unless_allowed),
        CASE(past_its_time_it_is_ended_with_its_group),
        CASE(asked_to_stop_it_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
