#include "target/target.h"

#include "base/child.h"
#include "base/file.h"

#include <errno.h>

int target_fd(struct feed *in, int fd, const char *what, uint64_t *bytes, struct err *e)
{
    for (;;) {
        struct bytes b;
        if (stop_check(e) || in->next(in, &b, e))
            return -1;
        if (b.n == 0)
            return 0;
        errno = 0;
        if (fd_write_all(fd, b, what, e))
            return errno == EPIPE ? err_wrap(e, "the reader went away before it had everything") : -1;
        *bytes += b.n;
    }
}
