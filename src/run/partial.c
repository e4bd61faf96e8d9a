/* A few paths of a volume without reading the rest: the catalog says in which runs they lie, and in which the
 * content of hard links lies whose first name was not asked for. */
#include "internal.h"

#include "base/bigmap.h"
#include "base/child.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct run_place {
    uint64_t offset, bytes;
};
struct planning {
    struct partial *out;
    struct bigarray places; /* of every run so far */
    uint64_t *wanted;       /* numbers of runs */
    size_t wanted_count, wanted_cap;
    bool *found; /* by path */
};

static void want_run(struct planning *p, uint64_t run)
{
    if (p->wanted_count && p->wanted[p->wanted_count - 1] == run)
        return;
    if (p->wanted_count == p->wanted_cap) {
        p->wanted_cap = p->wanted_cap ? 2 * p->wanted_cap : 64;
        p->wanted = xrealloc(p->wanted, p->wanted_cap, sizeof *p->wanted);
    }
    p->wanted[p->wanted_count++] = run;
}

static bool is_wanted(struct planning *p, const char *path)
{
    bool wanted = false;
    for (size_t i = 0; p->out->only[i]; i++)
        if (path_is_below(path, p->out->only[i]))
            wanted = p->found[i] = true;
    return wanted;
}

static bool is_asked_for(const struct planning *p, const char *path)
{
    for (size_t i = 0; p->out->only[i]; i++)
        if (path_is_below(path, p->out->only[i]))
            return true;
    return false;
}

static void add_alias(struct partial *out, const struct catalog_entry *entry)
{
    if (out->alias_count == out->alias_cap) {
        out->alias_cap = out->alias_cap ? 2 * out->alias_cap : 64;
        out->aliases = xrealloc(out->aliases, out->alias_cap, sizeof *out->aliases);
    }
    out->aliases[out->alias_count] = (struct target_alias){
        .from = xstrdup(entry->link), .to = xstrdup(entry->path), .number = out->alias_count};
    out->alias_count++;
}

static int by_from(const void *a, const void *b)
{
    const struct target_alias *x = a, *y = b;
    int order = strcmp(x->from, y->from);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static void free_alias(const struct target_alias *a)
{
    free((char *)a->from);
    free((char *)a->to);
}

/* The first wanted name of content that stands under another becomes its place. */
static void sort_aliases(struct partial *out)
{
    size_t kept = 0;
    if (out->alias_count)
        qsort(out->aliases, out->alias_count, sizeof *out->aliases, by_from);
    for (size_t i = 0; i < out->alias_count; i++)
        if (kept && strcmp(out->aliases[kept - 1].from, out->aliases[i].from) == 0)
            free_alias(&out->aliases[i]);
        else
            out->aliases[kept++] = out->aliases[i];
    out->alias_count = kept;
}

static int see_entry(void *ctx, const struct catalog_entry *entry, struct err *e)
{
    struct planning *p = ctx;
    (void)e;
    if (!is_wanted(p, entry->path))
        return 0;
    p->out->entries++;
    if (entry->link && !is_asked_for(p, entry->link)) {
        add_alias(p->out, entry);
        want_run(p, entry->link_run);
    }
    want_run(p, entry->run);
    return 0;
}

static int see_run(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e)
{
    struct planning *p = ctx;
    const struct run_place place = {.offset = offset, .bytes = bytes};
    (void)run; /* they come in order */
    return bigarray_add(&p->places, &place, e) == UINT64_MAX ? -1 : 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Neighbours become one range. */
static int make_ranges(struct planning *p, struct err *e)
{
    struct partial *out = p->out;
    if (p->wanted_count)
        qsort(p->wanted, p->wanted_count, sizeof *p->wanted, by_number);
    struct range *ranges = out->ranges = xcalloc(p->wanted_count, sizeof *ranges);
    assert(ranges); /* said for the analyser */
    for (size_t i = 0; i < p->wanted_count; i++) {
        if (i && p->wanted[i] == p->wanted[i - 1])
            continue;
        if (p->wanted[i] >= p->places.n)
            return err_set(e, ERR_DAMAGED, "the catalog names a run that it does not list");
        const struct run_place *at = bigarray_at(&p->places, p->wanted[i]);
        struct range *last = out->range_count ? &ranges[out->range_count - 1] : NULL;
        out->bytes += at->bytes;
        if (last && last->offset + last->length == at->offset)
            last->length += at->bytes;
        else
            ranges[out->range_count++] = (struct range){.offset = at->offset, .length = at->bytes};
    }
    return 0;
}

static int all_found(const struct planning *p, const struct snapshot_source *source, struct err *e)
{
    for (size_t i = 0; p->out->only[i]; i++)
        if (!p->found[i]) {
            AUTO_CHAR shown = text_printable(p->out->only[i], strlen(p->out->only[i]));
            return err_set(
                e, ERR_USAGE,
                "%s: is not in this snapshot of %s: `lifeboat ls` and `lifeboat find` show what is", shown,
                source->name);
        }
    return 0;
}

int partial_plan(struct run_repo *r, const struct snapshot_source *source, const struct strings *paths,
                 struct partial *out, struct err *e)
{
    *out = (struct partial){.only = xcalloc(paths->n + 1, sizeof *out->only)};
    for (size_t i = 0; i < paths->n; i++)
        out->only[i] = clean_path(paths->v[i]);
    AUTO(bigarray) places = BIGARRAY_NONE;
    if (bigarray_open(&places, r->spool_dir, sizeof(struct run_place), e))
        return -1;
    struct planning p = {.out = out, .places = places, .found = xcalloc(paths->n, sizeof *p.found)};
    const struct catalog_visitor v = {.entry = see_entry, .run = see_run, .ctx = &p};
    int rc = visit_catalog(r->repo, source, &v, e) || all_found(&p, source, e) || make_ranges(&p, e) ? -1 : 0;
    places = p.places; /* it moved when it grew */
    sort_aliases(out);
    free(p.wanted);
    free(p.found);
    return rc;
}

void partial_free(struct partial *p)
{
    for (size_t i = 0; p->only && p->only[i]; i++)
        free(p->only[i]);
    for (size_t i = 0; i < p->alias_count; i++)
        free_alias(&p->aliases[i]);
    free(p->only);
    free(p->aliases);
    free(p->ranges);
    *p = (struct partial){0};
}
