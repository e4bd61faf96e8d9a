/* tar_writer.h - the one writer of our tar streams: pax through libarchive, and nothing in it that could
 * differ between two equal trees. docs/format.md, section 9, says what goes in. */
#ifndef LIFEBOAT_SOURCE_TAR_WRITER_H
#define LIFEBOAT_SOURCE_TAR_WRITER_H

#include "walk.h"

/* Raised whenever equal files would give other bytes: part of every run key. */
#define TAR_WRITER_VERSION 1

struct tar_writer;
typedef int tar_sink(void *ctx, struct bytes b, struct err *e);
struct tar_writer *tar_writer_new(tar_sink *sink, void *ctx) MUST_CHECK;
uint64_t tar_writer_bytes(const struct tar_writer *t); /* pushed so far */

/* What happened to a file while it was read. */
enum tar_outcome {
    TAR_WHOLE,      /* as its header says */
    TAR_GROWN,      /* has grown at its end: stored to the size in its header */
    TAR_CHANGED,    /* rewritten, shrunk or truncated while it was read, each time */
    TAR_VANISHED,   /* gone before it was opened: nothing was written */
    TAR_REPLACED,   /* another file or a symlink was there: nothing was written */
    TAR_UNREADABLE, /* errno in *error: nothing was written, or zeros for what could not be read */
};
/* Writes one entry. A file is read again, up to twice, when it changed. entry->st becomes what the header
 * says. *settled: size, mtime and ctime did not move, and the times are old enough to be told apart from a
 * later change. -1 only when the sink fails. */
int tar_writer_add(struct tar_writer *t, struct entry *entry, enum tar_outcome *out, int *error,
                   bool *settled, struct err *e) MUST_CHECK;
int tar_writer_end(struct tar_writer *t, struct err *e) MUST_CHECK; /* the two empty blocks */
/* How long after a change a file's times surely differ from those of the next one, in ns, by its file system.
 */
int64_t tar_clock_step(int fd);
/* Whether inode numbers survive a remount there. */
bool tar_inodes_are_stable(int fd);
void tar_writer_free(struct tar_writer *t);
AUTO_PTR_FOR(tar_writer)

#endif
