#include "internal.h"

#include "base/file.h"
#include "base/log.h"
#include "codec/seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checking {
    run_progress_fn *progress;
    void *ctx;
};

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct checking *c = ctx;
    const struct run_progress p = {.what = "packs", .done = done, .total = total};
    if (c->progress)
        c->progress(c->ctx, &p);
}

/* ---- the rota: whose turn it is, counted from check to check ---- */
static char *rota_path(const struct run_access *a, const char *id)
{
    return a->config ? xasprintf("%s/%s/check.rota", a->config->state_dir, id) : NULL;
}

static uint64_t rota_read(const char *path)
{
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    if (!path || !file_is_there(path))
        return 0;
    if (file_read_regular(path, 64, &text, &why)) {
        log_warn("%s (the rota starts again)", why.text);
        return 0;
    }
    return strtoull(buf_cstr(&text), NULL, 10);
}

static void rota_write(const char *path, uint64_t value)
{
    char text[32];
    struct err why = ERR_INIT;
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)value);
    if (!path)
        return;
    if (make_parent_folder(path, &why) || file_write(path, BYTES(text, n), 0600, false, &why))
        log_warn("%s: the same share of the packs will be read next time", why.text);
}

/* ---- the object `lifeboat`: without it nothing opens, so it is looked at first ---- */
struct probe {
    struct store *store;
    const struct keyring *keys;
    bool opened;
};

static int try_to_open(void *ctx, const struct store_object *o, struct err *e)
{
    struct probe *p = ctx;
    AUTO(buf) sealed = BUF_NONE, plain = BUF_NONE;
    struct err why = ERR_INIT;
    (void)e;
    if (store_get(p->store, o->name, OBJECT_LIMIT, &sealed, &why) != STORE_DONE ||
        object_open(p->keys, OBJECT_SNAPSHOT, buf_bytes(&sealed), &plain, &why))
        return 0;
    p->opened = true;
    return 1;
}

bool holds_our_snapshot(struct store *s, const struct keyring *k)
{
    struct err why = ERR_INIT;
    struct probe p = {.store = s, .keys = k};
    (void)!store_list(s, "snapshots/", try_to_open, &p, NULL, &why);
    return p.opened;
}

/* Whether the store, whatever that object says, holds our repository: our identity opened its keys, or a
 * snapshot in it opens with our writer key. */
static bool is_ours(const struct run_repo *r)
{
    return keyring_can_read(r->keys) || holds_our_snapshot(r->store, r->keys);
}

static void add_error(struct check_report *report, const char *object, const char *what)
{
    report->errors = xrealloc(report->errors, report->error_count + 1, sizeof *report->errors);
    report->errors[report->error_count++] =
        (struct check_error){.object = xstrdup(object), .what = xstrdup(what)};
}

/* 1: it is damaged, and the report says so. */
static int check_root(const struct run_access *a, const struct run_repo *r, struct check_report *report,
                      struct err *e)
{
    AUTO(config_store) own = {0};
    const struct config_store *s;
    char id[REPOSITORY_ID_HEX];
    struct err why = ERR_INIT;
    int rc = repo_read_id(r->store, id, &why);
    if (rc == STORE_DONE && (strcmp(id, r->id) == 0 || !is_ours(r)))
        return 0;
    if (rc == STORE_FAILED && why.kind != ERR_DAMAGED) {
        *e = why;
        return -1;
    }
    if (find_store(a, &own, &s, e))
        return -1;
    AUTO_CHAR run = a->store_url ? xasprintf("Run `lifeboat --store %s repair`", a->store_url)
                                 : xstrdup("Run `lifeboat repair`");
    AUTO_CHAR what = xasprintf(
        "%s%s%s: it is damaged. %s, which makes it anew from the keys",
        err_is_set(&why) ? "cannot be read (" : "does not name this repository", why.text,
        err_is_set(&why) ? ")" : "",
        s->kind == STORE_FOLDER ? "Remove that one file from the store and run `lifeboat init`" : run);
    add_error(report, "lifeboat", what);
    return 1;
}

/* What nothing in the store points to any more: this host remembers it. */
static void add_lost(const struct run_repo *r, const struct config *c, const struct snapshots *all,
                     struct check_report *report)
{
    AUTO(newest) newest = {0};
    run_newest(r, c, all, &newest);
    for (size_t i = 0; i < newest.n; i++) {
        char hex[SHA_HEX];
        sha_hex(hex, &newest.v[i].snapshot);
        AUTO_CHAR object = xasprintf("snapshots/%s", hex);
        AUTO_CHAR why = newest.v[i].lost ? newest_explain(&newest.v[i]) : NULL;
        if (why)
            add_error(report, object, why);
    }
}

int run_check(const struct run_access *a, unsigned read_percent, run_progress_fn *progress,
              void *progress_ctx, struct run_check_result *out, struct err *e)
{
    *out = (struct run_check_result){0};
    AUTO(run_repo) r = {0};
    struct run_access itself = *a;
    itself.no_cache = true;
    if (run_open_keys(&r, &itself, RUN_BEST, e))
        return -1;
    int root = check_root(a, &r, &out->report, e);
    if (root)
        return root < 0 ? -1 : 0;
    const struct repo_options options = {
        .store = r.store, .keys = r.keys, .pool = r.pool, .spool_dir = r.spool_dir};
    r.repo = repo_open(&options, e);
    if (!r.repo || snapshots_load(r.repo, &out->snapshots, e))
        return -1;
    AUTO_CHAR path = rota_path(a, r.id);
    struct checking c = {.progress = progress, .ctx = progress_ctx};
    const struct check_options o = {
        .read_percent = read_percent, .rota = rota_read(path), .progress = on_progress, .progress_ctx = &c};
    if (repo_check(r.repo, &o, &out->report, e))
        return -1;
    if (!a->store_url)
        add_lost(&r, a->config, &out->snapshots, &out->report);
    if (read_percent > 0 && read_percent < 100)
        rota_write(path, o.rota + 1);
    return 0;
}

void run_check_result_free(struct run_check_result *r)
{
    check_report_free(&r->report);
    snapshots_free(&r->snapshots);
}
