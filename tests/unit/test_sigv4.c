/* Signature V4 against the examples that AWS publishes, and the encoder. */
#include "testing.h"

#include "codec/digest.h"
#include "store/sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single
 * Chunk". */
static const struct sigv4_key s3_key = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                        "us-east-1", "s3"};
#define S3_DATE_OF_EXAMPLES "20130524T000000Z"
#define HOST                                     \
    {                                            \
        "host", "examplebucket.s3.amazonaws.com" \
    }
#define DATE                              \
    {                                     \
        "x-amz-date", S3_DATE_OF_EXAMPLES \
    }

static void expect_signature(const struct sigv4_request *r, const struct sigv4_key *k, const char *date,
                             const char *expected)
{
    AUTO(buf) out = BUF_NONE;
    sigv4_sign(r, k, date, &out);
    assert_string_equal(buf_cstr(&out), expected);
}

#define SCOPE "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"

static void test_get_with_range(void **state)
{
    (void)state;
    const struct sigv4_header heads[] = {
        HOST, {"x-amz-content-sha256", EMPTY}, DATE, {"range", "bytes=0-9"}}; /* sorted by the signer */
    const struct sigv4_request r = {"GET", "/test.txt", "", heads, ARRAY_LEN(heads), EMPTY};
    expect_signature(&r, &s3_key, S3_DATE_OF_EXAMPLES,
                     SCOPE "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                           "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_put(void **state)
{
    (void)state;
    struct sha sha;
    char hash[SHA_HEX];
    AUTO(buf) path = BUF_NONE;
    sha_of(BYTES_STR("Welcome to Amazon S3."), &sha);
    sha_hex(hash, &sha);
    uri_encode(&path, "/test$file.text", true);
    const struct sigv4_header heads[] = {HOST,
                                         DATE,
                                         {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                                         {"x-amz-content-sha256", hash},
                                         {"date", "Fri, 24 May 2013 00:00:00 GMT"}};
    const struct sigv4_request r = {"PUT", buf_cstr(&path), "", heads, ARRAY_LEN(heads), hash};
    expect_signature(&r, &s3_key, S3_DATE_OF_EXAMPLES,
                     SCOPE "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
                           "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void expect_bucket_request(struct query *q, const char *signature)
{
    AUTO(buf) query = BUF_NONE;
    query_write(q, &query);
    const struct sigv4_header heads[] = {HOST, {"x-amz-content-sha256", EMPTY}, DATE};
    const struct sigv4_request r = {"GET", "/", buf_cstr(&query), heads, ARRAY_LEN(heads), EMPTY};
    AUTO_CHAR expected =
        xasprintf(SCOPE "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s", signature);
    expect_signature(&r, &s3_key, S3_DATE_OF_EXAMPLES, expected);
}

static void test_bucket_lifecycle(void **state)
{
    (void)state;
    AUTO(query) q = QUERY_NONE;
    query_add(&q, "lifecycle", "");
    expect_bucket_request(&q, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void test_list_objects(void **state)
{
    (void)state;
    AUTO(query) q = QUERY_NONE;
    query_add(&q, "prefix", "J");
    query_add(&q, "max-keys", "2");
    expect_bucket_request(&q, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* aws-sig-v4-test-suite: get-vanilla, get-vanilla-query-order-key-case, post-vanilla. */
static void test_suite_of_aws(void **state)
{
    (void)state;
    static const struct sigv4_key key = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                         "us-east-1", "service"};
    static const struct {
        const char *method;
        bool query;
        const char *signature;
    } cases[] = {{"GET", false, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
                 {"GET", true, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
                 {"POST", false, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"}};
    const struct sigv4_header heads[] = {{"x-amz-date", "20150830T123600Z"},
                                         {"host", "example.amazonaws.com"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(query) q = QUERY_NONE;
        AUTO(buf) query = BUF_NONE;
        if (cases[i].query) {
            query_add(&q, "Param2", "value2");
            query_add(&q, "Param1", "value1");
        }
        query_write(&q, &query);
        const struct sigv4_request r = {cases[i].method,  "/",  buf_cstr(&query), heads,
                                        ARRAY_LEN(heads), EMPTY};
        AUTO_CHAR expected =
            xasprintf("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
                      "SignedHeaders=host;x-amz-date,Signature=%s",
                      cases[i].signature);
        expect_signature(&r, &key, "20150830T123600Z", expected);
    }
}

static void test_encoder(void **state)
{
    (void)state;
    AUTO(buf) out = BUF_NONE;
    uri_encode(&out, "aZ09-._~ /+%\xc3\xa4!*'()", true);
    assert_string_equal(buf_cstr(&out), "aZ09-._~%20/%2B%25%C3%A4%21%2A%27%28%29");
    out.n = 0;
    uri_encode(&out, "a/b=c&d", false);
    assert_string_equal(buf_cstr(&out), "a%2Fb%3Dc%26d");
}

/* By name first: "a-b" comes behind "a" although '-' comes before '='. */
static void test_query_order(void **state)
{
    (void)state;
    AUTO(query) q = QUERY_NONE;
    AUTO(buf) out = BUF_NONE;
    query_add(&q, "uploads", "");
    query_add(&q, "a-b", "1");
    query_add(&q, "a", "2");
    query_add(&q, "a", "1/2");
    query_add(&q, "Z", "+ ");
    query_write(&q, &out);
    assert_string_equal(buf_cstr(&out), "Z=%2B%20&a=1%2F2&a=2&a-b=1&uploads=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_with_range),   cmocka_unit_test(test_put),
        cmocka_unit_test(test_bucket_lifecycle), cmocka_unit_test(test_list_objects),
        cmocka_unit_test(test_suite_of_aws),     cmocka_unit_test(test_encoder),
        cmocka_unit_test(test_query_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
