#include "target/pg_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CATALOG_CLASS 1259 /* OID of pg_class in every PostgreSQL: the entry defines a relation */

/* How an entry goes with a table. */
enum belonging {
    OTHER,
    RELATION,    /* may be asked for */
    NAMED,       /* its name starts with the table's, and it depends on it */
    FOREIGN_KEY, /* the same, and all that it depends on is chosen */
    OF_RELATION, /* depends on one relation */
    OF_SEQUENCE,
    OF_ANY,     /* depends on one thing */
    OF_ALL,     /* makes sense with all that it depends on */
    ATTACHMENT, /* of a partition: named as the partition, depends on it and on the parent */
    SEQUENCE,
};
/* Longer types stand before their beginnings. */
static const struct {
    const char *type;
    enum belonging belonging;
} types[] = {
    {"TABLE DATA", NAMED},
    {"TABLE ATTACH", ATTACHMENT},
    {"TABLE", RELATION},
    {"FOREIGN TABLE", RELATION},
    {"MATERIALIZED VIEW DATA", NAMED},
    {"MATERIALIZED VIEW", RELATION},
    {"DEFAULT ACL", OTHER},
    {"DEFAULT", NAMED},
    {"CONSTRAINT", NAMED},
    {"CHECK CONSTRAINT", NAMED},
    {"FK CONSTRAINT", FOREIGN_KEY},
    {"INDEX ATTACH", OF_ALL},
    {"INDEX", OF_RELATION},
    {"TRIGGER", NAMED},
    {"RULE", NAMED},
    {"POLICY", NAMED},
    {"ROW SECURITY", NAMED},
    {"STATISTICS", OF_RELATION},
    {"COMMENT", OF_ANY},
    {"SECURITY LABEL", OF_ANY},
    {"ACL", OF_ANY},
    {"SEQUENCE OWNED BY", OF_SEQUENCE},
    {"SEQUENCE SET", OF_SEQUENCE},
    {"SEQUENCE", SEQUENCE},
    {"DATABASE PROPERTIES", OTHER},
    {"DATABASE", OTHER},
    {"EXTENSION", OTHER},
    {"EVENT TRIGGER", OTHER},
    {"SUBSCRIPTION", OTHER},
};

static enum belonging belonging_of(const struct pg_entry *e)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (e->type == types[i].type)
            return types[i].belonging;
    return OTHER;
}

static bool is_type(const struct pg_entry *e, const char *type)
{
    return e->type && strcmp(e->type, type) == 0;
}

/* ---- reading the list ---- */

/* "3; 1259 16385 TABLE public users postgres". Only relations, and never data, say pg_class: so a schema
 * called DATA does not turn a table into its rows. */
static void parse_entry(struct pg_contents *c, char *line)
{
    long id;
    unsigned long catalog, oid;
    int at = 0;
    if (sscanf(line, "%ld; %lu %lu %n", &id, &catalog, &oid, &at) != 3 || at == 0)
        return;
    struct pg_entry e = {.id = id, .catalog = catalog, .line = line, .rest = line + at};
    for (size_t i = 0; i < ARRAY_LEN(types) && !e.type; i++) {
        size_t n = strlen(types[i].type);
        bool data = strstr(types[i].type, " DATA") || types[i].belonging == ATTACHMENT;
        if (strncmp(line + at, types[i].type, n) == 0 && line[at + (int)n] == ' ' &&
            !(data && catalog == CATALOG_CLASS)) {
            e.type = types[i].type;
            e.rest = line + at + n + 1;
        }
    }
    if (c->n == c->cap) {
        c->cap = MAX(2 * c->cap, (size_t)256);
        c->v = xrealloc(c->v, c->cap, sizeof *c->v);
    }
    c->v[c->n++] = e;
}

/* ";	depends on: 3 17" */
static void parse_dependencies(struct pg_contents *c, const char *line)
{
    static const char sign[] = ";\tdepends on:";
    if (c->n == 0 || strncmp(line, sign, strlen(sign)) != 0)
        return;
    struct pg_entry *e = &c->v[c->n - 1];
    char *next;
    for (const char *p = line + strlen(sign);; p = next) {
        long id = strtol(p, &next, 10);
        if (next == p)
            return;
        e->dependencies = xrealloc(e->dependencies, e->dependency_count + 1, sizeof *e->dependencies);
        e->dependencies[e->dependency_count++] = id;
    }
}

static int by_id(const void *a, const void *b)
{
    const struct pg_entry *x = *(struct pg_entry *const *)a, *y = *(struct pg_entry *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

void pg_contents_parse(struct pg_contents *c)
{
    char *save = NULL;
    buf_cstr(&c->text);
    for (char *l = strtok_r((char *)c->text.p, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (*l == ';')
            parse_dependencies(c, l);
        else
            parse_entry(c, l);
    }
    c->by_id = xcalloc(c->n + 1, sizeof *c->by_id);
    for (size_t i = 0; i < c->n; i++)
        c->by_id[i] = &c->v[i];
    qsort(c->by_id, c->n, sizeof *c->by_id, by_id);
}

void pg_contents_free(struct pg_contents *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->v[i].dependencies);
    free(c->v);
    free(c->by_id);
    buf_free(&c->text);
    *c = (struct pg_contents)PG_CONTENTS_NONE;
}

/* NULL: something that is not in the archive, as what belongs to the system. */
static struct pg_entry *dependency(const struct pg_contents *c, const struct pg_entry *e, size_t i)
{
    struct pg_entry like = {.id = e->dependencies[i]}, *key = &like;
    struct pg_entry **found = c->n ? bsearch(&key, c->by_id, c->n, sizeof *c->by_id, by_id) : NULL;
    return found ? *found : NULL;
}

/* ---- choosing ---- */

static bool choose(struct pg_entry *e)
{
    bool changed = !e->chosen;
    e->chosen = true;
    return changed;
}

void pg_contents_forget_choice(struct pg_contents *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->v[i].chosen = false;
}

/* Of that type, or a comment, privilege or label on such a thing, which has no schema. */
static bool is_or_is_about(const struct pg_entry *e, const char *type)
{
    size_t n = strlen(type);
    bool about = e->type && belonging_of(e) == OF_ANY && strncmp(e->rest, "- ", 2) == 0 &&
                 strncmp(e->rest + 2, type, n) == 0 && e->rest[2 + n] == ' ';
    return about || is_type(e, type);
}

void pg_contents_choose_database(struct pg_contents *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->v[i].chosen = is_or_is_about(&c->v[i], "DATABASE") || is_type(&c->v[i], "DATABASE PROPERTIES");
}

bool pg_contents_choose_first(struct pg_contents *c, bool subscriptions)
{
    bool all = true;
    for (size_t i = 0; i < c->n; i++) {
        struct pg_entry *e = &c->v[i];
        e->chosen =
            !is_or_is_about(e, "EVENT TRIGGER") && (subscriptions || !is_or_is_about(e, "SUBSCRIPTION"));
        all &= e->chosen;
    }
    if (all)
        pg_contents_forget_choice(c);
    return !all;
}

bool pg_contents_choose_late(struct pg_contents *c)
{
    bool any = false;
    for (size_t i = 0; i < c->n; i++)
        any |= c->v[i].chosen = is_or_is_about(&c->v[i], "EVENT TRIGGER");
    return any;
}

static unsigned count_spaces(const char *s)
{
    unsigned n = 0;
    for (; *s; s++)
        n += *s == ' ';
    return n;
}

/* "schema name ", as the list spells it. Caller frees. */
static char *listed_name(const struct pg_wanted *w)
{
    char *name = xasprintf("%s %s ", w->schema, w->name);
    for (char *c = name; *c; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    return name;
}

/* Table `a` of `x` is listed as "a x", and so begins table `a b`; owners with blanks in their names are
 * rarer. */
bool pg_contents_choose_table(struct pg_contents *c, const struct pg_wanted *w)
{
    struct pg_entry *best = NULL;
    AUTO_CHAR name = listed_name(w);
    for (size_t i = 0; i < c->n; i++) {
        struct pg_entry *e = &c->v[i];
        if (belonging_of(e) == RELATION && strncmp(e->rest, name, strlen(name)) == 0 &&
            (!best || count_spaces(e->rest) < count_spaces(best->rest)))
            best = e;
    }
    return best && (choose(best), true);
}

static bool depends_on_chosen(const struct pg_contents *c, const struct pg_entry *e, enum belonging which)
{
    for (size_t i = 0; i < e->dependency_count; i++) {
        const struct pg_entry *d = dependency(c, e, i);
        if (d && d->chosen && (which == OTHER || belonging_of(d) == which))
            return true;
    }
    return false;
}

static bool depends_on_chosen_only(const struct pg_contents *c, const struct pg_entry *e)
{
    for (size_t i = 0; i < e->dependency_count; i++) {
        const struct pg_entry *d = dependency(c, e, i);
        if (d && !d->chosen)
            return false;
    }
    return e->dependency_count > 0;
}

/* The length of "schema name" in a relation's rest, without the owner. */
static size_t name_length(const struct pg_entry *relation)
{
    const char *owner = strrchr(relation->rest, ' ');
    return owner ? (size_t)(owner - relation->rest) : strlen(relation->rest);
}

static bool is_named_for_chosen(const struct pg_contents *c, const struct pg_entry *e)
{
    for (size_t i = 0; i < e->dependency_count; i++) {
        const struct pg_entry *d = dependency(c, e, i);
        if (d && d->chosen && belonging_of(d) == RELATION) {
            size_t n = name_length(d);
            if (strncmp(d->rest, e->rest, n) == 0 && e->rest[n] == ' ')
                return true;
        }
    }
    return false;
}

static bool belongs_to_chosen(const struct pg_contents *c, const struct pg_entry *e)
{
    switch (belonging_of(e)) {
    case NAMED:
        return is_named_for_chosen(c, e);
    case FOREIGN_KEY:
        return is_named_for_chosen(c, e) && depends_on_chosen_only(c, e);
    case OF_RELATION:
    case SEQUENCE: /* of an identity column */
        return depends_on_chosen(c, e, RELATION);
    case OF_SEQUENCE:
        return depends_on_chosen(c, e, SEQUENCE);
    case OF_ANY:
        return depends_on_chosen(c, e, OTHER);
    case OF_ALL:
        return depends_on_chosen_only(c, e);
    default:
        return false;
    }
}

/* Its parent is chosen: then so is the partition. */
static bool choose_partition(const struct pg_contents *c, struct pg_entry *e)
{
    bool of_parent = false, changed = false;
    for (size_t i = 0; i < e->dependency_count; i++) {
        const struct pg_entry *d = dependency(c, e, i);
        of_parent |= d && d->chosen && belonging_of(d) == RELATION && strcmp(d->rest, e->rest) != 0;
    }
    for (size_t i = 0; i < e->dependency_count && of_parent; i++) {
        struct pg_entry *d = dependency(c, e, i);
        changed |= d && belonging_of(d) == RELATION && choose(d);
    }
    return of_parent && (choose(e) | changed);
}

static bool choose_needed(const struct pg_contents *c, const struct pg_entry *e, bool all)
{
    bool changed = false;
    for (size_t i = 0; i < e->dependency_count; i++) {
        struct pg_entry *d = dependency(c, e, i);
        bool serial = d && is_type(e, "DEFAULT") && belonging_of(d) == SEQUENCE;
        changed |= d && (all || serial) && choose(d);
    }
    return changed;
}

void pg_contents_complete(struct pg_contents *c, bool needs, struct strings *notes)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < c->n; i++) {
            struct pg_entry *e = &c->v[i];
            if (e->chosen)
                changed |= choose_needed(c, e, needs);
            else if (belonging_of(e) == ATTACHMENT)
                changed |= choose_partition(c, e);
            else if (belongs_to_chosen(c, e))
                changed |= choose(e);
        }
    }
    for (size_t i = 0; i < c->n; i++)
        if (belonging_of(&c->v[i]) == FOREIGN_KEY && !c->v[i].chosen && is_named_for_chosen(c, &c->v[i]))
            strings_add_fmt(notes, "left out, for the table it refers to is not restored: foreign key %s",
                            c->v[i].rest);
}

/* ---- telling ---- */

void pg_contents_extensions(const struct pg_contents *c, struct strings *out)
{
    bool any = false;
    for (size_t i = 0; i < c->n; i++)
        any |= c->v[i].chosen;
    for (size_t i = 0; i < c->n; i++) {
        const struct pg_entry *e = &c->v[i];
        if (!is_type(e, "EXTENSION") || strncmp(e->rest, "- ", 2) != 0 || (any && !e->chosen))
            continue;
        size_t n = strlen(e->rest + 2); /* extensions have no owner here: the line ends with a blank */
        AUTO_CHAR name = xstrndup(e->rest + 2, n && e->rest[1 + n] == ' ' ? n - 1 : n);
        strings_add(out, name);
    }
}

void pg_contents_print(const struct pg_contents *c, struct buf *list)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].chosen)
            buf_add_fmt(list, "%s\n", c->v[i].line);
}
