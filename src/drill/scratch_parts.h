/* scratch_parts.h - what scratch_sweep.c does for scratch.c. */
#ifndef LIFEBOAT_DRILL_SCRATCH_PARTS_H
#define LIFEBOAT_DRILL_SCRATCH_PARTS_H

#include "base/base.h"

#include <sys/stat.h>

/* Whether the folder `fd` is the one that `what` describes, or lies somewhere in it. */
bool folder_is_in(int fd, const struct stat *what);

/* Ends the processes whose working or root directory lies in the folder; waits until they are gone. */
void sweep_folder(const struct stat *folder);
/* As root: ends those of the drills' user that no living drill has locked up. */
void sweep_user(void);

#endif
