/* STATE/<repository>/<mirror>.mirror: how the last copies to a mirror ended. A hint: without it the mirror
 * counts as behind until the next copy. */
#include "base/file.h"
#include "base/log.h"
#include "report/status.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_MAX (64u << 10)

static void load(const char *folder, const char *name, struct mirror_note *out)
{
    AUTO_CHAR path = xasprintf("%s/%s.mirror", folder, name);
    AUTO(buf) text = BUF_NONE;
    struct err why = ERR_INIT;
    struct stat st;
    *out = (struct mirror_note){.name = xstrdup(name)};
    if (stat(path, &st) != 0 && errno == ENOENT)
        return;
    json_t *o = NULL;
    if (file_read(path, NOTE_MAX, &text, &why) == 0)
        o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(o))
        log_warn("%s: %s", path, err_is_set(&why) ? why.text : "is not understood");
    const char *error = json_string_value(json_object_get(o, "error"));
    out->complete_ns = json_integer_value(json_object_get(o, "complete"));
    out->error = error ? xstrdup(error) : NULL;
    json_decref(o);
}

void mirror_notes_load(struct mirror_notes *out, const char *folder, const struct config *c)
{
    out->n = c->store_count - 1;
    out->v = xcalloc(out->n, sizeof *out->v);
    for (size_t i = 0; i < out->n; i++)
        load(folder, c->stores[i + 1].name, &out->v[i]);
}

int mirror_note_save(const char *folder, const char *name, int64_t complete_ns, const char *error,
                     struct err *e)
{
    AUTO_CHAR path = xasprintf("%s/%s.mirror", folder, name);
    struct mirror_note before;
    load(folder, name, &before);
    AUTO_CHAR shown = error ? text_printable(error, strlen(error)) : NULL;
    json_t *o = json_pack("{s:I, s:s?}", "complete",
                          (json_int_t)(complete_ns ? complete_ns : before.complete_ns), "error", shown);
    char *text = json_dumps(o, JSON_COMPACT);
    if (!text)
        die(OUT_OF_MEMORY);
    int rc = dir_make(folder, 0700, e) || file_write(path, BYTES_STR(text), 0600, false, e) ? -1 : 0;
    free(text);
    json_decref(o);
    free(before.name);
    free(before.error);
    return rc;
}

void mirror_notes_free(struct mirror_notes *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->v[i].name);
        free(m->v[i].error);
    }
    free(m->v);
    *m = (struct mirror_notes){0};
}
