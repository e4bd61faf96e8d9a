#include "metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOTES_KEPT  50
#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

void target_note(struct target_counts *c, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (c->notes.n < NOTES_KEPT)
        strings_add(&c->notes, text);
    else if (c->notes.n == NOTES_KEPT)
        strings_add(&c->notes, "... and more of the kind");
}

void target_counts_free(struct target_counts *c)
{
    strings_free(&c->notes);
    *c = (struct target_counts){0};
}

struct thing {
    struct made made;
    char path[64 + NAME_MAX]; /* for the calls that know no dirfd; "" with an open file */
    struct target_counts *counts;
};

static void refused(const struct thing *t, const char *what)
{
    char why[128];
    target_note(t->counts, "%s: %s could not be set: %s", t->made.shown, what,
                strerror_r(errno, why, sizeof why));
}

static int set_xattr(const struct thing *t, const char *name, const void *value, size_t n)
{
    return t->made.fd >= 0 ? fsetxattr(t->made.fd, name, value, n, 0) : lsetxattr(t->path, name, value, n, 0);
}

/* The kernel's form of an ACL (acl(5)): sorted by tag and id. */
struct acl_entry {
    uint16_t tag, permissions;
    uint32_t id;
};

static int by_tag_and_id(const void *a, const void *b)
{
    const struct acl_entry *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static uint16_t kernel_tag(int tag)
{
    switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
        return 0x01;
    case ARCHIVE_ENTRY_ACL_USER:
        return 0x02;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
        return 0x04;
    case ARCHIVE_ENTRY_ACL_GROUP:
        return 0x08;
    case ARCHIVE_ENTRY_ACL_MASK:
        return 0x10;
    default:
        return 0x20;
    }
}

/* The entries of an ACL, in the caller's array of archive_entry_acl_reset() + 3; -1: one names a user or
 * group by name, which is another here. */
static ssize_t read_acl(struct archive_entry *ae, int type, struct acl_entry *v)
{
    ssize_t n = 0;
    int got, permset, tag, id;
    const char *name;
    while (archive_entry_acl_next(ae, type, &got, &permset, &tag, &id, &name) == ARCHIVE_OK) {
        bool has_id = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;
        if (has_id && id < 0)
            return -1;
        v[n++] = (struct acl_entry){.tag = kernel_tag(tag),
                                    .permissions = (uint16_t)(permset & 7),
                                    .id = has_id ? (uint32_t)id : UINT32_MAX};
    }
    return n;
}

static void apply_acl(const struct thing *t, struct archive_entry *ae, int type, const char *attribute)
{
    int count = archive_entry_acl_reset(ae, type);
    if (count <= 0)
        return;
    struct acl_entry *v =
        xcalloc((size_t)count + 3, sizeof *v); /* 3: owner, group and others, from the mode */
    ssize_t n = read_acl(ae, type, v);
    AUTO(buf) value = BUF_NONE;
    buf_add_u32(&value, 2);
    if (n > 0)
        qsort(v, (size_t)n, sizeof *v, by_tag_and_id);
    for (ssize_t i = 0; i < n; i++) {
        buf_add_u32(&value, v[i].tag | (uint32_t)v[i].permissions << 16);
        buf_add_u32(&value, v[i].id);
    }
    if (n < 0)
        target_note(t->counts, "%s: its ACL was left out: it has names in it, not numbers", t->made.shown);
    else if (n > 0 && set_xattr(t, attribute, value.p, value.n) != 0)
        refused(t, "its ACL");
    free(v);
}

char *target_xattr_name(const char *archived)
{
    char *out = xstrdup(archived);
    size_t n = 0;
    for (const char *p = archived; *p; n++) {
        uint8_t byte = 0;
        bool coded = p[0] == '%' && p[1] && p[2] && hex_decode(&byte, 1, p + 1, 2) && byte;
        out[n] = coded ? (char)byte : *p;
        p += coded ? 3 : 1;
    }
    out[n] = 0;
    return out;
}

static void apply_xattrs(const struct thing *t, struct archive_entry *ae)
{
    const char *name;
    const void *value;
    size_t n;
    archive_entry_xattr_reset(ae);
    while (archive_entry_xattr_next(ae, &name, &value, &n) == ARCHIVE_OK) {
        AUTO_CHAR real = target_xattr_name(name);
        if (set_xattr(t, real, value, n) != 0) {
            AUTO_CHAR shown = text_printable(real, strlen(real));
            refused(t, shown);
        }
    }
}

/* Whether the archive says something about an extended attribute. */
static bool is_archived(struct archive_entry *ae, const char *name)
{
    const char *has;
    const void *value;
    size_t n;
    if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0)
        return false; /* set again in a moment, when there is one */
    archive_entry_xattr_reset(ae);
    while (archive_entry_xattr_next(ae, &has, &value, &n) == ARCHIVE_OK) {
        AUTO_CHAR real = target_xattr_name(has);
        if (strcmp(real, name) == 0)
            return true;
    }
    return strncmp(name, "user.", 5) != 0;
}

static void strip(const struct thing *t, struct archive_entry *ae)
{
    int fd = t->made.fd;
    AUTO(buf) list = BUF_NONE;
    buf_reserve(&list, XATTR_LIST_MAX);
    ssize_t n = fd >= 0 ? flistxattr(fd, (char *)list.p, XATTR_LIST_MAX)
                        : llistxattr(t->path, (char *)list.p, XATTR_LIST_MAX);
    const char *name = (const char *)list.p;
    for (const char *end = name + MAX(n, 0); name < end; name += strlen(name) + 1)
        if (!is_archived(ae, name) && (fd >= 0 ? fremovexattr(fd, name) : lremovexattr(t->path, name)) != 0)
            refused(t, name);
}

/* Whether owner and group are the archive's now. */
static bool apply_owner(const struct thing *t, struct archive_entry *ae)
{
    la_int64_t uid = archive_entry_uid(ae), gid = archive_entry_gid(ae);
    errno = EOVERFLOW;
    bool fits = uid >= 0 && uid < UINT32_MAX && gid >= 0 && gid < UINT32_MAX;
    const struct made *m = &t->made;
    if (fits && (m->fd >= 0 ? fchown(m->fd, (uid_t)uid, (gid_t)gid)
                            : fchownat(m->dirfd, m->name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW)) == 0)
        return true;
    refused(t, "its owner");
    return false;
}

/* The mode without a setuid or setgid that would lend out another owner or group than the archived one. */
static mode_t honest_mode(const struct thing *t, struct archive_entry *ae, bool owned)
{
    mode_t mode = archive_entry_mode(ae) & 07777;
    struct stat st;
    if (owned || !(mode & (S_ISUID | S_ISGID)))
        return mode;
    const struct made *m = &t->made;
    bool known = (m->fd >= 0 ? fstat(m->fd, &st) : fstatat(m->dirfd, m->name, &st, AT_SYMLINK_NOFOLLOW)) == 0;
    mode_t keep = mode;
    if (!known || st.st_uid != archive_entry_uid(ae))
        keep &= ~(mode_t)S_ISUID;
    if (!known || st.st_gid != archive_entry_gid(ae))
        keep &= ~(mode_t)S_ISGID;
    if (keep != mode)
        target_note(t->counts, "%s: setuid or setgid was left out, as its owner or group is not restored",
                    m->shown);
    return keep;
}

static void apply_mode(const struct thing *t, mode_t mode)
{
    const struct made *m = &t->made;
    if ((m->fd >= 0 ? fchmod(m->fd, mode) : fchmodat(m->dirfd, m->name, mode, AT_SYMLINK_NOFOLLOW)) != 0)
        refused(t, "its mode");
}

static void apply_times(const struct thing *t, struct archive_entry *ae)
{
    const struct made *m = &t->made;
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = archive_entry_mtime(ae), .tv_nsec = archive_entry_mtime_nsec(ae)}};
    if ((m->fd >= 0 ? futimens(m->fd, times) : utimensat(m->dirfd, m->name, times, AT_SYMLINK_NOFOLLOW)) != 0)
        refused(t, "its time");
}

/* The order matters: a change of owner drops capabilities and setuid; user attributes want a file that may
 * still be written; a mode set after an ACL would rewrite the ACL's mask. */
void metadata_apply(const struct made *m, struct archive_entry *ae, bool ownership,
                    struct target_counts *counts)
{
    struct thing t = {.made = *m, .counts = counts};
    bool is_link = archive_entry_filetype(ae) == AE_IFLNK;
    if (m->fd < 0)
        snprintf(t.path, sizeof t.path, "/proc/self/fd/%d/%s", m->dirfd, m->name);
    bool owned = ownership && apply_owner(&t, ae);
    if (m->strip)
        strip(&t, ae);
    apply_xattrs(&t, ae);
    if (!is_link) {
        apply_mode(&t, honest_mode(&t, ae, owned));
        apply_acl(&t, ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ACL_ACCESS);
        apply_acl(&t, ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, ACL_DEFAULT);
    }
    apply_times(&t, ae);
}
