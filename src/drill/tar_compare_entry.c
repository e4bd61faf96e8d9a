/* One entry against another: each field, and whether scratch could hold what is missing. */
#include "drill/tar_compare_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN_ACL 200

void findings_free(struct findings *f)
{
    buf_free(&f->differs);
    buf_free(&f->refused);
}

void tell(struct findings *f, const char *fmt, ...)
{
    char text[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_add_fmt(&f->differs, "%s%s", f->differs.n ? "; " : "", text);
}

bool find_refused(struct comparing *c, struct findings *f, const char *what, int why)
{
    char text[128];
    if (why == 0)
        return false;
    if (!c->o->is_root && (why == EPERM || why == EACCES))
        c->tally->attributes++;
    else
        buf_add_fmt(&f->refused, "%s%s (%s)", f->refused.n ? "; " : "", what,
                    strerror_r(why, text, sizeof text));
    return true;
}

static const struct probe *probe_of(struct comparing *c)
{
    probe_make(&c->probe, c->stored.ae, c->stored.path);
    return &c->probe;
}

static const char *kind_of(struct archive_entry *ae)
{
    switch (archive_entry_filetype(ae)) {
    case AE_IFREG:
        return "a file";
    case AE_IFDIR:
        return "a folder";
    case AE_IFLNK:
        return "a symlink";
    case AE_IFIFO:
        return "a fifo";
    case AE_IFCHR:
        return "a character device";
    case AE_IFBLK:
        return "a block device";
    default:
        return "a thing of no known kind";
    }
}

/* ---- fields ---- */
static void compare_mode(struct comparing *c, struct findings *f)
{
    mode_t was = archive_entry_mode(c->stored.ae) & 07777, is = archive_entry_mode(c->reread.ae) & 07777;
    if (was == is || archive_entry_filetype(c->stored.ae) == AE_IFLNK)
        return;
    if (!c->o->is_root && (was & ~(mode_t)(S_ISUID | S_ISGID)) == is) /* they would lend out another owner */
        c->tally->modes++;
    else if (!find_refused(c, f, "its mode", probe_of(c)->mode))
        tell(f, "mode %04o, was %04o", (unsigned)is, (unsigned)was);
}

static void compare_owner(struct comparing *c, struct findings *f)
{
    long long uid = archive_entry_uid(c->stored.ae), gid = archive_entry_gid(c->stored.ae);
    long long uid_now = archive_entry_uid(c->reread.ae), gid_now = archive_entry_gid(c->reread.ae);
    if (uid == uid_now && gid == gid_now)
        return;
    if (!c->o->is_root)
        c->tally->owners++;
    else if (!find_refused(c, f, "its owner", probe_of(c)->owner))
        tell(f, "owner %lld:%lld, was %lld:%lld", uid_now, gid_now, uid, gid);
}

static void show_time(char out[80], struct archive_entry *ae)
{
    char text[64] = "";
    struct tm tm;
    time_t s = archive_entry_mtime(ae);
    if (!gmtime_r(&s, &tm) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        snprintf(text, sizeof text, "%lld s", (long long)s);
    snprintf(out, 80, "%s.%09ld", text, archive_entry_mtime_nsec(ae));
}

static void compare_time(struct comparing *c, struct findings *f)
{
    char was[80], is[80];
    if (archive_entry_mtime(c->stored.ae) == archive_entry_mtime(c->reread.ae) &&
        archive_entry_mtime_nsec(c->stored.ae) == archive_entry_mtime_nsec(c->reread.ae))
        return;
    if (find_refused(c, f, "its time", probe_of(c)->time))
        return;
    show_time(was, c->stored.ae);
    show_time(is, c->reread.ae);
    tell(f, "time %s, was %s", is, was);
}

static void compare_target(struct comparing *c, struct findings *f)
{
    const char *was = archive_entry_symlink(c->stored.ae), *is = archive_entry_symlink(c->reread.ae);
    if (strcmp(was ? was : "", is ? is : "") == 0)
        return;
    AUTO_CHAR was_shown = tar_shown_path(was ? was : "");
    AUTO_CHAR is_shown = tar_shown_path(is ? is : "");
    tell(f, "leads to %s, led to %s", is_shown, was_shown);
}

static void compare_device(struct comparing *c, struct findings *f)
{
    unsigned major = (unsigned)archive_entry_rdevmajor(c->stored.ae),
             minor = (unsigned)archive_entry_rdevminor(c->stored.ae),
             major_now = (unsigned)archive_entry_rdevmajor(c->reread.ae),
             minor_now = (unsigned)archive_entry_rdevminor(c->reread.ae);
    if (major != major_now || minor != minor_now)
        tell(f, "device %u:%u, was %u:%u", major_now, minor_now, major, minor);
}

/* ---- extended attributes ---- */
struct attribute {
    const char *name;
    struct bytes value;
};

static int by_name(const void *a, const void *b)
{
    const struct attribute *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static struct attribute *attributes_of(struct archive_entry *ae, size_t *n)
{
    int count = archive_entry_xattr_reset(ae);
    struct attribute *v = xcalloc((size_t)count + 1, sizeof *v);
    const void *value;
    size_t size;
    for (*n = 0; *n < (size_t)count; ++*n) {
        if (archive_entry_xattr_next(ae, &v[*n].name, &value, &size) != ARCHIVE_OK)
            break;
        v[*n].value = BYTES(value, size);
    }
    qsort(v, *n, sizeof *v, by_name);
    return v;
}

static void attribute_is_gone(struct comparing *c, struct findings *f, const struct attribute *was,
                              const char *how)
{
    AUTO_CHAR what = xasprintf("extended attribute %s", was->name);
    if (!c->o->is_root && strncmp(was->name, "user.", 5) != 0)
        c->tally->attributes++;
    else if (!find_refused(c, f, what, probe_xattr(probe_of(c), was->name, was->value)))
        tell(f, "%s %s", what, how);
}

static void attribute_is_new(struct comparing *c, struct findings *f, const struct attribute *is)
{
    bool by_system =
        strcmp(is->name, "security.selinux") == 0 || (!c->o->is_root && strncmp(is->name, "user.", 5) != 0);
    if (!by_system)
        tell(f, "extended attribute %s was not there", is->name);
}

static void compare_attributes(struct comparing *c, struct findings *f)
{
    size_t n, m, i = 0, k = 0;
    struct attribute *was = attributes_of(c->stored.ae, &n), *is = attributes_of(c->reread.ae, &m);
    while (i < n || k < m) {
        int order = i == n ? 1 : k == m ? -1 : strcmp(was[i].name, is[k].name);
        if (order < 0) {
            attribute_is_gone(c, f, &was[i++], "is missing");
        } else if (order > 0) {
            attribute_is_new(c, f, &is[k++]);
        } else {
            if (was[i].value.n != is[k].value.n ||
                (was[i].value.n && memcmp(was[i].value.p, is[k].value.p, was[i].value.n) != 0))
                attribute_is_gone(c, f, &was[i], "has another value");
            i++, k++;
        }
    }
    free(was);
    free(is);
}

/* NULL: none beyond the mode. Freed by the caller. */
static char *acl_of(struct archive_entry *ae, int type)
{
    const int style = type | ARCHIVE_ENTRY_ACL_STYLE_EXTRA_ID | ARCHIVE_ENTRY_ACL_STYLE_SEPARATOR_COMMA;
    return archive_entry_acl_count(ae, type) ? archive_entry_acl_to_text(ae, NULL, style) : NULL;
}

static void compare_acl(struct comparing *c, struct findings *f, int type, const char *what)
{
    AUTO_CHAR was = acl_of(c->stored.ae, type);
    AUTO_CHAR is = acl_of(c->reread.ae, type);
    if (strcmp(was ? was : "", is ? is : "") == 0 || find_refused(c, f, what, probe_acl(probe_of(c))))
        return;
    tell(f, "%s is %.*s, was %.*s", what, SHOWN_ACL, is ? is : "none", SHOWN_ACL, was ? was : "none");
}

/* ---- content ---- */
static bool same_holes(struct archive_entry *a, struct archive_entry *b)
{
    la_int64_t at[2], n[2];
    int count = archive_entry_sparse_reset(a);
    if (archive_entry_sparse_reset(b) != count)
        return false;
    while (archive_entry_sparse_next(a, &at[0], &n[0]) == ARCHIVE_OK)
        if (archive_entry_sparse_next(b, &at[1], &n[1]) != ARCHIVE_OK || at[0] != at[1] || n[0] != n[1])
            return false;
    return true;
}

static int compare_file(struct comparing *c, struct findings *f, struct err *e)
{
    long long was = archive_entry_size(c->stored.ae), is = archive_entry_size(c->reread.ae);
    if (was != is) {
        tell(f, "size %lld, was %lld", is, was);
        return 0;
    }
    if (!same_holes(c->stored.ae, c->reread.ae))
        c->tally->holes++;
    return compare_contents(c, (uint64_t)was, f, e);
}

/* ---- the whole entry ---- */
static bool compare_links(struct comparing *c, struct findings *f)
{
    const char *was = archive_entry_hardlink(c->stored.ae), *is = archive_entry_hardlink(c->reread.ae);
    AUTO_CHAR was_shown = tar_shown_path(was ? was : "");
    AUTO_CHAR is_shown = tar_shown_path(is ? is : "");
    if (was && is && strcmp(was, is) != 0)
        tell(f, "is a hard link to %s, was one to %s", is_shown, was_shown);
    else if (was && !is)
        tell(f, "is no hard link to %s any more", was_shown);
    else if (is && !was)
        tell(f, "is a hard link to %s, had its own content", is_shown);
    return was || is;
}

int compare_entries(struct comparing *c, struct findings *f, struct err *e)
{
    if (compare_links(c, f)) /* the rest is said of the first name */
        return 0;
    if (archive_entry_filetype(c->stored.ae) != archive_entry_filetype(c->reread.ae)) {
        tell(f, "is %s, was %s", kind_of(c->reread.ae), kind_of(c->stored.ae));
        return 0;
    }
    compare_mode(c, f);
    compare_owner(c, f);
    compare_time(c, f);
    compare_target(c, f);
    compare_device(c, f);
    compare_attributes(c, f);
    compare_acl(c, f, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "its ACL");
    compare_acl(c, f, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "its default ACL");
    return archive_entry_filetype(c->stored.ae) == AE_IFREG ? compare_file(c, f, e) : 0;
}
