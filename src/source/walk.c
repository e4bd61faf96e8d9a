#include "walk.h"

#include "base/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The sorted names of one folder: one block of text and where each starts in it, because a folder may hold a
 * million of them. */
struct names {
    struct buf text;
    uint32_t *start;
    size_t n, cap;
};

/* A folder on the way down. */
struct level {
    struct folder *folder;
    struct names names;
    size_t next;
    size_t path_length; /* of the folder's own path, in walk.path */
};

struct walk {
    struct walk_options options;
    struct open_folders open;
    struct folder *root;
    uint64_t sockets;
    bool is_cache;   /* the root, and nothing but its tag is visited */
    struct buf path; /* of what is being looked at; without a NUL in n */
    struct level *levels;
    size_t depth, cap;
};

void entry_free(struct entry *e)
{
    if (!e)
        return;
    folder_release(e->folder);
    free(e->path);
    free(e->target);
    free(e->link_to);
    free(e);
}

struct walk *walk_new(const struct walk_options *o, struct err *e)
{
    int fd = open(o->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_FAILED, "%s: no such folder: is it mounted, is the path right?", o->root), NULL;
    struct walk *w = xcalloc(1, sizeof *w);
    w->options = *o;
    w->root = fd < 0 ? NULL : folder_new_root(&w->open, fd);
    if (w->root)
        return w;
    free(w);
    return err_errno(e, ERR_FAILED, "%s: cannot be opened as a folder", o->root), NULL;
}

uint64_t walk_sockets(const struct walk *w)
{
    return w->sockets;
}

bool walk_root_is_cache(const struct walk *w)
{
    return w->is_cache;
}

/* ---- names ---- */
static int by_bytes(const void *a, const void *b, void *text)
{
    const char *t = text;
    return strcmp(t + *(const uint32_t *)a, t + *(const uint32_t *)b);
}

static const char *name_at(const struct names *n, size_t i)
{
    return (const char *)n->text.p + n->start[i];
}

static void names_free(struct names *n)
{
    buf_free(&n->text);
    free(n->start);
    *n = (struct names){0};
}

static void names_add(struct names *n, const char *name)
{
    if (n->n == n->cap) {
        n->cap = n->cap ? 2 * n->cap : 32;
        n->start = xrealloc(n->start, n->cap, sizeof *n->start);
    }
    n->start[n->n++] = (uint32_t)n->text.n;
    buf_add(&n->text, BYTES(name, strlen(name) + 1));
}

/* 0 or an errno; what was read before a failure is kept. */
static int names_read(struct names *out, int dirfd)
{
    int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int why = errno;
        fd_auto(&fd);
        return why;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(d)); errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (out->text.n > UINT32_MAX - sizeof entry->d_name) {
            errno = EOVERFLOW;
            break;
        }
        names_add(out, entry->d_name);
    }
    int why = errno;
    closedir(d);
    if (out->n)
        qsort_r(out->start, out->n, sizeof *out->start, by_bytes, out->text.p);
    return why;
}

/* ---- what is left out ---- */
static bool is_excluded(const struct walk *w, const char *path)
{
    for (size_t i = 0; i < w->options.exclude->n; i++)
        if (glob_match(w->options.exclude->v[i], path))
            return true;
    return false;
}

#define CACHE_TAG "CACHEDIR.TAG"

/* A tag as https://bford.info/cachedir/ defines it: the file starts with this signature. */
static bool has_cache_tag(int dirfd)
{
    static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
    char start[sizeof signature - 1];
    struct stat st;
    if (fstatat(dirfd, CACHE_TAG, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    AUTO_FD fd = openat(dirfd, CACHE_TAG, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && read(fd, start, sizeof start) == (ssize_t)sizeof start &&
           memcmp(start, signature, sizeof start) == 0;
}

/* Of a cache only its tag is kept, so that it is one again after a restore. false: it is none. */
static bool drop_cache(struct names *n, int dirfd)
{
    size_t i = 0;
    while (i < n->n && strcmp(name_at(n, i), CACHE_TAG) != 0)
        i++;
    if (i == n->n || !has_cache_tag(dirfd))
        return false;
    n->start[0] = n->start[i];
    n->n = 1;
    return true;
}

/* ---- entries ---- */
/* NULL with errno. `size`: what the file system says of it, which may be anything. */
static char *read_target(int dirfd, const char *name, off_t size)
{
    size_t cap = (size_t)MIN(MAX(size, (off_t)127), (off_t)PATH_MAX) + 1;
    for (;;) {
        char *target = xcalloc(cap + 1, 1);
        ssize_t n = readlinkat(dirfd, name, target, cap);
        if (n >= 0 && (size_t)n < cap)
            return target;
        int why = errno;
        free(target);
        errno = why;
        if (n < 0)
            return NULL;
        cap *= 2;
    }
}

/* Looks at one name. NULL: nothing to store, or a problem that was reported. */
static struct entry *look_at(struct walk *w, const struct walk_visitor *v, struct folder *folder, int dirfd,
                             const char *path, const char *name)
{
    struct stat st;
    char *target = NULL;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        (S_ISLNK(st.st_mode) && !(target = read_target(dirfd, name, st.st_size)))) {
        v->problem(v->ctx, path, errno);
        return NULL;
    }
    if (S_ISSOCK(st.st_mode)) {
        w->sockets++;
        return NULL;
    }
    struct entry *entry = xcalloc(1, sizeof *entry);
    *entry = (struct entry){.path = xstrdup(path), .folder = folder_hold(folder), .st = st, .target = target};
    const char *slash = strrchr(entry->path, '/');
    entry->name = slash ? slash + 1 : entry->path;
    return entry;
}

/* ---- up and down ---- */
static void push_level(struct walk *w, const struct walk_visitor *v, struct folder *folder, const char *path)
{
    if (w->depth == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 16;
        w->levels = xrealloc(w->levels, w->cap, sizeof *w->levels);
    }
    struct level *l = &w->levels[w->depth++];
    *l = (struct level){.folder = folder, .path_length = w->path.n};
    int fd = folder_fd(folder);
    int why = fd < 0 ? errno : names_read(&l->names, fd);
    if (why)
        v->problem(v->ctx, path, why);
    if (why == 0 && w->options.exclude_caches && drop_cache(&l->names, fd) && w->depth == 1)
        w->is_cache = true;
}

static void pop_level(struct walk *w)
{
    struct level *l = &w->levels[--w->depth];
    folder_reopen_parent(l->folder);
    folder_release(l->folder);
    names_free(&l->names);
}

static void descend(struct walk *w, const struct walk_visitor *v, struct folder *parent, const char *name,
                    const char *path)
{
    struct folder *folder = folder_new(parent, name);
    if (!folder) {
        v->problem(v->ctx, path, errno);
        return;
    }
    if (w->options.one_file_system && folder->dev != w->root->dev)
        folder_release(folder);
    else
        push_level(w, v, folder, path);
}

/* Puts the path of a name in the folder at hand into walk.path. */
static const char *make_path(struct walk *w, const struct level *l, const char *name)
{
    w->path.n = l->path_length;
    if (w->path.n)
        buf_add_u8(&w->path, '/');
    buf_add_str(&w->path, name);
    return buf_cstr(&w->path);
}

/* The next name of the folder at hand. */
static int visit_next(struct walk *w, const struct walk_visitor *v, struct err *e)
{
    struct level *l = &w->levels[w->depth - 1];
    struct folder *folder = l->folder;
    const char *name = name_at(&l->names, l->next++);
    const char *path = make_path(w, l, name);
    if (is_excluded(w, path))
        return 0;
    int dirfd = folder_fd(folder);
    if (dirfd < 0 || w->path.n > WALK_PATH_MAX) {
        v->problem(v->ctx, path, dirfd < 0 ? errno : ENAMETOOLONG);
        return 0;
    }
    struct entry *entry = look_at(w, v, folder, dirfd, path, name);
    if (!entry)
        return 0;
    bool is_folder = S_ISDIR(entry->st.st_mode);
    if (v->entry(v->ctx, entry, e))
        return -1;
    if (is_folder)
        descend(w, v, folder, name, path);
    return 0;
}

int walk_run(struct walk *w, const struct walk_visitor *v, struct err *e)
{
    struct entry *root = look_at(w, v, w->root, folder_fd(w->root), ".", ".");
    if (!root)
        return err_set(e, ERR_FAILED, "%s: cannot be looked at", w->options.root);
    if (v->entry(v->ctx, root, e))
        return -1;
    push_level(w, v, folder_hold(w->root), ".");
    while (w->depth) {
        const struct level *l = &w->levels[w->depth - 1];
        if (stop_check(e))
            return -1;
        if (l->next == l->names.n)
            pop_level(w);
        else if (visit_next(w, v, e))
            return -1;
    }
    return 0;
}

void walk_free(struct walk *w)
{
    if (!w)
        return;
    while (w->depth)
        pop_level(w);
    folder_release(w->root);
    buf_free(&w->path);
    free(w->levels);
    free(w);
}
