/* Whether the store still has what this host put there. */
#include "internal.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define YOUNG_NS \
    (2 * 3600000000000ll) /* a listing may not show what was put an hour ago (format.md, section 11) */

static char *folder_of(const struct run_repo *r, const struct config *c)
{
    return xasprintf("%s/%s", c->state_dir, r->id);
}

static char *name_of(const struct newest_of *one)
{
    char hex[SHA_HEX];
    sha_hex(hex, &one->snapshot);
    return xasprintf("snapshots/%s", hex);
}

static bool is_there(const struct run_repo *r, const struct newest_of *one)
{
    AUTO_CHAR name = name_of(one);
    struct err ignored = ERR_INIT;
    uint64_t size;
    return store_size(r->store, name, &size, &ignored) == STORE_DONE;
}

/* Below a delete marker, that is: no listing will ever show it. */
static bool is_hidden(const struct run_repo *r, const struct newest_of *one)
{
    AUTO_CHAR name = name_of(one);
    AUTO(buf) bytes = BUF_NONE;
    AUTO(strings) mended = STRINGS_NONE;
    struct err ignored = ERR_INIT;
    (void)!store_get(r->store, name, OBJECT_LIMIT, &bytes, &ignored);
    store_mended(r->store, &mended);
    return strings_has(&mended, name);
}

/* Whether listings may lag behind it: it was put just now. */
static bool is_young(const struct newest_of *one)
{
    int64_t age_ns = time_now_ns() - one->written_ns;
    return one->written_ns && age_ns >= 0 && age_ns < YOUNG_NS;
}

bool run_has_no_reader(const struct run_repo *r)
{
    struct err ignored = ERR_INIT;
    struct key_object *all;
    size_t n;
    if (r->instead || run_used_mirror(r) || keys_list(r->store, &all, &n, &ignored))
        return false;
    free(all);
    return n == 0;
}

void run_newest(const struct run_repo *r, const struct config *c, const struct snapshots *all,
                struct newest *out)
{
    *out = (struct newest){0};
    if (!c || r->instead || run_used_mirror(r))
        return;
    AUTO_CHAR folder = folder_of(r, c);
    newest_load(out, folder, c->host);
    newest_compare(out, all, c->host);
    for (size_t i = 0; i < out->n; i++) {
        struct newest_of *one = &out->v[i];
        one->unlisted = one->lost && is_there(r, one);
        one->lost = one->lost && !(one->unlisted && is_young(one) && !is_hidden(r, one));
    }
}

void newest_keep(const struct run_repo *r, const struct config *c, struct newest *n)
{
    AUTO_CHAR folder = folder_of(r, c);
    struct err why = ERR_INIT;
    if (n->changed && newest_save(n, folder, c->host, &why))
        log_warn("%s: that the store is put back to an older state may go unnoticed", why.text);
}

bool run_give_up(const struct run_repo *r, const struct config *c, const char *word)
{
    AUTO(snapshots) all = {0};
    AUTO(newest) newest = {0};
    struct err ignored = ERR_INIT;
    if (strlen(word) < 4 || snapshots_load(r->repo, &all, &ignored))
        return false;
    run_newest(r, c, &all, &newest);
    bool found = newest_give_up(&newest, word) > 0;
    newest_keep(r, c, &newest);
    return found;
}
