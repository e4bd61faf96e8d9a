/* parsing.h - what reading a configuration (config.c) and checking it as a whole (check.c) share. */
#ifndef LIFEBOAT_CONFIG_PARSING_H
#define LIFEBOAT_CONFIG_PARSING_H

#include "keys.h"

/* A section's heading (key NULL) or a key that was set: its line, for messages and to find doubles. */
struct seen {
    char *section, *key;
    unsigned line;
};
struct parsing {
    const char *name;      /* of the file */
    struct bytes text;     /* what is not yet read */
    unsigned line;         /* the one in hand, from 1 */
    struct config *config; /* what comes of it */
    char *section;         /* the one in hand, as messages call it: "source app"; NULL before the first */
    const struct key *keys;
    void *base; /* the struct that its keys set */
    struct seen *seen;
    size_t seen_count;
    struct err *e;
};

/* ERR_USAGE with "FILE:LINE: ..."; returns -1. */
int complain(const struct parsing *p, unsigned line, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Where the key (NULL: the heading) of the section stands, or NULL. */
const struct seen *seen_find(const struct parsing *p, const char *section, const char *key);

/* After the last line: what must be there is there and fits together; defaults. */
int check_whole(struct parsing *p) MUST_CHECK;

/* Whether a libpq connection string holds a password; false for one that libpq cannot read. */
bool connection_has_password(const char *connection);

#endif
