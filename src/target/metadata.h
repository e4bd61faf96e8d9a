/* metadata.h - owner, mode, ACLs, extended attributes and times of one restored entry. */
#ifndef LIFEBOAT_TARGET_METADATA_H
#define LIFEBOAT_TARGET_METADATA_H

#include "target/target.h"

#include <archive.h>
#include <archive_entry.h>

/* What was refused goes into counts->notes, the first few of a kind. fd: an open file or folder; or -1 and
 * the path /proc/self/fd/DIR/NAME of something that cannot be opened (a symlink, a device). */
void metadata_apply(int fd, const char *path, struct archive_entry *ae, const char *shown, bool ownership,
                    struct target_counts *counts);
void target_note(struct target_counts *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
