/* tar_internal.h - what the files of the tar writer share: tar_writer.c (headers), tar_file.c (contents and
 * what may happen to them), attributes.c (extended attributes and ACLs). */
#ifndef LIFEBOAT_SOURCE_TAR_INTERNAL_H
#define LIFEBOAT_SOURCE_TAR_INTERNAL_H

#include "tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <xxhash.h>

#define TAR_BLOCK (512u << 10)

/* The parts of a file that are not holes, ascending. */
struct extent {
    off_t start, end;
};
struct tar_writer {
    struct archive *plain, *binary; /* one sink; the second for names beyond ASCII (hdrcharset=BINARY) */
    struct archive_entry *header;
    const char *sparse; /* while the header of a file with holes is written: its path */
    tar_sink *sink;
    tar_content *content;
    void *ctx;
    struct err *e; /* of the call in progress */
    uint64_t bytes;
    uint8_t *block;        /* TAR_BLOCK */
    struct buf small;      /* a small file */
    struct buf attributes; /* scratch */
    XXH3_state_t *hash;    /* of what is read of a file */
    struct extent *extents;
    size_t extent_count;
};

/* Starts an entry. `fd`: the open file, or -1. With `holes` the extents go in. *attributes_error as in
 * tar_result. */
int tar_begin(struct tar_writer *t, const struct entry *entry, int fd, bool holes, int *attributes_error,
              struct err *e) MUST_CHECK;
/* The bytes of the entry; those in holes have to be given too and are dropped. */
int tar_data(struct tar_writer *t, const struct entry *entry, struct bytes b, struct err *e) MUST_CHECK;
int tar_finish(struct tar_writer *t, const struct entry *entry, struct err *e) MUST_CHECK;

/* A file with its content. */
int tar_file(struct tar_writer *t, struct entry *entry, struct tar_result *out, struct err *e) MUST_CHECK;

/* Puts extended attributes and ACLs into the header, through the open file or, with fd < 0, by name. 0, or
 * the errno of the first that did not go in. */
int attributes_add(struct archive_entry *header, const struct entry *entry, int fd,
                   struct buf *scratch) MUST_CHECK;

#endif
