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

/* ---- --store ---- */
static void print_store_json(const struct run_store_checks *r)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(checks, json_pack("{s:s, s:b, s:o}", "name", r->v[i].name, "ok", r->v[i].ok,
                                                "said", text_json(r->v[i].said)));
    print_json(json_pack("{s:s, s:o, s:b, s:o}", "type", "summary", "store", text_json(r->store), "ok",
                         run_store_is_good(r), "checks", checks));
}

static void print_store(const struct run_store_checks *r)
{
    print_text(r->store);
    putchar('\n');
    for (size_t i = 0; i < r->n; i++) {
        if (cli.quiet && r->v[i].ok)
            continue;
        printf("  %-9s %-5s ", r->v[i].name, r->v[i].ok ? "ok" : "LOOK");
        print_text(r->v[i].said);
        putchar('\n');
    }
}

static int check_store(const struct run_access *access, struct err *e)
{
    AUTO(run_store_checks) r = {0};
    if (args.percent)
        return err_set(e, ERR_USAGE, "--store and --read-data are two different checks: give one of them");
    if (run_check_store(access, &r, e))
        return -1;
    if (cli.json)
        print_store_json(&r);
    else
        print_store(&r);
    return !r.works ? EXIT_FAILED : run_store_is_good(&r) ? EXIT_GOOD : EXIT_DEGRADED;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_check_result) r = {0};
    const struct run_access access = cli_access(c);
    if (c->probe)
        return check_store(&access, e);
    outcome_begin(c, true, false);
    if (run_check(&access, args.percent, ui_progress(), NULL, &r, e))
        return -1;
    ui_clear();
    if (r.report.error_count)
        outcome_of("check", "", "damaged: %zu objects; the first: %s: %s", r.report.error_count,
                   r.report.errors[0].object, r.report.errors[0].what);
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
        "again. The writer key is enough; with the identity content is opened and compared as well, and the\n"
        "mark of a pack that is right goes.\n"
        "With --store and no URL, no key is needed: an object named \"probe\" is put, read, listed and deleted,\n"
        "and the store is asked for its clock, versions, locks and who may read it.",
    .example = "lifeboat check --read-data=15%",
    .exits =
        "3 --store: something to look at; 5 damaged: the objects and the snapshots that are hit are named",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_PROBE,
    .run = run,
};
