/* Readers on the mirrors. What is changed on the first store is changed there at once: a copy would bring a
 * new reader some night, but never take one away. */
#include "internal.h"

#include <stdlib.h>

static int remove_some(struct store *s, reader_test *goes, const void *ctx, struct err *e)
{
    struct key_object *all;
    size_t n;
    int rc = 0;
    if (keys_list(s, &all, &n, e))
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (goes(ctx, &all[i]))
            rc = keys_remove(s, &all[i].name, e);
    free(all);
    return rc;
}

static int follow(const struct run_access *a, const struct run_repo *first, const struct config_store *s,
                  reader_test *goes, const void *ctx, struct err *e)
{
    AUTO(run_repo) mirror = {0};
    if (open_mirror(first, s, a->config, &mirror, e) || keys_copy(first->store, mirror.store, e))
        return -1;
    return goes ? remove_some(mirror.store, goes, ctx, e) : 0;
}

static size_t mirror_count(const struct run_access *a)
{
    return a->config && !a->store_url ? a->config->store_count - 1 : 0;
}

void readers_to_mirrors(const struct run_access *a, const struct run_repo *first, reader_test *goes,
                        const void *ctx, struct strings *left)
{
    for (size_t i = 1; i <= mirror_count(a); i++) {
        struct err why = ERR_INIT;
        if (follow(a, first, &a->config->stores[i], goes, ctx, &why))
            strings_add_fmt(left, "%s: %s", a->config->stores[i].name, why.text);
    }
}

int find_on_mirrors(const struct run_access *a, const struct run_repo *first, const char *prefix,
                    struct key_object *out, struct err *e)
{
    for (size_t i = 1; i <= mirror_count(a); i++) {
        AUTO(run_repo) mirror = {0};
        struct err ignored = ERR_INIT;
        if (open_mirror(first, &a->config->stores[i], a->config, &mirror, &ignored))
            continue;
        int rc = find_reader(mirror.store, prefix, out, e);
        if (rc <= 0)
            return rc;
    }
    return 1;
}
