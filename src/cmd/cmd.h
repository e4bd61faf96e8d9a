/* cmd.h - the program around the library: options, printing, exit codes. One thread prints. */
#ifndef LIFEBOAT_CMD_CMD_H
#define LIFEBOAT_CMD_CMD_H

#include "run/run.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DEGRADED = 3,
    EXIT_UNPROVEN = 4,
    EXIT_DAMAGED = 5
};

/* ---- commands and their options: one table serves the parser and the help ---- */
enum option_kind {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_LIST,    /* struct strings: may be repeated */
    OPTION_NUMBER,  /* unsigned, 1 to 64 */
    OPTION_PERCENT, /* unsigned, 1 to 100; the value may be left out: 100 */
    OPTION_STORE,   /* --store of check: cli.store, or without a value bool */
};
struct option_spec {
    char letter; /* or 0 */
    const char *name, *value;
    enum option_kind kind;
    void *to;
    const char *help;
};
enum {
    TAKES_KEYS = 1,     /* --identity, --passphrase-file */
    TAKES_STORE = 2,    /* --store */
    TAKES_SELECT = 4,   /* --host, --tag, --at */
    TAKES_CONFIG = 8,   /* -c; wanted unless --store is given */
    TAKES_MIRRORS = 32, /* goes on with a mirror where the first store fails */
    TAKES_PROBE = 64,   /* --store without a value, too */
    TAKES_COMMAND = 16, /* its arguments are a command: options end with the first */
};
struct cli;
struct command {
    const char *name, *arguments; /* "restore", "SNAP [SOURCE...]" */
    const char *summary;          /* one line */
    const char *about;            /* a paragraph or two */
    const char *example;
    const char *exits;                 /* what else than 0, 1 and 2 there is, or NULL */
    const struct option_spec *options; /* ended by .name = NULL; or NULL */
    unsigned takes;
    size_t least, most;                       /* arguments */
    int (*run)(struct cli *c, struct err *e); /* an exit code, or -1 with *e */
};

/* What the command line said. */
struct cli {
    const struct command *command;
    char **arguments;
    size_t count;
    const char *config_file, *log_format, *store, *identity, *passphrase_file, *kit_file, *host, *tag, *at;
    struct run_kit kit;                /* of kit_file, when that was given */
    struct strings compose, env_files; /* init */
    bool quiet, verbose, json, probe;
    mode_t umask;              /* that we were started with */
    struct rlimit core, stack; /* the same */
    struct config *config;     /* read, when the command takes one; NULL with --store alone */
};
extern struct cli cli;
extern const struct command *const commands[]; /* NULL-ended */

/* ---- options.c ---- */
/* Before the command's name: *first gets the index of that name. Then the command's own. */
int options_parse_global(int argc, char **argv, int *first, struct err *e) MUST_CHECK;
int options_parse(int argc, char **argv, struct err *e) MUST_CHECK; /* argv[0] is the command */
void options_print(const struct command *c);
void options_print_list(const struct command *c); /* NULL: those that may stand before the command's name */
json_t *options_json(const struct command *c);    /* the same */

/* ---- help.c ---- */
const struct command *command_find(int argc, char **argv, int *words, struct err *e);
void help_print_all(void);
void help_print(const struct command *c);
void version_print(void);
/* `lifeboat key --help`: the commands that begin so. */
bool help_is_of_group(int argc, char **argv);
int help_print_group(const char *group); /* an exit code */
extern const struct command command_help, command_version;

/* ---- main.c ---- */
const char *cli_config_path(const struct cli *c);

/* ---- init_compose.c: `init --compose` ---- */
int init_compose(struct cli *c, struct err *e); /* an exit code, or -1 */

/* ---- access.c: from the command line to an open repository ---- */
struct run_access cli_access(const struct cli *c);
struct run_select cli_select(const struct cli *c);
/* Opens, and loads the snapshots that --host, --tag and --at let through. */
int cli_open(struct cli *c, enum run_need need, struct run_repo *r, struct snapshots *all,
             struct err *e) MUST_CHECK;
/* And picks the one of the command's first argument; for reading content. */
int cli_open_content(struct cli *c, struct run_repo *r, struct snapshots *all, const struct snapshot **s,
                     struct err *e) MUST_CHECK;

/* Fills what drills found. */
int cli_load_proofs(struct run_repo *r, struct snapshots *all, struct err *e) MUST_CHECK;

/* ---- backup.c and drill.c, for guard too ---- */
void backup_print(const struct run_backup_result *r);
void backup_tell(const struct run_backup_result *r);
/* Says which earlier backups of this host are not in the store any more. Whether there are any. */
bool backup_say_lost(const struct run_backup_result *r);
int backup_dry_run(const struct config *c, const struct strings *names,
                   struct err *e); /* an exit code, or -1 */
void drill_print(const struct receipt *r);
void drill_tell(const struct receipt *r);
void drill_add_json(const struct receipt *r, json_t *list);

/* ---- copy.c, for backup too ---- */
void copy_print(const struct run_copy_result *r);
json_t *copy_json(const struct run_copy_result *r);
void copy_tell(const struct run_copy_result *r);
/* Says on standard error what failed or waits. Whether all is well. */
bool copy_say(const struct run_copy_result *r);

/* ---- status.c ---- */
struct record;
/* The metrics of this host, also (with -1) when the store cannot be read. */
int status_metrics(const struct config *c, const struct record *record, struct buf *out, struct err *e);

/* ---- outcome.c: dead-man's switch, webhook, metrics ---- */
/* This run is one to be told of. `whole`: it looks at everything its command can look at, so its failing as a
 * whole is a problem, and not a slip of whoever typed it. `ping`: the dead-man's switch waits for it. */
void outcome_begin(const struct cli *c, bool whole, bool ping);
/* What `command` found of a source or a mirror, or ("") of all; fmt NULL: all is well. */
void outcome_of(const char *command, const char *about, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* At the end: records, and tells. Again: nothing. */
void outcome_end(int code, const struct err *e);

/* ---- key.c ---- */
/* Says which mirrors a change of readers has not reached, and what that means ("it ..."). The exit code. */
int key_say_left(const struct strings *left, const char *what);
void key_print_left(const struct strings *left); /* as JSON, where that is wanted */

/* ---- ui.c: standard error ---- */
void ui_start(void);                                 /* the listener of log.h */
void ui_say(const char *fmt, ...) PRINTF_LIKE(1, 2); /* what wants a look: "lifeboat: backup: ..." */
void ui_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
void ui_text(const char *text); /* what failed */
/* --log-format. ERR_USAGE: there is no such format. */
int ui_set_format(const char *name, struct err *e) MUST_CHECK;
run_progress_fn *ui_progress(void); /* a line on a terminal, systemd's status; NULL where none is wanted */
void ui_clear(void);                /* takes the progress line away */

/* ---- print.c: standard output ---- */
void print_text(const char *s); /* without what would garble a terminal */
void print_lines(const char *before, const struct strings *s);
void print_json(json_t *o);       /* takes it over; one line */
void print_json_part(json_t *o);  /* the same without the end of the line */
json_t *text_json(const char *s); /* a string, made printable when it is not UTF-8 */
json_t *list_json(const struct strings *s);
json_t *time_json(int64_t ns);
json_t *maybe_time_json(int64_t ns);       /* null for 0 */
json_t *proof_json(const struct proof *p); /* null: there is none */
void short_id(char out[9], const struct sha *id);
json_t *entry_json(const struct catalog_entry *e);
void print_entry(const struct catalog_entry *e);
/* NULL when standard output took everything. */
const char *print_finish(void);

extern const struct command command_init, command_backup, command_list, command_show, command_ls,
    command_find_files, command_cat, command_restore, command_drill, command_guard, command_status,
    command_prune, command_copy, command_repair, command_forget, command_undo, command_pin, command_unpin,
    command_check, command_key_show, command_key_kit, command_key_add, command_key_remove,
    command_key_passphrase;

#endif
