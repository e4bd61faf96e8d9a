#include "target/pg_target.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE      (256u << 10)
#define LIST_LIMIT (1u << 30) /* a line for each object */

/* ---- the stream ---- */

static int next_piece(struct pg_restore *r, struct bytes *b, struct err *e)
{
    if (r->in->next(r->in, b, e))
        return -1;
    r->ended = b->n == 0;
    r->counts->bytes += b->n;
    return r->ended ? 0 : pg_archive_write(r->archive, *b, e);
}

static int spool_piece(struct pg_restore *r, struct bytes *b, struct err *e)
{
    if (next_piece(r, b, e) || fd_pwrite_all(r->spool, *b, r->spooled, "spool file", e))
        return -1;
    r->spooled += b->n;
    return 0;
}

/* The formats of an archive, from pg_backup_archiver.h, and the first pg_restore that reads them. */
static int reader_of(struct bytes head)
{
    if (head.n < 7 || memcmp(head.p, "PGDMP", 5) != 0)
        return 0;
    return head.p[6] >= 16 ? 17 : head.p[6] == 15 ? 16 : 0;
}

/* When the stream ended too early, this is what is to be said, whatever pg_restore made of it. */
static int blame(struct pg_restore *r, const struct err *why, struct err *e)
{
    struct err damage = ERR_INIT;
    if (why->kind == ERR_FAILED && r->ended && pg_archive_finish(r->archive, &damage))
        why = &damage;
    return err_set(e, why->kind, "%s%s", why->text,
                   pg_restore_adds_tables(r) ? " (nothing was changed)" : "");
}

/* Reads as much of the stream as pg_restore needs to list it: it ends, and closes the pipe, when it has seen
 * the table of contents. */
int pg_stream_contents(struct pg_restore *r, struct err *e)
{
    struct bytes b = BYTES(NULL, 0);
    AUTO(buf) head = BUF_NONE;
    struct err why = ERR_INIT;
    while (head.n < 7 && !r->ended) {
        if (spool_piece(r, &b, e))
            return -1;
        buf_add(&head, b);
    }
    r->at_least = reader_of(buf_bytes(&head));
    AUTO_FD list = file_spool(r->o->spool_dir, e);
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO(child) c = CHILD_NONE;
    const struct child_options run = {.in = CHILD_PIPE, .out = CHILD_FD, .out_fd = list};
    if (list < 0 || pg_restore_program(r, &g, e))
        return -1;
    pg_program_add(&g, "--list");
    pg_program_add(&g, "--create"); /* lists the database itself, too */
    pg_program_add(&g, "--verbose");
    if (pg_program_start(&g, &run, &c, e))
        return -1;
    child_give_start(&c);
    int full = child_give(&c, buf_bytes(&head), e);
    while (full == 0 && !r->ended)
        full = spool_piece(r, &b, e) ? -1 : child_give(&c, b, e);
    if (full < 0)
        return -1;
    if (pg_program_wait(&g, &c, &why))
        return blame(r, &why, e);
    off_t size = lseek(list, 0, SEEK_END);
    if (size < 0 || size > (off_t)LIST_LIMIT)
        return err_set(e, ERR_DAMAGED, "the archive's list of contents is larger than 1 GiB");
    uint8_t *text = buf_reserve(&r->contents.text, (size_t)size);
    if (fd_pread_all(list, text, (size_t)size, 0, "list of contents", e))
        return -1;
    r->contents.text.n += (size_t)size;
    pg_contents_parse(&r->contents);
    return 0;
}

/* A file for --use-list. */
int pg_stream_list(struct pg_restore *r, struct err *e)
{
    AUTO(buf) list = BUF_NONE;
    AUTO_FD spool = file_spool(r->o->spool_dir, e);
    pg_contents_print(&r->contents, &list);
    if (spool < 0 || fd_pwrite_all(spool, buf_bytes(&list), 0, "list of contents", e))
        return -1;
    int fd = spool;
    spool = -1;
    return fd;
}

/* ---- pg_restore ---- */

static int pour(struct pg_restore *r, struct child *c, struct err *e)
{
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, PIECE);
    child_give_start(c);
    int full = 0;
    for (uint64_t at = 0; at < r->spooled && full == 0;) {
        size_t n = (size_t)MIN((uint64_t)PIECE, r->spooled - at);
        if (fd_pread_all(r->spool, block.p, n, at, "spool file", e))
            return -1;
        full = child_give(c, BYTES(block.p, n), e);
        at += n;
    }
    while (full == 0 && !r->ended) {
        struct bytes b;
        full = next_piece(r, &b, e) ? -1 : child_give(c, b, e);
    }
    return full < 0 ? -1 : 0; /* when it reads no more its exit status says why */
}

static int prepare_pg_restore(struct pg_restore *r, struct pg_program *g, int list, struct err *e)
{
    if (pg_restore_program(r, g, e))
        return -1;
    for (size_t i = 0; i < r->settings.n; i++)
        pg_program_set(g, r->settings.v[i]);
    if (pg_program_connect(g, &r->server, r->into, e))
        return -1;
    if (list >= 0 && pg_program_use_list(g, list, e))
        return -1;
    if (pg_restore_has_tables(r))
        pg_program_add(g, "--no-data-for-failed-tables");
    if (pg_restore_adds_tables(r))
        pg_program_add(g, "--single-transaction");
    if (r->o->schema_only)
        pg_program_add(g, "--schema-only");
    if (r->o->no_tablespaces)
        pg_program_add(g, "--no-tablespaces");
    return 0;
}

static struct bytes behind(struct bytes line, const char *start)
{
    return BYTES(line.p + strlen(start), line.n - strlen(start));
}

/* An error's first line, and the statement that pg_restore adds to most. */
struct refused {
    struct bytes what, statement;
};

static void end_refused(struct pg_restore *r, struct refused *one)
{
    if (one->what.p)
        pg_restore_error(r, one->what, one->statement);
    *one = (struct refused){.what = BYTES(NULL, 0)};
}

/* False: pg_restore did not get to the end of the archive. Otherwise the server refused some statements. */
static bool collect_errors(struct pg_restore *r, struct buf *said)
{
    static const char error[] = "pg_restore: error: ", statement[] = "Command was: ",
                      ignored[] = "pg_restore: warning: errors ignored on restore: ";
    const char *p = buf_cstr(said);
    unsigned long total = 0, before = r->error_count;
    struct refused one = {.what = BYTES(NULL, 0)};
    for (size_t n; *p; p += n + (p[n] != 0)) {
        n = strcspn(p, "\n");
        struct bytes line = BYTES(p, n);
        if (bytes_start(line, error)) {
            end_refused(r, &one);
            one.what = behind(line, error);
        } else if (bytes_start(line, statement))
            one.statement = behind(line, statement);
        else if (bytes_start(line, ignored))
            total = strtoul((const char *)behind(line, ignored).p, NULL, 10);
    }
    end_refused(r, &one);
    r->error_count = MAX(r->error_count, before + total); /* the first of very many were not kept */
    return total > 0;
}

/* Ends a pg_restore. 0 also when statements were refused. */
static int wait_pg_restore(struct pg_restore *r, const struct pg_program *g, struct child *c, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = pg_program_wait(g, c, &why);
    bool refused = collect_errors(r, &c->err_text);
    return rc && (why.kind == ERR_STOPPED || !refused) ? blame(r, &why, e) : 0;
}

static int spool_rest(struct pg_restore *r, struct err *e)
{
    struct bytes b;
    while (!r->ended)
        if (spool_piece(r, &b, e))
            return -1;
    return lseek(r->spool, 0, SEEK_SET) < 0 ? err_errno(e, ERR_IO, "spool file") : 0;
}

/* What pg_restore did not care to read is read all the same, to know that the archive was whole; but for a
 * part of it. */
static int finish_archive(struct pg_restore *r, struct err *e)
{
    struct bytes b;
    if ((pg_restore_has_tables(r) || r->o->schema_only) && !r->ended)
        return 0;
    while (!r->ended)
        if (next_piece(r, &b, e))
            return -1;
    return pg_archive_finish(r->archive, e);
}

int pg_stream_restore(struct pg_restore *r, struct err *e)
{
    unsigned jobs = pg_restore_adds_tables(r) ? 1 : r->o->jobs;
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO(child) c = CHILD_NONE;
    AUTO_FD list = r->listed ? pg_stream_list(r, e) : -1;
    struct child_options run = {.in = CHILD_PIPE, .out = CHILD_NULL, .time_limit_s = r->o->time_limit_s};
    if (err_is_set(e) || prepare_pg_restore(r, &g, list, e))
        return -1;
    if (jobs > 1) {
        pg_program_add(&g, "--jobs=%u", jobs);
        pg_program_add(&g, "/proc/self/fd/0"); /* each job opens it anew */
        if (spool_rest(r, e))
            return -1;
        run.in = CHILD_FD;
        run.in_fd = r->spool;
    }
    r->begun = true;
    if (pg_program_start(&g, &run, &c, e) || (jobs <= 1 && pour(r, &c, e)) || wait_pg_restore(r, &g, &c, e))
        return -1;
    return finish_archive(r, e);
}

/* The table of contents, which is in the spool file, has all that is needed. */
int pg_stream_late(struct pg_restore *r, struct err *e)
{
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO(child) c = CHILD_NONE;
    if (pg_restore_has_tables(r) || !pg_contents_choose_late(&r->contents))
        return 0;
    AUTO_FD list = pg_stream_list(r, e);
    const struct child_options run = {
        .in = CHILD_FD, .in_fd = r->spool, .out = CHILD_NULL, .time_limit_s = r->o->time_limit_s};
    if (list < 0 || prepare_pg_restore(r, &g, list, e))
        return -1;
    if (lseek(r->spool, 0, SEEK_SET) < 0)
        return err_errno(e, ERR_IO, "spool file");
    return pg_program_start(&g, &run, &c, e) || wait_pg_restore(r, &g, &c, e) ? -1 : 0;
}
