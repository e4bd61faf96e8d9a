#include "environment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NESTED_MOST 16
#define TEXT_MOST   (1u << 20)
#define LINES_MOST  10000
#define LINES_BYTES (16u << 20)
#define NOTES_MOST  100
#define LOOKS_MOST  50000000
#define BLANKS      " \t\r"

static bool names(const char *line, const char *name, size_t n)
{
    return strncmp(line, name, n) == 0 && line[n] == '=';
}

const char *environment_get(const struct environment *v, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; v->outer && i < v->outer->n; i++)
        if (names(v->outer->v[i], name, n))
            return v->outer->v[i] + n + 1;
    for (size_t i = v->lines.n; i-- > 0;)
        if (names(v->lines.v[i], name, n))
            return v->lines.v[i] + n + 1;
    return NULL;
}

void environment_free(struct environment *v)
{
    strings_free(&v->lines);
}

/* ---- putting variables in ---- */
static size_t name_length(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return n && isdigit((unsigned char)s[0]) ? 0 : n;
}

/* Where the "}" of a "${" is, whose inside begins at `s`; NULL: nowhere. */
static const char *find_end(const char *s)
{
    unsigned depth = 1;
    for (; *s; s++) {
        if (s[0] == '$' && s[1] == '$')
            s++;
        else if (s[0] == '$' && s[1] == '{')
            depth++, s++;
        else if (s[0] == '}' && --depth == 0)
            return s;
    }
    return NULL;
}

static int expand(struct environment *v, const char *text, size_t n, unsigned depth, struct buf *out,
                  struct err *e);

/* environment_get(), as often as looking costs little. -1 with *e. */
static int look_up(struct environment *v, const char *name, const char **value, struct err *e)
{
    v->looks += v->lines.n + (v->outer ? v->outer->n : 0);
    if (v->looks > LOOKS_MOST)
        return err_set(e, ERR_USAGE, "too many uses of too many variables");
    *value = environment_get(v, name);
    return 0;
}

static void note_unset(const struct environment *v, const char *name)
{
    if (!v->notes || v->notes->n > NOTES_MOST)
        return;
    AUTO_CHAR line = v->notes->n == NOTES_MOST
                         ? xstrdup("more variables are not set: taken to be empty")
                         : xasprintf("the variable %s is not set: taken to be empty", name);
    if (!strings_has(v->notes, line))
        strings_add(v->notes, line);
}

/* The inside of ${...}: a name, and what is to happen when it is not set. */
static int expand_braces(struct environment *v, const char *s, const char *end, unsigned depth,
                         struct buf *out, struct err *e)
{
    size_t n = name_length(s);
    AUTO_CHAR name = xstrndup(s, n);
    const char *rule = s + n;
    bool colon = rule < end && *rule == ':';
    rule += colon;
    if (n == 0 || (rule < end && !strchr("-?+", *rule)) || (colon && rule == end))
        return err_set(e, ERR_USAGE,
                       "\"${%.*s}\" is no variable: write ${NAME}, ${NAME:-default} or "
                       "${NAME:?message}, and $$ for a \"$\"",
                       (int)MIN(end - s, 40), s);
    const char *value = NULL;
    if (look_up(v, name, &value, e))
        return -1;
    bool set = value && (!colon || *value);
    const char *more = rule + 1;
    if (rule < end && *rule == '+')
        return set ? expand(v, more, (size_t)(end - more), depth + 1, out, e) : 0;
    if (set || (rule == end && value)) {
        buf_add_str(out, value);
        return 0;
    }
    if (rule == end)
        return note_unset(v, name), 0;
    if (*rule == '-')
        return expand(v, more, (size_t)(end - more), depth + 1, out, e);
    return err_set(e, ERR_USAGE,
                   "the variable %s is not set%s%.*s; set it in the environment file "
                   "(--env-file FILE) or in the environment",
                   name, end > more ? ": " : "", (int)MIN(end - more, 200), more);
}

/* One "$" and what belongs to it. *s is moved behind it. */
static int expand_dollar(struct environment *v, const char **s, const char *text_end, unsigned depth,
                         struct buf *out, struct err *e)
{
    const char *at = *s + 1;
    if (at < text_end && *at == '$') {
        buf_add_u8(out, '$');
        *s = at + 1;
        return 0;
    }
    if (at < text_end && *at == '{') {
        const char *end = find_end(at + 1);
        if (!end || end >= text_end)
            return err_set(e, ERR_USAGE, "\"%.40s\": the \"}\" is missing", *s);
        *s = end + 1;
        return expand_braces(v, at + 1, end, depth, out, e);
    }
    size_t n = MIN(name_length(at), (size_t)(text_end - at));
    if (n == 0) {
        buf_add_u8(out, '$');
        *s = at;
        return 0;
    }
    AUTO_CHAR name = xstrndup(at, n);
    const char *value = NULL;
    if (look_up(v, name, &value, e))
        return -1;
    if (value)
        buf_add_str(out, value);
    else
        note_unset(v, name);
    *s = at + n;
    return 0;
}

static int expand(struct environment *v, const char *text, size_t n, unsigned depth, struct buf *out,
                  struct err *e)
{
    const char *end = text + n;
    if (depth > NESTED_MOST)
        return err_set(e, ERR_USAGE, "its variables are nested more than %d deep", NESTED_MOST);
    while (text < end) {
        const char *dollar = memchr(text, '$', (size_t)(end - text));
        buf_add(out, BYTES(text, (size_t)((dollar ? dollar : end) - text)));
        if (!dollar)
            return 0;
        text = dollar;
        if (expand_dollar(v, &text, end, depth, out, e))
            return -1;
        if (out->n > TEXT_MOST)
            return err_set(e, ERR_USAGE, "its variables make it longer than 1 MiB");
    }
    return 0;
}

int environment_expand(struct environment *v, const char *text, struct buf *out, struct err *e)
{
    return expand(v, text, strlen(text), 0, out, e);
}

/* ---- environment files ---- */
struct lines {
    const char *file, *at;
    unsigned line;
};

static char *find_quote(const char *s, char quote)
{
    for (; *s && *s != quote; s++)
        if (quote == '"' && *s == '\\' && s[1])
            s++;
    return *s ? (char *)s : NULL;
}

static char escaped(char c)
{
    return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c == '"' || c == '\\' ? c : 0;
}

/* "...": escapes are resolved, and a "\$" stays out of the hands of expand(). */
static void unescape(const char *s, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        bool pair = s[i] == '\\' && i + 1 < n;
        if (pair && s[i + 1] == '$') {
            buf_add_str(out, "$$");
            i++;
        } else if (pair && escaped(s[i + 1])) {
            buf_add_u8(out, (uint8_t)escaped(s[i + 1]));
            i++;
        } else {
            buf_add_u8(out, (uint8_t)s[i]);
        }
    }
}

/* Reads the value that begins at l->at into `out`, and moves behind its line. */
static int read_value(struct environment *v, struct lines *l, struct buf *out, struct err *e)
{
    char quote = *l->at;
    AUTO(buf) raw = BUF_NONE;
    if (quote == '"' || quote == '\'') {
        const char *start = l->at + 1, *end = find_quote(start, quote);
        if (!end)
            return err_set(e, ERR_USAGE, "%s:%u: the closing %c is missing", l->file, l->line, quote);
        for (const char *c = start; c < end; c++)
            l->line += *c == '\n';
        l->at = end + 1 + strcspn(end + 1, "\n");
        if (quote == '\'') {
            buf_add(out, BYTES(start, (size_t)(end - start)));
            return 0;
        }
        unescape(start, (size_t)(end - start), &raw);
    } else {
        size_t n = strcspn(l->at, "\n"), keep = n;
        for (size_t i = 0; i < n; i++)
            if (l->at[i] == '#' && (i == 0 || strchr(BLANKS, l->at[i - 1]))) {
                keep = i;
                break;
            }
        while (keep && strchr(BLANKS, l->at[keep - 1]))
            keep--;
        buf_add(&raw, BYTES(l->at, keep));
        l->at += n;
    }
    struct err why = ERR_INIT;
    return environment_expand(v, buf_cstr(&raw), out, &why)
               ? err_set(e, ERR_USAGE, "%s:%u: %s", l->file, l->line, why.text)
               : 0;
}

static int read_line(struct environment *v, struct lines *l, struct err *e)
{
    l->at += strspn(l->at, BLANKS);
    if (strncmp(l->at, "export", 6) == 0 && l->at[6] && strchr(BLANKS, l->at[6]))
        l->at += 6 + strspn(l->at + 6, BLANKS);
    size_t n = strcspn(l->at, "=\n"), name = n;
    while (name && strchr(BLANKS, l->at[name - 1]))
        name--;
    if (*l->at == '#' || name == 0 || l->at[n] != '=') { /* a name alone hands on what is not ours to know */
        l->at += strcspn(l->at, "\n");
        return 0;
    }
    AUTO(buf) line = BUF_NONE;
    buf_add(&line, BYTES(l->at, name));
    buf_add_u8(&line, '=');
    l->at += n + 1;
    l->at += strspn(l->at, BLANKS);
    if (read_value(v, l, &line, e))
        return -1;
    if (v->lines.n == LINES_MOST)
        return err_set(e, ERR_USAGE, "%s: more than %d variables", l->file, LINES_MOST);
    v->bytes += line.n;
    if (v->bytes > LINES_BYTES)
        return err_set(e, ERR_USAGE, "%s: its variables come to more than %u MiB", l->file,
                       LINES_BYTES >> 20);
    strings_add(&v->lines, buf_cstr(&line));
    return 0;
}

int environment_read(struct environment *v, const char *file, struct bytes text, struct err *e)
{
    AUTO_CHAR all = xstrndup(text.n ? (const char *)text.p : "", text.n);
    if (strlen(all) != text.n)
        return err_set(e, ERR_USAGE, "%s: holds a NUL: is it an environment file?", file);
    struct lines l = {.file = file, .at = all, .line = 1};
    if (strncmp(all, "\xef\xbb\xbf", 3) == 0)
        l.at += 3;
    while (*l.at) {
        if (read_line(v, &l, e))
            return -1;
        l.line++;
        l.at += *l.at == '\n';
    }
    return 0;
}
