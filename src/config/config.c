/* Reading the configuration: libinih takes the lines apart, and the reader that feeds it sees what it would
 * not say: the number of the line, lines and names that are too long, headings, control characters. */
#include "parsing.h"

#include "base/file.h"

#include <errno.h>
#include <ini.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (16 << 10)
#define FILE_MAX_BYTES (1u << 20)
#define TITLE_MAX      64
#define DAY_S          86400
#define BLANKS         " \t"

int complain(const struct parsing *p, unsigned line, const char *fmt, ...)
{
    char text[sizeof p->e->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(p->e, ERR_USAGE, "%s:%u: %s", p->name, line, text);
}

/* ---- what was seen where ---- */
const struct seen *seen_find(const struct parsing *p, const char *section, const char *key)
{
    for (size_t i = 0; i < p->seen_count; i++) {
        const struct seen *s = &p->seen[i];
        if (strcmp(s->section, section) == 0 && (key ? s->key && strcmp(s->key, key) == 0 : !s->key))
            return s;
    }
    return NULL;
}

static void seen_add(struct parsing *p, const char *section, const char *key)
{
    p->seen = xrealloc(p->seen, p->seen_count + 1, sizeof *p->seen);
    p->seen[p->seen_count++] =
        (struct seen){.section = xstrdup(section), .key = key ? xstrdup(key) : NULL, .line = p->line};
}

static void parsing_free(struct parsing *p)
{
    for (size_t i = 0; i < p->seen_count; i++) {
        free(p->seen[i].section);
        free(p->seen[i].key);
    }
    free(p->seen);
    free(p->section);
}
AUTO_FOR(parsing)

/* ---- sections ---- */
static bool title_is_valid(const char *title)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789", more[] = "_.-";
    size_t n = strlen(title);
    if (n == 0 || n > TITLE_MAX || !strchr(first, title[0]))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!strchr(first, title[i]) && !strchr(more, title[i]))
            return false;
    return true;
}

static struct config_source *add_source(struct config *c, const char *name)
{
    c->sources = xrealloc(c->sources, c->source_count + 1, sizeof *c->sources);
    struct config_source *s = &c->sources[c->source_count++];
    *s = (struct config_source){.name = xstrdup(name), .type = SOURCE_TYPE_NONE, .globals = true};
    return s;
}

static struct config_store *add_store(struct config *c, const char *name)
{
    c->stores = xrealloc(c->stores, c->store_count + 1, sizeof *c->stores);
    struct config_store *s = &c->stores[c->store_count++];
    *s = (struct config_store){.name = xstrdup(name), .min_free = 2};
    return s;
}

static struct config_retention *add_retention(struct config *c, const char *source)
{
    if (!*source)
        return &c->retention;
    c->exceptions = xrealloc(c->exceptions, c->exception_count + 1, sizeof *c->exceptions);
    struct config_retention *r = &c->exceptions[c->exception_count++];
    *r = (struct config_retention){.source = xstrdup(source)};
    return r;
}

/* `inside` is what stands between the brackets, without blanks at its ends. */
static int enter_section(struct parsing *p, const char *inside)
{
    size_t n = strcspn(inside, BLANKS);
    AUTO_CHAR kind = xstrndup(inside, n);
    const char *title = inside + n + strspn(inside + n, BLANKS);
    const struct section *s = section_find(kind);
    if (!s) {
        AUTO(buf) hint = BUF_NONE;
        section_hint(&hint, kind);
        return complain(p, p->line, "[%s]: unknown section%s", inside, buf_cstr(&hint));
    }
    if ((s->title == TITLED || *title) && s->title != UNTITLED && !title_is_valid(title))
        return complain(p, p->line,
                        "[%s]: wants a name after \"%s\", of at most %d of a-z 0-9 _ . - that starts with a "
                        "letter or digit, as in [%s main]",
                        inside, kind, TITLE_MAX, kind);
    if (s->title == UNTITLED && *title)
        return complain(p, p->line, "[%s]: takes no name: write [%s]", inside, kind);
    free(p->section);
    p->section = *title ? xasprintf("%s %s", kind, title) : xstrdup(kind);
    const struct seen *before = seen_find(p, p->section, NULL);
    if (before)
        return complain(p, p->line,
                        "[%s]: stands in line %u already: put its keys together there, or give "
                        "this one another name",
                        p->section, before->line);
    seen_add(p, p->section, NULL);
    p->keys = s->keys;
    p->base = strcmp(kind, "source") == 0      ? (void *)add_source(p->config, title)
              : strcmp(kind, "store") == 0     ? (void *)add_store(p->config, title)
              : strcmp(kind, "retention") == 0 ? (void *)add_retention(p->config, title)
                                               : p->config;
    return 0;
}

/* `start` is the '['; the line ends with a NUL. */
static int read_heading(struct parsing *p, const char *start)
{
    const char *end = strchr(start, ']');
    if (!end)
        return complain(p, p->line, "the section's \"]\" is missing");
    const char *rest = end + 1 + strspn(end + 1, BLANKS "\r\n");
    if (*rest && *rest != ';' && *rest != '#')
        return complain(p, p->line,
                        "nothing but a comment may follow the \"]\": \"%.40s\" is a line of its own", rest);
    start += 1 + strspn(start + 1, BLANKS);
    while (end > start && strchr(BLANKS, end[-1]))
        end--;
    AUTO_CHAR inside = xstrndup(start, (size_t)(end - start));
    return enter_section(p, inside);
}

/* ---- lines ---- */
/* Whether there is a control character besides tab and the line's end: a slip, or made to fool the reader. */
static bool has_control(const uint8_t *line, size_t n)
{
    while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    for (size_t i = 0; i < n; i++)
        if ((line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return true;
    return false;
}

static int check_line(struct parsing *p, const uint8_t *line, size_t n, size_t room)
{
    if (n + 1 > room)
        return complain(p, p->line, "the line is longer than %zu bytes; put a long command into a script",
                        room - 1);
    if (has_control(line, n))
        return complain(p, p->line, "the line holds a control character");
    return 0;
}

/* libinih's fgets: one line into `out`. NULL ends the parsing, at the end or with *e. */
static char *read_line(char *out, int size, void *stream)
{
    struct parsing *p = stream;
    if (p->text.n == 0 || err_is_set(p->e))
        return NULL;
    const uint8_t *newline = memchr(p->text.p, '\n', p->text.n);
    size_t n = newline ? (size_t)(newline - p->text.p) + 1 : p->text.n;
    p->line++;
    if (check_line(p, p->text.p, n, (size_t)size))
        return NULL;
    memcpy(out, p->text.p, n);
    out[n] = 0;
    p->text = BYTES(p->text.p + n, p->text.n - n);
    const char *start = out + strspn(out, BLANKS);
    return *start == '[' && read_heading(p, start) ? NULL : out;
}

/* ---- keys ---- */
/* The comment in a value starts at a ';' that is first in it or follows a blank; NULL: there is none. */
static const char *find_comment(const char *value)
{
    for (const char *at = strchr(value, ';'); at; at = strchr(at + 1, ';'))
        if (at == value || strchr(BLANKS, at[-1]))
            return at;
    return NULL;
}

/* The key, of which "assert app" has a word more; NULL: not known. */
static const struct key *find_key(const struct parsing *p, const char *name, const char **more)
{
    size_t n = strcspn(name, BLANKS);
    AUTO_CHAR first = xstrndup(name, n);
    const struct key *k = key_find(p->keys, name), *with = key_find(p->keys, first);
    *more = name + n + strspn(name + n, BLANKS);
    return k || !**more || !with || with->kind != ASSERT ? k : with;
}

static int set_key(struct parsing *p, const char *name, const char *value)
{
    if (!p->section)
        return complain(p, p->line, "%s: stands before the first [section]", name);
    const char *more;
    const struct key *k = find_key(p, name, &more);
    if (!k) {
        AUTO(buf) hint = BUF_NONE;
        key_hint(&hint, name, p->keys);
        return complain(p, p->line, "[%s] %s: unknown key%s", p->section, name, buf_cstr(&hint));
    }
    const struct seen *before = seen_find(p, p->section, name);
    if (before && k->kind != LIST && k->kind != ASSERT)
        return complain(p, p->line, "[%s] %s: is set in line %u already; it takes one value", p->section,
                        name, before->line);
    if (!before)
        seen_add(p, p->section, name);
    const char *comment = find_comment(value);
    if (comment && (k->kind == COMMAND || k->kind == ASSERT))
        return complain(p, p->line,
                        "[%s] %s: is \" ;\" a comment or part of the command? Put a comment on a line of its "
                        "own, and write the command with the ';' right behind a word: a; b",
                        p->section, name);
    size_t n = comment ? (size_t)(comment - value) : strlen(value);
    while (n && strchr(BLANKS, value[n - 1]))
        n--;
    AUTO_CHAR bare = xstrndup(value, n);
    struct err why = ERR_INIT;
    int rc = k->kind == ASSERT && *more ? assert_add(&p->config->drill, more, bare, &why)
                                        : value_set(k, p->base, bare, &why);
    return rc ? complain(p, p->line, "[%s] %s: %s", p->section, name, why.text) : 0;
}

/* libinih's idea of the section is not used: it cuts long names. */
static int handle(void *user, const char *section, const char *name, const char *value)
{
    (void)section;
    struct parsing *p = user;
    return err_is_set(p->e) || set_key(p, name, value) == 0;
}

/* Comments in values are ours: libinih would cut a command at its " ;" without a word. A key may be indented,
 * so an indented line is not the rest of the one above. */
static int run_libinih(struct parsing *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* its settings are global variables */
    pthread_mutex_lock(&lock);
    ini_max_line = LINE_MAX_BYTES;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    int bad_line = ini_parse_stream(read_line, p, handle, p);
    pthread_mutex_unlock(&lock);
    if (bad_line < 0)
        return err_set(p->e, ERR_FAILED, "%s: out of memory", p->name);
    if (bad_line > 0)
        complain(p, (unsigned)bad_line, "is neither \"[section]\" nor \"key = value\"");
    return err_is_set(p->e) ? -1 : 0;
}

struct config *config_parse(const char *name, struct bytes text, struct err *e)
{
    AUTO_PTR(config) c = xcalloc(1, sizeof *c);
    c->file = xstrdup(name);
    c->retention = (struct config_retention){.keep.min = 3, .undo_window_s = 3 * DAY_S, .grace_s = DAY_S};
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) /* what some editors put before UTF-8 */
        text = BYTES(text.p + 3, text.n - 3);
    AUTO(parsing) p = {.name = name, .text = text, .config = c, .e = e};
    return run_libinih(&p) || check_whole(&p) ? NULL : STEAL(c);
}

/* ---- files ---- */
static int complain_of_password(const char *path, unsigned mode, const char *section, const char *key,
                                struct err *e)
{
    return err_set(
        e, ERR_USAGE,
        "%s: [%s] %s: holds a password, and others can read this file (mode %04o): chmod 600 %s, or "
        "better keep the password in a passfile",
        path, section, key, mode, path);
}

static bool has_url(const char *url_or_file)
{
    return url_or_file && url_or_file[0] != '/';
}

static int check_mode(const struct config *c, const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(e, ERR_USAGE, "%s", path);
    unsigned mode = st.st_mode & 07777;
    if (S_ISREG(st.st_mode) && (mode & S_IWOTH))
        return err_set(e, ERR_USAGE,
                       "%s: anyone can write to it (mode %04o), and what it names is run: chmod o-w %s", path,
                       mode, path);
    if (!(mode & (S_IRGRP | S_IROTH)))
        return 0;
    for (size_t i = 0; i < c->source_count; i++) {
        const struct config_source *s = &c->sources[i];
        if (s->connection && connection_has_password(s->connection)) {
            AUTO_CHAR section = xasprintf("source %s", s->name);
            return complain_of_password(path, mode, section, "connection", e);
        }
    }
    if (connection_has_password(c->drill.scratch))
        return complain_of_password(path, mode, "drill", "scratch", e);
    const char *secret = has_url(c->notify.ping_url)      ? "ping-url"
                         : has_url(c->notify.webhook_url) ? "webhook-url"
                                                          : NULL;
    if (secret)
        return err_set(
            e, ERR_USAGE,
            "%s: [notify] %s: is a secret, and others can read this file (mode %04o): chmod 600 %s, or "
            "better put it into a file of its own and name that: %s = /etc/lifeboat/%s",
            path, secret, mode, path, secret, secret);
    return 0;
}

struct config *config_load(const char *path, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    if (file_read(path, FILE_MAX_BYTES, &text, e)) {
        bool missing = errno == ENOENT;
        struct err why = *e;
        *e = (struct err)ERR_INIT;
        return err_set(e, ERR_USAGE, "configuration: %s%s", why.text,
                       missing ? " (-c FILE names another; `lifeboat init --compose FILE` writes one from a "
                                 "compose file, conf/lifeboat.conf explains every key)"
                               : ""),
               NULL;
    }
    AUTO_PTR(config) c = config_parse(path, buf_bytes(&text), e);
    return c && check_mode(c, path, e) == 0 ? STEAL(c) : NULL;
}

const struct config_source *config_find_source(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (strcmp(c->sources[i].name, name) == 0)
            return &c->sources[i];
    return NULL;
}

const struct keep_rules *config_keep_rules(const struct config *c, const char *source)
{
    for (size_t i = 0; i < c->exception_count; i++)
        if (strcmp(c->exceptions[i].source, source) == 0)
            return &c->exceptions[i].keep;
    return &c->retention.keep;
}

static void free_all(char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(texts[i]);
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->store_count; i++)
        config_store_free(&c->stores[i]);
    for (size_t i = 0; i < c->source_count; i++) {
        struct config_source *s = &c->sources[i];
        char *texts[] = {s->name,      s->before,          s->after,           s->on_failure,
                         s->path,      s->command,         s->restore_command, s->drill_command,
                         s->container, s->compose_service, s->docker_volume,   s->connection};
        free_all(texts, ARRAY_LEN(texts));
        strings_free(&s->databases);
        strings_free(&s->exclude_table_data);
        strings_free(&s->shrinking);
        strings_free(&s->exclude);
        strings_free(&s->may_change);
    }
    for (size_t i = 0; i < c->drill.assert_count; i++) {
        free(c->drill.asserts[i].source);
        free(c->drill.asserts[i].sql);
    }
    free(c->drill.asserts);
    for (size_t i = 0; i < c->exception_count; i++) {
        free(c->exceptions[i].source);
        free(c->exceptions[i].time_zone); /* of one that is refused */
    }
    free(c->exceptions);
    free(c->retention.time_zone);
    char *texts[] = {c->file,
                     c->writer_key,
                     c->identity,
                     c->state_dir,
                     c->cache_dir,
                     c->host,
                     c->drill.scratch,
                     c->drill.directory,
                     c->drill.after_restore,
                     c->before,
                     c->after,
                     c->on_failure,
                     c->metrics_file,
                     c->notify.ping_url,
                     c->notify.webhook_url,
                     c->notify.template,
                     c->notify.ca_file};
    free_all(texts, ARRAY_LEN(texts));
    free(c->stores);
    free(c->sources);
    free(c);
}
