/* buckets.h - a Ceph object store of our own, and buckets in it as stores. */
#ifndef LIFEBOAT_TESTS_BUCKETS_H
#define LIFEBOAT_TESTS_BUCKETS_H

#include "stores.h"

/* In main(), around all tests. Without Ceph the program ends with 77. */
void ceph_up(void);
void ceph_down(void);

extern struct ceph {
    char *http, *https, *ca;
    struct store_credentials keys, other; /* two accounts */
} ceph;

enum bucket_kind { PLAIN, VERSIONED, LOCKED };
/* Makes a bucket and returns its name; free(). */
char *bucket_new(enum bucket_kind kind);
/* A request to the bucket itself, by its owner: PUT ?SUBRESOURCE with `body`. */
void bucket_set(const char *bucket, const char *subresource, const char *body);

/* Options for a bucket over http with the first account's keys: change what is to be different. */
struct store_s3_options bucket_options(const char *bucket);
struct store *bucket_open(const struct store_s3_options *o);
/* What the bucket kept of a name, markers too: "v" for a version, "m" for a marker, newest first. free() */
char *bucket_versions(const char *bucket, const char *key);

int set_up_s3(void **state); /* http, path */
int set_up_s3_tls(
    void **state); /* https, own authority, virtual host, odd prefix; every third call fails once */
int set_up_s3_versioned(void **state); /* a bucket that keeps versions */
int set_up_s3v2(void **state);
int set_up_s3v2_tls(void **state); /* https, virtual host; every third call fails once */

#endif
