#include "report/state_file.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

json_t *state_file_read(const char *path, size_t limit, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    struct stat st;
    if ((stat(path, &st) != 0 && errno == ENOENT) || file_read_regular(path, limit, &text, e))
        return NULL;
    json_t *o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(o))
        return o;
    json_decref(o);
    return err_set(e, ERR_DAMAGED, "%s: is not understood", path), NULL;
}

/* The folder's owner may put a link there meanwhile: it is not followed. */
static void leave_to_owner(const char *path, const char *folder)
{
    struct stat st;
    if (geteuid() == 0 && stat(folder, &st) == 0 && st.st_uid != 0)
        (void)!lchown(path, st.st_uid, st.st_gid);
}

int state_file_write(const char *path, json_t *o, struct err *e)
{
    const char *slash = strrchr(path, '/');
    AUTO_CHAR folder = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text)
        die(OUT_OF_MEMORY);
    int rc = dir_make(folder, 0700, e) || file_write(path, BYTES_STR(text), 0600, false, e) ? -1 : 0;
    if (rc == 0)
        leave_to_owner(path, folder);
    free(text);
    json_decref(o);
    return rc;
}
