/* Unpacks any bytes into a scratch folder. Nothing beside it may appear or change. */
#include "base/file.h"
#include "target/target.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST (256u << 10) /* a small input can announce a large sparse file, not write one */

static char *base;

static void clean_up(void)
{
    struct err e = ERR_INIT;
    if (dir_remove(base, &e))
        fprintf(stderr, "%s\n", e.text);
    free(base);
}

static void make_base(void)
{
    struct err e = ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    base = xasprintf("%s/lifeboat-fuzz-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(base))
        abort();
    atexit(clean_up);
    AUTO_CHAR guard = xasprintf("%s/guard", base);
    if (file_write(guard, BYTES_STR("guard"), 0640, true, &e))
        abort();
}

static unsigned count_names(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void check_outside(void)
{
    struct stat st;
    AUTO(buf) text = BUF_NONE;
    struct err e = ERR_INIT;
    AUTO_CHAR guard = xasprintf("%s/guard", base);
    if (count_names(base) != 4 || lstat(guard, &st) != 0 || st.st_mode != (S_IFREG | 0640) ||
        st.st_nlink != 1 || file_read(guard, 10, &text, &e) || strcmp(buf_cstr(&text), "guard") != 0)
        abort();
}

struct once {
    struct feed feed;
    struct bytes left;
};

static int next(struct feed *f, struct bytes *out, struct err *e)
{
    struct once *o = CONTAINER(f, struct once, feed);
    (void)e;
    *out = o->left;
    o->left = BYTES(NULL, 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const only[] = {"a/b", "c", NULL};
    static const struct target_alias aliases[] = {{.from = "d", .to = "c"}};
    if (!base)
        make_base();
    if (n < 1 || n > LARGEST)
        return 0;
    AUTO_CHAR in = xasprintf("%s/in", base);
    struct target_directory_options o = {.path = in, .overwrite = true};
    if (data[0] & 1) { /* a tar header starts with a name: any byte will do */
        o.only = only;
        o.aliases = aliases;
        o.alias_count = ARRAY_LEN(aliases);
    }
    struct once feed = {.feed = {next}, .left = BYTES(data, n)};
    AUTO(target_counts) counts = {0};
    struct err e = ERR_INIT;
    if ((target_directory(&feed.feed, &o, &counts, &e) != 0) != err_is_set(&e))
        abort();
    check_outside();
    e = (struct err)ERR_INIT;
    if (dir_remove(in, &e))
        abort();
    return 0;
}
