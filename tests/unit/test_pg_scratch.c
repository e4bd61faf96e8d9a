/* Scratch servers: a private one, from which nothing leads out and of which nothing stays, and one set aside.
 */
#include "testing.h"

#include "pg_cluster.h"

#include "drill/cage.h"
#include "drill/pg_scratch.h"
#include "source/pg_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY     65534
#define PATIENCE_S 300
#define KILLS      6
#define KILL_MS    900 /* a start takes about 500 */

static struct scene {
    char *folder, *directory; /* as the state directory: ours alone; [drill] directory */
    struct scratch *scratch;
    struct pg_scratch p;
    struct pg_scratch_options o;
    int version; /* of the servers here */
} scene;

static int set_up(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    int version = scene.version;
    scene = (struct scene){.version = version, .folder = test_folder()};
    scene.directory = xasprintf("%s/drill", scene.folder);
    scene.o =
        (struct pg_scratch_options){.scratch = "auto", .major = pg_major(version), .minor = version % 10000};
    const struct scratch_options o = {.directory = scene.directory};
    scene.scratch = scratch_new(&o, &e);
    if (!scene.scratch)
        fail_msg("%s", e.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_scratch_free(&scene.p);
    scratch_free(scene.scratch);
    free(scene.directory);
    test_remove(scene.folder);
    return 0;
}

static void start(void)
{
    struct err e = ERR_INIT;
    pg_scratch_free(&scene.p);
    assert_ok(pg_scratch_start(&scene.p, scene.scratch, &scene.o, &e));
}

static void expect_no_start(enum err_kind kind, const char *text)
{
    struct err e = ERR_INIT;
    assert_int_equal(pg_scratch_start(&scene.p, scene.scratch, &scene.o, &e), -1);
    if (!strstr(e.text, text))
        fail_msg("\"%s\" does not say \"%s\"", e.text, text);
    assert_int_equal(e.kind, kind);
    assert_null(scene.p.connection);
}

/* The first value, or the error. */
static char *ask(const char *sql)
{
    struct err e = ERR_INIT;
    AUTO(pg) p = PG_NONE;
    AUTO_RESULT r = NULL;
    if (pg_connect(&p, scene.p.connection, "postgres", &e) || pg_query(&p, sql, NULL, &r, &e))
        return xasprintf("error: %s", e.text);
    return xstrdup(r && PQntuples(r) ? PQgetvalue(r, 0, 0) : "");
}

#define assert_answer(sql, expected)            \
    do {                                        \
        AUTO_CHAR answer_ = ask(sql);           \
        assert_string_equal(answer_, expected); \
    } while (0)

/* What a shell in the server says. */
static char *ask_shell(const char *command)
{
    AUTO_CHAR sql = xasprintf("CREATE TEMP TABLE said (line text);"
                              "COPY said FROM PROGRAM $shell$%s$shell$ (FORMAT csv, DELIMITER E'\\x01');"
                              "SELECT string_agg(line, E'\\n') FROM said",
                              command);
    return ask(sql);
}

/* Names in a folder besides . and .. */
static size_t count_names(const char *path)
{
    size_t n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));)
        n += entry->d_name[0] != '.';
    closedir(d);
    return n;
}

static bool is_root(void)
{
    return geteuid() == 0;
}

/* ---- a private one ---- */

static void it_serves_and_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        scene.o.no_namespaces = i == 1;
        start();
        assert_true(scene.p.is_private);
        assert_int_equal(scene.p.is_caged, is_root() && syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0);
        AUTO_CHAR version = xasprintf("%d", scene.version);
        assert_answer("SHOW server_version_num", version);
        assert_answer("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", "t");
        assert_answer("SHOW server_encoding", "UTF8");
        assert_answer("SELECT datcollate FROM pg_database WHERE datname = 'template0'", "C.UTF-8");
        assert_answer("CREATE DATABASE \"any name\"", "");
        assert_answer("SELECT string_agg(name, ' ') FROM pg_settings WHERE setting = 'off' AND name IN "
                      "('fsync', 'full_page_writes', 'jit', 'autovacuum')",
                      "autovacuum fsync full_page_writes jit");
        assert_int_equal(count_names(scratch_path(scene.scratch)), 1);
        struct stat st;
        assert_int_equal(stat(scene.folder, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700); /* the state directory is closed as before */
        assert_int_equal(has_sentence(&scene.p.notes, "ran as user " CAGE_USER) ||
                             has_sentence(&scene.p.notes, "only root"),
                         1);
        if (!scene.o.no_namespaces && has_sentence(&scene.p.notes, "no namespaces"))
            printf("skipped: no namespaces here\n");
        if (scene.o.no_namespaces)
            assert_sentence(&scene.p.notes, "no namespaces");
        pg_scratch_free(&scene.p);
        assert_int_equal(count_names(scratch_path(scene.scratch)), 0);
    }
}

static void encoding_and_locale(void **state)
{
    (void)state;
    scene.o.encoding = "SQL_ASCII";
    scene.o.locale = "C";
    start();
    assert_answer("SHOW server_encoding", "SQL_ASCII");
    assert_answer("SELECT datcollate FROM pg_database WHERE datname = 'template0'", "C");
    pg_scratch_free(&scene.p);
    scene.o.locale = "xx_NO.UTF-8";
    expect_no_start(ERR_UNPROVEN, "dpkg-reconfigure locales");
}

static void the_environment_leads_nowhere_else(void **state)
{
    static const char *const names[] = {"PGPORT", "PGDATABASE", "PGUSER"};
    AUTO_CHAR user = xstrdup(getenv("PGUSER"));
    struct err e = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        setenv(names[i], "1", 1);
    int rc = pg_scratch_start(&scene.p, scene.scratch, &scene.o, &e);
    AUTO_CHAR who = rc ? xstrdup(e.text) : ask("SELECT current_user");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("PGUSER", user, 1);
    assert_string_equal(who, "postgres");
    pg_scratch_free(&scene.p);
    setenv("PGHOSTADDR", "127.0.0.1", 1);
    rc = pg_scratch_start(&scene.p, scene.scratch, &scene.o, &e);
    unsetenv("PGHOSTADDR");
    assert_int_equal(rc, -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, "PGHOSTADDR or PGSERVICE leads all connections to 127.0.0.1");
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    scene.o.major = 99;
    expect_no_start(ERR_UNPROVEN, "install postgresql-99");
    scene.o.major = pg_major(scene.version);
    scene.o.minor = 9000;
    start();
    assert_sentence(&scene.p.notes, "older than the ");
}

static void a_path_that_is_too_long(void **state)
{
    struct err e = ERR_INIT;
    (void)state;
    AUTO_CHAR deep = xasprintf("%s/%060d", scene.folder, 0);
    const struct scratch_options o = {.directory = deep};
    AUTO_PTR(scratch) s = scratch_new(&o, &e);
    assert_non_null(s);
    assert_int_equal(pg_scratch_start(&scene.p, s, &scene.o, &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, "[drill] directory is too long a path");
    assert_int_equal(count_names(scratch_path(s)), 0);
}

/* ---- code in a dump ---- */

/* The other cluster stands for production: its server trusts whoever gets to its socket. */
static void sql_does_not_get_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        scene.o.no_namespaces = i == 1;
        start();
        AUTO_CHAR works = ask_shell("cat PG_VERSION");
        assert_int_equal(atoi(works), pg_major(scene.version));
        AUTO_CHAR psql = xasprintf("psql -h '%s' -U postgres -c 'SELECT 1' 2>&1; true", cluster_folder());
        AUTO_CHAR connected = ask_shell(psql);
        assert_non_null(strstr(connected, "Operation not permitted"));
        AUTO_CHAR cat = xasprintf("cat '%s/data/PG_VERSION' '%s/server.log' 2>&1; true", cluster_folder(),
                                  cluster_folder());
        AUTO_CHAR read = ask_shell(cat);
        assert_non_null(strstr(read, "PG_VERSION"));
        assert_null(strstr(read, "\n15"));
        AUTO_CHAR link = xasprintf(
            "CREATE EXTENSION dblink; SELECT dblink_connect('host=%s user=postgres dbname=postgres')",
            cluster_folder());
        AUTO_CHAR linked = ask(link);
        assert_non_null(strstr(linked, "error: "));
        AUTO_CHAR copied = ask("COPY (SELECT 1) TO '/var/tmp/lifeboat-attack'");
        assert_non_null(strstr(copied, "error: "));
        AUTO_CHAR space = ask("CREATE TABLESPACE t LOCATION '/var/tmp'");
        assert_non_null(strstr(space, "error: "));
    }
}

/* A symlink in place of its socket leads to a server of another user: that is noticed. */
static void a_turned_socket_is_noticed(void **state)
{
    (void)state;
    start();
    AUTO_CHAR turn =
        xasprintf("rm -f .s.PGSQL.5432; ln -s '%s/.s.PGSQL.5432' .s.PGSQL.5432", cluster_folder());
    AUTO_CHAR turned = ask_shell(turn);
    assert_string_equal(turned, "");
    AUTO_CHAR answer = ask("SELECT 1");
    if (is_root())
        assert_non_null(strstr(answer, "requirepeer specifies \"" CAGE_USER "\""));
}

/* ---- ends ---- */

/* A process that drills until it is killed. */
static _Noreturn void drill_on(bool no_namespaces)
{
    struct err e = ERR_INIT;
    const struct scratch_options o = {.directory = scene.directory};
    scene.o.no_namespaces = no_namespaces;
    for (;;) {
        AUTO_PTR(scratch) s = scratch_new(&o, &e);
        if (!s || pg_scratch_start(&scene.p, s, &scene.o, &e)) {
            dprintf(2, "%s\n", e.text);
            _exit(1);
        }
        free(ask("SELECT count(*) FROM generate_series(1, 1000000)"));
        pg_scratch_free(&scene.p);
    }
}

/* At any moment: the next drill finds a free place, and no process is left. Orphans become our children. */
static void killed_at_any_moment(void **state)
{
    struct err e = ERR_INIT;
    uint64_t seed = (uint64_t)time_now_ns();
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    scratch_free(scene.scratch);
    scene.scratch = NULL;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (unsigned i = 0; i < 2 * KILLS; i++) {
        int status;
        const struct scratch_options o = {.directory = scene.directory};
        pid_t pid = fork();
        if (pid == 0)
            drill_on(i % 2);
        sleep_ms(test_random(&seed) % KILL_MS);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        struct scratch *s = scratch_new(&o, &e);
        if (!s)
            fail_msg("%s", e.text);
        assert_int_equal(count_names(scene.directory), 2); /* the lock, the new one */
        scratch_free(s);
        while (waitpid(-1, NULL, 0) > 0) /* those that ended, or for ever */
            ;
        assert_int_equal(errno, ECHILD);
        assert_int_equal(count_names(scene.directory), 1);
    }
}

/* Deaf to what ends a server gently, and at work in its folder, but not from there. */
static const char busy_script[] =
    "import itertools, os, signal\n"
    "signal.signal(signal.SIGQUIT, signal.SIG_IGN)\n"
    "folder = [f for f in (f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd') if int(n) > 2)"
    "  if os.path.isdir(f)][0]\n"
    "for n in itertools.count():\n"
    "    os.close(os.open(f'{folder}/{n}', os.O_CREAT | os.O_WRONLY))\n";

static _Noreturn void drill_busily(int ready)
{
    struct err e = ERR_INIT;
    const struct scratch_options o = {.directory = scene.directory};
    const struct cage_options in = {.no_namespaces = true};
    const char *const argv[] = {"/usr/bin/python3", "-c", busy_script, NULL};
    AUTO_PTR(scratch) s = scratch_new(&o, &e);
    AUTO_PTR(cage) cage = cage_new(&in, &e);
    AUTO(child) c = CHILD_NONE;
    AUTO_CHAR folder = xasprintf("%s/busy", s ? scratch_path(s) : "");
    AUTO_CHAR many = xasprintf("%s/20000", folder); /* to remove these takes it many turns of the processor */
    if (!s || !cage || cage_make_folder(cage, folder, &e) || cage_start(cage, argv, &c, &e)) {
        dprintf(2, "%s\n", e.text);
        _exit(1);
    }
    for (int tries = 0; access(many, F_OK) != 0; tries++) {
        if (tries == PATIENCE_S * 100)
            _exit(1);
        sleep_ms(10);
    }
    (void)!write(ready, "x", 1);
    for (;;)
        pause();
}

/* Whoever locked it up gives it two seconds to end, and cannot be told to hurry. */
static void who_ends_slowly_is_waited_for(void **state)
{
    struct err e = ERR_INIT;
    const struct scratch_options o = {.directory = scene.directory};
    int ready[2];
    char byte;
    (void)state;
    scratch_free(scene.scratch);
    scene.scratch = NULL;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        drill_busily(ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    scene.scratch = scratch_new(&o, &e);
    assert_non_null(scene.scratch);
    assert_int_equal(count_names(scene.directory), 2); /* the lock, the new one */
    while (waitpid(-1, NULL, 0) > 0)
        ;
    close(ready[0]);
}

/* ---- a server set aside ---- */
static char *server_id(void)
{
    return cluster_value("postgres", "SELECT system_identifier FROM pg_control_system()");
}

static void use_cluster(const char *user)
{
    static char *connection;
    free(connection);
    connection = cluster_connection(user, user ? "postgres" : NULL);
    scene.o.scratch = connection;
}

static void a_server_set_aside(void **state)
{
    (void)state;
    AUTO(strings) ids = STRINGS_NONE;
    strings_add(&ids, "1234");
    scene.o.server_ids = &ids;
    use_cluster("postgres");
    start();
    assert_false(scene.p.is_private);
    assert_false(scene.p.is_caged);
    assert_null(strstr(scene.p.connection, "dbname"));
    assert_answer("SELECT current_user", "postgres");
    AUTO_CHAR id = server_id();
    strings_add(&ids, id);
    pg_scratch_free(&scene.p);
    expect_no_start(ERR_USAGE, "this is the server of a source");
}

static void it_has_to_be_able(void **state)
{
    (void)state;
    cluster_sql("postgres", "CREATE ROLE plain LOGIN");
    use_cluster("plain");
    expect_no_start(ERR_UNPROVEN, "role plain is no superuser there");
    use_cluster("postgres");
    scene.o.major = 99;
    expect_no_start(ERR_UNPROVEN, "too old for a dump of 99");
    scene.o.major = pg_major(scene.version) - 1;
    start();
    assert_sentence(&scene.p.notes, "the dump is of");
}

static void dead_drills_databases_go(void **state)
{
    static const char *const kept[] = {"lifeboat_drill_mine", "lifeboat_drill_0123456789AB",
                                       "lifeboat_restore_0123456789ab", "my_lifeboat_drill_0123456789ab"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        create_database(kept[i]);
    create_database("lifeboat_drill_0123456789ab");
    create_database("lifeboat_drill_ba9876543210");
    use_cluster("postgres");
    {
        struct err e = ERR_INIT;
        AUTO(pg) busy = PG_NONE; /* of somebody who looks into it */
        assert_ok(pg_connect(&busy, "", "lifeboat_drill_ba9876543210", &e));
        start();
        assert_false(cluster_has_database("lifeboat_drill_0123456789ab"));
        assert_true(cluster_has_database("lifeboat_drill_ba9876543210"));
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        assert_true(cluster_has_database(kept[i]));
    /* While a drill lives, nobody drops: not even what has no session at the moment. */
    struct err e = ERR_INIT;
    struct pg_scratch second = {0};
    assert_ok(pg_scratch_start(&second, scene.scratch, &scene.o, &e));
    assert_true(cluster_has_database("lifeboat_drill_ba9876543210"));
    pg_scratch_free(&scene.p);
    assert_ok(pg_scratch_start(&scene.p, scene.scratch, &scene.o, &e));
    assert_true(cluster_has_database("lifeboat_drill_ba9876543210"));
    pg_scratch_free(&second);
    start();
    assert_false(cluster_has_database("lifeboat_drill_ba9876543210"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_serves_and_leaves_nothing),
        TEST(encoding_and_locale),
        TEST(the_environment_leads_nowhere_else),
        TEST(what_is_missing_is_said),
        TEST(a_path_that_is_too_long),
        TEST(sql_does_not_get_out),
        TEST(a_turned_socket_is_noticed),
        TEST(killed_at_any_moment),
        TEST(who_ends_slowly_is_waited_for),
        TEST(a_server_set_aside),
        TEST(it_has_to_be_able),
        TEST(dead_drills_databases_go),
    };
    struct err e = ERR_INIT;
    const struct cage_options o = {0};
    AUTO_PTR(cage) cage = cage_new(&o, &e);
    if (!cage) {
        printf("skipped: %s\n", e.text);
        return 77;
    }
    setenv("TMPDIR", "/var/tmp", 0); /* /tmp may be in memory */
    alarm(PATIENCE_S);
    cluster_start();
    AUTO_CHAR version = cluster_value("postgres", "SHOW server_version_num");
    scene.version = atoi(version);
    return cmocka_run_group_tests(tests, NULL, cluster_tear_down);
}
