#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

#define OPEN_FOLDERS 64
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define STEP_FINE_NS 50000000ll /* times move with the timer tick, at most 10 ms, and a margin */
#define XFS_MAGIC    0x58465342 /* not in linux/magic.h */
#define FUSE_MAGIC   0x65735546

static struct fs_facts facts_of(int fd)
{
    struct statfs s;
    switch (fstatfs(fd, &s) == 0 ? (unsigned long)s.f_type : 0) {
    case EXT4_SUPER_MAGIC:
    case XFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
        return (struct fs_facts){STEP_FINE_NS, true};
    case OVERLAYFS_SUPER_MAGIC:
        return (struct fs_facts){STEP_FINE_NS, false};
    case FUSE_MAGIC:
    case NFS_SUPER_MAGIC:
        return (struct fs_facts){CLOCK_STEP_COARSE_NS, false};
    default:
        return (struct fs_facts){CLOCK_STEP_COARSE_NS, true};
    }
}

/* ---- the open ones ---- */
static void forget(struct folder *f)
{
    struct open_folders *all = f->all;
    *(f->older ? &f->older->newer : &all->oldest) = f->newer;
    *(f->newer ? &f->newer->older : &all->newest) = f->older;
    f->older = f->newer = NULL;
    all->count--;
}

static void remember(struct folder *f)
{
    struct open_folders *all = f->all;
    f->older = all->newest;
    *(all->newest ? &all->newest->newer : &all->oldest) = f;
    all->newest = f;
    all->count++;
}

static void shut(struct folder *f)
{
    if (f->fd < 0)
        return;
    if (f->parent)
        forget(f);
    close(f->fd);
    f->fd = -1;
}

static void keep_open(struct folder *f, int fd)
{
    if (f->all->count == OPEN_FOLDERS)
        shut(f->all->oldest);
    f->fd = fd;
    remember(f);
}

/* ---- coming and going ---- */
static struct folder *make(struct open_folders *all, struct folder *parent, const char *name, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return NULL;
    }
    struct folder *f = xcalloc(1, sizeof *f);
    *f = (struct folder){.parent = parent,
                         .name = xstrdup(name),
                         .dev = st.st_dev,
                         .ino = st.st_ino,
                         .users = 1,
                         .fd = -1,
                         .all = all};
    f->fs = parent && parent->dev == st.st_dev ? parent->fs : facts_of(fd);
    return f;
}

struct folder *folder_new_root(struct open_folders *all, int fd)
{
    struct folder *f = make(all, NULL, ".", fd);
    if (f)
        f->fd = fd;
    return f;
}

struct folder *folder_new(struct folder *parent, const char *name)
{
    int dirfd = folder_fd(parent);
    int fd = dirfd < 0 ? -1 : openat(dirfd, name, FOLDER_FLAGS);
    struct folder *f = fd < 0 ? NULL : make(parent->all, parent, name, fd);
    if (!f)
        return NULL;
    folder_hold(parent);
    keep_open(f, fd);
    return f;
}

struct folder *folder_hold(struct folder *f)
{
    f->users++;
    return f;
}

void folder_release(struct folder *f)
{
    while (f && --f->users == 0) {
        struct folder *parent = f->parent;
        shut(f);
        free(f->name);
        free(f);
        f = parent;
    }
}

/* Takes `fd` as the folder's if it is that folder. */
static int take_back(struct folder *f, int fd)
{
    struct stat st;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0 || st.st_dev != f->dev || (f->fs.stable_inodes && st.st_ino != f->ino)) {
        close(fd);
        errno = ESTALE;
        return -1;
    }
    keep_open(f, fd);
    return 0;
}

int folder_fd(struct folder *f)
{
    while (f->fd < 0) { /* each round opens one more of the folders on the way */
        struct folder *top = f;
        while (top->parent->fd < 0)
            top = top->parent;
        if (take_back(top, openat(top->parent->fd, top->name, FOLDER_FLAGS)))
            return -1;
    }
    if (f->parent) {
        forget(f);
        remember(f);
    }
    return f->fd;
}

void folder_reopen_parent(struct folder *f)
{
    struct folder *p = f->parent;
    if (p && p->fd < 0 && f->fd >= 0)
        (void)take_back(p, openat(f->fd, "..", FOLDER_FLAGS));
}
