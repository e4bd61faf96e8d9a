#include "cmd.h"

static int each(void *ctx, const struct catalog_entry *entry, struct err *e)
{
    bool *first = ctx;
    if (ferror(stdout))
        return err_set(e, ERR_IO, "standard output: closed before the end");
    if (cli.json) {
        fputs(*first ? "[" : ",\n", stdout);
        print_json_part(entry_json(entry));
    } else {
        print_entry(entry);
    }
    *first = false;
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct snapshot *s;
    bool first = true;
    if (cli_open_content(c, &r, &all, &s, e))
        return -1;
    if (run_ls(&r, s, c->arguments[1], c->count > 2 ? c->arguments[2] : NULL, each, &first, e))
        return -1;
    if (c->json)
        puts(first ? "[]" : "]");
    return EXIT_GOOD;
}

const struct command command_ls = {
    .name = "ls",
    .arguments = "SNAP SOURCE [PATH]",
    .summary = "list the files of a volume in a snapshot",
    .about =
        "Lists everything, or what is at and below PATH: mode, owner, group, size, time, path. Paths are\n"
        "relative to the volume. Bytes that would garble a terminal are shown as \\xNN.",
    .example = "lifeboat ls latest:uploads uploads 2026/03",
    .exits = "5 damaged: what is named cannot be read",
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT | TAKES_MIRRORS,
    .least = 2,
    .most = 3,
    .run = run,
};
