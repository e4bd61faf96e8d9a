#include "drill/tar_entries.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 300

/* ---- paths ---- */
char *tar_clean_path(const char *raw)
{
    while (raw[0] == '.' && raw[1] == '/')
        raw += 2;
    if (strcmp(raw, ".") == 0)
        raw++;
    size_t n = strlen(raw);
    while (n && raw[n - 1] == '/' && n > 1)
        n--;
    AUTO_CHAR path = xstrndup(raw, n);
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += p > path;
        size_t part = strcspn(p, "/");
        bool dots = part && part <= 2 && strspn(p, ".") >= part;
        if ((part == 0 && *path) || dots)
            return NULL;
    }
    return STEAL(path);
}

char *tar_shown_path(const char *path)
{
    AUTO_CHAR text = text_printable(*path ? path : ".", *path ? strlen(path) : 1);
    size_t n = strlen(text);
    if (n <= SHOWN_MAX)
        return STEAL(text);
    return xasprintf("%.*s...%s", SHOWN_MAX / 2, text, text + n - SHOWN_MAX / 2); /* both ends say most */
}

/* A folder's content stands right behind it, before any name that only begins like it. */
static int rank(char c)
{
    return c == 0 ? 0 : c == '/' ? 1 : (uint8_t)c + 1;
}

int tar_path_order(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return rank(*a) - rank(*b);
}

bool tar_path_is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return n == 0 ? *path != 0 : strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* ---- entries ---- */
static la_ssize_t pull(struct archive *a, void *ctx, const void **p)
{
    struct tar_entries *t = ctx;
    struct bytes b;
    (void)a;
    if (t->in->next(t->in, &b, t->e))
        return -1;
    *p = b.p;
    return (la_ssize_t)b.n;
}

static int failed(struct tar_entries *t, const char *where, struct err *e)
{
    if (err_is_set(e)) /* the feed's own error says more */
        return -1;
    enum err_kind kind;
    AUTO_CHAR why = target_tar_failure(t->a, &kind);
    return err_set(e, kind, "%s: %s", where, why);
}

int tar_entries_open(struct tar_entries *t, struct feed *in, struct err *e)
{
    *t = (struct tar_entries){.in = in, .a = target_tar_reader(), .path = xstrdup(""), .e = e};
    return archive_read_open(t->a, t, NULL, pull, NULL) == ARCHIVE_OK ? 0 : failed(t, "its start", e);
}

/* Whether a later entry replaces this one. */
static bool is_replaced(struct tar_entries *t)
{
    if (t->skip_count == 0 || *t->skip != (uint64_t)archive_read_header_position(t->a))
        return false;
    t->skip++;
    t->skip_count--;
    return true;
}

int tar_entries_next(struct tar_entries *t, struct err *e)
{
    int rc;
    t->e = e;
    AUTO_CHAR last = tar_shown_path(t->path);
    do
        rc = archive_read_next_header(t->a, &t->ae);
    while ((rc == ARCHIVE_OK || rc == ARCHIVE_WARN) && is_replaced(t));
    free(STEAL(t->path));
    t->piece = (struct bytes){0};
    t->piece_at = 0;
    t->all_read = false;
    if (rc == ARCHIVE_EOF && !err_is_set(e)) /* also said of a feed that failed */
        return 0;
    /* A name that is none in the locale's letters is a warning: its bytes are what is wanted. */
    const char *raw = rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? archive_entry_pathname(t->ae) : NULL;
    AUTO_CHAR where = xasprintf("after %s", last);
    if (!raw)
        return failed(t, where, e);
    t->path = tar_clean_path(raw);
    AUTO_CHAR shown = text_printable(raw, MIN(strlen(raw), (size_t)SHOWN_MAX));
    return t->path ? 0 : err_set(e, ERR_DAMAGED, "%s: leads out of the folder; it is not restored", shown);
}

int tar_entries_content(struct tar_entries *t, uint64_t at, uint64_t size, struct bytes *out, struct err *e)
{
    t->e = e;
    while (!t->all_read && t->piece_at + t->piece.n <= at) {
        const void *p;
        size_t n;
        la_int64_t offset;
        int rc = archive_read_data_block(t->a, &p, &n, &offset);
        t->all_read = rc == ARCHIVE_EOF && !err_is_set(e);
        if (t->all_read)
            break;
        if (rc != ARCHIVE_OK || offset < 0) {
            AUTO_CHAR shown = tar_shown_path(t->path);
            return failed(t, shown, e);
        }
        t->piece = BYTES(p, n);
        t->piece_at = (uint64_t)offset;
    }
    if (t->all_read)
        *out = BYTES(NULL, size - at);
    else if (t->piece_at > at)
        *out = BYTES(NULL, MIN(t->piece_at, size) - at);
    else
        *out = BYTES(t->piece.p + (at - t->piece_at), MIN(t->piece_at + t->piece.n, size) - at);
    return 0;
}

void tar_entries_free(struct tar_entries *t)
{
    archive_read_free(t->a);
    free(t->path);
    *t = (struct tar_entries){0};
}
