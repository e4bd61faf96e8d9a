/* Key material from outside: writer.key, the secrets that a keys object wraps, and keys objects, which lie in
 * a store that nobody trusts. */
#include "codec/keys.h"
#include "repo/repo.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_writer_file(struct bytes text)
{
    struct err e = ERR_INIT;
    AUTO_PTR(keyring) k = keyring_parse_writer_file(text, &e);
    if (!k != err_is_set(&e) || (k && (keyring_can_read(k) || !keyring_current(k))))
        abort();
    if (!k)
        return;
    AUTO(buf) again = BUF_NONE;
    keyring_write_writer_file(k, &again);
    AUTO_PTR(keyring) same = keyring_parse_writer_file(buf_bytes(&again), &e);
    if (!same || memcmp(keyring_repository_id(k), keyring_repository_id(same), REPOSITORY_ID_SIZE) != 0)
        abort();
}

static void unpack_secrets(struct bytes secrets)
{
    struct err e = ERR_INIT;
    AUTO_PTR(keyring) k = keyring_unpack_secrets(secrets, &e);
    if (!k != err_is_set(&e) || (k && !keyring_can_read(k)))
        abort();
    if (!k)
        return;
    AUTO(buf) again = BUF_NONE;
    keyring_pack_secrets(k, &again);
    if (again.n != secrets.n || memcmp(again.p, secrets.p, again.n) != 0)
        abort();
}

/* Under the name it would have in a store. */
static void open_object(struct bytes object)
{
    struct err e = ERR_INIT;
    struct sha sha;
    char hex[SHA_HEX];
    static const uint8_t repository[REPOSITORY_ID_SIZE];
    struct key_object *all = NULL;
    size_t n = 0;
    sha_of(object, &sha);
    sha_hex(hex, &sha);
    AUTO_CHAR name = xasprintf("keys/%s", hex);
    AUTO_PTR(store) s = store_mem_new("/tmp");
    AUTO_PTR(identity) id = identity_new(repository);
    if (store_put(s, name, object, &e) || keys_list(s, &all, &n, &e) || n > 1)
        abort();
    if (n && memchr(all[0].label, 0, sizeof all[0].label) == NULL)
        abort();
    free(all);
    AUTO_PTR(keyring) k = keys_open_identity(s, id, &e);
    if (k) /* a new key pair opens nothing */
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse_writer_file(BYTES(data, size));
    unpack_secrets(BYTES(data, size));
    open_object(BYTES(data, size));
    return 0;
}
