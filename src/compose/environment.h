/* environment.h - variables: where they come from, and how they are put into text. */
#ifndef LIFEBOAT_COMPOSE_ENVIRONMENT_H
#define LIFEBOAT_COMPOSE_ENVIRONMENT_H

#include "base/base.h"

struct environment {
    const struct strings *outer; /* "NAME=value", goes before */
    struct strings lines;        /* of files; the last that has a name counts */
    size_t bytes;                /* of them */
    size_t looks;                /* lines that were looked at for names in text */
    struct strings *notes;       /* gets a line for a name that is used and not set; may be NULL */
};
const char *environment_get(const struct environment *v, const char *name); /* or NULL */
void environment_free(struct environment *v);
AUTO_FOR(environment)

/* Appends `text` with $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME?message},
 * ${NAME:+other}, ${NAME+other} and $$ put in; a "$" before anything else stays. -1 with *e, ERR_USAGE. */
int environment_expand(struct environment *v, const char *text, struct buf *out, struct err *e) MUST_CHECK;

/* Adds what an environment file holds: NAME=value, `export NAME=value`, '...' as it stands, "..." with its
 * escapes; comments. A later line may use an earlier one. *e: "FILE:LINE: ...". */
int environment_read(struct environment *v, const char *file, struct bytes text, struct err *e) MUST_CHECK;

#endif
