/* SPDX-License-Identifier: Apache-2.0 */
/* nn/mixer.c - layers that carry a state in place of keys and values: dispatch, and the parts they
 * share. The gated short convolution of LFM2 is here, Mamba in scan.c, linear attention in delta.c.
 *
 * For:     model/, in place of or beside attention.
 * Owns:    nothing: weights are the model's, states the cache's, results the workspace's.
 * Threads: as the device of the context.
 * Truth:   a text in one piece, in pieces, and token by token give the same (but for the bounds of
 *          steps in scan.c). Tokens a mask hides leave the state as it was. */
#include "nn/nn_int.h"

#include "base/err.h"

tensor nn_split_heads(const tensor *x, size_t heads)
{
    tensor   t = *x;
    unsigned last = x->rank - 1;
    SNUG_ASSERT(heads > 0 && x->shape[last] % heads == 0 && x->rank < TENSOR_RANK_MAX);
    size_t width = x->shape[last] / heads;
    t.rank++;
    t.shape[last] = heads, t.stride[last] = width * x->stride[last];
    t.shape[last + 1] = width, t.stride[last + 1] = x->stride[last];
    return t;
}

snug_status nn_dense(const nn_ctx *c, const tensor *x, tensor *out, snug_err *err)
{
    snug_status st = tensor_space_take(c->space, TENSOR_F32, x->rank, x->shape, out, err);
    return st != SNUG_OK ? st : tensor_copy(c->dev, x, out, err);
}

snug_status nn_hide(const nn_ctx *c, const nn_seen *seen, const tensor *x, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      was;
    if (seen == NULL || !tensor_present(&seen->weights)) return SNUG_OK;
    size_t      rows = x->shape[0] * x->shape[1];
    tensor      flat = tensor_view(x, TENSOR_DIMS(rows, tensor_count(x) / rows));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(nn_dense(c, &flat, &was, err));
    SNUG_TRY(tensor_scale(c->dev, &flat, 0.0f, 0.0f, &flat, err));
    SNUG_TRY(tensor_scatter(c->dev, &was, &seen->rows, &seen->weights, &flat, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

snug_status nn_conv_run(const nn_ctx *c, const nn_conv *conv, const tensor *x, const tensor *before,
                        tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      B = x->shape[0], T = x->shape[1], C = conv->w.shape[0], past = conv->w.shape[1] - 1;
    tensor      wide;
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, C), out, err));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, past + T, C), &wide, err));
    tensor head = tensor_slice(&wide, 1, 0, past), rest = tensor_slice(&wide, 1, past, T),
           tail = tensor_slice(&wide, 1, T, past);
    if (past > 0) SNUG_TRY(tensor_copy(c->dev, before, &head, err));
    SNUG_TRY(tensor_copy(c->dev, x, &rest, err));
    SNUG_TRY(tensor_conv(c->dev, &wide, &conv->w, &conv->b, out, err));
    if (past > 0) SNUG_TRY(tensor_copy(c->dev, &tail, before, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

/* LFM2: [b, c, x] = in(h), out(c * conv(b * x)). */
static snug_status run_short_conv(const nn_ctx *c, const nn_mixer *m, const tensor *h,
                                  const nn_step *step, const tensor *before, const tensor *state,
                                  tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      E = m->conv.w.shape[0];
    tensor      wide, b, x, read, y;
    (void)step, (void)state;
    SNUG_TRY(nn_linear_run(c, &m->in, h, &wide, err)); /* [B, T, 3E] */
    tensor part[3] = {tensor_slice(&wide, 2, 0, E), tensor_slice(&wide, 2, E, E),
                      tensor_slice(&wide, 2, 2 * E, E)};
    SNUG_TRY(nn_dense(c, &part[0], &b, err));
    SNUG_TRY(nn_dense(c, &part[1], &read, err));
    SNUG_TRY(nn_dense(c, &part[2], &x, err));
    SNUG_TRY(tensor_mul(c->dev, &b, &x, &x, err));
    SNUG_TRY(nn_conv_run(c, &m->conv, &x, before, &y, err)); /* [B, T, E] */
    SNUG_TRY(tensor_mul(c->dev, &read, &y, &y, err));
    SNUG_TRY(tensor_linear(c->dev, &y, &m->out.w, &m->out.b, out, err));
done:
    return st;
}

nn_keep nn_mixer_keeps(const nn_mixer *m)
{
    nn_keep k = {.taps = m->conv.w.shape[1], .channels = m->conv.w.shape[0]};
    if (m->kind == NN_MIX_CONV) return k;
    k.state_heads = m->heads;
    k.state_rows = m->kind == NN_MIX_DELTA ? m->n : m->width;
    k.state_cols = m->kind == NN_MIX_DELTA ? m->width : m->n;
    return k;
}

/* Without a cache a step begins from nothing and leaves nothing. */
static snug_status begin(const nn_ctx *c, const nn_mixer *m, const nn_step *s, size_t batch,
                         size_t times, tensor *before, tensor *state, snug_err *err)
{
    snug_status st = SNUG_OK;
    nn_keep     k = nn_mixer_keeps(m);
    if (s->kv != NULL) return nn_kv_state(s->kv, s->layer, times, before, state, err);
    *before = *state = TENSOR_NONE;
    if (k.taps > 1) {
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(batch, k.taps - 1, k.channels),
                                   before, err));
        SNUG_TRY(tensor_scale(c->dev, before, 0.0f, 0.0f, before, err));
    }
    if (k.state_heads > 0) {
        SNUG_TRY(tensor_space_take(c->space, TENSOR_F32,
                                   TENSOR_DIMS(batch, k.state_heads, k.state_rows, k.state_cols),
                                   state, err));
        SNUG_TRY(tensor_scale(c->dev, state, 0.0f, 0.0f, state, err));
    }
done:
    return st;
}

snug_status nn_mixer_run(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                         tensor *out, snug_err *err)
{
    static snug_status (*const run[])(const nn_ctx *, const nn_mixer *, const tensor *,
                                      const nn_step *, const tensor *, const tensor *, tensor *,
                                      snug_err *) = {
        [NN_MIX_CONV] = run_short_conv,
        [NN_MIX_MAMBA] = nn_run_mamba,
        [NN_MIX_MAMBA2] = nn_run_mamba2,
        [NN_MIX_DELTA] = nn_run_delta,
    };
    snug_status st = SNUG_OK;
    tensor      before, state, x = *h;
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32,
                               TENSOR_DIMS(h->shape[0], h->shape[1], m->out.w.shape[0]), out, err));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(begin(c, m, step, h->shape[0], h->shape[1], &before, &state, err));
    if (step->seen != NULL && tensor_present(&step->seen->weights)) { /* h is the caller's */
        SNUG_TRY(nn_dense(c, h, &x, err));
        SNUG_TRY(nn_hide(c, step->seen, &x, err));
    }
    SNUG_TRY(run[m->kind](c, m, &x, step, &before, &state, out, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}
