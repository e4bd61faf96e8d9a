#include "repo/internal.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

#define REPO_OBJECT "lifeboat"

void object_name(char out[NAME_SIZE], const char *prefix, const struct sha *sha)
{
    char hex[SHA_HEX];
    sha_hex(hex, sha);
    snprintf(out, NAME_SIZE, "%s%s", prefix, hex);
}

void pack_name(char out[NAME_SIZE], const struct sha *sha)
{
    char prefix[] = "packs/00/";
    hex_encode(prefix + 6, BYTES(sha->b, 1));
    prefix[8] = '/';
    object_name(out, prefix, sha);
}

bool name_sha(const char *name, struct sha *out)
{
    const char *slash = strrchr(name, '/');
    return slash && sha_parse(out, slash + 1, strlen(slash + 1));
}

/* ---- the `lifeboat` object ---- */
void repo_describe(const struct keyring *k, struct buf *out)
{
    char id[REPOSITORY_ID_HEX];
    keyring_repository_hex(k, id);
    buf_add_fmt(out, "{\"format\":%u,\"repository\":\"%s\"}\n", FORMAT_VERSION, id);
}

int repo_read_id(struct store *s, char out[REPOSITORY_ID_HEX], struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    int rc = store_get(s, REPO_OBJECT, METADATA_MAX, &text, e);
    if (rc != STORE_DONE)
        return rc;
    AUTO_JSON o = json_read(buf_bytes(&text), e);
    if (!o)
        return err_wrap(e, "%s: object " REPO_OBJECT, store_title(s));
    const char *id = json_text(o, "repository");
    uint8_t bytes[REPOSITORY_ID_SIZE];
    if (!hex_decode(bytes, sizeof bytes, id, strlen(id)))
        return err_set(e, ERR_DAMAGED, "%s: object " REPO_OBJECT ": its repository id is not 32 hex digits",
                       store_title(s));
    snprintf(out, REPOSITORY_ID_HEX, "%s", id);
    return STORE_DONE;
}

static int check_identity(struct store *s, const struct keyring *k, struct err *e)
{
    char stored[REPOSITORY_ID_HEX], ours[REPOSITORY_ID_HEX];
    int rc = repo_read_id(s, stored, e);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_USAGE,
                       "%s: holds no repository: make one with `lifeboat init`, or mount the disk it is on",
                       store_title(s));
    if (rc != STORE_DONE)
        return -1;
    keyring_repository_hex(k, ours);
    if (strcmp(stored, ours) != 0)
        return err_set(e, ERR_USAGE,
                       "%s: holds repository %s, but the keys are for %s: another store, or it was tampered "
                       "with",
                       store_title(s), stored, ours);
    AUTO(buf) want = BUF_NONE, have = BUF_NONE;
    repo_describe(k, &want);
    if (store_get(s, REPO_OBJECT, METADATA_MAX, &have, e) == STORE_FAILED)
        return -1;
    if (want.n != have.n || memcmp(want.p, have.p, want.n) != 0)
        log_warn("%s: object " REPO_OBJECT " was changed, its content still makes sense", store_title(s));
    return 0;
}

int repo_create(struct store *s, const struct keyring *k, struct err *e)
{
    uint64_t size;
    int rc = store_size(s, REPO_OBJECT, &size, e);
    if (rc == STORE_FAILED)
        return -1;
    if (rc == STORE_DONE)
        return err_set(e, ERR_USAGE, "%s: holds a repository already", store_title(s));
    AUTO(buf) text = BUF_NONE;
    repo_describe(k, &text);
    if (store_put(s, REPO_OBJECT, buf_bytes(&text), e))
        return -1;
    return check_identity(s, k, e); /* of two at once, one has come first */
}

struct repo *repo_open(const struct repo_options *o, struct err *e)
{
    if (check_identity(o->store, o->keys, e))
        return NULL;
    struct repo *r = xcalloc(1, sizeof *r);
    *r = (struct repo){.store = o->store,
                       .keys = o->keys,
                       .pool = o->pool,
                       .spool_dir = xstrdup(o->spool_dir),
                       .index = {.slots = BIGARRAY_NONE, .frames = BIGARRAY_NONE},
                       .slot_keys = slot_cache_new()};
    return r;
}

struct store *repo_store(const struct repo *r)
{
    return r->store;
}

const struct keyring *repo_keys(const struct repo *r)
{
    return r->keys;
}

void repo_free(struct repo *r)
{
    if (!r)
        return;
    index_free(&r->index);
    slot_cache_free(r->slot_keys);
    strings_free(&r->bad_objects);
    free(r->spool_dir);
    free(r);
}

void repo_size(const struct repo *r, struct repo_size *out)
{
    *out = (struct repo_size){.chunks = bigmap_count(r->index.chunks), .indexes = r->index_objects};
    for (uint32_t i = 0; i < r->index.pack_count; i++)
        if (r->index.packs[i].state & PACK_LISTED) {
            out->packs++;
            out->pack_bytes += r->index.packs[i].size;
        }
}

/* ---- sealed metadata objects ---- */
int object_put(struct repo *r, const char *prefix, enum object_type type, struct bytes plain, struct sha *out,
               struct err *e)
{
    AUTO(buf) sealed = BUF_NONE;
    object_seal(r->keys, type, plain, &sealed);
    sha_of(buf_bytes(&sealed), out);
    char name[NAME_SIZE];
    object_name(name, prefix, out);
    return store_put(r->store, name, buf_bytes(&sealed), e);
}

int object_get(struct repo *r, const char *name, enum object_type type, uint64_t limit, struct buf *out,
               struct err *e)
{
    AUTO(buf) sealed = BUF_NONE;
    int rc = store_get(r->store, name, limit, &sealed, e);
    if (rc != STORE_DONE)
        return rc;
    struct sha have, want;
    sha_of(buf_bytes(&sealed), &have);
    if (!name_sha(name, &want) || !sha_equal(&have, &want))
        return err_set(e, ERR_DAMAGED, "%s: its bytes are not those it was named by (SHA-256): damaged",
                       name);
    if (object_open(r->keys, type, buf_bytes(&sealed), out, e))
        return err_wrap(e, "%s", name);
    return STORE_DONE;
}

static int add_name(void *ctx, const struct store_object *o, struct err *e)
{
    (void)e;
    struct sha sha;
    if (name_sha(o->name, &sha))
        strings_add(ctx, o->name);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int list_names(struct store *s, const char *prefix, struct strings *out, struct err *e)
{
    if (store_list(s, prefix, add_name, out, NULL, e))
        return -1;
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_text);
    return 0;
}

/* ---- loading ---- */
struct mark_set {
    struct sha *v;
    size_t n;
};

static bool marked(const struct mark_set *m, const struct sha *pack)
{
    for (size_t i = 0; i < m->n; i++)
        if (sha_equal(&m->v[i], pack))
            return true;
    return false;
}

/* The packs that marks of one kind name. A mark that does not open is reported and counts for nothing. */
static int load_marks(struct repo *r, const char *prefix, struct mark_set *out, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    if (list_names(r->store, prefix, &names, e))
        return -1;
    out->v = xcalloc(names.n, sizeof *out->v);
    for (size_t i = 0; i < names.n; i++) {
        AUTO(buf) text = BUF_NONE;
        struct err bad = ERR_INIT;
        int rc = object_get(r, names.v[i], OBJECT_MARK, METADATA_MAX, &text, &bad);
        if (rc == STORE_ABSENT)
            continue;
        if (rc == STORE_FAILED && bad.kind != ERR_DAMAGED)
            return *e = bad, -1;
        AUTO_JSON o = rc == STORE_DONE ? json_read(buf_bytes(&text), &bad) : NULL;
        const char *pack = o ? json_text(o, "pack") : "";
        if (o && !mark_signature_holds(r, o))
            log_warn("%s: its signature does not hold: counts for nothing", names.v[i]);
        else if (!sha_parse(&out->v[out->n], pack, strlen(pack)))
            strings_add_fmt(&r->bad_objects, "%s: %s", names.v[i],
                            err_is_set(&bad) ? bad.text : "names no pack");
        else
            out->n++;
    }
    return 0;
}

struct pack_listing {
    struct repo *r;
    const struct mark_set *condemned, *damaged;
};

static int add_listed_pack(void *ctx, const struct store_object *o, struct err *e)
{
    struct pack_listing *l = ctx;
    struct sha sha;
    char name[NAME_SIZE];
    if (!name_sha(o->name, &sha))
        return 0;
    pack_name(name, &sha);
    if (strcmp(name, o->name) != 0)
        return 0;
    unsigned state = PACK_LISTED | (marked(l->condemned, &sha) ? PACK_CONDEMNED : 0) |
                     (marked(l->damaged, &sha) ? PACK_DAMAGED : 0);
    uint32_t pack = index_add_pack(&l->r->index, &sha, o->size, state, e);
    if (pack == UINT32_MAX)
        return -1;
    l->r->index.packs[pack].marked = (state & PACK_DAMAGED) != 0;
    return 0;
}

/* Adds the tables of one index object; each pack is taken once. */
static int load_index(struct repo *r, struct bytes plain, struct err *e)
{
    struct cursor c = cursor_of(plain);
    uint32_t superseded = cursor_u32(&c);
    cursor_take(&c, (size_t)superseded * SHA_SIZE);
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
        uint32_t pack = index_find_pack(&r->index, &name);
        if (pack == UINT32_MAX) /* missing: remembered without PACK_LISTED, so that it can be named */
            pack = index_add_pack(&r->index, &name, size, 0, e);
        if (pack == UINT32_MAX)
            return -1;
        if (r->index.packs[pack].state & PACK_INDEXED)
            continue;
        struct pack_info *info = &r->index.packs[pack];
        uint64_t listed = info->size;
        info->size = size;
        if (listed != size)
            info->state |= PACK_DAMAGED;
        size_t used;
        if (index_add_table(&r->index, pack, table, &used, e))
            return -1;
    }
    return cursor_is_done(&c) ? 0 : err_set(e, ERR_DAMAGED, "an index with wrong lengths");
}

static int load_indexes(struct repo *r, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    if (list_names(r->store, "index/", &names, e))
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        AUTO(buf) plain = BUF_NONE;
        struct err bad = ERR_INIT;
        int rc = object_get(r, names.v[i], OBJECT_INDEX, INDEX_MAX, &plain, &bad);
        if (rc == STORE_DONE)
            rc = load_index(r, buf_bytes(&plain), &bad);
        if (rc == STORE_FAILED && bad.kind != ERR_DAMAGED)
            return *e = bad, -1;
        if (rc == STORE_FAILED) {
            strings_add(&r->bad_objects, bad.text);
            log_warn("%s (its packs are read themselves)", bad.text);
        }
        r->index_objects += rc == STORE_DONE;
    }
    return 0;
}

int pack_read_table(struct repo *r, const struct sha *sha, uint64_t size, struct buf *out, struct err *e)
{
    char name[NAME_SIZE];
    pack_name(name, sha);
    uint8_t footer[PACK_FOOTER];
    uint64_t offset = 0, length = 0;
    if (size < PACK_FOOTER || size > PACK_MAX)
        return err_set(e, ERR_DAMAGED, "%s: %llu bytes is no size of a pack", name, (unsigned long long)size);
    if (store_get_range(r->store, name, size - PACK_FOOTER, footer, PACK_FOOTER, e))
        return -1;
    if (pack_open_footer(r->keys, BYTES(footer, PACK_FOOTER), size, &offset, &length, e))
        return err_wrap(e, "%s", name);
    struct cursor c = cursor_of(BYTES(footer, PACK_FOOTER));
    cursor_u32(&c);
    uint32_t generation = cursor_u32(&c);
    AUTO(buf) sealed = BUF_NONE;
    buf_reserve(&sealed, length);
    if (store_get_range(r->store, name, offset, sealed.p, length, e))
        return -1;
    if (pack_open_table(r->keys, BYTES(sealed.p, length), generation, out, e))
        return err_wrap(e, "%s", name);
    return 0;
}

/* Packs that no index names: left by a run that was cut off, or their index is lost. */
static int load_orphans(struct repo *r, struct err *e)
{
    for (uint32_t i = 0; i < r->index.pack_count; i++) {
        struct pack_info *p = &r->index.packs[i];
        if ((p->state & (PACK_INDEXED | PACK_CONDEMNED)) || !(p->state & PACK_LISTED))
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
        p->state |= PACK_DAMAGED;
        strings_add(&r->bad_objects, bad.text);
        log_warn("%s", bad.text);
    }
    return 0;
}

int repo_load(struct repo *r, struct err *e)
{
    if (index_open(&r->index, r->spool_dir, e))
        return -1;
    struct mark_set condemned = {0}, damaged = {0};
    struct pack_listing l = {.r = r, .condemned = &condemned, .damaged = &damaged};
    /* Marks before packs before indexes: the other order loses data (docs/format.md, "Garbage"). */
    int rc = load_marks(r, "marks/condemn/", &condemned, e) || load_marks(r, "marks/damaged/", &damaged, e) ||
             store_list(r->store, "packs/", add_listed_pack, &l, NULL, e) || load_indexes(r, e) ||
             load_orphans(r, e);
    free(condemned.v);
    free(damaged.v);
    r->loaded = rc == 0;
    return rc ? -1 : 0;
}
