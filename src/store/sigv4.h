/* sigv4.h - AWS Signature Version 4 for requests whose body's SHA-256 is known, and the one encoder that both
 * the wire and the signature use. Pure: no clock, no I/O. Described in AWS's "Signature Calculations for the
 * Authorization Header: Transferring Payload in a Single Chunk". */
#ifndef LIFEBOAT_STORE_SIGV4_H
#define LIFEBOAT_STORE_SIGV4_H

#include "base/base.h"

/* Everything but A-Z a-z 0-9 - . _ ~ as %XX; with `path` the slash stays, too. */
void uri_encode(struct buf *out, const char *text, bool path);

/* A query string: parameters in any order, encoded and sorted when it is asked for. */
struct query {
    struct strings pairs; /* "name=value", encoded */
};
#define QUERY_NONE \
    {              \
        {          \
            0      \
        }          \
    }
void query_add(struct query *q, const char *name, const char *value); /* "" for a bare name */
void query_write(struct query *q, struct buf *out);                   /* "a=1&b=2"; sorts */
void query_free(struct query *q);
AUTO_FOR(query)

struct sigv4_header {
    const char *name, *value; /* the name in lower case; the value without blanks around it or doubled */
};
struct sigv4_request {
    const char *method;
    const char *path;                   /* as it goes on the wire: uri_encode() */
    const char *query;                  /* as it goes on the wire: query_write() */
    const struct sigv4_header *headers; /* all that are signed, `host` and `x-amz-date` among them */
    size_t header_count;
    const char *payload_sha256; /* hex */
};
struct sigv4_key {
    const char *access_key, *secret_key, *region, *service;
};
/* Appends the value of the Authorization header. `date` is that of x-amz-date: 20130524T000000Z. */
void sigv4_sign(const struct sigv4_request *r, const struct sigv4_key *k, const char *date, struct buf *out);

#endif
