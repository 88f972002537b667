/* SPDX-License-Identifier: Apache-2.0 */
/* nn/blocks.c - linear, norm, MLP and attention as calls on tensors.
 *
 * For:     model/arch/: each architecture is a sequence of these.
 * Owns:    nothing: weights are the model's, results the workspace's.
 * Threads: as the device of the context. */
#include "nn/nn.h"

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
    return n->kind == NN_RMS_NORM ? tensor_rms_norm(c->dev, x, &n->w, n->eps, out, err)
                                  : tensor_layer_norm(c->dev, x, &n->w, &n->b, n->eps, out, err);
}

snug_status nn_mlp_run(const nn_ctx *c, const nn_mlp *m, const tensor *x, tensor *out,
                       snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      gate, up;
    /* The result is taken first, so that the inner tensors can be given back. */
    SNUG_TRY(take_cols(c, x, m->down.w.shape[0], out, err));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(nn_linear_run(c, &m->up, x, &up, err)); /* [B, T, inner] */
    if (tensor_present(&m->gate.w)) {
        SNUG_TRY(nn_linear_run(c, &m->gate, x, &gate, err));
        SNUG_TRY(tensor_glu(c->dev, &gate, &up, m->act, &gate, err));
        SNUG_TRY(tensor_linear(c->dev, &gate, &m->down.w, &m->down.b, out, err));
    } else {
        SNUG_TRY(tensor_activate(c->dev, &up, m->act, &up, err));
        SNUG_TRY(tensor_linear(c->dev, &up, &m->down.w, &m->down.b, out, err));
    }
    tensor_space_release(c->space, mark);
done:
    return st;
}

/* x projected to [B, T, heads, width]. */
static snug_status heads_of(const nn_ctx *c, const nn_linear *l, const tensor *x, size_t heads,
                            tensor *out, snug_err *err)
{
    snug_status st = nn_linear_run(c, l, x, out, err);
    if (st != SNUG_OK) return st;
    *out = tensor_view(out, TENSOR_DIMS(x->shape[0], x->shape[1], heads, l->w.shape[0] / heads));
    return SNUG_OK;
}

snug_status nn_attention_run(const nn_ctx *c, const nn_attention *a, const tensor *x,
                             const nn_turn *turn, const tensor *mask, nn_kv *kv, size_t layer,
                             tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      q, k, v, mixed;
    SNUG_ASSERT(x->rank == 3);
    SNUG_TRY(take_cols(c, x, a->o.w.shape[0], out, err));
    tensor_mark mark = tensor_space_mark(c->space);
    SNUG_TRY(heads_of(c, &a->q, x, a->heads, &q, err));    /* [B, T, H, D] */
    SNUG_TRY(heads_of(c, &a->k, x, a->kv_heads, &k, err)); /* [B, T, G, D] */
    SNUG_TRY(heads_of(c, &a->v, x, a->kv_heads, &v, err));
    if (turn != NULL) {
        SNUG_TRY(tensor_rope(c->dev, &q, &turn->cos, &turn->sin, turn->interleaved, &q, err));
        SNUG_TRY(tensor_rope(c->dev, &k, &turn->cos, &turn->sin, turn->interleaved, &k, err));
    }
    tensor keys = k, values = v;
    if (kv != NULL)
        SNUG_TRY(nn_kv_append(kv, layer, &k, &v, &keys, &values, err)); /* [B, S+T, G, D] */
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32,
                               TENSOR_DIMS(x->shape[0], x->shape[1], a->heads, v.shape[3]), &mixed,
                               err));
    SNUG_TRY(tensor_attention(c->dev, &q, &keys, &values, mask, a->scale, a->causal, a->window,
                              &mixed, err));
    mixed = tensor_view(&mixed, TENSOR_DIMS(x->shape[0], x->shape[1], a->heads * v.shape[3]));
    SNUG_TRY(tensor_linear(c->dev, &mixed, &a->o.w, &a->o.b, out, err));
    tensor_space_release(c->space, mark);
done:
    return st;
}
