/* command.h - the drill of a command's output, in any folder: what drill_command() does in scratch. */
#ifndef LIFEBOAT_DRILL_COMMAND_H
#define LIFEBOAT_DRILL_COMMAND_H

#include "drill/drill.h"

int command_drill_run(const struct drill_env *env, const char *place, struct drill_result *out,
                      struct err *e) MUST_CHECK;

#endif
