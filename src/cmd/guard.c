/* guard: nothing that may destroy data runs before a snapshot of it was taken, pinned and proven. */
#include "cmd.h"

#include "base/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    bool no_drill, dry_run;
    struct strings tags;
} args;

static const struct option_spec options[] = {
    {0, "no-drill", NULL, OPTION_FLAG, &args.no_drill,
     "take a good and pinned snapshot for enough, without proving it"},
    {0, "tag", "TAG", OPTION_LIST, &args.tags, "label the snapshot; may be repeated"},
    {0, "dry-run", NULL, OPTION_FLAG, &args.dry_run, "say what would be backed up and run, and do neither"},
    {0},
};

/* ---- the command ---- */
static void add_command(const struct cli *c, struct buf *out)
{
    for (size_t i = 0; i < c->count; i++)
        buf_add_fmt(out, "%s%s", i ? " " : "", c->arguments[i]);
}

static bool can_run(const char *file)
{
    struct stat st;
    return access(file, X_OK) == 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode);
}

/* Before the hour that a backup may take. */
static int check_command(const struct cli *c, struct err *e)
{
    const char *name = c->arguments[0], *path = getenv("PATH");
    char *save = NULL;
    if (strchr(name, '/'))
        return can_run(name) ? 0 : err_set(e, ERR_USAGE, "%s: there is no such program", name);
    AUTO_CHAR folders = xstrdup(path ? path : "/usr/bin:/bin");
    for (char *f = strtok_r(folders, ":", &save); f; f = strtok_r(NULL, ":", &save)) {
        AUTO_CHAR file = xasprintf("%s/%s", f, name);
        if (can_run(file))
            return 0;
    }
    return err_set(e, ERR_USAGE, "%s: there is no such program (a line for the shell: sh -c '...')", name);
}

/* Takes the place of this process, so that its exit status, its terminal and its signals are the command's
 * own. What main() changed for us is put back. */
static int become_command(const struct cli *c, struct err *e)
{
    fflush(NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    umask(c->umask);
    setrlimit(RLIMIT_CORE, &c->core);
    setrlimit(RLIMIT_STACK, &c->stack);
    execvp(c->arguments[0], c->arguments);
    return err_errno(e, ERR_FAILED, "%s", c->arguments[0]);
}

/* ---- may it run? ---- */
struct guarding {
    struct cli *c;
    struct run_backup_result backup;
    struct receipt receipt;
    bool drilled;
};

static void guarding_free(struct guarding *g)
{
    run_backup_result_free(&g->backup);
    receipt_free(&g->receipt);
}
AUTO_FOR(guarding)

static int back_up(struct guarding *g, struct err *e)
{
    const struct strings none = STRINGS_NONE;
    AUTO(buf) reason = BUF_NONE;
    buf_add_str(&reason, "guard: ");
    add_command(g->c, &reason);
    AUTO_CHAR shown = text_printable((char *)reason.p, MIN(reason.n, (size_t)200));
    const struct run_backup_options o = {.config = g->c->config,
                                         .sources = &none,
                                         .tags = &args.tags,
                                         .pin = shown,
                                         .progress = ui_progress()};
    int rc = run_backup(&o, &g->backup, e);
    ui_clear();
    backup_tell(&g->backup);
    return rc;
}

static int prove(struct guarding *g, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct run_access access = cli_access(g->c);
    const struct strings none = STRINGS_NONE;
    const struct run_drill_options o = {
        .config = g->c->config, .sources = &none, .all = &all, .progress = ui_progress()};
    g->drilled = true;
    if (run_open(&r, &access, RUN_READ, e) || snapshots_load(r.repo, &all, e) || repo_load(r.repo, e))
        return -1;
    int rc = run_drill(&r, &g->backup.snapshot, &o, &g->receipt, e);
    ui_clear();
    if (rc == 0)
        drill_tell(&g->receipt);
    return rc;
}

static void print_json_summary(const struct guarding *g, bool allowed)
{
    char id[SHA_HEX];
    sha_hex(id, &g->backup.snapshot.id);
    const struct strings words = {.v = g->c->arguments, .n = g->c->count};
    json_t *sources = json_array();
    drill_add_json(&g->receipt, sources);
    print_json(json_pack("{s:s, s:o, s:s, s:o, s:b, s:o, s:o}", "type", "summary", "snapshot",
                         g->backup.written ? json_string(id) : json_null(), "verdict",
                         verdict_name(g->backup.snapshot.verdict), "proven",
                         g->drilled ? json_boolean(run_drill_proves(&g->receipt)) : json_null(), "allowed",
                         allowed, "command", list_json(&words), "sources", sources));
}

static void report(const struct guarding *g, bool allowed)
{
    if (g->c->json) {
        print_json_summary(g, allowed);
        return;
    }
    if (!g->c->quiet || !allowed)
        backup_print(&g->backup);
    if (g->receipt.source_count && (!g->c->quiet || !allowed))
        drill_print(&g->receipt);
}

static int refuse(const struct guarding *g, int code, const char *why)
{
    AUTO(buf) command = BUF_NONE;
    add_command(g->c, &command);
    report(g, false);
    ui_say("%s: \"%s\" was NOT run", why, buf_cstr(&command));
    outcome_of("guard", "", "%s: its command was NOT run", why);
    return code;
}

/* 0: it may run. */
static int judge(struct guarding *g, struct err *e)
{
    const struct snapshot *s = &g->backup.snapshot;
    if (back_up(g, e)) {
        err_wrap(e, "there is no snapshot to go back to, so the command was NOT run");
        return -1;
    }
    if (!g->backup.written || s->verdict == VERDICT_FAILED)
        return refuse(g, EXIT_FAILED, "the backup failed");
    if (s->verdict != VERDICT_GOOD)
        return refuse(g, EXIT_DEGRADED, "the snapshot is degraded (what to look at stands above)");
    if (args.no_drill)
        return 0;
    if (prove(g, e)) {
        err_wrap(e, "the snapshot is not proven, so the command was NOT run");
        return -1;
    }
    return run_drill_proves(&g->receipt) ? 0 : refuse(g, EXIT_UNPROVEN, "the snapshot is not proven");
}

static int dry_run(const struct cli *c, struct err *e)
{
    const struct strings none = STRINGS_NONE;
    AUTO(buf) command = BUF_NONE;
    int code = backup_dry_run(c->config, &none, e);
    add_command(c, &command);
    AUTO_CHAR shown = text_printable((char *)command.p, command.n);
    if (code >= 0 && !c->json)
        printf("then pinned%s, then run: %s\n", args.no_drill ? "" : ", drilled", shown);
    return code;
}

/* Whoever cannot read the snapshot cannot prove it: known before the first byte is taken. */
static int check_reader(const struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    const struct run_access access = cli_access(c);
    if (args.no_drill || run_open_keys(&r, &access, RUN_READ, e) == 0)
        return 0;
    return err_wrap(e, "a snapshot is proven by reading it back (--no-drill goes without)");
}

static int run(struct cli *c, struct err *e)
{
    AUTO(guarding) g = {.c = c};
    if (check_command(c, e))
        return -1;
    if (args.dry_run)
        return dry_run(c, e);
    outcome_begin(c, true, false);
    c->config->nice = 0; /* it would be the command's too */
    if (check_reader(c, e))
        return -1;
    int code = judge(&g, e);
    if (code)
        return code;
    report(&g, true);
    if (g.backup.hook_error)
        ui_text(g.backup.hook_error);
    copy_say(&g.backup.mirrors);
    backup_say_lost(&g.backup);
    char id[9];
    short_id(id, &g.backup.snapshot.id);
    ui_note("snapshot %s is good%s and pinned: `lifeboat restore %s` brings it back", id,
            args.no_drill ? "" : ", proven", id);
    if (stop_check(e))
        return -1;
    outcome_end(EXIT_GOOD, e);
    return become_command(c, e);
}

const struct command command_guard = {
    .name = "guard",
    .arguments = "[--] COMMAND [ARGUMENT...]",
    .summary = "run a command that may destroy data, once a proven snapshot is there",
    .about =
        "Backs up every source, pins the snapshot, drills it, and only then runs COMMAND, whose exit status it\n"
        "ends with. When the snapshot is not good or not proven, COMMAND is not run, and [notify] hears of it. Options\n"
        "of guard stand before COMMAND; for a line for the shell: guard -- sh -c '...'.",
    .example = "lifeboat guard -- docker compose down -v",
    .exits = "3 degraded and 4 not proven: COMMAND was not run; else COMMAND's own",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_COMMAND,
    .least = 1,
    .most = 100000,
    .run = run,
};
