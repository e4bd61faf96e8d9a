/* s3_reply.h - what the XML of an S3 server says: a page of a listing, an error, a setting of the bucket.
 * Pure; works on any bytes. */
#ifndef LIFEBOAT_STORE_S3_REPLY_H
#define LIFEBOAT_STORE_S3_REPLY_H

#include "store/store.h"

struct s3_entry {
    char *key;
    char *version; /* NULL in a listing without versions */
    uint64_t size;
    int64_t mtime_ns;
    bool marker; /* a delete marker, no object */
    bool latest; /* the current version */
};
struct s3_page {
    struct s3_entry *v;
    size_t n, cap;
    bool truncated;            /* there is more: */
    char *next, *next_version; /* where it goes on (token or key; version), or NULL */
};
#define S3_PAGE_NONE \
    {                \
        0            \
    }
void s3_page_add(struct s3_page *p, struct s3_entry *o); /* takes over what *o holds */
/* Calls `each` for every object below `prefix`, which is left out of the name; its verdict, or STORE_DONE. */
int s3_page_each(const struct s3_page *p, const char *prefix, store_each *each, void *ctx,
                 struct err *e) MUST_CHECK;
/* Appends what ListObjectsV2 or ListObjectVersions answered. false: it is none, or it is cut off. */
bool s3_page_parse(struct bytes xml, struct s3_page *out);
void s3_page_free(struct s3_page *p);
AUTO_FOR(s3_page)

/* A listing from page to page, and its end: a server can always say that there is more. */
struct s3_listing {
    char *last; /* the greatest key so far, or NULL */
    uint64_t objects;
    unsigned idle; /* pages in a row that brought no greater one */
};
#define S3_LISTING_NONE \
    {                   \
        0               \
    }
/* Counts a page. ERR_FAILED: 1000 in a row brought no new name, or there are more than 16 million objects. */
int s3_listing_add(struct s3_listing *l, const struct s3_page *p, struct err *e) MUST_CHECK;
void s3_listing_free(struct s3_listing *l);
AUTO_FOR(s3_listing)

struct s3_error_text {
    char *code, *message, *region, *endpoint; /* printable, at most 300 characters; NULL: not said */
};
#define S3_ERROR_TEXT_NONE \
    {                      \
        0                  \
    }
/* What an <Error> says. false: it is none. */
bool s3_error_parse(struct bytes xml, struct s3_error_text *out);
void s3_error_text_free(struct s3_error_text *t);
AUTO_FOR(s3_error_text)

/* What the element at `path` holds; NULL: there is none. The caller frees it. */
char *s3_setting_value(struct bytes xml, const char *path);
/* Whether the element at `path` holds `value`. */
bool s3_setting_is(struct bytes xml, const char *path, const char *value);

#endif
