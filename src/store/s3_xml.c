#include "s3_xml.h"

#include <string.h>

void xml_free(struct xml *x)
{
    buf_free(&x->text);
}

static bool starts(const struct xml *x, const char *with)
{
    size_t n = strlen(with);
    return x->in.n >= n && memcmp(x->in.p, with, n) == 0;
}

/* What stands before `end`, which is taken, too. false: `end` does not come. */
static bool take_until(struct xml *x, const char *end, struct bytes *out)
{
    const uint8_t *at = x->in.n ? memmem(x->in.p, x->in.n, end, strlen(end)) : NULL;
    if (!at)
        return false;
    *out = cursor_take(&x->in, (size_t)(at - x->in.p));
    cursor_take(&x->in, strlen(end));
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- text ---- */
static void add_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_u8(out, (uint8_t)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    buf_add_u8(out, (uint8_t)(lead[more] | c >> (6 * more)));
    while (more--)
        buf_add_u8(out, (uint8_t)(0x80 | (c >> (6 * more) & 0x3f)));
}

/* "#38" or "#x26" */
static bool add_character(struct buf *out, struct bytes ref)
{
    bool hex = ref.n > 1 && ref.p[1] == 'x';
    uint32_t c = 0;
    size_t i = hex ? 2 : 1;
    if (i == ref.n || ref.n > 9)
        return false;
    for (; i < ref.n; i++) {
        uint8_t d = ref.p[i];
        if (d >= '0' && d <= '9')
            d -= '0';
        else if (hex && (d | 0x20) >= 'a' && (d | 0x20) <= 'f')
            d = (uint8_t)((d | 0x20) - 'a' + 10);
        else
            return false;
        c = c * (hex ? 16 : 10) + d;
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    add_utf8(out, c);
    return true;
}

static bool add_entity(struct buf *out, struct bytes ref)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
    if (ref.n && ref.p[0] == '#')
        return add_character(out, ref);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (ref.n == strlen(known[i].name) && memcmp(ref.p, known[i].name, ref.n) == 0) {
            buf_add_u8(out, (uint8_t)known[i].c);
            return true;
        }
    return false;
}

/* Up to the next tag. Outside of the root only blanks may stand. */
static bool take_text(struct xml *x)
{
    const uint8_t *tag = x->in.n ? memchr(x->in.p, '<', x->in.n) : NULL;
    struct cursor text = cursor_of(cursor_take(&x->in, tag ? (size_t)(tag - x->in.p) : x->in.n));
    while (text.n) {
        uint8_t c = cursor_u8(&text);
        if (x->depth == 0 && !is_space(c))
            return false;
        if (c != '&') {
            buf_add_u8(&x->text, c);
            continue;
        }
        const uint8_t *end = memchr(text.p, ';', text.n);
        if (!end || !add_entity(&x->text, cursor_take(&text, (size_t)(end - text.p))))
            return false;
        cursor_u8(&text);
    }
    return true;
}

/* ---- tags ---- */
static struct bytes local_name(struct bytes tag)
{
    size_t n = 0;
    while (n < tag.n && !is_space(tag.p[n]))
        n++;
    const uint8_t *colon = n ? memrchr(tag.p, ':', n) : NULL;
    size_t skip = colon ? (size_t)(colon - tag.p) + 1 : 0;
    return BYTES(tag.p + skip, n - skip);
}

/* The rest of a tag, up to its '>': quotes may hold one. */
static bool take_tag(struct xml *x, struct bytes *out)
{
    uint8_t quote = 0;
    for (size_t i = 0; i < x->in.n; i++) {
        uint8_t c = x->in.p[i];
        if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '<') {
            return false;
        } else if (c == '>') {
            *out = cursor_take(&x->in, i);
            cursor_u8(&x->in);
            return true;
        }
    }
    return false;
}

static enum xml_event open_element(struct xml *x)
{
    struct bytes tag;
    if (!take_tag(x, &tag) || x->depth == XML_DEPTH || (x->depth == 0 && x->had_root))
        return XML_BAD;
    x->empty = tag.n && tag.p[tag.n - 1] == '/';
    tag.n -= x->empty;
    struct bytes name = local_name(tag);
    if (name.n == 0)
        return XML_BAD;
    x->names[x->depth++] = name;
    x->had_root = true;
    x->text.n = 0;
    return XML_OPEN;
}

static enum xml_event close_element(struct xml *x)
{
    struct bytes tag;
    if (!take_tag(x, &tag) || x->depth == 0)
        return XML_BAD;
    struct bytes name = local_name(tag), open = x->names[x->depth - 1];
    if (name.n != open.n || memcmp(name.p, open.p, name.n) != 0)
        return XML_BAD;
    x->closing = true;
    return XML_CLOSE;
}

enum xml_event xml_next(struct xml *x)
{
    struct bytes skipped;
    if (x->closing) {
        x->depth--;
        x->text.n = 0;
        x->closing = false;
    }
    if (x->empty) {
        x->empty = false;
        x->closing = true;
        return XML_CLOSE;
    }
    if (starts(x, "\xef\xbb\xbf"))
        cursor_take(&x->in, 3);
    for (;;) {
        if (!take_text(x))
            return XML_BAD;
        if (x->in.n == 0)
            return x->depth == 0 && x->had_root ? XML_END : XML_BAD;
        if (starts(x, "<?")) {
            if (!take_until(x, "?>", &skipped))
                return XML_BAD;
        } else if (starts(x, "<!--")) {
            if (!take_until(x, "-->", &skipped))
                return XML_BAD;
        } else if (starts(x, "<![CDATA[") && x->depth) {
            cursor_take(&x->in, 9);
            if (!take_until(x, "]]>", &skipped))
                return XML_BAD;
            buf_add(&x->text, skipped);
        } else if (starts(x, "<!")) {
            return XML_BAD;
        } else if (starts(x, "</")) {
            cursor_take(&x->in, 2);
            return close_element(x);
        } else {
            cursor_u8(&x->in);
            return open_element(x);
        }
    }
}

bool xml_is(const struct xml *x, const char *path)
{
    for (size_t i = 0; i < x->depth; i++) {
        size_t n = strcspn(path, "/");
        bool any = n == 1 && *path == '*';
        if (!any && (n != x->names[i].n || memcmp(path, x->names[i].p, n) != 0))
            return false;
        path += n;
        if (i + 1 < x->depth && *path++ != '/')
            return false;
    }
    return *path == 0;
}
