/* cage_parts.h - how the cage is divided: cage.c (our side), cage_filter.c (the seccomp filter, made before
 * the fork), cage_keeper.c (who stands between us and the program), cage_locks.c and cage_landlock.c (what
 * the program's process does to itself before exec). The last three run between fork and exec in a copy of
 * a process with threads: system calls only, no memory from the heap. */
#ifndef LIFEBOAT_DRILL_CAGE_PARTS_H
#define LIFEBOAT_DRILL_CAGE_PARTS_H

#include "drill/cage.h"

#include <linux/filter.h>

/* Shared with the processes before exec. */
struct cage_report {
    const char *step; /* what is being done: names the lock that failed */
    bool in_namespaces;
    int landlock; /* its ABI; 0: none */
};

struct cage {
    bool own_user; /* we are root, the program is not */
    uid_t uid;
    gid_t gid;
    char *user;
    bool no_namespaces;
    char *path;
    int folder; /* open for paths; keeps its number inside, where no path may lead to it */
    char inside[32];
    pid_t parent;
    char uid_map[32], gid_map[32]; /* for a user namespace */
    struct sock_fprog filter;
    struct cage_report *report;
};

/* .filter to free(). ERR_UNPROVEN: there are none here. */
int cage_make_filter(struct sock_fprog *out, struct err *e) MUST_CHECK;

/* child_options.prepare: returns 0 in the process that becomes the program, an errno where something failed;
 * the keepers never return. */
int cage_enter(void *cage);
int cage_lock(struct cage *c);       /* 0 or an errno */
int cage_lock_files(struct cage *c); /* Landlock; 0, also without any, or an errno */

#endif
