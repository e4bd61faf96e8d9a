/* The bits of pg_dump's SQL that must be understood: the COPY statement of a table's data, and what a
 * definition says besides the object itself. */
#include "source/pg_archive_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool skip(const char **s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*s, word, n) != 0)
        return false;
    *s += n;
    return true;
}

static bool is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* One identifier, quoted or plain, with nothing after it consumed. NULL: there is none. */
static char *identifier(const char **s)
{
    AUTO(buf) name = BUF_NONE;
    const char *p = *s;
    if (*p == '"') {
        for (p++; *p != '"' || p[1] == '"'; p++) {
            if (!*p)
                return NULL;
            buf_add_u8(&name, (uint8_t)*p);
            p += *p == '"';
        }
        p++;
    } else {
        for (; is_name_byte(*p); p++)
            buf_add_u8(&name, (uint8_t)*p);
    }
    if (name.n == 0)
        return NULL;
    *s = p;
    return xstrndup((char *)name.p, name.n);
}

static bool column_list(const char **s, struct strings *columns)
{
    do {
        AUTO_CHAR column = identifier(s);
        if (!column || columns->n == PG_COLUMNS_MAX)
            return false;
        strings_add(columns, column);
    } while (skip(s, ", "));
    return skip(s, ")");
}

bool pg_copy_parse(const char *sql, struct pg_copy *out)
{
    if (!skip(&sql, "COPY ") || !(out->name = identifier(&sql)))
        return false;
    if (skip(&sql, ".")) {
        out->schema = out->name;
        if (!(out->name = identifier(&sql)))
            return false;
    }
    if (!skip(&sql, " "))
        return false;
    if (skip(&sql, "(") && !column_list(&sql, &out->columns))
        return false;
    return skip(&sql, " FROM stdin;") && strspn(sql, "\n") == strlen(sql);
}

void pg_copy_free(struct pg_copy *c)
{
    free(c->schema);
    free(c->name);
    strings_free(&c->columns);
    *c = (struct pg_copy){0};
}

/* ---- definitions ---- */

/* Where the literal, quoted identifier or dollar-quoted text at `s` ends; `s` itself when there is none.
 * Doubled quotes read as two literals side by side, which ends at the same place. */
static const char *quoted_end(const char *s)
{
    if (*s == '\'' || *s == '"') {
        const char *end = strchr(s + 1, *s);
        return end ? end + 1 : s + strlen(s);
    }
    if (*s != '$')
        return s;
    const char *p = s + 1;
    while (is_name_byte(*p) && *p != '$')
        p++;
    if (*p != '$' || isdigit((unsigned char)s[1]))
        return s;
    size_t tag = (size_t)(p + 1 - s);
    const char *end = memmem(s + tag, strlen(s + tag), s, tag);
    return end ? end + tag : s + strlen(s);
}

static const char *statement_end(const char *s)
{
    while (*s && *s != ';') {
        const char *end = quoted_end(s);
        s = end > s ? end : s + 1;
    }
    s += *s == ';';
    return s + (*s == '\n');
}

/* The option list of `ALTER TABLE ONLY x ALTER COLUMN c SET (a=1, b=2)`; NULL: another statement. */
static const char *column_options(const char *s, const char *end)
{
    if (!skip(&s, "ALTER TABLE ONLY ") && !skip(&s, "ALTER FOREIGN TABLE ONLY "))
        return NULL;
    while (s < end) {
        const char *after = quoted_end(s);
        if (after == s && skip(&s, " SET ("))
            return s;
        s = after > s ? after : s + 1;
    }
    return NULL;
}

static const char *option_end(const char *s, const char *end)
{
    while (s < end && *s != ')' && strncmp(s, ", ", 2) != 0) {
        const char *after = quoted_end(s);
        s = after + (after == s);
    }
    return s;
}

/* Releases of November 2026 on keep a counter in every column's options, and the pg_dump of an older one
 * prints it. It is the server's own and differs after every restore. */
static bool is_attver(const char *s, const char *end)
{
    return skip(&s, "pg_attver=") && s + strspn(s, "0123456789") == end;
}

static void add_without_attver(struct buf *out, const char *s, const char *end)
{
    const char *options = column_options(s, end);
    if (!options) {
        buf_add(out, BYTES(s, (size_t)(end - s)));
        return;
    }
    size_t start = out->n, list = start + (size_t)(options - s);
    buf_add(out, BYTES(s, (size_t)(options - s)));
    do {
        const char *stop = option_end(options, end);
        if (!is_attver(options, stop)) {
            buf_add_str(out, out->n > list ? ", " : "");
            buf_add(out, BYTES(options, (size_t)(stop - options)));
        }
        options = stop;
    } while (options < end && skip(&options, ", "));
    if (out->n == list)
        out->n = start;
    else
        buf_add(out, BYTES(options, (size_t)(end - options)));
}

/* `DATABASE app` as `DATABASE :database`, which no name can be. */
static void add_without_database(struct buf *out, const char *s, const char *database)
{
    while (*s) {
        const char *after = s;
        if (skip(&after, "DATABASE ")) {
            AUTO_CHAR name = identifier(&after);
            if (name && strcmp(name, database) == 0) {
                buf_add_str(out, "DATABASE :database");
                s = after;
                continue;
            }
        }
        after = quoted_end(s);
        after += after == s;
        buf_add(out, BYTES(s, (size_t)(after - s)));
        s = after;
    }
}

void pg_definition(struct buf *out, const char *sql, const char *database)
{
    if (database) {
        add_without_database(out, sql, database);
        return;
    }
    if (!strstr(sql, "pg_attver=")) {
        buf_add_str(out, sql);
        return;
    }
    while (*sql) {
        const char *end = statement_end(sql);
        add_without_attver(out, sql, end);
        sql = end;
    }
}
