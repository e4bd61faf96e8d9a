/* How the configuration is read, and that every slip is named by file, line, section and key; the sample. */
#include "config/config.h"
#include "config/keys.h"
#include "configs.h"

#include <unistd.h>

static void test_defaults(void **state)
{
    (void)state;
    AUTO_PTR(config) c = parse_well(STORE);
    assert_string_equal(c->file, "t.conf");
    assert_int_equal(c->store_count, 1);
    assert_string_equal(c->stores[0].name, "main");
    assert_string_equal(c->stores[0].url, "file:///b");
    assert_string_equal(c->stores[0].path, "/b");
    assert_int_equal(c->stores[0].min_free, 2);
    assert_false(c->stores[0].require_mount);
    assert_int_equal(c->source_count, 0);
    assert_string_equal(c->writer_key, "/etc/lifeboat/writer.key");
    assert_null(c->identity);
    assert_string_equal(c->state_dir, "/var/lib/lifeboat");
    assert_string_equal(c->cache_dir, "/var/cache/lifeboat");
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    assert_string_equal(c->host, host);
    assert_in_range(c->threads, 1, 16);
    assert_int_equal(c->compression, 0);
    assert_int_equal(c->nice, 0);
}

static void test_every_section(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_well("[store disk-2]\nurl = file:///mnt/disk 2//\nmin-free = 10\nrequire-mount = yes\n"
                   "[keys]\nwriter = /k/w\nidentity = /k/i\n"
                   "[state]\ndirectory = /s/\ncache = /c\n"
                   "[general]\nhost = b\xc3\xbc"
                   "cher\nthreads = 64\ncompression = 19\nnice = 19\n");
    assert_string_equal(c->stores[0].name, "disk-2");
    assert_string_equal(c->stores[0].path, "/mnt/disk 2");
    assert_int_equal(c->stores[0].min_free, 10);
    assert_true(c->stores[0].require_mount);
    assert_string_equal(c->writer_key, "/k/w");
    assert_string_equal(c->identity, "/k/i");
    assert_string_equal(c->state_dir, "/s");
    assert_string_equal(c->cache_dir, "/c");
    assert_string_equal(c->host, "b\xc3\xbc"
                                 "cher");
    assert_int_equal(c->threads, 64);
    assert_int_equal(c->compression, 19);
    assert_int_equal(c->nice, 19);
}

/* ---- the shape of the file ---- */
static void test_comments_and_blanks(void **state)
{
    (void)state;
    AUTO_PTR(config)
    c = parse_well("\xef\xbb\xbf[store main]   ; the first one\r\n"
                   "  url=file:///b;c\t; a comment; and more\r\n\r\n"
                   "; [keys]\n   # writer = /x\n"
                   "[ source   s ] # too\n\ttype : volume ; or so\n\tpath = /p#q\n");
    assert_string_equal(c->stores[0].path, "/b;c");
    assert_string_equal(c->sources[0].name, "s");
    assert_string_equal(c->sources[0].path, "/p#q");
}

static void test_last_line_without_end(void **state)
{
    (void)state;
    AUTO_PTR(config) c = parse_well("[store main]\nurl = file:///b");
    assert_string_equal(c->stores[0].path, "/b");
}

static void test_long_lines(void **state)
{
    (void)state;
    static const char start[] = STORE "[source s]\ntype = command\n", key[] = "command = ";
    for (size_t n = 16380; n <= 16390; n++) { /* bytes of the line, with its end */
        AUTO(buf) text = BUF_NONE;
        buf_add_str(&text, start);
        buf_add_str(&text, key);
        while (text.n < strlen(start) + n - 1)
            buf_add_u8(&text, "echo_0123456789;"[text.n % 16]);
        AUTO_CHAR command = xstrdup(buf_cstr(&text) + strlen(start) + strlen(key));
        buf_add_str(&text, "\n");
        if (n > 16383) {
            refuse(buf_cstr(&text),
                   "t.conf:5: the line is longer than 16383 bytes; put a long command into a script");
            continue;
        }
        AUTO_PTR(config) c = parse_well(buf_cstr(&text));
        assert_string_equal(c->sources[0].command, command);
    }
}

static void test_long_names(void **state)
{
    (void)state;
    char name[66];
    memset(name, 'n', 65);
    name[65] = 0;
    AUTO_CHAR too_long = xasprintf(STORE "[source %s]\n", name);
    refuse(too_long, "t.conf:3: [source nnnn");
    name[64] = 0;
    AUTO_CHAR fits = xasprintf(STORE "[source %s]\ntype = volume\npath = /p\n", name);
    AUTO_PTR(config) c = parse_well(fits);
    assert_string_equal(c->sources[0].name, name);
    AUTO_CHAR long_key = xasprintf(STORE "[keys]\n%s%s = /x\n", name, name);
    refuse(long_key, "t.conf:4: [keys] nnnn");
}

static void test_broken_lines(void **state)
{
    (void)state;
    refuse(STORE "[general]\nthreads\n", "t.conf:4: is neither \"[section]\" nor \"key = value\"");
    refuse("url = file:///b\n", "t.conf:1: url: stands before the first [section]");
    refuse("[store main\nurl = file:///b\n", "t.conf:1: the section's \"]\" is missing");
    refuse("[store main] url = file:///b\n",
           "t.conf:1: nothing but a comment may follow the \"]\": \"url = ");
    refuse(STORE "[general]\nhost = a\x1b[2Jb\n", "t.conf:4: the line holds a control character");
    refuse(STORE "[general]\nhost = a\rthreads = 3\n", "t.conf:4: the line holds a control character");
    refuse("", "t.conf:0: there is no [store NAME] section");
    struct err e = ERR_INIT;
    static const char nul[] = STORE "[general]\nhost = a\0b\n";
    assert_null(config_parse("t.conf", BYTES(nul, sizeof nul - 1), &e));
    assert_text(e, "t.conf:4: the line holds a control character");
}

static void test_comment_in_command(void **state)
{
    (void)state;
    static const char *const keys[] = {"command", "restore-command", "before", "after", "on-failure"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        AUTO_CHAR text = xasprintf(STORE "[source s]\ntype = command\n%s = a ; b\n", keys[i]);
        AUTO_CHAR said =
            xasprintf("t.conf:5: [source s] %s: is \" ;\" a comment or part of the command?", keys[i]);
        refuse(text, said);
    }
}

/* ---- sections and keys ---- */
static void test_unknown(void **state)
{
    (void)state;
    refuse(STORE "[sorce app]\n", "t.conf:3: [sorce app]: unknown section: did you mean \"source\"?");
    refuse(STORE "[prune]\n", "t.conf:3: [prune]: unknown section; known are");
    refuse(STORE "[]\n", "t.conf:3: []: unknown section; known are");
    refuse(STORE "[source s]\ntype = volume\nexlude = x\n",
           "t.conf:5: [source s] exlude: unknown key: did you mean \"exclude\"?");
    refuse(STORE "[source s]\nexclude_caches = yes\n",
           "t.conf:4: [source s] exclude_caches: unknown key: did you mean \"exclude-caches\"?");
    refuse("[store main]\nurl = file:///b\nendpoint = https://x\n",
           "t.conf:3: [store main] endpoint: is for buckets (s3://...), and url names a folder");
    refuse(STORE "[source s]\npod = db\n", "t.conf:4: [source s] pod: unknown key; known are type,");
    refuse(STORE "[keys]\n = x\n", "t.conf:4: [keys] : unknown key; known are writer, identity");
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"source",    "source Big", "source a b", "source ../x",     "source .a",
                                      "source -a", "source _a",  "source a/b", "source \xc3\xa4", "source A"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_CHAR text = xasprintf(STORE "[%s]\ntype = volume\npath = /p\n", bad[i]);
        AUTO_CHAR said = xasprintf("t.conf:3: [%s]: wants a name after \"source\"", bad[i]);
        refuse(text, said);
    }
    AUTO_PTR(config) c = parse_well(STORE "[source 0a_b.c-d]\ntype = volume\npath = /p\n");
    assert_string_equal(c->sources[0].name, "0a_b.c-d");
    refuse("[store]\n", "t.conf:1: [store]: wants a name after \"store\"");
    refuse(STORE "[keys mine]\n", "t.conf:3: [keys mine]: takes no name: write [keys]");
}

static void test_doubles(void **state)
{
    (void)state;
    refuse(STORE "[source s]\ntype = volume\npath = /a\n\npath = /b\n",
           "t.conf:7: [source s] path: is set in line 5 already; it takes one value");
    refuse(STORE "[source s]\ntype = volume\npath = /a\n[general]\n[source s]\n",
           "t.conf:7: [source s]: stands in line 3 already");
    refuse(STORE "[general]\n[general]\n", "t.conf:4: [general]: stands in line 3 already");
    refuse(STORE "[source s]\ntype = postgres\ndatabase = a\ndatabase = a\n",
           "t.conf:5: [source s] database: \"a\" is named twice");
    refuse(STORE "[source s]\ntype = postgres\ndatabase = a\ndatabase = all\n",
           "t.conf:5: [source s] database: \"all\" means every one");
    AUTO_PTR(config)
    c = parse_well(STORE "[source a]\ntype = volume\npath = /a\n[source b]\ntype = volume\npath = /a\n");
    assert_int_equal(c->source_count, 2);
}

/* ---- files ---- */
static char *write_file(const char *folder, const char *text, mode_t mode)
{
    struct err e = ERR_INIT;
    char *path = xasprintf("%s/lifeboat.conf", folder);
    assert_ok(file_write(path, BYTES_STR(text), mode, false, &e));
    return path;
}

static void test_password_wants_private_file(void **state)
{
    (void)state;
    static const char *const with[] = {"host=h password=x",          "password = 'a b' host=h",
                                       "user=password password=x",   "postgresql://u:x@h/db",
                                       "postgres://h/db?password=x", "sslpassword=x"};
    static const char *const without[] = {"host=h passfile=/p", "postgresql://u@h:5432/db",
                                          "user=password dbname=x", "password=''", "service=app"};
    char *folder = test_folder();
    for (size_t i = 0; i < ARRAY_LEN(with) + ARRAY_LEN(without); i++) {
        bool has = i < ARRAY_LEN(with);
        struct err e = ERR_INIT;
        AUTO_CHAR text = xasprintf(STORE "[source s]\ntype = postgres\nconnection = %s\n",
                                   has ? with[i] : without[i - ARRAY_LEN(with)]);
        for (unsigned mode = 0600; mode <= 0640; mode += 040) {
            AUTO_CHAR path = write_file(folder, text, mode);
            AUTO_PTR(config) c = config_load(path, &e);
            if (!c != (has && mode == 0640))
                fail_msg("mode %o: %s%s", mode, text, e.text);
            if (!c) {
                assert_int_equal(e.kind, ERR_USAGE);
                assert_text(e, "chmod 600 ");
                assert_text(e, "passfile");
            }
        }
    }
    test_remove(folder);
}

static void test_load(void **state)
{
    (void)state;
    char *folder = test_folder();
    struct err e = ERR_INIT;
    AUTO_CHAR missing = xasprintf("%s/none.conf", folder);
    assert_null(config_load(missing, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(
        e, "none.conf: No such file or directory (-c FILE names another; `lifeboat init --compose FILE`");
    e = (struct err)ERR_INIT;
    assert_null(config_load(folder, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, "Is a directory");

    AUTO_CHAR path = write_file(folder, STORE, 0666);
    e = (struct err)ERR_INIT;
    assert_null(config_load(path, &e));
    assert_int_equal(e.kind, ERR_USAGE);
    assert_text(e, "chmod o-w ");
    AUTO_CHAR same_path = write_file(folder, STORE, 0644);
    e = (struct err)ERR_INIT;
    AUTO_PTR(config) c = config_load(same_path, &e);
    assert_non_null(c);
    assert_string_equal(c->file, path);
    test_remove(folder);
}

/* ---- the sample ---- */
static bool is_setting(const char *line)
{
    size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz-");
    if (strncmp(line, "assert ", 7) == 0) /* of a source */
        n += 1 + strcspn(line + 7, " ");
    return n > 0 && strncmp(line + n, " = ", 3) == 0;
}

/* The sample with its "#key = value" lines switched on; every setting's "section key" goes into `keys`. */
static void read_sample(struct buf *plain, struct buf *full, struct strings *keys)
{
    struct err e = ERR_INIT;
    AUTO_CHAR path = xasprintf("%s/../conf/lifeboat.conf", tests_folder());
    assert_ok(file_read(path, 1 << 20, plain, &e));
    char section[80] = "";
    AUTO_CHAR copy = xstrdup(buf_cstr(plain));
    for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
        if (line[0] == '#' && (line[1] == '[' || is_setting(line + 1)))
            line++;
        if (line[0] == '[')
            snprintf(section, sizeof section, "%.*s", (int)strcspn(line + 1, " ]"), line + 1);
        if (is_setting(line))
            strings_add_fmt(keys, "%s %.*s", section, (int)strcspn(line, " "), line);
        buf_add_fmt(full, "%s\n", line);
    }
}

static void test_sample_has_every_key(void **state)
{
    (void)state;
    AUTO(buf) plain = BUF_NONE;
    AUTO(buf) full = BUF_NONE;
    AUTO(strings) keys = STRINGS_NONE;
    read_sample(&plain, &full, &keys);
    size_t known = 0;
    for (const struct section *s = config_sections; s->kind; s++)
        for (const struct key *k = s->keys; k->name; k++, known++) {
            AUTO_CHAR word = xasprintf("%s %s", s->kind, k->name);
            if (!strings_has(&keys, word))
                fail_msg("conf/lifeboat.conf lacks: %s", word);
        }
    assert_int_equal(known, 73);
    /* The other way round: each of its settings parses, so none is unknown. */
    AUTO_PTR(config) c = parse_well(buf_cstr(&full));
    assert_int_equal(c->source_count, 6);
    for (size_t i = 0; i < keys.n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(keys.v[i], keys.v[k]) == 0 && strcmp(keys.v[i], "source type") != 0 &&
                strcmp(keys.v[i], "store url") != 0 && strncmp(keys.v[i], "retention keep-", 15) != 0)
                fail_msg("conf/lifeboat.conf has twice: %s", keys.v[i]);
}

/* What the sample shows as a default is the default. */
static void test_sample_shows_defaults(void **state)
{
    (void)state;
    AUTO(buf) plain = BUF_NONE;
    AUTO(buf) full = BUF_NONE;
    AUTO(strings) keys = STRINGS_NONE;
    read_sample(&plain, &full, &keys);
    AUTO_PTR(config) a = parse_well(buf_cstr(&plain));
    AUTO_PTR(config) b = parse_well(buf_cstr(&full));
    assert_string_equal(a->writer_key, b->writer_key);
    assert_string_equal(a->state_dir, b->state_dir);
    assert_string_equal(a->cache_dir, b->cache_dir);
    assert_int_equal(a->nice, b->nice);
    assert_int_equal(a->stores[0].min_free, b->stores[0].min_free);
    assert_int_equal(a->stores[0].require_mount, b->stores[0].require_mount);
    for (size_t i = 0; i < a->source_count; i++) {
        const struct config_source *s = &a->sources[i], *t = &b->sources[i];
        assert_int_equal(s->globals, t->globals);
        assert_int_equal(s->may_be_empty, t->may_be_empty);
        assert_int_equal(s->may_shrink, t->may_shrink);
        assert_int_equal(s->time_limit_s, t->time_limit_s);
        assert_int_equal(s->exclude_caches, t->exclude_caches);
        assert_int_equal(s->one_file_system, t->one_file_system);
        assert_int_equal(s->reread_days, t->reread_days);
    }
    assert_memory_equal(&a->retention.keep, &b->retention.keep, sizeof a->retention.keep);
    assert_int_equal(a->retention.undo_window_s, b->retention.undo_window_s);
    assert_int_equal(a->retention.grace_s, b->retention.grace_s);
}

static void test_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"backup", "list", "restore", NULL};
    assert_string_equal(nearest_word("bakcup", words), "backup");
    assert_string_equal(nearest_word("lst", words), "list");
    const char *const near[] = {"init", "list", NULL};
    assert_string_equal(nearest_word("lsit", near), "list");
    assert_string_equal(nearest_word("restore", words), "restore");
    assert_null(nearest_word("prune", words));
    assert_null(nearest_word("", words));
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(nearest_word(longest, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_section),
        cmocka_unit_test(test_comments_and_blanks),
        cmocka_unit_test(test_last_line_without_end),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_comment_in_command),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_password_wants_private_file),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_sample_has_every_key),
        cmocka_unit_test(test_sample_shows_defaults),
        cmocka_unit_test(test_nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
