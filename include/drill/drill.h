/* drill.h - a round trip of one source of a snapshot: restored to scratch, backed up again, compared. Nothing
 * here touches the source itself. What a drill ends with is one of three: proven; not equal, with the names
 * of what differs; or unable, which says what this machine lacks and nothing about the backup. */
#ifndef LIFEBOAT_DRILL_DRILL_H
#define LIFEBOAT_DRILL_DRILL_H

#include "config/config.h"
#include "drill/scratch.h"
#include "repo/receipt.h"

/* A sentence more; beyond 50 they are counted in the last one ("and 12 more"). The outcome becomes the worse
 * of the two: differs beats unable beats proven. */
void drill_differs(struct drill_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void drill_unable(struct drill_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void drill_note(struct drill_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Records a step that began at started_ns (time_monotonic_ns). */
void drill_layer_add(struct drill_result *r, const char *name, uint64_t started_ns, bool held);

struct drill_env {
    struct repo *repo;                    /* loaded, with all secrets */
    const struct snapshot_source *source; /* not a failed one */
    const struct config_source *config;   /* NULL: the configuration does not have it, or none was read */
    const struct config_drill *settings;
    const struct strings
        *server_ids; /* system identifiers of the servers that must not be scratch; decimal */
    struct scratch *scratch;
    void (*progress)(void *ctx, const char *step, uint64_t done, uint64_t total); /* may be NULL */
    void *progress_ctx;
};

/* 0: *out tells. -1: the drill broke off (ERR_STOPPED, no room for a spool file, ...): nothing is known. */
int drill_source(const struct drill_env *env, struct drill_result *out, struct err *e) MUST_CHECK;

/* One for each type, called by drill_source(). */
int drill_postgres(const struct drill_env *env, struct drill_result *out, struct err *e) MUST_CHECK;
int drill_volume(const struct drill_env *env, struct drill_result *out, struct err *e) MUST_CHECK;
int drill_command(const struct drill_env *env, struct drill_result *out, struct err *e) MUST_CHECK;

#endif
