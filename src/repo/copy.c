/* copy: in the order of docs/format.md, section 12, which makes it a backup like any other for the garbage
 * collection of `to`: its marks are read before its packs, packs come before indexes, snapshots last, and
 * only on a view that is young. */
#include "repo/copying.h"

#include "base/child.h"
#include "base/log.h"

#include <stdlib.h>

/* ---- what became of an object ---- */
static void add_to_index(struct copying *c, struct transfer *t)
{
    struct index *x = &c->to->index;
    struct err why = ERR_INIT;
    size_t used;
    uint32_t pack = index_find_pack(x, &t->sha);
    if (pack == UINT32_MAX)
        pack = index_add_pack(x, &t->sha, t->size, 0, &why);
    if (pack == UINT32_MAX) {
        log_debug("%s", why.text);
        return;
    }
    struct pack_info *p = &x->packs[pack];
    if (p->state & PACK_DAMAGED)
        sha_set_add(&c->healed, &t->sha);
    p->size = t->size;
    p->state = (p->state & ~(unsigned)PACK_DAMAGED) | PACK_LISTED;
    if ((p->state & PACK_INDEXED) || t->table.n == 0)
        return;
    if (index_add_table(x, pack, buf_bytes(&t->table), &used, &why) == 0)
        p->state |= PACK_ORPHAN; /* no index on `to` names it yet */
    else
        log_debug("%s: %s", t->name, why.text);
}

static void leave_out_bad(struct copying *c, const struct transfer *t)
{
    struct index *x = &c->from->index;
    uint32_t pack = t->is_pack ? index_find_pack(x, &t->sha) : UINT32_MAX;
    if (pack == UINT32_MAX)
        return;
    x->packs[pack].state |= PACK_DAMAGED;
    c->bad_packs++;
}

static int on_done(void *ctx, struct transfer *t, struct err *e)
{
    struct copying *c = ctx;
    (void)e;
    if (t->is_pack) {
        c->done_bytes += t->size;
        if (c->progress)
            c->progress(c->progress_ctx, c->done_bytes, c->total_bytes);
    }
    if (t->bad) {
        strings_add(&c->out->notes, t->error.text);
        leave_out_bad(c, t);
        c->out->left_out += !t->is_pack;
        return 0;
    }
    c->out->bytes += t->size;
    if (c->names)
        strings_add(c->names, t->name);
    if (t->is_pack) {
        c->out->packs++;
        add_to_index(c, t);
    } else if (strncmp(t->name, "snapshots/", 10) == 0) {
        c->out->snapshots++;
        sha_set_add(&c->arrived, &t->sha);
    } else {
        c->out->others++;
    }
    return 0;
}

void copying_begin(struct copying *c)
{
    c->sending = (struct transfers){.from = c->from, .to = c->to, .done = on_done, .ctx = c};
    c->lists = (struct list_reader){.repo = c->from};
}

void copying_free(struct copying *c)
{
    transfers_free(&c->sending);
    sha_set_free(&c->healed);
    sha_set_free(&c->there);
    sha_set_free(&c->arrived);
    list_reader_free(&c->lists);
    bigmap_free(c->walked);
}

/* ---- packs ---- */
/* A healed pack is damaged no more. */
int marks_heal(struct copying *c, struct err *e)
{
    AUTO(marks) all = {0};
    if (c->healed.n == 0)
        return 0;
    sha_set_sort(&c->healed);
    if (marks_load(c->to, MARK_BIT(MARK_DAMAGED), &all, e))
        return -1;
    marks_withdraw(c->to, &all, &c->healed, &c->out->notes);
    return 0;
}

static bool is_on(const struct pack_info *p, const struct repo *to)
{
    uint32_t n = index_find_pack(&to->index, &p->name);
    const struct pack_info *there = n == UINT32_MAX ? NULL : &to->index.packs[n];
    return there && there->size == p->size && (there->state & (PACK_LISTED | PACK_DAMAGED)) == PACK_LISTED;
}

static bool is_candidate(const struct copying *c, const struct pack_info *p)
{
    return (p->state & (PACK_LISTED | PACK_CONDEMNED)) == PACK_LISTED && !is_on(p, c->to) &&
           !sha_set_has(&c->to->condemned, &p->name);
}

/* A prune of `to` may have moved what a pack held into another one: such a pack is not brought again. */
static void drop_redundant(const struct copying *c, bool *wanted)
{
    const struct index *x = &c->from->index;
    uint64_t slot = 0, value;
    const uint8_t *key;
    bool *needed = xcalloc(x->pack_count, sizeof *needed);
    while (bigmap_each(x->chunks, &slot, &key, &value)) {
        uint32_t pack = index_frame(x, (uint32_t)(value >> 32))->pack;
        struct chunk_id id = {{0}};
        memcpy(id.b, key, BIGMAP_KEY);
        if (wanted[pack] && !needed[pack])
            needed[pack] = !index_has_usable(&c->to->index, &id);
    }
    for (uint32_t i = 0; i < x->pack_count; i++)
        wanted[i] &= needed[i] || !(x->packs[i].state & PACK_INDEXED);
    free(needed);
}

int copy_pack(struct copying *c, const struct pack_info *p, struct err *e)
{
    char name[NAME_SIZE];
    uint32_t there = index_find_pack(&c->to->index, &p->name);
    pack_name(name, &p->name);
    bool replace = there != UINT32_MAX && (c->to->index.packs[there].state & PACK_LISTED);
    return transfers_add(&c->sending, name, p->size, replace, e);
}

static int copy_packs(struct copying *c, struct err *e)
{
    const struct index *x = &c->from->index;
    bool *wanted = xcalloc(x->pack_count, sizeof *wanted);
    bool any = false;
    int rc = 0;
    for (uint32_t i = 0; i < x->pack_count; i++)
        any |= wanted[i] = is_candidate(c, &x->packs[i]);
    if (any)
        drop_redundant(c, wanted);
    for (uint32_t i = 0; i < x->pack_count; i++)
        c->total_bytes += wanted[i] ? x->packs[i].size : 0;
    for (uint32_t i = 0; i < x->pack_count && rc == 0; i++)
        rc = wanted[i] ? copy_pack(c, &x->packs[i], e) : 0;
    free(wanted);
    return rc || transfers_finish(&c->sending, e) || marks_heal(c, e) ? -1 : 0;
}

/* ---- indexes ---- */
static bool wants_index(const struct copying *c, const struct pack_info *p)
{
    uint32_t n = index_find_pack(&c->to->index, &p->name);
    if (p->index_object == INDEX_OBJECT_NONE || n == UINT32_MAX)
        return false;
    unsigned state = c->to->index.packs[n].state;
    return (state & PACK_LISTED) && ((state & PACK_ORPHAN) || !(state & PACK_INDEXED));
}

int copy_indexes(struct copying *c, struct err *e)
{
    const struct repo *from = c->from;
    bool *wanted = xcalloc(from->index_object_count, sizeof *wanted);
    int rc = 0;
    for (uint32_t i = 0; i < from->index.pack_count; i++)
        if (wants_index(c, &from->index.packs[i]))
            wanted[from->index.packs[i].index_object] = true;
    for (size_t i = 0; i < from->index_object_count && rc == 0; i++) {
        char name[NAME_SIZE];
        object_name(name, "index/", &from->index_objects[i].name);
        rc =
            wanted[i] ? transfers_add(&c->sending, name, 0, true, e) : 0; /* one that is there did not open */
    }
    free(wanted);
    return rc || transfers_finish(&c->sending, e) ? -1 : 0;
}

/* ---- small objects that `to` lacks ---- */
static bool has_name(const struct strings *sorted, const char *name)
{
    size_t low = 0, high = sorted->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(sorted->v[mid], name);
        if (order == 0)
            return true;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* `is` NULL: all of them. Both lists are sorted. */
static int send_missing(struct copying *c, const struct strings *have, const struct strings *there,
                        bool (*is)(const struct copying *c, const char *name), struct err *e)
{
    for (size_t i = 0; i < have->n; i++)
        if (!has_name(there, have->v[i]) && (!is || is(c, have->v[i])) &&
            transfers_add(&c->sending, have->v[i], 0, true, e))
            return -1;
    return transfers_finish(&c->sending, e);
}

/* One that was removed while `to` could not be reached: nothing is deleted here, so somebody has to know. */
static void note_other_readers(struct copying *c, const struct strings *have, const struct strings *there)
{
    for (size_t i = 0; i < there->n; i++)
        if (!has_name(have, there->v[i]))
            strings_add_fmt(
                &c->out->notes,
                "%s: can be read by %s, which the first store does not have: if that reader was "
                "removed, `lifeboat key remove %.8s`; if the first store lost it, `lifeboat repair`",
                store_title(c->to->store), there->v[i], there->v[i] + strlen("keys/"));
}

int copy_keys(struct copying *c, struct err *e)
{
    AUTO(strings) have = STRINGS_NONE, there = STRINGS_NONE, sound = STRINGS_NONE;
    if (list_names(c->from->store, "keys/", &have, e) || list_names(c->to->store, "keys/", &there, e) ||
        list_sound(c->to->store, &there, &sound, e))
        return -1;
    note_other_readers(c, &have, &there);
    return send_missing(c, &have, &sound, NULL, e);
}

/* "receipts/<snapshot>/<sha>" */
static bool is_of_snapshot(const struct copying *c, const char *name)
{
    struct sha snapshot;
    size_t prefix = strlen("receipts/");
    return strlen(name) >= prefix + SHA_HEX && sha_parse(&snapshot, name + prefix, SHA_HEX - 1) &&
           sha_set_has(&c->there, &snapshot);
}

int copy_receipts(struct copying *c, struct err *e)
{
    AUTO(strings) have = STRINGS_NONE, there = STRINGS_NONE;
    if (list_names(c->from->store, "receipts/", &have, e) || list_names(c->to->store, "receipts/", &there, e))
        return -1;
    return send_missing(c, &have, &there, is_of_snapshot, e);
}

/* ---- marks of snapshots ---- */
static const struct mark *find_mark(const struct marks *all, const struct sha *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].name, name))
            return &all->v[i];
    return NULL;
}

static bool concerns_there(const struct copying *c, const struct marks *all, const struct mark *m)
{
    if (m->kind != MARK_UNPIN)
        return sha_set_has(&c->there, &m->snapshot);
    const struct mark *pin = find_mark(all, &m->names.v[0]);
    return pin && sha_set_has(&c->there, &pin->snapshot);
}

/* "marks/..: why": those that `to` has need not be read here. */
static void leave_out_unreadable(struct copying *c, const struct strings *unreadable,
                                 const struct strings *there)
{
    for (size_t i = 0; i < unreadable->n; i++) {
        const char *colon = strstr(unreadable->v[i], ": ");
        AUTO_CHAR name = xstrndup(unreadable->v[i], colon ? (size_t)(colon - unreadable->v[i]) : 0);
        if (has_name(there, name))
            continue;
        strings_add_fmt(&c->out->notes, "%s: %s", store_title(c->from->store), unreadable->v[i]);
        c->out->left_out++;
    }
}

/* What protects a snapshot comes before what lets it go. */
int copy_marks(struct copying *c, struct err *e)
{
    static const enum mark_kind order[] = {MARK_PIN, MARK_UNDO, MARK_UNPIN, MARK_FORGET};
    AUTO(marks) all = {0};
    AUTO(strings) there = STRINGS_NONE;
    if (marks_load(c->from, MARKS_OF_SNAPSHOTS, &all, e) || list_names(c->to->store, "marks/", &there, e))
        return -1;
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < all.n; i++) {
            char name[NAME_SIZE];
            mark_name(name, all.v[i].kind, &all.v[i].name);
            if (all.v[i].kind == order[k] && !has_name(&there, name) && concerns_there(c, &all, &all.v[i]) &&
                transfers_add(&c->sending, name, 0, false, e))
                return -1;
        }
    leave_out_unreadable(c, &all.unreadable, &there);
    return transfers_finish(&c->sending, e);
}

/* ---- the whole ---- */
static void leave_out_unwanted(struct snapshots *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].forgotten_ns || all->v[i].broken)
            snapshot_free(&all->v[i]);
        else
            all->v[kept++] = all->v[i];
    }
    all->n = kept;
}

int repo_copy(struct repo *from, struct repo *to, const struct copy_options *o, struct copy_report *out,
              struct err *e)
{
    *out = (struct copy_report){0};
    AUTO(snapshots) all = {0};
    AUTO(strings) there = STRINGS_NONE;
    AUTO(copying)
    c = {.from = from, .to = to, .out = out, .progress = o->progress, .progress_ctx = o->progress_ctx};
    copying_begin(&c);
    if (repo_load(to, e) || snapshots_load(from, &all, e) || repo_load(from, e) ||
        list_names(to->store, "snapshots/", &there, e))
        return -1;
    leave_out_unreadable(&c, &all.unreadable, &there);
    leave_out_unwanted(&all);
    return copy_packs(&c, e) || copy_indexes(&c, e) || copy_keys(&c, e) || list_there(&c, e) ||
                   copy_snapshots(&c, &all, e) || copy_receipts(&c, e) || copy_marks(&c, e)
               ? -1
               : 0;
}

void copy_report_free(struct copy_report *r)
{
    strings_free(&r->notes);
    *r = (struct copy_report){0};
}
