/* copy: what the first store holds goes to the mirrors. */
#include "internal.h"

#include "base/file.h"
#include "base/log.h"
#include "report/status.h"

#include <stdlib.h>
#include <string.h>

struct copying {
    const struct config_store *store;
    run_progress_fn *progress;
    void *ctx;
};

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct copying *c = ctx;
    const struct run_progress p = {.what = c->store->name, .done = done, .total = total};
    if (c->progress)
        c->progress(c->ctx, &p);
}

/* ---- which mirrors ---- */
static bool is_mirror(const struct config *c, const char *name)
{
    for (size_t i = 1; i < c->store_count; i++)
        if (strcmp(c->stores[i].name, name) == 0)
            return true;
    return false;
}

int check_mirrors(const struct config *c, const struct strings *names, struct err *e)
{
    AUTO(buf) list = BUF_NONE;
    if (c->store_count < 2)
        return err_set(e, ERR_USAGE, "%s: has no mirror: a second [store NAME] is one", c->file);
    for (size_t i = 1; i < c->store_count; i++)
        buf_add_fmt(&list, "%s%s", i > 1 ? ", " : "", c->stores[i].name);
    for (size_t i = 0; i < names->n; i++) {
        if (is_mirror(c, names->v[i]))
            continue;
        AUTO_CHAR shown = text_printable(names->v[i], strlen(names->v[i]));
        return err_set(e, ERR_USAGE, "%s: is no mirror; there is: %s", shown, buf_cstr(&list));
    }
    return 0;
}

int open_mirror(const struct run_repo *first, const struct config_store *s, const struct config *c,
                struct run_repo *out, struct err *e)
{
    const struct gc_bounds bounds = run_bounds(c);
    *out = (struct run_repo){.store = open_configured(s, c, false, first->spool_dir, e)};
    if (!out->store)
        return -1;
    const struct repo_options o = {.store = out->store,
                                   .keys = first->keys,
                                   .pool = first->pool,
                                   .spool_dir = first->spool_dir,
                                   .bounds = &bounds};
    out->repo = repo_open(&o, e);
    if (out->repo)
        return 0;
    run_repo_free(out);
    return -1;
}

/* ---- copying ---- */
int copy_to(const struct run_repo *first, struct repo *mirror, const struct config_store *s,
            run_progress_fn *progress, void *ctx, struct copy_report *out, struct err *e)
{
    struct copying c = {.store = s, .progress = progress, .ctx = ctx};
    const struct copy_options o = {.progress = on_progress, .progress_ctx = &c};
    return repo_copy(first->repo, mirror, &o, out, e);
}

/* What the new snapshots need there must stay locked as long as they do. */
static int extend_locks(const struct run_repo *first, struct repo *mirror, const struct config *c,
                        const struct config_store *s, struct err *e)
{
    AUTO_CHAR folder = xasprintf("%s/%s", c->state_dir, first->id);
    if (!s->object_lock_days)
        return 0;
    if (dir_make(folder, 0700, e))
        return -1;
    int rc = locks_extend(mirror, s, folder, e);
    return rc == COMMIT_REPEAT
               ? err_set(e, ERR_FAILED, "%s: locks of packs that are needed there could not be extended",
                         store_title(repo_store(mirror)))
               : rc;
}

/* For `status`. */
static void remember(const struct run_repo *first, const struct config *c, const struct run_copied *copied,
                     int64_t began_ns)
{
    AUTO_CHAR folder = xasprintf("%s/%s", c->state_dir, first->id);
    const struct strings *notes = &copied->report.notes;
    const char *error = copied->error ? copied->error : notes->n ? notes->v[notes->n - 1] : "snapshots wait";
    bool good = run_copied_is_good(copied);
    struct err why = ERR_INIT;
    if (mirror_note_save(folder, copied->name, good ? began_ns : 0, good ? NULL : error, &why))
        log_warn("mirror %s: `lifeboat status` will not know of this copy: %s", copied->name, why.text);
}

/* One that fails is a result; only being stopped ends the whole. */
static int copy_one(const struct run_repo *first, const struct config *c, const struct config_store *s,
                    run_progress_fn *progress, void *ctx, struct run_copied *out, struct err *e)
{
    AUTO(run_repo) mirror = {0};
    struct err why = ERR_INIT;
    int64_t began_ns = time_now_ns();
    out->name = xstrdup(s->name);
    if (open_mirror(first, s, c, &mirror, &why) ||
        copy_to(first, mirror.repo, s, progress, ctx, &out->report, &why) ||
        extend_locks(first, mirror.repo, c, s, &why)) {
        if (why.kind == ERR_STOPPED)
            return *e = why, -1;
        out->error = xstrdup(why.text);
    }
    remember(first, c, out, began_ns);
    return 0;
}

int copy_to_mirrors(const struct run_repo *first, const struct config *c, const struct strings *names,
                    run_progress_fn *progress, void *ctx, struct run_copy_result *out, struct err *e)
{
    out->v = xcalloc(c->store_count, sizeof *out->v);
    for (size_t i = 1; i < c->store_count; i++)
        if ((names->n == 0 || strings_has(names, c->stores[i].name)) &&
            copy_one(first, c, &c->stores[i], progress, ctx, &out->v[out->n++], e))
            return -1;
    return 0;
}

int run_copy(const struct run_access *a, const struct strings *names, run_progress_fn *progress,
             void *progress_ctx, struct run_copy_result *out, struct err *e)
{
    *out = (struct run_copy_result){0};
    AUTO(run_repo) first = {0};
    if (check_mirrors(a->config, names, e) || run_open(&first, a, RUN_LOOK, e))
        return -1;
    return copy_to_mirrors(&first, a->config, names, progress, progress_ctx, out, e);
}

bool run_copied_is_good(const struct run_copied *c)
{
    return !c->error && c->report.waiting == 0 && c->report.left_out == 0;
}

void run_copy_result_free(struct run_copy_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].name);
        free(r->v[i].error);
        copy_report_free(&r->v[i].report);
    }
    free(r->v);
    *r = (struct run_copy_result){0};
}
