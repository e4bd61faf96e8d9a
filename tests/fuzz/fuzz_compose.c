/* Compose files come from anywhere: a slip or a trap in one must end in a message or in a configuration that
 * lifeboat reads, which holds nothing that a value smuggled in. The input is the compose file; behind a line
 * "#env" follows its environment file. */
#include "compose/compose.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct bytes compose, env;
};

static int read_file(void *ctx, const char *path, struct buf *out, struct err *e)
{
    const struct input *in = ctx;
    (void)e;
    if (strcmp(path, "/srv/fuzz/compose.yml") == 0)
        buf_add(out, in->compose);
    else if (strcmp(path, "/srv/fuzz/.env") == 0)
        buf_add(out, in->env);
    else
        return 1;
    return 0;
}

static void check_plan(const struct compose *c)
{
    struct err e = ERR_INIT;
    AUTO(compose_plan) plan = {0};
    if (compose_plan(c, "/etc/lifeboat", &plan, &e)) {
        if (!err_is_set(&e))
            abort();
        return;
    }
    AUTO_PTR(config) parsed = config_parse("fuzz.conf", buf_bytes(&plan.text), &e);
    size_t active = 0;
    for (size_t i = 0; i < plan.source_count; i++)
        active += plan.sources[i].active;
    if (!parsed || parsed->source_count != active || parsed->store_count != 1 ||
        strcmp(parsed->writer_key, "/etc/lifeboat/writer.key") != 0)
        abort();
    for (size_t i = 0; i < parsed->source_count; i++)
        if (parsed->sources[i].before || parsed->sources[i].after)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char mark[] = "\n#env\n";
    const uint8_t *env = size ? memmem(data, size, mark, sizeof mark - 1) : NULL;
    struct input in = {.compose = BYTES(data, env ? (size_t)(env - data) : size)};
    char *file = "compose.yml";
    struct compose_input files = {
        .files = {.v = &file, .n = 1}, .here = "/srv/fuzz", .read = read_file, .read_ctx = &in};
    struct err e = ERR_INIT;
    if (env)
        in.env = BYTES(env + sizeof mark - 1, size - (size_t)(env - data) - (sizeof mark - 1));
    AUTO_PTR(compose) c = compose_load(&files, &e);
    if (!c != err_is_set(&e))
        abort();
    if (c)
        check_plan(c);
    return 0;
}
