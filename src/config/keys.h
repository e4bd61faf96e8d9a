/* keys.h - the table of every section and every key, and how a value becomes a member of struct config. Only
 * config/ and its tests look at it. */
#ifndef LIFEBOAT_CONFIG_KEYS_H
#define LIFEBOAT_CONFIG_KEYS_H

#include "config/config.h"

/* COMMAND is for /bin/sh, where a `;` means something: such a value takes no comment on its line; nor does an
 * ASSERT, which is SQL, stands behind "assert NAME" and may stand several times. */
enum value_kind {
    ADDRESSING,
    SIGNATURE,

    TEXT,
    COMMAND,
    PATH,
    LIST,
    BOOLEAN,
    NUMBER,
    DURATION,
    SIZE,
    CHUNK_SIZE,
    SOURCE_TYPE,
    ASSERT
};
#define FOR(type)        (1u << (type))
#define SOURCE_TYPE_NONE ((enum source_type) - 1) /* until `type` was read */

struct key {
    const char *name;
    enum value_kind kind;
    size_t offset;  /* of the member in struct config_source, config_store, config_retention or config */
    long low, high; /* NUMBER: the range; DURATION: low in seconds, high in days */
    unsigned types; /* [source]: FOR() each type that has it; [retention NAME]: whether it may stand there */
};
struct section {
    const char *kind;
    enum { UNTITLED, TITLED, EITHER } title; /* [keys], [source NAME]; [retention] and [retention NAME] */
    const struct key *keys;                  /* ended by a name of NULL */
};
extern const struct section config_sections[]; /* ended by a kind of NULL */

const struct section *section_find(const char *kind); /* or NULL */
const struct key *key_find(const struct key *keys, const char *name);

/* Adds ": did you mean ...?", or what is known when nothing is near. */
void section_hint(struct buf *out, const char *word);
void key_hint(struct buf *out, const char *word, const struct key *keys);

const char *addressing_name(enum addressing a);

/* Checks the value and stores it at its member of `base`. ERR_USAGE with what is wrong with it. */
int value_set(const struct key *k, void *base, const char *value, struct err *e) MUST_CHECK;
int assert_add(struct config_drill *d, const char *source, const char *sql, struct err *e) MUST_CHECK;

#endif
