/* Which frames are compressed: a look at a few places decides. */
#include "testing.h"

#include "codec/compress.h"

#define FRAME (512u << 10)

static uint8_t frame[FRAME], opened[FRAME];

/* Noise, but for [from, to), which is text. */
static void fill(size_t from, size_t to)
{
    uint64_t random = 3;
    for (size_t i = 0; i < FRAME; i++)
        frame[i] = i >= from && i < to ? (uint8_t)('a' + i % 7) : (uint8_t)(test_random(&random) >> 24);
}

static void expect(enum compression wanted)
{
    struct codec *c = codec_new();
    AUTO(buf) packed = BUF_NONE;
    assert_int_equal(codec_compress(c, BYTES(frame, FRAME), 1, &packed), wanted);
    if (wanted == COMPRESSION_ZSTD) {
        assert_true(packed.n < FRAME);
        assert_true(codec_decompress(c, buf_bytes(&packed), opened, FRAME));
        assert_memory_equal(opened, frame, FRAME);
    } else {
        assert_int_equal(packed.n, 0);
    }
    codec_free(c);
}

static void noise_is_stored_as_it_is(void **state)
{
    (void)state;
    fill(0, 0);
    expect(COMPRESSION_NONE);
}

/* Headers of media files compress, their bodies do not. */
static void so_is_noise_behind_a_header(void **state)
{
    (void)state;
    fill(0, 30000);
    expect(COMPRESSION_NONE);
}

static void text_in_any_quarter_is_found(void **state)
{
    (void)state;
    for (size_t quarter = 0; quarter < 4; quarter++) {
        fill(quarter * FRAME / 4, (quarter + 1) * FRAME / 4);
        expect(COMPRESSION_ZSTD);
    }
}

/* docs/format.md: "one zstd frame without a dictionary, nothing after it". */
static void what_is_not_one_zstd_frame_is_refused(void **state)
{
#define FRAME_OF_5 "\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello"
    static const struct {
        const char *bytes;
        size_t n, raw;
        bool good;
    } cases[] = {
        {FRAME_OF_5, 14, 5, true},
        {FRAME_OF_5, 14, 4, false},
        {FRAME_OF_5, 14, 6, false},
        {FRAME_OF_5, 13, 5, false},
        {"", 0, 0, false},
        {FRAME_OF_5 FRAME_OF_5, 28, 10, false},
        {"\x50\x2a\x4d\x18\x04\0\0\0skip" FRAME_OF_5, 26, 5, false},
        {FRAME_OF_5 "\x50\x2a\x4d\x18\x04\0\0\0skip", 26, 5, false},
        {"\x27\xb5\x2f\xfd\x20\x05\x40\0\x05hello\xc0\0\0", 17, 5, false}, /* of zstd 0.7 */
    };
    (void)state;
    AUTO_PTR(codec) c = codec_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(codec_decompress(c, BYTES(cases[i].bytes, cases[i].n), opened, cases[i].raw),
                         cases[i].good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_is_stored_as_it_is),
        cmocka_unit_test(so_is_noise_behind_a_header),
        cmocka_unit_test(text_in_any_quarter_is_found),
        cmocka_unit_test(what_is_not_one_zstd_frame_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
