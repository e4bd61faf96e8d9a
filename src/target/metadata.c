#include "metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOTES_KEPT 50

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
    int fd;
    const char *path, *shown;
    struct target_counts *counts;
};

static void refused(const struct thing *t, const char *what)
{
    char why[128];
    target_note(t->counts, "%s: %s could not be set: %s", t->shown, what, strerror_r(errno, why, sizeof why));
}

static int set_xattr(const struct thing *t, const char *name, const void *value, size_t n)
{
    return t->fd >= 0 ? fsetxattr(t->fd, name, value, n, 0) : lsetxattr(t->path, name, value, n, 0);
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

static void apply_acl(const struct thing *t, struct archive_entry *ae, int type, const char *name)
{
    struct acl_entry *v = NULL;
    size_t n = 0;
    int got, permset, tag, id;
    const char *user;
    if (archive_entry_acl_reset(ae, type) == 0)
        return;
    while (archive_entry_acl_next(ae, type, &got, &permset, &tag, &id, &user) == ARCHIVE_OK) {
        bool has_id = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;
        if (has_id && id < 0 && user)
            id = (int)strtoul(user, NULL, 10);
        v = xrealloc(v, n + 1, sizeof *v);
        v[n++] = (struct acl_entry){.tag = kernel_tag(tag),
                                    .permissions = (uint16_t)(permset & 7),
                                    .id = has_id ? (uint32_t)id : UINT32_MAX};
    }
    if (n) {
        AUTO(buf) value = BUF_NONE;
        qsort(v, n, sizeof *v, by_tag_and_id);
        buf_add_u32(&value, 2);
        for (size_t i = 0; i < n; i++) {
            buf_add_u32(&value, v[i].tag | (uint32_t)v[i].permissions << 16);
            buf_add_u32(&value, v[i].id);
        }
        if (set_xattr(t, name, value.p, value.n) != 0)
            refused(t, "its ACL");
    }
    free(v);
}

static void apply_xattrs(const struct thing *t, struct archive_entry *ae)
{
    const char *name;
    const void *value;
    size_t n;
    archive_entry_xattr_reset(ae);
    while (archive_entry_xattr_next(ae, &name, &value, &n) == ARCHIVE_OK)
        if (set_xattr(t, name, value, n) != 0) {
            AUTO_CHAR what = text_printable(name, strlen(name));
            refused(t, what);
        }
}

static void apply_owner(const struct thing *t, struct archive_entry *ae)
{
    uid_t uid = (uid_t)archive_entry_uid(ae);
    gid_t gid = (gid_t)archive_entry_gid(ae);
    int rc = t->fd >= 0 ? fchown(t->fd, uid, gid) : lchown(t->path, uid, gid);
    if (rc != 0)
        refused(t, "its owner");
}

void metadata_apply(int fd, const char *path, struct archive_entry *ae, const char *shown, bool ownership,
                    struct target_counts *counts)
{
    const struct thing t = {.fd = fd, .path = path, .shown = shown, .counts = counts};
    mode_t mode = archive_entry_mode(ae) & 07777;
    bool is_link = archive_entry_filetype(ae) == AE_IFLNK;
    if (ownership)
        apply_owner(&t, ae);
    else if (mode & (S_ISUID | S_ISGID) && (uid_t)archive_entry_uid(ae) != geteuid()) {
        mode &= ~(mode_t)(S_ISUID | S_ISGID); /* they would lend out the wrong user */
        target_note(counts, "%s: setuid and setgid were left out, as its owner is not restored", shown);
    }
    if (!is_link && (fd >= 0 ? fchmod(fd, mode) : chmod(path, mode)) != 0)
        refused(&t, "its mode");
    apply_xattrs(&t, ae); /* after the owner: a change of owner drops capabilities */
    if (!is_link) {
        apply_acl(&t, ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access");
        apply_acl(&t, ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default");
    }
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = archive_entry_mtime(ae), .tv_nsec = archive_entry_mtime_nsec(ae)}};
    if ((fd >= 0 ? futimens(fd, times) : utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW)) != 0)
        refused(&t, "its time");
}
