/* Unpacking a tar stream below a folder. libarchive parses; every system call here is our own, relative to an
 * open folder and following nothing, so no archive reaches outside (safe_path.h). */
#include "target/target.h"

#include "base/child.h"
#include "base/file.h"
#include "metadata.h"
#include "safe_path.h"

#include <archive.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct unpacking {
    const struct target_directory_options *o;
    struct target_counts *counts;
    struct feed *in;
    struct archive *a;
    struct folders folders;
    int root;    /* borrowed from folders.v[0] */
    bool *found; /* by `only` */
    struct err *e;
};

/* ---- the stream ---- */
static la_ssize_t pull(struct archive *a, void *ctx, const void **p)
{
    struct unpacking *u = ctx;
    struct bytes b;
    (void)a;
    if (u->in->next(u->in, &b, u->e))
        return -1;
    *p = b.p;
    return (la_ssize_t)b.n;
}

static int stream_failed(struct unpacking *u, const char *shown, struct err *e)
{
    if (err_is_set(e)) /* the feed's own error says more */
        return err_wrap(e, "%s: the restore is not complete", shown);
    return err_set(e, ERR_DAMAGED, "%s: the archive is damaged here (%s): the restore is not complete", shown,
                   archive_error_string(u->a) ? archive_error_string(u->a) : "unknown error");
}

/* ---- what is wanted ---- */
static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return n == 0 || (strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

static bool is_wanted(struct unpacking *u, const char *path)
{
    if (!u->o->only)
        return true;
    bool wanted = false;
    for (size_t i = 0; u->o->only[i]; i++)
        if (is_below(path, u->o->only[i]))
            wanted = u->found[i] = true;
    return wanted;
}

static const struct target_alias *alias_of(const struct unpacking *u, const char *from)
{
    for (const struct target_alias *a = u->o->aliases; a && a->from; a++)
        if (strcmp(a->from, from) == 0)
            return a;
    return NULL;
}

/* ---- one entry ---- */
/* Makes way for a name: what is there goes, but a folder that is not empty stays. */
static int make_way(int dirfd, const char *name, const char *shown, struct err *e)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if ((errno == EISDIR || errno == EPERM) && unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
        return 0;
    return err_errno(e, ERR_IO, "%s: cannot be replaced", shown);
}

static int copy_data(struct unpacking *u, struct archive_entry *ae, int fd, const char *shown, struct err *e)
{
    const void *p;
    size_t n;
    la_int64_t offset, end = 0, size = archive_entry_size(ae);
    int rc;
    while ((rc = archive_read_data_block(u->a, &p, &n, &offset)) == ARCHIVE_OK) {
        if (stop_check(e) || fd_pwrite_all(fd, BYTES(p, n), (uint64_t)offset, shown, e))
            return -1;
        end = offset + (la_int64_t)n;
        u->counts->bytes += n;
    }
    if (rc != ARCHIVE_EOF)
        return stream_failed(u, shown, e);
    if (end < size && ftruncate(fd, size) != 0)
        return err_errno(e, ERR_IO, "%s: a hole at its end", shown);
    return 0;
}

/* A file appears under its name when it is new; what is there already is replaced in one step. */
static int make_file(struct unpacking *u, struct archive_entry *ae, int dirfd, const char *name,
                     const char *shown, struct err *e)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    char temporary[64] = "";
    AUTO_FD fd = openat(dirfd, name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        snprintf(temporary, sizeof temporary, ".lifeboat-restore-%d", (int)getpid());
        unlinkat(dirfd, temporary, 0);
        fd = openat(dirfd, temporary, flags, 0600);
    }
    if (fd < 0)
        return err_errno(e, ERR_IO, "%s: create", shown);
    int rc = copy_data(u, ae, fd, shown, e);
    if (rc == 0)
        metadata_apply(fd, NULL, ae, shown, u->o->ownership, u->counts);
    if (rc == 0 && *temporary && renameat(dirfd, temporary, dirfd, name) != 0)
        rc = make_way(dirfd, name, shown, e) || renameat(dirfd, temporary, dirfd, name) != 0
                 ? err_errno(e, ERR_IO, "%s: replace", shown)
                 : 0;
    if (rc && *temporary)
        unlinkat(dirfd, temporary, 0);
    return rc;
}

static int make_link(struct unpacking *u, struct archive_entry *ae, int dirfd, const char *name,
                     const char *path, const char *shown, struct err *e)
{
    AUTO_CHAR target = xstrdup(archive_entry_hardlink(ae));
    if (!safe_path_clean(target) || !*target) {
        u->counts->skipped++;
        target_note(u->counts, "%s: is a hard link to a place outside: passed over", shown);
        return 0;
    }
    const struct target_alias *alias = alias_of(u, target);
    const char *from = alias ? alias->to : target;
    const char *last;
    if (strcmp(from, path) == 0)
        return 0; /* restored with the content already */
    AUTO_FD parent = safe_path_parent(u->root, from, &last);
    if (parent >= 0 && linkat(parent, last, dirfd, name, 0) == 0)
        return 0;
    if (parent >= 0 && errno == EEXIST) {
        if (make_way(dirfd, name, shown, e))
            return -1;
        if (linkat(parent, last, dirfd, name, 0) == 0)
            return 0;
    }
    AUTO_CHAR what = text_printable(from, strlen(from));
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
        u->counts->skipped++;
        target_note(u->counts, "%s: is a hard link to %s, which was not restored: passed over", shown, what);
        return 0;
    }
    return err_errno(e, ERR_IO, "%s: hard link to %s", shown, what);
}

/* Symlinks, fifos, devices. */
static int make_special(struct unpacking *u, struct archive_entry *ae, int dirfd, const char *name,
                        const char *shown, struct err *e)
{
    mode_t type = archive_entry_filetype(ae);
    for (unsigned tries = 0;; tries++) {
        dev_t dev = makedev(archive_entry_rdevmajor(ae), archive_entry_rdevminor(ae));
        const char *target = archive_entry_symlink(ae);
        int rc = type == AE_IFLNK ? symlinkat(target ? target : "", dirfd, name)
                                  : mknodat(dirfd, name, type | 0600, dev);
        if (rc == 0)
            break;
        if (errno == EEXIST && tries == 0) {
            if (make_way(dirfd, name, shown, e))
                return -1;
            continue;
        }
        if (errno == EPERM && type != AE_IFLNK) {
            u->counts->skipped++;
            target_note(u->counts, "%s: is a device node, which only root can make: passed over", shown);
            return 0;
        }
        return err_errno(e, ERR_IO, "%s: create", shown);
    }
    AUTO_CHAR path = xasprintf("/proc/self/fd/%d/%s", dirfd, name);
    metadata_apply(-1, path, ae, shown, u->o->ownership, u->counts);
    return 0;
}

/* A folder's metadata waits until the way leaves it: then its content, which changes its times, is there. */
static int make_folder(struct unpacking *u, struct archive_entry *ae, const char *path, struct err *e)
{
    if (folders_go(&u->folders, path, e) < 0)
        return -1;
    struct level *l = &u->folders.v[u->folders.n - 1];
    archive_entry_free(l->metadata);
    l->metadata = archive_entry_clone(ae);
    return 0;
}

static int leave_folder(void *ctx, struct level *l, struct err *e)
{
    struct unpacking *u = ctx;
    (void)e;
    AUTO_CHAR shown = text_printable(l->name, strlen(l->name));
    if (l->metadata)
        metadata_apply(l->fd, NULL, l->metadata, *shown ? shown : u->o->path, u->o->ownership, u->counts);
    archive_entry_free(l->metadata);
    l->metadata = NULL;
    return 0;
}

static int make_entry(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                      struct err *e)
{
    mode_t type = archive_entry_filetype(ae);
    u->counts->entries++;
    if (type == AE_IFDIR && !archive_entry_hardlink(ae))
        return make_folder(u, ae, path, e);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    AUTO_CHAR parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);
    int dirfd = folders_go(&u->folders, parent, e);
    if (dirfd < 0)
        return err_wrap(e, "%s", shown);
    if (!*name)
        return err_set(e, ERR_DAMAGED, "an entry of the archive has no name");
    if (archive_entry_hardlink(ae))
        return make_link(u, ae, dirfd, name, path, shown, e);
    if (type == AE_IFREG)
        return make_file(u, ae, dirfd, name, shown, e);
    if (type == AE_IFLNK || type == AE_IFIFO || type == AE_IFCHR || type == AE_IFBLK)
        return make_special(u, ae, dirfd, name, shown, e);
    u->counts->skipped++;
    target_note(u->counts, "%s: is of a kind that is not restored", shown);
    return 0;
}

static const char *raw_path(struct archive_entry *ae)
{
    const char *path = archive_entry_pathname(ae);
    return path ? path
                : archive_entry_pathname_utf8(ae); /* of another's archive, in a locale without its letters */
}

static int take_entry(struct unpacking *u, struct archive_entry *ae, struct err *e)
{
    const char *raw = raw_path(ae);
    if (!raw)
        return err_set(e, ERR_DAMAGED, "an entry of the archive has no name");
    AUTO_CHAR path = xstrdup(raw);
    AUTO_CHAR shown = text_printable(raw, strlen(raw));
    if (!safe_path_clean(path)) {
        u->counts->skipped++;
        target_note(u->counts, "%s: leads out of the folder: passed over", shown);
        return 0;
    }
    if (is_wanted(u, path))
        return make_entry(u, ae, path, shown, e);
    const struct target_alias *alias = alias_of(u, path);
    return alias ? make_entry(u, ae, alias->to, shown, e) : 0;
}

static int unpack(struct unpacking *u, struct err *e)
{
    struct archive_entry *ae;
    AUTO_CHAR last = xstrdup("the start of the archive");
    for (;;) {
        int rc = archive_read_next_header(u->a, &ae);
        if (rc == ARCHIVE_EOF && !err_is_set(e))
            return 0;
        if (rc < ARCHIVE_WARN || err_is_set(e))
            return stream_failed(u, last, e);
        if (stop_check(e) || take_entry(u, ae, e))
            return -1;
        free(last);
        last = text_printable(raw_path(ae), strlen(raw_path(ae)));
    }
}

/* ---- the folder ---- */
static int is_empty(int fd, struct err *e)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        fd_auto(&copy);
        return err_errno(e, ERR_IO, "read the folder");
    }
    int entries = 0;
    while (readdir(d))
        entries++;
    closedir(d);
    return entries <= 2;
}

int target_directory_check(const struct target_directory_options *o, struct err *e)
{
    AUTO_FD fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_errno(e, ERR_USAGE, "%s", o->path);
    int empty = is_empty(fd, e);
    if (empty < 0)
        return err_wrap(e, "%s", o->path);
    if (!empty && !o->overwrite)
        return err_set(
            e, ERR_USAGE,
            "%s: is not empty: restore into another folder, or say --overwrite to replace files in it",
            o->path);
    return 0;
}

static int all_found(const struct unpacking *u, struct err *e)
{
    for (size_t i = 0; u->o->only && u->o->only[i]; i++)
        if (!u->found[i]) {
            AUTO_CHAR shown = text_printable(u->o->only[i], strlen(u->o->only[i]));
            return err_set(e, ERR_USAGE,
                           "%s: is not in the snapshot: `lifeboat ls` and `lifeboat find` show what is",
                           shown);
        }
    return 0;
}

static int open_all(struct unpacking *u, struct err *e)
{
    if (target_directory_check(u->o, e) || dir_make(u->o->path, 0700, e))
        return -1;
    u->root = open(u->o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->root < 0)
        return err_errno(e, ERR_IO, "%s", u->o->path);
    u->folders = (struct folders){.leave = leave_folder, .ctx = u};
    if (folders_open(&u->folders, u->root, e))
        return -1;
    archive_read_support_format_tar(u->a);
    archive_read_support_format_empty(u->a);
    if (archive_read_open(u->a, u, NULL, pull, NULL) != ARCHIVE_OK)
        return stream_failed(u, u->o->path, e);
    return 0;
}

int target_directory(struct feed *in, const struct target_directory_options *o, struct target_counts *counts,
                     struct err *e)
{
    struct unpacking u = {.o = o, .counts = counts, .in = in, .e = e, .a = archive_read_new()};
    size_t n = 0;
    while (o->only && o->only[n])
        n++;
    u.found = xcalloc(n, sizeof *u.found);
    int rc = open_all(&u, e) || unpack(&u, e) || folders_close(&u.folders, e) || all_found(&u, e) ? -1 : 0;
    struct err ignored = ERR_INIT;
    (void)!folders_close(&u.folders,
                         &ignored); /* after a failure: what is there gets its modes and times, too */
    folders_free(&u.folders);
    archive_read_free(u.a);
    free(u.found);
    return rc;
}
