/* The identity as a file and as a block on paper, which people type in again.
 *
 * On paper the digits stand in groups of four, eight groups in a row, and the last line has a group of check
 * digits for each row: the first two bytes of its BLAKE2b-256. */
#include "codec/keys.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TITLE      "lifeboat-identity"
#define VERSION    "1"
#define GROUP      4
#define ROW        (8 * GROUP) /* digits */
#define ROW_SIZE   (ROW / 2)
#define ROWS       5 /* one of the repository id, two of each key */
#define CHECK_SIZE 2
#define DIGITS_MAX (2 * KEY_SIZE)
#define BLANKS     " \t\r\f\v"

static struct identity *identity_alloc(void)
{
    if (sodium_init() < 0)
        die(OUT_OF_MEMORY);
    struct identity *id = sodium_malloc(sizeof *id);
    if (!id)
        die(OUT_OF_MEMORY);
    return id;
}

struct identity *identity_new(const uint8_t repository_id[REPOSITORY_ID_SIZE])
{
    struct identity *id = identity_alloc();
    crypto_box_keypair(id->recipient, id->secret);
    memcpy(id->repository_id, repository_id, REPOSITORY_ID_SIZE);
    return id;
}

void identity_free(struct identity *id)
{
    sodium_free(id);
}

/* ---- writing ---- */
static void add_line(struct buf *out, const char *name, struct bytes value)
{
    char hex[DIGITS_MAX + 1];
    hex_encode(hex, value);
    buf_add_str(out, name);
    buf_add_u8(out, ' ');
    buf_add_str(out, hex); /* not by buf_add_fmt(), which would leave a copy behind */
    buf_add_u8(out, '\n');
    sodium_memzero(hex, sizeof hex);
}

void identity_write_file(const struct identity *id, struct buf *out)
{
    buf_reserve(out, 2048); /* so that growing leaves no copy of the secret behind */
    buf_add_str(
        out, TITLE
        " " VERSION "\n"
        "# The identity: reads everything in the repository. Keep a copy away from this machine, on paper "
        "too;\n"
        "# without it (or a passphrase set with `lifeboat key passphrase`) nothing can be restored.\n");
    add_line(out, "repository", BYTES(id->repository_id, REPOSITORY_ID_SIZE));
    add_line(out, "recipient", BYTES(id->recipient, KEY_SIZE));
    add_line(out, "secret", BYTES(id->secret, KEY_SIZE));
}

static void add_rows(struct buf *out, const char *name, struct bytes value)
{
    char hex[DIGITS_MAX + 1];
    hex_encode(hex, value);
    for (size_t i = 0; hex[i]; i += GROUP) {
        if (i % ROW == 0)
            buf_add_fmt(out, "%s  %-10s ", i ? "\n" : "", i ? "" : name);
        buf_add_u8(out, ' ');
        buf_add(out, BYTES(hex + i, GROUP));
    }
    buf_add_u8(out, '\n');
    sodium_memzero(hex, sizeof hex);
}

static struct bytes row_of(const struct identity *id, size_t row)
{
    const uint8_t *const from[ROWS] = {id->repository_id, id->recipient, id->recipient + ROW_SIZE, id->secret,
                                       id->secret + ROW_SIZE};
    return BYTES(from[row], ROW_SIZE);
}

static void check_row(uint8_t out[CHECK_SIZE], struct bytes row)
{
    uint8_t full[32];
    crypto_generichash(full, sizeof full, row.p, row.n, NULL, 0);
    memcpy(out, full, CHECK_SIZE);
}

void identity_write_paper(const struct identity *id, struct buf *out)
{
    uint8_t checks[ROWS * CHECK_SIZE];
    for (size_t i = 0; i < ROWS; i++)
        check_row(checks + i * CHECK_SIZE, row_of(id, i));
    buf_add_str(out, "  " TITLE " " VERSION "\n");
    add_rows(out, "repository", BYTES(id->repository_id, REPOSITORY_ID_SIZE));
    add_rows(out, "recipient", BYTES(id->recipient, KEY_SIZE));
    add_rows(out, "secret", BYTES(id->secret, KEY_SIZE));
    add_rows(out, "check", BYTES(checks, sizeof checks));
}

/* ---- reading ---- */
enum { REPOSITORY, RECIPIENT, SECRET, CHECK, FIELDS };
static const char *const names[FIELDS] = {"repository", "recipient", "secret", "check"};
static const size_t wanted[FIELDS] = {2 * REPOSITORY_ID_SIZE, 2 * KEY_SIZE, 2 * KEY_SIZE,
                                      2 * ROWS *CHECK_SIZE};

struct page {
    char digits[FIELDS][DIGITS_MAX];
    size_t n[FIELDS]; /* digits that were there, also those beyond DIGITS_MAX */
    bool titled;
};

static struct bytes trimmed(struct bytes b)
{
    while (b.n && b.p[0] && strchr(BLANKS, b.p[0]))
        b = BYTES(b.p + 1, b.n - 1);
    while (b.n && b.p[b.n - 1] && strchr(BLANKS, b.p[b.n - 1]))
        b.n--;
    return b;
}

static bool next_line(struct bytes *text, struct bytes *line)
{
    if (text->n == 0)
        return false;
    const uint8_t *nl = memchr(text->p, '\n', text->n);
    size_t n = nl ? (size_t)(nl - text->p) : text->n;
    size_t used = n + (nl ? 1 : 0);
    *line = trimmed(BYTES(text->p, n));
    *text = BYTES(text->p + used, text->n - used);
    return true;
}

/* Whether the line starts with that word; it is taken off then, with a colon behind it. */
static bool take_word(struct bytes *line, const char *word)
{
    size_t n = strlen(word);
    if (line->n < n || strncasecmp((const char *)line->p, word, n) != 0 ||
        (line->n > n && isalnum(line->p[n])))
        return false;
    struct bytes rest = BYTES(line->p + n, line->n - n);
    if (rest.n && rest.p[0] == ':')
        rest = BYTES(rest.p + 1, rest.n - 1);
    *line = trimmed(rest);
    return true;
}

/* What is read for a digit where there can be none of those letters. */
static char digit_of(char c)
{
    return c == 'O' || c == 'o' ? '0' : c == 'l' || c == 'I' || c == '|' ? '1' : c;
}

static void add_digits(struct page *p, size_t field, struct bytes line)
{
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] && strchr(BLANKS "-", line.p[i]))
            continue;
        if (p->n[field] < DIGITS_MAX)
            p->digits[field][p->n[field]] = digit_of((char)line.p[i]);
        p->n[field]++;
    }
}

/* The fields come in their order; a line without a name goes on with the one before, while that wants more.
 * The check digits may be missing. */
static void read_page(struct page *p, struct bytes text)
{
    struct bytes line;
    size_t field = FIELDS; /* none yet */
    while (next_line(&text, &line)) {
        size_t next = field == FIELDS ? 0 : field + 1;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (!p->titled)
            p->titled = take_word(&line, TITLE) && take_word(&line, VERSION) && line.n == 0;
        else if (next < FIELDS && take_word(&line, names[next]))
            add_digits(p, field = next, line);
        else if (field < FIELDS && p->n[field] < wanted[field])
            add_digits(p, field, line);
        else if (field >= SECRET && field < FIELDS)
            return;
    }
}

static int check_field(const struct page *p, size_t f, struct err *e)
{
    if (p->n[f] == 0)
        return err_set(e, ERR_USAGE, "the line \"%s\" of the identity is missing: it was changed or cut",
                       names[f]);
    for (size_t i = 0; i < p->n[f] && i < wanted[f]; i++)
        if (!isxdigit((unsigned char)p->digits[f][i]))
            return err_set(e, ERR_USAGE,
                           "\"%s\", group %zu: there is a character in it that is no digit (0-9, a-f): "
                           "compare it with the page",
                           names[f], i / GROUP + 1);
    if (p->n[f] != wanted[f])
        return err_set(e, ERR_USAGE,
                       "\"%s\" has %zu digits in place of %zu: something was left out, typed twice or cut: "
                       "compare it with the page",
                       names[f], p->n[f], wanted[f]);
    return 0;
}

static bool decode(const struct page *p, size_t f, uint8_t *out, size_t n)
{
    return p->n[f] == 2 * n && hex_decode(out, n, p->digits[f], 2 * n);
}

static int check_rows(const struct page *p, const struct identity *id, bool keys_fit, struct err *e)
{
    uint8_t checks[ROWS * CHECK_SIZE], is[CHECK_SIZE];
    bool there = decode(p, CHECK, checks, sizeof checks);
    for (size_t i = 0; there && i < ROWS; i++) {
        check_row(is, row_of(id, i));
        /* Keys that fit each other prove their digits; then it is the check digits that have the slip. */
        if (memcmp(is, checks + i * CHECK_SIZE, sizeof is) == 0 || (keys_fit && i > 0))
            continue;
        return err_set(e, ERR_USAGE,
                       "\"%s\", row %zu: a digit is wrong (or group %zu of \"check\"): compare the groups of "
                       "that row with the page",
                       names[(i + 1) / 2], i == 0 ? 1 : (i - 1) % 2 + 1, i + 1);
    }
    return keys_fit
               ? 0
               : err_set(e, ERR_USAGE,
                         "\"secret\" and \"recipient\" do not belong together: a digit is wrong in one of "
                         "them: compare them with the page");
}

static int take_identity(const struct page *p, struct identity *id, struct err *e)
{
    uint8_t recipient[KEY_SIZE];
    if (!p->titled)
        return err_set(e, ERR_USAGE,
                       "holds no identity of this version: there is no line \"" TITLE " " VERSION "\"");
    for (size_t f = REPOSITORY; f <= SECRET; f++)
        if (check_field(p, f, e))
            return -1;
    if (!decode(p, REPOSITORY, id->repository_id, REPOSITORY_ID_SIZE) ||
        !decode(p, RECIPIENT, id->recipient, KEY_SIZE) || !decode(p, SECRET, id->secret, KEY_SIZE))
        return err_set(e, ERR_USAGE, "the identity has characters in it that are no digits");
    bool fit =
        crypto_scalarmult_base(recipient, id->secret) == 0 && memcmp(recipient, id->recipient, KEY_SIZE) == 0;
    return check_rows(p, id, fit, e);
}

struct identity *identity_parse(struct bytes text, struct err *e)
{
    AUTO_PTR(identity) id = identity_alloc();
    struct page page = {0};
    read_page(&page, text);
    int rc = take_identity(&page, id, e);
    sodium_memzero(&page, sizeof page);
    return rc ? NULL : STEAL(id);
}
