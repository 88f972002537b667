/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ref_dense.c - portable kernels that multiply: linear, matmul, attention.
 *
 * For:     cpu_ref, the oracle the fast backends are measured against.
 * Owns:    nothing; scratch is the device's.
 * Threads: each output element is computed by one thread, in an order that depends neither on the
 *          number of threads nor on the other rows of the batch.
 * Truth:   sums run in 16 float32 lanes that are added pairwise at the end, so the error grows with
 *          the length / 16. */
#include "tensor/quant_int.h"

#include <math.h>

enum { LANES = 16 };

static float sum_lanes(float acc[LANES])
{
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) acc[i] += acc[i + half];
    return acc[0];
}

static float dot(const float *a, const float *b, size_t n)
{
    float  acc[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) acc[l] += a[i + l] * b[i + l];
    for (size_t l = 0; i < n; i++, l++) acc[l] += a[i] * b[i];
    return sum_lanes(acc);
}

/* The widened row of a weight, in the worker's part of the scratch unless it is F32 already. */
static const float *widen(tensor_dtype t, const char *row, size_t n, float *scratch)
{
    if (t == TENSOR_F32) return (const float *)(const void *)row;
    for (size_t i = 0; i < n; i++) scratch[i] = cpu_load(t, row, i);
    return scratch;
}

/* ---- linear ---- */

typedef struct linear_job {
    const float *x;
    const char  *w, *b;
    float       *out, *scratch;
    tensor_dtype wt, bt;
    size_t       rows, k, xs, ws, os; /* strides in elements */
} linear_job;

static void linear_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const linear_job *j = arg;
    size_t            bytes = tensor_dtype_bytes(j->wt);
    for (size_t n = from; n < to; n++) {
        const float *w = widen(j->wt, j->w + n * j->ws * bytes, j->k, j->scratch + worker * j->k);
        float        bias = j->b == NULL ? 0.0f : cpu_load(j->bt, j->b, n);
        for (size_t m = 0; m < j->rows; m++)
            j->out[m * j->os + n] = dot(j->x + m * j->xs, w, j->k) + bias;
    }
}

snug_status ref_linear(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    if (tensor_dtype_is_quant(op->in[1].dtype)) return ref_linear_quant(d, op, err);
    const tensor *x = &op->in[0], *w = &op->in[1], *b = &op->in[2];
    linear_job    j = {.x = cpu_data(x),
                       .w = cpu_data(w),
                       .b = tensor_present(b) ? cpu_data(b) : NULL,
                       .out = cpu_data(&op->out),
                       .wt = w->dtype,
                       .bt = b->dtype,
                       .rows = tensor_rows(x),
                       .k = tensor_cols(x)};
    (void)tensor_has_rows(x, &j.xs);
    (void)tensor_has_rows(w, &j.ws);
    (void)tensor_has_rows(&op->out, &j.os);
    void       *scratch = NULL;
    snug_status st =
        cpu_scratch(d, snug_team_size(d->team) * j.k * sizeof(float) + 1, &scratch, err);
    if (st != SNUG_OK) return st;
    j.scratch = scratch;
    snug_team_run(d->team, w->shape[0], cpu_grain(j.rows * j.k), linear_part, &j);
    return SNUG_OK;
}

/* ---- matmul ---- */

typedef struct matmul_job {
    const float *a, *b;
    float       *out;
    size_t       m, k, n;
    bool         trans;
} matmul_job;

static void matmul_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const matmul_job *j = arg;
    for (size_t row = from; row < to; row++) {
        const float *a = j->a + row * j->k, *b = j->b + row / j->m * j->k * j->n;
        float       *o = j->out + row * j->n;
        if (j->trans) {
            for (size_t n = 0; n < j->n; n++) o[n] = dot(a, b + n * j->k, j->k);
            continue;
        }
        for (size_t n = 0; n < j->n; n++) o[n] = 0.0f;
        for (size_t k = 0; k < j->k; k++)
            for (size_t n = 0; n < j->n; n++) o[n] += a[k] * b[k * j->n + n];
    }
}

snug_status ref_matmul(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    const tensor *a = &op->in[0];
    matmul_job    j = {.a = cpu_data(a),
                       .b = cpu_data(&op->in[1]),
                       .out = cpu_data(&op->out),
                       .m = a->shape[a->rank - 2],
                       .k = tensor_cols(a),
                       .n = tensor_cols(&op->out),
                       .trans = op->u.matmul.trans};
    snug_team_run(d->team, tensor_rows(a), cpu_grain(j.k * j.n), matmul_part, &j);
    return SNUG_OK;
}

/* ---- attention ---- */

typedef struct attention_job {
    const tensor    *q, *k, *v, *mask, *bias, *sinks, *out;
    const tensor_op *op;
    float           *scratch; /* positions per worker, and one more */
} attention_job;

static const float *at4(const tensor *t, size_t b, size_t i, size_t h)
{
    return (const float *)cpu_data(t) + b * t->stride[0] + i * t->stride[1] + h * t->stride[2];
}

/* Scores of one query over all positions -> weights that sum to one, or less with a sink. */
static void weigh(float *p, size_t n, size_t seen, const float *sink)
{
    float best = sink == NULL ? -INFINITY : *sink, sum = 0.0f;
    if (seen == 0 && sink == NULL) {
        for (size_t j = 0; j < n; j++) p[j] = 1.0f / (float)n;
        return;
    }
    for (size_t j = 0; j < n; j++) best = fmaxf(best, p[j]);
    for (size_t j = 0; j < n; j++) {
        p[j] = expf(p[j] - best);
        sum += p[j];
    }
    if (sink != NULL) sum += expf(*sink - best);
    for (size_t j = 0; j < n; j++) p[j] /= sum;
}

/* Whether the query at position `here` may not see key j, whatever the mask says. */
static bool is_hidden(const tensor_op *op, size_t here, size_t j)
{
    size_t window = op->u.attention.window, ahead = op->u.attention.ahead,
           chunk = op->u.attention.chunk;
    return (op->u.attention.causal && j > here) || (window != 0 && j + window <= here) ||
           (ahead != 0 && j >= here + ahead) || (chunk != 0 && j / chunk != here / chunk);
}

static void attend(const attention_job *a, float *p, size_t b, size_t i, size_t h)
{
    const tensor *k = a->k;
    size_t        n = k->shape[1], width = k->shape[3], group = h / (a->q->shape[2] / k->shape[2]),
           seen = 0;
    const float   *q = at4(a->q, b, i, h);
    const int32_t *mask = tensor_present(a->mask)
                              ? (const int32_t *)cpu_data(a->mask) + b * a->mask->stride[0]
                              : NULL;
    const float   *bias = tensor_present(a->bias)
                              ? (const float *)cpu_data(a->bias) + b * a->bias->stride[0] +
                                  h * a->bias->stride[1] + i * a->bias->stride[2]
                              : NULL;
    float          cap = a->op->u.attention.cap;
    size_t here = n - a->q->shape[1] + i; /* this query's position; used when causal or windowed */
    for (size_t j = 0; j < n; j++) {
        bool hidden = (mask != NULL && mask[j] == 0) || is_hidden(a->op, here, j);
        seen += !hidden;
        p[j] = hidden ? -INFINITY
                      : dot(q, cpu_position(k, b, j, group), width) * a->op->u.attention.scale;
        if (hidden) continue;
        if (cap != 0.0f) p[j] = cap * tanhf(p[j] / cap);
        if (bias != NULL) p[j] += bias[j];
    }
    float sink = tensor_present(a->sinks) ? cpu_load(a->sinks->dtype, cpu_data(a->sinks), h) : 0.0f;
    weigh(p, n, seen, tensor_present(a->sinks) ? &sink : NULL);
    float *o = (float *)cpu_data(a->out) + b * a->out->stride[0] + i * a->out->stride[1] +
               h * a->out->stride[2];
    for (size_t e = 0; e < a->v->shape[3]; e++) o[e] = 0.0f;
    for (size_t j = 0; j < n; j++) {
        if (p[j] == 0.0f) continue;
        const float *v = cpu_position(a->v, b, j, group);
        for (size_t e = 0; e < a->v->shape[3]; e++) o[e] += p[j] * v[e];
    }
}

static void attention_part(void *arg, size_t from, size_t to, unsigned worker)
{
    const attention_job *a = arg;
    size_t               heads = a->q->shape[2], times = a->q->shape[1];
    for (size_t n = from; n < to; n++)
        attend(a, a->scratch + worker * a->k->shape[1], n / (heads * times), n / heads % times,
               n % heads);
}

snug_status ref_attention(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    attention_job a = {.q = &op->in[0],
                       .k = &op->in[1],
                       .v = &op->in[2],
                       .mask = &op->in[3],
                       .bias = &op->in[4],
                       .sinks = &op->in[5],
                       .out = &op->out,
                       .op = op};
    void         *scratch = NULL;
    size_t        n = a.k->shape[1];
    snug_status   st = cpu_scratch(d, snug_team_size(d->team) * n * sizeof(float), &scratch, err);
    if (st != SNUG_OK) return st;
    a.scratch = scratch;
    snug_team_run(d->team, tensor_rows(a.q), cpu_grain(2 * n * a.k->shape[3]), attention_part, &a);
    return SNUG_OK;
}
