#include "tar_writer.h"

#include "base/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SMALL_FILE     (1u << 20) /* read whole before its header goes out, so it can be read again */
#define BLOCK          (512u << 10)
#define READS          3
#define XATTR_MAX      (64u << 10) /* Linux: XATTR_SIZE_MAX and XATTR_LIST_MAX */
#define STEP_FINE_NS   50000000ll  /* file systems with fine times: a timer tick and a margin */
#define STEP_COARSE_NS 2000000000ll

struct tar_writer {
    struct archive *plain,
        *binary; /* one sink; the second for names that are not plain ASCII (hdrcharset=BINARY) */
    tar_sink *sink;
    void *ctx;
    struct err *e; /* of the call in progress */
    uint64_t bytes;
    uint8_t *block;
    struct buf small;
};

static la_ssize_t push(struct archive *a, void *ctx, const void *p, size_t n)
{
    struct tar_writer *t = ctx;
    (void)a;
    t->bytes += n;
    return t->sink(t->ctx, BYTES(p, n), t->e) ? -1 : (la_ssize_t)n;
}

static struct archive *open_archive(struct tar_writer *t, bool binary)
{
    struct archive *a = archive_write_new();
    if (!a || archive_write_set_format_pax(a) != ARCHIVE_OK ||
        archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
        (binary && archive_write_set_format_option(a, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK) ||
        archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
        archive_write_open(a, t, NULL, push, NULL) != ARCHIVE_OK)
        abort();
    return a;
}

struct tar_writer *tar_writer_new(tar_sink *sink, void *ctx)
{
    struct tar_writer *t = xcalloc(1, sizeof *t);
    t->sink = sink;
    t->ctx = ctx;
    t->block = xcalloc(1, BLOCK);
    t->plain = open_archive(t, false);
    t->binary = open_archive(t, true);
    return t;
}

uint64_t tar_writer_bytes(const struct tar_writer *t)
{
    return t->bytes;
}

void tar_writer_free(struct tar_writer *t)
{
    if (!t)
        return;
    archive_write_fail(t->plain); /* no end of archive by itself */
    archive_write_fail(t->binary);
    archive_write_free(t->plain);
    archive_write_free(t->binary);
    buf_free(&t->small);
    free(t->block);
    free(t);
}

/* ---- what file systems promise ---- */
static long fs_type(int fd)
{
    struct statfs s;
    return fstatfs(fd, &s) == 0 ? (long)s.f_type : 0;
}

#define XFS_MAGIC 0x58465342 /* not in linux/magic.h */

int64_t tar_clock_step(int fd)
{
    switch (fs_type(fd)) {
    case EXT4_SUPER_MAGIC:
    case XFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
        return STEP_FINE_NS;
    default:
        return STEP_COARSE_NS;
    }
}

#define FUSE_MAGIC 0x65735546

bool tar_inodes_are_stable(int fd)
{
    long type = fs_type(fd);
    return type != FUSE_MAGIC && type != NFS_SUPER_MAGIC && type != OVERLAYFS_SUPER_MAGIC;
}

/* ---- headers ---- */
static bool is_ascii(const char *s)
{
    for (; s && *s; s++)
        if ((uint8_t)*s >= 0x80)
            return false;
    return true;
}

/* The kernel's form of an ACL: u32 version 2, then u16 tag, u16 permissions, u32 id, little-endian (acl(5)).
 */
static void add_acl(struct archive_entry *ae, int type, struct bytes value)
{
    static const struct {
        uint16_t kernel;
        int ours;
    } tags[] = {{0x01, ARCHIVE_ENTRY_ACL_USER_OBJ},  {0x02, ARCHIVE_ENTRY_ACL_USER},
                {0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ}, {0x08, ARCHIVE_ENTRY_ACL_GROUP},
                {0x10, ARCHIVE_ENTRY_ACL_MASK},      {0x20, ARCHIVE_ENTRY_ACL_OTHER}};
    struct cursor c = cursor_of(value);
    if (cursor_u32(&c) != 2)
        return;
    while (c.n >= 8) {
        uint32_t head = cursor_u32(&c), id = cursor_u32(&c);
        for (size_t i = 0; i < ARRAY_LEN(tags); i++)
            if (tags[i].kernel == (head & 0xffff))
                archive_entry_acl_add_entry(ae, type, (int)(head >> 16 & 7), tags[i].ours, (int)id, NULL);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Extended attributes and ACLs, through an open file or the path /proc/self/fd/DIR/NAME. */
static void add_xattrs(struct archive_entry *ae, int fd, const char *path)
{
    char *list = xcalloc(XATTR_MAX + 1, 1);
    uint8_t *value = xcalloc(XATTR_MAX, 1);
    const char *names[4096];
    size_t count = 0;
    ssize_t n = fd >= 0 ? flistxattr(fd, list, XATTR_MAX) : llistxattr(path, list, XATTR_MAX);
    for (char *name = list; n > 0 && name < list + n && count < ARRAY_LEN(names); name += strlen(name) + 1)
        names[count++] = name;
    qsort(names, count, sizeof *names, by_name); /* file systems list them in any order */
    for (size_t i = 0; i < count; i++) {
        ssize_t len =
            fd >= 0 ? fgetxattr(fd, names[i], value, XATTR_MAX) : lgetxattr(path, names[i], value, XATTR_MAX);
        if (len < 0)
            continue;
        if (strcmp(names[i], "system.posix_acl_access") == 0)
            add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, BYTES(value, len));
        else if (strcmp(names[i], "system.posix_acl_default") == 0)
            add_acl(ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, BYTES(value, len));
        else
            archive_entry_xattr_add_entry(ae, names[i], value, (size_t)len);
    }
    free(list);
    free(value);
}

/* Whether the file may have extended attributes: most have none, and one call says so. */
static void add_attributes(struct archive_entry *ae, const struct entry *entry, int fd)
{
    if (fd >= 0) {
        if (flistxattr(fd, NULL, 0) > 0)
            add_xattrs(ae, fd, NULL);
        return;
    }
    AUTO_CHAR path = xasprintf("/proc/self/fd/%d/%s", entry->folder->fd, entry->name);
    if (llistxattr(path, NULL, 0) > 0)
        add_xattrs(ae, -1, path);
}

static struct archive_entry *header_of(const struct entry *entry, int fd)
{
    const struct stat *st = &entry->st;
    struct archive_entry *ae = archive_entry_new();
    if (!ae)
        abort();
    archive_entry_copy_pathname(ae, entry->path);
    archive_entry_set_mode(ae, st->st_mode);
    archive_entry_set_uid(ae, st->st_uid);
    archive_entry_set_gid(ae, st->st_gid);
    archive_entry_set_mtime(ae, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    archive_entry_set_size(ae, 0);
    if (entry->link_to) {
        archive_entry_copy_hardlink(ae, entry->link_to);
        return ae;
    }
    if (S_ISREG(st->st_mode))
        archive_entry_set_size(ae, st->st_size);
    if (S_ISLNK(st->st_mode))
        archive_entry_copy_symlink(ae, entry->target);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        archive_entry_set_rdevmajor(ae, major(st->st_rdev));
        archive_entry_set_rdevminor(ae, minor(st->st_rdev));
    }
    add_attributes(ae, entry, fd);
    return ae;
}

static int archive_failed(struct archive *a, const struct entry *entry, struct err *e)
{
    AUTO_CHAR path = text_printable(entry->path, strlen(entry->path));
    return err_set(e, ERR_FAILED, "%s: tar: %s", path,
                   archive_error_string(a) ? archive_error_string(a) : "unknown error");
}

/* Puts the holes of a file into its header. Without any, nothing: then it is an ordinary entry. */
static void add_holes(struct archive_entry *ae, int fd, off_t size, blkcnt_t blocks)
{
    if (size == 0 || blocks * 512 >= size)
        return;
    off_t at = 0;
    bool any = false;
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 || data >= size)
            break;
        off_t end = lseek(fd, data, SEEK_HOLE);
        end = end < 0 || end > size ? size : end;
        if (data == 0 && end == size)
            return;
        archive_entry_sparse_add_entry(ae, data, end - data);
        any = true;
        at = end;
    }
    if (!any)
        archive_entry_sparse_add_entry(ae, size, 0);
}

/* ---- contents ---- */
struct reading {
    struct tar_writer *t;
    struct archive *a;
    struct entry *entry;
    int fd;
    struct err *e;
};

/* How far the hole goes that starts here: 0 where there are data, or the file system does not say. */
static uint64_t hole_at(int fd, uint64_t at, uint64_t left)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? left : 0;
    return MIN((uint64_t)data - at, left);
}

/* The bytes of an open file, to the size in the header; zeros where it ends early or cannot be read. Holes
 * are not read: the archive writer drops what its sparse map leaves out. */
static int copy_content(struct reading *r, bool *cut_short, int *error)
{
    struct tar_writer *t = r->t;
    static const uint8_t zeros[BLOCK];
    uint64_t left = (uint64_t)r->entry->st.st_size, at = 0;
    bool sparse = r->entry->st.st_blocks * 512 < r->entry->st.st_size;
    while (left) {
        uint64_t hole = sparse && !*cut_short ? hole_at(r->fd, at, left) : 0;
        for (uint64_t part; hole; hole -= part, left -= part, at += part) {
            part = MIN((uint64_t)BLOCK, hole);
            if (archive_write_data(r->a, zeros, part) < 0)
                return archive_failed(r->a, r->entry, r->e);
        }
        if (!left)
            break;
        ssize_t n = *cut_short ? 0 : pread(r->fd, t->block, MIN((uint64_t)BLOCK, left), (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            *error = errno;
        if (n <= 0) {
            *cut_short = true;
            n = (ssize_t)MIN((uint64_t)BLOCK, left);
            memset(t->block, 0, (size_t)n);
        }
        if (archive_write_data(r->a, t->block, (size_t)n) < 0)
            return archive_failed(r->a, r->entry, r->e);
        left -= (uint64_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* Reads a small file whole. false: it ends before its size, or *error. */
static bool read_small(struct reading *r, int *error)
{
    size_t size = (size_t)r->entry->st.st_size;
    struct buf *b = &r->t->small;
    b->n = 0;
    buf_reserve(b, size + 1);
    while (b->n < size) {
        ssize_t n = pread(r->fd, b->p + b->n, size - b->n, (off_t)b->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            *error = errno;
        if (n <= 0)
            return false;
        b->n += (size_t)n;
    }
    return true;
}

static bool same_times(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int64_t ns_of(const struct timespec *t)
{
    return t->tv_sec * 1000000000ll + t->tv_nsec;
}

/* Opens the file that the walk saw, and no other. */
static int open_file(const struct entry *entry, enum tar_outcome *out, int *error)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct stat st;
    int fd = openat(entry->folder->fd, entry->name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(entry->folder->fd, entry->name, flags);
    if (fd < 0) {
        *error = errno;
        *out = errno == ENOENT ? TAR_VANISHED : errno == ELOOP ? TAR_REPLACED : TAR_UNREADABLE;
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_ino != entry->st.st_ino ||
        st.st_dev != entry->st.st_dev) {
        *out = TAR_REPLACED;
        close(fd);
        return -1;
    }
    return fd;
}

static int write_header(struct reading *r, struct archive_entry *ae)
{
    int rc = archive_write_header(r->a, ae);
    if (rc < ARCHIVE_WARN || err_is_set(r->e))
        return archive_failed(r->a, r->entry, r->e);
    return 0;
}

static enum tar_outcome judge(const struct reading *r, bool cut_short, int error)
{
    struct stat after;
    const struct stat *before = &r->entry->st;
    if (error)
        return TAR_UNREADABLE;
    if (cut_short || fstat(r->fd, &after) != 0)
        return TAR_CHANGED;
    if (after.st_size > before->st_size)
        return TAR_GROWN;
    return after.st_size == before->st_size && same_times(before, &after) ? TAR_WHOLE : TAR_CHANGED;
}

/* One try at a large file: its header is out before its content is read, so a further try is a further entry
 * of the same name; who unpacks the stream ends with the last. */
static int write_large(struct reading *r, enum tar_outcome *out, int *error)
{
    bool cut_short = false;
    struct archive_entry *ae = header_of(r->entry, r->fd);
    add_holes(ae, r->fd, r->entry->st.st_size, r->entry->st.st_blocks);
    posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    int rc = write_header(r, ae) || copy_content(r, &cut_short, error) ? -1 : 0;
    archive_entry_free(ae);
    *out = judge(r, cut_short, *error);
    return rc;
}

/* A small file goes out once, as it was read last. */
static int write_small(struct reading *r)
{
    struct buf *b = &r->t->small;
    r->entry->st.st_size = (off_t)b->n;
    struct archive_entry *ae = header_of(r->entry, r->fd);
    add_holes(ae, r->fd, (off_t)b->n, r->entry->st.st_blocks);
    int rc = write_header(r, ae);
    archive_entry_free(ae);
    if (rc == 0 && b->n && archive_write_data(r->a, b->p, b->n) < 0)
        rc = archive_failed(r->a, r->entry, r->e);
    return rc;
}

static int write_file(struct reading *r, enum tar_outcome *out, int *error)
{
    bool is_small = false;
    for (unsigned tries = 0; tries < READS; tries++) {
        if (fstat(r->fd, &r->entry->st) != 0) {
            *error = errno;
            *out = TAR_UNREADABLE;
            return 0;
        }
        is_small = r->entry->st.st_size <= (off_t)SMALL_FILE;
        if (is_small)
            *out = judge(r, !read_small(r, error), *error);
        else if (write_large(r, out, error))
            return -1;
        if (*out != TAR_CHANGED)
            break;
    }
    return is_small && *out != TAR_UNREADABLE ? write_small(r) : 0;
}

int tar_writer_add(struct tar_writer *t, struct entry *entry, enum tar_outcome *out, int *error,
                   bool *settled, struct err *e)
{
    struct reading r = {.t = t, .entry = entry, .fd = -1, .e = e};
    r.a = is_ascii(entry->path) && is_ascii(entry->target) && is_ascii(entry->link_to) ? t->plain : t->binary;
    t->e = e;
    *out = TAR_WHOLE;
    *error = 0;
    *settled = true;
    if (!S_ISREG(entry->st.st_mode) || entry->link_to) {
        struct archive_entry *ae = header_of(entry, -1);
        int rc = write_header(&r, ae);
        archive_entry_free(ae);
        return rc || archive_write_finish_entry(r.a) < ARCHIVE_WARN ? archive_failed(r.a, entry, e) : 0;
    }
    int64_t began = time_now_ns();
    AUTO_FD fd = open_file(entry, out, error);
    if (fd < 0)
        return 0;
    r.fd = fd;
    if (write_file(&r, out, error))
        return -1;
    int64_t step = tar_clock_step(fd);
    *settled = *out == TAR_WHOLE && began - ns_of(&entry->st.st_mtim) > step &&
               began - ns_of(&entry->st.st_ctim) > step;
    return archive_write_finish_entry(r.a) < ARCHIVE_WARN ? archive_failed(r.a, entry, e) : 0;
}

int tar_writer_end(struct tar_writer *t, struct err *e)
{
    t->e = e;
    if (archive_write_close(t->plain) == ARCHIVE_OK)
        return 0;
    return err_set(e, ERR_FAILED, "tar: %s", archive_error_string(t->plain));
}
