/* Any bytes as fingerprints: no crash; what is compared with itself does not differ; and what is missing one
 * way is too much the other way. The input is three fingerprints, with a line "---" between them. */
#include "drill/fingerprint.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bytes take_part(struct bytes *in)
{
    static const char mark[] = "---\n";
    const uint8_t *at = in->n ? memmem(in->p, in->n, mark, sizeof mark - 1) : NULL;
    struct bytes part = BYTES(in->p, at ? (size_t)(at - in->p) : in->n);
    *in = at ? BYTES(at + sizeof mark - 1, in->n - part.n - (sizeof mark - 1)) : BYTES(in->p, 0);
    return part;
}

static void see(void *ctx, const char *text)
{
    (void)ctx;
    if (!*text || !utf8_is_valid(text, strlen(text)) || strpbrk(text, "\n\t\x1b"))
        abort();
}

/* The number of differences; UINT64_MAX for an error. */
static uint64_t compare(struct fingerprint_compare c)
{
    struct err e = ERR_INIT;
    AUTO(fingerprint_result) r = {0};
    c.differs = see;
    c.respelled = see;
    int rc = fingerprint_compare(&c, &r, &e);
    if ((rc != 0) != err_is_set(&e))
        abort();
    return rc ? UINT64_MAX : r.differences;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bytes in = BYTES(data, n);
    struct bytes a = take_part(&in), b = take_part(&in), w = take_part(&in);
    struct err e = ERR_INIT;
    AUTO(strings) names = STRINGS_NONE;
    uint64_t same = compare((struct fingerprint_compare){.original = a, .now = a});
    uint64_t there = compare((struct fingerprint_compare){.original = a, .now = b});
    uint64_t back = compare((struct fingerprint_compare){.original = b, .now = a});
    uint64_t settled = compare((struct fingerprint_compare){.original = a, .now = b, .witness = w});
    uint64_t less = compare((struct fingerprint_compare){.original = a,
                                                         .now = b,
                                                         .without_database = true,
                                                         .without_subscriptions = true,
                                                         .without_tablespaces = true});
    if (same != 0 && same != UINT64_MAX)
        abort();
    if ((there == UINT64_MAX) != (back == UINT64_MAX) || (less == UINT64_MAX) != (there == UINT64_MAX))
        abort();
    if (w.n && settled != UINT64_MAX && settled > there)
        abort();
    if (same == 0 && (fingerprint_owners(a, NULL, &names, &e) || fingerprint_tablespaces(a, &names, &e)))
        abort();
    return 0;
}
