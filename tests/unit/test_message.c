/* What the webhook gets of a record: which problems are news, and that a message stays small and well formed.
 */
#include "testing.h"

#include "report/message.h"

static void news_are_told_once(void **state)
{
    (void)state;
    AUTO(record) r = {0};
    AUTO(message) none = MESSAGE_NONE, fresh = MESSAGE_NONE, again = MESSAGE_NONE, over = MESSAGE_NONE;
    assert_false(message_make(&none, &r, "box", false));
    record_observe(&r, "backup", "db", "failed:\nno route", 1);
    assert_true(message_make(&fresh, &r, "box", false));
    assert_string_equal(fresh.event, "problem");
    assert_string_equal(buf_cstr(&fresh.text), "problem: backup db: failed: no route");
    record_told(&r);
    record_observe(&r, "backup", "db", "failed: another reason", 2);
    assert_false(message_make(&again, &r, "box", false));
    assert_int_equal(record_standing(&r), 1);
    record_observe(&r, "drill", "db", NULL, 3); /* another command's good news are not this one's */
    record_observe(&r, "backup", "db", NULL, 3);
    assert_int_equal(record_standing(&r), 0);
    assert_true(message_make(&over, &r, "box", false));
    assert_string_equal(over.event, "end");
    record_told(&r);
    assert_int_equal(r.problem_count, 0);
}

static void what_comes_and_goes_untold_is_no_news(void **state)
{
    (void)state;
    AUTO(record) r = {0};
    AUTO(message) m = MESSAGE_NONE;
    record_observe(&r, "backup", "", "stopped", 1);
    record_observe(&r, "backup", "", NULL, 2);
    assert_int_equal(r.problem_count, 0);
    record_observe(&r, "backup", "", "stopped", 3);
    record_told(&r);
    record_observe(&r, "backup", "", NULL, 4); /* its end is not told yet */
    record_observe(&r, "backup", "", "stopped", 5);
    assert_false(message_make(&m, &r, "box", false));
    assert_int_equal(record_standing(&r), 1);
}

/* Whatever the byte is at which it is cut. */
static void a_message_is_small_and_whole(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    for (int pad = 0; pad < 4; pad++) {
        AUTO(record) r = {0};
        AUTO(message) m = MESSAGE_NONE;
        AUTO(buf) out = BUF_NONE;
        AUTO_CHAR text = xasprintf("%.*s \"\\ \x01 \xff", pad, "abcd");
        AUTO(buf) long_text = BUF_NONE;
        for (int i = 0; i < 400; i++)
            buf_add_str(&long_text, "\xd0\xb6");
        record_observe(&r, "backup", "first", text, 1);
        record_observe(&r, "backup", "second", buf_cstr(&long_text), 1);
        record_observe(&r, "backup", "third", buf_cstr(&long_text), 1);
        assert_true(message_make(&m, &r, "b\"ox", true));
        assert_in_range(m.text.n, MESSAGE_MOST - 1, MESSAGE_MOST);
        assert_true(utf8_is_valid((const char *)m.text.p, m.text.n));
        assert_memory_equal(m.text.p + m.text.n - 3, "...", 3);
        assert_ok(message_fill(&m, BYTES(NULL, 0), "b\"ox", 0, &out, &e));
        assert_non_null(strstr(buf_cstr(&out), "\"host\":\"b\\\"ox\""));
    }
}

static void bad_templates_are_refused(void **state)
{
    (void)state;
    AUTO(record) r = {0};
    AUTO(message) m = MESSAGE_NONE;
    static const char *const bad[] = {"", "{", "{\"a\": \"{{\"}", "{\"a\": [\"{{secret}}\"]}",
                                      "{\"a\":1,\"a\":2}"};
    assert_true(message_make(&m, &r, "box", true));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err why = ERR_INIT;
        AUTO(buf) ignored = BUF_NONE;
        assert_int_equal(message_fill(&m, BYTES_STR(bad[i]), "box", 0, &ignored, &why), -1);
        assert_int_equal(why.kind, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_are_told_once),
        cmocka_unit_test(what_comes_and_goes_untold_is_no_news),
        cmocka_unit_test(a_message_is_small_and_whole),
        cmocka_unit_test(bad_templates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
