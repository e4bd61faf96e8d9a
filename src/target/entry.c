/* One entry of an archive, made below the folder. Each system call is relative to an open folder and follows
 * nothing (safe_path.h). Nothing is ever opened that was there before. */
#include "unpack.h"

#include "base/child.h"
#include "base/file.h"
#include "metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xxhash.h>

#define TEMPORARY   ".lifeboat-"
#define PARENT_MODE 0755 /* of a missing folder that the archive says nothing of */

/* A thing in the making. It comes under its own name when that is free; what is there already is replaced in
 * one step by a thing that was made beside it. */
struct making {
    struct unpacking *u;
    struct archive_entry *ae;
    const struct level *folder;
    const char *name, *shown;
    int link_dir; /* of a hard link: where the thing is, its name there, and its path */
    const char *link_name, *link_path;
    char temporary[40]; /* "": made under its own name */
    int fd;             /* of a regular file */
};

static int create(struct making *m, const char *name)
{
    int dirfd = m->folder->fd;
    mode_t type = archive_entry_filetype(m->ae);
    if (m->link_name)
        return linkat(m->link_dir, m->link_name, dirfd, name, 0);
    if (type == AE_IFREG) {
        m->fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        return m->fd < 0 ? -1 : 0;
    }
    if (type == AE_IFLNK) {
        const char *target = archive_entry_symlink(m->ae);
        return symlinkat(target ? target : "", dirfd, name);
    }
    dev_t dev = makedev(archive_entry_rdevmajor(m->ae), archive_entry_rdevminor(m->ae));
    return mknodat(dirfd, name, type | 0600, type == AE_IFIFO ? 0 : dev);
}

/* Beside it under a name that is the same each time: what a restore that was killed left there goes now. What
 * this one has restored from a backup of such a thing stays: the names are others from then on. */
static int create_here_or_beside(struct making *m)
{
    int rc = create(m, m->name);
    if (rc == 0 || errno != EEXIST)
        return rc;
    snprintf(m->temporary, sizeof m->temporary, TEMPORARY "%016llx",
             (unsigned long long)XXH3_64bits_withSeed(m->name, strlen(m->name), m->u->temporaries));
    rc = create(m, m->temporary);
    if (rc == 0 || errno != EEXIST || unlinkat(m->folder->fd, m->temporary, 0) != 0)
        return rc;
    return create(m, m->temporary);
}

/* Gives a thing its name, or, when it did not become whole, takes it away again. */
static int settle(struct making *m, int rc, struct err *e)
{
    int dirfd = m->folder->fd;
    if (!*m->temporary) {
        if (rc)
            unlinkat(dirfd, m->name, 0);
        return rc;
    }
    if (rc == 0 && renameat(dirfd, m->temporary, dirfd, m->name) != 0 &&
        !(errno == EISDIR && unlinkat(dirfd, m->name, AT_REMOVEDIR) == 0 &&
          renameat(dirfd, m->temporary, dirfd, m->name) == 0))
        rc = place_failed(e, m->shown, "what is in its place cannot be replaced");
    unlinkat(dirfd, m->temporary, 0); /* still there also after a rename onto a link to the same file */
    return rc;
}

static int copy_data(struct making *m, struct err *e)
{
    struct unpacking *u = m->u;
    const void *p;
    size_t n;
    struct stat st;
    la_int64_t offset, end = 0, size = archive_entry_size(m->ae);
    int rc;
    while ((rc = archive_read_data_block(u->a, &p, &n, &offset)) == ARCHIVE_OK) {
        if (offset < 0 || offset > size || (la_int64_t)n > size - offset)
            return err_set(e, ERR_DAMAGED, "%s: the archive has content beyond the file's size", m->shown);
        if (stop_check(e) || fd_pwrite_all(m->fd, BYTES(p, n), (uint64_t)offset, m->shown, e))
            return -1;
        end = offset + (la_int64_t)n;
        u->counts->bytes += n;
    }
    if (rc != ARCHIVE_EOF)
        return unpack_stream_failed(u, m->shown, e);
    if (end < size && ftruncate(m->fd, size) != 0)
        return place_failed(e, m->shown, "a hole at its end");
    if (fstat(m->fd, &st) != 0)
        return place_failed(e, m->shown, "stat");
    if (st.st_size != size)
        return err_set(
            e, ERR_IO,
            "%s: the file system said that all %lld bytes were written, and has %lld: restore onto "
            "another disk",
            m->shown, (long long)size, (long long)st.st_size);
    return 0;
}

static int pass_over(struct making *m, const char *why)
{
    m->u->counts->skipped++;
    target_note(m->u->counts, "%s: %s: passed over", m->shown, why);
    return 0;
}

static bool is_device(mode_t type)
{
    return type == AE_IFCHR || type == AE_IFBLK;
}

static int not_made(struct making *m, struct err *e)
{
    if (m->link_path && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
        AUTO_CHAR from = text_printable(m->link_path, strlen(m->link_path));
        return err_set(e, ERR_IO, "%s: is a hard link to %s, which was not restored", m->shown, from);
    }
    if (!m->link_path && errno == EPERM && is_device(archive_entry_filetype(m->ae)))
        return pass_over(m, "is a device node, which may not be made here");
    return place_failed(e, m->shown, m->link_path ? "hard link" : "create");
}

static int make(struct making *m, struct err *e)
{
    struct unpacking *u = m->u;
    m->fd = -1;
    if (create_here_or_beside(m) != 0)
        return not_made(m, e);
    AUTO_FD fd = m->fd;
    int rc = fd >= 0 ? copy_data(m, e) : 0;
    if (rc == 0 && !m->link_name) {
        const char *name = *m->temporary ? m->temporary : m->name;
        const struct made made = {.fd = fd,
                                  .dirfd = m->folder->fd,
                                  .name = name,
                                  .shown = m->shown,
                                  .strip = m->folder->has_default};
        metadata_apply(&made, m->ae, u->o->ownership, u->counts);
    }
    bool closed = fd < 0 || close(fd) == 0; /* where a network file system tells of a full disk */
    fd = -1;
    if (rc == 0 && !closed)
        rc = place_failed(e, m->shown, "close");
    if (settle(m, rc, e))
        return -1;
    u->temporaries += strncmp(m->name, TEMPORARY, strlen(TEMPORARY)) == 0;
    u->counts->entries++;
    return 0;
}

/* ---- hard links ---- */
static int make_link(struct making *m, const char *path, struct err *e)
{
    struct unpacking *u = m->u;
    AUTO_CHAR target = xstrdup(archive_entry_hardlink(m->ae));
    if (!safe_path_clean(target) || !*target)
        return pass_over(m, "is a hard link to a place outside");
    const char *alias = unpack_alias(u, target), *from = alias ? alias : target;
    if (alias && strcmp(alias, path) == 0)
        return 0; /* restored with the content already */
    mode_t was;
    AUTO_FD parent = folders_open_parent(&u->folders, from, &m->link_name, &was);
    m->link_dir = parent;
    m->link_path = from;
    int rc = parent < 0 ? not_made(m, e) : make(m, e);
    folder_close_again(parent, was);
    return rc;
}

/* ---- folders ---- */
static void remember(struct level *l, struct archive_entry *ae, const char *shown)
{
    archive_entry_free(l->metadata);
    free(l->shown);
    l->metadata = archive_entry_clone(ae);
    l->shown = xstrdup(shown);
}

static int make_folder(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                       struct err *e)
{
    struct level *l = folders_go(&u->folders, path, FOLDERS_REPLACE, e);
    if (!l)
        return err_wrap(e, "%s", shown);
    u->counts->entries++;
    remember(l, ae, shown);
    return 0;
}

int unpack_missing_parent(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                          struct err *e)
{
    struct level *l = folders_go(&u->folders, path, FOLDERS_KEEP, e);
    if (!l)
        return err_wrap(e, "%s", shown);
    if (l->is_new)
        remember(l, ae, shown);
    return 0;
}

/* A folder that was there and that the archive does not speak of stays as it was. */
static void leave_as_it_was(const struct level *l)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, l->was.st_mtim};
    struct stat now;
    if (fstat(l->fd, &now) != 0)
        return;
    if (now.st_mode != l->was.st_mode)
        (void)!fchmod(l->fd, l->was.st_mode & 07777);
    if (now.st_mtim.tv_sec != l->was.st_mtim.tv_sec || now.st_mtim.tv_nsec != l->was.st_mtim.tv_nsec)
        (void)!futimens(l->fd, times);
}

void unpack_leave_folder(void *ctx, struct level *l)
{
    struct unpacking *u = ctx;
    const struct made made = {.fd = l->fd, .shown = l->shown, .strip = !l->is_new};
    if (l->metadata)
        metadata_apply(&made, l->metadata, u->o->ownership, u->counts);
    else if (l->is_new)
        (void)!fchmod(l->fd, PARENT_MODE);
    else
        leave_as_it_was(l);
    archive_entry_free(l->metadata);
    l->metadata = NULL;
}

/* ---- any entry ---- */
int unpack_entry(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                 struct err *e)
{
    mode_t type = archive_entry_filetype(ae);
    bool is_link = archive_entry_hardlink(ae);
    if (type == AE_IFDIR && !is_link)
        return make_folder(u, ae, path, shown, e);
    const char *slash = strrchr(path, '/');
    AUTO_CHAR parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);
    struct making m = {.u = u, .ae = ae, .name = slash ? slash + 1 : path, .shown = shown};
    if (!*m.name)
        return pass_over(&m, "is not a folder, but says to be the top one");
    m.folder = folders_go(&u->folders, parent, FOLDERS_KEEP, e);
    if (!m.folder)
        return err_wrap(e, "%s", shown);
    if (is_link)
        return make_link(&m, path, e);
    if (is_device(type) && !u->o->ownership)
        return pass_over(&m, "is a device node, which only root can make");
    if (type == AE_IFREG || type == AE_IFLNK || type == AE_IFIFO || is_device(type))
        return make(&m, e);
    return pass_over(&m, "is of a kind that is not restored");
}
