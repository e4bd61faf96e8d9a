#include "source/engine.h"

#include "base/file.h"
#include "engine_api.h"
#include "source/pg_client.h"

#include <stdlib.h>
#include <string.h>

#define SECRET_MOST 4096

static void json_auto(json_t **j)
{
    json_decref(*j);
}
#define AUTO_JSON __attribute__((cleanup(json_auto))) json_t *

static const char *text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- volumes ---- */
static int volume_path(const char *name, char **path, struct err *e)
{
    AUTO_JSON volume = NULL;
    AUTO_CHAR url = xasprintf("/volumes/%s", name);
    int rc = engine_get(url, NULL, &volume, e);
    if (rc)
        return rc < 0
                   ? -1
                   : err_set(e, ERR_FAILED,
                             "the container engine has no volume %s (`docker volume ls` lists them)", name);
    const char *found = text_at(volume, "Mountpoint");
    if (found[0] != '/')
        return err_set(e, ERR_FAILED,
                       "volume %s: the engine (driver %s) keeps it in no folder of this machine", name,
                       text_at(volume, "Driver"));
    *path = xstrdup(found);
    return 0;
}

/* ---- containers ---- */
/* The id of the one running container of a service; NULL with *e. Caller frees. */
static char *find_service(const char *service, struct err *e)
{
    const char *slash = strchr(service, '/');
    AUTO_JSON list = NULL;
    AUTO_JSON filters =
        json_pack("{s:[o, o], s:[s]}", "label",
                  json_sprintf("com.docker.compose.project=%.*s", (int)(slash - service), service),
                  json_sprintf("com.docker.compose.service=%s", slash + 1), "status", "running");
    AUTO_CHAR query = filters ? json_dumps(filters, JSON_COMPACT) : NULL;
    if (!query) {
        err_set(e, ERR_USAGE, "compose-service: \"%s\" is not UTF-8", service);
        return NULL;
    }
    if (engine_get("/containers/json", query, &list, e)) {
        err_set(e, ERR_FAILED, "the container engine does not list its containers");
        return NULL;
    }
    char *id = NULL;
    size_t count = 0, i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const json_t *labels = json_object_get(one, "Labels");
        if (strcmp(text_at(labels, "com.docker.compose.oneoff"), "True") == 0)
            continue;
        count++;
        free(id);
        id = xstrdup(text_at(one, "Id"));
    }
    if (count == 1 && *id)
        return id;
    free(id);
    if (count == 0)
        err_set(e, ERR_FAILED,
                "no container of service %s of project %.*s runs (docker compose -p %.*s up -d %s)",
                slash + 1, (int)(slash - service), service, (int)(slash - service), service, slash + 1);
    else
        err_set(e, ERR_FAILED, "%zu containers run for service %s: name one of them with container =", count,
                slash + 1);
    return NULL;
}

static const char *variable(const json_t *container, const char *name)
{
    const json_t *all = json_object_get(json_object_get(container, "Config"), "Env");
    size_t n = strlen(name), i;
    json_t *one;
    json_array_foreach(all, i, one)
    {
        const char *s = json_string_value(one);
        if (s && strncmp(s, name, n) == 0 && s[n] == '=')
            return s + n + 1;
    }
    return NULL;
}

/* A file of the container, read where it was mounted from; a container cannot point to others of this
 * machine. */
static int read_mounted(const json_t *container, const char *path, struct buf *out, struct err *e)
{
    size_t i;
    json_t *mount;
    json_array_foreach(json_object_get(container, "Mounts"), i, mount)
    {
        const char *at = text_at(mount, "Destination");
        size_t n = strlen(at);
        if (!n || strncmp(path, at, n) != 0 || (path[n] && path[n] != '/'))
            continue;
        const char *from = text_at(mount, "Source");
        if (path[n] ? file_read_below(from, path + n + 1, SECRET_MOST, out, e)
                    : file_read_regular(from, SECRET_MOST, out, e))
            return -1;
        while (out->n && strchr("\r\n", out->p[out->n - 1]))
            out->n--;
        return 0;
    }
    return err_set(e, ERR_FAILED,
                   "%s of the container is not mounted from this machine: give the password in a passfile "
                   "(connection = passfile=FILE)",
                   path);
}

/* Adds the first of the variables, NULL-ended, that the container has, itself or with "_FILE" behind it. */
static int add_setting(struct buf *out, const char *keyword, const json_t *container,
                       const char *const *names, const char *otherwise, struct err *e)
{
    for (; *names; names++) {
        AUTO(buf) text = BUF_NONE;
        AUTO_CHAR file_name = xasprintf("%s_FILE", *names);
        const char *value = variable(container, *names), *file = variable(container, file_name);
        if (value && *value) {
            pg_conninfo_add(out, keyword, value);
            return 0;
        }
        if (!file || !*file)
            continue;
        if (read_mounted(container, file, &text, e))
            return -1;
        pg_conninfo_add(out, keyword, buf_cstr(&text));
        explicit_bzero(text.p, text.n);
        return 0;
    }
    if (otherwise)
        pg_conninfo_add(out, keyword, otherwise);
    return 0;
}

struct addresses {
    struct buf hosts, ports;
};
static void addresses_free(struct addresses *a)
{
    buf_free(&a->hosts);
    buf_free(&a->ports);
}
AUTO_FOR(addresses)

static void add_address(struct addresses *a, const char *host, const char *port)
{
    if (!*host || !*port)
        return;
    buf_add_fmt(&a->hosts, "%s%s", a->hosts.n ? "," : "", host);
    buf_add_fmt(&a->ports, "%s%s", a->ports.n ? "," : "", port);
}

/* A published port first: it works for engines without root, too, whose networks cannot be reached. */
static void find_addresses(const json_t *container, const char *port, struct addresses *out)
{
    const json_t *settings = json_object_get(container, "NetworkSettings");
    const char *mode = text_at(json_object_get(container, "HostConfig"), "NetworkMode");
    AUTO_CHAR inner = xasprintf("%s/tcp", port);
    const json_t *published = json_array_get(json_object_get(json_object_get(settings, "Ports"), inner), 0);
    const char *at = text_at(published, "HostIp");
    bool any = !*at || strcmp(at, "0.0.0.0") == 0 || strcmp(at, "::") == 0;
    json_t *networks = json_object_get(settings, "Networks");
    add_address(out, any ? "127.0.0.1" : at, text_at(published, "HostPort"));
    if (strcmp(mode, "host") == 0)
        add_address(out, "127.0.0.1", port);
    for (void *i = json_object_iter(networks); i; i = json_object_iter_next(networks, i))
        add_address(out, text_at(json_object_iter_value(i), "IPAddress"), port);
}

static int describe_server(const json_t *container, const char *title, struct buf *out, struct err *e)
{
    static const char *const user[] = {"POSTGRES_USER", "POSTGRESQL_USERNAME", NULL};
    static const char *const database[] = {"POSTGRES_DB", "POSTGRESQL_DATABASE", NULL};
    static const char *const password[] = {"POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD", NULL};
    AUTO(addresses) found = {.hosts = BUF_NONE};
    const char *port = variable(container, "PGPORT");
    if (!json_is_true(json_object_get(json_object_get(container, "State"), "Running")))
        return err_set(e, ERR_FAILED, "container %s does not run (docker start %s)", title, title);
    find_addresses(container, port && *port ? port : "5432", &found);
    if (!found.hosts.n)
        return err_set(e, ERR_FAILED,
                       "container %s has no address: publish its port to this machine (ports: "
                       "\"127.0.0.1:5432:5432\")",
                       title);
    pg_conninfo_add(out, "host", buf_cstr(&found.hosts));
    pg_conninfo_add(out, "port", buf_cstr(&found.ports));
    if (add_setting(out, "user", container, user, "postgres", e))
        return -1;
    AUTO_CHAR named = pg_connection_setting(buf_cstr(out), "user", e); /* the image's own default */
    return add_setting(out, "dbname", container, database, named, e) ||
                   add_setting(out, "password", container, password, NULL, e)
               ? -1
               : 0;
}

static int describe_container(const json_t *container, const char *name, struct pg_container *out,
                              struct err *e)
{
    const char *port = variable(container, "PGPORT");
    out->id = xstrdup(text_at(container, "Id"));
    out->name = xstrdup(name);
    out->port = xstrdup(port && *port ? port : "5432");
    out->image = xstrdup(text_at(container, "Image"));
    return engine_command(&out->command, &out->engine, e);
}

static int inspect(const struct config_source *s, json_t **container, struct err *e)
{
    AUTO_CHAR id = s->container ? xstrdup(s->container) : find_service(s->compose_service, e);
    if (!id)
        return -1;
    AUTO_CHAR url = xasprintf("/containers/%s/json", id);
    int rc = engine_get(url, NULL, container, e);
    if (rc > 0)
        return err_set(e, ERR_FAILED, "the container engine has no container %s (`docker ps -a` lists them)",
                       id);
    return rc;
}

static const char *title_of(const struct config_source *s)
{
    return s->container ? s->container : s->compose_service;
}

int engine_container(const struct config_source *s, struct pg_container *out, struct err *e)
{
    AUTO_JSON container = NULL;
    return inspect(s, &container, e) ? -1 : describe_container(container, title_of(s), out, e);
}

/* What the engine says first, so that what the user says counts. */
static int server_connection(const struct config_source *s, struct engine_source *out, struct err *e)
{
    AUTO(buf) conninfo = BUF_NONE;
    AUTO_JSON container = NULL;
    if (inspect(s, &container, e))
        return -1;
    int rc = describe_server(container, title_of(s), &conninfo, e) ||
             describe_container(container, title_of(s), &out->container, e);
    if (rc == 0)
        out->connection = xasprintf("%s %s", buf_cstr(&conninfo), s->connection ? s->connection : "");
    if (conninfo.n)
        explicit_bzero(conninfo.p, conninfo.n);
    return rc ? -1 : 0;
}

int engine_resolve(const struct config_source *s, struct engine_source *out, struct err *e)
{
    *out = (struct engine_source){.source = *s};
    if (s->docker_volume) {
        if (volume_path(s->docker_volume, &out->path, e))
            return -1;
        out->source.path = out->path;
    } else if (s->container || s->compose_service) {
        if (server_connection(s, out, e))
            return -1;
        out->source.connection = out->connection;
    }
    return 0;
}

void engine_source_free(struct engine_source *s)
{
    if (s->connection)
        explicit_bzero(s->connection, strlen(s->connection));
    free(s->connection);
    pg_container_free(&s->container);
    free(s->path);
    *s = (struct engine_source){0};
}
