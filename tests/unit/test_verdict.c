#include "policy/verdict.h"
#include "testing.h"

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"good", "degraded", "failed"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        enum verdict v;
        assert_string_equal(verdict_name((enum verdict)i), names[i]);
        assert_true(verdict_parse(names[i], &v));
        assert_int_equal(v, i);
    }
}

static void test_other_words(void **state)
{
    (void)state;
    static const char *const words[] = {"", "Good", "goo", "good ", "proven", "0"};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        enum verdict v = VERDICT_DEGRADED;
        assert_false(verdict_parse(words[i], &v));
        assert_int_equal(v, VERDICT_DEGRADED);
    }
}

static void test_worse(void **state)
{
    (void)state;
    assert_int_equal(verdict_worse(VERDICT_GOOD, VERDICT_GOOD), VERDICT_GOOD);
    assert_int_equal(verdict_worse(VERDICT_GOOD, VERDICT_DEGRADED), VERDICT_DEGRADED);
    assert_int_equal(verdict_worse(VERDICT_FAILED, VERDICT_DEGRADED), VERDICT_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_other_words),
        cmocka_unit_test(test_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
