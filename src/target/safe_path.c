#include "safe_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Levels kept open at once; the usual limit of a process is 1024 descriptors, and a path of 4,000 bytes can
 * have 2,000 levels. */
#define OPEN_LEVELS 64

bool safe_path_clean(char *path)
{
    if (path[0] == '/')
        return false;
    char *out = path;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        if (n > 0 && !(n == 1 && p[0] == '.')) {
            if (out != path)
                *out++ = '/';
            memmove(out, p, n);
            out += n;
        }
        p += n;
        p += *p == '/';
    }
    *out = 0;
    return true;
}

int place_failed(struct err *e, const char *shown, const char *what)
{
    return err_errno(e, errno == EROFS ? ERR_FAILED : ERR_IO, "%s: %s", shown, what);
}

static const char *next_name(const char *p, size_t n)
{
    return p[n] ? p + n + 1 : p + n;
}

/* ---- the stack ---- */
static bool has_default_acl(int fd)
{
    return fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0;
}

/* A folder that was there may be one that an earlier run, or this archive, had closed to its owner. */
static int look_at(struct level *l, const char *shown, struct err *e)
{
    if (fstat(l->fd, &l->was) != 0)
        return place_failed(e, shown, "stat");
    if ((l->was.st_mode & 0700) != 0700 && geteuid() != 0 && fchmod(l->fd, l->was.st_mode | 0700) != 0)
        return place_failed(e, shown, "the folder is closed to you");
    l->has_default = has_default_acl(l->fd);
    return 0;
}

static int push(struct folders *f, const struct level *l, struct err *e)
{
    size_t old = f->n - OPEN_LEVELS; /* the root stays open */
    if (f->n > OPEN_LEVELS && f->v[old].fd >= 0) {
        if (fstat(f->v[old].fd, &f->v[old].was) != 0)
            return place_failed(e, l->name, "stat");
        close(f->v[old].fd);
        f->v[old].fd = -1;
    }
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->v = xrealloc(f->v, f->cap, sizeof *f->v);
    }
    f->v[f->n++] = *l;
    return 0;
}

int folders_open(struct folders *f, int root_fd, struct err *e)
{
    struct level root = {.name = xstrdup(""), .fd = root_fd};
    if (look_at(&root, "the folder", e) || push(f, &root, e)) {
        free(root.name);
        close(root_fd);
        return -1;
    }
    return 0;
}

/* Opens a closed level again, from below; it must still be the same folder. */
static int reopen(struct level *l, int child, struct err *e)
{
    struct stat st;
    AUTO_FD fd = openat(child, "..", FOLDER_FLAGS);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(e, ERR_FAILED, "%s: the folder cannot be opened again", l->name);
    if (st.st_dev != l->was.st_dev || st.st_ino != l->was.st_ino)
        return err_set(e, ERR_FAILED, "%s: the folder was moved while it was being restored", l->name);
    l->fd = fd;
    fd = -1;
    return 0;
}

static int pop(struct folders *f, struct err *e)
{
    struct level *l = &f->v[f->n - 1];
    int rc = f->n > 1 && l[-1].fd < 0 ? reopen(l - 1, l->fd, e) : 0;
    if (l->fd >= 0) {
        f->leave(f->ctx, l);
        close(l->fd);
    }
    free(l->name);
    free(l->shown);
    f->n--;
    return rc;
}

static int open_folder(int parent, const char *name)
{
    int fd = openat(parent, name, FOLDER_FLAGS);
    if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
        fd = openat(parent, name, FOLDER_FLAGS);
    return fd;
}

static int make_folder(const struct level *parent, struct level *l, enum folders_last last)
{
    for (unsigned tries = 0;; tries++) {
        l->is_new = mkdirat(parent->fd, l->name, 0700) == 0;
        if (!l->is_new && errno != EEXIST)
            return -1;
        l->fd = open_folder(parent->fd, l->name);
        bool other = l->fd < 0 && (errno == ENOTDIR || errno == ELOOP);
        if (!other || last == FOLDERS_KEEP || tries || unlinkat(parent->fd, l->name, 0) != 0)
            return l->fd;
    }
}

/* Takes away from a new folder what it has from the umask, or inherited: the archive knows nothing of it. */
static void own(const struct level *l, const struct level *parent)
{
    if (parent->has_default) {
        fremovexattr(l->fd, "system.posix_acl_default");
        fremovexattr(l->fd, "system.posix_acl_access");
    }
    (void)!fchmod(l->fd, 0700);
}

static int enter(struct folders *f, const char *name, size_t n, enum folders_last last, struct err *e)
{
    const struct level *parent = &f->v[f->n - 1];
    struct level l = {.name = xstrndup(name, n), .fd = -1};
    AUTO_CHAR shown = text_printable(name, n);
    int rc = make_folder(parent, &l, last) < 0 ? -1 : 0;
    if (rc && (errno == ENOTDIR || errno == ELOOP))
        err_set(e, ERR_IO, "%s: something that is no folder is in its place", shown);
    else if (rc)
        place_failed(e, shown, "folder");
    else if (!l.is_new)
        rc = look_at(&l, shown, e);
    else
        own(&l, parent);
    if (rc || push(f, &l, e)) {
        fd_auto(&l.fd);
        free(l.name);
        return -1;
    }
    return 0;
}

/* How many levels of the stack lie on the way to `path`, and in *rest what comes after them. */
static size_t common_levels(const struct folders *f, const char *path, const char **rest)
{
    size_t keep = 1;
    const char *p = path;
    while (*p && keep < f->n) {
        size_t n = strcspn(p, "/");
        if (strlen(f->v[keep].name) != n || memcmp(f->v[keep].name, p, n) != 0)
            break;
        keep++;
        p = next_name(p, n);
    }
    *rest = p;
    return keep;
}

struct level *folders_go(struct folders *f, const char *path, enum folders_last last, struct err *e)
{
    const char *p;
    size_t keep = common_levels(f, path, &p);
    while (f->n > keep)
        if (pop(f, e))
            return NULL;
    while (*p) {
        size_t n = strcspn(p, "/");
        if (enter(f, p, n, p[n] ? FOLDERS_KEEP : last, e))
            return NULL;
        p = next_name(p, n);
    }
    return &f->v[f->n - 1];
}

/* *was: its mode, when it had to be opened to its owner; else 0. */
static int open_restored(int parent, const char *name, mode_t *was)
{
    struct stat st;
    *was = 0;
    if (faccessat(parent, name, R_OK | X_OK, AT_EACCESS) != 0 && errno == EACCES &&
        fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
        fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
        *was = st.st_mode;
    return openat(parent, name, FOLDER_FLAGS);
}

void folder_close_again(int fd, mode_t was)
{
    int why = errno;
    if (was)
        (void)!fchmod(fd, was & 07777);
    errno = why;
}

int folders_open_parent(const struct folders *f, const char *path, const char **name, mode_t *was)
{
    const char *slash = strrchr(path, '/');
    const char *p;
    *name = slash ? slash + 1 : path;
    AUTO_CHAR parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);
    const struct level *start = &f->v[common_levels(f, parent, &p) - 1];
    if (start->fd < 0) {
        start = f->v;
        p = parent;
    }
    int fd = fcntl(start->fd, F_DUPFD_CLOEXEC, 0);
    *was = 0;
    while (fd >= 0 && *p) {
        size_t n = strcspn(p, "/");
        AUTO_CHAR part = xstrndup(p, n);
        AUTO_FD above = fd;
        mode_t above_was = *was;
        fd = open_restored(above, part, was);
        folder_close_again(above, above_was);
        p = next_name(p, n);
    }
    return fd;
}

void folders_free(struct folders *f)
{
    struct err ignored = ERR_INIT; /* a level that cannot be opened again keeps what it has */
    while (f->n)
        (void)!pop(f, &ignored);
    free(f->v);
    *f = (struct folders){0};
}
