/* pg_container.h - a container whose server is asked, and whose own programs do the work: the client then is
 * always as new as the server. They are run by `docker exec -i` (or podman's), without a terminal; variables
 * go in by name, their values in the environment of that command, so none stands in an argument. */
#ifndef LIFEBOAT_SOURCE_PG_CONTAINER_H
#define LIFEBOAT_SOURCE_PG_CONTAINER_H

#include "base/base.h"

struct pg_container {
    char *command; /* "docker" or "podman"; NULL: this machine has neither */
    char *engine;  /* "DOCKER_HOST=unix:///run/docker.sock", for that command */
    char *id;      /* NULL: no container */
    char *name;    /* as the user calls it */
    char *port;    /* that the server listens on in there */
    char *socket;  /* the folder of its socket in there; NULL: the usual one */
    char *image;   /* the id of what it was made from; "": not known */
};
void pg_container_free(struct pg_container *c);
AUTO_FOR(pg_container)

/* For `sh -c GUARD sh PROGRAM ...`: the program gets no input, and is ended when that of the shell ends. */
extern const char pg_container_guard[];

/* The words that run what is added behind them in the container, with those variables ("NAME=value", "NAME":
 * removed). `guarded`: its input is empty, and it is ended when the input of the command here ends: when
 * lifeboat is killed, or the command is, nothing stays behind in there. */
void pg_container_words(const struct pg_container *c, const struct strings *environment, bool guarded,
                        struct strings *out);
/* The major version of its program `name`. 1, with *e: it has none, or there is no command to run it by. */
int pg_container_major(const struct pg_container *c, const char *name, int *major, struct err *e) MUST_CHECK;
/* Whether the status is the engine's or the container's end and not the program's own; says so in *e then. */
bool pg_container_explain(const struct pg_container *c, const char *name, int exit_status, const char *said,
                          struct err *e);
/* Puts a file into it; *path, to be given to pg_container_remove(), is its name in there. */
int pg_container_put(const struct pg_container *c, int fd, char **path, struct err *e) MUST_CHECK;
void pg_container_remove(const struct pg_container *c, const char *path);

#endif
