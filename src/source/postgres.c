/* PostgreSQL by pg_dump: libpq holds the snapshot and says what must be in the dump, pg_dump's bytes go into
 * the stream as they come, and the archive reader watches them pass. A dump whose pg_dump did not end with 0,
 * that is not whole, or that lacks a table is never finished as a stream. */
#include "source/pg_archive.h"
#include "source/pg_client.h"
#include "source/pg_globals.h"
#include "source/pg_last.h"
#include "source/pg_settings.h"
#include "source/pg_tables.h"
#include "source/source.h"

#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK      (256u << 10)
#define PIPE_SIZE  (1 << 20) /* an unprivileged process's most: /proc/sys/fs/pipe-max-size */
#define PING_NS    30000000000ull
#define BEGINNINGS 3 /* of a dump whose tables are written anew under it */

/* One run over one server. */
struct job {
    const struct source_env *env;
    struct source_result *out;
    uint64_t started_ns;
    uint64_t expected_bytes; /* 0: not known */
    bool many;               /* streams carry the database's name */
    bool all;
    struct strings databases;
    struct pg_last last;
    size_t tables;
};

struct dump {
    struct job *job;
    const char *database;
    char *shown; /* the name, safe to show */
    struct pg pg;
    uint64_t pinged_ns;
    char *snapshot; /* NULL: pg_dump takes its own */
    unsigned begun; /* so many times */
    struct pg_tables listed;
};

static void dump_free(struct dump *d)
{
    pg_free(&d->pg);
    pg_tables_free(&d->listed);
    free(d->snapshot);
    free(d->shown);
}
AUTO_FOR(dump)

/* ---- the session beside pg_dump ---- */

static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

static int open_session(struct dump *d, struct err *e)
{
    const struct config_source *src = d->job->env->source;
    struct err why = ERR_INIT;
    if (pg_connect(&d->pg, src->connection, d->database, e) || pg_without_limits(&d->pg, e) ||
        pg_query(&d->pg, begin, NULL, NULL, e))
        return -1;
    d->pg.container = d->job->env->container;
    d->snapshot = pg_query_text(&d->pg, "SELECT pg_catalog.pg_export_snapshot()", NULL, &why);
    if (!d->snapshot) {
        source_result_note(d->job->out,
                           "database %s: the snapshot cannot be shared (%s): pg_dump took its own", d->shown,
                           why.text);
        if (pg_query(&d->pg, "ROLLBACK", NULL, NULL, e) || pg_query(&d->pg, begin, NULL, NULL, e))
            return -1;
    }
    return pg_tables_list(&d->listed, &d->pg, e);
}

/* Keeps the session from being cut off as idle on the way, and notices a server that is gone. */
static int look_after_session(struct dump *d, struct err *e)
{
    uint64_t now = time_monotonic_ns();
    if (now - d->pinged_ns < PING_NS)
        return 0;
    d->pinged_ns = now;
    return pg_query(&d->pg, "SELECT 1", NULL, NULL, e) ? err_wrap(e, "the session that holds the snapshot")
                                                       : 0;
}

/* ---- running its programs ---- */

static int check_time(const struct job *j, struct err *e)
{
    uint64_t limit = j->env->source->time_limit_s;
    if (limit && time_monotonic_ns() - j->started_ns > limit * 1000000000ull)
        return err_set(e, ERR_FAILED, "not done after %llu s, its time-limit: raise it, or look what blocks",
                       (unsigned long long)limit);
    return stop_check(e);
}

static unsigned seconds_left(const struct job *j)
{
    uint64_t limit = j->env->source->time_limit_s;
    uint64_t used = (time_monotonic_ns() - j->started_ns) / 1000000000u;
    return limit == 0 ? 0 : limit > used ? (unsigned)(limit - used) : 1;
}

static int await_output(struct dump *d, struct child *c, struct err *e)
{
    for (;;) {
        struct pollfd out = {.fd = c->out, .events = POLLIN};
        int ready = poll(&out, 1, 500);
        if (check_time(d->job, e) || look_after_session(d, e))
            return -1;
        if (ready > 0)
            return 0;
    }
}

/* When pg_dump speaks, it has locked its tables. What was written anew between the snapshot and that
 * (TRUNCATE, ALTER TABLE) is empty to the snapshot, and in the dump. 1: to be begun again. */
static int check_lost_rows(struct dump *d, struct err *e)
{
    AUTO_CHAR name = NULL;
    if (!d->snapshot)
        return 0;
    if (pg_tables_rewritten(&d->pg, &name, e))
        return -1;
    if (name && d->begun < BEGINNINGS)
        return 1;
    if (name)
        source_result_degrade(
            d->job->out,
            "database %s: table %s was written anew (TRUNCATE, ALTER TABLE, VACUUM FULL) while "
            "its dump began, %u times: its rows may be missing; back up at another time",
            d->shown, name, d->begun);
    return 0;
}

/* What the dump goes through. */
struct flow {
    struct stream *stream;
    struct pg_archive *archive;
    uint64_t bytes;
};

static int copy_output(struct dump *d, struct child *c, struct flow *f, struct err *e)
{
    const struct source_env *env = d->job->env;
    AUTO(buf) block = BUF_NONE;
    buf_reserve(&block, BLOCK);
    fcntl(c->out, F_SETPIPE_SZ, PIPE_SIZE); /* a hint: fewer wake-ups */
    for (;;) {
        if (await_output(d, c, e))
            return -1;
        int again = f->bytes ? 0 : check_lost_rows(d, e);
        if (again)
            return again;
        ssize_t n = fd_read(c->out, block.p, BLOCK, "pg_dump", e);
        if (n <= 0)
            return (int)n;
        struct bytes b = BYTES(block.p, (size_t)n);
        if (pg_archive_write(f->archive, b, e) || stream_write(f->stream, b, e))
            return -1;
        f->bytes += b.n;
        if (env->progress)
            env->progress(env->progress_ctx, d->job->out->bytes + f->bytes, d->job->expected_bytes);
    }
}

static void note_warnings(struct dump *d, const struct child *c)
{
    AUTO(strings) warnings = STRINGS_NONE;
    pg_program_warnings(&c->err_text, &warnings);
    for (size_t i = 0; i < warnings.n; i++)
        source_result_note(d->job->out, "database %s: pg_dump: %s", d->shown, warnings.v[i]);
}

static int run_pg_dump(struct dump *d, struct flow *f, struct err *e)
{
    const struct config_source *src = d->job->env->source;
    const struct child_options run = {
        .in = CHILD_NULL, .out = CHILD_PIPE, .time_limit_s = seconds_left(d->job)};
    AUTO(pg_program) g = PG_PROGRAM_NONE;
    AUTO(child) c = CHILD_NONE;
    if (pg_program_new(&g, &d->pg, "pg_dump", 0, e) || pg_program_connect(&g, &d->pg, NULL, e))
        return -1;
    pg_program_add(&g, "--format=custom");
    pg_program_add(&g, "--compress=0");
    pg_program_add(&g, "--lock-wait-timeout=60s");
    if (d->snapshot)
        pg_program_add(&g, "--snapshot=%s", d->snapshot);
    for (size_t i = 0; i < src->exclude_table_data.n; i++)
        pg_program_add(&g, "--exclude-table-data=%s", src->exclude_table_data.v[i]);
    d->pinged_ns = time_monotonic_ns();
    int rc = pg_program_start(&g, &run, &c, e) ? -1 : copy_output(d, &c, f, e);
    if (rc)
        return rc;
    if (pg_program_wait(&g, &c, e))
        return -1;
    note_warnings(d, &c);
    return pg_archive_finish(f->archive, e);
}

static int take_dump(struct dump *d, struct flow *f, struct err *e)
{
    int rc;
    do {
        pg_free(&d->pg);
        pg_tables_free(&d->listed);
        free(STEAL(d->snapshot));
        d->begun++;
        rc = open_session(d, e) ? -1 : run_pg_dump(d, f, e);
    } while (rc > 0);
    return rc;
}

/* ---- is it all there? ---- */

/* Without a shared snapshot a table may have come or gone between the listing and the dump: only those that
 * are still there afterwards must be in it. */
static int list_again(struct dump *d, struct pg_tables *now, struct err *e)
{
    if (pg_query(&d->pg, "ROLLBACK", NULL, NULL, e))
        return -1;
    return pg_tables_list(now, &d->pg, e);
}

static int compare_tables(struct dump *d, const struct pg_archive *a, struct err *e)
{
    const struct config_source *src = d->job->env->source;
    AUTO(pg_tables) held = PG_TABLES_NONE;
    AUTO(pg_tables) now = PG_TABLES_NONE;
    if (!d->snapshot && list_again(d, &now, e))
        return -1;
    pg_tables_of_archive(&held, a);
    for (size_t i = 0; i < d->listed.n; i++) {
        const struct pg_listed *l = &d->listed.v[i];
        if (!d->snapshot && !pg_tables_find(&now, l))
            continue;
        const struct pg_listed *in = pg_tables_find(&held, l);
        AUTO_CHAR name = pg_listed_text(l);
        if (!in)
            return err_set(e, ERR_FAILED, "table %s is in the database and not in the dump", name);
        if (l->must_have_data && !in->has_data && src->exclude_table_data.n == 0)
            return err_set(e, ERR_FAILED, "the rows of table %s are not in the dump", name);
        if (l->kind == 'r' && !l->must_have_data && !in->has_data && src->exclude_table_data.n == 0)
            source_result_note(d->job->out,
                               "database %s: the rows of table %s are not in it: it is unlogged, and this "
                               "server is a standby",
                               d->shown, name);
    }
    return 0;
}

/* An older pg_dump of the same major may write what only a newer server understands, or leave something out.
 */
static void note_old_client(struct dump *d, const struct pg_archive *a)
{
    const char *version = pg_archive_dump_version(a);
    int major = 0, minor = 0;
    if (version && sscanf(version, "%d.%d", &major, &minor) == 2 && major == pg_major(d->pg.version) &&
        minor < d->pg.version % 10000)
        source_result_note(d->job->out,
                           "database %s: pg_dump %d.%d is older than the server, %d.%d: upgrade "
                           "postgresql-client-%d",
                           d->shown, major, minor, major, d->pg.version % 10000, major);
}

static void judge_emptiness(struct dump *d)
{
    struct source_result *out = d->job->out;
    if (d->listed.n || d->job->env->source->may_be_empty)
        return;
    if (d->job->all)
        source_result_note(out, "database %s has no tables", d->shown);
    else
        source_result_degrade(out, "database %s has no tables (allow-empty = yes if that is as it should be)",
                              d->shown);
}

/* pg_restore --create refuses such a name: that must not be found out when it is needed. */
static void judge_name(struct dump *d)
{
    if (strpbrk(d->database, "\n\r"))
        source_result_degrade(d->job->out,
                              "database %s: its name holds a line break, and PostgreSQL's pg_restore refuses "
                              "such a one: it cannot be restored or drilled until it has another name (ALTER "
                              "DATABASE ... RENAME TO)",
                              d->shown);
}

/* pg_dump leaves out without a word what its role may not see: the view has no options then. */
static int note_hidden_options(struct dump *d, struct err *e)
{
    static const char sql[] =
        "SELECT pg_catalog.count(*), pg_catalog.min(pg_catalog.format('%s on server %s', usename, srvname))"
        "  FROM pg_catalog.pg_user_mappings WHERE umoptions IS NULL"
        "   AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)";
    AUTO_RESULT r = NULL;
    struct err why = ERR_INIT;
    if (pg_query(&d->pg, sql, NULL, &r, &why)) /* where a provider took the view away */
        return stop_check(e);
    AUTO_CHAR shown = text_printable(pg_value(r, 0, 1), strlen(pg_value(r, 0, 1)));
    if (*shown)
        source_result_note(d->job->out,
                           "database %s: %s user mappings, such as %s, are in it without their options, as "
                           "passwords: %s may not see them, a superuser may",
                           d->shown, pg_value(r, 0, 0), shown, PQuser(d->pg.conn));
    return 0;
}

/* What a server of another zone would make of it is not what it is here. */
static int keep_settings(struct dump *d, struct err *e)
{
    struct err why = ERR_INIT;
    return pg_settings_read(&d->pg, &d->job->out->server_settings, &why) ? stop_check(e) : 0;
}

/* Partitions come and go with the calendar, so they are not missed, and their rows are the table's. */
static void remember_tables(struct dump *d, const struct pg_archive *a)
{
    const struct pg_tables *t = &d->listed;
    pg_tables_count_rows(&d->listed, a);
    for (size_t i = 0; i < t->n; i++) {
        AUTO_CHAR name = pg_listed_text(&t->v[i]);
        if (!t->v[i].is_partition)
            pg_last_add(&d->job->last, d->shown, name, t->v[i].has_data ? &t->v[i].rows : NULL);
    }
    d->job->tables += t->n;
}

/* ---- one database ---- */

static int stream_name(const struct job *j, const char *kind, const char *shown, char out[STREAM_NAME_SIZE],
                       struct err *e)
{
    int n = snprintf(out, STREAM_NAME_SIZE, "%s%s%s", kind, j->many ? ":" : "", j->many ? shown : "");
    if (n >= STREAM_NAME_SIZE)
        return err_set(e, ERR_USAGE, "database %s: the name is too long for a stream", shown);
    return 0;
}

static struct stream *open_stream(const struct job *j, const char *name)
{
    const struct stream_options o = {.name = name,
                                     .params = j->env->database_params,
                                     .frame = STREAM_FRAME_DATABASE,
                                     .level = j->env->database_level};
    return stream_new(j->env->writer, &o, NULL);
}

/* A small stream whose bytes are all at hand. */
static int keep_text(struct job *j, const char *name, struct bytes text, struct err *e)
{
    struct stream_info info;
    AUTO_PTR(stream) s = open_stream(j, name);
    if (stream_write(s, text, e) || stream_finish(s, &info, e))
        return -1;
    source_result_add_stream(j->out, &info);
    return 0;
}

static int dump_database(struct job *j, const char *name, struct err *e)
{
    char data_name[STREAM_NAME_SIZE], print_name[STREAM_NAME_SIZE];
    AUTO(dump) d = {.job = j, .database = name};
    AUTO(buf) fingerprint = BUF_NONE;
    AUTO_PTR(stream) s = NULL;
    AUTO_PTR(pg_archive) a = pg_archive_new();
    struct stream_info info;
    d.shown = text_printable(name, strlen(name));
    if (stream_name(j, "data", d.shown, data_name, e) ||
        stream_name(j, "fingerprint", d.shown, print_name, e))
        return -1;
    s = open_stream(j, data_name);
    struct flow f = {.stream = s, .archive = a};
    if (take_dump(&d, &f, e) || compare_tables(&d, a, e) || note_hidden_options(&d, e) ||
        keep_settings(&d, e) || stream_finish(s, &info, e))
        return -1;
    source_result_add_stream(j->out, &info);
    j->out->bytes += f.bytes;
    pg_archive_fingerprint(a, &fingerprint);
    note_old_client(&d, a);
    judge_emptiness(&d);
    judge_name(&d);
    remember_tables(&d, a);
    return keep_text(j, print_name, buf_bytes(&fingerprint), e);
}

/* ---- the whole server ---- */

/* To ask for more than one database: a connection that names none means "postgres" then, not one of the
 * user's name. */
static int connect_to_any(const char *connection, struct pg *p, struct err *e)
{
    AUTO_CHAR named = pg_connection_setting(connection, "dbname", e);
    AUTO_CHAR service = pg_connection_setting(connection, "service", e); /* may name one */
    if (err_is_set(e))
        return -1;
    bool is_named = named || service || getenv("PGDATABASE") || getenv("PGSERVICE");
    return pg_connect(p, connection, is_named ? NULL : "postgres", e);
}

static int connect_to_server(const struct job *j, struct pg *p, struct err *e)
{
    const char *connection = j->env->source->connection;
    const struct strings *asked = &j->env->source->databases;
    int rc = j->many ? connect_to_any(connection, p, e)
                     : pg_connect(p, connection, asked->n ? asked->v[0] : NULL, e);
    return rc ? -1 : pg_without_limits(p, e); /* the size of a database may take its time */
}

static int take_globals(struct job *j, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    AUTO(buf) script = BUF_NONE;
    AUTO(strings) warnings = STRINGS_NONE;
    struct err why = ERR_INIT;
    bool passwords = false;
    int rc = connect_to_server(j, &p, &why);
    p.container = j->env->container;
    if (rc || pg_globals(&p, seconds_left(j), &script, &passwords, &warnings, &why)) {
        if (why.kind == ERR_STOPPED)
            return err_set(e, why.kind, "%s", why.text);
        source_result_degrade(j->out, "roles and tablespaces are not in it: %s", why.text);
        return 0;
    }
    if (!passwords)
        source_result_note(j->out, "the roles are stored without their passwords: %s may not read pg_authid",
                           PQuser(p.conn));
    for (size_t i = 0; i < warnings.n; i++)
        source_result_note(j->out, "pg_dumpall: %s", warnings.v[i]);
    return keep_text(j, "globals", buf_bytes(&script), e);
}

/* template0 and template1 are what a server is born with. */
static int choose_databases(struct job *j, struct err *e)
{
    AUTO(pg) p = PG_NONE;
    const struct strings *asked = &j->env->source->databases;
    AUTO_RESULT r = NULL;
    if (connect_to_server(j, &p, e))
        return -1;
    for (size_t i = 0; i < asked->n && j->many && !j->all; i++)
        strings_add(&j->databases, asked->v[i]);
    if (!j->many)
        strings_add(&j->databases, PQdb(p.conn));
    if (pg_query(&p,
                 "SELECT datname, CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT')"
                 "                     THEN pg_catalog.pg_database_size(oid) ELSE 0 END, datallowconn"
                 "  FROM pg_catalog.pg_database WHERE datname NOT IN ('template0', 'template1')"
                 " ORDER BY datname COLLATE \"C\"",
                 NULL, &r, e))
        return err_wrap(e, "list the databases");
    for (int i = 0; i < PQntuples(r); i++) {
        const char *name = pg_value(r, i, 0);
        AUTO_CHAR shown = text_printable(name, strlen(name));
        if (j->all && *pg_value(r, i, 2) == 't')
            strings_add(&j->databases, name);
        else if (j->all)
            source_result_note(j->out,
                               "database %s is not in it: it allows no connections (ALTER DATABASE ... "
                               "ALLOW_CONNECTIONS true)",
                               shown);
        if (strings_has(&j->databases, name))
            j->expected_bytes += strtoull(pg_value(r, i, 1), NULL, 10);
    }
    j->out->database_bytes = j->expected_bytes;
    j->out->server_id = pg_system_identifier(&p);
    if (j->env->last_good_bytes)
        j->expected_bytes = j->env->last_good_bytes; /* a dump has no indexes: a better guess */
    return 0;
}

/* One that fails does not cost the others their backup: the source is degraded then, and failed when none
 * could be dumped, or when the next would fail for the same reason. */
static int dump_databases(struct job *j, struct err *e)
{
    struct err first = ERR_INIT;
    for (size_t i = 0; i < j->databases.n; i++) {
        struct err why = ERR_INIT;
        if (dump_database(j, j->databases.v[i], &why) == 0)
            continue;
        AUTO_CHAR shown = text_printable(j->databases.v[i], strlen(j->databases.v[i]));
        err_wrap(&why, "database %s", shown);
        if (why.kind == ERR_STOPPED || why.kind == ERR_IO || why.kind == ERR_SPACE)
            return err_set(e, why.kind, "%s", why.text);
        strings_add(&j->last.failed, shown);
        if (j->databases.n > 1)
            source_result_degrade(j->out, "%s", why.text);
        if (j->last.failed.n == 1)
            first = why;
    }
    return j->last.failed.n && j->last.failed.n == j->databases.n ? err_set(e, first.kind, "%s", first.text)
                                                                  : 0;
}

/* ---- against the last good one ---- */

static void compare_with_last(struct job *j)
{
    const struct source_env *env = j->env;
    pg_last_compare(&j->last, env->last_good_state, j->out);
    if (j->out->bytes < env->last_good_bytes / 2) {
        char now[32], then[32];
        size_format(now, j->out->bytes);
        size_format(then, env->last_good_bytes);
        (env->source->may_shrink ? source_result_note : source_result_degrade)(
            j->out, "the dump is %s, less than half of the last good one (%s)", now, then);
    }
    if (j->all && j->tables == 0 && !env->source->may_be_empty)
        source_result_degrade(j->out,
                              "no database has a table (allow-empty = yes if that is as it should be)");
}

int source_postgres(const struct source_env *env, struct source_result *out, struct err *e)
{
    const struct strings *asked = &env->source->databases;
    struct job j = {
        .env = env, .out = out, .started_ns = time_monotonic_ns(), .last = {.source = env->source}};
    j.all = asked->n == 1 && strcmp(asked->v[0], "all") == 0;
    j.many = j.all || asked->n > 1;
    int rc =
        choose_databases(&j, e) || dump_databases(&j, e) || (env->source->globals && take_globals(&j, e));
    if (rc == 0)
        compare_with_last(&j);
    out->files = j.tables;
    strings_free(&j.databases);
    pg_last_free(&j.last);
    return rc ? -1 : 0;
}
