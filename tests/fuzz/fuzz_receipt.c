/* Receipts: JSON in JSON. The input is the inner one, signed as it should be, and the outer one, as it is:
 * that one must never count, for nobody who fuzzes has the proof key. */
#include "repo/receipt.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct fuzz_repo *f, const char *folder, struct bytes text)
{
    struct err e = ERR_INIT;
    struct sha name;
    HOLDS(object_put(f->repo, folder, OBJECT_RECEIPT, text, &name, &e) == 0);
}

/* NULL: no text that JSON can hold. */
static json_t *sign(struct bytes inner)
{
    uint8_t signature[SIGNATURE_SIZE];
    char hex[2 * SIGNATURE_SIZE + 1];
    AUTO(buf) text = BUF_NONE;
    buf_add_str(&text, "lifeboat receipt 1\n");
    buf_add(&text, inner);
    keyring_sign(fuzz_keys(), buf_bytes(&text), signature);
    hex_encode(hex, BYTES(signature, sizeof signature));
    return json_pack("{s:i, s:s%, s:s}", "format", 1, "receipt", inner.n ? (const char *)inner.p : "",
                     inner.n, "signature", hex);
}

/* Loads what there is; the JSON, by way of receipt_put(), of the one that counts. */
static size_t load(struct fuzz_repo *f, struct fuzz_repo *to)
{
    struct err e = ERR_INIT;
    AUTO(receipts) all = {0};
    HOLDS(receipts_load(f->repo, NULL, &all, &e) == 0);
    for (size_t i = 0; i < all.n; i++) {
        for (size_t k = 0; k < all.v[i].source_count; k++)
            HOLDS(*all.v[i].sources[k].name && all.v[i].sources[k].result.layer_count <= DRILL_LAYERS);
        if (to)
            HOLDS(receipt_put(to->repo, &all.v[i], &e) == 0);
    }
    return all.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(fuzz_repo) f, second;
    AUTO(buf) text = BUF_NONE;
    static const char folder[] = "receipts/0000000000000000000000000000000000000000000000000000000000000000/";
    fuzz_repo_new(&f);
    fuzz_repo_new(&second);
    put(&f, folder, BYTES(data, size));
    HOLDS(load(&f, NULL) == 0);
    AUTO_JSON outer = sign(BYTES(data, size));
    if (!outer)
        return 0;
    json_write(outer, &text);
    put(&f, folder, buf_bytes(&text));
    size_t n = load(&f, &second);
    HOLDS(n <= 1 && load(&second, NULL) == n);
    return 0;
}
