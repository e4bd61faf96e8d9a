/* What a host keeps in [state] from one run to the next. Rubbish is as good as nothing; what is understood is
 * the same when it was saved and loaded again. */
#include "base/file.h"
#include "report/record.h"
#include "report/status.h"
#include "run/internal.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(const char *name, struct bytes text)
{
    struct err e = ERR_INIT;
    AUTO_CHAR path = xasprintf("%s/%s", fuzz_folder(), name);
    HOLDS(file_write(path, text, 0600, false, &e) == 0);
}

static void last(void)
{
    AUTO(buf) state = BUF_NONE, again = BUF_NONE;
    struct snapshot snapshot = {0};
    struct snapshot_source source = {.name = (char *)"source"};
    last_load(fuzz_folder(), "source", &state);
    last_save(fuzz_folder(), &snapshot, &source, buf_bytes(&state));
    last_load(fuzz_folder(), "source", &again);
    HOLDS(again.n == state.n && (!state.n || memcmp(again.p, state.p, state.n) == 0));
}

static void report(void)
{
    struct err e = ERR_INIT;
    AUTO(record) r = {0}, again = {0};
    HOLDS(record_load(&r, fuzz_folder(), &e) == 0 && record_save(&r, fuzz_folder(), &e) == 0);
    HOLDS(record_load(&again, fuzz_folder(), &e) == 0 && again.problem_count == r.problem_count);
    HOLDS(again.run_count == r.run_count && again.digest_ns == r.digest_ns);
    for (size_t i = 0; i < r.problem_count; i++)
        HOLDS(strcmp(again.problems[i].text, r.problems[i].text) == 0);
}

static void mirror(void)
{
    struct err e = ERR_INIT;
    struct config_store stores[] = {{.name = (char *)"first"}, {.name = (char *)"second"}};
    const struct config c = {.stores = stores, .store_count = ARRAY_LEN(stores)};
    struct mirror_notes before, after;
    mirror_notes_load(&before, fuzz_folder(), &c);
    HOLDS(mirror_note_save(fuzz_folder(), "second", 0, before.v[0].error, &e) == 0);
    mirror_notes_load(&after, fuzz_folder(), &c);
    HOLDS(after.n == 1 && after.v[0].complete_ns == before.v[0].complete_ns);
    mirror_notes_free(&before);
    mirror_notes_free(&after);
}

static void locks(void)
{
    struct err e = ERR_INIT;
    const struct config_store s = {.name = (char *)"first", .object_lock_days = 10};
    AUTO(fuzz_repo) f;
    fuzz_repo_new(&f);
    HOLDS(repo_load(f.repo, &e) == 0);
    HOLDS((locks_extend(f.repo, &s, fuzz_folder(), &e) == COMMIT_FAILED) == err_is_set(&e));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"source.last", "report.json", "second.mirror", "first.locks"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put(names[i], BYTES(data, size));
    last();
    report();
    mirror();
    if (!FUZZ_MEMORY && size && data[0] != '{') /* threads are started for it: not for JSON */
        locks();
    return 0;
}
