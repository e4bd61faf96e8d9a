#include "tar_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define ONE_MAX   (64u << 10)  /* Linux: XATTR_LIST_MAX, XATTR_SIZE_MAX */
#define TOTAL_MAX (512u << 10) /* libarchive's reader refuses a header above 1 MiB */

/* Where the attributes are: an open file, or a name below an open folder. */
struct place {
    int fd;
    char path[PATH_MAX]; /* /proc/self/fd/N/NAME: there is no listxattrat before Linux 6.13 */
};

static ssize_t list(const struct place *p, char *out)
{
    return p->fd >= 0 ? flistxattr(p->fd, out, ONE_MAX) : llistxattr(p->path, out, ONE_MAX);
}

static ssize_t get(const struct place *p, const char *name, uint8_t *out)
{
    return p->fd >= 0 ? fgetxattr(p->fd, name, out, ONE_MAX) : lgetxattr(p->path, name, out, ONE_MAX);
}

/* The kernel's form of an ACL (linux/posix_acl_xattr.h): u32 version 2, then for each entry u16 tag, u16
 * permissions, u32 id. false: not that, or an id that libarchive cannot hold. */
static bool add_acl(struct archive_entry *header, int type, struct bytes value)
{
    static const int tags[] = {[0x01] = ARCHIVE_ENTRY_ACL_USER_OBJ,  [0x02] = ARCHIVE_ENTRY_ACL_USER,
                               [0x04] = ARCHIVE_ENTRY_ACL_GROUP_OBJ, [0x08] = ARCHIVE_ENTRY_ACL_GROUP,
                               [0x10] = ARCHIVE_ENTRY_ACL_MASK,      [0x20] = ARCHIVE_ENTRY_ACL_OTHER};
    for (int pass = 0; pass < 2; pass++) { /* all of it is looked at before any of it goes in */
        struct cursor c = cursor_of(value);
        if (cursor_u32(&c) != 2 || c.n % 8)
            return false;
        while (c.n) {
            uint32_t head = cursor_u32(&c), id = cursor_u32(&c), tag = head & 0xffff;
            bool named = tag == 0x02 || tag == 0x08;
            if (tag >= ARRAY_LEN(tags) || !tags[tag] || (named && id > INT_MAX))
                return false;
            if (pass)
                archive_entry_acl_add_entry(header, type, (int)(head >> 16 & 7), tags[tag],
                                            named ? (int)id : -1, NULL);
        }
    }
    return true;
}

static bool is_acl(struct archive_entry *header, const char *name, struct bytes value)
{
    if (strcmp(name, "system.posix_acl_access") == 0)
        return add_acl(header, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, value);
    if (strcmp(name, "system.posix_acl_default") == 0)
        return add_acl(header, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, value);
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of their names: file systems list them in any. */
static int add_all(struct archive_entry *header, const struct place *p, char *names, size_t n, uint8_t *value)
{
    char **sorted = xcalloc(n / 2 + 1, sizeof *sorted); /* a name and its NUL */
    size_t count = 0, total = 0;
    int why = 0;
    for (char *name = names; name < names + n; name += strlen(name) + 1)
        sorted[count++] = name;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++) {
        ssize_t len = get(p, sorted[i], value);
        if (len < 0) {
            why = why || errno == ENODATA ? why : errno; /* ENODATA: taken away since it was listed */
            continue;
        }
        total += strlen(sorted[i]) + (size_t)len;
        if (total > TOTAL_MAX)
            why = why ? why : E2BIG;
        else if (!is_acl(header, sorted[i], BYTES(value, (size_t)len)))
            archive_entry_xattr_add_entry(header, sorted[i], value, (size_t)len);
    }
    free(sorted);
    return why;
}

int attributes_add(struct archive_entry *header, const struct entry *entry, int fd, struct buf *scratch)
{
    struct place p;
    char *names = (char *)buf_reserve(scratch, 2 * ONE_MAX + 1);
    p.fd = fd;
    if (fd < 0) {
        int dirfd = folder_fd(entry->folder);
        if (dirfd < 0)
            return errno;
        if (snprintf(p.path, sizeof p.path, "/proc/self/fd/%d/%s", dirfd, entry->name) >= (int)sizeof p.path)
            return ENAMETOOLONG;
    }
    ssize_t n = list(&p, names);
    if (n <= 0)
        return n == 0 || errno == ENOTSUP ? 0 : errno;
    names[n] = 0;
    return add_all(header, &p, names, (size_t)n, (uint8_t *)names + ONE_MAX + 1);
}
