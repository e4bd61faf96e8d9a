#include "source/pg_last.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fewer rows come and go in a day. */
#define DATABASE_AT_LEAST 20
#define TABLE_AT_LEAST    100

struct table {
    const char *database, *name;
    bool counted;
    uint64_t rows;
};
struct tables {
    char *text; /* cut up */
    struct table *v;
    size_t n;
};

void pg_last_add(struct pg_last *l, const char *database, const char *table, const uint64_t *rows)
{
    if (rows)
        strings_add_fmt(&l->now, "%s\t%s\t%llu", database, table, (unsigned long long)*rows);
    else
        strings_add_fmt(&l->now, "%s\t%s", database, table);
}

void pg_last_free(struct pg_last *l)
{
    strings_free(&l->now);
    strings_free(&l->failed);
}

/* ---- lines ---- */
static int compare_tables(const void *a, const void *b)
{
    const struct table *x = a, *y = b;
    int order = strcmp(x->database, y->database);
    return order ? order : strcmp(x->name, y->name);
}

static bool parse_line(char *line, struct table *t)
{
    char *name = strchr(line, '\t'), *rows = name ? strchr(name + 1, '\t') : NULL, *end = NULL;
    if (!name)
        return false;
    *name = 0;
    if (rows)
        *rows = 0;
    *t = (struct table){.database = line, .name = name + 1};
    if (rows) {
        t->rows = strtoull(rows + 1, &end, 10);
        t->counted = end != rows + 1 && *end == 0;
    }
    return true;
}

static void parse(struct tables *t, struct bytes text)
{
    char *save = NULL;
    size_t lines = 1;
    t->text = text.n ? xstrndup((const char *)text.p, text.n) : xstrdup("");
    for (const char *c = t->text; *c; c++)
        lines += *c == '\n';
    t->v = xcalloc(lines, sizeof *t->v);
    for (char *l = strtok_r(t->text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        t->n += parse_line(l, &t->v[t->n]);
    qsort(t->v, t->n, sizeof *t->v, compare_tables);
}

static void tables_free(struct tables *t)
{
    free(t->v);
    free(t->text);
}

/* ---- one database: [from, to) of those that there were ---- */
struct judging {
    const struct pg_last *l;
    const struct tables *then, *now;
    struct source_result *out;
    void (*doubt)(struct source_result *, const char *, ...);
};

/* "schema.table" or "database/schema.table" is named by may-shrink. */
static bool may_shrink(const struct judging *j, const struct table *t)
{
    AUTO_CHAR full = xasprintf("%s/%s", t->database, t->name);
    for (size_t i = 0; i < j->l->source->shrinking.n; i++) {
        const char *glob = j->l->source->shrinking.v[i];
        if (glob_match(glob, t->name) || glob_match(glob, full))
            return true;
    }
    return false;
}

/* Where a database starts among the tables, or would. */
static size_t find_database(const struct tables *t, const char *database)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(t->v[middle].database, database) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_in(const struct tables *t, size_t i, const char *database)
{
    return i < t->n && strcmp(t->v[i].database, database) == 0;
}

static bool halved(uint64_t now, uint64_t then, uint64_t at_least)
{
    return then >= at_least && now <= then / 2;
}

static const struct table *find_table(const struct tables *t, const struct table *like)
{
    return t->n ? bsearch(like, t->v, t->n, sizeof *t->v, compare_tables) : NULL;
}

/* True when it said something. */
static bool judge_table(const struct judging *j, const struct table *then)
{
    const struct table *now = find_table(j->now, then);
    if (!now) {
        j->doubt(j->out, "database %s: table %s is gone since the last good backup", then->database,
                 then->name);
        return true;
    }
    if (!then->counted || !now->counted || !halved(now->rows, then->rows, TABLE_AT_LEAST) ||
        may_shrink(j, then))
        return false;
    j->doubt(
        j->out,
        "database %s: table %s has %llu rows, and had %llu in the last good backup (may-shrink = %s if it "
        "comes and goes; allow-shrink = yes for one backup if it was on purpose)",
        then->database, then->name, (unsigned long long)now->rows, (unsigned long long)then->rows,
        then->name);
    return true;
}

/* But of tables whose rows one of the two did not count: views, foreign ones, excluded ones. */
static uint64_t sum_rows(const struct judging *j, const struct tables *t, const struct tables *other,
                         const char *database)
{
    uint64_t rows = 0;
    for (size_t i = find_database(t, database); is_in(t, i, database); i++) {
        const struct table *counterpart = find_table(other, &t->v[i]);
        if (t->v[i].counted && (!counterpart || counterpart->counted) && !may_shrink(j, &t->v[i]))
            rows += t->v[i].rows;
    }
    return rows;
}

static void judge_sum(const struct judging *j, const char *database)
{
    uint64_t then = sum_rows(j, j->then, j->now, database), now = sum_rows(j, j->now, j->then, database);
    if (halved(now, then, DATABASE_AT_LEAST))
        j->doubt(
            j->out,
            "database %s has %llu rows in all its tables, and had %llu in the last good backup (allow-shrink = "
            "yes for one backup if it was on purpose; may-shrink = TABLE for what comes and goes)",
            database, (unsigned long long)now, (unsigned long long)then);
}

/* Returns where the next one starts. */
static size_t judge_database(const struct judging *j, size_t from)
{
    const char *database = j->then->v[from].database;
    bool there = is_in(j->now, find_database(j->now, database), database), told = false;
    bool known = strings_has(&j->l->failed, database);
    size_t i = from;
    for (; is_in(j->then, i, database); i++)
        if (there && !known)
            told |= judge_table(j, &j->then->v[i]);
    if (!there && !known)
        j->doubt(j->out, "database %s is gone since the last good backup, or all its tables are", database);
    else if (!told && !known)
        judge_sum(j, database);
    return i;
}

/* ---- all of them ---- */
static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void pg_last_compare(struct pg_last *l, struct bytes last, struct source_result *out)
{
    AUTO(buf) lines = BUF_NONE;
    struct tables then = {0}, now = {0};
    if (l->now.n)
        qsort(l->now.v, l->now.n, sizeof *l->now.v, compare_lines);
    for (size_t i = 0; i < l->now.n; i++)
        buf_add_fmt(&lines, "%s\n", l->now.v[i]);
    parse(&then, last);
    parse(&now, buf_bytes(&lines));
    const struct judging j = {.l = l,
                              .then = &then,
                              .now = &now,
                              .out = out,
                              .doubt = l->source->may_shrink ? source_result_note : source_result_degrade};
    for (size_t i = 0; i < then.n;)
        i = judge_database(&j, i);
    buf_add(&out->state, buf_bytes(&lines));
    tables_free(&then);
    tables_free(&now);
}
