#include "report/metrics.h"

#include <string.h>

/* ---- the format ---- */
static void begin(struct buf *out, const char *name, const char *help)
{
    buf_add_fmt(out, "# HELP lifeboat_%s %s\n# TYPE lifeboat_%s gauge\n", name, help, name);
}

static void add_label_value(struct buf *out, const char *value)
{
    AUTO_CHAR shown = text_printable(value, strlen(value));
    for (const char *c = shown; *c; c++) {
        if (*c == '\\' || *c == '"')
            buf_add_u8(out, '\\');
        buf_add_u8(out, (uint8_t)*c);
    }
}

/* label NULL: the host alone. */
static void sample(struct buf *out, const struct metrics *m, const char *name, const char *label,
                   const char *value, double number)
{
    buf_add_fmt(out, "lifeboat_%s{host=\"", name);
    add_label_value(out, m->host);
    if (label) {
        buf_add_fmt(out, "\",%s=\"", label);
        add_label_value(out, value);
    }
    buf_add_fmt(out, "\"} %.17g\n", number);
}

static void single(struct buf *out, const struct metrics *m, const char *name, const char *help,
                   double number)
{
    begin(out, name, help);
    sample(out, m, name, NULL, NULL, number);
}

/* Milliseconds: more digits would be noise. */
static double seconds_of(int64_t ns)
{
    int64_t ms = ns / 1000000;
    return (double)ms / 1e3;
}

/* ---- sources ---- */
typedef double source_value(const struct source_status *s);

static double snapshot_time(const struct snapshot *s)
{
    return s ? seconds_of(snapshot_taken_ns(s)) : 0;
}

static double last_time(const struct source_status *s)
{
    return snapshot_time(s->last);
}

static double good_time(const struct source_status *s)
{
    return snapshot_time(s->good);
}

static double proof_time(const struct source_status *s)
{
    return s->proven ? seconds_of(snapshot_find_source(s->proven, s->name)->proof.time_ns) : 0;
}

static double backup_due(const struct source_status *s)
{
    return seconds_of(s->backup_due_ns);
}

static double drill_due(const struct source_status *s)
{
    return seconds_of(s->drill_due_ns);
}

static double restore_time(const struct source_status *s)
{
    return s->proven ? snapshot_find_source(s->proven, s->name)->proof.restore_seconds : 0;
}

static double level(const struct source_status *s)
{
    return s->level;
}

static double bytes(const struct source_status *s)
{
    return s->last ? (double)snapshot_find_source(s->last, s->name)->bytes : 0;
}

static double stored_bytes(const struct source_status *s)
{
    return s->last ? (double)snapshot_find_source(s->last, s->name)->stored_bytes : 0;
}

static double duration(const struct source_status *s)
{
    return s->last ? snapshot_find_source(s->last, s->name)->seconds : 0;
}

static void add_sources(struct buf *out, const struct metrics *m)
{
    static const struct {
        const char *name, *help;
        source_value *value;
    } kinds[] = {
        {"last_snapshot_timestamp_seconds", "When the newest snapshot of the source was taken; 0: never.",
         last_time},
        {"last_good_timestamp_seconds", "When its newest good snapshot was taken; 0: never.", good_time},
        {"last_proven_timestamp_seconds", "When a drill last proved a snapshot of it; 0: never.", proof_time},
        {"backup_due_timestamp_seconds", "When its next good backup is due, at the latest; 0: at once.",
         backup_due},
        {"drill_due_timestamp_seconds", "When its next proof is due, at the latest; 0: at once.", drill_due},
        {"restore_duration_seconds", "How long the restore in that drill took.", restore_time},
        {"source_level", "What `lifeboat status` says of it: 0 ok, 1 warning, 2 critical.", level},
        {"source_bytes", "The size of its newest snapshot.", bytes},
        {"source_stored_bytes", "What that added to the store.", stored_bytes},
        {"source_duration_seconds", "How long that took.", duration},
    };
    for (size_t k = 0; k < ARRAY_LEN(kinds) && m->status->n; k++) {
        begin(out, kinds[k].name, kinds[k].help);
        for (size_t i = 0; i < m->status->n; i++)
            sample(out, m, kinds[k].name, "source", m->status->v[i].name, kinds[k].value(&m->status->v[i]));
    }
}

/* ---- mirrors, runs ---- */
static void add_mirrors(struct buf *out, const struct metrics *m)
{
    static const char complete[] = "mirror_last_complete_timestamp_seconds",
                      behind[] = "mirror_snapshots_behind", copy_due[] = "mirror_due_timestamp_seconds";
    const struct status *s = m->status;
    if (s->mirror_count == 0)
        return;
    begin(out, complete, "When the last complete copy to the mirror began; 0: never.");
    for (size_t i = 0; i < s->mirror_count; i++)
        sample(out, m, complete, "mirror", s->mirrors[i].note->name,
               seconds_of(s->mirrors[i].note->complete_ns));
    begin(out, behind, "Snapshots that were taken since then.");
    for (size_t i = 0; i < s->mirror_count; i++)
        sample(out, m, behind, "mirror", s->mirrors[i].note->name, (double)s->mirrors[i].behind);
    begin(out, copy_due, "When its next complete copy is due, at the latest; 0: at once.");
    for (size_t i = 0; i < s->mirror_count; i++)
        sample(out, m, copy_due, "mirror", s->mirrors[i].note->name, seconds_of(s->mirrors[i].due_ns));
}

static void add_runs(struct buf *out, const struct metrics *m)
{
    const struct record *r = m->record;
    if (r->run_count == 0)
        return;
    begin(out, "last_run_timestamp_seconds", "When the command last ended on this host.");
    for (size_t i = 0; i < r->run_count; i++)
        sample(out, m, "last_run_timestamp_seconds", "command", r->runs[i].command,
               seconds_of(r->runs[i].time_ns));
    begin(out, "last_run_exit_code", "How: 0 good, 1 failed, 2 usage, 3 degraded, 4 not proven, 5 damaged.");
    for (size_t i = 0; i < r->run_count; i++)
        sample(out, m, "last_run_exit_code", "command", r->runs[i].command, r->runs[i].code);
    begin(out, "last_run_duration_seconds", "How long it took.");
    for (size_t i = 0; i < r->run_count; i++)
        sample(out, m, "last_run_duration_seconds", "command", r->runs[i].command, r->runs[i].seconds);
    bool begun = false;
    for (size_t i = 0; i < r->run_count; i++) {
        int64_t due_ns = status_run_due_ns(&r->runs[i]);
        if (due_ns && !begun)
            begin(out, "run_due_timestamp_seconds", "When prune and check are due again, at the latest.");
        if (due_ns)
            sample(out, m, "run_due_timestamp_seconds", "command", r->runs[i].command, seconds_of(due_ns));
        begun = begun || due_ns;
    }
}

void metrics_write(const struct metrics *m, struct buf *out)
{
    begin(out, "build_info", "The version of lifeboat.");
    sample(out, m, "build_info", "version", LIFEBOAT_VERSION, 1);
    single(out, m, "store_readable", "Whether the first store could be read.", m->status != NULL);
    single(out, m, "problems", "Problems that stand, as runs on this host have found them.",
           (double)record_standing(m->record));
    add_runs(out, m);
    if (!m->status)
        return;
    single(out, m, "status_level", "The worst of `lifeboat status`: 0 ok, 1 warning, 2 critical.",
           m->status->level);
    single(out, m, "snapshots", "Snapshots in the repository, of all hosts.", (double)m->snapshots);
    if (m->has_space) {
        single(out, m, "store_free_bytes", "Free space of the first store's file system.",
               (double)m->free_bytes);
        single(out, m, "store_size_bytes", "The size of that file system.", (double)m->total_bytes);
    }
    add_sources(out, m);
    add_mirrors(out, m);
}
