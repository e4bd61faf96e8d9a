/* Buckets of a real Ceph object store: pages, versions, locks, limits, and what is said when keys, names or
 * certificates are wrong. */
#include "buckets.h"
#include "codec/digest.h"
#include "store/s3.h"

#include <unistd.h>

#define DAY  (86400ll * 1000000000)
#define HOUR (3600ll * 1000000000)

/* ---- listings of several pages ---- */
static void expect_pages(const struct store_s3_options *o, uint64_t list_requests)
{
    struct err e;
    struct found f = {0};
    struct store_counts counts;
    AUTO_PTR(store) s = bucket_open(o);
    assert_ok(store_list(s, "packs/", find, &f, NULL, &e));
    assert_int_equal(f.lines.n, 1005);
    for (size_t i = 0; i < f.lines.n; i++) {
        AUTO_CHAR expected = xasprintf("packs/%04zu 1", i);
        assert_string_equal(f.lines.v[i], expected);
    }
    strings_free(&f.lines);
    store_counts(s, &counts);
    assert_int_equal(counts.of[STORE_LIST].requests, list_requests);
}

static void test_pages(void **state)
{
    (void)state;
    AUTO_CHAR bucket = bucket_new(PLAIN);
    struct store_s3_options o = bucket_options(bucket);
    {
        AUTO_PTR(store) s = bucket_open(&o);
        for (unsigned i = 0; i < 1005; i++) {
            AUTO_CHAR name = xasprintf("packs/%04u", i);
            put(s, name, "x");
        }
    }
    expect_pages(&o, 2);
    o.signature = STORE_SIGNATURE_V2;
    expect_pages(&o, 2);
}

/* ---- what is asked and moved ---- */
static void expect_count(struct store *s, enum store_class class, uint64_t requests, uint64_t up,
                         uint64_t down)
{
    struct store_counts c;
    store_counts(s, &c);
    if (c.of[class].requests != requests || c.of[class].bytes_up != up || c.of[class].bytes_down != down)
        fail_msg("%s: %llu requests, %llu bytes up, %llu down", store_class_name(class),
                 (unsigned long long)c.of[class].requests, (unsigned long long)c.of[class].bytes_up,
                 (unsigned long long)c.of[class].bytes_down);
}

static void test_counts(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    uint64_t size;
    char c[4];
    AUTO(buf) out = BUF_NONE;
    put(s, "index/a", "12345");
    expect_count(s, STORE_PUT, 1, 5, 0);
    assert_ok(store_get(s, "index/a", 10, &out, &e));
    assert_ok(store_get_range(s, "index/a", 1, c, 4, &e));
    expect_count(s, STORE_GET, 2, 0, 9);
    assert_ok(store_size(s, "index/a", &size, &e));
    expect_count(s, STORE_HEAD, 1, 0, 0);
    expect_list(s, "", "index/a 5");
    expect_count(s, STORE_PUT, 1, 5, 0);
    assert_ok(store_delete(s, "index/a", &e));
    expect_count(s, STORE_DELETE, 1, 0, 0);
}

static double seconds_of(int (*move)(struct store *, struct err *), struct store *s)
{
    struct err e;
    uint64_t start = time_monotonic_ns();
    assert_ok(move(s, &e));
    return (double)(time_monotonic_ns() - start) / 1e9;
}

static int put_half(struct store *s, struct err *e)
{
    AUTO(buf) data = BUF_NONE;
    test_bytes(&data, 512 << 10, 3);
    return store_put(s, "half", buf_bytes(&data), e);
}

static int get_half(struct store *s, struct err *e)
{
    AUTO(buf) data = BUF_NONE;
    return store_get(s, "half", 512 << 10, &data, e);
}

static void expect_limits(enum store_signature signature)
{
    AUTO_CHAR bucket = bucket_new(PLAIN);
    struct store_s3_options o = bucket_options(bucket);
    o.signature = signature;
    o.limit_up = 1 << 20;
    o.limit_down = 2 << 20;
    AUTO_PTR(store) s = bucket_open(&o);
    double up = seconds_of(put_half, s), down = seconds_of(get_half, s);
    assert_true(up > 0.4 && down > 0.18); /* less than half and a quarter: the first piece goes at once */
}

static void test_limits(void **state)
{
    (void)state;
    expect_limits(STORE_SIGNATURE_V4);
    expect_limits(STORE_SIGNATURE_V2);
}

static long peak_kib(void)
{
    struct err e;
    AUTO(buf) text = BUF_NONE;
    assert_ok(file_read("/proc/self/status", 1 << 16, &text, &e));
    const char *at = strstr(buf_cstr(&text), "VmHWM:");
    assert_non_null(at);
    return strtol(at + 6, NULL, 10);
}

/* A pack goes from its file to the line: it is never held as a whole. */
static void test_memory(void **state)
{
    struct store *s = store_of(state);
    struct err e;
    const uint64_t size = 64 << 20;
    AUTO_FD fd = store_tempfile(s, &e);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    put(s, "warm", "up");
    long before = peak_kib();
    assert_ok(store_put_file(s, "packs/big", fd, size, &e));
    assert_true(peak_kib() - before < 8 << 10);
}

/* ---- what is said ---- */
static void expect_refused(const struct store_s3_options *o, const char *text)
{
    struct err e = ERR_INIT;
    AUTO_PTR(store) s = store_retry_new(bucket_open(o), NULL);
    uint64_t start = time_monotonic_ns();
    assert_int_equal(store_put(s, "index/a", BYTES_STR("x"), &e), STORE_FAILED);
    assert_true(time_monotonic_ns() - start < 10ull * 1000000000); /* not tried again */
    assert_text(e, text);
    assert_text(e, ": put index/a: ");
    assert_null(strstr(e.text, ceph.keys.secret_key));
    e = (struct err)ERR_INIT;
    assert_int_equal(store_list(s, "", find, NULL, NULL, &e), STORE_FAILED);
    assert_text(e, text);
}

static void test_messages(void **state)
{
    (void)state;
    AUTO_CHAR bucket = bucket_new(PLAIN);
    struct store_credentials c = ceph.keys;
    struct store_s3_options o = bucket_options(bucket);
    o.credentials = &c;
    for (unsigned v2 = 0; v2 < 2; v2++) {
        o.signature = v2 ? STORE_SIGNATURE_V2 : STORE_SIGNATURE_V4;
        c = (struct store_credentials){ceph.keys.access_key, ceph.other.secret_key, NULL};
        expect_refused(&o, "SignatureDoesNotMatch (the secret key is wrong: check the credentials)");
        c.access_key = (char *)"NOBODY";
        expect_refused(
            &o, "InvalidAccessKeyId (the server does not know this access key: check the credentials)");
        c = ceph.other;
        expect_refused(&o, "AccessDenied (the access key may not do this: look at its permissions");
        c = ceph.keys;
        o.bucket = "missing";
        expect_refused(&o, "NoSuchBucket (make the bucket, or correct its name in the url)");
        o.bucket = bucket;
    }
    o.signature = STORE_SIGNATURE_V4;
    o.endpoint = ceph.https;
    expect_refused(&o, "the server's certificate is not trusted: check the endpoint");
    o.ca_file = "/nonexistent/ca.pem";
    expect_refused(&o, "/nonexistent/ca.pem");
}

/* ---- versions ---- */

/* As a person at a console deletes: a marker is all that comes of it. */
static void hide(const char *bucket, const char *name)
{
    struct err e;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    const struct store_s3_options o = bucket_options(bucket);
    AUTO_PTR(store) s = bucket_open(&o);
    const struct s3_request r = {.class = STORE_DELETE, .method = "DELETE", .name = name};
    assert_ok(s3_send(s3_of(s), &r, &reply, &e));
}

static void expect_versions(const char *bucket, const char *name, const char *expected)
{
    AUTO_CHAR is = bucket_versions(bucket, name);
    assert_string_equal(is, expected);
}

static void test_hidden_objects(void **state)
{
    (void)state;
    struct err e;
    char c[3];
    AUTO_CHAR bucket = bucket_new(VERSIONED);
    const struct store_s3_options o = bucket_options(bucket);
    AUTO_PTR(store) s = bucket_open(&o);
    AUTO(buf) out = BUF_NONE;
    put(s, "index/a", "12345");
    put(s, "index/ab", "other");
    hide(bucket, "index/a");
    expect_versions(bucket, "index/a", "mvv");
    expect(s, "index/a", "12345");
    assert_ok(store_get_range(s, "index/a", 2, c, 3, &e));
    assert_memory_equal(c, "345", 3);
    assert_ok(s3_get_version(s, "index/a", 0, 10, &out, &e));
    assert_int_equal(s3_get_version(s, "index/a", 1, 10, &out, &e), STORE_ABSENT);
    expect_list(s, "", "index/ab 5");
    assert_int_equal(store_delete(s, "index/a", &e), STORE_DONE);
    expect_versions(bucket, "index/a", "v"); /* index/ab's */
    expect_absent(s, "index/a");
    assert_int_equal(store_delete(s, "index/a", &e), STORE_ABSENT);
    expect(s, "index/ab", "other");
}

/* What store_mended() says of one name. */
static bool is_mended(struct store *s, const char *name)
{
    AUTO(strings) all = STRINGS_NONE;
    store_mended(s, &all);
    assert_true(all.n <= 1);
    return strings_has(&all, name);
}

/* What does not match its name is looked for among the older versions. */
static void test_damaged_object(void **state)
{
    (void)state;
    struct err e;
    struct sha sha;
    char hex[SHA_HEX];
    AUTO_CHAR bucket = bucket_new(VERSIONED);
    const struct store_s3_options o = bucket_options(bucket);
    AUTO_PTR(store) s = bucket_open(&o);
    AUTO(buf) out = BUF_NONE;
    sha_of(BYTES_STR("right"), &sha);
    sha_hex(hex, &sha);
    AUTO_CHAR name = xasprintf("index/%s", hex);
    put(s, name, "right");
    assert_ok(store_replace(s, name, BYTES_STR("wrong"), &e));
    assert_ok(store_replace(s, name, BYTES_STR("worse!"), &e));
    expect_versions(bucket, name, "vvv");
    assert_false(is_mended(s, name));
    assert_ok(store_get(s, name, 10, &out, &e));
    assert_string_equal(buf_cstr(&out), "right");
    assert_ok(store_get(s, name, 10, &out, &e));
    assert_true(is_mended(s, name));
    assert_ok(s3_get_version(s, name, 1, 10, &out, &e));
    assert_string_equal(buf_cstr(&out), "wrong");
    assert_int_equal(s3_get_version(s, name, 3, 10, &out, &e), STORE_ABSENT);
    char range[4] = "";
    assert_ok(store_get_older(s, name, 2, 1, range, 3, &e));
    assert_string_equal(range, "igh");
    assert_int_equal(store_get_older(s, name, 2, 4, range, 3, &e), STORE_FAILED); /* it ends before */
    assert_int_equal(e.kind, ERR_DAMAGED);
    assert_int_equal(store_get_older(s, name, 3, 0, range, 3, &e), STORE_ABSENT);
    hide(bucket, name); /* and hidden besides */
    assert_ok(store_get(s, name, 10, &out, &e));
    assert_string_equal(buf_cstr(&out), "right");
    assert_ok(store_replace(s, name, BYTES_STR("more than it may be"), &e));
    assert_ok(store_get(s, name, 10, &out, &e));
    assert_string_equal(buf_cstr(&out), "right");
    assert_true(is_mended(s, name));
    put(s, name, "right"); /* on top again */
    expect(s, name, "right");
    assert_false(is_mended(s, name));
    hide(bucket, name);
    expect(s, name, "right");
    assert_true(is_mended(s, name));
    assert_int_equal(store_delete(s, name, &e), STORE_DONE);
    expect_versions(bucket, name, "");
}

static void allow_other(const char *bucket, const char *actions)
{
    AUTO_CHAR policy =
        xasprintf("{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
                  "[\"arn:aws:iam:::user/test2\"]},\"Action\":[%s],\"Resource\":[\"arn:aws:s3:::%s\","
                  "\"arn:aws:s3:::%s/*\"]}]}",
                  actions, bucket, bucket);
    bucket_set(bucket, "policy", policy);
}

/* A key that may delete, but no versions: it frees nothing, and that is not called a deletion. */
static void test_keys_that_may_less(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO_CHAR bucket = bucket_new(VERSIONED);
    struct store_s3_options o = bucket_options(bucket);
    o.credentials = &ceph.other;
    AUTO_PTR(store) s = bucket_open(&o);
#define ADD \
    "\"s3:PutObject\",\"s3:GetObject\",\"s3:GetObjectVersion\",\"s3:ListBucket\",\"s3:ListBucketVersions\","
    allow_other(bucket, ADD "\"s3:GetBucketVersioning\"");
    put(s, "index/a", "12345");
    assert_int_equal(store_delete(s, "index/a", &e), STORE_FAILED);
    assert_text(e, ": delete index/a: HTTP 403 AccessDenied (the access key may not do this");
    expect_versions(bucket, "index/a", "v");
    allow_other(bucket, ADD "\"s3:DeleteObject\"");
    assert_int_equal(store_delete(s, "index/a", &e), STORE_HIDDEN);
    expect_versions(bucket, "index/a", "mv");
    AUTO_PTR(store) fresh = bucket_open(&o); /* may not ask for versioning, and learns it from the marker */
    put(fresh, "index/b", "1");
    assert_int_equal(store_delete(fresh, "index/b", &e), STORE_HIDDEN);
}

/* ---- locks ---- */
static int64_t retained(struct store *s, const char *name)
{
    struct err e;
    int64_t until = -1;
    assert_ok(store_retention(s, name, &until, &e));
    return until;
}

static void test_locks(void **state)
{
    (void)state;
    struct err e;
    int64_t now = time_now_ns();
    AUTO_CHAR bucket = bucket_new(LOCKED);
    struct store_s3_options o = bucket_options(bucket);
    AUTO_PTR(store) plain = bucket_open(&o);
    put(plain, "index/free", "1");
    assert_int_equal(retained(plain, "index/free"), 0);
    assert_int_equal(store_delete(plain, "index/free", &e), STORE_DONE);
    o.object_lock_days = 2;
    AUTO_PTR(store) s = store_retry_new(bucket_open(&o), NULL);
    put(s, "index/a", "12345");
    put(s, "index/b", "12345");
    expect_count(s, STORE_HEAD, 1, 0, 0); /* read back once */
    assert_true(llabs(retained(s, "index/a") - now - 2 * DAY) < HOUR);
    assert_int_equal(store_delete(s, "index/a", &e), STORE_RETAINED);
    expect(s, "index/a", "12345");
    assert_ok(store_extend(s, "index/a", now + 5 * DAY, &e));
    assert_true(llabs(retained(s, "index/a") - now - 5 * DAY) < HOUR);
    assert_ok(store_extend(s, "index/a", now + 3 * DAY, &e));
    assert_true(llabs(retained(s, "index/a") - now - 5 * DAY) < HOUR);
    assert_true(llabs(retained(s, "index/b") - now - 2 * DAY) < HOUR);
    int64_t until;
    assert_int_equal(store_extend(s, "index/none", now + DAY, &e), STORE_ABSENT);
    assert_int_equal(store_retention(s, "index/none", &until, &e), STORE_ABSENT);
    hide(bucket, "index/b");
    assert_int_equal(store_delete(s, "index/b", &e), STORE_RETAINED);
    expect(s, "index/b", "12345");
}

static void test_bucket_without_locks(void **state)
{
    (void)state;
    AUTO_CHAR plain = bucket_new(PLAIN);
    AUTO_CHAR versioned = bucket_new(VERSIONED);
    for (unsigned i = 0; i < 2; i++) {
        struct err e = ERR_INIT;
        struct store_s3_options o = bucket_options(i ? versioned : plain);
        o.object_lock_days = 2;
        AUTO_PTR(store) s = store_retry_new(bucket_open(&o), NULL);
        assert_int_equal(store_put(s, "index/a", BYTES_STR("1"), &e), STORE_FAILED);
        assert_text(e, "Object Lock");
        o.object_lock_days = 0;
        AUTO_PTR(store) without = store_retry_new(bucket_open(&o), NULL);
        put(without, "index/a", "1");
        e = (struct err)ERR_INIT;
        assert_int_equal(store_extend(without, "index/a", time_now_ns() + DAY, &e), STORE_FAILED);
        assert_text(e, ": lock index/a: ");
        assert_text(e, "the bucket has no Object Lock");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test_setup_teardown(test_counts, set_up_s3, tear_down),
        cmocka_unit_test_setup_teardown(test_counts, set_up_s3v2, tear_down),
        cmocka_unit_test(test_limits),
        cmocka_unit_test_setup_teardown(test_memory, set_up_s3, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up_s3v2, tear_down),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_hidden_objects),
        cmocka_unit_test(test_damaged_object),
        cmocka_unit_test(test_keys_that_may_less),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_bucket_without_locks),
    };
    ceph_up();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ceph_down();
    return failed;
}
