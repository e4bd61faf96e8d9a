#include "base/base.h"

#include <errno.h>
#include <sys/random.h>

/* getrandom(2): up to 256 bytes come whole, or, while the machine boots, a signal comes first. */
void random_fill(void *p, size_t n)
{
    while (getrandom(p, n, 0) != (ssize_t)n)
        if (errno != EINTR)
            die("the kernel gives no random bytes");
}

void random_hex(char *out, unsigned n)
{
    uint8_t random[32];
    random_fill(random, n);
    hex_encode(out, BYTES(random, n));
}
