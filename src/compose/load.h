/* load.h - what the steps from files to a struct compose share. */
#ifndef LIFEBOAT_COMPOSE_LOAD_H
#define LIFEBOAT_COMPOSE_LOAD_H

#include "compose/compose.h"
#include "environment.h"
#include "yaml.h"

struct loading {
    const struct compose_input *in;
    struct compose *out;
    struct environment variables;
    unsigned reads;  /* files, all told */
    unsigned mounts; /* of all services */
    struct err *e;
};

/* ---- files.c ---- */
/* The folder that a file lies in, and a path as seen from a folder; kept in the arena. NULL with *e. */
const char *folder_of(struct loading *l, const char *path) MUST_CHECK;
const char *path_from(struct loading *l, const char *folder, const char *path) MUST_CHECK;
/* Reads a file, and notes that. 1: it is not there; -1 with *e. */
int read_whole(struct loading *l, const char *path, struct buf *out) MUST_CHECK;
/* A compose file, with its paths made absolute (as seen from `folder`, NULL: its own), what it includes
 * merged in, and `extends` followed. NULL with *e. */
const struct node *read_compose_file(struct loading *l, const char *path, const char *folder,
                                     unsigned depth) MUST_CHECK;

/* ---- merge.c: as compose does with several files; both may be NULL. NULL with *e (or both NULL) ---- */
const struct node *merge_files(struct loading *l, const struct node *base,
                               const struct node *over) MUST_CHECK;
const struct node *merge_services(struct loading *l, const struct node *base,
                                  const struct node *over) MUST_CHECK;

/* New nodes, at the place of `like`. NULL with *e. */
struct node *new_map(struct loading *l, const struct node *like, size_t room) MUST_CHECK;
struct node *new_text(struct loading *l, const struct node *like, const char *text) MUST_CHECK;
/* Sets a key of such a map, which has room for it. */
void map_put(struct node *map, const char *key, const struct node *value);

/* ---- model.c: fills out->services, volumes, secrets from the whole ---- */
int build_model(struct loading *l, const struct node *whole) MUST_CHECK;

#endif
