#include "base/base.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hex_encode(char *out, struct bytes b)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < b.n; i++) {
        out[2 * i] = digit[b.p[i] >> 4];
        out[2 * i + 1] = digit[b.p[i] & 15];
    }
    out[2 * b.n] = 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(uint8_t *out, size_t n, const char *hex, size_t len)
{
    if (len != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static const char base64_digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(struct bytes b)
{
    char *out = xcalloc((b.n + 2) / 3 * 4 + 1, 1), *o = out;
    for (size_t i = 0; i < b.n; i += 3) {
        uint32_t v = (uint32_t)b.p[i] << 16;
        if (i + 1 < b.n)
            v |= (uint32_t)b.p[i + 1] << 8;
        if (i + 2 < b.n)
            v |= b.p[i + 2];
        *o++ = base64_digit[v >> 18];
        *o++ = base64_digit[v >> 12 & 63];
        *o++ = i + 1 < b.n ? base64_digit[v >> 6 & 63] : '=';
        *o++ = i + 2 < b.n ? base64_digit[v & 63] : '=';
    }
    return out;
}

bool base64_decode(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    if (len % 4)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t v = 0;
        unsigned pad = 0;
        for (unsigned k = 0; k < 4; k++) {
            const char *d = text[i + k] == '=' ? NULL : strchr(base64_digit, text[i + k]);
            if (!d && !(text[i + k] == '=' && k >= 2 && i + 4 == len))
                return false;
            if (d && pad)
                return false;
            pad += !d;
            v = v << 6 | (d ? (uint32_t)(d - base64_digit) : 0);
        }
        for (unsigned k = 0; k < 3 - pad; k++)
            buf_add_u8(out, (uint8_t)(v >> (16 - 8 * k)));
    }
    return true;
}

/* Length of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7), or 0. */
static size_t utf8_sequence(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
                 : (s[0] & 0xf0) == 0xe0        ? 3
                 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                : 0;
    if (len == 0 || len > n)
        return 0;
    uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

bool utf8_is_valid(const char *s, size_t n)
{
    for (size_t i = 0, k; i < n; i += k)
        if (!(k = utf8_sequence((const uint8_t *)s + i, n - i)))
            return false;
    return true;
}

/* A sequence of k bytes that is not shown, but does something to a terminal, or to how what stands around it
 * is shown: a control, the end of a line, a change of the direction of writing. */
static bool is_control(const uint8_t *s, size_t k)
{
    if (k == 1)
        return s[0] < 0x20 || s[0] == 0x7f;
    if (k == 2)
        return s[0] == 0xc2 && s[1] < 0xa0; /* to U+009F */
    return k == 3 && s[0] == 0xe2 &&
           ((s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) || /* U+2028 to U+202E */
            (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));  /* U+2066 to U+2069 */
}

char *text_printable(const char *s, size_t n)
{
    struct buf out = BUF_NONE;
    for (size_t i = 0, k; i < n; i += k) {
        k = utf8_sequence((const uint8_t *)s + i, n - i);
        if (k == 0 || is_control((const uint8_t *)s + i, k)) {
            k = 1; /* what follows is no sequence by itself */
            buf_add_fmt(&out, "\\x%02x", (unsigned)(uint8_t)s[i]);
        } else {
            buf_add(&out, BYTES(s + i, k));
        }
    }
    buf_cstr(&out);
    return (char *)out.p;
}

static uint32_t code_point(const uint8_t *s, size_t k)
{
    return k == 1   ? s[0]
           : k == 2 ? (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu)
                    : (s[0] & 0xfu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
}

char *json_printable(const char *json)
{
    struct buf out = BUF_NONE;
    const uint8_t *s = (const uint8_t *)json;
    for (size_t n = strlen(json), k; n; s += k, n -= k) {
        k = MAX(utf8_sequence(s, n), (size_t)1);
        if (*s != '\n' && is_control(s, k))
            buf_add_fmt(&out, "\\u%04x", (unsigned)code_point(s, k));
        else
            buf_add(&out, BYTES(s, k));
    }
    buf_cstr(&out);
    return (char *)out.p;
}

bool size_parse(const char *text, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    double v = strtod(text, &end);
    while (*end == ' ')
        end++;
    static const char units[] = "KMGT";
    const char *u = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (u) {
        v *= (double)(1ull << (10 * (u - units + 1)));
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end || !(v >= 0 && v < 9e18))
        return false;
    *out = (uint64_t)v;
    return true;
}

void size_format(char out[32], uint64_t bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1023.95 && u + 1 < ARRAY_LEN(unit); u++)
        v /= 1024;
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
}
