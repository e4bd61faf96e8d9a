/* What the keys of the configuration mean, and that every slip in a value is named. */
#include "config/config.h"
#include "config/keys.h"
#include "configs.h"

static void test_postgres_source(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_source(
        "database = a\ntype = postgres\nconnection = host=/run/postgresql dbname='a#b' "
        "user=backup\ndatabase = B c\nexclude-table-data = public.x\nglobals = no\nallow-shrink = yes\n"
        "allow-empty = yes\ntime-limit = 2h\nbefore = echo 1\nafter = echo 2\n"
        "on-failure = echo 3\nchunk-mean = 32 KiB\ncompression = 1\n");
    const struct config_source *s = config_find_source(c, "s");
    assert_non_null(s);
    assert_null(config_find_source(c, "t"));
    assert_int_equal(s->type, SOURCE_POSTGRES);
    assert_string_equal(source_type_name(s->type), "postgres");
    assert_string_equal(s->connection, "host=/run/postgresql dbname='a#b' user=backup");
    assert_int_equal(s->databases.n, 2);
    assert_string_equal(s->databases.v[0], "a");
    assert_string_equal(s->databases.v[1], "B c");
    assert_int_equal(s->exclude_table_data.n, 1);
    assert_string_equal(s->exclude_table_data.v[0], "public.x");
    assert_false(s->globals);
    assert_true(s->may_shrink);
    assert_true(s->may_be_empty);
    assert_int_equal(s->time_limit_s, 7200);
    assert_string_equal(s->before, "echo 1");
    assert_string_equal(s->after, "echo 2");
    assert_string_equal(s->on_failure, "echo 3");
    assert_int_equal(s->chunk_mean, 32768);
    assert_int_equal(s->compression, 1);
}

static void test_volume_source(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_source("type = volume\npath = /srv/up/\nexclude = *.tmp\nexclude = a b\nmay-change = **.log\n"
                     "exclude-caches = yes\none-file-system = yes\nreread-days = 30\n");
    const struct config_source *s = &c->sources[0];
    assert_int_equal(s->type, SOURCE_VOLUME);
    assert_string_equal(s->path, "/srv/up");
    assert_int_equal(s->exclude.n, 2);
    assert_string_equal(s->exclude.v[1], "a b");
    assert_int_equal(s->may_change.n, 1);
    assert_string_equal(s->may_change.v[0], "**.log");
    assert_true(s->exclude_caches);
    assert_true(s->one_file_system);
    assert_int_equal(s->reread_days, 30);

    AUTO_PTR(config) plain = parse_source("type = volume\npath = /\nexclude = b\n");
    s = &plain->sources[0];
    assert_string_equal(s->path, "/");
    assert_false(s->exclude_caches);
    assert_false(s->one_file_system);
    assert_false(s->may_be_empty);
    assert_int_equal(s->reread_days, 0);
    assert_int_equal(s->time_limit_s, 0);
    assert_int_equal(s->chunk_mean, 0);
    assert_int_equal(s->compression, 0);
    assert_int_equal(s->exclude.n, 1); /* the store lies there */
    assert_null(s->before);
}

static void test_command_source(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_source("type = command\ncommand = a; b # c > \"$X\" && d=1\n"
                     "restore-command = find . -exec cat {} \\;\n");
    assert_int_equal(c->sources[0].type, SOURCE_COMMAND);
    assert_string_equal(c->sources[0].command, "a; b # c > \"$X\" && d=1");
    assert_string_equal(c->sources[0].restore_command, "find . -exec cat {} \\;");
    assert_true(c->sources[0].globals);
}

static void test_stores(void **state)
{
    (void)state;
    refuse("[keys]\nwriter = /w\n", "t.conf:2: there is no [store NAME] section");
    refuse("[store main]\n", "t.conf:1: [store main]: wants a \"url\"");
    refuse("[store main]\nurl = http://backups\n",
           "t.conf:2: [store main] url: \"http://backups\" is neither");
    refuse("[store main]\nurl = file://var/backups\n",
           "t.conf:2: [store main] url: \"file://var/backups\" wants an absolute path after file://");
    refuse("[store main]\nurl = file:////\n",
           "t.conf:2: [store main] url: the root folder cannot be a store");
    refuse("[store main]\nurl = s3://\n", "t.conf:2: [store main] url: \"s3://\" names no bucket");
    refuse(STORE "[store second]\nurl = file:///b/\n",
           "t.conf:4: [store second] url: is that of [store main], too");
    refuse(STORE "[store b]\nurl = s3://bucket\nmin-free = 3\n",
           "t.conf:5: [store b] min-free: is for folders (file:///...), and url names a bucket");
    refuse(STORE "[store b]\nurl = s3://bucket\nendpoint = http://h\n",
           "t.conf:5: [store b] endpoint: http:// sends");
    refuse(STORE "[store b]\nurl = s3://bucket\nendpoint = h:9000\n",
           "t.conf:5: [store b] endpoint: \"h:9000\" is not");
    refuse(STORE "[store b]\nurl = s3://bucket\nsignature = v2\n",
           "t.conf:3: [store b]: signature = v2 wants");
    refuse(STORE "[store b]\nurl = s3://bucket\nsignature = v3\n",
           "t.conf:5: [store b] signature: \"v3\" is none of v4, v2");
    AUTO_PTR(config)
    c = parse_well(STORE "[store away]\nurl = s3://bucket/a/b/\nregion = eu\naddressing = path\n"
                         "limit-up = 1MiB\nobject-lock-days = 9\n");
    assert_int_equal(c->store_count, 2);
    assert_string_equal(c->stores[1].bucket, "bucket");
    assert_string_equal(c->stores[1].prefix, "a/b");
    assert_int_equal(c->stores[1].addressing, ADDRESSING_PATH);
    assert_int_equal(c->stores[1].limit_up, 1 << 20);
    assert_int_equal(c->stores[1].object_lock_days, 9);
}

static void test_urls(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    AUTO(config_store) s = {0}, folder = {0};
    assert_ok(config_store_parse_url(
        &s, "s3://b-1/p/q?endpoint=http%3A%2F%2Fh%3A9&insecure=yes&addressing=path&signature=v2", &e));
    assert_string_equal(s.endpoint, "http://h:9");
    assert_true(s.insecure && s.signature == SIGNATURE_V2 && s.addressing == ADDRESSING_PATH);
    AUTO_CHAR back = config_store_url(&s);
    assert_string_equal(back, "s3://b-1/p/q?endpoint=http://h:9&addressing=path&signature=v2&insecure=yes");
    assert_ok(config_store_parse_url(&folder, "/mnt/x/", &e));
    assert_string_equal(folder.path, "/mnt/x");
    static const char *const bad[] = {"s3://b-1?endpoint",
                                      "s3://b-1?what=1",
                                      "s3://b-1?region=%0a",
                                      "s3://b-1?url=s3://c",
                                      "s3://b-1/../x",
                                      "ftp://x",
                                      "x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(config_store) none = {0};
        struct err why = ERR_INIT;
        assert_int_equal(config_store_parse_url(&none, bad[i], &why), -1);
        assert_int_equal(why.kind, ERR_USAGE);
    }
}

static void test_keys(void **state)
{
    (void)state;
    refuse(STORE "[keys]\nwriter = /k\nidentity = /k\n",
           "t.conf:5: [keys] identity: is the file of the writer key");
}

static void test_notify(void **state)
{
    (void)state;
    refuse(STORE "[notify]\nping-url = ftp://h/x\n", "t.conf:4: [notify] ping-url: is neither https://");
    refuse(STORE "[notify]\nping-url = http://h/x\n", "t.conf:4: [notify] ping-url: http:// sends");
    refuse(STORE "[notify]\nwebhook-url = https://\n", "t.conf:4: [notify] webhook-url: names no host");
    refuse(STORE "[notify]\nwebhook-url = https://h/a b\n", "t.conf:4: [notify] webhook-url: holds a blank");
    refuse(STORE "[notify]\ndigest = 7d\n", "t.conf:4: [notify] digest: is for a webhook");
    refuse(STORE "[notify]\nwebhook-url = /w\ndigest = 5m\n", "t.conf:5: [notify] digest: \"5m\" is shorter");
    AUTO_PTR(config) c = parse_well(STORE "[notify]\nping-url = https://h/x\nwebhook-url = /w/url\n");
    assert_string_equal(c->notify.webhook_url, "/w/url");
    assert_false(c->notify.insecure);
}

static void test_keys_of_another_type(void **state)
{
    (void)state;
    refuse(STORE "[source s]\npath = /p\ntype = postgres\n",
           "t.conf:4: [source s] path: is for sources of type volume, and this one is of type postgres");
    refuse(
        STORE "[source s]\ntype = volume\npath = /p\nconnection = dbname=a\n",
        "t.conf:6: [source s] connection: is for sources of type postgres, and this one is of type volume");
    refuse(STORE "[source s]\ntype = command\ncommand = a\nexclude = x\n",
           "t.conf:6: [source s] exclude: is for sources of type volume, and this one is of type command");
    refuse(STORE "[source s]\ntype = volume\npath = /p\nrestore-command = x\n",
           "t.conf:6: [source s] restore-command: is for sources of type command");
}

static void test_missing_keys(void **state)
{
    (void)state;
    refuse(STORE "[source s]\n", "t.conf:3: [source s]: wants a \"type\": postgres, volume or command");
    refuse(STORE "[source s]\ntype = volume\n", "t.conf:3: [source s]: a volume wants the \"path\"");
    refuse(STORE "[source s]\ntype = command\n", "t.conf:3: [source s]: wants the \"command\"");
    AUTO_PTR(config) c = parse_source("type = postgres\n");
    assert_null(c->sources[0].connection);
}

/* ---- values ---- */
static void refuse_value(const char *section, const char *line, const char *message)
{
    AUTO_CHAR text = xasprintf("%s[%s]\n%s\n", strncmp(section, "store", 5) ? STORE : "", section, line);
    AUTO_CHAR said = xasprintf("t.conf:%d: [%s] %.*s: %s", strncmp(section, "store", 5) ? 4 : 2, section,
                               (int)strcspn(line, " ="), line, message);
    refuse(text, said);
}

static void test_values(void **state)
{
    (void)state;
    refuse_value("store m", "min-free = 51", "\"51\" is not a whole number from 0 to 50");
    refuse_value("store m", "min-free = -1", "\"-1\" is not a whole number from 0 to 50");
    refuse_value("store m", "min-free = 2%", "\"2%\" is not a whole number");
    refuse_value("store m", "require-mount = true", "\"true\" is neither \"yes\" nor \"no\"");
    refuse_value("store m", "url =", "has no value; leave the line out for the default");
    refuse_value("store m", "url = ; later", "has no value");
    refuse_value("keys", "writer = keys/w", "\"keys/w\" is not an absolute path");
    refuse_value("state", "cache = ~/c", "\"~/c\" is not an absolute path (\"~\" means nothing here");
    refuse_value("general", "threads = 0", "\"0\" is not a whole number from 1 to 64");
    refuse_value("general", "threads = 99999999999999999999",
                 "\"99999999999999999999\" is not a whole number");
    refuse_value("general", "compression = 20", "\"20\" is not a whole number from 1 to 19");
    refuse_value("general", "compression = 1.5", "\"1.5\" is not a whole number");
    refuse_value("general", "nice = 20", "\"20\" is not a whole number from 0 to 19");
    refuse_value("general", "host = \xff", "is longer than 255 bytes or not UTF-8");
    refuse_value("source s", "type = mysql", "\"mysql\" is none of postgres, volume, command");
    refuse_value("source s", "time-limit = soon", "\"soon\" is not a time such as 90s, 30m, 6h or 2d");
    refuse_value("source s", "time-limit = 2y", "\"2y\" is longer than 365 days");
    refuse_value("source s", "reread-days = 3651", "\"3651\" is not a whole number from 0 to 3650");
    refuse_value("source s", "exclude =", "has no value");
    static const char *const sizes[] = {"2KiB", "2MiB", "48KiB", "many", "-4KiB", "0"};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_CHAR line = xasprintf("chunk-mean = %s", sizes[i]);
        AUTO_CHAR said = xasprintf("\"%s\" is not a power of two from 4 KiB to 1 MiB", sizes[i]);
        refuse_value("source s", line, said);
    }
}

static void test_connection(void **state)
{
    (void)state;
    refuse(STORE "[source s]\ntype = postgres\nconnection = app\n",
           "t.conf:5: [source s] connection: libpq cannot read it: missing \"=\" after \"app\"");
    refuse(STORE "[source s]\ntype = postgres\nconnection = dbnam=app\n",
           "t.conf:5: [source s] connection: libpq cannot read it: invalid connection option \"dbnam\"");
    refuse(
        STORE "[source s]\ntype = postgres\nconnection = postgresql://h/d?out%20of%20memory=1\n",
        "t.conf:5: [source s] connection: libpq cannot read it: invalid URI query parameter: \"out of memory\"");
    static const char *const leaky[] = {"password=my secret", "postgresql://u:secret@[h/x",
                                        "host=h password='secret"};
    for (size_t i = 0; i < ARRAY_LEN(leaky); i++) {
        struct err e;
        AUTO_CHAR text = xasprintf(STORE "[source s]\ntype = postgres\nconnection = %s\n", leaky[i]);
        AUTO_PTR(config) c = parse_text(text, &e);
        assert_null(c);
        assert_text(e, "t.conf:5: [source s] connection: libpq cannot read it");
        assert_null(strstr(e.text, "secret"));
    }
    AUTO_PTR(config) c = parse_source("type = postgres\nconnection = postgresql://u@h/db?sslmode=require\n");
    assert_string_equal(c->sources[0].connection, "postgresql://u@h/db?sslmode=require");
}

static void test_containers(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_well(STORE "[source a]\ntype = postgres\ncompose-service = tutor/db\nconnection = user=backup\n"
                         "[source b]\ntype = postgres\ncontainer = tutor-db-1\n"
                         "[source c]\ntype = volume\ndocker-volume = tutor_uploads\n");
    assert_string_equal(c->sources[0].compose_service, "tutor/db");
    assert_string_equal(c->sources[1].container, "tutor-db-1");
    assert_string_equal(c->sources[2].docker_volume, "tutor_uploads");
    static const struct {
        const char *keys, *message;
    } wrong[] = {
        {"postgres\ncontainer = a\ncompose-service = b/c",
         "5: [source s]: container and compose-service name the same"},
        {"postgres\ncontainer = a/b", "5: [source s] container: \"a/b\" is no name of one"},
        {"postgres\ncontainer = a?b", "5: [source s] container: \"a?b\" is no name of one"},
        {"postgres\ncompose-service = db", "5: [source s] compose-service: \"db\" is no PROJECT/SERVICE"},
        {"postgres\ncompose-service = /db", "5: [source s] compose-service: \"/db\" is no PROJECT/SERVICE"},
        {"postgres\ncompose-service = a/b/c",
         "5: [source s] compose-service: \"a/b/c\" is no PROJECT/SERVICE"},
        {"postgres\ncontainer = a\nconnection = postgresql://x/y",
         "6: [source s] connection: beside container"},
        {"volume\npath = /x\ndocker-volume = a", "6: [source s]: path and docker-volume both say"},
        {"volume\ndocker-volume = a/b", "5: [source s] docker-volume: \"a/b\" is no name of one"},
        {"volume\ncontainer = a", "5: [source s] container: is for sources of type postgres"}};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        AUTO_CHAR text = xasprintf(STORE "[source s]\ntype = %s\n", wrong[i].keys);
        AUTO_CHAR message = xasprintf("t.conf:%s", wrong[i].message);
        refuse(text, message);
    }
}

static void test_drill(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_well(STORE "[source app]\ntype = postgres\nmay-shrink = public.queue\n"
                         "[source q]\ntype = command\ncommand = true\ndrill-command = a; b\n");
    assert_string_equal(c->drill.scratch, "auto");
    assert_string_equal(c->drill.directory, "/var/lib/lifeboat/drill");
    assert_int_equal(c->drill.max_bytes, 0);
    assert_null(c->drill.after_restore);
    assert_true(drill_is_private(&c->drill));
    assert_string_equal(c->sources[0].shrinking.v[0], "public.queue");
    assert_string_equal(c->sources[1].drill_command, "a; b");
    AUTO_PTR(config)
    d = parse_well(STORE "[source app]\ntype = postgres\n[drill]\nscratch = host=/run dbname=x\n"
                         "directory = /mnt/drill/\nmax-bytes = 2GiB\nafter-restore = sh check; b\n"
                         "assert app = SELECT 1\nassert  app = SELECT 'a;b'\n"
                         "assert app/orders = SELECT 3\n");
    assert_false(drill_is_private(&d->drill));
    assert_string_equal(d->drill.directory, "/mnt/drill");
    assert_int_equal(d->drill.max_bytes, 2ull << 30);
    assert_string_equal(d->drill.after_restore, "sh check; b");
    assert_int_equal(d->drill.assert_count, 3);
    assert_string_equal(d->drill.asserts[1].source, "app");
    assert_string_equal(d->drill.asserts[1].sql, "SELECT 'a;b'");
    assert_string_equal(d->drill.asserts[2].source, "app/orders");
}

static void test_drill_slips(void **state)
{
    (void)state;
    refuse(STORE "[drill]\nassert = SELECT 1\n", "t.conf:4: [drill] assert: wants the name of a source");
    refuse(STORE "[drill]\nassert app = SELECT 1\n",
           "t.conf:4: [drill] assert app: there is no [source app]");
    refuse(STORE "[drill]\nassert v = SELECT 1\n[source v]\ntype = volume\npath = /v\n",
           "t.conf:4: [drill] assert v: is for sources of type postgres, and this one is of type volume");
    refuse(STORE "[drill]\nassert app =\n", "t.conf:4: [drill] assert app: has no query");
    refuse(STORE "[drill]\nassert app = SELECT 1 ; more\n",
           "t.conf:4: [drill] assert app: is \" ;\" a comment");
    refuse(STORE "[drill]\nasert app = SELECT 1\n", "t.conf:4: [drill] asert app: unknown key");
    refuse(STORE "[drill]\nscratch app = x\n", "t.conf:4: [drill] scratch app: unknown key");
    refuse(STORE "[drill]\nscratch = somewhere\n", "t.conf:4: [drill] scratch: libpq cannot read it");
    refuse(STORE "[drill]\nmax-bytes = much\n", "t.conf:4: [drill] max-bytes: \"much\" is not a size");
    refuse(STORE "[drill]\ndirectory = here\n",
           "t.conf:4: [drill] directory: \"here\" is not an absolute path");
}

static void test_retention(void **state)
{
    (void)state;
    AUTO_PTR(config) plain = parse_well(STORE);
    const struct config_retention *r = &plain->retention;
    assert_int_equal(r->keep.last + r->keep.within_s, 0);
    for (size_t i = 0; i < KEEP_PERIODS; i++)
        assert_int_equal(r->keep.periods[i], 0);
    assert_int_equal(r->keep.min, 3);
    assert_int_equal(r->undo_window_s, 3 * 86400);
    assert_int_equal(r->grace_s, 86400);
    assert_null(r->time_zone);
    assert_ptr_equal(config_keep_rules(plain, "app"), &r->keep);

    AUTO_PTR(config)
    c = parse_well("[retention queue]\nkeep-last = 0\nkeep-daily = 9\nkeep-min = 1\n" STORE
                   "[retention]\nkeep-last = 1\nkeep-within = 2w\nkeep-hourly = 3\nkeep-daily = 4\n"
                   "keep-weekly = 5\nkeep-monthly = 6\nkeep-yearly = 7\nkeep-min = 8\nundo-window = 0\n"
                   "grace = 5s\ntime-zone = Australia/Lord_Howe\n"
                   "[retention uploads]\nkeep-within = 0\n");
    r = &c->retention;
    static const unsigned periods[] = {3, 4, 5, 6, 7};
    assert_int_equal(r->keep.last, 1);
    assert_int_equal(r->keep.within_s, 14 * 86400);
    assert_memory_equal(r->keep.periods, periods, sizeof periods);
    assert_int_equal(r->keep.min, 8);
    assert_int_equal(r->undo_window_s, 0);
    assert_int_equal(r->grace_s, 5);
    assert_string_equal(r->time_zone, "Australia/Lord_Howe");
    const struct keep_rules *queue = config_keep_rules(c, "queue"),
                            *uploads = config_keep_rules(c, "uploads");
    assert_int_equal(queue->last, 0);
    assert_int_equal(queue->within_s, 14 * 86400);
    assert_int_equal(queue->periods[KEEP_HOURLY], 3);
    assert_int_equal(queue->periods[KEEP_DAILY], 9);
    assert_int_equal(queue->periods[KEEP_YEARLY], 7);
    assert_int_equal(queue->min, 1);
    assert_int_equal(uploads->last, 1);
    assert_int_equal(uploads->within_s, 0);
    assert_memory_equal(uploads->periods, periods, sizeof periods);
    assert_int_equal(uploads->min, 8);
    assert_ptr_equal(config_keep_rules(c, "app"), &r->keep);
}

static void test_retention_slips(void **state)
{
    (void)state;
    refuse_value("retention", "keep-daily = many", "\"many\" is not a whole number from 0 to 100000");
    refuse_value("retention", "keep-last = 100001", "\"100001\" is not a whole number from 0 to 100000");
    refuse_value("retention", "keep-min = 0", "\"0\" is not a whole number from 1 to 100000");
    refuse_value("retention", "keep-within = 30 days", "\"30 days\" is not a time such as");
    refuse_value("retention", "keep-within = 101y", "\"101y\" is longer than 36500 days");
    refuse_value("retention", "grace = 4s", "\"4s\" is shorter than 5 seconds");
    refuse_value("retention", "undo-window = 366d", "\"366d\" is longer than 365 days");
    refuse_value("retention", "time-zone = Europe/Berlln",
                 "time zone Europe/Berlln: there is none of that name");
    refuse_value("retention", "keep-dayly = 7", "unknown key: did you mean \"keep-daily\"?");
    refuse(STORE "[retention app]\nkeep-last = 1\ngrace = 1h\n",
           "t.conf:5: [retention app] grace: counts for the whole repository: set it in [retention]");
    refuse(STORE "[retention app]\nundo-window = 1h\n", "t.conf:4: [retention app] undo-window: counts for");
    refuse(STORE "[retention app]\ntime-zone = UTC\n", "t.conf:4: [retention app] time-zone: counts for");
    refuse(STORE "[retention App]\n", "t.conf:3: [retention App]: wants a name after \"retention\"");
    refuse(STORE "[retention]\n[retention]\n", "t.conf:4: [retention]: stands in line 3 already");
    refuse(STORE "[retention a]\n[retention a]\n", "t.conf:4: [retention a]: stands in line 3 already");
}

/* What makes collecting safe: half the grace, an eighth of it and twice the lag leave more than a second. */
static void test_bounds_hold(void **state)
{
    (void)state;
    for (int64_t s = GRACE_LEAST_S; s <= 365ll * 86400; s += s < 200000 ? 1 : 9999) {
        struct config_retention r = {.grace_s = (uint64_t)s};
        int64_t grace = s * 1000000000, lag = config_lag_ns(&r);
        assert_true(grace / 2 + grace / 8 + 2 * lag < grace - 1000000000);
        assert_true(lag > 0 && lag <= 3600ll * 1000000000);
    }
    struct config_retention normal = {.grace_s = 86400};
    assert_int_equal(config_lag_ns(&normal), 3600ll * 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_postgres_source),
        cmocka_unit_test(test_volume_source),
        cmocka_unit_test(test_command_source),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_notify),
        cmocka_unit_test(test_keys_of_another_type),
        cmocka_unit_test(test_missing_keys),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_drill),
        cmocka_unit_test(test_drill_slips),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_retention_slips),
        cmocka_unit_test(test_bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
