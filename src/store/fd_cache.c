#include "fd_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 16 /* packs that a restore reads from in turn; a plan rarely has more in flight */

struct fd_cache {
    pthread_mutex_t lock;          /* guards all below and what the files hold besides their fd */
    struct open_file *file[FILES]; /* NULL: free */
    unsigned tick, forgotten;
};

bool is_lost(int why)
{
    return why == EIO || why == EBADMSG || why == EUCLEAN;
}

static int open_once(int dirfd, const char *name)
{
    struct stat st;
    AUTO_FD fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : ENXIO;
        return -1;
    }
    int out = fd;
    fd = -1;
    return out;
}

int open_regular(int dirfd, const char *name)
{
    int fd = open_once(dirfd, name);
    return fd < 0 && is_lost(errno) ? open_once(dirfd, name) : fd;
}

struct fd_cache *fd_cache_new(void)
{
    struct fd_cache *c = xcalloc(1, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void destroy_unless_used(struct open_file *f)
{
    if (f->cached || f->users)
        return;
    close(f->fd);
    free(f->name);
    free(f);
}

static void drop(struct open_file **slot)
{
    struct open_file *f = *slot;
    *slot = NULL;
    f->cached = false;
    destroy_unless_used(f);
}

static struct open_file **find(struct fd_cache *c, const char *name)
{
    for (size_t i = 0; i < FILES; i++)
        if (c->file[i] && strcmp(c->file[i]->name, name) == 0)
            return &c->file[i];
    return NULL;
}

/* A free slot, or the one that was used longest ago. */
static struct open_file **oldest(struct fd_cache *c)
{
    struct open_file **least = &c->file[0];
    for (size_t i = 0; i < FILES; i++) {
        if (!c->file[i])
            return &c->file[i];
        if (c->tick - c->file[i]->last_use > c->tick - (*least)->last_use)
            least = &c->file[i];
    }
    return least;
}

static struct open_file *use(struct fd_cache *c, struct open_file *f)
{
    f->users++;
    f->last_use = ++c->tick;
    return f;
}

/* The cached file; or NULL, and *forgotten to be given to keep(). */
static struct open_file *look_up(struct fd_cache *c, const char *name, unsigned *forgotten)
{
    pthread_mutex_lock(&c->lock);
    struct open_file **slot = find(c, name);
    struct open_file *f = slot ? use(c, *slot) : NULL;
    *forgotten = c->forgotten;
    pthread_mutex_unlock(&c->lock);
    return f;
}

/* Caches a file that was just opened, unless another thread did that meanwhile or some name was forgotten
 * since: the file may be the old one of that name. */
static struct open_file *keep(struct fd_cache *c, const char *name, int fd, unsigned forgotten)
{
    struct open_file *f = xcalloc(1, sizeof *f);
    *f = (struct open_file){.fd = fd, .name = xstrdup(name)};
    pthread_mutex_lock(&c->lock);
    if (forgotten == c->forgotten && !find(c, name)) {
        struct open_file **slot = oldest(c);
        if (*slot)
            drop(slot);
        *slot = f;
        f->cached = true;
    }
    use(c, f);
    pthread_mutex_unlock(&c->lock);
    return f;
}

struct open_file *fd_cache_borrow(struct fd_cache *c, int dirfd, const char *name)
{
    unsigned forgotten;
    struct open_file *f = look_up(c, name, &forgotten);
    if (f)
        return f;
    int fd = open_regular(dirfd, name); /* not under the lock: a disk may take its time */
    return fd < 0 ? NULL : keep(c, name, fd, forgotten);
}

void fd_cache_give_back(struct fd_cache *c, struct open_file *f)
{
    pthread_mutex_lock(&c->lock);
    f->users--;
    destroy_unless_used(f);
    pthread_mutex_unlock(&c->lock);
}

void fd_cache_forget(struct fd_cache *c, const char *name)
{
    pthread_mutex_lock(&c->lock);
    struct open_file **slot = find(c, name);
    if (slot)
        drop(slot);
    c->forgotten++;
    pthread_mutex_unlock(&c->lock);
}

void fd_cache_free(struct fd_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < FILES; i++)
        if (c->file[i])
            drop(&c->file[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
