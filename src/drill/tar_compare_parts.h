/* tar_compare_parts.h - how the comparison is divided: tar_compare.c (which entry against which),
 * tar_compare_entry.c (one against another), tar_compare_content.c (their bytes). */
#ifndef LIFEBOAT_DRILL_TAR_COMPARE_PARTS_H
#define LIFEBOAT_DRILL_TAR_COMPARE_PARTS_H

#include "drill/probe.h"
#include "drill/tar_compare.h"
#include "drill/tar_entries.h"

struct bigmap;
struct comparing {
    const struct tar_comparison *o;
    struct tar_tally *tally;
    struct drill_result *out;
    struct tar_entries stored, reread;
    bool reread_failed;
    struct probe probe;
    struct bigmap *left_out; /* paths of what cannot be here: nor can hard links to it; NULL: none */
    char *shut;              /* the last folder that only root may read; what is in it was not read */
};

/* What there is to say of one entry. */
struct findings {
    struct buf differs, refused;
};
void findings_free(struct findings *f);
AUTO_FOR(findings)
void tell(struct findings *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Whether `what` is as it is because the kernel said `why`; keeps that. */
bool find_refused(struct comparing *c, struct findings *f, const char *what, int why);

/* The two entries at hand, which have the same path. */
int compare_entries(struct comparing *c, struct findings *f, struct err *e) MUST_CHECK;
int compare_contents(struct comparing *c, uint64_t size, struct findings *f, struct err *e) MUST_CHECK;

#endif
