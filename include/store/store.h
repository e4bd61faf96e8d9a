/* store.h - immutable objects under names: what a repository is kept in. Safe from any thread.
 * Drivers: local.c (a directory), mem.c (tests). fault.c wraps a store and makes it fail on purpose (tests).
 * Names are [a-z0-9/.-], at most 200 characters, no part empty or starting with a dot; any other is refused
 * with ERR_FAILED, wherever it came from. */
#ifndef LIFEBOAT_STORE_STORE_H
#define LIFEBOAT_STORE_STORE_H

#include "base/base.h"

struct store;
enum store_result {
    STORE_FAILED = -1,
    STORE_DONE = 0,
    STORE_ABSENT = 1,
    STORE_RETAINED = 2, /* store_delete only */
};

struct store_local_options {
    const char *path;   /* absolute */
    bool create;        /* make the folder when it is missing (init); otherwise it must hold `lifeboat` */
    bool require_mount; /* the folder must lie on another device than "/" */
    unsigned min_free;  /* percent: put fails with ERR_SPACE when less of the file system would stay free */
};
/* Opens a directory as a store. NULL with *e: ERR_USAGE (no such folder; no `lifeboat` object in it: "is the
 * disk mounted?"), ERR_IO. */
struct store *store_local_new(const struct store_local_options *o, struct err *e) MUST_CHECK;

/* An empty store in memory. `spool_dir` is for store_tempfile(). */
struct store *store_mem_new(const char *spool_dir) MUST_CHECK;

/* "store /var/backups/lifeboat": what messages call it. */
const char *store_title(const struct store *s);

/* Keeps `data` (borrowed) under `name`. STORE_DONE: it survives a power cut from now on. A name that is
 * already there is left as it is and that is fine, so a call can be retried; but one whose size differs is
 * replaced. */
int store_put(struct store *s, const char *name, struct bytes data, struct err *e) MUST_CHECK;

/* An open, empty, unnamed file (O_RDWR) from which store_put_file() is cheapest; the caller closes it. */
int store_tempfile(struct store *s, struct err *e) MUST_CHECK;

/* Like store_put with the first `size` bytes of `fd`, which came from store_tempfile(s). The file must not be
 * written to afterwards. */
int store_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e) MUST_CHECK;

/* Replaces what `out` holds with the object. More than `limit` bytes is ERR_DAMAGED. STORE_ABSENT: *e not
 * set. */
int store_get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e) MUST_CHECK;

/* Exactly n bytes from `offset` into p. An object that ends earlier is ERR_DAMAGED. STORE_ABSENT: *e not set.
 */
int store_get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n,
                    struct err *e) MUST_CHECK;

/* STORE_DONE with *size, or STORE_ABSENT. */
int store_size(struct store *s, const char *name, uint64_t *size, struct err *e) MUST_CHECK;

struct store_object {
    const char *name; /* whole, with the prefix; borrowed for the call */
    uint64_t size;
    int64_t mtime_ns; /* by the store's clock */
};
/* 0: go on; 1: enough, the listing is done; -1 with *e: the listing fails with it. */
typedef int store_each(void *ctx, const struct store_object *o, struct err *e);
/* Calls `each` for every object whose name starts with `prefix` ("packs/", "packs/3f", ""), in no order; it
 * may use the store. *now_ns, when not NULL, gets the store's clock from before the listing (this machine's,
 * when the store is read-only). Foreign files are passed over. -1: failed or `each` did. */
int store_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
               struct err *e) MUST_CHECK;

/* STORE_ABSENT when it was not there. STORE_RETAINED: the store itself keeps it for a time (Object Lock);
 * that is an answer, *e is not set. */
int store_delete(struct store *s, const char *name, struct err *e) MUST_CHECK;

/* Bytes free for us and in all; STORE_ABSENT when the store cannot tell. */
int store_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e) MUST_CHECK;

void store_free(struct store *s);
AUTO_PTR_FOR(store)

/* ---- cache.c ---- */
/* Wraps `inner`, owns it. Small objects (all but packs) are kept in `folder`, checked against their names
 * when they are used, and go when a listing does not have them any more. Not for checking a store. */
struct store *store_cache_new(struct store *inner, const char *folder) MUST_CHECK;

/* ---- fault.c, for tests ---- */
struct store_fault {
    unsigned fail_at;   /* the Nth call from now fails, 0: never; counts down under a lock */
    bool keep_failing;  /* every later one too */
    unsigned calls;     /* how many were made */
    enum err_kind kind; /* what the failure looks like; ERR_IO by default */
};
/* Wraps `inner`, owns it, and obeys *plan (borrowed, changed by the test between calls). */
struct store *store_fault_new(struct store *inner, struct store_fault *plan) MUST_CHECK;

#endif
