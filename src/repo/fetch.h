/* fetch.h - sealed frames on their way from the store: ranges of packs, several at a time, each fetched once
 * for all the frames in it that are wanted soon. A store may be 50 ms away, and bills requests. */
#ifndef LIFEBOAT_REPO_FETCH_H
#define LIFEBOAT_REPO_FETCH_H

#include "repo/internal.h"

#define FETCH_MOST (1u << 20) /* bytes of one range */
#define FETCH_GAP \
    (256u << 10) /* bytes that nobody wants, and that are read through: cheaper than a request */

struct fetcher;
struct fetcher *fetcher_new(struct repo *r) MUST_CHECK;
void fetcher_free(struct fetcher *f); /* every fetch has ended */

/* Starts to get `length` bytes of a pack, for `users` frames in them. */
struct fetch;
struct fetch *fetch_start(struct fetcher *f, const char *pack, uint32_t offset, uint32_t length,
                          unsigned users);
/* Any thread: waits for the bytes of a frame; *out is borrowed until fetch_end(). *slow: the store took its
 * time, more should be asked for ahead. As frame_read(). */
int fetch_wait(struct fetch *x, const struct frame_source *frame, struct bytes *out, bool *slow,
               struct err *e) MUST_CHECK;
void fetch_end(struct fetch *x); /* any thread: one user has waited and is done; the last one ends it */

#endif
