/* state_file.h - the small JSON files of [state] directory: hints, each written whole and read whole. */
#ifndef LIFEBOAT_REPORT_STATE_FILE_H
#define LIFEBOAT_REPORT_STATE_FILE_H

#include "base/base.h"

#include <jansson.h>

/* The object that the file holds; json_decref() it. NULL: there is no such file (*e is not set), it cannot be
 * read, is longer than `limit` (ERR_IO, ERR_USAGE), or holds none (ERR_DAMAGED). */
json_t *state_file_read(const char *path, size_t limit, struct err *e);
/* Takes `o`. The folder, 0700, is made when it is missing. Whoever writes as root leaves the file to the
 * owner of the folder, who could not read it else. */
int state_file_write(const char *path, json_t *o, struct err *e) MUST_CHECK;

#endif
