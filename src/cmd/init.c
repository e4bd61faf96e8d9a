#include "cmd.h"

#include "base/file.h"

#include <string.h>
#include <sys/sysmacros.h>

static struct {
    const char *identity_out, *kit;
} args;

static const struct option_spec options[] = {
    {0, "identity-out", "FILE", OPTION_TEXT, &args.identity_out,
     "where the new identity goes when [keys] names none (a write-only host)"},
    {0, "kit", "FILE", OPTION_TEXT, &args.kit,
     "write the recovery kit to FILE (0600) instead of printing it"},
    {0, "compose", "FILE", OPTION_LIST, &cli.compose,
     "write a configuration from this compose file instead; may be repeated, as docker compose -f"},
    {0, "env-file", "FILE", OPTION_LIST, &cli.env_files,
     "with --compose: its variables; otherwise .env beside the first compose file"},
    {0},
};

static const char *outcome_text(enum run_init_outcome o)
{
    static const char *const texts[] = {"created", "finished", "joined", "mirrored"};
    return texts[o];
}

static void print_space(const struct run_init_result *r)
{
    char free_text[32], total_text[32];
    size_format(free_text, r->free_bytes);
    size_format(total_text, r->total_bytes);
    printf("  disk        device %u:%u", major(r->device), minor(r->device));
    if (r->has_space)
        printf(", %s of %s free", free_text, total_text);
    putchar('\n');
}

static void print_result(const struct config *c, const struct run_init_result *r)
{
    static const char *const said[] = {
        "A new repository is set up.", "The repository that an earlier init had begun is set up.",
        "This host has joined the repository that was there.",
        ("The repository was set up already, and its mirrors are now. A recovery\n"
         "kit from before does not name them: `lifeboat key kit` makes a new one.")};
    printf("%s\n\n  repository  %s\n  store       %s\n", said[r->outcome], r->id, c->stores[0].url);
    print_space(r);
    for (size_t i = 0; i < r->mirrors.n; i++)
        printf("  mirror      %s\n", r->mirrors.v[i]);
    if (r->outcome == RUN_INIT_MIRRORED)
        return;
    printf("  writer key  %s\n", c->writer_key);
    if (r->identity_path)
        printf("  identity    %s\n", r->identity_path);
    if (r->one_box)
        printf(
            "  set-up      one box: the identity lies on this host too. This protects against a lost disk, a\n"
            "              lost host and whoever holds the store; whoever takes over this host can read the\n"
            "              backups.\n");
    else
        printf("  set-up      write-only: this host adds backups and cannot read them. Keep the identity\n"
               "              elsewhere, and remove it from here if it still is.\n");
}

static int give_kit(const struct config *c, const struct run_init_result *r, struct err *e)
{
    AUTO(buf) kit = BUF_NONE;
    AUTO_CHAR url = config_store_url(&c->stores[0]);
    run_kit(&kit, r->identity, url, c, c->host);
    int rc = 0;
    if (args.kit)
        rc = file_write(args.kit, buf_bytes(&kit), 0600, true, e);
    else if (!cli.json)
        printf("\n%s", buf_cstr(&kit));
    fflush(stdout);
    buf_wipe(&kit);
    if (rc)
        return err_wrap(e, "the repository is set up; its recovery kit was not written (`lifeboat key kit` "
                           "makes it again)");
    if (args.kit && !cli.json && !cli.quiet)
        printf("  kit         %s: print it, put it away safely, and remove the file\n", args.kit);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(run_init_result) r = {0};
    if (c->compose.n && (args.kit || args.identity_out || c->identity || c->passphrase_file))
        return err_set(e, ERR_USAGE, "--compose writes a configuration; keys are for the init after that");
    if (c->env_files.n && !c->compose.n)
        return err_set(e, ERR_USAGE, "--env-file: belongs to --compose FILE");
    if (c->compose.n)
        return init_compose(c, e);
    const struct run_init_options o = {.access = cli_access(c), .identity_out = args.identity_out};
    if (run_init(&o, &r, e))
        return -1;
    if (c->json)
        print_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "summary", "repository", r.id, "outcome",
                             outcome_text(r.outcome), "setup", r.one_box ? "one box" : "write-only", "store",
                             c->config->stores[0].url));
    else if (!c->quiet)
        print_result(c->config, &r);
    if (!r.identity && args.kit)
        return err_set(e, ERR_USAGE, "--kit: a kit holds an identity, and a passphrase was used");
    if (r.identity && (args.kit || !c->json) && give_kit(c->config, &r, e))
        return -1;
    for (size_t i = 0; i < r.not_mirrors.n; i++)
        ui_say("mirror %s", r.not_mirrors.v[i]);
    return r.not_mirrors.n ? EXIT_DEGRADED : EXIT_GOOD;
}

const struct command command_init = {
    .name = "init",
    .arguments = "",
    .summary = "make the repository and its keys, or join one that is there",
    .about =
        "Makes the store's folder, the keys that [keys] names, and the repository; says which set-up it is, and\n"
        "prints the recovery kit: keep that away from this machine. Key files that are there are never\n"
        "overwritten. An init that was cut off is finished by the next one. Where the store holds a repository\n"
        "already, --identity or --passphrase-file lets this host join it: it gets a writer.key. Mirrors, the other\n"
        "stores of the configuration, are made as well; after one was added, init makes that one.\n\n"
        "With --compose it writes the configuration (-c FILE, or its usual place) from Docker Compose files, shows\n"
        "it, and makes nothing else: the databases and volumes found there, and why others are left out. Passwords\n"
        "are not written into it.",
    .example = "lifeboat init --compose docker-compose.yml && lifeboat init --kit /root/kit.txt",
    .exits = "3 a mirror could not be made",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS,
    .run = run,
};
