/* Feeds a fuzz target the files named (or all in the folders named): the corpus as a test. */
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void replay(const char *path)
{
    struct err e = ERR_INIT;
    AUTO(buf) data = BUF_NONE;
    if (file_read(path, 64u << 20, &data, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    LLVMFuzzerTestOneInput(data.p, data.n);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            replay(argv[i]);
            continue;
        }
        for (struct dirent *entry; (entry = readdir(d));) {
            if (entry->d_name[0] == '.')
                continue;
            AUTO_CHAR path = xasprintf("%s/%s", argv[i], entry->d_name);
            replay(path);
        }
        closedir(d);
    }
    return 0;
}
