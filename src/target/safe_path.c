#include "safe_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

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

static void push(struct folders *f, const char *name, size_t n, int fd)
{
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->v = xrealloc(f->v, f->cap, sizeof *f->v);
    }
    f->v[f->n++] = (struct level){.name = xstrndup(name, n), .fd = fd};
}

int folders_open(struct folders *f, int root_fd, struct err *e)
{
    if (root_fd < 0)
        return err_set(e, ERR_IO, "the folder is not open");
    push(f, "", 0, root_fd);
    return 0;
}

static int pop(struct folders *f, struct err *e)
{
    struct level *l = &f->v[f->n - 1];
    int rc = f->leave(f->ctx, l, e);
    close(l->fd);
    free(l->name);
    f->n--;
    return rc;
}

static int enter(struct folders *f, const char *name, size_t n, struct err *e)
{
    AUTO_CHAR copy = xstrndup(name, n);
    int parent = f->v[f->n - 1].fd;
    int fd = openat(parent, copy, FOLDER_FLAGS);
    if (fd < 0 && errno == ENOENT && mkdirat(parent, copy, 0700) == 0)
        fd = openat(parent, copy, FOLDER_FLAGS);
    if (fd < 0 && errno == EACCES && fchmodat(parent, copy, 0700, 0) == 0) /* of a restore that was cut off */
        fd = openat(parent, copy, FOLDER_FLAGS);
    if (fd < 0) {
        AUTO_CHAR shown = text_printable(name, n);
        bool other = errno == ENOTDIR || errno == ELOOP;
        return other ? err_set(e, ERR_IO, "%s: something that is no folder is in its place", shown)
                     : err_errno(e, ERR_IO, "%s: folder", shown);
    }
    push(f, name, n, fd);
    return 0;
}

int folders_go(struct folders *f, const char *path, struct err *e)
{
    size_t keep = 1;
    const char *p = path;
    while (*p && keep < f->n) {
        size_t n = strcspn(p, "/");
        if (strlen(f->v[keep].name) != n || memcmp(f->v[keep].name, p, n) != 0)
            break;
        keep++;
        p += n;
        p += *p == '/';
    }
    while (f->n > keep)
        if (pop(f, e))
            return -1;
    while (*p) {
        size_t n = strcspn(p, "/");
        if (enter(f, p, n, e))
            return -1;
        p += n;
        p += *p == '/';
    }
    return f->v[f->n - 1].fd;
}

int folders_close(struct folders *f, struct err *e)
{
    while (f->n)
        if (pop(f, e))
            return -1;
    return 0;
}

void folders_free(struct folders *f)
{
    for (size_t i = 0; i < f->n; i++) {
        close(f->v[i].fd);
        free(f->v[i].name);
        free(f->v[i].metadata);
    }
    free(f->v);
    *f = (struct folders){0};
}

int safe_path_parent(int root_fd, const char *path, const char **name)
{
    int fd = openat(root_fd, ".", FOLDER_FLAGS);
    for (;;) {
        const char *slash = strchr(path, '/');
        if (fd < 0 || !slash) {
            *name = path;
            return fd;
        }
        AUTO_CHAR part = xstrndup(path, (size_t)(slash - path));
        int next = openat(fd, part, FOLDER_FLAGS);
        fd_auto(&fd);
        fd = next;
        path = slash + 1;
    }
}
