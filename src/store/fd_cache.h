/* fd_cache.h - a few open descriptors, so that reading an object in thousands of ranges opens it once. Safe
 * from any thread. */
#ifndef LIFEBOAT_STORE_FD_CACHE_H
#define LIFEBOAT_STORE_FD_CACHE_H

#include "base/base.h"

struct fd_cache;
struct open_file {
    int fd; /* readable at any offset until it is given back */
    char *name;
    unsigned users, last_use; /* private, like the rest */
    bool cached;
};

struct fd_cache *fd_cache_new(void);
void fd_cache_free(struct fd_cache *c); /* every file must have been given back */

/* The regular file `name` below dirfd. NULL with errno; EISDIR, ELOOP or ENXIO when it is something else. */
struct open_file *fd_cache_borrow(struct fd_cache *c, int dirfd, const char *name);
void fd_cache_give_back(struct fd_cache *c, struct open_file *f);

/* The name is gone or means another file now: who has it open reads on in the old one. */
void fd_cache_forget(struct fd_cache *c, const char *name);

/* A bad sector, or a checksum of the file system that does not hold: the bytes of this file are lost, and the
 * others are not. Who is told so asks twice: a cable that shook is no bad sector, and damage is written down.
 */
bool is_lost(int why);

/* Opens a regular file for reading without following a symbolic link or waiting for a fifo. -1 as above. */
int open_regular(int dirfd, const char *name);

#endif
