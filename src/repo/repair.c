/* repair: what a check finds wrong with the first store, put back from older versions in the store itself,
 * then from mirrors. Small objects come back under their names; packs that are damaged or that snapshots
 * miss, too; then the snapshots that are wanted. Each mirror in turn gives what the ones before it could not.
 */
#include "repo/copying.h"

#include "base/child.h"

#include <stdio.h>
#include <stdlib.h>

struct repairing {
    struct repo *first;
    struct repo *const *mirrors;
    size_t mirror_count;
    const struct repair_options *o;
    struct repair_report *out;
    struct check_report found;
    struct copy_report copied; /* by the mirror that is at work */
    struct copying c;          /* from that mirror, or within the first */
    struct sha_set wanted;     /* snapshots that are to come back */
};

static bool is_found(const struct repairing *r, const char *object)
{
    for (size_t i = 0; i < r->found.error_count; i++)
        if (strcmp(r->found.errors[i].object, object) == 0)
            return true;
    return false;
}

/* ---- small objects ---- */
static bool is_small(const char *object)
{
    struct sha sha;
    return strncmp(object, "packs/", 6) != 0 && name_sha(object, &sha);
}

static int on_done(void *ctx, struct transfer *t, struct err *e)
{
    struct repairing *r = ctx;
    (void)e;
    if (t->bad)
        return 0;
    r->out->bytes += t->size;
    strings_add(&r->out->healed, t->name);
    return 0;
}

/* Those that it has; the rest is told of at the end. */
static int heal_small(struct repairing *r, struct repo *from, struct err *e)
{
    AUTO(transfers) t = {.from = from, .to = r->first, .done = on_done, .ctx = r};
    for (size_t i = 0; i < r->found.error_count; i++) {
        const char *name = r->found.errors[i].object;
        if (is_small(name) && !strings_has(&r->out->healed, name) && transfers_add(&t, name, 0, true, e))
            return -1;
    }
    return transfers_finish(&t, e);
}

/* An index says nothing that packs do not say themselves: without a copy of it, it may go. What one of a
 * later version says is not known. */
static void drop_indexes(struct repairing *r)
{
    for (size_t i = 0; i < r->found.error_count; i++) {
        const char *name = r->found.errors[i].object;
        struct err why = ERR_INIT;
        if (strncmp(name, "index/", 6) != 0 || strings_has(&r->out->healed, name) ||
            is_of_later(r->first, name))
            continue;
        if (store_delete(r->first->store, name, &why) == STORE_FAILED)
            strings_add_fmt(&r->out->notes, "no mirror has %s, and it could not be removed: %s", name,
                            why.text);
        else
            strings_add_fmt(&r->out->notes,
                            "%s was removed: no mirror has it, and its packs are read themselves", name);
    }
}

/* Readers that were removed on purpose do not come back: so only where there is none left. */
static int heal_keys(struct repairing *r, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    if (list_names(r->first->store, "keys/", &names, e))
        return -1;
    return names.n == 0 ? copy_keys(&r->c, e) : 0;
}

/* ---- packs ---- */
static const struct pack_info *on_mirror(const struct repairing *r, const struct sha *name)
{
    const struct index *x = &r->c.from->index;
    uint32_t pack = index_find_pack(x, name);
    const struct pack_info *p = pack == UINT32_MAX ? NULL : &x->packs[pack];
    return p && (p->state & (PACK_LISTED | PACK_DAMAGED)) == PACK_LISTED ? p : NULL;
}

static bool was_found_bad(const struct repairing *r, const struct pack_info *p)
{
    char name[NAME_SIZE];
    pack_name(name, &p->name);
    return (p->state & PACK_DAMAGED) || (is_found(r, name) && !strings_has(&r->out->healed, name));
}

/* Those that are there with wrong bytes. */
static int heal_packs(struct repairing *r, struct err *e)
{
    struct index *x = &r->first->index;
    uint32_t count = x->pack_count;
    for (uint32_t i = 0; i < count; i++) {
        struct pack_info *p = &x->packs[i];
        const struct pack_info *there = on_mirror(r, &p->name);
        if (!there || (p->state & (PACK_LISTED | PACK_CONDEMNED)) != PACK_LISTED || !was_found_bad(r, p))
            continue;
        p->state |= PACK_DAMAGED;
        if (copy_pack(&r->c, there, e))
            return -1;
    }
    return transfers_finish(&r->c.sending, e);
}

/* ---- chunks that snapshots miss ---- */
struct walk {
    struct repairing *r;
    bool *wanted;        /* by pack of the mirror: it is to come */
    struct bigmap *seen; /* list chunks */
    struct list_reader lists, mirror_lists;
};

/* Whether the mirror can give the pack, and the first store may take it: a name that is condemned there stays
 * away. */
static bool can_come(const struct walk *w, uint32_t pack)
{
    const struct sha *name = &w->r->c.from->index.packs[pack].name;
    return on_mirror(w->r, name) && !sha_set_has(&w->r->first->condemned, name);
}

/* Chooses a pack in which the mirror has the chunk, unless a sound one is there, or is chosen already. */
static void choose_pack(struct walk *w, const struct chunk_id *id)
{
    uint64_t iter = BIGMAP_START;
    struct place at;
    const struct index *x = &w->r->c.from->index;
    bool *chosen = NULL;
    if (index_has_sound(&w->r->first->index, id))
        return;
    while (index_next_place(x, id, &iter, &at)) {
        uint32_t pack = index_frame(x, at.frame)->pack;
        if (!can_come(w, pack))
            continue;
        if (w->wanted[pack])
            return;
        chosen = chosen ? chosen : &w->wanted[pack];
    }
    if (chosen)
        *chosen = true;
}

/* A list is needed to go on: its pack is brought at once. */
static int bring_now(struct walk *w, const struct chunk_id *id, struct err *e)
{
    uint64_t iter = BIGMAP_START;
    struct place at;
    struct copying *c = &w->r->c;
    while (!index_has_sound(&w->r->first->index, id) && index_next_place(&c->from->index, id, &iter, &at)) {
        uint32_t pack = index_frame(&c->from->index, at.frame)->pack;
        if (!can_come(w, pack))
            continue;
        w->wanted[pack] = false;
        if (copy_pack(c, &c->from->index.packs[pack], e) || transfers_finish(&c->sending, e))
            return -1;
    }
    return 0;
}

/* Replaces *out. 1: it cannot be had anywhere. */
static int read_list(struct walk *w, const struct ref *ref, struct buf *out, struct err *e)
{
    struct err why = ERR_INIT, other = ERR_INIT;
    if (list_read(&w->lists, ref, out, &why) == 0)
        return 0;
    if (why.kind != ERR_DAMAGED)
        return *e = why, -1;
    if (bring_now(w, &ref->id, e)) /* its pack is known to be bad now */
        return -1;
    if (list_read(&w->mirror_lists, ref, out, &other) == 0)
        return 0;
    return other.kind == ERR_DAMAGED ? 1 : (*e = other, -1);
}

static int walk_refs(struct walk *w, struct bytes refs, unsigned depth, struct err *e)
{
    for (size_t i = 0; i < refs.n / TABLE_CHUNK_SIZE; i++) {
        struct ref ref = chunk_at(refs, i);
        const struct chunk_id key = list_key(&ref, depth);
        uint64_t iter = BIGMAP_START, ignored;
        AUTO(buf) list = BUF_NONE;
        if (depth == 0) {
            choose_pack(w, &ref.id);
            continue;
        }
        if (bring_now(w, &ref.id, e))
            return -1;
        if (bigmap_next(w->seen, key.b, &iter, &ignored))
            continue;
        int rc = stop_check(e) ? -1 : read_list(w, &ref, &list, e);
        if (rc < 0 || bigmap_add(w->seen, key.b, 1, e) ||
            (rc == 0 && walk_refs(w, buf_bytes(&list), depth - 1, e)))
            return -1;
    }
    return 0;
}

static int look_for_missing(struct walk *w, const struct snapshots *all, struct err *e)
{
    for (size_t i = 0; i < all->n; i++)
        for (size_t s = 0; s < all->v[i].source_count && !all->v[i].broken; s++)
            for (size_t k = 0; k < all->v[i].sources[s].stream_count; k++) {
                const struct stream_info *info = &all->v[i].sources[s].streams[k];
                AUTO(buf) roots = BUF_NONE;
                for (uint32_t n = 0; n < info->root_count; n++)
                    add_chunk(&roots, &info->roots[n]);
                if (walk_refs(w, buf_bytes(&roots), info->depth, e))
                    return -1;
            }
    return 0;
}

/* Fills `wanted`. */
static int walk_all(struct repairing *r, const struct snapshots *own, const struct snapshots *back,
                    bool *wanted, struct err *e)
{
    struct walk w = {.r = r,
                     .wanted = wanted,
                     .seen = bigmap_new(r->first->spool_dir, 0, e),
                     .lists.repo = r->first,
                     .mirror_lists.repo = r->c.from};
    int rc = !w.seen || look_for_missing(&w, own, e) || look_for_missing(&w, back, e) ? -1 : 0;
    bigmap_free(w.seen);
    list_reader_free(&w.lists);
    list_reader_free(&w.mirror_lists);
    return rc;
}

static int bring(struct repairing *r, const bool *wanted, struct err *e)
{
    const struct index *x = &r->c.from->index;
    for (uint32_t i = 0; i < x->pack_count; i++)
        if (wanted[i] && copy_pack(&r->c, &x->packs[i], e))
            return -1;
    return transfers_finish(&r->c.sending, e);
}

/* Several at a time. When the mirror does not give one of them, another place of its chunks is looked for. */
static int heal_chunks(struct repairing *r, const struct snapshots *own, const struct snapshots *back,
                       struct err *e)
{
    uint64_t bad;
    do {
        bool *wanted = xcalloc(r->c.from->index.pack_count, sizeof *wanted);
        bad = r->c.bad_packs;
        int rc = walk_all(r, own, back, wanted, e) || bring(r, wanted, e);
        free(wanted);
        if (rc)
            return -1;
    } while (r->c.bad_packs > bad);
    return 0;
}

/* ---- snapshots ---- */
static bool is_among(const struct snapshots *all, const struct sha *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].id, id))
            return true;
    return false;
}

/* Leaves those of the mirror's that are to come back. */
static void choose(struct repairing *r, const struct snapshots *own, struct snapshots *mirror)
{
    size_t kept = 0;
    for (size_t i = 0; i < mirror->n; i++) {
        struct snapshot *s = &mirror->v[i];
        bool wanted = !s->forgotten_ns && !s->broken && !is_among(own, &s->id) && r->o->wanted &&
                      r->o->wanted(r->o->wanted_ctx, s);
        if (wanted) {
            sha_set_add(&r->wanted, &s->id);
            mirror->v[kept++] = *s;
        } else {
            snapshot_free(s);
        }
    }
    mirror->n = kept;
}

/* ---- the store itself ---- */
static bool any_pack(const struct repairing *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->first->index.pack_count; i++)
        any |= was_found_bad(r, &r->first->index.packs[i]);
    return any;
}

/* Those of which an older version has the right bytes, or that lie below a delete marker. A name that is
 * condemned stays away: its marker is a prune's. */
static int heal_own_packs(struct repairing *r, struct err *e)
{
    struct index *x = &r->first->index;
    uint32_t count = x->pack_count;
    if (repo_load(r->first, e))
        return -1;
    for (uint32_t i = 0; i < count; i++)
        if (!sha_set_has(&r->first->condemned, &x->packs[i].name) && was_found_bad(r, &x->packs[i]) &&
            copy_pack(&r->c, &x->packs[i], e))
            return -1;
    if (transfers_finish(&r->c.sending, e))
        return -1;
    strings_free(&r->copied.notes); /* what is not to be had here, a mirror may have */
    return marks_heal(&r->c, e);
}

/* They are put again, as a copy would: when all that they need is listed. */
static int heal_hidden(struct repairing *r, struct err *e)
{
    AUTO(snapshots) back = {.v = xcalloc(r->o->hidden_count, sizeof *back.v)};
    for (size_t i = 0; i < r->o->hidden_count; i++) {
        struct err why = ERR_INIT;
        if (snapshot_load(r->first, &r->o->hidden[i], &back.v[back.n], &why) == 0)
            back.n++;
        else if (why.kind != ERR_DAMAGED)
            return *e = why, -1;
    }
    return back.n && (list_there(&r->c, e) || copy_snapshots(&r->c, &back, e)) ? -1 : 0;
}

static int heal_own(struct repairing *r, struct err *e)
{
    r->c = (struct copying){.from = r->first, .to = r->first, .out = &r->copied, .names = &r->out->healed};
    copying_begin(&r->c);
    return heal_small(r, r->first, e) || (any_pack(r) && heal_own_packs(r, e)) || heal_hidden(r, e) ? -1 : 0;
}

/* ---- one mirror ---- */
static void take_report(struct repairing *r)
{
    struct copy_report *c = &r->copied;
    r->out->bytes += c->bytes;
    for (size_t i = 0; i < c->notes.n; i++)
        if (!strings_has(&r->out->notes, c->notes.v[i]))
            strings_add(&r->out->notes, c->notes.v[i]);
    copy_report_free(c);
}

/* Where nothing may be deleted, the mark of a pack that has been healed stays. */
static void trust_healed(struct repairing *r)
{
    const struct strings *healed = &r->out->healed;
    for (size_t i = 0; i < healed->n; i++) {
        struct sha sha;
        bool is_pack = strncmp(healed->v[i], "packs/", 6) == 0 && name_sha(healed->v[i], &sha);
        uint32_t pack = is_pack ? index_find_pack(&r->first->index, &sha) : UINT32_MAX;
        if (pack != UINT32_MAX)
            r->first->index.packs[pack].state &= ~(unsigned)PACK_DAMAGED;
    }
}

static int heal_from(struct repairing *r, struct repo *mirror, struct err *e)
{
    AUTO(snapshots) own = {0}, wanted = {0};
    struct copying *c = &r->c;
    if (heal_small(r, mirror, e))
        return -1;
    *c = (struct copying){.from = mirror,
                          .to = r->first,
                          .out = &r->copied,
                          .names = &r->out->healed,
                          .progress = r->o->progress,
                          .progress_ctx = r->o->progress_ctx};
    copying_begin(c);
    /* Snapshots first: what a backup puts meanwhile is not missing. */
    if (snapshots_load(r->first, &own, e) || repo_load(r->first, e) || snapshots_load(mirror, &wanted, e) ||
        repo_load(mirror, e))
        return -1;
    trust_healed(r);
    choose(r, &own, &wanted);
    return heal_keys(r, e) || heal_packs(r, e) || heal_chunks(r, &own, &wanted, e) || marks_heal(c, e) ||
                   copy_indexes(c, e) || list_there(c, e) || copy_snapshots(c, &wanted, e) ||
                   copy_receipts(c, e) || copy_marks(c, e)
               ? -1
               : 0;
}

/* ---- the whole ---- */
static int heal_root(struct repairing *r, struct err *e)
{
    if (!is_found(r, "lifeboat"))
        return 0;
    strings_add(&r->out->healed, "lifeboat");
    return repo_renew_root(r->first->store, r->first->keys, e);
}

/* What is still wrong, by the same eyes. */
static int look_again(struct repairing *r, struct err *e)
{
    AUTO(check_report) now = {0};
    const struct check_options o = {0};
    if (repo_check(r->first, &o, &now, e))
        return -1;
    for (size_t i = 0; i < now.error_count; i++)
        strings_add_fmt(&r->out->lost, "%s: %s", now.errors[i].object, now.errors[i].what);
    return 0;
}

/* Snapshots that no mirror could bring. */
static int look_for_wanted(struct repairing *r, struct err *e)
{
    AUTO(sha_set) told = {0};
    for (size_t i = 0; i < r->wanted.n; i++) {
        char name[NAME_SIZE];
        uint64_t size;
        object_name(name, "snapshots/", &r->wanted.v[i]);
        int rc = store_size(r->first->store, name, &size, e);
        if (rc == STORE_FAILED)
            return -1;
        if (rc == STORE_DONE || sha_set_has(&told, &r->wanted.v[i]))
            continue;
        sha_set_add(&told, &r->wanted.v[i]);
        sha_set_sort(&told);
        strings_add_fmt(
            &r->out->lost,
            "%s: packs that it needs were condemned by a prune here, or no mirror has them; it can be "
            "restored from the mirror, and repaired once that prune's marks are gone (a day or two)",
            name);
    }
    return 0;
}

/* Snapshots that stay hidden: no mirror had them either. */
static void look_for_hidden(struct repairing *r)
{
    for (size_t i = 0; i < r->o->hidden_count; i++) {
        char name[NAME_SIZE];
        object_name(name, "snapshots/", &r->o->hidden[i]);
        if (!strings_has(&r->out->healed, name))
            strings_add_fmt(
                &r->out->lost,
                "%s: is hidden by a delete marker, and not all that it needs is listed: packs and "
                "indexes are hidden, too, and their markers have to be removed",
                name);
    }
}

static int repair(struct repairing *r, struct err *e)
{
    const struct check_options o = {
        .read_percent = r->o->read_percent, .progress = r->o->progress, .progress_ctx = r->o->progress_ctx};
    if (repo_check(r->first, &o, &r->found, e) || heal_root(r, e))
        return -1;
    for (size_t i = 0; i <= r->mirror_count; i++) {
        int rc = i ? heal_from(r, r->mirrors[i - 1], e) : heal_own(r, e);
        copying_free(&r->c);
        take_report(r);
        if (rc)
            return -1;
    }
    drop_indexes(r);
    look_for_hidden(r);
    return look_again(r, e) || look_for_wanted(r, e) ? -1 : 0;
}

int repo_repair(struct repo *first, struct repo *const *mirrors, size_t n, const struct repair_options *o,
                struct repair_report *out, struct err *e)
{
    *out = (struct repair_report){0};
    struct repairing r = {.first = first, .mirrors = mirrors, .mirror_count = n, .o = o, .out = out};
    int rc = repair(&r, e);
    check_report_free(&r.found);
    sha_set_free(&r.wanted);
    return rc;
}

void repair_report_free(struct repair_report *r)
{
    strings_free(&r->healed);
    strings_free(&r->lost);
    strings_free(&r->notes);
    *r = (struct repair_report){0};
}
