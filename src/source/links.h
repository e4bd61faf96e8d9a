/* links.h - which name of a file with several links was met first. Kept in mapped and unlinked files, so a
 * volume full of links costs disk, not memory. */
#ifndef LIFEBOAT_SOURCE_LINKS_H
#define LIFEBOAT_SOURCE_LINKS_H

#include "base/base.h"

#include <sys/stat.h>

struct links {
    const char *dir; /* for the files; borrowed */
    struct bigmap *map;
    int fd;
    uint64_t end;
};
#define LINKS_IN(folder)          \
    {                             \
        .dir = (folder), .fd = -1 \
    }

/* Meets the name `path` of a file with more than one link. A first link that stands already is told in
 * *link_to (the caller frees it) and *link_run; else *link_to is NULL and this one is the first from now on.
 */
int links_meet(struct links *l, const struct stat *st, const char *path, uint64_t run, char **link_to,
               uint64_t *link_run, struct err *e) MUST_CHECK;
/* The first link did not get into the stream: whoever is met next is the first. */
int links_forget(struct links *l, const struct stat *st, struct err *e) MUST_CHECK;
void links_free(struct links *l);
AUTO_FOR(links)

#endif
