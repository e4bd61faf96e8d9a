/* Several compose files as one: maps by key, lists one after the other, mounts by target, the rest replaced.
 * Only what is looked at later is merged deeply, so the work stays as small as the files. */
#include "load.h"

#include <string.h>

struct node *new_map(struct loading *l, const struct node *like, size_t room)
{
    struct node *n = arena_alloc(l->out->arena, 1, sizeof *n, l->e);
    if (!n)
        return NULL;
    *n = (struct node){.kind = NODE_MAP, .line = like->line, .file = like->file};
    n->keys = arena_alloc(l->out->arena, room, sizeof *n->keys, l->e);
    n->items = arena_alloc(l->out->arena, room, sizeof *n->items, l->e);
    return n->keys && n->items ? n : NULL;
}

struct node *new_text(struct loading *l, const struct node *like, const char *text)
{
    struct node *n = arena_alloc(l->out->arena, 1, sizeof *n, l->e);
    if (n)
        *n = (struct node){.kind = NODE_TEXT, .line = like->line, .file = like->file, .text = text};
    return n;
}

void map_put(struct node *map, const char *key, const struct node *value)
{
    size_t i = 0;
    while (i < map->n && strcmp(map->keys[i], key) != 0)
        i++;
    map->keys[i] = key;
    map->items[i] = value;
    map->n += i == map->n;
}

/* ---- values ---- */
typedef const struct node *merge_fn(struct loading *l, const char *key, const struct node *base,
                                    const struct node *over);

/* Each key of both; `both` says what becomes of one that both have, unless its tag does. */
static const struct node *merge_maps(struct loading *l, const struct node *base, const struct node *over,
                                     merge_fn *both)
{
    struct node *m = new_map(l, over, base->n + over->n);
    if (!m)
        return NULL;
    for (size_t i = 0; i < base->n; i++)
        map_put(m, base->keys[i], base->items[i]);
    for (size_t i = 0; i < over->n; i++) {
        const struct node *old = node_get(m, over->keys[i]), *value = over->items[i];
        if (old && value->tag == TAG_NONE)
            value = both(l, over->keys[i], old, value);
        if (!value)
            return NULL;
        map_put(m, over->keys[i], value);
    }
    m->tag = over->tag;
    return m;
}

static const struct node *replaced(struct loading *l, const char *key, const struct node *base,
                                   const struct node *over)
{
    (void)l, (void)key, (void)base;
    return over;
}

static const char *target_of(const struct node *mount)
{
    const char *s = node_text(node_get(mount, "target"));
    return s ? s : "";
}

/* The entries of both; with `by_target` one of `over` takes the place of the one that is mounted there. */
static const struct node *merge_lists(struct loading *l, const struct node *base, const struct node *over,
                                      bool by_target)
{
    struct node *m = new_map(l, over, base->n + over->n);
    if (!m)
        return NULL;
    m->kind = NODE_LIST;
    for (size_t i = 0; i < base->n; i++)
        m->items[m->n++] = base->items[i];
    for (size_t i = 0; i < over->n; i++) {
        size_t k = by_target ? 0 : m->n;
        while (k < m->n && strcmp(target_of(m->items[k]), target_of(over->items[i])) != 0)
            k++;
        m->items[k] = over->items[i];
        m->n += k == m->n;
    }
    return m;
}

static const struct node *merge_value(struct loading *l, const char *key, const struct node *base,
                                      const struct node *over)
{
    static const char *const whole[] = {"command", "entrypoint"};
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (strcmp(key, whole[i]) == 0)
            return over;
    if (over->kind != base->kind)
        return over;
    if (over->kind == NODE_MAP)
        return merge_maps(l, base, over, replaced);
    if (over->kind == NODE_LIST)
        return merge_lists(l, base, over, strcmp(key, "volumes") == 0);
    return over;
}

/* ---- services, files ---- */
static const struct node *merge_service(struct loading *l, const char *key, const struct node *base,
                                        const struct node *over)
{
    (void)key;
    return base->kind == NODE_MAP && over->kind == NODE_MAP ? merge_maps(l, base, over, merge_value) : over;
}

const struct node *merge_services(struct loading *l, const struct node *base, const struct node *over)
{
    return merge_service(l, NULL, base, over);
}

static const struct node *merge_section(struct loading *l, const char *key, const struct node *base,
                                        const struct node *over)
{
    if (base->kind != NODE_MAP || over->kind != NODE_MAP)
        return over;
    return merge_maps(l, base, over, strcmp(key, "services") == 0 ? merge_service : merge_value);
}

const struct node *merge_files(struct loading *l, const struct node *base, const struct node *over)
{
    return base && over ? merge_maps(l, base, over, merge_section) : base ? base : over;
}
