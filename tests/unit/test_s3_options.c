/* Where a bucket is and who we are there: what is refused before the first request, and the files and
 * variables that keys come from. */
#include "testing.h"

#include "store/s3.h"
#include "store/s3_options.h"

#include <sodium.h>
#include <sys/stat.h>

static const struct store_credentials keys = {(char *)"AK", (char *)"verysecret", NULL};

/* ---- addresses ---- */
static void expect_address(const struct store_s3_options *o, const char *url, const char *path,
                           const char *host)
{
    struct err e = ERR_INIT;
    AUTO_PTR(store) s = store_s3_new(o, &e);
    if (!s)
        fail_msg("%s", e.text);
    assert_string_equal(s3_of(s)->url, url);
    assert_string_equal(s3_of(s)->base_path, path);
    assert_string_equal(s3_of(s)->host, host);
}

#define OPTIONS(b, ...) \
    (&(struct store_s3_options){.bucket = b, .credentials = &keys, .spool_dir = "/tmp", __VA_ARGS__})

static void test_addresses(void **state)
{
    (void)state;
    expect_address(OPTIONS("b", .region = NULL), "https://b.s3.us-east-1.amazonaws.com", "",
                   "b.s3.us-east-1.amazonaws.com");
    expect_address(OPTIONS("b", .region = "eu-west-1"), "https://b.s3.eu-west-1.amazonaws.com", "",
                   "b.s3.eu-west-1.amazonaws.com");
    expect_address(OPTIONS("my.b", .region = NULL), "https://s3.us-east-1.amazonaws.com", "/my.b",
                   "s3.us-east-1.amazonaws.com");
    expect_address(OPTIONS("b", .addressing = STORE_ADDRESSING_PATH), "https://s3.us-east-1.amazonaws.com",
                   "/b", "s3.us-east-1.amazonaws.com");
    expect_address(OPTIONS("b", .endpoint = "https://host:443/"), "https://host", "/b", "host");
    expect_address(OPTIONS("b", .endpoint = "host:8443"), "https://host:8443", "/b", "host:8443");
    expect_address(OPTIONS("b", .endpoint = "http://[::1]:80", .insecure = true), "http://[::1]", "/b",
                   "[::1]");
    expect_address(OPTIONS("b", .endpoint = "https://h", .addressing = STORE_ADDRESSING_VIRTUAL),
                   "https://b.h", "", "b.h");
}

static void expect_refusal(const struct store_s3_options *o, const char *text)
{
    struct err e = ERR_INIT;
    AUTO_PTR(store) s = store_s3_new(o, &e);
    assert_null(s);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, text);
}

static void test_refusals(void **state)
{
    (void)state;
    const struct store_credentials token = {keys.access_key, keys.secret_key, (char *)"t"};
    expect_refusal(OPTIONS("b", .endpoint = "http://h"), "use https://, or say insecure = yes");
    expect_refusal(OPTIONS("b", .endpoint = "https://"), "is not https://HOST");
    expect_refusal(OPTIONS("b", .endpoint = "ftp://h"), "is not https://HOST");
    expect_refusal(OPTIONS("b", .endpoint = "https://h/path"), "is not https://HOST");
    expect_refusal(OPTIONS("b", .endpoint = "https://user@h"), "is not https://HOST");
    expect_refusal(OPTIONS("b", .endpoint = "https://h\r\nX: y"), "is not https://HOST");
    expect_refusal(OPTIONS("b", .region = ""), "is not the name of a region");
    expect_refusal(OPTIONS("b", .region = "us east"), "is not the name of a region");
    expect_refusal(OPTIONS("b", .object_lock_days = 40000), "more than 36500 days");
    expect_refusal(OPTIONS("a:b", .endpoint = "https://h", .addressing = STORE_ADDRESSING_VIRTUAL),
                   "set addressing = path");
    expect_refusal(OPTIONS("b", .endpoint = "https://h", .signature = STORE_SIGNATURE_V2),
                   "does not check the server's certificate");
    expect_refusal(OPTIONS("b", .endpoint = "http://h", .signature = STORE_SIGNATURE_V2),
                   "say insecure = yes");
    expect_refusal(OPTIONS("b", .signature = STORE_SIGNATURE_V2, .object_lock_days = 1),
                   "remove object-lock-days");
    struct store_s3_options with_token = *OPTIONS("b", .signature = STORE_SIGNATURE_V2);
    with_token.credentials = &token;
    expect_refusal(&with_token, "no session tokens");
    expect_refusal(OPTIONS("b", .signature = STORE_SIGNATURE_V2, .prefix = "a+b"), "letters, digits");
}

/* ---- credentials ---- */
struct scene {
    char *folder, *file;
};

static int set_up(void **state)
{
    static struct scene s;
    s.folder = test_folder();
    s.file = xasprintf("%s/credentials", s.folder);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    *state = &s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    test_remove(s->folder);
    free(s->file);
    return 0;
}

static void write_file(const struct scene *s, const char *text)
{
    struct err e;
    assert_ok(file_write(s->file, BYTES_STR(text), 0600, false, &e));
}

static void expect_keys(const char *file, const char *access, const char *secret, const char *token)
{
    struct err e;
    AUTO(store_credentials) c = STORE_CREDENTIALS_NONE;
    assert_ok(store_credentials_load(&c, file, &e));
    assert_string_equal(c.access_key, access);
    assert_string_equal(c.secret_key, secret);
    if (token)
        assert_string_equal(c.session_token, token);
    else
        assert_null(c.session_token);
}

static void test_credential_files(void **state)
{
    const struct scene *s = *state;
    write_file(s, "# keys\naccess-key = AK1\nsecret-key = a/b+c=\n");
    expect_keys(s->file, "AK1", "a/b+c=", NULL);
    write_file(s, "  access-key=AK1  \r\n\r\nsecret-key\t=\tS\r\n; x\nsession-token = T==");
    expect_keys(s->file, "AK1", "S", "T==");
    write_file(s, "[other]\naws_access_key_id = no\n[default]\nregion = x\naws_access_key_id = AK2\n"
                  "aws_secret_access_key = S2\naws_session_token = T2\n[more]\naws_secret_access_key = no\n");
    expect_keys(s->file, "AK2", "S2", "T2");
}

static void expect_no_keys(const char *file, const char *text)
{
    struct err e = ERR_INIT;
    AUTO(store_credentials) c = STORE_CREDENTIALS_NONE;
    assert_int_equal(store_credentials_load(&c, file, &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, text);
    assert_null(strstr(e.text, "verysecret"));
    assert_null(c.access_key);
    assert_null(c.secret_key);
}

static void test_bad_credential_files(void **state)
{
    const struct scene *s = *state;
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"", "there is no access-key in it"},
        {"access-key = AK\n", "there is no secret-key in it: it wants access-key = ..."},
        {"secret-key = verysecret\n", "there is no access-key in it"},
        {"AK:verysecret\n", "line 1: is not \"name = value\""},
        {"access-key = AK\nsecret-key = very secret verysecret\n", "line 2: the value holds a blank"},
        {"access-key = AK\nsecret-key =\n", "line 2: the value is missing"},
        {"access-key = A\xc3\xa4\n", "line 1: the value holds a blank or a character that no key has"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_file(s, bad[i].text);
        expect_no_keys(s->file, bad[i].said);
    }
    AUTO(buf) all = BUF_NONE;
    buf_add_str(&all, "access-key = AK\nsecret-key = ");
    for (unsigned i = 0; i < 9000; i++)
        buf_add_u8(&all, 'x');
    write_file(s, buf_cstr(&all));
    expect_no_keys(s->file, "line 2: the value is too long");
    write_file(s, "access-key = AK\nsecret-key = verysecret\n");
    assert_int_equal(chmod(s->file, 0644), 0);
    expect_no_keys(s->file, "chmod");
    expect_no_keys("/nonexistent/credentials", "/nonexistent/credentials");
}

static void test_environment(void **state)
{
    (void)state;
    expect_no_keys(NULL, "name a file with `credentials = FILE`");
    setenv("AWS_ACCESS_KEY_ID", "AK", 1);
    expect_no_keys(NULL, "AWS_SECRET_ACCESS_KEY");
    setenv("AWS_SECRET_ACCESS_KEY", "verysecret\n", 1);
    expect_no_keys(NULL, "AWS_SECRET_ACCESS_KEY holds a blank");
    setenv("AWS_SECRET_ACCESS_KEY", "S", 1);
    setenv("AWS_SESSION_TOKEN", "", 1);
    expect_keys(NULL, "AK", "S", NULL);
    setenv("AWS_SESSION_TOKEN", "T", 1);
    expect_keys(NULL, "AK", "S", "T");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test_setup_teardown(test_credential_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_credential_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_environment, set_up, tear_down),
    };
    assert_true(sodium_init() >= 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
