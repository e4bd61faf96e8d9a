/* What a server, or whoever sits in front of it, answers: any bytes must end in a page, an error or a no. */
#include "store/s3_reply.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(s3_page) page = S3_PAGE_NONE;
    AUTO(s3_error_text) error = S3_ERROR_TEXT_NONE;
    bool is_page = s3_page_parse(BYTES(data, size), &page);
    for (size_t i = 0; i < page.n; i++)
        if (!page.v[i].key)
            abort();
    bool is_error = s3_error_parse(BYTES(data, size), &error);
    if ((is_page && is_error) || (error.message && strlen(error.message) > 300))
        abort();
    if (s3_setting_is(BYTES(data, size), "VersioningConfiguration/Status", "Enabled") && is_page)
        abort();
    return 0;
}
