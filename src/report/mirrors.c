/* STATE/<repository>/<mirror>.mirror: how the last copies to a mirror ended. A hint: without it the mirror
 * counts as behind until the next copy. */
#include "base/log.h"
#include "report/state_file.h"
#include "report/status.h"

#include <stdlib.h>
#include <string.h>

#define NOTE_MAX (64u << 10)

static void load(const char *folder, const char *name, struct mirror_note *out)
{
    AUTO_CHAR path = xasprintf("%s/%s.mirror", folder, name);
    struct err why = ERR_INIT;
    *out = (struct mirror_note){.name = xstrdup(name)};
    json_t *o = state_file_read(path, NOTE_MAX, &why);
    if (err_is_set(&why))
        log_warn("%s", why.text);
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
    int rc = state_file_write(path, o, e);
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
