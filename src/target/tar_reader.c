#include "target/target.h"

#include <archive.h>
#include <errno.h>

struct archive *target_tar_reader(void)
{
    struct archive *a = archive_read_new();
    if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_format_empty(a) != ARCHIVE_OK)
        die(OUT_OF_MEMORY);
    return a;
}

/* Without a reason it is the end of the bytes, or of the memory. */
char *target_tar_failure(struct archive *a, enum err_kind *kind)
{
    int number = errno;
    const char *why = archive_error_string(a);
    *kind = (why ? archive_errno(a) : number) == ENOMEM ? ERR_FAILED : ERR_DAMAGED;
    return *kind == ERR_FAILED ? xasprintf("libarchive gave up (%s)", why ? why : OUT_OF_MEMORY)
                               : xasprintf("the archive is damaged here (%s)", why ? why : "unknown error");
}
