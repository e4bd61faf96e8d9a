#include "walk.h"

#include "base/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_BUCKETS 65536

/* A file with several links: where the walk met it first. */
struct link {
    dev_t dev;
    ino_t ino;
    char *path;
    uint64_t run;
    struct link *next;
};
struct walk {
    struct walk_options options;
    int root;
    dev_t root_dev;
    uint64_t sockets;
    struct link **links;
};

void folder_release(struct folder *f)
{
    if (f && --f->users == 0) {
        close(f->fd);
        free(f);
    }
}

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
    AUTO_FD fd = open(o->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_FAILED, "%s: no such folder: is the volume mounted, is the path right?",
                       o->root),
               NULL;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(e, ERR_FAILED, "%s", o->root), NULL;
    struct walk *w = xcalloc(1, sizeof *w);
    w->options = *o;
    w->root = fd;
    w->root_dev = st.st_dev;
    w->links = xcalloc(LINK_BUCKETS, sizeof *w->links);
    fd = -1;
    return w;
}

int walk_root_fd(const struct walk *w)
{
    return w->root;
}

uint64_t walk_sockets(const struct walk *w)
{
    return w->sockets;
}

static struct link **bucket(struct walk *w, const struct stat *st)
{
    return &w->links[(st->st_ino * 0x9e3779b97f4a7c15u >> 48) % LINK_BUCKETS];
}

static struct link *find_link(struct walk *w, const struct stat *st)
{
    for (struct link *l = *bucket(w, st); l; l = l->next)
        if (l->ino == st->st_ino && l->dev == st->st_dev)
            return l;
    return NULL;
}

void walk_note_run(struct walk *w, const struct entry *e, uint64_t run)
{
    struct link *l =
        S_ISREG(e->st.st_mode) && e->st.st_nlink > 1 && !e->link_to ? find_link(w, &e->st) : NULL;
    if (l)
        l->run = run;
}

static void set_link_role(struct walk *w, struct entry *e)
{
    if (!S_ISREG(e->st.st_mode) || e->st.st_nlink < 2)
        return;
    struct link *l = find_link(w, &e->st);
    if (l) {
        e->link_to = xstrdup(l->path);
        e->link_run = l->run;
        return;
    }
    struct link **b = bucket(w, &e->st);
    l = xcalloc(1, sizeof *l);
    *l = (struct link){.dev = e->st.st_dev, .ino = e->st.st_ino, .path = xstrdup(e->path), .next = *b};
    *b = l;
}

static char *read_target(int dirfd, const char *name, off_t size)
{
    size_t cap = (size_t)MAX(size, (off_t)127) + 1;
    for (;;) {
        char *target = xcalloc(cap + 1, 1);
        ssize_t n = readlinkat(dirfd, name, target, cap);
        if (n >= 0 && (size_t)n < cap) {
            target[n] = 0;
            return target;
        }
        free(target);
        if (n < 0)
            return NULL;
        cap *= 2;
    }
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in an open folder, sorted. Takes over fd. -1 with errno. */
static int read_names(int fd, struct strings *out)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return -1;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(d)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strings_add(out, entry->d_name);
    int why = errno;
    closedir(d);
    errno = why;
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_bytes);
    return why ? -1 : 0;
}

/* CACHEDIR.TAG as https://bford.info/cachedir/ defines it: the file starts with this signature. */
static bool is_cache_folder(int dirfd)
{
    static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
    char start[sizeof signature - 1];
    AUTO_FD fd = openat(dirfd, "CACHEDIR.TAG", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && read(fd, start, sizeof start) == (ssize_t)sizeof start &&
           memcmp(start, signature, sizeof start) == 0;
}

static bool is_excluded(const struct walk *w, const char *path)
{
    for (size_t i = 0; i < w->options.exclude->n; i++)
        if (glob_match(w->options.exclude->v[i], path))
            return true;
    return false;
}

static int walk_folder(struct walk *w, const struct walk_visitor *v, int fd, const char *path, struct err *e);

/* Goes down into a folder that was just visited. */
static int descend(struct walk *w, const struct walk_visitor *v, int dirfd, const char *name,
                   const char *path, const struct stat *st, struct err *e)
{
    if (w->options.one_file_system && st->st_dev != w->root_dev)
        return 0;
    AUTO_CHAR kept = xstrdup(path); /* the visitor may free the entry that holds it */
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        v->problem(v->ctx, kept, errno, errno == ENOENT);
        return 0;
    }
    return walk_folder(w, v, fd, kept, e);
}

static int walk_one(struct walk *w, const struct walk_visitor *v, struct folder *folder, const char *path,
                    const char *name, struct err *e)
{
    struct stat st;
    AUTO_CHAR full = strcmp(path, ".") == 0 ? xstrdup(name) : xasprintf("%s/%s", path, name);
    if (stop_check(e))
        return -1;
    if (is_excluded(w, full))
        return 0;
    if (fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        v->problem(v->ctx, full, errno, errno == ENOENT);
        return 0;
    }
    if (S_ISSOCK(st.st_mode)) {
        w->sockets++;
        return 0;
    }
    struct entry *entry = xcalloc(1, sizeof *entry);
    *entry = (struct entry){.path = xstrdup(full), .folder = folder, .st = st};
    folder->users++;
    const char *slash = strrchr(entry->path, '/');
    entry->name = slash ? slash + 1 : entry->path;
    if (S_ISLNK(st.st_mode) && !(entry->target = read_target(folder->fd, name, st.st_size))) {
        v->problem(v->ctx, full, errno, errno == ENOENT);
        entry_free(entry);
        return 0;
    }
    set_link_role(w, entry);
    if (v->entry(v->ctx, entry, e))
        return -1;
    return S_ISDIR(st.st_mode) ? descend(w, v, folder->fd, name, full, &st, e) : 0;
}

/* Takes over fd. */
static int walk_folder(struct walk *w, const struct walk_visitor *v, int fd, const char *path, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE;
    struct folder *folder = xcalloc(1, sizeof *folder);
    *folder = (struct folder){.fd = fd, .users = 1};
    int rc = 0;
    bool tag_only = w->options.exclude_caches && is_cache_folder(fd);
    if (tag_only) {
        strings_add(&names, "CACHEDIR.TAG");
    } else {
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (copy < 0 || read_names(copy, &names))
            v->problem(v->ctx, path, errno, false);
    }
    for (size_t i = 0; i < names.n && rc == 0; i++)
        rc = walk_one(w, v, folder, path, names.v[i], e);
    folder_release(folder);
    return rc;
}

int walk_run(struct walk *w, const struct walk_visitor *v, struct err *e)
{
    struct entry *root = xcalloc(1, sizeof *root);
    root->path = xstrdup(".");
    root->name = root->path;
    if (fstat(w->root, &root->st) != 0) {
        entry_free(root);
        return err_errno(e, ERR_FAILED, "%s", w->options.root);
    }
    int fd = openat(w->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        entry_free(root);
        return err_errno(e, ERR_FAILED, "%s", w->options.root);
    }
    if (v->entry(v->ctx, root, e)) {
        close(fd);
        return -1;
    }
    return walk_folder(w, v, fd, ".", e);
}

void walk_free(struct walk *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < LINK_BUCKETS; i++)
        for (struct link *l = w->links[i], *next; l; l = next) {
            next = l->next;
            free(l->path);
            free(l);
        }
    free(w->links);
    close(w->root);
    free(w);
}
