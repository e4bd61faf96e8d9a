/* A bucket behind an old gateway: libs3 signs with Signature V2, which AWS and B2 refuse. libs3 2.0 does not
 * check certificates (s3_options.c says so), shows no status line and no Date, and knows no versions or
 * locks.
 */
#include "driver.h"
#include "meter.h"
#include "pace.h"
#include "s3_body.h"
#include "s3_codes.h"
#include "s3_options.h"
#include "s3_reply.h"

#include "base/child.h"
#include "base/file.h"

#include <libs3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

#define IDLE   8   /* contexts kept, each with its connection */
#define ENTRY  300 /* bytes of XML, about */
#define SECOND 1000000000ull

struct s3v2 {
    struct store base;
    char *host, *bucket, *prefix, *spool_dir;
    struct store_credentials credentials;
    struct limit *up, *down;
    struct meter meter;
    S3BucketContext target;
    uint64_t timeout_ns;
    atomic_bool delete_seen; /* what was deleted was really gone, once */
    pthread_mutex_t lock;    /* guards all below */
    S3RequestContext *idle[IDLE];
    size_t idle_count;
};

/* One request: what it sends, where its reply goes, what came of it. */
struct call {
    struct s3v2 *s;
    enum store_class class;
    char *key;
    const struct s3_body *body;
    struct buf *out; /* at most `limit` bytes, or: */
    uint64_t limit;
    uint8_t *range;
    size_t range_size;
    struct s3_page *page;
    uint64_t sent, received;
    uint64_t length;  /* of the object, as announced */
    int64_t mtime_ns; /* of the object */
    uint64_t listed;  /* bytes, about */
    struct pace pace;
    bool done;
    S3Status status;
    char *message;
    struct err e; /* what one of our callbacks found wrong */
};

static struct s3v2 *s3v2_of(struct store *s)
{
    return CONTAINER(s, struct s3v2, base);
}

static void call_free(struct call *c)
{
    free(c->key);
    free(c->message);
}
AUTO_FOR(call)

static struct call call_new(struct s3v2 *s, enum store_class class, const char *name)
{
    return (struct call){.s = s, .class = class, .key = xasprintf("%s%s", s->prefix, name)};
}

/* ---- what libs3 calls ---- */
static S3Status take_properties(const S3ResponseProperties *p, void *ctx)
{
    struct call *c = ctx;
    c->length = p->contentLength;
    c->mtime_ns = store_time_ns(p->lastModified, 0);
    return S3StatusOK;
}

static void take_end(S3Status status, const S3ErrorDetails *details, void *ctx)
{
    struct call *c = ctx;
    c->done = true;
    c->status = status;
    if (details && details->message)
        c->message = text_printable(details->message, strnlen(details->message, 300));
}

static int give_body(int size, char *to, void *ctx)
{
    struct call *c = ctx;
    size_t n = (size_t)MIN((uint64_t)limit_piece(c->s->up, (size_t)size), c->body->size - c->sent);
    if (n && (pace_wait(&c->pace, c->s->up, n, &c->e) || s3_body_read(c->body, to, n, c->sent, &c->e)))
        return -1;
    c->sent += n;
    return (int)n;
}

static S3Status take_body(int size, const char *from, void *ctx)
{
    struct call *c = ctx;
    size_t n = (size_t)size;
    if (pace_wait(&c->pace, c->s->down, n, &c->e))
        return S3StatusAbortedByCallback;
    if (c->range && n > c->range_size - c->received) {
        err_set(&c->e, ERR_NET, "the server sent more than the range that was asked for");
        return S3StatusAbortedByCallback;
    }
    if (c->out && n > c->limit - c->received) {
        err_set(&c->e, ERR_DAMAGED, "has %llu bytes, and such an object has at most %llu",
                (unsigned long long)MAX(c->length, c->received + n), (unsigned long long)c->limit);
        return S3StatusAbortedByCallback;
    }
    if (c->range)
        memcpy(c->range + c->received, from, n);
    else
        buf_add(c->out, BYTES(from, n));
    c->received += n;
    return S3StatusOK;
}

/* libs3 takes the UTC of listings for local time: back to what was written, and to what it means. (In the
 * hour that a summer's end repeats it stays an hour off.) */
static int64_t time_of_entry(int64_t seconds)
{
    struct tm written;
    time_t t = (time_t)seconds;
    return store_time_ns(localtime_r(&t, &written) ? timegm(&written) : 0, 0);
}

static S3Status take_page(int truncated, const char *next, int count, const S3ListBucketContent *v,
                          int prefix_count, const char **prefixes, void *ctx)
{
    struct call *c = ctx;
    struct s3_page *p = c->page;
    (void)prefix_count, (void)prefixes;
    c->listed += 1 + ENTRY * (uint64_t)count;
    p->truncated = truncated;
    for (int i = 0; i < count; i++)
        s3_page_add(p, &(struct s3_entry){.key = xstrdup(v[i].key),
                                          .size = v[i].size,
                                          .mtime_ns = time_of_entry(v[i].lastModified)});
    /* Without a delimiter a server need not say where it goes on: behind the last key. */
    const char *last = next && *next ? next : p->n ? p->v[p->n - 1].key : NULL;
    free(p->next);
    p->next = last ? xstrdup(last) : NULL;
    return S3StatusOK;
}

static const S3ResponseHandler on_reply = {take_properties, take_end};

/* ---- contexts ---- */
static S3RequestContext *context_take(struct s3v2 *s)
{
    pthread_mutex_lock(&s->lock);
    S3RequestContext *c = s->idle_count ? s->idle[--s->idle_count] : NULL;
    pthread_mutex_unlock(&s->lock);
    if (!c && S3_create_request_context(&c) != S3StatusOK)
        die(OUT_OF_MEMORY);
    return c;
}

static void context_give_back(struct s3v2 *s, S3RequestContext *c, bool clean)
{
    pthread_mutex_lock(&s->lock);
    if (clean && s->idle_count < IDLE)
        s->idle[s->idle_count++] = STEAL(c);
    pthread_mutex_unlock(&s->lock);
    if (c)
        S3_destroy_request_context(c); /* ends what is under way */
}

/* Waits a little for something to do. */
static void wait_for_context(S3RequestContext *context)
{
    fd_set in, out, other;
    int highest = -1;
    struct timeval tenth = {.tv_usec = 100000};
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&other);
    if (S3_get_request_context_fdsets(context, &in, &out, &other, &highest) != S3StatusOK)
        highest = -1;
    if (highest < 0)
        tenth.tv_usec = 5000; /* a name is being looked up */
    (void)select(highest + 1, &in, &out, &other, &tenth);
}

/* libs3 writes dates by gmtime(), whose result all threads share: one request is composed at a time. */
static pthread_mutex_t composing = PTHREAD_MUTEX_INITIALIZER;

/* A context for a request that libs3 composes right after; then comes run(). */
static S3RequestContext *begin(struct s3v2 *s)
{
    S3RequestContext *context = context_take(s);
    pthread_mutex_lock(&composing);
    return context;
}

/* Drives the call that was put into `context` to its end. */
static void run(struct call *c, S3RequestContext *context)
{
    int left = 1;
    pthread_mutex_unlock(&composing);
    c->pace = pace_start(c->s->timeout_ns);
    while (!c->done && S3_runonce_request_context(context, &left) == S3StatusOK && !c->done) {
        if (stop_check(&c->e) || pace_check(&c->pace, c->sent + c->received + c->listed, &c->e))
            break;
        wait_for_context(context);
    }
    bool clean = c->done;
    context_give_back(c->s, context, clean);
    if (!clean)
        err_set(&c->e, ERR_NET, "libs3 gave up");
    meter_count(&c->s->meter, c->class, c->sent, c->received);
}

/* ---- what came of it ---- */
static bool may_pass(S3Status status, const char *code)
{
    return S3_status_is_retryable(status) || status == S3StatusErrorUnknown || s3_code_may_pass(code) ||
           status == S3StatusInternalError || status == S3StatusXmlParseFailure ||
           status == S3StatusHttpErrorUnknown;
}

static int explain(struct call *c, struct err *e)
{
    if (err_is_set(&c->e)) {
        *e = c->e;
        return c->e.kind == ERR_NET ? STORE_AGAIN : STORE_FAILED;
    }
    if (c->status == S3StatusOK)
        return STORE_DONE;
    if (c->status == S3StatusErrorNoSuchKey || (c->status == S3StatusHttpErrorNotFound && !c->page))
        return STORE_ABSENT;
    if (c->status == S3StatusErrorInvalidRange)
        return err_set(e, ERR_DAMAGED, "ends before the range that was asked for");
    const char *code = S3_get_status_name(c->status);
    if (strncmp(code, "Error", 5) == 0)
        code += 5;
    const char *remedy = s3_code_remedy(code);
    bool again = may_pass(c->status, code);
    err_set(e, again ? ERR_NET : ERR_FAILED, "%s%s%s%s%s%s", code, c->message ? ": " : "",
            c->message ? c->message : "", remedy ? " (" : "", remedy ? remedy : "", remedy ? ")" : "");
    return again ? STORE_AGAIN : STORE_FAILED;
}

/* ---- operations ---- */
static int put_body(struct s3v2 *s, const char *name, const struct s3_body *body, struct err *e)
{
    static const S3PutObjectHandler handler = {{take_properties, take_end}, give_body};
    AUTO(call) c = call_new(s, STORE_PUT, name);
    char sha[SHA_HEX];
    AUTO_CHAR md5 = NULL;
    if (s3_body_hash(body, name, sha, &md5, e))
        return STORE_FAILED;
    const S3PutProperties properties = {.md5 = md5, .expires = -1};
    c.body = body;
    S3RequestContext *context = begin(s);
    S3_put_object(&s->target, c.key, body->size, &properties, context, &handler, &c);
    run(&c, context);
    int rc = explain(&c, e);
    return rc == STORE_ABSENT ? err_set(e, ERR_FAILED, "not found: check the bucket's name in the url") : rc;
}

static int put(struct store *base, const char *name, struct bytes data, struct err *e)
{
    return put_body(s3v2_of(base), name, &(struct s3_body){.data = data, .fd = -1, .size = data.n}, e);
}

static int put_file(struct store *base, const char *name, int fd, uint64_t size, struct err *e)
{
    return put_body(s3v2_of(base), name, &(struct s3_body){.fd = fd, .size = size}, e);
}

static int tempfile(struct store *base, struct err *e)
{
    return file_spool(s3v2_of(base)->spool_dir, e);
}

/* n: 0 for all from `offset` on. */
static int fetch(struct call *c, uint64_t offset, size_t n, struct err *e)
{
    static const S3GetObjectHandler handler = {{take_properties, take_end}, take_body};
    S3RequestContext *context = begin(c->s);
    S3_get_object(&c->s->target, c->key, NULL, offset, n, context, &handler, c);
    run(c, context);
    return explain(c, e);
}

static int get(struct store *base, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    AUTO(call) c = call_new(s3v2_of(base), STORE_GET, name);
    c.out = out;
    c.limit = limit;
    int rc = fetch(&c, 0, 0, e);
    if (rc != STORE_DONE || c.received >= c.length)
        return rc;
    /* libs3 takes it for the whole */
    err_set(e, ERR_NET, "the reply was cut off: %llu of %llu bytes came", (unsigned long long)c.received,
            (unsigned long long)c.length);
    return STORE_AGAIN;
}

static int look(struct s3v2 *s, const char *name, struct call *c, struct err *e)
{
    S3RequestContext *context = begin(s);
    *c = call_new(s, STORE_HEAD, name);
    S3_head_object(&s->target, c->key, context, &on_reply, c);
    run(c, context);
    return explain(c, e);
}

static int size_of(struct store *base, const char *name, uint64_t *size, struct err *e)
{
    AUTO(call) c = {0};
    int rc = look(s3v2_of(base), name, &c, e);
    *size = c.length;
    return rc;
}

static int get_range(struct store *base, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    AUTO(call) c = call_new(s3v2_of(base), STORE_GET, name);
    uint64_t size = 0;
    if (n == 0)
        return size_of(base, name, &size, e);
    c.range = p;
    c.range_size = n;
    int rc = fetch(&c, offset, n, e);
    if (rc != STORE_DONE || c.received == n)
        return rc;
    rc = size_of(base, name, &size, e); /* does it end there, or was it cut off? */
    if (rc != STORE_DONE)
        return rc;
    if (size <= offset + c.received)
        return err_set(e, ERR_DAMAGED, "ends at byte %llu", (unsigned long long)size);
    err_set(e, ERR_NET, "the reply was cut off: %llu of %zu bytes came", (unsigned long long)c.received, n);
    return STORE_AGAIN;
}

/* libs3 keeps the Date of replies to itself, so the store's clock is read off an object that was just made
 * (its name is none of ours). Where nothing may be put, this machine's must do. */
static int read_clock(struct s3v2 *s, int64_t *now_ns, struct err *e)
{
    static const char name[] = ".clock";
    AUTO(call) c = {0};
    struct err why = ERR_INIT;
    int rc = put(&s->base, name, BYTES("", 0), &why);
    if (rc == STORE_FAILED && why.kind == ERR_FAILED) {
        *now_ns = time_now_ns();
        return STORE_DONE;
    }
    if (rc != STORE_DONE) {
        *e = why;
        return rc;
    }
    rc = look(s, name, &c, e);
    *now_ns = c.mtime_ns;
    return rc == STORE_ABSENT ? err_set(e, ERR_FAILED, "an object that was just put is not there") : rc;
}

static int get_page(struct s3v2 *s, const char *prefix, const char *after, struct s3_page *page,
                    struct err *e)
{
    static const S3ListBucketHandler handler = {{take_properties, take_end}, take_page};
    AUTO(call) c = call_new(s, STORE_LIST, prefix);
    S3RequestContext *context = begin(s);
    c.page = page;
    S3_list_bucket(&s->target, c.key, after, NULL, 1000, context, &handler, &c);
    run(&c, context);
    int rc = explain(&c, e);
    if (rc != STORE_DONE || !page->truncated || (page->next && (!after || strcmp(page->next, after) > 0)))
        return rc;
    return err_set(e, ERR_FAILED, "the server gives the same page again and again");
}

static int list(struct store *base, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e)
{
    struct s3v2 *s = s3v2_of(base);
    AUTO_CHAR after = NULL;
    AUTO(s3_listing) all = S3_LISTING_NONE;
    int rc = now_ns ? read_clock(s, now_ns, e) : STORE_DONE;
    for (bool more = true; more && rc == STORE_DONE;) {
        AUTO(s3_page) page = S3_PAGE_NONE;
        rc = get_page(s, prefix, after, &page, e);
        if (rc == STORE_DONE)
            rc = s3_listing_add(&all, &page, e);
        if (rc == STORE_DONE)
            rc = s3_page_each(&page, s->prefix, each, ctx, e);
        more = page.truncated;
        free(after);
        after = STEAL(page.next);
    }
    return rc;
}

/* The first one that is deleted is looked for. */
static int del(struct store *base, const char *name, struct err *e)
{
    struct s3v2 *s = s3v2_of(base);
    struct err why = ERR_INIT; /* it does not tell us: then so be it */
    AUTO(call) c = call_new(s, STORE_DELETE, name);
    AUTO(call) left = {0};
    S3RequestContext *context = begin(s);
    S3_delete_object(&s->target, c.key, context, &on_reply, &c);
    run(&c, context);
    int rc = explain(&c, e);
    if (rc < STORE_DONE || s->delete_seen)
        return rc;
    if (look(s, name, &left, &why) == STORE_DONE) {
        err_set(e, ERR_FAILED, STORE_KEEPS);
        return STORE_AGAIN;
    }
    s->delete_seen = true;
    return rc;
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    (void)s, (void)free_bytes, (void)total_bytes, (void)e;
    return STORE_ABSENT;
}

static void counts(struct store *s, struct store_counts *out)
{
    meter_read(&s3v2_of(s)->meter, out);
}

static void s3v2_free(struct store *base)
{
    struct s3v2 *s = s3v2_of(base);
    for (size_t i = 0; i < s->idle_count; i++)
        S3_destroy_request_context(s->idle[i]);
    store_credentials_free(&s->credentials);
    limit_free(s->up);
    limit_free(s->down);
    pthread_mutex_destroy(&s->lock);
    free(s->host);
    free(s->bucket);
    free(s->prefix);
    free(s->spool_dir);
    free(s);
}

static const struct store_ops s3v2_ops = {.put = put,
                                          .tempfile = tempfile,
                                          .put_file = put_file,
                                          .get = get,
                                          .get_range = get_range,
                                          .size = size_of,
                                          .list = list,
                                          .del = del,
                                          .space = space,
                                          .counts = counts,
                                          .free = s3v2_free};

static S3Status started;
static void start_libs3(void)
{
    started = S3_initialize("lifeboat/" LIFEBOAT_VERSION, S3_INIT_ALL, NULL);
}

struct store *store_s3v2_new(const struct store_s3_options *o, const struct s3_endpoint *p, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_libs3);
    if (started != S3StatusOK)
        return err_set(e, ERR_FAILED, "libs3 does not start: %s", S3_get_status_name(started)), NULL;
    struct s3v2 *s = xcalloc(1, sizeof *s);
    *s = (struct s3v2){.base = {.ops = &s3v2_ops, .title = s3_title(o)},
                       .host = xstrdup(p->host),
                       .bucket = xstrdup(o->bucket),
                       .prefix = s3_prefix(o),
                       .spool_dir = xstrdup(o->spool_dir),
                       .up = limit_new(o->limit_up),
                       .down = limit_new(o->limit_down),
                       .timeout_ns = (o->timeout_s ? o->timeout_s : S3_TIMEOUT) * SECOND};
    pthread_mutex_init(&s->lock, NULL);
    store_credentials_copy(&s->credentials, o->credentials);
    s->target = (S3BucketContext){
        .hostName = s->host,
        .bucketName = s->bucket,
        .protocol = p->tls ? S3ProtocolHTTPS : S3ProtocolHTTP,
        .uriStyle = o->addressing == STORE_ADDRESSING_VIRTUAL ? S3UriStyleVirtualHost : S3UriStylePath,
        .accessKeyId = s->credentials.access_key,
        .secretAccessKey = s->credentials.secret_key};
    return &s->base;
}
