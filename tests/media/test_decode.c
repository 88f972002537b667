/* SPDX-License-Identifier: Apache-2.0 */
/* tests/media/test_decode.c - files decoded by the child, limits, broken files, and children that
 * misbehave: this program is its own child, and plays what a broken decoder would do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codec/codec.h"
#include "media/media_int.h"

#define GOLDEN SNUG_SOURCE_DIR "/tests/golden/media/"

static media *m;

static snug_slice load(snug_arena *a, const char *name)
{
    snug_err   err = {0};
    snug_slice s;
    if (snug_read_file(a, snug_arena_printf(a, GOLDEN "%s", name).ptr, 1 << 20, &s, &err) !=
        SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    return s;
}

static media_image image(snug_arena *a, const char *name)
{
    snug_err    err = {0};
    media_image out;
    if (media_decode_image(m, load(a, name), NULL, a, &out, &err) != SNUG_OK)
        fail_msg("%s: %s", name, err.msg);
    return out;
}

static void test_jpeg_equals_the_golden(void **state)
{
    snug_arena       *a = snug_arena_new();
    snug_err          err = {0};
    media_image       got = image(a, "wide.jpg");
    snug_slice        file = load(a, "decoded.safetensors");
    codec_safetensors st;
    (void)state;
    assert_int_equal(codec_safetensors_parse(a, file, file.len, &st, &err), SNUG_OK);
    const codec_tensor *t = codec_safetensors_find(&st, SNUG_LIT("wide.jpg"));
    assert_non_null(t);
    assert_int_equal(got.height, t->shape[0]);
    assert_int_equal(got.width, t->shape[1]);
    assert_int_equal(got.channels, t->shape[2]);
    assert_memory_equal(got.pixels, file.ptr + st.data_offset + t->offset,
                        (size_t)got.height * got.width * 3);
    snug_arena_free(a);
}

static void test_forms_of_pictures(void **state)
{
    static const struct {
        const char *name;
        media_kind  kind;
        unsigned    channels;
    } rows[] = {{"alpha.png", MEDIA_PNG, 4},  {"gray.png", MEDIA_PNG, 1},
                {"square.png", MEDIA_PNG, 3}, {"wide.jpg", MEDIA_JPEG, 3},
                {"wide.webp", MEDIA_WEBP, 3}, {"palette.png", MEDIA_PNG, 3}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snug_arena *a = snug_arena_new();
        media_image got = image(a, rows[i].name);
        if (got.kind != rows[i].kind || got.channels != rows[i].channels)
            fail_msg("%s: %s of %u channels", rows[i].name, media_kind_name(got.kind),
                     got.channels);
        assert_int_equal(got.orientation, 1);
        snug_arena_free(a);
    }
}

static void test_sound(void **state)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    media_sound s;
    snug_slice  file = load(a, "chirp.wav");
    (void)state;
    assert_int_equal(media_decode_sound(m, file, NULL, a, &s, &err), SNUG_OK);
    assert_string_equal(s.format, "wav");
    assert_true(s.frames > 1000 && s.channels == 1 && s.sample_rate >= 8000);
    const unsigned char *pcm = (const unsigned char *)file.ptr + file.len - 2 * s.frames;
    for (uint64_t i = 0; i < s.frames; i++) { /* 16 bits, little end first, over 2^15 */
        int v = pcm[2 * i] | pcm[2 * i + 1] << 8;
        assert_true(s.samples[i] == (float)(v >= 32768 ? v - 65536 : v) / 32768.0f);
    }
    snug_arena_free(a);
}

static void refused(snug_slice file, const media_limits *l, snug_status want, const char *words)
{
    snug_arena *a = snug_arena_new();
    snug_err    err = {0};
    media_image i;
    media_sound s;
    snug_status st = media_sniff(file) == MEDIA_SOUND ? media_decode_sound(m, file, l, a, &s, &err)
                                                      : media_decode_image(m, file, l, a, &i, &err);
    if (st != want || strstr(err.msg, words) == NULL)
        fail_msg("%s, \"%s\" instead of \"%s\"", snug_status_name(st), err.msg, words);
    snug_arena_free(a);
}

static void test_limits(void **state)
{
    snug_arena  *a = snug_arena_new();
    media_limits few = {.pixels_max = 100, .samples_max = 100}, small = {.file_max = 50};
    (void)state;
    refused(load(a, "wide.jpg"), &few, SNUG_ELIMIT, "limit of 100");
    refused(load(a, "wide.png"), &few, SNUG_ELIMIT, "limit of 100");
    refused(load(a, "wide.webp"), &few, SNUG_ELIMIT, "limit of 100");
    refused(load(a, "chirp.wav"), &few, SNUG_ELIMIT, "limit of 100");
    refused(load(a, "wide.png"), &small, SNUG_ELIMIT, "limit of 50");
    refused(SNUG_LIT("GIF89a..."), NULL, SNUG_EUNSUPPORTED, "no picture");
    snug_arena_free(a);
}

/* Cut anywhere, or with a byte turned, it is an error or a picture of the same size: never a crash
 * and never memory beyond the limits. */
static void test_broken_files(void **state)
{
    static const char *const names[] = {"wide.jpg", "wide.png", "wide.webp", "palette.png",
                                        "chirp.wav"};
    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        for (unsigned k = 1; k < 14; k++) {
            snug_arena  *a = snug_arena_new();
            snug_err     err = {0};
            snug_slice   file = load(a, names[n]);
            char        *copy = (char *)(uintptr_t)file.ptr; /* the arena's own */
            media_limits l = {.pixels_max = 1 << 20, .samples_max = 1 << 20};
            media_image  i;
            media_sound  s;
            if (k < 7)
                file.len = file.len * k / 7;
            else
                copy[16 + file.len * (k - 7) / 8] ^= (char)(0x15 * k);
            snug_status st = n == 4 ? media_decode_sound(m, file, &l, a, &s, &err)
                                    : media_decode_image(m, file, &l, a, &i, &err);
            if (st != SNUG_OK) assert_true(err.msg[0] != '\0');
            snug_arena_free(a);
        }
    }
}

static void test_orientation(void **state)
{
    static const uint8_t six[] = {1, 2, 3, 4, 5, 6}; /* 2 rows of 3, one channel */
    static const uint8_t want[9][6] = {
        [1] = {1, 2, 3, 4, 5, 6}, [2] = {3, 2, 1, 6, 5, 4}, [3] = {6, 5, 4, 3, 2, 1},
        [4] = {4, 5, 6, 1, 2, 3}, [5] = {1, 4, 2, 5, 3, 6}, [6] = {4, 1, 5, 2, 6, 3},
        [7] = {6, 3, 5, 2, 4, 1}, [8] = {3, 6, 2, 5, 1, 4}};
    static const char exif[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
    (void)state;
    for (unsigned o = 1; o <= 8; o++) {
        snug_arena *a = snug_arena_new();
        snug_err    err = {0};
        media_image i = {MEDIA_PNG, 2, 3, 1, o, six};
        assert_int_equal(media_turn(a, &i, &err), SNUG_OK);
        assert_int_equal(i.height, o > 4 ? 3 : 2);
        assert_memory_equal(i.pixels, want[o], 6);
        snug_arena_free(a);
    }
    assert_int_equal(media_exif_orientation(snug_slice_of(exif, sizeof exif)), 6);
    for (size_t n = 0; n < sizeof exif - 6; n++) /* cut anywhere */
        assert_true(media_exif_orientation(snug_slice_of(exif, n)) <= 8);
}

/* ---- children that misbehave ---- */

static int play(const char *role)
{
    media_answer h = {.magic = MEDIA_MAGIC, .outcome = MEDIA_FINE, .channels = 3};
    char         piece[4096] = {0};
    snug_err     err = {0};
    if (strcmp(role, "crash") == 0) {
        (void)signal(SIGSEGV, SIG_DFL); /* not a sanitizer's report */
        (void)raise(SIGSEGV);
    }
    if (strcmp(role, "hang") == 0) (void)pause();
    if (strcmp(role, "silent") == 0) return 0;
    if (strcmp(role, "eat") == 0) {
        void *p = mmap(NULL, UINT64_C(8) << 30, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? 3 : 0;
    }
    if (strcmp(role, "huge") == 0) h.payload_size = UINT64_C(1) << 60;
    if (strcmp(role, "contradict") == 0) {
        h.frames = h.width = 1000;
        h.payload_size = 10;
    }
    if (strcmp(role, "more") == 0) {
        h.frames = h.width = 2;
        h.payload_size = 12;
    }
    if (snug_write_all(STDOUT_FILENO, &h, sizeof h, &err) != SNUG_OK) return 1;
    for (int i = 0; i < 4; i++)
        if (snug_write_all(STDOUT_FILENO, piece, h.payload_size == 10 ? 0 : sizeof piece, &err) !=
            SNUG_OK)
            return 1;
    return h.payload_size != 10 || snug_write_all(STDOUT_FILENO, piece, 10, &err) == SNUG_OK ? 0
                                                                                             : 1;
}

static void test_children_that_misbehave(void **state)
{
    static const struct {
        const char *role, *words;
        snug_status status;
    } rows[] = {{"crash", "crashed", SNUG_ECORRUPT},
                {"hang", "", SNUG_ETIMEOUT},
                {"silent", "gave up", SNUG_ECORRUPT},
                {"eat", "gave up", SNUG_ECORRUPT},
                {"huge", "nonsense", SNUG_ECORRUPT},
                {"contradict", "contradict", SNUG_ECORRUPT},
                {"more", "more than it announced", SNUG_ECORRUPT}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        media_limits l = {.wall_ms = 700};
        snug_buf     b = snug_buf_init(100);
        snug_buf_printf(&b, "\x89PNG\r\n\x1a\nplay %s", rows[i].role);
        refused(snug_buf_slice(&b), &l, rows[i].status, rows[i].words);
        snug_buf_deinit(&b);
    }
}

/* As the child: a "picture" that names a role is played, all else is decoded. */
static int child(void)
{
    struct {
        media_request rq;
        char          head[64];
    } in = {0};
    ssize_t n = 0, got;
    do {
        got = read(STDIN_FILENO, (char *)&in + n, sizeof in.rq + 14 - (size_t)n);
        n += got > 0 ? got : 0;
    } while (got > 0 && (size_t)n < sizeof in.rq + 14);
    if (in.rq.size < 40 && memcmp(in.head + 8, "play ", 5) == 0) {
        if (read(STDIN_FILENO, in.head + 14, in.rq.size - 14) < 0) return 5;
        _exit(play(in.head + 13)); /* as media_child() ends */
    }
    int pair[2]; /* what was read goes before the rest again */
    if (pipe(pair) != 0) return 5;
    if (fork() == 0) {
        char    piece[4096];
        ssize_t k = write(pair[1], &in, (size_t)n);
        while (k > 0 && (k = read(STDIN_FILENO, piece, sizeof piece)) > 0)
            k = write(pair[1], piece, (size_t)k);
        _exit(0);
    }
    (void)close(pair[1]);
    (void)dup2(pair[0], STDIN_FILENO);
    return media_child();
}

static int setup(void **state)
{
    snug_err err = {0};
    (void)state;
    return media_open(NULL, &m, &err) == SNUG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    media_close(m);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jpeg_equals_the_golden),
                                       cmocka_unit_test(test_forms_of_pictures),
                                       cmocka_unit_test(test_sound),
                                       cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_broken_files),
                                       cmocka_unit_test(test_orientation),
                                       cmocka_unit_test(test_children_that_misbehave)};
    if (argc == 2 && strcmp(argv[1], "media-decode") == 0) return child();
    return cmocka_run_group_tests(tests, setup, teardown);
}
