/* SPDX-License-Identifier: Apache-2.0 */
/* tests/model/test_unpadded.c - a padded batch with and without its padding: the same results where
 * there are tokens, zero where there are none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "model/model.h"

enum { B = 4, T = 9, FLOATS_MAX = 1 << 16 };
static const size_t lengths[B] = {4, 9, 1, 7};

static size_t run(model *m, bool unpadded, bool gap, float *out)
{
    int32_t   ids[B * T], mask[B * T] = {0}, types[B * T];
    model_out got = {0};
    snug_err  err;
    for (size_t i = 0; i < (size_t)B * T; i++) {
        ids[i] = (int32_t)(3 + i * 5 % 20);
        types[i] = i % 2 == 0;
        mask[i] = i % T < lengths[i / T];
    }
    if (gap) mask[2] = 0;
    model_batch in = {
        .batch = B, .times = T, .ids = ids, .mask = mask, .types = types, .unpadded = unpadded};
    if (model_shape_of(m)->types < 2) in.types = NULL;
    assert_int_equal(model_forward(m, &in, &got, &err), SNUG_OK);
    size_t n = tensor_count(&got.item[0].value);
    assert_true(n <= FLOATS_MAX);
    assert_int_equal(tensor_get(&got.item[0].value, out, n * sizeof *out, NULL), SNUG_OK);
    return n;
}

static void compare(const char *name, tensor_dev *d)
{
    static float want[FLOATS_MAX], got[FLOATS_MAX];
    char         dir[512];
    model       *m = NULL;
    snug_err     err;
    (void)snprintf(dir, sizeof dir, SNUG_SOURCE_DIR "/tests/golden/model/%s", name);
    if (model_open(dir, SNUG_EMPTY, d, &m, &err) != SNUG_OK) fail_msg("%s", err.msg);
    size_t n = run(m, false, false, want), width = n / (B * T);
    bool   tokens = model_shape_of(m)->head == MODEL_HEAD_TOKENS;
    assert_int_equal(run(m, true, false, got), n);
    for (size_t i = 0; i < n; i++) {
        if (tokens && i / width % T >= lengths[i / width / T]) continue; /* of padding */
        if (!(fabsf(want[i] - got[i]) <= 2e-6f * (1.0f + fabsf(want[i]))))
            fail_msg("%s on %s: %zu is %g, not %g", name, d->backend->name, i, (double)got[i],
                     (double)want[i]);
    }
    /* A hole in a row cannot be left out. */
    assert_int_equal(run(m, false, true, want), n);
    assert_int_equal(run(m, true, true, got), n);
    assert_memory_equal(want, got, n * sizeof *want);
    model_close(m);
}

static void test_unpadded(void **state)
{
    static const char *const names[] = {"bert-token-classification", "bert-text-classification",
                                        "roberta-text-classification",
                                        "electra-text-classification"};
    (void)state;
    for (size_t i = 0; tensor_backend_at(i) != NULL; i++) {
        if (!tensor_backend_usable(tensor_backend_at(i))) continue;
        tensor_dev *d = NULL;
        assert_int_equal(tensor_dev_open(tensor_backend_at(i), 2, &d, NULL), SNUG_OK);
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) compare(names[k], d);
        tensor_dev_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unpadded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
