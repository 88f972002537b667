/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tensor/test_ops.c - every operation on every backend this machine can run, against sums in
 * double precision, with sizes that are no multiple of anything. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "tensor/tensor.h"

static uint64_t seed = 1;
static float    next_float(void) /* in [-1, 1) */
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

static float *random_floats(size_t n)
{
    float *p = snug_alloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = next_float();
    return p;
}

/* A tensor of random floats with its values as float32 in *host. */
static tensor make(tensor_dev *d, tensor_dtype t, unsigned rank, const size_t *shape, float **host)
{
    tensor out;
    assert_int_equal(tensor_shape(t, rank, shape, &out, NULL), SNUG_OK);
    size_t    n = tensor_count(&out);
    uint16_t *half = snug_alloc(n * sizeof *half);
    *host = random_floats(n);
    for (size_t i = 0; i < n && t != TENSOR_F32; i++) {
        half[i] = t == TENSOR_F16 ? tensor_f32_to_f16((*host)[i]) : tensor_f32_to_bf16((*host)[i]);
        (*host)[i] = t == TENSOR_F16 ? tensor_f16_to_f32(half[i]) : tensor_bf16_to_f32(half[i]);
    }
    assert_int_equal(tensor_new_from(d, t, rank, shape,
                                     t == TENSOR_F32 ? (void *)*host : (void *)half, false, &out,
                                     NULL),
                     SNUG_OK);
    free(half);
    return out;
}

static void near(const tensor *t, const double *want, double tolerance)
{
    size_t n = tensor_count(t);
    float *got = snug_alloc(n * sizeof *got);
    assert_int_equal(tensor_get(t, got, n * sizeof *got, NULL), SNUG_OK);
    for (size_t i = 0; i < n; i++) {
        if (fabs((double)got[i] - want[i]) <= tolerance * (1.0 + fabs(want[i]))) continue;
        fail_msg("element %zu is %.9g, not %.9g (%s)", i, (double)got[i], want[i],
                 t->mem->dev->backend->name);
    }
    free(got);
}

/* Runs a case on each usable backend. */
static void each_backend(void (*fn)(tensor_dev *d))
{
    for (size_t i = 0; tensor_backend_at(i) != NULL; i++) {
        if (!tensor_backend_usable(tensor_backend_at(i))) continue;
        tensor_dev *d = NULL;
        assert_int_equal(tensor_dev_open(tensor_backend_at(i), 3, &d, NULL), SNUG_OK);
        fn(d);
        tensor_dev_close(d);
    }
}

/* ---- linear ---- */

static void linear_case(tensor_dev *d, tensor_dtype wt, size_t rows, size_t k, size_t n, bool bias)
{
    float *x, *w, *b;
    tensor tx = make(d, TENSOR_F32, TENSOR_DIMS(rows, k), &x),
           tw = make(d, wt, TENSOR_DIMS(n, k), &w);
    tensor tb = make(d, wt, TENSOR_DIMS(n), &b), to;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(rows, n), &to, NULL), SNUG_OK);
    assert_int_equal(tensor_linear(d, &tx, &tw, bias ? &tb : NULL, &to, NULL), SNUG_OK);
    double *want = snug_alloc(rows * n * sizeof *want);
    for (size_t m = 0; m < rows; m++)
        for (size_t j = 0; j < n; j++) {
            double s = bias ? (double)b[j] : 0.0;
            for (size_t i = 0; i < k; i++) s += (double)x[m * k + i] * (double)w[j * k + i];
            want[m * n + j] = s;
        }
    near(&to, want, 2e-7 * (10.0 + sqrt((double)k)));
    /* The first row alone gives the same bits as in the batch. */
    tensor one = tensor_slice(&tx, 0, 0, 1), out1;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, n), &out1, NULL), SNUG_OK);
    assert_int_equal(tensor_linear(d, &one, &tw, bias ? &tb : NULL, &out1, NULL), SNUG_OK);
    float *all = snug_alloc(rows * n * sizeof *all), *first = snug_alloc(n * sizeof *first);
    assert_int_equal(tensor_get(&to, all, rows * n * sizeof *all, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&out1, first, n * sizeof *first, NULL), SNUG_OK);
    assert_memory_equal(all, first, n * sizeof *first);
    free(all), free(first), free(want), free(x), free(w), free(b);
    tensor_free(&tx), tensor_free(&tw), tensor_free(&tb), tensor_free(&to), tensor_free(&out1);
}

static void linear_all(tensor_dev *d)
{
    static const size_t       sizes[][3] = {{1, 1, 1},    {1, 16, 8},   {2, 7, 5},
                                            {3, 17, 25},  {4, 33, 49},  {5, 64, 64},
                                            {7, 100, 31}, {13, 5, 130}, {29, 300, 77}};
    static const tensor_dtype types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t t = 0; t < 3; t++)
            linear_case(d, types[t], sizes[i][0], sizes[i][1], sizes[i][2], i % 2 == 0);
    linear_case(d, TENSOR_F32, 40, 9000, 3, true); /* more than one block of rows */
}
static void test_linear(void **state)
{
    (void)state;
    each_backend(linear_all);
}

/* Activation and addend in one operation against the same in three; odd tails, several blocks of k,
 * constant weights (which are kept in another order) used twice, and other ones. */
static void linear_with(tensor_dev *d)
{
    static const size_t       sizes[][3] = {{1, 37, 70},   {2, 600, 33},  {3, 64, 65},  {4, 5, 1},
                                            {11, 1030, 9}, {13, 40, 257}, {500, 19, 40}};
    static const tensor_dtype types[] = {TENSOR_F32, TENSOR_F16};
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof sizes[0]; i++) {
        const size_t *z = sizes[i / 4];
        tensor_dtype  t = types[i % 2];
        tensor_act    fn = i % 3 == 0 ? TENSOR_ACT_GELU : TENSOR_ACT_RELU;
        float        *x, *w, *b, *a;
        tensor        tx = make(d, TENSOR_F32, TENSOR_DIMS(z[0], z[1]), &x),
               tw = make(d, t, TENSOR_DIMS(z[2], z[1]), &w), tb = make(d, t, TENSOR_DIMS(z[2]), &b),
               ta = make(d, TENSOR_F32, TENSOR_DIMS(z[0], z[2]), &a), to, t1;
        size_t n = z[0] * z[2];
        assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(z[0], z[2]), &to, NULL), SNUG_OK);
        assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(z[0], z[2]), &t1, NULL), SNUG_OK);
        assert_int_equal(tensor_linear(d, &tx, &tw, &tb, &t1, NULL), SNUG_OK);
        assert_int_equal(tensor_activate(d, &t1, fn, &t1, NULL), SNUG_OK);
        assert_int_equal(tensor_add(d, &t1, &ta, &t1, NULL), SNUG_OK);
        float *want = snug_alloc(n * sizeof *want), *got = snug_alloc(n * sizeof *got);
        assert_int_equal(tensor_get(&t1, want, n * sizeof *want, NULL), SNUG_OK);
        if (i % 4 > 1) tensor_freeze(&tw);
        for (int pass = 0; pass < 2; pass++) {
            assert_int_equal(tensor_linear_with(d, &tx, &tw, &tb, &fn, &ta, &to, NULL), SNUG_OK);
            assert_int_equal(tensor_get(&to, got, n * sizeof *got, NULL), SNUG_OK);
            assert_memory_equal(want, got, n * sizeof *want);
        }
        assert_int_equal(tensor_linear_with(d, &tx, &tw, &tb, NULL, &to, &to, NULL), SNUG_EINVAL);
        free(want), free(got), free(x), free(w), free(b), free(a);
        tensor_free(&tx), tensor_free(&tw), tensor_free(&tb), tensor_free(&ta), tensor_free(&to);
        tensor_free(&t1);
    }
}
static void test_linear_with(void **state)
{
    (void)state;
    each_backend(linear_with);
}

static void linear_strided(tensor_dev *d)
{
    /* The middle third of a fused projection as input. */
    float *x, *w;
    tensor tx = make(d, TENSOR_F32, TENSOR_DIMS(3, 21), &x),
           tw = make(d, TENSOR_F32, TENSOR_DIMS(4, 7), &w), to;
    tensor mid = tensor_slice(&tx, 1, 7, 7);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(3, 4), &to, NULL), SNUG_OK);
    assert_int_equal(tensor_linear(d, &mid, &tw, NULL, &to, NULL), SNUG_OK);
    double want[12] = {0};
    for (int m = 0; m < 3; m++)
        for (int j = 0; j < 4; j++)
            for (int i = 0; i < 7; i++)
                want[m * 4 + j] += (double)x[m * 21 + 7 + i] * (double)w[j * 7 + i];
    near(&to, want, 1e-6);
    free(x), free(w);
    tensor_free(&tx), tensor_free(&tw), tensor_free(&to);
}
static void test_linear_strided(void **state)
{
    (void)state;
    each_backend(linear_strided);
}

static void matmul_all(tensor_dev *d)
{
    float *a, *b;
    tensor ta = make(d, TENSOR_F32, TENSOR_DIMS(2, 3, 5), &a),
           tb = make(d, TENSOR_F32, TENSOR_DIMS(2, 5, 7), &b), to;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 3, 7), &to, NULL), SNUG_OK);
    double want[42] = {0};
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 7; j++)
                for (int k = 0; k < 5; k++)
                    want[n * 21 + i * 7 + j] +=
                        (double)a[n * 15 + i * 5 + k] * (double)b[n * 35 + k * 7 + j];
    assert_int_equal(tensor_matmul(d, &ta, &tb, false, &to, NULL), SNUG_OK);
    near(&to, want, 1e-6);
    float turned[70];
    for (int n = 0; n < 2; n++)
        for (int k = 0; k < 5; k++)
            for (int j = 0; j < 7; j++) turned[n * 35 + j * 5 + k] = b[n * 35 + k * 7 + j];
    tensor tt;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 7, 5), turned, true, &tt, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_matmul(d, &ta, &tt, true, &to, NULL), SNUG_OK);
    near(&to, want, 1e-6);
    free(a), free(b);
    tensor_free(&ta), tensor_free(&tb), tensor_free(&to), tensor_free(&tt);
}
static void test_matmul(void **state)
{
    (void)state;
    each_backend(matmul_all);
}

/* ---- rows ---- */

static void embed_all(tensor_dev *d)
{
    float  *table;
    tensor  tt = make(d, TENSOR_F16, TENSOR_DIMS(5, 3), &table), ids, out;
    int32_t want_ids[4] = {4, 0, 0, 2};
    assert_int_equal(tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(2, 2), want_ids, false, &ids, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 2, 3), &out, NULL), SNUG_OK);
    assert_int_equal(tensor_embed(d, &tt, &ids, &out, NULL), SNUG_OK);
    double want[12];
    for (int i = 0; i < 12; i++) want[i] = (double)table[want_ids[i / 3] * 3 + i % 3];
    near(&out, want, 0.0);
    snug_err err;
    int64_t  bad[4] = {0, 1, 5, 2};
    tensor   wrong;
    assert_int_equal(tensor_new_from(d, TENSOR_I64, TENSOR_DIMS(2, 2), bad, false, &wrong, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_embed(d, &tt, &wrong, &out, &err), SNUG_EINVAL);
    assert_string_equal(err.msg, "embed: id 5 is outside a table of 5 rows");
    free(table);
    tensor_free(&tt), tensor_free(&ids), tensor_free(&out), tensor_free(&wrong);
}
static void test_embed(void **state)
{
    (void)state;
    each_backend(embed_all);
}

static void norm_case(tensor_dev *d, size_t n, tensor_dtype wt)
{
    float *x, *w, *b;
    tensor tx = make(d, TENSOR_F32, TENSOR_DIMS(3, n), &x), tw = make(d, wt, TENSOR_DIMS(n), &w),
           tb = make(d, wt, TENSOR_DIMS(n), &b), to;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(3, n), &to, NULL), SNUG_OK);
    double *rms = snug_alloc(3 * n * sizeof *rms), *layer = snug_alloc(3 * n * sizeof *layer);
    for (size_t r = 0; r < 3; r++) {
        double sum = 0, sq = 0, var = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)x[r * n + i], sq += (double)x[r * n + i] * (double)x[r * n + i];
        for (size_t i = 0; i < n; i++) var += pow((double)x[r * n + i] - sum / (double)n, 2);
        for (size_t i = 0; i < n; i++) {
            rms[r * n + i] = (double)x[r * n + i] / sqrt(sq / (double)n + 1e-3) * (double)w[i];
            layer[r * n + i] = ((double)x[r * n + i] - sum / (double)n) /
                                   sqrt(var / (double)n + 1e-3) * (double)w[i] +
                               (double)b[i];
        }
    }
    assert_int_equal(tensor_rms_norm(d, &tx, &tw, 1e-3f, &to, NULL), SNUG_OK);
    near(&to, rms, 2e-6);
    assert_int_equal(tensor_layer_norm(d, &tx, &tw, &tb, 1e-3f, &to, NULL), SNUG_OK);
    near(&to, layer, 2e-6);
    free(rms), free(layer), free(x), free(w), free(b);
    tensor_free(&tx), tensor_free(&tw), tensor_free(&tb), tensor_free(&to);
}

static void norm_all(tensor_dev *d)
{
    static const size_t sizes[] = {1, 3, 16, 45, 64, 257};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        norm_case(d, sizes[i], TENSOR_F32);
        norm_case(d, sizes[i], TENSOR_F16);
        norm_case(d, sizes[i], TENSOR_BF16);
    }
}
static void test_norms(void **state)
{
    (void)state;
    each_backend(norm_all);
}

static void softmax_all(tensor_dev *d)
{
    for (size_t n = 1; n < 40; n += 6) {
        float *x;
        tensor tx = make(d, TENSOR_F32, TENSOR_DIMS(2, n), &x), hidden;
        double want[80];
        for (size_t r = 0; r < 2; r++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += exp((double)x[r * n + i]);
            for (size_t i = 0; i < n; i++) want[r * n + i] = exp((double)x[r * n + i]) / sum;
        }
        assert_int_equal(tensor_softmax(d, &tx, &tx, NULL), SNUG_OK); /* in place */
        near(&tx, want, 1e-6);
        free(x);
        tensor_free(&tx);
        float some[3] = {0.0f, -INFINITY, 0.0f}, got[3];
        assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(3), some, false, &hidden, NULL),
                         SNUG_OK);
        assert_int_equal(tensor_softmax(d, &hidden, &hidden, NULL), SNUG_OK);
        assert_int_equal(tensor_get(&hidden, got, sizeof got, NULL), SNUG_OK);
        assert_true(got[0] == 0.5f && got[1] == 0.0f && got[2] == 0.5f);
        tensor_free(&hidden);
    }
}
static void test_softmax(void **state)
{
    (void)state;
    each_backend(softmax_all);
}

static double act_of(tensor_act fn, double x)
{
    switch (fn) {
    case TENSOR_ACT_SILU: return x / (1 + exp(-x));
    case TENSOR_ACT_GELU: return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case TENSOR_ACT_GELU_TANH:
        return 0.5 * x *
               (1 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case TENSOR_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case TENSOR_ACT_RELU: return x > 0 ? x : 0;
    case TENSOR_ACT_TANH: return tanh(x);
    case TENSOR_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case TENSOR_ACT_RELU2: return x > 0 ? x * x : 0;
    default: return x;
    }
}

static void act_all(tensor_dev *d)
{
    enum { N = 203 };
    float  x[N], y[N];
    double want[N];
    for (int i = 0; i < N; i++) x[i] = ((float)i - 101.0f) * 0.15f, y[i] = next_float();
    x[0] = -200.0f, x[N - 1] = 200.0f;
    tensor tx, ty, to;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(7, 29), x, false, &tx, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(7, 29), y, false, &ty, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(7, 29), &to, NULL), SNUG_OK);
    for (tensor_act fn = 0; fn < TENSOR_ACT_COUNT; fn++) {
        for (int i = 0; i < N; i++) want[i] = act_of(fn, (double)x[i]);
        assert_int_equal(tensor_activate(d, &tx, fn, &to, NULL), SNUG_OK);
        near(&to, want, 1e-6);
        for (int i = 0; i < N; i++) want[i] *= (double)y[i];
        assert_int_equal(tensor_glu(d, &tx, &ty, fn, &to, NULL), SNUG_OK);
        near(&to, want, 1e-6);
    }
    tensor_free(&tx), tensor_free(&ty), tensor_free(&to);
}
static void test_act(void **state)
{
    (void)state;
    each_backend(act_all);
}

/* erf by itself, out of gelu: 2 gelu(x sqrt 2) / (x sqrt 2) - 1, scaled so that x / 2 is exact. */
static void erf_all(tensor_dev *d)
{
    enum { N = 40000 };
    float *x = snug_alloc(N * sizeof *x), *y = snug_alloc(N * sizeof *y);
    tensor tx, to;
    for (int i = 0; i < N; i++) x[i] = ((float)i - N / 2.0f) * 3e-4f;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(N), x, false, &tx, NULL), SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(N), &to, NULL), SNUG_OK);
    assert_int_equal(tensor_activate(d, &tx, TENSOR_ACT_GELU, &to, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&to, y, N * sizeof *y, NULL), SNUG_OK);
    for (int i = 0; i < N; i++) {
        double want = act_of(TENSOR_ACT_GELU, (double)x[i]), half = fabs((double)x[i]) / 2;
        /* 2e-7 of erf, 6e-8 of rounding the sum, 9e-8 of rounding the argument */
        assert_true(fabs((double)y[i] - want) <= half * 3.5e-7);
    }
    free(x), free(y), tensor_free(&tx), tensor_free(&to);
}
static void test_erf(void **state)
{
    (void)state;
    each_backend(erf_all);
}

static void binary_all(tensor_dev *d)
{
    float *a, *b;
    tensor ta = make(d, TENSOR_F32, TENSOR_DIMS(3, 2, 5), &a),
           tb = make(d, TENSOR_F32, TENSOR_DIMS(2, 5), &b), to;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(3, 2, 5), &to, NULL), SNUG_OK);
    double want[30];
    for (int i = 0; i < 30; i++) want[i] = (double)(a[i] + b[i % 10]);
    assert_int_equal(tensor_add(d, &ta, &tb, &to, NULL), SNUG_OK);
    near(&to, want, 0.0);
    for (int i = 0; i < 30; i++) want[i] = (double)(a[i] * b[i % 10]);
    assert_int_equal(tensor_mul(d, &ta, &tb, &ta, NULL), SNUG_OK);
    near(&ta, want, 0.0);
    free(a), free(b);
    tensor_free(&ta), tensor_free(&tb), tensor_free(&to);
}
static void test_binary(void **state)
{
    (void)state;
    each_backend(binary_all);
}

static void rope_all(tensor_dev *d)
{
    /* One head of width 6 of which 4 turn, by 90 degrees and by none. */
    float  x[6] = {1, 2, 3, 4, 5, 6}, c[2] = {0, 1}, s[2] = {1, 0};
    tensor tx, tc, ts, to;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 1, 1, 6), x, false, &tx, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 1, 2), c, false, &tc, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 1, 2), s, false, &ts, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, 1, 1, 6), &to, NULL), SNUG_OK);
    assert_int_equal(tensor_rope(d, &tx, &tc, &ts, false, &to, NULL), SNUG_OK);
    near(&to, (const double[]){-3, 2, 1, 4, 5, 6}, 0.0);
    assert_int_equal(tensor_rope(d, &tx, &tc, &ts, true, &tx, NULL), SNUG_OK);
    near(&tx, (const double[]){-2, 1, 3, 4, 5, 6}, 0.0);
    tensor_free(&tx), tensor_free(&tc), tensor_free(&ts), tensor_free(&to);
}
static void test_rope(void **state)
{
    (void)state;
    each_backend(rope_all);
}

/* ---- attention ---- */

typedef struct shape {
    size_t b, t, s, h, g, dk, dv, window;
    bool   causal, masked;
} shape;

static void attention_want(const shape *c, const float *q, const float *k, const float *v,
                           const int32_t *mask, double *want)
{
    double p[64];
    for (size_t n = 0; n < c->b * c->t * c->h; n++) {
        size_t b = n / (c->t * c->h), i = n / c->h % c->t, h = n % c->h, group = h / (c->h / c->g),
               seen = 0, here = c->s - c->t + i;
        double sum = 0, best = -1e30;
        for (size_t j = 0; j < c->s; j++) {
            bool hide = (c->causal && j > here) || (c->window != 0 && j + c->window <= here) ||
                        (c->masked && mask[b * c->s + j] == 0);
            double dot = 0;
            for (size_t e = 0; e < c->dk; e++)
                dot += (double)q[n * c->dk + e] *
                       (double)k[((b * c->s + j) * c->g + group) * c->dk + e];
            p[j] = hide ? -INFINITY : dot * 0.5;
            seen += !hide;
            best = fmax(best, p[j]);
        }
        for (size_t j = 0; j < c->s; j++) sum += p[j] = seen == 0 ? 1.0 : exp(p[j] - best);
        for (size_t e = 0; e < c->dv; e++) {
            double o = 0;
            for (size_t j = 0; j < c->s; j++)
                o += p[j] / sum * (double)v[((b * c->s + j) * c->g + group) * c->dv + e];
            want[n * c->dv + e] = o;
        }
    }
}

static void attention_case(tensor_dev *d, const shape *c)
{
    float  *q, *k, *v;
    tensor  tq = make(d, TENSOR_F32, TENSOR_DIMS(c->b, c->t, c->h, c->dk), &q);
    tensor  tk = make(d, TENSOR_F32, TENSOR_DIMS(c->b, c->s, c->g, c->dk), &k);
    tensor  tv = make(d, TENSOR_F32, TENSOR_DIMS(c->b, c->s, c->g, c->dv), &v), to, tm;
    int32_t mask[128];
    for (size_t i = 0; i < c->b * c->s; i++)
        mask[i] = i / c->s == 0 ? i >= 3 : i % c->s + 2 < c->s; /* left, then right padding */
    assert_int_equal(
        tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(c->b, c->s), mask, false, &tm, NULL), SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(c->b, c->t, c->h, c->dv), &to, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_attention(d, &tq, &tk, &tv, c->masked ? &tm : NULL, 0.5f, c->causal,
                                      c->window, &to, NULL),
                     SNUG_OK);
    double *want = snug_alloc(c->b * c->t * c->h * c->dv * sizeof *want);
    attention_want(c, q, k, v, mask, want);
    near(&to, want, 2e-6);
    free(want), free(q), free(k), free(v);
    tensor_free(&tq), tensor_free(&tk), tensor_free(&tv), tensor_free(&to), tensor_free(&tm);
}

static void attention_all(tensor_dev *d)
{
    static const shape cases[] = {
        {1, 1, 1, 1, 1, 1, 1, 0, true, false},    {2, 5, 5, 4, 2, 16, 16, 0, true, true},
        {2, 7, 7, 3, 3, 15, 15, 0, false, true},  {1, 2, 19, 6, 2, 10, 10, 0, true, false},
        {2, 9, 23, 4, 1, 64, 64, 0, true, true},  {1, 11, 11, 2, 2, 6, 9, 4, true, false},
        {2, 4, 30, 5, 5, 130, 33, 8, true, true}, {1, 3, 6, 2, 1, 3, 70, 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) attention_case(d, &cases[i]);
}
static void test_attention(void **state)
{
    (void)state;
    each_backend(attention_all);
}

/* A query gives the same bits alone, with its past in the cache, as inside a whole prompt. */
static void attention_steps(tensor_dev *d)
{
    enum { S = 150, H = 2, D = 20 }; /* more than two blocks of keys */
    float *q, *k, *v, all[S * H * D], one[H * D];
    tensor tq = make(d, TENSOR_F32, TENSOR_DIMS(1, S, H, D), &q),
           tk = make(d, TENSOR_F32, TENSOR_DIMS(1, S, 1, D), &k);
    tensor tv = make(d, TENSOR_F32, TENSOR_DIMS(1, S, 1, D), &v), to, t1;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, S, H, D), &to, NULL), SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, 1, H, D), &t1, NULL), SNUG_OK);
    assert_int_equal(tensor_attention(d, &tq, &tk, &tv, NULL, 0.3f, true, 0, &to, NULL), SNUG_OK);
    assert_int_equal(tensor_get(&to, all, sizeof all, NULL), SNUG_OK);
    for (size_t i = 0; i < S; i++) {
        tensor qi = tensor_slice(&tq, 1, i, 1), ki = tensor_slice(&tk, 1, 0, i + 1),
               vi = tensor_slice(&tv, 1, 0, i + 1);
        assert_int_equal(tensor_attention(d, &qi, &ki, &vi, NULL, 0.3f, true, 0, &t1, NULL),
                         SNUG_OK);
        assert_int_equal(tensor_get(&t1, one, sizeof one, NULL), SNUG_OK);
        assert_memory_equal(one, all + i * H * D, sizeof one);
    }
    free(q), free(k), free(v);
    tensor_free(&tq), tensor_free(&tk), tensor_free(&tv), tensor_free(&to), tensor_free(&t1);
}
/* Keys and values in pages, two rows sharing one, give the bits of the same in one piece. */
static void attention_paged(tensor_dev *d)
{
    enum { S = 150, T = 5, H = 4, G = 2, D = 20, E = 12, PAGES = 3 };
    float *q, *k, *v, both[2][2 * T * H * E];
    tensor tq = make(d, TENSOR_F32, TENSOR_DIMS(2, T, H, D), &q),
           tk = make(d, TENSOR_F32, TENSOR_DIMS(2, S, G, D), &k),
           tv = make(d, TENSOR_F32, TENSOR_DIMS(2, S, G, E), &v), to, pool;
    memcpy(k + S * G * D, k, TENSOR_PAGE * G * D * sizeof *k); /* the first page of both */
    memcpy(v + S * G * E, v, TENSOR_PAGE * G * E * sizeof *v);
    assert_int_equal(tensor_put(&tk, k, 2 * S * G * D * sizeof *k, NULL), SNUG_OK);
    assert_int_equal(tensor_put(&tv, v, 2 * S * G * E * sizeof *v, NULL), SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, T, H, E), &to, NULL), SNUG_OK);
    assert_int_equal(
        tensor_new(d, TENSOR_F32, TENSOR_DIMS(6, TENSOR_PAGE * G * (D + E)), &pool, NULL), SNUG_OK);
    tensor_page kp[2 * PAGES], vp[2 * PAGES];
    for (size_t n = 0; n < 2 * PAGES; n++) {
        size_t b = n / PAGES, at = n % PAGES * TENSOR_PAGE, where = n == PAGES ? 5 : 5 - n;
        size_t count = S - at < TENSOR_PAGE ? S - at : TENSOR_PAGE;
        for (int of_v = 0; of_v < 2; of_v++) {
            size_t width = of_v ? E : D;
            tensor from = tensor_slice(of_v ? &tv : &tk, 0, b, 1), to_page;
            tensor row = tensor_slice(&pool, 0, where, 1);
            from = tensor_slice(&from, 1, at, count);
            row = tensor_slice(&row, 1, of_v ? TENSOR_PAGE * G * D : 0, count * G * width);
            to_page = tensor_view(&row, TENSOR_DIMS(1, count, G, width));
            assert_int_equal(tensor_copy(d, &from, &to_page, NULL), SNUG_OK);
            (of_v ? vp : kp)[n] = (tensor_page){to_page.mem, to_page.offset};
        }
    }
    for (int paged = 0; paged < 2; paged++) {
        assert_int_equal(tensor_attention(d, &tq, &tk, &tv, NULL, 0.3f, true, 0, &to, NULL),
                         SNUG_OK);
        assert_int_equal(tensor_get(&to, both[paged], sizeof both[0], NULL), SNUG_OK);
        tk.pages = kp, tv.pages = vp;
    }
    assert_memory_equal(both[0], both[1], sizeof both[0]);
    kp[4].offset = pool.mem->size - 4; /* a page that leaves its memory */
    assert_int_equal(tensor_attention(d, &tq, &tk, &tv, NULL, 0.3f, true, 0, &to, NULL),
                     SNUG_EINVAL);
    kp[4].mem = NULL;
    assert_int_equal(tensor_attention(d, &tq, &tk, &tv, NULL, 0.3f, true, 0, &to, NULL),
                     SNUG_EINVAL);
    assert_int_equal(tensor_copy(d, &tv, &tv, NULL), SNUG_EINVAL); /* pages are for attention */
    free(q), free(k), free(v);
    tensor_free(&tq), tensor_free(&tk), tensor_free(&tv), tensor_free(&to), tensor_free(&pool);
}
static void test_attention_paged(void **state)
{
    (void)state;
    each_backend(attention_paged);
}

static void test_attention_steps(void **state)
{
    (void)state;
    each_backend(attention_steps);
}

/* ---- what must be refused ---- */

static void test_check(void **state)
{
    (void)state;
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    tensor x, w, o, ids;
    float  zero[64] = {0};
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 8), zero, true, &x, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(4, 9), zero, true, &w, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 4), &o, NULL), SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_I32, TENSOR_DIMS(2), &ids, NULL), SNUG_OK);
    snug_err err;
    assert_int_equal(tensor_linear(d, &x, &w, NULL, &o, &err), SNUG_EINVAL);
    assert_string_equal(err.msg,
                        "linear: the weight does not fit the input ([2, 8], [4, 9] -> [2, 4])");
    assert_int_equal(tensor_linear(d, &ids, &w, NULL, &o, &err), SNUG_EINVAL);
    assert_int_equal(tensor_add(d, &x, &w, &x, &err), SNUG_EINVAL);
    assert_int_equal(tensor_softmax(d, &ids, &ids, &err), SNUG_EINVAL);
    assert_int_equal(tensor_rms_norm(d, &x, &w, 1e-6f, &x, &err), SNUG_EINVAL);
    assert_int_equal(tensor_embed(d, &x, &x, &o, &err), SNUG_EINVAL);
    assert_int_equal(tensor_copy(d, &ids, &ids, &err), SNUG_EINVAL);
    /* A view that claims more than its memory holds. */
    tensor big = x;
    big.shape[0] = 3;
    assert_int_equal(tensor_softmax(d, &big, &big, &err), SNUG_EINVAL);
    big = x;
    big.stride[0] = SIZE_MAX / 2;
    assert_int_equal(tensor_softmax(d, &big, &big, &err), SNUG_EINVAL);
    tensor none = TENSOR_NONE;
    assert_int_equal(tensor_add(d, &x, &none, &x, &err), SNUG_EINVAL);
    tensor_op op = {.kind = TENSOR_OP_COUNT};
    assert_int_equal(tensor_check(&op, &err), SNUG_EINVAL);
    tensor_free(&x), tensor_free(&w), tensor_free(&o), tensor_free(&ids);
    tensor_dev_close(d);
}

static void test_copy_converts(void **state)
{
    (void)state;
    tensor_dev *d = NULL;
    assert_int_equal(tensor_dev_open(tensor_backend_best(), 1, &d, NULL), SNUG_OK);
    float  x[3] = {1.0f, -2.5f, 0.1f};
    tensor tx, th;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(3), x, false, &tx, NULL), SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_BF16, TENSOR_DIMS(3), &th, NULL), SNUG_OK);
    assert_int_equal(tensor_copy(d, &tx, &th, NULL), SNUG_OK);
    uint16_t h[3];
    assert_int_equal(tensor_get(&th, h, sizeof h, NULL), SNUG_OK);
    assert_int_equal(h[0], 0x3f80);
    assert_int_equal(h[1], 0xc020);
    assert_int_equal(h[2], 0x3dcd);
    tensor_free(&tx), tensor_free(&th);
    tensor_dev_close(d);
}

/* ---- what the rarer families need ---- */

/* Soft caps, biases per key, sinks, windows ahead and chunks, against sums in double precision. */
static void attention_more(tensor_dev *d)
{
    enum { T = 21, H = 3, W = 9 };
    static const struct {
        float  cap;
        bool   bias, sinks, causal;
        size_t window, ahead, chunk;
    } cases[] = {
        {.cap = 0.7f},
        {.bias = true},
        {.sinks = true},
        {.window = 4, .ahead = 4},
        {.chunk = 5},
        {.chunk = 5, .causal = true},
        {.cap = 0.4f, .bias = true, .sinks = true, .causal = true, .window = 6},
    };
    float *q, *k, *v, *bias, *sinks;
    tensor tq = make(d, TENSOR_F32, TENSOR_DIMS(1, T, H, W), &q),
           tk = make(d, TENSOR_F32, TENSOR_DIMS(1, T, H, W), &k),
           tv = make(d, TENSOR_F32, TENSOR_DIMS(1, T, H, W), &v),
           tb = make(d, TENSOR_F32, TENSOR_DIMS(1, H, T, T), &bias),
           ts = make(d, TENSOR_BF16, TENSOR_DIMS(H), &sinks), to;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, T, H, W), &to, NULL), SNUG_OK);
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        tensor_op op = {.kind = TENSOR_OP_ATTENTION,
                        .out = to,
                        .in = {tq, tk, tv},
                        .u.attention = {.scale = 0.8f,
                                        .causal = cases[n].causal,
                                        .window = cases[n].window,
                                        .ahead = cases[n].ahead,
                                        .chunk = cases[n].chunk,
                                        .cap = cases[n].cap}};
        if (cases[n].bias) op.in[4] = tb;
        if (cases[n].sinks) op.in[5] = ts;
        assert_int_equal(tensor_run(d, &op, NULL), SNUG_OK);
        double want[T * H * W] = {0};
        for (size_t i = 0; i < T; i++) {
            for (size_t h = 0; h < H; h++) {
                double p[T], sum = cases[n].sinks ? exp((double)sinks[h]) : 0;
                for (size_t j = 0; j < T; j++) {
                    double s = 0, cap = (double)cases[n].cap;
                    for (size_t e = 0; e < W; e++)
                        s += (double)q[(i * H + h) * W + e] * (double)k[(j * H + h) * W + e];
                    s *= (double)0.8f;
                    if (cap != 0) s = cap * tanh(s / cap);
                    if (cases[n].bias) s += (double)bias[(h * T + i) * T + j];
                    bool hidden = (cases[n].causal && j > i) ||
                                  (cases[n].window != 0 && j + cases[n].window <= i) ||
                                  (cases[n].ahead != 0 && j >= i + cases[n].ahead) ||
                                  (cases[n].chunk != 0 && j / cases[n].chunk != i / cases[n].chunk);
                    sum += p[j] = hidden ? 0 : exp(s);
                }
                for (size_t j = 0; j < T; j++)
                    for (size_t e = 0; e < W; e++)
                        want[(i * H + h) * W + e] += p[j] / sum * (double)v[(j * H + h) * W + e];
            }
        }
        near(&to, want, 2e-6);
    }
    free(q), free(k), free(v), free(bias), free(sinks);
    tensor_free(&tq), tensor_free(&tk), tensor_free(&tv), tensor_free(&tb), tensor_free(&ts);
    tensor_free(&to);
}
static void test_attention_more(void **state)
{
    (void)state;
    each_backend(attention_more);
}

static void scale_clamp(tensor_dev *d)
{
    float  x[5] = {-3.0f, -0.5f, 0.0f, 0.5f, NAN};
    tensor t;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(5), x, false, &t, NULL), SNUG_OK);
    tensor four = tensor_slice(&t, 0, 0, 4);
    assert_int_equal(tensor_scale(d, &four, 2.0f, 1.0f, &four, NULL), SNUG_OK);
    near(&four, (const double[]){-5, 0, 1, 2}, 0);
    assert_int_equal(tensor_clamp(d, &four, -1.0f, 1.5f, &four, NULL), SNUG_OK);
    near(&four, (const double[]){-1, 0, 1, 1.5}, 0);
    assert_int_equal(tensor_scale(d, &t, 0.0f, 0.0f, &t, NULL),
                     SNUG_OK); /* a fill, even over NaN */
    near(&t, (const double[]){0, 0, 0, 0, 0}, 0);
    tensor_free(&t);
}
static void test_scale_clamp(void **state)
{
    (void)state;
    each_backend(scale_clamp);
}

static void gather(tensor_dev *d)
{
    float   x[6] = {10, 11, 12, 20, 21, 22}, *none;
    int32_t index[4] = {2, 0, 1, 1}, bad[4] = {0, 3, 0, 0};
    tensor  tx, ti, tb, to = make(d, TENSOR_F32, TENSOR_DIMS(1, 1, 2, 2), &none);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(1, 1, 2, 3), x, false, &tx, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(2, 2), index, false, &ti, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(2, 2), bad, false, &tb, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_gather(d, &tx, &ti, false, &to, NULL), SNUG_OK);
    near(&to, (const double[]){12, 10, 21, 21}, 0);
    assert_int_equal(tensor_gather(d, &tx, &ti, true, &to, NULL), SNUG_OK);
    near(&to, (const double[]){12, 21, 10, 21}, 0);
    assert_int_equal(tensor_gather(d, &tx, &tb, false, &to, NULL), SNUG_EINVAL);
    free(none);
    tensor_free(&tx), tensor_free(&ti), tensor_free(&tb), tensor_free(&to);
}
static void test_gather(void **state)
{
    (void)state;
    each_backend(gather);
}

static void scatter(tensor_dev *d)
{
    float   x[6] = {1, 2, 3, 4, 5, 6}, w[3] = {1, 10, 0.5f}, o[4] = {100, 100, 0, 0};
    int32_t ids[3] = {1, 0, 1}, bad[3] = {0, 2, 0};
    tensor  tx, tw, ti, tb, to;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(3, 2), x, false, &tx, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(3), w, false, &tw, NULL), SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(3), ids, false, &ti, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_I32, TENSOR_DIMS(3), bad, false, &tb, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 2), o, false, &to, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_scatter(d, &tx, &ti, &tw, &to, NULL), SNUG_OK);
    near(&to, (const double[]){130, 140, 3.5, 5}, 0);
    assert_int_equal(tensor_scatter(d, &tx, &tb, &tw, &to, NULL), SNUG_EINVAL);
    near(&to, (const double[]){130, 140, 3.5, 5}, 0); /* nothing was written */
    tensor_free(&tx), tensor_free(&tw), tensor_free(&ti), tensor_free(&tb), tensor_free(&to);
}
static void test_scatter(void **state)
{
    (void)state;
    each_backend(scatter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_with),
        cmocka_unit_test(test_linear_strided),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_act),
        cmocka_unit_test(test_erf),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_steps),
        cmocka_unit_test(test_attention_paged),
        cmocka_unit_test(test_attention_more),
        cmocka_unit_test(test_scale_clamp),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_scatter),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_copy_converts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
