/* Programs that are run: how they end is never guessed, and none of them keeps us longer than it may. */
#include "base/child.h"
#include "testing.h"

#include <signal.h>
#include <unistd.h>

#define SECOND 1000000000ull

static int run(const char *shell, unsigned time_limit_s, struct err *e)
{
    const struct child_options o = {
        .shell = shell, .in = CHILD_NULL, .out = CHILD_NULL, .time_limit_s = time_limit_s};
    AUTO(child) c = CHILD_NONE;
    *e = (struct err)ERR_INIT;
    return child_start(&c, &o, e) ? -1 : child_wait(&c, "program", NULL, e);
}

static void exit_status(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(run("exit 0", 0, &e), 0);
    assert_int_equal(run("echo why >&2; exit 3", 0, &e), -1);
    assert_text(e, "program: exit status 3: why");
    assert_int_equal(run("kill -9 $$", 0, &e), -1);
    assert_text(e, "killed by signal 9");
}

/* Whoever started us may have had SIGCHLD ignored: the kernel keeps no status then. */
static void an_end_that_nobody_tells_is_no_good_one(void **state)
{
    (void)state;
    struct err e;
    signal(SIGCHLD, SIG_IGN);
    int rc = run("exit 3", 0, &e);
    signal(SIGCHLD, SIG_DFL);
    assert_int_equal(rc, -1);
    assert_text(e, "how it ended is not known");
}

static void time_limits(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(run("sleep 60", 1, &e), -1);
    assert_text(e, "stopped after 1 s");
}

/* Also of one whose output is collected, and that prints nothing. */
static void time_limits_of_output(void **state)
{
    (void)state;
    AUTO(buf) out = BUF_NONE;
    struct err e = ERR_INIT;
    const struct child_options o = {
        .shell = "echo one; sleep 60; echo two", .in = CHILD_NULL, .time_limit_s = 1};
    uint64_t start = time_monotonic_ns();
    assert_int_equal(child_output(&o, "program", 100, &out, &e), -1);
    assert_true(time_monotonic_ns() - start < 30 * SECOND);
    assert_text(e, "program: stopped after 1 s");
}

static void stops_while_output_is_awaited(void **state)
{
    (void)state;
    AUTO(buf) out = BUF_NONE;
    struct err e = ERR_INIT;
    const struct child_options o = {.shell = "sleep 60", .in = CHILD_NULL};
    uint64_t start = time_monotonic_ns();
    stop_requested = 1;
    int rc = child_output(&o, "program", 100, &out, &e);
    stop_requested = 0;
    assert_int_equal(rc, -1);
    assert_int_equal(e.kind, ERR_STOPPED);
    assert_true(time_monotonic_ns() - start < 30 * SECOND);
}

static void output(void **state)
{
    (void)state;
    AUTO(buf) out = BUF_NONE;
    struct err e = ERR_INIT;
    const struct child_options o = {.shell = "printf abc; printf def", .in = CHILD_NULL};
    assert_ok(child_output(&o, "program", 6, &out, &e));
    assert_string_equal(buf_cstr(&out), "abcdef");
    out.n = 0;
    assert_int_equal(child_output(&o, "program", 5, &out, &e), -1);
    assert_text(e, "more than 5 bytes");
}

/* Whatever is open here, a program gets 0 to 2, and what it is meant to get. */
static void descriptors(void **state)
{
    (void)state;
    AUTO(buf) out = BUF_NONE;
    struct err e = ERR_INIT;
    int open_here = dup(0), kept = dup(0);
    AUTO_CHAR shell =
        xasprintf("for f in 0 1 2 %d %d; do [ ! -e /proc/$$/fd/$f ] || echo $f; done", open_here, kept);
    AUTO_CHAR wanted = xasprintf("0\n1\n2\n%d\n", kept);
    const struct child_options o = {.shell = shell, .in = CHILD_NULL, .kept_fd = kept};
    assert_ok(child_output(&o, "program", 100, &out, &e));
    assert_string_equal(buf_cstr(&out), wanted);
    close(open_here);
    close(kept);
}

/* What it left behind goes on talking, and holds the pipe. */
static void a_talking_daemon_is_not_waited_for(void **state)
{
    (void)state;
    struct err e;
    uint64_t start = time_monotonic_ns();
    assert_int_equal(run("timeout 60 yes >&2 & exit 4", 0, &e), -1);
    assert_true(time_monotonic_ns() - start < 15 * SECOND);
    assert_text(e, "exit status 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_status),
        cmocka_unit_test(an_end_that_nobody_tells_is_no_good_one),
        cmocka_unit_test(time_limits),
        cmocka_unit_test(time_limits_of_output),
        cmocka_unit_test(stops_while_output_is_awaited),
        cmocka_unit_test(output),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(a_talking_daemon_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
