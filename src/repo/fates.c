/* P5, decided: which packs stay and which go. Moving what is needed out of a pack costs as much as it writes
 * and brings what is left of the pack; the packs with the least in them go first, and only as long as the run
 * as a whole moves no more than it frees. */
#include "repo/prune.h"

#include <stdlib.h>

#define GARBAGE_LEFT 25 /* one part in so many, of all or of a pack, is not worth moving the rest for */
#define SMALL_PACK   (PACK_TARGET / 4) /* with less in them, packs are merged, */
#define SMALL_MANY   10 /* when there are so many: a byte is merged once for each power of ten */

struct candidate {
    uint32_t pack;
    uint64_t kept, garbage; /* what moving it writes and frees; together its size, padding considered */
};
struct deciding {
    struct pruning *p;
    struct candidate *v;
    size_t n;
    uint64_t moved, freed;           /* by what was decided so far */
    uint64_t garbage, garbage_first; /* in candidates and dead packs: now, and before */
};

static struct pack_info *info_of(const struct pruning *p, uint32_t pack)
{
    return &p->repo->index.packs[pack];
}

static void count(struct prune_count *c, const struct pruning *p, uint32_t pack)
{
    c->packs++;
    c->bytes += info_of(p, pack)->size;
}

/* The size of a new pack with nothing but this in it. */
static uint64_t packed_size(uint64_t kept)
{
    return (kept + PACK_OVERHEAD + PACK_PADDING - 1) / PACK_PADDING * PACK_PADDING;
}

/* Nothing needs it: but its writer may be about to commit. A snapshot that is forgotten lives longer than
 * that. */
static enum fate fate_of_unneeded(const struct pruning *p, uint32_t pack)
{
    int64_t young = p->o->exclusive ? 0 : MAX(p->grace_ns, p->repo->bounds.undo_window_ns);
    return p->now_ns - info_of(p, pack)->mtime_ns < young ? FATE_YOUNG : FATE_DEAD;
}

static enum fate first_fate(const struct pruning *p, uint32_t pack)
{
    unsigned state = info_of(p, pack)->state;
    bool needed = p->packs[pack].live > 0;
    if (!(state & PACK_LISTED))
        return FATE_GONE;
    if (state & PACK_CONDEMNED)
        return needed ? FATE_RESCUE : FATE_WAITING;
    return needed ? FATE_KEEP : fate_of_unneeded(p, pack);
}

static void add_candidate(struct deciding *d, uint32_t pack)
{
    uint64_t size = info_of(d->p, pack)->size, kept = d->p->packs[pack].kept;
    uint64_t left = packed_size(kept);
    d->v[d->n++] = (struct candidate){.pack = pack, .kept = kept, .garbage = size > left ? size - left : 0};
    d->garbage += d->v[d->n - 1].garbage;
}

static void decide_first(struct deciding *d)
{
    struct pruning *p = d->p;
    for (uint32_t i = 0; i < p->pack_count; i++) {
        enum fate fate = p->packs[i].fate = first_fate(p, i);
        if (fate == FATE_DEAD) {
            d->freed += info_of(p, i)->size;
            d->garbage += info_of(p, i)->size;
        }
        if (fate == FATE_RESCUE)
            d->moved += p->packs[i].kept;
        if (fate == FATE_KEEP && !(info_of(p, i)->state & PACK_DAMAGED))
            add_candidate(d, i);
    }
    d->garbage_first = d->garbage;
    d->garbage -= d->freed;
}

/* Those with the largest share of garbage first. */
static int by_share(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    double m = (double)x->garbage / (double)(x->garbage + x->kept + 1);
    double n = (double)y->garbage / (double)(y->garbage + y->kept + 1);
    if (m > n || m < n)
        return m > n ? -1 : 1;
    return x->pack < y->pack ? -1 : x->pack > y->pack;
}

static void take(struct deciding *d, const struct candidate *c)
{
    d->p->packs[c->pack].fate = FATE_THIN;
    d->moved += c->kept;
    d->freed += c->garbage;
    d->garbage -= c->garbage;
}

static void decide_thin(struct deciding *d)
{
    for (size_t i = 0; i < d->n && d->v[i].garbage; i++) {
        const struct candidate *c = &d->v[i];
        if (d->garbage <= d->garbage_first / GARBAGE_LEFT ||
            c->garbage < (c->garbage + c->kept) / GARBAGE_LEFT)
            return;
        if (!d->p->o->thorough && d->moved + c->kept > d->freed + c->garbage)
            return;
        take(d, c);
    }
}

static bool is_small(const struct deciding *d, size_t i)
{
    return d->v[i].kept < SMALL_PACK && d->p->packs[d->v[i].pack].fate == FATE_KEEP;
}

/* What is left of the allowance goes into fewer, fuller packs. */
static void decide_small(struct deciding *d)
{
    uint64_t moved = d->moved;
    size_t fit = 0, end = 0;
    for (; end < d->n; end++) {
        if (!is_small(d, end))
            continue;
        if (!d->p->o->thorough && moved + d->v[end].kept > d->freed)
            break;
        moved += d->v[end].kept;
        fit++;
    }
    for (size_t i = 0; fit >= SMALL_MANY && i < end; i++)
        if (is_small(d, i))
            take(d, &d->v[i]);
}

static void report(const struct deciding *d)
{
    struct pruning *p = d->p;
    struct prune_report *out = p->out;
    out->young = out->waiting = (struct prune_count){0};
    for (uint32_t i = 0; i < p->pack_count; i++) {
        switch (p->packs[i].fate) {
        case FATE_GONE:
        case FATE_KEEP:
            break;
        case FATE_YOUNG:
            count(&out->young, p, i);
            break;
        case FATE_DEAD:
            count(&out->dead, p, i);
            break;
        case FATE_THIN:
            count(&out->thin, p, i);
            break;
        case FATE_WAITING:
            break;
        case FATE_RESCUE:
            count(&out->rescued, p, i);
            break;
        }
        if (p->packs[i].fate >= FATE_DEAD && !prune_is_due(p, i))
            count(&out->waiting, p, i);
    }
    out->garbage_left = d->garbage;
    if (p->o->dry_run)
        out->moved =
            (struct prune_count){.packs = (d->moved + PACK_TARGET - 1) / PACK_TARGET, .bytes = d->moved};
}

void prune_decide_fates(struct pruning *p)
{
    struct deciding d = {.p = p, .v = xcalloc(p->pack_count, sizeof *d.v)};
    decide_first(&d);
    qsort(d.v, d.n, sizeof *d.v, by_share);
    if (!p->sweeping) {
        decide_thin(&d);
        decide_small(&d);
    }
    report(&d);
    free(d.v);
}
