/* yaml.h - one YAML document as a tree of nodes. What an alias names is shared, not copied, so a bomb of
 * aliases stays as small as its text; everything lies in an arena of bounded size. */
#ifndef LIFEBOAT_COMPOSE_YAML_H
#define LIFEBOAT_COMPOSE_YAML_H

#include "base/base.h"

/* Memory that is given back all at once. */
struct arena;
struct arena *arena_new(void);
/* Zeroed. NULL with *e: the files ask for more than any compose file needs. */
void *arena_alloc(struct arena *a, size_t n, size_t size, struct err *e) MUST_CHECK;
char *arena_text(struct arena *a, const char *s, size_t n, struct err *e) MUST_CHECK;
char *arena_fmt(struct arena *a, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;
void arena_free(struct arena *a);

enum node_kind { NODE_NULL, NODE_TEXT, NODE_LIST, NODE_MAP };
enum node_tag { TAG_NONE, TAG_RESET, TAG_OVERRIDE }; /* compose's !reset and !override */
struct node {
    enum node_kind kind;
    enum node_tag tag;
    unsigned line;
    const char *file;
    const char *text;  /* NODE_TEXT, interpolated */
    const char **keys; /* NODE_MAP, in the order of the file */
    const struct node **items;
    size_t n;
};

/* Appends `text` with its variables put in. -1: *e says what is wrong with it. */
typedef int expand_fn(void *ctx, const char *text, struct buf *out, struct err *e);
struct yaml_options {
    struct arena *arena;
    const char *file; /* outlives the tree */
    expand_fn *expand;
    void *expand_ctx;
};
/* NULL with *e. An empty document is a node of NODE_NULL. */
const struct node *yaml_read(struct bytes text, const struct yaml_options *o, struct err *e) MUST_CHECK;

/* The value of a key; NULL when `map` is NULL, no map, has no such key, or null or !reset there. */
const struct node *node_get(const struct node *map, const char *key);
const char *node_text(const struct node *n); /* NULL when it is no text */
bool node_is_true(const struct node *n);
/* ERR_USAGE: "FILE:LINE: ..." */
int node_complain(const struct node *n, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
