/* pg_archive.h - reads a `pg_dump -Fc` archive as it flows by (formats 1.12 to 1.16), in slices of any size
 * and in bounded memory (the longest row plus the table of contents): was it complete, what is in it, and its
 * fingerprint: what must be equal when the database was restored somewhere and dumped again.
 * Bytes from outside: every length is checked, no input crashes it. */
#ifndef LIFEBOAT_SOURCE_PG_ARCHIVE_H
#define LIFEBOAT_SOURCE_PG_ARCHIVE_H

#include "base/base.h"

struct pg_archive;

/* One table that has data in the archive, or is defined in it. Borrowed until the next call. */
struct pg_table {
    const char *schema, *name;
    bool has_data; /* a TABLE DATA item was announced */
    uint64_t rows; /* seen; partitions dumped "via root" count at their own entry */
};

struct pg_archive *pg_archive_new(void) MUST_CHECK;
int pg_archive_write(struct pg_archive *a, struct bytes b,
                     struct err *e) MUST_CHECK; /* ERR_DAMAGED: not an archive */

/* The end of the stream. 0 only when the archive is whole: header, every entry, every data item that the
 * table of contents announces, nothing after it (but the second copy of the table of contents that pg_dump
 * 16+ may append). Otherwise ERR_DAMAGED naming what is missing ("ends inside the data of table
 * public.users"). */
int pg_archive_finish(struct pg_archive *a, struct err *e) MUST_CHECK;

/* After the table of contents was read. */
const char *pg_archive_server_version(const struct pg_archive *a); /* "15.20 (Debian ...)" or NULL */
const char *pg_archive_dump_version(const struct pg_archive *a);
const char *pg_archive_database(const struct pg_archive *a);
size_t pg_archive_table_count(const struct pg_archive *a);
struct pg_table pg_archive_table(const struct pg_archive *a, size_t i);

/* After pg_archive_finish(): the canonical fingerprint, one JSON document a line, sorted, so that two are
 * equal when the bytes are (docs/format.md has the lines). Appends to `out`. */
void pg_archive_fingerprint(const struct pg_archive *a, struct buf *out);
void pg_archive_free(struct pg_archive *a);
AUTO_PTR_FOR(pg_archive)

#endif
