/* run.h - the commands as functions: cmd/ parses, prints and exits around them. Nothing is printed here:
 * results are structs, progress goes through callbacks, remarks through log.h. */
#ifndef LIFEBOAT_RUN_RUN_H
#define LIFEBOAT_RUN_RUN_H

#include "base/base.h"
#include "config/config.h"
#include "repo/copy.h"
#include "repo/gc.h"
#include "repo/receipt.h"
#include "report/newest.h"
#include "source/catalog.h"
#include "source/source.h"

/* ---- opening: which store, which keys ---- */
struct run_access {
    const struct config *config; /* NULL: none was read; then store_url is set */
    const char *store_url;       /* the name of a [store] or an URL; NULL: the first [store] */
    bool no_cache;               /* ask the store itself, also for what this host has kept of it */
    bool mirrors;                /* to look and to restore: what the first store does not give is read from
                                  * mirrors; when it cannot be opened, one of them is, with a warning */
    const char *identity_file;   /* "-": stdin; NULL: the configuration's */
    const char *passphrase_file; /* or NULL */
};
enum run_need {
    RUN_WRITE, /* the writer key and nothing else */
    RUN_LOOK,  /* the writer key; where there is none, as RUN_READ */
    RUN_READ,  /* the identity or the passphrase */
    RUN_BEST,  /* as RUN_READ where that works, else the writer key */
};
struct run_repo {
    struct store *store;
    struct keyring *keys;
    struct pool *pool;
    struct repo *repo; /* not loaded yet */
    char *spool_dir;
    char id[REPOSITORY_ID_HEX];
    const char *instead;     /* the mirror that was opened because the first store could not be; or NULL */
    struct reading *reading; /* private: mirrors that stand in for single objects */
};
/* The store and the keys, without looking at the `lifeboat` object; run_open() does that too. ERR_USAGE: a
 * key is missing ("--identity FILE or --passphrase-file FILE"), unfit, or another repository's. */
int run_open_keys(struct run_repo *out, const struct run_access *a, enum run_need need,
                  struct err *e) MUST_CHECK;
int run_open(struct run_repo *out, const struct run_access *a, enum run_need need, struct err *e) MUST_CHECK;
bool run_used_mirror(const struct run_repo *r);
void run_repo_free(struct run_repo *r);
AUTO_FOR(run_repo)

/* ---- init ---- */
struct run_init_options {
    struct run_access access;
    const char *identity_out; /* where a new identity goes when [keys] names none; or NULL */
};
enum run_init_outcome {
    RUN_INIT_CREATED,  /* a new repository */
    RUN_INIT_FINISHED, /* one that an earlier init had begun */
    RUN_INIT_JOINED,   /* it was there: this host has got its writer.key */
    RUN_INIT_MIRRORED, /* it was set up already, but for mirrors */
};
struct run_init_result {
    enum run_init_outcome outcome;
    char id[REPOSITORY_ID_HEX];
    struct identity *identity; /* for the kit; NULL when a passphrase was used */
    char *identity_path;       /* where it lies; NULL likewise */
    bool one_box;              /* the identity lies on this host, where [keys] says */
    bool has_space;
    uint64_t free_bytes, total_bytes;
    uint64_t device;
    struct strings mirrors;     /* names of those that were made, or were there */
    struct strings not_mirrors; /* "NAME: why" of those that could not be */
};
/* Also makes the mirrors; one that cannot be is a result. Killed at any moment, nothing is lost, and the same
 * call finishes the work. */
int run_init(const struct run_init_options *o, struct run_init_result *out, struct err *e) MUST_CHECK;
void run_init_result_free(struct run_init_result *r);
AUTO_FOR(run_init_result)

/* The recovery kit: what somebody with nothing but this text and a store needs (secret: wipe it). Names the
 * other stores of `c` (may be NULL) as mirrors. The text itself is good for --identity. */
void run_kit(struct buf *out, const struct identity *id, const char *store_url, const struct config *c,
             const char *host);

/* What a kit says above its identity, which is good for --identity; NULL where it does not. */
struct run_kit {
    char *host, *store;
    struct strings mirrors;
};
/* ERR_USAGE: what is wrong with it, and where; the identity in it is looked at, too. */
int run_kit_parse(struct bytes text, struct run_kit *out, struct err *e) MUST_CHECK;
int run_kit_read(const char *file, struct run_kit *out, struct err *e) MUST_CHECK; /* a private file */
void run_kit_free(struct run_kit *k);
AUTO_FOR(run_kit)

/* ---- is the store older than it was? ---- */
/* What this host remembers of its newest backups, compared with `all` that the first store has (not
 * narrowed). Nothing where a mirror was read instead. `c` may be NULL. */
void run_newest(const struct run_repo *r, const struct config *c, const struct snapshots *all,
                struct newest *out);
/* Whether the first store has lost its keys objects. Whoever has the writer key alone would not miss them. */
bool run_has_no_reader(const struct run_repo *r);
/* Takes those lost snapshots whose id begins with `word` as gone for good. Whether there was one. */
bool run_give_up(const struct run_repo *r, const struct config *c, const char *word);

/* ---- choosing a snapshot ---- */
struct run_select {
    const char *host, *tag; /* NULL: any */
    const char *at;         /* "2026-03-01[ 02:03[:04]]" in local time, or UTC as JSON has it; NULL */
    const char *this_host;  /* whose `latest` is meant */
};
/* Drops the snapshots that host, tag and time do not let through. ERR_USAGE: not a time. */
int run_narrow(struct snapshots *all, const struct run_select *select, struct err *e) MUST_CHECK;
/* The snapshot that `word` means: an id prefix, `latest` or `latest:SOURCE`. Within `all`; NULL with *e. */
const struct snapshot *run_pick(const struct snapshots *all, const char *word,
                                const struct run_select *select, struct err *e) MUST_CHECK;

struct run_progress {
    const char *what;     /* a source, a mirror */
    uint64_t done, total; /* bytes; total 0: unknown */
    bool counts;          /* not bytes, but those things that `what` names */
    bool is_backup;
    uint64_t fresh; /* of a backup: bytes that the repository did not have; lags behind done a little */
};
typedef void run_progress_fn(void *ctx, const struct run_progress *p);

/* ---- mirrors ---- */
struct run_copied {
    char *name; /* of the mirror */
    struct copy_report report;
    char *error; /* why the copy could not go on; NULL */
};
struct run_copy_result {
    struct run_copied *v;
    size_t n;
};
bool run_copied_is_good(const struct run_copied *c); /* and nothing waits or was left out */
/* Brings the mirrors of those names (none: all) up to date. 0 also when some could not be: see the results.
 * ERR_USAGE: there is no such mirror. */
int run_copy(const struct run_access *a, const struct strings *names, run_progress_fn *progress,
             void *progress_ctx, struct run_copy_result *out, struct err *e) MUST_CHECK;
void run_copy_result_free(struct run_copy_result *r);
AUTO_FOR(run_copy_result)

struct run_repair_options {
    struct run_access access;
    const char *from; /* the mirror to take from; NULL: all of them, in their order */
    bool read_data;   /* look at every byte of the first store */
    bool new_disk;    /* the first store may be empty */
    run_progress_fn *progress;
    void *progress_ctx;
};
/* Heals the first store from its mirrors. ERR_USAGE: it is not there, or empty and not said to be new. */
int run_repair(const struct run_repair_options *o, struct repair_report *out, struct err *e) MUST_CHECK;

/* ---- backup ---- */

struct run_backup_options {
    const struct config *config;
    const struct strings *sources; /* names; empty: all */
    const struct strings *tags;
    const char *pin; /* the reason, or NULL */
    bool read_all;
    run_progress_fn *progress; /* may be NULL */
    void *progress_ctx;
};
struct run_backup_result {
    struct snapshot snapshot; /* filled also when it was not written: what each source said */
    bool written;             /* the snapshot is in the store */
    struct writer_stats stats;
    char *hook_error;     /* what [general] after said when it failed; NULL */
    struct newest newest; /* with what was lost since the last run */
    struct run_copy_result mirrors;
    struct store_counts requests; /* of the whole run */
};
/* 0 also when sources failed: see the verdicts; when all did, nothing is written. -1: the run failed; unless
 * `written`, there is no new snapshot. What was written goes to every mirror; one that fails is a result. */
int run_backup(const struct run_backup_options *o, struct run_backup_result *out, struct err *e) MUST_CHECK;
void run_backup_result_free(struct run_backup_result *r);
AUTO_FOR(run_backup_result)

/* The sources of a run in the order they are taken: databases, volumes, commands. *out: free(). ERR_USAGE:
 * there is no such source. */
int run_order_sources(const struct config *c, const struct strings *names, const struct config_source ***out,
                      size_t *n, struct err *e) MUST_CHECK;

/* Says in one line what would be taken of a source, having looked: the folder is there, the server answers.
 */
int run_describe(const struct config_source *s, struct buf *out, struct err *e) MUST_CHECK;

/* ---- looking into snapshots; the repository is open with RUN_READ and loaded ---- */
const struct snapshot_source *run_find_source(const struct snapshot *s, const char *name,
                                              struct err *e) MUST_CHECK;

/* Calls `each` for the entries of a volume at and below `path` ("" or NULL: all). ERR_USAGE: the source has
 * no catalog; ERR_FAILED: nothing is there under that path. */
typedef int run_each_entry(void *ctx, const struct catalog_entry *entry, struct err *e);
int run_ls(struct run_repo *r, const struct snapshot *s, const char *source, const char *path,
           run_each_entry *each, void *ctx, struct err *e) MUST_CHECK;

/* Searches the volumes of `all`, newest snapshot first; each version of a file (path, size, time) is told of
 * once. source NULL: every volume. ERR_DAMAGED: all was searched but the catalogs that are warned of. */
typedef int run_each_match(void *ctx, const struct snapshot *s, const struct snapshot_source *source,
                           const struct catalog_entry *entry, struct err *e);
int run_find(struct run_repo *r, const struct snapshots *all, const char *pattern, const char *source,
             run_each_match *each, void *ctx, struct err *e) MUST_CHECK;

/* The stream's bytes to a descriptor. `source` is "NAME" or "NAME/STREAM" (default: data). With text_only,
 * bytes that would garble a terminal are refused (ERR_USAGE). */
int run_cat(struct run_repo *r, const struct snapshot *s, const char *source, int fd, bool text_only,
            struct err *e) MUST_CHECK;

/* ---- restore ---- */
struct run_restore_options {
    const struct config *config;    /* for restore-command; may be NULL */
    const struct strings *sources;  /* "NAME" or "NAME/STREAM"; empty: all */
    const char *to;                 /* a folder, a libpq string or URI, "-" */
    const struct strings *paths;    /* volumes: only these */
    const struct strings *tables;   /* databases: only these */
    bool overwrite, clean, globals; /* replace files; replace the database; roles first */
    unsigned jobs;
    bool dry_run;
    run_progress_fn *progress; /* may be NULL */
    void *progress_ctx;
};
struct run_restored {
    char *name, *type, *target;
    uint64_t bytes, entries, skipped;
    double seconds;
    struct strings notes;
    bool failed; /* it was not, or not all of it */
};
struct run_restore_result {
    struct run_restored *v; /* those that were restored, or would be, or failed */
    size_t n;
};
/* Looks at every target before the first byte is written. A source that is damaged does not keep the others
 * from being restored; any other failure does. */
int run_restore(struct run_repo *r, const struct snapshot *s, const struct run_restore_options *o,
                struct run_restore_result *out, struct err *e) MUST_CHECK;
void run_restore_result_free(struct run_restore_result *r);
AUTO_FOR(run_restore_result)

/* ---- drill ---- */
struct run_drill_target {
    const struct snapshot *snapshot;
    struct strings sources;
};
struct run_drill_targets {
    struct run_drill_target *v; /* the newest snapshot first */
    size_t n;
    struct strings without; /* configured sources of which there is no good backup */
};
/* The newest good backup of each source of the host that `latest` would mean; of those that are configured,
 * when there is a configuration. ERR_UNPROVEN: there is none at all. */
int run_drill_choose(const struct config *c, const struct snapshots *all, const struct run_select *select,
                     struct run_drill_targets *out, struct err *e) MUST_CHECK;
void run_drill_targets_free(struct run_drill_targets *t);
AUTO_FOR(run_drill_targets)

struct run_drill_options {
    const struct config *config;   /* NULL: none was read; then a private scratch server is used */
    const struct strings *sources; /* names; empty: all of the snapshot */
    const char *directory;         /* for scratch; NULL: the configuration's */
    bool from_kit;                 /* on any machine: scratch goes with its folder; no receipt is fine, too */
    const struct snapshots *all;   /* they know which servers are backed up */
    run_progress_fn *progress;     /* may be NULL */
    void *progress_ctx;
};
/* Drills one snapshot and puts the receipt. 0 also when it is not proven: see the receipt. ERR_UNPROVEN: this
 * machine cannot (another drill is at work, ...); ERR_USAGE: scratch would be a source or a store. */
int run_drill(struct run_repo *r, const struct snapshot *s, const struct run_drill_options *o,
              struct receipt *out, struct err *e) MUST_CHECK;
bool run_drill_proves(const struct receipt *r); /* every source in it */

/* ---- prune, forget ---- */
/* The times of [retention], which every repo of a run is opened with. */
struct gc_bounds run_bounds(const struct config *c);

struct run_prune_options {
    const struct config *config;
    const char *identity_file,
        *passphrase_file; /* or NULL: frames are moved unopened then, unless [keys] has one */
    bool dry_run, exclusive;
    bool yes;                  /* a person has looked at the alarms */
    run_progress_fn *progress; /* may be NULL */
    void *progress_ctx;
};
struct run_pruned {
    struct sha id;
    int64_t time_ns;
    char *host;
    bool goes;
    int64_t forgotten_ns; /* since when it is on its way; 0: this run decided */
    struct strings why;   /* a line for each source */
};
struct run_pruned_mirror {
    char *name, *error; /* error: why it was not pruned; NULL */
    uint64_t forgotten; /* snapshots that the first store does not have any more */
    struct prune_report report;
};
struct run_prune_result {
    struct run_pruned *v; /* every snapshot, oldest first */
    size_t n;
    struct strings alarms; /* what a person should look at first */
    bool stopped;          /* for these: nothing was done */
    struct prune_report report;
    struct run_pruned_mirror *mirrors;
    size_t mirror_count;
};
/* Applies [retention], then collects garbage. ERR_DAMAGED: something cannot be read, and nothing was deleted.
 * Then each mirror is brought up to date and pruned by marks of its own, unless it holds more snapshots that
 * stay than the first store. A mirror that fails is a result. */
int run_prune(const struct run_prune_options *o, struct run_prune_result *out, struct err *e) MUST_CHECK;
void run_prune_result_free(struct run_prune_result *r);
AUTO_FOR(run_prune_result)
/* ERR_USAGE: pinned, or the last good one of a source, unless `yes`. */
int run_forget(struct run_repo *r, const struct snapshots *all, const struct snapshot *s, bool yes,
               struct err *e) MUST_CHECK;

/* ---- check ---- */
struct run_check_result {
    struct check_report report;
    struct snapshots snapshots; /* to say when those were that are hit */
};
/* Counts the rota up in the state folder when a share was read. */
int run_check(const struct run_access *a, unsigned read_percent, run_progress_fn *progress,
              void *progress_ctx, struct run_check_result *out, struct err *e) MUST_CHECK;
void run_check_result_free(struct run_check_result *r);
AUTO_FOR(run_check_result)

/* What a store can and cannot do, found out by doing it with an object named "probe". */
struct run_store_check {
    const char *name; /* "put", "clock", "public" */
    bool ok;
    char *said;
};
struct run_store_checks {
    char *store; /* its URL */
    bool works;  /* objects can be put, read and listed */
    struct run_store_check *v;
    size_t n;
};
int run_check_store(const struct run_access *a, struct run_store_checks *out, struct err *e) MUST_CHECK;
bool run_store_is_good(const struct run_store_checks *c);
void run_store_checks_free(struct run_store_checks *c);
AUTO_FOR(run_store_checks)

/* ---- readers ---- */
struct run_readers {
    char id[REPOSITORY_ID_HEX];
    bool id_is_proven; /* it is that of writer.key, not only the store's word */
    bool has_writer, has_identity;
    struct key_object *v;
    size_t n;
};
int run_key_show(const struct run_access *a, struct run_readers *out, struct err *e) MUST_CHECK;
void run_readers_free(struct run_readers *r);
AUTO_FOR(run_readers)
/* The identity that [keys] or --identity names, checked against the store: its kit's text. */
int run_key_kit(const struct run_access *a, struct buf *out, struct err *e) MUST_CHECK;
/* The three that change readers do so on the mirrors, too: `left` gets "NAME: why" of mirrors that are not
 * changed yet.
 */
/* Adds a reader: recipient_hex, or a new identity in the file identity_out. */
int run_key_add(const struct run_access *a, const char *recipient_hex, const char *identity_out,
                const char *label, struct strings *left, struct err *e) MUST_CHECK;
/* Removes the reader whose object's name starts with `prefix`, also one that only mirrors still have; *out
 * gets it. */
int run_key_remove(const struct run_access *a, const char *prefix, struct key_object *out,
                   struct strings *left, struct err *e) MUST_CHECK;
/* Sets the passphrase; former ones stop working. */
int run_key_passphrase(const struct run_access *a, struct bytes passphrase, struct strings *left,
                       struct err *e) MUST_CHECK;
/* The first line of a private file (secret: wipe it). */
int run_read_passphrase(const char *file, struct buf *out, struct err *e) MUST_CHECK;

#endif
