/* find.h - what a service keeps, and what a place that it mounts is good for. Pure rules over names. */
#ifndef LIFEBOAT_COMPOSE_FIND_H
#define LIFEBOAT_COMPOSE_FIND_H

#include "compose/compose.h"

enum service_kind {
    SERVICE_OTHER,
    SERVICE_POSTGRES,
    SERVICE_MYSQL,
    SERVICE_MARIADB,
    SERVICE_MONGO,
    SERVICE_REDIS,
    SERVICE_SEARCH, /* Elasticsearch, OpenSearch */
    SERVICE_WRITER, /* keeps its data in files that it writes all the time */
};
enum service_kind service_kind(const struct compose_service *s);
/* Whether it is where a service of that kind keeps its data. */
bool mount_is_data(const struct compose_service *s, enum service_kind k, const struct compose_mount *m);
/* What the container gets; "" where compose hands on what is not known. NULL: no such variable. */
const char *service_variable(const struct compose_service *s, const char *name);
/* Where Elasticsearch may put its own snapshots: the place that its path.repo names. NULL: nowhere. */
const struct compose_mount *search_snapshots(const struct compose_service *s);

/* A place that services mount: a volume, or a folder of this host. */
struct place {
    const struct compose_volume *volume; /* or NULL */
    const char *path;                    /* of a bind; NULL for a volume */
    const struct compose_service **users;
    const struct compose_mount **mounts; /* one for each user */
    size_t n;
};
struct places {
    struct place *v;
    size_t n;
};
void places_find(const struct compose *c, struct places *out);
void places_free(struct places *p);
AUTO_FOR(places)

bool path_is_sqlite(const char *path); /* by its name */
/* Why a place is not backed up, as half a sentence, or NULL: it is. Caller frees. */
char *place_why_not(const struct compose *c, const struct place *p);

#endif
