#include "cmd.h"

#include <string.h>

static struct {
    const char *snapshot, *source;
} args;

static const struct option_spec options[] = {
    {0, "snapshot", "SNAP", OPTION_TEXT, &args.snapshot, "search this snapshot alone"},
    {0, "source", "SOURCE", OPTION_TEXT, &args.source, "search this volume alone"},
    {0},
};

static int each(void *ctx, const struct snapshot *s, const struct snapshot_source *source,
                const struct catalog_entry *entry, struct err *e)
{
    bool *first = ctx;
    char id[SHA_HEX], time[40];
    sha_hex(id, &s->id);
    if (ferror(stdout))
        return err_set(e, ERR_IO, "standard output: closed before the end");
    if (cli.json) {
        json_t *o = entry_json(entry);
        json_object_set_new(o, "snapshot", json_string(id));
        json_object_set_new(o, "snapshot_time", time_json(s->time_ns));
        json_object_set_new(o, "host", json_string(s->host));
        json_object_set_new(o, "source", json_string(source->name));
        fputs(*first ? "[" : ",\n", stdout);
        print_json_part(o);
    } else {
        time_format_local(time, s->time_ns);
        printf("%.8s  %s  ", id, time);
        print_text(source->name);
        fputs("  ", stdout);
        print_entry(entry);
    }
    *first = false;
    return 0;
}

/* Drops all but the one that is meant. */
static int keep_one(struct snapshots *all, const struct run_select *select, struct err *e)
{
    const struct snapshot *s = run_pick(all, args.snapshot, select, e);
    if (!s)
        return -1;
    struct sha id = s->id;
    for (size_t i = all->n; i-- > 0;)
        if (!sha_equal(&all->v[i].id, &id)) {
            snapshot_free(&all->v[i]);
            memmove(&all->v[i], &all->v[i + 1], (--all->n - i) * sizeof *all->v);
        }
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct run_select select = cli_select(c);
    bool first = true;
    if (cli_open(c, RUN_READ, &r, &all, e) || (args.snapshot && keep_one(&all, &select, e)) ||
        repo_load(r.repo, e))
        return -1;
    int rc = run_find(&r, &all, c->arguments[0], args.source, each, &first, e);
    if (c->json && (rc == 0 || e->kind == ERR_DAMAGED)) /* what can be read was searched */
        puts(first ? "[]" : "]");
    else if (rc == 0 && first)
        ui_note("nothing matches");
    return rc ? -1 : EXIT_GOOD;
}

const struct command command_find_files = {
    .name = "find",
    .arguments = "PATTERN",
    .summary = "search the files of all snapshots",
    .about =
        "PATTERN is a glob: a name such as '*.pdf', or a path such as '2026/**/report.pdf' (** crosses slashes).\n"
        "Newest snapshots come first; each version of a file (path, size, time) is listed once, with the newest\n"
        "snapshot that has it.",
    .example = "lifeboat find '*.xlsx' --source uploads",
    .exits = "5 damaged: what is named cannot be read; all else was searched",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT | TAKES_MIRRORS,
    .least = 1,
    .most = 1,
    .run = run,
};
