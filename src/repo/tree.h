/* tree.h - reference lists. The references of a stream are a list; the list is cut into list chunks of about
 * 4 KiB at places chosen by the ids themselves, those chunks have references, and so on until few enough
 * stand in the snapshot. */
#ifndef LIFEBOAT_REPO_TREE_H
#define LIFEBOAT_REPO_TREE_H

#include "repo/internal.h"

#define TREE_LEVELS   8
#define LIST_MIN      64 /* references in a list chunk */
#define LIST_MAX      512
#define LIST_MASK     127 /* a list ends after an id whose last 4 bytes fit: 64 + 128 on average, 4.5 KiB */
#define WRITTEN_ROOTS 8   /* what we write; readers take up to STREAM_ROOTS */
#define TREE_FRAME    (32u << 10)

struct tree_builder {
    struct buf lists[TREE_LEVELS];
    bool cut_before[TREE_LEVELS]; /* the level has given a list to the next one */
    int (*put)(void *ctx, struct bytes list, struct ref *out, struct err *e); /* stores a list chunk */
    void *ctx;
};
int tree_add(struct tree_builder *t, const struct ref *ref, struct err *e) MUST_CHECK;
int tree_finish(struct tree_builder *t, struct stream_info *out, struct err *e) MUST_CHECK;
void tree_free(struct tree_builder *t);

/* Reads list chunks; neighbours lie in one frame, so the last one is kept. Starts with only `repo` set. */
struct list_reader {
    struct repo *repo;
    struct codec *codec;
    uint32_t cached_frame, generation;
    struct buf frame; /* empty: none is cached */
};
/* Replaces *out; verified. ERR_DAMAGED: it is nowhere. */
int list_read(struct list_reader *l, const struct ref *ref, struct buf *out, struct err *e) MUST_CHECK;
void list_reader_free(struct list_reader *l);
/* Under what a walk notes that it was at a list, for a bigmap: a list that is met at two depths, as a hostile
 * snapshot can have it, leads to other things each time. */
struct chunk_id list_key(const struct ref *list, unsigned depth);
AUTO_FOR(list_reader)

#endif
