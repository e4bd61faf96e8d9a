/* Replies of a container engine: a letter that says what is asked (a volume, a container, a service: that is
 * two questions), then what comes over its socket (world.h: "===" cuts). */
#include "source/engine.h"
#include "source/pg_client.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct config_source s = {.name = (char *)"s"};
    AUTO(engine_source) out = {.path = NULL};
    if (!size)
        return 0;
    if (data[0] == 'v')
        s.docker_volume = (char *)"uploads";
    else if (data[0] == 'c')
        s.container = (char *)"db";
    else
        s.compose_service = (char *)"shop/db";
    setenv("DOCKER_HOST", "unix:///nowhere/docker.sock", 1);
    fuzz_answer(BYTES(data + 1, size - 1), 8);
    bool good = engine_resolve(&s, &out, &e) == 0;
    fuzz_answer_end();
    HOLDS(good != err_is_set(&e));
    if (good && s.docker_volume)
        HOLDS(out.path && out.path[0] == '/' && out.source.path == out.path);
    if (good && !s.docker_volume) {
        AUTO_CHAR user = pg_connection_setting(out.connection, "user", &e);
        HOLDS(user && *user && !err_is_set(&e)); /* libpq takes it apart */
    }
    return 0;
}
