/* SPDX-License-Identifier: Apache-2.0 */
/* nn/blocks.c - linear, norm, MLP and attention as calls on tensors.
 *
 * For:     model/arch/: each architecture is a sequence of these.
 * Owns:    nothing: weights are the model's, results the workspace's.
 * Threads: as the device of the context. */
#include "nn/nn.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

snug_status nn_upload(const nn_ctx *c, const int32_t *data, unsigned rank, const size_t *shape,
                      tensor *out, snug_err *err)
{
    snug_status st = tensor_space_take(c->space, TENSOR_I32, rank, shape, out, err);
    return st != SNUG_OK ? st : tensor_put(out, data, tensor_size(out), err);
}

/* x with another last dimension. */
static snug_status take_cols(const nn_ctx *c, const tensor *x, size_t cols, tensor *out,
                             snug_err *err)
{
    size_t shape[TENSOR_RANK_MAX] = {0};
    memcpy(shape, x->shape, x->rank * sizeof shape[0]);
    shape[x->rank - 1] = cols;
    return tensor_space_take(c->space, TENSOR_F32, x->rank, shape, out, err);
}

snug_status nn_linear_run(const nn_ctx *c, const nn_linear *l, const tensor *x, tensor *out,
                          snug_err *err)
{
    SNUG_ASSERT(x->rank >= 1 && l->w.rank == 2);
    snug_status st = take_cols(c, x, l->w.shape[0], out, err);
    return st != SNUG_OK ? st : tensor_linear(c->dev, x, &l->w, &l->b, out, err);
}

snug_status nn_norm_run(const nn_ctx *c, const nn_norm *n, const tensor *x, const tensor *out,
                        snug_err *err)
{
    if (n->kind == NN_NO_NORM) return tensor_copy(c->dev, x, out, err);
    return n->kind == NN_RMS_NORM ? tensor_rms_norm(c->dev, x, &n->w, n->eps, out, err)
                                  : tensor_layer_norm(c->dev, x, &n->w, &n->b, n->eps, out, err);
}

snug_status nn_mlp_run(const nn_ctx *c, const nn_mlp *m, const tensor *x, tensor *out,
                       snug_err *err)
{
    return nn_mlp_run_add(c, m, x, NULL, out, err);
}

snug_status nn_mlp_run_add(const nn_ctx *c, const nn_mlp *m, const tensor *x, const tensor *add,
                           tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      gate, up;
    /* The result is taken first, so that the inner tensors can be given back. */
    SNUG_TRY(take_cols(c, x, m->down.w.shape[0], out, err));
    tensor_mark mark = tensor_space_mark(c->space);
    if (tensor_present(&m->gate.w)) {
        SNUG_TRY(nn_linear_run(c, &m->up, x, &up, err)); /* [B, T, inner] */
        SNUG_TRY(nn_linear_run(c, &m->gate, x, &gate, err));
        if (m->gate_scale != 0.0f)
            SNUG_TRY(tensor_scale(c->dev, &gate, m->gate_scale, 0.0f, &gate, err));
        if (m->limit != 0.0f) {
            SNUG_TRY(tensor_clamp(c->dev, &gate, -INFINITY, m->limit, &gate, err));
            SNUG_TRY(tensor_clamp(c->dev, &up, -m->limit, m->limit, &up, err));
            SNUG_TRY(tensor_scale(c->dev, &up, 1.0f, 1.0f, &up, err));
        }
        SNUG_TRY(tensor_glu(c->dev, &gate, &up, m->act, &gate, err));
    } else {
        SNUG_TRY(take_cols(c, x, m->up.w.shape[0], &gate, err));
        bool plain = !tensor_present(&m->xielu);
        SNUG_TRY(tensor_linear_with(c->dev, x, &m->up.w, &m->up.b, plain ? &m->act : NULL, NULL,
                                    &gate, err));
        if (!plain) SNUG_TRY(tensor_xielu(c->dev, &gate, &m->xielu, &gate, err));
    }
    SNUG_TRY(tensor_linear_with(c->dev, &gate, &m->down.w, &m->down.b, NULL, add, out, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}

snug_status nn_heads_run(const nn_ctx *c, const nn_linear *l, const tensor *x, size_t heads,
                         tensor *out, snug_err *err)
{
    snug_status st = nn_linear_run(c, l, x, out, err);
    if (st != SNUG_OK) return st;
    *out = tensor_view(out, TENSOR_DIMS(x->shape[0], x->shape[1], heads, l->w.shape[0] / heads));
    return SNUG_OK;
}

/* t [B, T, heads, D], in place. */
static snug_status norm_heads(const nn_ctx *c, const nn_attention *a, const nn_norm *n,
                              const tensor *t, snug_err *err)
{
    if (a->head_norm == NN_HEADS_JOINED) {
        tensor rows =
            tensor_view(t, TENSOR_DIMS(t->shape[0], t->shape[1], t->shape[2] * t->shape[3]));
        return nn_norm_run(c, n, &rows, &rows, err);
    }
    if (n->w.rank < 2) return nn_norm_run(c, n, t, t, err);
    nn_norm     bare = {.kind = n->kind, .eps = n->eps}; /* a weight per head: applied after */
    snug_status st = nn_norm_run(c, &bare, t, t, err);
    return st != SNUG_OK ? st : tensor_mul(c->dev, t, &n->w, t, err);
}

static snug_status norm_both(const nn_ctx *c, const nn_attention *a, const tensor *q,
                             const tensor *k, snug_err *err)
{
    if (a->head_norm == NN_HEADS_RAW) return SNUG_OK;
    snug_status st = norm_heads(c, a, &a->q_norm, q, err);
    return st != SNUG_OK ? st : norm_heads(c, a, &a->k_norm, k, err);
}

static snug_status turn_heads(const nn_ctx *c, const nn_turn *t, const tensor *x, snug_err *err)
{
    return t == NULL ? SNUG_OK : tensor_rope(c->dev, x, &t->cos, &t->sin, t->interleaved, x, err);
}

static snug_status clip(const nn_ctx *c, const nn_attention *a, const tensor *t, snug_err *err)
{
    return a->clip == 0.0f ? SNUG_OK : tensor_clamp(c->dev, t, -a->clip, a->clip, t, err);
}

/* Texts that lie behind each other, each by itself. */
static snug_status mix_texts(const nn_ctx *c, const tensor_op *op, const nn_step *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0, from = 0; i < s->texts && st == SNUG_OK; from += s->lengths[i++]) {
        tensor_op part = *op;
        part.out = tensor_slice(&op->out, 1, from, s->lengths[i]);
        for (size_t k = 0; k < 3; k++)
            part.in[k] = tensor_slice(&op->in[k], 1, from, s->lengths[i]);
        st = tensor_run(c->dev, &part, err);
    }
    return st;
}

snug_status nn_attention_mix(const nn_ctx *c, const nn_attention *a, const tensor *q,
                             const tensor *k, const tensor *v, const nn_step *s, tensor *out,
                             snug_err *err)
{
    size_t      B = q->shape[0], T = q->shape[1], H = q->shape[2], D = v->shape[3];
    snug_status st = tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, H, D), out, err);
    if (st != SNUG_OK) return st;
    tensor_op op = {.kind = TENSOR_OP_ATTENTION,
                    .out = *out,
                    .in = {*q, *k, *v},
                    .u.attention = {.scale = a->scale,
                                    .causal = a->causal,
                                    .window = a->window,
                                    .ahead = a->ahead,
                                    .chunk = a->chunk,
                                    .cap = a->cap}};
    if (s->mask != NULL) op.in[3] = *s->mask;
    if (s->bias != NULL) op.in[4] = *s->bias;
    op.in[5] = a->sinks;
    *out = tensor_view(out, TENSOR_DIMS(B, T, H * D));
    return s->lengths != NULL ? mix_texts(c, &op, s, err) : tensor_run(c->dev, &op, err);
}

snug_status nn_attention_run(const nn_ctx *c, const nn_attention *a, const tensor *x,
                             const nn_step *s, tensor *out, snug_err *err)
{
    snug_status    st = SNUG_OK;
    tensor         q, k, v, mixed;
    const nn_turn *q_turn = s->q_turn != NULL ? s->q_turn : s->turn;
    SNUG_ASSERT(x->rank == 3);
    SNUG_TRY(take_cols(c, x, a->o.w.shape[0], out, err));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(nn_heads_run(c, &a->q, x, a->heads, &q, err));    /* [B, T, H, D] */
    SNUG_TRY(nn_heads_run(c, &a->k, x, a->kv_heads, &k, err)); /* [B, T, G, D] */
    SNUG_TRY(nn_heads_run(c, &a->v, x, a->kv_heads, &v, err));
    if (a->clip_after_norm) SNUG_TRY(norm_both(c, a, &q, &k, err));
    SNUG_TRY(clip(c, a, &q, err));
    SNUG_TRY(clip(c, a, &k, err));
    SNUG_TRY(clip(c, a, &v, err));
    if (!a->norm_after_turn && !a->clip_after_norm) SNUG_TRY(norm_both(c, a, &q, &k, err));
    SNUG_TRY(turn_heads(c, q_turn, &q, err));
    SNUG_TRY(turn_heads(c, s->turn, &k, err));
    if (a->norm_after_turn) SNUG_TRY(norm_both(c, a, &q, &k, err));
    tensor keys = k, values = v;
    if (s->kv != NULL)
        SNUG_TRY(nn_kv_append(s->kv, s->layer, &k, &v, &keys, &values, err)); /* [B, S+T, G, D] */
    SNUG_TRY(nn_attention_mix(c, a, &q, &keys, &values, s, &mixed, err));
    SNUG_TRY(tensor_linear_with(c->dev, &mixed, &a->o.w, &a->o.b, NULL, s->add, out, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}
