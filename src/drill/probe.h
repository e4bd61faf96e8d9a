/* probe.h - what the file system of scratch takes: an entry made once more, alone, by bare system calls. What
 * is not as it was because the kernel refuses it says nothing about the backup. All answers are 0 or an
 * errno.
 */
#ifndef LIFEBOAT_DRILL_PROBE_H
#define LIFEBOAT_DRILL_PROBE_H

#include "base/base.h"

#include <archive.h>
#include <archive_entry.h>

struct probe {
    const char *place; /* a folder of that file system; borrowed */
    char *folder;      /* in it, while there is a probe */
    char *path;        /* of the thing */
    int made;          /* whether such a thing, of its size and name, can be made */
    int owner, mode, time;
    struct archive_entry *ae; /* borrowed */
};
/* Makes a probe of the entry, unless it is there already. */
void probe_make(struct probe *p, struct archive_entry *ae, const char *path);
int probe_xattr(const struct probe *p, const char *archived_name, struct bytes value);
int probe_acl(const struct probe *p);
void probe_remove(struct probe *p); /* before another entry's */

#endif
