/* digest.h - SHA-256 names of objects, and the keyed ids of chunks: the first 20 bytes of HMAC-SHA-256 (RFC
 * 2104). libcrypto with the CPU's SHA instructions ran at 2.0 GB/s where libsodium's BLAKE2b ran at 0.75. */
#ifndef LIFEBOAT_CODEC_DIGEST_H
#define LIFEBOAT_CODEC_DIGEST_H

#include "base/base.h"

#include <openssl/sha.h>
#include <string.h>

#define SHA_SIZE 32
#define SHA_HEX  (2 * SHA_SIZE + 1)
#define ID_SIZE  20
#define ID_HEX   (2 * ID_SIZE + 1)

struct sha {
    uint8_t b[SHA_SIZE];
};
struct sha_stream {
    SHA256_CTX ctx;
};
void sha_begin(struct sha_stream *s);
void sha_add(struct sha_stream *s, struct bytes b);
void sha_end(struct sha_stream *s, struct sha *out);
void sha_of(struct bytes b, struct sha *out);
void sha_hex(char out[SHA_HEX], const struct sha *sha);
bool sha_parse(struct sha *out, const char *hex, size_t len);
static inline bool sha_equal(const struct sha *a, const struct sha *b)
{
    return memcmp(a->b, b->b, SHA_SIZE) == 0;
}

struct chunk_id {
    uint8_t b[ID_SIZE];
};
/* The key prepared once: the states after the inner and the outer key block. Lives in guarded memory
 * (keys.c). */
struct id_key {
    SHA256_CTX inner, outer;
};
void id_key_init(struct id_key *k, const uint8_t key[32]);
void id_of(const struct id_key *k, struct bytes chunk, struct chunk_id *out);
static inline bool id_equal(const struct chunk_id *a, const struct chunk_id *b)
{
    return memcmp(a->b, b->b, ID_SIZE) == 0;
}

#endif
