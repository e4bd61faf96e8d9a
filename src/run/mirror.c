/* Mirrors for reading: what is opened in place of the first store, and what stands in for single objects. */
#include "internal.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    const struct config *config;
    char *spool_dir;
    const struct config_store **stores;
    const char **names;
    size_t n;
};

struct reading *reading_new(const struct run_access *a, const char *spool_dir)
{
    if (!a->mirrors || !a->config)
        return NULL;
    struct reading *m = xcalloc(1, sizeof *m);
    *m = (struct reading){.config = a->config,
                          .spool_dir = xstrdup(spool_dir),
                          .stores = xcalloc(a->config->store_count, sizeof(void *)),
                          .names = xcalloc(a->config->store_count, sizeof(char *))};
    const char *opened = a->store_url ? a->store_url : a->config->stores[0].name;
    for (size_t i = 0; i < a->config->store_count; i++)
        if (strcmp(a->config->stores[i].name, opened) != 0) {
            m->names[m->n] = a->config->stores[i].name;
            m->stores[m->n++] = &a->config->stores[i];
        }
    return m;
}

void reading_free(struct reading *m)
{
    if (!m)
        return;
    free(m->spool_dir);
    free(m->stores);
    free(m->names);
    free(m);
}

static struct store *open_number(void *ctx, size_t number, struct err *e)
{
    const struct reading *m = ctx;
    return open_configured(m->stores[number], m->config, false, m->spool_dir, e);
}

void reading_set(struct reading *m, struct repo_options *o)
{
    if (!m)
        return;
    o->mirror_names = m->names;
    o->mirror_count = m->n;
    o->mirror_open = open_number;
    o->mirror_ctx = m;
}

int open_instead(struct run_repo *out, const struct run_access *a, enum run_need need, const struct err *why)
{
    if (!a->mirrors || a->store_url || !a->config || why->kind == ERR_STOPPED)
        return -1;
    for (size_t i = 1; i < a->config->store_count; i++) {
        struct run_access other = *a;
        struct err ignored = ERR_INIT;
        other.store_url = a->config->stores[i].name;
        if (run_open(out, &other, need, &ignored) == 0) {
            out->instead = other.store_url;
            log_warn("%s; going on with mirror %s", why->text, other.store_url);
            return 0;
        }
        log_info("mirror %s: %s", other.store_url, ignored.text);
    }
    return -1;
}

bool run_used_mirror(const struct run_repo *r)
{
    return r->instead || (r->repo && repo_used_mirror(r->repo));
}
