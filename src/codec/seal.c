#include "codec/seal.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_SIZE 16
static const char *const type_name[OBJECT_TYPE_END - OBJECT_TYPE_FIRST] = {
    "table", "footer", "index", "snapshot", "receipt", "mark", "tree slot",
};

/* The additional data: type (16 bytes, zero-padded), u32 version, u32 generation, repository id; for a frame
 * also u64 number, u32 raw length, u8 compression. */
struct context {
    uint8_t b[TYPE_SIZE + 8 + REPOSITORY_ID_SIZE + 13];
    size_t n;
};

static void put_le(struct context *c, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        c->b[c->n++] = (uint8_t)(v >> (8 * i));
}

static struct context context_of(const struct keyring *k, const char *type, uint32_t generation)
{
    struct context c = {.n = TYPE_SIZE};
    assert(strlen(type) <= TYPE_SIZE);
    memcpy(c.b, type, strlen(type));
    put_le(&c, FORMAT_VERSION, 4);
    put_le(&c, generation, 4);
    memcpy(c.b + c.n, keyring_repository_id(k), REPOSITORY_ID_SIZE);
    c.n += REPOSITORY_ID_SIZE;
    return c;
}

static const uint8_t *metadata_key(const struct generation *g, enum object_type type)
{
    return g->metadata[type - OBJECT_TYPE_FIRST];
}

/* Appends nonce, ciphertext and tag. */
static void seal_with_nonce(struct buf *out, struct bytes plain, const struct context *c, const uint8_t *key)
{
    uint8_t *p = buf_reserve(out, SEAL_NONCE + plain.n + SEAL_TAG);
    randombytes_buf(p, SEAL_NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(p + SEAL_NONCE, NULL, plain.p, plain.n, c->b, c->n, NULL, p,
                                               key);
    out->n += SEAL_NONCE + plain.n + SEAL_TAG;
}

static bool open_with_nonce(uint8_t *out, struct bytes sealed, const struct context *c, const uint8_t *key)
{
    return sealed.n >= SEAL_NONCE + SEAL_TAG &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.p + SEAL_NONCE,
                                                      sealed.n - SEAL_NONCE, c->b, c->n, sealed.p, key) == 0;
}

void object_seal(const struct keyring *k, enum object_type type, struct bytes plain, struct buf *out)
{
    const struct generation *g = keyring_current(k);
    struct context c = context_of(k, type_name[type - OBJECT_TYPE_FIRST], g->number);
    buf_add_u32(out, FORMAT_VERSION);
    buf_add_u32(out, g->number);
    seal_with_nonce(out, plain, &c, metadata_key(g, type));
}

bool object_is_known(const struct keyring *k, struct bytes header)
{
    struct cursor c = cursor_of(header);
    uint32_t version = cursor_u32(&c), generation = cursor_u32(&c);
    return !c.bad && version == FORMAT_VERSION && keyring_find(k, generation);
}

int object_open(const struct keyring *k, enum object_type type, struct bytes sealed, struct buf *out,
                struct err *e)
{
    struct cursor cur = cursor_of(sealed);
    uint32_t version = cursor_u32(&cur), generation = cursor_u32(&cur);
    if (cur.bad || cur.n < SEAL_NONCE + SEAL_TAG)
        return err_set(e, ERR_DAMAGED, "is too short (%zu bytes) to be a sealed object", sealed.n);
    if (version != FORMAT_VERSION)
        return err_set(e, ERR_DAMAGED,
                       "has format version %u, this program knows version %u: use a newer lifeboat, or "
                       "the object is damaged",
                       version, FORMAT_VERSION);
    const struct generation *g = keyring_find(k, generation);
    if (!g)
        return err_set(e, ERR_DAMAGED,
                       "is sealed with key generation %u, which this keyring does not hold: the keys were "
                       "rotated (get the new writer key), or the object is damaged",
                       generation);
    struct context c = context_of(k, type_name[type - OBJECT_TYPE_FIRST], generation);
    uint8_t *to = buf_reserve(out, cur.n - SEAL_NONCE - SEAL_TAG);
    if (!open_with_nonce(to, BYTES(cur.p, cur.n), &c, metadata_key(g, type)))
        return err_set(e, ERR_DAMAGED,
                       "does not open with this repository's key: it was changed, or is not ours");
    out->n += cur.n - SEAL_NONCE - SEAL_TAG;
    return 0;
}

void slot_new(const struct keyring *k, enum slot_kind kind, struct slot *out, uint8_t key[SLOT_KEY])
{
    const struct generation *g = keyring_current(k);
    *out = (struct slot){.generation = g->number, .kind = kind};
    randombytes_buf(key, SLOT_KEY);
    if (kind == SLOT_CONTENT) {
        crypto_box_seal(out->sealed, key, SLOT_KEY, g->content_public);
        out->length = SLOT_CONTENT_LEN;
        return;
    }
    struct context c = context_of(k, type_name[OBJECT_TREE_SLOT - OBJECT_TYPE_FIRST], g->number);
    AUTO(buf) sealed = BUF_NONE;
    seal_with_nonce(&sealed, BYTES(key, SLOT_KEY), &c, metadata_key(g, OBJECT_TREE_SLOT));
    memcpy(out->sealed, sealed.p, sealed.n);
    out->length = SLOT_TREE_LEN;
}

int slot_open(const struct keyring *k, const struct slot *s, uint8_t key[SLOT_KEY], struct err *e)
{
    const struct generation *g = keyring_find(k, s->generation);
    if (!g)
        return err_set(e, ERR_DAMAGED, "a slot of key generation %u, which this keyring does not hold",
                       s->generation);
    bool opened = false;
    if (s->kind == SLOT_CONTENT) {
        if (!g->can_read)
            return err_set(e, ERR_USAGE,
                           "reading content needs the identity: --identity FILE or --passphrase-file FILE "
                           "(the writer key alone reads none)");
        opened = s->length == SLOT_CONTENT_LEN &&
                 crypto_box_seal_open(key, s->sealed, s->length, g->content_public, g->content_secret) == 0;
    } else if (s->kind == SLOT_TREE && s->length == SLOT_TREE_LEN) {
        struct context c = context_of(k, type_name[OBJECT_TREE_SLOT - OBJECT_TYPE_FIRST], s->generation);
        opened = open_with_nonce(key, BYTES(s->sealed, s->length), &c, metadata_key(g, OBJECT_TREE_SLOT));
    }
    return opened ? 0 : err_set(e, ERR_DAMAGED, "a slot (the key of a pack's frames) does not open");
}

static struct context frame_context(const struct keyring *k, const struct frame_facts *f)
{
    struct context c = context_of(k, f->kind == SLOT_TREE ? "tree frame" : "content frame", f->generation);
    put_le(&c, f->number, 8);
    put_le(&c, f->raw_length, 4);
    put_le(&c, f->compression, 1);
    return c;
}

/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) is ChaCha20-Poly1305 under a subkey that HChaCha20 makes of
 * the key and the first 16 bytes of the nonce. libcrypto does the latter at about three times the speed of
 * libsodium's; what is large goes this way. */
static bool crypt_frame(bool seal, const uint8_t key[SLOT_KEY], uint64_t number, const struct context *c,
                        struct bytes in, uint8_t *out, uint8_t tag[SEAL_TAG])
{
    const uint8_t upper[crypto_core_hchacha20_INPUTBYTES] = {number,       number >> 8,  number >> 16,
                                                             number >> 24, number >> 32, number >> 40,
                                                             number >> 48, number >> 56};
    const uint8_t lower[12] = {0};
    uint8_t subkey[crypto_core_hchacha20_OUTPUTBYTES];
    crypto_core_hchacha20(subkey, upper, key, NULL);
    int n;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || !EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, subkey, lower, seal))
        die(OUT_OF_MEMORY);
    sodium_memzero(subkey, sizeof subkey);
    bool good = (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG, tag)) &&
                EVP_CipherUpdate(ctx, NULL, &n, c->b, (int)c->n) &&
                EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n) && EVP_CipherFinal_ex(ctx, out + in.n, &n) &&
                (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, tag));
    EVP_CIPHER_CTX_free(ctx);
    return good;
}

void frame_seal(const struct keyring *k, const uint8_t key[SLOT_KEY], const struct frame_facts *f,
                struct bytes plain, uint8_t *out)
{
    struct context c = frame_context(k, f);
    assert(plain.n <= FRAME_RAW_MAX);
    if (!crypt_frame(true, key, f->number, &c, plain, out, out + plain.n))
        die(OUT_OF_MEMORY);
}

bool frame_open(const struct keyring *k, const uint8_t key[SLOT_KEY], const struct frame_facts *f,
                struct bytes sealed, uint8_t *out)
{
    struct context c = frame_context(k, f);
    uint8_t tag[SEAL_TAG];
    size_t n = sealed.n - SEAL_TAG;
    if (n > INT_MAX)
        return false;
    memcpy(tag, sealed.p + n, SEAL_TAG);
    return crypt_frame(false, key, f->number, &c, BYTES(sealed.p, n), out, tag);
}
