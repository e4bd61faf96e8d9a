/* What a person says of single snapshots. */
#include "cmd.h"

#include <stdlib.h>
#include <string.h>

static struct {
    bool yes;
} args;

static const struct option_spec options[] = {
    {0, "yes", NULL, OPTION_FLAG, &args.yes, "also the last good backup of a source"},
    {0},
};

/* Opens with the writer key, and picks the snapshot that the first argument means. */
static int pick(struct cli *c, struct run_repo *r, struct snapshots *all, const struct snapshot **s,
                struct err *e)
{
    const struct run_select select = cli_select(c);
    if (cli_open(c, RUN_WRITE, r, all, e))
        return -1;
    *s = run_pick(all, c->arguments[0], &select, e);
    return *s ? 0 : -1;
}

static void say_done(const struct snapshot *s, const char *what)
{
    char id[SHA_HEX];
    sha_hex(id, &s->id);
    if (cli.json)
        print_json(json_pack("{s:s, s:s, s:s}", "type", "summary", "snapshot", id, "done", what));
    else if (!cli.quiet)
        printf("snapshot %.8s: %s\n", id, what);
}

/* Not in the store any more: this host stops asking for it. */
static bool give_up(const struct cli *c, const struct run_repo *r)
{
    const char *word = c->arguments[0];
    if (!r->repo || !run_give_up(r, c->config, word))
        return false;
    if (cli.json)
        print_json(json_pack("{s:s, s:s, s:s}", "type", "summary", "snapshot", word, "done", "given up"));
    else if (!cli.quiet)
        printf("snapshot %s: is not in the store, and this host does not ask for it any more\n", word);
    return true;
}

static int forget(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct snapshot *s;
    struct err why = ERR_INIT;
    if (pick(c, &r, &all, &s, &why)) {
        if (give_up(c, &r))
            return EXIT_GOOD;
        *e = why;
        return -1;
    }
    if (run_forget(&r, &all, s, args.yes, e))
        return -1;
    say_done(s, "forgotten");
    return EXIT_GOOD;
}

static int undo_one(struct cli *c, struct run_repo *r, struct snapshots *all, struct err *e)
{
    const struct run_select select = cli_select(c);
    const struct snapshot *s = run_pick(all, c->arguments[0], &select, e);
    if (!s || mark_undo(r->repo, &s->id, e))
        return -1;
    say_done(s, "brought back");
    return EXIT_GOOD;
}

/* Every one that can be brought back is; those for which it is too late are named. What is broken nobody
 * forgot. */
static int undo_all(struct run_repo *r, const struct snapshots *all)
{
    size_t found = 0;
    int code = EXIT_GOOD;
    for (size_t i = 0; i < all->n; i++) {
        struct err why = ERR_INIT;
        if (!all->v[i].forgotten_ns || all->v[i].broken)
            continue;
        found++;
        if (mark_undo(r->repo, &all->v[i].id, &why) == 0) {
            say_done(&all->v[i], "brought back");
            continue;
        }
        ui_say("%s", why.text);
        code = EXIT_FAILED;
    }
    if (!found)
        ui_note("no snapshot is forgotten");
    return code;
}

static int undo(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    if (cli_open(c, RUN_WRITE, &r, &all, e))
        return -1;
    return c->count ? undo_one(c, &r, &all, e) : undo_all(&r, &all);
}

static int pin(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct snapshot *s;
    size_t n = strlen(c->arguments[1]);
    if (n == 0 || n > 500 || !utf8_is_valid(c->arguments[1], n))
        return err_set(e, ERR_USAGE, "the reason has 1 to 500 bytes of UTF-8");
    if (pick(c, &r, &all, &s, e))
        return -1;
    if (!snapshot_counts(s))
        return err_set(
            e, ERR_USAGE,
            "the snapshot is forgotten, and a pin does not bring it back: `lifeboat undo %.8s` first",
            c->arguments[0]);
    if (mark_pin(r.repo, &s->id, c->arguments[1], e))
        return -1;
    say_done(s, "pinned");
    return EXIT_GOOD;
}

static int unpin(struct cli *c, struct err *e)
{
    AUTO(run_repo) r = {0};
    AUTO(snapshots) all = {0};
    const struct snapshot *s;
    if (pick(c, &r, &all, &s, e) || mark_unpin(r.repo, &s->id, e))
        return -1;
    say_done(s, "no longer pinned");
    return EXIT_GOOD;
}

const struct command command_forget = {
    .name = "forget",
    .arguments = "SNAP",
    .summary = "let a snapshot go",
    .about =
        "Nothing is deleted before undo-window has passed ([retention], 3 days) and prune has run; until then\n"
        "`lifeboat undo` brings it back. A pinned snapshot is refused, and so is the last good backup of a source.\n"
        "One that status, check or backup miss in the store (it was put back to an older state) is missed no more.",
    .example = "lifeboat forget 3f9a12c4",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_SELECT,
    .least = 1,
    .most = 1,
    .run = forget,
};
const struct command command_undo = {
    .name = "undo",
    .arguments = "[SNAP]",
    .summary = "bring forgotten snapshots back",
    .about = "The one that is named, or every one that is forgotten, while undo-window lasts.",
    .example = "lifeboat undo",
    .takes = TAKES_CONFIG | TAKES_SELECT,
    .most = 1,
    .run = undo,
};
const struct command command_pin = {
    .name = "pin",
    .arguments = "SNAP REASON",
    .summary = "keep a snapshot whatever retention says",
    .about = "Until `lifeboat unpin`. The reason is shown by list and show.",
    .example = "lifeboat pin latest 'before the migration'",
    .takes = TAKES_CONFIG | TAKES_SELECT,
    .least = 2,
    .most = 2,
    .run = pin,
};
const struct command command_unpin = {
    .name = "unpin",
    .arguments = "SNAP",
    .summary = "leave a pinned snapshot to retention again",
    .about = "Takes every pin of the snapshot away.",
    .example = "lifeboat unpin 3f9a12c4",
    .takes = TAKES_CONFIG | TAKES_SELECT,
    .least = 1,
    .most = 1,
    .run = unpin,
};
