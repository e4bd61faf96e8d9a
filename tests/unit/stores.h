/* stores.h - what the tests of stores share: a store of each kind, and what one expects of it. */
#ifndef LIFEBOAT_TESTS_STORES_H
#define LIFEBOAT_TESTS_STORES_H

#include "store/driver.h"
#include "store/local.h"
#include "testing.h"

/* LOCAL_NAMED: as on a file system where a file without a name cannot get one. */
enum kind { MEM, LOCAL, LOCAL_NAMED, FAULT_MEM, FAULT_LOCAL, RETRY, CACHE_MEM };
struct fixture {
    char *folder; /* removed at the end */
    struct store *store;
    struct store_fault plan;
};

struct store *open_local(const char *path, bool create, unsigned min_free);
struct fixture *fixture_new(enum kind kind);
/* For cmocka: *state is a struct fixture. */
int set_up_mem(void **state);
int set_up_local(void **state);
int set_up_named(void **state);
int set_up_fault(void **state);
int set_up_retry(void **state); /* over a store that fails for a while, again and again */
int set_up_cache(void **state); /* over a store that counts its calls in `plan` */
int tear_down(void **state);
struct store *store_of(void **state);

bool has_server(const struct store *s); /* a bucket: puts replace, deletes cannot tell */
void put(struct store *s, const char *name, const char *text);
int put_by_file(struct store *s, const char *name, const char *text, uint64_t size, struct err *e);
void expect(struct store *s, const char *name, const char *text);
void expect_absent(struct store *s, const char *name);

/* As a signal asks the program to stop, after so long. */
void stop_in(unsigned ms);

/* A store_each that keeps what it hears. */
struct found {
    struct strings lines; /* "name size" */
    int64_t oldest_ns, newest_ns;
    size_t stop_after;
};

int find(void *ctx, const struct store_object *o, struct err *e);
/* The listing, sorted, as one text: "NAME SIZE, NAME SIZE". */
void expect_list(struct store *s, const char *prefix, const char *expected);

#endif
