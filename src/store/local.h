/* local.h - what the files of the local driver share: local.c opens and reads, local_put.c writes,
 * local_list.c lists. */
#ifndef LIFEBOAT_STORE_LOCAL_H
#define LIFEBOAT_STORE_LOCAL_H

#include "driver.h"
#include "fd_cache.h"

#include <pthread.h>
#include <sys/stat.h>

#define OBJECT_MODE 0600
#define FOLDER_MODE 0700
#define TEMP_PREFIX ".tmp-" /* in the root folder; never a name of an object */

struct temp {
    ino_t inode;
    char *name;
};
struct local {
    struct store base;
    char *path;
    int dirfd;
    unsigned min_free;
    struct fd_cache *files;
    pthread_mutex_t lock;                                  /* guards all below */
    enum { LINK_UNKNOWN, LINK_WORKS, LINK_FAILS } unnamed; /* whether a file without a name can get one */
    struct temp *temps;                                    /* where it cannot: temporary names in use */
    size_t temp_count;
    struct strings synced; /* folders that were fsynced: names that were in them then are there to stay */
};

static inline struct local *local_of(struct store *s)
{
    return CONTAINER(s, struct local, base);
}

static inline int64_t mtime_of(const struct stat *st)
{
    return store_time_ns(st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

/* Like err_errno, and says what helps. */
int local_errno(struct local *l, struct err *e, const char *what);

int local_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e);

/* ---- local_put.c ---- */
int local_put(struct store *s, const char *name, struct bytes data, struct err *e);
int local_replace(struct store *s, const char *name, struct bytes data, struct err *e);
int local_tempfile(struct store *s, struct err *e);
int local_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e);
int local_delete(struct store *s, const char *name, struct err *e);
/* Creates a file with a fresh temporary name (the caller frees it) in the root folder. -1 with errno. */
int local_temp_create(struct local *l, char **name);
void local_temps_remove(struct local *l); /* those that were never published */

/* ---- local_list.c ---- */
int local_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
               struct err *e);

#endif
