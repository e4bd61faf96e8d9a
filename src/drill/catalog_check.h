/* catalog_check.h - whether a catalog tells the truth of the tar stream beside it: the same entries in the
 * same order, each run beginning with an entry where the catalog says, the content of hard links in the runs
 * that it names. It sees the entries as they are restored. */
#ifndef LIFEBOAT_DRILL_CATALOG_CHECK_H
#define LIFEBOAT_DRILL_CATALOG_CHECK_H

#include "drill/catalog_cursor.h"
#include "drill/drill.h"

struct archive_entry;
struct bigmap;

/* What the tar stream says of the entry at hand. */
struct seen_entry {
    char *path, *target, *link; /* path NULL: none is */
    mode_t mode;
    uint64_t size;
    int64_t uid, gid, mtime_ns;
    bool has_acl;
    uint64_t start;  /* of its first header, in the stream: it may come several times */
    uint64_t header; /* of its last one, in the slice */
};
struct catalog_check {
    struct drill_result *out;
    struct catalog_cursor cursor;
    struct bigmap *firsts; /* by path: the run of what hard links may lead to */
    struct seen_entry seen;
    uint64_t slice_offset;
    struct buf replaced; /* u64: where headers start, in the slice, that a later one replaces */
    uint64_t run_start;
    bool run_begins;
    bool gave_up; /* one sentence was enough: nothing after it can be compared */
    bool fault;
    uint64_t entries;
    uint64_t spent_ns;
};
/* Temporary files go to `dir`. */
int catalog_check_open(struct catalog_check *c, const struct drill_env *env, const struct stream_info *info,
                       const char *dir, struct drill_result *out, struct err *e) MUST_CHECK;
/* What comes now lies in a slice of the tar stream that begins at `offset`. */
void catalog_check_slice(struct catalog_check *c, uint64_t offset);
int catalog_check_see(struct catalog_check *c, struct archive_entry *ae, uint64_t header,
                      struct err *e) MUST_CHECK;
int catalog_check_slice_end(struct catalog_check *c, struct err *e) MUST_CHECK;
/* After the last slice. */
int catalog_check_end(struct catalog_check *c, uint64_t tar_bytes, uint64_t files, struct err *e) MUST_CHECK;
/* The run of what hard links may lead to. false: `path` was no such thing. */
bool catalog_check_run_of(const struct catalog_check *c, const char *path, uint64_t *run);
void catalog_check_free(struct catalog_check *c);

#endif
