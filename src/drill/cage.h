/* cage.h - running a program that may run hostile code, as a database server does that a stranger's dump is
 * restored into. It gets a user of its own (lifeboat-drill when we are root, else ours), an empty environment
 * but for a few names, no open file beyond 0 to 2 and its folder, and these locks:
 *   seccomp    no connection to anything, no system call that reaches into other processes or the kernel
 *   Landlock   writes below its folder only, reads of the system's programs and libraries only
 *   namespaces of processes, network, IPC and mounts, where the kernel lets us
 * Nothing started in a cage outlives it, whatever it does, nor the thread that called cage_start(), even when
 * that is killed: between us and the program stands a keeper, a child of ours that ends all of it.
 *
 *   we --- keeper --- [ first process of its PID namespace --- the program ]    with namespaces
 *   we --- keeper (a subreaper) --- the program                                 without
 *
 * The keepers are forks of us, with what we have in memory: they run as us and cannot be looked into. */
#ifndef LIFEBOAT_DRILL_CAGE_H
#define LIFEBOAT_DRILL_CAGE_H

#include "base/child.h"

#include <pwd.h>

#define CAGE_USER   "lifeboat-drill"
#define CAGE_KEEPER "lifeboat-keep" /* the name of the keepers; theirs alone, as they belong to root */

/* As whom programs run in a cage; valid until the next look-up. NULL: there is no such user, or, with *e, it
 * cannot be told. */
const struct passwd *cage_find_user(struct err *e);

struct cage;
struct cage_options {
    bool no_namespaces; /* for tests: as where the kernel does not allow them */
};
/* ERR_UNPROVEN, with the remedy: no such user, no seccomp. */
struct cage *cage_new(const struct cage_options *o, struct err *e) MUST_CHECK;

/* Makes the folder `path`, empty, for the cage's user, who need not be able to pass through those above it.
 * Once, before cage_start(). */
int cage_make_folder(struct cage *c, const char *path, struct err *e) MUST_CHECK;
/* Its name inside: "/proc/self/fd/N". */
const char *cage_folder(const struct cage *c);

/* Runs argv (argv[0]: a path) in /; its stdout is dropped. child_wait(), child_free(): the end of everything
 * in it. ERR_UNPROVEN: a lock could not be set. */
int cage_start(struct cage *c, const char *const *argv, struct child *child, struct err *e) MUST_CHECK;

/* ---- after cage_start() ---- */
const char *cage_user(const struct cage *c); /* whose processes they are; NULL: a user without a name */
bool cage_is_complete(const struct cage *c); /* own user, seccomp and Landlock */
void cage_notes(const struct cage *c, struct strings *notes); /* as which user; what was not locked */
void cage_free(struct cage *c);
AUTO_PTR_FOR(cage)

#endif
