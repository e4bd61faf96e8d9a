#include "base/base.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

/* A run that is killed at any instant leaves the repository sound, so the end of memory may be the end of the
 * process: less code, and no path that was never taken. */
void die(const char *why)
{
    static const char who[] = "lifeboat: ";
    struct iovec line[] = {{(void *)who, sizeof who - 1}, {(void *)why, strlen(why)}, {"\n", 1}};
    (void)!writev(STDERR_FILENO, line, ARRAY_LEN(line));
    _exit(1);
}

void die_without_memory(void)
{
    if (errno == ENOMEM)
        die(OUT_OF_MEMORY);
}

static void *or_die(void *p)
{
    if (!p)
        die(OUT_OF_MEMORY);
    return p;
}

void *xmalloc(size_t n)
{
    return or_die(malloc(n ? n : 1));
}

void *xcalloc(size_t n, size_t size)
{
    return or_die(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n, size_t size)
{
    return or_die(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return or_die(strdup(s));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool bytes_start(struct bytes b, const char *text)
{
    size_t n = strlen(text);
    return b.n >= n && (n == 0 || memcmp(b.p, text, n) == 0);
}

bool bytes_are_ascii(struct bytes b)
{
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] > 0x7f)
            return false;
    return true;
}

char *xstrndup(const char *s, size_t n)
{
    return or_die(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&out, fmt, ap);
    va_end(ap);
    return or_die(n < 0 ? NULL : out);
}

XXH3_state_t *xxh3_new(void)
{
    return or_die(XXH3_createState());
}

static void *crypto_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return xmalloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return xrealloc(p, n, 1);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

/* jansson would call it a fault of what was read. libcrypto 3.0 crashes: when one of the first fifty calls of
 * EVP_CipherInit_ex() for memory fails, a later one takes a lock that is NULL. */
void memory_for_libraries(void)
{
    json_set_alloc_funcs(xmalloc, free);
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
}

void char_auto(char **p)
{
    free(*p);
}

void fd_auto(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

uint8_t *buf_reserve(struct buf *b, size_t more)
{
    if (!b->p || b->cap - b->n < more) { /* never NULL, also for nothing */
        size_t cap = MAX(b->n + more, b->cap + b->cap / 2);
        if (cap < more)
            or_die(NULL);
        b->p = xrealloc(b->p, MAX(cap, (size_t)64), 1);
        b->cap = MAX(cap, (size_t)64);
    }
    return b->p + b->n;
}

uint8_t *buf_renew(struct buf *b, size_t n)
{
    b->n = 0;
    if (b->cap < n)
        buf_free(b);
    return buf_reserve(b, n);
}

void buf_add(struct buf *b, struct bytes data)
{
    if (data.n == 0)
        return;
    memcpy(buf_reserve(b, data.n), data.p, data.n);
    b->n += data.n;
}

void buf_add_u8(struct buf *b, uint8_t v)
{
    buf_add(b, BYTES(&v, 1));
}

static void add_le(struct buf *b, uint64_t v, size_t n)
{
    uint8_t *p = buf_reserve(b, n);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
    b->n += n;
}

void buf_add_u32(struct buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, BYTES_STR(s));
}

void buf_add_fmt(struct buf *b, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    or_die(n < 0 ? NULL : text);
    buf_add(b, BYTES(text, n));
    free(text);
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = 0;
    return (const char *)b->p;
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf)BUF_NONE;
}

struct bytes cursor_take(struct cursor *c, size_t n)
{
    if (c->bad || n > c->n) {
        c->bad = true;
        return (struct bytes){0};
    }
    struct bytes out = BYTES(c->p, n);
    c->p = n ? c->p + n : c->p; /* which is NULL of nothing */
    c->n -= n;
    return out;
}

static uint64_t take_le(struct cursor *c, size_t n)
{
    struct bytes b = cursor_take(c, n);
    uint64_t v = 0;
    for (size_t i = b.n; i-- > 0;)
        v = v << 8 | b.p[i];
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)take_le(c, 1);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)take_le(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return take_le(c, 8);
}

static void strings_take(struct strings *s, char *text)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->v = xrealloc(s->v, s->cap, sizeof *s->v);
    }
    s->v[s->n++] = text;
}

void strings_add(struct strings *s, const char *text)
{
    strings_take(s, xstrdup(text));
}

void strings_add_fmt(struct strings *s, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    strings_take(s, or_die(n < 0 ? NULL : text));
}

#define SENTENCES_KEPT 50

void strings_add_sentence(struct strings *s, const char *fmt, va_list ap)
{
    char text[600];
    unsigned more = 0;
    vsnprintf(text, sizeof text, fmt, ap);
    if (s->n < SENTENCES_KEPT) {
        strings_add(s, text);
        return;
    }
    if (s->n > SENTENCES_KEPT) {
        sscanf(s->v[SENTENCES_KEPT], "and %u more", &more);
        free(s->v[--s->n]);
    }
    strings_add_fmt(s, "and %u more", more + 1);
}

bool strings_has(const struct strings *s, const char *text)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], text) == 0)
            return true;
    return false;
}

void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct strings)STRINGS_NONE;
}
