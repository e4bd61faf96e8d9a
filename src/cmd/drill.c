#include "cmd.h"

#include <string.h>

static struct {
    const char *directory;
} args;

static const struct option_spec options[] = {
    {0, "from-kit", "FILE", OPTION_TEXT, &cli.kit_file,
     "with nothing but a recovery kit, on any machine: it says where the store is, and opens it"},
    {0, "directory", "DIR", OPTION_TEXT, &args.directory,
     "do the work below this folder; otherwise [drill] directory"},
    {0},
};

/* ---- what was found ---- */
static json_t *layers_json(const struct drill_result *d)
{
    json_t *o = json_object();
    for (size_t i = 0; i < d->layer_count; i++)
        json_object_set_new(
            o, d->layers[i].name,
            json_pack("{s:b, s:f}", "held", d->layers[i].held, "seconds", d->layers[i].seconds));
    return o;
}

void drill_add_json(const struct receipt *r, json_t *list)
{
    char id[SHA_HEX];
    sha_hex(id, &r->snapshot);
    for (size_t i = 0; i < r->source_count; i++) {
        const struct receipt_source *s = &r->sources[i];
        const struct drill_result *d = &s->result;
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:b, s:f, s:f, s:I, s:I, s:o, s:o, s:o}", "name",
                            s->name, "type", s->type, "snapshot", id, "proven", d->outcome == DRILL_PROVEN,
                            "outcome", drill_outcome_name(d->outcome), "read_only", d->read_only, "seconds",
                            d->seconds, "restore_seconds", d->restore_seconds, "bytes", (json_int_t)d->bytes,
                            "entries", (json_int_t)d->entries, "layers", layers_json(d), "reasons",
                            list_json(&d->reasons), "notes", list_json(&d->notes)));
    }
}

static void print_source(const struct receipt_source *s)
{
    static const char *const words[] = {"proven", "NOT PROVEN (could not be tried)", "NOT PROVEN"};
    const struct drill_result *d = &s->result;
    char bytes[32], restore[32], all[32];
    size_format(bytes, d->bytes);
    duration_format(restore, (uint64_t)(d->restore_seconds * 1e9));
    duration_format(all, (uint64_t)(d->seconds * 1e9));
    printf("  %-16s %s", s->name,
           d->read_only && d->outcome == DRILL_PROVEN ? "read and whole" : words[d->outcome]);
    if (d->outcome == DRILL_PROVEN && d->read_only)
        printf(", %s, not restored; in %s", bytes, all);
    else if (d->outcome == DRILL_PROVEN)
        printf(", %s in %llu %s, restored in %s, drilled in %s", bytes, (unsigned long long)d->entries,
               strcmp(s->type, "postgres") == 0 ? "tables" : "entries", restore, all);
    putchar('\n');
    print_lines("      look: ", &d->reasons);
    print_lines("      note: ", &d->notes);
}

void drill_print(const struct receipt *r)
{
    char id[9], time[32];
    short_id(id, &r->snapshot);
    duration_format(time, (uint64_t)(r->seconds * 1e9));
    printf("snapshot %s: %s, in %s\n", id, run_drill_proves(r) ? "proven" : "NOT PROVEN", time);
    for (size_t i = 0; i < r->source_count; i++)
        print_source(&r->sources[i]);
}

/* ---- one after the other ---- */
struct drilling {
    struct cli *c;
    struct run_repo *repo;
    const struct snapshots *all;
    json_t *sources;
    bool newest; /* of each source, so it is news */
    bool proven;
    double seconds;
};

void drill_tell(const struct receipt *r)
{
    for (size_t i = 0; i < r->source_count; i++) {
        const struct receipt_source *s = &r->sources[i];
        if (s->result.outcome == DRILL_PROVEN)
            outcome_of("drill", s->name, NULL);
        else
            outcome_of("drill", s->name, "not proven: %s",
                       s->result.reasons.n ? s->result.reasons.v[0] : "see `lifeboat show`");
    }
}

static int drill_one(struct drilling *d, const struct snapshot *s, const struct strings *names, struct err *e)
{
    AUTO(receipt) receipt = {0};
    const struct run_drill_options o = {.config = d->c->config,
                                        .sources = names,
                                        .directory = args.directory,
                                        .from_kit = d->c->kit_file != NULL,
                                        .all = d->all,
                                        .progress = ui_progress()};
    int rc = run_drill(d->repo, s, &o, &receipt, e);
    ui_clear();
    if (rc)
        return -1;
    if (d->newest)
        drill_tell(&receipt);
    d->proven = d->proven && run_drill_proves(&receipt);
    d->seconds += receipt.seconds;
    if (d->c->json)
        drill_add_json(&receipt, d->sources);
    else if (!d->c->quiet || !d->proven)
        drill_print(&receipt);
    return 0;
}

static int drill_newest(struct drilling *d, struct err *e)
{
    AUTO(run_drill_targets) t = {0};
    const struct run_select select = cli_select(d->c);
    if (run_drill_choose(d->c->config, d->all, &select, &t, e))
        return -1;
    for (size_t i = 0; i < t.n; i++)
        if (drill_one(d, t.v[i].snapshot, &t.v[i].sources, e))
            return -1;
    for (size_t i = 0; i < t.without.n; i++) {
        ui_say("%s: there is no good backup of it to drill", t.without.v[i]);
        outcome_of("drill", t.without.v[i], "there is no good backup of it to drill");
    }
    d->proven = d->proven && t.without.n == 0;
    return 0;
}

static int drill_named(struct drilling *d, struct err *e)
{
    const struct run_select select = cli_select(d->c);
    const struct strings names = {.v = d->c->arguments + 1, .n = d->c->count - 1};
    const struct snapshot *s = run_pick(d->all, d->c->arguments[0], &select, e);
    return s ? drill_one(d, s, &names, e) : -1;
}

static int run_all(struct drilling *d, struct err *e)
{
    d->sources = json_array();
    d->proven = true;
    int rc = d->c->count ? drill_named(d, e) : drill_newest(d, e);
    if (rc || !d->c->json) {
        json_decref(d->sources);
        return rc ? -1 : d->proven ? EXIT_GOOD : EXIT_UNPROVEN;
    }
    json_t *first = json_array_get(d->sources, 0);
    print_json(json_pack("{s:s, s:O?, s:b, s:f, s:o}", "type", "summary", "snapshot",
                         json_object_get(first, "snapshot"), "proven", d->proven, "seconds", d->seconds,
                         "sources", d->sources));
    return d->proven ? EXIT_GOOD : EXIT_UNPROVEN;
}

/* Where the kit's store does not open, one of its mirrors may. */
static int open_all(struct cli *c, struct run_repo *r, struct snapshots *all, struct err *e)
{
    if (cli_open(c, RUN_READ, r, all, e) == 0 && repo_load(r->repo, e) == 0)
        return 0;
    struct err why = *e;
    if (c->kit.mirrors.n && c->store == c->kit.store) {
        *e = (struct err)ERR_INIT;
        return err_set(e, why.kind, "%s; the kit names a mirror: lifeboat drill --from-kit %s --store '%s'",
                       why.text, c->kit_file, c->kit.mirrors.v[0]);
    }
    return -1;
}

/* The answer to the question that was asked. */
static void print_kit_verdict(const struct drilling *d)
{
    if (d->c->kit_file && !d->c->json && !(d->c->quiet && d->proven))
        printf("the kit %s and the store %s: %s\n", d->c->kit_file, d->c->store,
               d->proven ? "proven, they bring everything above back without anything else"
                         : "NOT PROVEN, see above what they do not bring back");
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    bool newest = c->count == 0 && !c->host && !c->tag && !c->at;
    outcome_begin(c, newest, false);
    if (open_all(c, &r, &all, e))
        return -1;
    struct drilling d = {.c = c, .repo = &r, .all = &all, .newest = newest};
    int code = run_all(&d, e);
    if (code >= 0)
        print_kit_verdict(&d);
    return code;
}

const struct command command_drill = {
    .name = "drill",
    .arguments = "[SNAP [SOURCE...]]",
    .summary = "prove a snapshot: restore it to scratch and compare",
    .about =
        "Restores each source to a place of its own, reads it back and compares: a database object by object and\n"
        "row by row in a private throwaway server, a volume entry by entry, a command's output through its\n"
        "drill-command. Without SNAP: the newest good backup of each source. Leaves a signed receipt: `list`,\n"
        "`show` and `status` say what is proven, and how long the restore took. Never touches the sources.\n"
        "With --from-kit it needs nothing of this machine, and leaves nothing on it.",
    .example = "lifeboat drill latest:app app",
    .exits = "4 not proven (what differs, or what is missing here, is named); 5 damaged",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT,
    .most = 1000,
    .run = run,
};
