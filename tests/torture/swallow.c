/* swallow.so (LD_PRELOAD): a disk that says yes to every write below the folder SWALLOW, and keeps none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_swallowed(int fd)
{
    const char *folder = getenv("SWALLOW");
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    size_t start = folder ? strlen(folder) : 0;
    return start && n > (ssize_t)start && memcmp(path, folder, start) == 0 && path[start] == '/';
}

ssize_t write(int fd, const void *p, size_t n)
{
    return is_swallowed(fd) ? (ssize_t)n : syscall(SYS_write, fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return is_swallowed(fd) ? (ssize_t)n : syscall(SYS_pwrite64, fd, p, n, offset);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t offset)
{
    return pwrite(fd, p, n, offset);
}
