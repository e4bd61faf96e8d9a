/* Writing to a directory: a file is complete and on the disk before it gets its name, and the name is on the
 * disk before the call returns. So a name that can be seen is either whole or was torn by a dying disk. */
#include "local.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stops before the disk is quite full: a full disk hurts whoever else lives on it, the database first. Asked
 * once for each object, so what is left may fall short by one. */
static int check_space(struct local *l, struct err *e)
{
    uint64_t have = 0, total = 0;
    if (local_space(&l->base, &have, &total, e))
        return -1;
    if (have >= total / 100 * l->min_free)
        return 0;
    char have_text[32], total_text[32];
    size_format(have_text, have);
    size_format(total_text, total);
    return err_set(e, ERR_SPACE,
                   "only %s of %s are free, and the last %u %% are left alone (min-free): `lifeboat prune "
                   "--exclusive`, or make room on that file system, or lower min-free",
                   have_text, total_text, l->min_free);
}

/* fd_write_all, with advice when the disk is full. */
static int write_all(struct local *l, int fd, struct bytes data, struct err *e)
{
    struct err plain = ERR_INIT;
    if (fd_write_all(fd, data, "temporary file", &plain) == 0)
        return 0;
    if (plain.kind != ERR_SPACE)
        return err_set(e, plain.kind, "%s", plain.text);
    errno = errno == EDQUOT ? EDQUOT : ENOSPC;
    return local_errno(l, e, "temporary file: write");
}

/* ---- temporary names ---- */
static char *temp_name(void)
{
    char hex[17];
    random_hex(hex, 8);
    return xasprintf(TEMP_PREFIX "%s", hex);
}

int local_temp_create(struct local *l, char **name)
{
    AUTO_CHAR fresh = temp_name();
    int fd = openat(l->dirfd, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, OBJECT_MODE);
    if (fd >= 0) {
        (void)!fchmod(fd, OBJECT_MODE); /* whatever the umask; file systems without modes refuse */
        *name = STEAL(fresh);
    }
    return fd;
}

static void remember_temp(struct local *l, ino_t inode, char *name)
{
    pthread_mutex_lock(&l->lock);
    l->temps = xrealloc(l->temps, l->temp_count + 1, sizeof *l->temps);
    l->temps[l->temp_count++] = (struct temp){.inode = inode, .name = name};
    pthread_mutex_unlock(&l->lock);
}

/* The temporary name of an inode, now the caller's; NULL: it has none. */
static char *take_temp(struct local *l, ino_t inode)
{
    char *name = NULL;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->temp_count && !name; i++)
        if (l->temps[i].inode == inode) {
            name = l->temps[i].name;
            l->temps[i] = l->temps[--l->temp_count];
        }
    pthread_mutex_unlock(&l->lock);
    return name;
}

void local_temps_remove(struct local *l)
{
    for (size_t i = 0; i < l->temp_count; i++) {
        unlinkat(l->dirfd, l->temps[i].name, 0);
        free(l->temps[i].name);
    }
    free(l->temps);
}

static int named_tempfile(struct local *l, struct err *e)
{
    char *name = NULL;
    struct stat st;
    AUTO_FD fd = local_temp_create(l, &name);
    if (fd < 0 || fstat(fd, &st) != 0) {
        local_errno(l, e, "create");
        free(name);
        return -1;
    }
    remember_temp(l, st.st_ino, name);
    int out = fd;
    fd = -1;
    return out;
}

/* ---- files without a name ---- */
/* Needs /proc: AT_EMPTY_PATH would need a privilege. */
static int link_unnamed(int fd, int dirfd, const char *name)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, dirfd, name, AT_SYMLINK_FOLLOW);
}

/* File systems without O_TMPFILE (nfs, cifs, exfat, many fuse), or where such a file cannot be linked, are
 * found by trying, once. Any other trouble is left to the attempt that counts. */
static bool unnamed_works(struct local *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->unnamed == LINK_UNKNOWN) {
        AUTO_CHAR name = temp_name();
        AUTO_FD fd = openat(l->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, OBJECT_MODE);
        bool linked = fd >= 0 && link_unnamed(fd, l->dirfd, name) == 0 && unlinkat(l->dirfd, name, 0) == 0;
        l->unnamed = linked ? LINK_WORKS : LINK_FAILS;
    }
    bool works = l->unnamed == LINK_WORKS;
    pthread_mutex_unlock(&l->lock);
    return works;
}

static int new_tempfile(struct local *l, struct err *e)
{
    if (!unnamed_works(l))
        return named_tempfile(l, e);
    int fd = openat(l->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, OBJECT_MODE);
    if (fd < 0)
        return local_errno(l, e, "create");
    (void)!fchmod(fd, OBJECT_MODE); /* as above */
    return fd;
}

int local_tempfile(struct store *s, struct err *e)
{
    struct local *l = local_of(s);
    return check_space(l, e) ? -1 : new_tempfile(l, e);
}

/* What a prune must put before it can give space back: small, and there is always room for it. */
static bool makes_room(const char *name)
{
    return strncmp(name, "marks/", 6) == 0 || strncmp(name, "index/", 6) == 0;
}

/* ---- folders ---- */
static int sync_folder(struct local *l, const char *folder, struct err *e)
{
    AUTO_FD fd = openat(l->dirfd, *folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? local_errno(l, e, "open the folder") : dir_sync(fd, "folder", e);
}

static char *folder_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return xstrndup(name, slash ? (size_t)(slash - name) : 0);
}

/* Makes one folder and its name durable. One that is there already may be so fresh that it would not survive
 * a power cut (its maker was killed), so the folder above is synced once in any case. */
static int make_folder(struct local *l, const char *folder, struct err *e)
{
    AUTO_CHAR above = folder_of(folder);
    bool made = mkdirat(l->dirfd, folder, FOLDER_MODE) == 0;
    if (!made && errno != EEXIST)
        return local_errno(l, e, "make the folder");
    if (made)
        (void)!fchmodat(l->dirfd, folder, FOLDER_MODE, 0); /* as with files */
    if (!made && strings_has(&l->synced, above))
        return 0;
    if (sync_folder(l, above, e))
        return -1;
    if (!strings_has(&l->synced, above))
        strings_add(&l->synced, above);
    return 0;
}

static int make_parents(struct local *l, const char *name, struct err *e)
{
    int rc = 0;
    AUTO_CHAR folder = xstrdup(name);
    pthread_mutex_lock(&l->lock);
    for (char *slash = strchr(folder, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        rc = make_folder(l, folder, e);
        *slash = '/';
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* ---- publishing ---- */
static bool is_there(struct local *l, const char *name, uint64_t size)
{
    struct stat st;
    return fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == size;
}

static int sync_name(struct local *l, const char *name, struct err *e)
{
    AUTO_CHAR folder = folder_of(name);
    return sync_folder(l, folder, e) ? STORE_FAILED : STORE_DONE;
}

/* An object that is there may still be in memory only: its writer was killed, or was rsync. */
static int keep_existing(struct local *l, const char *name, struct err *e)
{
    AUTO_FD fd = open_regular(l->dirfd, name);
    if (fd < 0 || fsync(fd) != 0)
        return local_errno(l, e, "fsync");
    return sync_name(l, name, e);
}

/* The last word on a put: a network file system may say yes to what it does not do. */
static int settle(struct local *l, const char *name, uint64_t size, struct err *e)
{
    struct stat st;
    if (sync_name(l, name, e))
        return STORE_FAILED;
    bool there = fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return local_errno(l, e, "look at what was stored");
    if (there && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return STORE_DONE;
    return err_set(
        e, ERR_IO,
        "the file system said that it was stored, and it is not there, or not with its %llu bytes: do "
        "not keep backups on this file system before it is mended",
        (unsigned long long)size);
}

static int rename_temp(struct local *l, const char *temporary, const char *name, uint64_t size, struct err *e)
{
    if (renameat(l->dirfd, temporary, l->dirfd, name) != 0) {
        local_errno(l, e, "rename");
        unlinkat(l->dirfd, temporary, 0);
        return STORE_FAILED;
    }
    fd_cache_forget(l->files, name);
    return settle(l, name, size, e);
}

/* Puts a file without a name over a torn object. */
static int replace(struct local *l, int fd, const char *name, uint64_t size, struct err *e)
{
    AUTO_CHAR temporary = temp_name();
    return link_unnamed(fd, l->dirfd, temporary) == 0 ? rename_temp(l, temporary, name, size, e)
                                                      : local_errno(l, e, "link");
}

/* The file has `size` bytes, or more that do not belong to the object. */
static int fit(struct local *l, int fd, uint64_t size, struct stat *st, struct err *e)
{
    if (fstat(fd, st) != 0 || ((uint64_t)st->st_size > size && ftruncate(fd, (off_t)size) != 0))
        return local_errno(l, e, "temporary file");
    if ((uint64_t)st->st_size < size)
        return err_set(e, ERR_IO, "temporary file: ends at byte %lld of %llu", (long long)st->st_size,
                       (unsigned long long)size);
    return 0;
}

/* `keep`: an object of that size that is there already is as good. */
static int publish(struct local *l, int fd, const char *name, uint64_t size, bool keep, struct err *e)
{
    struct stat st;
    if (fit(l, fd, size, &st, e) || make_parents(l, name, e))
        return STORE_FAILED;
    AUTO_CHAR temporary = st.st_nlink ? take_temp(l, st.st_ino) : NULL;
    if (fsync(fd) != 0)
        return local_errno(l, e, "fsync");
    if (temporary)
        return rename_temp(l, temporary, name, size, e);
    if (link_unnamed(fd, l->dirfd, name) == 0)
        return settle(l, name, size, e);
    if (errno != EEXIST)
        return local_errno(l, e, "link");
    return keep && is_there(l, name, size) ? keep_existing(l, name, e) : replace(l, fd, name, size, e);
}

int local_put_file(struct store *s, const char *name, int fd, uint64_t size, struct err *e)
{
    struct local *l = local_of(s);
    if (is_there(l, name, size))
        return keep_existing(l, name, e);
    return publish(l, fd, name, size, true, e);
}

int local_put(struct store *s, const char *name, struct bytes data, struct err *e)
{
    struct local *l = local_of(s);
    if (is_there(l, name, data.n))
        return keep_existing(l, name, e);
    AUTO_FD fd = makes_room(name) ? new_tempfile(l, e) : local_tempfile(s, e);
    if (fd < 0 || write_all(l, fd, data, e))
        return STORE_FAILED;
    return publish(l, fd, name, data.n, true, e);
}

int local_replace(struct store *s, const char *name, struct bytes data, struct err *e)
{
    struct local *l = local_of(s);
    AUTO_FD fd = local_tempfile(s, e);
    if (fd < 0 || write_all(l, fd, data, e))
        return STORE_FAILED;
    return publish(l, fd, name, data.n, false, e);
}

int local_delete(struct store *s, const char *name, struct err *e)
{
    struct local *l = local_of(s);
    struct stat st;
    if (fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return STORE_ABSENT;
    if (unlinkat(l->dirfd, name, 0) != 0)
        return errno == ENOENT || errno == ENOTDIR ? STORE_ABSENT : local_errno(l, e, "unlink");
    fd_cache_forget(l->files, name);
    return sync_name(l, name, e);
}
