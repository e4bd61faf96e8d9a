/* The end of memory is the end of the process, and its words are on stderr: also where a library asks for it.
 */
#include "testing.h"

#include "config/parsing.h"
#include "drill/cage.h"
#include "source/pg_client.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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

/* ---- libraries that say of it what they say of other things ---- */
static int fails; /* with this errno; 0: nothing does */
static int glob_says;
static const char *libpq_says;

struct passwd *getpwnam(const char *name)
{
    errno = fails;
    return fails ? NULL : REAL(getpwnam)(name);
}

struct passwd *getpwuid(uid_t uid)
{
    errno = fails;
    return fails ? NULL : REAL(getpwuid)(uid);
}

int glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)
{
    if (!fails)
        return REAL(glob)(pattern, flags, failed, found);
    *found = (glob_t){0};
    assert_non_null(failed); /* or it goes on */
    assert_int_equal(failed("somewhere", fails) != 0, fails != ENOENT);
    errno = fails;
    return glob_says;
}

char *realpath(const char *path, char *to)
{
    errno = fails;
    return fails ? NULL : REAL(realpath)(path, to);
}

PQconninfoOption *PQconninfoParse(const char *text, char **why)
{
    if (!fails)
        return REAL(PQconninfoParse)(text, why);
    *why = libpq_says ? xstrdup(libpq_says) : NULL;
    return NULL;
}

static void look_up_a_user(void)
{
    struct err e = ERR_INIT;
    fails = ENOMEM;
    cage_find_user(&e);
}

static void read_a_connection(void)
{
    struct err e = ERR_INIT;
    fails = ENOMEM;
    PQconninfoFree(pg_connection_read("dbname=x", &e));
}

static void read_a_connection_that_says_so(void)
{
    libpq_says = "out of memory\n";
    read_a_connection();
}

static void look_for_a_password(void)
{
    fails = ENOMEM;
    connection_has_password("dbname=x");
}

static void find_program(const char *path)
{
    struct err e = ERR_INIT;
    int major;
    fails = ENOMEM;
    free(pg_find_program("/nowhere", path, "env", 15, &major, &e));
}

static void list_programs(void)
{
    glob_says = GLOB_NOSPACE;
    find_program("");
}

static void read_a_folder_of_programs(void)
{
    glob_says = GLOB_ABORTED;
    find_program("");
}

static void follow_a_program(void)
{
    glob_says = GLOB_NOMATCH;
    find_program("/usr/bin");
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

static void what_says_the_same_of_it_ends_the_process(void **state)
{
    (void)state;
    ends(look_up_a_user);
    ends(read_a_connection);
    ends(read_a_connection_that_says_so);
    ends(look_for_a_password);
    ends(list_programs);
    ends(read_a_folder_of_programs);
    ends(follow_a_program);
}

static void other_failures_are_told(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    int major;
    fails = EIO;
    assert_null(cage_find_user(&e));
    assert_text(e, "looking up the user of scratch servers: Input/output error");
    fails = ENOENT;
    e = (struct err)ERR_INIT;
    assert_null(cage_find_user(&e));
    assert_false(err_is_set(&e));
    fails = EMFILE;
    glob_says = GLOB_ABORTED;
    assert_null(pg_find_program("/nowhere", "", "pg_dump", 15, &major, &e));
    assert_text(e, "looking for pg_dump in /nowhere: Too many open files");
    fails = ENOENT;
    glob_says = GLOB_NOMATCH;
    e = (struct err)ERR_INIT;
    assert_null(pg_find_program("/nowhere", "", "pg_dump", 15, &major, &e));
    assert_text(e, "no pg_dump here");
    fails = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_says_the_same_of_it_ends_the_process),
        cmocka_unit_test(other_failures_are_told),
        cmocka_unit_test(libraries_that_get_none_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
