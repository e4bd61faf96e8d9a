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

bool name_fits(const char *name, struct bytes data)
{
    struct sha have, want;
    sha_of(data, &have);
    return name_sha(name, &want) && sha_equal(&have, &want);
}

/* ---- the `lifeboat` object ---- */
void repo_describe(const struct keyring *k, struct buf *out)
{
    char id[REPOSITORY_ID_HEX];
    keyring_repository_hex(k, id);
    buf_add_fmt(out, "{\"format\":%u,\"repository\":\"%s\"}\n", FORMAT_VERSION, id);
}

static int read_root(struct store *s, struct buf *text, char out[REPOSITORY_ID_HEX], struct err *e)
{
    int rc = store_get(s, REPO_OBJECT, METADATA_MAX, text, e);
    if (rc != STORE_DONE)
        return rc;
    AUTO_JSON o = json_read(buf_bytes(text), "", e);
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

int repo_read_id(struct store *s, char out[REPOSITORY_ID_HEX], struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    return read_root(s, &text, out, e);
}

static int check_identity(struct store *s, const struct keyring *k, struct err *e)
{
    char stored[REPOSITORY_ID_HEX], ours[REPOSITORY_ID_HEX];
    AUTO(buf) want = BUF_NONE, have = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = read_root(s, &have, stored, &why);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_USAGE,
                       "%s: holds no repository: make one with `lifeboat init`, or mount the disk it is on",
                       store_title(s));
    if (rc != STORE_DONE && why.kind == ERR_DAMAGED)
        return err_set(e, why.kind, "%s (what to do: `lifeboat check`, of a mirror with --store)", why.text);
    if (rc != STORE_DONE)
        return *e = why, -1;
    keyring_repository_hex(k, ours);
    if (strcmp(stored, ours) != 0)
        return err_set(e, ERR_USAGE,
                       "%s: holds repository %s, but the keys are for %s: another store, or it was tampered "
                       "with",
                       store_title(s), stored, ours);
    repo_describe(k, &want);
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

int repo_renew_root(struct store *s, const struct keyring *k, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    repo_describe(k, &text);
    return store_replace(s, REPO_OBJECT, buf_bytes(&text), e);
}

struct repo *repo_open(const struct repo_options *o, struct err *e)
{
    if (check_identity(o->store, o->keys, e))
        return NULL;
    const struct gc_bounds bounds = GC_BOUNDS_DEFAULT;
    if (o->bounds && gc_bounds_check(o->bounds, e))
        return NULL;
    struct repo *r = xcalloc(1, sizeof *r);
    *r = (struct repo){.store = o->store,
                       .keys = o->keys,
                       .pool = o->pool,
                       .spool_dir = xstrdup(o->spool_dir),
                       .bounds = o->bounds ? *o->bounds : bounds,
                       .index = {.slots = BIGARRAY_NONE, .frames = BIGARRAY_NONE},
                       .slot_keys = slot_cache_new()};
    r->mirrors = mirrors_new(r, o);
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
    mirrors_free(r->mirrors);
    index_free(&r->index);
    slot_cache_free(r->slot_keys);
    strings_free(&r->bad_objects);
    strings_free(&r->later);
    sha_set_free(&r->condemned);
    sha_set_free(&r->damaged);
    sha_set_free(&r->distrusted);
    free(r->index_objects);
    free(r->spool_dir);
    free(r);
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

const char *said_of_object(const char *name, const char *text)
{
    const char *at = strstr(text, name);
    size_t n = strlen(name);
    return at && strncmp(at + n, ": ", 2) == 0 ? at + n + 2 : text;
}

int err_of_object(struct err *e, const char *name, const struct err *why)
{
    if (why->kind != ERR_DAMAGED)
        return *e = *why, -1;
    return err_set(e, ERR_DAMAGED, "%s: %s", name, said_of_object(name, why->text));
}

int object_get_from(struct repo *r, struct store *s, const char *name, enum object_type type, uint64_t limit,
                    struct buf *out, struct err *e)
{
    AUTO(buf) sealed = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = store_get(s, name, limit, &sealed, &why);
    if (rc == STORE_FAILED)
        return err_of_object(e, name, &why);
    if (rc == STORE_ABSENT)
        return rc;
    if (!name_fits(name, buf_bytes(&sealed)))
        return err_set(e, ERR_DAMAGED, "%s: its bytes are not those it was named by (SHA-256): damaged",
                       name);
    if (object_open(r->keys, type, buf_bytes(&sealed), out, e))
        return err_wrap(e, "%s", name);
    return STORE_DONE;
}

int object_get(struct repo *r, const char *name, enum object_type type, uint64_t limit, struct buf *out,
               struct err *e)
{
    struct err why = ERR_INIT;
    int rc = mirrors_instead(r) ? err_set(&why, ERR_NET, "%s: does not answer", store_title(r->store))
                                : object_get_from(r, r->store, name, type, limit, out, &why);
    if (rc == STORE_DONE)
        return rc;
    struct err reason = why;
    if (rc == STORE_ABSENT)
        err_set(&reason, ERR_DAMAGED, "%s: is missing from %s", name, store_title(r->store));
    if (mirror_object(r, name, type, limit, out, &reason) == STORE_DONE)
        return STORE_DONE;
    if (rc != STORE_ABSENT)
        *e = why;
    return rc;
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

struct looking {
    struct store *store;
    const struct strings *names;
    bool *sound; /* each of them */
};

static int look_at(void *ctx, size_t i, struct err *e)
{
    const struct looking *l = ctx;
    AUTO(buf) bytes = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = store_get(l->store, l->names->v[i], METADATA_MAX, &bytes, &why);
    if (rc == STORE_FAILED && why.kind != ERR_DAMAGED)
        return *e = why, -1;
    l->sound[i] = rc == STORE_DONE && name_fits(l->names->v[i], buf_bytes(&bytes));
    return 0;
}

int list_sound(struct store *s, const struct strings *names, struct strings *out, struct err *e)
{
    struct looking l = {.store = s, .names = names, .sound = xcalloc(names->n, sizeof *l.sound)};
    int rc = gather(names->n, look_at, &l, e);
    for (size_t i = 0; i < names->n && rc == 0; i++)
        if (l.sound[i])
            strings_add(out, names->v[i]);
    free(l.sound);
    return rc;
}
