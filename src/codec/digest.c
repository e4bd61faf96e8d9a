/* OpenSSL 3 calls the plain SHA256_* functions deprecated; they are the only ones whose state can be copied
 * without an allocation, which a keyed id needs twice for every chunk. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "codec/digest.h"

#include <sodium.h>

void sha_begin(struct sha_stream *s)
{
    SHA256_Init(&s->ctx);
}

void sha_add(struct sha_stream *s, struct bytes b)
{
    SHA256_Update(&s->ctx, b.p, b.n);
}

void sha_end(struct sha_stream *s, struct sha *out)
{
    SHA256_Final(out->b, &s->ctx);
}

/* Not by SHA256(): that one asks for memory, and gives a wrong answer when there is none. */
void sha_of(struct bytes b, struct sha *out)
{
    struct sha_stream s;
    sha_begin(&s);
    sha_add(&s, b);
    sha_end(&s, out);
}

void sha_hex(char out[SHA_HEX], const struct sha *sha)
{
    hex_encode(out, BYTES(sha->b, SHA_SIZE));
}

bool sha_parse(struct sha *out, const char *hex, size_t len)
{
    return hex_decode(out->b, SHA_SIZE, hex, len);
}

void id_key_init(struct id_key *k, const uint8_t key[32])
{
    uint8_t block[64];
    memset(block, 0x36, sizeof block);
    for (size_t i = 0; i < 32; i++)
        block[i] ^= key[i];
    SHA256_Init(&k->inner);
    SHA256_Update(&k->inner, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&k->outer);
    SHA256_Update(&k->outer, block, sizeof block);
    sodium_memzero(block, sizeof block);
}

void id_of(const struct id_key *k, struct bytes chunk, struct chunk_id *out)
{
    uint8_t digest[SHA_SIZE];
    SHA256_CTX c = k->inner;
    SHA256_Update(&c, chunk.p, chunk.n);
    SHA256_Final(digest, &c);
    c = k->outer;
    SHA256_Update(&c, digest, sizeof digest);
    SHA256_Final(digest, &c);
    memcpy(out->b, digest, ID_SIZE);
}
