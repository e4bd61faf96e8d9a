/* libarchive has no memory: that is no damage of what is restored. */
#include "unpacking.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *fails = ""; /* the call of libarchive's that does */
static const char *says;

int archive_read_support_format_tar(struct archive *a)
{
    return strcmp(fails, "support") == 0 ? ARCHIVE_FATAL : REAL(archive_read_support_format_tar)(a);
}

int archive_read_next_header(struct archive *a, struct archive_entry **ae)
{
    if (strcmp(fails, "header") != 0)
        return REAL(archive_read_next_header)(a, ae);
    errno = ENOMEM;
    if (says)
        archive_set_error(a, ENOMEM, "%s", says);
    return ARCHIVE_FATAL;
}

static void test_header(void **state)
{
    struct world *w = *state;
    struct tar t;
    test_tar_begin(&t);
    test_tar_add_folder(&t, ".", 0755);
    fails = "header";
    says = "Can't allocate tar data";
    assert_int_equal(world_stream(w, test_tar_end(&t)), -1);
    assert_int_equal(w->e.kind, ERR_FAILED);
    assert_text(w->e, "after its start: libarchive gave up (Can't allocate tar data)");
    says = NULL;
    assert_int_equal(world_stream(w, test_tar_end(&t)), -1);
    assert_int_equal(w->e.kind, ERR_FAILED);
    assert_text(w->e, "after its start: libarchive gave up (out of memory)");
    fails = "";
    world_stream_ok(w, &t);
    test_tar_done(&t);
}

static void test_reader(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fails = "support";
        target_tar_reader();
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_header),
        cmocka_unit_test(test_reader),
    };
    return cmocka_run_group_tests_name("tar_memory", tests, NULL, NULL);
}
