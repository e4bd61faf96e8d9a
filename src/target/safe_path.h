/* safe_path.h - places below a folder, reached component by component without following anything: whatever a
 * path says, it stays inside. */
#ifndef LIFEBOAT_TARGET_SAFE_PATH_H
#define LIFEBOAT_TARGET_SAFE_PATH_H

#include "base/base.h"

/* Normalises an archive's path in place ("./a//b/" is "a/b"; "." is ""). false: absolute, or with a "..". */
bool safe_path_clean(char *path);

/* A folder on the way to the last entry, still open: its metadata is set when the way leaves it. */
struct level {
    char *name;
    int fd;
    void *metadata; /* for the owner of the stack */
};
struct folders {
    struct level *v; /* [0]: the root, name "" */
    size_t n, cap;
    int (*leave)(void *ctx, struct level *l, struct err *e); /* before its fd is closed */
    void *ctx;
};
int folders_open(struct folders *f, int root_fd, struct err *e) MUST_CHECK; /* takes over root_fd */
/* Makes the stack stand at the folder `path` (clean); missing folders are made. The fd, or -1 with *e. */
int folders_go(struct folders *f, const char *path, struct err *e) MUST_CHECK;
int folders_close(struct folders *f, struct err *e) MUST_CHECK; /* leaves all, the root last */
void folders_free(struct folders *f);                           /* closes without a word */

/* Opens the folder that holds the last name of a clean path, making nothing. -1 with errno. */
int safe_path_parent(int root_fd, const char *path, const char **name);

#endif
