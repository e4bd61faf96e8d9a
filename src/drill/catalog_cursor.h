/* catalog_cursor.h - a catalog of a repository, pulled line by line. */
#ifndef LIFEBOAT_DRILL_CATALOG_CURSOR_H
#define LIFEBOAT_DRILL_CATALOG_CURSOR_H

#include "repo/stream.h"
#include "source/catalog.h"

/* A line: an entry, or the end of the run that the entries before it are in. */
struct catalog_item {
    bool is_run;
    struct catalog_entry entry;
    uint64_t offset, bytes; /* of a run: where it lies in the tar stream */
};
struct catalog_cursor {
    struct stream_reader *stream;
    struct catalog_reader lines;
    struct catalog_item *v; /* what one piece of the stream held */
    size_t n, cap, at;
    bool ended;
};
int catalog_cursor_open(struct catalog_cursor *c, struct repo *r, const struct stream_info *info,
                        struct err *e) MUST_CHECK;
/* 1: *out is the next one, valid until the next call. 0: the end. -1: as stream_reader_next() and
 * catalog_reader_push(). */
int catalog_cursor_next(struct catalog_cursor *c, const struct catalog_item **out, struct err *e) MUST_CHECK;
void catalog_cursor_free(struct catalog_cursor *c);
AUTO_FOR(catalog_cursor)

#endif
