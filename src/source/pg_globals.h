/* pg_globals.h - roles and tablespaces: what belongs to a server and not to one of its databases. */
#ifndef LIFEBOAT_SOURCE_PG_GLOBALS_H
#define LIFEBOAT_SOURCE_PG_GLOBALS_H

#include "source/pg_client.h"

/* Appends the script of `pg_dumpall --globals-only` of p's server. *passwords: whether those of roles are in
 * it (they are when p's role may read them). Warnings are added to `warnings`. */
int pg_globals(struct pg *p, unsigned time_limit_s, struct buf *script, bool *passwords,
               struct strings *warnings, struct err *e) MUST_CHECK;

#endif
