/* image.h - programs of the image that a source runs from, in throwaway containers: no network, no rights,
 * all of it read-only but one folder, and they are removed whatever becomes of us. */
#ifndef LIFEBOAT_DRILL_IMAGE_H
#define LIFEBOAT_DRILL_IMAGE_H

#include "base/child.h"
#include "source/pg_container.h"

struct image;
/* For work in `folder` (a real path, in the scratch folder of a drill, which is locked), as its owner, who
 * has the name `user` in there. What dead drills left running for that scratch folder is removed. */
struct image *image_new(const struct pg_container *source, const char *folder, const char *user,
                        struct err *e) MUST_CHECK;
/* Starts one of its programs. With `serves` it is a server: programs can be run beside it, and it ends when
 * we do. *child is the engine's command. */
int image_start(const struct image *i, const char *const *argv, bool serves, struct child *child,
                struct err *e) MUST_CHECK;
/* The container of the one that serves. */
const struct pg_container *image_container(const struct image *i);
void image_notes(const struct image *i, struct strings *notes);
/* Ends and removes all of it. */
void image_stop(const struct image *i);
void image_free(struct image *i);
AUTO_PTR_FOR(image)

#endif
