#include "target/stream_feed.h"

#include <string.h>

const struct range whole_stream = {0, UINT64_MAX};
static const uint8_t end_of_tar[1024]; /* POSIX: two blocks of zeros */

static int next(struct feed *base, struct bytes *out, struct err *e)
{
    struct stream_feed *f = CONTAINER(base, struct stream_feed, base);
    for (;;) {
        if (!f->reader && f->at == f->range_count) {
            *out = f->pad ? BYTES(end_of_tar, sizeof end_of_tar) : BYTES(NULL, 0);
            f->pad = false;
            return 0;
        }
        if (!f->reader) {
            const struct range *r = &f->ranges[f->at++];
            f->reader = stream_reader_new(f->repo, f->info, r->offset, r->length, e);
            if (!f->reader)
                return -1;
        }
        if (stream_reader_next(f->reader, out, e))
            return -1;
        if (out->n)
            break;
        stream_reader_free(f->reader);
        f->reader = NULL;
    }
    f->done += out->n;
    if (f->progress)
        f->progress(f->progress_ctx, f->done, f->total);
    return 0;
}

void stream_feed_init(struct stream_feed *f, struct repo *r, const struct stream_info *info,
                      const struct range *ranges, size_t n)
{
    *f = (struct stream_feed){
        .base = {.next = next}, .repo = r, .info = info, .ranges = ranges, .range_count = n};
    for (size_t i = 0; i < n; i++)
        f->total += MIN(ranges[i].length, info->bytes - MIN(info->bytes, ranges[i].offset));
}

void stream_feed_free(struct stream_feed *f)
{
    stream_reader_free(f->reader);
    f->reader = NULL;
}
