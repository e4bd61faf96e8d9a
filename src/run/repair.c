/* repair: the first store healed from its mirrors, a bucket also from older versions in it. The store is
 * opened although it may lack what every other command wants of it: the object `lifeboat`, keys, or
 * everything. */
#include "internal.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct repairing {
    const struct run_repair_options *o;
    const struct config *config;
    struct config_store own;         /* when --store gave an address */
    const struct config_store *what; /* is healed: the first, or that of --store */
    struct run_repo base;            /* spool folder, keys and pool, for all of them */
    struct store *store;             /* that is healed */
    bool renewed;                    /* its root object */
    struct repo *first;
    struct run_repo *mirrors;
    size_t mirror_count;
    struct sha_list {
        struct sha *v;
        size_t n;
    } wanted,   /* snapshots that [retention] keeps and that only mirrors have */
        hidden; /* that this host took, and that lie below delete markers */
};

/* ---- opening ---- */
/* Those that open; at least one. The keys come from the first of them, whose keys objects are likely whole.
 */
static int open_mirrors(struct repairing *r, struct err *e)
{
    const struct config *c = r->config;
    struct err first = ERR_INIT;
    r->mirrors = xcalloc(c->store_count, sizeof *r->mirrors);
    for (size_t i = 1; i < c->store_count; i++) {
        struct run_access a = r->o->access;
        struct err why = ERR_INIT;
        if (r->o->from && strcmp(r->o->from, c->stores[i].name) != 0)
            continue;
        a.store_url = c->stores[i].name;
        a.no_cache = true;
        if (r->base.keys ? open_mirror(&r->base, &c->stores[i], c, &r->mirrors[r->mirror_count], &why) == 0
                         : run_open(&r->base, &a, RUN_BEST, &why) == 0) {
            r->mirror_count++;
            continue;
        }
        log_warn("mirror %s: %s", c->stores[i].name, why.text);
        if (!err_is_set(&first))
            first = why;
    }
    if (r->mirror_count)
        return 0;
    if (r->what->kind == STORE_BUCKET)
        err_set(e, first.kind,
                "%s (`lifeboat --store %s repair` takes from the bucket's own older versions alone)",
                first.text, r->what->name);
    else
        *e = first;
    return err_wrap(e, "there is no mirror to take from");
}

/* A bucket may have older versions of what is damaged, without any mirror. */
static int open_alone(struct repairing *r, struct err *e)
{
    struct run_access a = r->o->access;
    a.no_cache = true;
    return run_open_keys(&r->base, &a, RUN_BEST, e);
}

static int any_object(void *ctx, const struct store_object *o, struct err *e)
{
    (void)o, (void)e;
    *(bool *)ctx = true;
    return 1;
}

/* A mount point without its disk looks like a store that has lost everything. */
static int check_not_empty(const struct repairing *r, struct err *e)
{
    bool found = false;
    if (r->o->new_disk || store_list(r->store, "", any_object, &found, NULL, e))
        return r->o->new_disk ? 0 : -1;
    if (found)
        return 0;
    return err_set(
        e, ERR_USAGE,
        "%s: is empty: is the disk mounted? If it is a new one that shall take the old one's place: "
        "`lifeboat repair --new-disk`",
        store_title(r->store));
}

/* One that holds another repository is left alone. */
static int check_root(struct repairing *r, struct err *e)
{
    char id[REPOSITORY_ID_HEX];
    struct err why = ERR_INIT;
    int rc = repo_read_id(r->store, id, &why);
    if (rc == STORE_FAILED && why.kind != ERR_DAMAGED)
        return *e = why, -1;
    if (rc == STORE_DONE && strcmp(id, r->base.id) == 0)
        return 0;
    if (rc == STORE_DONE && !holds_our_snapshot(r->store, r->base.keys))
        return err_set(
            e, ERR_USAGE,
            "%s: its object lifeboat names repository %s, and the keys are for %s: is the right disk "
            "mounted? If that object is damaged, remove it, and repair again",
            store_title(r->store), id, r->base.id);
    r->renewed = true;
    return rc == STORE_ABSENT ? repo_create(r->store, r->base.keys, e)
                              : repo_renew_root(r->store, r->base.keys, e);
}

static int open_first(struct repairing *r, struct err *e)
{
    const struct config_store *s = r->what;
    const struct gc_bounds bounds = run_bounds(r->config);
    struct stat st;
    if (s->kind == STORE_FOLDER && stat(s->path, &st) != 0)
        return err_errno(e, ERR_USAGE, "store %s: is the disk mounted? (a new one: mkdir)", s->path);
    /* As init does: also without the object `lifeboat`. */
    r->store = open_configured(s, NULL, true, r->base.spool_dir, e);
    if (!r->store || check_not_empty(r, e) || check_root(r, e))
        return -1;
    const struct repo_options o = {.store = r->store,
                                   .keys = r->base.keys,
                                   .pool = r->base.pool,
                                   .spool_dir = r->base.spool_dir,
                                   .bounds = &bounds};
    r->first = repo_open(&o, e);
    return r->first ? 0 : -1;
}

/* ---- which snapshots come back ---- */
static bool has_sha(const struct sha_list *l, const struct sha *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (sha_equal(&l->v[i], id))
            return true;
    return false;
}

static bool has(const struct snapshots *all, const struct sha *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].id, id))
            return true;
    return false;
}

/* Takes over those of the mirror's that count and are new. */
static int add_snapshots(struct repo *mirror, struct snapshots *all, struct err *e)
{
    AUTO(snapshots) more = {0};
    if (snapshots_load(mirror, &more, e))
        return -1;
    for (size_t i = 0; i < more.n; i++) {
        if (more.v[i].forgotten_ns || more.v[i].broken || has(all, &more.v[i].id))
            continue;
        all->v = xrealloc(all->v, all->n + 1, sizeof *all->v);
        all->v[all->n++] = more.v[i];
        more.v[i] = (struct snapshot){0};
    }
    return 0;
}

/* What a prune has deleted looks like what was lost. [retention] tells: what it would not keep stays away. */
static int choose_snapshots(struct repairing *r, struct err *e)
{
    AUTO(retaining) t = {.config = r->config};
    if (snapshots_load(r->first, &t.all, e))
        return -1;
    size_t own = t.all.n;
    t.retention.now_ns = t.all.now_ns;
    for (size_t i = 0; i < r->mirror_count; i++)
        if (add_snapshots(i ? r->mirrors[i].repo : r->base.repo, &t.all, e))
            return -1;
    if (retaining_decide(&t, NULL, e))
        return -1;
    r->wanted.v = xcalloc(t.all.n, sizeof *r->wanted.v);
    for (size_t i = own; i < t.all.n; i++)
        if (!t.drop[i])
            r->wanted.v[r->wanted.n++] = t.all.v[i].id;
    return 0;
}

/* Nobody has said that they may go. A host remembers what it put into the first store. */
static int choose_hidden(struct repairing *r, struct err *e)
{
    AUTO(snapshots) all = {0};
    AUTO(newest) newest = {0};
    struct run_repo first = r->base; /* its keys and id */
    first.store = r->store;
    first.repo = r->first;
    if (r->what != &r->config->stores[0])
        return 0;
    if (snapshots_load(r->first, &all, e))
        return -1;
    run_newest(&first, r->config, &all, &newest);
    r->hidden.v = xcalloc(newest.n, sizeof *r->hidden.v);
    for (size_t i = 0; i < newest.n; i++)
        if (newest.v[i].unlisted && newest.v[i].lost && !has_sha(&r->hidden, &newest.v[i].snapshot))
            r->hidden.v[r->hidden.n++] = newest.v[i].snapshot;
    return 0;
}

static bool is_wanted(void *ctx, const struct snapshot *s)
{
    const struct repairing *r = ctx;
    return has_sha(&r->wanted, &s->id);
}

/* ---- the whole ---- */
static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct repairing *r = ctx;
    const struct run_progress p = {.what = "packs", .done = done, .total = total};
    if (r->o->progress)
        r->o->progress(r->o->progress_ctx, &p);
}

/* Onto an empty disk everything goes, several packs at a time. */
static int fill(struct repairing *r, struct repair_report *out, struct err *e)
{
    AUTO(copy_report) copied = {0};
    const struct copy_options o = {.progress = on_progress, .progress_ctx = r};
    if (!r->o->new_disk)
        return 0;
    int rc = repo_copy(r->base.repo, r->first, &o, &copied, e);
    out->bytes += copied.bytes;
    strings_add_fmt(&out->notes, "%llu packs and %llu snapshots were copied",
                    (unsigned long long)copied.packs, (unsigned long long)copied.snapshots);
    return rc;
}

static int open_all(struct repairing *r, struct err *e)
{
    const struct run_access *a = &r->o->access;
    const char *from = r->o->from;
    struct strings names = {.v = (char *[]){(char *)from}, .n = from != NULL};
    if (!r->config)
        return err_set(e, ERR_USAGE, "there is no configuration: give -c FILE besides --store");
    if (find_store(a, &r->own, &r->what, e))
        return -1;
    bool of_mirrors = from || r->o->new_disk || r->what->kind == STORE_FOLDER;
    bool alone = a->store_url || (r->config->store_count < 2 && !of_mirrors);
    if (a->store_url && of_mirrors)
        return err_set(e, ERR_USAGE,
                       "--store heals a bucket from older versions in it, and nothing else: without it the "
                       "first store is healed from its mirrors");
    if (!alone && check_mirrors(r->config, &names, e))
        return -1;
    return (alone ? open_alone(r, e) : open_mirrors(r, e)) || open_first(r, e) ? -1 : 0;
}

static int repair(struct repairing *r, struct repair_report *out, struct err *e)
{
    if (open_all(r, e))
        return -1;
    AUTO_FD lock = lock_take(r->config->state_dir, r->base.id, e);
    if (lock < 0 || choose_snapshots(r, e) || choose_hidden(r, e))
        return -1;
    struct repo **mirrors = xcalloc(r->mirror_count, sizeof(void *));
    for (size_t i = 0; i < r->mirror_count; i++)
        mirrors[i] = i ? r->mirrors[i].repo : r->base.repo;
    const struct repair_options o = {.read_percent = r->o->read_data ? 100 : 0,
                                     .wanted = is_wanted,
                                     .wanted_ctx = r,
                                     .hidden = r->hidden.v,
                                     .hidden_count = r->hidden.n,
                                     .progress = on_progress,
                                     .progress_ctx = r};
    AUTO(repair_report) filled = {0};
    int rc = fill(r, &filled, e);
    if (rc == 0)
        rc = repo_repair(r->first, mirrors, r->mirror_count, &o, out, e);
    if (r->renewed && rc == 0)
        strings_add(&out->healed, "lifeboat");
    out->bytes += filled.bytes;
    for (size_t i = 0; i < filled.notes.n; i++)
        strings_add(&out->notes, filled.notes.v[i]);
    free(mirrors);
    return rc;
}

int run_repair(const struct run_repair_options *o, struct repair_report *out, struct err *e)
{
    *out = (struct repair_report){0};
    struct repairing r = {.o = o, .config = o->access.config};
    int rc = repair(&r, out, e);
    repo_free(r.first);
    store_free(r.store);
    for (size_t i = 1; i < r.mirror_count; i++)
        run_repo_free(&r.mirrors[i]);
    free(r.mirrors);
    free(r.wanted.v);
    free(r.hidden.v);
    config_store_free(&r.own);
    run_repo_free(&r.base);
    return rc;
}
