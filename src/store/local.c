/* A directory as a store: opening it, reading from it, and what its errors mean. */
#include "local.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- errors ---- */
static void advise_space(struct local *l, char *out, size_t size)
{
    struct statvfs v;
    char free_text[32], total_text[32];
    if (fstatvfs(l->dirfd, &v) != 0)
        return;
    size_format(free_text, (uint64_t)v.f_bavail * v.f_frsize);
    size_format(total_text, (uint64_t)v.f_blocks * v.f_frsize);
    snprintf(out, size, " (%s of %s are free there%s: make room on that file system, and run again)",
             free_text, total_text, v.f_files && !v.f_favail ? ", but no inodes" : "");
}

int local_errno(struct local *l, struct err *e, const char *what)
{
    int why = errno;
    char advice[200] = "";
    if (why == ENOSPC)
        advise_space(l, advice, sizeof advice);
    else if (why == EDQUOT)
        snprintf(advice, sizeof advice, " (the quota of user %u is used up: raise it or make room)",
                 (unsigned)geteuid());
    else if (why == EROFS)
        snprintf(advice, sizeof advice,
                 " (Linux mounts a failing disk read-only: look at dmesg; otherwise remount it read-write)");
    else if (why == EACCES || why == EPERM)
        snprintf(advice, sizeof advice, " (this is user %u: run lifeboat as the one who owns the store)",
                 (unsigned)geteuid());
    else if (why == EIO)
        snprintf(advice, sizeof advice, " (the disk or its cable fails: look at dmesg and smartctl)");
    else if (why == ESTALE || why == ENOTCONN || why == EHOSTDOWN)
        snprintf(advice, sizeof advice, " (the network file system went away: mount it again)");
    errno = why;
    return *advice ? err_set(e, why == ENOSPC || why == EDQUOT ? ERR_SPACE : ERR_IO, "%s: %s%s", what,
                             strerrordesc_np(why), advice)
                   : err_errno(e, ERR_IO, "%s", what);
}

int local_space(struct store *s, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    struct local *l = local_of(s);
    struct statvfs v;
    if (fstatvfs(l->dirfd, &v) != 0)
        return local_errno(l, e, "statvfs");
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    return STORE_DONE;
}

/* ---- reading ---- */
static int read_error(struct local *l, struct err *e, const char *what)
{
    bool lost = is_lost(errno);
    local_errno(l, e, what);
    if (lost)
        e->kind = ERR_DAMAGED;
    return STORE_FAILED;
}

static ssize_t read_some(int fd, void *p, size_t n, uint64_t offset)
{
    ssize_t got;
    int lost = 0;
    do
        got = pread(fd, p, n, (off_t)offset);
    while (got < 0 && (errno == EINTR || (is_lost(errno) && lost++ == 0)));
    return got;
}

/* All n bytes, or STORE_FAILED: ERR_DAMAGED when they are not there. */
static int read_all(struct local *l, int fd, void *p, size_t n, uint64_t offset, struct err *e)
{
    uint8_t *out = p;
    for (size_t done = 0; done < n;) {
        ssize_t got = read_some(fd, out + done, n - done, offset + done);
        if (got < 0)
            return read_error(l, e, "read");
        if (got == 0)
            return err_set(e, ERR_DAMAGED, "ends at byte %llu", (unsigned long long)offset + done);
        done += (size_t)got;
    }
    return STORE_DONE;
}

/* What a failed open means: a folder under the name is as good as nothing; anything else is in the way. */
static int explain_open(struct local *l, struct err *e)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR)
        return STORE_ABSENT;
    if (errno == ELOOP || errno == ENXIO)
        return err_set(e, ERR_DAMAGED, "is not a regular file");
    return read_error(l, e, "open");
}

static int get_range(struct store *s, const char *name, uint64_t offset, void *p, size_t n, struct err *e)
{
    struct local *l = local_of(s);
    struct open_file *f = fd_cache_borrow(l->files, l->dirfd, name);
    if (!f)
        return explain_open(l, e);
    int rc = read_all(l, f->fd, p, n, offset, e);
    fd_cache_give_back(l->files, f);
    return rc;
}

static int get(struct store *s, const char *name, uint64_t limit, struct buf *out, struct err *e)
{
    struct local *l = local_of(s);
    AUTO_FD fd = open_regular(l->dirfd, name);
    struct stat st;
    if (fd < 0)
        return explain_open(l, e);
    if (fstat(fd, &st) != 0)
        return local_errno(l, e, "stat");
    if ((uint64_t)st.st_size > limit)
        return err_set(e, ERR_DAMAGED, "has %lld bytes, and such an object has at most %llu",
                       (long long)st.st_size, (unsigned long long)limit);
    buf_reserve(out, (size_t)st.st_size);
    if (read_all(l, fd, out->p, (size_t)st.st_size, 0, e))
        return STORE_FAILED;
    out->n = (size_t)st.st_size;
    return STORE_DONE;
}

static int size_of(struct store *s, const char *name, uint64_t *size, struct err *e)
{
    struct local *l = local_of(s);
    struct stat st;
    if (fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || errno == ENOTDIR ? STORE_ABSENT : local_errno(l, e, "stat");
    if (S_ISDIR(st.st_mode))
        return STORE_ABSENT;
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_DAMAGED, "is not a regular file");
    *size = (uint64_t)st.st_size;
    return STORE_DONE;
}

static int traits(struct store *s, const char *name, struct store_traits *out, struct err *e)
{
    struct local *l = local_of(s);
    struct stat here, root;
    (void)name;
    if (fstat(l->dirfd, &here) != 0 || stat("/", &root) != 0)
        return local_errno(l, e, "stat");
    out->on_root = here.st_dev == root.st_dev ? STORE_YES : STORE_NO;
    out->is_durable = fsync(l->dirfd) == 0 ? STORE_YES : STORE_NO; /* of files a put has just shown it */
    return STORE_DONE;
}

/* ---- opening ---- */
static void local_free(struct store *s)
{
    struct local *l = local_of(s);
    local_temps_remove(l);
    fd_cache_free(l->files);
    strings_free(&l->synced);
    if (l->dirfd >= 0)
        close(l->dirfd);
    pthread_mutex_destroy(&l->lock);
    free(l->path);
    free(l);
}

static const struct store_ops local_ops = {.put = local_put,
                                           .replace = local_replace,
                                           .tempfile = local_tempfile,
                                           .put_file = local_put_file,
                                           .get = get,
                                           .get_range = get_range,
                                           .size = size_of,
                                           .list = local_list,
                                           .del = local_delete,
                                           .space = local_space,
                                           .traits = traits,
                                           .free = local_free};

/* stat() of the folder, or of the nearest one above it that exists. */
static int stat_nearest(const char *path, struct stat *st, struct err *e)
{
    AUTO_CHAR p = xstrdup(path);
    for (;;) {
        if (stat(p, st) == 0)
            return 0;
        char *slash = strrchr(p, '/');
        if (errno != ENOENT || !slash || slash == p)
            return errno == ENOENT ? 0 : err_errno(e, ERR_IO, "store %s", path);
        *slash = 0;
    }
}

/* Before anything is made: a folder below an empty mount point would lie hidden once the disk is mounted. */
static int check_mount(const struct store_local_options *o, struct err *e)
{
    struct stat here, root;
    if (!o->require_mount)
        return 0;
    if (stat("/", &root) != 0)
        return err_errno(e, ERR_IO, "/");
    here = root;
    if (stat_nearest(o->path, &here, e))
        return -1;
    if (here.st_dev != root.st_dev)
        return 0;
    return err_set(
        e, ERR_USAGE,
        "store %s: lies on the root file system, and require-mount = yes wants it on a disk of its own: "
        "mount that disk",
        o->path);
}

static int make_folder(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return 0;
    if (dir_make(path, FOLDER_MODE, e))
        return -1;
    (void)!chmod(path, FOLDER_MODE); /* whatever the umask; file systems without modes refuse */
    return 0;
}

static int check_sentinel(struct local *l, struct err *e)
{
    struct stat st;
    if (fstatat(l->dirfd, "lifeboat", &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno != ENOENT) {
        local_errno(l, e, "object lifeboat");
        return err_wrap(e, "%s", l->base.title);
    }
    return err_set(
        e, ERR_USAGE,
        "%s: holds no repository (there is no object \"lifeboat\" in it): is the disk mounted? A new "
        "repository is made with `lifeboat init`",
        l->base.title);
}

static int open_folder(struct local *l, struct err *e)
{
    l->dirfd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->dirfd >= 0)
        return 0;
    if (errno == ENOENT)
        return err_set(
            e, ERR_USAGE,
            "%s: no such folder: is the disk mounted? A new repository is made with `lifeboat init`",
            l->base.title);
    if (errno == ENOTDIR)
        return err_set(e, ERR_USAGE, "%s: is not a folder", l->base.title);
    local_errno(l, e, "open");
    return err_wrap(e, "%s", l->base.title);
}

struct store *store_local_new(const struct store_local_options *o, struct err *e)
{
    if (check_mount(o, e))
        return NULL;
    if (o->create && make_folder(o->path, e))
        return err_wrap(e, "store %s", o->path), NULL;
    struct local *l = xcalloc(1, sizeof *l);
    AUTO_PTR(store) s = &l->base;
    *l = (struct local){.base = {.ops = &local_ops, .title = xasprintf("store %s", o->path)},
                        .path = xstrdup(o->path),
                        .dirfd = -1,
                        .min_free = o->min_free,
                        .files = fd_cache_new()};
    pthread_mutex_init(&l->lock, NULL);
    if (open_folder(l, e) || (!o->create && check_sentinel(l, e)))
        return NULL;
    return STEAL(s);
}
