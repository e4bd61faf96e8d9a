/* A recovery kit was printed, and typed in or scanned again: whatever became of it must end in an identity or
 * in a message that names the slip. What was understood is understood the same way once more. */
#include "codec/keys.h"
#include "run/run.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const struct identity *id, void (*write)(const struct identity *, struct buf *))
{
    struct err e = ERR_INIT;
    AUTO(buf) text = BUF_NONE;
    write(id, &text);
    AUTO_PTR(identity) again = identity_parse(buf_bytes(&text), &e);
    if (!again || memcmp(again, id, sizeof *id) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT, why = ERR_INIT;
    AUTO(run_kit) kit = {0};
    AUTO_PTR(identity) id = identity_parse(BYTES(data, size), &e);
    if (!id != err_is_set(&e) || (!id && e.kind != ERR_USAGE))
        abort();
    if ((run_kit_parse(BYTES(data, size), &kit, &why) == 0) != (id != NULL))
        abort();
    if ((kit.store && !*kit.store) || (kit.host && !*kit.host))
        abort();
    if (id) {
        write_and_read(id, identity_write_file);
        write_and_read(id, identity_write_paper);
    }
    return 0;
}
