/* plan.h - what the parts of the configuration's writer share. */
#ifndef LIFEBOAT_COMPOSE_PLAN_H
#define LIFEBOAT_COMPOSE_PLAN_H

#include "find.h"

struct planning {
    const struct compose *c;
    const char *folder; /* of the configuration and its key files */
    struct compose_plan *out;
};

/* A name for a source that no other has, from what compose calls it. Borrowed until the plan ends. */
const char *plan_source(struct planning *p, const char *name, const char *type, bool active);
void plan_left_out(struct planning *p, const char *what, const char *why);
/* Adds a file with a password, "FOLDER/NAME". Returns its path, borrowed until the next one is added. */
const char *plan_secret(struct planning *p, const char *name, const char *password);
/* Of the first container of a service, as compose calls it. Caller frees. */
char *container_name(const struct compose *c, const struct compose_service *s);
/* One argument for a shell. */
void add_shell_word(struct buf *out, const char *word);

/* A source of a database, or why there is none. */
void plan_database(struct planning *p, const struct compose_service *s, enum service_kind kind);
void plan_search(struct planning *p, const struct compose_service *s);
/* A hook that lets Elasticsearch put a snapshot into its repository "lifeboat", in place of the last one.
 * Caller frees. */
char *search_hook(const struct compose *c, const struct compose_service *s);

#endif
