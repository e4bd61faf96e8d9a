/* Key files: read with care, written once. */
#include "internal.h"

#include "base/file.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MAX (64u << 10)

bool file_is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int make_parent_folder(const char *path, struct err *e)
{
    AUTO_CHAR copy = xstrdup(path);
    const char *folder = dirname(copy);
    return dir_make(folder, 0700, e) || dir_sync_above(folder, e) ? -1 : 0;
}

static int read_stdin(struct buf *out, struct err *e)
{
    for (;;) {
        ssize_t n = fd_read(0, buf_reserve(out, 4096), 4096, "standard input", e);
        if (n <= 0)
            return (int)n;
        out->n += (size_t)n;
        if (out->n > SECRET_MAX)
            return err_set(e, ERR_USAGE, "standard input: is larger than a key");
    }
}

static int read_secret(const char *file, struct buf *out, struct err *e)
{
    buf_reserve(out, 2 * SECRET_MAX); /* so that growing leaves no copy behind */
    if (strcmp(file, "-") == 0)
        return read_stdin(out, e);
    AUTO_CHAR found = file_credential(file);
    if (file_check_private(found, e))
        return -1;
    if (access(found, R_OK) != 0)
        return err_errno(e, ERR_USAGE, "%s: user %u may not read it: run lifeboat as root or its owner",
                         found, (unsigned)geteuid());
    return file_read(found, SECRET_MAX, out, e);
}

/* ---- the identity ---- */
struct identity *read_identity(const char *file, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    struct identity *id = NULL;
    if (read_secret(file, &text, e)) {
        (void)!err_wrap(e, "the identity");
    } else {
        id = identity_parse(buf_bytes(&text), e);
        if (!id)
            (void)!err_wrap(e, "%s", strcmp(file, "-") == 0 ? "standard input" : file);
    }
    buf_wipe(&text);
    return id;
}

int write_identity(const char *file, const struct identity *id, bool exclusive, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    if (make_parent_folder(file, e))
        return -1;
    identity_write_file(id, &text);
    int rc = file_write(file, buf_bytes(&text), 0600, exclusive, e);
    buf_wipe(&text);
    return rc;
}

/* ---- the writer key ---- */
struct keyring *read_writer_key(const char *file, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    struct keyring *k = NULL;
    AUTO_CHAR found = file_credential(file);
    if (!file_is_there(found))
        return err_set(
                   e, ERR_USAGE,
                   "%s: there is no writer key: `lifeboat init` makes the repository and its keys, or joins "
                   "this host to a repository that is there",
                   file),
               NULL;
    if (read_secret(file, &text, e) == 0) {
        k = keyring_parse_writer_file(buf_bytes(&text), e);
        if (!k)
            (void)!err_wrap(e, "%s", file);
    }
    buf_wipe(&text);
    return k;
}

int write_writer_key(const char *file, const struct keyring *k, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    if (make_parent_folder(file, e))
        return -1;
    keyring_write_writer_file(k, &text);
    int rc = file_write(file, buf_bytes(&text), 0600, true, e);
    buf_wipe(&text);
    return rc;
}

/* ---- passphrases ---- */
int run_read_passphrase(const char *file, struct buf *out, struct err *e)
{
    if (read_secret(file, out, e))
        return -1;
    const uint8_t *end = out->n ? memchr(out->p, '\n', out->n) : NULL;
    if (end)
        out->n = (size_t)(end - out->p);
    if (out->n && out->p[out->n - 1] == '\r')
        out->n--;
    return out->n ? 0 : err_set(e, ERR_USAGE, "%s: its first line, the passphrase, is empty", file);
}
