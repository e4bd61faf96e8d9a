/* What a bucket is like: what its settings say, and what somebody without a key can do. A key that may not
 * ask for a setting, and a server that does not know it, leave it unknown. */
#include "s3.h"

#include "s3_reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define YEAR_DAYS 365
#define SHOWN_MAX (1u << 20)

/* A setting. STORE_ABSENT: it cannot be had; then *e is not set. */
static int ask(struct s3 *s, const char *setting, struct buf *out, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = s3_setting(s, setting, out, &why);
    if (rc == STORE_DONE || rc == STORE_ABSENT || why.kind == ERR_FAILED)
        return rc == STORE_DONE ? STORE_DONE : STORE_ABSENT;
    *e = why;
    return rc;
}

static int ask_versions(struct s3 *s, struct store_traits *out, struct err *e)
{
    AUTO(buf) xml = BUF_NONE;
    int rc = ask(s, "versioning", &xml, e);
    if (rc == STORE_DONE)
        out->versions = s3_setting_is(buf_bytes(&xml), "VersioningConfiguration/Status", "Enabled")
                            ? STORE_YES
                            : STORE_NO;
    return rc;
}

static unsigned number_at(const struct buf *xml, const char *path)
{
    AUTO_CHAR text = s3_setting_value(buf_bytes(xml), path);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

/* A server that knows nothing of locks may answer with something else: it has none. */
static int ask_locks(struct s3 *s, struct store_traits *out, struct err *e)
{
    AUTO(buf) xml = BUF_NONE;
    int rc = ask(s, "object-lock", &xml, e);
    bool has = rc == STORE_DONE &&
               s3_setting_is(buf_bytes(&xml), "ObjectLockConfiguration/ObjectLockEnabled", "Enabled");
    out->locks = has ? STORE_YES : STORE_NO;
    if (has)
        out->default_lock_days =
            number_at(&xml, "ObjectLockConfiguration/Rule/DefaultRetention/Days") +
            number_at(&xml, "ObjectLockConfiguration/Rule/DefaultRetention/Years") * YEAR_DAYS;
    return rc;
}

/* Sends a request that nobody has signed. *allowed: it was answered. */
static int try_anonymously(struct s3 *s, const char *name, bool *allowed, struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    AUTO(buf) out = BUF_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    if (!name) {
        query_add(&q, "list-type", "2");
        query_add(&q, "max-keys", "1");
    }
    const struct s3_request r = {.class = name ? STORE_GET : STORE_LIST,
                                 .method = "GET",
                                 .anonymous = true,
                                 .name = name,
                                 .query = &q,
                                 .out = &out,
                                 .limit = SHOWN_MAX};
    int rc = s3_exchange(s, &r, "none", &reply, e);
    *allowed |= rc == STORE_DONE && s3_is_good(&r, &reply);
    return rc;
}

/* By its own words, and by trying. */
static int ask_public(struct s3 *s, const char *name, struct store_traits *out, struct err *e)
{
    AUTO(buf) xml = BUF_NONE;
    bool open = false;
    int rc = ask(s, "policyStatus", &xml, e);
    if (rc == STORE_DONE) {
        AUTO_CHAR said = s3_setting_value(buf_bytes(&xml), "PolicyStatus/IsPublic");
        out->called_public = said && strcasecmp(said, "true") == 0;
    }
    if (rc >= STORE_DONE && (rc = try_anonymously(s, name, &open, e)) == STORE_DONE)
        rc = try_anonymously(s, NULL, &open, e);
    if (rc == STORE_DONE)
        out->is_public = open ? STORE_YES : STORE_NO;
    return rc;
}

int s3_traits(struct store *base, const char *name, struct store_traits *out, struct err *e)
{
    struct s3 *s = s3_of(base);
    int rc = ask_versions(s, out, e);
    if (rc >= STORE_DONE)
        rc = ask_locks(s, out, e);
    if (rc >= STORE_DONE)
        rc = ask_public(s, name, out, e);
    return rc >= STORE_DONE ? STORE_DONE : rc;
}
