#include "cmd.h"

#include <string.h>

static struct {
    unsigned percent;
} args;

static const struct option_spec options[] = {
    {0, "read-data", "N%", OPTION_PERCENT, &args.percent,
     "read every byte of every pack, or of a share of them: the next check takes the next share"},
    {0},
};

static const struct snapshot *find_snapshot(const struct snapshots *all, const char *hex)
{
    struct sha id;
    if (!sha_parse(&id, hex, strlen(hex)))
        return NULL;
    for (size_t i = 0; i < all->n; i++)
        if (sha_equal(&all->v[i].id, &id))
            return &all->v[i];
    return NULL;
}

static void print_error(const struct run_check_result *r, const struct check_error *error)
{
    print_text(error->object);
    fputs(": ", stdout);
    print_text(error->what);
    putchar('\n');
    for (size_t i = 0; i < error->snapshots.n; i++) {
        const struct snapshot *s = find_snapshot(&r->snapshots, error->snapshots.v[i]);
        char time[40] = "?";
        if (s)
            time_format_local(time, s->time_ns);
        printf("    snapshot %.8s of %s", error->snapshots.v[i], time);
        if (s) {
            fputs(" on ", stdout);
            print_text(s->host);
        }
        fputs(" cannot be restored whole\n", stdout);
    }
}

static void print_report(const struct run_check_result *r)
{
    const struct check_report *c = &r->report;
    char read[32];
    size_format(read, c->bytes_read);
    for (size_t i = 0; i < c->error_count; i++)
        print_error(r, &c->errors[i]);
    if (cli.quiet)
        return;
    print_lines("note: ", &c->notes);
    printf("%s: %llu snapshots, %llu packs, %llu chunks; %s read\n", c->error_count ? "DAMAGED" : "good",
           (unsigned long long)c->snapshots, (unsigned long long)c->packs, (unsigned long long)c->chunks,
           read);
    if (!args.percent && !c->error_count)
        printf("the structure was checked; --read-data looks at every byte\n");
}

static void print_report_json(const struct check_report *c)
{
    json_t *errors = json_array();
    for (size_t i = 0; i < c->error_count; i++)
        json_array_append_new(errors, json_pack("{s:o, s:o, s:o}", "object", text_json(c->errors[i].object),
                                                "error", text_json(c->errors[i].what), "snapshots",
                                                list_json(&c->errors[i].snapshots)));
    print_json(json_pack("{s:s, s:b, s:I, s:I, s:I, s:o}", "type", "summary", "ok", c->error_count == 0,
                         "packs", (json_int_t)c->packs, "chunks", (json_int_t)c->chunks, "bytes_read",
                         (json_int_t)c->bytes_read, "errors", errors));
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_check_result) r = {0};
    const struct run_access access = cli_access(c);
    if (run_check(&access, args.percent, ui_progress(), NULL, &r, e))
        return -1;
    ui_clear();
    if (c->json)
        print_report_json(&r.report);
    else
        print_report(&r);
    return r.report.error_count ? EXIT_DAMAGED : EXIT_GOOD;
}

const struct command command_check = {
    .name = "check",
    .arguments = "",
    .summary = "look whether every snapshot is whole",
    .about =
        "Looks at every small object and at whether every chunk that a snapshot needs is there; with --read-data\n"
        "also at the bytes themselves. Bad packs are marked, so that the next backup stores what they held\n"
        "again. The writer key is enough; with the identity content is opened and compared as well.",
    .example = "lifeboat check --read-data=15%",
    .exits = "5 damaged: the objects and the snapshots that are hit are named",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .run = run,
};
