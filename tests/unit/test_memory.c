/* The end of memory is the end of the process, and its words are on stderr: also where a library asks for it.
 */
#include "testing.h"

#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <sys/wait.h>

#define TOO_MUCH (SIZE_MAX / 4)

/* The sanitizers' own malloc: NULL is an answer. */
const char *__asan_default_options(void); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
const char *__asan_default_options(void)  // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
const char *__tsan_default_options(void)  // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
{
    return "allocator_may_return_null=1";
}

static void malloc_of_libcrypto(void)
{
    OPENSSL_free(OPENSSL_malloc(TOO_MUCH));
}

static void zalloc_of_libcrypto(void)
{
    OPENSSL_free(OPENSSL_zalloc(TOO_MUCH));
}

static void realloc_of_libcrypto(void)
{
    OPENSSL_free(OPENSSL_realloc(OPENSSL_malloc(1), TOO_MUCH));
}

static void malloc_of_jansson(void)
{
    json_malloc_t give;
    json_free_t take;
    json_get_alloc_funcs(&give, &take);
    take(give(TOO_MUCH));
}

/* In a process of its own: no library of it has asked before. */
static void ends(void (*ask)(void))
{
    char said[200] = "";
    int fds[2], status;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        memory_for_libraries();
        ask();
        _exit(99);
    }
    close(fds[1]);
    FILE *words = fdopen(fds[0], "r");
    while (fgets(said, sizeof said, words)) /* the last line: a sanitizer warns before */
        ;
    fclose(words);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_string_equal(said, "lifeboat: out of memory\n");
}

static void libraries_that_get_none_end_the_process(void **state)
{
    (void)state;
    ends(malloc_of_libcrypto);
    ends(zalloc_of_libcrypto);
    ends(realloc_of_libcrypto);
    ends(malloc_of_jansson);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libraries_that_get_none_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
