/* The end of a backup: W5 to W7 of the protocol (docs/format.md, section 11). */
#include "repo/gc.h"
#include "repo/internal.h"

#include "base/log.h"

#include <stdio.h>
#include <time.h>

static uint64_t boot_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t (*repo_clock)(void) = boot_clock;

int gc_bounds_check(const struct gc_bounds *b, struct err *e)
{
    if (b->grace_ns < 0 || b->lag_ns < 0 || b->undo_window_ns < 0)
        return err_set(e, ERR_USAGE, "grace, lag and undo-window cannot be negative");
    if (gc_view_ns(b) + gc_gap_ns(b) + 2 * b->lag_ns >= b->grace_ns)
        return err_set(
            e, ERR_USAGE,
            "a grace of %lld s is too short for listings that lag by %lld s: it must be more than 5 1/3 "
            "times that",
            (long long)(b->grace_ns / 1000000000), (long long)(b->lag_ns / 1000000000));
    return 0;
}

/* Whether more than `limit_ns` has passed since the view at this time of the store's. Its clock may have gone
 * back: this machine's has not, and one that lies before the view says nothing. */
static bool is_later(const struct repo *r, int64_t store_ns, int64_t limit_ns)
{
    return store_ns - r->view_ns > limit_ns || store_ns < r->view_ns - r->bounds.lag_ns ||
           repo_clock() - r->view_boot_ns > (uint64_t)limit_ns;
}

static int no_object(void *ctx, const struct store_object *o, struct err *e)
{
    (void)ctx, (void)o, (void)e;
    return 1;
}

/* W5. By this machine's clock the view may be so young that the store's need not be asked; W7 asks it anyway.
 */
int view_is_old(const struct repo *r, bool *old, struct err *e)
{
    int64_t now_ns;
    *old = false;
    if (repo_clock() - r->view_boot_ns < (uint64_t)gc_view_ns(&r->bounds) / 2)
        return 0;
    if (store_list(r->store, "lifeboat", no_object, NULL, &now_ns, e))
        return -1;
    *old = is_later(r, now_ns, gc_view_ns(&r->bounds));
    return 0;
}

int view_is_late(const struct repo *r, bool *late, struct err *e)
{
    int64_t now_ns;
    if (store_list(r->store, "lifeboat", no_object, NULL, &now_ns, e))
        return -1;
    *late = is_later(r, now_ns, gc_view_ns(&r->bounds) + gc_gap_ns(&r->bounds));
    return 0;
}

/* Whether the pack is there and clean. One that is not listed may be so new that the listing does not show
 * it. */
static int is_clean(struct repo *r, const struct pack_info *p, bool *clean, struct err *e)
{
    char name[NAME_SIZE];
    uint64_t size;
    *clean = !(p->state & (PACK_DAMAGED | PACK_CONDEMNED));
    if (!*clean || (p->state & PACK_LISTED))
        return 0;
    pack_name(name, &p->name);
    int rc = store_size(r->store, name, &size, e);
    *clean = rc == STORE_DONE && size == p->size;
    return rc == STORE_FAILED ? -1 : 0;
}

static int check_view(struct repo *r, struct err *e)
{
    bool old, clean;
    if (view_is_old(r, &old, e))
        return COMMIT_FAILED;
    if (old) {
        log_info("the view of the repository has become old: it is taken again");
        if (view_again(r, e))
            return COMMIT_FAILED;
    }
    for (uint32_t i = 0; i < r->index.pack_count; i++) {
        const struct pack_info *p = &r->index.packs[i];
        char name[NAME_SIZE];
        if (!(p->state & PACK_RELIED))
            continue;
        if (is_clean(r, p, &clean, e))
            return COMMIT_FAILED;
        if (clean)
            continue;
        pack_name(name, &p->name);
        log_warn(
            "%s, which this backup needs, has been condemned or deleted by a prune, or damaged, since it looked: "
            "its chunks are stored again",
            name);
        return COMMIT_REPEAT;
    }
    return COMMIT_DONE;
}

static int note_time(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    *(int64_t *)ctx = o->mtime_ns;
    return 1;
}

/* A listing may not show it yet. One that is not there by its name, either, was never stored. */
static int check_unlisted(struct repo *r, const char *name, struct err *e)
{
    uint64_t size;
    int rc = store_size(r->store, name, &size, e);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_FAILED, "%s: the store said that it was stored, and does not have it", name);
    return rc == STORE_FAILED ? -1 : 0;
}

/* W7: how old the view was when the snapshot was put, by the store's clock. A listing that does not show it
 * yet says what time it is now, which is later. */
static int check_time(struct repo *r, const struct snapshot *s, bool *late, struct err *e)
{
    char name[NAME_SIZE];
    int64_t put_ns = INT64_MIN, now_ns;
    object_name(name, "snapshots/", &s->id);
    if (store_list(r->store, name, note_time, &put_ns, NULL, e))
        return -1;
    if (put_ns == INT64_MIN &&
        (check_unlisted(r, name, e) || store_list(r->store, "lifeboat", no_object, NULL, &now_ns, e)))
        return -1;
    if (put_ns == INT64_MIN)
        put_ns = now_ns;
    *late = is_later(r, put_ns, gc_view_ns(&r->bounds) + gc_gap_ns(&r->bounds));
    return 0;
}

int snapshot_commit(struct repo *r, struct snapshot *s, struct err *e)
{
    bool late = false;
    int rc = check_view(r, e);
    if (rc != COMMIT_DONE)
        return rc;
    if (snapshot_put(r, s, e))
        return COMMIT_FAILED;
    if (check_time(r, s, &late, e))
        return err_wrap(e, "whether the snapshot counts is not known");
    if (!late)
        return COMMIT_DONE;
    log_warn(
        "the snapshot was put too long after the repository was looked at (was this machine asleep?): it is not "
        "relied on, and written again");
    return mark_broken(r, &s->id, e) ? COMMIT_FAILED : COMMIT_REPEAT;
}
