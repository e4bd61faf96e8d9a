#include "tar_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

/* ---- the name of a file with holes ---- */
/* A record of a pax header, "LENGTH KEYWORD=VALUE\n", with which `b` starts: its length. 0: there is none. */
static size_t record_length(struct bytes b)
{
    size_t n = 0, i = 0;
    for (; i < b.n && i < 9 && b.p[i] >= '0' && b.p[i] <= '9'; i++)
        n = n * 10 + (size_t)(b.p[i] - '0');
    bool is_record = i > 0 && i < b.n && b.p[i] == ' ' && n > i + 1 && n <= b.n && b.p[n - 1] == '\n';
    return is_record ? n : 0;
}

/* libarchive writes a path beyond ASCII whole as `path`, but cuts it to what an old header takes before it
 * writes it as `GNU.sparse.name`, which readers prefer. That one becomes a comment, of the same length. */
static void hide_cut_name(struct buf *header, const char *path)
{
    static const char name[] = "GNU.sparse.name=", comment[] = "comment=cut name";
    const size_t key_n = sizeof name - 1;
    _Static_assert(sizeof name == sizeof comment, "the record keeps its length");
    size_t n;
    for (size_t at = 0; (n = record_length(BYTES(header->p + at, header->n - at))) > 0; at += n) {
        uint8_t *key = (uint8_t *)memchr(header->p + at, ' ', n) + 1;
        const uint8_t *end = header->p + at + n - 1;
        size_t left = (size_t)(end - key);
        if (left < key_n || memcmp(key, name, key_n) != 0)
            continue;
        bool whole = left - key_n == strlen(path) && memcmp(key + key_n, path, left - key_n) == 0;
        if (!whole)
            memcpy(key, comment, key_n);
    }
}

/* A sink that fails is seen by *e: libarchive never frees all of an archive of which it was told. */
static la_ssize_t push(struct archive *a, void *ctx, const void *p, size_t n)
{
    struct tar_writer *t = ctx;
    AUTO(buf) header = BUF_NONE;
    (void)a;
    if (t->sparse) {
        buf_add(&header, BYTES(p, n));
        hide_cut_name(&header, t->sparse);
        p = header.p;
    }
    if (t->sink && !err_is_set(t->e) && t->sink(t->ctx, BYTES(p, n), t->e) == 0)
        t->bytes += n;
    return (la_ssize_t)n;
}

static struct archive *open_archive(struct tar_writer *t, bool binary)
{
    struct archive *a = archive_write_new();
    if (!a || archive_write_set_format_pax(a) != ARCHIVE_OK ||
        archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
        (binary && archive_write_set_format_option(a, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK) ||
        archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK || /* every byte at once, none held back */
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
        archive_write_open(a, t, NULL, push, NULL) != ARCHIVE_OK)
        die(OUT_OF_MEMORY); /* no memory, or not the library that we were built for */
    return a;
}

struct tar_writer *tar_writer_new(tar_sink *sink, tar_content *content, void *ctx)
{
    struct tar_writer *t = xcalloc(1, sizeof *t);
    t->sink = sink;
    t->content = content;
    t->ctx = ctx;
    t->block = xcalloc(1, TAR_BLOCK);
    t->header = archive_entry_new();
    t->hash = xxh3_new();
    if (!t->header)
        die(OUT_OF_MEMORY);
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
    t->sink = NULL; /* they write an end by themselves */
    archive_write_free(t->plain);
    archive_write_free(t->binary);
    archive_entry_free(t->header);
    XXH3_freeState(t->hash);
    buf_free(&t->small);
    buf_free(&t->attributes);
    free(t->extents);
    free(t->block);
    free(t);
}

static bool is_ascii(const char *s)
{
    return !s || bytes_are_ascii(BYTES_STR(s));
}

static struct archive *archive_for(const struct tar_writer *t, const struct entry *entry)
{
    bool plain = is_ascii(entry->path) && is_ascii(entry->target) && is_ascii(entry->link_to);
    return plain ? t->plain : t->binary;
}

/* ---- an entry ---- */
static int failed(struct archive *a, const struct entry *entry, struct err *e)
{
    AUTO_CHAR path = text_printable(entry->path, strlen(entry->path));
    const char *why = archive_error_string(a);
    return err_set(e, ERR_FAILED, "%s: tar: %s", path, why ? why : "libarchive gave up: out of memory?");
}

static void add_holes(struct tar_writer *t, off_t size)
{
    for (size_t i = 0; i < t->extent_count; i++)
        archive_entry_sparse_add_entry(t->header, t->extents[i].start,
                                       t->extents[i].end - t->extents[i].start);
    if (t->extent_count == 0)
        archive_entry_sparse_add_entry(t->header, size, 0); /* one hole, all of it */
}

static void fill_header(struct tar_writer *t, const struct entry *entry, bool holes)
{
    struct archive_entry *h = archive_entry_clear(t->header);
    const struct stat *st = &entry->st;
    archive_entry_copy_pathname(h, entry->path);
    archive_entry_set_mode(h, st->st_mode);
    archive_entry_set_uid(h, st->st_uid);
    archive_entry_set_gid(h, st->st_gid);
    archive_entry_set_mtime(h, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    archive_entry_set_size(h, 0);
    if (entry->link_to) {
        archive_entry_copy_hardlink(h, entry->link_to);
    } else if (S_ISREG(st->st_mode)) {
        archive_entry_set_size(h, st->st_size);
        if (holes)
            add_holes(t, st->st_size);
    } else if (S_ISLNK(st->st_mode)) {
        archive_entry_copy_symlink(h, entry->target);
    } else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        archive_entry_set_rdevmajor(h, major(st->st_rdev));
        archive_entry_set_rdevminor(h, minor(st->st_rdev));
    }
}

int tar_begin(struct tar_writer *t, const struct entry *entry, int fd, bool holes, int *attributes_error,
              struct err *e)
{
    struct archive *a = archive_for(t, entry);
    fill_header(t, entry, holes);
    *attributes_error = entry->link_to ? 0 : attributes_add(t->header, entry, fd, &t->attributes);
    t->sparse = holes ? entry->path : NULL;
    int rc = archive_write_header(a, t->header);
    t->sparse = NULL;
    if (rc < ARCHIVE_WARN || err_is_set(e))
        return failed(a, entry, e);
    if (rc != ARCHIVE_OK)
        *attributes_error = EILSEQ;
    return 0;
}

int tar_data(struct tar_writer *t, const struct entry *entry, struct bytes b, struct err *e)
{
    struct archive *a = archive_for(t, entry);
    bool written = archive_write_data(a, b.p, b.n) == (la_ssize_t)b.n;
    return written && !err_is_set(e) ? 0 : failed(a, entry, e);
}

int tar_finish(struct tar_writer *t, const struct entry *entry, struct err *e)
{
    struct archive *a = archive_for(t, entry);
    bool written = archive_write_finish_entry(a) == ARCHIVE_OK;
    return written && !err_is_set(e) ? 0 : failed(a, entry, e);
}

/* From `from` to `to`; clamped to a century, which is ample. */
static int64_t ns_between(const struct timespec *from, const struct timespec *to)
{
    time_t seconds;
    if (__builtin_sub_overflow(to->tv_sec, from->tv_sec, &seconds) || seconds > 3000000000)
        return to->tv_sec < from->tv_sec ? -3000000000ll * 1000000000 : 3000000000ll * 1000000000;
    seconds = MAX(seconds, (time_t)-3000000000);
    return seconds * 1000000000ll + to->tv_nsec - from->tv_nsec;
}

/* Whether no change after `began` can leave the times as they are. A time to come was set by hand; the next
 * change sets another. Inodes of 128 bytes (ext2, ext3, some of ext4) hold whole seconds only. */
static bool is_telling(const struct entry *entry, const struct timespec *began)
{
    int64_t step = entry->folder->fs.clock_step_ns;
    if (entry->st.st_ctim.tv_nsec == 0)
        step = MAX(step, CLOCK_STEP_COARSE_NS);
    return ns_between(&entry->st.st_ctim, began) > step &&
           llabs(ns_between(&entry->st.st_mtim, began)) > step;
}

int tar_writer_add(struct tar_writer *t, struct entry *entry, struct tar_result *out, struct err *e)
{
    struct timespec began;
    clock_gettime(CLOCK_REALTIME, &began);
    t->e = e;
    *out = (struct tar_result){.outcome = TAR_WHOLE, .settled = true};
    int rc = S_ISREG(entry->st.st_mode) && !entry->link_to
                 ? tar_file(t, entry, out, e)
                 : tar_begin(t, entry, -1, false, &out->attributes_error, e) || tar_finish(t, entry, e);
    /* A further link is nothing but what the walk saw. */
    out->settled = out->settled && out->outcome == TAR_WHOLE && out->attributes_error == 0 &&
                   (entry->link_to || is_telling(entry, &began));
    return rc ? -1 : 0;
}

int tar_writer_end(struct tar_writer *t, struct err *e)
{
    t->e = e;
    if (archive_write_close(t->plain) == ARCHIVE_OK && !err_is_set(e))
        return 0;
    return err_set(e, ERR_FAILED, "tar: %s", archive_error_string(t->plain));
}
