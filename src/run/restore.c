#include "internal.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT_MAX (64u << 10) /* of the object `lifeboat` */

struct restoring {
    struct run_repo *repo;
    const struct run_restore_options *o;
    struct run_restored *out;
    const char *what; /* being restored, for the progress */
};

/* NULL-ended, borrowed texts; NULL for an empty list. */
static const char **text_list(const struct strings *s)
{
    if (s->n == 0)
        return NULL;
    const char **v = xcalloc(s->n + 1, sizeof *v);
    for (size_t i = 0; i < s->n; i++)
        v[i] = s->v[i];
    return v;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct restoring *r = ctx;
    const struct run_progress p = {.what = r->what, .done = done, .total = total};
    r->o->progress(r->o->progress_ctx, &p);
}

static void open_feed(struct restoring *r, const struct restore_item *i, struct stream_feed *f,
                      const struct range *ranges, size_t n)
{
    stream_feed_init(f, r->repo->repo, i->stream, ranges, n);
    r->what = i->source->name;
    f->progress = r->o->progress ? on_progress : NULL;
    f->progress_ctx = r;
}

static void take_counts(struct run_restored *out, struct target_counts *counts)
{
    out->entries = counts->entries;
    out->skipped = counts->skipped;
    out->notes = counts->notes;
    counts->notes = (struct strings)STRINGS_NONE;
}

static struct target_directory_options folder_options(const struct restoring *r, const struct restore_item *i)
{
    return (struct target_directory_options){
        .path = i->target, .overwrite = r->o->overwrite, .ownership = geteuid() == 0};
}

static struct target_postgres_options database_options(const struct restoring *r,
                                                       const struct restore_item *i,
                                                       const char *const *tables)
{
    return (struct target_postgres_options){.connection = i->server.source.connection,
                                            .container = i->server.container.id ? &i->server.container : NULL,
                                            .clean = r->o->clean,
                                            .tables = tables,
                                            .settings = &i->source->server_settings,
                                            .jobs = MAX(1u, r->o->jobs),
                                            .spool_dir = r->repo->spool_dir};
}

/* ---- looking before anything is written ---- */
/* By what its root object begins with: others may have files of that name, too. */
static bool is_repository(const char *folder)
{
    static const char start[] = "{\"format\":";
    AUTO_CHAR object = xasprintf("%s/lifeboat", folder);
    AUTO(buf) text = BUF_NONE;
    struct err ignored = ERR_INIT;
    struct stat st;
    return stat(object, &st) == 0 && S_ISREG(st.st_mode) &&
           file_read(object, ROOT_MAX, &text, &ignored) == 0 && bytes_start(buf_bytes(&text), start);
}

/* As far as there is a folder its real path, then as it is; NULL where nothing can be said. */
static char *real_path(const char *path)
{
    AUTO_CHAR at = xstrdup(path);
    for (char *slash;; *slash = 0) {
        AUTO_CHAR real = *at ? realpath(at, NULL) : xstrdup("");
        if (real)
            return xasprintf("%s%s", real, path + strlen(at));
        if (errno != ENOENT)
            return NULL;
        slash = strrchr(at, '/');
        if (!slash) {
            AUTO_CHAR here = realpath(".", NULL);
            return here ? xasprintf("%s/%s", here, path) : NULL;
        }
    }
}

static bool is_of_repository(const char *name)
{
    static const char *const names[] = {"", "keys", "packs", "index", "snapshots", "receipts", "marks"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Files among the objects of a repository, with its folder's mode become theirs, help nobody; and what bears
 * an object's name would take its place. A folder of its own beside them is no harm. */
static int refuse_repository(const char *target, struct err *e)
{
    AUTO_CHAR at = real_path(target);
    const char *below = ""; /* the name under `at` on the way to the target */
    for (char *slash = at; slash;) {
        if (is_of_repository(below) && is_repository(at))
            return err_set(e, ERR_USAGE,
                           "%s: lies in a repository of lifeboat, %s: restore into another folder", target,
                           at);
        slash = strrchr(at, '/');
        below = slash ? slash + 1 : NULL;
        while (slash > at && slash[-1] == '/')
            slash--;
        if (slash)
            *slash = 0;
    }
    return 0;
}

static int look(const struct restoring *r, const struct restore_item *i, struct err *e)
{
    struct target_directory_options folder = folder_options(r, i);
    if (i->kind == RESTORE_FD)
        return 0;
    if (i->kind != RESTORE_DATABASE)
        return refuse_repository(i->target, e) || target_directory_check(&folder, e) ? -1 : 0;
    const char **tables = text_list(r->o->tables);
    struct target_postgres_options database = database_options(r, i, tables);
    int rc = target_postgres_check(&database, e);
    free(tables);
    return rc;
}

/* ---- one source ---- */
/* Whoever reads that it is restored may pull the plug; and a disk tells here what it refused after it took a
 * write. */
static int sync_folder(const char *folder, struct err *e)
{
    AUTO_FD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES)
        return 0; /* it was restored with a mode that keeps its owner out */
    if (fd < 0 || syncfs(fd) != 0)
        return err_errno(e, ERR_IO, "%s: may not be on the disk: sync", folder);
    return 0;
}

static int to_folder(struct restoring *r, const struct restore_item *i, struct err *e)
{
    AUTO(partial) p = {0};
    AUTO(stream_feed) f = {0};
    AUTO(target_counts) counts = {0};
    struct target_directory_options o = folder_options(r, i);
    if (r->o->paths->n && partial_plan(r->repo, i->source, r->o->paths, &p, e))
        return -1;
    r->out->bytes = p.only ? p.bytes : i->stream->bytes;
    r->out->entries = p.only ? p.entries : i->source->files;
    if (r->o->dry_run)
        return 0;
    open_feed(r, i, &f, p.only ? p.ranges : &whole_stream, p.only ? p.range_count : 1);
    f.pad = p.only != NULL;
    o.only = (const char *const *)p.only;
    o.aliases = p.aliases;
    o.alias_count = p.alias_count;
    int rc = target_directory(&f.base, &o, &counts, e) || sync_folder(i->target, e) ? -1 : 0;
    take_counts(r->out, &counts);
    return rc;
}

static int to_database(struct restoring *r, const struct restore_item *i, struct err *e)
{
    AUTO(stream_feed) f = {0}, roles = {0};
    AUTO(target_counts) counts = {0};
    if (r->o->dry_run)
        return 0;
    const char **tables = text_list(r->o->tables);
    struct target_postgres_options o = database_options(r, i, tables);
    const struct stream_info *globals = r->o->globals ? snapshot_find_stream(i->source, "globals") : NULL;
    open_feed(r, i, &f, &whole_stream, 1);
    if (globals) {
        stream_feed_init(&roles, r->repo->repo, globals, &whole_stream, 1);
        o.globals = &roles.base;
    }
    int rc = target_postgres(&f.base, &o, &counts, e);
    free(tables);
    take_counts(r->out, &counts);
    return rc;
}

static int to_command(struct restoring *r, const struct restore_item *i, struct err *e)
{
    AUTO(stream_feed) f = {0};
    if (r->o->dry_run)
        return 0;
    if (dir_make(i->target, 0700, e))
        return -1;
    AUTO_CHAR folder = realpath(i->target, NULL);
    if (!folder)
        return err_errno(e, ERR_IO, "%s", i->target);
    open_feed(r, i, &f, &whole_stream, 1);
    const struct target_command_options o = {.what = "restore-command",
                                             .shell = i->config->restore_command,
                                             .target_dir = folder,
                                             .time_limit_s = (unsigned)i->config->time_limit_s};
    return target_command(&f.base, &o, e);
}

static int to_stdout(struct restoring *r, const struct restore_item *i, struct err *e)
{
    AUTO(stream_feed) f = {0};
    uint64_t bytes = 0;
    if (r->o->dry_run)
        return 0;
    open_feed(r, i, &f, &whole_stream, 1);
    return target_fd(&f.base, 1, "standard output", &bytes, e);
}

static int restore_one(struct restoring *r, const struct restore_item *i, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    int rc = -1;
    r->out->bytes = i->stream->bytes;
    switch (i->kind) {
    case RESTORE_FD:
        rc = to_stdout(r, i, e);
        break;
    case RESTORE_FOLDER:
        rc = to_folder(r, i, e);
        break;
    case RESTORE_DATABASE:
        rc = to_database(r, i, e);
        break;
    case RESTORE_COMMAND:
        rc = to_command(r, i, e);
        break;
    }
    r->out->seconds = (double)(time_monotonic_ns() - started) / 1e9;
    if (rc && i->kind == RESTORE_FOLDER)
        return err_wrap(e, "source %s into %s", i->source->name, i->target);
    return rc ? err_wrap(e, "source %s", i->source->name) : 0;
}

static void tell_left(const struct restore_plan *plan, size_t at)
{
    AUTO(buf) left = BUF_NONE;
    for (size_t i = at + 1; i < plan->n; i++)
        buf_add_fmt(&left, " %s", plan->v[i].source->name);
    if (left.n)
        log_warn("not tried after %s, which failed: name what else is wanted:%s", plan->v[at].source->name,
                 buf_cstr(&left));
}

static int restore_all(struct restoring *r, const struct restore_plan *plan, struct run_restore_result *out,
                       struct err *e)
{
    AUTO(buf) damaged = BUF_NONE;
    for (size_t i = 0; i < plan->n; i++) {
        struct err why = ERR_INIT;
        r->out = &out->v[out->n++];
        r->out->name = xstrdup(plan->v[i].source->name);
        r->out->type = xstrdup(plan->v[i].source->type);
        r->out->target = xstrdup(plan->v[i].target);
        if (restore_one(r, &plan->v[i], &why) == 0)
            continue;
        r->out->failed = true;
        if (why.kind != ERR_DAMAGED || plan->n == 1) {
            tell_left(plan, i);
            return *e = why, -1;
        }
        log_warn("%s", why.text);
        buf_add_fmt(&damaged, "%s%s", damaged.n ? ", " : "", r->out->name);
    }
    return damaged.n
               ? err_set(e, ERR_DAMAGED,
                         "damaged, and not restored or not whole: %s (an older snapshot may have it whole; "
                         "`lifeboat repair` heals it from a mirror)",
                         buf_cstr(&damaged))
               : 0;
}

int run_restore(struct run_repo *r, const struct snapshot *s, const struct run_restore_options *o,
                struct run_restore_result *out, struct err *e)
{
    *out = (struct run_restore_result){0};
    struct restoring ing = {.repo = r, .o = o};
    AUTO(restore_plan) plan = {0};
    if (restore_plan_make(s, o, &plan, e))
        return -1;
    for (size_t i = 0; i < plan.n; i++)
        if (look(&ing, &plan.v[i], e))
            return err_wrap(e, "source %s", plan.v[i].source->name);
    out->v = xcalloc(plan.n, sizeof *out->v);
    return restore_all(&ing, &plan, out, e);
}

void run_restore_result_free(struct run_restore_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].name);
        free(r->v[i].type);
        free(r->v[i].target);
        strings_free(&r->v[i].notes);
    }
    free(r->v);
    *r = (struct run_restore_result){0};
}
