#include "cmd.h"

#include "base/log.h"
#include "report/metrics.h"

#include <string.h>

static struct {
    bool prometheus;
} args;

static const struct option_spec options[] = {
    {0, "prometheus", NULL, OPTION_FLAG, &args.prometheus,
     "print metrics in Prometheus' text format instead"},
    {0},
};

/* Of another store than the first nobody here has noted how its copies stand. */
static void load_mirrors(const struct config *c, const struct run_repo *r, struct mirror_notes *out)
{
    if (!c || cli.store)
        return;
    AUTO_CHAR folder = xasprintf("%s/%s", c->state_dir, r->id);
    mirror_notes_load(out, folder, c);
}

/* A snapshot as far as one source goes. */
static json_t *moment_json(const struct snapshot *s, const char *source)
{
    char id[SHA_HEX];
    if (!s)
        return json_null();
    const struct snapshot_source *src = snapshot_find_source(s, source);
    sha_hex(id, &s->id);
    json_t *o = json_pack("{s:s, s:o, s:s, s:I}", "snapshot", id, "time", time_json(s->time_ns), "verdict",
                          verdict_name(src->verdict), "bytes", (json_int_t)src->bytes);
    if (src->proof.state != PROOF_NONE)
        json_object_set_new(o, "proof", proof_json(&src->proof));
    return o;
}

struct screen {
    const struct status *status;
    const struct record *record; /* of this host; empty when another is looked at */
    const char *host, *store;
    size_t snapshots;
    bool has_space;
    uint64_t free_bytes, total_bytes;
};

static json_t *runs_json(const struct record *record)
{
    json_t *list = json_array();
    for (size_t i = 0; i < record->run_count; i++) {
        const struct ran *r = &record->runs[i];
        json_array_append_new(list, json_pack("{s:s, s:o, s:f, s:i, s:o}", "command", r->command, "time",
                                              time_json(r->time_ns), "seconds", r->seconds, "exit_code",
                                              r->code, "due", maybe_time_json(status_run_due_ns(r))));
    }
    return list;
}

static void print_screen_json(const struct screen *x)
{
    json_t *sources = json_array();
    for (size_t i = 0; i < x->status->n; i++) {
        const struct source_status *s = &x->status->v[i];
        json_array_append_new(
            sources,
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", s->name, "type", s->type,
                      "level", status_level_name(s->level), "last", moment_json(s->last, s->name),
                      "last_good", moment_json(s->good, s->name), "last_proven",
                      moment_json(s->proven, s->name), "backup_due", maybe_time_json(s->backup_due_ns),
                      "drill_due", maybe_time_json(s->drill_due_ns), "problems", list_json(&s->problems)));
    }
    json_t *mirrors = json_array();
    for (size_t i = 0; i < x->status->mirror_count; i++) {
        const struct mirror_status *m = &x->status->mirrors[i];
        json_array_append_new(mirrors,
                              json_pack("{s:s, s:s, s:o, s:o, s:I, s:o, s:o}", "name", m->note->name, "level",
                                        status_level_name(m->level), "last_complete",
                                        maybe_time_json(m->note->complete_ns), "copy_due",
                                        maybe_time_json(m->due_ns), "behind", (json_int_t)m->behind, "error",
                                        m->note->error ? text_json(m->note->error) : json_null(), "problems",
                                        list_json(&m->problems)));
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o}", "type", "status", "level",
                          status_level_name(x->status->level), "host", x->host, "store", x->store,
                          "snapshots", (json_int_t)x->snapshots, "sources", sources, "mirrors", mirrors,
                          "runs", runs_json(x->record));
    if (x->has_space) {
        json_object_set_new(o, "free_bytes", json_integer((json_int_t)x->free_bytes));
        json_object_set_new(o, "total_bytes", json_integer((json_int_t)x->total_bytes));
    }
    print_json(o);
}

/* 0: `never`. */
static void print_time(int64_t ns, const char *never)
{
    char time[40];
    if (ns)
        time_format_local(time, ns);
    printf("  %-19s", ns ? time : never);
}

static void print_moment(const struct snapshot *s)
{
    print_time(s ? s->time_ns : 0, "never");
}

static void print_source(const struct source_status *s)
{
    char took[32] = "";
    printf("%-16s", s->name);
    print_moment(s->last);
    print_moment(s->good);
    print_moment(s->proven);
    if (s->proven) {
        const struct proof *p = &snapshot_find_source(s->proven, s->name)->proof;
        duration_format(took, (uint64_t)(p->restore_seconds * 1e9));
        printf("  %s", p->read_only ? "(read only)" : took);
    }
    putchar('\n');
}

static void print_mirrors(const struct status *s)
{
    if (s->mirror_count)
        printf("\n%-16s  %-19s  %-19s  %s\n", "MIRROR", "LAST COMPLETE", "NEXT DUE BY", "BEHIND");
    for (size_t i = 0; i < s->mirror_count; i++) {
        const struct mirror_status *m = &s->mirrors[i];
        printf("%-16s", m->note->name);
        print_time(m->note->complete_ns, "never");
        print_time(m->due_ns, "now");
        printf("  %zu snapshots\n", m->behind);
    }
}

/* What is waited for: after these times it is a warning, or, of a command, at least strange. */
static void print_due(const struct screen *x)
{
    const struct status *s = x->status;
    if (s->n)
        printf("\n%-16s  %-19s  %s\n", "NEXT DUE BY", "BACKUP", "DRILL");
    for (size_t i = 0; i < s->n; i++) {
        printf("%-16s", s->v[i].name);
        print_time(s->v[i].backup_due_ns, "now");
        print_time(s->v[i].drill_due_ns, "now");
        putchar('\n');
    }
    if (x->record->run_count)
        printf("\n%-16s  %-19s  %-19s  %s\n", "COMMAND", "LAST RUN", "NEXT DUE BY", "EXIT CODE");
    for (size_t i = 0; i < x->record->run_count; i++) {
        const struct ran *r = &x->record->runs[i];
        printf("%-16s", r->command);
        print_time(r->time_ns, "never");
        print_time(status_run_due_ns(r), "");
        printf("  %d\n", r->code);
    }
}

static void print_screen(const struct screen *x)
{
    char free_text[32], total[32];
    size_format(free_text, x->free_bytes);
    size_format(total, x->total_bytes);
    printf("%s: %s, %zu snapshots", x->host, x->store, x->snapshots);
    if (x->has_space)
        printf(", %s of %s free", free_text, total);
    printf("\n\n%-16s  %-19s  %-19s  %-19s  %s\n", "SOURCE", "LAST", "LAST GOOD", "LAST PROVEN",
           "RESTORED IN");
    for (size_t i = 0; i < x->status->n; i++)
        print_source(&x->status->v[i]);
    print_mirrors(x->status);
    print_due(x);
    putchar('\n');
    for (size_t i = 0; i < x->status->n; i++) {
        AUTO_CHAR before =
            xasprintf("%s: %s: ", status_level_name(x->status->v[i].level), x->status->v[i].name);
        print_lines(before, &x->status->v[i].problems);
    }
    for (size_t i = 0; i < x->status->mirror_count; i++) {
        const struct mirror_status *m = &x->status->mirrors[i];
        AUTO_CHAR before = xasprintf("%s: mirror %s: ", status_level_name(m->level), m->note->name);
        print_lines(before, &m->problems);
    }
    if (x->status->level == STATUS_OK)
        puts("ok");
}

/* ---- metrics ---- */
static void look_at_space(struct run_repo *r, struct metrics *m)
{
    struct err ignored = ERR_INIT;
    m->has_space = store_space(r->store, &m->free_bytes, &m->total_bytes, &ignored) == STORE_DONE;
}

int status_metrics(const struct config *c, const struct record *record, struct buf *out, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    AUTO(status) status = {0};
    AUTO(mirror_notes) mirrors = {0};
    AUTO(newest) newest = {0};
    const struct run_access access = {.config = c};
    struct metrics m = {.host = c->host, .record = record};
    int rc =
        run_open(&r, &access, RUN_LOOK, e) || snapshots_load(r.repo, &all, e) || cli_load_proofs(&r, &all, e);
    if (rc == 0) {
        load_mirrors(c, &r, &mirrors);
        run_newest(&r, c, &all, &newest);
        newest.no_reader = run_has_no_reader(&r);
        status_make(c, &all, &mirrors, &newest, c->host, time_now_ns(), &status);
        look_at_space(&r, &m);
        m.status = &status;
        m.snapshots = all.n;
    }
    metrics_write(&m, out);
    return rc ? -1 : 0;
}

/* What is known without the store is printed all the same: that it cannot be read is what somebody wants to
 * know. */
static int print_metrics(const struct cli *c, struct err *e)
{
    AUTO(record) record = {0};
    AUTO(buf) out = BUF_NONE;
    if (!c->config || c->store || c->host || c->tag || c->at || c->json)
        return err_set(e, ERR_USAGE,
                       "--prometheus is about this host as it is configured: leave the other options out");
    if (record_load(&record, c->config->state_dir, e))
        return -1;
    int rc = status_metrics(c->config, &record, &out, e);
    fwrite(out.p, 1, out.n, stdout);
    return rc ? -1 : EXIT_GOOD;
}

/* Of this host, as far as it can be read. */
static void load_record(const struct cli *c, struct record *out)
{
    struct err why = ERR_INIT;
    if (c->config && !c->store && !c->host && record_load(out, c->config->state_dir, &why))
        log_warn("how commands last ended: %s", why.text);
}

static int run(struct cli *c, struct err *e)
{
    AUTO(record) record = {0};
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    AUTO(status) status = {0};
    AUTO(mirror_notes) mirrors = {0};
    AUTO(newest) newest = {0};
    if (args.prometheus)
        return print_metrics(c, e);
    struct run_select select = cli_select(c);
    if (cli_open(c, RUN_LOOK, &r, &all, e) || cli_load_proofs(&r, &all, e))
        return -1;
    const char *host = select.host ? select.host : select.this_host;
    struct screen x = {.status = &status,
                       .record = &record,
                       .host = host,
                       .store = store_title(r.store),
                       .snapshots = all.n};
    load_record(c, &record);
    load_mirrors(c->config, &r, &mirrors);
    if (!cli.store && !select.host && !select.tag && !select.at) {
        run_newest(&r, c->config, &all, &newest);
        newest.no_reader = run_has_no_reader(&r);
    }
    status_make(c->config, &all, &mirrors, &newest, host, time_now_ns(), &status);
    int space = store_space(r.store, &x.free_bytes, &x.total_bytes, e);
    if (space == STORE_FAILED)
        return -1;
    x.has_space = space == STORE_DONE;
    if (c->json)
        print_screen_json(&x);
    else if (!c->quiet || status.level != STATUS_OK)
        print_screen(&x);
    return (int)status.level;
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "one screen: what is backed up, good and proven, what is due, and what to look at",
    .about =
        "For each source the last backup, the last good one, the last proven one and how long its restore took in\n"
        "the drill; for each mirror when it was last complete and how many snapshots came since; how each command\n"
        "last ended on this host. NEXT DUE BY is the latest at which the next one should be there: a good backup 26\n"
        "hours after the last one, a proof after 8 days, a copy after 2 days (from then on there is a warning), a\n"
        "prune after 26 hours, a check after 8 days; timers usually come sooner. Ends as a Nagios check does. The\n"
        "writer key is enough.",
    .example = "lifeboat status",
    .exits = "here 0 is ok, 1 a warning (or a failure), 2 critical",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT,
    .run = run,
};
