/* A bucket as a store: its operations, and opening it. */
#include "s3.h"

#include "base/file.h"
#include "base/log.h"
#include "s3_options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTING_LIMIT (64u << 10)

/* ---- operations ---- */
static int put_body(struct s3 *s, const char *name, const struct s3_body *body, struct err *e)
{
    char until[40];
    struct sigv4_header lock[S3_LOCK_HEADERS];
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    struct s3_request r = {.class = STORE_PUT, .method = "PUT", .name = name, .body = body};
    if (s->lock_days) {
        s3_lock_headers(s, until, lock);
        r.headers = lock;
        r.header_count = ARRAY_LEN(lock);
    }
    struct err why = ERR_INIT;
    int rc = s3_send(s, &r, &reply, &why);
    if (rc < 0) {
        bool hint = s->lock_days && reply.status == 400;
        err_set(e, why.kind, "%s%s", why.text,
                hint ? " (object-lock-days needs a bucket that was made with Object Lock)" : "");
        return rc;
    }
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_FAILED, "HTTP 404 (check the bucket's name in the url, and the endpoint)");
    return s->lock_days ? s3_lock_check(s, name, &reply, e) : STORE_DONE;
}

static int put(struct store *base, const char *name, struct bytes data, struct err *e)
{
    return put_body(s3_of(base), name, &(struct s3_body){.data = data, .fd = -1, .size = data.n}, e);
}

static int put_file(struct store *base, const char *name, int fd, uint64_t size, struct err *e)
{
    return put_body(s3_of(base), name, &(struct s3_body){.fd = fd, .size = size}, e);
}

static int tempfile(struct store *base, struct err *e)
{
    return file_spool(s3_of(base)->spool_dir, e);
}

static void add_version(struct query *q, const char *version)
{
    if (version)
        query_add(q, "versionId", version);
}

int s3_get_whole(struct s3 *s, const char *name, const char *version, uint64_t limit, struct buf *out,
                 struct s3_reply *reply, struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    add_version(&q, version);
    const struct s3_request r = {
        .class = STORE_GET, .method = "GET", .name = name, .query = &q, .out = out, .limit = limit};
    return s3_send(s, &r, reply, e);
}

static int get(struct store *base, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO_CHAR version = NULL;
    struct err why = ERR_INIT;
    int rc = s3_get_whole(s, name, NULL, limit, out, &reply, &why);
    if (rc == STORE_ABSENT)
        rc = s3_below_marker(s, name, &reply, &version, &why);
    if (version)
        rc = s3_get_whole(s, name, version, limit, out, &reply, &why);
    if (rc == STORE_DONE || (rc == STORE_FAILED && why.kind == ERR_DAMAGED)) /* that is: it is too large */
        return s3_mend(s, name, version, rc, limit, out, e);
    *e = why;
    return rc;
}

int s3_head(struct s3 *s, const char *name, const char *version, struct s3_reply *reply, struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    add_version(&q, version);
    const struct s3_request r = {.class = STORE_HEAD, .method = "HEAD", .name = name, .query = &q};
    return s3_send(s, &r, reply, e);
}

static int size_of(struct store *base, const char *name, uint64_t *size, struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO_CHAR version = NULL;
    int rc = s3_head(s, name, NULL, &reply, e);
    if (rc == STORE_ABSENT)
        rc = s3_below_marker(s, name, &reply, &version, e);
    if (version)
        rc = s3_head(s, name, version, &reply, e);
    if (rc == STORE_DONE && !reply.header[S3_LENGTH])
        return err_set(e, ERR_FAILED, "the server does not say its size");
    if (rc == STORE_DONE)
        *size = reply.length;
    return rc;
}

static int get_range_of(struct s3 *s, const char *name, const char *version, uint64_t offset,
                        struct bytes into, struct s3_reply *reply, struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    add_version(&q, version);
    const struct s3_request r = {.class = STORE_GET,
                                 .method = "GET",
                                 .name = name,
                                 .query = &q,
                                 .range = (uint8_t *)into.p,
                                 .range_offset = offset,
                                 .range_size = into.n};
    return s3_send(s, &r, reply, e);
}

static int get_range(struct store *base, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO_CHAR version = NULL;
    uint64_t size;
    if (n == 0)
        return size_of(base, name, &size, e);
    int rc = get_range_of(s, name, NULL, offset, BYTES(p, n), &reply, e);
    if (rc == STORE_ABSENT)
        rc = s3_below_marker(s, name, &reply, &version, e);
    return version ? get_range_of(s, name, version, offset, BYTES(p, n), &reply, e) : rc;
}

static bool first_time(struct s3 *s, bool *told)
{
    pthread_mutex_lock(&s->lock);
    bool first = !*told;
    *told = true;
    pthread_mutex_unlock(&s->lock);
    return first;
}

static int get_older(struct store *base, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO_CHAR version = NULL;
    int rc = s3_nth_version(s, name, nth, &version, e);
    if (rc != STORE_DONE)
        return rc;
    if (first_time(s, &s->older_told))
        log_warn("%s: %s is damaged, and is read from an older version of it: find out who overwrote it",
                 base->title, name);
    return get_range_of(s, name, version, offset, BYTES(p, n), &reply, e);
}

int s3_setting(struct s3 *s, const char *setting, struct buf *out, struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    query_add(&q, setting, "");
    const struct s3_request r = {
        .class = STORE_GET, .method = "GET", .query = &q, .out = out, .limit = SETTING_LIMIT};
    return s3_send(s, &r, &reply, e);
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    (void)s, (void)free_bytes, (void)total_bytes, (void)e;
    return STORE_ABSENT;
}

static void counts(struct store *s, struct store_counts *out)
{
    meter_read(&s3_of(s)->meter, out);
}

static void s3_free(struct store *base)
{
    struct s3 *s = s3_of(base);
    for (size_t i = 0; i < s->idle_count; i++)
        curl_share_cleanup(s->idle[i]);
    store_credentials_free(&s->credentials);
    strings_free(&s->mended);
    limit_free(s->up);
    limit_free(s->down);
    pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s->host);
    free(s->base_path);
    free(s->prefix);
    free(s->ca_file);
    free(s->spool_dir);
    free(s->region);
    free(s);
}

static const struct store_ops s3_ops = {.put = put,
                                        .tempfile = tempfile,
                                        .put_file = put_file,
                                        .get = get,
                                        .get_range = get_range,
                                        .size = size_of,
                                        .list = s3_list,
                                        .del = s3_delete,
                                        .hide = s3_hide,
                                        .space = space,
                                        .get_older = get_older,
                                        .mended = s3_mended,
                                        .retention = s3_retention,
                                        .extend = s3_extend,
                                        .traits = s3_traits,
                                        .counts = counts,
                                        .free = s3_free};

/* ---- opening ---- */
static void start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        die(OUT_OF_MEMORY);
}

static bool addresses_by_host(const struct store_s3_options *o, const struct s3_endpoint *p)
{
    if (o->addressing != STORE_ADDRESSING_AUTO)
        return o->addressing == STORE_ADDRESSING_VIRTUAL;
    const char *aws = strstr(p->host, ".amazonaws.com");
    return aws && !strchr(o->bucket, '.'); /* a dot would not match the certificate *.s3.amazonaws.com */
}

static void set_address(struct s3 *s, const struct store_s3_options *o, const struct s3_endpoint *p)
{
    AUTO(buf) path = BUF_NONE;
    bool by_host = addresses_by_host(o, p);
    if (!by_host) {
        buf_add_str(&path, "/");
        uri_encode(&path, o->bucket, false);
    }
    s->base_path = xstrdup(buf_cstr(&path));
    s->host = xasprintf("%s%s%s", by_host ? o->bucket : "", by_host ? "." : "", p->host);
    s->url = xasprintf("%s://%s", p->tls ? "https" : "http", s->host);
}

struct store *store_s3_new(const struct store_s3_options *o, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    AUTO(s3_endpoint) p = S3_ENDPOINT_NONE;
    if (s3_options_check(o, &p, e))
        return NULL;
    if (o->signature == STORE_SIGNATURE_V2)
        return store_s3v2_new(o, &p, e);
    pthread_once(&once, start_curl);
    struct s3 *s = xcalloc(1, sizeof *s);
    *s = (struct s3){.base = {.ops = &s3_ops, .title = s3_title(o)},
                     .prefix = s3_prefix(o),
                     .ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL,
                     .spool_dir = xstrdup(o->spool_dir),
                     .up = limit_new(o->limit_up),
                     .down = limit_new(o->limit_down),
                     .lock_days = o->object_lock_days,
                     .timeout_s = o->timeout_s ? (long)o->timeout_s : S3_TIMEOUT,
                     .region = xstrdup(o->region ? o->region : S3_REGION_DEFAULT)};
    pthread_mutex_init(&s->lock, NULL);
    store_credentials_copy(&s->credentials, o->credentials);
    set_address(s, o, &p);
    return &s->base;
}
