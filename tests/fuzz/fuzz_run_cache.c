/* The file of a volume's runs. Where the last byte is odd, its records get the checksums they should have, so
 * that their insides are looked at. What is found is found again in the file that is made of it. */
#include "base/file.h"
#include "source/run_cache.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAGIC  16
#define RECORD 40 /* without its references */

/* The layout is run_cache.h's. Where records start goes to `at`. */
static size_t find_records(struct buf *file, bool mend, size_t *at, size_t most)
{
    size_t n = 0;
    for (size_t i = MAGIC; n < most && i + RECORD <= file->n;) {
        uint8_t *r = file->p + i;
        uint32_t refs;
        memcpy(&refs, r + 24, sizeof refs);
        size_t size = RECORD + (size_t)refs * sizeof(struct ref);
        if (size > file->n - i)
            break;
        XXH3_state_t *hash = XXH3_createState();
        XXH3_64bits_reset(hash);
        XXH3_64bits_update(hash, r + RECORD, size - RECORD);
        XXH3_64bits_update(hash, r, 32);
        uint64_t check = XXH3_64bits_digest(hash);
        XXH3_freeState(hash);
        if (mend)
            memcpy(r + 32, &check, sizeof check);
        at[n++] = i;
        i += size;
    }
    return n;
}

static void find_again(const char *path, const uint8_t *key, uint64_t bytes, size_t n)
{
    struct err e = ERR_INIT;
    AUTO_PTR(run_cache) c = run_cache_new(path, fuzz_folder(), &e);
    const struct ref *refs;
    uint64_t have = 0;
    size_t count = 0;
    HOLDS(c && run_cache_find(c, key, &have, &refs, &count) && have == bytes && count == n);
}

static void copy_run(const char *path, const uint8_t *key)
{
    struct err e = ERR_INIT;
    AUTO_PTR(run_cache) c = run_cache_new(path, fuzz_folder(), &e);
    const struct ref *refs = NULL;
    uint64_t bytes = 0, sum = 0;
    size_t n = 0;
    HOLDS(c);
    if (!run_cache_find(c, key, &bytes, &refs, &n))
        return;
    for (size_t i = 0; i < n; i++)
        sum += refs[i].length;
    HOLDS(sum == bytes && run_cache_add_refs(c, refs, n, &e) == 0);
    HOLDS(run_cache_end_run(c, key, bytes, true, &e) == 0 && run_cache_finish(c, &e) == 0);
    if (n)
        find_again(path, key, bytes, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    size_t at[8], n;
    AUTO(buf) file = BUF_NONE;
    AUTO_CHAR path = xasprintf("%s/runs", fuzz_folder());
    buf_add(&file, BYTES(data, size));
    n = find_records(&file, size && data[size - 1] % 2, at, ARRAY_LEN(at));
    for (size_t i = 0; i < MAX(n, (size_t)1); i++) {
        uint8_t key[RUN_KEY] = {0};
        if (n)
            memcpy(key, file.p + at[i], RUN_KEY);
        HOLDS(file_write(path, buf_bytes(&file), 0600, false, &e) == 0);
        copy_run(path, key);
    }
    return 0;
}
