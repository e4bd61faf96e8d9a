/* service.h - what systemd is told of us by sd_notify(3)'s protocol: that we are ready, what we are at, that
 * we are not stuck. Nothing happens, and nothing fails, where no $NOTIFY_SOCKET is set. */
#ifndef LIFEBOAT_BASE_SERVICE_H
#define LIFEBOAT_BASE_SERVICE_H

#include "base/base.h"

/* Once, before the first thread. The programs that we start are not told of the socket. */
void service_start(void);
bool service_is_there(void);
void service_ready(void);
void service_status(const char *text); /* one line, for `systemctl status` */

/* From every loop that waits or works: keeps the watchdog (WatchdogSec=) quiet. Any thread, any rate. */
void service_tick(void);
bool service_is_watched(void); /* whether there is a watchdog */

#endif
