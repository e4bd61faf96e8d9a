/* Which snapshot a word means. */
#include "testing.h"

#include "run/run.h"

/* "ID HOST SECONDS SOURCE=verdict[,...]", oldest first; the id is filled up with zeros. */
static void add(struct snapshots *all, const char *prefix, const char *host, int64_t seconds,
                const char *sources)
{
    all->v = xrealloc(all->v, all->n + 1, sizeof *all->v);
    struct snapshot *s = &all->v[all->n++];
    char hex[SHA_HEX];
    *s = (struct snapshot){.host = xstrdup(host), .time_ns = seconds * 1000000000};
    memset(hex, '0', sizeof hex - 1);
    hex[sizeof hex - 1] = 0;
    memcpy(hex, prefix, strlen(prefix));
    assert_true(sha_parse(&s->id, hex, strlen(hex)));
    AUTO_CHAR copy = xstrdup(sources);
    for (char *save, *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        struct snapshot_source *source = snapshot_add_source(s);
        char *verdict = strchr(word, '=');
        *verdict++ = 0;
        source->name = xstrdup(word);
        source->type = xstrdup("volume");
        assert_true(verdict_parse(verdict, &source->verdict));
    }
}

static void fill(struct snapshots *all)
{
    *all = (struct snapshots){0};
    add(all, "aaaa1", "one", 1000, "db=good,files=good");
    add(all, "aaaa2", "one", 2000, "db=degraded,files=good");
    add(all, "bbbb1", "two", 3000, "db=good");
    add(all, "cccc1", "one", 4000, "db=failed,files=good");
    strings_add(&all->unreadable, "snapshots/dddd000000: is damaged");
}

static void means(const struct snapshots *all, const char *word, const char *this_host, const char *id)
{
    struct err e = ERR_INIT;
    char hex[SHA_HEX];
    const struct run_select select = {.this_host = this_host};
    const struct snapshot *s = run_pick(all, word, &select, &e);
    if (!s)
        fail_msg("%s: %s", word, e.text);
    sha_hex(hex, &s->id);
    hex[strlen(id)] = 0;
    assert_string_equal(hex, id);
}

static void fails(const struct snapshots *all, const char *word, const char *this_host, enum err_kind kind,
                  const char *text)
{
    struct err e = ERR_INIT;
    const struct run_select select = {.this_host = this_host};
    assert_null(run_pick(all, word, &select, &e));
    assert_int_equal(e.kind, kind);
    assert_text(e, text);
}

static void test_ids(void **state)
{
    (void)state;
    AUTO(snapshots) all;
    fill(&all);
    means(&all, "aaaa1", "x", "aaaa1");
    means(&all, "BBBB", "x", "bbbb1");
    fails(&all, "aaaa", "x", ERR_USAGE, "aaaa: 2 snapshots start so: aaaa10000000 (");
    fails(&all, "aaa", "x", ERR_USAGE, "at least 4 hex digits");
    fails(&all, "eeee", "x", ERR_USAGE, "there is no such snapshot");
    fails(&all, "dddd", "x", ERR_DAMAGED, "is damaged");
    fails(&all, "last\nest", "x", ERR_USAGE, "\"last\\x0aest\" is not a snapshot");
    fails(&all, "", "x", ERR_USAGE, "is not a snapshot");
}

static void test_latest(void **state)
{
    (void)state;
    AUTO(snapshots) all;
    fill(&all);
    means(&all, "latest", "one", "cccc1");
    means(&all, "latest", "two", "bbbb1");
    means(&all, "latest:db", "one", "aaaa2");    /* the newest that is not failed */
    means(&all, "latest:files", "two", "cccc1"); /* two has none: the only host's */
    fails(&all, "latest:db", "three", ERR_USAGE, "choose one of these with --host: one, two");
    fails(&all, "latest", "three", ERR_USAGE, "choose one of these with --host: one, two");
    fails(&all, "latest:mail", "one", ERR_USAGE, "no good or degraded snapshot of mail");
}

static size_t left(const char *host, const char *tag, const char *at)
{
    struct err e = ERR_INIT;
    AUTO(snapshots) all;
    fill(&all);
    strings_add(&all.v[2].tags, "week");
    const struct run_select select = {.host = host, .tag = tag, .at = at, .this_host = "one"};
    assert_ok(run_narrow(&all, &select, &e));
    return all.n;
}

static void test_narrow(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    assert_int_equal(left(NULL, NULL, NULL), 4);
    assert_int_equal(left("one", NULL, NULL), 3);
    assert_int_equal(left(NULL, "week", NULL), 1);
    assert_int_equal(left("one", "week", NULL), 0);
    assert_int_equal(left(NULL, NULL, "1970-01-01T00:33:20Z"), 2);
    assert_int_equal(left(NULL, NULL, "1970-01-01T00:33:19.999Z"), 1);
    assert_int_equal(left(NULL, NULL, "1970-01-01 00:33"), 2);
    assert_int_equal(left(NULL, NULL, "1970-01-01 00:50:00"), 3);
    assert_int_equal(left(NULL, NULL, "1970-01-01"), 4);
    static const char *const bad[] = {"yesterday",   "",          "1970-02-30", "1970-01-01 25:00",
                                      "1970-01-01x", "2201-01-01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;
        AUTO(snapshots) all;
        fill(&all);
        const struct run_select select = {.at = bad[i], .this_host = "one"};
        assert_int_equal(run_narrow(&all, &select, &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
    }
}

static void test_empty(void **state)
{
    (void)state;
    AUTO(snapshots) all = {0};
    fails(&all, "latest", "one", ERR_USAGE, "there is no snapshot");
    fails(&all, "abcd", "one", ERR_USAGE, "there is no such snapshot");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids), cmocka_unit_test(test_latest),
                                       cmocka_unit_test(test_narrow), cmocka_unit_test(test_empty)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
