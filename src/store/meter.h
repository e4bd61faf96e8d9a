/* meter.h - requests and bytes by class, counted where requests are made. Safe from any thread. */
#ifndef LIFEBOAT_STORE_METER_H
#define LIFEBOAT_STORE_METER_H

#include "store/store.h"

#include <stdatomic.h>

struct meter {
    struct {
        atomic_ullong requests, bytes_up, bytes_down;
    } of[STORE_CLASSES];
};
void meter_count(struct meter *m, enum store_class class, uint64_t bytes_up, uint64_t bytes_down);
void meter_read(struct meter *m, struct store_counts *out);

#endif
