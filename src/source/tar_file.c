/* Files with their content, and what may happen to one while it is read. */
#include "tar_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define SMALL_FILE  (1u << 20)  /* read whole before its header goes out, so it can be read again */
#define SHORT_FILE  (32u << 10) /* its content is not worth being told from its header */
#define READS       3
#define EXTENTS_MAX 16384 /* holes beyond these are stored as zeros */

static uint8_t zeros[TAR_BLOCK]; /* what holes read as */

struct reading {
    struct tar_writer *t;
    struct entry *entry;
    struct tar_result *out;
    int fd;
    uint64_t hash; /* of what was read */
    uint64_t got;  /* bytes read before the file ended or failed */
    int error;     /* errno of a read that failed */
    struct err *e;
};

static ssize_t read_at(int fd, void *p, size_t n, uint64_t at)
{
    ssize_t got;
    do
        got = pread(fd, p, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got;
}

/* ---- opening ---- */
/* Opens what bears the name now, if it is a file. -1: r->out says why not. */
static int open_file(struct reading *r)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    struct entry *entry = r->entry;
    int dirfd = folder_fd(entry->folder);
    AUTO_FD fd = dirfd < 0 ? -1 : openat(dirfd, entry->name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM) /* O_NOATIME is the owner's and root's */
        fd = openat(dirfd, entry->name, flags);
    if (fd < 0 || fstat(fd, &entry->st) != 0) {
        r->out->error = errno;
        r->out->outcome = errno == ENOENT                    ? TAR_VANISHED
                          : errno == ELOOP || errno == ENXIO ? TAR_REPLACED
                                                             : TAR_UNREADABLE;
        return -1;
    }
    if (!S_ISREG(entry->st.st_mode)) {
        r->out->outcome = TAR_REPLACED;
        return -1;
    }
    r->fd = fd;
    fd = -1;
    return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
           same_time(&a->st_ctim, &b->st_ctim);
}

/* ---- holes ---- */
static void add_extent(struct tar_writer *t, off_t start, off_t end)
{
    if ((t->extent_count & (t->extent_count - 1)) == 0) /* room for twice as many at 0, 1, 2, 4, ... */
        t->extents = xrealloc(t->extents, t->extent_count ? 2 * t->extent_count : 1, sizeof *t->extents);
    t->extents[t->extent_count++] = (struct extent){start, end};
}

/* Finds where the data of the file lies. false: no holes. */
static bool find_holes(struct reading *r)
{
    struct tar_writer *t = r->t;
    off_t size = r->entry->st.st_size;
    t->extent_count = 0;
    if (size == 0 || r->entry->st.st_blocks >= size / 512)
        return false;
    for (off_t at = 0; at < size;) {
        off_t start = lseek(r->fd, at, SEEK_DATA);
        if (start < 0 && errno != ENXIO) /* ENXIO: nothing but a hole from here on */
            return false;
        if (start < 0 || start >= size)
            break;
        off_t end = lseek(r->fd, start, SEEK_HOLE);
        if (end < 0 || end > size || t->extent_count == EXTENTS_MAX - 1)
            end = size;
        add_extent(t, start, end);
        at = end;
    }
    return t->extent_count != 1 || t->extents[0].start > 0 || t->extents[0].end < size;
}

/* ---- reading ---- */
/* Where the bytes go: into a tar entry, or nowhere but into the hash. */
static int put(struct reading *r, bool store, struct bytes b)
{
    return store ? tar_data(r->t, r->entry, b, r->e) : 0;
}

static int put_zeros(struct reading *r, bool store, uint64_t n)
{
    for (; store && n; n -= MIN(n, sizeof zeros))
        if (put(r, store, BYTES(zeros, MIN(n, sizeof zeros))))
            return -1;
    return 0;
}

static int read_extent(struct reading *r, bool store, struct extent x)
{
    uint64_t at = (uint64_t)x.start, end = (uint64_t)x.end;
    while (at < end) {
        ssize_t n = read_at(r->fd, r->t->block, MIN(end - at, (uint64_t)TAR_BLOCK), at);
        if (n <= 0) { /* it fails here, or is shorter now */
            r->error = n < 0 ? errno : 0;
            return put_zeros(r, store, end - at);
        }
        XXH3_64bits_update(r->t->hash, r->t->block, (size_t)n);
        if (put(r, store, BYTES(r->t->block, (size_t)n)))
            return -1;
        at += (uint64_t)n;
        r->got = at;
    }
    return 0;
}

/* Reads the content once, to the size in the header, zeros where it ends early or fails. */
static int read_content(struct reading *r, bool store, bool holes)
{
    uint64_t size = (uint64_t)r->entry->st.st_size, at = 0;
    const struct extent whole = {0, r->entry->st.st_size};
    const struct extent *x = holes ? r->t->extents : &whole;
    size_t count = holes ? r->t->extent_count : 1;
    XXH3_64bits_reset(r->t->hash);
    r->got = 0;
    r->error = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t start = (uint64_t)x[i].start;
        bool ended = r->error || r->got < at;
        if (put_zeros(r, store, start - at))
            return -1;
        at = (uint64_t)x[i].end;
        if (ended ? put_zeros(r, store, at - start) : read_extent(r, store, x[i]))
            return -1;
    }
    bool ended = r->error || r->got < at;
    if (!ended)
        r->got = size;
    r->hash = XXH3_64bits_digest(r->t->hash);
    return put_zeros(r, store, size - at);
}

/* A small file, into memory. */
static void read_small(struct reading *r)
{
    struct buf *b = &r->t->small;
    size_t size = (size_t)r->entry->st.st_size;
    b->n = 0;
    buf_reserve(b, size);
    r->error = 0;
    while (b->n < size) {
        ssize_t n = read_at(r->fd, b->p + b->n, size - b->n, b->n);
        r->error = n < 0 ? errno : 0;
        if (n <= 0)
            break;
        b->n += (size_t)n;
    }
    r->got = b->n;
    r->hash = XXH3_64bits(b->p, b->n);
}

/* ---- judging ---- */
/* Whether there is more than the size says: some file systems do not know how long their files are. */
static bool goes_on(const struct reading *r)
{
    uint8_t next;
    return read_at(r->fd, &next, 1, (uint64_t)r->entry->st.st_size) == 1;
}

/* After one reading. A file that has grown, or of which only the ctime moved, is read once more: was what we
 * have there all the time? */
static enum tar_outcome judge(struct reading *r, bool holes)
{
    const struct stat *before = &r->entry->st;
    struct stat after;
    uint64_t hash = r->hash, size = (uint64_t)before->st_size;
    if (r->error)
        return TAR_UNREADABLE;
    if (r->got < size || fstat(r->fd, &after) != 0 || after.st_size < before->st_size)
        return TAR_CHANGED;
    bool more = is_unchanged(before, &after) && goes_on(r);
    if (more && fstat(r->fd, &after) != 0)
        return TAR_CHANGED;
    if (is_unchanged(before, &after))
        return more ? TAR_LONGER : TAR_WHOLE;
    r->out->settled = false;
    bool grown = after.st_size > before->st_size;
    if (!grown && !same_time(&before->st_mtim, &after.st_mtim))
        return TAR_CHANGED;
    if (read_content(r, false, holes) || r->error || r->got < size || r->hash != hash)
        return TAR_CHANGED;
    return grown ? TAR_GROWN : TAR_WHOLE;
}

/* ---- storing ---- */
static int begin(struct reading *r, bool holes)
{
    const struct tar_writer *t = r->t;
    bool tells = t->content && r->entry->st.st_size >= (off_t)SHORT_FILE;
    if (tar_begin(r->t, r->entry, r->fd, holes, &r->out->attributes_error, r->e))
        return -1;
    return tells ? t->content(t->ctx, r->e) : 0;
}

/* The header of a large file is out before its content is read. */
static int store_large(struct reading *r)
{
    bool holes = find_holes(r);
    posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (begin(r, holes) || read_content(r, true, holes) || tar_finish(r->t, r->entry, r->e))
        return -1;
    r->out->readable = r->got;
    r->out->error = r->error;
    r->out->outcome = judge(r, holes);
    return 0;
}

/* A small one goes out as it was read last; zeros where that was less than its header says. Its holes are
 * looked for before it is judged: one that is filled meanwhile would take the new data out of the stream. */
static int store_small(struct reading *r, bool last)
{
    struct buf *b = &r->t->small;
    bool holes = find_holes(r);
    read_small(r);
    uint64_t got = r->got;
    r->out->readable = got;
    r->out->error = r->error;
    r->out->outcome = judge(r, false);
    bool again = r->out->outcome == TAR_CHANGED && !last;
    bool nothing = r->out->outcome == TAR_UNREADABLE && got == 0;
    if (again || nothing)
        return 0;
    if (begin(r, holes) || tar_data(r->t, r->entry, buf_bytes(b), r->e) ||
        put_zeros(r, true, (uint64_t)r->entry->st.st_size - got))
        return -1;
    return tar_finish(r->t, r->entry, r->e);
}

static int store(struct reading *r)
{
    for (unsigned tries = 1; tries <= READS; tries++) {
        bool small = r->entry->st.st_size <= (off_t)SMALL_FILE;
        if (small ? store_small(r, tries == READS) : store_large(r))
            return -1;
        if (r->out->outcome != TAR_CHANGED)
            break;
        if (tries < READS && fstat(r->fd, &r->entry->st) != 0) {
            r->out->outcome = TAR_UNREADABLE;
            r->out->error = errno;
            break;
        }
    }
    return 0;
}

int tar_file(struct tar_writer *t, struct entry *entry, struct tar_result *out, struct err *e)
{
    struct reading r = {.t = t, .entry = entry, .out = out, .fd = -1, .e = e};
    const struct stat walked = entry->st;
    if (open_file(&r))
        return 0;
    int rc = store(&r);
    close(r.fd);
    /* The key of the run was made of what the walk saw. */
    out->other_file = entry->st.st_ino != walked.st_ino || entry->st.st_dev != walked.st_dev;
    if (out->other_file || !is_unchanged(&walked, &entry->st))
        out->settled = false;
    return rc;
}
