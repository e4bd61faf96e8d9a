/* configs.h - what the tests of the configuration share: texts that are read as the file t.conf. */
#ifndef LIFEBOAT_TESTS_CONFIGS_H
#define LIFEBOAT_TESTS_CONFIGS_H

#include "testing.h"

#include "config/config.h"

#define STORE "[store main]\nurl = file:///b\n"

struct config *parse_text(const char *text, struct err *e);
struct config *parse_well(const char *text);   /* it has no slip */
struct config *parse_source(const char *keys); /* of a [source s] behind STORE */
/* How the message begins, so that file, line, section and key are right too. */
void refuse(const char *text, const char *message);

#endif
