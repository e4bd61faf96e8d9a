/* volume_drilling.h - what the tests of volume drills share: the scene of volumes, a folder in place of
 * scratch, and a drill of the last backup into which a test can come between the restore and the comparison.
 */
#ifndef LIFEBOAT_TESTS_VOLUME_DRILLING_H
#define LIFEBOAT_TESTS_VOLUME_DRILLING_H

#include "drill/volume.h"
#include "volume_scene.h"

extern struct drilling {
    char *place;  /* scratch */
    char *folder; /* in it: what is restored */
    struct config_drill settings;
    struct stream_info streams[2]; /* data, catalog: a test may replace them */
    struct snapshot_source source;
    struct drill_env env;
    uint64_t limit;
    void (*inject)(void); /* between restore and comparison; NULL: nothing */
    struct drill_result out;
    unsigned slices;
} drilling;
int drilling_set_up(void **state);
int drilling_tear_down(void **state);

void drill_prepare(void);             /* for the streams of scene.result; again after each backup */
int drill_try(struct err *e);         /* of what was prepared */
void drill_now(void (*inject)(void)); /* prepares and drills; it must end with an answer */
void expect_proven(void);
void expect_outcome(enum drill_outcome outcome, const char *reason); /* one of the reasons says that */
void expect_reasons(size_t n);
struct drill_layer drill_layer_named(const char *name);
/* The tree of tests/lib/make_tree.py. */
void make_hostile_tree(void);
/* Puts a stream of these bytes into the scene's repository. */
struct stream_info put_stream(const char *name, struct bytes b);

/* Becomes nobody until drill_as_root_again(), and lets it into the scene; false: we are somebody else
 * already.
 */
bool drill_as_nobody(void);
void drill_as_root_again(void);

#define DRILL_CASE(f) cmocka_unit_test_setup_teardown(f, drilling_set_up, drilling_tear_down)
#define NEEDS_ROOT                                  \
    do {                                            \
        if (geteuid() != 0) {                       \
            print_message("skipped: needs root\n"); \
            skip();                                 \
        }                                           \
    } while (0)

#endif
