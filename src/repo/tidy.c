/* P8: marks that have done their work, indexes that are superseded, what belonged to snapshots that are gone.
 * Everything here may stay as long as it likes; it must not go early. */
#include "repo/prune.h"

#include "base/child.h"

#include <stdlib.h>

/* Deletes; a mark that is retained or gone is as good. *count goes up when it was there. */
static int prune_delete(struct pruning *p, const char *name, uint64_t *count, struct err *e)
{
    int rc = stop_check(e) ? STORE_FAILED : store_delete(p->repo->store, name, e);
    *count += rc == STORE_DONE;
    return rc == STORE_FAILED ? -1 : 0;
}

static bool is_older(const struct pruning *p, int64_t mtime_ns, int64_t age_ns)
{
    return p->now_ns - mtime_ns > age_ns;
}

bool prune_is_listed(const struct pruning *p, const struct sha *name)
{
    uint32_t pack = index_find_pack(&p->repo->index, name);
    return pack != UINT32_MAX && (p->repo->index.packs[pack].state & PACK_LISTED);
}

void prune_collect(const struct pruning *p, enum mark_kind kind, int64_t age_ns, struct sha_set *out)
{
    for (size_t i = 0; i < p->marks.n; i++)
        for (size_t n = 0; n < p->marks.v[i].names.n; n++)
            if (p->marks.v[i].kind == kind && is_older(p, p->marks.v[i].mtime_ns, age_ns))
                sha_set_add(out, &p->marks.v[i].names.v[n]);
    sha_set_sort(out);
}

struct tidying {
    struct pruning *p;
    struct sha_set gone; /* packs that swept marks say are gone for a grace, and longer than a listing lags */
    struct sha_set condemned; /* packs */
    struct sha_set pins;      /* marks */
};

static bool all_gone(const struct tidying *t, const struct sha_set *packs)
{
    for (size_t i = 0; i < packs->n; i++)
        if (prune_is_listed(t->p, &packs->v[i]) || !sha_set_has(&t->gone, &packs->v[i]))
            return false;
    return true;
}

static bool none_in(const struct sha_set *names, const struct sha_set *of)
{
    for (size_t i = 0; i < names->n; i++)
        if (sha_set_has(of, &names->v[i]))
            return false;
    return true;
}

/* Whether nothing depends on the mark any more. What a listing may not show yet counts as there for a grace.
 */
static bool is_done(const struct tidying *t, const struct mark *m)
{
    const struct pruning *p = t->p;
    bool old = is_older(p, m->mtime_ns, MAX(p->repo->bounds.grace_ns, 2 * p->repo->bounds.lag_ns));
    switch (m->kind) {
    case MARK_CONDEMN:
        return all_gone(t, &m->names);
    case MARK_SWEPT: /* its condemn marks have gone before */
        return old && none_in(&m->names, &t->condemned);
    case MARK_DAMAGED:
        return old && !prune_is_listed(p, &m->names.v[0]);
    case MARK_UNPIN:
        return old && none_in(&m->names, &t->pins);
    case MARK_PIN:
    case MARK_FORGET:
    case MARK_UNDO:
    case MARK_BROKEN:
        return old && !sha_set_has(&p->snapshot_names, &m->snapshot);
    case MARK_KINDS:
        break;
    }
    return false;
}

static int tidy_marks(struct pruning *p, struct err *e)
{
    AUTO(sha_set) gone = {0}, condemned = {0}, pins = {0};
    /* A copy or a repair may bring the name back then: no prune that listed the pack still deletes. */
    prune_collect(p, MARK_SWEPT, MAX(p->repo->bounds.grace_ns, p->repo->bounds.lag_ns), &gone);
    prune_collect(p, MARK_CONDEMN, INT64_MIN, &condemned);
    for (size_t i = 0; i < p->marks.n; i++)
        if (p->marks.v[i].kind == MARK_PIN)
            sha_set_add(&pins, &p->marks.v[i].name);
    sha_set_sort(&pins);
    const struct tidying t = {.p = p, .gone = gone, .condemned = condemned, .pins = pins};
    for (size_t i = 0; i < p->marks.n; i++) {
        char name[NAME_SIZE];
        mark_name(name, p->marks.v[i].kind, &p->marks.v[i].name);
        if (is_done(&t, &p->marks.v[i]) && prune_delete(p, name, &p->out->marks_removed, e))
            return -1;
    }
    return 0;
}

/* A reader that lists page by page must see an index or what supersedes it: so not at once. */
static int tidy_indexes(struct pruning *p, struct err *e)
{
    for (size_t i = 0; i < p->repo->index_object_count; i++) {
        const struct index_object *o = &p->repo->index_objects[i];
        char name[NAME_SIZE];
        object_name(name, "index/", &o->name);
        if (o->superseded && is_older(p, o->superseded_ns, p->repo->bounds.lag_ns) &&
            prune_delete(p, name, &p->out->indexes_removed, e))
            return -1;
    }
    return 0;
}

/* "receipts/<snapshot>/<sha>" */
static int tidy_receipt(void *ctx, const struct store_object *o, struct err *e)
{
    struct pruning *p = ctx;
    struct sha snapshot;
    size_t prefix = strlen("receipts/");
    if (strlen(o->name) < prefix + SHA_HEX || !sha_parse(&snapshot, o->name + prefix, SHA_HEX - 1) ||
        sha_set_has(&p->snapshot_names, &snapshot) || !is_older(p, o->mtime_ns, p->repo->bounds.grace_ns))
        return 0;
    return prune_delete(p, o->name, &p->out->marks_removed, e);
}

int prune_tidy(struct pruning *p, struct err *e)
{
    return tidy_marks(p, e) || tidy_indexes(p, e) ||
                   store_list(p->repo->store, "receipts/", tidy_receipt, p, NULL, e)
               ? -1
               : 0;
}
