#include "sigv4.h"

#include "codec/digest.h"
#include "codec/keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ---- encoding ---- */
static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void uri_encode(struct buf *out, const char *text, bool path)
{
    for (; *text; text++)
        if (is_unreserved(*text) || (path && *text == '/'))
            buf_add_u8(out, (uint8_t)*text);
        else
            buf_add_fmt(out, "%%%02X", (unsigned)(uint8_t)*text);
}

void query_add(struct query *q, const char *name, const char *value)
{
    AUTO(buf) pair = BUF_NONE;
    uri_encode(&pair, name, false);
    buf_add_str(&pair, "=");
    uri_encode(&pair, value, false);
    strings_add(&q->pairs, buf_cstr(&pair));
}

/* By name, then by value: '=' ends a name, so it comes before everything a name may hold. */
static int by_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    while (*x && *x == *y)
        x++, y++;
    int cx = *x == '=' ? 0 : *x, cy = *y == '=' ? 0 : *y;
    return cx - cy;
}

void query_write(struct query *q, struct buf *out)
{
    if (q->pairs.n)
        qsort(q->pairs.v, q->pairs.n, sizeof *q->pairs.v, by_name);
    for (size_t i = 0; i < q->pairs.n; i++)
        buf_add_fmt(out, "%s%s", i ? "&" : "", q->pairs.v[i]);
}

void query_free(struct query *q)
{
    strings_free(&q->pairs);
}

/* ---- signing ---- */
static int by_header(const void *a, const void *b)
{
    return strcmp(((const struct sigv4_header *)a)->name, ((const struct sigv4_header *)b)->name);
}

static void sha_add_str(struct sha_stream *s, const char *text)
{
    sha_add(s, BYTES_STR(text));
}

static void canonical_hash(const struct sigv4_request *r, const struct sigv4_header *sorted,
                           const char *signed_headers, char out[SHA_HEX])
{
    struct sha_stream s;
    struct sha sha;
    const char *const start[] = {r->method, "\n", r->path, "\n", r->query, "\n"};
    const char *const end[] = {"\n", signed_headers, "\n", r->payload_sha256};
    sha_begin(&s);
    for (size_t i = 0; i < ARRAY_LEN(start); i++)
        sha_add_str(&s, start[i]);
    for (size_t i = 0; i < r->header_count; i++) {
        const char *const line[] = {sorted[i].name, ":", sorted[i].value, "\n"};
        for (size_t k = 0; k < ARRAY_LEN(line); k++)
            sha_add_str(&s, line[k]);
    }
    for (size_t i = 0; i < ARRAY_LEN(end); i++)
        sha_add_str(&s, end[i]);
    sha_end(&s, &sha);
    sha_hex(out, &sha);
}

static void hmac(struct sha *out, struct bytes key, const char *text)
{
    if (!HMAC(EVP_sha256(), key.p, (int)key.n, (const uint8_t *)text, strlen(text), out->b, NULL))
        die(OUT_OF_MEMORY);
}

/* The key of one day, region and service. */
static void signing_key(const struct sigv4_key *k, const char *day, struct sha *out)
{
    AUTO(buf) first = BUF_NONE;
    const char *const steps[] = {day, k->region, k->service, "aws4_request"};
    buf_reserve(&first, 4 + strlen(k->secret_key)); /* at once: growing would leave a copy behind */
    buf_add_str(&first, "AWS4");
    buf_add_str(&first, k->secret_key);
    hmac(out, buf_bytes(&first), steps[0]);
    for (size_t i = 1; i < ARRAY_LEN(steps); i++)
        hmac(out, BYTES(out->b, SHA_SIZE), steps[i]);
    buf_wipe(&first);
}

void sigv4_sign(const struct sigv4_request *r, const struct sigv4_key *k, const char *date, struct buf *out)
{
    struct sha key, signature;
    char hash[SHA_HEX], hex[SHA_HEX];
    AUTO(buf) names = BUF_NONE;
    struct sigv4_header *sorted = xcalloc(r->header_count, sizeof *sorted);
    memcpy(sorted, r->headers, r->header_count * sizeof *sorted);
    qsort(sorted, r->header_count, sizeof *sorted, by_header);
    for (size_t i = 0; i < r->header_count; i++)
        buf_add_fmt(&names, "%s%s", i ? ";" : "", sorted[i].name);
    canonical_hash(r, sorted, buf_cstr(&names), hash);
    free(sorted);

    AUTO_CHAR day = xstrndup(date, 8);
    AUTO_CHAR scope = xasprintf("%s/%s/%s/aws4_request", day, k->region, k->service);
    AUTO_CHAR to_sign = xasprintf("AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hash);
    signing_key(k, day, &key);
    hmac(&signature, BYTES(key.b, SHA_SIZE), to_sign);
    sodium_memzero(&key, sizeof key);
    sha_hex(hex, &signature);
    buf_add_fmt(out, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s", k->access_key, scope,
                buf_cstr(&names), hex);
}
