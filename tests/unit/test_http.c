/* What libcurl could not do was not taken: nobody has heard of it. */
#include "testing.h"

#include "report/http.h"

#include <curl/curl.h>

static const char *fails; /* the call of libcurl's that does */

#define FAILS(type, name, parameters, arguments, value)                    \
    type name parameters                                                   \
    {                                                                      \
        return strcmp(fails, #name) == 0 ? (value) : REAL(name) arguments; \
    }
FAILS(CURLcode, curl_global_init, (long flags), (flags), CURLE_OUT_OF_MEMORY)
FAILS(CURLM *, curl_multi_init, (void), (), NULL)
FAILS(CURL *, curl_easy_init, (void), (), NULL)
FAILS(struct curl_slist *, curl_slist_append, (struct curl_slist * l, const char *s), (l, s), NULL)
FAILS(CURLMcode, curl_multi_add_handle, (CURLM * m, CURL *c), (m, c), CURLM_OUT_OF_MEMORY)
FAILS(CURLMcode, curl_multi_perform, (CURLM * m, int *running), (m, running), CURLM_OUT_OF_MEMORY)

static void what_libcurl_cannot_do_was_not_taken(void **state)
{
    (void)state;
    static const char *const calls[] = {"curl_global_init",  "curl_multi_init",       "curl_easy_init",
                                        "curl_slist_append", "curl_multi_add_handle", "curl_multi_perform"};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct http_post posts[2];
        for (size_t p = 0; p < ARRAY_LEN(posts); p++)
            posts[p] = (struct http_post){
                .url = "http://127.0.0.1:9/", .type = "text/plain", .body = BYTES_STR("news")};
        fails = calls[i];
        http_post_all(posts, ARRAY_LEN(posts), NULL);
        for (size_t p = 0; p < ARRAY_LEN(posts); p++) {
            if (!err_is_set(&posts[p].why))
                fail_msg("%s fails, and the post counts as taken", fails);
            assert_text(posts[p].why, "libcurl");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_libcurl_cannot_do_was_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
