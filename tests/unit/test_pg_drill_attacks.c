/* Drills of databases that mean harm: what a dump runs when it is restored gets nowhere, and hides nothing.
 */
#include "testing.h"

#include "pg_drilling.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_attack_by_event_trigger(void **state)
{
    (void)state;
    struct drilling d;
    AUTO_CHAR ran = xasprintf("%s/ran", cluster_folder());
    create_database("attack1");
    AUTO_CHAR sql = xasprintf(
        "CREATE TABLE t (i int); CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " COPY public.t TO PROGRAM 'touch %s'; END $$;"
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();"
        "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$ BEGIN"
        " COPY public.t TO PROGRAM 'touch %s'; RETURN 1; END $$;"
        "CREATE MATERIALIZED VIEW m AS SELECT g()",
        ran, ran);
    cluster_sql("attack1", sql);
    assert_int_equal(access(ran, F_OK), 0);
    drilling_init(&d, "attack1");
    drilling_in_private(&d);
    drilling_backup(&d);
    assert_int_equal(unlink(ran), 0);
    drilling_run(&d);
    assert_int_not_equal(access(ran, F_OK), 0);
    assert_differs(&d, " failed, refused: REFRESH MATERIALIZED VIEW public.m;");
    assert_differs(&d, "materialized view public.m is not filled");
    assert_int_equal(d.result.reasons.n, 2);
    drilling_free(&d);
}

/* One that forbids every change does not keep the rest from coming back. */
static void test_denying_event_trigger(void **state)
{
    (void)state;
    struct drilling d;
    create_database("denying");
    cluster_sql("denying",
                "CREATE TABLE t AS SELECT 1 i; CREATE MATERIALIZED VIEW m AS SELECT * FROM t;"
                "CREATE INDEX ON m (i); CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE 'no changes here'; END $$;"
                "CREATE EVENT TRIGGER deny ON ddl_command_start EXECUTE FUNCTION f();"
                "CREATE EVENT TRIGGER deny2 ON ddl_command_end EXECUTE FUNCTION f();"
                "COMMENT ON EVENT TRIGGER deny IS 'none'");
    drilling_init(&d, "denying");
    drilling_backup(&d);
    drilling_run(&d);
    assert_proven(&d);
    d.settings.after_restore = drilling_sql("COMMENT ON EVENT TRIGGER deny IS NULL");
    drilling_run(&d);
    assert_differs(&d, "comment on EVENT TRIGGER deny is missing");
    drilling_free(&d);
}

static int listen_on_loopback(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 5) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void assert_nobody_called(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
}

static void test_attack_by_foreign_data(void **state)
{
    (void)state;
    struct drilling d;
    int port;
    AUTO_FD listener = listen_on_loopback(&port);
    create_database("attack2");
    AUTO_CHAR sql = xasprintf(
        "CREATE EXTENSION postgres_fdw; CREATE EXTENSION dblink;"
        "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '%d');"
        "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'x', password 'secret');"
        "CREATE FOREIGN TABLE ft (i int) SERVER far; CREATE VIEW v AS SELECT i FROM ft;"
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM v WITH NO DATA;"
        "CREATE MATERIALIZED VIEW \"on m\" AS SELECT * FROM m WITH NO DATA;"
        "CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS "
        " $$ SELECT * FROM public.dblink('host=127.0.0.1 port=%d password=x', 'SELECT 1') AS t (t text) $$;"
        "CREATE MATERIALIZED VIEW d AS SELECT f() WITH NO DATA;"
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE of_file (t text) SERVER files OPTIONS (filename '%s/data/PG_VERSION');"
        "CREATE MATERIALIZED VIEW f AS SELECT * FROM of_file;"
        "CREATE MATERIALIZED VIEW own AS SELECT 1 x;"
        "UPDATE pg_class SET relispopulated = true WHERE relkind = 'm'",
        port, port, cluster_folder());
    cluster_sql("attack2", sql);
    drilling_init(&d, "attack2");
    drilling_in_private(&d);
    drilling_backup(&d);
    drilling_run(&d);
    assert_nobody_called(listener);
    assert_proven(&d);
    assert_sentence(&d.result.notes, "not proven: that materialized view public.m can be filled");
    assert_sentence(&d.result.notes, "not proven: that materialized view public.on m can be filled");
    assert_sentence(&d.result.notes, "not proven: that materialized view public.d can be filled");
    assert_sentence(&d.result.notes, "not proven: that materialized view public.f can be filled");
    d.settings.after_restore = drilling_sql("REFRESH MATERIALIZED VIEW own WITH NO DATA");
    drilling_run(&d);
    assert_differs(&d, "materialized view public.own is not filled");
    assert_int_equal(d.result.reasons.n, 1);
    drilling_free(&d);
}

static void test_attack_by_subscription(void **state)
{
    (void)state;
    struct drilling d;
    int port;
    AUTO_FD listener = listen_on_loopback(&port);
    create_database("attack3");
    AUTO_CHAR sql =
        xasprintf("CREATE TABLE t (i int); CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=%d' "
                  "PUBLICATION p WITH (connect = false, slot_name = production, enabled = false);"
                  "COMMENT ON SUBSCRIPTION s IS 'ours'",
                  port);
    cluster_sql("attack3", sql);
    drilling_init(&d, "attack3");
    drilling_in_private(&d);
    drilling_backup(&d);
    drilling_run(&d);
    assert_nobody_called(listener);
    assert_proven(&d);
    assert_sentence(&d.result.notes, "not proven: subscriptions (1)");
    drilling_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attack_by_event_trigger),
        cmocka_unit_test(test_denying_event_trigger),
        cmocka_unit_test(test_attack_by_foreign_data),
        cmocka_unit_test(test_attack_by_subscription),
    };
    return cmocka_run_group_tests(tests, cluster_set_up, cluster_tear_down);
}
