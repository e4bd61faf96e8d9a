/* pg_scratch.h - a PostgreSQL server that a dump may be restored into: a private throwaway cluster in a cage
 * (cage.h) or in a container of the source's own image (image.h), or a database server that the user set
 * aside. */
#ifndef LIFEBOAT_DRILL_PG_SCRATCH_H
#define LIFEBOAT_DRILL_PG_SCRATCH_H

#include "config/config.h"
#include "drill/scratch.h"
#include "source/pg_container.h"

struct pg_scratch_options {
    const char *scratch; /* "auto", "private" or "image": a private cluster; else a libpq string or URI */
    const struct config_source *source; /* that may run in a container; or NULL */
    int major, minor;                   /* of the server that was dumped: the cluster is of this major */
    const struct strings *server_ids;   /* system identifiers of servers that it must not be */
    const char *encoding, *locale;      /* of the cluster; NULL: UTF8, C.UTF-8 */
    bool no_namespaces;                 /* for tests: as where the kernel does not allow them */
};
struct pg_scratch {
    char *connection;                     /* libpq string of a superuser, without a dbname */
    bool is_private;                      /* roles may be made at will, any database name is free */
    bool is_caged;                        /* with all of DESIGN's locks; else notes say what is missing */
    struct strings notes;                 /* for the receipt: as which user it ran, what was not locked */
    const struct pg_container *container; /* that it runs in, for its programs; NULL: none */
    void *cluster;                        /* private */
};
/* ERR_UNPROVEN, with the remedy, when this machine cannot give one: no server of that major (naming the
 * package), no user lifeboat-drill (naming the command), no seccomp. ERR_USAGE: the connection leads to a
 * server that is a source's. */
/* The server ends with the thread that called this, however that ends. */
int pg_scratch_start(struct pg_scratch *p, struct scratch *s, const struct pg_scratch_options *o,
                     struct err *e) MUST_CHECK;
/* Ends it, with everything that was started in it, and removes its files. */
void pg_scratch_free(struct pg_scratch *p);
AUTO_FOR(pg_scratch)

#endif
