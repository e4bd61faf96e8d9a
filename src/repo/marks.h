/* marks.h - every mark of some kinds, read and parsed, and sets of names. */
#ifndef LIFEBOAT_REPO_MARKS_H
#define LIFEBOAT_REPO_MARKS_H

#include "repo/repo.h"

enum mark_kind {
    MARK_PIN,
    MARK_UNPIN,
    MARK_FORGET,
    MARK_UNDO,
    MARK_BROKEN,
    MARK_CONDEMN,
    MARK_SWEPT,
    MARK_DAMAGED,
    MARK_KINDS,
};
#define MARK_BIT(kind) (1u << (kind))
#define MARKS_ALL      (MARK_BIT(MARK_KINDS) - 1)
#define MARKS_OF_PACKS (MARK_BIT(MARK_CONDEMN) | MARK_BIT(MARK_SWEPT) | MARK_BIT(MARK_DAMAGED))
/* Those that say something of snapshots. */
#define MARKS_OF_SNAPSHOTS                                                                     \
    (MARK_BIT(MARK_PIN) | MARK_BIT(MARK_UNPIN) | MARK_BIT(MARK_FORGET) | MARK_BIT(MARK_UNDO) | \
     MARK_BIT(MARK_BROKEN))
const char *mark_kind_name(enum mark_kind kind); /* also its folder below marks/ */

struct sha_set {
    struct sha *v; /* sorted after sha_set_sort() */
    size_t n, cap;
};
void sha_set_add(struct sha_set *s, const struct sha *sha);
void sha_set_sort(struct sha_set *s);
bool sha_set_has(const struct sha_set *s, const struct sha *sha); /* sorted */
void sha_set_free(struct sha_set *s);
AUTO_FOR(sha_set)

struct mark {
    enum mark_kind kind;
    struct sha name;
    int64_t mtime_ns;    /* by the store */
    struct sha snapshot; /* pin, forget, undo, broken */
    /* pin: none. unpin: the pin. forget, broken: the undo marks that were seen. undo: the marks it cancels.
     * condemn, swept, damaged: packs. */
    struct sha_set names; /* sorted */
    char *reason;         /* of a pin, or NULL */
};
struct marks {
    struct mark *v; /* by kind, then by age, oldest first */
    size_t n;
    int64_t now_ns;            /* the store's clock before the listing */
    struct strings unreadable; /* "marks/...: why" */
};
#define MARKS_NO_CLOCK (1u << 31) /* with the kinds: now_ns is not wanted, which may spare requests */
/* One listing, then every mark of the kinds (MARK_BIT). One that is void (a bad signature) is left out with a
 * warning. */
int marks_load(struct repo *r, unsigned kinds, struct marks *out, struct err *e) MUST_CHECK;
void marks_free(struct marks *m);
AUTO_FOR(marks)

/* A forget or broken mark counts while there is no undo mark of its snapshot that it does not name. NULL:
 * none counts. The oldest. */
const struct mark *marks_forget_of(const struct marks *m, const struct sha *snapshot);
/* Whether no unpin names this pin. */
bool marks_pin_stands(const struct marks *m, const struct mark *pin);
/* Fills pins, forgotten_ns and broken. */
void marks_apply(const struct marks *m, struct snapshots *all);

/* ---- mark.c: making them; in gc.h and repo.h those that others make ---- */
/* Names that many packs, in as few marks as hold them. */
int mark_packs(struct repo *r, enum mark_kind kind, const struct sha_set *packs, struct err *e) MUST_CHECK;
/* Deletes those of `all` that call a pack damaged which is whole. What cannot be deleted is a note. */
void marks_withdraw(struct repo *r, const struct marks *all, const struct sha_set *whole,
                    struct strings *notes);
int mark_broken(struct repo *r, const struct sha *snapshot, struct err *e) MUST_CHECK;

#endif
