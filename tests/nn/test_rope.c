/* SPDX-License-Identifier: Apache-2.0 */
/* tests/nn/test_rope.c - frequencies of every kind against the reference implementation
 * (transformers 5.17.0 with torch, float32). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "nn/nn.h"

static void same(const nn_rope *r, size_t length, const float *want, float scale)
{
    float got[64];
    float s = nn_rope_freqs(r, length, got);
    assert_true(fabsf(s - scale) <= 2e-7f * scale);
    for (size_t i = 0; i < r->width / 2; i++) {
        if (fabsf(got[i] - want[i]) <= 3e-7f * want[i]) continue;
        fail_msg("pair %zu turns by %.9g, not %.9g", i, (double)got[i], (double)want[i]);
    }
}

static void test_default_and_linear(void **state)
{
    (void)state;
    nn_rope r = {
        .kind = NN_ROPE_DEFAULT, .width = 12, .positions_max = 128, .theta = 10000, .factor = 1};
    const float plain[] = {
        1, 0.215443447f, 0.046415884f, 0.00999999978f, 0.00215443433f, 0.000464158948f};
    same(&r, 1000, plain, 1);
    r.kind = NN_ROPE_LINEAR;
    r.factor = 4;
    const float linear[] = {0.25f,          0.0538608618f,   0.011603971f,
                            0.00249999994f, 0.000538608583f, 0.000116039737f};
    same(&r, 1000, linear, 1);
}

static void test_dynamic(void **state)
{
    (void)state;
    nn_rope r = {
        .kind = NN_ROPE_DYNAMIC, .width = 12, .positions_max = 128, .theta = 10000, .factor = 2};
    const float plain[] = {
        1, 0.215443447f, 0.046415884f, 0.00999999978f, 0.00215443433f, 0.000464158948f};
    const float longer[] = {
        1, 0.165953696f, 0.0275406279f, 0.00457046926f, 0.000758486043f, 0.00012587363f};
    same(&r, 100, plain, 1);
    same(&r, 128, plain, 1);
    same(&r, 300, longer, 1);
}

static void test_yarn(void **state)
{
    (void)state;
    nn_rope     r = {.kind = NN_ROPE_YARN,
                     .width = 16,
                     .theta = 10000,
                     .factor = 4,
                     .original_max = 32,
                     .truncate = true};
    const float a[] = {1,
                       0.197642356f,
                       0.0250000004f,
                       0.00790569466f,
                       0.00249999994f,
                       0.000790569466f,
                       0.000250000012f,
                       7.90569466e-05f};
    same(&r, 1, a, 1.13862944f);
    r = (nn_rope){.kind = NN_ROPE_YARN,
                  .width = 16,
                  .theta = 150000,
                  .factor = 32,
                  .original_max = 4096,
                  .beta_fast = 32,
                  .beta_slow = 1};
    const float b[] = {1,
                       0.225418001f,
                       0.0508132726f,
                       0.00679495931f,
                       0.000456483918f,
                       1.8188337e-05f,
                       4.09997847e-06f,
                       9.24208962e-07f};
    same(&r, 1, b, 1.34657359f);
    r = (nn_rope){.kind = NN_ROPE_YARN,
                  .width = 20,
                  .theta = 10000,
                  .factor = 40,
                  .original_max = 4096,
                  .truncate = true,
                  .mscale = 1,
                  .mscale_all_dim = 0.707};
    const float c[] = {1,
                       0.398107171f,
                       0.158489317f,
                       0.0630957261f,
                       0.0202206858f,
                       0.00609999988f,
                       0.00165214424f,
                       0.000348676491f,
                       1.57739323e-05f,
                       6.27971758e-06f};
    same(&r, 1, c, 1.0857264f);
    r.attention_factor = 0.5;
    same(&r, 1, c, 0.5f);
}

static void test_llama3(void **state)
{
    (void)state;
    nn_rope     r = {.kind = NN_ROPE_LLAMA3,
                     .width = 32,
                     .theta = 500000,
                     .factor = 8,
                     .original_max = 8192,
                     .low_freq_factor = 1,
                     .high_freq_factor = 4};
    const float want[] = {1,
                          0.440366626f,
                          0.193922758f,
                          0.0853971019f,
                          0.0376060307f,
                          0.0165604409f,
                          0.00729266508f,
                          0.00321144611f,
                          0.000524846022f,
                          7.78465546e-05f,
                          3.42810235e-05f,
                          1.50962178e-05f,
                          6.64786967e-06f,
                          2.92749974e-06f,
                          1.28917316e-06f,
                          5.6770881e-07f};
    same(&r, 1, want, 1);
}

static void test_turn(void **state)
{
    (void)state;
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    nn_ctx  c = {d, tensor_space_new(d, 1u << 24)};
    nn_rope r = {
        .kind = NN_ROPE_DEFAULT, .width = 4, .positions_max = 8, .theta = 100, .factor = 1};
    const int32_t positions[4] = {0, 3, 1, 2}; /* two rows */
    nn_turn       t;
    assert_int_equal(nn_rope_turn(&c, &r, positions, 2, 2, &t, NULL), SNUG_OK);
    float cos[8], sin[8];
    assert_int_equal(tensor_get(&t.cos, cos, sizeof cos, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&t.sin, sin, sizeof sin, NULL), SNUG_OK);
    for (int i = 0; i < 8; i++) {
        double angle = positions[i / 2] * (i % 2 == 0 ? 1.0 : 0.1);
        assert_true(fabs((double)cos[i] - __builtin_cos(angle)) < 1e-6);
        assert_true(fabs((double)sin[i] - __builtin_sin(angle)) < 1e-6);
    }
    tensor_space_free(c.space);
    tensor_dev_close(d);
}

static void test_names(void **state)
{
    (void)state;
    nn_rope_kind k = NN_ROPE_COUNT;
    assert_true(nn_rope_kind_parse(SNUG_LIT("yarn"), &k));
    assert_int_equal(k, NN_ROPE_YARN);
    assert_true(nn_rope_kind_parse(SNUG_LIT("proportional"), &k));
    assert_int_equal(k, NN_ROPE_PROPORTIONAL);
    assert_false(nn_rope_kind_parse(SNUG_LIT("sideways"), &k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_and_linear),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
