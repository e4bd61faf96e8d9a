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
    if (b->grace_ns && gc_view_ns(b) + gc_gap_ns(b) + 2 * b->lag_ns >= b->grace_ns)
        return err_set(
            e, ERR_USAGE,
            "a grace of %lld s is too short for listings that lag by %lld s: it must be more than 5 1/3 "
            "times that",
            (long long)(b->grace_ns / 1000000000), (long long)(b->lag_ns / 1000000000));
    return 0;
}

/* The clock may have gone back, too: then nothing is known of the view's age. */
static bool is_old(const struct repo *r, int64_t now_ns)
{
    return now_ns - r->view_ns > gc_view_ns(&r->bounds) || now_ns < r->view_ns - r->bounds.lag_ns;
}

static int no_object(void *ctx, const struct store_object *o, struct err *e)
{
    (void)ctx, (void)o, (void)e;
    return 1;
}

/* W5. By this machine's clock the view may be so young that the store's need not be asked; W7 asks it anyway.
 */
static int view_is_old(const struct repo *r, bool *old, struct err *e)
{
    int64_t now_ns;
    *old = false;
    if (repo_clock() - r->view_boot_ns < (uint64_t)gc_view_ns(&r->bounds) / 2)
        return 0;
    if (store_list(r->store, "lifeboat", no_object, NULL, &now_ns, e))
        return -1;
    *old = is_old(r, now_ns);
    return 0;
}

/* The first pack that the run relies on and may not; UINT32_MAX: there is none. */
static uint32_t find_lost(const struct index *x)
{
    for (uint32_t i = 0; i < x->pack_count; i++)
        if ((x->packs[i].state & PACK_RELIED) &&
            (x->packs[i].state & (PACK_LISTED | PACK_DAMAGED | PACK_CONDEMNED)) != PACK_LISTED)
            return i;
    return UINT32_MAX;
}

static int check_view(struct repo *r, struct err *e)
{
    bool old;
    if (view_is_old(r, &old, e))
        return COMMIT_FAILED;
    if (!old)
        return COMMIT_DONE;
    log_info("the view of the repository has become old: it is taken again");
    if (view_again(r, e))
        return COMMIT_FAILED;
    uint32_t lost = find_lost(&r->index);
    if (lost == UINT32_MAX)
        return COMMIT_DONE;
    char name[NAME_SIZE];
    pack_name(name, &r->index.packs[lost].name);
    log_warn("%s, which this backup needs, was condemned by a prune meanwhile: its chunks are stored again",
             name);
    return COMMIT_REPEAT;
}

static int note_time(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    *(int64_t *)ctx = o->mtime_ns;
    return 1;
}

/* W7: how old the view was when the snapshot was put, by the store's clock. A listing that does not show it
 * yet says what time it is now, which is later. */
static int check_time(struct repo *r, const struct snapshot *s, bool *late, struct err *e)
{
    char name[NAME_SIZE];
    int64_t put_ns = INT64_MIN, now_ns;
    object_name(name, "snapshots/", &s->id);
    if (store_list(r->store, name, note_time, &put_ns, &now_ns, e))
        return -1;
    if (put_ns == INT64_MIN)
        put_ns = now_ns;
    *late = put_ns - r->view_ns > gc_view_ns(&r->bounds) + gc_gap_ns(&r->bounds) ||
            put_ns < r->view_ns - r->bounds.lag_ns;
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
        return err_wrap(e, "the snapshot was put, but whether in time is not known");
    if (!late)
        return COMMIT_DONE;
    log_warn(
        "the snapshot was put too long after the repository was looked at (was this machine asleep?): it is not "
        "relied on, and written again");
    return mark_broken(r, &s->id, e) ? COMMIT_FAILED : COMMIT_REPEAT;
}
