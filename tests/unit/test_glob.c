/* Globs, as excludes and may-shrink have them. */
#include "testing.h"

static const struct {
    const char *pattern, *path;
    bool hit;
} cases[] = {
    {"*.log", "a/b/c.log", true},
    {"*.log", "c.log", true},
    {"*.log", "c.logs", false},
    {"a/*.log", "a/c.log", true},
    {"a/*.log", "a/b/c.log", false},
    {"/c.log", "c.log", true},
    {"/c.log", "a/c.log", false},
    {"tmp/", "a/tmp", true},
    {"/", "", true},
    {"?.c", "a.c", true},
    {"?.c", "ab.c", false},
    {"a?b/c", "a/b/c", false},
    {"**/tmp", "tmp", true},
    {"**/tmp", "a/b/tmp", true},
    {"**/tmp", "a/btmp", false},
    {"a/**", "a/b/c", true},
    {"a/**", "b/a/c", false},
    {"a/**/z", "a/z", true},
    {"a/**/z", "a/b/c/z", true},
    {"a/**/z", "a/b/cz", false},
    {"**/a*/**/b", "x/ab/c/b", true},
    {"a**z/x", "a/b/z/x", true},
    {"[abc].c", "b.c", true},
    {"[abc].c", "d.c", false},
    {"[a-c]x", "bx", true},
    {"[a-c]x", "dx", false},
    {"[!a-c]x", "dx", true},
    {"[^a-c]x", "bx", false},
    {"[]]x", "]x", true},
    {"[!]]x", "]x", false},
    {"[a-]x", "-x", true},
    {"[a-]x", "bx", false},
    {"a/[!b]c", "a//c", false},
    {"[ab", "[ab", true},
    {"[ab", "a", false},
    {"*[0-9]", "a12", true},
    {"*[0-9]", "a1b", false},
    {"\\*.c", "*.c", true},
    {"\\*.c", "a.c", false},
    {"\\[a]", "[a]", true},
    {"a\\", "a\\", true},
    {"[\x80-\xff]", "\xe9", true},
    {"*a*a*a*a*b", "aaaaaaaa", false},
    {"**/x/**/x/**/y", "x/x/x/x", false},
    {"", "", true},
};

static void each_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (glob_match(cases[i].pattern, cases[i].path) != cases[i].hit)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].path);
}

/* Stars by the hundred, and no match: it ends all the same. */
static void long_ones(void **state)
{
    AUTO(buf) pattern = BUF_NONE, path = BUF_NONE;
    (void)state;
    for (int i = 0; i < 200; i++) {
        buf_add_str(&pattern, "*a**/");
        buf_add_str(&path, "aaaaaaaa/");
    }
    buf_add_str(&pattern, "b");
    assert_false(glob_match(buf_cstr(&pattern), buf_cstr(&path)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_case), cmocka_unit_test(long_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
