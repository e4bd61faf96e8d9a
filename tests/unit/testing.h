/* testing.h - what the unit tests share: cmocka, a temporary folder, seeded bytes, a small repository. */
#ifndef LIFEBOAT_TESTS_TESTING_H
#define LIFEBOAT_TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>

#include "base/file.h"
#include "repo/repo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fails the test with the error's text when the call did not go well. */
#define assert_ok(call)                        \
    do {                                       \
        e = (struct err)ERR_INIT;              \
        if ((call) != 0)                       \
            fail_msg("%s: %s", #call, e.text); \
    } while (0)
#define assert_text(e, part)                                        \
    do {                                                            \
        if (!strstr((e).text, part))                                \
            fail_msg("\"%s\" does not say \"%s\"", (e).text, part); \
    } while (0)

/* The library's function, for one of that name that a test puts in its place. */
#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* A new folder under $TMPDIR or /tmp; the caller removes it with test_remove(). */
char *test_folder(void);
void test_remove(char *path);
const char *tests_folder(void); /* tests/ itself: $TESTS, or from here */
void sleep_ms(uint64_t ms);

/* Waits for the end of the process whose number stands in the file: it is gone, or about to go, as it was
 * killed. */
void test_wait_gone(const char *path);

/* Repeatable bytes: the same seed, the same bytes. Do not compress. */
void test_bytes(struct buf *out, size_t n, uint64_t seed);
uint64_t test_random(uint64_t *state);

/* A repository in memory (or in `store` when given), with all keys. */
struct test_repo {
    char *folder;
    struct store *store;
    struct keyring *keys;
    struct pool *pool;
    struct repo *repo; /* loaded */
};
void test_repo_new(struct test_repo *t, struct store *store);
void test_repo_reload(struct test_repo *t); /* opens and loads anew */
void test_repo_free(struct test_repo *t);

/* Writes one stream in a run of its own; puts a snapshot with it as source "s", stream "data". */
void test_backup(struct test_repo *t, struct bytes data, struct snapshot *out);
/* Reads it back; -1 with *e as the reader says. */
int test_read(struct test_repo *t, const struct stream_info *info, struct buf *out, struct err *e);

extern const struct stream_options test_stream;

#endif
