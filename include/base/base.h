/* base.h - the few words every module uses: borrowed and owned bytes, errors as values, scoped cleanup.
 * Nothing here knows about backups. */
#ifndef LIFEBOAT_BASE_BASE_H
#define LIFEBOAT_BASE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK         __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)  __attribute__((format(printf, f, a)))
#define UNUSED             __attribute__((unused))
#define ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)          ((a) < (b) ? (a) : (b))
#define MAX(a, b)          ((a) > (b) ? (a) : (b))
#define CONTAINER(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))

/* AUTO(x) v = ...: a `struct x` that x_free(&v) empties when the scope ends.
 * AUTO_PTR(x) v = NULL: a `struct x *` that x_free(v) ends with the scope. Both want a value where declared.
 * A module declares its cleaners with AUTO_FOR(x) or AUTO_PTR_FOR(x). STEAL(p) hands out an AUTO_PTR value.
 */
#define AUTO(x)     __attribute__((cleanup(x##_auto))) struct x
#define AUTO_PTR(x) __attribute__((cleanup(x##_auto_ptr))) struct x *
#define AUTO_FOR(x)                                 \
    static inline UNUSED void x##_auto(struct x *v) \
    {                                               \
        x##_free(v);                                \
    }
#define AUTO_PTR_FOR(x)                                  \
    static inline UNUSED void x##_auto_ptr(struct x **v) \
    {                                                    \
        x##_free(*v);                                    \
    }
#define STEAL(p)                     \
    ({                               \
        __typeof__(p) stolen_ = (p); \
        (p) = NULL;                  \
        stolen_;                     \
    })
#define AUTO_CHAR __attribute__((cleanup(char_auto))) char *
#define AUTO_FD   __attribute__((cleanup(fd_auto))) int
void char_auto(char **p); /* free(*p) */
void fd_auto(int *fd);    /* close(*fd) unless negative; errno survives */

/* ---- errors: a value the caller owns, filled once where the failure is first seen ---- */
enum err_kind {
    ERR_NONE = 0,
    ERR_FAILED,   /* the work failed: exit 1 */
    ERR_IO,       /* a file, disk or pipe: exit 1 */
    ERR_NET,      /* a server could not be reached or broke off: exit 1 */
    ERR_SPACE,    /* no room left: exit 1 */
    ERR_STOPPED,  /* asked to stop (signal): exit 1 */
    ERR_USAGE,    /* the command line, the configuration, a missing key: exit 2 */
    ERR_UNPROVEN, /* a proof cannot be made on this machine: exit 4 */
    ERR_DAMAGED,  /* stored bytes are not what was written: exit 5 */
};
struct err {
    enum err_kind kind;
    char text[1000]; /* one line or a few, for a person; cut with "..." when longer */
};
#define ERR_INIT \
    {            \
        0        \
    }

/* Fill *e when it is not yet set (the first error stands) and return -1. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same, with ": " and strerror(errno) appended; ENOSPC and EDQUOT become ERR_SPACE. */
int err_errno(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Prefix the text of a set error with "fmt: " and return -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
static inline bool err_is_set(const struct err *e)
{
    return e->kind != ERR_NONE;
}

/* ---- memory: small bookkeeping ends the process when there is none left; see docs/architecture.md ---- */
/* Says why, and ends the process with exit status 1: for want of what nothing can be done without. */
void die(const char *why) __attribute__((noreturn));
#define OUT_OF_MEMORY  "out of memory"
#define OUT_OF_THREADS "no thread can be started: too many of them (ulimit -u, TasksMax=), or out of memory"
/* die(OUT_OF_MEMORY) when errno says so: after a call whose failure has other meanings, too. */
void die_without_memory(void);

void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull)); /* n * size, checked */
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((malloc, returns_nonnull)) PRINTF_LIKE(1, 2);
/* A state of xxhash, to be reset; XXH3_freeState() it. */
struct XXH3_state_s *xxh3_new(void) __attribute__((returns_nonnull));
/* jansson and libcrypto ask here, too, from now on. Before they are used; once in a process. */
void memory_for_libraries(void);

/* ---- bytes: borrowed; buf: owned and growing ---- */
struct bytes {
    const uint8_t *p;
    size_t n;
};
struct buf {
    uint8_t *p;
    size_t n, cap;
};
#define BYTES(ptr, len) ((struct bytes){.p = (const uint8_t *)(ptr), .n = (len)})
#define BYTES_STR(s)    BYTES((s), strlen(s))
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_start(struct bytes b, const char *text); /* whether b begins with it */
bool bytes_are_ascii(struct bytes b);
#define BUF_NONE \
    {            \
        0        \
    }
static inline struct bytes buf_bytes(const struct buf *b)
{
    return BYTES(b->p, b->n);
}
uint8_t *buf_reserve(struct buf *b,
                     size_t more); /* room for `more` beyond n; returns p + n; n is unchanged */
/* Forgets what it holds; room for n, exactly where it had less. */
uint8_t *buf_renew(struct buf *b, size_t n);
void buf_add(struct buf *b, struct bytes data);
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u32(struct buf *b, uint32_t v); /* little-endian, as everything in the format */
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_str(struct buf *b, const char *s); /* without the NUL */
void buf_add_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *buf_cstr(struct buf *b); /* NUL-terminates (outside n) and returns the text */
void buf_free(struct buf *b);        /* empties; wipe secrets before */
AUTO_FOR(buf)

/* Reading a byte string from outside, front to back. After a short read `bad` is set, everything reads as 0
 * and stays so: check once at the end with cursor_is_done() or `bad`. */
struct cursor {
    const uint8_t *p;
    size_t n;
    bool bad;
};
static inline struct cursor cursor_of(struct bytes b)
{
    return (struct cursor){.p = b.p, .n = b.n};
}
struct bytes cursor_take(struct cursor *c, size_t n); /* n bytes, or {NULL, 0} and bad */
uint8_t cursor_u8(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
static inline bool cursor_is_done(const struct cursor *c)
{
    return !c->bad && c->n == 0;
}

/* ---- lists of owned strings ---- */
struct strings {
    char **v;
    size_t n, cap;
};
#define STRINGS_NONE \
    {                \
        0            \
    }
void strings_add(struct strings *s, const char *text); /* copies */
void strings_add_fmt(struct strings *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Keeps the first 50 and counts the rest in a last one: "and 12 more". */
void strings_add_sentence(struct strings *s, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
bool strings_has(const struct strings *s, const char *text);
void strings_free(struct strings *s);
AUTO_FOR(strings)

/* ---- random bytes of the kernel's; that it gives none is the end of the process ---- */
void random_fill(void *p, size_t n);    /* n <= 256 */
void random_hex(char *out, unsigned n); /* of n <= 32 bytes: 2 * n characters and a NUL */

/* ---- text ---- */
void hex_encode(char *out, struct bytes b); /* 2 * n characters and a NUL */
bool hex_decode(uint8_t *out, size_t n, const char *hex,
                size_t len);                           /* exactly n bytes, lower case or upper */
char *base64_encode(struct bytes b);                   /* standard alphabet, padded; caller frees */
bool base64_decode(struct buf *out, const char *text); /* appends; false: not base64 */
bool utf8_is_valid(const char *s, size_t n);
/* `s` with control characters, those that change the direction of writing, and bytes that are not UTF-8 as
 * \xNN: safe to show. Caller frees. */
char *text_printable(const char *s, size_t n);
/* JSON with those of these characters as \uNNNN that JSON lets stand: it says the same. Caller frees. */
char *json_printable(const char *json);
/* Parses "10", "1.5", "64 KiB", "1GiB", "2 G" (powers of 1024) into bytes. false: not a size. */
bool size_parse(const char *text, uint64_t *out);
void size_format(char out[32], uint64_t bytes);         /* "12.3 MiB" */
bool glob_match(const char *pattern, const char *path); /* see base/glob.c: *, ?, [..], ** across slashes */

/* ---- time ---- */
/* Nanoseconds since 1970 (negative before); every stored time is UTC. */
int64_t time_now_ns(void);
int64_t time_ns(int64_t seconds, int64_t ns); /* the sum; the last that can be said when it is too large */
uint64_t time_monotonic_ns(void);
void time_format_utc(char out[40], int64_t ns);     /* 2026-03-01T02:03:04.567Z, millisecond precision */
bool time_parse_utc(const char *text, int64_t *ns); /* what time_format_utc writes; fraction optional */
void time_format_local(char out[40], int64_t ns);   /* 2026-03-01 03:03:04 in the TZ of the machine */
void duration_format(char out[32], uint64_t ns);    /* "0.8 s", "3 min 12 s" */
bool duration_parse(const char *text, uint64_t *seconds); /* 30s 15m 24h 7d 4w 1y, plain = seconds */

#endif
