/* Looking into snapshots: catalogs and single streams. */
#include "internal.h"

#include "base/bigmap.h"
#include "base/child.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEEN_EXPECTED 4096

char *clean_path(const char *path)
{
    struct buf out = BUF_NONE;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n && !(n == 1 && *path == '.')) {
            if (out.n)
                buf_add_u8(&out, '/');
            buf_add(&out, BYTES(path, n));
        }
        path += n + (path[n] == '/');
    }
    return (char *)buf_cstr(&out);
}

bool path_is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return n == 0 || (strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

/* ---- finding ---- */
const struct snapshot_source *run_find_source(const struct snapshot *s, const char *name, struct err *e)
{
    char id[SHA_HEX];
    sha_hex(id, &s->id);
    const struct snapshot_source *found = snapshot_find_source(s, name);
    if (!found) {
        AUTO(buf) list = BUF_NONE;
        for (size_t i = 0; i < s->source_count; i++)
            buf_add_fmt(&list, "%s%s", i ? ", " : "", s->sources[i].name);
        return err_set(e, ERR_USAGE,
                       "snapshot %.8s has no source %s; it has: %s (latest:%s is the newest that holds it)",
                       id, name, buf_cstr(&list), name),
               NULL;
    }
    if (found->verdict == VERDICT_FAILED)
        return err_set(
                   e, ERR_FAILED,
                   "snapshot %.8s holds nothing of %s, whose backup failed that time (%s): latest:%s is the "
                   "newest that does",
                   id, name, found->error ? found->error : "no reason was noted", name),
               NULL;
    return found;
}

/* "data" of a source with several databases is called "data:NAME"; the name alone will do. */
static const struct stream_info *find_named(const struct snapshot_source *s, const char *wanted)
{
    const struct stream_info *info = snapshot_find_stream(s, wanted), *only = NULL;
    AUTO_CHAR of_database = xasprintf("data:%s", wanted);
    if (!info)
        info = snapshot_find_stream(s, of_database);
    if (info || strcmp(wanted, "data") != 0)
        return info;
    for (size_t i = 0; i < s->stream_count; i++)
        if (strncmp(s->streams[i].name, "data:", 5) == 0) {
            if (only)
                return NULL;
            only = &s->streams[i];
        }
    return only;
}

const struct stream_info *find_stream(const struct snapshot *s, const char *word,
                                      const struct snapshot_source **source, struct err *e)
{
    const char *slash = strchr(word, '/');
    AUTO_CHAR name = slash ? xstrndup(word, (size_t)(slash - word)) : xstrdup(word);
    const char *wanted = slash ? slash + 1 : "data";
    *source = run_find_source(s, name, e);
    if (!*source)
        return NULL;
    const struct stream_info *info = find_named(*source, wanted);
    if (info)
        return info;
    AUTO(buf) list = BUF_NONE;
    for (size_t i = 0; i < (*source)->stream_count; i++)
        buf_add_fmt(&list, "%s%s/%s", i ? ", " : "", name, (*source)->streams[i].name);
    err_set(e, ERR_USAGE, "%s has no single stream %s; choose one of: %s", name, wanted, buf_cstr(&list));
    return NULL;
}

/* ---- catalogs ---- */
int visit_catalog(struct repo *r, const struct snapshot_source *source, const struct catalog_visitor *v,
                  struct err *e)
{
    const struct stream_info *info = snapshot_find_stream(source, "catalog");
    if (!info)
        return err_set(e, ERR_USAGE,
                       "%s is a %s source, which has no files to look at: `lifeboat show` lists "
                       "its streams, `lifeboat cat` prints them",
                       source->name, source->type);
    AUTO(stream_feed) f = {0};
    AUTO(catalog_reader) reader = {0};
    catalog_reader_init(&reader, v);
    stream_feed_init(&f, r, info, &whole_stream, 1);
    for (;;) {
        struct bytes b;
        if (stop_check(e) || f.base.next(&f.base, &b, e))
            return -1;
        if (b.n == 0)
            return catalog_reader_end(&reader, e);
        if (catalog_reader_push(&reader, b, e))
            return -1;
    }
}

struct listing {
    const char *path;
    run_each_entry *each;
    void *ctx;
    bool found;
};

static int list_entry(void *ctx, const struct catalog_entry *entry, struct err *e)
{
    struct listing *l = ctx;
    if (!path_is_below(entry->path, l->path))
        return 0;
    l->found = true;
    return l->each(l->ctx, entry, e);
}

int run_ls(struct run_repo *r, const struct snapshot *s, const char *source, const char *path,
           run_each_entry *each, void *ctx, struct err *e)
{
    const struct snapshot_source *from = run_find_source(s, source, e);
    if (!from)
        return -1;
    AUTO_CHAR clean = clean_path(path ? path : "");
    struct listing l = {.path = clean, .each = each, .ctx = ctx};
    const struct catalog_visitor v = {.entry = list_entry, .ctx = &l};
    if (visit_catalog(r->repo, from, &v, e))
        return -1;
    if (l.found || !*clean)
        return 0;
    AUTO_CHAR shown = text_printable(clean, strlen(clean));
    return err_set(
        e, ERR_FAILED,
        "%s: is not in this snapshot of %s: `lifeboat ls SNAP %s` and `lifeboat find` show what is", shown,
        source, source);
}

struct finding {
    const char *pattern;
    const struct snapshot *snapshot;
    const struct snapshot_source *source;
    struct bigmap *seen;
    run_each_match *each;
    void *ctx;
    unsigned long unread; /* catalogs */
};

/* Whether this was seen before; it has been from now on. */
static int was_seen(struct finding *f, struct bytes what, struct err *e)
{
    struct sha sha;
    uint64_t at = BIGMAP_START, value;
    sha_of(what, &sha);
    if (bigmap_next(f->seen, sha.b, &at, &value))
        return 1;
    return bigmap_add(f->seen, sha.b, 1, e);
}

static int match_entry(void *ctx, const struct catalog_entry *entry, struct err *e)
{
    struct finding *f = ctx;
    if (!glob_match(f->pattern, entry->path))
        return 0;
    AUTO(buf) version = BUF_NONE;
    buf_add_fmt(&version, "%s/%s/%o/%llu/%lld/", f->snapshot->host, f->source->name, entry->mode & S_IFMT,
                (unsigned long long)entry->size, (long long)entry->mtime_ns);
    buf_add_str(&version, entry->path);
    int seen = was_seen(f, buf_bytes(&version), e);
    return seen == 0 ? f->each(f->ctx, f->snapshot, f->source, entry, e) : seen < 0 ? -1 : 0;
}

/* A catalog that cannot be read does not hide what others list. */
static int pass_over(struct finding *f, const struct err *why, struct err *e)
{
    char id[SHA_HEX];
    sha_hex(id, &f->snapshot->id);
    if (why->kind != ERR_DAMAGED && why->kind != ERR_FAILED) {
        *e = *why;
        return err_wrap(e, "snapshot %.8s: %s", id, f->source->name);
    }
    log_warn("snapshot %.8s: %s: %s (the others are searched)", id, f->source->name, why->text);
    f->unread++;
    return 0;
}

/* Equal catalogs are read once. */
static int search_source(struct run_repo *r, struct finding *f, struct err *e)
{
    const struct stream_info *info = snapshot_find_stream(f->source, "catalog");
    if (!info || f->source->verdict == VERDICT_FAILED)
        return 0;
    AUTO(buf) same = BUF_NONE;
    buf_add_fmt(&same, "%s/%s/%u/", f->snapshot->host, f->source->name, info->depth);
    buf_add(&same, BYTES(info->roots, info->root_count * sizeof *info->roots));
    int seen = was_seen(f, buf_bytes(&same), e);
    if (seen)
        return seen < 0 ? -1 : 0;
    const struct catalog_visitor v = {.entry = match_entry, .ctx = f};
    struct err why = ERR_INIT;
    return visit_catalog(r->repo, f->source, &v, &why) ? pass_over(f, &why, e) : 0;
}

int run_find(struct run_repo *r, const struct snapshots *all, const char *pattern, const char *source,
             run_each_match *each, void *ctx, struct err *e)
{
    AUTO_PTR(bigmap) seen = bigmap_new(r->spool_dir, SEEN_EXPECTED, e);
    if (!seen)
        return -1;
    struct finding f = {.pattern = pattern, .seen = seen, .each = each, .ctx = ctx};
    for (size_t i = all->n; i-- > 0;) {
        f.snapshot = &all->v[i];
        for (size_t k = 0; k < f.snapshot->source_count; k++) {
            f.source = &f.snapshot->sources[k];
            if ((!source || strcmp(source, f.source->name) == 0) && search_source(r, &f, e))
                return -1;
        }
    }
    return f.unread
               ? err_set(e, ERR_DAMAGED,
                         "%lu of the lists of files could not be read, so this may not be all: `lifeboat "
                         "check --read-data` says what is damaged, `lifeboat repair` heals it from a mirror",
                         f.unread)
               : 0;
}

/* ---- cat ---- */
struct text_feed {
    struct feed base;
    struct feed *in;
    uint8_t last; /* byte of the piece before */
};

/* A terminal takes 0xc2 0x80 to 0xc2 0x9f for control characters, too: U+009B begins an escape sequence. */
static bool is_text(struct text_feed *t, struct bytes b)
{
    for (size_t i = 0; i < b.n; i++) {
        uint8_t c = b.p[i];
        if ((c < 0x20 && !strchr("\t\n\r\f", c ? c : 1)) || c == 0x7f ||
            (t->last == 0xc2 && c >= 0x80 && c < 0xa0))
            return false;
        t->last = c;
    }
    return true;
}

static int next_text(struct feed *base, struct bytes *out, struct err *e)
{
    struct text_feed *t = CONTAINER(base, struct text_feed, base);
    if (t->in->next(t->in, out, e))
        return -1;
    return is_text(t, *out)
               ? 0
               : err_set(e, ERR_USAGE,
                         "the stream is not text, and standard output is a terminal: send it into a "
                         "file or a pipe");
}

int run_cat(struct run_repo *r, const struct snapshot *s, const char *source, int fd, bool text_only,
            struct err *e)
{
    const struct snapshot_source *from;
    const struct stream_info *info = find_stream(s, source, &from, e);
    if (!info)
        return -1;
    AUTO(stream_feed) f = {0};
    uint64_t bytes = 0;
    stream_feed_init(&f, r->repo, info, &whole_stream, 1);
    struct text_feed text = {.base = {.next = next_text}, .in = &f.base};
    return target_fd(text_only ? &text.base : &f.base, fd, "standard output", &bytes, e);
}
