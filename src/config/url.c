/* A store as one line: what --store takes, and what a recovery kit holds. */
#include "keys.h"

#include <stdlib.h>
#include <string.h>

#define FILE_URL   "file://"
#define BUCKET_URL "s3://"

void config_store_free(struct config_store *s)
{
    char *texts[] = {s->name,     s->url,    s->path,        s->bucket, s->prefix,
                     s->endpoint, s->region, s->credentials, s->ca_file};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    *s = (struct config_store){0};
}

static char *without_slashes(const char *p, size_t n)
{
    for (; n && *p == '/'; n--)
        p++;
    while (n && p[n - 1] == '/')
        n--;
    return xstrndup(p, n);
}

static int parse_folder(struct config_store *s, const char *url, const char *path, struct err *e)
{
    if (path[0] != '/')
        return err_set(e, ERR_USAGE, "\"%s\" wants an absolute path after file://, so three slashes", url);
    AUTO_CHAR rest = without_slashes(path, strlen(path));
    if (!*rest)
        return err_set(e, ERR_USAGE, "the root folder cannot be a store: name a folder of its own");
    s->kind = STORE_FOLDER;
    s->path = xasprintf("/%s", rest);
    return 0;
}

/* Of a-z 0-9 . - and 3 to 63 of them, as AWS has it; older gateways take capitals and _ as well. */
static bool bucket_is_valid(const char *b)
{
    size_t n = strlen(b);
    return n >= 3 && n <= 63 &&
           strspn(b, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n && b[0] != '.';
}

static bool prefix_is_valid(const char *p)
{
    size_t n = strlen(p);
    return n <= 200 && strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == n &&
           !strstr(p, "//") && !strstr(p, "..");
}

/* In place: %2F becomes a slash. */
static bool unescape(char *text)
{
    char *to = text;
    for (const char *p = text; *p; to++) {
        uint8_t byte;
        if (*p != '%') {
            *to = *p++;
            continue;
        }
        if (!hex_decode(&byte, 1, p + 1, strnlen(p + 1, 2)) || byte < 0x20)
            return false;
        *to = (char)byte;
        p += 3;
    }
    *to = 0;
    return true;
}

/* The same keys as in the configuration. */
static int set_parameter(struct config_store *s, char *word, struct err *e)
{
    static const char *const allowed[] = {"endpoint",    "region",  "addressing", "signature",
                                          "credentials", "ca-file", "insecure",   NULL};
    char *value = strchr(word, '=');
    if (!value || !unescape(value + 1))
        return err_set(e, ERR_USAGE, "\"%s\" is not name=value with %%-escapes", word);
    *value++ = 0;
    const struct key *k = key_find(section_find("store")->keys, word);
    bool is_allowed = false;
    for (size_t i = 0; allowed[i]; i++)
        is_allowed |= strcmp(allowed[i], word) == 0;
    if (!k || !is_allowed)
        return err_set(e, ERR_USAGE,
                       "\"%s\" is none of endpoint, region, addressing, signature, credentials, ca-file, "
                       "insecure",
                       word);
    return value_set(k, s, value, e) ? err_wrap(e, "%s", word) : 0;
}

static int parse_parameters(struct config_store *s, const char *text, struct err *e)
{
    char *save = NULL;
    AUTO_CHAR copy = xstrdup(text);
    for (char *word = strtok_r(copy, "&", &save); word; word = strtok_r(NULL, "&", &save))
        if (set_parameter(s, word, e))
            return -1;
    return 0;
}

static int parse_bucket(struct config_store *s, const char *url, const char *rest, struct err *e)
{
    size_t n = strcspn(rest, "?"), bucket = strcspn(rest, "/?");
    s->kind = STORE_BUCKET;
    s->bucket = xstrndup(rest, bucket);
    s->prefix = without_slashes(rest + bucket, n - bucket);
    if (!bucket_is_valid(s->bucket))
        return err_set(e, ERR_USAGE, "\"%s\" names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX", url);
    if (!prefix_is_valid(s->prefix))
        return err_set(e, ERR_USAGE, "\"%s\": a prefix is of a-z 0-9 . _ - and single slashes", url);
    return rest[n] ? parse_parameters(s, rest + n + 1, e) : 0;
}

int config_store_parse_url(struct config_store *s, const char *url, struct err *e)
{
    if (strncmp(url, FILE_URL, strlen(FILE_URL)) == 0)
        return parse_folder(s, url, url + strlen(FILE_URL), e);
    if (strncmp(url, BUCKET_URL, strlen(BUCKET_URL)) == 0)
        return parse_bucket(s, url, url + strlen(BUCKET_URL), e);
    if (url[0] == '/')
        return parse_folder(s, url, url, e);
    return err_set(e, ERR_USAGE, "\"%s\" is neither file:///PATH nor s3://BUCKET/PREFIX", url);
}

static void add_parameter(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_add_fmt(out, "%c%s=", memchr(out->p, '?', out->n) ? '&' : '?', name);
    for (; *value; value++) {
        if (strchr("%&?#+ ", *value) || (unsigned char)*value < 0x20)
            buf_add_fmt(out, "%%%02X", (unsigned char)*value);
        else
            buf_add_u8(out, (uint8_t)*value);
    }
}

char *config_store_url(const struct config_store *s)
{
    AUTO(buf) out = BUF_NONE;
    if (s->kind == STORE_FOLDER)
        return xasprintf(FILE_URL "%s", s->path);
    buf_add_fmt(&out, BUCKET_URL "%s%s%s", s->bucket, *s->prefix ? "/" : "", s->prefix);
    add_parameter(&out, "endpoint", s->endpoint);
    add_parameter(&out, "region", s->region);
    add_parameter(&out, "addressing", s->addressing ? addressing_name(s->addressing) : NULL);
    add_parameter(&out, "signature", s->signature ? "v2" : NULL);
    add_parameter(&out, "ca-file", s->ca_file);
    add_parameter(&out, "insecure", s->insecure ? "yes" : NULL);
    return xstrdup(buf_cstr(&out));
}

int config_check_web_url(const char *url, bool insecure, struct err *e)
{
    bool plain = strncmp(url, "http://", 7) == 0;
    if (!plain && strncmp(url, "https://", 8) != 0)
        return err_set(e, ERR_USAGE, "is neither https://... nor the absolute path of a file that holds it");
    if (plain && !insecure)
        return err_set(
            e, ERR_USAGE,
            "http:// sends the secret in it in the clear: write https://, or insecure = yes if that "
            "is meant");
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return err_set(e, ERR_USAGE, "holds a blank or a character that no URL has");
    return url[plain ? 7 : 8] ? 0 : err_set(e, ERR_USAGE, "names no host");
}
