/* seal.h - authenticated encryption of the format: XChaCha20-Poly1305. The additional data always
 * binds type, format version, key generation and repository id, so nothing opens in another's place. */
#ifndef LIFEBOAT_CODEC_SEAL_H
#define LIFEBOAT_CODEC_SEAL_H

#include "base/base.h"
#include "codec/keys.h"

#define FORMAT_VERSION 1u
#define SEAL_TAG       16
#define SEAL_NONCE     24

/* ---- a whole object: u32 version, u32 generation, nonce, ciphertext, tag ---- */
#define OBJECT_OVERHEAD (8 + SEAL_NONCE + SEAL_TAG)
void object_seal(const struct keyring *k, enum object_type type, struct bytes plain,
                 struct buf *out); /* appends */
/* Whether the version and key generation that a sealed object (or a footer) begins with are known here. */
bool object_is_known(const struct keyring *k, struct bytes header);
/* ERR_DAMAGED: "does not open with this repository's key"; ERR_FAILED: a version or generation that this
 * program or keyring does not know. Appends to out. */
int object_open(const struct keyring *k, enum object_type type, struct bytes sealed, struct buf *out,
                struct err *e) MUST_CHECK;

/* ---- slots: the random key of the frames of one pack ---- */
enum slot_kind { SLOT_CONTENT = 1, SLOT_TREE = 2 };
#define SLOT_KEY         32
#define SLOT_CONTENT_LEN (SLOT_KEY + 48)                    /* crypto_box_seal */
#define SLOT_TREE_LEN    (SEAL_NONCE + SLOT_KEY + SEAL_TAG) /* nonce, ciphertext, tag */
#define SLOT_MAX         80
struct slot {
    uint32_t generation;
    uint8_t kind;
    uint8_t length;
    uint8_t sealed[SLOT_MAX];
};
/* Makes a random key and seals it for the current generation. */
void slot_new(const struct keyring *k, enum slot_kind kind, struct slot *out, uint8_t key[SLOT_KEY]);
/* ERR_USAGE: content, and the keyring cannot read; ERR_DAMAGED: does not open. */
int slot_open(const struct keyring *k, const struct slot *s, uint8_t key[SLOT_KEY], struct err *e) MUST_CHECK;

/* ---- frames ---- */
enum compression { COMPRESSION_NONE = 0, COMPRESSION_ZSTD = 1 };
#define FRAME_RAW_MAX (16u << 20) /* nobody writes larger ones; bounds what a reader allocates */
struct frame_facts {
    uint8_t kind; /* of its slot */
    uint32_t generation;
    uint64_t number; /* the nonce: used once with a slot's key */
    uint32_t raw_length;
    uint8_t compression;
};
/* out holds plain.n + SEAL_TAG bytes. */
void frame_seal(const struct keyring *k, const uint8_t key[SLOT_KEY], const struct frame_facts *f,
                struct bytes plain, uint8_t *out);
/* out holds sealed.n - SEAL_TAG bytes (sealed.n >= SEAL_TAG). false: does not open, and what is in
 * out is of no use. */
bool frame_open(const struct keyring *k, const uint8_t key[SLOT_KEY], const struct frame_facts *f,
                struct bytes sealed, uint8_t *out) MUST_CHECK;

#endif
