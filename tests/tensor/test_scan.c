/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tensor/test_scan.c - the operations of recurrent layers against sums in double precision,
 * in one piece and in two, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "tensor/tensor.h"

static tensor_dev *d;
static uint64_t    seed = 7;

static int open_dev(void **state)
{
    (void)state;
    return tensor_dev_open(tensor_backend_best(), 2, &d, NULL) == SNUG_OK ? 0 : -1;
}

static int close_dev(void **state)
{
    (void)state;
    tensor_dev_close(d);
    return 0;
}

static tensor make(unsigned rank, const size_t *shape, float low, float high, float *host)
{
    tensor t;
    assert_int_equal(tensor_shape(TENSOR_F32, rank, shape, &t, NULL), SNUG_OK);
    for (size_t i = 0; i < tensor_count(&t); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        host[i] = low + (high - low) * (float)(uint32_t)(seed >> 32) * 0x1p-32f;
    }
    assert_int_equal(tensor_new_from(d, TENSOR_F32, rank, shape, host, false, &t, NULL), SNUG_OK);
    return t;
}

static void near(const tensor *t, const double *want)
{
    float *got = snug_alloc(tensor_size(t) + 1);
    assert_int_equal(tensor_get(t, got, tensor_size(t), NULL), SNUG_OK);
    for (size_t i = 0; i < tensor_count(t); i++)
        if (!(fabs((double)got[i] - want[i]) <= 2e-6 * (1.0 + fabs(want[i]))))
            fail_msg("element %zu is %.9g, not %.9g", i, (double)got[i], want[i]);
    free(got);
}

static void test_conv(void **state)
{
    (void)state;
    enum { T = 5, C = 7, K = 3 };
    float  x[2 * (T + K - 1) * C], w[C * K], b[C];
    double want[2 * T * C];
    tensor tx = make(TENSOR_DIMS(2, T + K - 1, C), -1, 1, x),
           tw = make(TENSOR_DIMS(C, K), -1, 1, w), tb = make(TENSOR_DIMS(C), -1, 1, b), to;
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, T, C), &to, NULL), SNUG_OK);
    for (size_t i = 0; i < 2 * T * C; i++) {
        size_t row = i / C / T * (T + K - 1) + i / C % T, c = i % C;
        want[i] = (double)b[c];
        for (size_t k = 0; k < K; k++)
            want[i] += (double)x[(row + k) * C + c] * (double)w[c * K + k];
    }
    assert_int_equal(tensor_conv(d, &tx, &tw, &tb, &to, NULL), SNUG_OK);
    near(&to, want);
    tensor short_x = tensor_slice(&tx, 1, 1, T);
    assert_int_equal(tensor_conv(d, &short_x, &tw, &tb, &to, NULL), SNUG_EINVAL);
    tensor_free(&tx), tensor_free(&tw), tensor_free(&tb), tensor_free(&to);
}

static void test_softplus(void **state)
{
    (void)state;
    float  x[6] = {-30.0f, -1.0f, 0.0f, 1.0f, 25.0f, 300.0f}, b[3] = {0.5f, -0.5f, 0.0f};
    double want[6];
    tensor tx, tb;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 3), x, false, &tx, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(3), b, false, &tb, NULL), SNUG_OK);
    for (size_t i = 0; i < 6; i++) {
        double v = (double)x[i] + (double)b[i % 3];
        v = v > 30 ? v : log1p(exp(v));
        want[i] = v < 0.01 ? 0.01 : v > 100 ? 100 : v;
    }
    assert_int_equal(tensor_softplus(d, &tx, &tb, 0.01f, 100.0f, &tx, NULL), SNUG_OK);
    near(&tx, want);
    tensor_free(&tx), tensor_free(&tb);
}

/* Five heads of three channels over a state of four, B and C for all heads; rates per head or per
 * element. The second run does the same in two pieces. */
static void scan_case(size_t rates)
{
    enum { T = 6, H = 5, P = 3, N = 4 };
    float  x[T * H * P], dt[T * H], a[H * N], b[T * N], c[T * N], s[H * P * N];
    double want[T * H * P], state[H * P * N];
    tensor in[6] = {make(TENSOR_DIMS(1, T, H, P), -1, 1, x),
                    make(TENSOR_DIMS(1, T, H), 0, 1, dt),
                    make(TENSOR_DIMS(H, rates), -2, 0, a),
                    make(TENSOR_DIMS(1, T, 1, N), -1, 1, b),
                    make(TENSOR_DIMS(1, T, 1, N), -1, 1, c),
                    make(TENSOR_DIMS(1, H, P, N), -1, 1, s)},
           out;
    for (size_t i = 0; i < H * P * N; i++) state[i] = (double)s[i];
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < H * P; i++) {
            double y = 0, step = (double)dt[t * H + i / P];
            for (size_t n = 0; n < N; n++) {
                double *v = &state[i * N + n];
                *v = *v * exp(step * (double)a[i / P * rates + n % rates]) +
                     step * (double)x[t * H * P + i] * (double)b[t * N + n];
                y += *v * (double)c[t * N + n];
            }
            want[t * H * P + i] = y;
        }
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, T, H, P), &out, NULL), SNUG_OK);
    assert_int_equal(tensor_scan(d, in, &out, NULL), SNUG_OK);
    near(&out, want);
    near(&in[5], state);
    assert_int_equal(tensor_put(&in[5], s, sizeof s, NULL), SNUG_OK);
    for (size_t from = 0; from < T; from += 2) {
        tensor part[6] = {
            tensor_slice(&in[0], 1, from, 2), tensor_slice(&in[1], 1, from, 2), in[2],
            tensor_slice(&in[3], 1, from, 2), tensor_slice(&in[4], 1, from, 2), in[5]};
        tensor o = tensor_slice(&out, 1, from, 2);
        assert_int_equal(tensor_scan(d, part, &o, NULL), SNUG_OK);
    }
    near(&out, want);
    near(&in[5], state);
    tensor wrong = in[2];
    in[2] = in[1];
    assert_int_equal(tensor_scan(d, in, &out, NULL), SNUG_EINVAL);
    in[2] = wrong;
    for (size_t i = 0; i < 6; i++) tensor_free(&in[i]);
    tensor_free(&out);
}

static void test_scan(void **state)
{
    (void)state;
    scan_case(1);
    scan_case(4);
}

/* Four value heads over two key heads, keys of three, values of five; a decay per head or per row.
 */
static void delta_case(bool each)
{
    enum { T = 6, G = 2, H = 4, K = 3, V = 5 };
    float  q[T * G * K], k[T * G * K], v[T * H * V], g[T * H * K], beta[T * H], s[H * K * V];
    double want[T * H * V], state[H * K * V];
    tensor in[6] = {make(TENSOR_DIMS(1, T, G, K), -1, 1, q),
                    make(TENSOR_DIMS(1, T, G, K), -1, 1, k),
                    make(TENSOR_DIMS(1, T, H, V), -1, 1, v),
                    TENSOR_NONE,
                    make(TENSOR_DIMS(1, T, H), 0, 1, beta),
                    make(TENSOR_DIMS(1, H, K, V), -1, 1, s)},
           out;
    in[3] = each ? make(TENSOR_DIMS(1, T, H, K), -1, 0, g) : make(TENSOR_DIMS(1, T, H), -1, 0, g);
    for (size_t i = 0; i < H * K * V; i++) state[i] = (double)s[i];
    for (size_t t = 0; t < T; t++)
        for (size_t h = 0; h < H; h++) {
            const float *qs = q + (t * G + h / 2) * K, *ks = k + (t * G + h / 2) * K;
            double      *S = state + h * K * V;
            for (size_t i = 0; i < K * V; i++)
                S[i] *= exp((double)(each ? g[(t * H + h) * K + i / V] : g[t * H + h]));
            for (size_t j = 0; j < V; j++) {
                double held = 0, read = 0;
                for (size_t i = 0; i < K; i++) held += S[i * V + j] * (double)ks[i];
                double news = (double)beta[t * H + h] * ((double)v[(t * H + h) * V + j] - held);
                for (size_t i = 0; i < K; i++) S[i * V + j] += (double)ks[i] * news;
                for (size_t i = 0; i < K; i++) read += S[i * V + j] * (double)qs[i];
                want[(t * H + h) * V + j] = read;
            }
        }
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(1, T, H, V), &out, NULL), SNUG_OK);
    assert_int_equal(tensor_delta(d, in, &out, NULL), SNUG_OK);
    near(&out, want);
    near(&in[5], state);
    tensor few = tensor_slice(&in[5], 1, 0, H - 1), whole = in[5];
    in[5] = few;
    assert_int_equal(tensor_delta(d, in, &out, NULL), SNUG_EINVAL);
    in[5] = whole;
    for (size_t i = 0; i < 6; i++) tensor_free(&in[i]);
    tensor_free(&out);
}

static void test_delta(void **state)
{
    (void)state;
    delta_case(false);
    delta_case(true);
}

static void test_levels(void **state)
{
    (void)state;
    float x[8] = {1, 2, 3, 10, -1, 0, 0, 5}, y[8] = {2, 2, 2, 2, 0, 0, 0, 0},
          shape[4] = {0.8f, 0.9f, 0.5f, -1e-6f};
    double want[8];
    tensor tx, ty, ts, to;
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 4), x, false, &tx, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(2, 4), y, false, &ty, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new_from(d, TENSOR_F32, TENSOR_DIMS(4), shape, false, &ts, NULL),
                     SNUG_OK);
    assert_int_equal(tensor_new(d, TENSOR_F32, TENSOR_DIMS(2, 4), &to, NULL), SNUG_OK);
    for (size_t r = 0; r < 2; r++) {
        double mean = 0, squares = 0;
        for (size_t i = 0; i < 4; i++) mean += (double)x[r * 4 + i] / 4;
        for (size_t i = 0; i < 4; i++) squares += pow((double)x[r * 4 + i] - mean, 2) / 4;
        for (size_t i = 0; i < 4; i++)
            want[r * 4 + i] = fmax(0, (double)x[r * 4 + i] - mean - 0.5 * sqrt(squares));
    }
    assert_int_equal(tensor_cutoff(d, &tx, 0.5f, &to, NULL), SNUG_OK);
    near(&to, want);
    for (size_t r = 0; r < 2; r++) {
        double all = 0, like = 0;
        for (size_t i = 0; i < 4; i++) all += pow((double)x[r * 4 + i], 2) / 4;
        for (size_t i = 0; i < 4; i++) like += pow((double)y[r * 4 + i], 2) / 4;
        for (size_t i = 0; i < 4; i++) want[r * 4 + i] = (double)x[r * 4 + i] * sqrt(like / all);
    }
    assert_int_equal(tensor_match(d, &tx, &ty, 1e-5f, &to, NULL), SNUG_OK);
    near(&to, want);
    for (size_t i = 0; i < 8; i++) {
        double v = (double)x[i];
        want[i] = 0.5 * v + (v > 0 ? (double)shape[0] * v * v
                                   : (double)shape[1] * (expm1(fmin(v, -1e-6)) - v));
    }
    assert_int_equal(tensor_xielu(d, &tx, &ts, &to, NULL), SNUG_OK);
    near(&to, want);
    tensor_free(&tx), tensor_free(&ty), tensor_free(&ts), tensor_free(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv), cmocka_unit_test(test_softplus),
                                       cmocka_unit_test(test_scan), cmocka_unit_test(test_delta),
                                       cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, open_dev, close_dev);
}
