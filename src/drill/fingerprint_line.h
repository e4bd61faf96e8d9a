/* fingerprint_line.h - the lines of a fingerprint, one by one. Texts stay as they stand there, which is
 * canonical: they are equal when their bytes are. */
#ifndef LIFEBOAT_DRILL_FINGERPRINT_LINE_H
#define LIFEBOAT_DRILL_FINGERPRINT_LINE_H

#include "base/base.h"

enum fingerprint_kind { FINGERPRINT_LARGE_OBJECT, FINGERPRINT_OBJECT, FINGERPRINT_TABLE };

struct fingerprint_line {
    enum fingerprint_kind kind;
    struct bytes key;                /* up to and with what tells one thing from another */
    struct bytes type, schema, name; /* of a large object the name is its number */
    bool of_database;
    struct bytes owner, tablespace, access_method;
    struct bytes columns;
    struct bytes digest; /* definition, content or sum */
    uint64_t count;      /* rows, or bytes of a large object */
};

struct fingerprint_lines {
    struct bytes left, last;
    const char *what; /* for messages: "the fingerprint of ..." */
    uint64_t number;
};
/* Checks the header. */
int fingerprint_lines_open(struct fingerprint_lines *l, struct bytes fingerprint, const char *what,
                           struct err *e) MUST_CHECK;
/* 1: the next one; 0: no more; -1: ERR_DAMAGED. */
int fingerprint_lines_next(struct fingerprint_lines *l, struct fingerprint_line *out,
                           struct err *e) MUST_CHECK;

int fingerprint_order(struct bytes a, struct bytes b); /* as memcmp, shorter first */
static inline bool fingerprint_same(struct bytes a, struct bytes b)
{
    return fingerprint_order(a, b) == 0;
}
bool fingerprint_is(struct bytes text, const char *plain); /* is it this text? */
void fingerprint_text(struct bytes text, struct buf *out); /* appends what it stands for */

/* ---- fingerprint_words.c: sentences; the caller frees ---- */
char *fingerprint_shown(const struct fingerprint_line *l); /* "index public.users_email_idx" */
char *fingerprint_missing(const struct fingerprint_line *l);
char *fingerprint_extra(const struct fingerprint_line *l);
/* `tablespaces`: whether they count. */
char *fingerprint_changed(const struct fingerprint_line *was, const struct fingerprint_line *is,
                          bool tablespaces);
char *fingerprint_rows_changed(const struct fingerprint_line *table, uint64_t was, uint64_t is,
                               bool other_columns);

#endif
