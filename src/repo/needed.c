/* What the snapshot in the making needs of the store, for who keeps it there. */
#include "repo/gc.h"
#include "repo/internal.h"

#include <stdlib.h>
#include <string.h>

static int each_pack(struct repo *r, repo_needed *each, void *ctx, bool *index_is_needed, struct err *e)
{
    for (uint32_t i = 0; i < r->index.pack_count; i++) {
        const struct pack_info *p = &r->index.packs[i];
        char name[NAME_SIZE];
        if (!(p->state & PACK_RELIED))
            continue;
        if (p->index_object != INDEX_OBJECT_NONE)
            index_is_needed[p->index_object] = true;
        pack_name(name, &p->name);
        if (each(ctx, name, p->mtime_ns == 0, e)) /* put by this run: it was not listed */
            return -1;
    }
    return 0;
}

static int each_index(struct repo *r, repo_needed *each, void *ctx, const bool *index_is_needed,
                      struct err *e)
{
    for (size_t i = 0; i < r->index_object_count; i++) {
        char name[NAME_SIZE];
        if (!index_is_needed[i])
            continue;
        object_name(name, "index/", &r->index_objects[i].name);
        if (each(ctx, name, false, e))
            return -1;
    }
    return 0;
}

int repo_each_needed(struct repo *r, repo_needed *each, void *ctx, struct err *e)
{
    AUTO(strings) keys = STRINGS_NONE;
    if (list_names(r->store, "keys/", &keys, e) || each(ctx, "lifeboat", false, e))
        return -1;
    for (size_t i = 0; i < keys.n; i++)
        if (each(ctx, keys.v[i], false, e))
            return -1;
    bool *index_is_needed = xcalloc(r->index_object_count, sizeof *index_is_needed);
    int rc = each_pack(r, each, ctx, index_is_needed, e) || each_index(r, each, ctx, index_is_needed, e);
    free(index_is_needed);
    return rc ? -1 : 0;
}

void repo_distrust(struct repo *r, const char *name)
{
    struct sha sha;
    if (strncmp(name, "packs/", 6) != 0 || !name_sha(name, &sha))
        return;
    sha_set_add(&r->distrusted, &sha);
    sha_set_sort(&r->distrusted);
}
