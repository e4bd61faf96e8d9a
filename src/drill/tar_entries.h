/* tar_entries.h - the entries of a tar stream, one after the other, each with its content in pieces. */
#ifndef LIFEBOAT_DRILL_TAR_ENTRIES_H
#define LIFEBOAT_DRILL_TAR_ENTRIES_H

#include "target/target.h"

#include <archive.h>
#include <archive_entry.h>

struct tar_entries {
    struct feed *in;
    const uint64_t *skip; /* where headers start that a later one of the same path replaces; ascending */
    size_t skip_count;
    struct archive *a;
    struct archive_entry *ae; /* the one at hand, until the next */
    char *path;               /* its path, "" for the top; NULL: there are no more */
    struct bytes piece;       /* of its content, at: */
    uint64_t piece_at;
    bool all_read;
    struct err *e; /* of the call in progress */
};
/* `in` is borrowed. ERR_DAMAGED: not a tar stream; or the feed's own error, here and below. */
int tar_entries_open(struct tar_entries *t, struct feed *in, struct err *e) MUST_CHECK;
/* Goes to the next one. ERR_DAMAGED: the stream is damaged, or has a path that leads out of the folder. */
int tar_entries_next(struct tar_entries *t, struct err *e) MUST_CHECK;
/* The longest stretch of the content from `at`, which only grows, and before `size`: bytes, or with p NULL
 * that many zeros. */
int tar_entries_content(struct tar_entries *t, uint64_t at, uint64_t size, struct bytes *out,
                        struct err *e) MUST_CHECK;
void tar_entries_free(struct tar_entries *t);
AUTO_FOR(tar_entries)

/* A path of a tar stream as catalogs have it: no leading "./", no trailing slash; "" is the top. NULL: it
 * leads out of the folder. Caller frees. */
char *tar_clean_path(const char *raw);
/* For a sentence, printable, and its middle left out when it is long; "" is ".". Caller frees. */
char *tar_shown_path(const char *path);
/* Which of two clean paths a walk meets first: below 0, 0, above 0. */
int tar_path_order(const char *a, const char *b);
/* Whether `path` lies somewhere below `folder`. */
bool tar_path_is_below(const char *path, const char *folder);

#endif
