/* s3.h - what the files of the Signature V4 driver share: the bucket, a request, a reply.
 *   s3_request.c  one HTTP exchange: libcurl, signing, connections
 *   s3_error.c    what a bad reply means
 *   s3.c          the operations of a store; opening
 *   s3_list.c     listings
 *   s3_lock.c     Object Lock
 *   s3_version.c  versioned buckets: what a marker hides, deletion by version
 *   s3_traits.c   what the bucket is like */
#ifndef LIFEBOAT_STORE_S3_H
#define LIFEBOAT_STORE_S3_H

#include "driver.h"
#include "limit.h"
#include "meter.h"
#include "pace.h"
#include "s3_body.h"
#include "sigv4.h"

#include <curl/curl.h>
#include <pthread.h>

#define S3_IDLE 16 /* connections kept open */

enum s3_known { S3_UNKNOWN, S3_YES, S3_NO };
struct s3 {
    struct store base;
    char *url;       /* scheme://host[:port], of what the Host header says */
    char *host;      /* Host header: with the bucket in front when that is how it is addressed */
    char *base_path; /* encoded: "/bucket", or "" */
    char *prefix;    /* "" or with a slash at its end */
    char *ca_file, *spool_dir;
    struct store_credentials credentials;
    struct limit *up, *down;
    struct meter meter;
    unsigned lock_days;
    long timeout_s;
    pthread_mutex_t lock; /* guards all below */
    char *region;
    CURLSH *idle[S3_IDLE];
    size_t idle_count;
    enum s3_known versioned; /* the bucket keeps versions */
    enum s3_known locks;     /* the bucket has Object Lock */
    bool lock_seen;          /* a lock that was asked for was read back */
    bool hidden_told, older_told, refused_told;
    bool delete_seen;      /* what was deleted was really gone, once */
    struct strings mended; /* what was read from an older version, or below a marker */
};
static inline struct s3 *s3_of(struct store *s)
{
    return CONTAINER(s, struct s3, base);
}

/* ---- one exchange ---- */
struct s3_request {
    enum store_class class;
    const char *method;
    bool anonymous;                     /* without a signature */
    const char *name;                   /* of the object; NULL: the bucket itself */
    struct query *query;                /* NULL: none */
    const struct sigv4_header *headers; /* x-amz-..., besides the usual */
    size_t header_count;
    const struct s3_body *body; /* NULL: none */
    struct buf *out;            /* what a good reply holds goes here, at most `limit` bytes; or: */
    uint64_t limit;
    uint8_t *range; /* exactly `range_size` bytes from `range_offset` go here */
    uint64_t range_offset;
    size_t range_size;
};
enum s3_header {
    S3_DATE,
    S3_RETRY_AFTER,
    S3_LENGTH,
    S3_ENCODING,
    S3_CONTENT_RANGE,
    S3_REGION,
    S3_DELETE_MARKER,
    S3_VERSION,
    S3_LOCK_MODE,
    S3_LOCK_UNTIL,
    S3_LEGAL_HOLD,
    S3_HEADERS
};
struct s3_reply {
    long status;
    uint64_t length;          /* of the body, as announced; 0 without header[S3_LENGTH] */
    char *header[S3_HEADERS]; /* NULL: not there */
    struct buf error;         /* the body of a bad reply, or of a good one that should have none */
};
#define S3_REPLY_NONE \
    {                 \
        0             \
    }
void s3_reply_free(struct s3_reply *r);
AUTO_FOR(s3_reply)

/* Sends and receives. STORE_DONE: a good reply. STORE_ABSENT: 404 of an object. Otherwise an error with *e,
 * STORE_FAILED or STORE_AGAIN; *reply is what came. */
int s3_send(struct s3 *s, const struct s3_request *r, struct s3_reply *reply, struct err *e) MUST_CHECK;

/* The same without what a bad reply means: STORE_DONE with any status, or the connection's failure. */
int s3_exchange(struct s3 *s, const struct s3_request *r, const char *region, struct s3_reply *reply,
                struct err *e) MUST_CHECK;
/* What a reply other than a good one means. *region becomes the one that the server says is right, where it
 * says so and it is not `used`. */
int s3_explain(const struct s3_request *r, const struct s3_reply *reply, const char *used, char **region,
               struct err *e) MUST_CHECK;
/* Whether the status is one that the request hopes for. */
bool s3_is_good(const struct s3_request *r, const struct s3_reply *reply);
/* A range that came with fewer bytes: the object ends there, or the reply was cut off. */
int s3_explain_short(const struct s3_request *r, const struct s3_reply *reply, uint64_t received,
                     struct err *e) MUST_CHECK;
int64_t s3_reply_time(const struct s3_reply *r); /* by its Date; 0: none */

/* ---- operations that others need ---- */
/* `version`: NULL for the current one. */
int s3_get_whole(struct s3 *s, const char *name, const char *version, uint64_t limit, struct buf *out,
                 struct s3_reply *reply, struct err *e) MUST_CHECK;
int s3_head(struct s3 *s, const char *name, const char *version, struct s3_reply *reply,
            struct err *e) MUST_CHECK;
/* What the bucket says about one of its settings ("versioning", "object-lock"). */
int s3_setting(struct s3 *s, const char *setting, struct buf *out, struct err *e) MUST_CHECK;

/* s3_list.c */
struct s3_page;
int s3_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns, struct err *e);
/* Reads a page. STORE_AGAIN: the XML is none. */
int s3_take_page(struct bytes xml, struct s3_page *out, struct err *e) MUST_CHECK;

/* s3_lock.c: the headers that lock a new object, and whether the first lock took. */
#define S3_LOCK_HEADERS 2
void s3_lock_headers(const struct s3 *s, char until[40], struct sigv4_header out[S3_LOCK_HEADERS]);
int s3_lock_check(struct s3 *s, const char *name, const struct s3_reply *put, struct err *e) MUST_CHECK;
bool s3_is_locked(const struct s3_reply *head);
int s3_retention(struct store *s, const char *name, int64_t *until_ns, struct err *e);
int s3_extend(struct store *s, const char *name, int64_t until_ns, struct err *e);

/* s3_traits.c */
int s3_traits(struct store *s, const char *name, struct store_traits *out, struct err *e);

/* s3_version.c */
int s3_delete(struct store *s, const char *name, struct err *e);
int s3_hide(struct store *s, const char *name, struct err *e);
/* The object's version number `nth`, newest (0, the current one) first; markers are not counted.
 * STORE_ABSENT when there are no more. */
int s3_get_version(struct store *s, const char *name, unsigned nth, uint64_t limit, struct buf *out,
                   struct err *e) MUST_CHECK;
/* The id of the nth version that is an object, newest first, or of the oldest (STORE_OLDEST). STORE_ABSENT:
 * there are not as many. */
int s3_nth_version(struct s3 *s, const char *name, unsigned nth, char **version, struct err *e) MUST_CHECK;
/* After a 404: the newest version below a marker, or STORE_ABSENT. */
int s3_below_marker(struct s3 *s, const char *name, const struct s3_reply *absent, char **version,
                    struct err *e) MUST_CHECK;
/* After `version` (NULL: the current one) was read with `rc`: what does not match the SHA-256 in the object's
 * name, or is too large, is replaced by what does match: fetched anew, or of an older version. What matches
 * nowhere stays as it is: who asked will see. */
int s3_mend(struct s3 *s, const char *name, const char *version, int rc, uint64_t limit, struct buf *out,
            struct err *e) MUST_CHECK;
void s3_mended(struct store *s, struct strings *out);

#endif
