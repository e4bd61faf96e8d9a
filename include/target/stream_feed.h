/* stream_feed.h - a feed over a stream of a repository: all of it, or pieces one after the other. */
#ifndef LIFEBOAT_TARGET_STREAM_FEED_H
#define LIFEBOAT_TARGET_STREAM_FEED_H

#include "repo/stream.h"
#include "target/target.h"

struct range {
    uint64_t offset, length; /* length UINT64_MAX: to the end */
};
extern const struct range whole_stream;

struct stream_feed {
    struct feed base;
    struct repo *repo;
    const struct stream_info *info;
    const struct range *ranges; /* borrowed */
    size_t range_count, at;
    bool pad; /* ends with two zero blocks: a tar that is cut out of a larger one */
    struct stream_reader *reader;
    uint64_t done, total;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* may be NULL */
    void *progress_ctx;
};
void stream_feed_init(struct stream_feed *f, struct repo *r, const struct stream_info *info,
                      const struct range *ranges, size_t n);
void stream_feed_free(struct stream_feed *f);
AUTO_FOR(stream_feed)

#endif
