#include "source/pg_client.h"

#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEBIAN_VERSIONS "/usr/lib/postgresql"

/* ---- which one ---- */

/* The major that `path --version` tells: "pg_dump (PostgreSQL) 15.20 (Debian ...)"; 0 when it does not. */
static int asked_major(const char *path)
{
    AUTO(buf) said = BUF_NONE;
    struct err e = ERR_INIT;
    const char *const argv[] = {path, "--version", NULL};
    const struct child_options o = {.argv = argv, .in = CHILD_NULL, .time_limit_s = 10};
    if (child_output(&o, path, 4096, &said, &e))
        return 0;
    const char *number = strstr(buf_cstr(&said), "(PostgreSQL) ");
    return number ? atoi(number + strlen("(PostgreSQL) ")) : 0;
}

/* Debian's /usr/bin/pg_dump is a script that picks a version by cluster: it might not be the one asked for.
 */
static bool is_wrapper(const char *path)
{
    AUTO_CHAR real = realpath(path, NULL);
    if (!real)
        die_without_memory();
    return real && strstr(real, "/pg_wrapper");
}

struct choice {
    int wanted; /* the server's */
    int major;
    char *path; /* the best so far */
    int newest; /* of all that were seen, for the message */
};

static void consider(struct choice *c, const char *path, int major)
{
    c->newest = MAX(c->newest, major);
    if (major < c->wanted || (c->path && major >= c->major))
        return;
    free(c->path);
    c->path = xstrdup(path);
    c->major = major;
}

/* glob() goes on without a folder that it cannot read. */
static int hides_something(const char *path, int number)
{
    (void)path;
    return number != ENOENT;
}

static int look_in_versions(struct choice *c, const char *versions, const char *name, struct err *e)
{
    glob_t found;
    AUTO_CHAR pattern = xasprintf("%s/*/bin/%s", versions, name);
    int rc = glob(pattern, 0, hides_something, &found);
    if (rc == GLOB_NOSPACE)
        die(OUT_OF_MEMORY);
    if (rc == GLOB_ABORTED) {
        die_without_memory();
        return err_errno(e, ERR_FAILED, "looking for %s in %s", name, versions);
    }
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
        if (access(found.gl_pathv[i], X_OK) == 0)
            consider(c, found.gl_pathv[i], atoi(found.gl_pathv[i] + strlen(versions) + 1));
    globfree(&found);
    return 0;
}

static void look_in_path(struct choice *c, const char *path, const char *name)
{
    for (const char *p = path; p && *p;) {
        size_t n = strcspn(p, ":");
        AUTO_CHAR program = xasprintf("%.*s/%s", (int)n, p, name);
        if (n && access(program, X_OK) == 0 && !is_wrapper(program))
            consider(c, program, asked_major(program));
        p += n + (p[n] == ':');
    }
}

char *pg_find_program(const char *versions, const char *path, const char *name, int major, int *found_major,
                      struct err *e)
{
    struct choice c = {.wanted = major};
    look_in_path(&c, path, name); /* first: among equals the one that somebody put there */
    if (look_in_versions(&c, versions, name, e)) {
        free(c.path);
        return NULL;
    }
    *found_major = c.major;
    if (c.path)
        return c.path;
    if (c.newest)
        err_set(e, ERR_USAGE,
                "the newest %s here is of PostgreSQL %d, too old for %d: install postgresql-client-%d", name,
                c.newest, major, major);
    else
        err_set(e, ERR_USAGE, "no %s here (looked in %s/*/bin and PATH): install postgresql-client-%d", name,
                versions, major);
    return NULL;
}

/* ---- how it finds the server ---- */

/* Session settings that change the text of a dump: the same for each, whatever ALTER DATABASE SET says. */
#define PINS                                                                 \
    "-c quote_all_identifiers=off -c bytea_output=hex -c array_nulls=on -c " \
    "default_transaction_read_only=off"

/* What libpq and the programs would read besides the settings of a connection. PGSERVICE would override what
 * is set here. */
static const char *const fixed_environment[] = {"LC_ALL=C", "PG_COLOR=never", "PGDATESTYLE", "PGGEQO",
                                                "LANGUAGE", "PGSERVICEFILE",  "PGSERVICE"};

/* A dump's text is the same in every time zone, and in its database's own encoding, whatever ALTER DATABASE
 * and ALTER ROLE ... SET say: another encoding does not have every text, and gives other bytes than those
 * that it is compared with. What a restore fills and checks goes by its database's zone, and its archive
 * names the encoding. */
static void fix_environment(struct pg_program *g, const struct pg *p, bool dumps)
{
    const char *encoding = dumps ? PQparameterStatus(p->conn, "server_encoding") : NULL;
    for (size_t i = 0; i < ARRAY_LEN(fixed_environment); i++)
        strings_add(&g->environment, fixed_environment[i]);
    strings_add(&g->environment, dumps ? "PGTZ=UTC" : "PGTZ");
    strings_add_fmt(&g->environment, encoding ? "PGCLIENTENCODING=%s" : "PGCLIENTENCODING", encoding);
}

/* Not as the connection says. */
static bool is_fixed(const char *name)
{
    return strcmp(name, "PGCLIENTENCODING") == 0 || strncmp(name, "PGSERVICE", strlen("PGSERVICE")) == 0;
}

void pg_conninfo_add(struct buf *conninfo, const char *keyword, const char *value)
{
    buf_add_fmt(conninfo, "%s%s='", conninfo->n ? " " : "", keyword);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            buf_add_u8(conninfo, '\\');
        buf_add_u8(conninfo, (uint8_t)*value);
    }
    buf_add_u8(conninfo, '\'');
}

char *pg_conninfo_database(const char *name)
{
    AUTO(buf) conninfo = BUF_NONE;
    pg_conninfo_add(&conninfo, "dbname", name);
    return xstrdup(buf_cstr(&conninfo));
}

/* Of several hosts that a connection may name, the one it reached. */
static const char *value_of(const struct pg *p, const PQconninfoOption *o, const char *database)
{
    if (strcmp(o->keyword, "dbname") == 0)
        return database;
    if (strcmp(o->keyword, "host") == 0)
        return PQhost(p->conn);
    if (strcmp(o->keyword, "hostaddr") == 0)
        return o->val && *o->val ? PQhostaddr(p->conn) : NULL;
    if (strcmp(o->keyword, "port") == 0)
        return PQport(p->conn);
    if (strcmp(o->keyword, "user") == 0)
        return PQuser(p->conn);
    if (strcmp(o->keyword, "password") == 0)
        return PQpass(p->conn);
    return o->val;
}

/* In the container it is the same server by another way: over loopback where we came over a network, by the
 * usual socket where we came by a socket. Keys, certificates and password files of ours are not in there. */
static void describe_inside(struct pg_program *g, const struct pg *p)
{
    const char *options = PQoptions(p->conn), *password = PQpass(p->conn);
    const char *socket = g->container->socket ? g->container->socket : "";
    strings_add_fmt(&g->environment, "PGHOST=%s", *PQhost(p->conn) == '/' ? socket : "127.0.0.1");
    strings_add_fmt(&g->environment, "PGPORT=%s", g->container->port);
    strings_add_fmt(&g->environment, "PGUSER=%s", PQuser(p->conn));
    strings_add_fmt(&g->environment, password && *password ? "PGPASSWORD=%s" : "PGPASSWORD",
                    password ? password : "");
    strings_add_fmt(&g->environment, "PGOPTIONS=%s%s " PINS, buf_cstr(&g->settings), options ? options : "");
    strings_add(&g->environment, "PGSSLMODE=prefer");
    strings_add(&g->environment, "PGHOSTADDR");
    strings_add(&g->environment, "PGPASSFILE");
}

/* Fills the environment; what no variable exists for goes into `conninfo`. */
static int describe_connection(struct pg_program *g, const struct pg *p, const char *database,
                               struct buf *conninfo, struct err *e)
{
    PQconninfoOption *all = PQconninfo(p->conn);
    int rc = 0;
    if (!all)
        die(OUT_OF_MEMORY);
    for (PQconninfoOption *o = all; o->keyword; o++) {
        const char *value = value_of(p, o, database);
        if (strcmp(o->keyword, "options") == 0)
            strings_add_fmt(&g->environment, "PGOPTIONS=%s%s " PINS, buf_cstr(&g->settings),
                            value ? value : "");
        else if (!value || !*value || (o->envvar && is_fixed(o->envvar)))
            continue;
        else if (o->envvar) /* defaults, too: our environment may say something else */
            strings_add_fmt(&g->environment, "%s=%s", o->envvar, value);
        else if (o->compiled && strcmp(value, o->compiled) == 0)
            continue;
        else if (strcmp(o->keyword, "sslpassword") == 0)
            rc = err_set(e, ERR_USAGE,
                         "sslpassword cannot be handed to %s out of sight of other users: use a client key "
                         "without a password (mode 0600)",
                         g->path);
        else
            pg_conninfo_add(conninfo, o->keyword, value);
    }
    PQconninfoFree(all);
    return rc;
}

/* 1: the container's is none, or too old, with *e. */
static int choose_inside(struct pg_program *g, const struct pg_container *c, const char *name, int major,
                         struct err *e)
{
    int rc = pg_container_major(c, name, &g->major, e);
    if (rc)
        return rc;
    if (g->major < major) {
        err_set(e, ERR_USAGE, "the %s in container %s is of PostgreSQL %d, too old for %d", name, c->name,
                g->major, major);
        return 1;
    }
    g->container = c;
    g->path = xstrdup(name);
    return 0;
}

static int choose(struct pg_program *g, const struct pg *p, const char *name, int major, struct err *e)
{
    struct err inside = ERR_INIT;
    int rc = p->container ? choose_inside(g, p->container, name, major, &inside) : 1;
    if (rc < 0)
        return err_set(e, inside.kind, "%s", inside.text);
    if (rc)
        g->path = pg_find_program(DEBIAN_VERSIONS, getenv("PATH"), name, major, &g->major, e);
    if (!g->path && p->container)
        return err_wrap(e, "%s; and here", inside.text);
    return g->path ? 0 : -1;
}

int pg_program_new(struct pg_program *g, const struct pg *p, const char *name, int at_least, struct err *e)
{
    *g = (struct pg_program)PG_PROGRAM_NONE;
    if (choose(g, p, name, MAX(at_least, pg_major(p->version)), e))
        return -1;
    strings_add(&g->arguments, g->path);
    fix_environment(g, p, strcmp(name, "pg_restore") != 0);
    return 0;
}

void pg_program_set(struct pg_program *g, const char *setting)
{
    buf_add_fmt(&g->settings, "-c ");
    for (; *setting; setting++) {
        if (*setting == ' ' || *setting == '\\')
            buf_add_u8(&g->settings, '\\');
        buf_add_u8(&g->settings, (uint8_t)*setting);
    }
    buf_add_u8(&g->settings, ' ');
}

int pg_program_connect(struct pg_program *g, const struct pg *p, const char *database, struct err *e)
{
    AUTO(buf) conninfo = BUF_NONE;
    if (!database)
        database = PQdb(p->conn);
    /* As a connection string, so that a name with "=" in it is not taken for one. */
    pg_conninfo_add(&conninfo, "dbname", database);
    if (g->container)
        describe_inside(g, p);
    else if (describe_connection(g, p, database, &conninfo, e))
        return -1;
    strings_add(&g->arguments, "--no-password"); /* never asks */
    strings_add_fmt(&g->arguments, "--dbname=%s", buf_cstr(&conninfo));
    return 0;
}

int pg_variables(const struct pg *p, const char *database, const struct strings *settings,
                 struct strings *out, struct err *e)
{
    static const char *const others[] = {"PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR"};
    AUTO(buf) ignored = BUF_NONE; /* no variable exists for it: keepalives and the like */
    struct pg_program g = {.path = (char *)"other programs"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        strings_add(&g.environment, others[i]);
    for (size_t i = 0; i < settings->n; i++)
        pg_program_set(&g, settings->v[i]);
    int rc = describe_connection(&g, p, database, &ignored, e);
    for (size_t i = 0; i < g.environment.n; i++)
        strings_add(out, g.environment.v[i]);
    strings_free(&g.environment);
    buf_free(&g.settings);
    return rc;
}

void pg_program_add(struct pg_program *g, const char *fmt, ...)
{
    va_list ap;
    char *argument = NULL;
    va_start(ap, fmt);
    if (vasprintf(&argument, fmt, ap) < 0)
        die(OUT_OF_MEMORY);
    va_end(ap);
    strings_add(&g->arguments, argument);
    free(argument);
}

int pg_program_start(const struct pg_program *g, const struct child_options *o, struct child *c,
                     struct err *e)
{
    AUTO(strings) words = STRINGS_NONE;
    struct child_options run = *o;
    run.kept_fd = g->list_fd;
    if (g->container) {
        bool guarded = o->in == CHILD_NULL;
        pg_container_words(g->container, &g->environment, guarded, &words);
        run.in = guarded ? CHILD_PIPE : o->in; /* nothing is written: that it is open says that we live */
    }
    const char **argv = xcalloc(words.n + g->arguments.n + 1, sizeof *argv);
    const char **env = xcalloc(g->environment.n + 3, sizeof *env);
    for (size_t i = 0; i < words.n; i++)
        argv[i] = words.v[i];
    memcpy(argv + words.n, g->arguments.v, g->arguments.n * sizeof *argv);
    memcpy(env, g->environment.v, g->environment.n * sizeof *env);
    if (g->container) {
        env[g->environment.n] = g->container->engine;
        env[g->environment.n + 1] = "DOCKER_CONTEXT";
    }
    run.argv = argv;
    run.setenv = env;
    int rc = child_start(c, &run, e);
    free(argv);
    free(env);
    return rc;
}

static const char *short_name(const struct pg_program *g)
{
    const char *slash = strrchr(g->path, '/');
    return slash ? slash + 1 : g->path;
}

int pg_program_output(const struct pg_program *g, const struct child_options *o, size_t limit,
                      struct buf *out, struct strings *warnings, struct err *e)
{
    const size_t start = out->n, piece = 65536;
    const char *name = short_name(g);
    struct child_options run = *o;
    AUTO(child) c = CHILD_NONE;
    run.out = CHILD_PIPE;
    if (pg_program_start(g, &run, &c, e))
        return -1;
    for (ssize_t n = 1; n > 0; out->n += (size_t)n) {
        if (child_wait_readable(&c, e) || (n = fd_read(c.out, buf_reserve(out, piece), piece, name, e)) < 0)
            return -1;
        if (out->n - start > limit)
            return err_set(e, ERR_FAILED, "%s prints more than %zu MiB", name, limit >> 20);
    }
    if (pg_program_wait(g, &c, e))
        return -1;
    if (warnings)
        pg_program_warnings(&c.err_text, warnings);
    return 0;
}

int pg_program_use_list(struct pg_program *g, int fd, struct err *e)
{
    if (g->container && pg_container_put(g->container, fd, &g->list, e))
        return -1;
    if (g->container) {
        pg_program_add(g, "--use-list=%s", g->list);
        return 0;
    }
    g->list_fd = fd;
    pg_program_add(g, "--use-list=/proc/self/fd/%d", fd);
    return 0;
}

void pg_program_free(struct pg_program *g)
{
    if (g->list)
        pg_container_remove(g->container, g->list);
    free(g->list);
    free(g->path);
    strings_free(&g->arguments);
    buf_free(&g->settings);
    strings_free(&g->environment); /* PGPASSWORD is among them, as it is in libpq's own memory */
    *g = (struct pg_program)PG_PROGRAM_NONE;
}

/* The text after `sign` on each line that has it, safe to show. */
static void collect_lines(const struct buf *said, const char *sign, struct strings *out)
{
    const char *p = (const char *)said->p, *end = p + said->n;
    while (p && p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        eol = eol ? eol : p + strnlen(p, (size_t)(end - p));
        const char *at = memmem(p, (size_t)(eol - p), sign, strlen(sign));
        if (at) {
            AUTO_CHAR text = text_printable(at + strlen(sign), (size_t)(eol - at) - strlen(sign));
            strings_add(out, text);
        }
        p = eol + 1;
    }
}

void pg_program_warnings(const struct buf *said, struct strings *out)
{
    collect_lines(said, "warning: ", out);
}

/* Such a program ends with 1 when it says "error". One that does not (a wrapper, a broken build) is not taken
 * at its exit status. */
static int check_words(const struct pg_program *g, const struct buf *said, struct err *e)
{
    AUTO(strings) errors = STRINGS_NONE;
    AUTO_CHAR sign = xasprintf("%s: error: ", short_name(g));
    collect_lines(said, sign, &errors);
    return errors.n ? err_set(e, ERR_FAILED, "%s: exit status 0, but it said: error: %s", short_name(g),
                              errors.v[0])
                    : 0;
}

int pg_program_wait(const struct pg_program *g, struct child *c, struct err *e)
{
    struct err last = ERR_INIT;
    AUTO(strings) errors = STRINGS_NONE;
    AUTO(buf) text = BUF_NONE;
    int status;
    if (child_wait(c, short_name(g), &status, &last) == 0)
        return check_words(g, &c->err_text, e);
    if (stop_check(e)) /* child_wait() ended it for that */
        return -1;
    if (g->container && WIFEXITED(status) && !c->timed_out &&
        pg_container_explain(g->container, short_name(g), WEXITSTATUS(status), buf_cstr(&c->err_text), e))
        return -1;
    collect_lines(&c->err_text, ": error: ", &errors);
    collect_lines(&c->err_text, ": detail: Error message from server: ", &errors);
    if (errors.n == 0 || !WIFEXITED(status) || c->timed_out)
        return err_set(e, last.kind, "%s", last.text);
    for (size_t i = 0; i < MIN(errors.n, (size_t)3); i++)
        buf_add_fmt(&text, "%s%s", i ? "; " : "", errors.v[i]);
    const char *advice = pg_advice(buf_cstr(&text));
    return err_set(e, last.kind, "%s: exit status %d: %s%s%s", short_name(g), WEXITSTATUS(status),
                   buf_cstr(&text), advice ? "; " : "", advice ? advice : "");
}
