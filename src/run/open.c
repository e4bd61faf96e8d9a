/* From a configuration and a few options to an open repository: which store, which keys. */
#include "internal.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char ask_for_key[] = "--identity FILE or --passphrase-file FILE";

#define SPOOL_ROOM (64ull << 20)

static uint64_t room_in(const char *folder)
{
    struct statvfs st;
    return statvfs(folder, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : UINT64_MAX;
}

/* The state folder, or where that cannot be (a bare machine, another user) the temporary one. So that a full
 * disk is in nobody's way who wants files back, also where that has more room. */
static char *spool_folder(const struct run_access *a, enum run_need need, struct err *e)
{
    struct err why = ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    tmp = tmp && *tmp ? tmp : "/tmp";
    if (a->config) {
        const char *state = a->config->state_dir;
        if (dir_make(state, 0700, &why) == 0 && access(state, W_OK) == 0)
            return xstrdup(need == RUN_WRITE || room_in(state) >= MIN(SPOOL_ROOM, room_in(tmp)) ? state
                                                                                                : tmp);
        const char *advice = errno == EROFS                        ? "mount it read-write"
                             : errno == EEXIST || errno == ENOTDIR ? "a file is in the way: move it away"
                             : errno == ENOSPC                     ? "make room there"
                                                                   : "run lifeboat as the user it belongs to";
        if (!err_is_set(&why))
            err_errno(&why, ERR_USAGE, "cannot be written to");
        if (need == RUN_WRITE)
            return err_set(e, ERR_USAGE, "[state] directory %s: %s: %s (this is user %u)", state, why.text,
                           advice, (unsigned)geteuid()),
                   NULL;
    }
    return xstrdup(tmp);
}

/* ---- the store ---- */
static struct store *open_bucket(const struct config_store *s, const char *spool_dir, struct err *e)
{
    AUTO(store_credentials) credentials = STORE_CREDENTIALS_NONE;
    const struct store_s3_options o = {.bucket = s->bucket,
                                       .prefix = s->prefix,
                                       .endpoint = s->endpoint,
                                       .region = s->region,
                                       .credentials = &credentials,
                                       .signature = (enum store_signature)s->signature,
                                       .addressing = (enum store_addressing)s->addressing,
                                       .ca_file = s->ca_file,
                                       .insecure = s->insecure,
                                       .object_lock_days = s->object_lock_days,
                                       .limit_up = s->limit_up,
                                       .limit_down = s->limit_down,
                                       .spool_dir = spool_dir};
    if (store_credentials_load(&credentials, s->credentials, e))
        return NULL;
    struct store *bucket = store_s3_new(&o, e);
    return bucket ? store_retry_new(bucket, NULL) : NULL;
}

struct store *open_configured(const struct config_store *s, const struct config *c, bool create,
                              const char *spool_dir, struct err *e)
{
    const struct store_local_options folder = {
        .path = s->path, .create = create, .min_free = s->min_free, .require_mount = s->require_mount};
    if (s->kind == STORE_FOLDER)
        return store_local_new(&folder, e);
    struct store *bucket = open_bucket(s, spool_dir, e);
    if (!bucket || !c || !s->name)
        return bucket;
    AUTO_CHAR kept = xasprintf("%s/objects-%s", c->cache_dir, s->name);
    return store_cache_new(bucket, kept);
}

/* Of a word that cannot be an address. */
static int no_such_store(const struct run_access *a, struct err *e)
{
    AUTO(buf) list = BUF_NONE;
    const char **names = xcalloc(a->config->store_count + 1, sizeof *names);
    for (size_t i = 0; i < a->config->store_count; i++) {
        names[i] = a->config->stores[i].name;
        buf_add_fmt(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = nearest_word(a->store_url, names);
    free(names);
    return err_set(
        e, ERR_USAGE,
        "--store: there is no [store %s] in the configuration%s%s%s it has %s; an address starts with "
        "file:/// or s3://",
        a->store_url, near ? ": did you mean " : ":", near ? near : "", near ? "?" : "", buf_cstr(&list));
}

int find_store(const struct run_access *a, struct config_store *own, const struct config_store **out,
               struct err *e)
{
    for (size_t i = 0; a->config && i < a->config->store_count; i++)
        if (!a->store_url || strcmp(a->config->stores[i].name, a->store_url) == 0) {
            *out = &a->config->stores[i];
            return 0;
        }
    *out = own;
    if (a->config && !strchr(a->store_url, '/'))
        return no_such_store(a, e);
    return config_store_parse_url(own, a->store_url, e) ? err_wrap(e, "--store") : 0;
}

struct store *open_store(const struct run_access *a, bool create, struct err *e)
{
    AUTO(config_store) own = {0};
    AUTO_CHAR spool_dir = spool_folder(a, RUN_READ, e);
    const struct config_store *s;
    if (!spool_dir || find_store(a, &own, &s, e))
        return NULL;
    return open_configured(s, a->no_cache ? NULL : a->config, create, spool_dir, e);
}

char *store_url(const struct run_access *a)
{
    AUTO(config_store) own = {0};
    const struct config_store *s;
    struct err ignored = ERR_INIT;
    return find_store(a, &own, &s, &ignored) ? xstrdup(a->store_url) : config_store_url(s);
}

/* ---- who reads ---- */
const char *identity_file(const struct run_access *a)
{
    if (a->identity_file)
        return a->identity_file;
    return a->config && !a->passphrase_file ? a->config->identity : NULL;
}

static bool key_is_there(const char *path)
{
    AUTO_CHAR found = file_credential(path);
    return file_is_there(found);
}

static bool has_writer_key(const struct run_access *a)
{
    return a->config && key_is_there(a->config->writer_key);
}

/* The repository that this host's own writer key is for: never the store's word. false: cannot be said. */
static bool expected_id(const struct run_access *a, uint8_t out[REPOSITORY_ID_SIZE])
{
    if (!has_writer_key(a))
        return false;
    struct err why = ERR_INIT;
    AUTO_PTR(keyring) k = read_writer_key(a->config->writer_key, &why);
    if (!k) {
        log_warn("%s (not needed for this, so it is left aside)", why.text);
        return false;
    }
    memcpy(out, keyring_repository_id(k), REPOSITORY_ID_SIZE);
    return true;
}

static struct keyring *open_passphrase(const struct run_access *a, struct store *s, struct err *e)
{
    AUTO(buf) passphrase = BUF_NONE;
    uint8_t id[REPOSITORY_ID_SIZE];
    char hex[REPOSITORY_ID_HEX];
    bool known = expected_id(a, id);
    struct keyring *k = NULL;
    if (run_read_passphrase(a->passphrase_file, &passphrase, e) == 0)
        k = keys_open_passphrase(s, buf_bytes(&passphrase), known ? id : NULL, e);
    buf_wipe(&passphrase);
    if (k && !known) {
        keyring_repository_hex(k, hex);
        log_warn("there is no writer.key here to compare with, so the store's word is taken for it that this "
                 "is repository %s: compare it with the recovery kit",
                 hex);
    }
    return k;
}

static int missing_key(const struct run_access *a, struct err *e)
{
    const char *file = identity_file(a);
    if (file)
        return err_set(e, ERR_USAGE, "%s ([keys] identity) is not there: say where the key is with %s", file,
                       ask_for_key);
    if (a->config)
        return err_set(
            e, ERR_USAGE,
            "this needs the key that reads, and [keys] names no identity (a write-only host): give "
            "%s",
            ask_for_key);
    return err_set(e, ERR_USAGE, "this needs the key that reads: give %s", ask_for_key);
}

struct keyring *open_reader(const struct run_access *a, struct store *s, struct identity **out, struct err *e)
{
    if (a->identity_file && a->passphrase_file)
        return err_set(e, ERR_USAGE, "give one of %s", ask_for_key), NULL;
    if (a->passphrase_file)
        return open_passphrase(a, s, e);
    const char *file = identity_file(a);
    if (!file || (!a->identity_file && !key_is_there(file)))
        return missing_key(a, e), NULL;
    AUTO_PTR(identity) id = read_identity(file, e);
    if (!id)
        return NULL;
    uint8_t ours[REPOSITORY_ID_SIZE];
    if (expected_id(a, ours) && memcmp(ours, id->repository_id, sizeof ours) != 0)
        return err_set(e, ERR_USAGE, "%s and %s are for two different repositories", file,
                       a->config->writer_key),
               NULL;
    struct keyring *k = keys_open_identity(s, id, e);
    if (k && out)
        *out = STEAL(id);
    return k;
}

/* ---- keys for a need ---- */
static bool reader_is_named(const struct run_access *a)
{
    return a->identity_file || a->passphrase_file;
}

static struct keyring *open_writer(const struct run_access *a, struct err *e)
{
    return read_writer_key(a->config->writer_key, e);
}

static struct keyring *open_best(const struct run_access *a, struct store *s, struct err *e)
{
    const char *file = identity_file(a);
    if (reader_is_named(a) || !has_writer_key(a))
        return open_reader(a, s, NULL, e);
    if (!file || !key_is_there(file))
        return open_writer(a, e);
    struct err why = ERR_INIT;
    struct keyring *k = open_reader(a, s, NULL, &why);
    if (k)
        return k;
    log_warn("%s; going on with the writer key alone", why.text);
    return open_writer(a, e);
}

static struct keyring *open_keys(const struct run_access *a, struct store *s, enum run_need need,
                                 struct err *e)
{
    switch (need) {
    case RUN_WRITE:
        return open_writer(a, e);
    case RUN_LOOK:
        return !reader_is_named(a) && has_writer_key(a) ? open_writer(a, e) : open_reader(a, s, NULL, e);
    case RUN_READ:
        return open_reader(a, s, NULL, e);
    case RUN_BEST:
        return open_best(a, s, e);
    }
    return NULL;
}

/* ---- the whole ---- */
static unsigned thread_count(const struct run_access *a)
{
    cpu_set_t set;
    if (a->config)
        return a->config->threads;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)MAX(1, MIN(16, CPU_COUNT(&set))) : 1;
}

/* A mirror's credentials too, which are read when the sources have run: nobody they start gets any. */
static void withhold_credentials(const struct config *c)
{
    for (size_t i = 0; c && i < c->store_count; i++)
        if (c->stores[i].kind != STORE_FOLDER && !c->stores[i].credentials)
            store_credentials_withhold();
}

int run_open_keys(struct run_repo *out, const struct run_access *a, enum run_need need, struct err *e)
{
    *out = (struct run_repo){0};
    AUTO(run_repo) r = {0};
    withhold_credentials(a->config);
    r.spool_dir = spool_folder(a, need, e);
    if (!r.spool_dir)
        return -1;
    /* A key that is not fit is said before a store that is not there: init makes both. */
    if (need == RUN_WRITE && !(r.keys = open_writer(a, e)))
        return -1;
    if (!(r.store = open_store(a, false, e)))
        return -1;
    if (!r.keys && !(r.keys = open_keys(a, r.store, need, e)))
        return -1;
    keyring_repository_hex(r.keys, r.id);
    r.pool = pool_new(thread_count(a));
    *out = r;
    r = (struct run_repo){0};
    return 0;
}

static int open_named(struct run_repo *out, const struct run_access *a, enum run_need need, struct err *e)
{
    if (run_open_keys(out, a, need, e))
        return -1;
    const struct gc_bounds bounds = run_bounds(a->config);
    struct repo_options o = {.store = out->store,
                             .keys = out->keys,
                             .pool = out->pool,
                             .spool_dir = out->spool_dir,
                             .bounds = &bounds};
    out->reading = reading_new(a, out->spool_dir);
    reading_set(out->reading, &o);
    out->repo = repo_open(&o, e);
    if (out->repo)
        return 0;
    run_repo_free(out);
    return -1;
}

int run_open(struct run_repo *out, const struct run_access *a, enum run_need need, struct err *e)
{
    struct err why = ERR_INIT;
    if (open_named(out, a, need, &why) == 0 || open_instead(out, a, need, &why) == 0)
        return 0;
    *e = why;
    return -1;
}

void run_repo_free(struct run_repo *r)
{
    repo_free(r->repo);
    reading_free(r->reading);
    pool_free(r->pool);
    keyring_free(r->keys);
    store_free(r->store);
    free(r->spool_dir);
    *r = (struct run_repo){0};
}

void say_unreadable(const struct snapshots *all)
{
    for (size_t i = 0; i < all->unreadable.n; i++)
        log_warn("%s", all->unreadable.v[i]);
}
