#include "cmd.h"

#include <string.h>

json_t *copy_json(const struct run_copy_result *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct run_copied *m = &r->v[i];
        json_array_append_new(
            list, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:o, s:o}", "name", m->name, "ok",
                            run_copied_is_good(m), "packs", (json_int_t)m->report.packs, "snapshots",
                            (json_int_t)m->report.snapshots, "bytes", (json_int_t)m->report.bytes, "waiting",
                            (json_int_t)m->report.waiting, "notes", list_json(&m->report.notes), "error",
                            m->error ? text_json(m->error) : json_null()));
    }
    return list;
}

void copy_print(const struct run_copy_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct copy_report *c = &r->v[i].report;
        char size[32];
        size_format(size, c->bytes);
        printf("  mirror %-9s %s", r->v[i].name,
               r->v[i].error ? "FAILED"
               : c->waiting  ? "WAITS"
               : c->left_out ? "INCOMPLETE"
                             : "good");
        printf("%s %s copied: %llu snapshots, %llu packs, %llu other objects\n", r->v[i].error ? ";" : ",",
               size, (unsigned long long)c->snapshots, (unsigned long long)c->packs,
               (unsigned long long)c->others);
        print_lines("      note: ", &c->notes);
    }
}

bool copy_say(const struct run_copy_result *r)
{
    bool good = true;
    for (size_t i = 0; i < r->n; i++) {
        const struct run_copied *m = &r->v[i];
        good &= run_copied_is_good(m);
        if (m->error)
            ui_say("mirror %s: %s", m->name, m->error);
        else if (!run_copied_is_good(m))
            ui_say("mirror %s: %s", m->name, m->report.notes.v[m->report.notes.n - 1]);
    }
    return good;
}

void copy_tell(const struct run_copy_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct run_copied *m = &r->v[i];
        if (run_copied_is_good(m))
            outcome_of("copy", m->name, NULL);
        else
            outcome_of("copy", m->name, "%s", m->error ? m->error : m->report.notes.v[m->report.notes.n - 1]);
    }
}

static bool any_failed(const struct run_copy_result *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].error)
            return true;
    return false;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_copy_result) r = {0};
    const struct run_access access = cli_access(c);
    const struct strings names = {.v = c->arguments, .n = c->count};
    outcome_begin(c, c->count == 0, false);
    int rc = run_copy(&access, &names, ui_progress(), NULL, &r, e);
    ui_clear();
    if (rc)
        return -1;
    copy_tell(&r);
    if (c->json)
        print_json(json_pack("{s:s, s:o}", "type", "summary", "mirrors", copy_json(&r)));
    else if (!c->quiet)
        copy_print(&r);
    bool good = copy_say(&r);
    return any_failed(&r) ? EXIT_FAILED : good ? EXIT_GOOD : EXIT_DEGRADED;
}

const struct command command_copy = {
    .name = "copy",
    .arguments = "[STORE...]",
    .summary = "bring the mirrors up to date, or those that are named",
    .about =
        "Mirrors are the stores of the configuration behind the first one. They receive what they lack; each\n"
        "object is compared with its name on the way. A snapshot is copied when all it needs is there. Nothing is\n"
        "deleted. `lifeboat backup` does the same at its end.",
    .example = "lifeboat copy away",
    .exits = "3 snapshots wait, or an object cannot be read (it is named)",
    .takes = TAKES_CONFIG | TAKES_KEYS,
    .most = 100,
    .run = run,
};
