/* file.h - files without surprises: whole reads and writes, files that appear complete or not at all,
 * unlinked spool files, folders made private. All calls handle EINTR and short transfers. */
#ifndef LIFEBOAT_BASE_FILE_H
#define LIFEBOAT_BASE_FILE_H

#include "base/base.h"

#include <sys/stat.h>
#include <sys/types.h>

int fd_write_all(int fd, struct bytes b, const char *what, struct err *e) MUST_CHECK;
/* Writes at `offset` without moving the file position. */
int fd_pwrite_all(int fd, struct bytes b, uint64_t offset, const char *what, struct err *e) MUST_CHECK;
/* Reads exactly n bytes at `offset`; an early end is ERR_IO ("what: ends at byte N"). */
int fd_pread_all(int fd, void *p, size_t n, uint64_t offset, const char *what, struct err *e) MUST_CHECK;
/* Up to n bytes; 0 at the end, -1 with *e. */
ssize_t fd_read(int fd, void *p, size_t n, const char *what, struct err *e) MUST_CHECK;

/* Appends the whole file to `out`; more than `limit` bytes is ERR_USAGE. ENOENT leaves errno set and *e
 * filled. */
int file_read(const char *path, size_t limit, struct buf *out, struct err *e) MUST_CHECK;
/* The same of a file that we wrote, or that others name: a FIFO, which would be waited for, and whatever else
 * is no regular file are refused. */
int file_read_regular(const char *path, size_t limit, struct buf *out, struct err *e) MUST_CHECK;

/* The same of a file below the folder `root`, as a process sees it whose root folder that is: no link and no
 * ".." leads out of it. For paths and folders that somebody else has in hand. Regular files only. */
int file_read_below(const char *root, const char *path, size_t limit, struct buf *out,
                    struct err *e) MUST_CHECK;

/* Makes `path` hold `data` with `mode`: temporary name beside it, fsync, rename, fsync of the folder.
 * Temporary names of this path that are older than a day (their process was killed) go. With `exclusive` an
 * existing path is refused (ERR_USAGE). That it is there then, and all of it, is looked at. */
int file_write(const char *path, struct bytes data, mode_t mode, bool exclusive, struct err *e) MUST_CHECK;

/* An open file that has no name and takes its space with it when closed, in `dir`. Returns the fd or -1. */
int file_spool(const char *dir, struct err *e) MUST_CHECK;

/* mkdir -p; folders that are made get `mode`, and survive a power cut. */
int dir_make(const char *path, mode_t mode, struct err *e) MUST_CHECK;
/* So that the folder's own name survives one, too: whoever made it may have been killed before that. */
int dir_sync_above(const char *path, struct err *e) MUST_CHECK;
int dir_sync(int dirfd, const char *what, struct err *e) MUST_CHECK;
/* Removes a tree, of any depth, without following symlinks or leaving its file system; what is missing is
 * fine. */
int dir_remove(const char *path, struct err *e) MUST_CHECK;

/* Where a file with a secret is to be read: the copy that systemd's LoadCredential= made of it for this
 * service, $CREDENTIALS_DIRECTORY/<its last name>, when there is one; else `path` itself. Caller frees. */
char *file_credential(const char *path);

/* A key or password file: regular, owned by root or this user, not readable by group or others.
 * Otherwise ERR_USAGE naming the chmod that helps. */
int file_check_private(const char *path, struct err *e) MUST_CHECK;

#endif
