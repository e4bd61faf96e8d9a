/* folder.h - the folders of a walk, at any depth and with few of them open: a path may be longer than the
 * kernel takes in one piece, and deeper than the number of files a process may have open. */
#ifndef LIFEBOAT_SOURCE_FOLDER_H
#define LIFEBOAT_SOURCE_FOLDER_H

#include "base/base.h"

#include <sys/stat.h>

#define CLOCK_STEP_COARSE_NS 2000000000ll /* FAT's two seconds; servers with clocks of their own */

/* What a file system promises. */
struct fs_facts {
    int64_t clock_step_ns; /* a change this long after another surely has other times */
    bool stable_inodes;    /* a file keeps its inode number over a remount */
};

/* Those that are open now, the least recently used first. */
struct open_folders {
    struct folder *oldest, *newest;
    unsigned count;
};

struct folder {
    struct folder *parent; /* held; NULL for the root, which stays open */
    char *name;
    dev_t dev;
    ino_t ino;
    struct fs_facts fs;
    unsigned users;
    int fd; /* private: folder_fd() */
    struct open_folders *all;
    struct folder *older, *newer;
};

/* The root of a walk; takes over `fd`, also when it fails with NULL and errno. `all` starts as zeros and
 * outlives every folder. */
struct folder *folder_new_root(struct open_folders *all, int fd) MUST_CHECK;
/* Opens a folder in another, never through a symlink. NULL with errno. */
struct folder *folder_new(struct folder *parent, const char *name) MUST_CHECK;
struct folder *folder_hold(struct folder *f); /* one user more */
void folder_release(struct folder *f);        /* one user less; NULL is fine */

/* Valid until another folder is asked for. -1 with errno: ESTALE when it is not where it was. */
int folder_fd(struct folder *f) MUST_CHECK;
/* On the way up: opens the parent again from its child, whose ".." is near while its path may be far. */
void folder_reopen_parent(struct folder *f);

#endif
