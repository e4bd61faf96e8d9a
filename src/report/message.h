/* message.h - what the webhook gets: the news of a record as a title and lines, put into a JSON template. */
#ifndef LIFEBOAT_REPORT_MESSAGE_H
#define LIFEBOAT_REPORT_MESSAGE_H

#include "report/record.h"

struct message {
    const char *event; /* "problem", "end", "digest" */
    char *title;
    struct buf text; /* lines; at most MESSAGE_MOST bytes */
};
#define MESSAGE_NONE \
    {                \
        0            \
    }
#define MESSAGE_MOST 1500 /* Discord takes 2,000 characters */

/* Fills it with what was not told yet; a digest tells of all that stands. false: there is nothing to tell. */
bool message_make(struct message *m, const struct record *r, const char *host, bool digest);
void message_free(struct message *m);
AUTO_FOR(message)

/* The JSON to send: the template (NULL: our own) with {{event}}, {{title}}, {{text}}, {{host}} and {{time}}
 * in its strings filled in. ERR_USAGE: it is no JSON, or has another name in braces. */
int message_fill(const struct message *m, struct bytes template, const char *host, int64_t now_ns,
                 struct buf *out, struct err *e) MUST_CHECK;

#endif
