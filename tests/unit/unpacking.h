/* unpacking.h - what the tests of directory targets share: an archive built in memory, a feed of it, and a
 * folder to restore to with another one beside it that nothing may touch. */
#ifndef LIFEBOAT_TESTS_UNPACKING_H
#define LIFEBOAT_TESTS_UNPACKING_H

#include "testing.h"

#include "target/target.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#define TIME 1234567890 /* and 123456789 ns: of every entry */

struct tar {
    struct archive *a;
    struct buf bytes;
};

/* A feed of bytes in slices; take the address of `base`. */
struct slices {
    struct feed base;
    struct bytes left;
    size_t size; /* of a slice */
    bool broken; /* fails instead of ending */
};

struct world {
    char *base, *in;
    int fd; /* of `in`, once it is there */
    struct target_directory_options o;
    struct target_counts counts;
    struct err e;
};

/* ---- an archive: test_tar_begin(), entries, test_tar_end() for its bytes (any number of times),
 * test_tar_done() ---- */
void test_tar_begin(struct tar *t);
struct archive_entry *test_tar_entry(const char *path, mode_t mode);
void test_tar_put(struct tar *t, struct archive_entry *ae); /* frees it */
void test_tar_put_data(struct tar *t, struct archive_entry *ae, const char *body);
void test_tar_add_file(struct tar *t, const char *path, const char *body);
void test_tar_add_folder(struct tar *t, const char *path, mode_t mode);
void test_tar_add_symlink(struct tar *t, const char *path, const char *target);
void test_tar_add_link(struct tar *t, const char *path, const char *to);
struct bytes test_tar_end(struct tar *t);
void test_tar_done(struct tar *t);
struct slices slices_of(struct bytes b);
void world_make_file(const char *folder, const char *name, const char *body);
/* ---- a world for each test: its folders are removed whatever was restored into them ---- */
int world_set_up(void **state);
int world_tear_down(void **state);
int world_stream(struct world *w, struct bytes b); /* with w->o into w->in; fills counts and e */
void world_stream_ok(struct world *w, struct tar *t);
struct stat world_stat(const struct world *w, const char *path);
bool world_has(const struct world *w, const char *path);
void assert_file_content(const struct world *w, const char *path, const char *body);
void assert_archived_time(struct stat st);
bool world_notes_say(const struct world *w, const char *part);
unsigned count_names_in(const char *path);
void assert_outside_untouched(const struct world *w, const char *after);
void test_tar_add_acl(struct archive_entry *ae, int type);

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

#endif
