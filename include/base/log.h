/* log.h - what the library has to say besides its results. Nothing is printed here: cmd/ installs the
 * listener. Safe from any thread; the listener is called under a lock. Never give it a secret. */
#ifndef LIFEBOAT_BASE_LOG_H
#define LIFEBOAT_BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN };
typedef void log_listener(void *ctx, enum log_level level, const char *text);

void log_listen(log_listener *f, void *ctx); /* before the first thread; NULL: silence (the default) */
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
