/* The round trip of a volume: restored below scratch, read again by the volume source, compared. Equal
 * streams are the quick yes; else each entry is looked at. */
#include "drill/volume.h"

#include "base/file.h"
#include "base/log.h"
#include "codec/keys.h"
#include "drill/reread.h"
#include "target/stream_feed.h"

#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void show_step(const struct volume_drill *d, uint64_t done)
{
    const struct drill_env *env = d->env;
    if (env->progress)
        env->progress(env->progress_ctx, d->step, d->slice.offset + done, d->data->bytes);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)total;
    show_step(ctx, done);
}

/* ---- the stored stream, or a slice of it ---- */
struct stored_feed {
    struct feed base;
    struct stream_feed in;
    struct range range;
    XXH3_state_t *hash; /* of what passed; NULL: not wanted */
    bool failed;        /* the repository could not give it */
};

static int next_stored(struct feed *f, struct bytes *out, struct err *e)
{
    struct stored_feed *s = CONTAINER(f, struct stored_feed, base);
    s->failed = s->in.base.next(&s->in.base, out, e) != 0;
    if (s->failed)
        return -1;
    if (s->hash && out->n)
        XXH3_128bits_update(s->hash, out->p, out->n);
    return 0;
}

static void stored_feed_open(struct stored_feed *s, struct volume_drill *d)
{
    s->base.next = next_stored;
    s->range = d->whole ? whole_stream : (struct range){d->slice.offset, d->slice.length};
    stream_feed_init(&s->in, d->env->repo, d->data, &s->range, 1);
    s->in.pad = !d->whole;
    s->in.progress = on_progress;
    s->in.progress_ctx = d;
}

static XXH3_state_t *new_hash(const struct volume_drill *d)
{
    XXH3_state_t *hash = xxh3_new();
    XXH3_128bits_reset_withSeed(hash, d->hash_seed);
    return hash;
}

static void stored_feed_free(struct stored_feed *s)
{
    stream_feed_free(&s->in);
    XXH3_freeState(s->hash);
}
AUTO_FOR(stored_feed)

/* ---- what an error says of the backup ---- */
/* Of the stored stream, and of scratch. 1: *out says it. -1: nothing is known, *e says why. */
static int judge_stored(struct volume_drill *d, const struct err *why, struct err *e)
{
    if (why->kind != ERR_DAMAGED) {
        *e = *why;
        return -1;
    }
    drill_differs(d->out, "%s", why->text);
    return 1;
}

static int judge_scratch(struct volume_drill *d, const struct err *why, struct err *e)
{
    char room[32];
    size_format(room, d->slice.room);
    if (why->kind == ERR_STOPPED) {
        *e = *why;
        return -1;
    }
    if (why->kind == ERR_SPACE)
        drill_unable(
            d->out,
            "scratch is full: %s: this takes about %s in %s: free more, name another folder as [drill] "
            "directory, or drill in slices, with [drill] max-bytes below what is free",
            why->text, room, d->place);
    else
        drill_unable(d->out, "scratch cannot be used: %s: name another folder as [drill] directory",
                     why->text);
    return 1;
}

/* ---- slices ---- */
int volume_drill_open(struct volume_drill *d, const struct drill_env *env, const char *place, uint64_t limit,
                      struct drill_result *out, struct err *e)
{
    const uint64_t files = env->source->files;
    struct err why = ERR_INIT;
    *d = (struct volume_drill){.env = env,
                               .out = out,
                               .place = place,
                               .limit = limit,
                               .is_root = geteuid() == 0,
                               .data = snapshot_find_stream(env->source, "data"),
                               .catalog = snapshot_find_stream(env->source, "catalog"),
                               .folder = xasprintf("%s/volume", place),
                               .may_be_equal = true,
                               .restored = true,
                               .compared = true};
    if (!d->data || !d->catalog) {
        drill_differs(out, "the snapshot has no stream \"%s\" of it", d->data ? "catalog" : "data");
        return 1;
    }
    random_fill(&d->hash_seed, sizeof d->hash_seed);
    d->slice = (struct slice){.length = d->data->bytes};
    d->whole = files <= limit / SLICE_ENTRY_ROOM && d->data->bytes <= limit - files * SLICE_ENTRY_ROOM;
    d->slice.room = d->whole ? d->data->bytes + files * SLICE_ENTRY_ROOM : 0;
    if (catalog_check_open(&d->check, env, d->catalog, place, out, &why) == 0)
        return 0;
    return d->check.firsts ? judge_stored(d, &why, e) : judge_scratch(d, &why, e);
}

static void too_large(struct volume_drill *d)
{
    char need[32], have[32];
    uint64_t max = d->env->settings->max_bytes;
    const char *first = d->slicer.largest ? d->slicer.largest : "";
    AUTO_CHAR path = text_printable(first, MIN(strlen(first), (size_t)300));
    size_format(need, d->slice.room);
    size_format(have, d->limit);
    if (max && max <= d->limit)
        drill_unable(d->out, "%s: takes %s in scratch, and [drill] max-bytes allows %s: raise it", path, need,
                     have);
    else
        drill_unable(
            d->out,
            "%s: takes %s in scratch, and %s has room for %s: free more there, or name another folder "
            "as [drill] directory",
            path, need, d->place, have);
}

int volume_drill_next(struct volume_drill *d, bool *more, struct err *e)
{
    struct err why = ERR_INIT;
    *more = !d->done;
    if (d->done)
        return 0;
    if (d->whole) {
        d->done = true;
        return 0;
    }
    if (!d->slicer.catalog.stream && slicer_open(&d->slicer, d->env->repo, d->catalog, d->limit, &why))
        return judge_stored(d, &why, e);
    int rc = slicer_next(&d->slicer, &d->slice, &why);
    if (rc < 0)
        return judge_stored(d, &why, e);
    *more = rc == 1;
    d->done = rc == 0;
    if (rc == 0 || d->slice.room <= d->limit)
        return 0;
    too_large(d);
    return 1;
}

/* ---- restoring ---- */
/* An owner or a device that is left out makes another stream: no need to look whether it is. */
static bool can_be_restored_equal(const struct volume_drill *d, struct archive_entry *ae)
{
    return d->is_root || (archive_entry_uid(ae) == geteuid() && archive_entry_gid(ae) == getegid());
}

static int see(void *ctx, struct archive_entry *ae, uint64_t header, struct err *e)
{
    struct volume_drill *d = ctx;
    d->may_be_equal = d->may_be_equal && can_be_restored_equal(d, ae);
    d->catalog_failed = catalog_check_see(&d->check, ae, header, e) != 0;
    return d->catalog_failed ? -1 : 0;
}

/* What comes after the end of the archive counts, too. */
static int read_rest(struct stored_feed *s, struct err *e)
{
    struct bytes b;
    do
        if (s->base.next(&s->base, &b, e))
            return -1;
    while (b.n);
    return 0;
}

static int restore(struct volume_drill *d, struct stored_feed *s, struct err *e)
{
    AUTO(target_counts) counts = {0};
    const struct target_directory_options o = {
        .path = d->folder, .ownership = d->is_root, .watch = see, .watch_ctx = d};
    catalog_check_slice(&d->check, d->slice.offset);
    int rc = target_directory(&s->base, &o, &counts, e);
    if (rc && (e->kind != ERR_IO || s->failed || d->catalog_failed))
        return -1;
    d->refused = *e;
    *e = (struct err)ERR_INIT;
    if (read_rest(s, e))
        return -1;
    d->catalog_failed = catalog_check_slice_end(&d->check, e) != 0;
    return d->catalog_failed ? -1 : 0;
}

int volume_drill_restore(struct volume_drill *d, struct err *e)
{
    uint64_t began = time_monotonic_ns();
    struct err why = ERR_INIT;
    AUTO(stored_feed) s = {.hash = new_hash(d)};
    d->step = "restoring";
    if (mkdir(d->folder, 0700) != 0) {
        err_errno(&why, ERR_IO, "%s", d->folder);
        d->restored = false;
        return judge_scratch(d, &why, e);
    }
    stored_feed_open(&s, d);
    int rc = restore(d, &s, &why);
    d->hash = XXH3_128bits_digest(s.hash);
    d->restored_ns += time_monotonic_ns() - began;
    if (rc == 0)
        return 0;
    d->restored = false;
    bool of_stored = s.failed || why.kind == ERR_DAMAGED || (d->catalog_failed && why.kind != ERR_SPACE);
    return of_stored ? judge_stored(d, &why, e) : judge_scratch(d, &why, e);
}

/* ---- comparing ---- */
/* Whether a trouble is no more than a mode that keeps its owner, who we are, from reading. */
static bool is_expected(const struct volume_drill *d, const char *trouble)
{
    return !d->is_root && strstr(trouble, "(Permission denied)");
}

static bool has_trouble(const struct volume_drill *d, const struct strings *troubles)
{
    for (size_t i = 0; i < troubles->n; i++)
        if (!is_expected(d, troubles->v[i]))
            return true;
    return false;
}

/* What was found counts, unless scratch could not be read well: then the difference may be the disk's. */
static void take_findings(struct volume_drill *d, const struct drill_result *found,
                          const struct strings *troubles)
{
    bool doubtful = has_trouble(d, troubles);
    for (size_t i = 0; i < troubles->n; i++)
        if (!is_expected(d, troubles->v[i]))
            drill_unable(d->out, "reading scratch again: %s", troubles->v[i]);
    for (size_t i = 0; i < found->reasons.n; i++)
        if (doubtful)
            drill_note(d->out, "%s", found->reasons.v[i]);
        else if (found->outcome == DRILL_DIFFERS)
            drill_differs(d->out, "%s", found->reasons.v[i]);
        else
            drill_unable(d->out, "%s", found->reasons.v[i]);
    d->compared = d->compared && !doubtful && found->outcome == DRILL_PROVEN;
}

static struct reread_options reread_of(struct volume_drill *d)
{
    return (struct reread_options){.folder = d->folder,
                                   .place = d->place,
                                   .run_cut_key = keyring_current(repo_keys(d->env->repo))->run_cut,
                                   .progress_ctx = d};
}

/* 1: equal. 0: look closer. */
static int is_equal(struct volume_drill *d, struct err *e)
{
    AUTO(strings) troubles = STRINGS_NONE;
    struct reread_options o = reread_of(d);
    o.progress = on_progress;
    XXH3_state_t *hash = new_hash(d);
    int rc = reread_digest(&o, hash, &troubles, e);
    XXH128_hash_t h = XXH3_128bits_digest(hash);
    XXH3_freeState(hash);
    if (rc)
        return -1;
    return troubles.n == 0 && XXH128_isEqual(h, d->hash);
}

static bool is_in_earlier_slice(void *ctx, const char *path)
{
    const struct volume_drill *d = ctx;
    uint64_t run;
    return catalog_check_run_of(&d->check, path, &run) && run < d->slice.first_run;
}

static int look_closer(struct volume_drill *d, struct err *e)
{
    struct err why = ERR_INIT;
    AUTO(drill_result) found = {0};
    AUTO(stored_feed) s = {0};
    AUTO(reread) again = {0};
    const struct reread_options o = reread_of(d);
    bool of_scratch = false;
    if (reread_start(&again, &o, e))
        return -1;
    stored_feed_open(&s, d);
    const struct tar_comparison c = {.stored = &s.base,
                                     .reread = &again.base,
                                     .replaced = (const uint64_t *)(const void *)d->check.replaced.p,
                                     .replaced_count = d->check.replaced.n / sizeof(uint64_t),
                                     .place = d->place,
                                     .is_root = d->is_root,
                                     .is_elsewhere = d->whole ? NULL : is_in_earlier_slice,
                                     .ctx = d};
    int rc = tar_compare(&c, &d->tally, &of_scratch, &found, &why);
    reread_join(&again);
    take_findings(d, &found, &again.troubles);
    if (rc == 0 && again.rc == 0)
        return 0;
    d->compared = false;
    if (rc && !of_scratch && why.kind != ERR_SPACE)
        return judge_stored(d, &why, e);
    return judge_scratch(d, again.rc ? &again.e : &why, e);
}

/* An entry that could not be made is missing from scratch, and the comparison has said so. */
static void explain(struct volume_drill *d)
{
    if (!err_is_set(&d->refused) || (d->compared && !d->whole && d->tally.links))
        return;
    if (d->out->outcome == DRILL_PROVEN && d->is_root)
        drill_unable(d->out, "%s", d->refused.text);
    else if (d->out->outcome != DRILL_PROVEN)
        drill_note(d->out, "the restore said: %s", d->refused.text);
}

int volume_drill_compare(struct volume_drill *d, struct err *e)
{
    uint64_t began = time_monotonic_ns();
    struct err why = ERR_INIT;
    d->step = "comparing";
    int equal = d->whole && d->may_be_equal && !err_is_set(&d->refused) ? is_equal(d, &why) : 0;
    int rc = equal < 0 ? judge_scratch(d, &why, e) : equal ? 0 : look_closer(d, e);
    d->compared_ns += time_monotonic_ns() - began;
    d->compared = d->compared && rc == 0;
    if (rc == 0) {
        explain(d);
        d->out->bytes += d->slice.length;
    }
    return rc;
}

/* ---- the end ---- */
int volume_drill_clear(struct volume_drill *d, struct err *e)
{
    struct err why = ERR_INIT;
    return dir_remove(d->folder, &why) ? judge_scratch(d, &why, e) : 0;
}

/* Behind the last run, where slices do not reach and unpacking does not look. */
static int check_end_mark(struct volume_drill *d, struct err *e)
{
    AUTO(stream_feed) f = {0};
    const uint64_t end = d->data->bytes - MIN(d->data->bytes, CATALOG_TAR_END);
    const struct range r = {end, CATALOG_TAR_END};
    struct bytes b;
    struct err why = ERR_INIT;
    stream_feed_init(&f, d->env->repo, d->data, &r, 1);
    for (;;) {
        if (f.base.next(&f.base, &b, &why))
            return judge_stored(d, &why, e);
        for (size_t i = 0; i < b.n; i++)
            if (b.p[i]) {
                drill_differs(d->out, "the stored stream has no end mark");
                return 1;
            }
        if (b.n == 0)
            return 0;
    }
}

static void note_left_out(struct volume_drill *d)
{
    const struct tar_tally *t = &d->tally;
    if (t->owners + t->modes + t->devices + t->attributes + t->unread)
        drill_note(
            d->out,
            "not run as root, so this was left out of the comparison: owner and group of %llu entries, "
            "setuid or setgid of %llu, %llu device nodes, %llu attributes that only root sets, %llu "
            "entries that their owner may not read",
            (unsigned long long)t->owners, (unsigned long long)t->modes, (unsigned long long)t->devices,
            (unsigned long long)t->attributes, (unsigned long long)t->unread);
    if (t->links)
        drill_note(
            d->out,
            "drilled in slices: %llu hard links to files of other slices were checked by their headers "
            "only",
            (unsigned long long)t->links);
    if (t->holes)
        drill_note(d->out, "files whose holes lie elsewhere in scratch, with the same content: %llu",
                   (unsigned long long)t->holes);
}

int volume_drill_end(struct volume_drill *d, struct err *e)
{
    int rc = check_end_mark(d, e);
    if (rc == 0)
        rc = catalog_check_end(&d->check, d->data->bytes, d->env->source->files, e);
    return rc;
}

void volume_drill_finish(struct volume_drill *d, bool ended)
{
    const struct catalog_check *c = &d->check;
    uint64_t now = time_monotonic_ns(), restored_ns = d->restored_ns - MIN(d->restored_ns, c->spent_ns);
    note_left_out(d);
    d->out->entries = c->entries;
    d->out->restore_seconds = (double)restored_ns / 1e9;
    drill_layer_add(d->out, "restored", now - restored_ns, d->restored);
    if (d->compared_ns)
        drill_layer_add(d->out, "compared", now - d->compared_ns, d->compared && ended);
    if (ended || c->fault)
        drill_layer_add(d->out, "catalog", now - c->spent_ns, !c->fault);
}

void volume_drill_free(struct volume_drill *d)
{
    struct err e = ERR_INIT;
    if (d->folder && dir_remove(d->folder, &e))
        log_warn("scratch: %s", e.text);
    free(d->folder);
    slicer_free(&d->slicer);
    catalog_check_free(&d->check);
    *d = (struct volume_drill){0};
}

int volume_drill_run(const struct drill_env *env, const char *place, uint64_t limit, struct drill_result *out,
                     struct err *e)
{
    AUTO(volume_drill) d = {0};
    bool more = true;
    int rc = volume_drill_open(&d, env, place, limit, out, e);
    while (rc == 0 && more) {
        rc = volume_drill_next(&d, &more, e);
        if (rc == 0 && more)
            rc = volume_drill_restore(&d, e);
        if (rc == 0 && more)
            rc = volume_drill_compare(&d, e);
        if (rc == 0 && more)
            rc = volume_drill_clear(&d, e);
    }
    if (rc == 0)
        rc = volume_drill_end(&d, e);
    if (rc >= 0)
        volume_drill_finish(&d, rc == 0);
    return rc < 0 ? -1 : 0;
}

int drill_volume(const struct drill_env *env, struct drill_result *out, struct err *e)
{
    uint64_t room = scratch_room(env->scratch), max = env->settings->max_bytes;
    return volume_drill_run(env, scratch_path(env->scratch), max ? MIN(max, room) : room, out, e);
}
