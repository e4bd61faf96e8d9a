/* s3_options.h - what both bucket drivers make of their options. */
#ifndef LIFEBOAT_STORE_S3_OPTIONS_H
#define LIFEBOAT_STORE_S3_OPTIONS_H

#include "store/store.h"

#define S3_REGION_DEFAULT "us-east-1"
#define S3_TIMEOUT        60 /* seconds */

struct s3_endpoint {
    char *host; /* HOST[:PORT], as a Host header has it: without the scheme's usual port */
    bool tls;
};
#define S3_ENDPOINT_NONE \
    {                    \
        0                \
    }
void s3_endpoint_free(struct s3_endpoint *p);
AUTO_FOR(s3_endpoint)

/* Everything that can be said before the first request. ERR_USAGE. */
int s3_options_check(const struct store_s3_options *o, struct s3_endpoint *out, struct err *e) MUST_CHECK;
char *s3_title(const struct store_s3_options *o);  /* "store s3://BUCKET/PREFIX"; free() */
char *s3_prefix(const struct store_s3_options *o); /* "" or with a slash at its end; free() */
void store_credentials_copy(struct store_credentials *to, const struct store_credentials *from);

struct store *store_s3v2_new(const struct store_s3_options *o, const struct s3_endpoint *p,
                             struct err *e) MUST_CHECK;

#endif
