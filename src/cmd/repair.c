#include "cmd.h"

static struct {
    const char *from;
    bool read_data, new_disk;
} args;

static const struct option_spec options[] = {
    {0, "from", "STORE", OPTION_TEXT, &args.from, "take from this mirror alone"},
    {0, "read-data", NULL, OPTION_FLAG, &args.read_data, "look at every byte of the first store"},
    {0, "new-disk", NULL, OPTION_FLAG, &args.new_disk, "the first store may be empty: fill it"},
    {0},
};

#define NAMES_SHOWN 10 /* of healed objects, unless -v asks for all */

static void print_healed(const struct strings *names)
{
    size_t n = cli.verbose ? names->n : MIN(names->n, (size_t)NAMES_SHOWN);
    const struct strings some = {.v = names->v, .n = n};
    print_lines("healed: ", &some);
    if (n < names->n)
        printf("healed: ... and %zu more\n", names->n - n);
}

static void print_report(const struct repair_report *r)
{
    char size[32];
    size_format(size, r->bytes);
    print_healed(&r->healed);
    print_lines("note: ", &r->notes);
    print_lines("LOST: ", &r->lost);
    printf("%s: %zu objects healed, %s put back\n", r->lost.n ? "DAMAGED" : "good", r->healed.n, size);
}

static int run(struct cli *c, struct err *e)
{
    AUTO(repair_report) r = {0};
    const struct run_repair_options o = {.access = cli_access(c),
                                         .from = args.from,
                                         .read_data = args.read_data,
                                         .new_disk = args.new_disk,
                                         .progress = ui_progress()};
    outcome_begin(c, !args.from, false); /* another mirror may have what this one lacks */
    int rc = run_repair(&o, &r, e);
    ui_clear();
    if (rc)
        return -1;
    if (r.lost.n && !args.from)
        outcome_of("repair", "", "%zu objects are damaged or missing, and no mirror has them; the first: %s",
                   r.lost.n, r.lost.v[0]);
    if (c->json)
        print_json(json_pack("{s:s, s:b, s:o, s:o, s:o, s:I}", "type", "summary", "ok", r.lost.n == 0,
                             "healed", list_json(&r.healed), "lost", list_json(&r.lost), "notes",
                             list_json(&r.notes), "bytes", (json_int_t)r.bytes));
    else if (!c->quiet || r.lost.n)
        print_report(&r);
    return r.lost.n ? EXIT_DAMAGED : EXIT_GOOD;
}

const struct command command_repair = {
    .name = "repair",
    .arguments = "",
    .summary = "heal the first store from its mirrors and its older versions",
    .about =
        "Looks at the first store as `lifeboat check` does, and puts back what is damaged or missing: in a\n"
        "bucket with versions from the right older one, else from the mirrors; with --read-data after a look at\n"
        "every byte. Snapshots that only a mirror has come back when [retention] would keep them. Says what\n"
        "could not be had. Names that a prune has condemned stay away. With --store that bucket is healed, from\n"
        "its older versions alone.",
    .example = "lifeboat repair --read-data --from away",
    .exits = "5 damaged: neither a mirror nor an older version has what is named",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .run = run,
};
