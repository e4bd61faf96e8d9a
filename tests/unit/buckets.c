#include "buckets.h"

#include "base/child.h"
#include "store/s3.h"
#include "store/s3_reply.h"

#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

struct ceph ceph;
static char *folder, *home;

/* ---- the server ---- */
/* A shell that starts Ceph, says so, and stops it when its input ends: also when this test dies. */
static struct child keeper;

static int start_ceph(struct err *e)
{
    char said;
    int status = 0;
    AUTO_CHAR command =
        xasprintf(". '%s/lib/ceph.sh'; ceph_start '%s' || exit; echo; cat >/dev/null; ceph_stop '%s'",
                  tests_folder(), home, home);
    const struct child_options o = {.shell = command, .in = CHILD_PIPE, .out = CHILD_PIPE};
    if (child_start(&keeper, &o, e))
        return 1;
    if (fd_read(keeper.out, &said, 1, "Ceph", e) == 1)
        return 0;
    (void)!child_wait(&keeper, "Ceph", &status, e);
    return WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 77 : 1;
}

static int stop_ceph(struct err *e)
{
    close(keeper.in);
    keeper.in = -1;
    return child_wait(&keeper, "Ceph", NULL, e);
}

/* The value of a line NAME=VALUE. */
static char *setting(const char *text, const char *name)
{
    AUTO_CHAR start = xasprintf("%s=", name);
    const char *at = strstr(text, start);
    assert_non_null(at);
    at += strlen(start);
    return xstrndup(at, strcspn(at, "\n"));
}

static void read_settings(void)
{
    struct err e;
    AUTO(buf) text = BUF_NONE;
    AUTO_CHAR path = xasprintf("%s/env", home);
    assert_ok(file_read(path, 4096, &text, &e));
    const char *t = buf_cstr(&text);
    ceph = (struct ceph){.http = setting(t, "CEPH_HTTP"),
                         .https = setting(t, "CEPH_HTTPS"),
                         .ca = setting(t, "CEPH_CA"),
                         .keys = {setting(t, "CEPH_ACCESS_KEY"), setting(t, "CEPH_SECRET_KEY"), NULL},
                         .other = {setting(t, "CEPH_ACCESS_KEY2"), setting(t, "CEPH_SECRET_KEY2"), NULL}};
}

void ceph_up(void)
{
    struct err e = ERR_INIT;
    static const char *const proxies[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                          "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(proxies); i++)
        unsetenv(proxies[i]);
    assert_true(sodium_init() >= 0);
    folder = test_folder();
    home = xasprintf("%s/ceph", folder);
    int rc = start_ceph(&e);
    if (rc) {
        printf("%s: %s\n", rc == 77 ? "skipped" : "FAILED", e.text);
        test_remove(folder);
        exit(rc);
    }
    read_settings();
}

void ceph_down(void)
{
    struct err e = ERR_INIT;
    if (stop_ceph(&e))
        printf("%s\n", e.text);
    char *const texts[] = {ceph.http,
                           ceph.https,
                           ceph.ca,
                           ceph.keys.access_key,
                           ceph.keys.secret_key,
                           ceph.other.access_key,
                           ceph.other.secret_key,
                           home};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    test_remove(folder);
}

/* ---- buckets ---- */
struct store_s3_options bucket_options(const char *bucket)
{
    return (struct store_s3_options){.bucket = bucket,
                                     .endpoint = ceph.http,
                                     .credentials = &ceph.keys,
                                     .insecure = true,
                                     .timeout_s = 20,
                                     .spool_dir = folder};
}

struct store *bucket_open(const struct store_s3_options *o)
{
    struct err e = ERR_INIT;
    struct store *s = store_s3_new(o, &e);
    if (!s)
        fail_msg("%s", e.text);
    return s;
}

static void send_to_bucket(const char *bucket, const char *subresource, const char *text,
                           const struct sigv4_header *header)
{
    struct err e;
    AUTO(query) q = QUERY_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    const struct store_s3_options o = bucket_options(bucket);
    AUTO_PTR(store) s = bucket_open(&o);
    const struct s3_body body = {.data = BYTES_STR(text), .fd = -1, .size = strlen(text)};
    const struct s3_request r = {.class = STORE_PUT,
                                 .method = "PUT",
                                 .query = &q,
                                 .headers = header,
                                 .header_count = header != NULL,
                                 .body = &body};
    if (subresource)
        query_add(&q, subresource, "");
    assert_ok(s3_send(s3_of(s), &r, &reply, &e));
}

void bucket_set(const char *bucket, const char *subresource, const char *body)
{
    send_to_bucket(bucket, subresource, body, NULL);
}

char *bucket_new(enum bucket_kind kind)
{
    static unsigned number;
    static const struct sigv4_header lock = {"x-amz-bucket-object-lock-enabled", "true"};
    char *name = xasprintf("bucket-%u", ++number);
    send_to_bucket(name, NULL, "", kind == LOCKED ? &lock : NULL);
    if (kind == VERSIONED)
        bucket_set(name, "versioning",
                   "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>");
    return name;
}

char *bucket_versions(const char *bucket, const char *key)
{
    struct err e;
    AUTO(query) q = QUERY_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO(s3_page) page = S3_PAGE_NONE;
    AUTO(buf) xml = BUF_NONE;
    struct buf out = BUF_NONE;
    const struct store_s3_options o = bucket_options(bucket);
    AUTO_PTR(store) s = bucket_open(&o);
    query_add(&q, "versions", "");
    query_add(&q, "prefix", key);
    const struct s3_request r = {
        .class = STORE_LIST, .method = "GET", .query = &q, .out = &xml, .limit = 1 << 20};
    assert_ok(s3_send(s3_of(s), &r, &reply, &e));
    assert_true(s3_page_parse(buf_bytes(&xml), &page));
    for (size_t i = 0; i < page.n; i++)
        buf_add_u8(&out, page.v[i].marker ? 'm' : 'v');
    buf_cstr(&out);
    return (char *)out.p;
}

/* ---- fixtures ---- */
/* As users have it: retried, for Ceph itself says 500 to a get that an overwriting put overtakes. */
static int set_up(void **state, enum bucket_kind kind, struct store_s3_options o, unsigned fail_every)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->folder = test_folder();
    AUTO_CHAR bucket = bucket_new(kind);
    o.bucket = bucket;
    o.spool_dir = f->folder;
    f->store = bucket_open(&o);
    static const struct store_retry_options fast = {20000, 20000, 1, 10};
    f->plan = (struct store_fault){.fail_at = fail_every, .passing = true, .every = fail_every};
    f->store = store_retry_new(store_fault_new(f->store, &f->plan), &fast);
    *state = f;
    return 0;
}

int set_up_s3(void **state)
{
    return set_up(state, PLAIN, bucket_options(NULL), 0);
}

/* Its host is one that libcurl itself knows to be this machine (RFC 6761). */
static struct store_s3_options tls_options(void)
{
    static char endpoint[64];
    struct store_s3_options o = bucket_options(NULL);
    snprintf(endpoint, sizeof endpoint, "https://s3.localhost%s", strrchr(ceph.https, ':'));
    o.endpoint = endpoint;
    o.addressing = STORE_ADDRESSING_VIRTUAL;
    o.ca_file = ceph.ca;
    return o;
}

int set_up_s3_tls(void **state)
{
    struct store_s3_options o = tls_options();
    o.insecure = false;
    o.prefix = "a b+c/\xc3\xa4=&%41~*'(x)!@:;,$?";
    return set_up(state, PLAIN, o, 3);
}

int set_up_s3_versioned(void **state)
{
    return set_up(state, VERSIONED, bucket_options(NULL), 0);
}

int set_up_s3v2(void **state)
{
    struct store_s3_options o = bucket_options(NULL);
    o.signature = STORE_SIGNATURE_V2;
    return set_up(state, PLAIN, o, 0);
}

int set_up_s3v2_tls(void **state)
{
    struct store_s3_options o = tls_options();
    o.signature = STORE_SIGNATURE_V2;
    o.prefix = "a/b";
    return set_up(state, PLAIN, o, 3);
}
