/* engine.h - what Docker or Podman tells of containers and volumes, over its unix socket: $DOCKER_HOST
 * (unix://...), /run/docker.sock, or /run/podman/podman.sock. */
#ifndef LIFEBOAT_SOURCE_ENGINE_H
#define LIFEBOAT_SOURCE_ENGINE_H

#include "config/config.h"
#include "source/pg_container.h"

/* A source as it is to be read now: a copy whose `connection` or `path` the engine filled in. */
struct engine_source {
    struct config_source source; /* borrows everything else */
    char *connection, *path;     /* owned; the connection may hold a password: it is wiped, and never shown */
    struct pg_container container; /* of a database; its id is NULL when it is in none */
};
/* Asks the engine when the source names a container, a service or a volume; else copies it as it is. *e:
 * ERR_USAGE, ERR_NET, with advice. */
int engine_resolve(const struct config_source *s, struct engine_source *out, struct err *e) MUST_CHECK;
/* The container alone of a source that names one, running or not. */
int engine_container(const struct config_source *s, struct pg_container *out, struct err *e) MUST_CHECK;
void engine_source_free(struct engine_source *s);
AUTO_FOR(engine_source)

#endif
