#include "cmd.h"

#include <string.h>

static json_t *snapshot_json(const struct snapshot *s)
{
    char id[SHA_HEX];
    sha_hex(id, &s->id);
    json_t *sources = json_array();
    for (size_t i = 0; i < s->source_count; i++)
        json_array_append_new(sources, json_pack("{s:s, s:s, s:I, s:s}", "name", s->sources[i].name, "type",
                                                 s->sources[i].type, "bytes", (json_int_t)s->sources[i].bytes,
                                                 "verdict", verdict_name(s->sources[i].verdict)));
    return json_pack("{s:s, s:o, s:o, s:s, s:s, s:b, s:b, s:o, s:b, s:o, s:o}", "id", id, "time",
                     time_json(s->time_ns), "stored", time_json(s->stored_ns), "host", s->host, "verdict",
                     verdict_name(s->verdict), "pinned", s->pins.n != 0, "proven", snapshot_is_proven(s),
                     "forgotten", maybe_time_json(s->forgotten_ns), "broken", s->broken, "tags",
                     list_json(&s->tags), "sources", sources);
}

static void print_texts(const char *what, const struct strings *texts)
{
    for (size_t i = 0; i < texts->n; i++) {
        fputs(i ? ", " : what, stdout);
        print_text(texts->v[i]);
    }
}

static void print_row(const struct snapshot *s)
{
    char id[9], time[40], size[32];
    short_id(id, &s->id);
    time_format_local(time, s->time_ns);
    AUTO_CHAR host = text_printable(s->host, strlen(s->host));
    printf("%s  %s  %-12s  %-8s %-6s %-9s ", id, time, host, verdict_name(s->verdict),
           snapshot_is_proven(s) ? "proven" : "",
           s->broken         ? "broken"
           : s->forgotten_ns ? "forgotten"
           : s->pins.n       ? "pinned"
                             : "");
    for (size_t i = 0; i < s->source_count; i++) {
        const struct snapshot_source *src = &s->sources[i];
        size_format(size, src->bytes);
        fputs(i ? ", " : " ", stdout);
        print_text(src->name);
        if (src->verdict == VERDICT_GOOD)
            printf(" %s", size);
        else if (src->verdict == VERDICT_DEGRADED)
            printf(" %s (degraded)", size);
        else
            fputs(" (failed)", stdout);
        if (src->proof.state == PROOF_FAILED)
            fputs(" (DRILL FAILED)", stdout);
    }
    print_texts("  tags: ", &s->tags);
    print_texts("  pinned: ", &s->pins);
    putchar('\n');
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    if (cli_open(c, RUN_LOOK, &r, &all, e) || cli_load_proofs(&r, &all, e))
        return -1;
    if (c->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < all.n; i++)
            json_array_append_new(list, snapshot_json(&all.v[i]));
        print_json(list);
        return EXIT_GOOD;
    }
    if (all.n)
        printf("%-8s  %-19s  %-12s  %-8s %-6s %-9s  %s\n", "ID", "TIME", "HOST", "VERDICT", "PROVEN",
               "MARKED", "SOURCES");
    else
        ui_note("there is no snapshot");
    for (size_t i = 0; i < all.n; i++)
        print_row(&all.v[i]);
    return EXIT_GOOD;
}

const struct command command_list = {
    .name = "list",
    .arguments = "",
    .summary = "list the snapshots",
    .about =
        "Oldest first. MARKED says pinned, forgotten (it goes when undo-window is over; `lifeboat undo` brings it\n"
        "back) or broken (the machine slept while it was put, so that it may lack something: it goes, too). The\n"
        "writer key is enough.",
    .example = "lifeboat list --host web --at 2026-03-01",
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE | TAKES_SELECT | TAKES_MIRRORS,
    .run = run,
};
