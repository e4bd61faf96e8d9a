#include "yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MOST (64u << 20) /* real compose files take some 100 KiB */
#define BLOCK      (64u << 10)

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) uint8_t data[];
};
struct arena {
    struct block *blocks;
    size_t total;
};

struct arena *arena_new(void)
{
    return xcalloc(1, sizeof(struct arena));
}

void *arena_alloc(struct arena *a, size_t n, size_t size, struct err *e)
{
    if (n > ARENA_MOST / size || a->total + n * size > ARENA_MOST) {
        err_set(e, ERR_USAGE, "holds too much: its aliases or variables come to more than %u MiB",
                ARENA_MOST >> 20);
        return NULL;
    }
    size_t want = (n * size + 15) & ~(size_t)15;
    if (!a->blocks || a->blocks->size - a->blocks->used < want) {
        size_t room = MAX(want, BLOCK);
        struct block *b = xcalloc(1, sizeof *b + room);
        b->size = room;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = a->blocks->data + a->blocks->used;
    a->blocks->used += want;
    a->total += want;
    return p;
}

char *arena_text(struct arena *a, const char *s, size_t n, struct err *e)
{
    char *copy = arena_alloc(a, n + 1, 1, e);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *arena_fmt(struct arena *a, struct err *e, const char *fmt, ...)
{
    va_list ap;
    char *text;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        die(OUT_OF_MEMORY);
    char *copy = arena_text(a, text, (size_t)n, e);
    free(text);
    return copy;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    while (a->blocks) {
        struct block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    free(a);
}
