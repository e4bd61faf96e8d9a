#include "s3_options.h"

#include <stdlib.h>
#include <string.h>

#define DAYS_LIMIT 36500 /* what AWS takes at most for a retention: 100 years */

void s3_endpoint_free(struct s3_endpoint *p)
{
    free(p->host);
    *p = (struct s3_endpoint)S3_ENDPOINT_NONE;
}

/* Letters, digits, ".-_" and `more`. */
static bool are_plain(const char *text, size_t n, const char *more)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr(".-_", c) || strchr(more, c)))
            return false;
    }
    return true;
}

static bool is_plain(const char *text, const char *more)
{
    return are_plain(text, strlen(text), more);
}

char *s3_prefix(const struct store_s3_options *o)
{
    return o->prefix && *o->prefix ? xasprintf("%s/", o->prefix) : xstrdup("");
}

char *s3_title(const struct store_s3_options *o)
{
    bool has = o->prefix && *o->prefix;
    return xasprintf("store s3://%s%s%s", o->bucket, has ? "/" : "", has ? o->prefix : "");
}

/* ---- the endpoint ---- */
/* AWS's own for the region, when none is given. */
static int parse_endpoint(const struct store_s3_options *o, struct s3_endpoint *out, struct err *e)
{
    const char *p = o->endpoint;
    out->tls = true;
    if (!p) {
        out->host = xasprintf("s3.%s.amazonaws.com", o->region ? o->region : S3_REGION_DEFAULT);
        return 0;
    }
    if (strncmp(p, "https://", 8) == 0) {
        p += 8;
    } else if (strncmp(p, "http://", 7) == 0) {
        p += 7;
        out->tls = false;
    }
    size_t n = strlen(p);
    while (n && p[n - 1] == '/')
        n--;
    if (n == 0 || !are_plain(p, n, ":[]"))
        return err_set(e, ERR_USAGE, "endpoint = %s: is not https://HOST or https://HOST:PORT", o->endpoint);
    const char *usual = out->tls ? ":443" : ":80";
    if (n > strlen(usual) && memcmp(p + n - strlen(usual), usual, strlen(usual)) == 0)
        n -= strlen(usual);
    out->host = xstrndup(p, n);
    return 0;
}

static int check_v2(const struct store_s3_options *o, const struct s3_endpoint *p, struct err *e)
{
    if (o->object_lock_days)
        return err_set(e, ERR_USAGE, "signature = v2 knows no Object Lock: remove object-lock-days");
    if (o->credentials->session_token)
        return err_set(e, ERR_USAGE, "signature = v2 knows no session tokens");
    if (o->prefix && !is_plain(o->prefix, "/")) /* libs3 encodes them in one way here, in another there */
        return err_set(e, ERR_USAGE,
                       "s3://%s/%s: with signature = v2 a prefix has only letters, digits and ./_-",
                       o->bucket, o->prefix);
    if (p->tls && !o->insecure)
        return err_set(
            e, ERR_USAGE,
            "signature = v2 does not check the server's certificate (libs3 cannot): say insecure = "
            "yes when the network up to the gateway may be trusted");
    return 0;
}

int s3_options_check(const struct store_s3_options *o, struct s3_endpoint *out, struct err *e)
{
    if (o->region && !(*o->region && is_plain(o->region, "")))
        return err_set(e, ERR_USAGE, "region = %s: is not the name of a region", o->region);
    if (parse_endpoint(o, out, e))
        return -1;
    if (o->addressing == STORE_ADDRESSING_VIRTUAL && !is_plain(o->bucket, ""))
        return err_set(e, ERR_USAGE, "bucket %s: cannot be part of a host name: set addressing = path",
                       o->bucket);
    if (o->object_lock_days > DAYS_LIMIT)
        return err_set(e, ERR_USAGE, "object-lock-days = %u: more than %u days", o->object_lock_days,
                       DAYS_LIMIT);
    if (!out->tls && !o->insecure)
        return err_set(
            e, ERR_USAGE,
            "endpoint = %s: is not encrypted: use https://, or say insecure = yes when the network "
            "up to it may be trusted",
            o->endpoint);
    return o->signature == STORE_SIGNATURE_V2 ? check_v2(o, out, e) : 0;
}
