/* What S3 servers write: listings, errors, settings; whole, cut off, wrong and hostile. */
#include "testing.h"

#include "store/s3.h"
#include "store/s3_reply.h"
#include "store/s3_xml.h"

static const char listing[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a > b -->\n"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix/>"
    "<IsTruncated>true</IsTruncated><NextContinuationToken>1/a&#43;b==</NextContinuationToken>"
    "<Contents><Key>packs/00/&lt;a&amp;b&#x3e;</Key><LastModified>2026-03-01T02:03:04.000Z</LastModified>"
    "<ETag>&quot;5d41&quot;</ETag><Size>17</Size><Owner><ID>o</ID><Size>99</Size></Owner></Contents>"
    "<Contents><Key><![CDATA[index/<b>]]></Key><Size>0</Size><LastModified>2026-03-01T02:03:05Z</LastModified>"
    "</Contents>"
    "<CommonPrefixes><Prefix>x</Prefix></CommonPrefixes></ListBucketResult>\n";

static void test_page(void **state)
{
    (void)state;
    AUTO(s3_page) p = S3_PAGE_NONE;
    assert_true(s3_page_parse(BYTES_STR(listing), &p));
    assert_int_equal(p.n, 2);
    assert_string_equal(p.v[0].key, "packs/00/<a&b>");
    assert_int_equal(p.v[0].size, 17);
    assert_int_equal(p.v[0].mtime_ns, 1772330584ll * 1000000000);
    assert_string_equal(p.v[1].key, "index/<b>");
    assert_int_equal(p.v[1].size, 0);
    assert_true(p.truncated);
    assert_string_equal(p.next, "1/a+b==");
}

/* A listing that ends anywhere is none: half of one must never pass for the whole. */
static void test_cut_off_page(void **state)
{
    (void)state;
    size_t end = strlen(listing) - 1; /* the newline */
    for (size_t n = 0; n < end; n++) {
        AUTO(s3_page) p = S3_PAGE_NONE;
        if (s3_page_parse(BYTES(listing, n), &p))
            fail_msg("a listing cut off after %zu bytes of %zu was taken", n, end);
    }
}

static void test_versions(void **state)
{
    (void)state;
    AUTO(s3_page) p = S3_PAGE_NONE;
    assert_true(s3_page_parse(
        BYTES_STR("<a:ListVersionsResult xmlns:a='x>y'><a:IsTruncated>false</a:IsTruncated>"
                  "<a:DeleteMarker><a:Key>k</a:Key><a:VersionId>v2</a:VersionId><a:IsLatest>true</a:IsLatest>"
                  "</a:DeleteMarker><a:Version><a:Key>k</a:Key><a:VersionId>v1</a:VersionId><a:IsLatest>false"
                  "</a:IsLatest><a:Size>5</a:Size></a:Version></a:ListVersionsResult>"),
        &p));
    assert_int_equal(p.n, 2);
    assert_true(p.v[0].marker && p.v[0].latest && !p.v[1].marker && !p.v[1].latest);
    assert_string_equal(p.v[1].version, "v1");
    assert_false(p.truncated);
}

static void test_wrong_pages(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "hello",
        "<html><body>Welcome</body></html>",
        "<Error><Code>SlowDown</Code></Error>",
        "<ListBucketResult><Contents></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>99999999999999999999999</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><LastModified>today</LastModified></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a&#0;b</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a&b;</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a&#x110000;</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Keys></Contents></ListBucketResult>",
        "<ListBucketResult/><ListBucketResult/>",
        "<ListBucketResult/>more",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult/>",
        "<ListBucketResult><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></ListBucketResult>",
        "</ListBucketResult>",
        "<>",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        AUTO(s3_page) p = S3_PAGE_NONE;
        if (s3_page_parse(BYTES_STR(wrong[i]), &p))
            fail_msg("was taken: %s", wrong[i]);
    }
    AUTO(s3_page) empty = S3_PAGE_NONE;
    assert_true(s3_page_parse(BYTES_STR("<ListBucketResult/>"), &empty));
    assert_int_equal(empty.n, 0);
}

static void test_errors(void **state)
{
    (void)state;
    AUTO(s3_error_text) t = S3_ERROR_TEXT_NONE;
    assert_true(
        s3_error_parse(BYTES_STR("<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please\x1b[2J"
                                 " wait &amp; see</Message><Region>eu-west-1</Region></Error>"),
                       &t));
    assert_string_equal(t.code, "SlowDown");
    assert_string_equal(t.message, "Please\\x1b[2J wait & see");
    assert_string_equal(t.region, "eu-west-1");
    assert_null(t.endpoint);
    AUTO(s3_error_text) none = S3_ERROR_TEXT_NONE;
    assert_false(s3_error_parse(BYTES_STR("<html>no</html>"), &none));
    assert_false(s3_error_parse(BYTES_STR(""), &none));
    assert_null(none.code);
    AUTO(s3_error_text) cut = S3_ERROR_TEXT_NONE; /* what there is of one helps */
    assert_true(s3_error_parse(BYTES_STR("<Error><Code>AccessDenied</Code><Mess"), &cut));
    assert_string_equal(cut.code, "AccessDenied");
}

static void test_settings(void **state)
{
    (void)state;
    static const char on[] =
        "<VersioningConfiguration xmlns=\"x\"><Status>Enabled</Status></VersioningConfiguration>";
    assert_true(s3_setting_is(BYTES_STR(on), "VersioningConfiguration/Status", "Enabled"));
    assert_false(s3_setting_is(BYTES_STR(on), "VersioningConfiguration/Status", "Suspended"));
    assert_false(s3_setting_is(BYTES(on, strlen(on) - 1), "VersioningConfiguration/Status", "Enabled"));
    assert_false(s3_setting_is(BYTES_STR(listing), "VersioningConfiguration/Status", "Enabled"));
}

static void test_dates(void **state)
{
    (void)state;
    const struct {
        const char *date;
        int64_t ns;
    } cases[] = {
        {"Sun, 01 Mar 2026 02:03:04 GMT", 1772330584ll * 1000000000},
        {"Fri, 31 Dec 9999 23:59:59 GMT",
         7258118400ll * 1000000000}, /* not the past, as it would overflow to */
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"yesterday", 0},
        {"", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct s3_reply r = {.header[S3_DATE] = (char *)cases[i].date};
        assert_int_equal(s3_reply_time(&r), cases[i].ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),     cmocka_unit_test(test_cut_off_page),
        cmocka_unit_test(test_versions), cmocka_unit_test(test_wrong_pages),
        cmocka_unit_test(test_errors),   cmocka_unit_test(test_settings),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
