/* What a host remembers of its newest backups, against what the store lists. */
#include "testing.h"

#include "report/newest.h"

static struct snapshot *add(struct snapshots *all, uint8_t id, const char *host, uint64_t sequence)
{
    all->v = xrealloc(all->v, all->n + 1, sizeof *all->v);
    struct snapshot *s = &all->v[all->n++];
    *s = (struct snapshot){.id.b = {id}, .host = xstrdup(host), .time_ns = (int64_t)sequence};
    struct snapshot_source *src = snapshot_add_source(s);
    src->name = xstrdup("app");
    src->type = xstrdup("postgres");
    src->sequence = sequence;
    return s;
}

/* Remembers number 5 of "app" as snapshot 5. */
static void remember(struct newest *n)
{
    AUTO(snapshots) all = {0};
    newest_learn(n, add(&all, 5, "box", 5), 7);
}

static void name_of(uint8_t id, struct strings *to, const char *fmt)
{
    char hex[SHA_HEX];
    const struct sha sha = {.b = {id}};
    sha_hex(hex, &sha);
    AUTO_CHAR text = xasprintf("%s%s", fmt, hex);
    strings_add(to, text);
}

/* What the store lists, and whether the snapshot is lost then, or remembered at all. */
static void expect(const struct snapshots *all, bool lost, bool remembered)
{
    AUTO(newest) n = {0};
    remember(&n);
    newest_compare(&n, all, "box");
    assert_int_equal(newest_lost(&n, "app") != NULL, lost);
    assert_int_equal(n.n, remembered);
    assert_int_equal(newest_sequence(&n, "app"), remembered ? 5 : 0);
}

static void what_becomes_of_an_entry(void **state)
{
    (void)state;
    AUTO(snapshots)
    none = {0}, older = {0}, there = {0}, forgotten = {0}, later = {0}, others = {0}, broken = {0},
    let_go = {0}, unreadable = {0};
    expect(&none, true, true);
    add(&older, 4, "box", 4);
    expect(&older, true, true);
    add(&there, 5, "box", 5);
    expect(&there, false, true);
    add(&forgotten, 5, "box", 5)->forgotten_ns = 1;
    expect(&forgotten, false, false);
    add(&later, 6, "box", 6);
    expect(&later, false, false);
    add(&others, 6, "other", 6);
    expect(&others, true, true);
    add(&broken, 6, "box", 5)->broken = true;
    expect(&broken, true, true);
    name_of(5, &let_go.let_go, "");
    expect(&let_go, false, false);
    name_of(5, &unreadable.unreadable, "snapshots/");
    expect(&unreadable, false, true);
}

static void what_is_lost_stays_so_until_it_is_back(void **state)
{
    (void)state;
    AUTO(newest) n = {0};
    AUTO(snapshots) older = {0}, next = {0}, back = {0};
    remember(&n);
    add(&older, 4, "box", 4);
    newest_compare(&n, &older, "box");
    newest_learn(&n, add(&next, 6, "box", 6), 0);
    newest_compare(&n, &next, "box"); /* a later one does not make up for it */
    assert_non_null(newest_lost(&n, "app"));
    assert_int_equal(newest_sequence(&n, "app"), 6);
    newest_compare(&n, &older, "box"); /* put back once more: the newest of both is what is missed */
    assert_int_equal(newest_lost(&n, "app")->sequence, 6);
    assert_int_equal(n.n, 1);
    add(&back, 5, "box", 5);
    add(&back, 6, "box", 6);
    newest_compare(&n, &back, "box");
    assert_null(newest_lost(&n, "app"));
    newest_compare(&n, &older, "box");
    assert_int_equal(newest_give_up(&n, "0500"), 0);
    assert_int_equal(newest_give_up(&n, "0600"), 1);
    assert_int_equal(n.n, 0);
}

static void the_file_comes_back(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    char *dir = test_folder();
    AUTO(newest) n = {0}, again = {0}, other = {0}, nothing = {0}, garbled = {0};
    AUTO_CHAR path = xasprintf("%s/newest.json", dir);
    newest_load(&nothing, dir, "box");
    assert_int_equal(nothing.n, 0);
    remember(&n);
    assert_true(n.changed);
    assert_ok(newest_save(&n, dir, "box", &e));
    assert_false(n.changed);
    newest_load(&again, dir, "box");
    assert_int_equal(again.n, 1);
    assert_memory_equal(&again.v[0].snapshot, &n.v[0].snapshot, sizeof n.v[0].snapshot);
    assert_int_equal(again.v[0].sequence, 5);
    assert_int_equal(again.v[0].time_ns, 5);
    assert_int_equal(again.v[0].written_ns, 7);
    newest_load(&other, dir, "other"); /* the host got another name */
    assert_int_equal(other.n, 0);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"host\":\"box\"}",
        "{\"host\":\"box\",\"newest\":[{}]}",
        "{\"host\":\"box\",\"newest\":[{\"source\":\"a\",\"snapshot\":\"xy\"}]}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_ok(file_write(path, BYTES_STR(bad[i]), 0600, false, &e));
        newest_load(&garbled, dir, "box");
        assert_int_equal(garbled.n, 0);
    }
    test_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_becomes_of_an_entry),
        cmocka_unit_test(what_is_lost_stays_so_until_it_is_back),
        cmocka_unit_test(the_file_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
