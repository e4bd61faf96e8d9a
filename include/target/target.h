/* target.h - where a stream comes back to. A target pulls from a feed, so it can be tested without a
 * repository. */
#ifndef LIFEBOAT_TARGET_TARGET_H
#define LIFEBOAT_TARGET_TARGET_H

#include "base/base.h"

/* A stream being read: next() gives the next piece, valid until the next call; n = 0 at the end. */
struct feed {
    int (*next)(struct feed *f, struct bytes *out, struct err *e);
};

/* ---- stdout: the stream's own bytes ---- */
int target_fd(struct feed *in, int fd, const char *what, uint64_t *bytes, struct err *e) MUST_CHECK;

/* ---- directory ---- */
struct archive_entry; /* libarchive's */
/* Of a partial restore: a hard link whose content stands under another name that was not asked for. The
 * content of `from` is restored as `to`; further links to `from` become links to `to`. Who calls knows from
 * the catalog which links these are (catalog_entry.link), names the first selected link of each as `to`, and
 * feeds the run of `from`, too, before those of its links, which is the order of the stream. */
struct target_alias {
    const char *from, *to;
    size_t number; /* for who makes the list: in the order of the stream */
};
struct target_directory_options {
    const char *path;        /* made when missing (0700 until the archive says otherwise) */
    bool overwrite;          /* a non-empty folder is fine; files of the archive replace what is there */
    const char *const *only; /* archive paths (no leading "./"): restore these and what is below; NULL: all */
    const struct target_alias *aliases; /* sorted by `from`, each once; there may be a million */
    size_t alias_count;
    bool ownership; /* chown and device nodes; usually geteuid() == 0 */
    /* Sees each entry before it is made, wanted or not, and where in the feed its headers start. Not 0 with
     * *e ends the restore. May be NULL. */
    int (*watch)(void *ctx, struct archive_entry *entry, uint64_t offset, struct err *e);
    void *watch_ctx;
};
struct target_counts {
    uint64_t entries, bytes, skipped;
    struct strings
        notes; /* what could not be set (ownership without root, an xattr the file system refuses) */
};
void target_counts_free(struct target_counts *c);
AUTO_FOR(target_counts)
/* Says no (ERR_USAGE) when the folder is not empty and overwrite is not set. */
int target_directory_check(const struct target_directory_options *o, struct err *e) MUST_CHECK;
/* Unpacks a tar stream (pax, as source/volume.c writes it; any tar that libarchive reads) below the folder
 * and never elsewhere, whatever the archive says: absolute and dotted paths, symlinks on the way, hard links
 * out are passed over with a note. Nothing that was there is written through: it is replaced in one step.
 * 0: all of it was restored; the notes say what could not be set.
 * ERR_USAGE: the folder is not empty; an `only` path did not come by (what else was asked for is restored).
 * ERR_IO: some entries could not be made (the text counts them and has the first, the notes have more), or
 *   were hard links to what was not restored; everything else is there.
 * ERR_DAMAGED: the stream is damaged or was cut off at the entry named. ERR_SPACE, ERR_FAILED, ERR_STOPPED,
 * and errors of the feed: the end. Entries before it are complete, and no file is there in part. With `only`
 * the feed may leave out what is not needed, the end of the archive too. A folder above something wanted that
 * is missing gets what its own entry says when that is fed before it, otherwise 0755. */
int target_directory(struct feed *in, const struct target_directory_options *o, struct target_counts *counts,
                     struct err *e) MUST_CHECK;

/* ---- tar streams ---- */
struct archive; /* libarchive's */
/* A reader of tar, to be opened; archive_read_free() it. No memory: the end of the process. */
struct archive *target_tar_reader(void) __attribute__((returns_nonnull));
/* What a call said that failed. *kind: ERR_DAMAGED, or ERR_FAILED when memory was all that was wanting.
 * Caller frees. */
char *target_tar_failure(struct archive *a, enum err_kind *kind);

/* An extended attribute's name from what tar writers make of it: "%XX" for the bytes that a pax keyword
 * cannot hold, and for "%" itself. Caller frees. */
char *target_xattr_name(const char *archived);

/* ---- postgres ---- */
/* What came of a restore whose refused statements are no failure. */
struct target_refusal {
    char *statement; /* the start of its first line; empty: not known */
    char *text;      /* the server's words */
};
struct target_postgres_report {
    struct buf fingerprint;   /* of the stream that passed; empty with schema_only */
    struct target_refusal *v; /* those of the refusals that are known by their words */
    size_t n;
    unsigned long refused; /* all of them */
};
void target_postgres_report_free(struct target_postgres_report *r);
AUTO_FOR(target_postgres_report)

struct pg_container;
struct target_postgres_options {
    const char *connection;               /* libpq string or URI; its dbname is the database to make */
    const struct pg_container *container; /* that its server runs in, whose pg_restore is taken; or NULL */
    bool clean;    /* an existing non-empty database is replaced: restored beside it, swapped by rename */
    unsigned jobs; /* > 1: spooled to a file first, pg_restore -j */
    const char *const *tables;      /* "schema.table" or "table": only these; NULL: all */
    const struct strings *settings; /* "NAME=VALUE", of the server that it is from: by them it is filled and
                                       checked, where the database says nothing else; NULL: not known */
    struct feed *globals;           /* roles first (psql script of pg_dumpall); NULL: no */
    const char *spool_dir;
    /* For drills: */
    bool no_subscriptions; /* left out, with what is said about them */
    bool no_tablespaces;
    bool schema_only; /* no rows; reads of the stream what it needs for that */
    unsigned time_limit_s;
    struct target_postgres_report *report; /* NULL: a statement that is refused fails the restore */
};
int target_postgres_check(const struct target_postgres_options *o, struct err *e) MUST_CHECK;
/* Event triggers come last, whatever the order of the archive: one that forbids changes would forbid the
 * rest. ERR_UNPROVEN, with a report only: the server cannot take this database, whatever is in it. */
int target_postgres(struct feed *in, const struct target_postgres_options *o, struct target_counts *counts,
                    struct err *e) MUST_CHECK;

/* ---- command: restore-command reads the stream on stdin; LIFEBOAT_TARGET is the folder given by --to (NULL:
 * not set). It must read everything and exit with 0. When the stream fails, it gets SIGTERM before the end of
 * its input, so that a part is not taken for the whole. Who calls ignores SIGPIPE, here and for target_fd.
 * ---- */
struct target_command_options {
    const char *what;          /* it is, for messages: "restore-command" */
    const char *shell;         /* run by /bin/sh -c */
    const char *target_dir;    /* NULL: none */
    const char *directory;     /* to run in; NULL: ours */
    const char *const *setenv; /* "NAME=value" besides, NULL-ended; NULL: none */
    unsigned time_limit_s;     /* 0: none */
    bool strict; /* it reads to the last byte, not only nearly; what it leaves running is ended with it */
};
int target_command(struct feed *in, const struct target_command_options *o, struct err *e) MUST_CHECK;

#endif
