/* The configuration is root's, but a slip in it must end in a message, never in a crash. */
#include "config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    AUTO_PTR(config) c = config_parse("fuzz.conf", BYTES(data, size), &e);
    if (!c != err_is_set(&e))
        abort();
    if (c && (c->store_count < 1 || !c->host || c->threads < 1 || c->threads > 64))
        abort();
    for (size_t i = 0; c && i < c->store_count; i++)
        if (!c->stores[i].name || !c->stores[i].path == !c->stores[i].bucket)
            abort();
    for (size_t i = 0; c && i < c->source_count; i++)
        if (config_find_source(c, c->sources[i].name) != &c->sources[i])
            abort();
    return 0;
}
