#include "cmd.h"

#include "base/child.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSPHRASE_MAX 1024

static struct {
    const char *file;
} args;

static const struct option_spec options[] = {
    {0, "new-passphrase-file", "FILE", OPTION_TEXT, &args.file,
     "take its first line, instead of asking on the terminal"},
    {0},
};

/* One line from the terminal, into `out`. */
static int read_line(int tty, const char *prompt, struct buf *out, struct err *e)
{
    char c;
    buf_reserve(out, PASSPHRASE_MAX + 1);
    out->n = 0;
    if (fd_write_all(tty, BYTES_STR(prompt), "terminal", e))
        return -1;
    for (;;) {
        ssize_t n = read(tty, &c, 1);
        if (stop_check(e))
            return -1;
        if (n < 0)
            return err_errno(e, ERR_IO, "terminal");
        if (n == 0 || c == '\n')
            return fd_write_all(tty, BYTES_STR("\n"), "terminal", e);
        if (out->n == PASSPHRASE_MAX)
            return err_set(e, ERR_USAGE, "the passphrase is longer than %d bytes", PASSPHRASE_MAX);
        buf_add_u8(out, (uint8_t)c);
    }
}

static int ask_twice(int tty, struct buf *out, struct err *e)
{
    AUTO(buf) again = BUF_NONE;
    int rc = read_line(tty, "New passphrase: ", out, e) || read_line(tty, "Once more: ", &again, e) ? -1 : 0;
    if (rc == 0 && (again.n != out->n || memcmp(again.p, out->p, out->n) != 0))
        rc = err_set(e, ERR_USAGE, "the two were not the same: nothing was changed");
    if (rc == 0 && out->n == 0)
        rc = err_set(e, ERR_USAGE, "the passphrase is empty: nothing was changed");
    buf_wipe(&again);
    return rc;
}

static int ask(struct buf *out, struct err *e)
{
    struct termios before, silent;
    AUTO_FD tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &before) != 0)
        return err_set(e, ERR_USAGE, "there is no terminal to ask on: give --new-passphrase-file FILE");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(tty, TCSAFLUSH, &silent);
    int rc = ask_twice(tty, out, e);
    tcsetattr(tty, TCSAFLUSH, &before);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    AUTO(buf) passphrase = BUF_NONE;
    AUTO(strings) left = STRINGS_NONE;
    const struct run_access access = cli_access(c);
    int rc = args.file ? run_read_passphrase(args.file, &passphrase, e) : ask(&passphrase, e);
    if (rc == 0)
        rc = run_key_passphrase(&access, buf_bytes(&passphrase), &left, e);
    buf_wipe(&passphrase);
    if (rc)
        return -1;
    if (!c->quiet && !c->json)
        puts("the passphrase is set: --passphrase-file FILE stands in for the identity from now on");
    key_print_left(&left);
    return key_say_left(&left, "may still be opened by a former passphrase: mend that, and run this again");
}

const struct command command_key_passphrase = {
    .name = "key passphrase",
    .arguments = "",
    .summary = "set the passphrase that stands in for an identity",
    .about =
        "Asks for it twice on the terminal. A former passphrase stops working. Needs a key that reads; takes a\n"
        "second and 256 MiB of memory, as does every later use. Make it long: whoever has the store can try.",
    .example = "lifeboat key passphrase",
    .exits = "3 a former one may still open a mirror (the reason is named)",
    .options = options,
    .takes = TAKES_CONFIG | TAKES_KEYS | TAKES_STORE,
    .run = run,
};
