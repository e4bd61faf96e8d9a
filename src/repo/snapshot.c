#include "repo/internal.h"

#include "base/log.h"
#include "repo/tree.h"

#include <stdio.h>
#include <stdlib.h>

#define SOURCE_NAME_MAX  64
#define STREAM_BYTES_MAX (16ull << 40) /* docs/format.md, section 10 */
#define REASONS_KEPT     20            /* in the object; the rest is counted, so that 64 KiB are enough */

const struct snapshot_source *snapshot_find_source(const struct snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->source_count; i++)
        if (strcmp(s->sources[i].name, name) == 0)
            return &s->sources[i];
    return NULL;
}

const struct stream_info *snapshot_find_stream(const struct snapshot_source *s, const char *name)
{
    for (size_t i = 0; i < s->stream_count; i++)
        if (strcmp(s->streams[i].name, name) == 0)
            return &s->streams[i];
    return NULL;
}

bool snapshot_is_proven(const struct snapshot *s)
{
    for (size_t i = 0; i < s->source_count; i++)
        if (s->sources[i].verdict == VERDICT_FAILED || s->sources[i].proof.state != PROOF_HOLDS)
            return false;
    return s->source_count > 0;
}

struct snapshot_source *snapshot_add_source(struct snapshot *s)
{
    s->sources = xrealloc(s->sources, s->source_count + 1, sizeof *s->sources);
    struct snapshot_source *out = &s->sources[s->source_count++];
    *out = (struct snapshot_source){0};
    return out;
}

void snapshot_free(struct snapshot *s)
{
    for (size_t i = 0; i < s->source_count; i++) {
        struct snapshot_source *src = &s->sources[i];
        free(src->name);
        free(src->type);
        free(src->error);
        free(src->server_id);
        free(src->streams);
        strings_free(&src->reasons);
        strings_free(&src->notes);
        strings_free(&src->server_settings);
    }
    free(s->sources);
    free(s->host);
    strings_free(&s->tags);
    strings_free(&s->pins);
    *s = (struct snapshot){0};
}

/* ---- JSON ---- */
static json_t *encode_stream(const struct stream_info *i)
{
    AUTO(buf) roots = BUF_NONE;
    for (uint32_t k = 0; k < i->root_count; k++)
        add_chunk(&roots, &i->roots[k]);
    AUTO_CHAR text = base64_encode(buf_bytes(&roots));
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:[i,i,i], s:i, s:i, s:s}", "name", i->name, "bytes",
                     (json_int_t)i->bytes, "chunks", (json_int_t)i->chunks, "new_bytes",
                     (json_int_t)i->new_bytes, "stored_bytes", (json_int_t)i->stored_bytes, "chunk",
                     (int)i->params.min, (int)i->params.mean, (int)i->params.max, "frame", (int)i->frame,
                     "depth", (int)i->depth, "roots", text);
}

static json_t *encode_source(const struct snapshot_source *s)
{
    json_t *streams = json_array();
    for (size_t i = 0; i < s->stream_count; i++)
        json_array_append_new(streams, encode_stream(&s->streams[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o}", "name", s->name, "type",
                  s->type, "verdict", verdict_name(s->verdict), "sequence", (json_int_t)s->sequence, "bytes",
                  (json_int_t)s->bytes, "new_bytes", (json_int_t)s->new_bytes, "stored_bytes",
                  (json_int_t)s->stored_bytes, "files", (json_int_t)s->files, "seconds", s->seconds,
                  "reasons", json_list_write_some(&s->reasons, REASONS_KEPT), "notes",
                  json_list_write_some(&s->notes, REASONS_KEPT), "streams", streams);
    if (s->error) {
        AUTO_CHAR text = text_printable(s->error, strlen(s->error));
        json_object_set_new(o, "error", json_string(text));
    }
    if (s->server_id)
        json_object_set_new(o, "server_id", json_string(s->server_id));
    if (s->database_bytes)
        json_object_set_new(o, "database_bytes", json_integer((json_int_t)s->database_bytes));
    if (s->server_settings.n)
        json_object_set_new(o, "server_settings", json_list_write(&s->server_settings));
    return o;
}

void snapshot_encode(const struct snapshot *s, struct buf *out)
{
    char time[40];
    time_format_utc(time, s->time_ns);
    json_t *sources = json_array();
    for (size_t i = 0; i < s->source_count; i++)
        json_array_append_new(sources, encode_source(&s->sources[i]));
    AUTO_JSON o = json_pack("{s:i, s:s, s:s, s:s, s:f, s:o, s:o}", "format", (int)FORMAT_VERSION, "time",
                            time, "host", s->host, "verdict", verdict_name(s->verdict), "seconds", s->seconds,
                            "tags", json_list_write(&s->tags), "sources", sources);
    json_write(o, out);
}

static bool decode_stream(const json_t *o, struct stream_info *out)
{
    const json_t *chunk = json_object_get(o, "chunk");
    const char *name = json_text(o, "name");
    AUTO(buf) roots = BUF_NONE;
    *out = (struct stream_info){0};
    if (strlen(name) == 0 || strlen(name) >= sizeof out->name || !json_u64(o, "bytes", &out->bytes) ||
        !json_u64(o, "chunks", &out->chunks) || !json_u64(o, "new_bytes", &out->new_bytes) ||
        !json_u64(o, "stored_bytes", &out->stored_bytes) || json_array_size(chunk) != 3 ||
        !json_u32(o, "frame", &out->frame) || !json_u32(o, "depth", &out->depth) ||
        out->depth >= TREE_LEVELS || out->bytes > STREAM_BYTES_MAX || out->chunks > UINT32_MAX ||
        !base64_decode(&roots, json_text(o, "roots")) || roots.n % TABLE_CHUNK_SIZE ||
        roots.n > STREAM_ROOTS * TABLE_CHUNK_SIZE)
        return false;
    snprintf(out->name, sizeof out->name, "%s", name);
    uint32_t *params[] = {&out->params.min, &out->params.mean, &out->params.max};
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        *params[i] = (uint32_t)json_integer_value(json_array_get(chunk, i));
    out->root_count = (uint32_t)(roots.n / TABLE_CHUNK_SIZE);
    for (uint32_t i = 0; i < out->root_count; i++)
        out->roots[i] = chunk_at(buf_bytes(&roots), i);
    return true;
}

/* As a configuration has them. A restore makes folders of these names, so no other may get here. */
static bool name_is_valid(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    return *name && strchr(first, *name) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == strlen(name) &&
           strlen(name) <= SOURCE_NAME_MAX;
}

static bool decode_source(const json_t *o, struct snapshot_source *out)
{
    out->name = xstrdup(json_text(o, "name"));
    out->type = xstrdup(json_text(o, "type"));
    if (json_object_get(o, "error"))
        out->error = xstrdup(json_text(o, "error"));
    if (*json_text(o, "server_id"))
        out->server_id = xstrdup(json_text(o, "server_id"));
    (void)json_u64(o, "database_bytes", &out->database_bytes);
    json_list_read(json_object_get(o, "server_settings"), &out->server_settings);
    json_list_read(json_object_get(o, "reasons"), &out->reasons);
    json_list_read(json_object_get(o, "notes"), &out->notes);
    out->seconds = json_seconds(o, "seconds");
    const json_t *streams = json_object_get(o, "streams");
    out->streams = xcalloc(json_array_size(streams), sizeof *out->streams);
    size_t i;
    json_t *v;
    json_array_foreach(streams, i, v)
    {
        if (!decode_stream(v, &out->streams[out->stream_count++]))
            return false;
    }
    return name_is_valid(out->name) && out->type[0] &&
           verdict_parse(json_text(o, "verdict"), &out->verdict) && json_u64(o, "sequence", &out->sequence) &&
           json_u64(o, "bytes", &out->bytes) && json_u64(o, "new_bytes", &out->new_bytes) &&
           json_u64(o, "stored_bytes", &out->stored_bytes) && json_u64(o, "files", &out->files);
}

int snapshot_decode(struct bytes text, struct snapshot *out, struct err *e)
{
    AUTO_JSON o = json_read(text, NO_LIFEBOATS, e);
    if (!o)
        return -1;
    *out = (struct snapshot){.host = xstrdup(json_text(o, "host"))};
    json_list_read(json_object_get(o, "tags"), &out->tags);
    out->seconds = json_seconds(o, "seconds");
    bool sound = time_parse_utc(json_text(o, "time"), &out->time_ns) && out->host[0] &&
                 verdict_parse(json_text(o, "verdict"), &out->verdict);
    const json_t *sources = json_object_get(o, "sources");
    size_t i;
    json_t *v;
    json_array_foreach(sources, i, v)
    {
        sound = sound && decode_source(v, snapshot_add_source(out));
    }
    if (sound)
        return 0;
    snapshot_free(out);
    return err_set(e, ERR_DAMAGED, "is not a snapshot that this program understands" NO_LIFEBOATS);
}

/* A clock beyond what can be said, and text that is not UTF-8, which JSON leaves out without a word. */
static int check_encoded(struct bytes text, const struct snapshot *s, struct err *e)
{
    struct err why = ERR_INIT;
    AUTO(snapshot) read = {0};
    if (snapshot_decode(text, &read, &why))
        return err_set(e, ERR_FAILED,
                       "the snapshot could not be read again (%s): is this machine's clock right, and is "
                       "each name in it UTF-8?",
                       why.text);
    bool all = read.source_count == s->source_count;
    for (size_t i = 0; all && i < s->source_count; i++)
        all = read.sources[i].stream_count == s->sources[i].stream_count;
    return all ? 0
               : err_set(e, ERR_FAILED,
                         "the snapshot cannot be written down: a name of a source or stream is not UTF-8");
}

int snapshot_put(struct repo *r, struct snapshot *s, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    snapshot_encode(s, &text);
    if (text.n > SNAPSHOT_MAX)
        return err_set(
            e, ERR_USAGE,
            "the snapshot would describe more than 64 KiB allow (%zu streams or reasons too many): "
            "back up fewer sources or databases in one run",
            text.n);
    if (check_encoded(buf_bytes(&text), s, e))
        return -1;
    return object_put(r, "snapshots/", OBJECT_SNAPSHOT, buf_bytes(&text), &s->id, e);
}

int snapshot_load(struct repo *r, const struct sha *id, struct snapshot *out, struct err *e)
{
    char name[NAME_SIZE];
    object_name(name, "snapshots/", id);
    AUTO(buf) text = BUF_NONE;
    int rc = object_get(r, name, OBJECT_SNAPSHOT, METADATA_MAX, &text, e);
    if (rc == STORE_ABSENT)
        return err_set(e, ERR_USAGE, "%s: there is no such snapshot", name);
    if (rc != STORE_DONE)
        return -1;
    if (snapshot_decode(buf_bytes(&text), out, e))
        return err_wrap(e, "%s", name);
    out->id = *id;
    return 0;
}

/* ---- all of them ---- */
#define AHEAD_NS 3600000000000ll /* clocks of two machines do not differ by more unless one is wrong */

/* By the sequence of a source that both have: `later` was taken after `s`. */
static bool is_followed_by(const struct snapshot *s, const struct snapshot *later)
{
    for (size_t i = 0; i < s->source_count; i++) {
        const struct snapshot_source *other = snapshot_find_source(later, s->sources[i].name);
        if (other && other->sequence > s->sources[i].sequence)
            return strcmp(s->host, later->host) == 0;
    }
    return false;
}

/* One that was taken while the host's clock was ahead is not the latest for ever: it comes before the first
 * that its host has taken since. (The store's time of it may be as wrong, or that of a copy.) */
static void order(struct snapshots *all)
{
    int64_t future_ns = all->now_ns + AHEAD_NS;
    for (size_t i = 0; i < all->n; i++)
        all->v[i].order_ns = snapshot_taken_ns(&all->v[i]);
    for (size_t i = 0; i < all->n; i++) {
        struct snapshot *s = &all->v[i];
        for (size_t k = 0; s->time_ns > future_ns && k < all->n; k++)
            if (all->v[k].time_ns <= future_ns && is_followed_by(s, &all->v[k]))
                s->order_ns = MIN(s->order_ns, snapshot_taken_ns(&all->v[k]) - 1);
    }
}

static int by_order(const void *a, const void *b)
{
    const struct snapshot *x = a, *y = b;
    if (x->order_ns != y->order_ns)
        return x->order_ns < y->order_ns ? -1 : 1;
    if (snapshot_taken_ns(x) != snapshot_taken_ns(y))
        return snapshot_taken_ns(x) < snapshot_taken_ns(y) ? -1 : 1;
    if (x->time_ns != y->time_ns) /* a store that gives all its objects one time, long ago */
        return x->time_ns < y->time_ns ? -1 : 1;
    return memcmp(x->id.b, y->id.b, SHA_SIZE);
}

static int load_marks(struct repo *r, struct snapshots *all, struct err *e)
{
    AUTO(marks) m = {0};
    if (marks_load(r, MARKS_OF_SNAPSHOTS | MARKS_NO_CLOCK, &m, e))
        return -1;
    for (size_t i = 0; i < m.unreadable.n; i++)
        log_warn("%s", m.unreadable.v[i]);
    marks_apply(&m, all);
    return 0;
}

static int add_listed(void *ctx, const struct store_object *o, struct err *e)
{
    struct snapshots *all = ctx;
    struct snapshot new = {.stored_ns = o->mtime_ns};
    (void)e;
    if (!name_sha(o->name, &new.id))
        return 0;
    all->v = xrealloc(all->v, all->n + 1, sizeof *all->v);
    all->v[all->n++] = new;
    return 0;
}

struct loading {
    struct repo *repo;
    struct snapshot *v; /* one that could not be loaded has no host */
    char **unreadable;  /* why, where that is the snapshot's fault */
};

static int load_one(void *ctx, size_t i, struct err *e)
{
    struct loading *l = ctx;
    const struct snapshot listed = l->v[i];
    struct err bad = ERR_INIT;
    if (snapshot_load(l->repo, &listed.id, &l->v[i], &bad) == 0)
        l->v[i].stored_ns = listed.stored_ns;
    else if (bad.kind == ERR_DAMAGED)
        l->unreadable[i] = xstrdup(bad.text);
    else if (bad.kind != ERR_USAGE) /* ERR_USAGE: gone since it was listed */
        return *e = bad, -1;
    return 0;
}

/* Loads those that were listed; keeps those that can be read. */
static int load_listed(struct repo *r, struct snapshots *all, struct err *e)
{
    struct loading l = {.repo = r, .v = all->v, .unreadable = xcalloc(all->n, sizeof *l.unreadable)};
    int rc = gather(all->n, load_one, &l, e);
    size_t kept = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].host)
            all->v[kept++] = all->v[i];
        if (l.unreadable[i])
            strings_add(&all->unreadable, l.unreadable[i]);
        free(l.unreadable[i]);
    }
    free(l.unreadable);
    all->n = kept;
    return rc;
}

static bool is_among(const struct snapshots *all, const struct sha *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].id, id))
            return true;
    return false;
}

static int load_from(struct repo *r, struct store *s, void *ctx, struct err *e)
{
    struct snapshots *all = ctx;
    AUTO(snapshots) more = {0};
    size_t kept = 0;
    if (store_list(s, "snapshots/", add_listed, &more, NULL, e))
        return -1;
    for (size_t i = 0; i < more.n; i++)
        if (!is_among(all, &more.v[i].id))
            more.v[kept++] = more.v[i];
    more.n = kept;
    if (load_listed(r, &more, e))
        return -1;
    all->v = xrealloc(all->v, all->n + more.n, sizeof *all->v);
    while (more.n)
        all->v[all->n++] = more.v[--more.n];
    return 0;
}

int snapshots_load(struct repo *r, struct snapshots *out, struct err *e)
{
    *out = (struct snapshots){0};
    int rc = list_own(r, "snapshots/", add_listed, out, &out->now_ns, e);
    if (rc < 0 || load_listed(r, out, e) || (rc > 0 && mirrors_each(r, load_from, out, e))) {
        snapshots_free(out);
        return -1;
    }
    order(out);
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_order);
    if (load_marks(r, out, e)) {
        snapshots_free(out);
        return -1;
    }
    return 0;
}

int snapshots_load_mirrors(struct repo *r, struct snapshots *all, struct err *e)
{
    if (mirrors_each(r, load_from, all, e))
        return -1;
    order(all);
    if (all->n)
        qsort(all->v, all->n, sizeof *all->v, by_order);
    return 0;
}

void snapshots_free(struct snapshots *s)
{
    for (size_t i = 0; i < s->n; i++)
        snapshot_free(&s->v[i]);
    free(s->v);
    strings_free(&s->unreadable);
    strings_free(&s->let_go);
    *s = (struct snapshots){0};
}
