/* The JSON of a mark, of each kind. Marks that cannot be read are named, and end nothing. */
#include "repo/marks.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct mark *m)
{
    HOLDS(m->kind < MARK_KINDS && (m->kind == MARK_PIN) == (m->reason != NULL));
    HOLDS((m->kind != MARK_UNPIN && m->kind != MARK_DAMAGED) || m->names.n == 1);
    for (size_t i = 1; i < m->names.n; i++) /* they are looked up in it */
        HOLDS(memcmp(m->names.v[i - 1].b, m->names.v[i].b, SHA_SIZE) <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = ERR_INIT;
    struct sha name;
    AUTO(fuzz_repo) f;
    AUTO(marks) all = {0};
    AUTO(snapshots) none = {0};
    fuzz_repo_new(&f);
    for (unsigned k = 0; k < MARK_KINDS; k++) {
        AUTO_CHAR folder = xasprintf("marks/%s/", mark_kind_name((enum mark_kind)k));
        HOLDS(object_put(f.repo, folder, OBJECT_MARK, BYTES(data, size), &name, &e) == 0);
    }
    HOLDS(marks_load(f.repo, MARKS_ALL, &all, &e) == 0 && all.n <= 1); /* it says itself which kind it is */
    HOLDS(all.n + all.unreadable.n <= MARK_KINDS);
    if (all.n)
        check(&all.v[0]);
    marks_apply(&all, &none);
    HOLDS(repo_load(f.repo, &e) == 0);
    return 0;
}
