#include "report/newest.h"

#include "base/log.h"
#include "report/state_file.h"

#include <stdlib.h>
#include <string.h>

#define NEWEST_MAX (4u << 20)

/* ---- the list ---- */
static void drop(struct newest *n, size_t i)
{
    free(n->v[i].source);
    n->n--;
    memmove(&n->v[i], &n->v[i + 1], (n->n - i) * sizeof *n->v);
    n->changed = true;
}

static struct newest_of *add(struct newest *n, const char *source)
{
    n->v = xrealloc(n->v, n->n + 1, sizeof *n->v);
    n->v[n->n] = (struct newest_of){.source = xstrdup(source)};
    return &n->v[n->n++];
}

static struct newest_of *find(const struct newest *n, const char *source, bool lost)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->v[i].lost == lost && strcmp(n->v[i].source, source) == 0)
            return &n->v[i];
    return NULL;
}

const struct newest_of *newest_lost(const struct newest *n, const char *source)
{
    return find(n, source, true);
}

uint64_t newest_sequence(const struct newest *n, const char *source)
{
    const struct newest_of *there = find(n, source, false), *lost = find(n, source, true);
    return MAX(there ? there->sequence : 0, lost ? lost->sequence : 0);
}

void newest_free(struct newest *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i].source);
    free(n->v);
    *n = (struct newest){0};
}

/* ---- the file ---- */
static char *path_in(const char *folder)
{
    return xasprintf("%s/newest.json", folder);
}

static bool load_one(struct newest *out, const json_t *o)
{
    const char *source = json_string_value(json_object_get(o, "source"));
    const char *hex = json_string_value(json_object_get(o, "snapshot"));
    json_int_t sequence = json_integer_value(json_object_get(o, "sequence"));
    struct sha snapshot;
    if (!source || !hex || !sha_parse(&snapshot, hex, strlen(hex)) || sequence < 0)
        return false;
    struct newest_of *one = add(out, source);
    one->snapshot = snapshot;
    one->sequence = (uint64_t)sequence;
    one->time_ns = json_integer_value(json_object_get(o, "time"));
    one->written_ns = json_integer_value(json_object_get(o, "written"));
    one->lost = json_is_true(json_object_get(o, "lost"));
    return true;
}

void newest_load(struct newest *out, const char *folder, const char *host)
{
    AUTO_CHAR path = path_in(folder);
    struct err why = ERR_INIT;
    *out = (struct newest){0};
    json_t *o = state_file_read(path, NEWEST_MAX, &why);
    if (!o && !err_is_set(&why))
        return;
    const char *of = json_string_value(json_object_get(o, "host"));
    const json_t *list = json_object_get(o, "newest");
    bool sound = of && json_is_array(list);
    for (size_t i = 0; sound && strcmp(of, host) == 0 && i < json_array_size(list); i++)
        sound = load_one(out, json_array_get(list, i));
    json_decref(o);
    if (sound)
        return;
    if (!err_is_set(&why))
        err_set(&why, ERR_DAMAGED, "%s: is not understood", path);
    log_warn("%s: whether the store was put back to an older state cannot be said this time", why.text);
    newest_free(out);
}

int newest_save(struct newest *n, const char *folder, const char *host, struct err *e)
{
    AUTO_CHAR path = path_in(folder);
    json_t *list = json_array();
    for (size_t i = 0; i < n->n; i++) {
        char hex[SHA_HEX];
        const struct newest_of *one = &n->v[i];
        sha_hex(hex, &one->snapshot);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "source", one->source,
                                              "snapshot", hex, "sequence", (json_int_t)one->sequence, "time",
                                              (json_int_t)one->time_ns, "written",
                                              (json_int_t)one->written_ns, "lost", one->lost));
    }
    json_t *o = json_pack("{s:s, s:o}", "host", host, "newest", list);
    int rc = state_file_write(path, o, e);
    n->changed &= rc != 0;
    return rc;
}

/* ---- comparing ---- */
static const struct snapshot *find_snapshot(const struct snapshots *all, const struct sha *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].id, id))
            return &all->v[i];
    return NULL;
}

/* One that is there and cannot be read is not gone: that is said elsewhere. */
static bool is_unreadable(const struct snapshots *all, const char *hex)
{
    for (size_t i = 0; i < all->unreadable.n; i++)
        if (strstr(all->unreadable.v[i], hex))
            return true;
    return false;
}

/* A later one of the source: only a holder of the writer key can make one, so the store has not gone back. */
static bool has_successor(const struct snapshots *all, const char *host, const struct newest_of *one)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct snapshot_source *s = snapshot_find_source(&all->v[i], one->source);
        if (s && s->sequence >= one->sequence && !all->v[i].broken && strcmp(all->v[i].host, host) == 0)
            return true;
    }
    return false;
}

/* What becomes of an entry. */
enum fate { THERE, LET_GO, GONE };

static enum fate fate_of(const struct newest_of *one, const struct snapshots *all, const char *host)
{
    char hex[SHA_HEX];
    sha_hex(hex, &one->snapshot);
    const struct snapshot *s = find_snapshot(all, &one->snapshot);
    if (s)
        return snapshot_counts(s) ? THERE : LET_GO;
    if (strings_has(&all->let_go, hex))
        return LET_GO;
    if (is_unreadable(all, hex))
        return THERE;
    /* What was lost once stays so, whatever was written since. */
    return !one->lost && has_successor(all, host, one) ? LET_GO : GONE;
}

/* One of each kind is enough for a source: the newest. */
static void set_lost(struct newest *n, size_t i, bool lost)
{
    for (size_t k = 0; k < n->n; k++) {
        if (k == i || n->v[k].lost != lost || strcmp(n->v[k].source, n->v[i].source) != 0)
            continue;
        size_t older = n->v[k].sequence < n->v[i].sequence ? k : i;
        n->v[i].lost = lost;
        drop(n, older);
        return;
    }
    n->v[i].lost = lost;
    n->changed = true;
}

void newest_compare(struct newest *n, const struct snapshots *all, const char *host)
{
    for (size_t i = n->n; i-- > 0;) {
        enum fate fate = fate_of(&n->v[i], all, host);
        if (fate == LET_GO)
            drop(n, i);
        else if (n->v[i].lost != (fate == GONE))
            set_lost(n, i, fate == GONE);
    }
}

void newest_learn(struct newest *n, const struct snapshot *s, int64_t written_ns)
{
    for (size_t i = 0; i < s->source_count; i++) {
        const struct snapshot_source *from = &s->sources[i];
        struct newest_of *one = find(n, from->name, false);
        if (one && one->sequence >= from->sequence)
            continue;
        if (!one)
            one = add(n, from->name);
        one->snapshot = s->id;
        one->sequence = from->sequence;
        one->time_ns = s->time_ns;
        one->written_ns = written_ns;
        n->changed = true;
    }
}

size_t newest_give_up(struct newest *n, const char *prefix)
{
    size_t found = 0;
    for (size_t i = n->n; i-- > 0;) {
        char hex[SHA_HEX];
        sha_hex(hex, &n->v[i].snapshot);
        if (!n->v[i].lost || strncmp(hex, prefix, strlen(prefix)) != 0)
            continue;
        drop(n, i);
        found++;
    }
    return found;
}

char *newest_explain(const struct newest_of *lost)
{
    char hex[SHA_HEX], time[40];
    sha_hex(hex, &lost->snapshot);
    time_format_local(time, lost->time_ns);
    return xasprintf(
        "snapshot %.8s of %s, which this host took, is not in the store any more: the store was put back to an older "
        "state, or the snapshot was deleted elsewhere. Is the right disk mounted? A mirror may still have it "
        "(lifeboat list --store NAME). When all is in order: lifeboat forget %.8s",
        hex, time, hex);
}
