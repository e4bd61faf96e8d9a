#include "target/pg_target.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (c & 0x80);
}

/* p stands on the opening quote; a doubled one is a character, and so is what follows a backslash with
 * `escapes`. */
static const char *skip_quoted(const char *p, const char *end, bool escapes)
{
    char quote = *p++;
    for (; p < end; p++) {
        if (escapes && *p == '\\')
            p++;
        else if (*p == quote && p + 1 < end && p[1] == quote)
            p++;
        else if (*p == quote)
            return p + 1;
    }
    return end;
}

/* $tag$ ... $tag$; a dollar that opens nothing is a token by itself. */
static const char *skip_dollar(const char *p, const char *end)
{
    const char *q = p + 1;
    while (q < end && is_word(*q) && *q != '$')
        q++;
    if (q == end || *q != '$' || isdigit((unsigned char)p[1]))
        return p + 1;
    size_t n = (size_t)(q + 1 - p);
    const char *close = memmem(p + n, (size_t)(end - p) - n, p, n);
    return close ? close + n : end;
}

static const char *skip_comment(const char *p, const char *end)
{
    if (*p == '-') {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        return eol ? eol + 1 : end;
    }
    int depth = 0;
    for (; p + 1 < end; p++) {
        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p++;
        } else if (p[0] == '*' && p[1] == '/') {
            p++;
            if (--depth == 0)
                return p + 1;
        }
    }
    return end;
}

static bool is_comment(const char *p, const char *end)
{
    return end - p >= 2 && ((p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*'));
}

/* The end of the token that starts at p. */
static const char *skip_token(const char *p, const char *end)
{
    if (is_comment(p, end))
        return skip_comment(p, end);
    if ((*p == 'E' || *p == 'e') && p + 1 < end && p[1] == '\'')
        return skip_quoted(p + 1, end, true);
    if (*p == '\'' || *p == '"')
        return skip_quoted(p, end, false);
    if (*p == '$')
        return skip_dollar(p, end);
    if (!is_word(*p))
        return p + 1;
    while (p < end && is_word(*p))
        p++;
    return p;
}

static bool starts(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 && ((size_t)(end - p) == n || !is_word(p[n]));
}

/* Lines for psql. \restrict guards psql against what we do not do: run other commands of its kind. \encoding
 * stands before a \connect to a name that has more than letters; a SET client_encoding follows. */
static int skip_command(struct pg_script *s, struct err *e)
{
    static const char *const known[] = {"\\restrict", "\\unrestrict", "\\connect", "\\encoding"};
    const char *eol = memchr(s->p, '\n', (size_t)(s->end - s->p));
    eol = eol ? eol : s->end;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (starts(s->p, eol, known[i])) {
            s->p = eol;
            return 0;
        }
    AUTO_CHAR shown = text_printable(s->p, MIN((size_t)(eol - s->p), (size_t)60));
    return err_set(e, ERR_FAILED, "the script has a psql command that no dump has: %s", shown);
}

int pg_script_next(struct pg_script *s, struct bytes *statement, struct err *e)
{
    for (; s->p < s->end; s->p++) {
        while (s->p < s->end && is_comment(s->p, s->end))
            s->p = skip_comment(s->p, s->end);
        if (s->p == s->end)
            break;
        if (*s->p == '\\' && skip_command(s, e))
            return -1;
        if (s->p < s->end && !isspace((unsigned char)*s->p) && *s->p != ';')
            break;
    }
    const char *start = s->p;
    while (s->p < s->end && *s->p != ';')
        s->p = skip_token(s->p, s->end);
    *statement = BYTES(start, (size_t)(s->p - start));
    if (s->p < s->end)
        s->p++;
    return statement->n > 0;
}

bool pg_script_token(const char **p, const char *end, struct bytes *token)
{
    while (*p < end && (isspace((unsigned char)**p) || is_comment(*p, end)))
        *p = is_comment(*p, end) ? skip_comment(*p, end) : *p + 1;
    const char *start = *p;
    if (start < end)
        *p = skip_token(start, end);
    *token = BYTES(start, (size_t)(*p - start));
    return token->n > 0;
}

bool pg_script_is(struct bytes token, const char *word)
{
    return bytes_equal(token, BYTES_STR(word));
}

char *pg_script_created_database(struct bytes statement)
{
    const char *p = (const char *)statement.p, *end = p + statement.n;
    struct bytes t;
    if (!pg_script_token(&p, end, &t) || !pg_script_is(t, "CREATE") || !pg_script_token(&p, end, &t) ||
        !pg_script_is(t, "DATABASE") || !pg_script_token(&p, end, &t))
        return NULL;
    return xstrndup((const char *)t.p, t.n);
}

/* A role may be called database, too: what counts is ALTER|CREATE|ON|IN DATABASE name. */
char *pg_script_rename(struct bytes statement, const char *from, const char *to)
{
    const char *p = (const char *)statement.p, *end = p + statement.n, *copied = p;
    AUTO(buf) out = BUF_NONE;
    bool found = false;
    struct bytes t, last = BYTES(NULL, 0), before = BYTES(NULL, 0);
    while (pg_script_token(&p, end, &t)) {
        if (pg_script_is(last, "DATABASE") && pg_script_is(t, from) &&
            (pg_script_is(before, "ALTER") || pg_script_is(before, "CREATE") || pg_script_is(before, "ON") ||
             pg_script_is(before, "IN"))) {
            buf_add(&out, BYTES(copied, (size_t)((const char *)t.p - copied)));
            buf_add_str(&out, to);
            copied = p;
            found = true;
        }
        before = last;
        last = t;
    }
    buf_add(&out, BYTES(copied, (size_t)(end - copied)));
    return found ? xstrdup(buf_cstr(&out)) : NULL;
}
