/* metadata.h - owner, mode, ACLs, extended attributes and times of one restored entry. */
#ifndef LIFEBOAT_TARGET_METADATA_H
#define LIFEBOAT_TARGET_METADATA_H

#include "target/target.h"

#include <archive.h>
#include <archive_entry.h>

/* What has been made. All borrowed. */
struct made {
    int fd;    /* an open file or folder; or -1 and: */
    int dirfd; /* where a symlink, fifo or device is, which cannot be opened */
    const char *name;
    const char *shown;
    bool strip; /* takes ACLs and user attributes away that the archive does not have: it was there before, or
                   has inherited some */
};

/* What was refused goes into counts->notes, the first few of a kind. */
void metadata_apply(const struct made *m, struct archive_entry *ae, bool ownership,
                    struct target_counts *counts);
void target_note(struct target_counts *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
