/* record.so (LD_PRELOAD): writes down what lifeboat changes below the folder TORTURE_BELOW, with contents and
 * in order, into the file TORTURE_RECORD: what cuts.py replays. Entries: struct entry, the name, the data. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DATA = 1, SIZE, SYNC, NAME, GONE, RENAMED, FOLDER, SYMLINK }; /* cuts.py has the same list */

struct entry {
    uint32_t kind, name_n, data_n, unused;
    uint64_t inode; /* that is written, synced, named */
    uint64_t folder,
        folder2;     /* that a name appears in; RENAMED: from folder to folder2, the name is "old/new" */
    uint64_t offset; /* DATA: where; SIZE: the new one */
};

static int record = -1;
static char below[PATH_MAX];

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("TORTURE_RECORD"), *folder = getenv("TORTURE_BELOW");
    if (!path || !folder || strcmp(program_invocation_short_name, "lifeboat") != 0)
        return;
    snprintf(below, sizeof below, "%s", folder);
    record = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* One at a time, in all processes: the order in the record is that in which things happened. */
static _Thread_local int locked = -1;
static bool enter(void)
{
    if (record < 0)
        return false;
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", record);
    locked = (int)syscall(SYS_openat, AT_FDCWD, self, O_WRONLY | O_CLOEXEC);
    while (locked >= 0 && flock(locked, LOCK_EX) != 0)
        ;
    return locked >= 0;
}

static void leave(bool entered)
{
    int saved = errno;
    if (entered)
        syscall(SYS_close, locked);
    errno = saved;
}

static void put(struct entry e, const char *name, const void *data)
{
    int saved = errno;
    struct iovec parts[] = {{&e, sizeof e}, {(void *)name, e.name_n}, {(void *)data, e.data_n}};
    if (syscall(SYS_writev, record, parts, 3) < 0)
        _exit(99);
    errno = saved;
}

/* Whether the file or folder is, or was made, below the folder. */
static bool is_below(int fd)
{
    char self[64], path[PATH_MAX];
    size_t n = strlen(below);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(self, path, sizeof path - 1);
    if (got < 0)
        return false;
    path[got] = 0;
    return strncmp(path, below, n) == 0 && (path[n] == '/' || path[n] == 0 || path[n] == ' ');
}

static uint64_t inode_of(int fd)
{
    struct stat st;
    return syscall(SYS_fstat, fd, &st) == 0 ? st.st_ino : 0;
}

static uint64_t inode_at(int dirfd, const char *name, int flags)
{
    struct stat st;
    return syscall(SYS_newfstatat, dirfd, name, &st, flags) == 0 ? st.st_ino : 0;
}

/* The folder in which the path's last name lies. 0: not below ours. */
static uint64_t folder_of(int dirfd, const char *path, const char **last)
{
    char above[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *last = slash ? slash + 1 : path;
    snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) + (slash == path) : 1,
             slash ? path : ".");
    int fd = (int)syscall(SYS_openat, dirfd, above, O_PATH | O_CLOEXEC);
    uint64_t inode = fd >= 0 && is_below(fd) ? inode_of(fd) : 0;
    if (fd >= 0)
        syscall(SYS_close, fd);
    return inode;
}

static void record_name(int kind, uint64_t folder, const char *last, uint64_t inode)
{
    if (folder)
        put(
            (struct entry){
                .kind = (uint32_t)kind, .folder = folder, .inode = inode, .name_n = (uint32_t)strlen(last)},
            last, NULL);
}

/* ---- contents ---- */
static void record_data(int fd, const void *p, ssize_t n, off_t offset)
{
    if (n > 0)
        put(
            (struct entry){
                .kind = DATA, .inode = inode_of(fd), .offset = (uint64_t)offset, .data_n = (uint32_t)n},
            "", p);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (record < 0 || !is_below(fd))
        return syscall(SYS_write, fd, p, n);
    bool entered = enter();
    ssize_t rc = syscall(SYS_write, fd, p, n);
    record_data(fd, p, rc, rc > 0 ? syscall(SYS_lseek, fd, 0, SEEK_CUR) - rc : 0);
    leave(entered);
    return rc;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
    if (record < 0 || !is_below(fd))
        return syscall(SYS_pwrite64, fd, p, n, offset);
    bool entered = enter();
    ssize_t rc = syscall(SYS_pwrite64, fd, p, n, offset);
    record_data(fd, p, rc, offset);
    leave(entered);
    return rc;
}

int ftruncate(int fd, off_t size)
{
    if (record < 0 || !is_below(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    bool entered = enter();
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    if (rc == 0)
        put((struct entry){.kind = SIZE, .inode = inode_of(fd), .offset = (uint64_t)size}, "", NULL);
    leave(entered);
    return rc;
}

int fsync(int fd)
{
    if (record < 0 || !is_below(fd))
        return (int)syscall(SYS_fsync, fd);
    bool entered = enter();
    int rc = (int)syscall(SYS_fsync, fd);
    if (rc == 0)
        put((struct entry){.kind = SYNC, .inode = inode_of(fd)}, "", NULL);
    leave(entered);
    return rc;
}

/* ---- names ---- */
int openat(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;
    bool makes = flags & O_CREAT, unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    const char *last = NULL;
    if (makes || unnamed) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    uint64_t folder = record >= 0 && makes && !unnamed ? folder_of(dirfd, path, &last) : 0;
    bool entered = folder && enter();
    bool fresh = folder && inode_at(dirfd, path, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && fresh)
        record_name(NAME, folder, last, inode_of(fd));
    leave(entered);
    return fd;
}

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return openat(AT_FDCWD, path, flags, mode);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    const char *last = NULL;
    uint64_t folder = record >= 0 ? folder_of(to_fd, to, &last) : 0;
    bool entered = folder && enter();
    int rc = (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
    if (rc == 0)
        record_name(NAME, folder, last, inode_at(to_fd, to, AT_SYMLINK_NOFOLLOW));
    leave(entered);
    return rc;
}

int symlinkat(const char *target, int dirfd, const char *path)
{
    const char *last = NULL;
    uint64_t folder = record >= 0 ? folder_of(dirfd, path, &last) : 0;
    bool entered = folder && enter();
    int rc = (int)syscall(SYS_symlinkat, target, dirfd, path);
    if (rc == 0 && folder)
        put((struct entry){.kind = SYMLINK,
                           .folder = folder,
                           .inode = inode_at(dirfd, path, AT_SYMLINK_NOFOLLOW),
                           .name_n = (uint32_t)strlen(last),
                           .data_n = (uint32_t)strlen(target)},
            last, target);
    leave(entered);
    return rc;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    const char *old = NULL, *new = NULL;
    uint64_t folder = record >= 0 ? folder_of(from_fd, from, &old) : 0;
    uint64_t folder2 = folder ? folder_of(to_fd, to, &new) : 0;
    bool entered = folder && enter();
    int rc = (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
    if (rc == 0 && folder) {
        char both[2 * NAME_MAX + 2];
        int n = snprintf(both, sizeof both, "%s/%s", old, new);
        put((struct entry){.kind = RENAMED,
                           .folder = folder,
                           .folder2 = folder2,
                           .name_n = (uint32_t)n,
                           .inode = inode_at(to_fd, to, AT_SYMLINK_NOFOLLOW)},
            both, NULL);
    }
    leave(entered);
    return rc;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dirfd, const char *path, int flags)
{
    const char *last = NULL;
    uint64_t folder = record >= 0 ? folder_of(dirfd, path, &last) : 0;
    bool entered = folder && enter();
    int rc = (int)syscall(SYS_unlinkat, dirfd, path, flags);
    if (rc == 0)
        record_name(GONE, folder, last, 0);
    leave(entered);
    return rc;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
    const char *last = NULL;
    uint64_t folder = record >= 0 ? folder_of(dirfd, path, &last) : 0;
    bool entered = folder && enter();
    int rc = (int)syscall(SYS_mkdirat, dirfd, path, mode);
    if (rc == 0)
        record_name(FOLDER, folder, last, inode_at(dirfd, path, AT_SYMLINK_NOFOLLOW));
    leave(entered);
    return rc;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}
