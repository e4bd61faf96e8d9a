/* The volume source: the walk's entries are gathered into runs; a run that the cache knows goes in by
 * reference and nothing of it is opened, another is written through the tar writer and remembered. */
#include "source/source.h"

#include "base/child.h"
#include "links.h"
#include "run_cache.h"
#include "source/catalog.h"
#include "tar_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CATALOG_BLOCK (256u << 10) /* lines are pushed in pieces of about this */
#define PENDING       64           /* runs whose references are still on their way, at first */
#define DAY_NS        86400000000000ll
#define WORTH_JUDGING (1u << 20) /* smaller folders come and go */

static const struct chunk_params catalog_params = {.min = 2048, .mean = 8192, .max = 32768};

/* A run that was pushed and not yet heard of by the watch. */
struct pending_run {
    uint8_t key[RUN_KEY];
    uint64_t bytes;
    bool keep;
};

struct volume {
    const struct source_env *env;
    struct source_result *out;
    uint64_t started_ns; /* monotonic */
    struct walk *walk;
    struct tar_writer *tar;
    struct run_cache *cache; /* NULL: none, nothing is known and nothing remembered */
    bool cache_failed;       /* nothing more is remembered; what is known stays */
    struct links links;
    bool relink; /* a first link did not get into the stream: the roles in the run at hand may be stale */
    struct stream *data, *catalog; /* NULL: the bytes go to the sink */
    struct buf lines;              /* of the catalog */
    struct run run;
    uint64_t run_number;
    struct pending_run *pending; /* by tag modulo pending_cap */
    size_t pending_cap;
    uint64_t next_tag, heard_tag;
    uint64_t bytes, read_again;
};

/* ---- what is heard of the chunks ---- */
/* The cache is a hint: without it the next backup reads more, that is all. It stays open: this is heard while
 * references that lie in it are on their way into the stream. */
static void lose_cache(struct volume *v, const struct err *why)
{
    source_result_note(v->out, "no cache of unchanged files, so the next backup reads them again: %s",
                       why->text);
    v->cache_failed = true;
    run_cache_abandon(v->cache);
}

static bool remembers(const struct volume *v)
{
    return v->cache && !v->cache_failed;
}

static int hear_refs(void *ctx, const struct ref *refs, size_t n, struct err *e)
{
    struct volume *v = ctx;
    struct err lost = ERR_INIT;
    (void)e;
    if (remembers(v) && run_cache_add_refs(v->cache, refs, n, &lost))
        lose_cache(v, &lost);
    return 0;
}

static int hear_cut(void *ctx, uint64_t tag, struct err *e)
{
    struct volume *v = ctx;
    const struct pending_run *p = &v->pending[tag % v->pending_cap];
    struct err lost = ERR_INIT;
    (void)e;
    v->heard_tag = tag + 1;
    if (remembers(v) && run_cache_end_run(v->cache, p->key, p->bytes, p->keep, &lost))
        lose_cache(v, &lost);
    return 0;
}

/* Ends the run in the stream and remembers what it is until its references were heard. */
static int cut(struct volume *v, const struct pending_run *p, struct err *e)
{
    if (!v->data)
        return 0;
    if (v->next_tag - v->heard_tag == v->pending_cap) {
        struct pending_run *more = xcalloc(2 * v->pending_cap, sizeof *more);
        for (uint64_t t = v->heard_tag; t < v->next_tag; t++)
            more[t % (2 * v->pending_cap)] = v->pending[t % v->pending_cap];
        free(v->pending);
        v->pending = more;
        v->pending_cap *= 2;
    }
    v->pending[v->next_tag % v->pending_cap] = *p;
    return stream_cut(v->data, v->next_tag++, e);
}

/* ---- what is said of files ---- */
typedef void sayer(struct source_result *, const char *, ...);

static sayer *sayer_for(const struct volume *v, const char *path)
{
    const struct strings *globs = &v->env->source->may_change;
    for (size_t i = 0; i < globs->n; i++)
        if (glob_match(globs->v[i], path))
            return source_result_note;
    return source_result_degrade;
}

static void report(struct volume *v, const struct entry *entry, const struct tar_result *r, bool written)
{
    char why[128];
    AUTO_CHAR path = text_printable(entry->path, strlen(entry->path));
    sayer *say = sayer_for(v, entry->path);
    if (r->attributes_error)
        say(v->out, "%s: its extended attributes or ACLs could not all be read (%s)", path,
            strerror_r(r->attributes_error, why, sizeof why));
    switch (r->outcome) {
    case TAR_WHOLE:
        break;
    case TAR_GROWN:
        source_result_note(v->out, "%s: grew while it was read; stored to the size it had when it was opened",
                           path);
        break;
    case TAR_LONGER:
        say(v->out,
            "%s: holds more than the %lld bytes that its file system says; stored to that size, the rest is missing",
            path, (long long)entry->st.st_size);
        break;
    case TAR_CHANGED:
        say(v->out,
            "%s: was rewritten or shrunk each of the three times it was read; what is stored may be "
            "a mixture",
            path);
        break;
    case TAR_VANISHED:
        source_result_note(v->out, "%s: vanished before it was read", path);
        break;
    case TAR_REPLACED:
        say(v->out, "%s: is no file any more since it was listed; not stored", path);
        break;
    case TAR_UNREADABLE:
        if (written)
            say(v->out, "%s: cannot be read beyond byte %llu (%s); stored with zeros from there on", path,
                (unsigned long long)r->readable, strerror_r(r->error, why, sizeof why));
        else
            say(v->out, "%s: cannot be read (%s); not stored", path, strerror_r(r->error, why, sizeof why));
        break;
    }
}

static void problem(void *ctx, const char *path, int error)
{
    struct volume *v = ctx;
    char why[128];
    AUTO_CHAR shown = text_printable(path, strlen(path));
    if (error == ENOENT)
        source_result_note(v->out, "%s: vanished before it was read", shown);
    else if (error == ENAMETOOLONG)
        sayer_for(v, path)(v->out, "%.200s...: a path of more than %d bytes; not stored", shown,
                           WALK_PATH_MAX);
    else
        sayer_for(v, path)(v->out, "%s: cannot be read (%s); not stored, or not all of it", shown,
                           strerror_r(error, why, sizeof why));
}

/* ---- the catalog ---- */
static int flush_lines(struct volume *v, size_t above, struct err *e)
{
    if (v->lines.n <= above)
        return 0;
    int rc = stream_write(v->catalog, buf_bytes(&v->lines), e);
    v->lines.n = 0;
    return rc;
}

static void list_entry(struct volume *v, const struct entry *e)
{
    v->out->files++;
    if (!v->catalog)
        return;
    const struct catalog_entry c = {.path = e->path,
                                    .target = e->target,
                                    .link = e->link_to,
                                    .link_run = e->link_run,
                                    .mode = e->st.st_mode,
                                    .size = S_ISREG(e->st.st_mode) ? (uint64_t)e->st.st_size : 0,
                                    .uid = e->st.st_uid,
                                    .gid = e->st.st_gid,
                                    .mtime_ns = time_ns(e->st.st_mtim.tv_sec, e->st.st_mtim.tv_nsec),
                                    .run = v->run_number};
    catalog_add_entry(&v->lines, &c);
}

static int end_run(struct volume *v, uint64_t bytes, struct err *e)
{
    run_clear(&v->run);
    if (v->catalog)
        catalog_add_run(&v->lines, bytes);
    v->run_number++;
    v->bytes += bytes;
    if (v->env->progress)
        v->env->progress(v->env->progress_ctx, v->bytes, v->env->last_good_bytes);
    return flush_lines(v, CATALOG_BLOCK, e);
}

/* ---- runs ---- */
/* Whether a known run is to be read all the same today: each is, once in so many days. */
static bool is_due(const struct volume *v, const uint8_t key[RUN_KEY])
{
    unsigned days = v->env->source->reread_days;
    struct cursor c = cursor_of(BYTES(key, RUN_KEY));
    return days && cursor_u32(&c) % days == (uint64_t)(time_now_ns() / DAY_NS) % days;
}

/* 1: went in by reference. 0: not known, or its chunks are not there any more. -1: *e. */
static int append_known(struct volume *v, struct pending_run *p, struct err *e)
{
    const struct ref *refs;
    size_t n;
    if (!v->cache || v->env->read_all || !run_cache_find(v->cache, p->key, &p->bytes, &refs, &n))
        return 0;
    if (is_due(v, p->key)) {
        v->read_again++;
        return 0;
    }
    int rc = stream_append(v->data, refs, n, e);
    if (rc == 1)
        for (size_t i = 0; i < v->run.n; i++)
            list_entry(v, v->run.entries[i]);
    return rc;
}

/* Some say of a name that it is a link to one that is not in the stream: who comes first now? */
static int renew_link(struct volume *v, struct entry *entry, struct err *e)
{
    free(STEAL(entry->link_to));
    return links_meet(&v->links, &entry->st, entry->path, v->run_number, &entry->link_to, &entry->link_run,
                      e);
}

static bool has_links(const struct entry *e)
{
    return e->st.st_nlink > 1 && !S_ISDIR(e->st.st_mode);
}

static int write_entry(struct volume *v, struct entry *entry, bool *settled, struct err *e)
{
    if (v->relink && entry->link_to && renew_link(v, entry, e))
        return -1;
    struct tar_result result;
    const struct stat walked = entry->st;
    bool is_first = has_links(entry) && !entry->link_to;
    uint64_t before = tar_writer_bytes(v->tar);
    if (tar_writer_add(v->tar, entry, &result, e))
        return -1;
    bool written = tar_writer_bytes(v->tar) > before;
    *settled = result.settled;
    report(v, entry, &result, written);
    if (written)
        list_entry(v, entry);
    if (!is_first || (written && !result.other_file))
        return 0;
    v->relink = true;
    return links_forget(&v->links, &walked, e);
}

static int write_run(struct volume *v, struct pending_run *p, struct err *e)
{
    uint64_t start = tar_writer_bytes(v->tar);
    p->keep = true;
    v->relink = false;
    for (size_t i = 0; i < v->run.n; i++) {
        bool settled;
        if (write_entry(v, v->run.entries[i], &settled, e))
            return -1;
        p->keep = p->keep && settled;
    }
    p->bytes = tar_writer_bytes(v->tar) - start;
    return 0;
}

static int flush_run(struct volume *v, struct err *e)
{
    struct pending_run p = {.keep = true};
    if (v->run.n == 0)
        return 0;
    run_key(&v->run, &v->env->volume_params, v->env->run_cut_key, p.key);
    int known = append_known(v, &p, e);
    if (known < 0 || (known == 0 && write_run(v, &p, e)) || cut(v, &p, e))
        return -1;
    return end_run(v, p.bytes, e);
}

static int check_time(const struct volume *v, struct err *e)
{
    uint64_t limit = v->env->source->time_limit_s;
    if (limit && (time_monotonic_ns() - v->started_ns) / 1000000000u >= limit)
        return err_set(e, ERR_FAILED, "stopped after %llu s (its time limit)", (unsigned long long)limit);
    return stop_check(e);
}

static int take_entry(void *ctx, struct entry *entry, struct err *e)
{
    struct volume *v = ctx;
    if (check_time(v, e) || (run_wants_alone(entry) && flush_run(v, e)) ||
        (has_links(entry) && links_meet(&v->links, &entry->st, entry->path, v->run_number, &entry->link_to,
                                        &entry->link_run, e))) {
        entry_free(entry);
        return -1;
    }
    return run_add(&v->run, entry, v->env->run_cut_key) ? flush_run(v, e) : 0;
}

/* ---- the whole ---- */
static int push(void *ctx, struct bytes b, struct err *e)
{
    struct volume *v = ctx;
    if (check_time(v, e))
        return -1;
    return v->data ? stream_write(v->data, b, e) : v->env->sink(v->env->sink_ctx, b, e);
}

/* In chunks of its own, so that a new name, owner or date does not store it again. */
static int start_content(void *ctx, struct err *e)
{
    struct volume *v = ctx;
    return v->data ? stream_split(v->data, e) : 0;
}

static int finish_stream(struct volume *v, struct stream *s, struct err *e)
{
    struct stream_info info;
    if (stream_finish(s, &info, e))
        return -1;
    source_result_add_stream(v->out, &info);
    return 0;
}

static int finish_streams(struct volume *v, struct err *e)
{
    v->out->bytes = v->bytes + CATALOG_TAR_END;
    return v->data &&
                   (finish_stream(v, v->data, e) || flush_lines(v, 0, e) || finish_stream(v, v->catalog, e))
               ? -1
               : 0;
}

/* A disk that is not mounted below the folder, a network file system that lists nothing: no call fails then.
 * One large file that is deleted is everyday life. */
static void judge_size(struct volume *v)
{
    const struct source_env *env = v->env;
    char now[32], then[32];
    if (env->last_good_bytes < WORTH_JUDGING || v->bytes >= env->last_good_bytes / 2 ||
        v->out->files >= env->last_good_files / 2)
        return;
    size_format(now, v->bytes);
    size_format(then, env->last_good_bytes);
    (env->source->may_shrink ? source_result_note : source_result_degrade)(
        v->out,
        "%s: has %llu entries of %s, and the last good backup had %llu of %s: is all of it mounted? (allow-shrink = "
        "yes for one backup if it was on purpose)",
        env->source->path, (unsigned long long)v->out->files, now, (unsigned long long)env->last_good_files,
        then);
}

static void add_notes(struct volume *v)
{
    if (walk_sockets(v->walk))
        source_result_note(v->out, "sockets passed over: %llu", (unsigned long long)walk_sockets(v->walk));
    if (v->read_again)
        source_result_note(v->out, "unchanged runs of files read again (reread-days): %llu",
                           (unsigned long long)v->read_again);
    bool is_empty = v->out->files <= 1;
    if (walk_root_is_cache(v->walk) && !v->env->source->may_be_empty)
        source_result_degrade(
            v->out,
            "%s: its own CACHEDIR.TAG marks all of it as a cache: nothing of it is stored but "
            "the tag (exclude-caches = no, or allow-empty = yes if that is as it should be)",
            v->env->source->path);
    if (is_empty && !v->env->source->may_be_empty)
        source_result_degrade(v->out, "%s: is empty (allow-empty = yes if that is as it should be)",
                              v->env->source->path);
    if (!is_empty)
        judge_size(v);
}

static int finish(struct volume *v, struct err *e)
{
    struct err lost = ERR_INIT;
    if (flush_run(v, e) || tar_writer_end(v->tar, e) || finish_streams(v, e))
        return -1;
    if (remembers(v) && run_cache_finish(v->cache, &lost))
        lose_cache(v, &lost);
    add_notes(v);
    return 0;
}

static void open_cache(struct volume *v)
{
    struct err lost = ERR_INIT;
    AUTO_CHAR path = xasprintf("%s/%s.runs", v->env->cache_dir, v->env->source->name);
    v->cache = run_cache_new(path, v->env->cache_dir, &lost);
    if (!v->cache)
        lose_cache(v, &lost);
}

static void open_streams(struct volume *v)
{
    const struct stream_watch watch = {.refs = hear_refs, .cut = hear_cut, .ctx = v};
    const struct stream_options data = {.name = "data",
                                        .params = v->env->volume_params,
                                        .frame = STREAM_FRAME_VOLUME,
                                        .level = v->env->volume_level};
    const struct stream_options catalog = {.name = "catalog",
                                           .params = catalog_params,
                                           .frame = STREAM_FRAME_DATABASE,
                                           .level = v->env->volume_level};
    v->data = stream_new(v->env->writer, &data, &watch);
    v->catalog = stream_new(v->env->writer, &catalog, NULL);
    catalog_add_start(&v->lines);
}

static int back_up(struct volume *v, struct err *e)
{
    const struct config_source *src = v->env->source;
    const struct walk_options walk = {.root = src->path,
                                      .exclude = &src->exclude,
                                      .exclude_caches = src->exclude_caches,
                                      .one_file_system = src->one_file_system};
    const struct walk_visitor visitor = {.entry = take_entry, .problem = problem, .ctx = v};
    v->walk = walk_new(&walk, e);
    if (!v->walk)
        return -1;
    v->tar = tar_writer_new(push, start_content, v);
    if (v->env->writer) {
        open_cache(v);
        open_streams(v);
    }
    return walk_run(v->walk, &visitor, e) || finish(v, e) ? -1 : 0;
}

int source_volume(const struct source_env *env, struct source_result *out, struct err *e)
{
    struct volume v = {.env = env,
                       .out = out,
                       .started_ns = time_monotonic_ns(),
                       .links = LINKS_IN(env->temp_dir),
                       .pending_cap = PENDING,
                       .pending = xcalloc(PENDING, sizeof *v.pending)};
    int rc = back_up(&v, e);
    run_clear(&v.run);
    stream_free(v.data);
    stream_free(v.catalog);
    tar_writer_free(v.tar);
    run_cache_free(v.cache);
    walk_free(v.walk);
    links_free(&v.links);
    buf_free(&v.lines);
    free(v.pending);
    return rc;
}
