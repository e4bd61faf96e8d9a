/* Unpacking a tar stream below a folder: the stream and what of it is wanted. libarchive parses; everything
 * on disk is made by entry.c. */
#include "unpack.h"

#include "base/child.h"
#include "base/file.h"
#include "metadata.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_MAX 400 /* of a path in a message, which has a reason to give, too */

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

int unpack_stream_failed(struct unpacking *u, const char *shown, struct err *e)
{
    enum err_kind kind;
    if (err_is_set(u->e)) { /* the feed's own error says more */
        if (e != u->e)
            *e = *u->e;
        return err_wrap(e, "%s: the restore is not complete", shown);
    }
    AUTO_CHAR why = target_tar_failure(u->a, &kind);
    return err_set(e, kind, "%s: %s: the restore is not complete", shown, why);
}

/* A tar stream ends with empty blocks. libarchive does not ask for them, but without them a stream that was
 * cut off between two entries looks whole. A partial restore may be fed without its end. */
static int check_end(struct unpacking *u, const char *last, struct err *e)
{
    if (u->o->only || archive_filter_bytes(u->a, -1) > archive_read_header_position(u->a))
        return 0;
    return err_set(
        e, ERR_DAMAGED,
        "the archive ends after %s without an end mark: it was cut off, and the restore is not complete",
        last);
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

static bool leads_to_wanted(const struct unpacking *u, const char *path)
{
    for (size_t i = 0; *path && u->o->only[i]; i++)
        if (is_below(u->o->only[i], path))
            return true;
    return false;
}

/* ---- the entries ---- */
static char *shown_path(const char *raw)
{
    char *text = text_printable(raw, strlen(raw));
    size_t n = strlen(text);
    while (n > 1 && text[n - 1] == '/')
        text[--n] = 0;
    if (n > SHOWN_MAX) { /* both ends say more than the middle */
        memcpy(text + SHOWN_MAX / 2, "...", 3);
        memmove(text + SHOWN_MAX / 2 + 3, text + n - SHOWN_MAX / 2, SHOWN_MAX / 2 + 1);
    }
    return text;
}

static int by_from(const void *path, const void *alias)
{
    return strcmp(path, ((const struct target_alias *)alias)->from);
}

const char *unpack_alias(const struct unpacking *u, const char *path)
{
    const struct target_directory_options *o = u->o;
    const struct target_alias *a =
        o->alias_count ? bsearch(path, o->aliases, o->alias_count, sizeof *o->aliases, by_from) : NULL;
    return a ? a->to : NULL;
}

static int pick_entry(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                      struct err *e)
{
    if (is_wanted(u, path))
        return unpack_entry(u, ae, path, shown, e);
    const char *alias = unpack_alias(u, path);
    if (alias)
        return unpack_entry(u, ae, alias, shown, e);
    if (archive_entry_filetype(ae) == AE_IFDIR && leads_to_wanted(u, path))
        return unpack_missing_parent(u, ae, path, shown, e);
    return 0;
}

/* One entry that cannot be made does not keep the others from being restored; it makes the whole fail in the
 * end. */
static int take_entry(struct unpacking *u, struct archive_entry *ae, const char *raw, const char *shown)
{
    struct err one = ERR_INIT;
    AUTO_CHAR path = xstrdup(raw);
    if (!safe_path_clean(path)) {
        u->counts->skipped++;
        target_note(u->counts, "%s: leads out of the folder: passed over", shown);
        return 0;
    }
    if (pick_entry(u, ae, path, shown, &one) == 0)
        return 0;
    if (one.kind != ERR_IO || err_is_set(u->e)) {
        *u->e = one;
        return -1;
    }
    target_note(u->counts, "%s", one.text);
    if (u->failed++ == 0)
        u->first_failure = one;
    return 0;
}

/* Where a name cannot be put into the locale's letters, libarchive warns and hands out its bytes: just what
 * is wanted. */
static void note_warning(struct unpacking *u, const char *shown)
{
    const char *said = archive_error_string(u->a);
    if (said && !strstr(said, "can't be converted"))
        target_note(u->counts, "%s: %s", shown, said);
}

static int watch(struct unpacking *u, struct archive_entry *ae, struct err *e)
{
    uint64_t offset = (uint64_t)archive_read_header_position(u->a);
    return u->o->watch ? u->o->watch(u->o->watch_ctx, ae, offset, e) : 0;
}

static int unpack(struct unpacking *u, struct err *e)
{
    struct archive_entry *ae;
    AUTO_CHAR last = xstrdup("its start");
    for (;;) {
        int rc = archive_read_next_header(u->a, &ae);
        if (rc == ARCHIVE_EOF && !err_is_set(e)) /* also said of a feed that failed */
            return check_end(u, last, e);
        bool sound = rc == ARCHIVE_OK || rc == ARCHIVE_WARN;
        const char *raw = sound ? archive_entry_pathname(ae) : NULL;
        if (!raw) {
            AUTO_CHAR where = xasprintf("after %s", last);
            return unpack_stream_failed(u, where, e);
        }
        free(last);
        last = shown_path(raw);
        if (rc == ARCHIVE_WARN)
            note_warning(u, last);
        if (stop_check(e) || watch(u, ae, e) || take_entry(u, ae, raw, last))
            return -1;
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

static int all_made(const struct unpacking *u, struct err *e)
{
    if (u->failed == 0)
        return 0;
    return err_set(e, u->first_failure.kind, "%llu %s could not be restored, everything else was: %s%s",
                   (unsigned long long)u->failed, u->failed == 1 ? "entry" : "entries",
                   u->failed == 1 ? "" : "the first: ", u->first_failure.text);
}

static int open_all(struct unpacking *u, struct err *e)
{
    if (target_directory_check(u->o, e) || dir_make(u->o->path, 0700, e))
        return -1;
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int root = open(u->o->path, flags);
    if (root < 0 && errno == EACCES && chmod(u->o->path, 0700) == 0) /* made just now under an odd umask */
        root = open(u->o->path, flags);
    if (root < 0)
        return err_errno(e, ERR_IO, "%s", u->o->path);
    if (folders_open(&u->folders, root, e))
        return err_wrap(e, "%s", u->o->path);
    if (archive_read_open(u->a, u, NULL, pull, NULL) != ARCHIVE_OK)
        return unpack_stream_failed(u, u->o->path, e);
    return 0;
}

int target_directory(struct feed *in, const struct target_directory_options *o, struct target_counts *counts,
                     struct err *e)
{
    struct unpacking u = {.o = o, .counts = counts, .in = in, .e = e, .a = target_tar_reader()};
    size_t n = 0;
    while (o->only && o->only[n])
        n++;
    u.found = xcalloc(n + 1, sizeof *u.found);
    u.folders = (struct folders){.leave = unpack_leave_folder, .ctx = &u};
    int rc = open_all(&u, e) || unpack(&u, e) ? -1 : 0;
    folders_free(&u.folders); /* after a failure, too: what is there gets its modes and times */
    if (rc == 0 && (all_found(&u, e) || all_made(&u, e)))
        rc = -1;
    archive_read_free(u.a);
    free(u.found);
    return rc;
}
