/* STATE/<repository>/<source>.last: what a source noted with its last good snapshot. A hint: a host that lost
 * it compares with nothing once. */
#include "internal.h"

#include "base/log.h"
#include "report/state_file.h"

#include <stdlib.h>
#include <string.h>

#define LAST_MAX (64u << 20)

void last_load(const char *folder, const char *source, struct buf *state)
{
    AUTO_CHAR path = xasprintf("%s/%s.last", folder, source);
    struct err why = ERR_INIT;
    state->n = 0;
    json_t *o = state_file_read(path, LAST_MAX, &why);
    if (err_is_set(&why))
        log_warn("%s (compared with nothing this time)", why.text);
    if (!o)
        return;
    const char *b64 = json_string_value(json_object_get(o, "state"));
    if (!b64 || !base64_decode(state, b64)) {
        log_warn("%s: is not understood (compared with nothing this time)", path);
        state->n = 0;
    }
    json_decref(o);
}

void last_save(const char *folder, const struct snapshot *s, const struct snapshot_source *source,
               struct bytes state)
{
    char id[SHA_HEX];
    sha_hex(id, &s->id);
    struct err why = ERR_INIT;
    AUTO_CHAR path = xasprintf("%s/%s.last", folder, source->name);
    AUTO_CHAR b64 = base64_encode(state);
    json_t *o = json_pack("{s:s, s:I, s:I, s:s}", "snapshot", id, "sequence", (json_int_t)source->sequence,
                          "bytes", (json_int_t)source->bytes, "state", b64);
    if (state_file_write(path, o, &why))
        log_warn("%s (the next backup compares with an older one)", why.text);
}
