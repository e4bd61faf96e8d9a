/* check --store: what the store can and cannot do, found out by doing it with an object of no repository's.
 */
#include "internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PROBE      "probe"
#define PROBE_SIZE 300
#define CLOCK_MOST (300ll * 1000000000) /* S3 servers refuse signatures from 15 minutes off */
#define DAY_S      86400ull

struct probing {
    struct store *store;
    const struct config_store *s;
    const struct config *config; /* or NULL */
    struct run_store_checks *out;
    uint8_t bytes[PROBE_SIZE];
    struct store_traits traits;
};

static void say(struct probing *p, const char *name, bool ok, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void say(struct probing *p, const char *name, bool ok, const char *fmt, ...)
{
    struct run_store_checks *out = p->out;
    AUTO(strings) one = STRINGS_NONE;
    va_list ap;
    va_start(ap, fmt);
    strings_add_sentence(&one, fmt, ap);
    va_end(ap);
    out->v = xrealloc(out->v, out->n + 1, sizeof *out->v);
    out->v[out->n++] = (struct run_store_check){.name = name, .ok = ok, .said = xstrdup(one.v[0])};
}

/* ---- put, get, range, list ---- */
static bool is_probe(const struct probing *p, struct bytes b)
{
    return b.n == PROBE_SIZE && memcmp(b.p, p->bytes, b.n) == 0;
}

static bool try_put(struct probing *p)
{
    struct err why = ERR_INIT;
    bool ok = store_replace(p->store, PROBE, BYTES(p->bytes, PROBE_SIZE), &why) == STORE_DONE;
    say(p, "put", ok, "%s", ok ? "an object can be put" : why.text);
    return ok;
}

static bool try_get(struct probing *p)
{
    AUTO(buf) out = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = store_get(p->store, PROBE, PROBE_SIZE, &out, &why);
    bool ok = rc == STORE_DONE && is_probe(p, buf_bytes(&out));
    say(p, "get", ok, "%s",
        ok                   ? "it comes back as it was"
        : rc == STORE_FAILED ? why.text
                             : "what was just put does not come back as it was");
    return ok;
}

static bool try_range(struct probing *p)
{
    uint8_t some[100];
    struct err why = ERR_INIT;
    int rc = store_get_range(p->store, PROBE, 50, some, sizeof some, &why);
    bool ok = rc == STORE_DONE && memcmp(some, p->bytes + 50, sizeof some) == 0;
    say(p, "range", ok, "%s",
        ok                   ? "a part of it can be read"
        : rc == STORE_FAILED ? why.text
                             : "a part of it reads as something else");
    return ok;
}

static int note_probe(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    *(bool *)ctx |= strcmp(o->name, PROBE) == 0;
    return 0;
}

static void judge_clock(struct probing *p, int64_t store_ns)
{
    int64_t off = store_ns - time_now_ns();
    char text[32];
    duration_format(text, (uint64_t)llabs(off));
    bool ok = llabs(off) <= CLOCK_MOST;
    say(p, "clock", ok,
        ok ? "agrees with this machine's" : "this machine's clock is %s %s the store's: set it (chrony, ntp)",
        text, off > 0 ? "behind" : "ahead of");
}

/* `is_there`: the probe could be put. */
static bool try_list(struct probing *p, bool is_there)
{
    bool listed = false;
    int64_t now_ns = 0;
    struct err why = ERR_INIT;
    bool ok = store_list(p->store, PROBE, note_probe, &listed, &now_ns, &why) == STORE_DONE;
    say(p, "list", ok && (listed || !is_there), "%s",
        !ok         ? why.text
        : listed    ? "it is listed"
        : !is_there ? "objects can be listed"
                    : "it is not in the listing yet: this store's listings lag, or the key sees only a part");
    if (ok)
        judge_clock(p, now_ns);
    return ok && listed;
}

/* ---- locks ---- */
/* The longest that [retention] keeps anything, in seconds; 0: there is no end to it. */
static uint64_t retention_span(const struct config *c)
{
    static const uint64_t lengths[KEEP_PERIODS] = {3600, DAY_S, 7 * DAY_S, 31 * DAY_S, 366 * DAY_S};
    const struct keep_rules *k = c ? &c->retention.keep : NULL;
    if (!k || k->last)
        return 0;
    uint64_t span = k->within_s;
    for (size_t i = 0; i < KEEP_PERIODS; i++)
        span = MAX(span, k->periods[i] * lengths[i]);
    return span ? span + c->retention.undo_window_s + c->retention.grace_s : 0;
}

static void judge_lock_days(struct probing *p, const char *whose, unsigned days)
{
    uint64_t span = retention_span(p->config);
    int64_t until = 0;
    struct err why = ERR_INIT;
    char text[40];
    if (span && days * DAY_S > span)
        say(p, "lock", false,
            "%s locks for %u days, and [retention] keeps nothing for more than %llu: what is pruned is paid "
            "for until its lock ends",
            whose, days, (unsigned long long)((span + DAY_S - 1) / DAY_S));
    else if (store_retention(p->store, PROBE, &until, &why) != STORE_DONE || until == 0)
        say(p, "lock", false, "%s locks for %u days, and the object that was just put shows no lock%s%s",
            whose, days, err_is_set(&why) ? ": " : "", why.text);
    else {
        time_format_utc(text, until);
        say(p, "lock", true, "%s locks for %u days: the object that was just put until %s", whose, days,
            text);
    }
}

static void judge_lock(struct probing *p)
{
    const struct store_traits *t = &p->traits;
    unsigned days = p->s->object_lock_days;
    if (days && t->locks == STORE_NO)
        say(p, "lock", false,
            "object-lock-days = %u, and the bucket has no Object Lock: it wants one that was made with it",
            days);
    else if (days)
        judge_lock_days(p, "object-lock-days", days);
    else if (t->default_lock_days)
        judge_lock_days(p, "the bucket itself", t->default_lock_days);
    else
        say(p, "lock", true, "%s",
            t->locks == STORE_YES ? "the bucket has Object Lock, and object-lock-days is not set: nothing is "
                                    "locked"
            : t->locks == STORE_NO ? "no Object Lock"
                                   : "whether there is Object Lock is not known (the key may not ask)");
}

/* ---- what else a bucket is ---- */
static void judge_bucket(struct probing *p)
{
    static const char *const versions[] = {"whether versions are kept is not known (the key may not ask)",
                                           ("on: what is deleted or overwritten stays as a version, until a "
                                            "lifecycle rule takes it away"),
                                           "off: what is overwritten or deleted is gone"};
    static const char *const open[] = {
        "whether it is public is not known (the key may not ask)",
        ("THE BUCKET IS PUBLIC: anybody can read it without a key. The content is encrypted, names of packs, "
         "sizes and times are not: block public access"),
        "nobody reads it without a key"};
    const struct store_traits *t = &p->traits;
    bool doubt = t->called_public && t->is_public == STORE_NO;
    judge_lock(p);
    say(p, "versions", true, "%s", versions[t->versions]);
    say(p, "public", t->is_public != STORE_YES && !doubt, "%s",
        doubt
            ? "a request without a key was refused, and yet the store calls its policy public: look at what "
              "the policy gives to everybody (older Ceph says so of any policy)"
            : open[t->is_public]);
}

static void judge_folder(struct probing *p)
{
    bool on_root = p->traits.on_root == STORE_YES;
    say(p, "device", !(on_root && p->s->require_mount), "%s",
        on_root
            ? "on the same file system as /: that disk's end is the end of both (require-mount refuses it)"
            : "on a file system of its own");
    if (p->traits.is_durable != STORE_UNKNOWN)
        say(p, "sync", p->traits.is_durable == STORE_YES, "%s",
            p->traits.is_durable == STORE_YES
                ? "what was put survives a power cut (fsync, rename)"
                : "the file system cannot fsync folders: after a power cut new objects may be missing");
}

static void judge_space(struct probing *p)
{
    uint64_t have = 0, total = 0;
    char have_text[32], total_text[32];
    struct err why = ERR_INIT;
    int rc = store_space(p->store, &have, &total, &why);
    if (rc == STORE_FAILED)
        say(p, "space", false, "%s", why.text);
    if (rc != STORE_DONE)
        return;
    size_format(have_text, have);
    size_format(total_text, total);
    say(p, "space", have >= total / 100 * p->s->min_free, "%s of %s are free (min-free = %u %%)", have_text,
        total_text, p->s->min_free);
}

/* Refused is as good as done: a key that cannot delete is what a nightly host should have. */
static void try_delete(struct probing *p)
{
    struct err why = ERR_INIT;
    int rc = store_delete(p->store, PROBE, &why);
    bool refused = rc == STORE_FAILED && why.kind == ERR_FAILED;
    say(p, "delete", rc != STORE_FAILED || refused, "%s",
        rc == STORE_RETAINED ? "the lock holds it: nobody deletes it before its time"
        : rc == STORE_HIDDEN ? "this key hides objects and deletes none: good for a nightly host; prune with "
                               "another key"
        : refused            ? "this key may not delete: good for a nightly host; prune with another key"
        : rc == STORE_FAILED ? why.text
                             : "this key may delete: whoever gets hold of it can delete backups");
}

static int probe(struct probing *p, struct err *e)
{
    randombytes_buf(p->bytes, PROBE_SIZE);
    bool is_there = try_put(p);
    bool can_be_read = is_there && try_get(p) && try_range(p);
    p->out->works = try_list(p, is_there) && can_be_read;
    if (!p->out->works)
        return 0;
    if (store_traits(p->store, PROBE, &p->traits, e))
        return -1;
    if (p->s->kind == STORE_BUCKET)
        judge_bucket(p);
    else
        judge_folder(p);
    judge_space(p);
    try_delete(p);
    return 0;
}

int run_check_store(const struct run_access *a, struct run_store_checks *out, struct err *e)
{
    struct run_access itself = *a;
    AUTO(config_store) own = {0};
    const struct config_store *s;
    *out = (struct run_store_checks){.works = false};
    itself.no_cache = true;
    if (find_store(&itself, &own, &s, e))
        return -1;
    AUTO_PTR(store) store = open_store(&itself, false, e);
    if (!store)
        return -1;
    struct probing p = {.store = store, .s = s, .config = a->config, .out = out};
    out->store = config_store_url(s);
    return probe(&p, e);
}

bool run_store_is_good(const struct run_store_checks *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->v[i].ok)
            return false;
    return c->works;
}

void run_store_checks_free(struct run_store_checks *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->v[i].said);
    free(c->v);
    free(c->store);
    *c = (struct run_store_checks){0};
}
