/* A directory as a store: one file an object, published by a link or a rename after its fsync, then the
 * folder's. */
#include "driver.h"

#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define OPEN_FILES  16                         /* packs that a restore or check reads from in turn */
#define TEMP_PREFIX ".tmp-"                    /* never a name of an object */
#define TEMP_AGE_NS (24 * 3600 * 1000000000ll) /* older ones were left by a run that was cut off */
#define COPY_BLOCK  (256u << 10)
#define OBJECT_MODE 0600
#define FOLDER_MODE 0700

struct open_file {
    char *name;
    int fd;
    unsigned users;
    uint64_t last_use;
};
struct local {
    struct store base;
    char *path;
    int dirfd;
    unsigned min_free;
    pthread_mutex_t lock; /* guards the open files and `tick` */
    struct open_file files[OPEN_FILES];
    uint64_t tick;
};

static struct local *local_of(struct store *s)
{
    return CONTAINER(s, struct local, base);
}

/* ---- free space ---- */
static int space_of(struct local *l, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    struct statvfs v;
    if (fstatvfs(l->dirfd, &v) != 0)
        return err_errno(e, ERR_IO, "statvfs");
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    return STORE_DONE;
}

static int space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    return space_of(local_of(s), free_bytes, total_bytes, e);
}

/* Stops before the disk is quite full: a full disk hurts whoever else lives on it, the database first. */
static int check_space(struct local *l, uint64_t more, struct err *e)
{
    uint64_t have = 0, total = 0;
    if (space_of(l, &have, &total, e))
        return -1;
    if (have >= more && have - more >= total / 100 * l->min_free)
        return 0;
    char f[32], t[32];
    size_format(f, have);
    size_format(t, total);
    return err_set(e, ERR_SPACE,
                   "%s of %s are free, and the last %u %% are left alone (min-free): make room on that file "
                   "system or raise it",
                   f, t, l->min_free);
}

/* ---- writing ---- */
static int make_parents(struct local *l, const char *name, struct err *e)
{
    AUTO_CHAR path = xstrdup(name);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdirat(l->dirfd, path, FOLDER_MODE) == 0) {
            char *above = strrchr(path, '/');
            AUTO_CHAR parent = above ? xstrndup(path, (size_t)(above - path)) : xstrdup(".");
            AUTO_FD fd = openat(l->dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (fd < 0 || dir_sync(fd, parent, e))
                return err_errno(e, ERR_IO, "make folder %s", path);
        } else if (errno != EEXIST) {
            return err_errno(e, ERR_IO, "make folder %s", path);
        }
        *slash = '/';
    }
    return 0;
}

static int open_parent(struct local *l, const char *name, const char **base, struct err *e)
{
    const char *slash = strrchr(name, '/');
    *base = slash ? slash + 1 : name;
    AUTO_CHAR parent = slash ? xstrndup(name, (size_t)(slash - name)) : xstrdup(".");
    int fd = openat(l->dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_errno(e, ERR_IO, "folder %s", parent) : fd;
}

/* Whether the object is there with this size: then there is nothing to do. */
static bool is_there(struct local *l, const char *name, uint64_t size)
{
    struct stat st;
    return fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == size;
}

/* Gives the open, complete file its name. A torn object under that name (another size) is replaced. */
static int link_name(int fd, int dirfd, const char *base, struct err *e)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, dirfd, base, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST)
        return -1;
    AUTO_CHAR temporary = xasprintf(TEMP_PREFIX "%s", base);
    unlinkat(dirfd, temporary, 0);
    if (linkat(AT_FDCWD, self, dirfd, temporary, AT_SYMLINK_FOLLOW) != 0 ||
        renameat(dirfd, temporary, dirfd, base) != 0)
        return err_errno(e, ERR_IO, "replace a torn object");
    return 0;
}

static int copy_bytes(int from, int to, uint64_t size, struct err *e)
{
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, COPY_BLOCK);
    for (uint64_t at = 0; at < size;) {
        size_t n = (size_t)MIN((uint64_t)COPY_BLOCK, size - at);
        if (fd_pread_all(from, block.p, n, at, "temporary file", e) ||
            fd_write_all(to, BYTES(block.p, n), "temporary file", e))
            return -1;
        at += n;
    }
    return 0;
}

/* For file systems that cannot link an unnamed file: a copy under a temporary name, then a rename. */
static int publish_copy(int from, uint64_t size, int dirfd, const char *base, struct err *e)
{
    AUTO_CHAR temporary = xasprintf(TEMP_PREFIX "%s.%d", base, (int)getpid());
    unlinkat(dirfd, temporary, 0);
    AUTO_FD fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, OBJECT_MODE);
    if (fd < 0)
        return err_errno(e, ERR_IO, "create");
    if (copy_bytes(from, fd, size, e) == 0 && fsync(fd) == 0 && renameat(dirfd, temporary, dirfd, base) == 0)
        return 0;
    err_errno(e, ERR_IO, "write");
    unlinkat(dirfd, temporary, 0);
    return -1;
}

static int put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    struct local *l = local_of(s);
    const char *base;
    if (is_there(l, name, size))
        return STORE_DONE;
    if (check_space(l, 0, e) || make_parents(l, name, e))
        return -1;
    AUTO_FD dirfd = open_parent(l, name, &base, e);
    if (dirfd < 0)
        return -1;
    if (fsync(fd) != 0)
        return err_errno(e, ERR_IO, "fsync");
    if (link_name(fd, dirfd, base, e) && (err_is_set(e) || publish_copy(fd, size, dirfd, base, e)))
        return -1;
    return dir_sync(dirfd, "folder", e);
}

static int tempfile(struct store *s, struct err *e)
{
    struct local *l = local_of(s);
    if (check_space(l, 0, e))
        return -1;
    int fd = openat(l->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, OBJECT_MODE);
    return fd >= 0 ? fd : file_spool(l->path, e);
}

static int put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    struct local *l = local_of(s);
    if (is_there(l, name, data.n))
        return STORE_DONE;
    AUTO_FD fd = tempfile(s, e);
    if (fd < 0 || fd_write_all(fd, data, "temporary file", e))
        return -1;
    return put_file(s, name, fd, data.n, e);
}

static int del(struct store *s, const char *name, struct err *e)
{
    struct local *l = local_of(s);
    const char *base;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < OPEN_FILES; i++) /* an open file would live on unseen */
        if (l->files[i].name && strcmp(l->files[i].name, name) == 0 && l->files[i].users == 0) {
            close(l->files[i].fd);
            free(l->files[i].name);
            l->files[i].name = NULL;
        }
    pthread_mutex_unlock(&l->lock);
    if (unlinkat(l->dirfd, name, 0) != 0)
        return errno == ENOENT ? STORE_ABSENT : err_errno(e, ERR_IO, "unlink");
    AUTO_FD dirfd = open_parent(l, name, &base, e);
    return dirfd < 0 ? -1 : dir_sync(dirfd, "folder", e);
}

/* ---- reading ---- */
static int open_object(struct local *l, const char *name)
{
    return openat(l->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* Lends an open descriptor of the object; -1 with errno. Give it back with release(). */
static struct open_file *borrow(struct local *l, const char *name, int *fd)
{
    struct open_file *oldest = NULL;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < OPEN_FILES; i++) {
        struct open_file *f = &l->files[i];
        if (f->name && strcmp(f->name, name) == 0) {
            f->users++;
            f->last_use = ++l->tick;
            *fd = f->fd;
            pthread_mutex_unlock(&l->lock);
            return f;
        }
        if (f->users == 0 && (!oldest || !f->name || (oldest->name && f->last_use < oldest->last_use)))
            oldest = f;
    }
    *fd = open_object(l, name);
    if (oldest && *fd >= 0) {
        if (oldest->name) {
            close(oldest->fd);
            free(oldest->name);
        }
        *oldest = (struct open_file){.name = xstrdup(name), .fd = *fd, .users = 1, .last_use = ++l->tick};
    } else {
        oldest = NULL;
    }
    pthread_mutex_unlock(&l->lock);
    return oldest;
}

static void release(struct local *l, struct open_file *f, int fd)
{
    if (!f) {
        if (fd >= 0)
            close(fd);
        return;
    }
    pthread_mutex_lock(&l->lock);
    f->users--;
    pthread_mutex_unlock(&l->lock);
}

static int get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    struct local *l = local_of(s);
    int fd, rc = STORE_DONE;
    struct open_file *f = borrow(l, name, &fd);
    if (fd < 0)
        return errno == ENOENT ? STORE_ABSENT : err_errno(e, ERR_IO, "open");
    struct stat st;
    if (fd_pread_all(fd, p, n, offset, "file", e)) {
        rc = STORE_FAILED;
        if (fstat(fd, &st) == 0 && offset + n > (uint64_t)st.st_size)
            e->kind = ERR_DAMAGED;
    }
    release(l, f, fd);
    return rc;
}

static int get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    AUTO_FD fd = open_object(local_of(s), name);
    struct stat st;
    if (fd < 0)
        return errno == ENOENT ? STORE_ABSENT : err_errno(e, ERR_IO, "open");
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_DAMAGED, "is not a regular file");
    if ((uint64_t)st.st_size > limit)
        return err_set(e, ERR_DAMAGED, "has %lld bytes, such an object has at most %llu",
                       (long long)st.st_size, (unsigned long long)limit);
    buf_reserve(out, (size_t)st.st_size + 1);
    if (fd_pread_all(fd, out->p, (size_t)st.st_size, 0, "file", e))
        return -1;
    out->n = (size_t)st.st_size;
    return STORE_DONE;
}

static int size_of(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    struct stat st;
    if (fstatat(local_of(s)->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || errno == ENOTDIR ? STORE_ABSENT : err_errno(e, ERR_IO, "stat");
    *size = (uint64_t)st.st_size;
    return STORE_DONE;
}

/* ---- listing ---- */
struct listing {
    struct local *local;
    const char *prefix;
    store_each *each;
    void *ctx;
    int64_t now_ns;
};

static int64_t mtime_of(const struct stat *st)
{
    return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}

static int list_folder(struct listing *l, int fd, const char *path, struct err *e);

static int list_entry(struct listing *l, int dirfd, const char *path, const char *entry, struct err *e)
{
    struct stat st;
    AUTO_CHAR name = *path ? xasprintf("%s/%s", path, entry) : xstrdup(entry);
    size_t n = MIN(strlen(name), strlen(l->prefix));
    bool temporary = strncmp(entry, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0;
    if (!temporary && (!store_name_is_valid(name) || strncmp(name, l->prefix, n) != 0))
        return 0;
    if (fstatat(dirfd, entry, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_errno(e, ERR_IO, "%s", name);
    if (temporary) {
        if (l->now_ns && S_ISREG(st.st_mode) && l->now_ns - mtime_of(&st) > TEMP_AGE_NS)
            unlinkat(dirfd, entry, 0);
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(dirfd, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? err_errno(e, ERR_IO, "%s", name) : list_folder(l, fd, name, e);
    }
    if (!S_ISREG(st.st_mode) || strlen(name) < strlen(l->prefix))
        return 0;
    const struct store_object o = {.name = name, .size = (uint64_t)st.st_size, .mtime_ns = mtime_of(&st)};
    return l->each(l->ctx, &o, e);
}

/* Takes over fd. */
static int list_folder(struct listing *l, int fd, const char *path, struct err *e)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_errno(e, ERR_IO, "%s", path);
    }
    int rc = 0;
    errno = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(d)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = list_entry(l, dirfd(d), path, entry->d_name, e);
    if (rc == 0 && errno)
        rc = err_errno(e, ERR_IO, "read folder %s", path);
    closedir(d);
    return rc;
}

/* The store's clock: the mtime of a file that was just made in it. */
static int64_t store_clock(struct local *l)
{
    AUTO_FD fd = openat(l->dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, OBJECT_MODE);
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 ? mtime_of(&st) : 0;
}

static int list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
                struct err *e)
{
    struct listing l = {.local = local_of(s), .prefix = prefix, .each = each, .ctx = ctx};
    l.now_ns = store_clock(l.local);
    if (now_ns)
        *now_ns = l.now_ns ? l.now_ns : time_now_ns();
    /* Start at the deepest folder that the prefix names. */
    const char *slash = strrchr(prefix, '/');
    AUTO_CHAR folder = slash ? xstrndup(prefix, (size_t)(slash - prefix)) : xstrdup("");
    int fd = openat(l.local->dirfd, *folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? STORE_DONE : err_errno(e, ERR_IO, "folder");
    return list_folder(&l, fd, folder, e) ? STORE_FAILED : STORE_DONE;
}

/* ---- opening ---- */
static void local_free(struct store *s)
{
    struct local *l = local_of(s);
    for (size_t i = 0; i < OPEN_FILES; i++)
        if (l->files[i].name) {
            close(l->files[i].fd);
            free(l->files[i].name);
        }
    if (l->dirfd >= 0)
        close(l->dirfd);
    pthread_mutex_destroy(&l->lock);
    free(l->path);
    free(l);
}

static const struct store_ops local_ops = {.put = put,
                                           .tempfile = tempfile,
                                           .put_file = put_file,
                                           .get = get,
                                           .get_range = get_range,
                                           .size = size_of,
                                           .list = list,
                                           .del = del,
                                           .space = space,
                                           .free = local_free};

static int check_folder(struct local *l, const struct store_local_options *o, struct err *e)
{
    struct stat here, root, sentinel;
    if (fstat(l->dirfd, &here) != 0 || stat("/", &root) != 0)
        return err_errno(e, ERR_IO, "%s", o->path);
    if (o->require_mount && here.st_dev == root.st_dev)
        return err_set(e, ERR_USAGE,
                       "%s: lies on the root file system, and require-mount is set: mount the backup disk",
                       o->path);
    if (!o->create && fstatat(l->dirfd, "lifeboat", &sentinel, 0) != 0)
        return err_set(
            e, ERR_USAGE,
            "%s: holds no repository (it has no object \"lifeboat\"): is the disk mounted? A new one "
            "is made with `lifeboat init`",
            o->path);
    return 0;
}

struct store *store_local_new(const struct store_local_options *o, struct err *e)
{
    if (o->create && dir_make(o->path, FOLDER_MODE, e))
        return NULL;
    AUTO_PTR(store) s = NULL;
    struct local *l = xcalloc(1, sizeof *l);
    s = &l->base;
    l->base.ops = &local_ops;
    l->base.title = xasprintf("store %s", o->path);
    l->path = xstrdup(o->path);
    l->min_free = o->min_free;
    pthread_mutex_init(&l->lock, NULL);
    l->dirfd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->dirfd < 0 && errno == ENOENT)
        return err_set(
                   e, ERR_USAGE,
                   "%s: no such folder: is the disk mounted? A new repository is made with `lifeboat init`",
                   o->path),
               NULL;
    if (l->dirfd < 0)
        return err_errno(e, ERR_IO, "%s", o->path), NULL;
    return check_folder(l, o, e) ? NULL : STEAL(s);
}
