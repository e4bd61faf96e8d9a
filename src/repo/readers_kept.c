/* A copy of the `keys/` objects on this host. They are small, few, and the only way to the content: a store
 * that lost them has lost all that is in it, and who writes with the writer key alone would never notice. */
#include "base/file.h"
#include "base/log.h"
#include "repo/internal.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static char *path_of(const char *folder, const char *name)
{
    return xasprintf("%s/%s", folder, strrchr(name, '/') + 1);
}

static bool read_copy(const char *folder, const char *name, struct buf *out)
{
    struct err ignored = ERR_INIT;
    AUTO_CHAR path = path_of(folder, name);
    out->n = 0;
    return access(path, R_OK) == 0 && file_read_regular(path, KEYS_MAX, out, &ignored) == 0 &&
           name_fits(name, buf_bytes(out));
}

/* A host that cannot keep one is no worse off than before. */
static void keep_copy(const char *folder, const char *name, struct bytes data)
{
    AUTO(buf) copy = BUF_NONE;
    struct err ignored = ERR_INIT;
    AUTO_CHAR path = path_of(folder, name);
    if (!read_copy(folder, name, &copy) && dir_make(folder, 0700, &ignored) == 0)
        (void)!file_write(path, data, 0600, false, &ignored);
}

/* 1: it is sound in the store now. 0: there is no sound copy here. */
static int put_back(struct store *s, const char *folder, const char *name, struct err *e)
{
    AUTO(buf) copy = BUF_NONE;
    if (!read_copy(folder, name, &copy))
        return 0;
    if (store_replace(s, name, buf_bytes(&copy), e))
        return -1;
    log_warn(
        "%s: was lost or damaged in the store, and is put back from the copy of this host: what else did "
        "that disk lose? `lifeboat check --read-data`",
        name);
    return 1;
}

/* As put_back(). One that went since it was listed was removed by somebody. */
static int look_at(struct store *s, const char *folder, const char *name, struct err *e)
{
    AUTO(buf) data = BUF_NONE;
    struct err why = ERR_INIT;
    int rc = store_get(s, name, KEYS_MAX, &data, &why);
    if (rc == STORE_FAILED && why.kind != ERR_DAMAGED)
        return *e = why, -1;
    if (rc == STORE_ABSENT)
        return 0;
    if (rc == STORE_FAILED || !name_fits(name, buf_bytes(&data)))
        return put_back(s, folder, name, e);
    keep_copy(folder, name, buf_bytes(&data));
    return 1;
}

static void list_copies(const char *folder, struct strings *out)
{
    struct sha sha;
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (struct dirent *f; (f = readdir(d));) {
        AUTO_CHAR name = xasprintf("keys/%s", f->d_name);
        if (name_sha(name, &sha))
            strings_add(out, name);
    }
    closedir(d);
}

int keys_keep(struct store *s, const char *folder, bool *any, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE, copies = STRINGS_NONE;
    int sound = 0, back = 0;
    if (list_names(s, "keys/", &names, e))
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        int rc = look_at(s, folder, names.v[i], e);
        if (rc < 0)
            return -1;
        sound += rc;
    }
    list_copies(folder, &copies);
    for (size_t i = 0; i < copies.n; i++) {
        AUTO_CHAR path = path_of(folder, copies.v[i]);
        int rc = sound ? 0 : put_back(s, folder, copies.v[i], e);
        if (rc < 0)
            return -1;
        back += rc;
        if (sound && !strings_has(&names, copies.v[i]))
            unlink(path); /* of a reader that was removed */
    }
    *any = sound + back > 0;
    return 0;
}
