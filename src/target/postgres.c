/* A dump back into a server: see pg_target.h for the names that databases bear meanwhile. The archive reader
 * looks at every byte on its way, so a stream that is not whole is found out whatever pg_restore makes of it.
 */
#include "target/pg_target.h"

#include "base/file.h"
#include "config/config.h"
#include "source/pg_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PIECE         (256u << 10)
#define GLOBALS_LIMIT (64u << 20)
#define LIST_LIMIT    (1u << 30) /* a line for each object */
#define ERRORS_SHOWN  3

struct restore {
    struct feed *in;
    const struct target_postgres_options *o;
    struct target_counts *counts;
    struct pg server; /* connected to another database */
    char *name;       /* the database asked for */
    enum pg_database_state state;
    char *into; /* what is restored into: `name`, or a side database */
    bool made;  /* `into` was made here */
    int spool;  /* the start of the stream; with jobs all of it */
    uint64_t spooled;
    bool ended;         /* the stream was read to its end */
    bool stopped_early; /* pg_restore had what it needed, or broke off */
    struct pg_archive *archive;
    int at_least; /* the pg_restore that can read the archive */
    struct pg_contents contents;
    struct strings about;  /* statements about the database, to run at the end */
    struct strings errors; /* what the server refused */
    unsigned long error_count;
};

static void restore_free(struct restore *r)
{
    pg_free(&r->server);
    free(r->name);
    free(r->into);
    if (r->spool >= 0)
        close(r->spool);
    pg_archive_free(r->archive);
    pg_contents_free(&r->contents);
    strings_free(&r->about);
    strings_free(&r->errors);
}
AUTO_FOR(restore)

static bool has_tables(const struct restore *r)
{
    return r->o->tables && r->o->tables[0];
}

/* Tables go into a database that is in use. */
static bool adds_tables(const struct restore *r)
{
    return has_tables(r) && r->state == PG_DATABASE_FULL;
}

/* ---- what is there ---- */

static int look(struct restore *r, struct err *e)
{
    AUTO_CHAR what = NULL;
    r->name = pg_connection_database(r->o->connection, e);
    if (!r->name)
        return err_set(e, ERR_USAGE, "the connection names no database: add dbname=NAME, the one to make");
    if (r->o->clean && has_tables(r))
        return err_set(
            e, ERR_USAGE,
            "--clean replaces a whole database: to get a table back, rename the one that is there");
    if (pg_database_server(&r->server, r->o->connection, r->name, e) ||
        pg_database_look(&r->server, r->o->connection, r->name, &r->state, &what, e))
        return -1;
    if (r->state == PG_DATABASE_FULL && !r->o->clean && !has_tables(r))
        return err_set(
            e, ERR_USAGE,
            "database %s is not empty (%s): name another, or --clean to replace it by the restored "
            "one",
            r->name, what);
    return 0;
}

static void refuse_context(const struct target_postgres_options *o, struct err *e)
{
    AUTO_CHAR name = NULL;
    struct err ignored = ERR_INIT;
    name = pg_connection_database(o->connection, &ignored);
    if (name) {
        AUTO_CHAR shown = text_printable(name, strlen(name));
        (void)err_wrap(e, "restore to database %s", shown);
    }
}

int target_postgres_check(const struct target_postgres_options *o, struct err *e)
{
    AUTO(restore) r = {.o = o, .spool = -1};
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    if (look(&r, e) || pg_program_new(&g, &r.server, "pg_restore", 0, e)) {
        refuse_context(o, e);
        return -1;
    }
    return 0;
}

/* ---- roles ---- */

static int read_globals(struct feed *f, struct buf *script, struct err *e)
{
    for (;;) {
        struct bytes b;
        if (f->next(f, &b, e))
            return -1;
        if (b.n == 0)
            return 0;
        if (script->n + b.n > GLOBALS_LIMIT)
            return err_set(e, ERR_DAMAGED, "the globals are longer than %u MiB", GLOBALS_LIMIT >> 20);
        buf_add(script, b);
    }
}

static void add_error(struct restore *r, const char *what, size_t n)
{
    AUTO_CHAR text = text_printable(what, MIN(n, (size_t)220));
    r->error_count++;
    if (r->errors.n < ERRORS_SHOWN)
        strings_add(&r->errors, text);
}

static char *join_errors(const struct restore *r)
{
    AUTO(buf) out = BUF_NONE;
    for (size_t i = 0; i < r->errors.n; i++)
        buf_add_fmt(&out, "%s%s", i ? "; " : "", r->errors.v[i]);
    return xstrdup(buf_cstr(&out));
}

/* Statement by statement over libpq, and not by psql: there is nothing that a psql command in it could do,
 * and the server says by number which errors mean that a role is there already. */
static int run_globals(struct restore *r, struct err *e)
{
    AUTO(buf) script = BUF_NONE;
    AUTO(pg) p = PG_NONE; /* its own: the script changes settings */
    if (!r->o->globals)
        return 0;
    if (read_globals(r->o->globals, &script, e) || pg_database_server(&p, r->o->connection, r->name, e))
        return -1;
    struct pg_script s = {(const char *)script.p, (const char *)script.p + script.n};
    struct bytes b;
    int more;
    while ((more = pg_script_next(&s, &b, e)) > 0) {
        struct err why = ERR_INIT;
        AUTO_CHAR sql = xstrndup((const char *)b.p, b.n);
        if (pg_query(&p, sql, NULL, NULL, &why) == 0 || strcmp(p.sqlstate, "42710") == 0)
            continue;
        if (!*p.sqlstate)
            return err_set(e, why.kind, "roles: %s", why.text);
        add_error(r, why.text, strlen(why.text));
    }
    if (more == 0 && r->error_count) {
        AUTO_CHAR list = join_errors(r);
        return err_set(e, ERR_FAILED,
                       "roles: %lu statements of the globals failed (no database was touched): %s",
                       r->error_count, list);
    }
    return more;
}

/* ---- the stream ---- */

static int next_piece(struct restore *r, struct bytes *b, struct err *e)
{
    if (r->in->next(r->in, b, e))
        return -1;
    r->ended = b->n == 0;
    r->counts->bytes += b->n;
    return r->ended ? 0 : pg_archive_write(r->archive, *b, e);
}

static int spool_piece(struct restore *r, struct bytes *b, struct err *e)
{
    if (next_piece(r, b, e) || fd_pwrite_all(r->spool, *b, r->spooled, "spool file", e))
        return -1;
    r->spooled += b->n;
    return 0;
}

/* 1: the child reads no more. */
static int give(struct child *c, struct bytes b, struct err *e)
{
    while (b.n) {
        struct pollfd room = {.fd = c->in, .events = POLLOUT};
        if (stop_check(e))
            return -1;
        if (poll(&room, 1, 250) <= 0)
            continue;
        ssize_t n = write(c->in, b.p, b.n);
        if (n < 0 && errno == EPIPE)
            return 1;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(e, ERR_IO, "pg_restore's input");
        if (n > 0)
            b = BYTES(b.p + n, b.n - (size_t)n);
    }
    return 0;
}

/* It is a pipe that we alone write to; SIGPIPE is ignored by the program. */
static void prepare_pipe(struct child *c)
{
    fcntl(c->in, F_SETPIPE_SZ, 1 << 20);
    fcntl(c->in, F_SETFL, O_NONBLOCK);
}

/* The formats of an archive, from pg_backup_archiver.h, and the first pg_restore that reads them. */
static int reader_of(struct bytes head)
{
    if (head.n < 7 || memcmp(head.p, "PGDMP", 5) != 0)
        return 0;
    return head.p[6] >= 16 ? 17 : head.p[6] == 15 ? 16 : 0;
}

/* Reads as much of the stream as pg_restore needs to list it: it ends, and closes the pipe, when it has seen
 * the table of contents. */
static int read_contents(struct restore *r, struct err *e)
{
    struct bytes b = BYTES(NULL, 0);
    AUTO(buf) head = BUF_NONE;
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
    if (list < 0 || pg_program_new(&g, &r->server, "pg_restore", r->at_least, e))
        return -1;
    pg_program_add(&g, "--list");
    pg_program_add(&g, "--create"); /* lists the database itself, too */
    pg_program_add(&g, "--verbose");
    if (pg_program_start(&g, &run, &c, e))
        return -1;
    prepare_pipe(&c);
    int full = give(&c, buf_bytes(&head), e);
    while (full == 0 && !r->ended)
        full = spool_piece(r, &b, e) ? -1 : give(&c, b, e);
    if (full < 0 || child_wait(&c, "pg_restore --list", NULL, e))
        return -1;
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

/* ---- choosing ---- */

static int nothing_like(const char *asked, const struct strings *known, struct err *e)
{
    const char **words = xcalloc(known->n + 1, sizeof *words);
    for (size_t i = 0; i < known->n; i++)
        words[i] = known->v[i];
    const char *near = nearest_word(asked, words);
    int rc = err_set(e, ERR_USAGE, "table %s is not in this backup%s%s%s", asked,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    free(words);
    return rc;
}

/* Chooses table number i of the archive when it is what was asked for. */
static int choose_table(struct restore *r, const char *asked, struct strings *chosen, struct err *e)
{
    AUTO(strings) known = STRINGS_NONE;
    AUTO(strings) matches = STRINGS_NONE;
    for (size_t i = 0; i < pg_archive_table_count(r->archive); i++) {
        struct pg_table t = pg_archive_table(r->archive, i);
        AUTO_CHAR full = xasprintf("%s.%s", t.schema, t.name);
        strings_add(&known, t.name);
        strings_add(&known, full);
        if (strcmp(asked, full) != 0 && strcmp(asked, t.name) != 0)
            continue;
        struct pg_wanted w = {t.schema, t.name};
        if (!strings_has(&matches, full))
            strings_add(&matches, full);
        if (!pg_contents_choose_table(&r->contents, &w))
            return err_set(e, ERR_FAILED, "table %s has rows in this backup, but no definition", full);
        strings_add(chosen, t.schema);
        strings_add(chosen, t.name);
    }
    if (matches.n > 1)
        return err_set(e, ERR_USAGE, "table %s is in several schemas: say %s or %s", asked, matches.v[0],
                       matches.v[1]);
    return matches.n ? 0 : nothing_like(asked, &known, e);
}

static int refuse_existing(struct restore *r, const struct strings *chosen, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (r->state == PG_DATABASE_ABSENT)
        return 0;
    if (pg_connect(&p, r->o->connection, r->name, e))
        return -1;
    for (size_t i = 0; i + 1 < chosen->n; i += 2) {
        const char *const params[] = {chosen->v[i], chosen->v[i + 1], NULL};
        AUTO_RESULT found = NULL;
        if (pg_query(
                &p,
                "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = $1 AND relname = $2",
                params, &found, e))
            return -1;
        if (PQntuples(found))
            return err_set(e, ERR_USAGE,
                           "table %s.%s exists in that database: rename it first, or restore to another "
                           "database",
                           params[0], params[1]);
    }
    return 0;
}

static int choose_tables(struct restore *r, struct err *e)
{
    AUTO(strings) chosen = STRINGS_NONE;
    pg_contents_forget_choice(&r->contents);
    for (size_t i = 0; has_tables(r) && r->o->tables[i]; i++)
        if (choose_table(r, r->o->tables[i], &chosen, e))
            return -1;
    if (!has_tables(r))
        return 0;
    pg_contents_complete(&r->contents, !adds_tables(r), &r->counts->notes);
    return refuse_existing(r, &chosen, e);
}

static int check_extensions(struct restore *r, struct err *e)
{
    AUTO(strings) wanted = STRINGS_NONE;
    AUTO(strings) missing = STRINGS_NONE;
    pg_contents_extensions(&r->contents, &wanted);
    if (pg_database_missing_extensions(&r->server, &wanted, &missing, e))
        return -1;
    AUTO(buf) list = BUF_NONE;
    for (size_t i = 0; i < missing.n; i++)
        buf_add_fmt(&list, "%s%s", i ? ", " : "", missing.v[i]);
    if (missing.n == 0)
        return 0;
    return err_set(e, ERR_USAGE,
                   "the server does not have what the database needs, extension %s: install it (packages of "
                   "Debian: postgresql-%d-...; apt-cache search postgresql-%d)",
                   buf_cstr(&list), pg_major(r->server.version), pg_major(r->server.version));
}

/* ---- the database itself ---- */

/* A --use-list file that the child opens as /proc/self/fd/N: a copy without close-on-exec. */
static int list_file(struct restore *r, struct err *e)
{
    AUTO(buf) list = BUF_NONE;
    AUTO_FD spool = file_spool(r->o->spool_dir, e);
    pg_contents_print(&r->contents, &list);
    if (spool < 0 || fd_pwrite_all(spool, buf_bytes(&list), 0, "list of contents", e))
        return -1;
    int fd = dup(spool);
    return fd < 0 ? err_errno(e, ERR_IO, "list of contents") : fd;
}

static bool is_about_session(struct bytes s)
{
    static const char *const starts[] = {"SET SESSION AUTHORIZATION", "RESET SESSION AUTHORIZATION",
                                         "SET client_encoding"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (s.n > strlen(starts[i]) - 1 && memcmp(s.p, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

/* Takes the script apart: what makes the database goes to *create, the rest to r->about. */
static int keep_statements(struct restore *r, const struct buf *script, char **create, struct err *e)
{
    AUTO_CHAR from = NULL;
    AUTO_CHAR to = pg_quote_name(r->into);
    struct pg_script s = {(const char *)script->p, (const char *)script->p + script->n};
    struct bytes b;
    int more;
    while ((more = pg_script_next(&s, &b, e)) > 0) {
        if (!from && (from = pg_script_created_database(b))) {
            *create = pg_script_rename(b, from, to);
            continue;
        }
        AUTO_CHAR renamed = from ? pg_script_rename(b, from, to) : NULL;
        AUTO_CHAR as_is = xstrndup((const char *)b.p, b.n);
        if (renamed || is_about_session(b))
            strings_add(&r->about, renamed ? renamed : as_is);
    }
    return more;
}

static int read_database(struct restore *r, char **create, struct err *e)
{
    AUTO(buf) script = BUF_NONE;
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    pg_contents_forget_choice(&r->contents);
    pg_contents_choose_database(&r->contents);
    AUTO_FD list = list_file(r, e);
    if (list < 0 || pg_program_new(&g, &r->server, "pg_restore", r->at_least, e))
        return -1;
    const struct child_options run = {.in = CHILD_FD, .in_fd = r->spool};
    pg_program_add(&g, "--create");
    pg_program_add(&g, "--use-list=/proc/self/fd/%d", list);
    pg_program_add(&g, "--file=-");
    if (lseek(r->spool, 0, SEEK_SET) < 0)
        return err_errno(e, ERR_IO, "spool file");
    return pg_program_output(&g, &run, GLOBALS_LIMIT, &script, NULL, e) ||
                   keep_statements(r, &script, create, e)
               ? -1
               : 0;
}

static void side_name(char out[64], const char *what)
{
    uint8_t random[6];
    char hex[2 * sizeof random + 1];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        abort();
    hex_encode(hex, BYTES(random, sizeof random));
    snprintf(out, 64, "lifeboat_%s_%s", what, hex);
}

/* A database that is there and empty is used as it is; otherwise a side database is made. */
static int make_database(struct restore *r, struct err *e)
{
    char side[64];
    AUTO_CHAR create = NULL;
    bool in_place = r->state == PG_DATABASE_EMPTY || adds_tables(r);
    side_name(side, "restore");
    r->into = xstrdup(in_place ? r->name : side);
    if (adds_tables(r))
        return 0;
    if (read_database(r, &create, e))
        return -1;
    if (in_place)
        return 0;
    AUTO_CHAR name = pg_quote_name(r->into);
    AUTO_CHAR plain = xasprintf("CREATE DATABASE %s TEMPLATE template0", name);
    r->made = true; /* also when the answer gets lost */
    if (pg_query(&r->server, create ? create : plain, NULL, NULL, e))
        return err_wrap(e, "make the database");
    return 0;
}

/* Owner, settings, comment, privileges. */
static int run_about(struct restore *r, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    if (has_tables(r) || r->about.n == 0)
        return 0;
    if (pg_database_server(&p, r->o->connection, r->into, e))
        return -1;
    for (size_t i = 0; i < r->about.n; i++) {
        struct err why = ERR_INIT;
        if (pg_query(&p, r->about.v[i], NULL, NULL, &why) == 0)
            continue;
        if (!*p.sqlstate)
            return err_set(e, why.kind, "%s", why.text);
        add_error(r, why.text, strlen(why.text));
    }
    return 0;
}

/* ---- pg_restore ---- */

static int pour(struct restore *r, struct child *c, struct err *e)
{
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, PIECE);
    prepare_pipe(c);
    int full = 0;
    for (uint64_t at = 0; at < r->spooled && full == 0;) {
        size_t n = (size_t)MIN((uint64_t)PIECE, r->spooled - at);
        if (fd_pread_all(r->spool, block.p, n, at, "spool file", e))
            return -1;
        full = give(c, BYTES(block.p, n), e);
        at += n;
    }
    while (full == 0 && !r->ended) {
        struct bytes b;
        full = next_piece(r, &b, e) ? -1 : give(c, b, e);
    }
    r->stopped_early = full > 0;
    return full < 0 ? -1 : 0;
}

static int prepare_pg_restore(struct restore *r, struct pg_program *g, int list, unsigned jobs, struct err *e)
{
    if (pg_program_new(g, &r->server, "pg_restore", r->at_least, e) ||
        pg_program_connect(g, &r->server, r->into, e))
        return -1;
    if (has_tables(r)) {
        pg_program_add(g, "--use-list=/proc/self/fd/%d", list);
        pg_program_add(g, "--no-data-for-failed-tables");
    }
    if (adds_tables(r))
        pg_program_add(g, "--single-transaction");
    if (jobs > 1) {
        pg_program_add(g, "--jobs=%u", jobs);
        pg_program_add(g, "/proc/self/fd/0"); /* each job opens it anew */
    }
    return 0;
}

static void collect_errors(struct restore *r, const struct buf *said)
{
    static const char error[] = "pg_restore: error: ", ignored[] = "errors ignored on restore: ";
    const char *p = (const char *)said->p, *end = p + said->n;
    unsigned long total = 0;
    while (p && p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        eol = eol ? eol : end;
        const char *count = memmem(p, (size_t)(eol - p), ignored, strlen(ignored));
        if ((size_t)(eol - p) > strlen(error) && memcmp(p, error, strlen(error)) == 0)
            add_error(r, p + strlen(error), (size_t)(eol - p) - strlen(error));
        if (count)
            total = strtoul(count + strlen(ignored), NULL, 10);
        p = eol + 1;
    }
    r->error_count = MAX(r->error_count, total);
}

/* 0 also when the server refused statements: r->errors. */
static int run_pg_restore(struct restore *r, struct err *e)
{
    unsigned jobs = adds_tables(r) ? 1 : r->o->jobs;
    struct bytes b;
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO(child) c = CHILD_NONE;
    AUTO_FD list = has_tables(r) ? list_file(r, e) : -1;
    struct child_options run = {.in = CHILD_PIPE, .out = CHILD_NULL};
    struct err why = ERR_INIT;
    if ((has_tables(r) && list < 0) || prepare_pg_restore(r, &g, list, jobs, e))
        return -1;
    if (jobs > 1) {
        while (!r->ended)
            if (spool_piece(r, &b, e))
                return -1;
        run.in = CHILD_FD;
        run.in_fd = r->spool;
    }
    if (pg_program_start(&g, &run, &c, e) || (jobs <= 1 && pour(r, &c, e)))
        return -1;
    int rc = child_wait(&c, "pg_restore", NULL, &why);
    if (rc) {
        collect_errors(r, &c.err_text);
        if (r->error_count == 0 || why.kind == ERR_STOPPED || r->stopped_early)
            return err_set(e, why.kind, "%s", why.text);
    }
    return 0;
}

/* What pg_restore did not care to read is read all the same, to know that the archive was whole; but for a
 * few tables. */
static int finish_archive(struct restore *r, struct err *e)
{
    struct bytes b;
    if (has_tables(r) && !r->ended)
        return 0;
    while (!r->ended)
        if (next_piece(r, &b, e))
            return -1;
    return pg_archive_finish(r->archive, e);
}

/* ---- the end ---- */

static int report_errors(struct restore *r, struct err *e)
{
    AUTO_CHAR list = join_errors(r);
    AUTO_CHAR left = NULL;
    if (adds_tables(r))
        left = xstrdup("nothing was changed");
    else if (!r->made)
        left = xasprintf("database %s holds what could be restored", r->name);
    else if (r->state == PG_DATABASE_ABSENT)
        left = xasprintf("what could be restored is in database %s: ALTER DATABASE %s RENAME TO ... if that "
                         "will do, else drop it",
                         r->into, r->into);
    else
        left = xasprintf("database %s is as it was", r->name);
    r->made &= r->state != PG_DATABASE_ABSENT; /* keep it */
    return err_set(e, ERR_FAILED, "the server refused %lu statements (%s): %s%s", r->error_count, left, list,
                   r->error_count > r->errors.n ? "; ..." : "");
}

static int publish(struct restore *r, struct err *e)
{
    char old[64];
    struct err why = ERR_INIT;
    if (!r->made)
        return 0;
    if (r->state == PG_DATABASE_ABSENT) {
        if (pg_database_rename(&r->server, r->into, r->name, e))
            return err_wrap(e, "give the restored database its name");
        r->made = false;
        return 0;
    }
    side_name(old, "old");
    if (pg_database_swap(&r->server, r->name, r->into, old, e))
        return -1;
    r->made = false;
    if (pg_database_drop(&r->server, old, &why))
        strings_add_fmt(&r->counts->notes,
                        "the database that was replaced is still there as %s, drop it when you can: %s", old,
                        why.text);
    return 0;
}

static void take_back(struct restore *r)
{
    struct err why = ERR_INIT;
    if (r->made && pg_database_drop(&r->server, r->into, &why))
        strings_add_fmt(&r->counts->notes, "the unfinished database %s is left, drop it: %s", r->into,
                        why.text);
}

static int restore(struct restore *r, struct err *e)
{
    r->spool = file_spool(r->o->spool_dir, e);
    if (r->spool < 0 || look(r, e) || read_contents(r, e) || choose_tables(r, e) || check_extensions(r, e) ||
        run_globals(r, e) || make_database(r, e))
        return -1;
    if (has_tables(r) && choose_tables(r, e)) /* make_database() chose for itself */
        return -1;
    if (run_pg_restore(r, e) || finish_archive(r, e) || run_about(r, e))
        return -1;
    return r->error_count ? report_errors(r, e) : publish(r, e);
}

int target_postgres(struct feed *in, const struct target_postgres_options *o, struct target_counts *counts,
                    struct err *e)
{
    AUTO(restore) r = {.in = in, .o = o, .counts = counts, .spool = -1, .archive = pg_archive_new()};
    int rc = restore(&r, e);
    counts->entries = has_tables(&r) ? 0 : pg_archive_table_count(r.archive);
    if (rc) {
        take_back(&r);
        refuse_context(o, e);
    }
    return rc ? -1 : 0;
}
