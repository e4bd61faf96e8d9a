/* walk.h - a tree in a fixed order: depth first, names compared as bytes, each folder before what is in it.
 * Nothing is followed, nothing but folders is opened (and a CACHEDIR.TAG where caches are excluded). In
 * memory: the names of one folder at each depth. */
#ifndef LIFEBOAT_SOURCE_WALK_H
#define LIFEBOAT_SOURCE_WALK_H

#include "base/base.h"
#include "folder.h"

/* Bytes of a path, of any depth. The tar header of a longer one is more than some readers take. */
#define WALK_PATH_MAX 32767

struct entry {
    char *path;       /* relative to the root, "." for the root itself; bytes as the file system has them */
    const char *name; /* its last part, within `path` */
    struct folder *folder; /* where `name` lies; for the root the root itself */
    struct stat st;
    char *target;      /* of a symlink, or NULL */
    char *link_to;     /* set by who looks for hard links: the path of the first link, for a later one */
    uint64_t link_run; /* the run of that first link */
};
void entry_free(struct entry *e); /* before walk_free() */

struct walk_options {
    const char *root;
    const struct strings *exclude; /* globs; an excluded folder is not entered */
    bool exclude_caches, one_file_system;
};
struct walk;
/* Opens the root: ERR_FAILED when it is missing or no folder. Borrows what the options point to. */
struct walk *walk_new(const struct walk_options *o, struct err *e) MUST_CHECK;
uint64_t walk_sockets(const struct walk *w);   /* passed over so far */
bool walk_root_is_cache(const struct walk *w); /* of what is below the root, only its tag was visited */

/* What the walk calls. `entry` takes over its entry; not 0 ends the walk. `problem`: something could not be
 * looked at; errno says why, ENOENT when it was gone when we came. */
struct walk_visitor {
    int (*entry)(void *ctx, struct entry *entry, struct err *e);
    void (*problem)(void *ctx, const char *path, int error);
    void *ctx;
};
int walk_run(struct walk *w, const struct walk_visitor *v, struct err *e) MUST_CHECK; /* once */
void walk_free(struct walk *w);
AUTO_PTR_FOR(walk)

#endif
