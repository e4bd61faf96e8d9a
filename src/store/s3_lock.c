/* Object Lock: retention in COMPLIANCE mode, which nobody can shorten, not even the account's owner. A server
 * that knows nothing of it answers 200 all the same (and takes PUT ?retention for the object itself), so it
 * is asked and read back before it is believed. */
#include "s3.h"

#include "s3_reply.h"

#include <stdio.h>
#include <string.h>

#define DAY_NS        (86400ll * 1000000000)
#define SETTING_LIMIT (64u << 10)

static const char mode[] = "COMPLIANCE";

void s3_lock_headers(const struct s3 *s, char until[40], struct sigv4_header out[S3_LOCK_HEADERS])
{
    time_format_utc(until, time_now_ns() + s->lock_days * DAY_NS);
    out[0] = (struct sigv4_header){"x-amz-object-lock-mode", mode};
    out[1] = (struct sigv4_header){"x-amz-object-lock-retain-until-date", until};
}

/* 0: there is no date. */
static int64_t locked_until(const struct s3_reply *head)
{
    int64_t until = 0;
    const char *text = head->header[S3_LOCK_UNTIL];
    return text && time_parse_utc(text, &until) ? until : 0;
}

bool s3_is_locked(const struct s3_reply *head)
{
    const char *hold = head->header[S3_LEGAL_HOLD];
    return (hold && strcmp(hold, "ON") == 0) || locked_until(head) > time_now_ns();
}

static bool was_seen(struct s3 *s)
{
    pthread_mutex_lock(&s->lock);
    bool seen = s->lock_seen;
    pthread_mutex_unlock(&s->lock);
    return seen;
}

/* Reads a lock back, once. */
static int check(struct s3 *s, const char *name, const char *version, int64_t until_ns, struct err *e)
{
    AUTO(s3_reply) head = S3_REPLY_NONE;
    if (was_seen(s))
        return STORE_DONE;
    int rc = s3_head(s, name, version, &head, e);
    if (rc < 0)
        return rc;
    const char *got = rc == STORE_DONE ? head.header[S3_LOCK_MODE] : NULL;
    if (!got || strcmp(got, mode) != 0 || locked_until(&head) < until_ns - DAY_NS)
        return err_set(
            e, ERR_FAILED,
            "the server took the object, but %s: object-lock-days needs a bucket that was made with "
            "Object Lock, on a server that has it, and an access key that may read retention "
            "(GetObjectRetention)",
            got ? "did not lock it as it was told" : "did not lock it");
    pthread_mutex_lock(&s->lock);
    s->lock_seen = true;
    pthread_mutex_unlock(&s->lock);
    return STORE_DONE;
}

int s3_lock_check(struct s3 *s, const char *name, const struct s3_reply *put, struct err *e)
{
    return check(s, name, put->header[S3_VERSION], time_now_ns() + s->lock_days * DAY_NS, e);
}

int s3_retention(struct store *base, const char *name, int64_t *until_ns, struct err *e)
{
    AUTO(s3_reply) head = S3_REPLY_NONE;
    int rc = s3_head(s3_of(base), name, NULL, &head, e);
    if (rc == STORE_DONE)
        *until_ns = locked_until(&head);
    return rc;
}

/* Whether the bucket has Object Lock, by its own words. */
static int ask_for_locks(struct s3 *s, struct err *e)
{
    AUTO(buf) xml = BUF_NONE;
    pthread_mutex_lock(&s->lock);
    enum s3_known known = s->locks;
    pthread_mutex_unlock(&s->lock);
    if (known == S3_UNKNOWN) {
        int rc = s3_setting(s, "object-lock", &xml, e);
        if (rc != STORE_DONE)
            return rc;
        bool has = s3_setting_is(buf_bytes(&xml), "ObjectLockConfiguration/ObjectLockEnabled", "Enabled");
        known = has ? S3_YES : S3_NO;
        pthread_mutex_lock(&s->lock);
        s->locks = known;
        pthread_mutex_unlock(&s->lock);
    }
    return known == S3_YES ? STORE_DONE : err_set(e, ERR_FAILED, "the bucket has no Object Lock");
}

static int put_retention(struct s3 *s, const char *name, const char *until, struct err *e)
{
    AUTO(query) q = QUERY_NONE;
    AUTO(buf) xml = BUF_NONE;
    AUTO(s3_reply) reply = S3_REPLY_NONE;
    query_add(&q, "retention", "");
    buf_add_fmt(&xml,
                "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>%s</Mode>"
                "<RetainUntilDate>%s</RetainUntilDate></Retention>",
                mode, until);
    const struct s3_body body = {.data = buf_bytes(&xml), .fd = -1, .size = xml.n};
    const struct s3_request r = {
        .class = STORE_PUT, .method = "PUT", .name = name, .query = &q, .body = &body};
    return s3_send(s, &r, &reply, e);
}

int s3_extend(struct store *base, const char *name, int64_t until_ns, struct err *e)
{
    struct s3 *s = s3_of(base);
    char until[40];
    int64_t now_until = 0;
    int rc = ask_for_locks(s, e);
    if (rc == STORE_DONE)
        rc = s3_retention(base, name, &now_until, e);
    if (rc != STORE_DONE || now_until >= until_ns)
        return rc;
    time_format_utc(until, until_ns);
    rc = put_retention(s, name, until, e);
    return rc == STORE_DONE ? check(s, name, NULL, until_ns, e) : rc;
}
