/* One HTTP exchange with an S3 server: libcurl moves the bytes, we sign. */
#include "s3.h"

#include "base/child.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ERROR_LIMIT  (64u << 10)  /* of a bad reply's body */
#define HEADER_LIMIT 2048         /* of one header's value */
#define BLOCK        (128u << 10) /* libcurl's buffers */
#define EXPECT_FROM  (64u << 10)  /* bodies for which "Expect: 100-continue" pays: an early "no" saves them */
#define HEADERS      16

/* ---- connections ---- */
/* One that was used before, or a new one. Each request has a handle of its own: libcurl before 8.1 may use
 * memory that it has freed when a handle is used again and a reply begins with a folded header
 * (github.com/curl/curl/issues/11101). */
static CURLSH *connection_take(struct s3 *s)
{
    pthread_mutex_lock(&s->lock);
    CURLSH *c = s->idle_count ? s->idle[--s->idle_count] : NULL;
    pthread_mutex_unlock(&s->lock);
    if (c)
        return c;
    c = curl_share_init();
    if (!c || curl_share_setopt(c, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) ||
        curl_share_setopt(c, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) ||
        curl_share_setopt(c, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS))
        die(OUT_OF_MEMORY);
    return c;
}

static void connection_give_back(struct s3 *s, CURLSH *c)
{
    pthread_mutex_lock(&s->lock);
    if (s->idle_count < S3_IDLE)
        s->idle[s->idle_count++] = STEAL(c);
    pthread_mutex_unlock(&s->lock);
    if (c)
        curl_share_cleanup(c);
}

/* ---- one transfer ---- */
struct transfer {
    struct s3 *s;
    const struct s3_request *r;
    struct s3_reply *reply;
    struct err e;      /* what one of our callbacks found wrong */
    uint64_t sent;     /* of the body */
    uint64_t received; /* of a good reply's body */
    struct pace pace;
    char why[CURL_ERROR_SIZE];
};

static size_t send_some(char *to, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    const struct s3_body *b = t->r->body;
    n = (size_t)MIN((uint64_t)limit_piece(t->s->up, size * n), b->size - t->sent);
    if (n && (pace_wait(&t->pace, t->s->up, n, &t->e) || s3_body_read(b, to, n, t->sent, &t->e)))
        return CURL_READFUNC_ABORT;
    t->sent += n;
    return n;
}

static int send_from(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->r->body->size)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int take_range(struct transfer *t, struct bytes b)
{
    const struct s3_request *r = t->r;
    if (b.n > r->range_size - t->received)
        return err_set(&t->e, ERR_NET, "the server sent more than the range that was asked for");
    memcpy(r->range + t->received, b.p, b.n);
    return 0;
}

static int take_out(struct transfer *t, struct bytes b)
{
    const struct s3_request *r = t->r;
    if (b.n > r->limit - t->received && !r->name)
        return err_set(&t->e, ERR_NET, "the reply does not end: is this an S3 endpoint?");
    if (b.n > r->limit - t->received)
        return err_set(&t->e, ERR_DAMAGED, "has %llu bytes, and such an object has at most %llu",
                       (unsigned long long)MAX(t->reply->length, t->received + b.n),
                       (unsigned long long)r->limit);
    buf_add(r->out, b);
    return 0;
}

static size_t receive_some(char *from, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct bytes b = BYTES(from, size * n);
    if (pace_wait(&t->pace, t->s->down, b.n, &t->e))
        return 0;
    bool wanted = s3_is_good(t->r, t->reply) && (t->r->range || t->r->out);
    if (!wanted) {
        size_t room = ERROR_LIMIT - t->reply->error.n;
        buf_add(&t->reply->error, BYTES(b.p, MIN(b.n, room)));
        return MIN(b.n, room);
    }
    if (t->r->range ? take_range(t, b) : take_out(t, b))
        return 0;
    t->received += b.n;
    return b.n;
}

static void take_value(char **to, const char *from, size_t n)
{
    while (n && strchr(" \t", *from))
        from++, n--;
    while (n && strchr(" \t\r\n", from[n - 1]))
        n--;
    free(*to);
    *to = xstrndup(from, MIN(n, (size_t)HEADER_LIMIT));
}

static size_t receive_header(char *from, size_t size, size_t n, void *ctx)
{
    static const char *const names[S3_HEADERS] = {[S3_DATE] = "date",
                                                  [S3_RETRY_AFTER] = "retry-after",
                                                  [S3_LENGTH] = "content-length",
                                                  [S3_ENCODING] = "transfer-encoding",
                                                  [S3_CONTENT_RANGE] = "content-range",
                                                  [S3_REGION] = "x-amz-bucket-region",
                                                  [S3_DELETE_MARKER] = "x-amz-delete-marker",
                                                  [S3_VERSION] = "x-amz-version-id",
                                                  [S3_LOCK_MODE] = "x-amz-object-lock-mode",
                                                  [S3_LOCK_UNTIL] = "x-amz-object-lock-retain-until-date",
                                                  [S3_LEGAL_HOLD] = "x-amz-object-lock-legal-hold"};
    struct transfer *t = ctx;
    n *= size;
    if (n > 5 && memcmp(from, "HTTP/", 5) == 0) { /* another reply: what came was a 100 */
        AUTO_CHAR line = xstrndup(from, n);       /* libcurl promises no NUL behind it */
        s3_reply_free(t->reply);
        t->reply->status = strtol(line + strcspn(line, " "), NULL, 10);
        return n;
    }
    const char *colon = memchr(from, ':', n);
    size_t name = colon ? (size_t)(colon - from) : 0;
    for (size_t i = 0; i < S3_HEADERS && name; i++)
        if (name == strlen(names[i]) && strncasecmp(from, names[i], name) == 0)
            take_value(&t->reply->header[i], colon + 1, n - name - 1);
    if (t->reply->header[S3_LENGTH])
        t->reply->length = strtoull(t->reply->header[S3_LENGTH], NULL, 10);
    return n;
}

/* Called at least once a second. (CURLOPT_LOW_SPEED_TIME looks at an average, and notices 6 s late.) */
static int look_up(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    (void)down_all, (void)up_all;
    struct transfer *t = ctx;
    return pace_check(&t->pace, (uint64_t)(down + up), &t->e) ? -1 : stop_requested;
}

/* Programs that are started must not inherit a connection. */
static int mark_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    (void)ctx, (void)purpose;
    (void)!fcntl(fd, F_SETFD, FD_CLOEXEC);
    return CURL_SOCKOPT_OK;
}

/* ---- headers ---- */
struct heads {
    struct sigv4_header v[HEADERS];
    size_t n;
};

static void add_head(struct heads *h, const char *name, const char *value)
{
    if (value)
        h->v[h->n++] = (struct sigv4_header){name, value};
}

static void add_line(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (!longer)
        die(OUT_OF_MEMORY);
    *list = longer;
}

/* All that are signed, and the signature. */
static struct curl_slist *make_headers(struct s3 *s, const struct s3_request *r, const char *region,
                                       const char *sha, const char *md5, const char *path, const char *query)
{
    char date[20];
    time_t now = time(NULL);
    struct tm tm;
    struct heads heads = {0};
    AUTO(buf) line = BUF_NONE;
    struct curl_slist *list = NULL;
    strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    add_head(&heads, "host", s->host);
    add_head(&heads, "x-amz-date", date);
    add_head(&heads, "x-amz-content-sha256", sha);
    add_head(&heads, "x-amz-security-token", r->anonymous ? NULL : s->credentials.session_token);
    add_head(&heads, "content-md5", md5);
    for (size_t i = 0; i < r->header_count; i++)
        add_head(&heads, r->headers[i].name, r->headers[i].value);
    for (size_t i = 0; i < heads.n; i++) {
        line.n = 0;
        buf_add_fmt(&line, "%s: %s", heads.v[i].name, heads.v[i].value);
        add_line(&list, buf_cstr(&line));
    }
    const struct sigv4_request to_sign = {r->method, path, query, heads.v, heads.n, sha};
    const struct sigv4_key key = {s->credentials.access_key, s->credentials.secret_key, region, "s3"};
    line.n = 0;
    buf_add_str(&line, "Authorization: ");
    sigv4_sign(&to_sign, &key, date, &line);
    if (!r->anonymous)
        add_line(&list, buf_cstr(&line));
    if (!r->body && strcmp(r->method, "DELETE") == 0)
        add_line(&list, "Content-Length: 0"); /* some servers wait for a body otherwise */
    if (!r->body || r->body->size < EXPECT_FROM)
        add_line(&list, "Expect:");
    return list;
}

/* ---- an exchange ---- */
static void set_up_method(CURL *c, struct transfer *t, char range[64])
{
    const struct s3_request *r = t->r;
    if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (r->body) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body->size);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, send_some);
        curl_easy_setopt(c, CURLOPT_READDATA, t);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, send_from);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
        curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)BLOCK);
    } else {
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    }
    if (r->range) {
        snprintf(range, 64, "%llu-%llu", (unsigned long long)r->range_offset,
                 (unsigned long long)(r->range_offset + r->range_size - 1));
        curl_easy_setopt(c, CURLOPT_RANGE, range);
    }
}

static void set_up(CURL *c, struct transfer *t, const char *url, struct curl_slist *headers)
{
    const struct s3 *s = t->s;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "lifeboat/" LIFEBOAT_VERSION);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, s->timeout_s);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, mark_socket);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)limit_piece(s->down, BLOCK));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive_some);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, receive_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    if (s->ca_file) {
        curl_easy_setopt(c, CURLOPT_CAINFO, s->ca_file);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL); /* these, and not the system's besides */
    }
}

/* What libcurl's verdict means when no whole reply came. */
static int explain_curl(const struct transfer *t, CURLcode code, struct err *e)
{
    const char *why = *t->why ? t->why : curl_easy_strerror(code);
    if (err_is_set(&t->e)) {
        *e = t->e;
        return t->e.kind == ERR_NET ? STORE_AGAIN : STORE_FAILED;
    }
    if (stop_check(e))
        return STORE_FAILED;
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return err_set(
            e, ERR_NET,
            "%s: the server's certificate is not trusted: check the endpoint; for a private authority "
            "give its certificate with ca-file",
            why);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_set(e, ERR_NET, "%s: is this an S3 endpoint?", why);
    case CURLE_URL_MALFORMAT:
        return err_set(e, ERR_USAGE, "%s: check the endpoint", why);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        err_set(e, ERR_NET, "%s: check the endpoint, and this machine's DNS and network", why);
        return STORE_AGAIN;
    case CURLE_SSL_CONNECT_ERROR:
        err_set(e, ERR_NET, "%s: check the endpoint: does it speak https?", why);
        return STORE_AGAIN;
    case CURLE_COULDNT_CONNECT:
        err_set(e, ERR_NET, "%s: does the server run, and may this machine reach it?", why);
        return STORE_AGAIN;
    default:
        err_set(e, ERR_NET, "%s", why);
        return STORE_AGAIN;
    }
}

static int perform(CURL *c, struct transfer *t, struct err *e)
{
    curl_off_t up = 0, down = 0;
    CURLcode code = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(c, CURLINFO_SIZE_DOWNLOAD_T, &down);
    meter_count(&t->s->meter, t->r->class, (uint64_t)up, (uint64_t)down);
    /* A server that refuses may hang up in the middle of what we send, or explain itself at length: what it
     * said counts. */
    bool full = t->reply->error.n == ERROR_LIMIT && !err_is_set(&t->e);
    bool refused = full || (t->reply->status >= 400 && code == CURLE_SEND_ERROR);
    return code == CURLE_OK || refused ? STORE_DONE : explain_curl(t, code, e);
}

/* libcurl sees when a reply ends before its announced length; one that announces none ends anywhere. */
static int check_end(const struct transfer *t, struct err *e)
{
    const struct s3_request *r = t->r;
    const struct s3_reply *reply = t->reply;
    if (!s3_is_good(r, reply))
        return STORE_DONE;
    if (r->range && t->received < r->range_size)
        return s3_explain_short(r, reply, t->received, e);
    if (!r->out || !r->name || reply->header[S3_LENGTH] || reply->header[S3_ENCODING])
        return STORE_DONE;
    err_set(e, ERR_NET, "the reply does not say how long it is, so it may have been cut off");
    return STORE_AGAIN;
}

int s3_exchange(struct s3 *s, const struct s3_request *r, const char *region, struct s3_reply *reply,
                struct err *e)
{
    struct transfer t = {.s = s, .r = r, .reply = reply};
    char sha[SHA_HEX];
    AUTO_CHAR md5 = NULL;
    AUTO(buf) path = BUF_NONE;
    AUTO(buf) query = BUF_NONE;
    char range[64];
    if (s3_body_hash(r->body, r->name, sha, &md5, e))
        return STORE_FAILED;
    buf_add_str(&path, s->base_path);
    if (r->name ||
        path.n == 0) /* "/bucket?...", as Amazon's own programs write it: some servers want it so */
        buf_add_str(&path, "/");
    if (r->name) {
        uri_encode(&path, s->prefix, true);
        uri_encode(&path, r->name, true);
    }
    if (r->query)
        query_write(r->query, &query);
    if (r->out)
        r->out->n = 0;
    AUTO_CHAR url = xasprintf("%s%s%s%s", s->url, buf_cstr(&path), query.n ? "?" : "", buf_cstr(&query));
    struct curl_slist *headers = make_headers(s, r, region, sha, md5, buf_cstr(&path), buf_cstr(&query));
    CURLSH *connection = connection_take(s);
    CURL *c = curl_easy_init();
    if (!c)
        die(OUT_OF_MEMORY);
    curl_easy_setopt(c, CURLOPT_SHARE, connection);
    set_up(c, &t, url, headers);
    set_up_method(c, &t, range);
    t.pace = pace_start((uint64_t)s->timeout_s * 1000000000);
    int rc = perform(c, &t, e);
    curl_easy_cleanup(c);
    connection_give_back(s, connection);
    curl_slist_free_all(headers);
    return rc == STORE_DONE ? check_end(&t, e) : rc;
}

/* ---- with what replies mean ---- */
static char *region_of(struct s3 *s)
{
    pthread_mutex_lock(&s->lock);
    char *region = xstrdup(s->region);
    pthread_mutex_unlock(&s->lock);
    return region;
}

static void learn_region(struct s3 *s, const char *region)
{
    pthread_mutex_lock(&s->lock);
    if (strcmp(s->region, region) != 0) {
        log_warn("%s: the bucket lies in region %s, not %s: set region = %s", s->base.title, region,
                 s->region, region);
        free(s->region);
        s->region = xstrdup(region);
    }
    pthread_mutex_unlock(&s->lock);
}

int s3_send(struct s3 *s, const struct s3_request *r, struct s3_reply *reply, struct err *e)
{
    AUTO_CHAR region = region_of(s);
    for (bool again = false;; again = true) {
        AUTO_CHAR better = NULL;
        struct err why = ERR_INIT;
        s3_reply_free(reply);
        int rc = s3_exchange(s, r, region, reply, &why);
        if (rc == STORE_DONE)
            rc = s3_explain(r, reply, region, &better, &why);
        if (better && !again) {
            learn_region(s, better);
            free(region);
            region = STEAL(better);
            continue;
        }
        if (rc < 0)
            *e = why;
        return rc;
    }
}

void s3_reply_free(struct s3_reply *r)
{
    for (size_t i = 0; i < S3_HEADERS; i++)
        free(r->header[i]);
    buf_free(&r->error);
    *r = (struct s3_reply)S3_REPLY_NONE;
}

int64_t s3_reply_time(const struct s3_reply *r)
{
    time_t t = r->header[S3_DATE] ? curl_getdate(r->header[S3_DATE], NULL) : -1;
    return t > 0 ? store_time_ns(t, 0) : 0;
}
