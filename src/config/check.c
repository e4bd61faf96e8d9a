/* What only the whole configuration shows: keys that are missing or belong to another type, defaults. */
#include "parsing.h"

#include "base/zone.h"

#include <libpq-fe.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOST_MAX 255 /* as gethostname(2); also what a snapshot may hold */

/* The line of a key, or of the section's heading where the key was not set. */
static unsigned line_of(const struct parsing *p, const char *section, const char *key)
{
    const struct seen *s = seen_find(p, section, key);
    if (!s)
        s = seen_find(p, section, NULL);
    return s ? s->line : p->line;
}

static void set_default(char **to, const char *value)
{
    if (!*to)
        *to = xstrdup(value);
}

/* ---- [store] ---- */
/* Keys that only a bucket has, or only a folder. */
static int check_keys_of_kind(struct parsing *p, const struct config_store *s, const char *section)
{
    static const char *const of_buckets[] = {"endpoint",   "region",          "credentials", "ca-file",
                                             "insecure",   "addressing",      "signature",   "limit-up",
                                             "limit-down", "object-lock-days"};
    static const char *const of_folders[] = {"min-free", "require-mount"};
    bool bucket = s->kind == STORE_BUCKET;
    const char *const *wrong = bucket ? of_folders : of_buckets;
    size_t n = bucket ? ARRAY_LEN(of_folders) : ARRAY_LEN(of_buckets);
    for (size_t i = 0; i < n; i++)
        if (seen_find(p, section, wrong[i]))
            return complain(p, line_of(p, section, wrong[i]), "[%s] %s: is for %s, and url names a %s",
                            section, wrong[i], bucket ? "folders (file:///...)" : "buckets (s3://...)",
                            bucket ? "bucket" : "folder");
    return 0;
}

static int check_bucket(struct parsing *p, struct config_store *s, const char *section)
{
    unsigned line = line_of(p, section, "endpoint");
    if (s->endpoint) {
        bool plain = strncmp(s->endpoint, "http://", 7) == 0;
        size_t n = strlen(s->endpoint);
        if (!plain && strncmp(s->endpoint, "https://", 8) != 0)
            return complain(p, line, "[%s] endpoint: \"%s\" is not https://HOST or https://HOST:PORT",
                            section, s->endpoint);
        if (plain && !s->insecure)
            return complain(p, line,
                            "[%s] endpoint: http:// sends everything but the content in the clear: write "
                            "https://, or insecure = yes if that is meant",
                            section);
        if (s->endpoint[n - 1] == '/')
            s->endpoint[n - 1] = 0;
    } else if (s->signature == SIGNATURE_V2) {
        return complain(p, line, "[%s]: signature = v2 wants an \"endpoint\": AWS does not take it", section);
    }
    if (s->object_lock_days && s->signature == SIGNATURE_V2)
        return complain(p, line_of(p, section, "object-lock-days"),
                        "[%s] object-lock-days: wants signature = v4", section);
    return 0;
}

static int check_store(struct parsing *p, struct config_store *s)
{
    AUTO_CHAR section = xasprintf("store %s", s->name);
    unsigned line = line_of(p, section, "url");
    struct err why = ERR_INIT;
    if (!s->url)
        return complain(p, line, "[%s]: wants a \"url\", as in url = file:///var/backups/lifeboat", section);
    if (config_store_parse_url(s, s->url, &why))
        return complain(p, line, "[%s] url: %s", section, why.text);
    return check_keys_of_kind(p, s, section) || (s->kind == STORE_BUCKET && check_bucket(p, s, section)) ? -1
                                                                                                         : 0;
}

static int check_stores(struct parsing *p)
{
    struct config *c = p->config;
    if (c->store_count == 0)
        return complain(p, p->line,
                        "there is no [store NAME] section, so nowhere to keep backups: add one, with url = "
                        "file:///var/backups/lifeboat");
    for (size_t i = 0; i < c->store_count; i++)
        if (check_store(p, &c->stores[i]))
            return -1;
    for (size_t i = 1; i < c->store_count; i++)
        for (size_t k = 0; k < i; k++) {
            AUTO_CHAR url = config_store_url(&c->stores[i]);
            AUTO_CHAR other = config_store_url(&c->stores[k]);
            AUTO_CHAR section = xasprintf("store %s", c->stores[i].name);
            if (strcmp(url, other) == 0)
                return complain(p, line_of(p, section, "url"),
                                "[%s] url: is that of [store %s], too: a mirror is another "
                                "place",
                                section, c->stores[k].name);
        }
    return 0;
}

/* ---- [source] ---- */
static void type_list(struct buf *out, unsigned types)
{
    for (unsigned t = 0; types >> t; t++)
        if (types & FOR(t))
            buf_add_fmt(out, "%s%s", out->n ? ", " : "", source_type_name((enum source_type)t));
}

/* `type` may stand below the keys that depend on it, so this waits for the end. */
static int check_keys_of_type(struct parsing *p, const struct config_source *s, const char *section)
{
    const struct key *keys = section_find("source")->keys;
    for (size_t i = 0; i < p->seen_count; i++) {
        const struct seen *seen = &p->seen[i];
        if (!seen->key || strcmp(seen->section, section) != 0)
            continue;
        const struct key *k = key_find(keys, seen->key);
        if (k->types & FOR(s->type))
            continue;
        AUTO(buf) types = BUF_NONE;
        type_list(&types, k->types);
        return complain(p, seen->line, "[%s] %s: is for sources of type %s, and this one is of type %s",
                        section, k->name, buf_cstr(&types), source_type_name(s->type));
    }
    return 0;
}

static int check_databases(struct parsing *p, const struct config_source *s, const char *section)
{
    const struct strings *d = &s->databases;
    unsigned line = line_of(p, section, "database");
    for (size_t i = 0; i < d->n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(d->v[i], d->v[k]) == 0)
                return complain(p, line, "[%s] database: \"%s\" is named twice", section, d->v[i]);
    if (d->n > 1 && strings_has(d, "all"))
        return complain(p, line, "[%s] database: \"all\" means every one: drop the other lines", section);
    return 0;
}

static PQconninfoOption *read_connection(const char *connection, char **why)
{
    PQconninfoOption *options = PQconninfoParse(connection, why);
    if (!options && (!*why || strcmp(*why, LIBPQ_OUT_OF_MEMORY) == 0))
        die(OUT_OF_MEMORY);
    return options;
}

/* libpq's own words may quote a part of the password, so they are not passed on when there may be one. */
static int check_connection(struct parsing *p, const char *connection, const char *section, const char *key)
{
    char *why = NULL;
    PQconninfoOption *options = read_connection(connection, &why);
    bool readable = options != NULL;
    bool secret = strcasestr(connection, "pass") || strchr(connection, '@');
    const char *said = why && !secret ? why : "a quote, a \"=\" or an option's name is wrong";
    if (!readable)
        complain(p, line_of(p, section, key), "[%s] %s: libpq cannot read it: %.*s", section, key,
                 (int)strcspn(said, "\n"), said);
    PQconninfoFree(options);
    PQfreemem(why);
    return readable ? 0 : -1;
}

bool config_is_container(const char *s, bool slash)
{
    const char *at = slash ? strchr(s, '/') : NULL;
    return *s && *s != '/' && (!slash || (at && at[1] && !strchr(at + 1, '/'))) &&
           (slash || !strchr(s, '/')) && !strpbrk(s, " \t?#%\"'\\");
}

/* What runs in a container, and where it is. */
static int check_container(struct parsing *p, const struct config_source *s, const char *section)
{
    const char *key = s->container         ? "container"
                      : s->compose_service ? "compose-service"
                      : s->docker_volume   ? "docker-volume"
                                           : NULL;
    if (!key)
        return 0;
    unsigned line = line_of(p, section, key);
    const char *name = s->container         ? s->container
                       : s->compose_service ? s->compose_service
                                            : s->docker_volume;
    if (s->container && s->compose_service)
        return complain(p, line, "[%s]: container and compose-service name the same thing: drop one",
                        section);
    if (!config_is_container(name, s->compose_service != NULL))
        return complain(p, line, "[%s] %s: \"%s\" is no %s", section, key, name,
                        s->compose_service ? "PROJECT/SERVICE" : "name of one");
    if (s->docker_volume && s->path)
        return complain(p, line, "[%s]: path and docker-volume both say where the folder is: drop one",
                        section);
    if (s->connection && strstr(s->connection, "://"))
        return complain(p, line_of(p, section, "connection"),
                        "[%s] connection: beside %s it takes keywords (user=backup), no URI", section, key);
    return 0;
}

static int check_source(struct parsing *p, struct config_source *s)
{
    AUTO_CHAR section = xasprintf("source %s", s->name);
    unsigned line = line_of(p, section, NULL);
    if (s->type == SOURCE_TYPE_NONE)
        return complain(p, line, "[%s]: wants a \"type\": postgres, volume or command", section);
    if (check_keys_of_type(p, s, section) || check_databases(p, s, section) ||
        (s->connection && check_connection(p, s->connection, section, "connection")))
        return -1;
    if (check_container(p, s, section))
        return -1;
    if (s->type == SOURCE_VOLUME && !s->path && !s->docker_volume)
        return complain(p, line, "[%s]: a volume wants the \"path\" of its folder, or a \"docker-volume\"",
                        section);
    if (s->type == SOURCE_COMMAND && !s->command)
        return complain(p, line, "[%s]: wants the \"command\" whose output is backed up", section);
    return 0;
}

bool connection_has_password(const char *connection)
{
    bool has = false;
    char *why = NULL;
    PQconninfoOption *options = read_connection(connection, &why);
    for (PQconninfoOption *o = options; o && o->keyword; o++)
        has |= o->val && *o->val &&
               (strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0);
    PQconninfoFree(options);
    PQfreemem(why);
    return has;
}

/* ---- a store in a source, a source in a store: by their names alone ---- */
/* The part of `path` below `folder`: "" when they are the same, NULL when it is not below. */
static const char *part_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    while (n && folder[n - 1] == '/')
        n--;
    if (strncmp(path, folder, n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return path + n + strspn(path + n, "/");
}

/* Whether the source does not take it, or may not: what only its files and mounts show is not looked at here.
 */
static bool is_left_out(const struct config_source *s, const char *part)
{
    if (s->one_file_system || s->exclude_caches)
        return true;
    for (size_t n = strcspn(part, "/"); n <= strlen(part); n += 1 + strcspn(part + n + 1, "/")) {
        AUTO_CHAR path = xstrndup(part, n);
        for (size_t i = 0; i < s->exclude.n; i++)
            if (glob_match(s->exclude.v[i], path))
                return true;
        if (!part[n])
            break;
    }
    return false;
}

static int check_apart(struct parsing *p, const struct config_source *s, const struct config_store *store)
{
    AUTO_CHAR section = xasprintf("source %s", s->name);
    if (!s->path || !store->path)
        return 0;
    const char *part = part_below(store->path, s->path);
    if (part_below(s->path, store->path))
        return complain(p, line_of(p, section, "path"),
                        "[%s] path: lies in [store %s], which is %s: a backup does not hold itself", section,
                        store->name, store->path);
    if (part && !is_left_out(s, part))
        return complain(
            p, line_of(p, section, "path"),
            "[%s] path: [store %s] lies in it, so each backup would hold all the others: move one of "
            "them, or leave it out with exclude = %s",
            section, store->name, part);
    return 0;
}

/* ---- [drill] ---- */
bool config_is_private(const char *scratch)
{
    static const char *const words[] = {"auto", "private", "image"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(scratch, words[i]) == 0)
            return true;
    return false;
}

bool drill_is_private(const struct config_drill *d)
{
    return config_is_private(d->scratch);
}

/* "app", or "app/orders" where the source has several databases. */
static int check_assert(struct parsing *p, const struct config_assert *a)
{
    size_t n = strcspn(a->source, "/");
    AUTO_CHAR name = xstrndup(a->source, n);
    AUTO_CHAR key = xasprintf("assert %s", a->source);
    unsigned line = line_of(p, "drill", key);
    const struct config_source *s = config_find_source(p->config, name);
    if (!s)
        return complain(p, line, "[drill] assert %s: there is no [source %s]", a->source, name);
    return s->type == SOURCE_POSTGRES
               ? 0
               : complain(p, line,
                          "[drill] assert %s: is for sources of type postgres, and this one is of type %s",
                          a->source, source_type_name(s->type));
}

static int check_drill(struct parsing *p)
{
    struct config_drill *d = &p->config->drill;
    set_default(&d->scratch, "auto");
    if (!d->directory)
        d->directory = xasprintf("%s/drill", p->config->state_dir);
    if (!drill_is_private(d) && check_connection(p, d->scratch, "drill", "scratch"))
        return -1;
    for (size_t i = 0; i < d->assert_count; i++)
        if (check_assert(p, &d->asserts[i]))
            return -1;
    return 0;
}

/* ---- [retention] ---- */
/* Keys that [retention SOURCE] leaves out are those of [retention], which may stand below it. */
static int check_exception(struct parsing *p, struct config_retention *r)
{
    AUTO_CHAR section = xasprintf("retention %s", r->source);
    for (const struct key *k = section_find("retention")->keys; k->name; k++) {
        const struct seen *seen = seen_find(p, section, k->name);
        if (seen && !k->types)
            return complain(p, seen->line, "[%s] %s: counts for the whole repository: set it in [retention]",
                            section, k->name);
        if (!seen && k->kind == NUMBER)
            *(unsigned *)((char *)r + k->offset) = *(unsigned *)((char *)&p->config->retention + k->offset);
        if (!seen && k->kind == DURATION)
            *(uint64_t *)((char *)r + k->offset) = *(uint64_t *)((char *)&p->config->retention + k->offset);
    }
    return 0;
}

static int check_retention(struct parsing *p)
{
    struct config *c = p->config;
    struct err why = ERR_INIT;
    UNUSED AUTO_PTR(zone) zone = c->retention.time_zone ? zone_load(c->retention.time_zone, &why) : NULL;
    if (err_is_set(&why))
        return complain(p, line_of(p, "retention", "time-zone"), "[retention] time-zone: %s", why.text);
    for (size_t i = 0; i < c->exception_count; i++)
        if (check_exception(p, &c->exceptions[i]))
            return -1;
    return 0;
}

/* ---- [notify] ---- */
/* The URL itself, or the file that it is in. */
static int check_web_url(struct parsing *p, const char *key, const char *url)
{
    struct err why = ERR_INIT;
    if (!url || url[0] == '/' || config_check_web_url(url, p->config->notify.insecure, &why) == 0)
        return 0;
    return complain(p, line_of(p, "notify", key), "[notify] %s: %s", key, why.text);
}

static int check_notify(struct parsing *p)
{
    static const char *const of_webhooks[] = {"template", "digest"};
    const struct config_notify *n = &p->config->notify;
    if (check_web_url(p, "ping-url", n->ping_url) || check_web_url(p, "webhook-url", n->webhook_url))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(of_webhooks) && !n->webhook_url; i++)
        if (seen_find(p, "notify", of_webhooks[i]))
            return complain(p, line_of(p, "notify", of_webhooks[i]),
                            "[notify] %s: is for a webhook, and there is no webhook-url", of_webhooks[i]);
    return 0;
}

/* ---- the rest ---- */
static unsigned usable_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)MAX(1, MIN(16, CPU_COUNT(&set)));
}

int check_whole(struct parsing *p)
{
    struct config *c = p->config;
    if (check_stores(p))
        return -1;
    for (size_t i = 0; i < c->source_count; i++)
        if (check_source(p, &c->sources[i]))
            return -1;
    for (size_t i = 0; i < c->source_count * c->store_count; i++)
        if (check_apart(p, &c->sources[i / c->store_count], &c->stores[i % c->store_count]))
            return -1;
    char host[HOST_MAX + 1] = "";
    gethostname(host, HOST_MAX);
    set_default(&c->host, host[0] ? host : "localhost");
    set_default(&c->writer_key, "/etc/lifeboat/writer.key");
    set_default(&c->state_dir, "/var/lib/lifeboat");
    set_default(&c->cache_dir, "/var/cache/lifeboat");
    if (c->identity && strcmp(c->identity, c->writer_key) == 0)
        return complain(p, line_of(p, "keys", "identity"),
                        "[keys] identity: is the file of the writer key, %s: each takes a file of its own",
                        c->writer_key);
    if (!c->threads)
        c->threads = usable_cpus();
    if (check_drill(p) || check_retention(p) || check_notify(p))
        return -1;
    size_t n = strlen(c->host);
    if (n > HOST_MAX || !utf8_is_valid(c->host, n))
        return complain(p, line_of(p, "general", "host"),
                        "[general] host: is longer than %d bytes or not UTF-8", HOST_MAX);
    return 0;
}
