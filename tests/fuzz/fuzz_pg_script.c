/* Globals come out of the repository and go to the server statement by statement; the list of an archive is
 * what a pg_restore makes of bytes that it was given. Neither may crash us, and no statement may start as
 * psql's commands do. */
#include "target/pg_target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_apart(struct bytes in)
{
    struct pg_script s = {(const char *)in.p, (const char *)in.p + in.n};
    struct err e = ERR_INIT;
    struct bytes b;
    int more;
    while ((more = pg_script_next(&s, &b, &e)) > 0) {
        if (b.n == 0 || *b.p == '\\' || *b.p == ';' || b.p < in.p || b.p + b.n > in.p + in.n)
            abort();
        free(pg_script_created_database(b));
        free(pg_script_rename(b, "app", "\"other\""));
    }
    if ((more < 0) != err_is_set(&e))
        abort();
}

static void choose(struct bytes in)
{
    AUTO(pg_contents) c = PG_CONTENTS_NONE;
    AUTO(strings) found = STRINGS_NONE;
    AUTO(buf) printed = BUF_NONE;
    buf_add(&c.text, in);
    pg_contents_parse(&c);
    pg_contents_choose_database(&c);
    pg_contents_print(&c, &printed);
    pg_contents_forget_choice(&c);
    (void)pg_contents_choose_table(&c, &(struct pg_wanted){"s", "a"});
    pg_contents_complete(&c, in.n % 2, &found);
    pg_contents_extensions(&c, &found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf copy = BUF_NONE; /* its own, so that a sanitizer sees its end */
    buf_reserve(&copy, 1);
    buf_add(&copy, BYTES(data, size));
    take_apart(buf_bytes(&copy));
    choose(buf_bytes(&copy));
    buf_free(&copy);
    return 0;
}
