#include "keys.h"

#include <stdlib.h>
#include <string.h>

#define FOR_ALL          (FOR(SOURCE_POSTGRES) | FOR(SOURCE_VOLUME) | FOR(SOURCE_COMMAND))
#define TIME_LIMIT_DAYS  365
#define KEEP_WITHIN_DAYS (100 * 365)
#define CHUNK_LEAST      (4u << 10)
#define CHUNK_MOST       (1u << 20)

#define S(member) offsetof(struct config_source, member)
static const struct key source_keys[] = {
    {"type", SOURCE_TYPE, S(type), 0, 0, FOR_ALL},
    {"allow-empty", BOOLEAN, S(may_be_empty), 0, 0, FOR_ALL},
    {"time-limit", DURATION, S(time_limit_s), 0, TIME_LIMIT_DAYS, FOR_ALL},
    {"before", COMMAND, S(before), 0, 0, FOR_ALL},
    {"after", COMMAND, S(after), 0, 0, FOR_ALL},
    {"on-failure", COMMAND, S(on_failure), 0, 0, FOR_ALL},
    {"chunk-mean", CHUNK_SIZE, S(chunk_mean), 0, 0, FOR_ALL},
    {"compression", NUMBER, S(compression), 1, 19, FOR_ALL},
    {"connection", TEXT, S(connection), 0, 0, FOR(SOURCE_POSTGRES)},
    {"container", TEXT, S(container), 0, 0, FOR(SOURCE_POSTGRES)},
    {"compose-service", TEXT, S(compose_service), 0, 0, FOR(SOURCE_POSTGRES)},
    {"database", LIST, S(databases), 0, 0, FOR(SOURCE_POSTGRES)},
    {"allow-shrink", BOOLEAN, S(may_shrink), 0, 0, FOR_ALL},
    {"may-shrink", LIST, S(shrinking), 0, 0, FOR(SOURCE_POSTGRES)},
    {"exclude-table-data", LIST, S(exclude_table_data), 0, 0, FOR(SOURCE_POSTGRES)},
    {"globals", BOOLEAN, S(globals), 0, 0, FOR(SOURCE_POSTGRES)},
    {"path", PATH, S(path), 0, 0, FOR(SOURCE_VOLUME)},
    {"docker-volume", TEXT, S(docker_volume), 0, 0, FOR(SOURCE_VOLUME)},
    {"exclude", LIST, S(exclude), 0, 0, FOR(SOURCE_VOLUME)},
    {"may-change", LIST, S(may_change), 0, 0, FOR(SOURCE_VOLUME)},
    {"exclude-caches", BOOLEAN, S(exclude_caches), 0, 0, FOR(SOURCE_VOLUME)},
    {"one-file-system", BOOLEAN, S(one_file_system), 0, 0, FOR(SOURCE_VOLUME)},
    {"reread-days", NUMBER, S(reread_days), 0, 3650, FOR(SOURCE_VOLUME)},
    {"command", COMMAND, S(command), 0, 0, FOR(SOURCE_COMMAND)},
    {"restore-command", COMMAND, S(restore_command), 0, 0, FOR(SOURCE_COMMAND)},
    {"drill-command", COMMAND, S(drill_command), 0, 0, FOR(SOURCE_COMMAND)},
    {0},
};
#undef S
#define S(member) offsetof(struct config_store, member)
static const struct key store_keys[] = {
    {"url", TEXT, S(url), 0, 0, 0},
    {"endpoint", TEXT, S(endpoint), 0, 0, 0},
    {"region", TEXT, S(region), 0, 0, 0},
    {"credentials", PATH, S(credentials), 0, 0, 0},
    {"ca-file", PATH, S(ca_file), 0, 0, 0},
    {"insecure", BOOLEAN, S(insecure), 0, 0, 0},
    {"addressing", ADDRESSING, S(addressing), 0, 0, 0},
    {"signature", SIGNATURE, S(signature), 0, 0, 0},
    {"limit-up", SIZE, S(limit_up), 0, 0, 0},
    {"limit-down", SIZE, S(limit_down), 0, 0, 0},
    {"object-lock-days", NUMBER, S(object_lock_days), 0, 36500, 0},
    {"min-free", NUMBER, S(min_free), 0, 50, 0},
    {"require-mount", BOOLEAN, S(require_mount), 0, 0, 0},
    {0},
};
#undef S
#define S(member) offsetof(struct config, member)
static const struct key keys_keys[] = {
    {"writer", PATH, S(writer_key), 0, 0, 0},
    {"identity", PATH, S(identity), 0, 0, 0},
    {0},
};
static const struct key state_keys[] = {
    {"directory", PATH, S(state_dir), 0, 0, 0},
    {"cache", PATH, S(cache_dir), 0, 0, 0},
    {0},
};
static const struct key general_keys[] = {
    {"host", TEXT, S(host), 0, 0, 0},
    {"threads", NUMBER, S(threads), 1, 64, 0},
    {"compression", NUMBER, S(compression), 1, 19, 0},
    {"nice", NUMBER, S(nice), 0, 19, 0},
    {"before", COMMAND, S(before), 0, 0, 0},
    {"after", COMMAND, S(after), 0, 0, 0},
    {"on-failure", COMMAND, S(on_failure), 0, 0, 0},
    {0},
};
static const struct key notify_keys[] = {
    {"ping-url", TEXT, S(notify.ping_url), 0, 0, 0},
    {"webhook-url", TEXT, S(notify.webhook_url), 0, 0, 0},
    {"template", PATH, S(notify.template), 0, 0, 0},
    {"digest", DURATION, S(notify.digest_s), 3600, 365, 0},
    {"ca-file", PATH, S(notify.ca_file), 0, 0, 0},
    {"insecure", BOOLEAN, S(notify.insecure), 0, 0, 0},
    {0},
};
static const struct key metrics_keys[] = {
    {"textfile", PATH, S(metrics_file), 0, 0, 0},
    {0},
};
static const struct key drill_keys[] = {
    {"scratch", TEXT, S(drill.scratch), 0, 0, 0},
    {"directory", PATH, S(drill.directory), 0, 0, 0},
    {"max-bytes", SIZE, S(drill.max_bytes), 0, 0, 0},
    {"after-restore", COMMAND, S(drill.after_restore), 0, 0, 0},
    {"assert", ASSERT, S(drill), 0, 0, 0},
    {0},
};
#undef S
#define S(member)  offsetof(struct config_retention, member)
#define COUNT_MOST 100000
static const struct key retention_keys[] = {
    {"keep-last", NUMBER, S(keep.last), 0, COUNT_MOST, true},
    {"keep-within", DURATION, S(keep.within_s), 0, KEEP_WITHIN_DAYS, true},
    {"keep-hourly", NUMBER, S(keep.periods[KEEP_HOURLY]), 0, COUNT_MOST, true},
    {"keep-daily", NUMBER, S(keep.periods[KEEP_DAILY]), 0, COUNT_MOST, true},
    {"keep-weekly", NUMBER, S(keep.periods[KEEP_WEEKLY]), 0, COUNT_MOST, true},
    {"keep-monthly", NUMBER, S(keep.periods[KEEP_MONTHLY]), 0, COUNT_MOST, true},
    {"keep-yearly", NUMBER, S(keep.periods[KEEP_YEARLY]), 0, COUNT_MOST, true},
    {"keep-min", NUMBER, S(keep.min), 1, COUNT_MOST, true},
    {"undo-window", DURATION, S(undo_window_s), 0, 365, false},
    {"grace", DURATION, S(grace_s), GRACE_LEAST_S, 365, false},
    {"time-zone", TEXT, S(time_zone), 0, 0, false},
    {0},
};
#undef S
const struct section config_sections[] = {
    {"store", TITLED, store_keys},         {"keys", UNTITLED, keys_keys},
    {"state", UNTITLED, state_keys},       {"general", UNTITLED, general_keys},
    {"source", TITLED, source_keys},       {"drill", UNTITLED, drill_keys},
    {"retention", EITHER, retention_keys}, {"notify", UNTITLED, notify_keys},
    {"metrics", UNTITLED, metrics_keys},   {0},
};

static const char *const type_names[] = {"postgres", "volume", "command"};

const char *source_type_name(enum source_type t)
{
    return type_names[t];
}

const struct section *section_find(const char *kind)
{
    for (const struct section *s = config_sections; s->kind; s++)
        if (strcmp(s->kind, kind) == 0)
            return s;
    return NULL;
}

const struct key *key_find(const struct key *keys, const char *name)
{
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

/* ---- hints ---- */
static void hint(struct buf *out, const char *word, const char *const *words)
{
    const char *near = nearest_word(word, words);
    if (near) {
        buf_add_fmt(out, ": did you mean \"%s\"?", near);
        return;
    }
    buf_add_str(out, "; known are ");
    for (size_t i = 0; words[i]; i++)
        buf_add_fmt(out, "%s%s", i ? ", " : "", words[i]);
}

void section_hint(struct buf *out, const char *word)
{
    const char *words[ARRAY_LEN(config_sections)];
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = config_sections[i].kind;
    hint(out, word, words);
}

void key_hint(struct buf *out, const char *word, const struct key *keys)
{
    const char *words[ARRAY_LEN(source_keys)]; /* the longest table */
    size_t n = 0;
    do
        words[n] = keys[n].name;
    while (words[n++]);
    hint(out, word, words);
}

/* ---- values ---- */
static void set_text(char **to, const char *value)
{
    free(*to);
    *to = xstrdup(value);
}

static int set_path(char **to, const char *value, struct err *e)
{
    if (value[0] != '/')
        return err_set(e, ERR_USAGE, "\"%s\" is not an absolute path%s", value,
                       value[0] == '~' ? " (\"~\" means nothing here: write the folder out)" : "");
    size_t n = strlen(value);
    while (n > 1 && value[n - 1] == '/')
        n--;
    free(*to);
    *to = xstrndup(value, n);
    return 0;
}

static int set_boolean(bool *to, const char *value, struct err *e)
{
    *to = strcmp(value, "yes") == 0;
    return *to || strcmp(value, "no") == 0
               ? 0
               : err_set(e, ERR_USAGE, "\"%s\" is neither \"yes\" nor \"no\"", value);
}

static int set_number(int *to, const struct key *k, const char *value, struct err *e)
{
    char *end;
    long number = strtol(value, &end, 10);
    if (*end || number < k->low || number > k->high)
        return err_set(e, ERR_USAGE, "\"%s\" is not a whole number from %ld to %ld", value, k->low, k->high);
    *to = (int)number;
    return 0;
}

static int set_duration(uint64_t *to, const struct key *k, const char *value, struct err *e)
{
    if (!duration_parse(value, to))
        return err_set(e, ERR_USAGE, "\"%s\" is not a time such as 90s, 30m, 6h or 2d", value);
    if (*to < (uint64_t)k->low)
        return err_set(e, ERR_USAGE, "\"%s\" is shorter than %ld seconds", value, k->low);
    if (*to > (uint64_t)k->high * 86400)
        return err_set(e, ERR_USAGE, "\"%s\" is longer than %ld days", value, k->high);
    return 0;
}

static int set_size(uint64_t *to, const char *value, struct err *e)
{
    return size_parse(value, to)
               ? 0
               : err_set(e, ERR_USAGE, "\"%s\" is not a size such as 500MiB or 20GiB", value);
}

static int set_chunk_size(uint32_t *to, const char *value, struct err *e)
{
    uint64_t size;
    if (!size_parse(value, &size) || size < CHUNK_LEAST || size > CHUNK_MOST || (size & (size - 1)))
        return err_set(e, ERR_USAGE, "\"%s\" is not a power of two from 4 KiB to 1 MiB", value);
    *to = (uint32_t)size;
    return 0;
}

static const char *const addressing_words[] = {"auto", "path", "virtual"};
static const char *const signature_words[] = {"v4", "v2"};

const char *addressing_name(enum addressing a)
{
    return addressing_words[a];
}

/* *to becomes the place of the value among the words. */
static int set_choice(int *to, const char *value, const char *const *words, size_t n, struct err *e)
{
    AUTO(buf) list = BUF_NONE;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(value, words[i]) == 0) {
            *to = (int)i;
            return 0;
        }
        buf_add_fmt(&list, "%s%s", i ? ", " : "", words[i]);
    }
    return err_set(e, ERR_USAGE, "\"%s\" is none of %s", value, buf_cstr(&list));
}

static int set_source_type(enum source_type *to, const char *value, struct err *e)
{
    return set_choice((int *)to, value, type_names, ARRAY_LEN(type_names), e);
}

int value_set(const struct key *k, void *base, const char *value, struct err *e)
{
    void *to = (char *)base + k->offset;
    if (!*value)
        return err_set(e, ERR_USAGE, "has no value; leave the line out for the default");
    switch (k->kind) {
    case TEXT:
    case COMMAND:
        set_text(to, value);
        return 0;
    case PATH:
        return set_path(to, value, e);
    case LIST:
        strings_add(to, value);
        return 0;
    case BOOLEAN:
        return set_boolean(to, value, e);
    case NUMBER:
        return set_number(to, k, value, e);
    case DURATION:
        return set_duration(to, k, value, e);
    case SIZE:
        return set_size(to, value, e);
    case ADDRESSING:
        return set_choice(to, value, addressing_words, ARRAY_LEN(addressing_words), e);
    case SIGNATURE:
        return set_choice(to, value, signature_words, ARRAY_LEN(signature_words), e);
    case CHUNK_SIZE:
        return set_chunk_size(to, value, e);
    case SOURCE_TYPE:
        return set_source_type(to, value, e);
    case ASSERT:
        return err_set(e, ERR_USAGE, "wants the name of a source behind it, as in: assert app = SELECT ...");
    }
    return 0;
}

int assert_add(struct config_drill *d, const char *source, const char *sql, struct err *e)
{
    if (!*sql)
        return err_set(e, ERR_USAGE, "has no query");
    d->asserts = xrealloc(d->asserts, d->assert_count + 1, sizeof *d->asserts);
    d->asserts[d->assert_count++] = (struct config_assert){xstrdup(source), xstrdup(sql)};
    return 0;
}
