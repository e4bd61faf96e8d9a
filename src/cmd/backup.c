#include "cmd.h"

#include <stdlib.h>
#include <string.h>

static struct {
    const char *pin;
    struct strings tags;
    bool read_all, dry_run;
} args;

static const struct option_spec options[] = {
    {0, "pin", "REASON", OPTION_TEXT, &args.pin, "keep this snapshot whatever retention says"},
    {0, "tag", "TAG", OPTION_LIST, &args.tags, "label the snapshot; may be repeated"},
    {0, "read-all", NULL, OPTION_FLAG, &args.read_all, "read unchanged files, too"},
    {0, "dry-run", NULL, OPTION_FLAG, &args.dry_run, "say what would be backed up, having looked at it"},
    {0},
};

/* ---- --dry-run ---- */
int backup_dry_run(const struct config *c, const struct strings *names, struct err *e)
{
    const struct config_source **sources;
    size_t n;
    int code = EXIT_GOOD;
    if (run_order_sources(c, names, &sources, &n, e))
        return -1;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        AUTO(buf) what = BUF_NONE;
        struct err why = ERR_INIT;
        const char *type = source_type_name(sources[i]->type);
        bool bad = run_describe(sources[i], &what, &why) != 0;
        const char *text = bad ? why.text : buf_cstr(&what);
        if (bad)
            code = EXIT_FAILED;
        if (cli.json) {
            json_t *o = json_pack("{s:s, s:s, s:b}", "name", sources[i]->name, "type", type, "ready", !bad);
            json_object_set_new(o, bad ? "error" : "what", text_json(text));
            json_array_append_new(list, o);
        } else {
            printf("%-16s %-9s %s", sources[i]->name, type, bad ? "NOT READY: " : "");
            print_text(text);
            putchar('\n');
        }
    }
    free(sources);
    if (cli.json)
        print_json(
            json_pack("{s:s, s:b, s:n, s:o}", "type", "summary", "dry_run", 1, "snapshot", "sources", list));
    else
        json_decref(list);
    return code;
}

/* ---- the summary ---- */
static json_t *source_json(const struct snapshot_source *s)
{
    json_t *reasons = list_json(&s->reasons);
    if (s->error)
        json_array_insert_new(reasons, 0, text_json(s->error));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "name", s->name, "type", s->type,
                     "verdict", verdict_name(s->verdict), "bytes", (json_int_t)s->bytes, "new_bytes",
                     (json_int_t)s->new_bytes, "stored_bytes", (json_int_t)s->stored_bytes, "files",
                     (json_int_t)s->files, "seconds", s->seconds, "reasons", reasons);
}

/* By class, all 0 where there is no server; and what of them was new objects. */
static json_t *requests_json(const struct run_backup_result *r)
{
    json_t *o = json_pack("{s:I, s:I, s:I}", "put_packs", (json_int_t)r->stats.packs, "put_indexes",
                          (json_int_t)r->stats.indexes, "put_snapshots", (json_int_t)(r->written ? 1 : 0));
    uint64_t up = 0, down = 0;
    for (unsigned i = 0; i < STORE_CLASSES; i++) {
        json_object_set_new(o, store_class_name((enum store_class)i),
                            json_integer((json_int_t)r->requests.of[i].requests));
        up += r->requests.of[i].bytes_up;
        down += r->requests.of[i].bytes_down;
    }
    json_object_set_new(o, "bytes_up", json_integer((json_int_t)up));
    json_object_set_new(o, "bytes_down", json_integer((json_int_t)down));
    return o;
}

static void print_summary_json(const struct run_backup_result *r)
{
    char id[SHA_HEX];
    sha_hex(id, &r->snapshot.id);
    json_t *sources = json_array();
    for (size_t i = 0; i < r->snapshot.source_count; i++)
        json_array_append_new(sources, source_json(&r->snapshot.sources[i]));
    json_t *o =
        json_pack("{s:s, s:o, s:s, s:f, s:o, s:o}", "type", "summary", "snapshot",
                  r->written ? json_string(id) : json_null(), "verdict", verdict_name(r->snapshot.verdict),
                  "seconds", r->snapshot.seconds, "sources", sources, "requests", requests_json(r));
    if (r->mirrors.n)
        json_object_set_new(o, "mirrors", copy_json(&r->mirrors));
    print_json(o);
}

static void print_source(const struct snapshot_source *s)
{
    char bytes[32], fresh[32], stored[32], time[32];
    size_format(bytes, s->bytes);
    size_format(fresh, s->new_bytes);
    size_format(stored, s->stored_bytes);
    duration_format(time, (uint64_t)(s->seconds * 1e9));
    printf("  %-16s %-9s", s->name, verdict_name(s->verdict));
    if (s->verdict == VERDICT_FAILED) {
        fputs(" ", stdout);
        print_text(s->error);
    } else {
        unsigned reused =
            s->bytes ? (unsigned)(100 - 100 * (double)MIN(s->new_bytes, s->bytes) / (double)s->bytes) : 0;
        printf(" %10s, of it %s new, stored in %s; %u %% was there", bytes, fresh, stored, reused);
        if (s->files)
            printf("; %llu %s", (unsigned long long)s->files,
                   strcmp(s->type, "volume") == 0 ? "entries" : "tables");
        printf("; %s", time);
    }
    putchar('\n');
    print_lines("      look: ", &s->reasons);
    print_lines("      note: ", &s->notes);
}

static void print_requests(const struct store_counts *c)
{
    uint64_t n = 0, up = 0;
    char sent[32];
    for (unsigned i = 0; i < STORE_CLASSES; i++) {
        n += c->of[i].requests;
        up += c->of[i].bytes_up;
    }
    size_format(sent, up);
    if (n)
        printf("  %llu requests, %s sent\n", (unsigned long long)n, sent);
}

void backup_print(const struct run_backup_result *r)
{
    char id[9], time[32];
    short_id(id, &r->snapshot.id);
    duration_format(time, (uint64_t)(r->snapshot.seconds * 1e9));
    if (r->written)
        printf("snapshot %s: %s, in %s\n", id, verdict_name(r->snapshot.verdict), time);
    for (size_t i = 0; i < r->snapshot.source_count; i++)
        print_source(&r->snapshot.sources[i]);
    print_requests(&r->requests);
    copy_print(&r->mirrors);
}

static int verdict_code(enum verdict v)
{
    return v == VERDICT_GOOD ? EXIT_GOOD : v == VERDICT_DEGRADED ? EXIT_DEGRADED : EXIT_FAILED;
}

bool backup_say_lost(const struct run_backup_result *r)
{
    bool any = r->newest.no_reader;
    if (any)
        ui_say("%s", NO_READER);
    for (size_t i = 0; i < r->newest.n; i++) {
        const struct newest_of *one = &r->newest.v[i];
        AUTO_CHAR why = one->lost ? newest_explain(one) : NULL;
        if (why)
            ui_say("%s: %s", one->source, why);
        any |= one->lost;
    }
    return any;
}

/* What went wrong is said on standard error too, where a timer's mail is made of. */
static void say_failures(const struct run_backup_result *r)
{
    for (size_t i = 0; i < r->snapshot.source_count; i++)
        if (r->snapshot.sources[i].verdict == VERDICT_FAILED)
            ui_text(r->snapshot.sources[i].error);
    if (!r->written)
        ui_say("every source failed: no snapshot was written");
}

void backup_tell(const struct run_backup_result *r)
{
    for (size_t i = 0; i < r->newest.n; i++) {
        AUTO_CHAR why = r->newest.v[i].lost ? newest_explain(&r->newest.v[i]) : NULL;
        if (why)
            outcome_of("backup", r->newest.v[i].source, "%s", why);
    }
    for (size_t i = 0; i < r->snapshot.source_count; i++) {
        const struct snapshot_source *s = &r->snapshot.sources[i];
        if (s->verdict == VERDICT_GOOD && newest_lost(&r->newest, s->name))
            continue;
        if (s->verdict == VERDICT_GOOD)
            outcome_of("backup", s->name, NULL);
        else
            outcome_of("backup", s->name, "%s: %s", verdict_name(s->verdict),
                       s->error       ? s->error
                       : s->reasons.n ? s->reasons.v[0]
                                      : "see `lifeboat show`");
    }
    if (r->hook_error)
        outcome_of("backup", "", "%s", r->hook_error);
    if (r->newest.no_reader)
        outcome_of("backup", "", "%s", NO_READER);
    copy_tell(&r->mirrors);
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_backup_result) r = {0};
    const struct strings names = {.v = c->arguments, .n = c->count};
    if (args.dry_run)
        return backup_dry_run(c->config, &names, e);
    outcome_begin(c, c->count == 0, c->count == 0);
    const struct run_backup_options o = {.config = c->config,
                                         .sources = &names,
                                         .tags = &args.tags,
                                         .pin = args.pin,
                                         .read_all = args.read_all,
                                         .progress = ui_progress()};
    int rc = run_backup(&o, &r, e);
    ui_clear();
    backup_tell(&r);
    if (rc && !r.written)
        return err_wrap(e, "no snapshot was written");
    if (c->json)
        print_summary_json(&r);
    else if (!c->quiet)
        backup_print(&r);
    say_failures(&r);
    int code = verdict_code(r.snapshot.verdict);
    if (r.hook_error)
        ui_text(r.hook_error);
    bool lost = backup_say_lost(&r);
    if ((!copy_say(&r.mirrors) || r.hook_error || lost) && code == EXIT_GOOD)
        code = EXIT_DEGRADED;
    return rc ? -1 : code;
}

const struct command command_backup = {
    .name = "backup",
    .arguments = "[SOURCE...]",
    .summary = "back up the sources, or those that are named",
    .about =
        "Takes databases first, then volumes, then commands, so that files named by rows are there. Only what\n"
        "the repository does not have yet is stored. A source that fails does not stop the others; the snapshot\n"
        "says so. The writer key is enough.",
    .example = "lifeboat backup --pin 'before the reset' app uploads",
    .exits =
        "3 degraded (taken, with something to look at), a mirror is not up to date, or the store was put\n"
        "back to an older state",
    .options = options,
    .takes = TAKES_CONFIG,
    .most = 1000,
    .run = run,
};
