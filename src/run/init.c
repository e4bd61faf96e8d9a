/* init. The order makes it safe to be killed anywhere, and another init finishes:
 *   1. the identity under a name of its own (PATH.new): unfinished, so a later init may overwrite it;
 *   2. the keys object in the store, wrapped for it: from here on nothing can be lost;
 *   3. the identity under its name; 4. writer.key; 5. the object `lifeboat`: now it is a repository. */
#include "internal.h"

#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct initialising {
    const struct run_init_options *o;
    const struct config *config;
    struct run_init_result *out;
    struct store *store;
    const char *path; /* of the identity on this host, or NULL */
    char *staged;     /* PATH.new */
    bool has_root;    /* the object `lifeboat` */
    char root_id[REPOSITORY_ID_HEX];
};

static void keep_identity(struct initialising *n, struct identity *id, const char *path)
{
    identity_free(n->out->identity);
    n->out->identity = id;
    free(n->out->identity_path);
    n->out->identity_path = path ? xstrdup(path) : NULL;
}

/* ---- mirrors ---- */
/* 1: made, 0: it was there. */
static int make_mirror(const struct config_store *s, const struct config *c, const struct keyring *k,
                       struct err *e)
{
    char ours[REPOSITORY_ID_HEX], there[REPOSITORY_ID_HEX];
    AUTO_PTR(store) store = open_configured(s, NULL, true, c->state_dir, e);
    if (!store)
        return -1;
    int rc = repo_read_id(store, there, e);
    keyring_repository_hex(k, ours);
    if (rc == STORE_ABSENT)
        return repo_create(store, k, e) ? -1 : 1;
    if (rc != STORE_DONE || strcmp(ours, there) == 0)
        return rc;
    return err_set(e, ERR_USAGE, "%s: holds repository %s, and this is %s: it is not touched",
                   store_title(store), there, ours);
}

/* The number of those that were made. One that cannot be does no harm to the others. */
static size_t make_mirrors(struct initialising *n, const struct keyring *k)
{
    size_t made = 0;
    for (size_t i = 1; i < n->config->store_count; i++) {
        const struct config_store *s = &n->config->stores[i];
        struct err why = ERR_INIT;
        int rc = make_mirror(s, n->config, k, &why);
        made += rc > 0;
        if (rc < 0)
            strings_add_fmt(&n->out->not_mirrors, "%s: %s", s->name, why.text);
        else
            strings_add(&n->out->mirrors, s->name);
    }
    return made;
}

/* Steps 4 and 5, as far as they are not done. */
static int publish(struct initialising *n, const struct keyring *k, struct err *e)
{
    char id[REPOSITORY_ID_HEX];
    keyring_repository_hex(k, id);
    if (n->has_root && strcmp(id, n->root_id) != 0)
        return err_set(e, ERR_USAGE,
                       "%s: holds repository %s, but the key is for %s: is the right disk mounted?",
                       store_title(n->store), n->root_id, id);
    if (!file_is_there(n->config->writer_key) && write_writer_key(n->config->writer_key, k, e))
        return -1;
    if (!n->has_root && repo_create(n->store, k, e))
        return -1;
    memcpy(n->out->id, id, sizeof id);
    make_mirrors(n, k);
    return 0;
}

static int create(struct initialising *n, struct err *e)
{
    if (!n->path)
        return err_set(
            e, ERR_USAGE,
            "[keys] names no identity, so this will be a write-only host: say with --identity-out FILE where "
            "the key that reads goes (then take that file away from here), or set [keys] identity");
    AUTO_PTR(keyring) k = keyring_new_random();
    AUTO_PTR(identity) id = identity_new(keyring_repository_id(k));
    if (write_identity(n->staged, id, false, e) ||
        keys_add_recipient(n->store, k, id->recipient, "init", e) || write_identity(n->path, id, true, e))
        return -1;
    unlink(n->staged);
    if (publish(n, k, e))
        return -1;
    n->out->outcome = RUN_INIT_CREATED;
    keep_identity(n, STEAL(id), n->path);
    return 0;
}

/* The identity of an init that was cut off between its steps 2 and 3. 1: taken up, 0: there is none. */
static int take_up_staged(struct initialising *n, struct err *e)
{
    struct err why = ERR_INIT;
    if (!n->path || !file_is_there(n->staged) || file_is_there(n->path))
        return 0;
    AUTO_PTR(identity) id = read_identity(n->staged, &why);
    AUTO_PTR(keyring) k = id ? keys_open_identity(n->store, id, &why) : NULL;
    if (!k && why.kind == ERR_USAGE)
        return 0; /* cut off before step 2: nothing was ever sealed for it */
    if (!k) {
        *e = why;
        return -1;
    }
    if (write_identity(n->path, id, true, e))
        return -1;
    unlink(n->staged);
    return 1;
}

/* With a key that reads: this host joins, or an init that was cut off is finished. */
static int join(struct initialising *n, const struct run_access *a, struct err *e)
{
    struct identity *id = NULL;
    AUTO_PTR(keyring) k = open_reader(a, n->store, &id, e);
    if (!k)
        return -1;
    keep_identity(n, id, identity_file(a));
    n->out->outcome = n->has_root ? RUN_INIT_JOINED : RUN_INIT_FINISHED;
    return publish(n, k, e);
}

/* There is a writer.key. Only the last step can be missing. */
static int finish_with_writer(struct initialising *n, struct err *e)
{
    char id[REPOSITORY_ID_HEX];
    struct key_object *readers;
    size_t count;
    AUTO_PTR(keyring) k = read_writer_key(n->config->writer_key, e);
    if (!k)
        return -1;
    keyring_repository_hex(k, id);
    bool is_set_up = n->has_root && strcmp(id, n->root_id) == 0;
    if (is_set_up && (make_mirrors(n, k) || n->out->not_mirrors.n)) { /* one was added */
        n->out->outcome = RUN_INIT_MIRRORED;
        memcpy(n->out->id, id, sizeof id);
        return 0;
    }
    if (is_set_up)
        return err_set(e, ERR_USAGE, "repository %s in %s is set up already, with %s: nothing was changed",
                       id, store_title(n->store), n->config->writer_key);
    if (n->has_root)
        return err_set(e, ERR_USAGE, "%s is for repository %s, but %s holds %s: is the right disk mounted?",
                       n->config->writer_key, id, store_title(n->store), n->root_id);
    if (keys_list(n->store, &readers, &count, e))
        return -1;
    free(readers);
    if (count == 0)
        return err_set(e, ERR_USAGE,
                       "%s is for repository %s, and %s holds nothing of it: is the right disk mounted? To "
                       "start a new repository, move the old key files away first",
                       n->config->writer_key, id, store_title(n->store));
    n->out->outcome = RUN_INIT_FINISHED;
    if (publish(n, k, e))
        return -1;
    if (n->path && file_is_there(n->path)) {
        struct identity *identity = read_identity(n->path, e);
        if (!identity)
            return -1;
        keep_identity(n, identity, n->path);
    }
    return 0;
}

static int set_up(struct initialising *n, struct err *e)
{
    const struct run_access *named = &n->o->access;
    if (file_is_there(n->config->writer_key))
        return finish_with_writer(n, e);
    if (named->identity_file || named->passphrase_file)
        return join(n, named, e);
    if (take_up_staged(n, e) < 0)
        return -1;
    if (n->path && file_is_there(n->path)) {
        const struct run_access own = {.config = n->config, .identity_file = n->path};
        if (join(n, &own, e) == 0) {
            unlink(n->staged); /* cut off between putting the name and taking the other away */
            return 0;
        }
        if (!n->has_root && e->kind == ERR_USAGE)
            return err_wrap(e, "%s is there and is not overwritten; move it away to make a new repository",
                            n->path);
        return -1;
    }
    if (n->has_root)
        return err_set(e, ERR_USAGE,
                       "%s: holds repository %s already: to let this host join it, give --identity FILE or "
                       "--passphrase-file FILE",
                       store_title(n->store), n->root_id);
    return create(n, e);
}

static int look_at_store(struct initialising *n, struct err *e)
{
    int rc = repo_read_id(n->store, n->root_id, e);
    n->has_root = rc == STORE_DONE;
    return rc == STORE_FAILED ? -1 : 0;
}

static void measure(struct initialising *n)
{
    struct stat st;
    struct err ignored = ERR_INIT;
    n->out->has_space =
        store_space(n->store, &n->out->free_bytes, &n->out->total_bytes, &ignored) == STORE_DONE;
    if (n->config->stores[0].path && stat(n->config->stores[0].path, &st) == 0)
        n->out->device = st.st_dev;
    n->out->one_box = n->config->identity && file_is_there(n->config->identity);
}

int run_init(const struct run_init_options *o, struct run_init_result *out, struct err *e)
{
    *out = (struct run_init_result){0};
    const struct config *c = o->access.config;
    if (c->identity && o->identity_out)
        return err_set(
            e, ERR_USAGE,
            "[keys] identity says already where the identity goes (%s); --identity-out is for hosts "
            "that are not to keep it",
            c->identity);
    if (dir_make(c->state_dir, 0700, e) || dir_make(c->cache_dir, 0700, e))
        return -1;
    AUTO_PTR(store) store = open_store(&o->access, true, e);
    if (!store)
        return -1;
    struct initialising n = {
        .o = o, .config = c, .out = out, .store = store, .path = c->identity ? c->identity : o->identity_out};
    AUTO_CHAR staged = n.path ? xasprintf("%s.new", n.path) : NULL;
    n.staged = staged;
    int rc = look_at_store(&n, e) || set_up(&n, e) ? -1 : 0;
    if (rc)
        run_init_result_free(out);
    else
        measure(&n);
    return rc;
}

void run_init_result_free(struct run_init_result *r)
{
    identity_free(r->identity);
    free(r->identity_path);
    strings_free(&r->mirrors);
    strings_free(&r->not_mirrors);
    *r = (struct run_init_result){0};
}
