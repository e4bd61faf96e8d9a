/* internal.h - what the files of run/ share. */
#ifndef LIFEBOAT_RUN_INTERNAL_H
#define LIFEBOAT_RUN_INTERNAL_H

#include "policy/retention.h"
#include "run/run.h"
#include "source/engine.h"
#include "target/stream_feed.h"
#include "target/target.h"

#define OBJECT_LIMIT (1u << 20) /* a snapshot is far smaller */

/* ---- secrets.c: key files ---- */
/* "-" is stdin. A recovery kit will do: the identity's lines are found in any text, and blanks inside their
 * digits are passed over. */
struct identity *read_identity(const char *file, struct err *e) MUST_CHECK;
struct keyring *read_writer_key(const char *file, struct err *e) MUST_CHECK;
/* Writes the file once (0600); an existing one is refused. The folder is made. */
int write_identity(const char *file, const struct identity *id, bool exclusive, struct err *e) MUST_CHECK;
int write_writer_key(const char *file, const struct keyring *k, struct err *e) MUST_CHECK;
bool file_is_there(const char *path);
int make_parent_folder(const char *path, struct err *e) MUST_CHECK;

/* ---- open.c ---- */
/* What --store means: a [store NAME], or an URL. *own is filled for an URL, and *out points to what counts.
 */
int find_store(const struct run_access *a, struct config_store *own, const struct config_store **out,
               struct err *e) MUST_CHECK;
/* The store of the access: what --store names, or the first [store]. */
struct store *open_store(const struct run_access *a, bool create, struct err *e) MUST_CHECK;
/* One [store]. With `c` small objects of a bucket are kept in its cache folder. */
struct store *open_configured(const struct config_store *s, const struct config *c, bool create,
                              const char *spool_dir, struct err *e) MUST_CHECK;
char *store_url(const struct run_access *a);           /* as a kit has it; caller frees */
const char *identity_file(const struct run_access *a); /* named or configured; NULL: none */
/* The keyring of whoever may read. ERR_USAGE without identity or passphrase. *id, when not NULL, gets the
 * identity, if it was one. */
struct keyring *open_reader(const struct run_access *a, struct store *s, struct identity **id,
                            struct err *e) MUST_CHECK;

/* ---- mirror.c: for reading ---- */
struct reading *reading_new(const struct run_access *a, const char *spool_dir); /* NULL: none are wanted */
void reading_set(struct reading *m, struct repo_options *o);
void reading_free(struct reading *m);
/* Opens a mirror in place of the first store, which cannot be for the reason `why`. */
int open_instead(struct run_repo *out, const struct run_access *a, enum run_need need,
                 const struct err *why) MUST_CHECK;

/* ---- copy.c ---- */
/* ERR_USAGE unless there are mirrors, and all that are named are. */
int check_mirrors(const struct config *c, const struct strings *names, struct err *e) MUST_CHECK;
/* With the keys and the pool of `first`, which it must not outlive. */
int open_mirror(const struct run_repo *first, const struct config_store *s, const struct config *c,
                struct run_repo *out, struct err *e) MUST_CHECK;
int copy_to(const struct run_repo *first, struct repo *mirror, const struct config_store *s,
            run_progress_fn *progress, void *ctx, struct copy_report *out, struct err *e) MUST_CHECK;
/* `out` is empty. -1: asked to stop. */
int copy_to_mirrors(const struct run_repo *first, const struct config *c, const struct strings *names,
                    run_progress_fn *progress, void *ctx, struct run_copy_result *out,
                    struct err *e) MUST_CHECK;

/* ---- key.c, key_mirrors.c: readers ---- */
/* The one whose object's name starts with `prefix`. 1: there is none. ERR_USAGE: there are several. */
int find_reader(struct store *s, const char *prefix, struct key_object *out, struct err *e) MUST_CHECK;
int find_on_mirrors(const struct run_access *a, const struct run_repo *first, const char *prefix,
                    struct key_object *out, struct err *e) MUST_CHECK;
typedef bool reader_test(const void *ctx, const struct key_object *k);
/* Gives the readers of the first store to all mirrors, and takes those away that `goes` says (NULL: none).
 * `left` gets "NAME: why" of mirrors where that could not be done. Does nothing when --store names one store.
 */
void readers_to_mirrors(const struct run_access *a, const struct run_repo *first, reader_test *goes,
                        const void *ctx, struct strings *left);

/* ---- retain.c: what [retention] says of the snapshots of a repository ---- */
struct line { /* of snapshots: what retention looks at together */
    const char *host, *source;
};
struct retaining {
    const struct config *config;
    struct snapshots all;
    bool *drop; /* of each: to be forgotten now */
    struct line *lines;
    size_t line_count;
    struct retention retention;
    struct zone *zone;
};
/* ERR_DAMAGED: a snapshot cannot be read. */
int retaining_load(struct retaining *t, const struct config *c, struct repo *r, struct err *e) MUST_CHECK;
/* `out`, when not NULL, gets what becomes of each, and why. */
int retaining_decide(struct retaining *t, struct run_prune_result *out, struct err *e) MUST_CHECK;
/* What a person should look at first; last_ns: of the last prune, or 0. After retaining_decide(). */
void retaining_alarms(struct retaining *t, int64_t last_ns, struct strings *out);
void retaining_free(struct retaining *t);
AUTO_FOR(retaining)

/* ---- lock.c: one backup at a time for a repository on this host ---- */
int lock_take(const char *state_dir, const char *id, struct err *e) MUST_CHECK; /* an fd: closing ends it */

/* ---- last.c: what a source kept for the next night ---- */
void last_load(const char *folder, const char *source, struct buf *state);
void last_save(const char *folder, const struct snapshot *s, const struct snapshot_source *source,
               struct bytes state);

/* ---- newest.c ---- */
/* Where it is remembered; a failure is a warning. */
void newest_keep(const struct run_repo *r, const struct config *c, struct newest *n);

/* ---- check.c ---- */
/* Whether a snapshot in the store opens with these keys: it is our repository, whatever its root object says.
 */
bool holds_our_snapshot(struct store *s, const struct keyring *k);

/* ---- locks.c: object-lock-days ---- */
/* Extends the locks of what the snapshot in the making needs, where they end within half of the store's days.
 * What is known of them lies in `folder`, so that few must be asked for. COMMIT_REPEAT: some could not be
 * extended, and what they hold is to be stored again. */
int locks_extend(struct repo *r, const struct config_store *s, const char *folder, struct err *e) MUST_CHECK;

/* ---- look.c ---- */
/* A path as catalogs have it: no leading or trailing slashes, no "./"; "" is everything. */
char *clean_path(const char *path);
bool path_is_below(const char *path, const char *folder);
/* Splits "NAME/STREAM" and finds both; a source that failed is an error that says why. */
const struct stream_info *find_stream(const struct snapshot *s, const char *word,
                                      const struct snapshot_source **source, struct err *e) MUST_CHECK;
int visit_catalog(struct repo *r, const struct snapshot_source *source, const struct catalog_visitor *v,
                  struct err *e) MUST_CHECK;

/* ---- partial.c: which ranges of a volume hold some paths ---- */
struct partial {
    struct range *ranges;
    size_t range_count;
    uint64_t bytes, entries;
    char **only; /* NULL-ended */
    struct target_alias *aliases;
    size_t alias_count, alias_cap;
};
int partial_plan(struct run_repo *r, const struct snapshot_source *source, const struct strings *paths,
                 struct partial *out, struct err *e) MUST_CHECK;
void partial_free(struct partial *p);
AUTO_FOR(partial)

/* ---- restore_plan.c: what goes where, before anything does ---- */
enum restore_kind { RESTORE_FD, RESTORE_FOLDER, RESTORE_DATABASE, RESTORE_COMMAND };
struct restore_item {
    const struct snapshot_source *source;
    const struct stream_info *stream;
    enum restore_kind kind;
    char *target;
    const struct config_source *config; /* RESTORE_COMMAND */
    struct engine_source server;        /* RESTORE_DATABASE */
};
struct restore_plan {
    struct restore_item *v;
    size_t n;
};
int restore_plan_make(const struct snapshot *s, const struct run_restore_options *o, struct restore_plan *out,
                      struct err *e) MUST_CHECK;
void restore_plan_free(struct restore_plan *p);
AUTO_FOR(restore_plan)

void say_unreadable(const struct snapshots *all); /* warns of each */

#endif
