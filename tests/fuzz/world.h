/* world.h - what fuzz targets share: keys that are always the same, a repository in memory, a folder, and a
 * network in which every connection finds the bytes of the input. */
#ifndef LIFEBOAT_TESTS_FUZZ_WORLD_H
#define LIFEBOAT_TESTS_FUZZ_WORLD_H

#include "codec/keys.h"
#include "repo/internal.h"

/* Whether this is the build with MemorySanitizer, which takes what libsodium and libcrypto have written for
 * uninitialised: nothing is sealed then. */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define FUZZ_MEMORY 1
#endif
#endif
#ifndef FUZZ_MEMORY
#define FUZZ_MEMORY 0
#endif

/* Ends the run, as a crash would. */
#define HOLDS(what)  \
    do {             \
        if (!(what)) \
            abort(); \
    } while (0)

const struct keyring *fuzz_keys(void); /* with all secrets; lives on */
const char *fuzz_folder(void);         /* empty at the start, removed at the end */

/* A new repository in memory, not loaded. */
struct fuzz_repo {
    struct store *store;
    struct repo *repo;
};
void fuzz_repo_new(struct fuzz_repo *f);
void fuzz_repo_free(struct fuzz_repo *f);
AUTO_FOR(fuzz_repo)

/* From here on every connect() of this process, wherever to, finds a server that answers with `data`
 * (borrowed) and hangs up. A line "===" cuts it: the first connection gets the first part, and so on; the
 * last one is for all that follow, of which `most` are taken and the rest refused. */
void fuzz_answer(struct bytes data, unsigned most);
void fuzz_answer_end(void);

#endif
