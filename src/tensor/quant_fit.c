/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/quant_fit.c - which 2 to 8 bit numbers stand for a block of floats.
 *
 * For:     tensor_quantize.
 * Owns:    nothing.
 * Threads: pure functions.
 * Truth:   the 32-element types follow ggml's rounding to the bit. The K types try a range of steps
 *          per sub-block, solve for the best scale (and minimum) by least squares each time, round
 *          scales to the bits the type has, and choose the values again for the rounded scales. */
#include "tensor/quant_int.h"

#include <math.h>
#include <string.h>

static float round_f16(float f) { return tensor_f16_to_f32(tensor_f32_to_f16(f)); }

static int clamp(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

/* To the nearest whole number, halves up; the argument is small. */
static int nearest(float f) { return (int)floorf(f + 0.5f); }

/* The element of largest magnitude, the first of several. */
static float extreme(const float *x, size_t n)
{
    float best = x[0];
    for (size_t i = 1; i < n; i++)
        if (fabsf(x[i]) > fabsf(best)) best = x[i];
    return best;
}

/* ---- types of 32 elements ---- */

static void fit_symmetric(const quant_kind *k, const float *x, quant_block *b)
{
    int   half = 1 << (k->bits - 1);
    float d = extreme(x, 32) / (float)-half, inverse = d == 0.0f ? 0.0f : 1.0f / d;
    b->d = round_f16(d);
    for (size_t i = 0; i < 32; i++)
        b->q[i] = (uint8_t)clamp((int)(x[i] * inverse + ((float)half + 0.5f)), 0, 2 * half - 1);
}

static void fit_range(const quant_kind *k, const float *x, quant_block *b)
{
    float low = x[0], high = x[0];
    for (size_t i = 1; i < 32; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    int   top = (1 << k->bits) - 1;
    float d = (high - low) / (float)top, inverse = d == 0.0f ? 0.0f : 1.0f / d;
    b->d = round_f16(d);
    b->dmin = -round_f16(low);
    for (size_t i = 0; i < 32; i++)
        b->q[i] = (uint8_t)clamp((int)((x[i] - low) * inverse + 0.5f), 0, top);
}

static void fit_q8_0(const float *x, quant_block *b)
{
    float d = fabsf(extreme(x, 32)) / 127.0f, inverse = d == 0.0f ? 0.0f : 1.0f / d;
    b->d = round_f16(d);
    for (size_t i = 0; i < 32; i++)
        b->q[i] = (uint8_t)(clamp((int)roundf(x[i] * inverse), -127, 127) + 128);
}

static void fit_mxfp4(const float *x, quant_block *b)
{
    static const int8_t values[15] = {0, 1, 2, 3, 4, 6, 8, 12, -1, -2, -3, -4, -6, -8, -12};
    float               most = fabsf(extreme(x, 32)), best;
    int                 e = most > 0.0f ? clamp((int)floorf(log2f(most)) - 2 + 127, 0, 254) : 0;
    uint32_t            bits = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23;
    memcpy(&b->d, &bits, sizeof b->d);
    for (size_t i = 0; i < 32; i++) {
        best = INFINITY;
        for (size_t v = 0; v < sizeof values; v++) {
            float miss = fabsf(b->d * (float)values[v] - x[i]);
            if (miss >= best) continue;
            best = miss;
            b->q[i] = (uint8_t)(values[v] + 12);
        }
    }
}

/* ---- K types: least squares over a range of steps ---- */

typedef struct line_fit {
    float  scale, low; /* x is near scale * q - low */
    double miss;       /* sum of squares */
} line_fit;

enum { LANES = 8 };

/* What an element's error counts where a step is a good part of the value: large weights move
 * results more. */
static void weigh(const quant_kind *k, const float *x, size_t n, float *w)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    float usual = sqrtf(sum / (float)n);
    for (size_t i = 0; i < n; i++)
        w[i] = k->has_min && k->bits > 2 ? 2.0f * usual + fabsf(x[i]) : 1.0f;
}

/* Sums for the normal equations; eight lanes so that the compiler may use vectors. */
typedef struct sums {
    double w, q, qq, x, xq, xx;
} sums;

static sums collect(const float *x, const float *q, const float *w, size_t n)
{
    float a[6][LANES] = {{0}};
    for (size_t i = 0; i < n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float v = x[i + l], u = q[i + l], wu = w[i + l] * u, wv = w[i + l] * v;
            a[0][l] += w[i + l];
            a[1][l] += wu;
            a[2][l] += wu * u;
            a[3][l] += wv;
            a[4][l] += wv * u;
            a[5][l] += wv * v;
        }
    double t[6] = {0};
    for (size_t j = 0; j < 6; j++)
        for (size_t l = 0; l < LANES; l++) t[j] += (double)a[j][l];
    return (sums){t[0], t[1], t[2], t[3], t[4], t[5]};
}

/* The best scale and low >= 0 for given q. */
static line_fit solve(const sums *s)
{
    double det = s->w * s->qq - s->q * s->q, scale = 0.0, low = 0.0;
    if (det > 0.0) {
        scale = (s->w * s->xq - s->x * s->q) / det;
        low = (s->q * s->xq - s->qq * s->x) / det;
    }
    if (low < 0.0 || det <= 0.0) {
        low = 0.0;
        scale = s->qq > 0.0 ? s->xq / s->qq : 0.0;
    }
    double miss = s->xx + scale * scale * s->qq + low * low * s->w - 2.0 * scale * s->xq +
                  2.0 * low * s->x - 2.0 * scale * low * s->q;
    return (line_fit){(float)scale, (float)low, miss};
}

static void round_all(const float *x, size_t n, float step_inverse, float shift, float top,
                      float *q)
{
    for (size_t i = 0; i < n; i++) {
        float v = (x[i] + shift) * step_inverse;
        v = v < 0.0f ? 0.0f : v > top ? top : v;
        q[i] = (float)(int)(v + 0.5f);
    }
}

static line_fit fit_line(const float *x, const float *w, size_t n, int top)
{
    float    low = 0.0f, high = 0.0f, q[32];
    line_fit best = {0.0f, 0.0f, 0.0};
    for (size_t i = 0; i < n; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    if (high <= low) return best;
    best.miss = INFINITY;
    for (int step = -10; step <= 16; step++) {
        float inverse = ((float)top + 0.1f * (float)step) / (high - low);
        if (inverse <= 0.0f || !isfinite(inverse)) continue;
        round_all(x, n, inverse, -low, (float)top, q);
        sums     s = collect(x, q, w, n);
        line_fit f = solve(&s);
        if (f.scale > 0.0f && f.miss < best.miss) best = f;
    }
    /* From there, rounding for the line and fitting the line to the rounding, until it settles. */
    for (int turn = 0; turn < 4 && best.scale > 0.0f; turn++) {
        round_all(x, n, 1.0f / best.scale, best.low, (float)top, q);
        sums     s = collect(x, q, w, n);
        line_fit f = solve(&s);
        if (f.scale <= 0.0f || f.miss >= best.miss) break;
        best = f;
    }
    if (isinf(best.miss)) best = (line_fit){0.0f, -low, 0.0}; /* a range too small to divide by */
    return best;
}

/* x near scale * q with q in [-half, half): the extreme value takes the end with more room. */
static float fit_scale(const float *x, const float *w, size_t n, int half)
{
    float  most = extreme(x, n), q[16], best_scale = 0.0f;
    double best_gain = 0.0;
    if (fabsf(most) < 1e-30f) return 0.0f;
    for (int i = 0; i < 25; i++) { /* 0, 1, -1, 2, ...: of equal fits the plainest wins */
        int   step = i % 2 == 0 ? -i / 2 : (i + 1) / 2;
        float inverse = -((float)half + 0.1f * (float)step) / most;
        for (int turn = 0; turn < 3; turn++) {
            for (size_t j = 0; j < n; j++)
                q[j] = (float)clamp(nearest(x[j] * inverse), -half, half - 1);
            sums s = collect(x, q, w, n);
            if (s.qq <= 0.0) break;
            double gain = s.xq * s.xq / s.qq; /* what the fit takes off the sum of squares */
            if (gain <= best_gain * (turn == 0 ? 1.0 : 1.0 + 1e-9)) break;
            best_gain = gain;
            best_scale = (float)(s.xq / s.qq);
            inverse = 1.0f / best_scale;
        }
    }
    return best_scale;
}

/* Chooses the values of one sub-block for the scale and low it has; its error. */
static float sub_miss(const quant_kind *k, const float *x, const float *w, size_t s, quant_block *b)
{
    int   top = (1 << k->bits) - 1;
    float scale = b->d * (float)b->scale[s], low = b->dmin * (float)b->min[s];
    float inverse = scale == 0.0f ? 0.0f : 1.0f / scale, sum = 0.0f;
    if (!isfinite(inverse)) inverse = 0.0f;
    for (size_t i = s * k->sub; i < (s + 1) * k->sub; i++) {
        b->q[i] = (uint8_t)clamp(nearest((x[i] + low) * inverse) + k->offset, 0, top);
        float off = scale * (float)((int)b->q[i] - (int)k->offset) - low - x[i];
        sum += w[i] * off * off;
    }
    return sum;
}

static double block_miss(const quant_kind *k, const float *x, const float *w, quant_block *b)
{
    double miss = 0.0;
    for (size_t s = 0; s < k->elems / k->sub; s++) miss += (double)sub_miss(k, x, w, s, b);
    return miss;
}

/* Scale and low of each sub-block were rounded apart; together a neighbour may fit better. */
static void refine(const quant_kind *k, const float *x, const float *w, int scale_low,
                   int scale_top, quant_block *b)
{
    for (size_t s = 0; s < k->elems / k->sub; s++) {
        int   scale = b->scale[s], min = b->min[s], best_scale = scale, best_min = min;
        float best = sub_miss(k, x, w, s, b);
        for (int i = -1; i <= 1; i++)
            for (int j = k->has_min ? -1 : 0; j <= (k->has_min ? 1 : 0); j++) {
                b->scale[s] = (int16_t)clamp(scale + i, scale_low, scale_top);
                b->min[s] = (int16_t)clamp(min + j, 0, scale_top);
                float miss = sub_miss(k, x, w, s, b);
                if (miss >= best) continue;
                best = miss;
                best_scale = b->scale[s], best_min = b->min[s];
            }
        b->scale[s] = (int16_t)best_scale;
        b->min[s] = (int16_t)best_min;
        (void)sub_miss(k, x, w, s, b);
    }
}

/* Rounds the scales (and lows) to whole multiples of d (and dmin) and keeps the d that fits x best
 * of a few near `d`: the rounding of sixteen scales at once leaves room. */
static void settle(const quant_kind *k, const float *x, const float *w, const line_fit *fit,
                   int scale_low, int scale_top, quant_block *b)
{
    size_t      n = k->elems / k->sub;
    float       most = 0.0f, low_most = 0.0f;
    quant_block best = *b, now = *b;
    double      best_miss = INFINITY;
    for (size_t s = 0; s < n; s++) {
        if (fabsf(fit[s].scale) > fabsf(most)) most = fit[s].scale;
        low_most = fmaxf(low_most, fit[s].low);
    }
    /* Signed scales reach further down than up, so the largest takes the low end. */
    float end = scale_low < 0 ? (float)scale_low : (float)scale_top;
    for (int i = 0; i < 7; i++) {
        int step = i % 2 == 0 ? -i / 2 : (i + 1) / 2;
        now.d = round_f16(most / end * (1.0f + 0.01f * (float)step));
        now.dmin = k->has_min ? round_f16(low_most / (float)scale_top) : 0.0f;
        float inverse = now.d == 0.0f ? 0.0f : 1.0f / now.d;
        float low_inverse = now.dmin == 0.0f ? 0.0f : 1.0f / now.dmin;
        for (size_t s = 0; s < n; s++) {
            now.scale[s] = (int16_t)clamp(nearest(fit[s].scale * inverse), scale_low, scale_top);
            now.min[s] = (int16_t)clamp(nearest(fit[s].low * low_inverse), 0, scale_top);
        }
        double miss = block_miss(k, x, w, &now);
        if (miss >= best_miss) continue;
        best_miss = miss;
        best = now;
    }
    refine(k, x, w, scale_low, scale_top, &best);
    *b = best;
}

static void fit_super(tensor_dtype t, const quant_kind *k, const float *x, quant_block *b)
{
    line_fit fit[QUANT_SUBS_MAX];
    float    w[256];
    for (size_t s = 0; s < k->elems / k->sub; s++) {
        const float *at = x + s * k->sub;
        weigh(k, at, k->sub, w + s * k->sub);
        if (k->has_min)
            fit[s] = fit_line(at, w + s * k->sub, k->sub, (1 << k->bits) - 1);
        else
            fit[s] = (line_fit){fit_scale(at, w + s * k->sub, k->sub, k->offset), 0.0f, 0.0};
    }
    switch (t) {
    case TENSOR_Q2_K: settle(k, x, w, fit, 0, 15, b); break;
    case TENSOR_Q3_K: settle(k, x, w, fit, -32, 31, b); break;
    case TENSOR_Q6_K: settle(k, x, w, fit, -128, 127, b); break;
    default: settle(k, x, w, fit, 0, 63, b); break;
    }
}

bool quant_fit(tensor_dtype t, const float *x, quant_block *b)
{
    const quant_kind *k = quant_kind_of(t);
    for (size_t i = 0; i < k->elems; i++)
        if (!(fabsf(x[i]) <= 65504.0f)) return false;
    if (k->elems > 32) {
        fit_super(t, k, x, b);
        return true;
    }
    b->scale[0] = b->min[0] = 1;
    if (t == TENSOR_Q8_0)
        fit_q8_0(x, b);
    else if (t == TENSOR_MXFP4)
        fit_mxfp4(x, b);
    else if (k->has_min)
        fit_range(k, x, b);
    else
        fit_symmetric(k, x, b);
    return true;
}
