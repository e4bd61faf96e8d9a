/* prune: the steps P1 to P8 of the protocol (docs/format.md, section 11), in their order, which is the
 * safety. */
#include "repo/prune.h"

#include "base/child.h"
#include "base/log.h"

#include <stdlib.h>

#define TRIES  3 /* when another prune gets in the way */
#define PASSES 3 /* at most, of an exclusive run, after what it forgets */

/* A tree of depth 0 has no list: its roots are the chunks. */
static int keep_roots(struct pruning *p, const struct snapshot *s, uint32_t number, struct err *e)
{
    for (size_t i = 0; i < s->source_count; i++)
        for (size_t k = 0; k < s->sources[i].stream_count; k++) {
            const struct stream_info *info = &s->sources[i].streams[k];
            for (uint32_t n = 0; n < info->root_count; n++) {
                const struct root root = {.ref = info->roots[n], .depth = info->depth, .snapshot = number};
                if (bigarray_add(&p->roots, &root, e) == UINT64_MAX)
                    return -1;
            }
        }
    return 0;
}

/* ---- P1: marks and their ages ---- */
/* One that cannot be read may be the undo of a forget, or may condemn a pack that would be a home. */
static int refuse_unreadable(struct pruning *p, const struct strings *names, struct err *e)
{
    if (names->n == 0)
        return 0;
    p->refused = true;
    return err_set(
        e, ERR_DAMAGED,
        "%s: nothing is deleted while an object of this kind cannot be read. If it is damaged beyond repair, "
        "remove it from the store by hand",
        names->v[0]);
}

/* What a later version needs is not known here. */
static int refuse_later(struct pruning *p, struct err *e)
{
    if (p->repo->later.n == 0)
        return 0;
    p->refused = true;
    return err_set(e, ERR_DAMAGED, "%s: nothing is deleted where another version is at work",
                   p->repo->later.v[0]);
}

static int list_marks(struct pruning *p, struct err *e)
{
    p->repo->view_boot_ns = repo_clock();
    if (marks_load(p->repo, MARKS_ALL, &p->marks, e) || refuse_unreadable(p, &p->marks.unreadable, e))
        return -1;
    view_marks(p->repo, &p->marks);
    p->now_ns = p->marks.now_ns;
    for (size_t i = 0; i < p->marks.n; i++) {
        const struct mark *m = &p->marks.v[i];
        for (size_t n = 0; m->kind == MARK_CONDEMN && n < m->names.n; n++)
            if (p->now_ns - m->mtime_ns >= p->grace_ns)
                sha_set_add(&p->due, &m->names.v[n]);
    }
    sha_set_sort(&p->due);
    return 0;
}

/* ---- P2: snapshots ---- */
static int add_snapshot(void *ctx, const struct store_object *o, struct err *e)
{
    struct pruning *p = ctx;
    struct pruned_snapshot s = {.mtime_ns = o->mtime_ns};
    (void)e;
    if (!name_sha(o->name, &s.id))
        return 0;
    p->snapshots = xrealloc(p->snapshots, p->snapshot_count + 1, sizeof *p->snapshots);
    p->snapshots[p->snapshot_count++] = s;
    p->repo->newest_ns = MAX(p->repo->newest_ns, o->mtime_ns);
    sha_set_add(&p->snapshot_names, &s.id);
    return 0;
}

static bool is_pinned(const struct marks *all, const struct sha *snapshot)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i].kind == MARK_PIN && sha_equal(&all->v[i].snapshot, snapshot) &&
            marks_pin_stands(all, &all->v[i]))
            return true;
    return false;
}

/* Dead: a forget mark that counts is older than the undo window, and whoever undid it in time has been seen;
 * and nobody has pinned it meanwhile. */
static void look_at_forgets(struct pruning *p, struct pruned_snapshot *s)
{
    const struct mark *m = marks_forget_of(&p->marks, &s->id);
    s->broken = m && m->kind == MARK_BROKEN;
    s->dead = m && p->now_ns - m->mtime_ns >= p->repo->bounds.undo_window_ns + p->grace_ns / 2 &&
              !is_pinned(&p->marks, &s->id);
}

static int load_snapshot(struct pruning *p, uint32_t number, struct err *e)
{
    struct pruned_snapshot *s = &p->snapshots[number];
    AUTO(snapshot) content = {0};
    struct err why = ERR_INIT;
    if (snapshot_load(p->repo, &s->id, &content, &why) == 0)
        return keep_roots(p, &content, number, e);
    if (why.kind == ERR_USAGE || (s->dead && (why.kind == ERR_DAMAGED || why.kind == ERR_FAILED)))
        return 0; /* gone since it was listed; or it goes anyway */
    *e = why;
    return why.kind == ERR_DAMAGED || why.kind == ERR_FAILED
               ? err_wrap(e, "nothing is deleted while a snapshot cannot be read (forget it, if it is lost)")
               : -1;
}

static int list_snapshots(struct pruning *p, struct err *e)
{
    if (store_list(p->repo->store, "snapshots/", add_snapshot, p, NULL, e) ||
        bigarray_open(&p->roots, p->repo->spool_dir, sizeof(struct root), e))
        return -1;
    sha_set_sort(&p->snapshot_names);
    for (size_t i = 0; i < p->snapshot_count; i++) {
        look_at_forgets(p, &p->snapshots[i]);
        if (stop_check(e) || load_snapshot(p, (uint32_t)i, e))
            return -1;
    }
    return 0;
}

/* ---- the store's clock ---- */
/* A clock that was put back gives new marks an old time, and makes them look past their grace when it is put
 * right. */
static bool clock_went_back(const struct pruning *p)
{
    int64_t lag = p->repo->bounds.lag_ns;
    return (p->o->last_now_ns && p->now_ns < p->o->last_now_ns - lag) || p->now_ns < p->repo->newest_ns - lag;
}

/* ---- dead snapshots go before their packs are condemned: each that exists can be read ---- */
static int remove_dead(struct pruning *p, struct err *e)
{
    p->out->snapshots = p->snapshot_count;
    for (size_t i = 0; i < p->snapshot_count; i++) {
        char name[NAME_SIZE], hex[SHA_HEX];
        if (!p->snapshots[i].dead)
            continue;
        object_name(name, "snapshots/", &p->snapshots[i].id);
        sha_hex(hex, &p->snapshots[i].id);
        int rc = stop_check(e)   ? STORE_FAILED
                 : p->o->dry_run ? STORE_DONE
                                 : store_delete(p->repo->store, name, e);
        if (rc == STORE_FAILED)
            return -1;
        if (rc == STORE_RETAINED) {
            strings_add_fmt(&p->out->notes, "%s is retained by the store's lock, and so is what it needs",
                            name);
            if (prune_keep_snapshot(p, i, e))
                return -1;
            continue;
        }
        strings_add(&p->out->removed, hex);
        p->out->snapshots--;
    }
    return 0;
}

/* ---- P5: condemn ---- */
static int condemn(struct pruning *p, struct err *e)
{
    AUTO(sha_set) packs = {0};
    for (uint32_t i = 0; i < p->pack_count; i++)
        if (p->packs[i].fate == FATE_DEAD || p->packs[i].fate == FATE_THIN)
            sha_set_add(&packs, &p->repo->index.packs[i].name);
    return mark_packs(p->repo, MARK_CONDEMN, &packs, e);
}

/* ---- P7: sweep ---- */
static void count_pack(struct prune_count *c, const struct pack_info *info)
{
    c->packs++;
    c->bytes += info->size;
}

/* Packs that were condemned for so long that they would be listed if they were there, and that no swept mark
 * names. */
static void add_unlisted(const struct pruning *p, struct sha_set *gone)
{
    AUTO(sha_set) swept = {0}, condemned = {0};
    prune_collect(p, MARK_SWEPT, INT64_MIN, &swept);
    prune_collect(p, MARK_CONDEMN, MAX(p->grace_ns, p->repo->bounds.lag_ns), &condemned);
    for (size_t i = 0; i < condemned.n; i++)
        if (!prune_is_listed(p, &condemned.v[i]) && !sha_set_has(&swept, &condemned.v[i]))
            sha_set_add(gone, &condemned.v[i]);
}

/* By this machine's clock, which runs on while it sleeps: a name may come back one day, and is neither to be
 * deleted nor to be noted as gone by a prune that has slept over that. */
static bool is_late(const struct pruning *p)
{
    return repo_clock() - p->repo->view_boot_ns > (uint64_t)gc_view_ns(&p->repo->bounds);
}

/* 1: it is too late to go on. */
static int sweep_packs(struct pruning *p, struct sha_set *gone, struct err *e)
{
    for (uint32_t i = 0; i < p->pack_count; i++) {
        struct pack_info *info = &p->repo->index.packs[i];
        char name[NAME_SIZE];
        if (!prune_is_due(p, i))
            continue;
        if (is_late(p))
            return 1;
        pack_name(name, &info->name);
        int rc = p->o->dry_run   ? STORE_DONE
                 : stop_check(e) ? STORE_FAILED
                                 : store_delete(p->repo->store, name, e);
        if (rc == STORE_FAILED)
            return -1;
        count_pack(rc == STORE_RETAINED ? &p->out->retained : &p->out->swept, info);
        if (rc != STORE_RETAINED)
            sha_set_add(gone, &info->name);
        if (p->o->progress)
            p->o->progress(p->o->progress_ctx, "packs to delete", i + 1, p->pack_count);
    }
    return 0;
}

/* Says which packs are gone after they went: from then on is counted how long a late listing may show them.
 */
static int sweep(struct pruning *p, struct err *e)
{
    AUTO(sha_set) gone = {0};
    int rc = sweep_packs(p, &gone, e);
    if (rc < 0 || p->o->dry_run)
        return rc;
    if (rc == 0)
        add_unlisted(p, &gone);
    if (rc == 0 && !is_late(p))
        return mark_packs(p->repo, MARK_SWEPT, &gone, e);
    strings_add(&p->out->notes, "this prune has taken too long to go on deleting: the next one does");
    return 0;
}

/* ---- the whole ---- */
static void count_found(struct pruning *p)
{
    const struct index *x = &p->repo->index;
    for (uint32_t i = 0; i < x->pack_count; i++)
        if (x->packs[i].state & PACK_LISTED)
            count_pack(&p->out->found, &x->packs[i]);
}

/* 1: the clock went back, so that is all. */
static int look(struct pruning *p, struct err *e)
{
    if (view_begin(p->repo, e) || list_marks(p, e) || list_snapshots(p, e) || view_packs(p->repo, e))
        return -1;
    if (p->out->now_ns == 0)
        p->out->now_ns = p->now_ns;
    p->out->clock_went_back = clock_went_back(p);
    if (p->out->clock_went_back) {
        strings_add(&p->out->notes,
                    "the store's clock has gone back: nothing is condemned or deleted until it has caught "
                    "up with the objects in it (is it right now? see the runbook, \"A clock was wrong\")");
        return 1;
    }
    if (view_indexes(p->repo, e) || refuse_later(p, e))
        return -1;
    p->repo->loaded = true;
    if (p->out->found.packs == 0)
        count_found(p);
    return 0;
}

static int run_pass(struct pruning *p, struct err *e)
{
    int rc = look(p, e);
    if (rc)
        return rc < 0 ? -1 : 0;
    if (!p->o->dry_run && mark_forget(p->repo, p->o->forget, p->o->forget_count, e))
        return -1;
    if (prune_mark_live(p, e) || remove_dead(p, e) || prune_choose_homes(p, e))
        return -1;
    prune_decide_fates(p);
    if (p->o->dry_run)
        return sweep(p, e);
    return prune_repack(p, e) || condemn(p, e) || prune_merge_indexes(p, e) || sweep(p, e) || prune_tidy(p, e)
               ? -1
               : 0;
}

/* ---- two prunes at once ---- */
/* Whether another prune has deleted packs while this one looked, or so lately that a listing need not show
 * yet where their chunks went: what was missed then is not lost. By the marks of now: this one may have
 * slept. */
static bool is_unsettled(struct pruning *p)
{
    struct err why = ERR_INIT;
    AUTO(sha_set) condemned = {0}, swept = {0};
    marks_free(&p->marks);
    if (marks_load(p->repo, MARKS_ALL, &p->marks, &why))
        return false;
    if (p->marks.now_ns < p->now_ns) /* the store's clock was put back: nothing that is new looks new */
        return true;
    p->now_ns = p->marks.now_ns;
    prune_collect(p, MARK_CONDEMN, INT64_MIN, &condemned);
    prune_collect(p, MARK_SWEPT, p->repo->bounds.lag_ns, &swept);
    for (size_t i = 0; i < condemned.n; i++) {
        char name[NAME_SIZE];
        uint64_t size;
        struct err ignored = ERR_INIT;
        pack_name(name, &condemned.v[i]);
        if (!sha_set_has(&swept, &condemned.v[i]) &&
            store_size(p->repo->store, name, &size, &ignored) == STORE_ABSENT)
            return true;
    }
    return false;
}

static void pruning_free(struct pruning *p)
{
    marks_free(&p->marks);
    sha_set_free(&p->due);
    sha_set_free(&p->snapshot_names);
    free(p->snapshots);
    free(p->packs);
    bigarray_free(&p->roots);
    bigarray_free(&p->frames);
    bigmap_free(p->walked);
    bigbits_free(&p->live);
}

/* 1: another prune got in the way. */
static int one_pass(struct repo *r, const struct prune_options *o, bool sweeping, struct prune_report *out,
                    struct err *e)
{
    struct pruning p = {.repo = r,
                        .o = o,
                        .out = out,
                        .sweeping = sweeping,
                        .grace_ns = o->exclusive ? 0 : r->bounds.grace_ns,
                        .roots = BIGARRAY_NONE,
                        .frames = BIGARRAY_NONE,
                        .live = BIGBITS_NONE};
    int rc = run_pass(&p, e);
    if (rc && e->kind == ERR_DAMAGED && !p.refused && is_unsettled(&p))
        rc = 1;
    pruning_free(&p);
    return rc;
}

static int one_run(struct repo *r, const struct prune_options *o, bool sweeping, struct prune_report *out,
                   struct err *e)
{
    int rc = 1;
    for (int i = 0; i < TRIES && rc == 1; i++) {
        *e = (struct err)ERR_INIT;
        rc = one_pass(r, o, sweeping, out, e);
    }
    if (rc == 1)
        e->kind = ERR_FAILED;
    return rc == 1 ? err_wrap(e, "another prune has just deleted packs: run this one again later") : rc;
}

int repo_prune(struct repo *r, const struct prune_options *o, struct prune_report *out, struct err *e)
{
    *out = (struct prune_report){0};
    /* What one pass forgets is dead to the next, if there is no undo window; what that condemns, the next
     * finds past a grace of 0. */
    int first = o->forget_count > 0 ? 1 : 0;
    for (int i = 0; i < first + PASSES; i++) {
        uint64_t condemned = out->dead.packs + out->thin.packs;
        if (one_run(r, o, i > first, out, e))
            return -1;
        if (!o->exclusive || o->dry_run || out->clock_went_back ||
            (i > first && out->dead.packs + out->thin.packs == condemned))
            break;
    }
    return 0;
}

void prune_report_free(struct prune_report *r)
{
    strings_free(&r->removed);
    strings_free(&r->notes);
    *r = (struct prune_report){0};
}
