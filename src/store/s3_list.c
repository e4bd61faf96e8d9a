/* Listings: pages of a thousand, each complete before its first object is handed on. */
#include "s3.h"

#include "s3_reply.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_LIMIT \
    (16u << 20) /* 1,000 keys of 1,024 bytes, all of them escaped, and what stands around them */

/* One page; *token is where it starts (NULL: at the beginning). */
static int get_page(struct s3 *s, const char *prefix, const char *token, struct s3_page *out, int64_t *now_ns,
                    struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    AUTO(buf) xml = BUF_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    AUTO_CHAR whole = xasprintf("%s%s", s->prefix, prefix);
    query_add(&q, "list-type", "2");
    query_add(&q, "prefix", whole);
    if (token)
        query_add(&q, "continuation-token", token);
    const struct s3_request r = {
        .class = STORE_LIST, .method = "GET", .query = &q, .out = &xml, .limit = PAGE_LIMIT};
    int rc = s3_send(s, &r, &reply, e);
    if (rc != STORE_DONE)
        return rc;
    *now_ns = s3_reply_time(&reply);
    return s3_take_page(buf_bytes(&xml), out, e);
}

int s3_take_page(struct bytes xml, struct s3_page *out, struct err *e)
{
    AUTO(s3_error_text) t = S3_ERROR_TEXT_NONE;
    if (s3_page_parse(xml, out) && (!out->truncated || out->next))
        return STORE_DONE;
    if (s3_error_parse(xml, &t) && t.code)
        err_set(e, ERR_NET, "HTTP 200, but with the error %s%s%s", t.code, t.message ? ": " : "",
                t.message ? t.message : "");
    else
        err_set(e, ERR_NET, "the reply is no listing, or was cut off (%zu bytes): is this an S3 endpoint?",
                xml.n);
    return STORE_AGAIN;
}

int s3_list(struct store *base, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
            struct err *e)
{
    struct s3 *s = s3_of(base);
    AUTO_CHAR token = NULL;
    AUTO(s3_listing) all = S3_LISTING_NONE;
    for (bool first = true, more = true; more; first = false) {
        AUTO(s3_page) page = S3_PAGE_NONE;
        int64_t date = 0;
        int rc = get_page(s, prefix, token, &page, &date, e);
        if (rc != STORE_DONE)
            return rc;
        more = page.truncated;
        if (more && token && strcmp(token, page.next) == 0)
            return err_set(e, ERR_FAILED, "the server gives the same page again and again");
        if (first && now_ns && date == 0)
            return err_set(e, ERR_FAILED, "the server's reply has no Date, and ages count by its clock");
        if (first && now_ns)
            *now_ns = date;
        rc = s3_listing_add(&all, &page, e);
        if (rc == 0)
            rc = s3_page_each(&page, s->prefix, each, ctx, e);
        if (rc)
            return rc;
        free(token);
        token = STEAL(page.next);
    }
    return STORE_DONE;
}
