/* The command line by getopt_long, from the tables that the help is printed from. */
#include "cmd.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MOST 32
#define LONG_BASE    256

static bool wants_help, wants_version;

static const struct option_spec global_options[] = {
    {'c', "config", "FILE", OPTION_TEXT, &cli.config_file,
     "the configuration; otherwise $LIFEBOAT_CONFIG, then /etc/lifeboat/lifeboat.conf"},
    {'q', "quiet", NULL, OPTION_FLAG, &cli.quiet, "say only what went wrong"},
    {'v', "verbose", NULL, OPTION_FLAG, &cli.verbose, "say more"},
    {0, "json", NULL, OPTION_FLAG, &cli.json, "print JSON"},
    {0, "log-format", "FORMAT", OPTION_TEXT, &cli.log_format,
     "messages on standard error: text, or json, one object in each line"},
    {'h', "help", NULL, OPTION_FLAG, &wants_help, "print this"},
    {0},
};
static const struct option_spec first_options[] = {
    {0, "version", NULL, OPTION_FLAG, &wants_version, "print the version"},
    {0},
};
static const struct option_spec key_options[] = {
    {0, "identity", "FILE", OPTION_TEXT, &cli.identity,
     "the identity or a recovery kit, - for standard input; otherwise [keys] identity"},
    {0, "passphrase-file", "FILE", OPTION_TEXT, &cli.passphrase_file,
     "a file with the passphrase, in place of the identity"},
    {0},
};
static const struct option_spec store_options[] = {
    {0, "store", "URL", OPTION_TEXT, &cli.store,
     "look into this store (file:///PATH, s3://BUCKET/PREFIX, or the name of one); an address reads no configuration unless -c names one"},
    {0},
};
static const struct option_spec probe_options[] = {
    {0, "store", "[URL]", OPTION_STORE, &cli.probe,
     "what the store can and cannot do, tried out; with URL: look into that store, as other commands do"},
    {0},
};
static const struct option_spec select_options[] = {
    {0, "host", "HOST", OPTION_TEXT, &cli.host, "only snapshots of this host"},
    {0, "tag", "TAG", OPTION_TEXT, &cli.tag, "only snapshots with this tag"},
    {0, "at", "TIME", OPTION_TEXT, &cli.at,
     "only snapshots up to then: \"2026-03-01[ 02:03]\" in local time, or 2026-03-01T02:03:04Z"},
    {0},
};

/* The options that count at one place. */
struct option_set {
    const struct option_spec *v[OPTIONS_MOST];
    size_t n;
};

static void add_group(struct option_set *s, const struct option_spec *group)
{
    for (; group && group->name; group++)
        s->v[s->n++] = group;
}

static void set_for(struct option_set *s, const struct command *c)
{
    unsigned takes = c ? c->takes : TAKES_KEYS | TAKES_STORE;
    *s = (struct option_set){.n = 0};
    add_group(s, c ? c->options : NULL);
    add_group(s, takes & TAKES_SELECT ? select_options : NULL);
    add_group(s, takes & TAKES_KEYS ? key_options : NULL);
    add_group(s, takes & TAKES_PROBE ? probe_options : takes & TAKES_STORE ? store_options : NULL);
    add_group(s, global_options);
    add_group(s, c ? NULL : first_options);
}

/* ---- values ---- */
static int set_number(const struct option_spec *o, const char *value, long most, struct err *e)
{
    char *end;
    long n = value ? strtol(value, &end, 10) : most;
    if (value && end != value && *end == '%' && o->kind == OPTION_PERCENT)
        end++;
    if (n < 1 || n > most || (value && (end == value || *end)))
        return err_set(e, ERR_USAGE, "--%s %s: is not a number from 1 to %ld", o->name, value, most);
    *(unsigned *)o->to = (unsigned)n;
    return 0;
}

static int set_value(const struct option_spec *o, const char *value, struct err *e)
{
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)o->to = true;
        return 0;
    case OPTION_TEXT:
        if (!*value)
            return err_set(e, ERR_USAGE, "--%s: its value is empty", o->name);
        *(const char **)o->to = value;
        return 0;
    case OPTION_LIST:
        strings_add(o->to, value);
        return 0;
    case OPTION_NUMBER:
        return set_number(o, value, 64, e);
    case OPTION_PERCENT:
        return set_number(o, value, 100, e);
    case OPTION_STORE:
        if (value)
            cli.store = value;
        else
            *(bool *)o->to = true;
        return 0;
    }
    return 0;
}

/* ---- parsing ---- */
static int unknown_option(const struct option_set *s, const char *word, struct err *e)
{
    const char *words[OPTIONS_MOST + 1] = {0};
    AUTO_CHAR name = xstrndup(word, strcspn(word, "="));
    AUTO_CHAR shown = text_printable(name, strlen(name));
    const char *bare = name + strspn(name, "-");
    for (size_t i = 0; i < s->n; i++)
        words[i] = s->v[i]->name;
    const char *near = strlen(bare) > 1 ? nearest_word(bare, words) : NULL;
    return err_set(e, ERR_USAGE, "%s: unknown option%s%s%s; `lifeboat help%s%s` lists them", shown,
                   near ? ": did you mean --" : "", near ? near : "", near ? "?" : "", cli.command ? " " : "",
                   cli.command ? cli.command->name : "");
}

static int bad_option(const struct option_set *s, char **argv, int what, struct err *e)
{
    const struct option_spec *o = NULL;
    if (optopt >= LONG_BASE)
        o = s->v[optopt - LONG_BASE];
    for (size_t i = 0; i < s->n && optopt && !o; i++)
        if (s->v[i]->letter == optopt)
            o = s->v[i];
    if (what == ':' && o)
        return err_set(e, ERR_USAGE, "--%s wants a value: %s", o->name, o->value);
    if (o)
        return err_set(e, ERR_USAGE, "--%s takes no value", o->name);
    if (optopt) {
        char letter[3] = {'-', (char)optopt, 0};
        return unknown_option(s, letter, e);
    }
    return unknown_option(s, argv[optind - 1], e);
}

static int parse(const struct option_set *s, int argc, char **argv, bool stop_at_word, struct err *e)
{
    struct option longs[OPTIONS_MOST + 1] = {0};
    char letters[2 * OPTIONS_MOST + 4];
    size_t used = 0;
    letters[used++] = stop_at_word ? '+' : ':';
    if (stop_at_word)
        letters[used++] = ':';
    for (size_t i = 0; i < s->n; i++) {
        const struct option_spec *o = s->v[i];
        int argument = o->kind == OPTION_FLAG      ? no_argument
                       : o->kind == OPTION_PERCENT ? optional_argument
                       : o->kind == OPTION_STORE   ? optional_argument
                                                   : required_argument;
        longs[i] = (struct option){.name = o->name, .has_arg = argument, .val = LONG_BASE + (int)i};
        if (o->letter)
            letters[used++] = o->letter;
        if (o->letter && o->value)
            letters[used++] = ':';
    }
    letters[used] = 0;
    opterr = 0;
    optind = 0; /* GNU: starts over */
    for (int got; (got = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        const struct option_spec *o = got >= LONG_BASE ? s->v[got - LONG_BASE] : NULL;
        for (size_t i = 0; i < s->n && !o; i++)
            if (s->v[i]->letter && s->v[i]->letter == got)
                o = s->v[i];
        if (!o || got == '?' || got == ':')
            return bad_option(s, argv, got, e);
        if (o->kind == OPTION_STORE && !optarg && optind < argc && argv[optind][0] != '-')
            optarg = argv[optind++];
        if (set_value(o, optarg, e))
            return -1;
    }
    return 0;
}

int options_parse_global(int argc, char **argv, int *first, struct err *e)
{
    struct option_set s;
    set_for(&s, NULL);
    if (parse(&s, argc, argv, true, e))
        return -1;
    *first = optind;
    if (wants_version)
        version_print();
    else if (wants_help)
        help_print_all();
    return wants_help || wants_version;
}

/* Options that stood before the command, and that it does not take. */
static int check_globals(const struct command *c, struct err *e)
{
    const char *extra = (cli.identity && !(c->takes & TAKES_KEYS))          ? "identity"
                        : (cli.passphrase_file && !(c->takes & TAKES_KEYS)) ? "passphrase-file"
                        : (cli.store && !(c->takes & TAKES_STORE))          ? "store"
                                                                            : NULL;
    return extra ? err_set(e, ERR_USAGE, "takes no --%s", extra) : 0;
}

int options_parse(int argc, char **argv, struct err *e)
{
    const struct command *c = cli.command;
    struct option_set s;
    set_for(&s, c);
    if (parse(&s, argc, argv, (c->takes & TAKES_COMMAND) != 0, e))
        return -1;
    if (wants_help) {
        help_print(c);
        return 1;
    }
    cli.arguments = argv + optind;
    cli.count = (size_t)(argc - optind);
    if (cli.count < c->least || cli.count > c->most)
        return err_set(e, ERR_USAGE, "wants: lifeboat %s%s%s", c->name, *c->arguments ? " " : "",
                       c->arguments);
    return check_globals(c, e);
}

/* ---- help ---- */
static void print_option(const struct option_spec *o)
{
    char left[64], letter[5] = "    ";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(left, sizeof left, "%s--%s%s%s%s", letter, o->name,
             o->value ? (o->kind == OPTION_PERCENT ? "[=" : " ") : "", o->value ? o->value : "",
             o->kind == OPTION_PERCENT ? "]" : "");
    printf("  %-28s %s\n", left, o->help);
}

json_t *options_json(const struct command *c)
{
    struct option_set s;
    set_for(&s, c);
    json_t *list = json_array();
    for (size_t i = 0; i < s.n; i++) {
        const struct option_spec *o = s.v[i];
        const char letter[2] = {o->letter, 0};
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:b, s:b, s:s}", "name", o->name, "letter",
                                              o->letter ? json_string(letter) : json_null(), "value",
                                              o->value ? json_string(o->value) : json_null(), "optional",
                                              o->kind == OPTION_PERCENT || o->kind == OPTION_STORE,
                                              "repeatable", o->kind == OPTION_LIST, "help", o->help));
    }
    return list;
}

void options_print_list(const struct command *c)
{
    struct option_set s;
    set_for(&s, c);
    for (size_t i = 0; i < s.n; i++)
        print_option(s.v[i]);
}

void options_print(const struct command *c)
{
    printf("lifeboat %s%s%s - %s\n\n%s\n\nOptions:\n", c->name, *c->arguments ? " " : "", c->arguments,
           c->summary, c->about);
    options_print_list(c);
    printf("\nExit codes: 0 good; 1 failed; 2 usage, configuration or a missing key%s%s.\n\nExample:\n  %s\n",
           c->exits ? "; " : "", c->exits ? c->exits : "", c->example);
}
