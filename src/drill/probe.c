#include "drill/probe.h"

#include "target/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static int link_somewhere(const struct probe *p)
{
    AUTO_CHAR first = xasprintf("%s/%s", p->place, "probe-first");
    AUTO_FD fd = open(first, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -1 : link(first, p->path);
    int why = errno;
    unlink(first);
    errno = why;
    return rc;
}

static int create(const struct probe *p)
{
    struct archive_entry *ae = p->ae;
    if (archive_entry_hardlink(ae))
        return link_somewhere(p);
    mode_t type = archive_entry_filetype(ae);
    if (type == AE_IFDIR)
        return mkdir(p->path, 0700);
    if (type == AE_IFLNK)
        return symlink(archive_entry_symlink(ae) ? archive_entry_symlink(ae) : "", p->path);
    if (type != AE_IFREG)
        return mknod(p->path, type | 0600, makedev(archive_entry_rdevmajor(ae), archive_entry_rdevminor(ae)));
    AUTO_FD fd = open(p->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : ftruncate(fd, archive_entry_size(ae));
}

/* In the order of a restore; then what became of it. */
static void set_all(struct probe *p)
{
    struct archive_entry *ae = p->ae;
    const struct timespec mtime = {archive_entry_mtime(ae), archive_entry_mtime_nsec(ae)};
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};
    uid_t uid = (uid_t)archive_entry_uid(ae);
    gid_t gid = (gid_t)archive_entry_gid(ae);
    mode_t mode = archive_entry_mode(ae) & 07777;
    struct stat st;
    const char *name;
    const void *value;
    size_t n;
    p->owner = lchown(p->path, uid, gid) == 0 ? 0 : errno;
    archive_entry_xattr_reset(ae);
    while (archive_entry_xattr_next(ae, &name, &value, &n) == ARCHIVE_OK)
        (void)probe_xattr(p, name, BYTES(value, n));
    p->mode = S_ISLNK(archive_entry_mode(ae)) || chmod(p->path, mode) == 0 ? 0 : errno;
    p->time = utimensat(AT_FDCWD, p->path, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
    if (lstat(p->path, &st) != 0)
        return;
    if (p->owner == 0 && (st.st_uid != uid || st.st_gid != gid))
        p->owner = EOPNOTSUPP;
    if (p->mode == 0 && !S_ISLNK(st.st_mode) && (st.st_mode & 07777) != mode)
        p->mode = EOPNOTSUPP;
    if (p->time == 0 && (st.st_mtim.tv_sec != mtime.tv_sec || st.st_mtim.tv_nsec != mtime.tv_nsec))
        p->time = ERANGE;
}

void probe_make(struct probe *p, struct archive_entry *ae, const char *path)
{
    if (p->folder)
        return;
    const char *slash = strrchr(path, '/');
    p->ae = ae;
    p->folder = xasprintf("%s/probe", p->place);
    p->path =
        *path ? xasprintf("%s/%s", p->folder, slash ? slash + 1 : path) : xasprintf("%s/top", p->folder);
    p->owner = p->mode = p->time = 0;
    p->made = mkdir(p->folder, 0700) == 0 && create(p) == 0 ? 0 : errno;
    if (p->made == 0 && !archive_entry_hardlink(ae))
        set_all(p);
}

int probe_xattr(const struct probe *p, const char *archived_name, struct bytes value)
{
    AUTO_CHAR name = target_xattr_name(archived_name);
    return lsetxattr(p->path, name, value.p, value.n, 0) == 0 ? 0 : errno;
}

int probe_acl(const struct probe *p)
{
    /* linux/posix_acl_xattr.h: u32 version 2; u16 tag, u16 permissions, u32 id. One user besides the owner.
     */
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,    0, 255, 255, 255, 255, 2,   0,    6,
                                  0, 0, 0,   0,   0,   4,   0,    4, 0,   255, 255, 255, 255, 0x10, 0,
                                  6, 0, 255, 255, 255, 255, 0x20, 0, 0,   0,   255, 255, 255, 255};
    return lsetxattr(p->path, "system.posix_acl_access", acl, sizeof acl, 0) == 0 ? 0 : errno;
}

void probe_remove(struct probe *p)
{
    if (!p->folder)
        return;
    if (unlink(p->path) != 0)
        (void)rmdir(p->path);
    (void)rmdir(p->folder);
    free(STEAL(p->path));
    free(STEAL(p->folder));
}
