#include "cmd.h"

#include <string.h>

const struct command *const commands[] = {&command_init,    &command_backup,     &command_list,
                                          &command_show,    &command_ls,         &command_find_files,
                                          &command_cat,     &command_restore,    &command_drill,
                                          &command_guard,   &command_check,      &command_status,
                                          &command_prune,   &command_copy,       &command_repair,
                                          &command_forget,  &command_undo,       &command_pin,
                                          &command_unpin,   &command_key_show,   &command_key_kit,
                                          &command_key_add, &command_key_remove, &command_key_passphrase,
                                          &command_help,    &command_version,    NULL};

/* ---- finding a command; those of `key` have two words ---- */
static bool is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; commands[i]; i++)
        if (strncmp(commands[i]->name, word, n) == 0 && commands[i]->name[n] == ' ')
            return true;
    return false;
}

static void unknown(const char *name, struct err *e)
{
    const char *words[ARRAY_LEN(commands)];
    size_t n = 0;
    for (size_t i = 0; commands[i]; i++)
        words[n++] = commands[i]->name;
    words[n] = NULL;
    const char *near = is_group(name) ? NULL : nearest_word(name, words);
    AUTO_CHAR shown = text_printable(name, strlen(name));
    err_set(e, ERR_USAGE, "%s: %s%s%s%s; `lifeboat help` lists the commands", shown,
            is_group(name) ? "wants one of show, kit, add, remove, passphrase" : "unknown command",
            near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

const struct command *command_find(int argc, char **argv, int *words, struct err *e)
{
    bool group = is_group(argv[0]) && argc > 1;
    AUTO_CHAR name = group ? xasprintf("%s %s", argv[0], argv[1]) : xstrdup(argv[0]);
    *words = group ? 2 : 1;
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    unknown(group && argv[1][0] == '-' ? argv[0] : name, e);
    return NULL;
}

/* ---- help ---- */
static json_t *command_json(const struct command *c)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:o}", "name", c->name, "arguments", c->arguments,
                     "summary", c->summary, "about", c->about, "example", c->example, "exits", c->exits,
                     "options", options_json(c));
}

/* All, or those of a group. */
static void print_json_list(const char *group)
{
    size_t n = strlen(group);
    json_t *list = json_array();
    for (size_t i = 0; commands[i]; i++)
        if (strncmp(commands[i]->name, group, n) == 0 && (!n || commands[i]->name[n] == ' '))
            json_array_append_new(list, command_json(commands[i]));
    print_json(json_pack("{s:o, s:o}", "options", options_json(NULL), "commands", list));
}

void help_print(const struct command *c)
{
    if (cli.json)
        print_json(command_json(c));
    else
        options_print(c);
}

void help_print_all(void)
{
    if (cli.json) {
        print_json_list("");
        return;
    }
    printf("lifeboat " LIFEBOAT_VERSION " - backs up databases and folders, and brings them back\n\n"
           "  lifeboat [-c FILE] [-q|-v] [--json] COMMAND ...\n\n");
    for (size_t i = 0; commands[i]; i++) {
        AUTO_CHAR left = xasprintf("%s %s", commands[i]->name, commands[i]->arguments);
        printf("  %-38s %s\n", left, commands[i]->summary);
    }
    printf("\nOptions, before the command or behind it:\n");
    options_print_list(NULL);
    printf("\n`lifeboat help COMMAND` says more of each.\n");
}

bool help_is_of_group(int argc, char **argv)
{
    return argc == 2 && is_group(argv[0]) && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

int help_print_group(const char *group)
{
    size_t n = strlen(group);
    if (cli.json) {
        print_json_list(group);
        return EXIT_GOOD;
    }
    for (size_t i = 0; commands[i]; i++)
        if (strncmp(commands[i]->name, group, n) == 0 && commands[i]->name[n] == ' ') {
            AUTO_CHAR left = xasprintf("lifeboat %s %s", commands[i]->name, commands[i]->arguments);
            printf("%-60s %s\n", left, commands[i]->summary);
        }
    printf("\n`lifeboat help %s show` and so on say more of each.\n", group);
    return EXIT_GOOD;
}

static int help(struct cli *c, struct err *e)
{
    int words;
    if (c->count == 0) {
        help_print_all();
        return EXIT_GOOD;
    }
    if (c->count == 1 && is_group(c->arguments[0]))
        return help_print_group(c->arguments[0]);
    const struct command *found = command_find((int)c->count, c->arguments, &words, e);
    if (!found)
        return -1;
    help_print(found);
    return EXIT_GOOD;
}

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "say what a command does",
    .about =
        "Without COMMAND, lists all of them. With --json what there is to know of each: its options, too.",
    .example = "lifeboat help restore",
    .most = 2,
    .run = help,
};

void version_print(void)
{
    if (cli.json)
        print_json(json_pack("{s:s, s:i}", "version", LIFEBOAT_VERSION, "format", 1));
    else
        printf("lifeboat " LIFEBOAT_VERSION "\n");
}

static int version(struct cli *c, struct err *e)
{
    (void)c, (void)e;
    version_print();
    return EXIT_GOOD;
}

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "print the version",
    .about = "Prints the version of the program.",
    .example = "lifeboat version",
    .run = version,
};
