/* source.h - something to back up. A source pushes its bytes into streams of a writer and says how it went.
 */
#ifndef LIFEBOAT_SOURCE_SOURCE_H
#define LIFEBOAT_SOURCE_SOURCE_H

#include "base/base.h"
#include "config/config.h"
#include "policy/verdict.h"
#include "repo/stream.h"
#include "source/pg_container.h"

/* What a run gives a source. All borrowed. */
struct source_env {
    struct writer *writer;
    /* Volumes, with writer NULL: takes the tar stream, of which nothing is kept: no catalog, no run cache.
     * Not 0 with *e ends the backup. */
    int (*sink)(void *ctx, struct bytes b, struct err *e);
    void *sink_ctx;
    const struct config *config;
    const struct config_source *source;
    const struct pg_container *container; /* databases: that the server runs in, or NULL */
    const char *temp_dir;                 /* volumes: for temporary files */
    const char *cache_dir; /* of this repository: volumes keep their run cache here; may be lost any time */
    const uint8_t *run_cut_key; /* 32 bytes, volumes: ends runs and keys the run cache */
    struct chunk_params volume_params, database_params; /* chunk sizes, as configured or the type\'s own */
    int volume_level, database_level;                   /* zstd */
    bool read_all;                                      /* volumes: do not use the run cache */
    uint64_t last_good_bytes; /* of the last good snapshot of this source on this host; 0: there is none */
    uint64_t last_good_files; /* the same: entries of a volume */
    struct bytes
        last_good_state; /* what this source kept in `state` then; empty: none. databases: names of tables */
    void (*progress)(void *ctx, uint64_t done_bytes,
                     uint64_t expected_bytes); /* may be NULL; expected 0: unknown */
    void *progress_ctx;
};

struct source_result {
    enum verdict verdict;        /* VERDICT_FAILED only together with -1 of source_backup */
    struct strings reasons;      /* why it is degraded: one sentence each, naming the object */
    struct strings notes;        /* worth saying, not worth worrying */
    struct stream_info *streams; /* owned; the main one ("data") first */
    size_t stream_count;
    uint64_t bytes;                 /* of the main streams */
    uint64_t files;                 /* entries of a volume, tables of a database, 0 of a command */
    char *server_id;                /* databases: the system identifier of their server, or NULL; owned */
    uint64_t database_bytes;        /* what they take on it */
    struct strings server_settings; /* "NAME=VALUE": what that server says of the meaning of values */
    struct buf state;               /* kept by the run in [state] for the next night's comparison */
};
#define SOURCE_RESULT_NONE \
    {                      \
        0                  \
    }
void source_result_free(struct source_result *r);
AUTO_FOR(source_result)
void source_result_add_stream(struct source_result *r, const struct stream_info *info);
/* Makes the verdict degraded and adds the reason. More than 50 reasons are counted, not kept. */
void source_result_degrade(struct source_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void source_result_note(struct source_result *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Runs a hook (NULL: nothing) with LIFEBOAT_HOOK, and LIFEBOAT_SOURCE unless that is NULL, in its
 * environment. */
int source_run_hook(const char *source, const char *which, const char *command, struct err *e) MUST_CHECK;

/* Backs one source up. 0: *out tells (good or degraded). -1: failed, *e says why; *out holds what was noted.
 */
int source_backup(const struct source_env *env, struct source_result *out, struct err *e) MUST_CHECK;

/* One for each type, called by source_backup. */
int source_postgres(const struct source_env *env, struct source_result *out, struct err *e) MUST_CHECK;
int source_volume(const struct source_env *env, struct source_result *out, struct err *e) MUST_CHECK;
int source_command(const struct source_env *env, struct source_result *out, struct err *e) MUST_CHECK;

#endif
