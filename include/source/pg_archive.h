/* pg_archive.h - reads a `pg_dump -Fc -Z0` archive as it flows by (formats 1.12 to 1.16), in slices of any
 * size and in bounded memory (a line for each entry of the table of contents, at most 4 KiB for each column
 * of the row at hand, whatever its length): was it complete, what is in it, and its fingerprint: what must be
 * equal when the database was restored somewhere and dumped again. Bytes from outside: every length is
 * checked, no input crashes it. One thread at a time. */
#ifndef LIFEBOAT_SOURCE_PG_ARCHIVE_H
#define LIFEBOAT_SOURCE_PG_ARCHIVE_H

#include "base/base.h"

struct pg_archive;

/* One table that has data in the archive, or is defined in it. Borrowed: good as long as the archive. */
struct pg_table {
    const char *schema, *name;
    const char *kind; /* "TABLE" (partitioned ones too), "FOREIGN TABLE", "MATERIALIZED VIEW"; NULL: not
                       * defined here, there is only data (a configuration table of an extension) */
    bool has_data;    /* a TABLE DATA item was announced */
    uint64_t rows;    /* seen; partitions dumped "via root" count at their own entry */
};

struct pg_archive *pg_archive_new(void) MUST_CHECK;

/* The next bytes of the stream. -1: ERR_DAMAGED (not an archive, or a broken one) or ERR_FAILED (an archive
 * that this reader does not understand: compressed, made with --inserts, a newer format); so does every later
 * call. */
int pg_archive_write(struct pg_archive *a, struct bytes b, struct err *e) MUST_CHECK;

/* The end of the stream, once. 0 only when the archive is whole: header, every entry, every data item that
 * the table of contents announces, nothing after it (but the second copy of the table of contents that
 * pg_dump 16+ may append). Otherwise ERR_DAMAGED naming what is missing ("ends inside the data of table
 * public.users"). */
int pg_archive_finish(struct pg_archive *a, struct err *e) MUST_CHECK;

/* After the table of contents was read; before that NULL and 0. */
const char *pg_archive_server_version(const struct pg_archive *a); /* "15.20 (Debian ...)" or NULL */
const char *pg_archive_dump_version(const struct pg_archive *a);
const char *pg_archive_database(const struct pg_archive *a);
size_t pg_archive_table_count(const struct pg_archive *a);
struct pg_table pg_archive_table(const struct pg_archive *a, size_t i); /* sorted by schema and name */

/* After pg_archive_finish() gave 0: the canonical fingerprint, one JSON document a line, sorted, so that two
 * are equal when the bytes are (docs/fingerprint.md has the lines). Appends to `out`. */
void pg_archive_fingerprint(const struct pg_archive *a, struct buf *out);
void pg_archive_free(struct pg_archive *a);
AUTO_PTR_FOR(pg_archive)

#endif
