/* A policy's life: a good snapshot every so often, and a prune after each. */
#include "policy/retention.h"

#include <stdlib.h>
#include <string.h>

#define NS 1000000000ll

struct held {
    struct moment *m;
    struct decision *d;
    size_t n, room;
};

static void add(struct held *h, int64_t time_ns, uint64_t sequence)
{
    if (h->n == h->room) {
        h->room = h->room ? 2 * h->room : 64;
        h->m = xrealloc(h->m, h->room, sizeof *h->m);
        h->d = xrealloc(h->d, h->room, sizeof *h->d);
    }
    h->m[h->n++] =
        (struct moment){.snapshot = sequence, .time_ns = time_ns, .stored_ns = time_ns, .sequence = sequence};
}

static void drop(struct held *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->d[i].why) {
            h->m[n] = h->m[i];
            h->d[n++] = h->d[i];
        }
    h->n = n;
}

void retention_simulate(const struct retention *r, int64_t start_ns, uint64_t every_s, uint64_t for_s,
                        bool (*step)(void *ctx, const struct simulation *s), void *ctx)
{
    struct held h = {0};
    struct retention now = *r;
    bool more = true;
    for (uint64_t s = 0, sequence = 1; more && s <= for_s; s += every_s, sequence++) {
        now.now_ns = start_ns + (int64_t)s * NS;
        add(&h, now.now_ns, sequence);
        retention_decide(&now, h.m, h.n, h.d);
        drop(&h);
        more = step(ctx, &(struct simulation){.held = h.m, .why = h.d, .n = h.n, .time_ns = now.now_ns});
    }
    free(h.m);
    free(h.d);
}
