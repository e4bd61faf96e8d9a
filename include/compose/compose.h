/* compose.h - what a Docker Compose file says of data: its services, what they mount, and a configuration
 * that backs it up. Pure: files come through a callback, the environment is a list. One thread. */
#ifndef LIFEBOAT_COMPOSE_COMPOSE_H
#define LIFEBOAT_COMPOSE_COMPOSE_H

#include "base/base.h"

#define COMPOSE_FILE_MOST (1u << 20) /* bytes of one file */

enum compose_mount_kind {
    MOUNT_VOLUME,    /* source: its key below `volumes` */
    MOUNT_BIND,      /* source: an absolute path */
    MOUNT_ANONYMOUS, /* source: NULL */
};
struct compose_mount {
    enum compose_mount_kind kind;
    const char *source, *target;
    bool read_only;
};
struct compose_variable {
    const char *name, *value; /* value NULL: the container's own environment decides */
};
struct compose_service {
    const char *name, *image;         /* image: "" when only `build` says what it is */
    const char *container;            /* container_name, or NULL */
    const char *command, *entrypoint; /* joined by blanks, or "" */
    bool built;
    struct strings profiles;
    bool enabled; /* it has no profile, or one that COMPOSE_PROFILES names */
    struct compose_variable *variables;
    size_t variable_count;
    struct compose_mount *mounts;
    size_t mount_count;
};
struct compose_volume {
    const char *key;
    const char *name;   /* as the engine calls it */
    const char *device; /* the folder that it is bound to, or NULL */
    const char *remote; /* a driver or file system that keeps it elsewhere ("nfs"), or NULL */
    bool external;      /* another project made it */
};
struct compose_secret {
    const char *key;
    const char *file; /* absolute, or NULL */
};
struct compose {
    char *project;
    char *folder;         /* of the first file, absolute */
    struct strings files; /* that were read: compose files, then environment files */
    struct compose_service *services;
    size_t service_count;
    struct compose_volume *volumes;
    size_t volume_count;
    struct compose_secret *secrets;
    size_t secret_count;
    struct strings notes; /* variables that are not set and the like */
    struct arena *arena;  /* private: holds all texts */
};

struct compose_input {
    struct strings files;       /* the folder of the first is the project's */
    struct strings env_files;   /* none: ".env" in that folder, when it is there */
    const char *here;           /* absolute: where relative paths of those start */
    struct strings environment; /* "NAME=value"; goes before what env_files say */
    /* Appends the file to `out`. 1: it is not there; -1 with *e. */
    int (*read)(void *ctx, const char *path, struct buf *out, struct err *e);
    void *read_ctx;
};
/* NULL with *e, ERR_USAGE: "FILE:LINE: what; what to do". Memory is bounded whatever the files hold. */
struct compose *compose_load(const struct compose_input *in, struct err *e) MUST_CHECK;
const struct compose_volume *compose_find_volume(const struct compose *c, const char *key); /* or NULL */
void compose_free(struct compose *c);
AUTO_PTR_FOR(compose)

/* ---- a configuration from it ---- */
struct compose_plan_source {
    char *name, *type;
    bool active; /* false: it stands there as a comment */
};
struct compose_left_out {
    char *what, *why;
};
/* A file that the configuration refers to, and that holds a password: to be written with mode 0600. */
struct compose_secret_file {
    char *path;
    struct buf text;
};
struct compose_plan {
    struct buf text; /* the configuration */
    struct compose_plan_source *sources;
    size_t source_count;
    struct compose_left_out *left_out;
    size_t left_out_count;
    struct compose_secret_file *files;
    size_t file_count;
};
/* What init writes. `folder`: where the configuration and the keys are going to lie. *out is to be freed. */
int compose_plan(const struct compose *c, const char *folder, struct compose_plan *out,
                 struct err *e) MUST_CHECK;
void compose_plan_free(struct compose_plan *p);
AUTO_FOR(compose_plan)

#endif
