#include "drill/cluster.h"

#include "base/file.h"
#include "base/log.h"
#include "drill/cage.h"
#include "drill/image.h"
#include "source/pg_client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERSIONS         "/usr/lib/postgresql" /* Debian's layout */
#define SOCKET           ".s.PGSQL.5432"
#define INITDB_LIMIT_S   300
#define START_LIMIT_S    120
#define FIRST_PAUSE_NS   2000000l
#define LONGEST_PAUSE_NS 50000000l

struct pg_cluster {
    struct cage *cage;
    struct image *image; /* in this, with the user and the folder of the cage; or NULL */
    char *folder;        /* holds the data and the socket; belongs to the cage's user */
    char *connection;
    int version;
    struct child server;
};

static const char *const settings[] = {
    "listen_addresses=", "unix_socket_directories=.", "unix_socket_permissions=0600", "fsync=off",
    "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0",
    "max_wal_size=128MB", "autovacuum=off", "max_logical_replication_workers=0", "max_parallel_workers=0",
    "jit=off", "shared_buffers=32MB", "maintenance_work_mem=64MB", "max_connections=20",
    /* it may not write to /dev/shm, and shall not take what others have reserved */
    "dynamic_shared_memory_type=mmap", "huge_pages=off",
    /* to us, who keep the end of it */
    "log_destination=stderr", "logging_collector=off"};

bool pg_cluster_has_server(int major)
{
    AUTO_CHAR path = xasprintf(VERSIONS "/%d/bin/postgres", major);
    return access(path, X_OK) == 0;
}

static int find_server(const struct pg_cluster *c, int major, const char *program, char **path, struct err *e)
{
    if (c->image) {
        *path = xstrdup(program);
        return 0;
    }
    *path = xasprintf(VERSIONS "/%d/bin/%s", major, program);
    if (access(*path, X_OK) == 0)
        return 0;
    return err_set(e, ERR_UNPROVEN,
                   "the dump is of PostgreSQL %d, and this machine has no server of that version to restore "
                   "it into: install postgresql-%d",
                   major, major);
}

static const char *data_folder(const struct pg_cluster *c)
{
    return c->image ? c->folder : cage_folder(c->cage);
}

static int start(struct pg_cluster *c, const char *const *argv, bool serves, struct child *child,
                 struct err *e)
{
    return c->image ? image_start(c->image, argv, serves, child, e) : cage_start(c->cage, argv, child, e);
}

/* The last words of PostgreSQL's programs are rarely the first cause. */
static const char *advise(const struct buf *said)
{
    static const char full[] = "No space left on device";
    if (said->n && memmem(said->p, said->n, "invalid locale name", strlen("invalid locale name")))
        return "; this machine lacks the locale of the dump: dpkg-reconfigure locales";
    if (said->n && memmem(said->p, said->n, full, strlen(full)))
        return "; the disk of [drill] directory is full, or has no inodes left: free some, or name another "
               "folder";
    return "";
}

static int make_data(struct pg_cluster *c, const struct pg_cluster_options *o, struct err *e)
{
    AUTO_CHAR program = NULL;
    if (find_server(c, o->major, "initdb", &program, e))
        return -1;
    AUTO_CHAR encoding = xasprintf("--encoding=%s", o->encoding ? o->encoding : "UTF8");
    AUTO_CHAR locale = xasprintf("--locale=%s", o->locale ? o->locale : "C.UTF-8");
    const char *const argv[] = {program, "-D",       data_folder(c), "-N",   "-A", "trust",
                                "-U",    "postgres", encoding,       locale, NULL};
    AUTO(child) run = CHILD_NONE;
    struct err why = ERR_INIT;
    if (start(c, argv, false, &run, e))
        return err_wrap(e, "initdb");
    run.time_limit_s = INITDB_LIMIT_S;
    if (child_wait(&run, "initdb", NULL, &why) == 0)
        return 0;
    if (stop_check(e))
        return -1;
    return err_set(e, ERR_UNPROVEN, "%s%s", why.text, advise(&run.err_text));
}

static int start_server(struct pg_cluster *c, int major, struct err *e)
{
    AUTO_CHAR program = NULL;
    const char *argv[3 + 2 * ARRAY_LEN(settings) + 1] = {NULL, "-D", data_folder(c)};
    if (find_server(c, major, "postgres", &program, e))
        return -1;
    argv[0] = program;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        argv[3 + 2 * i] = "-c";
        argv[4 + 2 * i] = settings[i];
    }
    return start(c, argv, true, &c->server, e) ? err_wrap(e, "postgres") : 0;
}

static bool has_ended(const struct child *c)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

/* Asks until it answers. Its last words are in the error when it does not. */
static int wait_ready(struct pg_cluster *c, struct err *e)
{
    uint64_t start = time_monotonic_ns();
    struct err why = ERR_INIT, end = ERR_INIT;
    for (long pause = FIRST_PAUSE_NS; !has_ended(&c->server); pause = MIN(2 * pause, LONGEST_PAUSE_NS)) {
        AUTO(pg) p = PG_NONE;
        why = (struct err)ERR_INIT;
        if (stop_check(e))
            return -1;
        if (pg_connect(&p, c->connection, "postgres", &why) == 0) {
            c->version = p.version;
            return 0;
        }
        if (time_monotonic_ns() - start > START_LIMIT_S * 1000000000ull)
            break;
        nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
    }
    bool alive = !has_ended(&c->server);
    kill(c->server.pid, SIGTERM);
    if (child_wait(&c->server, "postgres", NULL, &end) == 0)
        err_set(&end, ERR_FAILED, "postgres ended at once");
    return alive ? err_set(e, ERR_UNPROVEN, "the scratch server does not answer: %s (%s)", why.text, end.text)
                 : err_set(e, ERR_UNPROVEN, "the scratch server does not start: %s%s", end.text,
                           advise(&c->server.err_text));
}

/* libpq goes to an address before it goes to a host, and takes an empty one for none. */
static int check_environment(struct err *e)
{
    int rc = 0;
    PQconninfoOption *all = PQconndefaults();
    if (!all)
        die(OUT_OF_MEMORY);
    for (const PQconninfoOption *o = all; o && o->keyword; o++)
        if (strcmp(o->keyword, "hostaddr") == 0 && o->val && *o->val)
            rc = err_set(
                e, ERR_USAGE,
                "PGHOSTADDR or PGSERVICE leads all connections to %s, those to a scratch server, too: "
                "unset it for lifeboat",
                o->val);
    PQconninfoFree(all);
    return rc;
}

/* requirepeer: code in the cage could put a symlink to another server's socket where its own was. */
static char *make_connection(const struct pg_cluster *c)
{
    AUTO(buf) out = BUF_NONE;
    pg_conninfo_add(&out, "host", c->folder);
    pg_conninfo_add(&out, "port", "5432");
    pg_conninfo_add(&out, "user", "postgres");
    if (cage_user(c->cage))
        pg_conninfo_add(&out, "requirepeer", cage_user(c->cage));
    return xstrdup(buf_cstr(&out));
}

static int make_folder(struct pg_cluster *c, const char *scratch, struct err *e)
{
    char hex[7];
    random_hex(hex, 3);
    AUTO_CHAR path = xasprintf("%s/pg%s", scratch, hex);
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/" SOCKET;
    if (strlen(path) > most)
        return err_set(e, ERR_USAGE,
                       "[drill] directory is too long a path for the socket of a scratch server by %zu "
                       "characters: choose a shorter one (%s)",
                       strlen(path) - most, scratch);
    if (cage_make_folder(c->cage, path, e))
        return -1;
    c->folder = STEAL(path);
    return 0;
}

struct pg_cluster *pg_cluster_new(const struct pg_cluster_options *o, struct err *e)
{
    AUTO_PTR(pg_cluster) c = xcalloc(1, sizeof *c);
    const struct cage_options cage = {.no_namespaces = o->no_namespaces};
    c->server = (struct child)CHILD_NONE;
    c->cage = cage_new(&cage, e);
    if (!c->cage || check_environment(e) || make_folder(c, o->scratch, e))
        return NULL;
    c->connection = make_connection(c);
    const char *user = cage_user(c->cage);
    if (o->container && !(c->image = image_new(o->container, c->folder, user ? user : "drill", e)))
        return NULL;
    if (make_data(c, o, e) || start_server(c, o->major, e) || wait_ready(c, e))
        return NULL;
    return STEAL(c);
}

const char *pg_cluster_connection(const struct pg_cluster *c)
{
    return c->connection;
}

int pg_cluster_version(const struct pg_cluster *c)
{
    return c->version;
}

const struct pg_container *pg_cluster_container(const struct pg_cluster *c)
{
    return c->image ? image_container(c->image) : NULL;
}

bool pg_cluster_is_caged(const struct pg_cluster *c)
{
    return !c->image && cage_is_complete(c->cage);
}

void pg_cluster_notes(const struct pg_cluster *c, struct strings *notes)
{
    if (c->image)
        image_notes(c->image, notes);
    else
        cage_notes(c->cage, notes);
}

void pg_cluster_free(struct pg_cluster *c)
{
    if (!c)
        return;
    struct err e = ERR_INIT;
    if (c->image)
        image_stop(c->image);
    child_free(&c->server);
    if (c->folder && dir_remove(c->folder, &e))
        log_warn("scratch server: %s", e.text);
    image_free(c->image);
    cage_free(c->cage);
    free(c->connection);
    free(c->folder);
    free(c);
}
