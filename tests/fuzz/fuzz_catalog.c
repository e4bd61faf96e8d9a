/* A catalog comes out of the repository: no bytes may crash its reader, and what it takes must survive being
 * written and read again. */
#include "source/catalog.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct copy {
    struct buf out;
    uint64_t entries, runs;
};

static int copy_entry(void *ctx, const struct catalog_entry *entry, struct err *e)
{
    struct copy *c = ctx;
    (void)e;
    catalog_add_entry(&c->out, entry);
    c->entries++;
    return 0;
}

static int copy_run(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e)
{
    struct copy *c = ctx;
    (void)e;
    if (run != c->runs++ || offset > INT64_MAX - bytes)
        abort();
    catalog_add_run(&c->out, bytes);
    return 0;
}

/* true: taken as whole. The size of the slices comes out of the input too. */
static bool read_copy(struct bytes in, size_t slice, struct copy *c)
{
    struct err e = ERR_INIT;
    const struct catalog_visitor v = {.entry = copy_entry, .run = copy_run, .ctx = c};
    AUTO(catalog_reader) r;
    catalog_reader_init(&r, &v);
    catalog_add_start(&c->out);
    for (; in.n; in.p += MIN(slice, in.n), in.n -= MIN(slice, in.n))
        if (catalog_reader_push(&r, BYTES(in.p, MIN(slice, in.n)), &e))
            break;
    bool whole = !err_is_set(&e) && catalog_reader_end(&r, &e) == 0;
    if (whole == err_is_set(&e))
        abort();
    return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct copy first = {0}, second = {0};
    if (read_copy(BYTES(data, size), size ? 1 + data[size - 1] : 1, &first) &&
        (!read_copy(buf_bytes(&first.out), 100, &second) || first.out.n != second.out.n ||
         memcmp(first.out.p, second.out.p, first.out.n) != 0 || first.entries != second.entries))
        abort();
    buf_free(&first.out);
    buf_free(&second.out);
    return 0;
}
