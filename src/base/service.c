#include "base/service.h"

#include "base/child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    int fd; /* connected; -1: nobody listens */
    uint64_t every_ns;
    uint64_t ticked_ns; /* atomic */
} service = {.fd = -1};

/* A path, or "@" and an abstract name. */
static int connect_to(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof a.sun_path)
        return -1;
    memcpy(a.sun_path, name, n);
    if (name[0] == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* As sd_watchdog_enabled(3): the variable may be meant for our parent. Three times within the limit, which is
 * one more than asked for. */
static uint64_t watchdog_ns(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 3 * 1000;
}

void service_start(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    child_withhold("NOTIFY_SOCKET");
    child_withhold("WATCHDOG_USEC");
    child_withhold("WATCHDOG_PID");
    if (name)
        service.fd = connect_to(name);
    if (service.fd >= 0)
        service.every_ns = watchdog_ns();
}

bool service_is_there(void)
{
    return service.fd >= 0;
}

bool service_is_watched(void)
{
    return service.every_ns > 0;
}

/* Never waits: a message that finds no room is not worth a stop. */
static void tell(const char *text)
{
    if (service.fd >= 0)
        (void)!send(service.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void service_ready(void)
{
    tell("READY=1");
}

void service_status(const char *text)
{
    AUTO_CHAR line = xasprintf("STATUS=%.*s", (int)strcspn(text, "\n"), text);
    tell(line);
}

void service_tick(void)
{
    if (!service.every_ns)
        return;
    uint64_t now = time_monotonic_ns(), last = __atomic_load_n(&service.ticked_ns, __ATOMIC_RELAXED);
    if (now - last >= service.every_ns && __atomic_compare_exchange_n(&service.ticked_ns, &last, now, false,
                                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        tell("WATCHDOG=1");
}
