/* The targets that hand the bytes on: stdout and a command. */
#include "unpacking.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static void test_fd(void **state)
{
    struct world *w = *state;
    int ends[2];
    char got[20] = "";
    uint64_t bytes = 0;
    struct slices s = slices_of(BYTES_STR("0123456789"));
    s.size = 3;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(target_fd(&s.base, ends[1], "stdout", &bytes, &w->e), 0);
    assert_int_equal(bytes, 10);
    assert_int_equal(read(ends[0], got, sizeof got), 10);
    assert_string_equal(got, "0123456789");
    close(ends[0]);
    s = slices_of(BYTES_STR("0123456789"));
    assert_int_equal(target_fd(&s.base, ends[1], "stdout", &bytes, &w->e), -1);
    assert_text(w->e, "the reader went away before it had everything: stdout");
    close(ends[1]);
}

static int command(struct world *w, struct slices *s, const char *shell, unsigned limit)
{
    w->e = (struct err)ERR_INIT;
    const struct target_command_options o = {
        .what = "restore-command", .shell = shell, .target_dir = w->base, .time_limit_s = limit};
    return target_command(&s->base, &o, &w->e);
}

static void test_command(void **state)
{
    struct world *w = *state;
    AUTO(buf) large = BUF_NONE;
    test_bytes(&large, 3000000, 1); /* more than a pipe holds */
    signal(SIGPIPE, SIG_IGN);
    struct slices s = slices_of(buf_bytes(&large));
    if (command(w, &s, "cat > \"$LIFEBOAT_TARGET\"/dump", 0))
        fail_msg("%s", w->e.text);
    AUTO(buf) back = BUF_NONE;
    AUTO_CHAR path = xasprintf("%s/dump", w->base);
    struct err e = ERR_INIT;
    assert_ok(file_read(path, 1 << 24, &back, &e));
    assert_int_equal(back.n, large.n);
    assert_memory_equal(back.p, large.p, large.n);
    s = slices_of(buf_bytes(&large));
    assert_int_equal(command(w, &s, "cat >/dev/null; echo no room >&2; exit 7", 0), -1);
    assert_text(w->e, "restore-command: exit status 7: no room");
    s = slices_of(buf_bytes(&large));
    assert_int_equal(command(w, &s, "head -c 10 >/dev/null", 0), -1);
    assert_text(w->e, "before it had read everything");
    s = slices_of(buf_bytes(&large));
    assert_int_equal(command(w, &s, "exec sleep 100", 1), -1); /* reads nothing */
    assert_text(w->e, "stopped after 1 s (its time limit)");
}

/* A stream that breaks off must not look complete to the command. */
static void test_command_broken(void **state)
{
    struct world *w = *state;
    struct slices s = slices_of(BYTES_STR("part"));
    struct stat st;
    AUTO_CHAR path = xasprintf("%s/committed", w->base);
    s.broken = true;
    assert_int_equal(command(w, &s, "cat >/dev/null && touch \"$LIFEBOAT_TARGET\"/committed", 0), -1);
    assert_text(w->e, "the server hung up");
    assert_int_equal(stat(path, &st), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_fd),
        WITH_WORLD(test_command),
        WITH_WORLD(test_command_broken),
    };
    return cmocka_run_group_tests_name("target_pipes", tests, NULL, NULL);
}
