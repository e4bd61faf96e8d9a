/* tar_writer.h - the one writer of our tar streams: pax through libarchive, and nothing in it that could
 * differ between two equal trees. docs/catalog.md says what goes in. */
#ifndef LIFEBOAT_SOURCE_TAR_WRITER_H
#define LIFEBOAT_SOURCE_TAR_WRITER_H

#include "walk.h"

/* Raised whenever equal files would give other bytes: part of every run key. */
#define TAR_WRITER_VERSION 2

struct tar_writer;
typedef int tar_sink(void *ctx, struct bytes b, struct err *e);
/* Called between the header of a file that is not small and its content; NULL: nobody cares. */
typedef int tar_content(void *ctx, struct err *e);
struct tar_writer *tar_writer_new(tar_sink *sink, tar_content *content, void *ctx) MUST_CHECK;
uint64_t tar_writer_bytes(const struct tar_writer *t); /* pushed so far */

/* What happened to a file while it was read. */
enum tar_outcome {
    TAR_WHOLE,      /* as its header says */
    TAR_GROWN,      /* has grown at its end: stored to the size in its header */
    TAR_LONGER,     /* holds more than the file system says: stored to the size in its header */
    TAR_CHANGED,    /* rewritten or shrunk while it was read, each time: what is stored may be a mixture */
    TAR_VANISHED,   /* gone before it was opened: nothing was written */
    TAR_REPLACED,   /* something that is no file was there: nothing was written */
    TAR_UNREADABLE, /* `error` says why: nothing was written, or zeros from `readable` on */
};
struct tar_result {
    enum tar_outcome outcome;
    int error;            /* errno of TAR_UNREADABLE */
    uint64_t readable;    /* of TAR_UNREADABLE: bytes before the first that could not be read */
    int attributes_error; /* errno when an extended attribute or ACL did not go in; 0: all did */
    bool other_file;      /* another file than the walk saw bears the name now; that one was written */
    bool settled; /* nothing moved since the walk, and the times are old enough to tell from a later change */
};
/* Writes one entry. A file is read again, up to twice, when it changed; one whose header was out already
 * goes in again under the same name, and who unpacks the stream ends with the last. entry->st becomes what
 * the header says. -1 only when the sink fails. */
int tar_writer_add(struct tar_writer *t, struct entry *entry, struct tar_result *out,
                   struct err *e) MUST_CHECK;
int tar_writer_end(struct tar_writer *t, struct err *e) MUST_CHECK; /* the two empty blocks */
void tar_writer_free(struct tar_writer *t);
AUTO_PTR_FOR(tar_writer)

#endif
