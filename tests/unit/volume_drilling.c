#include "volume_drilling.h"

#include "base/child.h"

#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

struct drilling drilling;

int drilling_set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    scene_set_up(state);
    drilling = (struct drilling){.limit = UINT64_MAX};
    drilling.place = xasprintf("%s/scratch", scene.t.folder);
    drilling.folder = xasprintf("%s/volume", drilling.place);
    assert_int_equal(mkdir(drilling.place, 0700), 0);
    return 0;
}

int drilling_tear_down(void **state)
{
    drill_as_root_again();
    stop_requested = 0;
    while (geteuid() == 0 && umount2(drilling.place, MNT_DETACH) == 0)
        ;
    drill_result_free(&drilling.out);
    free(drilling.place);
    free(drilling.folder);
    return scene_tear_down(state);
}

/* ---- drills ---- */
void drill_prepare(void)
{
    static char name[] = "v", type[] = "volume";
    for (size_t i = 0; i < 2; i++)
        drilling.streams[i] = scene.result.streams[i];
    drilling.source = (struct snapshot_source){.name = name,
                                               .type = type,
                                               .files = scene.result.files,
                                               .streams = drilling.streams,
                                               .stream_count = 2};
    drilling.env = (struct drill_env){
        .source = &drilling.source, .config = &scene.source, .settings = &drilling.settings};
}

static int drill_slice(struct volume_drill *d, struct err *e)
{
    int rc = volume_drill_restore(d, e);
    if (rc == 0 && drilling.inject)
        drilling.inject();
    if (rc == 0)
        rc = volume_drill_compare(d, e);
    drilling.slices++;
    return rc ? rc : volume_drill_clear(d, e);
}

int drill_try(struct err *e)
{
    AUTO(volume_drill) d = {0};
    bool more = true;
    drill_result_free(&drilling.out);
    drilling.slices = 0;
    drilling.env.repo = scene.t.repo;
    *e = (struct err)ERR_INIT;
    if (!drilling.inject)
        return volume_drill_run(&drilling.env, drilling.place, drilling.limit, &drilling.out, e);
    int rc = volume_drill_open(&d, &drilling.env, drilling.place, drilling.limit, &drilling.out, e);
    while (rc == 0 && more) {
        rc = volume_drill_next(&d, &more, e);
        if (rc == 0 && more)
            rc = drill_slice(&d, e);
    }
    if (rc == 0)
        rc = volume_drill_end(&d, e);
    volume_drill_finish(&d, rc == 0);
    return rc < 0 ? -1 : 0;
}

void drill_now(void (*inject)(void))
{
    struct err e = ERR_INIT;
    drill_prepare();
    drilling.inject = inject;
    if (drill_try(&e))
        fail_msg("%s", e.text);
    assert_int_equal(access(drilling.folder, F_OK), -1); /* nothing is left */
}

/* ---- answers ---- */
static const char *said(const struct strings *s)
{
    static char text[4000];
    size_t n = 0;
    text[0] = 0;
    for (size_t i = 0; i < s->n && n < sizeof text - 1; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "\n  %s", s->v[i]);
    return text;
}

void expect_proven(void)
{
    if (drilling.out.outcome != DRILL_PROVEN || drilling.out.reasons.n)
        fail_msg("not proven:%s", said(&drilling.out.reasons));
}

void expect_outcome(enum drill_outcome outcome, const char *reason)
{
    if (drilling.out.outcome != outcome || !was_said(&drilling.out.reasons, reason))
        fail_msg("outcome %d, and \"%s\" is not among:%s", drilling.out.outcome, reason,
                 said(&drilling.out.reasons));
}

void expect_reasons(size_t n)
{
    if (drilling.out.reasons.n != n)
        fail_msg("%zu reasons:%s", drilling.out.reasons.n, said(&drilling.out.reasons));
}

struct drill_layer drill_layer_named(const char *name)
{
    for (size_t i = 0; i < drilling.out.layer_count; i++)
        if (strcmp(drilling.out.layers[i].name, name) == 0)
            return drilling.out.layers[i];
    fail_msg("no layer %s", name);
    return (struct drill_layer){0};
}

/* ---- things to drill ---- */
void make_hostile_tree(void)
{
    struct err e = ERR_INIT;
    AUTO(buf) out = BUF_NONE;
    AUTO_CHAR program = xasprintf("%s/lib/make_tree.py", tests_folder());
    const char *const argv[] = {"python3", program, scene.tree, NULL};
    assert_ok(child_output(&(struct child_options){.argv = argv}, program, 1 << 16, &out, &e));
}

struct stream_info put_stream(const char *name, struct bytes b)
{
    struct err e = ERR_INIT;
    struct stream_info info;
    struct writer_stats stats;
    struct stream_options o = test_stream;
    o.name = name;
    struct writer *w = writer_new(scene.t.repo, &e);
    struct stream *s = stream_new(w, &o, NULL);
    assert_ok(stream_write(s, b, &e));
    assert_ok(stream_finish(s, &info, &e));
    assert_ok(writer_finish(w, &stats, &e));
    stream_free(s);
    writer_free(w);
    test_repo_reload(&scene.t);
    return info;
}

/* ---- who we are ---- */
bool drill_as_nobody(void)
{
    if (geteuid() != 0)
        return false;
    assert_int_equal(chmod(scene.t.folder, 0777) | chown(drilling.place, 65534, 65534), 0);
    assert_int_equal(setegid(65534) | seteuid(65534), 0);
    return true;
}

void drill_as_root_again(void)
{
    if (getuid() == 0 && geteuid() != 0)
        assert_int_equal(seteuid(0) | setegid(0), 0);
}
