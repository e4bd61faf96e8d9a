/* catalog.h - what is in a volume's tar stream, and where: a stream of JSON lines beside it
 * (docs/catalog.md). */
#ifndef LIFEBOAT_SOURCE_CATALOG_H
#define LIFEBOAT_SOURCE_CATALOG_H

#include "base/base.h"

#include <sys/types.h>

#define CATALOG_TAR_END 1024 /* bytes of the tar stream after the last run: the two empty blocks */

struct catalog_entry {
    const char *path;   /* relative, "." for the root; bytes as they were in the file system */
    const char *target; /* of a symlink; NULL */
    const char *link;   /* of a further hard link: the path that holds the bytes; NULL */
    uint64_t link_run;  /* and the run that it is in */
    mode_t mode;        /* type and permissions, as in stat */
    uint64_t size;
    uint32_t uid, gid;
    int64_t mtime_ns;
    uint64_t run; /* which run its tar entry is in, from 0 */
};

/* Writing: appends lines. The start first, then for each run its entries and its end; entry->run is the run
 * at hand. */
void catalog_add_start(struct buf *out);
void catalog_add_entry(struct buf *out, const struct catalog_entry *e);
void catalog_add_run(struct buf *out, uint64_t bytes); /* what the entries take in the tar stream */

/* Reading: push the stream's bytes; `entry` is called for each entry, `run` after the entries of each run
 * with where its bytes lie in the tar stream; either may be NULL. Not 0 ends the reading and is handed on;
 * -1 with *e. What an entry points to is valid for the call. */
struct catalog_visitor {
    int (*entry)(void *ctx, const struct catalog_entry *entry, struct err *e);
    int (*run)(void *ctx, uint64_t run, uint64_t offset, uint64_t bytes, struct err *e);
    void *ctx;
};
struct catalog_reader {
    struct catalog_visitor visitor;
    struct buf line;
    uint64_t run, offset;
    bool started, run_is_open;
};
void catalog_reader_init(struct catalog_reader *r, const struct catalog_visitor *v);
/* ERR_DAMAGED: a line that is none; ERR_FAILED: a version that this program does not know. */
int catalog_reader_push(struct catalog_reader *r, struct bytes b, struct err *e) MUST_CHECK;
/* ERR_DAMAGED: the stream ends too early. */
int catalog_reader_end(struct catalog_reader *r, struct err *e) MUST_CHECK;
void catalog_reader_free(struct catalog_reader *r);
AUTO_FOR(catalog_reader)

#endif
