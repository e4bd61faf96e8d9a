/* The `keys/` objects: the repository's keys, wrapped once for each reader. */
#include "repo/internal.h"

#include "base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* argon2id as libsodium has it: 3 passes over 256 MiB; what readers refuse to spend. */
#define KDF_OPS     3u
#define KDF_MEMORY  (256u << 20)
#define KDF_OPS_MAX 16u
#define KDF_MEM_MAX (1u << 30)
static const char kdf_name[] = "argon2id13";

static void set_hex(json_t *o, const char *key, struct bytes b)
{
    AUTO_CHAR hex = xcalloc(2 * b.n + 1, 1);
    hex_encode(hex, b);
    json_object_set_new(o, key, json_string(hex));
}

static bool get_hex(const json_t *o, const char *key, uint8_t *out, size_t n)
{
    const char *text = json_text(o, key);
    return hex_decode(out, n, text, strlen(text));
}

static json_t *new_object(const struct keyring *k, const char *reader, const char *label)
{
    char id[REPOSITORY_ID_HEX], now[40];
    keyring_repository_hex(k, id);
    time_format_utc(now, time_now_ns());
    AUTO_CHAR shown = text_printable(label, strlen(label));
    return json_pack("{s:i, s:s, s:s, s:s, s:s}", "format", (int)FORMAT_VERSION, "repository", id, "reader",
                     reader, "label", shown, "created", now);
}

static int put_keys(struct store *s, const json_t *o, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    char name[NAME_SIZE];
    struct sha sha;
    json_write(o, &text);
    sha_of(buf_bytes(&text), &sha);
    object_name(name, "keys/", &sha);
    return store_put(s, name, buf_bytes(&text), e);
}

int keys_add_recipient(struct store *s, const struct keyring *k, const uint8_t recipient[KEY_SIZE],
                       const char *label, struct err *e)
{
    AUTO(buf) secrets = BUF_NONE, sealed = BUF_NONE;
    keyring_pack_secrets(k, &secrets);
    buf_reserve(&sealed, secrets.n + crypto_box_SEALBYTES);
    int rc = crypto_box_seal(sealed.p, secrets.p, secrets.n, recipient);
    sealed.n = secrets.n + crypto_box_SEALBYTES;
    buf_wipe(&secrets);
    if (rc != 0)
        return err_set(e, ERR_USAGE, "the recipient is not a public key");
    AUTO_JSON o = new_object(k, "recipient", label);
    set_hex(o, "recipient", BYTES(recipient, KEY_SIZE));
    set_hex(o, "sealed", buf_bytes(&sealed));
    return put_keys(s, o, e);
}

static int stretch(uint8_t key[KEY_SIZE], struct bytes passphrase, const uint8_t *salt, uint32_t ops,
                   uint32_t memory, struct err *e)
{
    if (crypto_pwhash(key, KEY_SIZE, (const char *)passphrase.p, passphrase.n, salt, ops, memory,
                      crypto_pwhash_ALG_ARGON2ID13) == 0)
        return 0;
    return err_set(e, ERR_FAILED, "argon2id: cannot get the %u MiB of memory that the passphrase needs",
                   memory >> 20);
}

/* What the passphrase's ciphertext is bound to. */
static void passphrase_context(struct buf *out, const char *repository_hex)
{
    buf_add_fmt(out, "lifeboat passphrase 1\n%s\n", repository_hex);
}

int keys_add_passphrase(struct store *s, const struct keyring *k, struct bytes passphrase, const char *label,
                        struct err *e)
{
    uint8_t salt[crypto_pwhash_SALTBYTES], nonce[SEAL_NONCE], key[KEY_SIZE];
    randombytes_buf(salt, sizeof salt);
    randombytes_buf(nonce, sizeof nonce);
    if (passphrase.n == 0)
        return err_set(e, ERR_USAGE, "the passphrase is empty");
    if (stretch(key, passphrase, salt, KDF_OPS, KDF_MEMORY, e))
        return -1;
    AUTO_JSON o = new_object(k, "passphrase", label);
    AUTO(buf) secrets = BUF_NONE, sealed = BUF_NONE, context = BUF_NONE;
    passphrase_context(&context, json_text(o, "repository"));
    keyring_pack_secrets(k, &secrets);
    buf_reserve(&sealed, secrets.n + SEAL_TAG);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.p, NULL, secrets.p, secrets.n, context.p, context.n,
                                               NULL, nonce, key);
    sealed.n = secrets.n + SEAL_TAG;
    buf_wipe(&secrets);
    sodium_memzero(key, sizeof key);
    json_object_set_new(o, "kdf", json_string(kdf_name));
    json_object_set_new(o, "ops", json_integer(KDF_OPS));
    json_object_set_new(o, "memory", json_integer(KDF_MEMORY));
    set_hex(o, "salt", BYTES(salt, sizeof salt));
    set_hex(o, "nonce", BYTES(nonce, sizeof nonce));
    set_hex(o, "sealed", buf_bytes(&sealed));
    return put_keys(s, o, e);
}

/* Gets and parses one object. NULL without *e: not to be understood (said by a warning) or gone. */
static json_t *load_object(struct store *s, const char *name, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = store_get(s, name, KEYS_MAX, &text, &why);
    if (rc == STORE_FAILED && why.kind == ERR_DAMAGED)
        log_warn("%s (passed over)", why.text);
    else if (rc == STORE_FAILED)
        *e = why;
    if (rc != STORE_DONE)
        return NULL;
    if (!name_fits(name, buf_bytes(&text))) {
        log_warn("%s: its bytes are not those it was named by (SHA-256): damaged, passed over", name);
        return NULL;
    }
    json_t *o = json_read(buf_bytes(&text), "", &why);
    if (!o)
        log_warn("%s: %s", name, why.text);
    return o;
}

int keys_list(struct store *s, struct key_object **out, size_t *n, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    *out = NULL;
    *n = 0;
    if (list_names(s, "keys/", &names, e))
        return -1;
    *out = xcalloc(names.n, sizeof **out);
    for (size_t i = 0; i < names.n; i++) {
        AUTO_JSON o = load_object(s, names.v[i], e);
        if (!o && err_is_set(e)) {
            free(*out);
            *out = NULL;
            return -1;
        }
        struct key_object *k = &(*out)[*n];
        if (!o || !name_sha(names.v[i], &k->name))
            continue;
        k->is_passphrase = strcmp(json_text(o, "reader"), "passphrase") == 0;
        if (!k->is_passphrase && !get_hex(o, "recipient", k->recipient, KEY_SIZE))
            continue;
        if (!time_parse_utc(json_text(o, "created"), &k->created_ns))
            k->created_ns = 0;
        snprintf(k->label, sizeof k->label, "%s", json_text(o, "label"));
        (*n)++;
    }
    return 0;
}

int keys_copy(struct store *from, struct store *to, struct err *e)
{
    AUTO(strings) have = STRINGS_NONE, there = STRINGS_NONE;
    if (list_names(from, "keys/", &have, e) || list_names(to, "keys/", &there, e))
        return -1;
    for (size_t i = 0; i < have.n; i++) {
        AUTO(buf) text = BUF_NONE;
        if (strings_has(&there, have.v[i]))
            continue;
        int rc = store_get(from, have.v[i], KEYS_MAX, &text, e);
        if (rc == STORE_FAILED)
            return -1;
        if (rc == STORE_DONE && name_fits(have.v[i], buf_bytes(&text)) &&
            store_put(to, have.v[i], buf_bytes(&text), e))
            return -1;
    }
    return 0;
}

int keys_remove(struct store *s, const struct sha *name, struct err *e)
{
    struct key_object *all;
    size_t n, left = 0;
    if (keys_list(s, &all, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        left += !sha_equal(&all[i].name, name);
    free(all);
    if (left == n)
        return err_set(e, ERR_USAGE, "there is no such reader: `lifeboat key show` lists them");
    if (left == 0)
        return err_set(
            e, ERR_USAGE,
            "this is the last reader: without it nobody could restore anything; add another first");
    char object[NAME_SIZE];
    object_name(object, "keys/", name);
    return store_delete(s, object, e) == STORE_FAILED ? -1 : 0;
}

static struct keyring *unpack(struct buf *secrets, const uint8_t *expected_id, struct err *e)
{
    AUTO_PTR(keyring) k = keyring_unpack_secrets(buf_bytes(secrets), e);
    buf_wipe(secrets);
    if (!k)
        return NULL;
    if (expected_id && memcmp(keyring_repository_id(k), expected_id, REPOSITORY_ID_SIZE) != 0)
        return err_set(
                   e, ERR_USAGE,
                   "this store holds another repository, or was tampered with: its keys are not those that "
                   "the repository id commits to"),
               NULL;
    return STEAL(k);
}

/* Opens one keys object with a reader's secret. 1: opened into *out, 0: it is not for this reader, -1: *e. */
typedef int try_object(const void *secret, const json_t *o, struct buf *out, struct err *e);

static int try_identity(const void *secret, const json_t *o, struct buf *out, struct err *e)
{
    const struct identity *id = secret;
    uint8_t recipient[KEY_SIZE];
    const char *hex = json_text(o, "sealed");
    size_t n = strlen(hex) / 2;
    if (!get_hex(o, "recipient", recipient, KEY_SIZE) || memcmp(recipient, id->recipient, KEY_SIZE) != 0)
        return 0;
    AUTO(buf) sealed = BUF_NONE;
    buf_reserve(&sealed, n);
    if (n <= crypto_box_SEALBYTES || !get_hex(o, "sealed", sealed.p, n))
        return err_set(e, ERR_DAMAGED, "the wrapped keys are cut");
    buf_reserve(out, n);
    if (crypto_box_seal_open(out->p, sealed.p, n, id->recipient, id->secret) != 0)
        return err_set(e, ERR_DAMAGED, "the wrapped keys do not open with the identity they are for");
    out->n = n - crypto_box_SEALBYTES;
    return 1;
}

static int try_passphrase(const void *secret, const json_t *o, struct buf *out, struct err *e)
{
    const struct bytes *passphrase = secret;
    uint8_t salt[crypto_pwhash_SALTBYTES], nonce[SEAL_NONCE], key[KEY_SIZE];
    uint32_t ops, memory;
    const char *hex = json_text(o, "sealed");
    size_t n = strlen(hex) / 2;
    if (strcmp(json_text(o, "reader"), "passphrase") != 0)
        return 0;
    AUTO(buf) sealed = BUF_NONE, context = BUF_NONE;
    buf_reserve(&sealed, n);
    if (strcmp(json_text(o, "kdf"), kdf_name) != 0 || !json_u32(o, "ops", &ops) ||
        !json_u32(o, "memory", &memory) || !get_hex(o, "salt", salt, sizeof salt) ||
        !get_hex(o, "nonce", nonce, sizeof nonce) || n <= SEAL_TAG || !get_hex(o, "sealed", sealed.p, n))
        return err_set(e, ERR_DAMAGED, "the keys wrapped by a passphrase are not understood");
    if (ops == 0 || ops > KDF_OPS_MAX || memory < (8u << 10) || memory > KDF_MEM_MAX)
        return err_set(e, ERR_DAMAGED,
                       "the keys object asks for %u passes over %u MiB: more than the %u and %u that are "
                       "spent on one",
                       ops, memory >> 20, KDF_OPS_MAX, KDF_MEM_MAX >> 20);
    if (stretch(key, *passphrase, salt, ops, memory, e))
        return -1;
    passphrase_context(&context, json_text(o, "repository"));
    buf_reserve(out, n);
    int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(out->p, NULL, NULL, sealed.p, n, context.p, context.n,
                                                        nonce, key);
    sodium_memzero(key, sizeof key);
    out->n = n - SEAL_TAG;
    return rc == 0 ? 1 : 0;
}

/* Tries every keys object. NULL without *e: none is for this reader. */
static struct keyring *open_any(struct store *s, try_object *try, const void *secret,
                                const uint8_t *expected_id, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    if (list_names(s, "keys/", &names, e))
        return NULL;
    struct err last = ERR_INIT;
    for (size_t i = 0; i < names.n; i++) {
        AUTO_JSON o = load_object(s, names.v[i], e);
        if (!o && err_is_set(e))
            return NULL;
        if (!o) {
            err_set(
                &last, ERR_DAMAGED,
                "%s cannot be read, and no other keys object is for this reader: the next backup puts it back "
                "from the copy that its host keeps, and `lifeboat repair` from a mirror",
                names.v[i]);
            continue;
        }
        AUTO(buf) secrets = BUF_NONE;
        struct err why = ERR_INIT;
        if (try(secret, o, &secrets, &why) == 1) {
            struct keyring *k = unpack(&secrets, expected_id, &why);
            if (k)
                return k;
        }
        buf_wipe(&secrets);
        if (err_is_set(&why) && !err_is_set(&last)) {
            last = why;
            (void)!err_wrap(&last, "%s", names.v[i]);
        }
    }
    if (err_is_set(&last))
        *e = last;
    return NULL;
}

struct keyring *keys_open_identity(struct store *s, const struct identity *id, struct err *e)
{
    struct keyring *k = open_any(s, try_identity, id, id->repository_id, e);
    if (!k && !err_is_set(e))
        err_set(
            e, ERR_USAGE,
            "%s: no keys object is wrapped for this identity: it is for another repository, was removed as a "
            "reader, or its object is gone (each host that backs up keeps a copy, and puts it back with its "
            "next backup)",
            store_title(s));
    return k;
}

struct keyring *keys_open_passphrase(struct store *s, struct bytes passphrase,
                                     const uint8_t expected_id[REPOSITORY_ID_SIZE], struct err *e)
{
    struct keyring *k = open_any(s, try_passphrase, &passphrase, expected_id, e);
    if (!k && !err_is_set(e))
        err_set(e, ERR_USAGE, "%s: wrong passphrase, or no passphrase was set (lifeboat key show)",
                store_title(s));
    return k;
}
