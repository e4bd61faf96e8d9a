#include "meter.h"

void meter_count(struct meter *m, enum store_class class, uint64_t bytes_up, uint64_t bytes_down)
{
    atomic_fetch_add(&m->of[class].requests, 1);
    atomic_fetch_add(&m->of[class].bytes_up, bytes_up);
    atomic_fetch_add(&m->of[class].bytes_down, bytes_down);
}

void meter_read(struct meter *m, struct store_counts *out)
{
    for (unsigned i = 0; i < STORE_CLASSES; i++) {
        out->of[i].requests = atomic_load(&m->of[i].requests);
        out->of[i].bytes_up = atomic_load(&m->of[i].bytes_up);
        out->of[i].bytes_down = atomic_load(&m->of[i].bytes_down);
    }
}
