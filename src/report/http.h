/* http.h - posts to a few URLs at once, each within seconds. URLs are secrets: no message shows more of one
 * than its host. */
#ifndef LIFEBOAT_REPORT_HTTP_H
#define LIFEBOAT_REPORT_HTTP_H

#include "base/base.h"

/* Nobody's backup waits longer than this for a server that does not answer. */
#define HTTP_LIMIT_MS 4000

struct http_post {
    const char *url;
    const char *type; /* Content-Type */
    struct bytes body;
    struct err why; /* set: it was not taken */
};
/* Where redirects lead is not followed: a redirect is a failure. */
void http_post_all(struct http_post *v, size_t n, const char *ca_file);

#endif
