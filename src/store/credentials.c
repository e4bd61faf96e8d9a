/* Access keys: from a private file or the environment into guarded memory. No message shows a value. */
#include "s3_options.h"

#include "base/child.h"
#include "base/file.h"
#include "codec/keys.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT  (64u << 10)
#define VALUE_LIMIT 8192 /* session tokens of AWS have been seen at 2 KiB */

static const char how[] = "access-key = ... and secret-key = ... (session-token = ... where one is needed)";

/* Replaces *to by a copy in guarded memory. */
static void keep(char **to, const char *value, size_t n)
{
    sodium_free(*to);
    *to = sodium_malloc(n + 1);
    if (!*to)
        die(OUT_OF_MEMORY);
    memcpy(*to, value, n);
    (*to)[n] = 0;
}

void store_credentials_free(struct store_credentials *c)
{
    sodium_free(c->access_key);
    sodium_free(c->secret_key);
    sodium_free(c->session_token);
    *c = (struct store_credentials)STORE_CREDENTIALS_NONE;
}

void store_credentials_copy(struct store_credentials *to, const struct store_credentials *from)
{
    *to = (struct store_credentials)STORE_CREDENTIALS_NONE;
    keep(&to->access_key, from->access_key, strlen(from->access_key));
    keep(&to->secret_key, from->secret_key, strlen(from->secret_key));
    if (from->session_token)
        keep(&to->session_token, from->session_token, strlen(from->session_token));
}

/* ---- the file: "name = value" lines, # and ; comments, [sections] of which only [default] counts ---- */
struct line {
    const char *p;
    size_t n;
};

static struct line trim(struct line l)
{
    while (l.n && (l.p[0] == ' ' || l.p[0] == '\t'))
        l.p++, l.n--;
    while (l.n && strchr(" \t\r", l.p[l.n - 1]) && l.p[l.n - 1])
        l.n--;
    return l;
}

static bool line_is(struct line l, const char *text)
{
    return l.n == strlen(text) && memcmp(l.p, text, l.n) == 0;
}

/* NULL, or what is wrong. The values go into headers, so a line break must not get through. */
static const char *wrong_with(struct line value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] > '~')
            return "holds a blank or a character that no key has";
    return value.n == 0 ? "is missing" : value.n > VALUE_LIMIT ? "is too long" : NULL;
}

static char **place_for(struct store_credentials *c, struct line name)
{
    if (line_is(name, "access-key") || line_is(name, "aws_access_key_id"))
        return &c->access_key;
    if (line_is(name, "secret-key") || line_is(name, "aws_secret_access_key"))
        return &c->secret_key;
    if (line_is(name, "session-token") || line_is(name, "aws_session_token"))
        return &c->session_token;
    return NULL;
}

static int take_value(struct store_credentials *c, struct line l, const char *file, unsigned number,
                      struct err *e)
{
    const char *equals = memchr(l.p, '=', l.n);
    if (!equals)
        return err_set(e, ERR_USAGE, "%s, line %u: is not \"name = value\": it wants %s", file, number, how);
    size_t before = (size_t)(equals - l.p);
    char **to = place_for(c, trim((struct line){l.p, before}));
    struct line value = trim((struct line){equals + 1, l.n - before - 1});
    if (!to)
        return 0; /* AWS's file holds other settings, too */
    const char *wrong = wrong_with(value);
    if (wrong)
        return err_set(e, ERR_USAGE, "%s, line %u: the value %s", file, number, wrong);
    keep(to, value.p, value.n);
    return 0;
}

static int parse(struct store_credentials *c, struct bytes text, const char *file, struct err *e)
{
    const char *p = (const char *)text.p, *end = p + text.n;
    bool ours = true;
    for (unsigned number = 1; p < end; number++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct line l = trim((struct line){p, (size_t)((stop ? stop : end) - p)});
        p = stop ? stop + 1 : end;
        if (l.n == 0 || l.p[0] == '#' || l.p[0] == ';')
            continue;
        if (l.p[0] == '[')
            ours = line_is(l, "[default]");
        else if (ours && take_value(c, l, file, number, e))
            return -1;
    }
    return 0;
}

static int load_file(struct store_credentials *c, const char *named, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    AUTO_CHAR file = file_credential(named);
    if (file_check_private(file, e))
        return -1;
    buf_reserve(&text, FILE_LIMIT + (32u << 10)); /* at once: growing would leave copies behind */
    int rc = file_read(file, FILE_LIMIT, &text, e) || parse(c, buf_bytes(&text), file, e);
    buf_wipe(&text);
    if (rc)
        return -1;
    if (!c->access_key || !c->secret_key)
        return err_set(e, ERR_USAGE, "%s: there is no %s in it: it wants %s", file,
                       c->access_key ? "secret-key" : "access-key", how);
    return 0;
}

/* ---- the environment ---- */
static const char *const variables[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};

void store_credentials_withhold(void)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        child_withhold(variables[i]);
}

static int load_environment(struct store_credentials *c, struct err *e)
{
    const struct {
        const char *name;
        char **to;
    } from[] = {
        {variables[0], &c->access_key}, {variables[1], &c->secret_key}, {variables[2], &c->session_token}};
    store_credentials_withhold();
    for (size_t i = 0; i < ARRAY_LEN(from); i++) {
        const char *value = getenv(from[i].name);
        if (!value || !*value)
            continue;
        const char *wrong = wrong_with((struct line){value, strlen(value)});
        if (wrong)
            return err_set(e, ERR_USAGE, "%s %s", from[i].name, wrong);
        keep(from[i].to, value, strlen(value));
    }
    if (c->access_key && c->secret_key)
        return 0;
    return err_set(
        e, ERR_USAGE,
        "no credentials for the bucket: name a file with `credentials = FILE` in its [store] section "
        "(it holds %s), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        how);
}

int store_credentials_load(struct store_credentials *c, const char *file, struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, ERR_FAILED, "libsodium does not start");
    *c = (struct store_credentials)STORE_CREDENTIALS_NONE;
    if ((file ? load_file(c, file, e) : load_environment(c, e)) == 0)
        return 0;
    store_credentials_free(c);
    return -1;
}
