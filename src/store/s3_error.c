/* What a bad reply of an S3 server means: may it pass, what was said, and what helps. */
#include "s3.h"

#include "s3_codes.h"
#include "s3_reply.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_WAIT 3600 /* seconds of Retry-After that are believed */

bool s3_is_good(const struct s3_request *r, const struct s3_reply *reply)
{
    if (!r->range)
        return reply->status >= 200 && reply->status < 300;
    /* A server may answer with the whole when that is what was asked for (RFC 9110, 14.2). */
    return reply->status == 206 ||
           (reply->status == 200 && r->range_offset == 0 && reply->length == r->range_size);
}

/* ---- how it stands with ranges ---- */
/* The size of the object, from "bytes 0-9/443" or "bytes * /443"; 0: not said. */
static uint64_t total_of(const struct s3_reply *reply)
{
    const char *range = reply->header[S3_CONTENT_RANGE];
    const char *slash = range ? strchr(range, '/') : NULL;
    return slash ? strtoull(slash + 1, NULL, 10) : 0;
}

int s3_explain_short(const struct s3_request *r, const struct s3_reply *reply, uint64_t received,
                     struct err *e)
{
    uint64_t total = total_of(reply);
    if (total > r->range_offset + received) {
        err_set(e, ERR_NET, "the reply was cut off: %llu of %zu bytes came", (unsigned long long)received,
                r->range_size);
        return STORE_AGAIN;
    }
    unsigned long long end = r->range_offset + received;
    return err_set(e, ERR_DAMAGED, "ends at byte %llu", end);
}

/* ---- what helps ---- */
static const char *remedy_by_status(long status)
{
    switch (status) {
    case 401:
    case 403:
        return "check the credentials, and what this access key may do";
    case 404:
        return "check the bucket's name in the url, and the endpoint";
    case 405:
        return "is the endpoint one for S3?";
    case 407:
        return "the proxy wants a password: look at https_proxy in the environment";
    case 413:
        return "the server takes no objects of this size";
    case 507:
        return "the server has no room left";
    default:
        return NULL;
    }
}

/* "this machine's clock is 14 min 3 s behind the server's" */
static char *skew_remedy(const struct s3_reply *reply)
{
    char apart[32];
    int64_t theirs = s3_reply_time(reply), ours = time_now_ns();
    if (!theirs)
        return xstrdup("set this machine's clock (timedatectl)");
    duration_format(apart, (uint64_t)(ours > theirs ? ours - theirs : theirs - ours));
    return xasprintf("this machine's clock is %s %s the server's: set it (timedatectl)", apart,
                     ours > theirs ? "ahead of" : "behind");
}

static char *move_remedy(const struct s3_error_text *t, const char *region)
{
    if (t->endpoint && region)
        return xasprintf("the bucket lies elsewhere: set region = %s and an endpoint there (%s)", region,
                         t->endpoint);
    if (t->endpoint)
        return xasprintf("the bucket lies elsewhere: set endpoint (%s)", t->endpoint);
    if (region)
        return xasprintf("the bucket lies elsewhere: set region = %s, and the endpoint of that region",
                         region);
    return xstrdup("the bucket lies elsewhere: set region and endpoint");
}

static char *remedy_for(const struct s3_request *r, const struct s3_reply *reply,
                        const struct s3_error_text *t, const char *region)
{
    const char *code = t->code ? t->code : "";
    if (strcmp(code, "RequestTimeTooSkewed") == 0)
        return skew_remedy(reply);
    if (reply->status == 200 && r->range && !*code)
        return xstrdup("the server does not serve parts of objects");
    if (reply->status >= 300 && reply->status < 400)
        return move_remedy(t, region);
    if (strcmp(code, "AuthorizationHeaderMalformed") == 0 && region)
        return xasprintf("set region = %s", region);
    const char *text = s3_code_remedy(code);
    if (!text)
        text = remedy_by_status(reply->status);
    return text ? xstrdup(text) : NULL;
}

/* ---- may it pass ---- */
static bool may_pass(const struct s3_reply *reply, const char *code)
{
    long status = reply->status;
    return s3_code_may_pass(code) || status == 408 || status == 429 ||
           (status >= 500 && status != 501 && status != 505 && status != 507);
}

static unsigned wait_asked(const struct s3_reply *reply)
{
    const char *text = reply->header[S3_RETRY_AFTER];
    if (!text)
        return 0;
    long wait = strtol(text, NULL, 10);
    if (*text < '0' || *text > '9') { /* a date */
        time_t at = curl_getdate(text, NULL);
        wait = at < 0 ? 0 : (long)(at - s3_reply_time(reply) / 1000000000);
    }
    return wait <= 0 ? 0 : (unsigned)MIN(wait, (long)LONGEST_WAIT);
}

/* ---- all of it ---- */
/* The region where the server says the bucket is, when it is not the one we used. */
static char *other_region(const struct s3_reply *reply, const struct s3_error_text *t, const char *used)
{
    const char *region = t->region ? t->region : reply->header[S3_REGION];
    if (!region || !*region || strcmp(region, used) == 0 || strlen(region) > 64)
        return NULL;
    for (const char *c = region; *c; c++) /* it goes into a header */
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-'))
            return NULL;
    return xstrdup(region);
}

static int absent_or_error(const struct s3_request *r, const struct s3_reply *reply, const char *code)
{
    return reply->status == 404 && r->name && strcmp(code, "NoSuchBucket") != 0;
}

int s3_explain(const struct s3_request *r, const struct s3_reply *reply, const char *used, char **region,
               struct err *e)
{
    AUTO(s3_error_text) t = S3_ERROR_TEXT_NONE;
    bool said = s3_error_parse(buf_bytes(&reply->error), &t);
    bool good = s3_is_good(r, reply);
    const char *code = t.code ? t.code : "";
    if (good && !said) /* some errors come with status 200 */
        return STORE_DONE;
    if (absent_or_error(r, reply, code))
        return STORE_ABSENT;
    if (reply->status == 416 && r->range)
        return err_set(e, ERR_DAMAGED, "ends at byte %llu", (unsigned long long)total_of(reply));
    AUTO_CHAR other = other_region(reply, &t, used);
    AUTO_CHAR remedy = remedy_for(r, reply, &t, other);
    bool again = may_pass(reply, code);
    err_set(e, again ? ERR_NET : ERR_FAILED, "HTTP %ld%s%s%s%s%s%s%s", reply->status, *code ? " " : "", code,
            t.message ? ": " : "", t.message ? t.message : "", remedy ? " (" : "", remedy ? remedy : "",
            remedy ? ")" : "");
    if (reply->status >= 400 && reply->status < 500 &&
        !again) /* it moved: the endpoint would have to change */
        *region = STEAL(other);
    return again ? STORE_AGAIN_AFTER(wait_asked(reply)) : STORE_FAILED;
}
