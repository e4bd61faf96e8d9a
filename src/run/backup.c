/* backup: each source into streams, then the index, then the snapshot: only that makes it count. */
#include "internal.h"

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "repo/gc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The second night of a 226 MB dump, lists and indexes included, took 8.5 MB with chunks of 16 KiB, 4.7 MB
 * with 8 KiB, 3.6 MB with 4 KiB, which doubles the index again. Folders change by whole files, so larger ones
 * do. Of 204 MB of text and tables level 2 made 67.2 MB in 0.49 s, level 3 65.4 MB in 0.66 s. */
#define DATABASE_MEAN  (8u << 10)
#define VOLUME_MEAN    (64u << 10)
#define DATABASE_LEVEL 1
#define VOLUME_LEVEL   2

#define TRIES 3 /* of a run whose packs a prune condemns, or that is put to sleep, again and again */

struct backing_up {
    const struct run_backup_options *o;
    struct run_backup_result *out;
    struct run_repo repo;
    struct snapshots before;
    struct writer *writer;
    char *state_dir, *cache_dir; /* of this repository */
    const char *source;          /* being taken, for the progress */
    uint64_t new_before;         /* bytes that earlier sources brought */
    struct buf *states;          /* one for each source of the snapshot: kept once it is committed */
};

/* ---- which sources ---- */
static const struct config_source *find_source(const struct config *c, const char *name, struct err *e)
{
    const struct config_source *s = config_find_source(c, name);
    if (s)
        return s;
    const char **words = xcalloc(c->source_count + 1, sizeof *words);
    for (size_t i = 0; i < c->source_count; i++)
        words[i] = c->sources[i].name;
    const char *near = nearest_word(name, words);
    err_set(e, ERR_USAGE, "%s: there is no [source %s]%s%s%s", c->file, name, near ? ": did you mean " : "",
            near ? near : "", near ? "?" : "");
    free(words);
    return NULL;
}

int run_order_sources(const struct config *c, const struct strings *names, const struct config_source ***out,
                      size_t *n, struct err *e)
{
    static const enum source_type order[] = {SOURCE_POSTGRES, SOURCE_VOLUME, SOURCE_COMMAND};
    for (size_t i = 0; i < names->n; i++)
        if (!find_source(c, names->v[i], e))
            return -1;
    if (c->source_count == 0)
        return err_set(e, ERR_USAGE, "%s: has no [source NAME]: there is nothing to back up", c->file);
    *out = xcalloc(c->source_count, sizeof **out);
    *n = 0;
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < c->source_count; i++) {
            const struct config_source *s = &c->sources[i];
            if (s->type == order[k] && (names->n == 0 || strings_has(names, s->name)))
                (*out)[(*n)++] = s;
        }
    return 0;
}

/* ---- one source ---- */
static struct chunk_params params_for(const struct config_source *s, uint32_t mean)
{
    if (s->chunk_mean)
        mean = s->chunk_mean;
    return (struct chunk_params){.min = mean / 4, .mean = mean, .max = 4 * mean};
}

static int level_for(const struct config *c, const struct config_source *s, int own)
{
    return s->compression ? s->compression : c->compression ? c->compression : own;
}

static void on_progress(void *ctx, uint64_t done, uint64_t expected)
{
    struct backing_up *b = ctx;
    if (!b->o->progress)
        return;
    struct writer_stats now;
    writer_stats(b->writer, &now);
    const struct run_progress p = {.what = b->source,
                                   .done = done,
                                   .total = expected,
                                   .fresh = now.new_bytes - b->new_before,
                                   .is_backup = true};
    b->o->progress(b->o->progress_ctx, &p);
}

/* What earlier snapshots of this host say of a source: into *env that of the last good one. */
static void look_back(const struct backing_up *b, const char *name, uint64_t *sequence,
                      struct source_env *env)
{
    *sequence = newest_sequence(&b->out->newest, name); /* a store that was put back does not know */
    for (size_t i = 0; i < b->before.n; i++) {
        const struct snapshot_source *s = snapshot_find_source(&b->before.v[i], name);
        if (!s || b->before.v[i].broken || strcmp(b->before.v[i].host, b->o->config->host) != 0)
            continue;
        *sequence = MAX(*sequence, s->sequence);
        if (s->verdict == VERDICT_GOOD) { /* they come oldest first */
            env->last_good_bytes = s->bytes;
            env->last_good_files = s->files;
        }
    }
}

static void move_result(struct snapshot_source *to, struct source_result *from)
{
    to->verdict = from->verdict;
    to->bytes = from->bytes;
    to->files = from->files;
    to->server_id = STEAL(from->server_id);
    to->database_bytes = from->database_bytes;
    to->reasons = from->reasons;
    to->notes = from->notes;
    to->server_settings = from->server_settings;
    from->reasons = from->notes = from->server_settings = (struct strings)STRINGS_NONE;
    if (from->verdict == VERDICT_FAILED)
        return; /* what streams it began are abandoned */
    to->streams = STEAL(from->streams);
    to->stream_count = from->stream_count;
    for (size_t i = 0; i < to->stream_count; i++) {
        to->new_bytes += to->streams[i].new_bytes;
        to->stored_bytes += to->streams[i].stored_bytes;
    }
}

/* -1 only when the whole run is to end. */
static int take_source(struct backing_up *b, const struct config_source *s, size_t number, struct err *e)
{
    struct err why = ERR_INIT;
    AUTO(buf) state = BUF_NONE;
    AUTO(source_result) result = SOURCE_RESULT_NONE;
    uint64_t sequence, started = time_monotonic_ns();
    last_load(b->state_dir, s->name, &state);
    struct source_env env = {.writer = b->writer,
                             .config = b->o->config,
                             .source = s,
                             .temp_dir = b->state_dir,
                             .cache_dir = b->cache_dir,
                             .run_cut_key = keyring_current(b->repo.keys)->run_cut,
                             .volume_params = params_for(s, VOLUME_MEAN),
                             .database_params = params_for(s, DATABASE_MEAN),
                             .volume_level = level_for(b->o->config, s, VOLUME_LEVEL),
                             .database_level = level_for(b->o->config, s, DATABASE_LEVEL),
                             .read_all = b->o->read_all,
                             .last_good_state = buf_bytes(&state),
                             .progress = on_progress,
                             .progress_ctx = b};
    struct writer_stats before;
    look_back(b, s->name, &sequence, &env);
    writer_stats(b->writer, &before);
    b->source = s->name;
    b->new_before = before.new_bytes;
    int rc = source_backup(&env, &result, &why);
    if (rc && why.kind == ERR_STOPPED) {
        *e = why;
        return -1;
    }
    if (rc)
        result.verdict = VERDICT_FAILED;
    struct snapshot_source *to = snapshot_add_source(&b->out->snapshot);
    to->name = xstrdup(s->name);
    to->type = xstrdup(source_type_name(s->type));
    to->sequence = MIN(sequence, (uint64_t)INT64_MAX - 1) + 1; /* JSON holds no more */
    to->seconds = (double)(time_monotonic_ns() - started) / 1e9;
    to->error = rc ? xstrdup(why.text) : NULL;
    move_result(to, &result);
    b->states[number] = result.state;
    result.state = (struct buf)BUF_NONE;
    b->out->snapshot.verdict = verdict_worse(b->out->snapshot.verdict, to->verdict);
    return 0;
}

/* ---- the run ---- */
static bool all_failed(const struct snapshot *s)
{
    for (size_t i = 0; i < s->source_count; i++)
        if (s->sources[i].verdict != VERDICT_FAILED)
            return false;
    return true;
}

static int prepare(struct backing_up *b, struct err *e)
{
    const struct config *c = b->o->config;
    b->state_dir = xasprintf("%s/%s", c->state_dir, b->repo.id);
    b->cache_dir = xasprintf("%s/%s", c->cache_dir, b->repo.id);
    AUTO_CHAR keys = xasprintf("%s/keys", b->state_dir);
    struct err lost = ERR_INIT; /* told by who misses it */
    if (dir_make(b->state_dir, 0700, e))
        return -1;
    (void)!dir_make(b->cache_dir, 0700, &lost);
    bool any_reader;
    if (keys_keep(b->repo.store, keys, &any_reader, e) || snapshots_load(b->repo.repo, &b->before, e))
        return -1;
    say_unreadable(&b->before);
    run_newest(&b->repo, c, &b->before, &b->out->newest);
    b->out->newest.no_reader = !any_reader;
    newest_keep(&b->repo, c, &b->out->newest);
    return 0;
}

/* The snapshot is there: its loss would be noticed from now on. */
static void remember_newest(struct backing_up *b)
{
    const struct config *c = b->o->config;
    for (size_t i = 0; i < b->before.n; i++)
        if (snapshot_counts(&b->before.v[i]) && strcmp(b->before.v[i].host, c->host) == 0)
            newest_learn(&b->out->newest, &b->before.v[i], 0);
    newest_learn(&b->out->newest, &b->out->snapshot, time_now_ns());
    newest_keep(&b->repo, c, &b->out->newest);
}

static void start_over(struct backing_up *b)
{
    writer_free(STEAL(b->writer));
    for (size_t i = 0; i < b->out->snapshot.source_count; i++)
        buf_free(&b->states[i]);
    snapshot_free(&b->out->snapshot);
}

static int commit(struct backing_up *b, struct err *e)
{
    struct snapshot *s = &b->out->snapshot;
    if (writer_finish(b->writer, &b->out->stats, e) || stop_check(e))
        return -1;
    int rc = locks_extend(b->repo.repo, &b->o->config->stores[0], b->state_dir, e);
    if (rc == COMMIT_DONE)
        rc = snapshot_commit(b->repo.repo, s, e);
    if (rc != COMMIT_DONE)
        return rc;
    b->out->written = true;
    remember_newest(b);
    for (size_t i = 0; i < s->source_count; i++)
        if (s->sources[i].verdict == VERDICT_GOOD)
            last_save(b->state_dir, s, &s->sources[i], buf_bytes(&b->states[i]));
    if (b->o->pin && mark_pin(b->repo.repo, &s->id, b->o->pin, e))
        return err_wrap(e, "the snapshot was written, but it is not pinned");
    return 0;
}

/* One view, every source, one commit: COMMIT_REPEAT as snapshot_commit(). */
static int try_once(struct backing_up *b, const struct config_source *const *sources, size_t n, struct err *e)
{
    struct snapshot *s = &b->out->snapshot;
    uint64_t started = time_monotonic_ns();
    if (repo_load(b->repo.repo, e) || !(b->writer = writer_new(b->repo.repo, e)))
        return -1;
    s->time_ns = time_now_ns();
    s->host = xstrdup(b->o->config->host);
    for (size_t i = 0; i < b->o->tags->n; i++)
        strings_add(&s->tags, b->o->tags->v[i]);
    for (size_t i = 0; i < n; i++)
        if (stop_check(e) || take_source(b, sources[i], i, e))
            return -1;
    s->seconds = (double)(time_monotonic_ns() - started) / 1e9;
    return all_failed(s) ? 0 : commit(b, e);
}

/* What a try has uploaded is found by the next one, and the run cache spares reading most files again. */
static int back_up(struct backing_up *b, const struct config_source *const *sources, size_t n, struct err *e)
{
    if (prepare(b, e))
        return -1;
    for (int i = 0; i < TRIES; i++) {
        int rc = try_once(b, sources, n, e);
        if (rc != COMMIT_REPEAT)
            return rc;
        start_over(b);
    }
    return err_set(
        e, ERR_FAILED,
        "%s: every try took longer than the grace allows: a prune condemned what it needs, or this machine "
        "was asleep, %d times; raise [retention] grace on every host, or back up fewer sources in one run",
        store_title(b->repo.store), TRIES);
}

static int check_words(const struct run_backup_options *o, struct err *e)
{
    for (size_t i = 0; i < o->tags->n; i++) {
        size_t n = strlen(o->tags->v[i]);
        if (n == 0 || n > 100 || !utf8_is_valid(o->tags->v[i], n))
            return err_set(e, ERR_USAGE, "--tag: a tag has 1 to 100 bytes of UTF-8");
    }
    if (o->pin && (!*o->pin || strlen(o->pin) > 500 || !utf8_is_valid(o->pin, strlen(o->pin))))
        return err_set(e, ERR_USAGE, "--pin: the reason has 1 to 500 bytes of UTF-8");
    return 0;
}

/* The run's own hooks stand around the sources; mirrors come after. */
static int back_up_between_hooks(struct backing_up *b, const struct config_source *const *sources, size_t n,
                                 struct err *e)
{
    const struct config *c = b->o->config;
    struct err hook = ERR_INIT;
    if (source_run_hook(NULL, "before", c->before, e))
        return err_wrap(e, "[general]");
    int rc = back_up(b, sources, n, e);
    if (source_run_hook(NULL, "after", c->after, &hook))
        b->out->hook_error = xasprintf("[general] %s", hook.text);
    return rc;
}

static void run_failure_hook(const struct backing_up *b, int rc)
{
    struct err hook = ERR_INIT;
    if ((rc || b->out->snapshot.verdict == VERDICT_FAILED) &&
        source_run_hook(NULL, "on-failure", b->o->config->on_failure, &hook))
        log_warn("[general] %s", hook.text);
}

int run_backup(const struct run_backup_options *o, struct run_backup_result *out, struct err *e)
{
    *out = (struct run_backup_result){0};
    struct backing_up b = {.o = o, .out = out};
    const struct config_source **sources = NULL;
    const struct run_access access = {.config = o->config};
    size_t n = 0;
    if (check_words(o, e) || run_order_sources(o->config, o->sources, &sources, &n, e))
        return -1;
    if (o->config->nice && setpriority(PRIO_PROCESS, 0, o->config->nice) != 0)
        log_warn("nice = %d: not permitted, going on without it", o->config->nice);
    b.states = xcalloc(n, sizeof *b.states);
    int rc = run_open(&b.repo, &access, RUN_WRITE, e);
    int lock = rc ? -1 : lock_take(o->config->state_dir, b.repo.id, e);
    if (rc == 0)
        rc = lock < 0 ? -1 : back_up_between_hooks(&b, sources, n, e);
    run_failure_hook(&b, rc);
    writer_free(b.writer);
    snapshots_free(&b.before);
    if (b.repo.store)
        store_counts(b.repo.store, &out->requests);
    if (rc == 0 && out->written)
        rc = copy_to_mirrors(&b.repo, o->config, &(struct strings){0}, o->progress, o->progress_ctx,
                             &out->mirrors, e);
    run_repo_free(&b.repo);
    fd_auto(&lock);
    for (size_t i = 0; i < n; i++)
        buf_free(&b.states[i]);
    free(b.states);
    free(b.state_dir);
    free(b.cache_dir);
    free(sources);
    return rc;
}

void run_backup_result_free(struct run_backup_result *r)
{
    snapshot_free(&r->snapshot);
    run_copy_result_free(&r->mirrors);
    newest_free(&r->newest);
    free(r->hook_error);
    *r = (struct run_backup_result){0};
}
