/* The volume source: the walk's entries are gathered into runs; a run that the cache knows goes in by
 * reference and nothing of it is opened, another is written through the tar writer and remembered. */
#include "source/source.h"

#include "base/file.h"
#include "run_cache.h"
#include "source/catalog.h"
#include "tar_writer.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A run ends after an entry that the keyed hash picks (one in eight) once it weighs RUN_MIN, at the latest
 * with RUN_MAX or RUN_ENTRIES; a file above RUN_MAX is a run of its own. */
#define RUN_MIN       (64u << 10)
#define RUN_MAX       (256u << 10)
#define RUN_ENTRIES   512
#define RUN_PICK      7
#define ENTRY_WEIGHT  1024 /* headers of an entry, about */
#define CATALOG_BLOCK (256u << 10)
#define PENDING       64 /* runs whose references are still on their way, at first */

static const struct chunk_params catalog_params = {.min = 4096, .mean = 16384, .max = 65536};

/* A run that was pushed and not yet heard of by the watch. */
struct pending_run {
    uint8_t key[RUN_KEY];
    uint64_t bytes;
    bool keep;
};

struct volume {
    const struct source_env *env;
    struct source_result *out;
    struct walk *walk;
    struct tar_writer *tar;
    struct run_cache *cache;
    struct stream *data, *catalog;
    struct buf lines; /* of the catalog */
    struct entry *run[RUN_ENTRIES];
    size_t run_count;
    uint64_t run_weight, run_number;
    struct pending_run *pending; /* by tag modulo pending_cap */
    size_t pending_cap;
    uint64_t next_tag, heard_tag;
    uint64_t bytes, entries, vanished, read_again;
    bool stable_inodes;
};

/* ---- keys ---- */
static uint64_t pick_hash(const struct volume *v, const char *path)
{
    uint64_t h;
    crypto_shorthash((uint8_t *)&h, (const uint8_t *)path, strlen(path), v->env->run_cut_key);
    return h;
}

static void add_time(struct buf *b, const struct timespec *t)
{
    buf_add_u64(b, (uint64_t)t->tv_sec);
    buf_add_u32(b, (uint32_t)t->tv_nsec);
}

static void add_text(struct buf *b, const char *s)
{
    buf_add_u32(b, s ? (uint32_t)strlen(s) : UINT32_MAX);
    if (s)
        buf_add_str(b, s);
}

/* Everything that the bytes of the run depend on, as far as it can be known without opening a file. */
static void run_key(const struct volume *v, uint8_t out[RUN_KEY])
{
    AUTO(buf) b = BUF_NONE;
    const struct chunk_params *p = &v->env->volume_params;
    buf_add_u32(&b, TAR_WRITER_VERSION);
    buf_add_u32(&b, p->min);
    buf_add_u32(&b, p->mean);
    buf_add_u32(&b, p->max);
    for (size_t i = 0; i < v->run_count; i++) {
        const struct entry *e = v->run[i];
        add_text(&b, e->path);
        buf_add_u32(&b, e->st.st_mode);
        buf_add_u32(&b, e->st.st_uid);
        buf_add_u32(&b, e->st.st_gid);
        buf_add_u64(&b, S_ISDIR(e->st.st_mode) ? 0 : (uint64_t)e->st.st_size);
        add_time(&b, &e->st.st_mtim);
        add_time(&b, &e->st.st_ctim);
        buf_add_u64(&b, v->stable_inodes ? e->st.st_ino : 0);
        buf_add_u64(&b, e->st.st_rdev);
        add_text(&b, e->target);
        buf_add_u8(&b, S_ISREG(e->st.st_mode) && e->st.st_nlink > 1);
        add_text(&b, e->link_to);
    }
    crypto_generichash(out, RUN_KEY, b.p, b.n, v->env->run_cut_key, 32);
}

/* ---- what is heard of the chunks ---- */
static int hear_refs(void *ctx, const struct ref *refs, size_t n, struct err *e)
{
    struct volume *v = ctx;
    return v->cache ? run_cache_add_refs(v->cache, refs, n, e) : 0;
}

static int hear_cut(void *ctx, uint64_t tag, struct err *e)
{
    struct volume *v = ctx;
    const struct pending_run *p = &v->pending[tag % v->pending_cap];
    v->heard_tag = tag + 1;
    return v->cache ? run_cache_end_run(v->cache, p->key, p->bytes, p->keep, e) : 0;
}

/* Remembers a run until its cut is heard. */
static uint64_t add_pending(struct volume *v, const struct pending_run *p)
{
    if (v->next_tag - v->heard_tag == v->pending_cap) {
        struct pending_run *more = xcalloc(2 * v->pending_cap, sizeof *more);
        for (uint64_t t = v->heard_tag; t < v->next_tag; t++)
            more[t % (2 * v->pending_cap)] = v->pending[t % v->pending_cap];
        free(v->pending);
        v->pending = more;
        v->pending_cap *= 2;
    }
    v->pending[v->next_tag % v->pending_cap] = *p;
    return v->next_tag++;
}

/* ---- what is said of files ---- */
static bool may_change(const struct volume *v, const char *path)
{
    const struct strings *globs = &v->env->source->may_change;
    for (size_t i = 0; i < globs->n; i++)
        if (glob_match(globs->v[i], path))
            return true;
    return false;
}

static void report(struct volume *v, const char *path, enum tar_outcome outcome, int error)
{
    char why[128] = "";
    AUTO_CHAR shown = text_printable(path, strlen(path));
    const char *reason = error ? strerror_r(error, why, sizeof why) : "";
    void (*say)(struct source_result *, const char *, ...) =
        may_change(v, path) ? source_result_note : source_result_degrade;
    switch (outcome) {
    case TAR_WHOLE:
        break;
    case TAR_VANISHED:
        v->vanished++;
        source_result_note(v->out, "%s: vanished before it was read", shown);
        break;
    case TAR_GROWN:
        source_result_note(v->out, "%s: grew while it was read; stored to the size it had at the start",
                           shown);
        break;
    case TAR_CHANGED:
        say(v->out,
            "%s: was rewritten or shrunk while it was read, three times over: what is stored may be a mixture",
            shown);
        break;
    case TAR_REPLACED:
        say(v->out, "%s: was replaced by another file or a symlink while it was looked at: not stored",
            shown);
        break;
    case TAR_UNREADABLE:
        say(v->out, "%s: cannot be read (%s): not stored, or with zeros in its place", shown, reason);
        break;
    }
}

static void problem(void *ctx, const char *path, int error, bool vanished)
{
    report(ctx, path, vanished ? TAR_VANISHED : TAR_UNREADABLE, error);
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
    const struct catalog_entry c = {.path = e->path,
                                    .target = e->target,
                                    .link = e->link_to,
                                    .link_run = e->link_run,
                                    .mode = e->st.st_mode,
                                    .size = S_ISREG(e->st.st_mode) ? (uint64_t)e->st.st_size : 0,
                                    .uid = e->st.st_uid,
                                    .gid = e->st.st_gid,
                                    .mtime_ns = e->st.st_mtim.tv_sec * 1000000000ll + e->st.st_mtim.tv_nsec};
    catalog_add_entry(&v->lines, &c);
    v->entries++;
}

static int end_run(struct volume *v, uint64_t bytes, struct err *e)
{
    for (size_t i = 0; i < v->run_count; i++)
        entry_free(v->run[i]);
    v->run_count = 0;
    v->run_weight = 0;
    catalog_add_run(&v->lines, v->run_number++, bytes);
    v->bytes += bytes;
    if (v->env->progress)
        v->env->progress(v->env->progress_ctx, v->bytes, v->env->last_good_bytes);
    return flush_lines(v, CATALOG_BLOCK, e);
}

/* ---- runs ---- */
/* Whether a known run is due to be read all the same, a share of them each day. */
static bool is_due(const struct volume *v, const uint8_t key[RUN_KEY])
{
    unsigned days = v->env->source->reread_days;
    struct cursor c = cursor_of(BYTES(key, 4));
    return days && cursor_u32(&c) % days == (uint64_t)(time_now_ns() / 86400000000000ll) % days;
}

/* 1: went in by reference. 0: not known. -1: *e. */
static int append_known(struct volume *v, const uint8_t key[RUN_KEY], struct err *e)
{
    uint64_t bytes;
    const struct ref *refs;
    size_t n;
    if (!v->cache || v->env->read_all || !run_cache_find(v->cache, key, &bytes, &refs, &n))
        return 0;
    if (is_due(v, key)) {
        v->read_again++;
        return 0;
    }
    int rc = stream_append(v->data, refs, n, e);
    if (rc != 1)
        return rc;
    struct pending_run p = {.bytes = bytes, .keep = true};
    memcpy(p.key, key, RUN_KEY);
    if (stream_cut(v->data, add_pending(v, &p), e))
        return -1;
    for (size_t i = 0; i < v->run_count; i++) {
        walk_note_run(v->walk, v->run[i], v->run_number);
        list_entry(v, v->run[i]);
    }
    return end_run(v, bytes, e) ? -1 : 1;
}

static int write_run(struct volume *v, const uint8_t key[RUN_KEY], struct err *e)
{
    struct pending_run p = {.keep = true};
    uint64_t start = tar_writer_bytes(v->tar);
    memcpy(p.key, key, RUN_KEY);
    for (size_t i = 0; i < v->run_count; i++) {
        enum tar_outcome outcome;
        int error;
        bool settled;
        uint64_t before = tar_writer_bytes(v->tar);
        if (tar_writer_add(v->tar, v->run[i], &outcome, &error, &settled, e))
            return -1;
        p.keep = p.keep && settled && outcome == TAR_WHOLE;
        report(v, v->run[i]->path, outcome, error);
        walk_note_run(v->walk, v->run[i], v->run_number);
        if (tar_writer_bytes(v->tar) > before)
            list_entry(v, v->run[i]);
    }
    p.bytes = tar_writer_bytes(v->tar) - start;
    if (stream_cut(v->data, add_pending(v, &p), e))
        return -1;
    return end_run(v, p.bytes, e);
}

static int flush_run(struct volume *v, struct err *e)
{
    uint8_t key[RUN_KEY];
    if (v->run_count == 0)
        return 0;
    run_key(v, key);
    int known = append_known(v, key, e);
    return known < 0 ? -1 : known == 0 ? write_run(v, key, e) : 0;
}

static int take_entry(void *ctx, struct entry *entry, struct err *e)
{
    struct volume *v = ctx;
    bool has_content = S_ISREG(entry->st.st_mode) && !entry->link_to;
    bool large = has_content && entry->st.st_size > (off_t)RUN_MAX;
    if (large && flush_run(v, e)) {
        entry_free(entry);
        return -1;
    }
    v->run[v->run_count++] = entry;
    v->run_weight += ENTRY_WEIGHT + (has_content ? (uint64_t)entry->st.st_size : 0);
    bool picked = v->run_weight >= RUN_MIN && (pick_hash(v, entry->path) & RUN_PICK) == 0;
    return large || picked || v->run_weight >= RUN_MAX || v->run_count == RUN_ENTRIES ? flush_run(v, e) : 0;
}

/* ---- the whole ---- */
static int push(void *ctx, struct bytes b, struct err *e)
{
    struct volume *v = ctx;
    return stream_write(v->data, b, e);
}

static int finish(struct volume *v, struct err *e)
{
    struct stream_info info;
    if (flush_run(v, e) || tar_writer_end(v->tar, e) || stream_finish(v->data, &info, e))
        return -1;
    source_result_add_stream(v->out, &info);
    v->out->bytes = info.bytes;
    v->out->files = v->entries;
    if (flush_lines(v, 0, e) || stream_finish(v->catalog, &info, e))
        return -1;
    source_result_add_stream(v->out, &info);
    struct err lost = ERR_INIT;
    if (v->cache && run_cache_finish(v->cache, &lost))
        source_result_note(v->out,
                           "the cache of unchanged files could not be written, so the next run reads all: %s",
                           lost.text);
    if (walk_sockets(v->walk))
        source_result_note(v->out, "%llu sockets were passed over",
                           (unsigned long long)walk_sockets(v->walk));
    if (v->read_again)
        source_result_note(v->out, "%llu unchanged runs were read again (reread-days)",
                           (unsigned long long)v->read_again);
    if (v->entries <= 1 && !v->env->source->may_be_empty)
        source_result_degrade(v->out, "%s: is empty (allow-empty = yes if that is as it should be)",
                              v->env->source->path);
    return 0;
}

static int back_up(struct volume *v, struct err *e)
{
    const struct config_source *src = v->env->source;
    const struct walk_options walk = {.root = src->path,
                                      .exclude = &src->exclude,
                                      .exclude_caches = src->exclude_caches,
                                      .one_file_system = src->one_file_system};
    v->walk = walk_new(&walk, e);
    if (!v->walk)
        return -1;
    v->stable_inodes = tar_inodes_are_stable(walk_root_fd(v->walk));
    AUTO_CHAR cache = xasprintf("%s/%s.runs", v->env->cache_dir, src->name);
    struct err lost = ERR_INIT;
    v->cache = run_cache_new(cache, v->env->cache_dir, &lost);
    if (!v->cache)
        source_result_note(v->out, "no cache of unchanged files: %s", lost.text);
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
    v->tar = tar_writer_new(push, v);
    const struct walk_visitor visitor = {.entry = take_entry, .problem = problem, .ctx = v};
    return walk_run(v->walk, &visitor, e) || finish(v, e) ? -1 : 0;
}

int source_volume(const struct source_env *env, struct source_result *out, struct err *e)
{
    struct volume v = {.env = env, .out = out, .pending_cap = PENDING};
    v.pending = xcalloc(v.pending_cap, sizeof *v.pending);
    int rc = back_up(&v, e);
    for (size_t i = 0; i < v.run_count; i++)
        entry_free(v.run[i]);
    stream_free(v.data);
    stream_free(v.catalog);
    tar_writer_free(v.tar);
    run_cache_free(v.cache);
    walk_free(v.walk);
    buf_free(&v.lines);
    free(v.pending);
    return rc;
}
