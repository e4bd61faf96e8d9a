/* key show, kit, add, remove. */
#include "cmd.h"

#include "base/file.h"

#include <string.h>

/* ---- show ---- */
static json_t *reader_json(const struct key_object *k)
{
    char id[SHA_HEX], recipient[2 * KEY_SIZE + 1];
    sha_hex(id, &k->name);
    hex_encode(recipient, BYTES(k->recipient, KEY_SIZE));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "id", id, "kind",
                     k->is_passphrase ? "passphrase" : "identity", "recipient",
                     k->is_passphrase ? json_null() : json_string(recipient), "label", text_json(k->label),
                     "created", time_json(k->created_ns));
}

static const char *setup_text(const struct run_readers *r)
{
    return !r->has_writer ? "no writer key here" : r->has_identity ? "one box" : "write-only";
}

static void print_readers(const struct run_readers *r)
{
    printf("repository  %s%s\nset-up      %s\n", r->id, r->id_is_proven ? "" : " (the store's word)",
           setup_text(r));
    for (size_t i = 0; i < r->n; i++) {
        char id[9], time[40], recipient[2 * KEY_SIZE + 1];
        short_id(id, &r->v[i].name);
        time_format_local(time, r->v[i].created_ns);
        hex_encode(recipient, BYTES(r->v[i].recipient, KEY_SIZE));
        printf("reader      %s  %s  %-10s  ", id, time, r->v[i].is_passphrase ? "passphrase" : "identity");
        print_text(r->v[i].label);
        printf("%s%s\n", r->v[i].is_passphrase ? "" : "  ", r->v[i].is_passphrase ? "" : recipient);
    }
}

static int show(struct cli *c, struct err *e)
{
    AUTO(run_readers) r = {0};
    const struct run_access access = cli_access(c);
    if (run_key_show(&access, &r, e))
        return -1;
    if (!c->json) {
        print_readers(&r);
        return EXIT_GOOD;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < r.n; i++)
        json_array_append_new(list, reader_json(&r.v[i]));
    print_json(json_pack("{s:s, s:s, s:o}", "repository", r.id, "setup", setup_text(&r), "readers", list));
    return EXIT_GOOD;
}

const struct command command_key_show = {
    .name = "key show",
    .arguments = "",
    .summary = "list who can read the repository",
    .about =
        "Shows the repository's id, which set-up this host is, and the readers: identities and passphrases.",
    .example = "lifeboat key show",
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .run = show,
};

/* ---- kit ---- */
static struct {
    const char *out;
} kit_args;

static const struct option_spec kit_options[] = {
    {0, "out", "FILE", OPTION_TEXT, &kit_args.out, "write it to FILE (0600) instead of printing it"},
    {0},
};

static int kit(struct cli *c, struct err *e)
{
    AUTO(buf) text = BUF_NONE;
    const struct run_access access = cli_access(c);
    if (c->json)
        return err_set(e, ERR_USAGE, "a recovery kit is a text for people: there is no --json of it");
    int rc = run_key_kit(&access, &text, e);
    if (rc == 0 && kit_args.out)
        rc = file_write(kit_args.out, buf_bytes(&text), 0600, true, e);
    else if (rc == 0)
        fputs(buf_cstr(&text), stdout);
    fflush(stdout);
    buf_wipe(&text);
    return rc ? -1 : EXIT_GOOD;
}

const struct command command_key_kit = {
    .name = "key kit",
    .arguments = "",
    .summary = "print the recovery kit",
    .about =
        "The repository's id, where the store is, the identity in groups of digits, and the commands to get\n"
        "everything back with. The kit's text can be given to --identity as it is.",
    .example = "lifeboat key kit --out /root/kit.txt",
    .options = kit_options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .run = kit,
};

/* ---- what mirrors do not know yet ---- */
int key_say_left(const struct strings *left, const char *what)
{
    for (size_t i = 0; i < left->n; i++)
        ui_say("mirror %s (it %s)", left->v[i], what);
    return left->n ? EXIT_DEGRADED : EXIT_GOOD;
}

void key_print_left(const struct strings *left)
{
    if (cli.json)
        print_json(json_pack("{s:s, s:o}", "type", "summary", "left", list_json(left)));
}

/* ---- add ---- */
static struct {
    const char *recipient, *identity_out, *label;
} add_args;

static const struct option_spec add_options[] = {
    {0, "recipient", "HEX", OPTION_TEXT, &add_args.recipient,
     "the \"recipient\" line of the reader's identity file"},
    {0, "identity-out", "FILE", OPTION_TEXT, &add_args.identity_out, "make a new identity in FILE (0600)"},
    {0, "label", "TEXT", OPTION_TEXT, &add_args.label, "what `lifeboat key show` calls the reader"},
    {0},
};

static int add(struct cli *c, struct err *e)
{
    const struct run_access access = cli_access(c);
    const char *label = add_args.label ? add_args.label : "added";
    if (strlen(label) > 60)
        return err_set(e, ERR_USAGE, "--label: at most 60 bytes");
    AUTO(strings) left = STRINGS_NONE;
    if (run_key_add(&access, add_args.recipient, add_args.identity_out, label, &left, e))
        return -1;
    key_print_left(&left);
    return key_say_left(&left, "does not know the new reader before the next copy");
}

const struct command command_key_add = {
    .name = "key add",
    .arguments = "",
    .summary = "let another identity read",
    .about =
        "Wraps the repository's keys for one more reader, who can read everything, old snapshots too. Needs a key\n"
        "that reads. No pack is touched. The mirrors get it at once.",
    .example = "lifeboat key add --identity-out /media/stick/second.key --label 'the safe'",
    .exits = "3 a mirror gets it later (the reason is named)",
    .options = add_options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .run = add,
};

/* ---- remove ---- */
static int remove_reader(struct cli *c, struct err *e)
{
    const struct run_access access = cli_access(c);
    AUTO(strings) left = STRINGS_NONE;
    struct key_object gone;
    char id[9];
    if (run_key_remove(&access, c->arguments[0], &gone, &left, e))
        return -1;
    short_id(id, &gone.name);
    if (!c->quiet && !c->json) {
        printf("removed the %s %s (", gone.is_passphrase ? "passphrase" : "identity", id);
        print_text(gone.label);
        puts("). Whoever has copied the keys object before can still open that copy.");
    }
    if (c->json)
        print_json(json_pack("{s:s, s:o, s:o}", "type", "summary", "removed", reader_json(&gone), "left",
                             list_json(&left)));
    return key_say_left(&left, "CAN STILL BE READ by whom you removed: mend that, and run this again");
}

const struct command command_key_remove = {
    .name = "key remove",
    .arguments = "READER",
    .summary = "let an identity or a passphrase read no longer",
    .about =
        "READER is the id, or how it begins, that `lifeboat key show` prints. The last reader stays. It goes from the\n"
        "mirrors, too. This does not take back what the reader has copied already.",
    .example = "lifeboat key remove 3f9a01bc",
    .exits = "3 a mirror can still be read by it (the reason is named)",
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .least = 1,
    .most = 1,
    .run = remove_reader,
};
