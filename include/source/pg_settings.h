/* pg_settings.h - the settings of a server that say what values mean: by its time zone, formats and locales
 * materialized views are filled and constraints checked. A dump has those that belong to the database, and
 * not those of its server, so a snapshot keeps these: "NAME=VALUE". */
#ifndef LIFEBOAT_SOURCE_PG_SETTINGS_H
#define LIFEBOAT_SOURCE_PG_SETTINGS_H

#include "source/pg_client.h"

/* Whether it is one of them, however it is written. */
bool pg_setting_gives_meaning(const char *name);
/* Adds those that the server says in this session, and nothing nearer than it (a database, a role, we), but
 * none twice. */
int pg_settings_read(struct pg *p, struct strings *out, struct err *e) MUST_CHECK;
/* Sets them in this session where its server says another thing, and nothing nearer does. *set gets those
 * that were, *notes a sentence for each that cannot be set there. */
int pg_settings_use(struct pg *p, const struct strings *settings, struct strings *set, struct strings *notes,
                    struct err *e) MUST_CHECK;

#endif
