/* SPDX-License-Identifier: Apache-2.0 */
/* tensor/ref_scan.c - portable kernels of recurrent layers: causal convolution, softplus, selective
 * scan, gated delta rule.
 *
 * For:     cpu_ref; state-space and linear-attention layers (nn/scan.c, nn/delta.c).
 * Owns:    nothing.
 * Threads: convolution shares tokens; scan and delta share heads, each of which walks its tokens in
 *          order.
 * Truth:   the state that comes in with a head is the one its last token left, so a sequence in one
 *          piece and the same in steps give the same bits. */
#include "tensor/tensor_int.h"

#include <math.h>

/* ---- convolution ---- */

static void conv_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const tensor_op *op = arg;
    const tensor    *x = &op->in[0], *w = &op->in[1], *bias = &op->in[2], *o = &op->out;
    size_t           times = o->shape[1], taps = w->shape[1], n = w->shape[0];
    for (size_t i = from; i < to; i++) {
        const float *in = (const float *)cpu_data(x) + i / times * x->stride[0] +
                          i % times * x->stride[1]; /* taps rows, the last is this token's */
        float *out = (float *)cpu_data(o) + i / times * o->stride[0] + i % times * o->stride[1];
        for (size_t c = 0; c < n; c++) {
            float sum = 0.0f;
            for (size_t k = 0; k < taps; k++)
                sum += in[k * x->stride[1] + c] * cpu_load(w->dtype, cpu_data(w), c * taps + k);
            out[c] = tensor_present(bias) ? sum + cpu_load(bias->dtype, cpu_data(bias), c) : sum;
        }
    }
}

snug_status ref_conv(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    tensor_op copy = *op;
    snug_team_run(d->team, op->out.shape[0] * op->out.shape[1],
                  cpu_grain(2 * tensor_count(&op->in[1])), conv_part, &copy);
    return SNUG_OK;
}

/* ---- softplus ---- */

snug_status ref_softplus(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)d, (void)err;
    const tensor *bias = &op->in[1];
    const float  *x = cpu_data(&op->in[0]);
    float        *out = cpu_data(&op->out);
    size_t        n = tensor_count(&op->out), cols = tensor_cols(&op->out);
    for (size_t i = 0; i < n; i++) {
        float v =
            tensor_present(bias) ? x[i] + cpu_load(bias->dtype, cpu_data(bias), i % cols) : x[i];
        v = v > 20.0f ? v : log1pf(expf(v)); /* past 20 the sum is v in float32 */
        out[i] = v < op->u.clamp.low    ? op->u.clamp.low
                 : v > op->u.clamp.high ? op->u.clamp.high
                                        : v;
    }
    return SNUG_OK;
}

/* ---- selective scan ---- */

/* One head of one row through its tokens: s <- e^(dt * rate) s + dt * x B, y = s C. */
static void scan_head(const tensor_op *op, size_t b, size_t h, float *state)
{
    const tensor *x = &op->in[0], *dt = &op->in[1], *rate = &op->in[2], *in = &op->in[3],
                 *read = &op->in[4], *o = &op->out;
    size_t width = x->shape[3], n = in->shape[3], g = h / (x->shape[2] / in->shape[2]);
    bool   each = rate->shape[1] != 1; /* a rate per element of the state, else one per head */
    const float *a = (const float *)cpu_data(rate) + h * rate->shape[1];
    for (size_t t = 0; t < x->shape[1]; t++) {
        const float *xs =
            (const float *)cpu_data(x) + b * x->stride[0] + t * x->stride[1] + h * x->stride[2];
        const float *bs =
            (const float *)cpu_data(in) + b * in->stride[0] + t * in->stride[1] + g * in->stride[2];
        const float *cs = (const float *)cpu_data(read) + b * read->stride[0] +
                          t * read->stride[1] + g * read->stride[2];
        float *out = (float *)cpu_data(o) + b * o->stride[0] + t * o->stride[1] + h * o->stride[2];
        float  step = ((const float *)cpu_data(dt))[b * dt->stride[0] + t * dt->stride[1] + h];
        float  all = each ? 0.0f : expf(step * a[0]);
        for (size_t p = 0; p < width; p++) {
            float *s = state + p * n, gain = step * xs[p], sum = 0.0f;
            for (size_t k = 0; k < n; k++) s[k] *= each ? expf(step * a[k]) : all;
            for (size_t k = 0; k < n; k++) s[k] += gain * bs[k];
            for (size_t k = 0; k < n; k++) sum += s[k] * cs[k];
            out[p] = sum;
        }
    }
}

/* ---- gated delta rule ---- */

/* One value head: S <- e^g S, S <- S + k (beta (v - S'k))', y = S'q. The state is [K, V]. */
static void delta_head(const tensor_op *op, size_t b, size_t h, float *state)
{
    const tensor *q = &op->in[0], *k = &op->in[1], *v = &op->in[2], *g = &op->in[3],
                 *beta = &op->in[4], *o = &op->out;
    size_t K = q->shape[3], V = v->shape[3], key = h / (v->shape[2] / q->shape[2]);
    bool   each = g->rank == 4; /* a decay per row of the state, else one per head */
    for (size_t t = 0; t < q->shape[1]; t++) {
        const float *qs =
            (const float *)cpu_data(q) + b * q->stride[0] + t * q->stride[1] + key * q->stride[2];
        const float *ks =
            (const float *)cpu_data(k) + b * k->stride[0] + t * k->stride[1] + key * k->stride[2];
        const float *vs =
            (const float *)cpu_data(v) + b * v->stride[0] + t * v->stride[1] + h * v->stride[2];
        const float *gs =
            (const float *)cpu_data(g) + b * g->stride[0] + t * g->stride[1] + h * g->stride[2];
        float *out = (float *)cpu_data(o) + b * o->stride[0] + t * o->stride[1] + h * o->stride[2];
        float  write =
            ((const float *)cpu_data(beta))[b * beta->stride[0] + t * beta->stride[1] + h];
        float all = each ? 0.0f : expf(gs[0]);
        for (size_t j = 0; j < V; j++) out[j] = 0.0f;
        for (size_t i = 0; i < K; i++) { /* decay, and what the state holds for this key */
            float *s = state + i * V, keep = each ? expf(gs[i]) : all;
            for (size_t j = 0; j < V; j++) {
                s[j] *= keep;
                out[j] += s[j] * ks[i];
            }
        }
        for (size_t j = 0; j < V; j++) out[j] = (vs[j] - out[j]) * write; /* what is new */
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < V; j++) state[i * V + j] += ks[i] * out[j];
        for (size_t j = 0; j < V; j++) out[j] = 0.0f;
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < V; j++) out[j] += state[i * V + j] * qs[i];
    }
}

static void head_part(void *arg, size_t from, size_t to, unsigned worker)
{
    (void)worker;
    const tensor_op *op = arg;
    const tensor    *state = &op->in[5];
    size_t           heads = state->shape[1], each = state->shape[2] * state->shape[3];
    for (size_t i = from; i < to; i++) {
        float *s = (float *)cpu_data(state) + i * each;
        if (op->kind == TENSOR_OP_SCAN)
            scan_head(op, i / heads, i % heads, s);
        else
            delta_head(op, i / heads, i % heads, s);
    }
}

snug_status ref_scan(tensor_dev *d, const tensor_op *op, snug_err *err)
{
    (void)err;
    tensor_op     copy = *op;
    const tensor *state = &op->in[5];
    snug_team_run(d->team, state->shape[0] * state->shape[1],
                  cpu_grain(8 * op->in[0].shape[1] * state->shape[2] * state->shape[3]), head_part,
                  &copy);
    return SNUG_OK;
}
