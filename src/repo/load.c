/* The view of a repository: marks, packs, indexes, read in this order (docs/format.md, section 11). */
#include "repo/internal.h"

#include "base/log.h"

#include <stdlib.h>

#define LISTINGS    5            /* of the indexes, when some go while they are read */
#define BLOCK_MOST  ((size_t)64) /* indexes that are asked for at a time, */
#define BLOCK_BYTES (8u << 20)   /* and what they may take in memory */

/* ---- marks ---- */
void view_marks(struct repo *r, const struct marks *m)
{
    sha_set_free(&r->condemned);
    sha_set_free(&r->damaged);
    for (size_t i = 0; i < m->n; i++) {
        const struct mark *k = &m->v[i];
        for (size_t n = 0; n < k->names.n; n++)
            if (k->kind == MARK_DAMAGED)
                sha_set_add(&r->damaged, &k->names.v[n]);
            else if (k->kind == MARK_CONDEMN || k->kind == MARK_SWEPT)
                sha_set_add(&r->condemned, &k->names.v[n]);
        r->newest_ns = MAX(r->newest_ns, k->mtime_ns);
    }
    sha_set_sort(&r->condemned);
    sha_set_sort(&r->damaged);
    r->view_ns = m->now_ns;
}

/* One that does not open is reported and counts for nothing. */
static int load_marks(struct repo *r, struct err *e)
{
    AUTO(marks) m = {0};
    r->view_boot_ns = repo_clock();
    if (marks_load(r, MARKS_OF_PACKS, &m, e))
        return -1;
    for (size_t i = 0; i < m.unreadable.n; i++)
        if (!strings_has(&r->bad_objects, m.unreadable.v[i]))
            strings_add(&r->bad_objects, m.unreadable.v[i]);
    view_marks(r, &m);
    return 0;
}

/* ---- packs ---- */
static int add_listed_pack(void *ctx, const struct store_object *o, struct err *e)
{
    struct repo *r = ctx;
    struct sha sha;
    char name[NAME_SIZE];
    if (!name_sha(o->name, &sha))
        return 0;
    pack_name(name, &sha);
    if (strcmp(name, o->name) != 0)
        return 0;
    uint32_t pack = index_find_pack(&r->index, &sha);
    bool is_new = pack == UINT32_MAX;
    if (is_new)
        pack = index_add_pack(&r->index, &sha, o->size, 0, e);
    if (pack == UINT32_MAX)
        return -1;
    struct pack_info *p = &r->index.packs[pack];
    p->state |= PACK_LISTED;
    p->mtime_ns = o->mtime_ns;
    r->newest_ns = MAX(r->newest_ns, o->mtime_ns);
    if (sha_set_has(&r->condemned, &sha))
        p->state |= PACK_CONDEMNED;
    if (sha_set_has(&r->damaged, &sha)) {
        p->marked = true;
        p->state |= PACK_DAMAGED;
    }
    if (p->size != o->size || sha_set_has(&r->distrusted, &sha))
        p->state |= PACK_DAMAGED;
    return 0;
}

int view_packs(struct repo *r, struct err *e)
{
    for (uint32_t i = 0; i < r->index.pack_count; i++)
        r->index.packs[i].state &= ~(unsigned)PACK_LISTED;
    return list_own(r, "packs/", add_listed_pack, r, NULL, e) < 0 ? -1 : 0;
}

/* ---- indexes ---- */
static struct index_object *find_index(struct repo *r, const struct sha *name)
{
    for (size_t i = 0; i < r->index_object_count; i++)
        if (sha_equal(&r->index_objects[i].name, name))
            return &r->index_objects[i];
    return NULL;
}

struct index_loading {
    struct repo *r;
    struct index_object *object;
};

/* Adds the table of a pack; each pack is taken once. */
static int load_pack(void *ctx, const struct sha *name, uint64_t size, struct bytes table, struct err *e)
{
    struct index_loading *l = ctx;
    struct index *x = &l->r->index;
    uint32_t pack = index_find_pack(x, name);
    l->object->bytes += (uint32_t)table.n;
    if (pack == UINT32_MAX) /* missing: remembered without PACK_LISTED, so that it can be named */
        pack = index_add_pack(x, name, size, 0, e);
    if (pack == UINT32_MAX)
        return -1;
    struct pack_info *p = &x->packs[pack];
    if (p->index_object != INDEX_OBJECT_NONE && !l->r->index_objects[p->index_object].superseded)
        return 0;
    p->index_object = (uint32_t)(l->object - l->r->index_objects);
    p->state &= ~(unsigned)PACK_ORPHAN;
    if (p->state & PACK_INDEXED) /* it was read from its tail, and has got an index since */
        return 0;
    const struct pack_info before = *p;
    size_t used;
    if (p->size != size)
        p->state |= PACK_DAMAGED;
    p->size = size;
    if (index_add_table(x, pack, table, &used, e) == 0)
        return 0;
    *p = before; /* another index, or the pack itself, says more */
    p->index_object = INDEX_OBJECT_NONE;
    p->first_own = (uint32_t)x->frames.n;
    return -1;
}

/* Appends the names to *out, which may be NULL. */
static void read_superseded(struct cursor *c, struct sha_set *out)
{
    uint32_t count = cursor_u32(c);
    for (uint32_t i = 0; i < count && !c->bad; i++) {
        struct bytes b = cursor_take(c, SHA_SIZE);
        struct sha sha;
        if (c->bad || !out)
            continue;
        memcpy(sha.b, b.p, SHA_SIZE);
        sha_set_add(out, &sha);
    }
}

int index_visit(struct bytes plain, index_each *each, void *ctx, struct err *e)
{
    struct cursor c = cursor_of(plain);
    read_superseded(&c, NULL);
    uint32_t packs = cursor_u32(&c);
    for (uint32_t i = 0; i < packs && !c.bad; i++) {
        struct bytes sha = cursor_take(&c, SHA_SIZE);
        uint64_t size = cursor_u64(&c);
        uint32_t length = cursor_u32(&c);
        struct bytes table = cursor_take(&c, length);
        if (c.bad)
            break;
        struct sha name;
        memcpy(name.b, sha.p, SHA_SIZE);
        if (each(ctx, &name, size, table, e))
            return -1;
    }
    return cursor_is_done(&c) ? 0 : err_set(e, ERR_DAMAGED, "an index with wrong lengths");
}

/* Those that an index supersedes say nothing new: they are not read, and may be deleted. */
static void supersede(struct repo *r, struct bytes plain, int64_t mtime_ns)
{
    AUTO(sha_set) names = {0};
    struct cursor c = cursor_of(plain);
    read_superseded(&c, &names);
    for (size_t i = 0; i < names.n; i++) {
        struct index_object *o = find_index(r, &names.v[i]);
        if (!o)
            continue;
        o->superseded_ns = o->superseded ? MIN(o->superseded_ns, mtime_ns) : mtime_ns;
        o->superseded = true;
    }
}

/* An index object that was asked for. */
struct fetched_index {
    size_t number;
    struct buf plain;
    int rc; /* of object_get() */
    struct err why;
};

/* 1: it has gone since it was listed. */
static int take_index(struct repo *r, struct fetched_index *x, struct err *e)
{
    struct index_loading l = {.r = r, .object = &r->index_objects[x->number]};
    struct err *bad = &x->why;
    char name[NAME_SIZE];
    if (x->rc == STORE_ABSENT)
        return 1;
    object_name(name, "index/", &l.object->name);
    if (x->rc == STORE_DONE) /* first, so that its packs become its own */
        supersede(r, buf_bytes(&x->plain), l.object->mtime_ns);
    if (x->rc == STORE_DONE && index_visit(buf_bytes(&x->plain), load_pack, &l, bad)) {
        (void)!err_wrap(bad, "%s", name);
        x->rc = STORE_FAILED;
    }
    if (x->rc == STORE_FAILED && bad->kind != ERR_DAMAGED)
        return *e = *bad, -1;
    if (x->rc == STORE_DONE) {
        l.object->is_read = true;
    } else if (!strings_has(&r->bad_objects, bad->text)) {
        strings_add(&r->bad_objects, bad->text);
        note_later(r, name, 0, bad->text);
        log_warn("%s (its packs are read themselves)", bad->text);
    }
    return 0;
}

/* Several that are asked for at a time: a bucket is 50 ms away for each. */
struct index_block {
    struct repo *r;
    struct fetched_index v[BLOCK_MOST];
    size_t n;
};

static int fetch_index(void *ctx, size_t i, struct err *e)
{
    struct index_block *b = ctx;
    struct fetched_index *x = &b->v[i];
    char name[NAME_SIZE];
    (void)e; /* each has an error of its own */
    object_name(name, "index/", &b->r->index_objects[x->number].name);
    x->rc = object_get(b->r, name, OBJECT_INDEX, INDEX_MAX, &x->plain, &x->why);
    return 0;
}

static bool is_wanted(const struct index_object *o, bool superseded_too)
{
    return !o->is_read && (superseded_too || !o->superseded);
}

/* Reads what is wanted from *next on, `most` objects at the most; *next: what follows. *gone: as
 * take_index().
 */
static int load_block(struct repo *r, size_t *next, size_t most, bool superseded_too, bool *gone,
                      struct err *e)
{
    struct index_block *b = xcalloc(1, sizeof *b); /* 66 KiB: much for a stack */
    uint64_t bytes = 0;
    int rc = 0;
    b->r = r;
    for (; *next < r->index_object_count && b->n < most; (*next)++) {
        const struct index_object *o = &r->index_objects[*next];
        if (!is_wanted(o, superseded_too))
            continue;
        if (b->n && bytes + o->size > BLOCK_BYTES)
            break;
        bytes += o->size;
        b->v[b->n++] = (struct fetched_index){.number = *next};
    }
    if (b->n)
        rc = gather(b->n, fetch_index, b, e);
    for (size_t i = 0; i < b->n; i++) {
        if (rc >= 0 && is_wanted(&r->index_objects[b->v[i].number], superseded_too)) {
            rc = take_index(r, &b->v[i], e);
            *gone |= rc == 1;
        }
        buf_free(&b->v[i].plain);
    }
    free(b);
    return rc < 0 ? -1 : 0;
}

/* Reads those from `first` on. The newest may supersede most of the others, so few are asked for at first. */
static int load_from_on(struct repo *r, size_t first, bool superseded_too, bool *gone, struct err *e)
{
    for (size_t next = first, most = 1; next < r->index_object_count; most = MIN(2 * most, BLOCK_MOST))
        if (load_block(r, &next, most, superseded_too, gone, e))
            return -1;
    return 0;
}

static int add_listed_index(void *ctx, const struct store_object *o, struct err *e)
{
    struct repo *r = ctx;
    struct index_object new = {.mtime_ns = o->mtime_ns, .size = o->size};
    (void)e;
    if (!name_sha(o->name, &new.name) || find_index(r, &new.name))
        return 0;
    r->index_objects = xrealloc(r->index_objects, r->index_object_count + 1, sizeof *r->index_objects);
    r->index_objects[r->index_object_count++] = new;
    return 0;
}

/* Newest first, so that those that are superseded need not be read. */
static int by_age(const void *a, const void *b)
{
    const struct index_object *x = a, *y = b;
    if (x->mtime_ns != y->mtime_ns)
        return x->mtime_ns > y->mtime_ns ? -1 : 1;
    return memcmp(x->name.b, y->name.b, SHA_SIZE);
}

/* An index that has gone was superseded while we looked, by one that came after our listing: list again. */
static int load_indexes(struct repo *r, struct err *e)
{
    bool gone = true;
    for (int listing = 0; gone && listing < LISTINGS; listing++) {
        size_t first = r->index_object_count;
        gone = false;
        if (list_own(r, "index/", add_listed_index, r, NULL, e) < 0)
            return -1;
        if (r->index_object_count > first)
            qsort(r->index_objects + first, r->index_object_count - first, sizeof *r->index_objects, by_age);
        if (load_from_on(r, first, false, &gone, e))
            return -1;
    }
    return 0;
}

/* Also those that are superseded: the other store may still have packs that this one has deleted. */
int view_more_indexes(struct repo *r, struct store *s, struct err *e)
{
    bool gone = false;
    return store_list(s, "index/", add_listed_index, r, NULL, e) || load_from_on(r, 0, true, &gone, e) ? -1
                                                                                                       : 0;
}

int pack_read_table_from(struct repo *r, struct store *s, const struct sha *sha, uint64_t size,
                         struct buf *out, struct err *e)
{
    char name[NAME_SIZE];
    pack_name(name, sha);
    uint8_t footer[PACK_FOOTER];
    uint64_t offset = 0, length = 0;
    struct err why = ERR_INIT;
    if (size < PACK_FOOTER || size > PACK_MAX)
        return err_set(e, ERR_DAMAGED, "%s: %llu bytes is no size of a pack", name, (unsigned long long)size);
    int rc = store_get_range(s, name, size - PACK_FOOTER, footer, PACK_FOOTER, &why);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_DAMAGED, "%s: is missing from %s", name, store_title(s));
    if (rc != STORE_DONE)
        return err_of_object(e, name, &why);
    if (pack_open_footer(r->keys, BYTES(footer, PACK_FOOTER), size, &offset, &length, e))
        return err_wrap(e, "%s", name);
    struct cursor c = cursor_of(BYTES(footer, PACK_FOOTER));
    cursor_u32(&c);
    uint32_t generation = cursor_u32(&c);
    AUTO(buf) sealed = BUF_NONE;
    buf_reserve(&sealed, length);
    rc = store_get_range(s, name, offset, sealed.p, length, &why);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_DAMAGED, "%s: is missing from %s", name, store_title(s));
    if (rc != STORE_DONE)
        return err_of_object(e, name, &why);
    if (pack_open_table(r->keys, BYTES(sealed.p, length), generation, out, e))
        return err_wrap(e, "%s", name);
    return 0;
}

int pack_read_table(struct repo *r, const struct sha *sha, uint64_t size, struct buf *out, struct err *e)
{
    struct err why = ERR_INIT;
    if (pack_read_table_from(r, r->store, sha, size, out, &why) == 0 ||
        mirror_table(r, sha, size, out, &why) == STORE_DONE)
        return 0;
    *e = why;
    return -1;
}

/* Packs that no index names: left by a run that was cut off, or their index is lost or not listed yet. */
static int load_orphans(struct repo *r, struct err *e)
{
    for (uint32_t i = 0; i < r->index.pack_count; i++) {
        struct pack_info *p = &r->index.packs[i];
        if ((p->state & PACK_INDEXED) || !(p->state & PACK_LISTED))
            continue;
        AUTO(buf) table = BUF_NONE;
        struct err bad = ERR_INIT;
        size_t used;
        if (pack_read_table(r, &p->name, p->size, &table, &bad) == 0 &&
            index_add_table(&r->index, i, buf_bytes(&table), &used, &bad) == 0) {
            p->state |= PACK_ORPHAN;
            continue;
        }
        if (bad.kind != ERR_DAMAGED)
            return *e = bad, -1;
        char name[NAME_SIZE];
        uint64_t size;
        pack_name(name, &p->name);
        int rc = store_size(r->store, name, &size, e);
        if (rc == STORE_FAILED)
            return -1;
        if (rc == STORE_ABSENT) { /* deleted since it was listed */
            p->state &= ~(unsigned)PACK_LISTED;
            continue;
        }
        p->state |= PACK_DAMAGED;
        strings_add(&r->bad_objects, bad.text);
        note_later(r, name, PACK_FOOTER, bad.text);
        log_warn("%s", bad.text);
    }
    return 0;
}

int view_indexes(struct repo *r, struct err *e)
{
    return load_indexes(r, e) || load_orphans(r, e) ? -1 : 0;
}

/* ---- all of it ---- */
int view_begin(struct repo *r, struct err *e)
{
    index_free(&r->index);
    slot_cache_free(r->slot_keys); /* slots get new numbers */
    r->slot_keys = slot_cache_new();
    strings_free(&r->bad_objects);
    strings_free(&r->later);
    free(r->index_objects);
    r->index_objects = NULL;
    r->index_object_count = 0;
    r->loaded = r->refreshed = r->asked = r->numbered = false;
    r->newest_ns = 0;
    return index_open(&r->index, r->spool_dir, e);
}

int repo_load(struct repo *r, struct err *e)
{
    if (view_begin(r, e) || load_marks(r, e) || view_packs(r, e) || view_indexes(r, e))
        return -1;
    r->loaded = true;
    return 0;
}

int view_again(struct repo *r, struct err *e)
{
    return load_marks(r, e) || view_packs(r, e) ? -1 : 0;
}

int repo_refresh(struct repo *r, struct err *e)
{
    r->refreshed = true;
    return view_again(r, e) || view_indexes(r, e) ? -1 : 0;
}
