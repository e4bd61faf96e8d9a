/* The planned reader: what it holds in memory. */
#include "testing.h"

#include <sys/resource.h>

#define FRAMES 200
#define FRAME  (4u << 20)
#define PIECE  (1u << 20)

static const struct stream_options wide = {.name = "data",
                                           .params = {.min = PIECE / 4, .mean = PIECE / 2, .max = PIECE},
                                           .frame = FRAME,
                                           .level = 1};

static uint64_t most_memory(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)u.ru_maxrss << 10;
}

struct firsts {
    struct ref v[FRAMES];
    size_t n;
};

static int note_first(void *ctx, const struct ref *refs, size_t n, struct err *e)
{
    struct firsts *f = ctx;
    (void)e;
    for (size_t i = 0; i < n; i++)
        if (refs[i].length == sizeof(uint32_t))
            f->v[f->n++] = refs[i];
    return 0;
}

/* Each frame begins with a chunk of four bytes; the rest shrinks to nothing. */
static void write_frames(struct writer *w, struct firsts *out)
{
    struct err e = ERR_INIT;
    static uint32_t piece[PIECE / sizeof(uint32_t)];
    const struct stream_watch watch = {.refs = note_first, .ctx = out};
    struct stream_info info;
    AUTO_PTR(stream) s = stream_new(w, &wide, &watch);
    for (uint32_t i = 0, number = 1; i < FRAMES; i++) {
        assert_ok(stream_write(s, BYTES(&i, sizeof i), &e));
        for (uint32_t k = 0; k < FRAME / PIECE - 1; k++, number++) {
            assert_ok(stream_split(s, &e));
            for (size_t n = 0; n < ARRAY_LEN(piece); n++)
                piece[n] = number;
            assert_ok(stream_write(s, BYTES(piece, sizeof piece), &e));
        }
        assert_ok(stream_split(s, &e));
    }
    assert_ok(stream_finish(s, &info, &e));
}

/* A stream of those chunks alone: what is ahead is counted in frames, not in the few bytes that are wanted of
 * each. */
static void little_of_many_large_frames(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct test_repo t;
    struct firsts firsts = {.n = 0};
    struct stream_info info;
    AUTO(buf) back = BUF_NONE;
    test_repo_new(&t, NULL);
    struct writer *w = writer_new(t.repo, &e);
    write_frames(w, &firsts);
    assert_int_equal(firsts.n, FRAMES);
    struct stream *s = stream_new(w, &wide, NULL);
    assert_int_equal(stream_append(s, firsts.v, firsts.n, &e), 1);
    assert_ok(stream_finish(s, &info, &e));
    stream_free(s);
    assert_ok(writer_finish(w, &(struct writer_stats){0}, &e));
    writer_free(w);
    test_repo_reload(&t);
    uint64_t before = most_memory();
    assert_ok(test_read(&t, &info, &back, &e));
    assert_int_equal(back.n, FRAMES * sizeof(uint32_t));
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_memory_equal(back.p + i * sizeof i, &i, sizeof i);
    assert_in_range(most_memory() - before, 0, (uint64_t)FRAMES * FRAME / 4);
    test_repo_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_of_many_large_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
