#include "find.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- services ---- */
static const struct {
    const char *image;
    enum service_kind kind;
} images[] = {
    {"postgres", SERVICE_POSTGRES},
    {"postgresql", SERVICE_POSTGRES},
    {"pgvector", SERVICE_POSTGRES},
    {"postgis", SERVICE_POSTGRES},
    {"timescaledb", SERVICE_POSTGRES},
    {"timescaledb-ha", SERVICE_POSTGRES},
    {"timescaledb-postgis", SERVICE_POSTGRES},
    {"postgresml", SERVICE_POSTGRES},
    {"pgrouting", SERVICE_POSTGRES},
    {"pgvecto-rs", SERVICE_POSTGRES},
    {"vchord-postgres", SERVICE_POSTGRES},
    {"vchord-suite", SERVICE_POSTGRES},
    {"paradedb", SERVICE_POSTGRES},
    {"mysql", SERVICE_MYSQL},
    {"mysql-server", SERVICE_MYSQL},
    {"percona", SERVICE_MYSQL},
    {"percona-server", SERVICE_MYSQL},
    {"mariadb", SERVICE_MARIADB},
    {"mongo", SERVICE_MONGO},
    {"mongodb", SERVICE_MONGO},
    {"mongodb-community-server", SERVICE_MONGO},
    {"percona-server-mongodb", SERVICE_MONGO},
    {"redis", SERVICE_REDIS},
    {"valkey", SERVICE_REDIS},
    {"keydb", SERVICE_REDIS},
    {"redis-stack", SERVICE_REDIS},
    {"redis-stack-server", SERVICE_REDIS},
    {"elasticsearch", SERVICE_SEARCH},
    {"opensearch", SERVICE_SEARCH},
    {"clickhouse", SERVICE_WRITER},
    {"clickhouse-server", SERVICE_WRITER},
    {"influxdb", SERVICE_WRITER},
    {"neo4j", SERVICE_WRITER},
    {"couchdb", SERVICE_WRITER},
    {"cassandra", SERVICE_WRITER},
    {"cockroach", SERVICE_WRITER},
    {"rabbitmq", SERVICE_WRITER},
    {"meilisearch", SERVICE_WRITER},
    {"typesense", SERVICE_WRITER},
    {"qdrant", SERVICE_WRITER},
    {"chroma", SERVICE_WRITER},
    {"weaviate", SERVICE_WRITER},
    {"milvus", SERVICE_WRITER},
    {"etcd", SERVICE_WRITER},
    {"kafka", SERVICE_WRITER},
    {"zookeeper", SERVICE_WRITER},
    {"prometheus", SERVICE_WRITER},
    {"loki", SERVICE_WRITER},
    {"victoria-metrics", SERVICE_WRITER},
};
static const struct {
    enum service_kind kind;
    const char *folder;
    bool tells; /* of a service whose image says nothing */
} data_folders[] = {
    {SERVICE_POSTGRES, "/var/lib/postgresql", true},
    {SERVICE_POSTGRES, "/bitnami/postgresql", true},
    {SERVICE_POSTGRES, "/home/postgres/pgdata", true},
    {SERVICE_POSTGRES, "/pgdata", false},
    {SERVICE_MYSQL, "/var/lib/mysql", true},
    {SERVICE_MYSQL, "/bitnami/mysql", true},
    {SERVICE_MARIADB, "/var/lib/mysql", false},
    {SERVICE_MARIADB, "/bitnami/mariadb", true},
    {SERVICE_MARIADB, "/config", false}, /* linuxserver.io */
    {SERVICE_WRITER, "/var/opt/mssql", true},
    {SERVICE_WRITER, "/var/lib/clickhouse", true},
    {SERVICE_WRITER, "/var/lib/kafka", true},
    {SERVICE_WRITER, "/bitnami/kafka", true},
    {SERVICE_WRITER, "/var/lib/zookeeper", true},
    {SERVICE_WRITER, "/var/lib/rabbitmq", true},
    {SERVICE_WRITER, "/var/lib/influxdb", true},
    {SERVICE_WRITER, "/var/lib/cassandra", true},
    {SERVICE_WRITER, "/qdrant/storage", true},
    {SERVICE_WRITER, "/chroma/chroma", true},
    {SERVICE_MONGO, "/data/db", true},
    {SERVICE_MONGO, "/data/configdb", false},
    {SERVICE_MONGO, "/bitnami/mongodb", true},
    {SERVICE_REDIS, "/data", false},
    {SERVICE_REDIS, "/bitnami/redis", true},
    {SERVICE_REDIS, "/bitnami/valkey", true},
    {SERVICE_SEARCH, "/usr/share/elasticsearch/data", true},
    {SERVICE_SEARCH, "/usr/share/opensearch/data", true},
    {SERVICE_SEARCH, "/bitnami/elasticsearch", true},
    {SERVICE_SEARCH, "/bitnami/opensearch", true},
};

/* The last word of an image's name: "registry.example.com/x/postgres:15@sha256:..." is "postgres". Caller
 * frees. */
static char *image_name(const char *image)
{
    size_t n = strcspn(image, "@");
    const char *start = image;
    for (size_t i = 0; i < n; i++)
        if (image[i] == '/')
            start = image + i + 1;
    return xstrndup(start, MIN(strcspn(start, ":@"), (size_t)(image + n - start)));
}

static const char *service_kind_name(enum service_kind k)
{
    static const char *const names[] = {
        "", "PostgreSQL", "MySQL", "MariaDB", "MongoDB", "Redis", "Elasticsearch/OpenSearch", "a server"};
    return names[k];
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/' || (n && folder[n - 1] == '/'));
}

const char *service_variable(const struct compose_service *s, const char *name)
{
    for (size_t i = 0; i < s->variable_count; i++)
        if (strcmp(s->variables[i].name, name) == 0)
            return s->variables[i].value ? s->variables[i].value : "";
    return NULL;
}

/* PostgreSQL's folder may be moved. */
static bool holds_pgdata(const struct compose_service *s, const struct compose_mount *m)
{
    const char *pgdata = service_variable(s, "PGDATA");
    return pgdata && *m->target && is_below(pgdata, m->target);
}

bool mount_is_data(const struct compose_service *s, enum service_kind k, const struct compose_mount *m)
{
    if (k == SERVICE_POSTGRES && holds_pgdata(s, m))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(data_folders); i++)
        if (data_folders[i].kind == k && is_below(m->target, data_folders[i].folder))
            return true;
    return false;
}

static bool is_any(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

static bool has_any(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strstr(s, *words))
            return true;
    return false;
}

/* A database's image whose programs are used on another server: a migration, a backup. It keeps nothing and
 * starts something else. */
static bool is_client(const struct compose_service *s, enum service_kind k)
{
    static const char *const servers[] = {"postgres -",   "mysqld",       "mariadbd",
                                          "mongod",       "redis-server", "valkey-server",
                                          "keydb-server", "entrypoint",   NULL};
    for (size_t i = 0; i < s->mount_count; i++)
        if (mount_is_data(s, k, &s->mounts[i]))
            return false;
    bool starts =
        *s->entrypoint || (*s->command && *s->command != '-' && strcmp(s->command, "postgres") != 0);
    return starts && !has_any(s->entrypoint, servers) && !has_any(s->command, servers);
}

enum service_kind service_kind(const struct compose_service *s)
{
    static const char *const helpers[] = {"backup", "exporter", "admin", "express", "dump", NULL};
    static const char *const bases[] = {"busybox", "alpine", "debian", "ubuntu", "true", NULL};
    AUTO_CHAR name = image_name(s->image);
    for (size_t i = 0; i < ARRAY_LEN(images); i++)
        if (strcmp(images[i].image, name) == 0)
            return is_client(s, images[i].kind) ? SERVICE_OTHER : images[i].kind;
    if (has_any(s->image, helpers) || is_any(name, bases))
        return SERVICE_OTHER;
    for (size_t k = 0; k < s->mount_count; k++)
        if (!s->mounts[k].read_only && holds_pgdata(s, &s->mounts[k]))
            return SERVICE_POSTGRES;
    for (size_t k = 0; k < s->mount_count; k++)
        for (size_t i = 0; i < ARRAY_LEN(data_folders); i++)
            if (data_folders[i].tells && !s->mounts[k].read_only &&
                is_below(s->mounts[k].target, data_folders[i].folder))
                return data_folders[i].kind;
    return SERVICE_OTHER;
}

const struct compose_mount *search_snapshots(const struct compose_service *s)
{
    const char *repo = service_variable(s, "path.repo");
    for (size_t i = 0; repo && service_kind(s) == SERVICE_SEARCH && i < s->mount_count; i++)
        if (s->mounts[i].kind != MOUNT_ANONYMOUS && strcmp(s->mounts[i].target, repo) == 0)
            return &s->mounts[i];
    return NULL;
}

/* ---- places ---- */
static struct place *find_place(struct places *all, const struct compose_volume *v, const char *path)
{
    for (size_t i = 0; i < all->n; i++)
        if (v ? all->v[i].volume == v : all->v[i].path && strcmp(all->v[i].path, path) == 0)
            return &all->v[i];
    all->v = xrealloc(all->v, all->n + 1, sizeof *all->v);
    all->v[all->n] = (struct place){.volume = v, .path = path};
    return &all->v[all->n++];
}

void places_find(const struct compose *c, struct places *out)
{
    for (size_t i = 0; i < c->service_count; i++)
        for (size_t k = 0; k < c->services[i].mount_count; k++) {
            const struct compose_mount *m = &c->services[i].mounts[k];
            const struct compose_volume *v =
                m->kind == MOUNT_VOLUME ? compose_find_volume(c, m->source) : NULL;
            if (!v && m->kind != MOUNT_BIND)
                continue;
            struct place *p = find_place(out, v, v ? NULL : m->source);
            p->users = xrealloc(p->users, p->n + 1, sizeof *p->users);
            p->mounts = xrealloc(p->mounts, p->n + 1, sizeof *p->mounts);
            p->users[p->n] = &c->services[i];
            p->mounts[p->n++] = m;
        }
}

void places_free(struct places *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].users);
        free(p->v[i].mounts);
    }
    free(p->v);
}

/* ---- what a place is good for ---- */
/* Whether one of the words between the letters and digits of `s` is among `words`, NULL-ended. */
static bool has_word(const char *s, const char *const *words)
{
    while (*s) {
        size_t n = 0;
        while (isalnum((unsigned char)s[n]))
            n++;
        for (size_t i = 0; n && words[i]; i++)
            if (strlen(words[i]) == n && strncasecmp(words[i], s, n) == 0)
                return true;
        s += n ? n : 1;
    }
    return false;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_below_any(const char *path, const char *const *folders)
{
    for (; *folders; folders++)
        if (is_below(path, *folders))
            return true;
    return false;
}

static const char *const certificate_words[] = {
    "cert", "certs", "certificate", "certificates", "certbot", "letsencrypt", "acme", "ssl", "tls", NULL};
static const char *const cache_words[] = {"cache", "caches", "tmp",     "temp",  "npm",    "yarn", "pnpm",
                                          "pip",   "venv",   "pycache", "cargo", "gradle", "m2",   NULL};
static const char *const log_words[] = {"log", "logs", NULL};
static const char *const backup_words[] = {"backup", "backups", "dump", "dumps", NULL};
static const char *const certificate_folders[] = {"/etc/letsencrypt", "/etc/ssl", "/etc/pki", "/letsencrypt",
                                                  NULL};
static const char *const cache_folders[] = {"/var/cache", "/root/.cache", NULL};
static const char *const temporary_folders[] = {"/tmp", "/var/tmp",
                                                NULL}; /* what lies below is kept on purpose */
static const char *const system_folders[] = {"/run",
                                             "/var/run",
                                             "/proc",
                                             "/sys",
                                             "/dev",
                                             "/etc/localtime",
                                             "/etc/timezone",
                                             "/etc/passwd",
                                             "/etc/group",
                                             "/etc/hosts",
                                             "/etc/resolv.conf",
                                             "/lib/modules",
                                             "/var/lib/docker",
                                             "/usr/share/zoneinfo",
                                             "/var/log",
                                             NULL};
static const char *const code_folders[] = {"/app",         "/src",     "/code",          "/workspace",
                                           "/usr/src/app", "/usr/src", "/home/node/app", "/var/www/html",
                                           "/var/www",     "/srv/app", "/opt/app",       NULL};
static const char *const code_names[] = {"src",        "backend", "frontend", "scripts",
                                         "migrations", "tests",   "dags",     NULL};
/* The project's own where its own code runs; in a finished image they may as well be what that keeps. */
static const char *const likely_names[] = {"app",  "api",   "server",    "client", "config",
                                           "conf", "nginx", "templates", "docs",   NULL};
static const char *const config_endings[] = {
    ".conf",     ".cnf",       ".cfg",     ".yml",     ".yaml",       ".json",     ".toml", ".ini",
    ".sh",       ".sql",       ".env",     ".xml",     ".properties", ".template", ".tmpl", ".tpl",
    ".py",       ".js",        ".ts",      ".html",    ".txt",        ".pem",      ".crt",  ".key",
    "Caddyfile", "Dockerfile", "Corefile", "Procfile", NULL};
/* What comes without an application of its own: where its folders are mounted, there is the project's. */
static const char *const runtimes[] = {"php",   "node",  "python",   "ruby",    "golang",
                                       "nginx", "httpd", "caddy",    "openjdk", "eclipse-temurin",
                                       "bun",   "deno",  "composer", NULL};

static bool runs_project(const struct compose_service *s)
{
    AUTO_CHAR image = image_name(s->image);
    return s->built || !*image || is_any(image, runtimes);
}

static bool ends_in(const char *s, const char *const *endings)
{
    size_t n = strlen(s);
    for (; *endings; endings++)
        if (n > strlen(*endings) && strcmp(s + n - strlen(*endings), *endings) == 0)
            return true;
    return false;
}

/* By what names say, of the place itself and of where one service has it. */
static const char *why_by_name(const struct compose_service *s, const struct compose_mount *m)
{
    AUTO_CHAR image = image_name(s->image);
    const char *name = m->kind == MOUNT_BIND ? last_part(m->source) : m->source,
               *target = last_part(m->target);
    if (has_word(name, certificate_words) || has_word(target, certificate_words) ||
        is_below_any(m->target, certificate_folders) ||
        (strcmp(image, "caddy") == 0 && is_below(m->target, "/data")))
        return "certificates: they are issued anew, and their keys should not travel";
    if (strcmp(image, "caddy") == 0 && is_below(m->target, "/config"))
        return "Caddy writes it anew from its Caddyfile";
    if (strstr(name, "node_modules") || strstr(target, "node_modules") || has_word(name, cache_words) ||
        has_word(target, cache_words) || is_below_any(m->target, cache_folders) ||
        is_any(m->target, temporary_folders) || strcmp(target, ".next") == 0)
        return "a cache: it fills again by itself";
    if (has_word(name, log_words) || has_word(target, log_words))
        return "logs";
    if (has_word(name, backup_words) || has_word(target, backup_words))
        return "backups of something else: what they hold is backed up here itself";
    return NULL;
}

/* What is the project's own: code and configuration, which lie in its repository. */
static const char *why_of_project(const struct compose *c, const struct compose_service *s,
                                  const struct compose_mount *m)
{
    const char *name = last_part(m->source);
    if (is_below(c->folder, m->source))
        return "the project's own folder: its place is the project's repository";
    bool own = m->read_only || runs_project(s);
    if (is_below(m->target, "/docker-entrypoint-initdb.d") || ends_in(name, config_endings) ||
        (own && is_below(m->target, "/etc")))
        return "configuration: its place is the project's repository";
    if (is_below(m->source, c->folder) &&
        (is_any(name, code_names) ||
         (own && (is_any(m->target, code_folders) || is_any(name, likely_names)))))
        return "code or configuration: its place is the project's repository";
    return NULL;
}

static char *why_data(const struct place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        enum service_kind k = service_kind(p->users[i]);
        if (k == SERVICE_OTHER || k == SERVICE_WRITER || !mount_is_data(p->users[i], k, p->mounts[i]))
            continue;
        return k == SERVICE_SEARCH
                   ? xasprintf("the data folder of %s: a copy of the files of a running node is no snapshot; "
                               "see the comment on service %s above",
                               service_kind_name(k), p->users[i]->name)
                   : xasprintf("the data folder of %s: files copied from a running database cannot be relied "
                               "on; service %s is dumped above",
                               service_kind_name(k), p->users[i]->name);
    }
    return NULL;
}

bool path_is_sqlite(const char *path)
{
    static const char *const endings[] = {".db", ".sqlite", ".sqlite3", NULL};
    return ends_in(path, endings);
}

static const char *why_of_path(const struct compose *c, const struct place *p)
{
    const char *why = NULL;
    if (strcmp(p->path, "/") == 0 || is_below_any(p->path, system_folders))
        return "it belongs to the system";
    if (strstr(p->path, " ;") || strstr(p->path, "\t;") ||
        isspace((unsigned char)p->path[strlen(p->path) - 1]))
        return "its path cannot stand in a configuration (a blank at its end, or before a \";\"): rename it";
    for (size_t i = 0; i < p->n; i++) {
        why = why_of_project(c, p->users[i], p->mounts[i]);
        if (!why) /* one service for which it is worth something is enough */
            break;
    }
    return path_is_sqlite(p->path) ? NULL : why;
}

char *place_why_not(const struct compose *c, const struct place *p)
{
    char *data = why_data(p);
    bool read_only =
        !p->volume || p->volume->external; /* nobody else writes into the project's own volumes */
    bool worthless = true;
    const char *why = NULL;
    if (data)
        return data;
    if (p->volume && p->volume->remote)
        return xasprintf("it lies elsewhere (%s): back it up where it is", p->volume->remote);
    for (size_t i = 0; i < p->n; i++) {
        read_only &= p->mounts[i]->read_only;
        const char *one = why_by_name(p->users[i], p->mounts[i]);
        worthless &= one != NULL;
        why = why ? why : one;
    }
    why = worthless ? why : NULL;
    if (p->path && !why)
        why = why_of_path(c, p);
    if (!why && read_only)
        why = "it is mounted read-only: whoever writes it should keep it";
    return why ? xstrdup(why) : NULL;
}
