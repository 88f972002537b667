/* SPDX-License-Identifier: Apache-2.0 */
/* tests/codec/test_dtype.c - every pattern of every small float against the tables of the formats.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec_int.h"

static double read_byte(codec_dtype t, unsigned v)
{
    unsigned char b = (unsigned char)v;
    return codec_dtype_read(t, &b, 0);
}

static void assert_double(double got, double want)
{
    if (isnan(want)) {
        assert_true(isnan(got));
        return;
    }
    assert_true(got == want && signbit(got) == signbit(want));
}

static void names_and_widths(void **state)
{
    codec_dtype t;
    (void)state;
    assert_true(codec_dtype_parse(SNUG_LIT("F8_E4M3FNUZ"), &t));
    assert_int_equal(t, CODEC_F8_E4M3FNUZ);
    assert_string_equal(codec_dtype_name(CODEC_BF16), "BF16");
    assert_int_equal(codec_dtype_bits(CODEC_F6_E3M2), 6);
    assert_int_equal(codec_dtype_bits(CODEC_C64), 64);
    assert_false(codec_dtype_parse(SNUG_LIT("f32"), &t));
    assert_false(codec_dtype_parse(SNUG_LIT("F3"), &t));
    assert_false(codec_dtype_parse(SNUG_LIT(""), &t));
}

static void float8(void **state)
{
    (void)state;
    static const struct {
        codec_dtype t;
        unsigned    bits;
        double      want;
    } rows[] = {
        {CODEC_F8_E4M3, 0x00, 0.0},         {CODEC_F8_E4M3, 0x80, -0.0},
        {CODEC_F8_E4M3, 0x01, 0x1p-9},      {CODEC_F8_E4M3, 0x08, 0x1p-6},
        {CODEC_F8_E4M3, 0x38, 1.0},         {CODEC_F8_E4M3, 0x7e, 448.0},
        {CODEC_F8_E4M3, 0xfe, -448.0},      {CODEC_F8_E4M3, 0x7f, NAN},
        {CODEC_F8_E4M3, 0xff, NAN},         {CODEC_F8_E5M2, 0x01, 0x1p-16},
        {CODEC_F8_E5M2, 0x3c, 1.0},         {CODEC_F8_E5M2, 0x7b, 57344.0},
        {CODEC_F8_E5M2, 0x7c, INFINITY},    {CODEC_F8_E5M2, 0xfc, -INFINITY},
        {CODEC_F8_E5M2, 0x7d, NAN},         {CODEC_F8_E4M3FNUZ, 0x80, NAN},
        {CODEC_F8_E4M3FNUZ, 0x00, 0.0},     {CODEC_F8_E4M3FNUZ, 0x7f, 240.0},
        {CODEC_F8_E4M3FNUZ, 0x40, 1.0},     {CODEC_F8_E4M3FNUZ, 0x01, 0x1p-10},
        {CODEC_F8_E5M2FNUZ, 0x80, NAN},     {CODEC_F8_E5M2FNUZ, 0x7f, 57344.0},
        {CODEC_F8_E5M2FNUZ, 0x01, 0x1p-17}, {CODEC_F8_E5M2FNUZ, 0x40, 1.0},
        {CODEC_F8_E8M0, 0, 0x1p-127},       {CODEC_F8_E8M0, 127, 1.0},
        {CODEC_F8_E8M0, 254, 0x1p127},      {CODEC_F8_E8M0, 255, NAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_double(read_byte(rows[i].t, rows[i].bits), rows[i].want);
    }
}

static void float6_and_4_are_packed_low_first(void **state)
{
    (void)state;
    static const double f4[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    /* nibbles 0..15 in order */
    static const unsigned char nibbles[] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
    for (unsigned i = 0; i < 16; i++) {
        assert_double(codec_dtype_read(CODEC_F4, nibbles, i), i < 8 ? f4[i] : -f4[i - 8]);
    }
    /* 6-bit values 0x1f, 0x3f, 0x08, 0x01: the largest, its negative, 1.0 and a subnormal in E2M3
     */
    uint32_t            word = 0x1fu | 0x3fu << 6 | 0x08u << 12 | 0x01u << 18;
    const unsigned char six[] = {(unsigned char)word, (unsigned char)(word >> 8),
                                 (unsigned char)(word >> 16)};
    assert_double(codec_dtype_read(CODEC_F6_E2M3, six, 0), 7.5);
    assert_double(codec_dtype_read(CODEC_F6_E2M3, six, 1), -7.5);
    assert_double(codec_dtype_read(CODEC_F6_E2M3, six, 2), 1.0);
    assert_double(codec_dtype_read(CODEC_F6_E2M3, six, 3), 0.125);
    assert_double(codec_dtype_read(CODEC_F6_E3M2, six, 0), 28.0);
    assert_double(codec_dtype_read(CODEC_F6_E3M2, six, 1), -28.0);
    assert_double(codec_dtype_read(CODEC_F6_E3M2, six, 2), 0.5);
    assert_double(codec_dtype_read(CODEC_F6_E3M2, six, 3), 0.0625);
}

/* All 65,536 halves: exact reading, portable run and whatever the CPU offers agree bit for bit. */
static void every_half(void **state)
{
    enum { N = 65536 };
    uint16_t *src = calloc(N, sizeof *src);
    float    *plain = calloc(N, sizeof *plain), *fast = calloc(N, sizeof *fast);
    (void)state;
    assert_true(src != NULL && plain != NULL && fast != NULL);
    for (unsigned i = 0; i < N; i++) src[i] = (uint16_t)i;
    codec_f16_to_f32_portable((const unsigned char *)src, N, plain);
    codec_to_f32(CODEC_F16, src, 0, N, fast);
    assert_memory_equal(plain, fast, N * sizeof *plain);
    for (unsigned i = 0; i < N; i++) {
        assert_double((double)plain[i], codec_dtype_read(CODEC_F16, src, i));
    }
    codec_bf16_to_f32_portable((const unsigned char *)src, N, plain);
    codec_to_f32(CODEC_BF16, src, 0, N, fast);
    assert_memory_equal(plain, fast, N * sizeof *plain);
    for (unsigned i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)i << 16;
        assert_memory_equal(&plain[i], &bits, 4);
    }
    free(src);
    free(plain);
    free(fast);
}

/* Odd starts, odd lengths and an odd address give what reading one by one gives. */
static void runs_equal_single_reads(void **state)
{
    enum { N = 1031, FIRST = 3 };
    unsigned char *raw = calloc(N + 1, 8), *p = raw + 1;
    float          out[N];
    (void)state;
    assert_non_null(raw);
    for (unsigned i = 0; i < N * 8; i++) p[i] = (unsigned char)(i * 2654435761u >> 13);
    for (unsigned t = 0; t < CODEC_DTYPE_COUNT; t++) {
        codec_to_f32((codec_dtype)t, p, FIRST, N - FIRST, out);
        for (unsigned i = 0; i < N - FIRST; i++) {
            double want = codec_dtype_read((codec_dtype)t, p, FIRST + i);
            if (t == CODEC_I64 || t == CODEC_U64) { /* the double is rounded already */
                assert_true(fabs((double)out[i] - want) <= fabs(want) * 0x1p-23);
            } else {
                assert_double((double)out[i], (double)(float)want);
            }
        }
    }
    free(raw);
}

static void wide_integers_round_once(void **state)
{
    (void)state;
    /* Just above the middle of two floats; by way of double it would sit on it and go to even. */
    uint64_t v = (UINT64_C(1) << 62) + (UINT64_C(1) << 38) + 1;
    float    f;
    codec_to_f32(CODEC_U64, &v, 0, 1, &f);
    assert_true(f == 0x1.000002p62f);
    codec_to_f32(CODEC_I64, &v, 0, 1, &f);
    assert_true(f == 0x1.000002p62f);
}

static void complex_gives_its_real_part(void **state)
{
    (void)state;
    float z[] = {1.5f, -2.0f, 3.25f, 4.0f}, out[2];
    assert_double(codec_dtype_read(CODEC_C64, z, 1), 3.25);
    codec_to_f32(CODEC_C64, z, 0, 2, out);
    assert_true(out[0] == 1.5f && out[1] == 3.25f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_widths),
        cmocka_unit_test(float8),
        cmocka_unit_test(float6_and_4_are_packed_low_first),
        cmocka_unit_test(every_half),
        cmocka_unit_test(runs_equal_single_reads),
        cmocka_unit_test(wide_integers_round_once),
        cmocka_unit_test(complex_gives_its_real_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
