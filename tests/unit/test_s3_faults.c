/* A server that does wrong what servers and networks do wrong: every case ends well after some tries, or in a
 * message that says what was done, to what, what came, and what helps, in a stated time. */
#include "stores.h"

#include "base/child.h"
#include "codec/digest.h"

#include <signal.h>
#include <sodium.h>
#include <unistd.h>

static struct child server;
static char *endpoint, *folder;
static struct store_credentials keys = {(char *)"AK", (char *)"verysecret", NULL};

/* ---- the server ---- */
static void start(void)
{
    struct err e = ERR_INIT;
    char port[16] = "";
    AUTO_CHAR script = xasprintf("%s/lib/s3_faults.py", tests_folder());
    const char *const argv[] = {"python3", script, NULL};
    const struct child_options o = {.argv = argv, .in = CHILD_PIPE, .out = CHILD_PIPE};
    signal(SIGPIPE, SIG_IGN);
    unsetenv("http_proxy");
    assert_true(sodium_init() >= 0);
    folder = test_folder();
    assert_ok(child_start(&server, &o, &e));
    for (size_t n = 0; n < sizeof port - 1 && (n == 0 || port[n - 1] != '\n'); n++)
        assert_int_equal(fd_read(server.out, port + n, 1, "port", &e), 1);
    endpoint = xasprintf("http://127.0.0.1:%lu", strtoul(port, NULL, 10));
}

static void stop(void)
{
    child_free(&server);
    free(endpoint);
    test_remove(folder);
}

static struct store_s3_options options(const char *bucket)
{
    return (struct store_s3_options){.bucket = bucket,
                                     .endpoint = endpoint,
                                     .credentials = &keys,
                                     .insecure = true,
                                     .timeout_s = 1,
                                     .spool_dir = folder};
}

static struct store *open_retried(const struct store_s3_options *o, unsigned limit_ms)
{
    struct err e = ERR_INIT;
    const struct store_retry_options r = {
        .first_limit_ms = limit_ms, .limit_ms = limit_ms, .pause_ms = 20, .longest_pause_ms = 200};
    struct store *s = store_s3_new(o, &e);
    if (!s)
        fail_msg("%s", e.text);
    return store_retry_new(s, &r);
}

/* ---- one object's life: what it is named for is checked when it is read ---- */
#define SIZE 300000
static struct buf object = BUF_NONE;
static char name[80];

static int put_object(struct store *s, struct err *e)
{
    return store_put(s, name, buf_bytes(&object), e);
}

static int put_object_file(struct store *s, struct err *e)
{
    AUTO_FD fd = store_tempfile(s, e);
    if (fd < 0 || fd_write_all(fd, buf_bytes(&object), "spool", e))
        return -1;
    return store_put_file(s, name, fd, object.n, e);
}

/* A disk changes a byte of a pack that waits there to be sent. */
static int put_spoiled_file(struct store *s, struct err *e)
{
    AUTO_FD fd = store_tempfile(s, e);
    if (fd < 0 || fd_write_all(fd, buf_bytes(&object), "spool", e) ||
        fd_pwrite_all(fd, BYTES_STR("!"), SIZE / 2, "spool", e))
        return -1;
    return store_put_file(s, name, fd, object.n, e);
}

static int get_object(struct store *s, struct err *e)
{
    AUTO(buf) out = BUF_NONE;
    int rc = store_get(s, name, SIZE, &out, e);
    if (rc == STORE_DONE && (out.n != object.n || memcmp(out.p, object.p, out.n) != 0))
        return err_set(e, ERR_DAMAGED, "other bytes were read");
    return rc;
}

static int get_part(struct store *s, struct err *e)
{
    char out[1000];
    int rc = store_get_range(s, name, 5000, out, sizeof out, e);
    if (rc == STORE_DONE && memcmp(out, object.p + 5000, sizeof out) != 0)
        return err_set(e, ERR_DAMAGED, "other bytes were read");
    return rc;
}

static int look(struct store *s, struct err *e)
{
    uint64_t size = 0;
    int rc = store_size(s, name, &size, e);
    return rc == STORE_DONE && size != SIZE ? err_set(e, ERR_DAMAGED, "another size was read") : rc;
}

static int count(void *ctx, const struct store_object *o, struct err *e)
{
    unsigned *n = ctx;
    AUTO_CHAR expected = xasprintf("packs/%05u", *n);
    if (strcmp(o->name, expected) != 0 || o->size != 1)
        return err_set(e, ERR_DAMAGED, "%s comes where %s should", o->name, expected);
    ++*n;
    return 0;
}

static int list(struct store *s, struct err *e)
{
    unsigned n = 0;
    int64_t now;
    int rc = store_list(s, "packs/", count, &n, &now, e);
    return rc == STORE_DONE && n != 10000 ? err_set(e, ERR_DAMAGED, "%u objects came", n) : rc;
}

static int pass_over(void *ctx, const struct store_object *o, struct err *e)
{
    (void)ctx, (void)o, (void)e;
    return 0;
}

static int read_list(struct store *s, struct err *e)
{
    return store_list(s, "packs/", pass_over, NULL, NULL, e);
}

static int delete (struct store *s, struct err *e)
{
    return store_delete(s, name, e);
}

typedef int operation(struct store *s, struct err *e);

/* Puts the object where one that is to be read is expected. */
static void prepare(const struct store_s3_options *o)
{
    struct err e;
    AUTO_PTR(store) s = open_retried(o, 20000);
    assert_ok(put_object(s, &e));
}

/* ---- what passes ---- */
static void test_what_passes(void **state)
{
    (void)state;
    static const struct {
        const char *bucket;
        operation *does;
        unsigned put, get, list; /* requests it takes */
    } cases[] = {
        {"500-2", put_object, 3, 0, 0},
        {"500-3", get_object, 0, 4, 0},
        {"500-1", look, 0, 0, 0},
        {"500-1", delete, 0, 2, 0}, /* it asks for versions first */
        {"keeps-1", delete, 0, 1, 0},
        {"502-2", put_object_file, 3, 0, 0},
        {"429-2", get_part, 0, 3, 0},
        {"slow-1", put_object, 2, 0, 0},
        {"timeout-1", put_object_file, 2, 0, 0},
        {"resetup-2", put_object, 3, 0, 0},
        {"resetup-2", put_object_file, 3, 0, 0},
        {"error200-2", put_object_file, 3, 0, 0},
        {"resetdown-2", get_object, 0, 3, 0},
        {"resetdown-2", get_part, 0, 3, 0},
        {"cut-2", get_object, 0, 3, 0},
        {"cut-2", get_part, 0, 3, 0},
        {"short-1", get_object, 0, 2, 0},
        {"short-1", get_part, 0, 2, 0},
        {"garbage-1", get_object, 0, 2, 0},
        {"nolength-2", get_object, 0, 3, 0},
        {"morerange-1", get_object, 0, 1, 0},
        {"stall-1", get_object, 0, 2, 0},
        {"silent-1", put_object, 2, 0, 0},
        {"silent-1", get_part, 0, 2, 0},
        {"hangup", put_object, 1, 0, 0},
        {"hangup", get_object, 0, 1, 0},
        {"wrongregion", put_object, 2, 0, 0},
        {"wrongregion", get_object, 0, 2, 0},
        {"ok", list, 0, 0, 10},
        {"badxml-2", list, 0, 0, 12},
        {"error200-2", list, 0, 0, 12},
        {"slowpage-1", list, 0, 0, 10 + 5},
        {"cutpage-2", list, 0, 0, 10 + 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct store_counts n;
        AUTO_CHAR prefix = xasprintf("case%zu", i); /* the server counts by it */
        struct store_s3_options o = options(cases[i].bucket);
        o.prefix = cases[i].list ? NULL : prefix;
        AUTO_PTR(store) s = open_retried(&o, 20000);
        if (!cases[i].put && !cases[i].list)
            prepare(&o);
        int rc = cases[i].does(s, &e);
        store_counts(s, &n);
        if (rc != STORE_DONE)
            fail_msg("case %zu, %s: %d %s", i, o.bucket, rc, e.text);
        unsigned long long puts = n.of[STORE_PUT].requests, gets = n.of[STORE_GET].requests,
                           lists = n.of[STORE_LIST].requests;
        if (puts != cases[i].put || gets != cases[i].get || lists != cases[i].list)
            fail_msg("case %zu, %s: %llu puts, %llu gets, %llu lists", i, o.bucket, puts, gets, lists);
    }
}

/* Connections that died while they were idle cost nothing but a new one. */
static void test_dead_connections(void **state)
{
    (void)state;
    struct store_s3_options o = options("hangup");
    AUTO_PTR(store) s = open_retried(&o, 20000);
    for (unsigned i = 0; i < 20; i++) {
        struct err e;
        assert_ok(put_object_file(s, &e));
        assert_ok(get_object(s, &e));
    }
}

/* ---- what does not ---- */
struct trouble {
    const char *bucket;
    operation *does;
    const char *says, *helps;
    bool again; /* it was tried again */
};

static void expect_trouble(const struct trouble *t, const struct store_s3_options *o, const char *context)
{
    struct err e = ERR_INIT;
    AUTO_PTR(store) s = open_retried(o, 1900); /* "slow" asks for one second, "drip" takes two */
    if (strcmp(t->bucket, "drip") == 0 || strcmp(t->bucket, "keeps") == 0)
        prepare(o);
    uint64_t start = time_monotonic_ns();
    int rc = t->does(s, &e);
    uint64_t spent = time_monotonic_ns() - start;
    if (rc != STORE_FAILED)
        fail_msg("%s: %d %s", t->bucket, rc, e.text);
    assert_text(e, context);
    assert_text(e, t->says);
    assert_text(e, t->helps);
    assert_null(strstr(e.text, "verysecret"));
    if (!strstr(e.text, "tries in") != !t->again)
        fail_msg("%s: %s", t->bucket, e.text);
    if (spent > 20000000000ull) /* that it ends; 1.9 s for tries, and what the last of them takes */
        fail_msg("%s: took %.1f s", t->bucket, (double)spent / 1e9);
}

static void test_what_does_not_pass(void **state)
{
    (void)state;
    static const struct trouble cases[] = {
        {"ok", put_spoiled_file, "its temporary file gives back other bytes than were written there",
         "does the disk of [state] directory fail?", false},
        {"500", put_object, "HTTP 500 InternalError", "", true},
        {"502", get_object, "HTTP 502", "", true},
        {"slow", put_object, "HTTP 503 SlowDown: Please reduce your request rate.", "", true},
        {"wait", put_object, "HTTP 503 SlowDown: the server wants to be left alone for 15 min", "(1 try in",
         false},
        {"silent", get_part, "nothing moved for 1 s", "", true},
        {"resetup", put_object, "", "", true},
        {"error200", put_object, "HTTP 200 InternalError (", "tries in", true},
        {"expired", put_object, "HTTP 400 ExpiredToken: The provided token has expired.",
         "get new credentials", false},
        {"signature", get_object, "HTTP 403 SignatureDoesNotMatch", "the secret key is wrong", false},
        {"skew", get_object, "HTTP 403 RequestTimeTooSkewed", "14 min", false},
        {"skew", put_object, "behind the server's: set it", "timedatectl", false},
        {"nobucket", get_object, "HTTP 404 NoSuchBucket", "make the bucket, or correct its name", false},
        {"nobucket", put_object, "HTTP 404 NoSuchBucket", "make the bucket, or correct its name", false},
        {"denied", delete, "HTTP 403 AccessDenied", "may not do this", false},
        {"plain403", look, "HTTP 403", "check the credentials", false},
        {"moved", put_object, "HTTP 301 PermanentRedirect",
         "set region = eu-west-1 and an endpoint there (b.s3.eu-west", false},
        {"moved", look, "HTTP 301", "set region = eu-west-1", false},
        {"temporary", get_part, "HTTP 307 TemporaryRedirect", "set endpoint (b.s3-eu-west-1.amazonaws.com)",
         false},
        {"evilregion", put_object, "HTTP 400 AuthorizationHeaderMalformed", "set the region of the bucket",
         false},
        {"archived", get_object, "HTTP 403 InvalidObjectState", "archive class", false},
        {"full", put_object, "HTTP 507", "no room left", false},
        {"refuseup", put_object, "HTTP 403 AccessDenied", "may not do this", false},
        {"flood", get_object, "HTTP 403", "check the credentials", false},
        {"badxml", list, "the reply is no listing", "is this an S3 endpoint?", true},
        {"error200", list, "HTTP 200, but with the error InternalError: try later", "", true},
        {"endless", list, "the reply does not end", "is this an S3 endpoint?", true},
        {"samepage", list, "the same page again and again", "", false},
        {"newpages", read_list, "the listing has no end: 1000 pages brought no new name", "is this an S3",
         false},
        {"keeps", delete, "the server said that it deleted it, and still has it", "object lock", true},
        {"undying", delete, "still lists a version that it said it had deleted", "", false},
        {"hydra", delete, "versions without end", "", false},
        {"drip", get_object, "bytes moved in 2 s", "", false},
        {"nodate", list, "the server's reply has no Date", "", false},
        {"cutpage", list, "the reply is no listing, or was cut off", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct store_s3_options o = options(cases[i].bucket);
        operation *does = cases[i].does;
        expect_trouble(&cases[i], &o,
                       does == list || does == read_list        ? ": list packs/: "
                       : does == delete                         ? ": delete packs/aa/"
                       : does == look                           ? ": look at packs/aa/"
                       : does == get_object || does == get_part ? ": get packs/aa/"
                                                                : ": put packs/aa/");
    }
}

static void test_trouble_v2(void **state)
{
    (void)state;
    static const struct trouble pages = {"newpages", read_list, "the listing has no end: 1000 pages", "",
                                         false};
    static const struct trouble slow = {"drip", get_object, "bytes moved in 2 s", "", false};
    static const struct trouble kept = {"keeps", delete, "the server said that it deleted it", "", true};
    struct store_s3_options o = options("newpages");
    o.signature = STORE_SIGNATURE_V2;
    expect_trouble(&pages, &o, ": list packs/: ");
    o.bucket = "drip";
    expect_trouble(&slow, &o, ": get packs/aa/");
    o.bucket = "keeps";
    expect_trouble(&kept, &o, ": delete packs/aa/");
}

/* libs3 takes what came for the whole. */
static void test_cut_off_v2(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct store_counts n;
    struct store_s3_options o = options("cut-2");
    o.signature = STORE_SIGNATURE_V2;
    o.prefix = (char *)"v2";
    prepare(&o);
    AUTO_PTR(store) s = open_retried(&o, 20000);
    assert_ok(get_object(s, &e));
    store_counts(s, &n);
    assert_int_equal(n.of[STORE_GET].requests, 3);
}

static void test_nobody_there(void **state)
{
    (void)state;
    static const struct trouble nowhere = {"b", put_object, "nowhere.invalid",
                                           "check the endpoint, and this machine's DNS", true};
    static const struct trouble refused = {"b", put_object, "127.0.0.1 port 1", "does the server run", true};
    static const struct trouble no_tls = {"b", put_object, "SSL", "check the endpoint: does it speak https?",
                                          true};
    struct store_s3_options o = options("b");
    o.endpoint = "http://nowhere.invalid";
    expect_trouble(&nowhere, &o, ": put packs/aa/");
    o.endpoint = "http://127.0.0.1:1";
    expect_trouble(&refused, &o, ": put packs/aa/");
    AUTO_CHAR https = xasprintf("https%s", endpoint + strlen("http"));
    o.endpoint = https;
    expect_trouble(&no_tls, &o, ": put packs/aa/");
}

/* A part that an object does not have is damage, and one that a server does not give is not. */
static void test_parts(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char out[8];
    struct store_s3_options o = options("norange");
    AUTO_PTR(store) s = open_retried(&o, 1500);
    assert_ok(put_object(s, &e));
    assert_int_equal(store_get_range(s, name, 5000, out, sizeof out, &e), STORE_FAILED);
    assert_text(e, "HTTP 200 (the server does not serve parts of objects)");
    o = options("nolength");
    AUTO_PTR(store) headless = open_retried(&o, 1500);
    e = (struct err)ERR_INIT;
    assert_ok(put_object(headless, &e));
    uint64_t size;
    assert_int_equal(store_size(headless, name, &size, &e), STORE_FAILED);
    assert_text(e, "does not say its size");
}

/* ---- servers that say yes to everything ---- */
static void test_locks_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *bucket, *says;
    } cases[] = {{"ignoresall", "the server took the object, but did not lock it: "},
                 {"weaklock", "the server took the object, but did not lock it as it was told: "},
                 {"shortlock", "the server took the object, but did not lock it as it was told: "}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct store_s3_options o = options(cases[i].bucket);
        o.object_lock_days = 2;
        AUTO_PTR(store) s = open_retried(&o, 1500);
        assert_int_equal(put_object(s, &e), STORE_FAILED);
        assert_text(e, cases[i].says);
        assert_text(e, "needs a bucket that was made with Object Lock");
        e = (struct err)ERR_INIT;
        assert_int_equal(store_extend(s, name, time_now_ns() + 1000000000, &e), STORE_FAILED);
        assert_text(e, "the bucket has no Object Lock");
        assert_ok(get_object(s, &e)); /* such a server would have taken PUT ?retention for the object */
    }
}

static void test_session_token(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const struct store_credentials with = {keys.access_key, keys.secret_key, (char *)"a/token=="};
    struct store_s3_options o = options("token");
    AUTO_PTR(store) without = open_retried(&o, 1500);
    assert_int_equal(put_object(without, &e), STORE_FAILED);
    o.credentials = &with;
    AUTO_PTR(store) s = open_retried(&o, 1500);
    assert_ok(put_object(s, &e));
}

static void test_stop(void **state)
{
    (void)state;
    static const char *const buckets[] = {"silent", "slow", "stall"};
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++) {
        struct err e = ERR_INIT;
        struct store_s3_options o = options(buckets[i]);
        o.timeout_s = 30;
        if (i == 2)
            prepare(&o);
        AUTO_PTR(store) s = open_retried(&o, 60000);
        uint64_t start = time_monotonic_ns();
        stop_in(300);
        assert_int_equal(get_object(s, &e), STORE_FAILED);
        stop_requested = 0;
        assert_int_equal(e.kind, ERR_STOPPED);
        assert_true(time_monotonic_ns() - start < 20000000000ull); /* not the time-out */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_passes),
        cmocka_unit_test(test_dead_connections),
        cmocka_unit_test(test_what_does_not_pass),
        cmocka_unit_test(test_trouble_v2),
        cmocka_unit_test(test_cut_off_v2),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_locks_that_are_none),
        cmocka_unit_test(test_session_token),
        cmocka_unit_test(test_stop),
    };
    struct sha sha;
    char hex[SHA_HEX];
    start();
    test_bytes(&object, SIZE, 5);
    sha_of(buf_bytes(&object), &sha);
    sha_hex(hex, &sha);
    snprintf(name, sizeof name, "packs/aa/%s", hex);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stop();
    buf_free(&object);
    return failed;
}
