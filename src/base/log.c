#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static log_listener *listener;
static void *listener_ctx;

void log_listen(log_listener *f, void *ctx)
{
    listener = f;
    listener_ctx = ctx;
}

static void PRINTF_LIKE(2, 0) say(enum log_level level, const char *fmt, va_list ap)
{
    if (!listener)
        return;
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        return;
    pthread_mutex_lock(&lock);
    listener(listener_ctx, level, text);
    pthread_mutex_unlock(&lock);
    free(text);
}

#define LOG_FUNCTION(name, level)   \
    void name(const char *fmt, ...) \
    {                               \
        va_list ap;                 \
        va_start(ap, fmt);          \
        say(level, fmt, ap);        \
        va_end(ap);                 \
    }
LOG_FUNCTION(log_debug, LOG_DEBUG)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_warn, LOG_WARN)
