/* Listing a directory: every regular file whose path is the name of an object, whatever else lies there. */
#include "local.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMP_AGE_NS (24 * 3600 * 1000000000ll) /* no put takes so long: its run was cut off */

struct listing {
    struct local *local;
    const char *prefix;
    store_each *each;
    void *ctx;
};

/* ---- the store's clock ---- */
/* The mtime of a file that was just made there: on a network file system its server's time. 0: the store
 * cannot be written to. */
static int64_t store_clock(struct local *l)
{
    struct stat st;
    char *name = NULL;
    AUTO_FD fd = openat(l->dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, OBJECT_MODE);
    if (fd < 0 && (fd = local_temp_create(l, &name)) >= 0)
        unlinkat(l->dirfd, name, 0);
    free(name);
    return fd >= 0 && fstat(fd, &st) == 0 ? mtime_of(&st) : 0;
}

/* Temporary names of runs that were cut off. That one cannot be removed is no reason not to list. */
static void remove_old_temps(struct local *l, int64_t now_ns)
{
    int fd = openat(l->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    struct stat st;
    for (struct dirent *entry; (entry = readdir(d));)
        if (strncmp(entry->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0 &&
            fstatat(l->dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            now_ns - mtime_of(&st) > TEMP_AGE_NS && unlinkat(l->dirfd, entry->d_name, 0) == 0)
            log_info("%s: removed %s, left by a run that was cut off", l->base.title, entry->d_name);
    closedir(d);
}

/* ---- folders ---- */
static int list_folder(struct listing *l, int fd, const char *path, struct err *e);

/* Whether the folder or object could be, or lead to, a name with the prefix. */
static bool may_match(const char *name, const char *prefix)
{
    size_t n = strlen(name), m = strlen(prefix);
    return store_name_is_valid(name) && strncmp(name, prefix, MIN(n, m)) == 0;
}

/* An error about one file or folder. It is gone since it was listed: no error. */
static int trouble(struct listing *l, const char *name, struct err *e)
{
    return errno == ENOENT ? 0 : local_errno(l->local, e, name);
}

static int list_entry(struct listing *l, int dirfd, const char *path, const char *entry, struct err *e)
{
    struct stat st;
    AUTO_CHAR name = *path ? xasprintf("%s/%s", path, entry) : xstrdup(entry);
    if (!may_match(name, l->prefix))
        return 0;
    if (fstatat(dirfd, entry, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return trouble(l, name, e);
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(dirfd, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? trouble(l, name, e) : list_folder(l, fd, name, e);
    }
    if (!S_ISREG(st.st_mode))
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
        return local_errno(l->local, e, *path ? path : "folder");
    }
    int rc = 0;
    errno = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(d)); errno = 0)
        rc = list_entry(l, dirfd(d), path, entry->d_name, e);
    if (rc == 0 && errno)
        rc = local_errno(l->local, e, *path ? path : "folder");
    closedir(d);
    return rc;
}

int local_list(struct store *s, const char *prefix, store_each *each, void *ctx, int64_t *now_ns,
               struct err *e)
{
    struct listing l = {.local = local_of(s), .prefix = prefix, .each = each, .ctx = ctx};
    int64_t now = store_clock(l.local);
    if (now)
        remove_old_temps(l.local, now);
    if (now_ns)
        *now_ns = now ? now : time_now_ns();
    const char *slash = strrchr(prefix, '/'); /* start in the deepest folder that the prefix names */
    AUTO_CHAR folder = xstrndup(prefix, slash ? (size_t)(slash - prefix) : 0);
    int fd = openat(l.local->dirfd, *folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? STORE_DONE : local_errno(l.local, e, "open the folder");
    return list_folder(&l, fd, folder, e);
}
