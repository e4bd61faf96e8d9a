/* engine_api.h - questions to the engine. */
#ifndef LIFEBOAT_SOURCE_ENGINE_API_H
#define LIFEBOAT_SOURCE_ENGINE_API_H

#include "base/base.h"

#include <jansson.h>

/* GET `path`; `query`, when not NULL, is added escaped as the value of "filters". 1: there is no such thing
 * (404). *out is to be json_decref'd. */
int engine_get(const char *path, const char *query, json_t **out, struct err *e) MUST_CHECK;
/* The program that speaks to that engine ("docker", "podman"; NULL when neither is in PATH), and the variable
 * that leads it there. Caller frees both. */
int engine_command(char **command, char **variable, struct err *e) MUST_CHECK;

#endif
