/* crashes.h - of fault.so: writes down where a thread of the program crashes. */
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* No printf: it may be malloc that is being hit. */
static char *add(char *to, const char *end, const char *text)
{
    while (*text && to < end)
        *to++ = *text++;
    *to = 0;
    return to;
}

static char *add_hex(char *to, const char *end, uintptr_t n)
{
    char text[2 * sizeof n + 1], *at = text + sizeof text - 1;
    *at = 0;
    do
        *--at = "0123456789abcdef"[n % 16];
    while (n /= 16);
    return add(add(to, end, "0x"), end, at);
}

static char *add_frame(char *to, const char *end, void *address)
{
    Dl_info at = {0};
    dladdr(address, &at);
    to = add(add(to, end, at.dli_fname ? at.dli_fname : "nowhere"), end, " ");
    to = add(add_hex(to, end, (uintptr_t)address - (uintptr_t)at.dli_fbase), end, " ");
    return add(add(to, end, at.dli_sname ? at.dli_sname : ""), end, "\n");
}

static char *crash_text;
static const char *crash_end;

/* Its own frame and the one that the kernel made for it come first. Then it returns, to crash for good;
 * another thread that crashes meanwhile waits for that. */
static void crashes(int number)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&once))
        pause();
    void *frames[24];
    int n = backtrace(frames, 24);
    char *to = crash_text;
    for (int i = 2; i < n; i++)
        to = add_frame(to, crash_end, frames[i]);
    signal(number, SIG_DFL);
}

/* A sanitizer tells of them by itself. */
static void watch_crashes(char *text, size_t size)
{
    static const int all[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction now;
    void *frame;
    crash_text = text;
    crash_end = text + size - 1;
    backtrace(&frame, 1); /* it loads what it needs */
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (sigaction(all[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            signal(all[i], crashes);
}
