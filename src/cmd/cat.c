#include "cmd.h"

#include <unistd.h>

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct snapshot *s;
    if (c->json)
        return err_set(e, ERR_USAGE, "prints the stream's own bytes: there is no --json of them");
    if (cli_open_content(c, &r, &all, &s, e))
        return -1;
    return run_cat(&r, s, c->arguments[1], 1, isatty(1), e) ? -1 : EXIT_GOOD;
}

const struct command command_cat = {
    .name = "cat",
    .arguments = "SNAP SOURCE[/STREAM]",
    .summary = "print a stream's own bytes",
    .about =
        "What a source is kept as goes to standard output: the archive of pg_dump -Fc, a tar, or what the\n"
        "command had printed. Other streams of a source have names (`lifeboat show SNAP`), such as globals: the\n"
        "roles of a database server; a database of several is app/NAME.",
    .example = "lifeboat cat latest:uploads uploads | tar tv",
    .exits = "5 damaged: what is named cannot be read",
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT | TAKES_MIRRORS,
    .least = 2,
    .most = 2,
    .run = run,
};
