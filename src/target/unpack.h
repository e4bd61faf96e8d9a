/* unpack.h - what directory.c (the stream) and entry.c (one entry of it) share. */
#ifndef LIFEBOAT_TARGET_UNPACK_H
#define LIFEBOAT_TARGET_UNPACK_H

#include "safe_path.h"
#include "target/target.h"

#include <archive.h>
#include <archive_entry.h>

struct unpacking {
    const struct target_directory_options *o;
    struct target_counts *counts;
    struct feed *in;
    struct archive *a;
    struct folders folders;
    bool *found;          /* by `only` */
    uint64_t failed;      /* entries */
    uint64_t temporaries; /* restored things whose names are like those of things in the making */
    struct err first_failure;
    struct err *e; /* of the whole: the feed's errors come out here */
};

/* What libarchive or the feed had to say: ERR_DAMAGED, or the feed's own error. */
int unpack_stream_failed(struct unpacking *u, const char *shown, struct err *e);

/* The name under which the content that stands at `path` is restored; NULL: under its own, or not. */
const char *unpack_alias(const struct unpacking *u, const char *path);

/* Makes one entry at `path` (clean). ERR_IO: it could not be made, others may; anything else is the end. */
int unpack_entry(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                 struct err *e) MUST_CHECK;

/* An entry of a folder above something wanted: a folder that is missing is made as the archive has it, one
 * that is there is left alone. */
int unpack_missing_parent(struct unpacking *u, struct archive_entry *ae, const char *path, const char *shown,
                          struct err *e) MUST_CHECK;

/* For struct folders: the metadata of a folder, once its content, which changes its times, is there. */
void unpack_leave_folder(void *ctx, struct level *l);

#endif
