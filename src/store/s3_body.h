/* s3_body.h - what a request sends: bytes, or the start of a file that is read as it goes out. */
#ifndef LIFEBOAT_STORE_S3_BODY_H
#define LIFEBOAT_STORE_S3_BODY_H

#include "codec/digest.h"

struct s3_body {
    struct bytes data; /* borrowed */
    int fd;            /* -1: data */
    uint64_t size;
};
/* n bytes at `offset`, which lie inside. */
int s3_body_read(const struct s3_body *b, void *p, size_t n, uint64_t offset, struct err *e) MUST_CHECK;
/* The SHA-256 in hex and the MD5 in base64 (free()); of NULL the SHA-256 of nothing, and no MD5. ERR_IO when
 * it comes from a file and the name of the object (NULL: none) is another SHA-256. */
int s3_body_hash(const struct s3_body *b, const char *name, char sha[SHA_HEX], char **md5,
                 struct err *e) MUST_CHECK;

#endif
