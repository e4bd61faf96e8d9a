/* cluster.h - a private, throwaway PostgreSQL in a cage, or in a container of the image that a source runs
 * from: nothing of it outlives pg_cluster_free(). */
#ifndef LIFEBOAT_DRILL_CLUSTER_H
#define LIFEBOAT_DRILL_CLUSTER_H

#include "base/base.h"
#include "source/pg_container.h"

struct pg_cluster_options {
    const char *scratch; /* the folder to make its own in */
    int major;
    const char *encoding, *locale; /* NULL: UTF8, C.UTF-8 */
    bool no_namespaces;
    const struct pg_container *container; /* in one of its image, with its programs; NULL: in a cage */
};
struct pg_cluster;
bool pg_cluster_has_server(int major); /* this machine, for a cage */
/* It answers when this returns. ERR_UNPROVEN with what helps; ERR_STOPPED. */
struct pg_cluster *pg_cluster_new(const struct pg_cluster_options *o, struct err *e) MUST_CHECK;
const char *pg_cluster_connection(const struct pg_cluster *c); /* libpq string, without a dbname */
int pg_cluster_version(const struct pg_cluster *c);            /* 150020 */
const struct pg_container *pg_cluster_container(const struct pg_cluster *c); /* NULL: none */
bool pg_cluster_is_caged(const struct pg_cluster *c);
void pg_cluster_notes(const struct pg_cluster *c, struct strings *notes);
void pg_cluster_free(struct pg_cluster *c);
AUTO_PTR_FOR(pg_cluster)

#endif
