/* Who can read: the `keys/` objects. */
#include "internal.h"

#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX_MIN 4

/* ---- show ---- */
int run_key_show(const struct run_access *a, struct run_readers *out, struct err *e)
{
    *out = (struct run_readers){0};
    AUTO_PTR(store) s = open_store(a, false, e);
    if (!s)
        return -1;
    int rc = repo_read_id(s, out->id, e);
    if (rc != STORE_DONE)
        return rc == STORE_ABSENT ? err_set(e, ERR_USAGE, "%s: holds no repository", store_title(s)) : -1;
    const char *identity = identity_file(a);
    out->has_identity = identity && (a->identity_file || file_is_there(identity));
    out->has_writer = a->config && file_is_there(a->config->writer_key);
    if (out->has_writer) {
        char ours[REPOSITORY_ID_HEX];
        AUTO_PTR(keyring) k = read_writer_key(a->config->writer_key, e);
        if (!k)
            return -1;
        keyring_repository_hex(k, ours);
        if (strcmp(ours, out->id) != 0)
            return err_set(e, ERR_USAGE, "%s: holds repository %s, but %s is for %s", store_title(s), out->id,
                           a->config->writer_key, ours);
        out->id_is_proven = true;
    }
    return keys_list(s, &out->v, &out->n, e);
}

void run_readers_free(struct run_readers *r)
{
    free(r->v);
    *r = (struct run_readers){0};
}

/* ---- kit ---- */
int run_key_kit(const struct run_access *a, struct buf *out, struct err *e)
{
    struct identity *opened = NULL;
    char host[256] = "?";
    if (a->passphrase_file)
        return err_set(e, ERR_USAGE,
                       "a recovery kit holds an identity: give --identity FILE; with the passphrase, "
                       "`lifeboat key add --identity-out FILE` makes a new one");
    AUTO_PTR(store) s = open_store(a, false, e);
    AUTO_PTR(keyring) k = s ? open_reader(a, s, &opened, e) : NULL;
    AUTO_PTR(identity) id = opened;
    if (!k)
        return -1;
    gethostname(host, sizeof host - 1);
    AUTO_CHAR url = store_url(a);
    run_kit(out, id, url, a->config, a->config ? a->config->host : host);
    return 0;
}

/* ---- add ---- */
static int add_identity(struct store *s, const struct keyring *k, const char *file, const char *label,
                        struct err *e)
{
    AUTO_PTR(identity) id = identity_new(keyring_repository_id(k));
    if (write_identity(file, id, true, e))
        return -1;
    if (keys_add_recipient(s, k, id->recipient, label, e) == 0)
        return 0;
    unlink(file); /* it opens nothing */
    return -1;
}

int run_key_add(const struct run_access *a, const char *recipient_hex, const char *identity_out,
                const char *label, struct strings *left, struct err *e)
{
    AUTO(run_repo) r = {0};
    uint8_t recipient[KEY_SIZE];
    if (!recipient_hex == !identity_out)
        return err_set(e, ERR_USAGE, "give one of --recipient HEX and --identity-out FILE");
    if (recipient_hex && !hex_decode(recipient, sizeof recipient, recipient_hex, strlen(recipient_hex)))
        return err_set(e, ERR_USAGE,
                       "--recipient: wants the 64 hex digits of an identity file's \"recipient\"");
    if (run_open(&r, a, RUN_READ, e) ||
        (identity_out ? add_identity(r.store, r.keys, identity_out, label, e)
                      : keys_add_recipient(r.store, r.keys, recipient, label, e)))
        return -1;
    readers_to_mirrors(a, &r, NULL, NULL, left);
    return 0;
}

/* ---- remove ---- */
int find_reader(struct store *s, const char *prefix, struct key_object *out, struct err *e)
{
    struct key_object *all;
    size_t n, matches = 0;
    if (strlen(prefix) < PREFIX_MIN)
        return err_set(e, ERR_USAGE, "%s: give at least %d digits of the reader's id (lifeboat key show)",
                       prefix, PREFIX_MIN);
    if (keys_list(s, &all, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        char hex[SHA_HEX];
        sha_hex(hex, &all[i].name);
        if (strncasecmp(hex, prefix, strlen(prefix)) == 0 && matches++ == 0)
            *out = all[i];
    }
    free(all);
    if (matches > 1)
        return err_set(e, ERR_USAGE, "%s: %zu readers' ids start so: give more digits", prefix, matches);
    return matches == 0;
}

static bool is_that_one(const void *ctx, const struct key_object *k)
{
    const struct key_object *gone = ctx;
    return sha_equal(&k->name, &gone->name);
}

int run_key_remove(const struct run_access *a, const char *prefix, struct key_object *out,
                   struct strings *left, struct err *e)
{
    AUTO(run_repo) r = {0};
    if (run_open(&r, a, RUN_LOOK, e))
        return -1;
    int rc = find_reader(r.store, prefix, out, e);
    if (rc == 0)
        rc = keys_remove(r.store, &out->name, e);
    else if (rc > 0)
        rc = find_on_mirrors(a, &r, prefix, out, e);
    if (rc > 0)
        return err_set(e, ERR_USAGE, "%s: there is no such reader: `lifeboat key show` lists them", prefix);
    if (rc == 0)
        readers_to_mirrors(a, &r, is_that_one, out, left);
    return rc;
}

/* ---- passphrase ---- */
struct readers {
    struct key_object *v;
    size_t n;
};

/* A passphrase that is none of the first store's any more. */
static bool is_former(const void *ctx, const struct key_object *k)
{
    const struct readers *now = ctx;
    for (size_t i = 0; i < now->n; i++)
        if (sha_equal(&now->v[i].name, &k->name))
            return false;
    return k->is_passphrase;
}

static int passphrase_to_mirrors(const struct run_access *a, const struct run_repo *r, struct strings *left,
                                 struct err *e)
{
    struct readers now;
    if (keys_list(r->store, &now.v, &now.n, e))
        return -1;
    readers_to_mirrors(a, r, is_former, &now, left);
    free(now.v);
    return 0;
}

/* The new one first: killed in between, both work. */
int run_key_passphrase(const struct run_access *a, struct bytes passphrase, struct strings *left,
                       struct err *e)
{
    AUTO(run_repo) r = {0};
    struct key_object *former;
    size_t n;
    if (run_open(&r, a, RUN_READ, e) || keys_list(r.store, &former, &n, e))
        return -1;
    int rc = keys_add_passphrase(r.store, r.keys, passphrase, "passphrase", e);
    for (size_t i = 0; i < n && rc == 0; i++)
        if (former[i].is_passphrase && keys_remove(r.store, &former[i].name, e))
            rc = err_wrap(e, "the new passphrase is set, but a former one still works");
    free(former);
    return rc ? -1 : passphrase_to_mirrors(a, &r, left, e);
}
