/* From the merged tree to services, volumes and secrets. */
#include "load.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES_MOST 500
#define MOUNTS_MOST   1000

static bool name_is_valid(const char *s)
{
    size_t n = s ? strlen(s) : 0;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i]))
            return false;
    return n > 0 && n <= 200 && isalnum((unsigned char)s[0]);
}

/* Texts that find their way into the configuration hold nothing that would end a line there. */
static int check_text(const struct node *n, const char *what, const char *s, struct err *e)
{
    for (const char *c = s; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return node_complain(n, e, "%s: holds a control character", what);
    return s && strlen(s) > 1000 ? node_complain(n, e, "%s: is longer than 1,000 bytes", what) : 0;
}

static const char *text_or(const struct node *n, const char *otherwise)
{
    const char *text = node_text(n);
    return text ? text : otherwise;
}

/* ---- what a service says ---- */
static const char *joined(struct loading *l, const struct node *n)
{
    if (!n || n->kind != NODE_LIST)
        return text_or(n, "");
    AUTO(buf) all = BUF_NONE;
    for (size_t i = 0; i < n->n; i++)
        buf_add_fmt(&all, "%s%s", i ? " " : "", text_or(n->items[i], ""));
    return arena_text(l->out->arena, buf_cstr(&all), all.n, l->e);
}

static void add_variable(struct compose_service *s, const char *name, const char *value)
{
    for (size_t i = 0; i < s->variable_count; i++)
        if (strcmp(s->variables[i].name, name) == 0) {
            s->variables[i].value = value;
            return;
        }
    s->variables = xrealloc(s->variables, s->variable_count + 1, sizeof *s->variables);
    s->variables[s->variable_count++] = (struct compose_variable){name, value};
}

/* A line "NAME=value" of an environment file. */
static int add_line(struct loading *l, struct compose_service *s, const char *line)
{
    size_t n = strcspn(line, "=");
    const char *name = arena_text(l->out->arena, line, n, l->e);
    const char *value = name ? arena_text(l->out->arena, line + n + 1, strlen(line + n + 1), l->e) : NULL;
    if (!value)
        return -1;
    add_variable(s, name, value);
    return 0;
}

static int add_env_files(struct loading *l, struct compose_service *s, const struct node *list)
{
    AUTO(environment) v = {.outer = &l->variables.lines};
    for (size_t i = 0; list && i < list->n; i++) {
        AUTO(buf) text = BUF_NONE;
        const char *path = list->items[i]->text;
        int rc = read_whole(l, path, &text);
        if (rc < 0 || (rc == 0 && environment_read(&v, path, buf_bytes(&text), l->e)))
            return -1;
        if (rc)
            strings_add_fmt(&l->out->notes, "service %s: its env_file %s is not there", s->name, path);
    }
    for (size_t i = 0; i < v.lines.n; i++)
        if (add_line(l, s, v.lines.v[i]))
            return -1;
    return 0;
}

static void add_variables(struct loading *l, struct compose_service *s, const struct node *map)
{
    for (size_t i = 0; map && map->kind == NODE_MAP && i < map->n; i++)
        add_variable(s, map->keys[i],
                     map->items[i]->kind == NODE_NULL ? environment_get(&l->variables, map->keys[i])
                                                      : node_text(map->items[i]));
}

static int add_mount(struct loading *l, struct compose_service *s, const struct node *n)
{
    const char *type = text_or(node_get(n, "type"), "volume"), *source = node_text(node_get(n, "source"));
    const char *target = node_text(node_get(n, "target"));
    bool bind = strcmp(type, "bind") == 0;
    if (!bind && strcmp(type, "volume") != 0)
        return 0; /* tmpfs, npipe, cluster: nothing on this host */
    if (bind && !source)
        return node_complain(n, l->e, "volumes: a bind wants a source");
    if (check_text(n, "volumes: source", source, l->e) || check_text(n, "volumes: target", target, l->e))
        return -1;
    if (!bind && source && !name_is_valid(source))
        return node_complain(n, l->e, "volumes: \"%.60s\" is neither the name of a volume nor a path",
                             source);
    if (!bind && source && !compose_find_volume(l->out, source))
        return node_complain(
            n, l->e,
            "volumes: %s is not declared below the \"volumes:\" of the file: is another file "
            "missing (--compose again)?",
            source);
    if (++l->mounts > MOUNTS_MOST)
        return node_complain(n, l->e, "volumes: there are more than %d in all", MOUNTS_MOST);
    s->mounts = xrealloc(s->mounts, s->mount_count + 1, sizeof *s->mounts);
    s->mounts[s->mount_count++] = (struct compose_mount){.kind = bind     ? MOUNT_BIND
                                                                 : source ? MOUNT_VOLUME
                                                                          : MOUNT_ANONYMOUS,
                                                         .source = source,
                                                         .target = target ? target : "",
                                                         .read_only = node_is_true(node_get(n, "read_only"))};
    return 0;
}

static bool is_enabled(const struct loading *l, const struct strings *profiles)
{
    const char *wanted = environment_get(&l->variables, "COMPOSE_PROFILES");
    bool enabled = profiles->n == 0;
    for (const char *at = wanted; at && *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
        AUTO_CHAR one = xstrndup(at, strcspn(at, ","));
        enabled |= strcmp(one, "*") == 0 || strings_has(profiles, one);
    }
    return enabled;
}

static int add_service(struct loading *l, const char *name, const struct node *n)
{
    struct compose *c = l->out;
    if (!name_is_valid(name))
        return node_complain(n, l->e, "\"%.60s\" is no name for a service: letters, digits, . _ -", name);
    if (c->service_count == SERVICES_MOST)
        return node_complain(n, l->e, "services: there are more than %d", SERVICES_MOST);
    c->services = xrealloc(c->services, c->service_count + 1, sizeof *c->services);
    struct compose_service *s = &c->services[c->service_count++];
    *s = (struct compose_service){.name = name,
                                  .image = text_or(node_get(n, "image"), ""),
                                  .container = node_text(node_get(n, "container_name")),
                                  .command = joined(l, node_get(n, "command")),
                                  .entrypoint = joined(l, node_get(n, "entrypoint")),
                                  .built = node_get(n, "build") != NULL};
    if (!s->command || !s->entrypoint || check_text(n, "image", s->image, l->e))
        return -1;
    if (s->container && !name_is_valid(s->container))
        return node_complain(n, l->e, "container_name: \"%.60s\" is no name", s->container);
    const struct node *profiles = node_get(n, "profiles"), *mounts = node_get(n, "volumes");
    for (size_t i = 0; profiles && i < profiles->n; i++)
        if (node_text(profiles->items[i]) && name_is_valid(profiles->items[i]->text))
            strings_add(&s->profiles, profiles->items[i]->text);
    s->enabled = is_enabled(l, &s->profiles);
    if (add_env_files(l, s, node_get(n, "env_file")))
        return -1;
    add_variables(l, s, node_get(n, "environment"));
    for (size_t i = 0; mounts && mounts->kind == NODE_LIST && i < mounts->n; i++)
        if (add_mount(l, s, mounts->items[i]))
            return -1;
    return 0;
}

/* ---- volumes, secrets ---- */
static int add_volume(struct loading *l, const char *key, const struct node *n)
{
    struct compose *c = l->out;
    const struct node *external = node_get(n, "external"), *options = node_get(n, "driver_opts");
    const char *name = node_text(node_get(n, "name")), *driver = text_or(node_get(n, "driver"), "local");
    const char *type = text_or(node_get(options, "type"), "none"),
               *device = node_text(node_get(options, "device"));
    if (!name && external && external->kind == NODE_MAP)
        name = node_text(node_get(external, "name"));
    bool elsewhere = external && (external->kind == NODE_MAP || node_is_true(external));
    if (!name && elsewhere)
        name = key;
    if (!name)
        name = arena_fmt(c->arena, l->e, "%s_%s", c->project, key);
    if (!name || !name_is_valid(key) || !name_is_valid(name))
        return node_complain(n, l->e, "volume \"%.60s\": its name is not one that the engine takes", key);
    if (check_text(n, "device", device, l->e) || check_text(n, "type", type, l->e) ||
        check_text(n, "driver", driver, l->e))
        return -1;
    bool local = strcmp(driver, "local") == 0, here = local && (strcmp(type, "none") == 0 || *type == 0);
    c->volumes = xrealloc(c->volumes, c->volume_count + 1, sizeof *c->volumes);
    c->volumes[c->volume_count++] = (struct compose_volume){
        .key = key,
        .name = name,
        .external = elsewhere,
        .device = here && device && *device == '/' && !strstr(device, " ;") ? device : NULL,
        .remote = here    ? NULL
                  : local ? type
                          : driver};
    return 0;
}

static void add_secret(struct loading *l, const char *key, const struct node *n)
{
    struct compose *c = l->out;
    c->secrets = xrealloc(c->secrets, c->secret_count + 1, sizeof *c->secrets);
    c->secrets[c->secret_count++] = (struct compose_secret){key, node_text(node_get(n, "file"))};
}

/* As compose does: lower case, and only a-z 0-9 _ -, from the first letter or digit on. */
static char *project_name(const char *from)
{
    AUTO(buf) name = BUF_NONE;
    for (; *from; from++) {
        int c = tolower((unsigned char)*from);
        if (isalnum(c) || (name.n && (c == '_' || c == '-')))
            buf_add_u8(&name, (uint8_t)c);
    }
    return xstrdup(name.n ? buf_cstr(&name) : "default");
}

int build_model(struct loading *l, const struct node *whole)
{
    struct compose *c = l->out;
    const struct node *services = node_get(whole, "services"), *volumes = node_get(whole, "volumes");
    const struct node *secrets = node_get(whole, "secrets");
    const char *given = environment_get(&l->variables, "COMPOSE_PROJECT_NAME");
    const char *named = node_text(node_get(whole, "name")), *slash = strrchr(c->folder, '/');
    c->project = project_name(given && *given ? given : named && *named ? named : slash ? slash + 1 : "");
    if (!services || services->n == 0)
        return node_complain(whole, l->e, "is no compose file: it has no \"services:\"");
    for (size_t i = 0; volumes && volumes->kind == NODE_MAP && i < volumes->n; i++)
        if (add_volume(l, volumes->keys[i], volumes->items[i]))
            return -1;
    for (size_t i = 0; i < services->n; i++)
        if (services->items[i]->kind == NODE_MAP && services->items[i]->tag != TAG_RESET &&
            add_service(l, services->keys[i], services->items[i]))
            return -1;
    for (size_t i = 0; secrets && secrets->kind == NODE_MAP && i < secrets->n; i++)
        add_secret(l, secrets->keys[i], secrets->items[i]);
    return 0;
}
