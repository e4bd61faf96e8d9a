/* Globs over whole paths, byte by byte: `*` and `?` do not cross a slash, `**` does, `[a-z]` and `[!a-z]` are
 * sets, `\` takes the next byte literally. A pattern without a slash is matched against the last name alone
 * (as in .gitignore), one with a slash against the whole path; a leading slash only anchors, a trailing one
 * is ignored. The matcher keeps one place to go back to for each kind of star, so it takes at most pattern x
 * path steps for every star and never recurses (Krauss, "Matching Wildcards: An Algorithm", 2008). */
#include "base/base.h"

#include <string.h>

/* Matches the set that starts after '['; *len gets the pattern bytes used after '['. An open set matches '['.
 */
static bool set_match(const char *p, char c, size_t *len)
{
    const char *start = p;
    bool negate = *p == '!' || *p == '^', hit = false, first = true;
    p += negate;
    for (; *p && (*p != ']' || first); p++, first = false) {
        uint8_t low = (uint8_t)*p, high = low;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            high = (uint8_t)p[2];
            p += 2;
        }
        hit |= low <= (uint8_t)c && (uint8_t)c <= high;
    }
    if (!*p) {
        *len = 0;
        return c == '[';
    }
    *len = (size_t)(p - start) + 1;
    return c != '/' && hit != negate;
}

/* Whether one path byte fits the pattern element at *p; *step gets its length. */
static bool one_match(const char *p, char c, size_t *step)
{
    *step = 1;
    if (*p == '?')
        return c != '/';
    if (*p == '[') {
        size_t len;
        bool hit = set_match(p + 1, c, &len);
        *step = 1 + len;
        return hit;
    }
    if (*p == '\\' && p[1]) {
        *step = 2;
        return p[1] == c;
    }
    return *p == c;
}

static bool match(const char *p, const char *s)
{
    const char *star_p = NULL, *star_s = NULL, *deep_p = NULL, *deep_s = NULL;
    for (;;) {
        if (p[0] == '*' && p[1] == '*') {
            p += 2;
            if (*p == '/')
                deep_p = p + 1; /* "** /" may stand for nothing, or end at any slash */
            else
                deep_p = p;
            deep_s = s;
            p = deep_p;
            star_p = NULL;
            continue;
        }
        if (*p == '*') {
            star_p = ++p;
            star_s = s;
            continue;
        }
        size_t step;
        if (*s == 0 && *p == 0)
            return true;
        if (*s && *p && one_match(p, *s, &step)) {
            p += step;
            s++;
        } else if (star_p && *star_s && *star_s != '/') {
            s = ++star_s;
            p = star_p;
        } else if (deep_p && *deep_s) {
            bool to_slash = deep_p[-1] == '/';
            do
                deep_s++;
            while (to_slash && *deep_s && deep_s[-1] != '/');
            if (to_slash && deep_s[-1] != '/')
                return false;
            s = deep_s;
            p = deep_p;
            star_p = NULL;
        } else {
            return false;
        }
    }
}

bool glob_match(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    bool trailing = n > 1 && pattern[n - 1] == '/';
    char *p = xstrndup(pattern, n - trailing);
    bool whole = strchr(p, '/') != NULL;
    const char *last = strrchr(path, '/');
    bool hit = match(p[0] == '/' ? p + 1 : p, whole || !last ? path : last + 1);
    char_auto(&p);
    return hit;
}
