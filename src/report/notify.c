#include "report/notify.h"

#include "base/file.h"
#include "base/log.h"
#include "http.h"
#include "message.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX      4096
#define TEMPLATE_MAX (64u << 10)

/* The URL, from the file that holds it when it is one. NULL with *e. */
static char *load_url(const char *url_or_file, bool insecure, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    if (url_or_file[0] != '/')
        return xstrdup(url_or_file);
    AUTO_CHAR file = file_credential(url_or_file);
    if (file_check_private(file, e) || file_read(file, URL_MAX, &text, e))
        return NULL;
    const char *line = buf_cstr(&text);
    AUTO_CHAR url = xstrndup(line, strcspn(line, "\r\n"));
    if (config_check_web_url(url, insecure, e) == 0)
        return STEAL(url);
    err_wrap(e, "%s: its first line, the URL", file);
    return NULL;
}

/* ---- the dead-man's switch ---- */
struct ping {
    const struct config_notify *to;
    char *url, *start_url;
    struct http_post start;
    pthread_t thread;
    bool has_thread;
};

/* Before the query: https://host/ping/ID?x=y becomes https://host/ping/ID/start?x=y. */
static char *with_word(const char *url, const char *word)
{
    size_t n = strcspn(url, "?#"), path = n;
    while (path && url[path - 1] == '/')
        path--;
    return xasprintf("%.*s/%s%s", (int)path, url, word, url + n);
}

static void *say_start(void *arg)
{
    struct ping *p = arg;
    http_post_all(&p->start, 1, p->to->ca_file);
    return NULL;
}

struct ping *notify_begin(const struct config *c)
{
    struct err why = ERR_INIT;
    if (!c->notify.ping_url)
        return NULL;
    struct ping *p = xcalloc(1, sizeof *p);
    p->to = &c->notify;
    p->url = load_url(c->notify.ping_url, c->notify.insecure, &why);
    if (!p->url) {
        log_warn("[notify] ping-url: %s", why.text);
        return p;
    }
    p->start_url = with_word(p->url, "start");
    p->start = (struct http_post){.url = p->start_url, .type = "text/plain", .body = BYTES("", 0)};
    p->has_thread = pthread_create(&p->thread, NULL, say_start, p) == 0;
    return p;
}

static void end_start(struct ping *p)
{
    if (p->has_thread)
        pthread_join(p->thread, NULL);
    if (err_is_set(&p->start.why))
        log_warn("[notify] ping-url: the start was not taken: %s", p->start.why.text);
}

static void ping_free(struct ping *p)
{
    if (!p)
        return;
    free(p->url);
    free(p->start_url);
    free(p);
}

/* ---- news ---- */
struct news {
    struct message message;
    char *url;
    struct buf body;
    bool is_digest;
};

static int load_template(const struct config_notify *n, struct buf *out, struct err *e)
{
    return n->template ? file_read(n->template, TEMPLATE_MAX, out, e) : 0;
}

/* false: nothing to tell, or it cannot be told (which is said). */
static bool make_news(struct news *w, const struct config *c, const struct record *r, int64_t now_ns)
{
    const struct config_notify *n = &c->notify;
    struct err why = ERR_INIT;
    AUTO(buf) template = BUF_NONE;
    int64_t every_ns = (int64_t)n->digest_s * 1000000000;
    if (!n->webhook_url)
        return false;
    /* A sixteenth early: runs are not a day apart to the second. */
    w->is_digest = every_ns && now_ns - r->digest_ns >= every_ns - every_ns / 16;
    if (!message_make(&w->message, r, c->host, w->is_digest))
        return false;
    w->url = load_url(n->webhook_url, n->insecure, &why);
    if (!w->url) {
        log_warn("[notify] webhook-url: %s", why.text);
        return false;
    }
    if (load_template(n, &template, &why) == 0 &&
        message_fill(&w->message, buf_bytes(&template), c->host, now_ns, &w->body, &why) == 0)
        return true;
    log_warn("[notify] template: %s: %s", n->template ? n->template : "our own", why.text);
    return false;
}

static void news_free(struct news *w)
{
    message_free(&w->message);
    free(w->url);
    buf_free(&w->body);
}
AUTO_FOR(news)

void notify_end(struct ping *ping, const struct config *c, const struct notify_result *how, struct record *r)
{
    AUTO(news) news = {0};
    struct http_post posts[2];
    size_t n = 0;
    AUTO_CHAR end_url = NULL;
    const struct http_post *pinged = NULL, *hooked = NULL;
    if (make_news(&news, c, r, how->now_ns)) {
        posts[n] =
            (struct http_post){.url = news.url, .type = "application/json", .body = buf_bytes(&news.body)};
        hooked = &posts[n++];
    }
    if (ping && ping->url) {
        const char *said = how->end == NOTIFY_WELL ? "" : how->reason;
        end_start(ping); /* a start that comes late would count as another run */
        end_url = how->end == NOTIFY_WELL ? xstrdup(ping->url) : with_word(ping->url, "fail");
        posts[n] = (struct http_post){.url = end_url, .type = "text/plain", .body = BYTES_STR(said)};
        pinged = &posts[n++];
    }
    http_post_all(posts, n, c->notify.ca_file);
    if (pinged && err_is_set(&pinged->why))
        log_warn("[notify] ping-url: the end was not taken: %s", pinged->why.text);
    if (hooked && err_is_set(&hooked->why))
        log_warn("[notify] webhook-url: the news were not taken, the next run tries again: %s",
                 hooked->why.text);
    if (hooked && !err_is_set(&hooked->why)) {
        record_told(r);
        r->digest_ns = news.is_digest ? how->now_ns : r->digest_ns;
    }
    ping_free(ping);
}
