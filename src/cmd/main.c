/* main: a safe process, one command, an exit code. */
#include "cmd.h"

#include "base/child.h"
#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STACK        (8ul << 20) /* the usual limit: PostgreSQL wants 2 MiB */
#define THREAD_STACK (1ul << 20) /* what looks up names and speaks TLS takes some of it */
#define BIG_BUFFER   (256 << 10) /* frames of volumes and ranges of packs are larger */

struct cli cli;

static void stop(int sig)
{
    (void)sig;
    stop_requested = 1;
}

/* Descriptors 0, 1 and 2 exist, so that no file of ours becomes one of them. What was closed is opened the
 * wrong way round: using it stays an error. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(EXIT_FAILED);
}

/* Whoever started us may have changed what signals do. Without SIGCHLD no program that we run would have an
 * exit status. A file that grows beyond RLIMIT_FSIZE is an error like a full disk, and not the end of us. */
static void set_signals(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t none;
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    /* Once: a second one ends us as it would any program. Calls that wait are interrupted. */
    struct sigaction once = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        struct sigaction now;
        sigaction(stops[i], NULL, &now);
        if (now.sa_handler != SIG_IGN) /* nohup */
            sigaction(stops[i], &once, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The stack of this thread grows as far as it is allowed to; the others', libcurl's among them, have a size
 * from the limit that we were started with. */
static void set_stacks(void)
{
    struct rlimit stack = cli.stack;
    pthread_attr_t usual;
    size_t size = STACK;
    if (stack.rlim_cur < MIN(stack.rlim_max, (rlim_t)STACK)) {
        stack.rlim_cur = MIN(stack.rlim_max, (rlim_t)STACK);
        setrlimit(RLIMIT_STACK, &stack);
    }
    if (pthread_getattr_default_np(&usual) != 0)
        return;
    pthread_attr_getstacksize(&usual, &size);
    if (size < THREAD_STACK && pthread_attr_setstacksize(&usual, THREAD_STACK) == 0)
        pthread_setattr_default_np(&usual);
    pthread_attr_destroy(&usual);
}

static void make_process_safe(void)
{
    open_standard_files();
    mallopt(M_MMAP_THRESHOLD, BIG_BUFFER); /* left alone, it grows, and what was freed stays as holes */
    cli.umask = umask(077);
    getrlimit(RLIMIT_CORE, &cli.core);
    getrlimit(RLIMIT_STACK, &cli.stack);
    /* Keys are in memory. The hard limit stays: guard runs a command of the user's. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0, .rlim_max = cli.core.rlim_max});
    prctl(PR_SET_DUMPABLE, 0);
    set_stacks();
    set_signals();
}

static int exit_code(const struct err *e)
{
    switch (e->kind) {
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_DAMAGED:
        return EXIT_DAMAGED;
    case ERR_UNPROVEN:
        return EXIT_UNPROVEN;
    default:
        return EXIT_FAILED;
    }
}

/* The kit says where the store is and whose it is, and is the identity. */
static int open_kit(struct err *e)
{
    if (cli.identity || cli.passphrase_file)
        return err_set(e, ERR_USAGE,
                       "--from-kit has the key in it: leave --identity and --passphrase-file out; with a "
                       "passphrase alone: lifeboat --store URL --passphrase-file FILE drill");
    if (cli.config_file)
        return err_set(e, ERR_USAGE, "--from-kit is a drill without a configuration: leave -c out");
    if (run_kit_read(cli.kit_file, &cli.kit, e))
        return -1;
    if (!cli.store && !cli.kit.store)
        return err_set(e, ERR_USAGE,
                       "%s: names no store above its identity: say where it is with --store URL",
                       cli.kit_file);
    cli.identity = cli.kit_file;
    cli.store = cli.store ? cli.store : cli.kit.store;
    return 0;
}

const char *cli_config_path(const struct cli *c)
{
    const char *file = c->config_file ? c->config_file : getenv("LIFEBOAT_CONFIG");
    return file && *file ? file : "/etc/lifeboat/lifeboat.conf";
}

/* An address needs no configuration; the name of a store is in there. */
static bool wants_config(void)
{
    if (cli.kit_file || cli.compose.n) /* with --compose it is made */
        return false;
    return !cli.store || cli.config_file ||
           (!strchr(cli.store, '/') && access(cli_config_path(&cli), F_OK) == 0);
}

static int load_config(struct err *e)
{
    if (cli.kit_file && open_kit(e))
        return -1;
    if (!(cli.command->takes & TAKES_CONFIG) || !wants_config())
        return 0;
    cli.config = config_load(cli_config_path(&cli), e);
    return cli.config ? 0 : -1;
}

/* An exit code, or -1 with *e. */
static int run(int argc, char **argv, struct err *e)
{
    int first, words;
    int rc = options_parse_global(argc, argv, &first, e);
    if (rc)
        return rc < 0 ? -1 : EXIT_GOOD;
    if (first == argc) {
        help_print_all();
        return err_set(e, ERR_USAGE, "which command? `lifeboat help COMMAND` says more of each");
    }
    if (help_is_of_group(argc - first, argv + first))
        return help_print_group(argv[first]);
    cli.command = command_find(argc - first, argv + first, &words, e);
    if (!cli.command)
        return -1;
    rc = options_parse(argc - first - words + 1, argv + first + words - 1, e);
    if (rc)
        return rc < 0 ? -1 : EXIT_GOOD;
    if (cli.log_format && ui_set_format(cli.log_format, e))
        return -1;
    return load_config(e) ? -1 : cli.command->run(&cli, e);
}

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    memory_for_libraries();
    make_process_safe();
    service_start();
    ui_start();
    int code = run(argc, argv, &e);
    ui_clear();
    if (code < 0) {
        ui_text(e.text);
        code = exit_code(&e);
    }
    outcome_end(code, &e);
    const char *lost = print_finish();
    if (lost) {
        ui_say("standard output: %s", lost);
        code = code == EXIT_GOOD ? EXIT_FAILED : code;
    }
    strings_free(&cli.compose);
    strings_free(&cli.env_files);
    run_kit_free(&cli.kit);
    config_free(cli.config);
    return code;
}
