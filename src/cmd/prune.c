#include "cmd.h"

#include "policy/retention.h"

#include <string.h>

static struct {
    bool dry_run, exclusive, yes;
    const char *simulate, *every;
} args;

static const struct option_spec options[] = {
    {0, "dry-run", NULL, OPTION_FLAG, &args.dry_run,
     "say for every snapshot why it stays or goes; change nothing"},
    {0, "yes", NULL, OPTION_FLAG, &args.yes, "go on where prune would stop for a person to look first"},
    {0, "exclusive", NULL, OPTION_FLAG, &args.exclusive,
     "no other host uses the repository: give the space back at once, without the grace"},
    {0, "simulate", "TIME", OPTION_TEXT, &args.simulate,
     "say what [retention] would hold over that time (400d), at each moment; nothing is opened"},
    {0, "every", "TIME", OPTION_TEXT, &args.every, "with --simulate: a backup this often (default 24h)"},
    {0},
};

/* ---- --simulate ---- */
struct simulating {
    const struct retention *retention;
};

static json_t *held_json(const struct simulation *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(list, time_json(s->held[i].time_ns));
    return list;
}

static bool show_step(void *ctx, const struct simulation *s)
{
    const struct simulating *x = ctx;
    char now[40], oldest[40];
    if (cli.json) {
        print_json(json_pack("{s:s, s:o, s:I, s:o}", "type", "moment", "time", time_json(s->time_ns), "held",
                             (json_int_t)s->n, "snapshots", held_json(s)));
        return true;
    }
    time_format_local(now, s->time_ns);
    time_format_local(oldest, s->n ? s->held[0].time_ns : s->time_ns);
    printf("%s  %5zu  %s  ", now, s->n, oldest);
    if (s->n) {
        AUTO(strings) why = STRINGS_NONE;
        retention_explain(x->retention, &s->held[0], &s->why[0], &why);
        for (size_t i = 0; i < why.n; i++)
            printf("%s%s", i ? ", " : "", why.v[i]);
    }
    putchar('\n');
    return true;
}

static int simulate(const struct config *c, struct err *e)
{
    uint64_t span, every = 86400;
    struct retention r = {.keep = c->retention.keep, .now_ns = time_now_ns()};
    if (!duration_parse(args.simulate, &span) || span > 100ull * 366 * 86400)
        return err_set(e, ERR_USAGE, "--simulate %s: is not a time such as 400d, of at most 100 years",
                       args.simulate);
    if (args.every && (!duration_parse(args.every, &every) || every == 0))
        return err_set(e, ERR_USAGE, "--every %s: is not a time such as 24h", args.every);
    if (span / every > 1000000)
        return err_set(e, ERR_USAGE, "--simulate: would be more than a million moments");
    AUTO_PTR(zone) zone = c->retention.time_zone ? zone_load(c->retention.time_zone, e) : NULL;
    if (c->retention.time_zone && !zone)
        return -1;
    r.zone = zone;
    struct simulating x = {.retention = &r};
    if (!cli.json)
        printf("%-19s  %5s  %-19s  %s\n", "AFTER THE PRUNE OF", "HELD", "THE OLDEST", "KEPT FOR");
    retention_simulate(&r, r.now_ns, every, span, show_step, &x);
    return EXIT_GOOD;
}

/* ---- the report ---- */
static json_t *count_json(const struct prune_count *c)
{
    return json_pack("{s:I, s:I}", "packs", (json_int_t)c->packs, "bytes", (json_int_t)c->bytes);
}

static json_t *mirrors_json(const struct run_prune_result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->mirror_count; i++) {
        const struct run_pruned_mirror *m = &r->mirrors[i];
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:I, s:o, s:o, s:o, s:o}", "name", m->name, "ok", !m->error,
                            "forgotten", (json_int_t)m->forgotten, "removed", list_json(&m->report.removed),
                            "swept", count_json(&m->report.swept), "waiting", count_json(&m->report.waiting),
                            "error", m->error ? text_json(m->error) : json_null()));
    }
    return list;
}

static void print_result_json(const struct run_prune_result *r)
{
    const struct prune_report *p = &r->report;
    json_t *snapshots = json_array();
    for (size_t i = 0; i < r->n; i++) {
        char id[SHA_HEX];
        sha_hex(id, &r->v[i].id);
        json_array_append_new(snapshots,
                              json_pack("{s:s, s:o, s:o, s:b, s:o, s:o}", "id", id, "time",
                                        time_json(r->v[i].time_ns), "host", text_json(r->v[i].host), "goes",
                                        r->v[i].goes, "forgotten", maybe_time_json(r->v[i].forgotten_ns),
                                        "why", list_json(&r->v[i].why)));
    }
    json_t *o = json_pack("{s:s, s:b, s:b, s:o, s:o, s:o}", "type", "summary", "dry_run", args.dry_run,
                          "stopped", r->stopped, "alarms", list_json(&r->alarms), "snapshots", snapshots,
                          "removed", list_json(&p->removed));
    const struct {
        const char *name;
        const struct prune_count *count;
    } counts[] = {{"found", &p->found},       {"dead", &p->dead},       {"thin", &p->thin},
                  {"moved", &p->moved},       {"waiting", &p->waiting}, {"swept", &p->swept},
                  {"retained", &p->retained}, {"young", &p->young}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        json_object_set_new(o, counts[i].name, count_json(counts[i].count));
    if (r->mirror_count)
        json_object_set_new(o, "mirrors", mirrors_json(r));
    json_object_set_new(o, "garbage_left", json_integer((json_int_t)p->garbage_left));
    json_object_set_new(o, "notes", list_json(&p->notes));
    print_json(o);
}

static void print_snapshot(const struct run_pruned *s)
{
    char id[9], time[40];
    short_id(id, &s->id);
    time_format_local(time, s->time_ns);
    printf("%s  %s  ", id, time);
    print_text(s->host);
    printf("  %s\n", s->goes ? "GOES" : "stays");
    print_lines("    ", &s->why);
}

static void print_count(const char *what, const struct prune_count *c)
{
    char size[32];
    size_format(size, c->bytes);
    if (c->packs)
        printf("%s: %llu packs, %s\n", what, (unsigned long long)c->packs, size);
}

static void print_mirror(const struct run_pruned_mirror *m)
{
    if (m->error)
        return;
    printf("mirror %s: %llu snapshots forgotten, %zu gone for good\n", m->name,
           (unsigned long long)m->forgotten, m->report.removed.n);
    print_count("    swept", &m->report.swept);
    print_count("    moved", &m->report.moved);
    print_count("    waiting for their grace", &m->report.waiting);
    print_count("    retained by the store's own lock", &m->report.retained);
    print_lines("    note: ", &m->report.notes);
}

static void print_result(const struct run_prune_result *r, bool undoable)
{
    const struct prune_report *p = &r->report;
    size_t going = 0, all = 0;
    for (size_t i = 0; i < r->n; i++) {
        all += r->v[i].forgotten_ns == 0;
        going += r->v[i].forgotten_ns == 0 && r->v[i].goes && !p->clock_went_back;
        if (args.dry_run || cli.verbose || r->stopped)
            print_snapshot(&r->v[i]);
    }
    if (r->stopped)
        return;
    printf("%s%zu of %zu snapshots%s\n", args.dry_run ? "would forget " : "forgot ", going, all,
           going && undoable && !args.dry_run ? " (`lifeboat undo` brings them back for a while)" : "");
    if (p->removed.n)
        printf("%zu snapshots that were forgotten earlier %s gone for good\n", p->removed.n,
               args.dry_run ? "would be" : "are");
    print_count("swept", &p->swept);
    print_count("moved out of packs that were mostly garbage", &p->moved);
    print_count("waiting for their grace", &p->waiting);
    print_count("retained by the store's own lock", &p->retained);
    print_lines("note: ", &p->notes);
    for (size_t i = 0; i < r->mirror_count; i++)
        print_mirror(&r->mirrors[i]);
}

/* Whether each mirror was pruned. */
static bool say_mirrors(const struct run_prune_result *r)
{
    bool all = true;
    for (size_t i = 0; i < r->mirror_count; i++)
        if (r->mirrors[i].error) {
            ui_say("mirror %s: %s", r->mirrors[i].name, r->mirrors[i].error);
            all = false;
        }
    return all;
}

static void tell(const struct run_prune_result *r)
{
    if (r->stopped)
        outcome_of("prune", "", "stopped for a person to look (then prune --yes): %s", r->alarms.v[0]);
    else if (r->report.clock_went_back)
        outcome_of("prune", "", "the clock went back: see its output");
    for (size_t i = 0; i < r->mirror_count; i++)
        outcome_of("prune", r->mirrors[i].name, r->mirrors[i].error ? "%s" : NULL, r->mirrors[i].error);
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_prune_result) r = {0};
    if (args.simulate && (args.dry_run || args.exclusive || args.yes))
        return err_set(e, ERR_USAGE,
                       "--simulate looks at [retention] alone: --every is all that goes with it");
    if (args.simulate)
        return simulate(c->config, e);
    if (args.every)
        return err_set(e, ERR_USAGE, "--every goes with --simulate");
    if (!args.dry_run)
        outcome_begin(c, true, false);
    const struct run_prune_options o = {.config = c->config,
                                        .identity_file = c->identity,
                                        .passphrase_file = c->passphrase_file,
                                        .dry_run = args.dry_run,
                                        .exclusive = args.exclusive,
                                        .yes = args.yes,
                                        .progress = ui_progress()};
    int rc = run_prune(&o, &r, e);
    ui_clear();
    if (rc)
        return -1;
    if (c->json)
        print_result_json(&r);
    else if (!c->quiet || r.stopped)
        print_result(&r, c->config->retention.undo_window_s > 0);
    for (size_t i = 0; i < r.alarms.n; i++)
        ui_say("%s", r.alarms.v[i]);
    if (r.stopped)
        ui_say("nothing was done: look at the list above, then prune --yes");
    else if (r.alarms.n && !args.yes)
        ui_say("so it would stop there, and go on with --yes");
    tell(&r);
    bool asks = r.alarms.n && !args.yes;
    return !say_mirrors(&r) || asks || r.report.clock_went_back ? EXIT_DEGRADED : EXIT_GOOD;
}

const struct command command_prune = {
    .name = "prune",
    .arguments = "",
    .summary = "forget what [retention] does not keep, and give space back",
    .about =
        "Snapshots that no rule keeps are marked as forgotten; `lifeboat undo` brings them back within undo-window.\n"
        "After that they are deleted, and packs that nothing needs any more are condemned; those are deleted by a\n"
        "later prune, once the grace is over. Pinned snapshots, the last good ones and the newest proven one are\n"
        "always kept. Several hosts may back up and prune at the same time. With the identity at hand more space\n"
        "comes back.",
    .example = "lifeboat prune --dry-run",
    .exits =
        "3 stopped: more would go, or more has come, than is usual (--yes after looking), or a mirror was not\n"
        "pruned; 5 damaged",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS,
    .run = run,
};
