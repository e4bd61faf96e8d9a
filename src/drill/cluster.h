/* cluster.h - a private, throwaway PostgreSQL in a cage: nothing of it outlives pg_cluster_free(). */
#ifndef LIFEBOAT_DRILL_CLUSTER_H
#define LIFEBOAT_DRILL_CLUSTER_H

#include "base/base.h"

struct pg_cluster_options {
    const char *scratch; /* the folder to make its own in */
    int major;
    const char *encoding, *locale; /* NULL: UTF8, C.UTF-8 */
    bool no_namespaces;
};
struct pg_cluster;
/* It answers when this returns. ERR_UNPROVEN with what helps; ERR_STOPPED. */
struct pg_cluster *pg_cluster_new(const struct pg_cluster_options *o, struct err *e) MUST_CHECK;
const char *pg_cluster_connection(const struct pg_cluster *c); /* libpq string, without a dbname */
int pg_cluster_version(const struct pg_cluster *c);            /* 150020 */
bool pg_cluster_is_caged(const struct pg_cluster *c);
void pg_cluster_notes(const struct pg_cluster *c, struct strings *notes);
void pg_cluster_free(struct pg_cluster *c);
AUTO_PTR_FOR(pg_cluster)

#endif
