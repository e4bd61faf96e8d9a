/* store.h - immutable objects under names: what a repository is kept in. Safe from any thread.
 * Drivers: local.c (a directory), s3.c (a bucket, Signature V4), s3v2.c (a bucket behind an old gateway, by
 * libs3), mem.c (tests). Wrappers take a store and are one: retry.c, fault.c (tests).
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
    STORE_RETAINED = 2, /* store_delete: an Object Lock holds it */
    STORE_HIDDEN = 3,   /* store_delete: the key may only put a marker over it: nothing became free */
};

struct store_local_options {
    const char *path;   /* absolute */
    bool create;        /* make the folder when it is missing (init); otherwise it must hold `lifeboat` */
    bool require_mount; /* the folder must lie on another device than "/" */
    unsigned min_free;  /* percent: put fails with ERR_SPACE when less of the file system would stay free;
                         * not of what a prune puts to make room: marks and indexes */
};
/* Opens a directory as a store. NULL with *e: ERR_USAGE (no such folder; no `lifeboat` object in it: "is the
 * disk mounted?"), ERR_IO. */
struct store *store_local_new(const struct store_local_options *o, struct err *e) MUST_CHECK;

/* ---- buckets ---- */
/* Who we are there. The secret and the token lie in guarded memory. */
struct store_credentials {
    char *access_key;
    char *secret_key, *session_token; /* session_token may be NULL */
};
/* From `file` (access-key, secret-key, session-token, or the [default] of AWS's own), which must be private;
 * without one (NULL) from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. ERR_USAGE says what
 * is missing. Never shows a secret. */
int store_credentials_load(struct store_credentials *c, const char *file, struct err *e) MUST_CHECK;
void store_credentials_free(struct store_credentials *c); /* wipes */
/* Children do not get those variables, whether they were read yet or not. */
void store_credentials_withhold(void);
#define STORE_CREDENTIALS_NONE \
    {                          \
        0                      \
    }
AUTO_FOR(store_credentials)

enum store_signature { STORE_SIGNATURE_V4, STORE_SIGNATURE_V2 };
enum store_addressing {
    STORE_ADDRESSING_AUTO, /* virtual on AWS unless the bucket's name holds a dot, path elsewhere */
    STORE_ADDRESSING_PATH,
    STORE_ADDRESSING_VIRTUAL,
};
struct store_s3_options {
    const char *bucket, *prefix; /* prefix: without slashes at its ends; NULL or "": none */
    const char *endpoint;        /* [https://]HOST[:PORT]; NULL: AWS in that region */
    const char *region;          /* NULL: us-east-1 */
    const struct store_credentials *credentials;
    enum store_signature signature;
    enum store_addressing addressing;
    const char *ca_file;           /* certificates to trust instead of the system's; NULL: those */
    bool insecure;                 /* http:// is fine; with V2 also https, whose certificate libs3 ignores */
    unsigned object_lock_days;     /* COMPLIANCE retention on every object; 0: none; V4 only */
    uint64_t limit_up, limit_down; /* bytes a second, the whole store together; 0: none */
    unsigned timeout_s;            /* to connect, and while nothing moves; 0: 60 */
    const char *spool_dir;         /* for store_tempfile() */
};
/* A bucket as a store; *o is copied. Nothing is asked of the server yet. Errors that may pass are not tried
 * again: wrap it in store_retry_new(). NULL with *e: ERR_USAGE. */
struct store *store_s3_new(const struct store_s3_options *o, struct err *e) MUST_CHECK;

struct store_retry_options {
    /* No new try begins later than this after the first one: until the store has done something for the first
     * time (a wrong address looks like a dead server), and from then on. */
    unsigned first_limit_ms, limit_ms;
    unsigned pause_ms, longest_pause_ms;
};
/* Wraps `inner` and owns it: what may pass (5xx, 429, SlowDown, resets, time-outs, cut-off replies) is tried
 * again after pauses that double and are jittered, or as long as the server asks for. What was refused is
 * not. Errors end in "(5 tries in 31 s)". Ends early with ERR_STOPPED when asked to stop. `o`: NULL for 60 s,
 * 10 min, 0.5 s and 30 s. */
struct store *store_retry_new(struct store *inner, const struct store_retry_options *o) MUST_CHECK;

/* An empty store in memory. `spool_dir` is for store_tempfile(). */
struct store *store_mem_new(const char *spool_dir) MUST_CHECK;

/* "store /var/backups/lifeboat": what messages call it. */
const char *store_title(const struct store *s);

/* Keeps `data` (borrowed) under `name`. STORE_DONE: it survives a power cut from now on. A name that is
 * already there is fine, so a call can be retried: a name always stands for the same bytes, so a store may
 * leave it or replace it; but one whose size differs is replaced. */
int store_put(struct store *s, const char *name, struct bytes data, struct err *e) MUST_CHECK;

/* Like store_put, but whatever is there under that name makes way: for an object whose bytes are wrong. */
int store_replace(struct store *s, const char *name, struct bytes data, struct err *e) MUST_CHECK;

/* An open, empty, unnamed file (O_RDWR) from which store_put_file() is cheapest; the caller closes it. */
int store_tempfile(struct store *s, struct err *e) MUST_CHECK;

/* Like store_put with the first `size` bytes of `fd`, which came from store_tempfile(s). The file must not be
 * written to afterwards. */
int store_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e) MUST_CHECK;

/* Replaces what `out` holds with the object. More than `limit` bytes is ERR_DAMAGED. STORE_ABSENT: *e not
 * set. In a versioned bucket what a marker hides is found all the same, and of a name that ends in a SHA-256
 * the newest version that has it. */
int store_get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e) MUST_CHECK;

/* Exactly n bytes from `offset` into p. An object that ends earlier is ERR_DAMAGED. STORE_ABSENT: *e not set.
 */
int store_get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n,
                    struct err *e) MUST_CHECK;

/* The same of an older version: `nth` 1 is the one before what store_get_range() reads, STORE_OLDEST the
 * oldest of all, which was put before anybody could overwrite it. STORE_ABSENT: there are not as many, or the
 * store keeps none. */
#define STORE_OLDEST 9
int store_get_older(struct store *s, const char *name, unsigned nth, uint64_t offset, void *p, size_t n,
                    struct err *e) MUST_CHECK;

/* Adds the names of what store_get() has found in an older version, or below a marker, so far: but for what
 * was put or deleted since, the lifecycle of the bucket will delete what it gave. */
void store_mended(struct store *s, struct strings *out);

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

/* STORE_ABSENT when it was not there (an unversioned bucket cannot tell, and says STORE_DONE).
 * STORE_RETAINED: the store itself keeps it for a time; STORE_HIDDEN: see above. These are answers, *e is not
 * set. In a versioned bucket all its versions go. */
int store_delete(struct store *s, const char *name, struct err *e) MUST_CHECK;
/* Takes the name out of listings where store_delete() is STORE_RETAINED. STORE_ABSENT: the store cannot. */
int store_hide(struct store *s, const char *name, struct err *e) MUST_CHECK;

/* Bytes free for us and in all; STORE_ABSENT when the store cannot tell. */
int store_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e) MUST_CHECK;

/* ---- Object Lock ---- */
/* Until when the store itself refuses to let go of the object: *until_ns, 0 when it is not locked. */
int store_retention(struct store *s, const char *name, int64_t *until_ns, struct err *e) MUST_CHECK;
/* Locks it until `until_ns` at least; a longer lock stays. ERR_FAILED where the store keeps no locks. */
int store_extend(struct store *s, const char *name, int64_t until_ns, struct err *e) MUST_CHECK;

/* ---- what a store is like, as far as it says so ---- */
enum store_answer { STORE_UNKNOWN, STORE_YES, STORE_NO };
struct store_traits {
    enum store_answer versions;   /* what is deleted or overwritten stays as a version */
    enum store_answer locks;      /* it has Object Lock */
    unsigned default_lock_days;   /* that it puts on every object of itself; 0: none */
    enum store_answer is_public;  /* somebody without a key may read or list: it was tried */
    bool called_public;           /* its own words for its policy */
    enum store_answer on_root;    /* a folder: it lies on the file system of "/" */
    enum store_answer is_durable; /* a folder: its file system takes fsync, also of folders */
};
/* `name` is an object that is there. STORE_DONE; what cannot be learned is STORE_UNKNOWN. */
int store_traits(struct store *s, const char *name, struct store_traits *out, struct err *e) MUST_CHECK;

/* ---- what was asked of a server so far: every request counts, also one that failed ---- */
enum store_class { STORE_PUT, STORE_GET, STORE_LIST, STORE_HEAD, STORE_DELETE, STORE_CLASSES };
struct store_counts {
    struct {
        uint64_t requests, bytes_up, bytes_down; /* bytes of bodies */
    } of[STORE_CLASSES];
};
void store_counts(struct store *s, struct store_counts *out); /* all 0 where there is no server */
const char *store_class_name(enum store_class class);         /* "put" */

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
    unsigned every;     /* or: then every Nth */
    bool passing;       /* it may go well when tried again */
    unsigned calls;     /* how many were made */
    enum err_kind kind; /* what the failure looks like; ERR_IO by default */
};
/* Wraps `inner`, owns it, and obeys *plan (borrowed, changed by the test between calls). */
struct store *store_fault_new(struct store *inner, struct store_fault *plan) MUST_CHECK;

#endif
