/* walk.h - a tree in a fixed order: depth first, names compared as bytes, each folder before what is in it.
 * Nothing is followed, nothing but folders is opened. In memory: the names of one folder at each depth, and
 * the paths of files that have more than one link. */
#ifndef LIFEBOAT_SOURCE_WALK_H
#define LIFEBOAT_SOURCE_WALK_H

#include "base/base.h"

#include <sys/stat.h>

/* An open folder, shared by the entries in it. */
struct folder {
    int fd;
    unsigned users;
};
void folder_release(struct folder *f);

struct entry {
    char *path;       /* relative to the root, "." for the root itself; bytes as the file system has them */
    const char *name; /* its last part, within `path` */
    struct folder *folder; /* where `name` lies; NULL for the root */
    struct stat st;
    char *target;      /* of a symlink, or NULL */
    char *link_to;     /* path of the first link in this walk, when this is a later one */
    uint64_t link_run; /* the run of that first link */
};
void entry_free(struct entry *e);

struct walk_options {
    const char *root;
    const struct strings *exclude;
    bool exclude_caches, one_file_system;
};
struct walk;
/* Opens the root: ERR_FAILED when it is missing or no folder. */
struct walk *walk_new(const struct walk_options *o, struct err *e) MUST_CHECK;
int walk_root_fd(const struct walk *w);
uint64_t walk_sockets(const struct walk *w); /* passed over so far */

/* What the walk calls. `entry` takes over *e. `problem`: something could not be looked at; vanished: it was
 * gone when we came. Not 0 ends the walk. */
struct walk_visitor {
    int (*entry)(void *ctx, struct entry *entry, struct err *e);
    void (*problem)(void *ctx, const char *path, int error, bool vanished);
    void *ctx;
};
int walk_run(struct walk *w, const struct walk_visitor *v, struct err *e) MUST_CHECK;
/* Says in which run the first of several links was put. */
void walk_note_run(struct walk *w, const struct entry *e, uint64_t run);
void walk_free(struct walk *w);
AUTO_PTR_FOR(walk)

#endif
