#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int write_error(const char *what, struct err *e)
{
    const char *advice = errno == EFBIG ? " (beyond ulimit -f, or what the file system can hold)" : "";
    return err_errno(e, ERR_IO, "%s: write%s", what, advice);
}

int fd_write_all(int fd, struct bytes b, const char *what, struct err *e)
{
    while (b.n) {
        ssize_t n = write(fd, b.p, b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_error(what, e);
        b.p += n;
        b.n -= (size_t)n;
    }
    return 0;
}

int fd_pwrite_all(int fd, struct bytes b, uint64_t offset, const char *what, struct err *e)
{
    while (b.n) {
        ssize_t n = pwrite(fd, b.p, b.n, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_error(what, e);
        b.p += n;
        b.n -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int fd_pread_all(int fd, void *p, size_t n, uint64_t offset, const char *what, struct err *e)
{
    uint8_t *to = p;
    while (n) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, ERR_IO, "%s: read", what);
        if (got == 0)
            return err_set(e, ERR_IO, "%s: ends at byte %llu, %zu more were expected", what,
                           (unsigned long long)offset, n);
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

ssize_t fd_read(int fd, void *p, size_t n, const char *what, struct err *e)
{
    for (;;) {
        ssize_t got = read(fd, p, n);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return err_errno(e, ERR_IO, "%s: read", what);
    }
}

static int read_all(int fd, const char *path, size_t limit, struct buf *out, struct err *e)
{
    size_t start = out->n;
    for (;;) {
        ssize_t n = fd_read(fd, buf_reserve(out, 16384), 16384, path, e);
        if (n < 0)
            return -1;
        if (n == 0)
            return 0;
        out->n += (size_t)n;
        if (out->n - start > limit)
            return err_set(e, ERR_USAGE, "%s: larger than the %zu bytes such a file may have", path, limit);
    }
}

int file_read(const char *path, size_t limit, struct buf *out, struct err *e)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s", path);
    return read_all(fd, path, limit, out, e);
}

/* Of `fd`, opened with O_NONBLOCK: with a FIFO, that does not wait for somebody who writes to it. */
static int read_regular(int fd, const char *path, size_t limit, struct buf *out, struct err *e)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(e, ERR_IO, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "%s: is not a file", path);
    return read_all(fd, path, limit, out, e);
}

int file_read_regular(const char *path, size_t limit, struct buf *out, struct err *e)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return read_regular(fd, path, limit, out, e);
}

int file_read_below(const char *root, const char *path, size_t limit, struct buf *out, struct err *e)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    AUTO_CHAR shown = xasprintf("%s/%s", root, path);
    AUTO_FD top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_FD fd = top < 0 ? -1 : (int)syscall(SYS_openat2, top, path, &how, sizeof how);
    return read_regular(fd, shown, limit, out, e);
}

int dir_sync(int dirfd, const char *what, struct err *e)
{
    if (fsync(dirfd) == 0 || errno == EINVAL ||
        errno == EROFS) /* some file systems have no fsync of folders */
        return 0;
    return err_errno(e, ERR_IO, "%s: fsync", what);
}

/* Keys and recovery kits are written so, and a file system may say yes to what it does not do. */
static int not_there(size_t size, const char *path, struct err *e)
{
    return err_set(e, ERR_IO,
                   "%s: the file system said that it was written, and it is not there, or not with its %zu "
                   "bytes: keep it elsewhere",
                   path, size);
}

static int write_whole(int fd, struct bytes data, mode_t mode, const char *path, struct err *e)
{
    struct stat st;
    if (fchmod(fd, mode) != 0)
        return err_errno(e, ERR_IO, "%s: write", path);
    if (fd_write_all(fd, data, path, e))
        return -1;
    if (fsync(fd) != 0 || fstat(fd, &st) != 0)
        return err_errno(e, ERR_IO, "%s: write", path);
    return (uint64_t)st.st_size == data.n ? 0 : not_there(data.n, path, e);
}

/* Gives an unnamed file its name, where there is none yet: a kill before that leaves nothing behind. 1: this
 * file system has no unnamed files. */
static int write_unnamed(int dirfd, const char *name, struct bytes data, mode_t mode, const char *path,
                         struct err *e)
{
    char self[64];
    AUTO_FD fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    if (fd < 0)
        return 1;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (write_whole(fd, data, mode, path, e))
        return -1;
    if (linkat(AT_FDCWD, self, dirfd, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    return errno == EEXIST ? err_set(e, ERR_USAGE, "%s: is there already and is not overwritten", path) : 1;
}

static int publish(int dirfd, const char *temporary, const char *name, bool exclusive)
{
    if (!exclusive)
        return renameat(dirfd, temporary, dirfd, name);
    if (linkat(dirfd, temporary, dirfd, name, 0) != 0)
        return -1;
    return unlinkat(dirfd, temporary, 0);
}

#define TEMP_AGE_S (24 * 3600) /* no write takes so long */

/* Whether it is ".NAME.NUMBER.tmp", as write_named() calls it. */
static bool is_temporary_of(const char *entry, const char *name)
{
    size_t n = strlen(name);
    if (entry[0] != '.' || strncmp(entry + 1, name, n) != 0 || entry[n + 1] != '.')
        return false;
    const char *number = entry + n + 2;
    size_t digits = strspn(number, "0123456789");
    return digits > 0 && strcmp(number + digits, ".tmp") == 0;
}

/* A process that was killed left them. That one cannot be removed is no reason not to write. */
static void remove_old_temporaries(int folder, const char *name)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        fd_auto(&fd);
        return;
    }
    struct stat st;
    time_t now = time(NULL);
    for (struct dirent *entry; (entry = readdir(d));)
        if (is_temporary_of(entry->d_name, name) &&
            fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && now - st.st_mtime > TEMP_AGE_S)
            unlinkat(folder, entry->d_name, 0);
    closedir(d);
}

static int write_named(int dirfd, const char *name, struct bytes data, mode_t mode, bool exclusive,
                       const char *path, struct err *e)
{
    uint32_t number; /* that of the process may be another's, too, in another container */
    random_fill(&number, sizeof number);
    AUTO_CHAR temporary = xasprintf(".%s.%u.tmp", name, number);
    remove_old_temporaries(dirfd, name);
    AUTO_FD fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s: create", path);
    bool whole = write_whole(fd, data, mode, path, e) == 0;
    if (whole && publish(dirfd, temporary, name, exclusive) == 0)
        return 0;
    if (whole && errno == EEXIST && exclusive)
        err_set(e, ERR_USAGE, "%s: is there already and is not overwritten", path);
    err_errno(e, ERR_IO, "%s: write", path);
    unlinkat(dirfd, temporary, 0);
    return -1;
}

int file_write(const char *path, struct bytes data, mode_t mode, bool exclusive, struct err *e)
{
    AUTO_CHAR for_dir = xstrdup(path);
    AUTO_CHAR for_base = xstrdup(path);
    const char *dir = dirname(for_dir), *name = basename(for_base);
    AUTO_FD dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return err_errno(e, ERR_IO, "%s: folder %s", path, dir);
    int rc = exclusive ? write_unnamed(dirfd, name, data, mode, path, e) : 1;
    if (rc == 1)
        rc = write_named(dirfd, name, data, mode, exclusive, path, e);
    if (rc || dir_sync(dirfd, dir, e))
        return -1;
    struct stat st; /* its size was looked at; another process may have written it anew */
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? not_there(data.n, path, e)
                               : err_errno(e, ERR_IO, "%s: look at what was written", path);
    return 0;
}

int file_spool(const char *dir, struct err *e)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    AUTO_CHAR path = xasprintf("%s/.lifeboat-spool-XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC); /* file systems without O_TMPFILE */
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s: temporary file", dir);
    unlink(path);
    return fd;
}

int dir_sync_above(const char *path, struct err *e)
{
    AUTO_CHAR copy = xstrdup(path);
    const char *above = dirname(copy);
    AUTO_FD fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : err_errno(e, ERR_IO, "%s", above); /* a folder to write into only */
    return dir_sync(fd, above, e);
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
    AUTO_CHAR p = xstrdup(path);
    for (char *slash = strchr(p + (*p == '/'), '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        struct stat st;
        bool made = mkdir(p, mode) == 0;
        if (!made && !(errno == EEXIST && stat(p, &st) == 0 && S_ISDIR(st.st_mode)))
            return err_errno(e, ERR_IO, "%s: make folder", p);
        if (made && dir_sync_above(p, e))
            return -1;
        if (!slash)
            return 0;
        *slash = '/';
    }
}

/* ---- removing a tree ---- */
#define REMOVE_LEVELS 32 /* that are open at a time */

struct removing {
    dev_t dev;
    int top; /* the uppermost folder, while the levels below it are open */
    unsigned level, moved;
    bool again; /* the top has new folders in it */
};

/* What lies deeper than the files that we may have open goes up to the top. */
static bool move_up(struct removing *r, int dirfd, const char *name)
{
    char to[32];
    int rc;
    (void)!fchmodat(dirfd, name, 0700, AT_SYMLINK_NOFOLLOW); /* its ".." is about to be written */
    do {
        snprintf(to, sizeof to, ".removing-%u", r->moved++);
        rc = renameat(dirfd, name, r->top, to);
    } while (rc != 0 && (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)); /* a name in use */
    r->again = r->again || rc == 0;
    return rc == 0;
}

static int remove_children(struct removing *r, int fd, const char *path, struct err *e);

static int empty_folder(struct removing *r, int dirfd, const char *name, mode_t mode, const char *path,
                        struct err *e)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s/%s", path, name);
    if ((mode & 0700) != 0700)
        (void)!fchmod(fd, 0700); /* or nothing in it could be removed */
    if (r->level == 0)
        r->top = fd;
    r->level++;
    int rc = remove_children(r, fd, name, e);
    r->level--;
    return rc ? err_wrap(e, "%s", path) : 0;
}

static int remove_one(struct removing *r, int dirfd, const char *name, const char *path, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_errno(e, ERR_IO, "%s/%s", path, name);
    if (S_ISDIR(st.st_mode) && st.st_dev == r->dev) {
        if (r->level == REMOVE_LEVELS && move_up(r, dirfd, name))
            return 0;
        if (empty_folder(r, dirfd, name, st.st_mode, path, e))
            return -1;
    }
    if (unlinkat(dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
        return 0;
    if (r->level == 0 && r->again && (errno == ENOTEMPTY || errno == EEXIST))
        return 0;
    return err_errno(e, ERR_IO, "%s/%s: remove", path, name);
}

/* Takes over fd. */
static int remove_children(struct removing *r, int fd, const char *path, struct err *e)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_errno(e, ERR_IO, "%s", path);
    }
    int rc = 0;
    errno = 0;
    for (struct dirent *entry; rc == 0 && ((entry = readdir(d)) || errno == EINTR); errno = 0)
        if (entry && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = remove_one(r, dirfd(d), entry->d_name, path, e);
    if (rc == 0 && errno)
        rc = err_errno(e, ERR_IO, "%s: list", path);
    closedir(d);
    return rc;
}

int dir_remove(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_errno(e, ERR_IO, "%s", path);
    struct removing r = {.dev = st.st_dev};
    int rc = 0;
    do {
        r.again = false;
        rc = remove_one(&r, AT_FDCWD, path, ".", e);
    } while (rc == 0 && r.again);
    return rc;
}

char *file_credential(const char *path)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY"), *slash = strrchr(path, '/');
    AUTO_CHAR copy = folder && *folder ? xasprintf("%s/%s", folder, slash ? slash + 1 : path) : NULL;
    struct stat st;
    return copy && stat(copy, &st) == 0 ? STEAL(copy) : xstrdup(path);
}

int file_check_private(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(e, ERR_USAGE, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "%s: is not a regular file", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(e, ERR_USAGE,
                       "%s: belongs to user %u; a file with secrets must be yours or root's: chown it", path,
                       (unsigned)st.st_uid);
    if (st.st_mode & 077)
        return err_set(e, ERR_USAGE, "%s: others can read or change it (mode %04o): chmod 600 %s", path,
                       (unsigned)st.st_mode & 07777, path);
    return 0;
}
