/* Whole replies of an S3 server to each request that we make: a letter that says which, then what comes over
 * the wire (world.h: "===" cuts). Any bytes end in an answer or an error. */
#include "store/s3.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS 20 /* a server that says "there is more" for ever is not obeyed for ever */
#define LIMIT    1000

static int note(void *ctx, const struct store_object *o, struct err *e)
{
    (void)ctx, (void)e;
    HOLDS(strncmp(o->name, "packs/", 6) == 0);
    return 0;
}

static int ask(struct store *s, uint8_t letter, struct err *e)
{
    static const char name[] = "packs/00/0000000000000000000000000000000000000000000000000000000000000000";
    AUTO(buf) out = BUF_NONE;
    struct store_traits traits;
    uint8_t part[100];
    uint64_t n = 0;
    int64_t time = 0;
    int rc = STORE_DONE;
    switch (letter) {
    case 'g':
        rc = store_get(s, name, LIMIT, &out, e);
        break;
    case 'v':
        rc = MAX(s3_get_version(s, name, 1, LIMIT, &out, e), STORE_FAILED); /* below: when to try again */
        break;
    case 'r':
        return store_get_range(s, name, 10, part, sizeof part, e);
    case 's':
        return store_size(s, name, &n, e);
    case 'l':
        return store_list(s, "packs/", note, NULL, &time, e);
    case 'd':
        return store_delete(s, name, e);
    case 'p':
        return store_put(s, name, BYTES("content", 7), e);
    case 'k':
        return store_retention(s, name, &time, e);
    case 'x':
        return store_extend(s, name, time_now_ns(), e);
    default:
        return store_traits(s, name, &traits, e);
    }
    HOLDS(rc != STORE_DONE || out.n <= LIMIT);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct store_credentials keys = {.access_key = (char *)"a", .secret_key = (char *)"s"};
    const struct store_s3_options o = {.bucket = "b",
                                       .endpoint = "http://127.0.0.1:1",
                                       .insecure = true,
                                       .credentials = &keys,
                                       .object_lock_days = size % 2,
                                       .timeout_s = 5,
                                       .spool_dir = fuzz_folder()};
    struct err e = ERR_INIT;
    if (!size)
        return 0;
    (void)fuzz_keys(); /* guarded memory is in use, as after reading the credentials */
    AUTO_PTR(store) s = store_s3_new(&o, &e);
    HOLDS(s);
    fuzz_answer(BYTES(data + 1, size - 1), REQUESTS);
    int rc = ask(s, data[0], &e);
    HOLDS((rc == STORE_FAILED) == err_is_set(&e) && rc >= STORE_FAILED && rc <= STORE_HIDDEN);
    fuzz_answer_end();
    return 0;
}
