/* Whole objects, seals and all, as a store gives them: opened as what each could be, and lying in a
 * repository under each name they could have. The keys are always the same, so the corpus holds some that
 * open. */
#include "repo/pack.h"
#include "repo/receipt.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool open_as(enum object_type type, struct bytes object)
{
    struct err e = ERR_INIT;
    AUTO(buf) plain = BUF_NONE, sealed = BUF_NONE, again = BUF_NONE;
    bool good = object_open(fuzz_keys(), type, object, &plain, &e) == 0;
    HOLDS(good != err_is_set(&e) && (good || e.kind == ERR_DAMAGED));
    if (!good)
        return false;
    HOLDS(plain.n == object.n - OBJECT_OVERHEAD);
    object_seal(fuzz_keys(), type, buf_bytes(&plain), &sealed);
    HOLDS(object_open(fuzz_keys(), type, buf_bytes(&sealed), &again, &e) == 0);
    HOLDS(again.n == plain.n && memcmp(again.p, plain.p, plain.n) == 0);
    return true;
}

static void open_slot(struct bytes object, enum slot_kind kind)
{
    struct err e = ERR_INIT;
    uint8_t key[SLOT_KEY];
    struct slot s = {.generation = 1, .kind = kind, .length = (uint8_t)MIN(object.n, (size_t)SLOT_MAX)};
    if (s.length)
        memcpy(s.sealed, object.p, s.length);
    HOLDS((slot_open(fuzz_keys(), &s, key, &e) == 0) != err_is_set(&e));
}

/* Under each name with its SHA-256. What does not open is passed over, and the rest goes on. */
static void lie_in_a_store(struct bytes object)
{
    static const char *const folders[] = {
        "index/", "snapshots/", "marks/condemn/", "marks/pin/",
        "receipts/0000000000000000000000000000000000000000000000000000000000000000/"};
    struct err e = ERR_INIT;
    struct sha sha;
    char name[NAME_SIZE];
    AUTO(snapshots) all = {0};
    AUTO(receipts) proofs = {0};
    AUTO(fuzz_repo) f;
    fuzz_repo_new(&f);
    sha_of(object, &sha);
    pack_name(name, &sha);
    HOLDS(store_put(f.store, name, object, &e) == STORE_DONE);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        object_name(name, folders[i], &sha);
        HOLDS(store_put(f.store, name, object, &e) == STORE_DONE);
    }
    HOLDS(repo_load(f.repo, &e) == 0 && snapshots_load(f.repo, &all, &e) == 0);
    HOLDS(all.n + all.unreadable.n == 1 && receipts_load(f.repo, NULL, &proofs, &e) == 0);
    HOLDS(f.repo->bad_objects.n >= 2); /* it is at most one of them */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned types = 0;
    for (int type = OBJECT_TYPE_FIRST; type < OBJECT_TYPE_END; type++)
        types += open_as((enum object_type)type, BYTES(data, size));
    HOLDS(types <= 1); /* what it was sealed as, and nothing else */
    open_slot(BYTES(data, size), SLOT_CONTENT);
    open_slot(BYTES(data, size), SLOT_TREE);
    lie_in_a_store(BYTES(data, size));
    return 0;
}
