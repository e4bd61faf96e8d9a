/* keys.h - the keys of a repository, in guarded memory (sodium_malloc), wiped when freed.
 *
 * A generation is one writer key W with one content key pair C. All else is derived (docs/format.md, "Keys"):
 * by crypto_kdf (BLAKE2b) from W: id keys, gear table, run-cut key, one metadata key for each object type;
 * from C's secret half: the proof key (Ed25519). Without C's secret half a keyring writes, lists and marks,
 * and reads no content. */
#ifndef LIFEBOAT_CODEC_KEYS_H
#define LIFEBOAT_CODEC_KEYS_H

#include "base/base.h"
#include "codec/chunker.h"
#include "codec/digest.h"

#define KEY_SIZE           32
#define REPOSITORY_ID_SIZE 16
#define REPOSITORY_ID_HEX  (2 * REPOSITORY_ID_SIZE + 1)
#define SIGNATURE_SIZE     64
#define KEY_GENERATIONS    64 /* at most, in one keyring */

/* What a metadata key opens; the value is the number of the derived key and part of the format. */
enum object_type {
    OBJECT_TABLE = 16,
    OBJECT_FOOTER,
    OBJECT_INDEX,
    OBJECT_SNAPSHOT,
    OBJECT_RECEIPT,
    OBJECT_MARK,
    OBJECT_TREE_SLOT,
    OBJECT_TYPE_END,
};
#define OBJECT_TYPE_FIRST OBJECT_TABLE

struct generation {
    uint32_t number;
    uint8_t writer[KEY_SIZE];
    uint8_t content_public[KEY_SIZE], proof_public[KEY_SIZE];
    bool can_read; /* the two secrets below are there */
    uint8_t content_secret[KEY_SIZE];
    uint8_t proof_secret[64];
    struct id_key content_ids, tree_ids;
    struct gear gear;
    uint8_t run_cut[KEY_SIZE];
    uint8_t metadata[OBJECT_TYPE_END - OBJECT_TYPE_FIRST][KEY_SIZE];
};

struct keyring;

struct keyring *keyring_new_random(void) MUST_CHECK; /* generation 1 of a new repository, with all secrets */

/* The newest generation is what writers use. Both live as long as the keyring. */
const struct generation *keyring_current(const struct keyring *k);
const struct generation *keyring_find(const struct keyring *k, uint32_t number); /* NULL: not known */
bool keyring_can_read(const struct keyring *k); /* every generation's content */
const uint8_t *keyring_repository_id(const struct keyring *k);
void keyring_repository_hex(const struct keyring *k, char out[REPOSITORY_ID_HEX]);

/* writer.key as text (secret: wipe it), and back. ERR_USAGE: what is wrong with the text. */
void keyring_write_writer_file(const struct keyring *k, struct buf *out);
struct keyring *keyring_parse_writer_file(struct bytes text, struct err *e) MUST_CHECK;

/* What a `keys/` object wraps: every generation with its secrets (secret: wipe it), and back: ERR_DAMAGED. */
void keyring_pack_secrets(const struct keyring *k, struct buf *out);
struct keyring *keyring_unpack_secrets(struct bytes secrets, struct err *e) MUST_CHECK;

/* Detached Ed25519 signatures with the current proof key over a text that names its own purpose. */
void keyring_sign(const struct keyring *k, struct bytes text, uint8_t signature[SIGNATURE_SIZE]);
bool keyring_verify(const struct keyring *k, struct bytes text, const uint8_t signature[SIGNATURE_SIZE]);
void keyring_free(struct keyring *k);
AUTO_PTR_FOR(keyring)

/* ---- the identity: who may read (identity.c) ---- */
struct identity {
    uint8_t secret[KEY_SIZE], recipient[KEY_SIZE];
    uint8_t repository_id[REPOSITORY_ID_SIZE];
};
struct identity *identity_new(const uint8_t repository_id[REPOSITORY_ID_SIZE]) MUST_CHECK;
void identity_write_file(const struct identity *id, struct buf *out);  /* secret: wipe it */
void identity_write_paper(const struct identity *id, struct buf *out); /* to be typed in; likewise */
/* Finds either of these in a text, also where it was typed in or scanned: blanks, line ends, the case of
 * letters do not matter, nor do O for 0 and l or I for 1. ERR_USAGE names the row that has a slip in it. */
struct identity *identity_parse(struct bytes text, struct err *e) MUST_CHECK;
void identity_free(struct identity *id);
AUTO_PTR_FOR(identity)

/* Wipes and empties a buffer that held a secret. */
void buf_wipe(struct buf *b);

#endif
