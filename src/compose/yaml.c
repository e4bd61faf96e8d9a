/* From libyaml's events to nodes. Limits: depth, nodes, keys of a map, anchors; the arena bounds the rest. */
#include "yaml.h"

#include "compose/compose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MOST  64
#define NODES_MOST  200000
#define KEYS_MOST   1000
#define ITEMS_MOST  5000
#define ANCHOR_MOST 1000
#define MERGED_MOST 100000

struct anchor {
    char *name;
    const struct node *node; /* NULL while it is being read: an alias inside would never end */
};
struct reading {
    const struct yaml_options *o;
    yaml_parser_t parser;
    struct anchor anchors[ANCHOR_MOST];
    size_t anchor_count, nodes, merged;
    struct err *e;
};

int node_complain(const struct node *n, struct err *e, const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_USAGE, "%s:%u: %s", n->file, n->line, text);
}

static unsigned line_of(const yaml_event_t *event)
{
    return (unsigned)event->start_mark.line + 1;
}

static int complain(struct reading *r, unsigned line, const char *what)
{
    return err_set(r->e, ERR_USAGE, "%s:%u: %s", r->o->file, line, what);
}

static void event_auto(yaml_event_t *event)
{
    yaml_event_delete(event);
}
#define AUTO_EVENT __attribute__((cleanup(event_auto))) yaml_event_t

static int next(struct reading *r, yaml_event_t *event)
{
    memset(event, 0, sizeof *event);
    if (yaml_parser_parse(&r->parser, event))
        return 0;
    const yaml_parser_t *p = &r->parser;
    return err_set(r->e, ERR_USAGE, "%s:%zu: is not YAML: %s%s%s", r->o->file,
                   (p->problem_mark.line ? p->problem_mark.line : p->context_mark.line) + 1,
                   p->problem ? p->problem : "out of memory", p->context ? ", " : "",
                   p->context ? p->context : "");
}

/* ---- anchors ---- */
/* The place where the node of an anchor is to be put; NULL: it has none. -1 with *e. */
static int open_anchor(struct reading *r, const yaml_char_t *name, unsigned line, struct anchor **out)
{
    *out = NULL;
    if (!name)
        return 0;
    if (r->anchor_count == ANCHOR_MOST)
        return complain(r, line, "has more than 1000 anchors");
    *out = &r->anchors[r->anchor_count++];
    **out = (struct anchor){.name = xstrdup((const char *)name)};
    return 0;
}

static const struct node *find_anchor(struct reading *r, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = r->anchor_count; i-- > 0;)
        if (strcmp(r->anchors[i].name, name) == 0) {
            if (!r->anchors[i].node)
                complain(r, line_of(event), "an alias stands inside of what it names");
            return r->anchors[i].node;
        }
    err_set(r->e, ERR_USAGE, "%s:%u: *%s names no anchor (&%s) above it", r->o->file, line_of(event), name,
            name);
    return NULL;
}

/* ---- nodes ---- */
static enum node_tag tag_of(const yaml_char_t *tag)
{
    const char *s = (const char *)tag;
    return !s                            ? TAG_NONE
           : strcmp(s, "!reset") == 0    ? TAG_RESET
           : strcmp(s, "!override") == 0 ? TAG_OVERRIDE
                                         : TAG_NONE;
}

static struct node *node_new(struct reading *r, enum node_kind kind, const yaml_event_t *event)
{
    if (++r->nodes > NODES_MOST) {
        complain(r, line_of(event), "has more than 200,000 values");
        return NULL;
    }
    struct node *n = arena_alloc(r->o->arena, 1, sizeof *n, r->e);
    if (!n) {
        err_wrap(r->e, "%s", r->o->file);
        return NULL;
    }
    *n = (struct node){.kind = kind, .line = line_of(event), .file = r->o->file};
    return n;
}

static bool is_null(const char *s)
{
    return !*s || strcmp(s, "~") == 0 || strcasecmp(s, "null") == 0;
}

static const struct node *read_scalar(struct reading *r, const yaml_event_t *event)
{
    const char *raw = (const char *)event->data.scalar.value;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct node *n = node_new(r, plain && is_null(raw) ? NODE_NULL : NODE_TEXT, event);
    if (!n)
        return NULL;
    n->tag = tag_of(event->data.scalar.tag);
    if (n->kind == NODE_NULL)
        return n;
    if (strlen(raw) != event->data.scalar.length) {
        complain(r, n->line, "a value holds a NUL");
        return NULL;
    }
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    if (r->o->expand(r->o->expand_ctx, raw, &text, &why)) {
        complain(r, n->line, why.text);
        return NULL;
    }
    n->text = arena_text(r->o->arena, buf_cstr(&text), text.n, r->e);
    if (!n->text)
        err_wrap(r->e, "%s", r->o->file);
    return n->text ? n : NULL;
}

/* What a list or map has while it is read. */
struct growing {
    const struct node **items;
    const char **keys;
    size_t n;
};
static void growing_free(struct growing *g)
{
    free(g->items);
    free(g->keys);
}
AUTO_FOR(growing)

static size_t place_of(const struct growing *g, const char *key)
{
    size_t i = 0;
    while (i < g->n && strcmp(g->keys[i], key) != 0)
        i++;
    return i;
}

static void add(struct growing *g, const char *key, const struct node *item)
{
    if ((g->n & (g->n + 1)) == 0) { /* full at 0, 1, 3, 7 ... */
        g->items = xrealloc(g->items, 2 * g->n + 1, sizeof *g->items);
        g->keys = xrealloc(g->keys, 2 * g->n + 1, sizeof *g->keys);
    }
    g->items[g->n] = item;
    g->keys[g->n++] = key;
}

static int keep(struct reading *r, struct node *to, const struct growing *g)
{
    to->n = g->n;
    to->items = arena_alloc(r->o->arena, g->n, sizeof *to->items, r->e);
    to->keys = arena_alloc(r->o->arena, g->n, sizeof *to->keys, r->e);
    if (!to->items || !to->keys)
        return err_wrap(r->e, "%s", r->o->file);
    if (g->n) {
        memcpy(to->items, g->items, g->n * sizeof *to->items);
        memcpy(to->keys, g->keys, g->n * sizeof *to->keys);
    }
    return 0;
}

static const struct node *read_node(struct reading *r, const yaml_event_t *event, unsigned depth);

static int read_list(struct reading *r, struct node *to, unsigned depth)
{
    AUTO(growing) g = {0};
    for (;;) {
        AUTO_EVENT event;
        if (next(r, &event))
            return -1;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return keep(r, to, &g);
        if (g.n == ITEMS_MOST)
            return complain(r, line_of(&event), "a list has more than 5,000 entries");
        const struct node *item = read_node(r, &event, depth + 1);
        if (!item)
            return -1;
        add(&g, NULL, item);
    }
}

/* "<<": the keys of a map, or of several, that the map around it does not have itself. */
static int merge(struct reading *r, struct growing *g, const struct node *from)
{
    if (from->kind == NODE_LIST) {
        for (size_t i = 0; i < from->n; i++)
            if (from->items[i]->kind != NODE_MAP || merge(r, g, from->items[i]))
                return err_is_set(r->e) ? -1 : complain(r, from->line, "<< wants maps in its list");
        return 0;
    }
    if (from->kind == NODE_NULL)
        return 0;
    if (from->kind != NODE_MAP)
        return complain(r, from->line, "<< wants a map or a list of maps");
    r->merged += from->n + 1; /* an alias costs no node */
    if (r->merged > MERGED_MOST)
        return complain(r, from->line, "<< merges more than 100,000 keys");
    for (size_t i = 0; i < from->n; i++)
        if (place_of(g, from->keys[i]) == g->n) {
            if (g->n == KEYS_MOST)
                return complain(r, from->line, "a map has more than 1,000 keys");
            add(g, from->keys[i], from->items[i]);
        }
    return 0;
}

/* The key of a map, kept. NULL with *e. */
static const char *read_key(struct reading *r, const yaml_event_t *event, const struct growing *g)
{
    const char *key = (const char *)event->data.scalar.value;
    if (event->type != YAML_SCALAR_EVENT || strlen(key) != event->data.scalar.length) {
        complain(r, line_of(event), "a key is no text");
        return NULL;
    }
    if (g->n == KEYS_MOST) {
        complain(r, line_of(event), "a map has more than 1,000 keys");
        return NULL;
    }
    if (place_of(g, key) < g->n) {
        err_set(r->e, ERR_USAGE, "%s:%u: the key \"%.60s\" stands twice in its map", r->o->file,
                line_of(event), key);
        return NULL;
    }
    const char *kept = arena_text(r->o->arena, key, strlen(key), r->e);
    if (!kept)
        err_wrap(r->e, "%s", r->o->file);
    return kept;
}

static int read_map(struct reading *r, struct node *to, unsigned depth)
{
    AUTO(growing) g = {0};
    AUTO(growing) merged = {0};
    for (;;) {
        AUTO_EVENT event;
        AUTO_EVENT below;
        memset(&below, 0, sizeof below);
        if (next(r, &event))
            return -1;
        if (event.type == YAML_MAPPING_END_EVENT)
            break;
        bool merges = event.type == YAML_SCALAR_EVENT && event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                      strcmp((const char *)event.data.scalar.value, "<<") == 0;
        const char *key = merges ? "<<" : read_key(r, &event, &g);
        if (!key || next(r, &below))
            return -1;
        const struct node *item = read_node(r, &below, depth + 1);
        if (!item)
            return -1;
        add(merges ? &merged : &g, key, item);
    }
    for (size_t i = 0; i < merged.n; i++)
        if (merge(r, &g, merged.items[i]))
            return -1;
    return keep(r, to, &g);
}

static const struct node *read_collection(struct reading *r, const yaml_event_t *event, unsigned depth)
{
    bool map = event->type == YAML_MAPPING_START_EVENT;
    struct anchor *anchor;
    struct node *n = node_new(r, map ? NODE_MAP : NODE_LIST, event);
    if (!n)
        return NULL;
    n->tag = tag_of(map ? event->data.mapping_start.tag : event->data.sequence_start.tag);
    if (depth == DEPTH_MOST) {
        complain(r, n->line, "is nested more than 64 deep");
        return NULL;
    }
    if (open_anchor(r, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, n->line,
                    &anchor) ||
        (map ? read_map(r, n, depth) : read_list(r, n, depth)))
        return NULL;
    if (anchor)
        anchor->node = n;
    return n;
}

static const struct node *read_node(struct reading *r, const yaml_event_t *event, unsigned depth)
{
    struct anchor *anchor;
    if (event->type == YAML_ALIAS_EVENT)
        return find_anchor(r, event);
    if (event->type != YAML_SCALAR_EVENT)
        return read_collection(r, event, depth);
    if (open_anchor(r, event->data.scalar.anchor, line_of(event), &anchor))
        return NULL;
    const struct node *n = read_scalar(r, event);
    if (anchor)
        anchor->node = n;
    return n;
}

/* The first document; another one is refused, since nothing would say which is meant. */
static const struct node *read_stream(struct reading *r)
{
    const struct node *found = NULL;
    for (;;) {
        AUTO_EVENT event;
        if (next(r, &event))
            return NULL;
        switch (event.type) {
        case YAML_STREAM_END_EVENT:
            return found ? found : node_new(r, NODE_NULL, &event);
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            continue;
        case YAML_DOCUMENT_START_EVENT:
            if (found) {
                complain(r, line_of(&event), "holds a second document (---): give it a file of its own");
                return NULL;
            }
            continue;
        default:
            found = read_node(r, &event, 0);
            if (!found)
                return NULL;
        }
    }
}

const struct node *yaml_read(struct bytes text, const struct yaml_options *o, struct err *e)
{
    struct reading *r = xcalloc(1, sizeof *r);
    r->o = o;
    r->e = e;
    const struct node *n = NULL;
    if (text.n > COMPOSE_FILE_MOST)
        err_set(e, ERR_USAGE, "%s: is larger than 1 MiB: is it a compose file?", o->file);
    else if (!yaml_parser_initialize(&r->parser))
        err_set(e, ERR_FAILED, "%s: out of memory", o->file);
    else {
        yaml_parser_set_input_string(&r->parser, text.n ? text.p : (const uint8_t *)"", text.n);
        n = read_stream(r);
        yaml_parser_delete(&r->parser);
    }
    for (size_t i = 0; i < r->anchor_count; i++)
        free(r->anchors[i].name);
    free(r);
    return n;
}

/* ---- looking ---- */
const struct node *node_get(const struct node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == NODE_MAP && i < map->n; i++)
        if (strcmp(map->keys[i], key) == 0)
            return map->items[i]->kind == NODE_NULL || map->items[i]->tag == TAG_RESET ? NULL : map->items[i];
    return NULL;
}

const char *node_text(const struct node *n)
{
    return n && n->kind == NODE_TEXT ? n->text : NULL;
}

bool node_is_true(const struct node *n)
{
    const char *s = node_text(n);
    return s && (strcasecmp(s, "true") == 0 || strcasecmp(s, "yes") == 0 || strcasecmp(s, "on") == 0);
}
