/* check: is every snapshot that is listed here, and whole? Structure first (every object hashes to its name
 * and opens, every chunk that a snapshot needs has a sound place), then, as far as asked, every byte of the
 * packs. */
#include "repo/check.h"

#include "base/child.h"
#include "base/log.h"

#include <stdlib.h>

#define MENDED_BY \
    "`lifeboat repair` (of a mirror: `lifeboat --store NAME repair`) puts it back on top; find out who did this"

static struct check_error *find_error(struct check_report *report, const char *object)
{
    for (size_t i = 0; i < report->error_count; i++)
        if (strcmp(report->errors[i].object, object) == 0)
            return &report->errors[i];
    return NULL;
}

struct check_error *check_add_error(struct check_report *report, const char *object, const char *what)
{
    struct check_error *found = find_error(report, object);
    if (found)
        return found;
    report->errors = xrealloc(report->errors, report->error_count + 1, sizeof *report->errors);
    struct check_error *out = &report->errors[report->error_count++];
    *out = (struct check_error){.object = xstrdup(object), .what = xstrdup(what)};
    return out;
}

/* "packs/..: what" as err texts have it: the object's name up to the first ": ". */
static void add_text(struct check_report *report, const char *text)
{
    const char *colon = strstr(text, ": ");
    AUTO_CHAR object = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup("repository");
    check_add_error(report, object, colon ? colon + 2 : text);
}

static void add_snapshot(struct check_error *error, const struct sha *id)
{
    char hex[SHA_HEX];
    sha_hex(hex, id);
    size_t n = error->snapshots.n; /* one snapshot is walked after the other */
    if (!n || strcmp(error->snapshots.v[n - 1], hex) != 0)
        strings_add(&error->snapshots, hex);
}

/* ---- small objects ---- */
/* Hashes an object and compares it with its name. */
static int check_hash(struct checking *c, const char *name, struct err *e)
{
    AUTO(buf) bytes = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = store_get(c->repo->store, name, INDEX_MAX, &bytes, &why);
    if (rc == STORE_FAILED && why.kind != ERR_DAMAGED)
        return *e = why, -1;
    if (rc == STORE_FAILED)
        check_add_error(c->report, name, said_of_object(name, why.text));
    if (rc != STORE_DONE)
        return 0;
    c->report->bytes_read += bytes.n;
    if (!name_fits(name, buf_bytes(&bytes)))
        check_add_error(c->report, name, "its bytes are not those it was named by (SHA-256): damaged");
    return 0;
}

static int check_small_objects(struct checking *c, struct err *e)
{
    static const char *const prefixes[] = {"keys/", "marks/", "receipts/"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        AUTO(strings) names = STRINGS_NONE;
        if (list_names(c->repo->store, prefixes[i], &names, e))
            return -1;
        for (size_t k = 0; k < names.n; k++)
            if (check_hash(c, names.v[k], e))
                return -1;
        if (i == 0 && names.n == 0)
            check_add_error(
                c->report, "keys/",
                "there is no keys object: only a copy of the keys elsewhere can open the content");
    }
    return 0;
}

static int check_root(struct checking *c, struct err *e)
{
    AUTO(buf) have = BUF_NONE, want = BUF_NONE;
    struct err why = ERR_INIT;
    if (store_get(c->repo->store, "lifeboat", METADATA_MAX, &have, &why) == STORE_FAILED &&
        why.kind != ERR_DAMAGED)
        return *e = why, -1;
    repo_describe(c->repo->keys, &want);
    if (have.n != want.n || memcmp(have.p, want.p, want.n) != 0)
        check_add_error(c->report, "lifeboat",
                        err_is_set(&why) ? why.text
                                         : "was changed: it is not what this repository's keys say it is");
    return 0;
}

/* ---- what was read from an older version ---- */
static int is_there(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    const char **name = ctx;
    if (strcmp(o->name, *name) != 0)
        return 0;
    *name = NULL;
    return 1;
}

/* The right bytes are there, and the lifecycle of the bucket deletes them one day. What is not listed was
 * deleted meanwhile, perhaps by a prune whose key may only hide; but nobody deletes the object `lifeboat`. */
static int add_mended(struct checking *c, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    store_mended(c->repo->store, &names);
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.v[i];
        if (store_list(c->repo->store, name, is_there, &name, NULL, e))
            return -1;
        if (!name)
            check_add_error(c->report, names.v[i],
                            "its newest version is not what its name says, an older one is, which the "
                            "bucket's lifecycle will delete: " MENDED_BY);
        else if (strcmp(name, "lifeboat") == 0)
            check_add_error(c->report, name,
                            "is hidden by a delete marker, and the bucket's lifecycle will delete what is "
                            "below it: " MENDED_BY);
    }
    return 0;
}

/* ---- snapshots: is every chunk there? ---- */
static struct check_error *error_of_pack(struct checking *c, uint32_t pack)
{
    const struct pack_info *p = &c->repo->index.packs[pack];
    char name[NAME_SIZE];
    pack_name(name, &p->name);
    if (!c->error_of[pack]) {
        const char *what = p->state & PACK_LISTED ? "is damaged" : "is missing";
        c->error_of[pack] = (size_t)(check_add_error(c->report, name, what) - c->report->errors) + 1;
    }
    return &c->report->errors[c->error_of[pack] - 1];
}

/* Files the chunk under the pack that should hold it. */
static void missing(struct checking *c, const struct chunk_id *id)
{
    uint64_t iter = BIGMAP_START;
    struct place at;
    bool named = false;
    while (index_next_place(&c->repo->index, id, &iter, &at)) {
        add_snapshot(error_of_pack(c, index_frame(&c->repo->index, at.frame)->pack), &c->snapshot->id);
        named = true;
    }
    if (!named)
        add_snapshot(
            check_add_error(c->report, "packs/",
                            "chunks that snapshots need are in no pack and in no index: packs and their "
                            "index are missing"),
            &c->snapshot->id);
}

/* An index that leaves out what a pack holds hides nothing. */
static int has_sound(const struct checking *c, const struct chunk_id *id, struct err *e)
{
    if (index_has_sound(&c->repo->index, id))
        return 1;
    int found = packs_ask_all(c->repo, e);
    return found > 0 ? index_has_sound(&c->repo->index, id) : found;
}

static int walk_list(struct checking *c, const struct ref *ref, unsigned depth, bool *whole, struct err *e);

static int walk_refs(struct checking *c, struct bytes refs, unsigned depth, bool *whole, struct err *e)
{
    for (size_t i = 0; i < refs.n / TABLE_CHUNK_SIZE; i++) {
        struct ref ref = chunk_at(refs, i);
        int rc = depth > 0 ? walk_list(c, &ref, depth - 1, whole, e) : has_sound(c, &ref.id, e);
        if (rc < 0)
            return -1;
        if (depth == 0 && rc == 0) {
            *whole = false;
            missing(c, &ref.id);
        }
    }
    return 0;
}

/* Reads a list of references and looks at each, once for all snapshots, or where something is missing, once
 * for each. */
static int walk_list(struct checking *c, const struct ref *ref, unsigned depth, bool *whole, struct err *e)
{
    const struct chunk_id key = list_key(ref, depth);
    uint64_t iter = BIGMAP_START, hit;
    while (bigmap_next(c->lists, key.b, &iter, &hit)) {
        *whole &= hit == 0;
        if (hit == 0 || hit == c->snapshot_number)
            return 0;
    }
    AUTO(buf) list = BUF_NONE;
    struct err why = ERR_INIT;
    bool list_whole = true;
    if (stop_check(e))
        return -1;
    if (list_read(&c->reader, ref, &list, &why)) {
        if (why.kind != ERR_DAMAGED) {
            *e = why;
            return -1;
        }
        list_whole = false;
        missing(c, &ref->id);
    } else {
        int rc = has_sound(c, &ref->id, e);
        if (rc < 0 || walk_refs(c, buf_bytes(&list), depth, &list_whole, e))
            return -1;
        if (rc == 0) { /* it was read all the same, perhaps below a delete marker */
            list_whole = false;
            missing(c, &ref->id);
        }
    }
    *whole = *whole && list_whole;
    return bigmap_add(c->lists, key.b, list_whole ? 0 : c->snapshot_number, e);
}

static int check_snapshots(struct checking *c, const struct snapshots *all, struct err *e)
{
    for (size_t i = 0; i < all->unreadable.n; i++)
        add_text(c->report, all->unreadable.v[i]);
    c->report->snapshots = all->n;
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].broken) /* nobody claims that it can be restored */
            continue;
        c->snapshot_number = i + 1;
        c->snapshot = &all->v[i]; /* cppcheck-suppress autoVariables ; looked at below only */
        for (size_t s = 0; s < all->v[i].source_count; s++)
            for (size_t k = 0; k < all->v[i].sources[s].stream_count; k++) {
                const struct stream_info *info = &all->v[i].sources[s].streams[k];
                AUTO(buf) roots = BUF_NONE;
                bool whole = true;
                for (uint32_t n = 0; n < info->root_count; n++)
                    add_chunk(&roots, &info->roots[n]);
                if (walk_refs(c, buf_bytes(&roots), info->depth, &whole, e))
                    return -1;
            }
    }
    return 0;
}

/* ---- bad packs: marks, and what was known and has healed ---- */
/* Before anything is read: a mark that comes later is of what somebody else has met since. */
static int read_marks(struct checking *c, struct err *e)
{
    bool any = false;
    for (uint32_t i = 0; i < c->repo->index.pack_count; i++)
        any |= c->known_bad[i];
    return any && c->options->read_percent
               ? marks_load(c->repo, MARK_BIT(MARK_DAMAGED) | MARKS_NO_CLOCK, &c->marks, e)
               : 0;
}

static void mark_bad_packs(struct checking *c)
{
    struct index *x = &c->repo->index;
    for (uint32_t i = 0; i < x->pack_count; i++) {
        char name[NAME_SIZE];
        pack_name(name, &x->packs[i].name);
        if (!(x->packs[i].state & PACK_DAMAGED) || is_of_later(c->repo, name))
            continue;
        struct check_error *error = find_error(c->report, name);
        if (c->known_bad[i]) {
            if (error && error->snapshots.n == 0) {
                strings_add_fmt(&c->report->notes,
                                "%s is damaged, and every snapshot has its chunks elsewhere", name);
                free(error->object);
                free(error->what);
                *error = c->report->errors[--c->report->error_count];
            }
            continue;
        }
        if (!error)
            error = check_add_error(c->report, name, "has a wrong size, or its table does not open");
        struct err why = ERR_INIT;
        if (mark_damaged(c->repo, &x->packs[i].name, error->what, &why))
            strings_add_fmt(&c->report->notes, "%s could not be marked as damaged: %s", name, why.text);
        else
            strings_add_fmt(&c->report->notes,
                            "%s is marked as damaged: the next backup stores what it held again, as far as "
                            "the sources still have it",
                            name);
    }
}

static void add_bad_objects(const struct repo *r, struct check_report *report)
{
    for (size_t i = 0; i < r->bad_objects.n; i++)
        add_text(report, r->bad_objects.v[i]);
}

int repo_check(struct repo *r, const struct check_options *o, struct check_report *out, struct err *e)
{
    *out = (struct check_report){0};
    AUTO(snapshots) all = {0};
    /* First: what a backup puts while we look is of no snapshot that we know. */
    if (snapshots_load(r, &all, e) || repo_load(r, e))
        return -1;
    struct checking c = {.repo = r, .report = out, .options = o, .reader.repo = r};
    struct index *x = &r->index;
    c.known_bad = xcalloc(x->pack_count, sizeof *c.known_bad);
    c.error_of = xcalloc(x->pack_count, sizeof *c.error_of);
    for (uint32_t i = 0; i < x->pack_count; i++) {
        c.known_bad[i] = x->packs[i].marked;
        out->packs += (x->packs[i].state & PACK_LISTED) != 0;
    }
    out->chunks = bigmap_count(x->chunks);
    add_bad_objects(r, out);
    c.lists = bigmap_new(r->spool_dir, 0, e);
    int rc = !c.lists || read_marks(&c, e) || check_root(&c, e) || check_small_objects(&c, e) ||
             check_packs(&c, e) || check_snapshots(&c, &all, e) || add_mended(&c, e);
    add_bad_objects(r, out); /* indexes that lie are found on the way */
    if (rc == 0) {
        mark_bad_packs(&c);
        sha_set_sort(&c.good);
        marks_withdraw(r, &c.marks, &c.good, &out->notes);
    }
    bigmap_free(c.lists);
    list_reader_free(&c.reader);
    free(c.known_bad);
    free(c.error_of);
    marks_free(&c.marks);
    sha_set_free(&c.good);
    return rc ? -1 : 0;
}

void check_report_free(struct check_report *r)
{
    for (size_t i = 0; i < r->error_count; i++) {
        free(r->errors[i].object);
        free(r->errors[i].what);
        strings_free(&r->errors[i].snapshots);
    }
    free(r->errors);
    strings_free(&r->notes);
    *r = (struct check_report){0};
}
