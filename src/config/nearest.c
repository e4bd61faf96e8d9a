#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST 63

/* Edits (insert, delete, replace, swap neighbours) between two words; only words of up to 63 bytes are
 * compared. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b), rows[3][LONGEST + 1];
    if (n > LONGEST || strlen(a) > LONGEST)
        return SIZE_MAX;
    size_t *row = rows[0], *above = rows[1], *two_above = rows[2];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t *oldest = two_above;
        two_above = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t replace = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = MIN(replace, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], two_above[j - 2] + 1);
        }
    }
    return row[n];
}

const char *nearest_word(const char *word, const char *const *words)
{
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 2; /* further away is another word, not a slip */
    for (; *words; words++) {
        size_t d = distance(word, *words);
        if (d < least) {
            least = d;
            best = *words;
        }
    }
    return best;
}
