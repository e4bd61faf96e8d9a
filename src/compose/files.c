/* From a path to the tree of a compose file: paths absolute, mounts and variables in one form, `include` and
 * `extends` resolved. */
#include "load.h"

#include <string.h>

#define READS_MOST   50
#define PATH_MOST    1000
#define DEPTH_MOST   8
#define EXTENDS_MOST 16

const char *folder_of(struct loading *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    return arena_text(l->out->arena, path, slash && slash > path ? (size_t)(slash - path) : 1, l->e);
}

/* Without "." and "..", as compose shows it; symbolic links are not asked. */
static void normal_path(const char *path, struct buf *out)
{
    while (*path) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (out->n && out->p[--out->n] != '/')
                ;
        } else if (n && !(n == 1 && path[0] == '.')) {
            buf_add_u8(out, '/');
            buf_add(out, BYTES(path, n));
        }
        path += n;
    }
    if (out->n == 0)
        buf_add_u8(out, '/');
}

const char *path_from(struct loading *l, const char *folder, const char *path)
{
    AUTO(buf) out = BUF_NONE;
    const char *home = path[0] == '~' ? environment_get(&l->variables, "HOME") : NULL;
    AUTO_CHAR whole = path[0] == '/' ? xstrdup(path)
                      : home         ? xasprintf("%s%s", home, path + 1)
                                     : xasprintf("%s/%s", folder, path);
    normal_path(whole, &out);
    return arena_text(l->out->arena, buf_cstr(&out), out.n, l->e);
}

int read_whole(struct loading *l, const char *path, struct buf *out)
{
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || c - path > PATH_MOST)
            return err_set(l->e, ERR_USAGE,
                           "a file is named that is too long, or holds a control character: %.60s", path);
    if (++l->reads > READS_MOST)
        return err_set(l->e, ERR_USAGE, "%s: more than %d files are included or extended", path, READS_MOST);
    int rc = l->in->read(l->in->read_ctx, path, out, l->e);
    if (rc == 0 && out->n > COMPOSE_FILE_MOST)
        return err_set(l->e, ERR_USAGE, "%s: is larger than 1 MiB: is it a compose file?", path);
    if (rc == 0 && !strings_has(&l->out->files, path))
        strings_add(&l->out->files, path);
    return rc;
}

/* ---- one form for mounts ---- */
static bool is_path(const char *s)
{
    return *s == '/' || *s == '.' || *s == '~';
}

static int put_text(struct loading *l, struct node *map, const char *key, const char *text)
{
    struct node *n = text ? new_text(l, map, text) : NULL;
    if (!n)
        return -1;
    map_put(map, key, n);
    return 0;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (; *list; list += strcspn(list, ",") + (list[strcspn(list, ",")] == ','))
        if (strcspn(list, ",") == n && strncmp(list, word, n) == 0)
            return true;
    return false;
}

/* "SOURCE:TARGET[:MODE]", "TARGET" */
static const struct node *mount_of_text(struct loading *l, const struct node *from, const char *folder)
{
    struct arena *a = l->out->arena;
    const char *s = from->text, *colon = strchr(s, ':');
    struct node *m = new_map(l, from, 4);
    if (!m)
        return NULL;
    if (!colon)
        return put_text(l, m, "target", s) ? NULL : m;
    const char *source = arena_text(a, s, (size_t)(colon - s), l->e);
    size_t n = strcspn(colon + 1, ":");
    if (!source || put_text(l, m, "target", arena_text(a, colon + 1, n, l->e)))
        return NULL;
    if (colon[1 + n] && has_word(colon + 2 + n, "ro") && put_text(l, m, "read_only", "true"))
        return NULL;
    bool bind = is_path(source);
    if (bind)
        source = path_from(l, folder, source);
    return put_text(l, m, "type", bind ? "bind" : "volume") || put_text(l, m, "source", source) ? NULL : m;
}

static const struct node *mount_of_map(struct loading *l, const struct node *from, const char *folder)
{
    const char *type = node_text(node_get(from, "type")), *source = node_text(node_get(from, "source"));
    if (!type || strcmp(type, "bind") != 0 || !source)
        return from;
    struct node *m = new_map(l, from, from->n + 1);
    if (!m)
        return NULL;
    for (size_t i = 0; i < from->n; i++)
        map_put(m, from->keys[i], from->items[i]);
    return put_text(l, m, "source", path_from(l, folder, source)) ? NULL : m;
}

static struct node *new_list(struct loading *l, const struct node *like, size_t room)
{
    struct node *n = new_map(l, like, room);
    if (n)
        n->kind = NODE_LIST;
    return n;
}

static const struct node *normal_mounts(struct loading *l, const struct node *from, const char *folder)
{
    if (from->kind != NODE_LIST)
        return node_complain(from, l->e, "volumes: is no list"), NULL;
    struct node *list = new_list(l, from, from->n);
    for (size_t i = 0; list && i < from->n; i++) {
        const struct node *item = from->items[i];
        if (item->kind != NODE_TEXT && item->kind != NODE_MAP)
            return node_complain(item, l->e, "volumes: wants SOURCE:TARGET, or a map"), NULL;
        const struct node *mount =
            item->kind == NODE_TEXT ? mount_of_text(l, item, folder) : mount_of_map(l, item, folder);
        if (!mount)
            return NULL;
        list->items[list->n++] = mount;
    }
    if (list)
        list->tag = from->tag;
    return list;
}

/* ---- one form for variables and their files ---- */
static const struct node *normal_variables(struct loading *l, const struct node *from)
{
    if (from->kind != NODE_LIST)
        return from;
    struct node *map = new_map(l, from, from->n);
    for (size_t i = 0; map && i < from->n; i++) {
        const char *s = node_text(from->items[i]);
        if (!s)
            return node_complain(from->items[i], l->e, "environment: wants NAME=value"), NULL;
        size_t n = strcspn(s, "=");
        const char *name = arena_text(l->out->arena, s, n, l->e);
        struct node *value = s[n] ? new_text(l, from->items[i], s + n + 1) : new_map(l, from, 0);
        if (!name || !value)
            return NULL;
        if (!s[n])
            value->kind = NODE_NULL;
        map_put(map, name, value);
    }
    if (map)
        map->tag = from->tag;
    return map;
}

static const struct node *normal_env_files(struct loading *l, const struct node *from, const char *folder)
{
    size_t n = from->kind == NODE_LIST ? from->n : 1;
    struct node *list = new_list(l, from, n);
    for (size_t i = 0; list && i < n; i++) {
        const struct node *item = from->kind == NODE_LIST ? from->items[i] : from;
        const char *path = node_text(item) ? item->text : node_text(node_get(item, "path"));
        const struct node *text = NULL;
        if (path)
            path = path_from(l, folder, path);
        if (path)
            text = new_text(l, item, path);
        if (!text)
            return node_complain(item, l->e, "env_file: names no file"), NULL;
        list->items[list->n++] = text;
    }
    return list;
}

/* ---- services ---- */
static const struct node *normal_service(struct loading *l, const char *name, const struct node *from,
                                         const char *folder)
{
    if (from->kind == NODE_NULL)
        return from;
    if (from->kind != NODE_MAP)
        return node_complain(from, l->e, "service %.60s: is no map", name), NULL;
    struct node *m = new_map(l, from, from->n);
    for (size_t i = 0; m && i < from->n; i++) {
        const char *key = from->keys[i];
        const struct node *value = from->items[i];
        if (value->kind != NODE_NULL && strcmp(key, "volumes") == 0)
            value = normal_mounts(l, value, folder);
        else if (strcmp(key, "environment") == 0)
            value = normal_variables(l, value);
        else if (value->kind != NODE_NULL && strcmp(key, "env_file") == 0)
            value = normal_env_files(l, value, folder);
        if (!value)
            return NULL;
        map_put(m, key, value);
    }
    if (m)
        m->tag = from->tag;
    return m;
}

/* A map of one key alone is replaced: a new map of all. */
static const struct node *with(struct loading *l, const struct node *map, const char *key,
                               const struct node *value)
{
    struct node *m = new_map(l, map, map->n + 1);
    for (size_t i = 0; m && i < map->n; i++)
        map_put(m, map->keys[i], map->items[i]);
    if (m) {
        m->tag = map->tag;
        map_put(m, key, value);
    }
    return m;
}

static const struct node *resolve_service(struct loading *l, const struct node *services,
                                          const struct node *service, const char *folder, unsigned files,
                                          unsigned depth);

/* The service that `extends` names, resolved. */
static const struct node *find_base(struct loading *l, const struct node *services,
                                    const struct node *extends, const char *folder, unsigned files,
                                    unsigned depth)
{
    const char *name = node_text(extends) ? extends->text : node_text(node_get(extends, "service"));
    const char *file = node_text(node_get(extends, "file"));
    if (!name)
        return node_complain(extends, l->e, "extends: names no service"), NULL;
    if (file) {
        const char *path = path_from(l, folder, file);
        const struct node *other = path ? read_compose_file(l, path, NULL, files + 1) : NULL;
        if (!other)
            return err_is_set(l->e) ? NULL
                                    : (node_complain(extends, l->e, "extends: there is no %s", path), NULL);
        const struct node *found = node_get(node_get(other, "services"), name);
        return found ? found
                     : (node_complain(extends, l->e, "extends: %s has no service %.60s", path, name), NULL);
    }
    const struct node *found = node_get(services, name);
    if (!found)
        return node_complain(extends, l->e, "extends: there is no service %.60s", name), NULL;
    return resolve_service(l, services, found, folder, files, depth + 1);
}

static const struct node *resolve_service(struct loading *l, const struct node *services,
                                          const struct node *service, const char *folder, unsigned files,
                                          unsigned depth)
{
    const struct node *extends = node_get(service, "extends");
    if (!extends)
        return service;
    if (depth > EXTENDS_MOST)
        return node_complain(extends, l->e, "extends: goes round in a circle"), NULL;
    const struct node *base = find_base(l, services, extends, folder, files, depth);
    struct node *null = base ? new_map(l, service, 0) : NULL;
    if (!null)
        return NULL;
    null->kind = NODE_NULL;
    const struct node *all = merge_services(l, base, service);
    return all ? with(l, all, "extends", null) : NULL;
}

static const struct node *normal_services(struct loading *l, const struct node *whole, const char *folder,
                                          unsigned depth)
{
    const struct node *services = node_get(whole, "services");
    if (!services)
        return whole;
    if (services->kind != NODE_MAP)
        return node_complain(services, l->e, "services: is no map"), NULL;
    struct node *normal = new_map(l, services, services->n);
    for (size_t i = 0; normal && i < services->n; i++) {
        const struct node *s = normal_service(l, services->keys[i], services->items[i], folder);
        if (!s)
            return NULL;
        map_put(normal, services->keys[i], s);
    }
    struct node *resolved = normal ? new_map(l, services, services->n) : NULL;
    for (size_t i = 0; resolved && i < normal->n; i++) {
        const struct node *s = resolve_service(l, normal, normal->items[i], folder, depth, 0);
        if (!s)
            return NULL;
        map_put(resolved, normal->keys[i], s);
    }
    if (resolved)
        resolved->tag = services->tag;
    return resolved ? with(l, whole, "services", resolved) : NULL;
}

/* `file:` of secrets, as a path. */
static const struct node *normal_secrets(struct loading *l, const struct node *whole, const char *folder)
{
    const struct node *secrets = node_get(whole, "secrets");
    if (!secrets || secrets->kind != NODE_MAP)
        return whole;
    struct node *m = new_map(l, secrets, secrets->n);
    for (size_t i = 0; m && i < secrets->n; i++) {
        const struct node *s = secrets->items[i];
        const char *file = node_text(node_get(s, "file"));
        const char *path = file ? path_from(l, folder, file) : NULL;
        const struct node *text = path ? new_text(l, s, path) : NULL;
        if (file)
            s = text ? with(l, s, "file", text) : NULL;
        if (!s)
            return NULL;
        map_put(m, secrets->keys[i], s);
    }
    if (m)
        m->tag = secrets->tag;
    return m ? with(l, whole, "secrets", m) : NULL;
}

/* ---- include ---- */
static const struct node *include_one(struct loading *l, const struct node *entry, const struct node *all,
                                      const char *folder, unsigned depth)
{
    const struct node *paths = entry->kind == NODE_MAP ? node_get(entry, "path") : entry;
    size_t n = !paths ? 0 : paths->kind == NODE_LIST ? paths->n : 1;
    const char *own = node_text(node_get(entry, "project_directory"));
    own = own ? path_from(l, folder, own) : NULL;
    for (size_t i = 0; i < n; i++) {
        const char *s = node_text(paths->kind == NODE_LIST ? paths->items[i] : paths);
        const char *path = s ? path_from(l, folder, s) : NULL;
        if (!s)
            node_complain(entry, l->e, "include: names no file");
        const struct node *more = path ? read_compose_file(l, path, own, depth + 1) : NULL;
        if (!more && !err_is_set(l->e))
            node_complain(entry, l->e, "include: there is no %s", path);
        all = more ? merge_files(l, all, more) : NULL;
        if (!all)
            return NULL;
    }
    return all;
}

static const struct node *with_included(struct loading *l, const struct node *whole, const char *folder,
                                        unsigned depth)
{
    const struct node *list = node_get(whole, "include");
    if (!list)
        return whole;
    if (list->kind != NODE_LIST)
        return node_complain(list, l->e, "include: is no list"), NULL;
    const struct node *all = new_map(l, whole, 0);
    for (size_t i = 0; all && i < list->n; i++)
        all = include_one(l, list->items[i], all, folder, depth);
    return all ? merge_files(l, all, whole) : NULL;
}

static int expand_text(void *ctx, const char *text, struct buf *out, struct err *e)
{
    struct loading *l = ctx;
    return environment_expand(&l->variables, text, out, e);
}

const struct node *read_compose_file(struct loading *l, const char *path, const char *folder, unsigned depth)
{
    AUTO(buf) text = BUF_NONE;
    if (depth > DEPTH_MOST)
        return err_set(l->e, ERR_USAGE, "%s: files include or extend each other without an end", path), NULL;
    if (read_whole(l, path, &text))
        return NULL;
    const struct yaml_options o = {
        .arena = l->out->arena, .file = path, .expand = expand_text, .expand_ctx = l};
    const struct node *n = yaml_read(buf_bytes(&text), &o, l->e);
    if (!n)
        return NULL;
    if (n->kind != NODE_MAP)
        return node_complain(n, l->e, "is no compose file: it has no \"services:\""), NULL;
    if (!folder)
        folder = folder_of(l, path);
    n = folder ? normal_services(l, n, folder, depth) : NULL;
    n = n ? normal_secrets(l, n, folder) : NULL;
    return n ? with_included(l, n, folder, depth) : NULL;
}
