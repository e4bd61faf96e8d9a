#include "s3_body.h"

#include "base/file.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK (128u << 10)

int s3_body_read(const struct s3_body *b, void *p, size_t n, uint64_t offset, struct err *e)
{
    if (b->fd >= 0)
        return fd_pread_all(b->fd, p, n, offset, "temporary file", e);
    memcpy(p, b->data.p + offset, n);
    return 0;
}

static int hash_blocks(const struct s3_body *b, struct sha_stream *sha, EVP_MD_CTX *md5, struct err *e)
{
    uint8_t *block = xcalloc(1, BLOCK);
    int rc = 0;
    for (uint64_t done = 0; done < b->size && rc == 0; done += BLOCK) {
        size_t n = (size_t)MIN(b->size - done, (uint64_t)BLOCK);
        rc = s3_body_read(b, block, n, done, e);
        if (rc == 0) {
            sha_add(sha, BYTES(block, n));
            EVP_DigestUpdate(md5, block, n);
        }
    }
    free(block);
    return rc;
}

static int hash_both(const struct s3_body *b, struct sha_stream *sha, char **md5, struct err *e)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1
                 ? hash_blocks(b, sha, ctx, e)
                 : err_set(e, ERR_FAILED, "libcrypto has no MD5 here (FIPS mode?), and S3 wants it");
    if (rc == 0) {
        EVP_DigestFinal_ex(ctx, digest, &n);
        *md5 = base64_encode(BYTES(digest, n));
    }
    EVP_MD_CTX_free(ctx);
    return rc;
}

/* What comes from a file has been on a disk of ours meanwhile. */
static int check_name(const char *name, const struct sha *sha, struct err *e)
{
    const char *hex = name ? strrchr(name, '/') : NULL;
    struct sha named;
    if (!hex || !sha_parse(&named, hex + 1, strlen(hex + 1)) || sha_equal(&named, sha))
        return 0;
    return err_set(
        e, ERR_IO,
        "its temporary file gives back other bytes than were written there: does the disk of [state] "
        "directory fail?");
}

int s3_body_hash(const struct s3_body *b, const char *name, char hex[SHA_HEX], char **md5, struct err *e)
{
    struct sha_stream stream;
    struct sha sha;
    *md5 = NULL;
    sha_begin(&stream);
    if (b && hash_both(b, &stream, md5, e))
        return -1;
    sha_end(&stream, &sha);
    if (b && b->fd >= 0 && check_name(name, &sha, e))
        return -1;
    sha_hex(hex, &sha);
    return 0;
}
