/* safe_path.h - places below a folder, reached component by component without following anything: whatever a
 * path says, it stays inside. */
#ifndef LIFEBOAT_TARGET_SAFE_PATH_H
#define LIFEBOAT_TARGET_SAFE_PATH_H

#include "base/base.h"

#include <sys/stat.h>

/* Normalises an archive's path in place ("./a//b/" is "a/b"; "." is ""). false: absolute, or with a "..". */
bool safe_path_clean(char *path);

/* A folder on the way to the last entry: its metadata is set when the way leaves it. */
struct level {
    char *name;
    int fd;           /* -1: closed for a while, as deep trees would use up the descriptors */
    bool is_new;      /* made by this visit; the rest is of a folder that was there: */
    struct stat was;  /* as it was found */
    bool has_default; /* a default ACL, which everything made in it inherits */
    void *metadata;   /* for the owner of the stack */
    char *shown;      /* likewise */
};
struct folders {
    struct level *v; /* [0]: the root, name "" */
    size_t n, cap;
    void (*leave)(void *ctx, struct level *l); /* before it is closed */
    void *ctx;
};
/* How to treat a last name that is not a folder: a way to something else, or an archive's word for it. */
enum folders_last { FOLDERS_KEEP, FOLDERS_REPLACE };

int folders_open(struct folders *f, int root_fd, struct err *e) MUST_CHECK; /* takes over root_fd */

/* Makes the stack stand at the folder `path` (clean); missing folders are made. NULL with *e: ERR_IO, or
 * ERR_FAILED and ERR_SPACE when no other path would do better. Valid until the next call. */
struct level *folders_go(struct folders *f, const char *path, enum folders_last last,
                         struct err *e) MUST_CHECK;

/* Opens the folder that holds the last name of a clean path, making nothing. The caller's fd; -1 with errno.
 * One that has its archived mode by now, and is closed to its owner by it, is opened: folder_close_again().
 */
int folders_open_parent(const struct folders *f, const char *path, const char **name, mode_t *was) MUST_CHECK;
void folder_close_again(int fd, mode_t was); /* keeps errno */

void folders_free(struct folders *f); /* leaves all, the root last */

/* err_errno for one entry: ERR_IO, the next one may work; ERR_SPACE, ERR_FAILED: none will. */
int place_failed(struct err *e, const char *shown, const char *what);

#endif
