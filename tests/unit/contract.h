/* contract.h - what every store promises, as tests over any of them: CONTRACT(set_up) in a list of tests. */
#ifndef LIFEBOAT_TESTS_CONTRACT_H
#define LIFEBOAT_TESTS_CONTRACT_H

#include "stores.h"

void test_put_and_get(void **state);
void test_put_of_an_existing_name(void **state);
void test_replace(void **state);
void test_put_file(void **state);
void test_limit_of_get(void **state);
void test_ranges(void **state);
void test_ranges_of_many(void **state);
void test_list(void **state);
void test_list_callbacks(void **state);
void test_hostile_names(void **state);
void test_space(void **state);
void test_nothing_is_inherited(void **state);
void test_threads(void **state);

/* clang-format off */
#define CONTRACT(set_up) \
    cmocka_unit_test_setup_teardown(test_put_and_get, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_put_of_an_existing_name, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_replace, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_put_file, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_limit_of_get, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_ranges, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_ranges_of_many, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_list, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_list_callbacks, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_hostile_names, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_space, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_nothing_is_inherited, set_up, tear_down), \
    cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down)
/* clang-format on */

#endif
