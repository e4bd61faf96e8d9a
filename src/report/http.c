#include "http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

/* "https://HOST", to be shown. Caller frees. */
static char *http_host(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, "/?#");
    for (size_t i = n; i-- > 0;) /* what stands before an @ is a password */
        if (host[i] == '@') {
            host += i + 1;
            n -= i + 1;
            break;
        }
    return xasprintf("%s://%.*s", strncmp(url, "http:", 5) == 0 ? "http" : "https", (int)n, host);
}

/* What they answer is of no use to us. */
static size_t ignore(char *p, size_t size, size_t n, void *ctx)
{
    (void)p;
    (void)ctx;
    return size * n;
}

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    struct http_post *post;
    bool is_judged;
};

static bool set_up(struct transfer *t, struct http_post *post, const char *ca_file)
{
    t->post = post;
    t->easy = curl_easy_init();
    if (!t->easy)
        return false;
    AUTO_CHAR type = xasprintf("Content-Type: %s", post->type);
    t->headers = curl_slist_append(NULL, type);
    CURL *c = t->easy;
    curl_easy_setopt(c, CURLOPT_URL, post->url);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, (const char *)post->body.p);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.n);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "lifeboat/" LIFEBOAT_VERSION);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)HTTP_LIMIT_MS);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(c, CURLOPT_PRIVATE, (void *)t);
    if (ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
    return t->headers != NULL;
}

static void judge(struct transfer *t, CURLcode rc)
{
    AUTO_CHAR host = http_host(t->post->url);
    long status = 0;
    t->is_judged = true;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK) /* not curl's longer text: it may quote the URL */
        err_set(&t->post->why, ERR_NET, "%s: %s", host, curl_easy_strerror(rc));
    else if (status < 200 || status > 299)
        err_set(&t->post->why, ERR_NET, "%s: HTTP %ld%s", host, status,
                status == 404 || status == 410 ? ": the URL is not (or no more) known there" : "");
}

static void finish_some(CURLM *multi)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
        struct transfer *t;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        judge(t, m->data.result);
    }
}

void http_post_all(struct http_post *v, size_t n, const char *ca_file)
{
    struct transfer *all = xcalloc(n, sizeof *all);
    CURLM *multi = n && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    for (size_t i = 0; i < n; i++)
        if (!multi || !set_up(&all[i], &v[i], ca_file) ||
            curl_multi_add_handle(multi, all[i].easy) != CURLM_OK)
            err_set(&v[i].why, ERR_FAILED, "libcurl could not be set up");
    for (int running = multi != NULL; running;) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            break;
        if (running)
            curl_multi_poll(multi, NULL, 0, 250, NULL);
        finish_some(multi);
    }
    for (size_t i = 0; i < n; i++) {
        if (!all[i].is_judged)
            err_set(&v[i].why, ERR_FAILED, "libcurl gave up: out of memory?");
        if (all[i].easy)
            curl_multi_remove_handle(multi, all[i].easy);
        curl_easy_cleanup(all[i].easy);
        curl_slist_free_all(all[i].headers);
    }
    curl_multi_cleanup(multi);
    free(all);
}
