/* The commit of a copy. A snapshot may be put on `to` when every chunk that it needs has a place there in a
 * pack that is listed, whole and not condemned; and, as in a backup (commit.c), only on a young view. */
#include "repo/copying.h"

#include "base/child.h"

#include <stdlib.h>

/* ---- is all of it there? ---- */
static int walk_refs(struct copying *c, struct bytes refs, unsigned depth, bool *whole, struct err *e);

/* Reads the list and looks at what it names, once for all snapshots. */
static int walk_list(struct copying *c, const struct ref *ref, unsigned depth, bool *whole, struct err *e)
{
    const struct chunk_id key = list_key(ref, depth);
    uint64_t iter = BIGMAP_START, all_there = 0;
    AUTO(buf) list = BUF_NONE;
    struct err why = ERR_INIT;
    if (bigmap_next(c->walked, key.b, &iter, &all_there)) {
        *whole &= all_there != 0;
        return 0;
    }
    bool below = true;
    if (stop_check(e))
        return -1;
    if (list_read(&c->lists, ref, &list, &why)) {
        if (why.kind != ERR_DAMAGED)
            return *e = why, -1;
        if (!strings_has(&c->out->notes, why.text))
            strings_add(&c->out->notes, why.text);
        below = false;
    } else if (walk_refs(c, buf_bytes(&list), depth, &below, e)) {
        return -1;
    }
    *whole &= below;
    return bigmap_add(c->walked, key.b, below, e);
}

static int walk_refs(struct copying *c, struct bytes refs, unsigned depth, bool *whole, struct err *e)
{
    for (size_t i = 0; i < refs.n / TABLE_CHUNK_SIZE && *whole; i++) {
        struct ref ref = chunk_at(refs, i);
        *whole = index_rely(&c->to->index, &ref.id); /* its lock is extended, where there are locks */
        if (*whole && depth > 0 && walk_list(c, &ref, depth - 1, whole, e))
            return -1;
    }
    return 0;
}

/* Whether every chunk that the snapshot needs is on `to`, in a pack that may be relied on. */
static int snapshot_is_there(struct copying *c, const struct snapshot *s, bool *whole, struct err *e)
{
    *whole = true;
    if (!c->walked && !(c->walked = bigmap_new(c->to->spool_dir, 0, e)))
        return -1;
    for (size_t i = 0; i < s->source_count; i++)
        for (size_t k = 0; k < s->sources[i].stream_count && *whole; k++) {
            const struct stream_info *info = &s->sources[i].streams[k];
            AUTO(buf) roots = BUF_NONE;
            for (uint32_t n = 0; n < info->root_count; n++)
                add_chunk(&roots, &info->roots[n]);
            if (walk_refs(c, buf_bytes(&roots), info->depth, whole, e))
                return -1;
        }
    return 0;
}

/* ---- putting them ---- */
static int view_anew(struct copying *c, struct err *e)
{
    bigmap_free(STEAL(c->walked));
    return view_again(c->to, e);
}

static int send_snapshot(struct copying *c, const struct snapshot *s, bool *sent, struct err *e)
{
    char name[NAME_SIZE];
    bool old;
    if (view_is_old(c->to, &old, e) || (old && view_anew(c, e)) || snapshot_is_there(c, s, sent, e))
        return -1;
    if (!*sent) {
        c->out->waiting++;
        return 0;
    }
    object_name(name, "snapshots/", &s->id);
    return transfers_add(&c->sending, name, 0, true, e);
}

/* They were put long after the view was taken: this machine was asleep. A new view says whether what they
 * need is still there; whoever deletes later than this has seen them. */
static int check_late(struct copying *c, const struct snapshots *all, const bool *sent, struct err *e)
{
    bool late;
    if (view_is_late(c->to, &late, e))
        return -1;
    if (!late)
        return 0;
    if (view_anew(c, e))
        return -1;
    for (size_t i = 0; i < all->n; i++) {
        bool whole = true;
        if (sent[i] && snapshot_is_there(c, &all->v[i], &whole, e))
            return -1;
        if (whole)
            continue;
        c->out->waiting++;
        if (mark_broken(c->to, &all->v[i].id, e))
            return -1;
    }
    return 0;
}

static int send_all(struct copying *c, const struct snapshots *all, bool *sent, struct err *e)
{
    bool any = false;
    for (size_t i = 0; i < all->n; i++) {
        if (sha_set_has(&c->there, &all->v[i].id))
            continue;
        if (send_snapshot(c, &all->v[i], &sent[i], e))
            return -1;
        any |= sent[i];
    }
    if (transfers_finish(&c->sending, e))
        return -1;
    return any ? check_late(c, all, sent, e) : 0;
}

int list_there(struct copying *c, struct err *e)
{
    AUTO(strings) names = STRINGS_NONE, sound = STRINGS_NONE;
    struct sha id;
    if (list_names(c->to->store, "snapshots/", &names, e) || list_sound(c->to->store, &names, &sound, e))
        return -1;
    for (size_t i = 0; i < sound.n; i++)
        if (name_sha(sound.v[i], &id))
            sha_set_add(&c->there, &id);
    sha_set_sort(&c->there);
    return 0;
}

int copy_snapshots(struct copying *c, const struct snapshots *all, struct err *e)
{
    bool *sent = xcalloc(all->n, sizeof *sent);
    uint64_t waiting = c->out->waiting;
    int rc = send_all(c, all, sent, e);
    free(sent);
    for (size_t i = 0; i < c->arrived.n; i++)
        sha_set_add(&c->there, &c->arrived.v[i]);
    sha_set_sort(&c->there);
    if (rc == 0 && c->out->waiting > waiting)
        strings_add_fmt(&c->out->notes,
                        "%llu snapshots wait: not everything they need is on %s outside packs that a prune "
                        "condemned there; the next copy goes on once those are swept (`lifeboat prune`)",
                        (unsigned long long)(c->out->waiting - waiting), store_title(c->to->store));
    return rc;
}
