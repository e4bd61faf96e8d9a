/* One reader for exactly what docs/fingerprint.md says: members in their order, no blanks. What it does not
 * know it refuses, so that an unknown kind of line is never taken for equal. */
#include "fingerprint_line.h"

#include <string.h>

#define DIGEST_HEX 32
static const char header[] = "{\"fingerprint\":1,\"digest\":\"xxh3-128\",\"seed\":\"6c696665626f6174\"}";

int fingerprint_order(struct bytes a, struct bytes b)
{
    size_t n = MIN(a.n, b.n);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* ---- pieces of a line ---- */
static bool skip(struct bytes *in, const char *text)
{
    size_t n = strlen(text);
    if (in->n < n || memcmp(in->p, text, n) != 0)
        return false;
    *in = BYTES(in->p + n, in->n - n);
    return true;
}

static bool take_quoted(struct bytes *in)
{
    if (!skip(in, "\""))
        return false;
    for (size_t i = 0; i < in->n; i++) {
        if (in->p[i] == '\\')
            i++;
        else if (in->p[i] == '"') {
            *in = BYTES(in->p + i + 1, in->n - i - 1);
            return true;
        }
    }
    return false;
}

/* "text" or {"b64":"..."} */
static bool take_text(struct bytes *in, struct bytes *out)
{
    const uint8_t *start = in->p;
    bool encoded = skip(in, "{\"b64\":");
    if (!take_quoted(in) || (encoded && !skip(in, "}")))
        return false;
    *out = BYTES(start, (size_t)(in->p - start));
    return true;
}

static bool take_member(struct bytes *in, const char *start, struct bytes *out)
{
    return !skip(in, start) || take_text(in, out);
}

static bool take_number(struct bytes *in, uint64_t *out)
{
    size_t i = 0;
    *out = 0;
    for (; i < in->n && in->p[i] >= '0' && in->p[i] <= '9'; i++)
        if (__builtin_mul_overflow(*out, 10u, out) || __builtin_add_overflow(*out, in->p[i] - '0', out))
            return false;
    *in = BYTES(in->p + i, in->n - i);
    return i > 0;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool take_digest(struct bytes *in, const char *start, struct bytes *out)
{
    if (!skip(in, start) || in->n < DIGEST_HEX + 1)
        return false;
    for (size_t i = 0; i < DIGEST_HEX; i++)
        if (!is_hex(in->p[i]))
            return false;
    *out = BYTES(in->p, DIGEST_HEX);
    *in = BYTES(in->p + DIGEST_HEX, in->n - DIGEST_HEX);
    return skip(in, "\"");
}

/* ---- the kinds ---- */
static bool read_object(struct bytes in, struct fingerprint_line *l)
{
    const uint8_t *start = in.p;
    if (!skip(&in, "{\"object\":[") || !take_text(&in, &l->type) || !skip(&in, ",") ||
        !take_text(&in, &l->schema) || !skip(&in, ",") || !take_text(&in, &l->name) || !skip(&in, "]"))
        return false;
    l->key = BYTES(start, (size_t)(in.p - start));
    l->of_database = skip(&in, ",\"scope\":\"database\"");
    if (!take_member(&in, ",\"owner\":", &l->owner) ||
        !take_member(&in, ",\"tablespace\":", &l->tablespace) ||
        !take_member(&in, ",\"access_method\":", &l->access_method))
        return false;
    return skip(&in, "}") ? in.n == 0
                          : take_digest(&in, ",\"definition\":\"", &l->digest) && skip(&in, "}") && in.n == 0;
}

static bool read_columns(struct bytes *in, struct bytes *out)
{
    const uint8_t *start = in->p;
    struct bytes column;
    if (!skip(in, "["))
        return false;
    if (!skip(in, "]")) {
        do
            if (!take_text(in, &column))
                return false;
        while (skip(in, ","));
        if (!skip(in, "]"))
            return false;
    }
    *out = BYTES(start, (size_t)(in->p - start));
    return true;
}

static bool read_table(struct bytes in, struct fingerprint_line *l)
{
    const uint8_t *start = in.p;
    if (!skip(&in, "{\"table\":[") || !take_text(&in, &l->schema) || !skip(&in, ",") ||
        !take_text(&in, &l->name) || !skip(&in, "]"))
        return false;
    l->key = BYTES(start, (size_t)(in.p - start));
    return skip(&in, ",\"columns\":") && read_columns(&in, &l->columns) && skip(&in, ",\"rows\":") &&
           take_number(&in, &l->count) && take_digest(&in, ",\"sum\":\"", &l->digest) && skip(&in, "}") &&
           in.n == 0;
}

static bool read_large_object(struct bytes in, struct fingerprint_line *l)
{
    const uint8_t *start = in.p;
    uint64_t oid;
    skip(&in, "{\"large_object\":");
    const uint8_t *number = in.p;
    if (!take_number(&in, &oid))
        return false;
    l->name = BYTES(number, (size_t)(in.p - number));
    if (!skip(&in, ",\"bytes\":")) /* ends the key: 10 sorts before 100 */
        return false;
    l->key = BYTES(start, (size_t)(in.p - start));
    return take_number(&in, &l->count) && take_digest(&in, ",\"content\":\"", &l->digest) && skip(&in, "}") &&
           in.n == 0;
}

static const struct {
    const char *start;
    enum fingerprint_kind kind;
    bool (*read)(struct bytes in, struct fingerprint_line *l);
} kinds[] = {
    {"{\"large_object\":", FINGERPRINT_LARGE_OBJECT, read_large_object},
    {"{\"object\":", FINGERPRINT_OBJECT, read_object},
    {"{\"table\":", FINGERPRINT_TABLE, read_table},
};

/* ---- the lines ---- */
static bool next_line(struct fingerprint_lines *l, struct bytes *line)
{
    const uint8_t *lf = l->left.n ? memchr(l->left.p, '\n', l->left.n) : NULL;
    if (!lf)
        return false;
    *line = BYTES(l->left.p, (size_t)(lf - l->left.p));
    l->left = BYTES(lf + 1, l->left.n - line->n - 1);
    l->number++;
    return true;
}

static int bad_line(const struct fingerprint_lines *l, const char *why, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "%s: line %llu %s", l->what, (unsigned long long)l->number, why);
}

int fingerprint_lines_open(struct fingerprint_lines *l, struct bytes fingerprint, const char *what,
                           struct err *e)
{
    struct bytes line;
    *l = (struct fingerprint_lines){.left = fingerprint, .what = what};
    if (!next_line(l, &line))
        return err_set(e, ERR_DAMAGED, "%s: is empty", what);
    if (fingerprint_same(line, BYTES(header, sizeof header - 1)))
        return 0;
    if (!skip(&line, "{\"fingerprint\":"))
        return bad_line(l, "is no header of a fingerprint", e);
    return err_set(e, ERR_UNPROVEN, "%s: is of a version that this program does not know", what);
}

int fingerprint_lines_next(struct fingerprint_lines *l, struct fingerprint_line *out, struct err *e)
{
    struct bytes line;
    *out = (struct fingerprint_line){0};
    if (!next_line(l, &line))
        return l->left.n ? bad_line(l, "is the last whole one, and more was there: it was cut off", e) : 0;
    if (fingerprint_order(l->last, line) > 0)
        return bad_line(l, "is not in order", e);
    l->last = line;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct bytes rest = line;
        if (!skip(&rest, kinds[i].start))
            continue;
        out->kind = kinds[i].kind;
        return kinds[i].read(line, out) ? 1 : bad_line(l, "is malformed", e);
    }
    return bad_line(l, "is of a kind that is not known", e);
}

/* ---- texts ---- */
bool fingerprint_is(struct bytes text, const char *plain)
{
    size_t n = strlen(plain);
    return text.n == n + 2 && memcmp(text.p + 1, plain, n) == 0;
}

/* After a backslash: itself, or four digits of a character below 128. */
static size_t add_escaped(struct buf *out, struct bytes in)
{
    uint8_t code[2];
    if (in.n >= 5 && in.p[0] == 'u' && hex_decode(code, 2, (const char *)in.p + 1, 4)) {
        buf_add_u8(out, code[1]);
        return 5;
    }
    buf_add_u8(out, in.p[0]);
    return 1;
}

void fingerprint_text(struct bytes text, struct buf *out)
{
    if (skip(&text, "{\"b64\":\"")) {
        AUTO_CHAR encoded = xstrndup((const char *)text.p, text.n - 2);
        if (!base64_decode(out, encoded))
            buf_add_str(out, encoded);
        return;
    }
    if (text.n < 2)
        return;
    text = BYTES(text.p + 1, text.n - 2);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\' && i + 1 < text.n)
            i += add_escaped(out, BYTES(text.p + i + 1, text.n - i - 1));
        else
            buf_add_u8(out, text.p[i]);
    }
}
