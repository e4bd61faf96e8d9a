#include "codec/keys.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the keys derived from W; those of enum object_type follow. Part of the format. */
enum { DERIVE_CONTENT_IDS = 1, DERIVE_TREE_IDS, DERIVE_GEAR, DERIVE_RUN_CUT };
enum { DERIVE_PROOF_SEED = 1 }; /* from C's secret half */
static const char derive_context[crypto_kdf_CONTEXTBYTES] = "lifeboat";
static const char secrets_magic[] = "lifeboat keys 1\n";

struct keyring {
    uint8_t repository_id[REPOSITORY_ID_SIZE];
    size_t count;
    struct generation *generations[KEY_GENERATIONS]; /* ascending; sodium_malloc */
};

void buf_wipe(struct buf *b)
{
    if (b->p)
        sodium_memzero(b->p, b->cap);
    buf_free(b);
}

static struct keyring *keyring_new(void)
{
    if (sodium_init() < 0)
        die(OUT_OF_MEMORY);
    return xcalloc(1, sizeof(struct keyring));
}

static void derive(uint8_t *out, const uint8_t from[KEY_SIZE], uint64_t number)
{
    crypto_kdf_derive_from_key(out, KEY_SIZE, number, derive_context, from);
}

static void derive_from_writer(struct generation *g)
{
    uint8_t key[KEY_SIZE];
    derive(key, g->writer, DERIVE_CONTENT_IDS);
    id_key_init(&g->content_ids, key);
    derive(key, g->writer, DERIVE_TREE_IDS);
    id_key_init(&g->tree_ids, key);
    derive(key, g->writer, DERIVE_GEAR);
    uint8_t table[sizeof g->gear.t];
    randombytes_buf_deterministic(table, sizeof table, key); /* ChaCha20, as documented by libsodium */
    struct cursor c = cursor_of(BYTES(table, sizeof table));
    for (size_t i = 0; i < ARRAY_LEN(g->gear.t); i++)
        g->gear.t[i] = cursor_u64(&c);
    derive(g->run_cut, g->writer, DERIVE_RUN_CUT);
    for (unsigned t = OBJECT_TYPE_FIRST; t < OBJECT_TYPE_END; t++)
        derive(g->metadata[t - OBJECT_TYPE_FIRST], g->writer, t);
    sodium_memzero(key, sizeof key);
    sodium_memzero(table, sizeof table);
}

static void derive_from_content(struct generation *g)
{
    uint8_t seed[KEY_SIZE], public[KEY_SIZE];
    crypto_scalarmult_base(g->content_public, g->content_secret);
    derive(seed, g->content_secret, DERIVE_PROOF_SEED);
    crypto_sign_seed_keypair(public, g->proof_secret, seed);
    memcpy(g->proof_public, public, KEY_SIZE);
    g->can_read = true;
    sodium_memzero(seed, sizeof seed);
}

/* The first 16 bytes of BLAKE2b-256("lifeboat1" || C public || BLAKE2b-256(W) || proof public). */
static void commit_to(const struct generation *g, uint8_t id[REPOSITORY_ID_SIZE])
{
    uint8_t writer_hash[KEY_SIZE], full[KEY_SIZE];
    crypto_generichash(writer_hash, sizeof writer_hash, g->writer, KEY_SIZE, NULL, 0);
    crypto_generichash_state s;
    crypto_generichash_init(&s, NULL, 0, sizeof full);
    crypto_generichash_update(&s, (const uint8_t *)"lifeboat1", 9);
    crypto_generichash_update(&s, g->content_public, KEY_SIZE);
    crypto_generichash_update(&s, writer_hash, sizeof writer_hash);
    crypto_generichash_update(&s, g->proof_public, KEY_SIZE);
    crypto_generichash_final(&s, full, sizeof full);
    memcpy(id, full, REPOSITORY_ID_SIZE);
}

/* A new generation after the last, all zero but its number; NULL when the number does not ascend or is too
 * many. */
static struct generation *add_generation(struct keyring *k, uint32_t number)
{
    uint32_t last = k->count ? k->generations[k->count - 1]->number : 0;
    if (number <= last || k->count == KEY_GENERATIONS)
        return NULL;
    struct generation *g = sodium_malloc(sizeof *g);
    if (!g)
        die(OUT_OF_MEMORY);
    memset(g, 0, sizeof *g);
    g->number = number;
    k->generations[k->count++] = g;
    return g;
}

struct keyring *keyring_new_random(void)
{
    struct keyring *k = keyring_new();
    struct generation *g = add_generation(k, 1);
    assert(g);
    randombytes_buf(g->writer, KEY_SIZE);
    randombytes_buf(g->content_secret, KEY_SIZE);
    derive_from_writer(g);
    derive_from_content(g);
    commit_to(g, k->repository_id);
    return k;
}

const struct generation *keyring_current(const struct keyring *k)
{
    return k->generations[k->count - 1];
}

const struct generation *keyring_find(const struct keyring *k, uint32_t number)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->generations[i]->number == number)
            return k->generations[i];
    return NULL;
}

bool keyring_can_read(const struct keyring *k)
{
    for (size_t i = 0; i < k->count; i++)
        if (!k->generations[i]->can_read)
            return false;
    return true;
}

const uint8_t *keyring_repository_id(const struct keyring *k)
{
    return k->repository_id;
}

void keyring_repository_hex(const struct keyring *k, char out[REPOSITORY_ID_HEX])
{
    hex_encode(out, BYTES(k->repository_id, REPOSITORY_ID_SIZE));
}

void keyring_free(struct keyring *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++)
        sodium_free(k->generations[i]);
    free(k);
}

/* ---- text files: a title line, then "name value" lines; '#' starts a comment ---- */
static void add_hex(struct buf *out, struct bytes b)
{
    char *p = (char *)buf_reserve(out, 2 * b.n + 1);
    hex_encode(p, b);
    out->n += 2 * b.n;
}

static void add_line(struct buf *out, const char *name, struct bytes value)
{
    buf_add_fmt(out, "%s ", name);
    add_hex(out, value);
    buf_add_u8(out, '\n');
}

/* Takes the next line that is not empty or a comment, without its end. */
static bool next_line(struct bytes *text, struct bytes *line)
{
    while (text->n) {
        const uint8_t *nl = memchr(text->p, '\n', text->n);
        *line = BYTES(text->p, nl ? (size_t)(nl - text->p) : text->n);
        size_t used = line->n + (nl ? 1 : 0);
        text->p += used;
        text->n -= used;
        while (line->n && (line->p[line->n - 1] == '\r' || line->p[line->n - 1] == ' '))
            line->n--;
        if (line->n && line->p[0] != '#')
            return true;
    }
    return false;
}

/* Whether the line is "name value": *value is what follows. */
static bool line_is(struct bytes line, const char *name, struct bytes *value)
{
    size_t n = strlen(name);
    if (line.n <= n || memcmp(line.p, name, n) != 0 || line.p[n] != ' ')
        return false;
    *value = BYTES(line.p + n + 1, line.n - n - 1);
    return true;
}

static bool take_hex(struct bytes value, uint8_t *out, size_t n)
{
    return hex_decode(out, n, (const char *)value.p, value.n);
}

void keyring_write_writer_file(const struct keyring *k, struct buf *out)
{
    buf_reserve(out, 8192); /* so that no copy of the keys is left behind by growing */
    buf_add_str(
        out,
        "lifeboat-writer 1\n"
        "# The writer key: adds, lists and prunes snapshots; reads no content. Keep it private (mode 600).\n");
    add_line(out, "repository", BYTES(k->repository_id, REPOSITORY_ID_SIZE));
    for (size_t i = 0; i < k->count; i++) {
        const struct generation *g = k->generations[i];
        buf_add_fmt(out, "generation %u\n", g->number);
        add_line(out, "writer", BYTES(g->writer, KEY_SIZE));
        add_line(out, "content", BYTES(g->content_public, KEY_SIZE));
        add_line(out, "proof", BYTES(g->proof_public, KEY_SIZE));
    }
}

static bool parse_number(struct bytes value, uint32_t *out)
{
    char text[12] = "";
    if (value.n == 0 || value.n >= sizeof text)
        return false;
    memcpy(text, value.p, value.n);
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    *out = (uint32_t)v;
    return *end == 0 && v > 0 && v <= UINT32_MAX;
}

struct keyring *keyring_parse_writer_file(struct bytes text, struct err *e)
{
    AUTO_PTR(keyring) k = keyring_new();
    struct bytes line, value;
    uint8_t id[REPOSITORY_ID_SIZE], committed[REPOSITORY_ID_SIZE];
    if (!next_line(&text, &line) || line.n != 17 || memcmp(line.p, "lifeboat-writer 1", 17) != 0)
        return err_set(e, ERR_USAGE,
                       "is not a writer key file of this version (its first line is not "
                       "\"lifeboat-writer 1\")"),
               NULL;
    if (!next_line(&text, &line) || !line_is(line, "repository", &value) || !take_hex(value, id, sizeof id))
        return err_set(e, ERR_USAGE,
                       "writer key file: the \"repository\" line is missing or not 32 hex digits"),
               NULL;
    while (next_line(&text, &line)) {
        uint32_t number;
        struct generation *g = line_is(line, "generation", &value) && parse_number(value, &number)
                                   ? add_generation(k, number)
                                   : NULL;
        if (!g || !next_line(&text, &line) || !line_is(line, "writer", &value) ||
            !take_hex(value, g->writer, KEY_SIZE) || !next_line(&text, &line) ||
            !line_is(line, "content", &value) || !take_hex(value, g->content_public, KEY_SIZE) ||
            !next_line(&text, &line) || !line_is(line, "proof", &value) ||
            !take_hex(value, g->proof_public, KEY_SIZE))
            return err_set(e, ERR_USAGE,
                           "writer key file: a generation must have the lines \"generation\", \"writer\", "
                           "\"content\" and \"proof\"; the file was changed or cut"),
                   NULL;
        derive_from_writer(g);
    }
    if (k->count)
        commit_to(k->generations[0], committed);
    if (!k->count || memcmp(id, committed, sizeof id) != 0)
        return err_set(e, ERR_USAGE,
                       "writer key file: its keys do not belong to the repository it names; the file was "
                       "changed: get it back with the identity (`lifeboat init` writes it anew)"),
               NULL;
    memcpy(k->repository_id, id, sizeof id);
    return STEAL(k);
}

void keyring_pack_secrets(const struct keyring *k, struct buf *out)
{
    buf_reserve(out, 64 + k->count * (4 + 2 * KEY_SIZE));
    buf_add_str(out, secrets_magic);
    buf_add_u32(out, (uint32_t)k->count);
    for (size_t i = 0; i < k->count; i++) {
        const struct generation *g = k->generations[i];
        assert(g->can_read);
        buf_add_u32(out, g->number);
        buf_add(out, BYTES(g->writer, KEY_SIZE));
        buf_add(out, BYTES(g->content_secret, KEY_SIZE));
    }
}

struct keyring *keyring_unpack_secrets(struct bytes secrets, struct err *e)
{
    AUTO_PTR(keyring) k = keyring_new();
    struct cursor c = cursor_of(secrets);
    struct bytes magic = cursor_take(&c, strlen(secrets_magic));
    uint32_t count = cursor_u32(&c);
    if (c.bad || memcmp(magic.p, secrets_magic, magic.n) != 0)
        return err_set(e, ERR_DAMAGED, "wrapped keys are not of a version this program knows"), NULL;
    for (uint32_t i = 0; i < count && !c.bad; i++) {
        uint32_t number = cursor_u32(&c);
        struct bytes w = cursor_take(&c, KEY_SIZE), s = cursor_take(&c, KEY_SIZE);
        struct generation *g = c.bad ? NULL : add_generation(k, number);
        if (!g)
            return err_set(e, ERR_DAMAGED, "wrapped keys are cut or their generations do not ascend"), NULL;
        memcpy(g->writer, w.p, KEY_SIZE);
        memcpy(g->content_secret, s.p, KEY_SIZE);
        derive_from_writer(g);
        derive_from_content(g);
    }
    if (!cursor_is_done(&c) || k->count == 0)
        return err_set(e, ERR_DAMAGED, "wrapped keys have a wrong length"), NULL;
    commit_to(k->generations[0], k->repository_id);
    return STEAL(k);
}

void keyring_sign(const struct keyring *k, struct bytes text, uint8_t signature[SIGNATURE_SIZE])
{
    const struct generation *g = keyring_current(k);
    assert(g->can_read);
    crypto_sign_detached(signature, NULL, text.p, text.n, g->proof_secret);
}

bool keyring_verify(const struct keyring *k, struct bytes text, const uint8_t signature[SIGNATURE_SIZE])
{
    for (size_t i = 0; i < k->count; i++)
        if (crypto_sign_verify_detached(signature, text.p, text.n, k->generations[i]->proof_public) == 0)
            return true;
    return false;
}
