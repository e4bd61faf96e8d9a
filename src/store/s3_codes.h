/* s3_codes.h - the error codes of S3 servers: what helps, and which may pass by themselves. */
#ifndef LIFEBOAT_STORE_S3_CODES_H
#define LIFEBOAT_STORE_S3_CODES_H

#include <stdbool.h>

const char *s3_code_remedy(const char *code); /* NULL: nothing is known to help */
bool s3_code_may_pass(const char *code);

#endif
