/* transfer.h - objects on their way from one store to another, several at a time: each is compared with its
 * name before it is put. Driven by one thread; the work is done by the pool of `to`. */
#ifndef LIFEBOAT_REPO_TRANSFER_H
#define LIFEBOAT_REPO_TRANSFER_H

#include "repo/internal.h"

#define TRANSFERS 4 /* at a time, and no more than there are workers */

struct transfer {
    struct job job;
    struct transfers *all;
    bool busy;
    char name[NAME_SIZE];
    struct sha sha;
    uint64_t size; /* of a pack; of others once they were read */
    bool is_pack;
    bool replace;     /* the name is there with other bytes */
    bool bad;         /* not put: its bytes do not fit, or it is gone; `error` says so */
    struct buf table; /* of a pack that was put: its table, when it opens */
    struct err error;
};
struct transfers {
    struct repo *from, *to;
    /* Called for each object in the order in which they were added, on the driving thread: it was put, or
     * is bad. */
    int (*done)(void *ctx, struct transfer *t, struct err *e);
    void *ctx;
    struct transfer v[TRANSFERS];
    uint64_t started;
};
/* Sends one off; waits for an older one when there are enough. `size` is that of a pack. -1: a store failed,
 * and whatever is still under way counts for nothing. */
int transfers_add(struct transfers *t, const char *name, uint64_t size, bool replace,
                  struct err *e) MUST_CHECK;
int transfers_finish(struct transfers *t, struct err *e) MUST_CHECK;
void transfers_free(struct transfers *t); /* waits for what is under way */
AUTO_FOR(transfers)

#endif
