#include "cmd.h"

#include <string.h>

static json_t *stream_json(const struct stream_info *i)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:I}", "name", text_json(i->name), "bytes", (json_int_t)i->bytes,
                     "chunks", (json_int_t)i->chunks, "new_bytes", (json_int_t)i->new_bytes, "stored_bytes",
                     (json_int_t)i->stored_bytes);
}

static json_t *source_json(const struct snapshot_source *s)
{
    json_t *streams = json_array();
    for (size_t i = 0; i < s->stream_count; i++)
        json_array_append_new(streams, stream_json(&s->streams[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o, s:o}", "name",
                     s->name, "type", s->type, "verdict", verdict_name(s->verdict), "sequence",
                     (json_int_t)s->sequence, "bytes", (json_int_t)s->bytes, "new_bytes",
                     (json_int_t)s->new_bytes, "stored_bytes", (json_int_t)s->stored_bytes, "files",
                     (json_int_t)s->files, "seconds", s->seconds, "error",
                     s->error ? text_json(s->error) : json_null(), "reasons", list_json(&s->reasons), "notes",
                     list_json(&s->notes), "proof", proof_json(&s->proof), "streams", streams);
}

static void print_snapshot_json(const struct snapshot *s, const struct receipts *receipts)
{
    char id[SHA_HEX];
    sha_hex(id, &s->id);
    json_t *sources = json_array();
    for (size_t i = 0; i < s->source_count; i++)
        json_array_append_new(sources, source_json(&s->sources[i]));
    json_t *drills = json_array();
    for (size_t i = 0; i < receipts->n; i++) {
        json_t *list = json_array();
        drill_add_json(&receipts->v[i], list);
        json_array_append_new(
            drills, json_pack("{s:o, s:o, s:o, s:f, s:o}", "time", time_json(receipts->v[i].time_ns), "host",
                              text_json(receipts->v[i].host), "version", text_json(receipts->v[i].version),
                              "seconds", receipts->v[i].seconds, "sources", list));
    }
    print_json(json_pack("{s:s, s:o, s:s, s:s, s:b, s:o, s:b, s:o, s:b, s:f, s:o, s:o, s:o}", "id", id,
                         "time", time_json(s->time_ns), "host", s->host, "verdict", verdict_name(s->verdict),
                         "pinned", s->pins.n != 0, "pins", list_json(&s->pins), "proven",
                         snapshot_is_proven(s), "forgotten", maybe_time_json(s->forgotten_ns), "broken",
                         s->broken, "seconds", s->seconds, "tags", list_json(&s->tags), "sources", sources,
                         "drills", drills));
}

static void print_proof(const struct proof *p)
{
    char time[40], restore[32], all[32];
    if (p->state == PROOF_NONE)
        return;
    time_format_local(time, p->time_ns);
    duration_format(restore, (uint64_t)(p->restore_seconds * 1e9));
    duration_format(all, (uint64_t)(p->seconds * 1e9));
    if (p->state == PROOF_FAILED)
        printf("  NOT PROVEN by the drill of %s: see below\n", time);
    else if (p->read_only)
        printf("  read and found whole on %s (not restored)\n", time);
    else
        printf("  proven on %s: restored in %s, drilled in %s\n", time, restore, all);
}

static void print_source(const struct snapshot_source *s)
{
    char size[32], fresh[32], stored[32], time[32];
    size_format(size, s->bytes);
    size_format(fresh, s->new_bytes);
    size_format(stored, s->stored_bytes);
    duration_format(time, (uint64_t)(s->seconds * 1e9));
    fputs("\n", stdout);
    print_text(s->name);
    fputs(" (", stdout);
    print_text(s->type);
    printf("): %s, number %llu on this host, in %s\n", verdict_name(s->verdict),
           (unsigned long long)s->sequence, time);
    if (s->error) {
        fputs("  failed: ", stdout);
        print_text(s->error);
        putchar('\n');
    } else {
        printf("  %s, of it %s new, stored in %s", size, fresh, stored);
        if (s->files)
            printf("; %llu %s", (unsigned long long)s->files,
                   strcmp(s->type, "volume") == 0 ? "entries" : "tables");
        putchar('\n');
    }
    print_proof(&s->proof);
    print_lines("  look: ", &s->reasons);
    print_lines("  note: ", &s->notes);
    for (size_t i = 0; i < s->stream_count; i++) {
        AUTO_CHAR name = text_printable(s->streams[i].name, strlen(s->streams[i].name));
        size_format(size, s->streams[i].bytes);
        printf("  stream %-14s %10s in %llu chunks\n", name, size, (unsigned long long)s->streams[i].chunks);
    }
}

/* The newest drill in full: what differs, what the proof does not cover. */
static void print_last_drill(const struct receipts *receipts)
{
    char time[40];
    if (receipts->n == 0)
        return;
    const struct receipt *r = &receipts->v[receipts->n - 1];
    time_format_local(time, r->time_ns);
    printf("\nlast drill, %s on ", time);
    print_text(r->host);
    puts(":");
    drill_print(r);
}

static void print_snapshot(const struct snapshot *s, const struct receipts *receipts)
{
    char id[SHA_HEX], time[40], took[32];
    sha_hex(id, &s->id);
    time_format_local(time, s->time_ns);
    duration_format(took, (uint64_t)(s->seconds * 1e9));
    printf("snapshot  %s\ntime      %s (took %s)\nhost      ", id, time, took);
    print_text(s->host);
    printf("\nverdict   %s%s\n", verdict_name(s->verdict), snapshot_is_proven(s) ? ", proven" : "");
    print_lines("tag       ", &s->tags);
    print_lines("pinned    ", &s->pins);
    if (s->forgotten_ns) {
        time_format_local(time, s->forgotten_ns);
        printf("%-9s since %s\n", s->broken ? "broken" : "forgotten", time);
    }
    for (size_t i = 0; i < s->source_count; i++)
        print_source(&s->sources[i]);
    print_last_drill(receipts);
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct run_select select = cli_select(c);
    if (cli_open(c, RUN_LOOK, &r, &all, e))
        return -1;
    const struct snapshot *s = run_pick(&all, c->arguments[0], &select, e);
    AUTO(receipts) receipts = {0};
    if (!s || receipts_load(r.repo, &s->id, &receipts, e))
        return -1;
    receipts_apply(&receipts, &all);
    if (c->json)
        print_snapshot_json(s, &receipts);
    else
        print_snapshot(s, &receipts);
    return EXIT_GOOD;
}

const struct command command_show = {
    .name = "show",
    .arguments = "SNAP",
    .summary = "say all about a snapshot",
    .about =
        "SNAP is an id or how it begins, latest, or latest:SOURCE (the newest that holds that source). Shows\n"
        "verdicts, reasons, notes, sizes, streams and what drills found. The writer key is enough.",
    .example = "lifeboat show latest:uploads",
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT | TAKES_MIRRORS,
    .least = 1,
    .most = 1,
    .run = run,
};
