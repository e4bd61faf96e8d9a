/* Sentences about lines: what a person looks for is the object's name. */
#include "fingerprint_line.h"

#include <ctype.h>
#include <string.h>

#define NAME_SHOWN 160 /* bytes: a function with all its arguments may have more */

/* How the tag of an entry reads. */
enum reading {
    PLAIN,    /* a name in the schema */
    ON_TABLE, /* "table name" */
    ABOUT,    /* "TABLE name": says itself of what it is */
    FOR_ALL,  /* of a role's default privileges */
    ALONE,    /* there is one of it */
};
static const struct {
    const char *type, *word;
    enum reading reading;
    bool plural;
} words[] = {
    {"ACL", "privileges on", ABOUT, true},
    {"BLOB", "large object", PLAIN, false},
    {"CHECK CONSTRAINT", "constraint", ON_TABLE, false},
    {"COMMENT", "comment on", ABOUT, false},
    {"CONSTRAINT", "constraint", ON_TABLE, false},
    {"DATABASE PROPERTIES", "settings of the database", ALONE, true},
    {"DEFAULT ACL", "default privileges", FOR_ALL, true},
    {"DEFAULT", "default of column", ON_TABLE, false},
    {"FK CONSTRAINT", "foreign key", ON_TABLE, false},
    {"INDEX ATTACH", "attachment of index", PLAIN, false},
    {"MATERIALIZED VIEW DATA", "materialized view", PLAIN, false},
    {"POLICY", "policy", ON_TABLE, false},
    {"ROW SECURITY", "row security of table", PLAIN, false},
    {"RULE", "rule", ON_TABLE, false},
    {"SECURITY LABEL", "security label on", ABOUT, false},
    {"SEQUENCE OWNED BY", "owning column of sequence", PLAIN, false},
    {"SEQUENCE SET", "sequence", PLAIN, false},
    {"TABLE ATTACH", "attachment of partition", PLAIN, false},
    {"TRIGGER", "trigger", ON_TABLE, false},
};
static const size_t unknown = ARRAY_LEN(words);

static size_t find_word(struct bytes type)
{
    size_t i = 0;
    while (i < unknown && !fingerprint_is(type, words[i].type))
        i++;
    return i;
}

/* Safe to show, and not longer than a line bears. */
static char *shown_text(struct bytes text)
{
    AUTO(buf) raw = BUF_NONE;
    fingerprint_text(text, &raw);
    AUTO_CHAR start = text_printable((const char *)raw.p, MIN(raw.n, (size_t)NAME_SHOWN));
    return xasprintf("%s%s", start, raw.n > NAME_SHOWN ? "..." : "");
}

static void add_in_schema(struct buf *out, const char *schema, const char *name)
{
    buf_add_fmt(out, "%s%s%s", schema, *schema ? "." : "", name);
}

/* "users email_check" of schema public reads "email_check on public.users"; with more blanks nobody knows
 * where the table's name ends. */
static void add_on_table(struct buf *out, const char *schema, const char *tag)
{
    const char *blank = strchr(tag, ' ');
    if (!blank || strchr(blank + 1, ' ')) {
        add_in_schema(out, schema, tag);
        return;
    }
    AUTO_CHAR table = xstrndup(tag, (size_t)(blank - tag));
    buf_add_fmt(out, "%s on ", blank + 1);
    add_in_schema(out, schema, table);
}

static void add_lower(struct buf *out, struct bytes type)
{
    AUTO_CHAR text = shown_text(type);
    for (char *c = text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    buf_add_str(out, text);
}

/* Its tag starts with its type. */
static bool names_itself(const struct fingerprint_line *l)
{
    size_t n = l->type.n - 1; /* without the closing quote */
    return l->type.n > 1 && l->name.n > n && memcmp(l->type.p, l->name.p, n) == 0 && l->name.p[n] == ' ';
}

static void add_object(struct buf *out, const struct fingerprint_line *l)
{
    size_t w = find_word(l->type);
    AUTO_CHAR schema = shown_text(l->schema);
    AUTO_CHAR name = shown_text(l->name);
    if (w == unknown && names_itself(l)) { /* "CAST (integer AS text)" */
        buf_add_str(out, name);
        return;
    }
    if (w == unknown)
        add_lower(out, l->type);
    else
        buf_add_str(out, words[w].word);
    switch (w == unknown ? PLAIN : words[w].reading) {
    case PLAIN:
        buf_add_u8(out, ' ');
        add_in_schema(out, schema, name);
        return;
    case ON_TABLE:
        buf_add_u8(out, ' ');
        add_on_table(out, schema, name);
        return;
    case ABOUT:
        buf_add_fmt(out, " %s%s%s", name, *schema ? " in schema " : "", schema);
        return;
    case FOR_ALL: {
        AUTO_CHAR owner = shown_text(l->owner);
        buf_add_fmt(out, " of role %s%s%s (%s)", owner, *schema ? " in schema " : "", schema, name);
        return;
    }
    case ALONE:
        return;
    }
}

char *fingerprint_shown(const struct fingerprint_line *l)
{
    AUTO(buf) out = BUF_NONE;
    AUTO_CHAR name = l->kind == FINGERPRINT_LARGE_OBJECT ? xstrndup((const char *)l->name.p, l->name.n)
                                                         : shown_text(l->name);
    AUTO_CHAR schema = shown_text(l->schema);
    if (l->kind == FINGERPRINT_OBJECT)
        add_object(&out, l);
    else {
        buf_add_str(&out, l->kind == FINGERPRINT_TABLE ? "table " : "large object ");
        add_in_schema(&out, schema, name);
    }
    return xstrdup(buf_cstr(&out));
}

/* 1234567 as 1,234,567 */
static const char *grouped(uint64_t n, char out[32])
{
    char *p = out + 31;
    *p = 0;
    for (unsigned digits = 0; n || digits == 0; digits++, n /= 10) {
        if (digits && digits % 3 == 0)
            *--p = ',';
        *--p = (char)('0' + n % 10);
    }
    return p;
}

static bool is_plural(const struct fingerprint_line *l)
{
    size_t w = find_word(l->type);
    return w < unknown && words[w].plural;
}

char *fingerprint_missing(const struct fingerprint_line *l)
{
    char n[32];
    AUTO_CHAR name = fingerprint_shown(l);
    if (l->kind == FINGERPRINT_LARGE_OBJECT)
        return xasprintf("%s: its content is missing (%s bytes)", name, grouped(l->count, n));
    if (fingerprint_is(l->type, "SEQUENCE SET"))
        return xasprintf("%s: its value is missing", name);
    if (fingerprint_is(l->type, "MATERIALIZED VIEW DATA"))
        return xasprintf("%s is not filled", name);
    return xasprintf("%s %s missing", name, is_plural(l) ? "are" : "is");
}

char *fingerprint_extra(const struct fingerprint_line *l)
{
    AUTO_CHAR name = fingerprint_shown(l);
    if (l->kind == FINGERPRINT_LARGE_OBJECT)
        return xasprintf("%s: it has content and should not be there", name);
    if (fingerprint_is(l->type, "MATERIALIZED VIEW DATA"))
        return xasprintf("%s is filled and should not be", name);
    return xasprintf("%s %s there and should not be", name, is_plural(l) ? "are" : "is");
}

/* ": its owner is b instead of a", when they differ. */
static void add_change(struct buf *out, const char *what, const char *usual, struct bytes was,
                       struct bytes is)
{
    if (fingerprint_same(was, is))
        return;
    AUTO_CHAR old = shown_text(was);
    AUTO_CHAR new = shown_text(is);
    buf_add_fmt(out, "%s its %s is %s instead of %s", out->n ? "," : ":", what, *new ? new : usual,
                *old ? old : usual);
}

char *fingerprint_changed(const struct fingerprint_line *was, const struct fingerprint_line *is,
                          bool tablespaces)
{
    char then[32], now[32];
    AUTO(buf) out = BUF_NONE;
    AUTO_CHAR name = fingerprint_shown(was);
    if (was->kind == FINGERPRINT_LARGE_OBJECT && was->count != is->count)
        return xasprintf("%s: its content differs (%s bytes instead of %s)", name, grouped(is->count, now),
                         grouped(was->count, then));
    if (was->kind == FINGERPRINT_LARGE_OBJECT)
        return xasprintf("%s: its content differs", name);
    add_change(&out, "owner", "nobody", was->owner, is->owner);
    if (tablespaces)
        add_change(&out, "tablespace", "the default", was->tablespace, is->tablespace);
    add_change(&out, "access method", "heap", was->access_method, is->access_method);
    if (!fingerprint_same(was->digest, is->digest)) {
        bool value = fingerprint_is(was->type, "SEQUENCE SET");
        buf_add_fmt(&out, "%s %s %s", out.n ? "," : ":", is_plural(was) ? "their" : "its",
                    value ? "value differs" : "definition differs");
    }
    return xasprintf("%s%s", name, buf_cstr(&out));
}

char *fingerprint_rows_changed(const struct fingerprint_line *table, uint64_t was, uint64_t is,
                               bool other_columns)
{
    char then[32], now[32], by[32];
    AUTO_CHAR name = fingerprint_shown(table);
    const char *a = grouped(was, then), *b = grouped(is, now);
    uint64_t n = was > is ? was - is : is - was;
    const char *rows = n == 1 ? "row" : "rows", *are = n == 1 ? "is" : "are";
    if (was > is)
        return xasprintf("%s: %s %s %s missing (%s of %s)", name, grouped(n, by), rows, are, b, a);
    if (was < is)
        return xasprintf("%s: %s %s too many (%s instead of %s)", name, grouped(n, by), rows, b, a);
    if (other_columns)
        return xasprintf("%s: as many rows (%s), but of other columns", name, a);
    return xasprintf("%s: as many rows (%s), but their content differs", name, a);
}
