/* Any bytes as a pg_dump archive: no crash, and how the stream is cut into slices changes nothing. */
#include "source/pg_archive.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Slices of up to `longest` bytes, of changing lengths, each in memory of its own. */
static int read_archive(struct pg_archive *a, struct bytes b, size_t longest, struct err *e)
{
    for (size_t i = 0, n = longest; i < b.n; i += n, n = n * 31 % longest + 1) {
        n = MIN(n, b.n - i);
        uint8_t *slice = malloc(n);
        if (!slice)
            abort();
        memcpy(slice, b.p + i, n);
        int rc = pg_archive_write(a, BYTES(slice, n), e);
        free(slice);
        if (rc)
            return -1;
    }
    return pg_archive_finish(a, e);
}

static int fingerprint(struct bytes b, size_t longest, struct buf *out, struct err *e)
{
    AUTO_PTR(pg_archive) a = pg_archive_new();
    int rc = read_archive(a, b, longest, e);
    if ((rc != 0) != err_is_set(e))
        abort();
    for (size_t i = 0; i < pg_archive_table_count(a); i++)
        if (!pg_archive_table(a, i).name)
            abort();
    if (rc == 0)
        pg_archive_fingerprint(a, out);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err e = ERR_INIT, again = ERR_INIT;
    AUTO(buf) whole = BUF_NONE;
    AUTO(buf) sliced = BUF_NONE;
    int rc = fingerprint(BYTES(data, n), SIZE_MAX, &whole, &e);
    if (rc != fingerprint(BYTES(data, n), n % 101 + 1, &sliced, &again))
        abort();
    if (whole.n != sliced.n || (whole.n && memcmp(whole.p, sliced.p, whole.n) != 0))
        abort();
    return 0;
}
