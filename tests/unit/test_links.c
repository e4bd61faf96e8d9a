/* The list of hard links: a disk that gives back other bytes than were written must not cost a file its
 * content. */
#include "testing.h"

#include "source/links.h"

#include <unistd.h>

static const struct stat file = {.st_dev = 1, .st_ino = 2, .st_nlink = 2};

static int meet(struct links *l, char **first, struct err *e)
{
    uint64_t run;
    *e = (struct err)ERR_INIT;
    return links_meet(l, &file, "b", 7, first, &run, e);
}

static void any_changed_byte_is_noticed(void **state)
{
    (void)state;
    char *folder = test_folder();
    AUTO(links) l = LINKS_IN(folder);
    struct err e = ERR_INIT;
    char *first = NULL;
    uint64_t run;
    assert_ok(links_meet(&l, &file, "the/first/one", 5, &first, &run, &e));
    assert_null(first);
    for (uint64_t at = 0; at < l.end; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t was, is;
            assert_int_equal(pread(l.fd, &was, 1, (off_t)at), 1);
            is = (uint8_t)(was ^ (1u << bit));
            assert_int_equal(pwrite(l.fd, &is, 1, (off_t)at), 1);
            assert_int_equal(meet(&l, &first, &e), -1);
            assert_null(first);
            assert_int_equal(e.kind, ERR_IO);
            assert_int_equal(pwrite(l.fd, &was, 1, (off_t)at), 1);
        }
    assert_ok(meet(&l, &first, &e));
    assert_string_equal(first, "the/first/one");
    free(first);
    test_remove(folder);
}

/* They have one number on a file system that has no numbers, or one after the other where numbers are used
 * again. */
static void files_that_differ_are_no_links(void **state)
{
    (void)state;
    char *folder = test_folder();
    struct stat others[] = {file, file, file, file, file};
    others[0].st_size = 1;
    others[1].st_mtim.tv_nsec = 1;
    others[2].st_mode = S_IFREG | 0600;
    others[3].st_uid = 1;
    others[4].st_gid = 1;
    AUTO(links) l = LINKS_IN(folder);
    struct err e = ERR_INIT;
    char *first = NULL;
    uint64_t run;
    assert_ok(links_meet(&l, &file, "a", 1, &first, &run, &e));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_ok(links_meet(&l, &others[i], "b", 1, &first, &run, &e));
        assert_null(first);
    }
    assert_ok(meet(&l, &first, &e));
    assert_string_equal(first, "a");
    free(first);
    test_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_changed_byte_is_noticed),
                                       cmocka_unit_test(files_that_differ_are_no_links)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
