#include "cmd.h"

#include <string.h>
#include <unistd.h>

static struct {
    const char *to;
    struct strings paths, tables;
    bool overwrite, clean, globals, dry_run;
    unsigned jobs;
} args;

static const struct option_spec options[] = {
    {0, "to", "TARGET", OPTION_TEXT, &args.to,
     "a folder for volumes and commands; for a database a libpq string or URI that names the one to make, such as 'host=/run/postgresql dbname=app', or 'container=NAME dbname=app' for a server in a container (or compose-service=PROJECT/SERVICE); - for standard output"},
    {0, "path", "PATH", OPTION_LIST, &args.paths, "of a volume only this and what is below; may be repeated"},
    {0, "table", "TABLE", OPTION_LIST, &args.tables,
     "of a database only this table ([SCHEMA.]NAME); may be repeated"},
    {0, "overwrite", NULL, OPTION_FLAG, &args.overwrite,
     "into a folder that is not empty: replace files there"},
    {0, "clean", NULL, OPTION_FLAG, &args.clean,
     "replace the database when it is there, once the new one is complete"},
    {0, "jobs", "N", OPTION_NUMBER, &args.jobs, "let pg_restore work on N tables at a time"},
    {0, "globals", NULL, OPTION_FLAG, &args.globals, "make the server's roles first"},
    {0, "dry-run", NULL, OPTION_FLAG, &args.dry_run,
     "say what would be restored where, having looked at both"},
    {0},
};

static void print_result_json(const struct snapshot *s, const struct run_restore_result *r, bool mirror)
{
    char id[SHA_HEX];
    sha_hex(id, &s->id);
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct run_restored *v = &r->v[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:f, s:o}", "name", v->name,
                                              "type", v->type, "target", text_json(v->target), "bytes",
                                              (json_int_t)v->bytes, "entries", (json_int_t)v->entries,
                                              "skipped", (json_int_t)v->skipped, "seconds", v->seconds,
                                              "notes", list_json(&v->notes)));
    }
    print_json(json_pack("{s:s, s:s, s:b, s:b, s:o}", "type", "summary", "snapshot", id, "dry_run",
                         args.dry_run, "mirror", mirror, "sources", list));
}

/* Standard output may be the target, so the report has its own place then. */
static void print_result(FILE *to, const struct run_restore_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct run_restored *v = &r->v[i];
        char size[32], time[32];
        if (v->failed)
            continue;
        size_format(size, v->bytes);
        duration_format(time, (uint64_t)(v->seconds * 1e9));
        AUTO_CHAR target = text_printable(v->target, strlen(v->target));
        fprintf(to, "%s: %s%s %s %s", v->name, args.dry_run ? "would be restored: " : "", size,
                args.dry_run ? "into" : "restored into",
                strcmp(v->type, "postgres") == 0 ? "the database" : target);
        if (v->entries)
            fprintf(to, ", %llu entries", (unsigned long long)v->entries);
        if (!args.dry_run)
            fprintf(to, ", in %s", time);
        fputc('\n', to);
    }
}

static int say_notes(const struct run_restore_result *r)
{
    int code = EXIT_GOOD;
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->v[i].notes.n; k++) {
            ui_say("%s: %s", r->v[i].name, r->v[i].notes.v[k]);
            code = EXIT_DEGRADED;
        }
    return code;
}

static int check_words(const struct cli *c, struct err *e)
{
    if (!args.to)
        return err_set(
            e, ERR_USAGE,
            "where to? --to FOLDER for a volume, --to 'dbname=NAME' for a database, --to - for standard "
            "output");
    bool out = strcmp(args.to, "-") == 0;
    if (out && c->json)
        return err_set(e, ERR_USAGE, "--to - and --json both want standard output");
    if (out && !args.dry_run && isatty(1))
        return err_set(e, ERR_USAGE, "--to -: standard output is a terminal: send it into a file or a pipe");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    AUTO(run_restore_result) result = {0};
    const struct snapshot *s;
    const struct strings names = {.v = c->arguments + 1, .n = c->count - 1};
    if (check_words(c, e) || cli_open_content(c, &r, &all, &s, e))
        return -1;
    const struct run_restore_options o = {.config = c->config,
                                          .sources = &names,
                                          .to = args.to,
                                          .paths = &args.paths,
                                          .tables = &args.tables,
                                          .overwrite = args.overwrite,
                                          .clean = args.clean,
                                          .globals = args.globals,
                                          .jobs = args.jobs,
                                          .dry_run = args.dry_run,
                                          .progress = ui_progress()};
    int rc = run_restore(&r, s, &o, &result, e);
    ui_clear();
    int code = say_notes(&result);
    if (c->json && rc == 0)
        print_result_json(s, &result, run_used_mirror(&r));
    else if (!c->json && !c->quiet)
        print_result(strcmp(args.to, "-") == 0 ? stderr : stdout, &result);
    return rc ? -1 : code;
}

const struct command command_restore = {
    .name = "restore",
    .arguments = "SNAP [SOURCE...] --to TARGET",
    .summary = "bring sources back",
    .about =
        "A volume goes into a folder, a database into a new database, a command's output through its\n"
        "restore-command. One source goes into TARGET itself; of several, each goes into TARGET/SOURCE. Every\n"
        "byte is verified before it is written. A folder that is not empty and a database that is not empty are\n"
        "refused unless --overwrite or --clean says otherwise. A database of several is app/NAME. Works on a\n"
        "bare machine: with --store URL and --identity no configuration is needed.",
    .example = "lifeboat restore latest:uploads uploads --to /srv/uploads --path 2026/03",
    .exits =
        "3 degraded (restored, but something could not be set: it is named); 5 damaged: what is named cannot be read",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT | TAKES_MIRRORS,
    .least = 1,
    .most = 1000,
    .run = run,
};
