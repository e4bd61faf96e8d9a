#include "testing.h"

#include "pg_cluster.h"

#include "base/child.h"
#include "source/pg_client.h"

#include <signal.h>
#include <unistd.h>

static char *folder, *home;

int cluster_set_up(void **state)
{
    (void)state;
    cluster_start();
    return 0;
}

int cluster_tear_down(void **state)
{
    (void)state;
    cluster_stop();
    return 0;
}

const char *cluster_folder(void)
{
    return home;
}

void cluster_start(void)
{
    struct err e = ERR_INIT;
    int status = 0;
    AUTO(child) c = CHILD_NONE;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    folder = test_folder();
    home = xasprintf("%s/pg", folder);
    AUTO_CHAR command =
        xasprintf(". '%s/lib/pg.sh'; pg_bin >/dev/null || exit 77; pg_start '%s'", tests_folder(), home);
    const struct child_options o = {.shell = command, .in = CHILD_NULL, .out = CHILD_NULL};
    if (child_start(&c, &o, &e) || child_wait(&c, "pg_start", &status, &e)) {
        printf("skipped: %s\n", e.text);
        test_remove(folder);
        exit(WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 77 : 1);
    }
    setenv("PGHOST", home, 1);
    setenv("PGUSER", "postgres", 1);
    unsetenv("PGDATABASE");
    unsetenv("PGPASSWORD");
    unsetenv("PGPORT");
    AUTO_CHAR nowhere = xasprintf("%s/no-passfile", folder);
    setenv("PGPASSFILE", nowhere, 1);
}

void cluster_stop(void)
{
    free(cluster_shell(". '%s/lib/pg.sh'; pg_stop '%s'", tests_folder(), home));
    test_remove(folder);
    free(home);
}

static char *value(const char *database, const char *sql, bool wanted)
{
    struct err e = ERR_INIT;
    AUTO(pg) p = PG_NONE;
    AUTO_RESULT r = NULL;
    if (pg_connect(&p, "", database, &e) || pg_query(&p, sql, NULL, &r, &e))
        fail_msg("%s: %s", sql, e.text);
    return wanted ? xstrdup(PQgetvalue(r, 0, 0)) : NULL;
}

void cluster_sql(const char *database, const char *sql)
{
    free(value(database, sql, false));
}

char *cluster_value(const char *database, const char *sql)
{
    return value(database, sql, true);
}

bool cluster_has_database(const char *name)
{
    AUTO_CHAR all =
        cluster_value("postgres", "SELECT string_agg('<' || datname || '>', '') FROM pg_database");
    AUTO_CHAR one = xasprintf("<%s>", name);
    return strstr(all, one) != NULL;
}

char *cluster_shell(const char *fmt, ...)
{
    struct err e = ERR_INIT;
    struct buf out = BUF_NONE;
    char *command = NULL;
    va_list ap;
    va_start(ap, fmt);
    assert_true(vasprintf(&command, fmt, ap) >= 0);
    va_end(ap);
    const struct child_options o = {.shell = command, .in = CHILD_NULL};
    if (child_output(&o, command, 64u << 20, &out, &e))
        fail_msg("%s\n%s", e.text, buf_cstr(&out));
    free(command);
    buf_cstr(&out);
    return (char *)out.p;
}

static void add_quoted(struct buf *out, const char *keyword, const char *text)
{
    buf_add_fmt(out, " %s='", keyword);
    for (; *text; text++)
        buf_add_fmt(out, "%s%c", *text == '\'' || *text == '\\' ? "\\" : "", *text);
    buf_add_str(out, "'");
}

char *cluster_connection(const char *user, const char *database)
{
    struct buf out = BUF_NONE;
    add_quoted(&out, "host", home);
    add_quoted(&out, "user", user);
    if (database)
        add_quoted(&out, "dbname", database);
    buf_cstr(&out);
    return (char *)out.p;
}

/* ---- backups ---- */

void backup_init(struct pg_backup *b, const char *database)
{
    *b = (struct pg_backup){.config = {.name = (char *)"app", .type = SOURCE_POSTGRES, .globals = true}};
    test_repo_new(&b->repo, NULL);
    b->config.connection = cluster_connection("postgres", database);
    b->env = (struct source_env){.source = &b->config,
                                 .database_params = {.min = 4096, .mean = 16384, .max = 65536},
                                 .database_level = 1};
}

void backup_run(struct pg_backup *b)
{
    struct err e = ERR_INIT;
    struct writer_stats stats;
    source_result_free(&b->result);
    b->e = (struct err)ERR_INIT;
    AUTO_PTR(writer) w = writer_new(b->repo.repo, &e);
    assert_non_null(w);
    b->env.writer = w;
    b->rc = source_backup(&b->env, &b->result, &b->e);
    assert_int_equal(b->rc != 0, err_is_set(&b->e));
    assert_ok(writer_finish(w, &stats, &e));
    writer_free(STEAL(w));
    test_repo_reload(&b->repo);
}

void backup_free(struct pg_backup *b)
{
    source_result_free(&b->result);
    strings_free(&b->config.databases);
    strings_free(&b->config.exclude_table_data);
    free(b->config.connection);
    test_repo_free(&b->repo);
}

const struct stream_info *backup_stream(const struct pg_backup *b, const char *name)
{
    for (size_t i = 0; i < b->result.stream_count; i++)
        if (strcmp(b->result.streams[i].name, name) == 0)
            return &b->result.streams[i];
    fail_msg("no stream %s (%s)", name, b->e.text);
    return NULL;
}

void backup_read(struct pg_backup *b, const char *stream, struct buf *out)
{
    struct err e = ERR_INIT;
    assert_ok(test_read(&b->repo, backup_stream(b, stream), out, &e));
}

char *fingerprint_now(const char *database)
{
    struct pg_backup b;
    struct buf out = BUF_NONE;
    backup_init(&b, database);
    b.config.globals = false;
    backup_run(&b);
    if (b.rc)
        fail_msg("%s", b.e.text);
    backup_read(&b, "fingerprint", &out);
    backup_free(&b);
    buf_cstr(&out);
    return (char *)out.p;
}

/* ---- restores ---- */

static int next(struct feed *base, struct bytes *out, struct err *e)
{
    struct memory_feed *f = CONTAINER(base, struct memory_feed, base);
    size_t n = MIN(f->left.n, f->piece);
    *out = BYTES(f->left.p, n);
    f->left = BYTES(f->left.p + n, f->left.n - n);
    if (n == 0 && f->stops)
        stop_requested = 1;
    return n == 0 && f->fails ? err_set(e, ERR_DAMAGED, "%s", f->fails) : 0;
}

void memory_feed_init(struct memory_feed *f, struct bytes data, size_t piece)
{
    *f = (struct memory_feed){.base = {.next = next}, .left = data, .piece = piece};
}

void restoring_free(struct restoring *r)
{
    target_counts_free(&r->counts);
}

int restore(struct restoring *r, struct bytes data, const char *database)
{
    struct memory_feed f;
    AUTO_CHAR connection = cluster_connection("postgres", database);
    target_counts_free(&r->counts);
    r->e = (struct err)ERR_INIT;
    r->o.connection = connection;
    r->o.spool_dir = cluster_folder();
    memory_feed_init(&f, data, r->piece ? r->piece : 256u << 10);
    f.fails = r->fails;
    f.stops = r->stops;
    return target_postgres(&f.base, &r->o, &r->counts, &r->e);
}

bool cluster_has_database_like(const char *start)
{
    AUTO_CHAR sql = xasprintf("SELECT count(*) FROM pg_database WHERE starts_with(datname, '%s')", start);
    AUTO_CHAR n = cluster_value("postgres", sql);
    return strcmp(n, "0") != 0;
}

bool has_sentence(const struct strings *s, const char *part)
{
    for (size_t i = 0; i < s->n; i++)
        if (strstr(s->v[i], part))
            return true;
    return false;
}

void assert_sentence(const struct strings *s, const char *part)
{
    if (!has_sentence(s, part)) {
        for (size_t i = 0; i < s->n; i++)
            print_message("  %s\n", s->v[i]);
        fail_msg("nothing says \"%s\"", part);
    }
}

void assert_good(const struct pg_backup *b)
{
    if (b->rc)
        fail_msg("%s", b->e.text);
    for (size_t i = 0; i < b->result.reasons.n; i++)
        fail_msg("%s", b->result.reasons.v[i]);
    assert_int_equal(b->result.verdict, VERDICT_GOOD);
}

void create_database(const char *name)
{
    AUTO_CHAR quoted = pg_quote_name(name);
    AUTO_CHAR sql = xasprintf("CREATE DATABASE %s TEMPLATE template0", quoted);
    cluster_sql("postgres", sql);
}

void make_small(const char *name)
{
    create_database(name);
    cluster_sql(name, "CREATE TABLE t (id serial PRIMARY KEY, v text);"
                      "INSERT INTO t (v) SELECT 'row ' || i FROM generate_series(1, 20000) i;"
                      "CREATE TABLE u (id int REFERENCES t, note text); INSERT INTO u VALUES (1, 'x');"
                      "CREATE INDEX u_note ON u (note)");
}

void dump(const char *database, struct buf *out)
{
    struct pg_backup b;
    backup_init(&b, database);
    b.config.globals = false;
    backup_run(&b);
    assert_good(&b);
    backup_read(&b, "data", out);
    backup_free(&b);
}

char *cluster_fake(const char *program, const char *script)
{
    char *before = xstrdup(getenv("PATH"));
    AUTO_CHAR path = xasprintf("%s/fake:%s", home, before);
    AUTO_CHAR real = cluster_shell(". '%s/lib/pg.sh'; printf %%s \"$(pg_bin)/%s\"", tests_folder(), program);
    free(cluster_shell("mkdir -p %s/fake && cat > %s/fake/%s <<'END'\n#!/bin/sh\nreal=%s\n"
                       "[ \"$1\" = --version ] && exec $real --version\n%s\nEND\nchmod 755 %s/fake/%s",
                       home, home, program, real, script, home, program));
    setenv("PATH", path, 1);
    return before;
}

void cluster_fake_end(const char *program, char *path)
{
    AUTO_CHAR fake = xasprintf("%s/fake/%s", home, program);
    assert_int_equal(unlink(fake), 0);
    setenv("PATH", path, 1);
    free(path);
}
