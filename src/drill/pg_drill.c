/* Databases there and back: each is restored into scratch by the very code that `lifeboat restore` uses,
 * dumped again, and must have the fingerprint that the backup has. */
#include "pg_drill.h"

#include "base/child.h"
#include "source/pg_archive.h"
#include "target/pg_target.h"
#include "target/stream_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINGERPRINT_LIMIT (4ull << 30) /* a line of some 150 bytes for each object */
#define GLOBALS_LIMIT     (64u << 20)

static void database_free(struct pg_drill_database *b)
{
    free(b->name);
    free(b->prefix);
    free(b->scratch_name);
    free(b->witness_name);
    buf_free(&b->stored);
    strings_free(&b->unfilled);
    strings_free(&b->refreshes);
}

/* Steps of several databases are one layer. */
static void layer(struct pg_drill *d, const char *name, uint64_t started_ns, bool held)
{
    struct drill_result *out = d->out;
    for (size_t i = 0; i < out->layer_count; i++) {
        struct drill_layer *l = &out->layers[i];
        if (strcmp(l->name, name) != 0)
            continue;
        l->held &= held;
        l->seconds += (double)(time_monotonic_ns() - started_ns) / 1e9;
        return;
    }
    drill_layer_add(out, name, started_ns, held);
}

/* ---- what is stored ---- */
static int read_stream(const struct pg_drill *d, const struct stream_info *info, uint64_t limit,
                       struct buf *out, struct err *e)
{
    AUTO(stream_feed) f = {0};
    struct bytes b;
    if (info->bytes > limit)
        return err_set(e, ERR_DAMAGED, "stream %s: is longer than it can be", info->name);
    stream_feed_init(&f, d->env->repo, info, &whole_stream, 1);
    do {
        if (f.base.next(&f.base, &b, e))
            return err_wrap(e, "stream %s", info->name);
        buf_add(out, b);
    } while (b.n);
    return 0;
}

/* "15.20 (Debian ...)", "18devel" */
static void read_version(const char *text, int *major, int *minor)
{
    *major = *minor = 0;
    if (text)
        (void)sscanf(text, "%d.%d", major, minor);
}

/* The head of the dump says which server it is from. */
static int read_head(struct pg_drill_database *b, struct err *e)
{
    AUTO(stream_feed) f = {0};
    AUTO_PTR(pg_archive) a = pg_archive_new();
    struct bytes piece;
    int none;
    stream_feed_init(&f, b->d->env->repo, b->data, &whole_stream, 1);
    while (!pg_archive_server_version(a)) {
        struct err why = ERR_INIT;
        if (f.base.next(&f.base, &piece, e))
            return err_wrap(e, "stream %s", b->data->name);
        if (piece.n == 0 && pg_archive_finish(a, e))
            return -1;
        if (piece.n == 0)
            return err_set(e, ERR_UNPROVEN, "the dump does not say of which server it is");
        if (pg_archive_write(a, piece, &why)) /* a format to come is no damage */
            return err_set(e, why.kind == ERR_FAILED ? ERR_UNPROVEN : why.kind, "%s", why.text);
    }
    read_version(pg_archive_server_version(a), &b->major, &b->minor);
    read_version(pg_archive_dump_version(a), &b->dump_major, &none);
    if (pg_archive_database(a)) {
        free(b->name);
        b->name = xstrdup(pg_archive_database(a));
    }
    return 0;
}

static int read_fingerprint(struct pg_drill_database *b, struct err *e)
{
    AUTO_CHAR name = xasprintf("fingerprint%s", b->data->name + strlen("data"));
    const struct stream_info *info = snapshot_find_stream(b->d->env->source, name);
    if (!info)
        return err_set(e, ERR_UNPROVEN, "the backup has no stream %s to compare with", name);
    return read_stream(b->d, info, FINGERPRINT_LIMIT, &b->stored, e);
}

/* ---- scratch ---- */
static int start_server(struct pg_drill_database *b, struct err *e)
{
    struct pg_drill *d = b->d;
    const struct pg_scratch_options o = {.scratch = d->env->settings->scratch,
                                         .source = d->env->config,
                                         .major = b->major,
                                         .minor = b->minor,
                                         .server_ids = d->env->server_ids};
    if (d->started)
        return 0;
    if (pg_scratch_start(&d->server, d->env->scratch, &o, e))
        return -1;
    d->started = true;
    for (size_t i = 0; i < d->server.notes.n; i++)
        drill_note(d->out, "%s", d->server.notes.v[i]);
    return 0;
}

/* What the database took on its server, or the dump if that was more, and a fifth of it. */
static int check_room(const struct pg_drill_database *b, struct err *e)
{
    const struct drill_env *env = b->d->env;
    char more[32], needed[32];
    double share = env->source->bytes ? (double)b->data->bytes / (double)env->source->bytes : 1;
    double size = MAX((double)env->source->database_bytes * MIN(share, 1.0), (double)b->data->bytes) * 1.2;
    uint64_t room = scratch_room(env->scratch), most = env->settings->max_bytes;
    bool limited = most && most < room;
    if (!b->d->server.is_private || size <= (double)(limited ? most : room))
        return 0;
    size_format(needed, (uint64_t)size);
    size_format(more, (uint64_t)size - (limited ? most : room));
    return err_set(e, ERR_UNPROVEN, "scratch needs %s, %s more than %s", needed, more,
                   limited ? "[drill] max-bytes allows" : "is free in [drill] directory");
}

/* A fresh cluster has a database "postgres", which would be in the way of one that is restored. */
static int name_databases(struct pg_drill_database *b, struct err *e)
{
    char name[64];
    AUTO(pg) p = PG_NONE;
    pg_side_name(name, "drill");
    b->witness_name = xstrdup(name);
    pg_side_name(name, "drill");
    b->scratch_name = xstrdup(b->d->server.is_private ? b->name : name);
    if (strcmp(b->scratch_name, "postgres") != 0)
        return 0;
    return pg_drill_connect(b->d, &p, "template1", e) || pg_database_drop(&p, "postgres", e) ? -1 : 0;
}

static void drop_databases(const struct pg_drill_database *b)
{
    AUTO(pg) p = PG_NONE;
    struct err why = ERR_INIT;
    if (!b->scratch_name)
        return;
    if ((pg_drill_connect(b->d, &p, "template1", &why) || pg_database_drop(&p, b->witness_name, &why) ||
         pg_database_drop(&p, b->scratch_name, &why)) &&
        !b->d->server.is_private)
        drill_note(b->d->out, "what was restored is left in the scratch server until the next drill: %s",
                   why.text);
}

/* ---- the steps ---- */
static int bring_back(struct pg_drill_database *b, struct target_postgres_report *report, struct err *e)
{
    AUTO(target_counts) counts = {0};
    struct drill_result *out = b->d->out;
    uint64_t started = time_monotonic_ns();
    bool held = false;
    int rc = pg_drill_restore(b, b->scratch_name, false, &counts, report, e);
    out->restore_seconds += (double)(time_monotonic_ns() - started) / 1e9;
    out->bytes += counts.bytes;
    out->entries += counts.entries;
    for (size_t i = 0; i < counts.notes.n; i++)
        drill_note(out, "%s%s", b->prefix, counts.notes.v[i]);
    if (rc == 0)
        rc = pg_drill_judge(b, report, &held, e);
    layer(b->d, "restored", started, held);
    return rc;
}

static int compare_stored(const struct pg_drill_database *b, const struct target_postgres_report *report,
                          bool *held, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    int rc = pg_compare_stored(b, report, held, e);
    layer(b->d, "stored", started, *held);
    return rc;
}

static int compare_restored(const struct pg_drill_database *b, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    bool held = false;
    int rc = pg_compare_restored(b, &held, e);
    layer(b->d, "compared", started, held);
    return rc;
}

static int run_after_restore(const struct pg_drill_database *b, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    bool held = false;
    if (!b->d->env->settings->after_restore)
        return 0;
    int rc = pg_after_restore(b, &held, e);
    layer(b->d, "after-restore", started, held);
    return rc;
}

static int run_asserts(const struct pg_drill_database *b, struct err *e)
{
    uint64_t started = time_monotonic_ns();
    bool held = false;
    if (!pg_has_asserts(b->d))
        return 0;
    int rc = pg_asserts(b, &held, e);
    layer(b->d, "asserts", started, held);
    return rc;
}

/* ---- one database ---- */
static int prepare(struct pg_drill_database *b, struct err *e)
{
    bool failed = read_head(b, e) || start_server(b, e) || check_room(b, e) || read_fingerprint(b, e) ||
                  name_databases(b, e) || pg_roles_make(b, e);
    return failed ? -1 : 0;
}

static int there_and_back(struct pg_drill_database *b, struct err *e)
{
    AUTO(target_postgres_report) report = {0};
    bool stored = false;
    if (prepare(b, e) || bring_back(b, &report, e) || compare_stored(b, &report, &stored, e))
        return -1;
    if (b->unable || !stored)
        return 0;
    return run_after_restore(b, e) || compare_restored(b, e) || run_asserts(b, e) ? -1 : 0;
}

static bool server_answers(const struct pg_drill *d)
{
    AUTO(pg) p = PG_NONE;
    struct err ignored = ERR_INIT;
    return pg_drill_connect(d, &p, "template1", &ignored) == 0;
}

/* What it means that a drill came to an early end: about the backup, about this machine, or nothing (-1). */
static int settle(const struct pg_drill_database *b, const struct err *why, struct err *e)
{
    struct drill_result *out = b->d->out;
    switch (why->kind) {
    case ERR_STOPPED:
    case ERR_SPACE:
    case ERR_IO:
        return err_set(e, why->kind, "%s%s", b->prefix, why->text);
    case ERR_UNPROVEN:
    case ERR_USAGE:
        drill_unable(out, "%s%s", b->prefix, why->text);
        return 0;
    case ERR_DAMAGED:
        drill_differs(out, "%s%s", b->prefix, why->text);
        return 0;
    default:
        if (b->d->started && !server_answers(b->d))
            drill_unable(out, "%sthe scratch server ended during the drill: %s", b->prefix, why->text);
        else if (why->kind == ERR_NET)
            return err_set(e, why->kind, "%s%s", b->prefix, why->text);
        else
            drill_differs(out, "%s%s", b->prefix, why->text);
        return 0;
    }
}

static int drill_database(struct pg_drill *d, const struct stream_info *data, struct err *e)
{
    struct err why = ERR_INIT;
    const char *colon = strchr(data->name, ':');
    struct pg_drill_database b = {.d = d,
                                  .data = data,
                                  .name = xstrdup(colon ? colon + 1 : "database"),
                                  .prefix = colon ? xasprintf("database %s: ", colon + 1) : xstrdup("")};
    int rc = there_and_back(&b, &why) ? settle(&b, &why, e) : 0;
    strings_add(&d->databases, b.name);
    if (d->started && (d->many || !d->server.is_private)) /* a private server goes as a whole */
        drop_databases(&b);
    database_free(&b);
    return rc;
}

/* ---- one source ---- */
static int read_globals(struct pg_drill *d, struct err *e)
{
    const struct stream_info *info = snapshot_find_stream(d->env->source, "globals");
    d->has_globals = info != NULL;
    return info ? read_stream(d, info, GLOBALS_LIMIT, &d->globals, e) : 0;
}

static bool is_data(const struct stream_info *s)
{
    return strcmp(s->name, "data") == 0 || strncmp(s->name, "data:", 5) == 0;
}

static int drill_databases(struct pg_drill *d, struct err *e)
{
    const struct snapshot_source *s = d->env->source;
    size_t n = 0;
    for (size_t i = 0; i < s->stream_count; i++)
        n += is_data(&s->streams[i]);
    d->many = n > 1;
    if (n == 0)
        drill_differs(d->out, "there is no database in this backup");
    for (size_t i = 0; i < s->stream_count; i++)
        if (is_data(&s->streams[i]) && (stop_check(e) || drill_database(d, &s->streams[i], e)))
            return -1;
    pg_asserts_left(d);
    return 0;
}

int drill_postgres(const struct drill_env *env, struct drill_result *out, struct err *e)
{
    struct pg_drill d = {.env = env, .out = out};
    struct err why = ERR_INIT;
    int rc = 0;
    if (read_globals(&d, &why) == 0)
        rc = drill_databases(&d, e);
    else if (why.kind == ERR_DAMAGED)
        drill_differs(out, "%s", why.text);
    else
        rc = err_set(e, why.kind, "%s", why.text);
    if (d.started)
        pg_roles_drop(&d);
    pg_scratch_free(&d.server);
    buf_free(&d.globals);
    strings_free(&d.databases);
    return rc;
}
