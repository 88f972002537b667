/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/x86_kernels.h - the SIMD kernels, written once over V (a vector of VN floats) and compiled
 * by x86_avx2.c and x86_avx512.c with their own V.
 *
 * Threads: each call writes only its part of the output.
 * Truth:   an output element is summed in an order that depends on its own length alone: not on the
 *          tile it falls into, the rows beside it, or the thread. So a prompt run at once, in
 *          pieces or token by token gives the same bits. */
#include <math.h>
#include <string.h>

#include "tensor/x86_int.h"

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL24 _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL24 _Pragma("GCC unroll 24")
#endif

/* (a0 + a1) + (a2 + a3) of four vectors folded to four lanes: four sums at once. */
INLINE __m128 sum4(__m128 a, __m128 b, __m128 c, __m128 d)
{
    return _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d));
}

INLINE float sum1(V a)
{
    __m128 f = v_fold(a);
    return _mm_cvtss_f32(sum4(f, f, f, f));
}

/* VN weights as float32; wt is a constant where it matters, so the switch goes away. */
INLINE V load_w(tensor_dtype wt, const void *p, size_t i)
{
    if (wt == TENSOR_F16) return v_load_f16((const uint16_t *)p + i);
    if (wt == TENSOR_BF16) return v_load_bf16((const uint16_t *)p + i);
    return v_load((const float *)p + i);
}

INLINE V load_w_n(tensor_dtype wt, const void *p, size_t i, size_t n)
{
    if (wt == TENSOR_F32) return v_load_n((const float *)p + i, n);
    uint16_t tail[VN] = {0};
    memcpy(tail, (const uint16_t *)p + i, n * sizeof tail[0]);
    return wt == TENSOR_F16 ? v_load_f16(tail) : v_load_bf16(tail);
}

INLINE float load_w1(tensor_dtype wt, const void *p, size_t i)
{
    float one[VN];
    v_store(one, load_w_n(wt, p, i, 1));
    return one[0];
}

/* ---- exp, erf, tanh ---- */

/* exp(x) = 2^n * exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2, where eight terms of the
 * series are exact to float32. Below exp(-87) the answer is 0, so a score of -infinity weighs
 * nothing. */
INLINE V v_exp(V x)
{
    V low = v_set(-87.0f), in = v_min(v_max(x, low), v_set(88.0f));
    V n = v_round(v_mul(in, v_set(1.44269504088896341f)));
    /* ln 2 in two parts, the first short enough that n times it is exact. */
    V r = v_fma(n, v_set(-0.693359375f), in);
    r = v_fma(n, v_set(2.12194440054690583e-4f), r);
    V p = v_set(1.0f / 5040.0f);
    p = v_fma(p, r, v_set(1.0f / 720.0f));
    p = v_fma(p, r, v_set(1.0f / 120.0f));
    p = v_fma(p, r, v_set(1.0f / 24.0f));
    p = v_fma(p, r, v_set(1.0f / 6.0f));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_zero_below(x, low, v_mul(p, v_pow2(n)));
}

/* Below 1 x P(x^2), from there on 1 - 1 / Q(|x|)^8 (after Hastings 1955, whose power of a
 * polynomial this is): the error of a small erfc weighs little. P and Q were fitted to erf(x) / x
 * on [0, 1] and to erfc(x)^(-1/8) on [1, 3.95] by least squares over Chebyshev nodes, reweighted
 * until the largest errors were equal (Lawson). In float32 over 600,000 arguments: at most 1.2e-7
 * off, and 1.7e-7 of the value below 1. */
INLINE V v_erf(V x)
{
    V one = v_set(1.0f), a = v_max(x, v_sub(v_zero(), x)), s = v_mul(x, x);
    V p = v_set(-0.000563145149f), q = v_set(0.000547898351f);
    p = v_fma(p, s, v_set(0.00491755968f));
    p = v_fma(p, s, v_set(-0.0267113186f));
    p = v_fma(p, s, v_set(0.112801805f));
    p = v_fma(p, s, v_set(-0.37612325f));
    p = v_fma(p, s, v_set(1.12837911f));
    q = v_fma(q, a, v_set(-0.00405222178f));
    q = v_fma(q, a, v_set(0.0179992858f));
    q = v_fma(q, a, v_set(-0.0337025225f));
    q = v_fma(q, a, v_set(0.0748030245f));
    q = v_fma(q, a, v_set(0.0484198816f));
    q = v_fma(q, a, v_set(0.159718797f));
    q = v_fma(q, a, v_set(0.996377945f));
    q = v_mul(q, q);
    q = v_mul(q, q);
    q = v_sub(one, v_div(one, v_mul(q, q)));
    return v_pick_below(a, one, v_mul(x, p), v_copysign(q, x));
}

INLINE V v_sigmoid(V x)
{
    return v_div(v_set(1.0f), v_add(v_set(1.0f), v_exp(v_sub(v_zero(), x))));
}
INLINE V v_tanh(V x) { return v_sub(v_mul(v_set(2.0f), v_sigmoid(v_add(x, x))), v_set(1.0f)); }

/* One row: weights pass once, in eight streams that the hardware does not follow far enough. Why
 * the second cache: x86_quant_few.c. */
enum { FETCH_AHEAD = 32768 };

/* ---- linear: tiles of mr rows of x times nr rows of w, each sum in a register ---- */

/* clang-format off */
INLINE void tile(const x86_linear *j, tensor_dtype wt, size_t m, size_t n, size_t mr, size_t nr)
{
    V            acc[TILE_M * TILE_N > 8 ? TILE_M * TILE_N : 8], xv[TILE_M];
    size_t       each = wt == TENSOR_F32 ? 4 : 2, k = 0;
    const float *x = j->x + m * j->xs;
    const char  *w = (const char *)j->w + n * j->ws * each;
    UNROLL for (size_t i = 0; i < mr * nr; i++) acc[i] = v_zero();
    for (; k + VN <= j->k; k += VN) {
        UNROLL for (size_t r = 0; r < mr; r++) xv[r] = v_load(x + r * j->xs + k);
        UNROLL for (size_t c = 0; c < nr; c++) {
            V wv = load_w(wt, w + c * j->ws * each, k);
            if (mr == 1 && k % (64 / each) == 0)
                _mm_prefetch((const char *)((uintptr_t)w + (c * j->ws + k) * each + FETCH_AHEAD),
                             _MM_HINT_T2);
            UNROLL for (size_t r = 0; r < mr; r++) acc[r * nr + c] = v_fma(xv[r], wv, acc[r * nr + c]);
        }
    }
    if (k < j->k) { /* the tail: lanes past the end are zero */
        size_t left = j->k - k;
        UNROLL for (size_t r = 0; r < mr; r++) xv[r] = v_load_n(x + r * j->xs + k, left);
        UNROLL for (size_t c = 0; c < nr; c++) {
            V wv = load_w_n(wt, w + c * j->ws * each, k, left);
            UNROLL for (size_t r = 0; r < mr; r++) acc[r * nr + c] = v_fma(xv[r], wv, acc[r * nr + c]);
        }
    }
    UNROLL for (size_t c = 0; c < nr; c++) {
        float bias = j->b == NULL ? 0.0f : load_w1(j->bt, j->b, n + c);
        UNROLL for (size_t r = 0; r < mr; r++) j->out[(m + r) * j->os + n + c] = sum1(acc[r * nr + c]) + bias;
    }
}
/* clang-format on */

/* All rows of one block against nr weights. */
INLINE void strip(const x86_linear *j, tensor_dtype wt, size_t m, size_t m_to, size_t n, size_t nr)
{
    for (; m + TILE_M <= m_to; m += TILE_M) tile(j, wt, m, n, TILE_M, nr);
    switch (m_to - m) {
#if TILE_M > 3
    case 3: tile(j, wt, m, n, 3, nr); break;
#endif
    case 2: tile(j, wt, m, n, 2, nr); break;
    case 1: tile(j, wt, m, n, 1, nr); break;
    default: break;
    }
}

INLINE void linear_typed(const x86_linear *j, tensor_dtype wt, size_t n_from, size_t n_to)
{
    for (size_t m = 0; m < j->rows; m += j->rows_block) {
        size_t m_to = j->rows - m < j->rows_block ? j->rows : m + j->rows_block, n = n_from;
        /* One row alone: eight weights at a time hide the latency of the sums. */
        if (m_to - m == 1)
            for (; n + 8 <= n_to; n += 8) tile(j, wt, m, n, 1, 8);
        for (; n + TILE_N <= n_to; n += TILE_N) strip(j, wt, m, m_to, n, TILE_N);
        for (; n < n_to; n++) strip(j, wt, m, m_to, n, 1);
    }
}

static void linear(const x86_linear *j, size_t n_from, size_t n_to)
{
    switch (j->wt) {
    case TENSOR_F16: linear_typed(j, TENSOR_F16, n_from, n_to); break;
    case TENSOR_BF16: linear_typed(j, TENSOR_BF16, n_from, n_to); break;
    default: linear_typed(j, TENSOR_F32, n_from, n_to); break;
    }
}

/* ---- softmax ---- */

/* Softmax of n numbers, in place or not. */
static void softmax_n(const float *x, float *out, size_t n)
{
    V      none = v_set(-INFINITY), best = none, sum = v_zero();
    size_t i = 0;
    for (; i + VN <= n; i += VN) best = v_max(best, v_load(x + i));
    if (i < n) best = v_max(best, v_load_fill(x + i, n - i, none));
    V top = v_set(v_max_lane(best));
    for (i = 0; i + VN <= n; i += VN) {
        V e = v_exp(v_sub(v_load(x + i), top));
        sum = v_add(sum, e);
        v_store(out + i, e);
    }
    if (i < n) {
        V e = v_exp(v_sub(v_load_fill(x + i, n - i, none), top));
        sum = v_add(sum, e);
        v_store_n(out + i, n - i, e);
    }
    V inv = v_set(1.0f / sum1(sum));
    for (i = 0; i + VN <= n; i += VN) v_store(out + i, v_mul(v_load(out + i), inv));
    if (i < n) v_store_n(out + i, n - i, v_mul(v_load_n(out + i, n - i), inv));
}

/* ---- rows ---- */

INLINE void scale_row(const x86_row *r, tensor_dtype wt, V shift, V factor)
{
    for (size_t i = 0; i < r->n; i += VN) {
        size_t n = r->n - i < VN ? r->n - i : VN;
        V      v = v_mul(v_sub(v_load_n(r->x + i, n), shift), factor);
        if (r->w != NULL) v = v_mul(v, n == VN ? load_w(wt, r->w, i) : load_w_n(wt, r->w, i, n));
        if (r->b != NULL) v = v_add(v, n == VN ? load_w(wt, r->b, i) : load_w_n(wt, r->b, i, n));
        v_store_n(r->out + i, n, v);
    }
}

static void scale_any(const x86_row *r, float shift, float factor)
{
    switch (r->wt) {
    case TENSOR_F16: scale_row(r, TENSOR_F16, v_set(shift), v_set(factor)); break;
    case TENSOR_BF16: scale_row(r, TENSOR_BF16, v_set(shift), v_set(factor)); break;
    default: scale_row(r, TENSOR_F32, v_set(shift), v_set(factor)); break;
    }
}

static void layer_norm(const x86_row *r)
{
    V sum = v_zero(), squares = v_zero();
    for (size_t i = 0; i < r->n; i += VN)
        sum = v_add(sum, v_load_n(r->x + i, r->n - i < VN ? r->n - i : VN));
    float mean = sum1(sum) / (float)r->n;
    for (size_t i = 0; i < r->n; i += VN) {
        V d = v_sub(v_load_fill(r->x + i, r->n - i < VN ? r->n - i : VN, v_set(mean)), v_set(mean));
        squares = v_fma(d, d, squares);
    }
    scale_any(r, mean, 1.0f / sqrtf(sum1(squares) / (float)r->n + r->eps));
}

static void rms_norm(const x86_row *r)
{
    V squares = v_zero();
    for (size_t i = 0; i < r->n; i += VN) {
        V x = v_load_n(r->x + i, r->n - i < VN ? r->n - i : VN);
        squares = v_fma(x, x, squares);
    }
    scale_any(r, 0.0f, 1.0f / sqrtf(sum1(squares) / (float)r->n + r->eps));
}

static void softmax(const x86_row *r) { softmax_n(r->x, r->out, r->n); }

INLINE V activate(tensor_act fn, V x)
{
    V one = v_set(1.0f), half = v_mul(x, v_set(0.5f));
    switch (fn) {
    case TENSOR_ACT_SILU: return v_mul(x, v_sigmoid(x));
    case TENSOR_ACT_GELU: return v_fma(half, v_erf(v_mul(x, v_set(0.70710678118654752f))), half);
    case TENSOR_ACT_GELU_TANH: {
        V cube = v_mul(v_mul(x, x), v_mul(x, v_set(0.044715f)));
        return v_fma(half, v_tanh(v_mul(v_set(0.79788456080286536f), v_add(x, cube))), half);
    }
    case TENSOR_ACT_QUICK_GELU: return v_mul(x, v_sigmoid(v_mul(x, v_set(1.702f))));
    case TENSOR_ACT_RELU: return v_max(x, v_zero());
    case TENSOR_ACT_RELU2: {
        V r = v_max(x, v_zero());
        return v_mul(r, r);
    }
    case TENSOR_ACT_TANH: return v_tanh(x);
    case TENSOR_ACT_SIGMOID: return v_sigmoid(x);
    default: return v_mul(x, one);
    }
}

INLINE void act_row(const x86_row *r, tensor_act fn)
{
    for (size_t i = 0; i < r->n; i += VN) {
        size_t n = r->n - i < VN ? r->n - i : VN;
        V      v = activate(fn, v_load_n(r->x + i, n));
        if (r->y != NULL) v = v_mul(v, v_load_n(r->y + i, n));
        v_store_n(r->out + i, n, v);
    }
}

static void act(const x86_row *r)
{
    switch (r->fn) {
    case TENSOR_ACT_SILU: act_row(r, TENSOR_ACT_SILU); break;
    case TENSOR_ACT_GELU: act_row(r, TENSOR_ACT_GELU); break;
    case TENSOR_ACT_GELU_TANH: act_row(r, TENSOR_ACT_GELU_TANH); break;
    case TENSOR_ACT_QUICK_GELU: act_row(r, TENSOR_ACT_QUICK_GELU); break;
    case TENSOR_ACT_RELU: act_row(r, TENSOR_ACT_RELU); break;
    case TENSOR_ACT_TANH: act_row(r, TENSOR_ACT_TANH); break;
    case TENSOR_ACT_SIGMOID: act_row(r, TENSOR_ACT_SIGMOID); break;
    case TENSOR_ACT_RELU2: act_row(r, TENSOR_ACT_RELU2); break;
    case TENSOR_ACT_COUNT: break;
    }
}

/* clang-format off: the second uses the first */
#include "tensor/x86_packed.h"
#include "tensor/x86_attention.h"
/* clang-format on */

const x86_kernels KERNELS = {
    linear,    PANEL,            PACK_ROWS,  pack_w,   pack_x,  packed,
    attention, attention_floats, layer_norm, rms_norm, softmax, act,
};
