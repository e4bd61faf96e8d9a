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

char *text_printable(const char *s, size_t n)
{
    struct buf out = BUF_NONE;
    for (size_t i = 0, k; i < n; i += k) {
        k = utf8_sequence((const uint8_t *)s + i, n - i);
        uint8_t c = (uint8_t)s[i];
        bool c1_control = k == 2 && c == 0xc2 && (uint8_t)s[i + 1] < 0xa0;
        if (k == 0 || c < 0x20 || c == 0x7f || c1_control) {
            k = 1;
            buf_add_fmt(&out, "\\x%02x", c);
        } else {
            buf_add(&out, BYTES(s + i, k));
        }
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
