/* volume_scene.h - what the tests of the volume source share: a tree, a repository in memory, a cache folder,
 * and a look at the streams of the last backup. Paths are relative to the tree. */
#ifndef LIFEBOAT_TESTS_VOLUME_SCENE_H
#define LIFEBOAT_TESTS_VOLUME_SCENE_H

#include "testing.h"

#include "source/source.h"

#include <time.h>

extern struct scene {
    struct test_repo t;
    char *tree, *cache;
    int dirfd; /* of the tree */
    struct config_source source;
    struct source_env env; /* what is not set for each backup */
    struct source_result result;
    struct buf tar, catalog; /* of the last backup */
} scene;
int scene_set_up(void **state);
int scene_tear_down(void **state);
int scene_try_backup(struct err *e); /* -1: failed, with *e */
void scene_back_up(void);

/* ---- making things ---- */
void scene_put_text(const char *path, const char *text);
void put_seeded(const char *path, size_t n, uint64_t seed);
void make_dir(const char *path);
void set_times(const char *path, time_t s);
void link_to(const char *from, const char *to);
#define FOLDERS 6
#define FILES   40 /* in each folder */
/* Files of all sizes in folders, in this order or backwards: the same tree. */
void make_files(bool backwards);

/* ---- what is in the tar stream ---- */
void expect_text(const char *path, const char *text); /* of the file or of the one that it is a link to */
void scene_expect_absent(const char *path);
void expect_link(const char *path, const char *to); /* "": it is none, it holds the content */

/* ---- what was said ---- */
bool was_said(const struct strings *list, const char *part);
void expect_degraded(const char *part);
void expect_good(void);

#endif
