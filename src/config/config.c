#include "config/config.h"

#include "base/file.h"
#include "codec/chunker.h"

#include <ctype.h>
#include <ini.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define FILE_MAX       (1u << 20)
#define WORD_MAX       49 /* libinih cuts section and key names after this */

/* What a key's value is and where it goes: an offset into the struct of its section. */
enum value_kind { TEXT, PATH, LIST, BOOLEAN, NUMBER, DURATION, CHUNK_SIZE };
enum {
    FOR_POSTGRES = 1 << SOURCE_POSTGRES,
    FOR_VOLUME = 1 << SOURCE_VOLUME,
    FOR_COMMAND = 1 << SOURCE_COMMAND,
    FOR_ALL = FOR_POSTGRES | FOR_VOLUME | FOR_COMMAND
};
struct key {
    const char *name;
    enum value_kind kind;
    size_t offset;
    long low, high; /* NUMBER */
    unsigned types; /* of sources */
};
#define S(member) offsetof(struct config_source, member)
#define C(member) offsetof(struct config, member)
#define T(member) offsetof(struct config_store, member)
static const struct key source_keys[] = {
    {"allow-empty", BOOLEAN, S(may_be_empty), 0, 0, FOR_ALL},
    {"time-limit", DURATION, S(time_limit_s), 0, 0, FOR_ALL},
    {"before", TEXT, S(before), 0, 0, FOR_ALL},
    {"after", TEXT, S(after), 0, 0, FOR_ALL},
    {"on-failure", TEXT, S(on_failure), 0, 0, FOR_ALL},
    {"chunk-mean", CHUNK_SIZE, S(chunk_mean), 0, 0, FOR_ALL},
    {"compression", NUMBER, S(compression), 1, 19, FOR_ALL},
    {"connection", TEXT, S(connection), 0, 0, FOR_POSTGRES},
    {"database", LIST, S(databases), 0, 0, FOR_POSTGRES},
    {"exclude-table-data", LIST, S(exclude_table_data), 0, 0, FOR_POSTGRES},
    {"globals", BOOLEAN, S(globals), 0, 0, FOR_POSTGRES},
    {"path", PATH, S(path), 0, 0, FOR_VOLUME},
    {"exclude", LIST, S(exclude), 0, 0, FOR_VOLUME},
    {"may-change", LIST, S(may_change), 0, 0, FOR_VOLUME},
    {"exclude-caches", BOOLEAN, S(exclude_caches), 0, 0, FOR_VOLUME},
    {"one-file-system", BOOLEAN, S(one_file_system), 0, 0, FOR_VOLUME},
    {"reread-days", NUMBER, S(reread_days), 0, 3650, FOR_VOLUME},
    {"command", TEXT, S(command), 0, 0, FOR_COMMAND},
    {"restore-command", TEXT, S(restore_command), 0, 0, FOR_COMMAND},
    {0},
};
static const struct key store_keys[] = {
    {"url", TEXT, T(url), 0, 0, 0},
    {"min-free", NUMBER, T(min_free), 0, 50, 0},
    {"require-mount", BOOLEAN, T(require_mount), 0, 0, 0},
    {0},
};
static const struct key keys_keys[] = {
    {"writer", PATH, C(writer_key), 0, 0, 0},
    {"identity", PATH, C(identity), 0, 0, 0},
    {0},
};
static const struct key state_keys[] = {
    {"directory", PATH, C(state_dir), 0, 0, 0},
    {"cache", PATH, C(cache_dir), 0, 0, 0},
    {0},
};
static const struct key general_keys[] = {
    {"host", TEXT, C(host), 0, 0, 0},
    {"threads", NUMBER, C(threads), 1, 64, 0},
    {"compression", NUMBER, C(compression), 1, 19, 0},
    {"nice", NUMBER, C(nice), 0, 19, 0},
    {0},
};
static const char *const section_words[] = {"store", "keys", "state", "general", "source", NULL};
static const char *const type_names[] = {"postgres", "volume", "command"};

const char *source_type_name(enum source_type t)
{
    return type_names[t];
}

/* A key that was set: to find doubles and to name its line. */
struct seen {
    char *section, *key;
    unsigned line;
};

struct parsing {
    const char *name;
    struct bytes text;
    struct config *config;
    struct seen *seen;
    size_t seen_count;
    unsigned line;
    bool continues; /* the line starts with a blank: it belongs to the key above */
    struct err *e;
};

/* ERR_USAGE with "FILE:LINE: ...". */
static int PRINTF_LIKE(3, 4) complain(const struct parsing *p, unsigned line, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(p->e, ERR_USAGE, "%s:%u: %s", p->name, line, text);
}

static const char *did_you_mean(char out[100], const char *word, const char *const *words)
{
    const char *near = nearest_word(word, words);
    if (near)
        snprintf(out, 100, ": did you mean \"%s\"?", near);
    else
        out[0] = 0;
    return out;
}

static int unknown_key(const struct parsing *p, const char *section, const char *name, const struct key *keys)
{
    const char *words[32];
    size_t n = 0;
    char hint[100];
    for (; keys[n].name; n++)
        words[n] = keys[n].name;
    words[n] = NULL;
    return complain(p, p->line, "[%s] %s: unknown key%s", section, name, did_you_mean(hint, name, words));
}

/* ---- values ---- */
static bool parse_boolean(const char *text, bool *out)
{
    if (strcmp(text, "yes") == 0 || strcmp(text, "true") == 0 || strcmp(text, "on") == 0)
        *out = true;
    else if (strcmp(text, "no") == 0 || strcmp(text, "false") == 0 || strcmp(text, "off") == 0)
        *out = false;
    else
        return false;
    return true;
}

static void set_text(char **to, const char *value, bool continues)
{
    char *joined = continues && *to ? xasprintf("%s %s", *to, value) : xstrdup(value);
    free(*to);
    *to = joined;
}

static int set_value(struct parsing *p, const char *section, const struct key *k, void *base,
                     const char *value)
{
    char *to = (char *)base + k->offset;
    char *end;
    long number;
    uint64_t size;
    if (!*value && k->kind != LIST)
        return complain(p, p->line, "[%s] %s: has no value", section, k->name);
    if (p->continues && k->kind != TEXT && k->kind != LIST)
        return complain(
            p, p->line,
            "[%s] %s: this line starts with a blank, so it continues \"%s\", which takes one value", section,
            k->name, k->name);
    switch (k->kind) {
    case TEXT:
        set_text((char **)to, value, p->continues);
        return 0;
    case PATH:
        if (value[0] != '/')
            return complain(p, p->line, "[%s] %s: \"%s\" is not an absolute path", section, k->name, value);
        set_text((char **)to, value, false);
        return 0;
    case LIST:
        if (*value)
            strings_add((struct strings *)to, value);
        return 0;
    case BOOLEAN:
        return parse_boolean(value, (bool *)to)
                   ? 0
                   : complain(p, p->line, "[%s] %s: \"%s\" is neither yes nor no", section, k->name, value);
    case NUMBER:
        number = strtol(value, &end, 10);
        if (*end || number < k->low || number > k->high)
            return complain(p, p->line, "[%s] %s: \"%s\" is not a number from %ld to %ld", section, k->name,
                            value, k->low, k->high);
        *(unsigned *)to = (unsigned)number;
        return 0;
    case DURATION:
        return duration_parse(value, (uint64_t *)to)
                   ? 0
                   : complain(p, p->line, "[%s] %s: \"%s\" is not a time such as 90s, 30m, 6h or 2d", section,
                              k->name, value);
    case CHUNK_SIZE:
        if (!size_parse(value, &size) || size < (4u << 10) || size > (1u << 20) || (size & (size - 1)))
            return complain(p, p->line, "[%s] %s: \"%s\" is not a power of two from 4 KiB to 1 MiB", section,
                            k->name, value);
        *(uint32_t *)to = (uint32_t)size;
        return 0;
    }
    return 0;
}

/* ---- sections ---- */
static bool name_is_valid(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) && !strchr("_.-", name[i]))
            return false;
    return true;
}

static struct config_source *source_for(struct config *c, const char *name)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (strcmp(c->sources[i].name, name) == 0)
            return &c->sources[i];
    c->sources = xrealloc(c->sources, c->source_count + 1, sizeof *c->sources);
    struct config_source *s = &c->sources[c->source_count++];
    *s = (struct config_source){.name = xstrdup(name), .type = (enum source_type) - 1, .globals = true};
    return s;
}

static struct config_store *store_for(struct config *c, const char *name)
{
    for (size_t i = 0; i < c->store_count; i++)
        if (strcmp(c->stores[i].name, name) == 0)
            return &c->stores[i];
    c->stores = xrealloc(c->stores, c->store_count + 1, sizeof *c->stores);
    struct config_store *s = &c->stores[c->store_count++];
    *s = (struct config_store){.name = xstrdup(name), .min_free = 2};
    return s;
}

static int set_type(struct parsing *p, const char *section, struct config_source *s, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (strcmp(value, type_names[i]) == 0) {
            s->type = (enum source_type)i;
            return 0;
        }
    return complain(p, p->line, "[%s] type: \"%s\" is none of postgres, volume, command", section, value);
}

static const struct key *find_key(const struct key *keys, const char *name)
{
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

/* Refuses a key that was set before; notes it otherwise. Lists and lines that continue a value may repeat. */
static int note_seen(struct parsing *p, const char *section, const char *key, bool is_list)
{
    for (size_t i = 0; i < p->seen_count; i++)
        if (strcmp(p->seen[i].section, section) == 0 && strcmp(p->seen[i].key, key) == 0)
            return p->continues || is_list ? 0
                                           : complain(p, p->line, "[%s] %s: was set in line %u already",
                                                      section, key, p->seen[i].line);
    p->seen = xrealloc(p->seen, p->seen_count + 1, sizeof *p->seen);
    p->seen[p->seen_count++] =
        (struct seen){.section = xstrdup(section), .key = xstrdup(key), .line = p->line};
    return 0;
}

static int set_key(struct parsing *p, const char *section, const struct key *keys, void *base,
                   const char *name, const char *value)
{
    const struct key *k = find_key(keys, name);
    if (!k)
        return unknown_key(p, section, name, keys);
    if (note_seen(p, section, name, k->kind == LIST))
        return -1;
    return set_value(p, section, k, base, value);
}

/* One "key = value" of one section. */
static int handle_pair(struct parsing *p, const char *section, const char *name, const char *value)
{
    struct config *c = p->config;
    char kind[WORD_MAX + 1], hint[100];
    size_t n = strcspn(section, " \t");
    snprintf(kind, sizeof kind, "%.*s", (int)n, section);
    const char *title = section + n + strspn(section + n, " \t");
    bool titled = strcmp(kind, "source") == 0 || strcmp(kind, "store") == 0;
    if (!*section)
        return complain(p, p->line, "%s: stands before the first [section]", name);
    if (titled && !name_is_valid(title))
        return complain(p, p->line,
                        "[%s]: wants a name of a-z, 0-9, '_', '.', '-' after \"%s\", as in [%s main]",
                        section, kind, kind);
    if (!titled && *title)
        return complain(p, p->line, "[%s]: \"%s\" takes no name", section, kind);
    if (strcmp(kind, "source") == 0) {
        struct config_source *s = source_for(c, title);
        if (strcmp(name, "type") == 0)
            return note_seen(p, section, name, false) || set_type(p, section, s, value) ? -1 : 0;
        return set_key(p, section, source_keys, s, name, value);
    }
    if (strcmp(kind, "store") == 0)
        return set_key(p, section, store_keys, store_for(c, title), name, value);
    if (strcmp(kind, "keys") == 0)
        return set_key(p, section, keys_keys, c, name, value);
    if (strcmp(kind, "state") == 0)
        return set_key(p, section, state_keys, c, name, value);
    if (strcmp(kind, "general") == 0)
        return set_key(p, section, general_keys, c, name, value);
    return complain(p, p->line, "[%s]: unknown section%s", section, did_you_mean(hint, kind, section_words));
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
    struct parsing *p = user;
    return err_is_set(p->e) || handle_pair(p, section, name, value) == 0;
}

/* Whether the line is a section or key name that libinih would cut without a word. */
static bool name_is_too_long(const char *line, size_t n)
{
    size_t name = line[0] == '[' ? strcspn(line, "]\n") : strcspn(line, "=:\n");
    return name < n && name > WORD_MAX && line[0] != '#' && line[0] != ';' && line[0] != ' ' &&
           line[0] != '\t';
}

/* Gives libinih one line, and sees what it would not say: where we are, and what is too long. */
static char *read_line(char *out, int size, void *stream)
{
    struct parsing *p = stream;
    if (p->text.n == 0 || err_is_set(p->e))
        return NULL;
    const uint8_t *nl = memchr(p->text.p, '\n', p->text.n);
    size_t n = nl ? (size_t)(nl - p->text.p) + 1 : p->text.n;
    p->line++;
    if (n + 1 > (size_t)size || memchr(p->text.p, 0, n)) {
        complain(
            p, p->line,
            "the line is longer than %d bytes, or holds a NUL: go on in the next line, starting it with a "
            "blank",
            size - 1);
        return NULL;
    }
    memcpy(out, p->text.p, n);
    out[n] = 0;
    if (name_is_too_long(out, n)) {
        complain(p, p->line, "the name is longer than %d bytes", WORD_MAX);
        return NULL;
    }
    p->continues = (out[0] == ' ' || out[0] == '\t');
    p->text.p += n;
    p->text.n -= n;
    return out;
}

/* ---- the whole ---- */
static unsigned line_of(const struct parsing *p, const char *section)
{
    for (size_t i = 0; i < p->seen_count; i++)
        if (strcmp(p->seen[i].section, section) == 0)
            return p->seen[i].line;
    return p->line;
}

static int finish_source(struct parsing *p, struct config_source *s)
{
    AUTO_CHAR section = xasprintf("source %s", s->name);
    unsigned line = line_of(p, section);
    if ((int)s->type == -1)
        return complain(p, line, "[%s]: wants a \"type\": postgres, volume or command", section);
    for (size_t i = 0; i < p->seen_count; i++) {
        const struct key *k = find_key(source_keys, p->seen[i].key);
        if (strcmp(p->seen[i].section, section) == 0 && k && !(k->types & 1u << s->type))
            return complain(p, p->seen[i].line, "[%s] %s: a source of type %s has no such key", section,
                            k->name, type_names[s->type]);
    }
    if (s->type == SOURCE_VOLUME && !s->path)
        return complain(p, line, "[%s]: a volume wants its \"path\"", section);
    if (s->type == SOURCE_COMMAND && !s->command)
        return complain(p, line, "[%s]: a command source wants its \"command\"", section);
    if (strings_has(&s->databases, "all") && s->databases.n > 1)
        return complain(p, line, "[%s] database: \"all\" stands alone", section);
    return 0;
}

static int finish_store(struct parsing *p, struct config_store *s)
{
    AUTO_CHAR section = xasprintf("store %s", s->name);
    unsigned line = line_of(p, section);
    if (!s->url)
        return complain(p, line, "[%s]: wants a \"url\", as in file:///var/backups/lifeboat", section);
    if (strncmp(s->url, "file://", 7) != 0)
        return complain(
            p, line,
            "[%s] url: \"%s\" is not supported by this version, which keeps repositories in folders: "
            "file:///var/backups/lifeboat",
            section, s->url);
    if (s->url[7] != '/')
        return complain(p, line, "[%s] url: \"%s\" wants an absolute path after file://", section, s->url);
    s->path = xstrdup(s->url + 7);
    return 0;
}

static unsigned usable_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)MAX(1, MIN(16, CPU_COUNT(&set)));
}

static int finish(struct parsing *p)
{
    struct config *c = p->config;
    if (c->store_count == 0)
        return complain(p, p->line, "there is no [store NAME] section with a url: where would backups go?");
    for (size_t i = 0; i < c->store_count; i++)
        if (finish_store(p, &c->stores[i]))
            return -1;
    if (c->store_count > 1)
        return complain(p, p->line, "there are %zu [store] sections; this version writes one",
                        c->store_count);
    for (size_t i = 0; i < c->source_count; i++)
        if (finish_source(p, &c->sources[i]))
            return -1;
    if (!c->writer_key)
        c->writer_key = xstrdup("/etc/lifeboat/writer.key");
    if (!c->state_dir)
        c->state_dir = xstrdup("/var/lib/lifeboat");
    if (!c->cache_dir)
        c->cache_dir = xstrdup("/var/cache/lifeboat");
    if (!c->threads)
        c->threads = usable_cpus();
    if (!c->host) {
        char host[256] = "localhost";
        gethostname(host, sizeof host - 1);
        c->host = xstrdup(host);
    }
    if (strlen(c->host) > 255 || !utf8_is_valid(c->host, strlen(c->host)))
        return complain(p, p->line, "[general] host: is longer than 255 bytes or not UTF-8");
    return 0;
}

struct config *config_parse(const char *name, struct bytes text, struct err *e)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* libinih's limits are globals */
    AUTO_PTR(config) c = xcalloc(1, sizeof *c);
    struct parsing p = {.name = name, .text = text, .config = c, .e = e};
    c->file = xstrdup(name);
    pthread_mutex_lock(&lock);
    ini_max_line = LINE_MAX_BYTES;
    ini_initial_alloc = LINE_MAX_BYTES;
    int bad_line = ini_parse_stream(read_line, &p, handle, &p);
    pthread_mutex_unlock(&lock);
    if (!err_is_set(e) && bad_line > 0)
        complain(&p, (unsigned)bad_line, "is neither \"[section]\" nor \"key = value\"");
    if (!err_is_set(e) && bad_line < 0)
        err_set(e, ERR_FAILED, "%s: the configuration parser ran out of memory", name);
    if (!err_is_set(e))
        finish(&p);
    for (size_t i = 0; i < p.seen_count; i++) {
        free(p.seen[i].section);
        free(p.seen[i].key);
    }
    free(p.seen);
    return err_is_set(e) ? NULL : STEAL(c);
}

/* Whether a libpq keyword string or URI carries a password. */
static bool has_password(const char *connection)
{
    if (strncmp(connection, "postgres", 8) == 0 && strstr(connection, "://")) {
        const char *user = strstr(connection, "://") + 3;
        const char *at = strpbrk(user, "@/?");
        const char *colon = strchr(user, ':');
        return (at && *at == '@' && colon && colon < at) || strstr(connection, "password=");
    }
    const char *found = strcasestr(connection, "password");
    return found && (found == connection || isspace((unsigned char)found[-1])) &&
           found[8 + strspn(found + 8, " \t")] == '=';
}

struct config *config_load(const char *path, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    struct stat st;
    if (file_read(path, FILE_MAX, &text, e)) {
        e->kind = ERR_USAGE;
        return err_wrap(e, "configuration"), NULL;
    }
    AUTO_PTR(config) c = config_parse(path, buf_bytes(&text), e);
    if (!c)
        return NULL;
    bool others_read = stat(path, &st) == 0 && (st.st_mode & 077);
    for (size_t i = 0; i < c->source_count && others_read; i++)
        if (c->sources[i].connection && has_password(c->sources[i].connection))
            return err_set(
                       e, ERR_USAGE,
                       "%s: [source %s] connection: holds a password, and others can read this file (mode "
                       "%04o): chmod 600 %s, or better use a passfile (~/.pgpass)",
                       path, c->sources[i].name, (unsigned)st.st_mode & 07777, path),
                   NULL;
    return STEAL(c);
}

const struct config_source *config_find_source(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->source_count; i++)
        if (strcmp(c->sources[i].name, name) == 0)
            return &c->sources[i];
    return NULL;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->store_count; i++) {
        free(c->stores[i].name);
        free(c->stores[i].url);
        free(c->stores[i].path);
    }
    for (size_t i = 0; i < c->source_count; i++) {
        struct config_source *s = &c->sources[i];
        char *texts[] = {s->name,       s->before, s->after,   s->on_failure,
                         s->connection, s->path,   s->command, s->restore_command};
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            free(texts[k]);
        strings_free(&s->databases);
        strings_free(&s->exclude_table_data);
        strings_free(&s->exclude);
        strings_free(&s->may_change);
    }
    char *texts[] = {c->file, c->writer_key, c->identity, c->state_dir, c->cache_dir, c->host};
    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        free(texts[k]);
    free(c->stores);
    free(c->sources);
    free(c);
}
