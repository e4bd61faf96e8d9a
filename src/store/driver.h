/* driver.h - what a driver or wrapper implements. The front door (store.c) has checked names and arguments,
 * and adds operation, object and store to the text of every error. */
#ifndef LIFEBOAT_STORE_DRIVER_H
#define LIFEBOAT_STORE_DRIVER_H

#include "store/store.h"

/* What an operation returns, instead of STORE_FAILED, when the same call may go well in a while: after
 * `seconds` at the earliest, if the server said so. Only wrappers see it; for callers it is STORE_FAILED. */
#define STORE_AGAIN_AFTER(seconds) (-2 - (int)(seconds))
#define STORE_AGAIN                STORE_AGAIN_AFTER(0)
static inline bool store_is_again(int rc)
{
    return rc <= STORE_AGAIN;
}
static inline unsigned store_again_after(int rc)
{
    return (unsigned)(STORE_AGAIN - rc);
}

struct store_ops {
    int (*put)(struct store *s, const char *name, struct bytes data, struct err *e);
    int (*tempfile)(struct store *s, struct err *e);
    int (*put_file)(struct store *s, const char *name, int fd, uint64_t size, struct err *e);
    int (*get)(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e);
    int (*get_range)(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e);
    int (*size)(struct store *s, const char *name, uint64_t *size, struct err *e);
    /* A positive answer of `each` ends the listing and is handed on. May give names that do not start with
     * the prefix or are foreign: the front door drops them. One that may return STORE_AGAIN gives them in the
     * order of their bytes. */
    int (*list)(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e);
    int (*del)(struct store *s, const char *name, struct err *e);
    /* NULL: nothing can be hidden. */
    int (*hide)(struct store *s, const char *name, struct err *e);
    int (*space)(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e);
    /* NULL: put replaces in any case. */
    int (*replace)(struct store *s, const char *name, struct bytes data, struct err *e);
    /* NULL: no versions. */
    int (*get_older)(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e);
    void (*mended)(struct store *s, struct strings *out);
    /* NULL: no locks, nothing to be said of it, no server. */
    int (*retention)(struct store *s, const char *name, int64_t *until_ns, struct err *e);
    int (*extend)(struct store *s, const char *name, int64_t until_ns, struct err *e);
    int (*traits)(struct store *s, const char *name, struct store_traits *out, struct err *e);
    void (*counts)(struct store *s, struct store_counts *out);
    void (*free)(struct store *s);
};
struct store {
    const struct store_ops *ops;
    char *title;
};

bool store_name_is_valid(const char *name);

/* What a store says of time may be anything: here it lies after 1970 and before 2200, so that a sum or a
 * difference of two is never too large. */
static inline int64_t store_time_ns(int64_t seconds, int64_t ns)
{
    static const int64_t end = 7258118400; /* 2200-01-01 */
    return MAX(MAX(MIN(seconds, end), 0) * 1000000000 + (seconds >= 0 && seconds < end ? ns : 0), 1);
}

/* For wrappers: what the driver does, or what is so where it has no such operation. */
int driver_replace(struct store *s, const char *name, struct bytes data, struct err *e);
int driver_hide(struct store *s, const char *name, struct err *e);
int driver_get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                     struct err *e);
int driver_retention(struct store *s, const char *name, int64_t *until_ns, struct err *e);
int driver_extend(struct store *s, const char *name, int64_t until_ns, struct err *e);
int driver_traits(struct store *s, const char *name, struct store_traits *out, struct err *e);

/* For tests: the time a store in memory believes it is; 0: the machine's. */
void store_mem_set_clock(struct store *s, int64_t now_ns);
/* For tests: a listing may miss what is younger than this and show what is gone for less. */
void store_mem_set_lag(struct store *s, int64_t lag_ns);
/* For tests: objects younger than this refuse to be deleted (STORE_RETAINED). */
void store_mem_set_lock(struct store *s, int64_t lock_ns);

/* Said of an object that is there after its deletion. */
#define STORE_KEEPS                                                                                     \
    "the server said that it deleted it, and still has it: is there an object lock, or another policy " \
    "that keeps what is deleted?"

#endif
