/* SPDX-License-Identifier: Apache-2.0 */
/* nn/delta.c - linear attention by the gated delta rule (Yang et al. 2024): Qwen3-Next, Qwen 3.5.
 *
 * Teacher. The state S maps keys to values. A token first lets it fade, then corrects what it says
 * for its key by a share beta of the difference, then reads it:
 *   S <- e^g S,  S <- S + k (beta (v - S'k))',  y = S'q
 * with q, k of length one, g = -e^A softplus(a + bias).
 *
 * For:     nn_mixer_run.
 * Owns:    nothing.
 * Threads: as the device of the context. */
#include "nn/nn_int.h"

#include <math.h>

#include "base/err.h"

static const float LENGTH_EPS = 1e-6f; /* of the squared length */

/* Queries, keys and values side by side, the gate z, and the rows a and b of one step. */
typedef struct projected {
    tensor mixed, z, a, b; /* [B, T, 2GK + HV], [B, T, HV], [B, T, H], [B, T, H] */
} projected;

/* Columns [from, from + n) of each group of x [B, T, G, ..], put behind each other at `at` of out.
 */
static snug_status gather_groups(const nn_ctx *c, const tensor *x, size_t from, size_t n,
                                 const tensor *out, size_t at, snug_err *err)
{
    tensor part = tensor_slice(x, 3, from, n), to = tensor_slice(out, 2, at, x->shape[2] * n);
    to = nn_split_heads(&to, x->shape[2]);
    return tensor_copy(c->dev, &part, &to, err);
}

/* Qwen3-Next's rows come by key head: [q, k, values, gates] and [b, a]. */
static snug_status project_packed(const nn_ctx *c, const nn_mixer *m, const tensor *h, projected *p,
                                  snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      B = h->shape[0], T = h->shape[1], G = m->groups, K = m->n, H = m->heads,
           each = H / G * m->width;
    tensor wide, ba;
    SNUG_TRY(nn_linear_run(c, &m->in, h, &wide, err)); /* [B, T, G * (2K + 2 each)] */
    wide = nn_split_heads(&wide, G);
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, G * (2 * K + each)),
                               &p->mixed, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, G * each), &p->z, err));
    SNUG_TRY(gather_groups(c, &wide, 0, K, &p->mixed, 0, err));
    SNUG_TRY(gather_groups(c, &wide, K, K, &p->mixed, G * K, err));
    SNUG_TRY(gather_groups(c, &wide, 2 * K, each, &p->mixed, 2 * G * K, err));
    SNUG_TRY(gather_groups(c, &wide, 2 * K + each, each, &p->z, 0, err));
    SNUG_TRY(nn_linear_run(c, &m->ba, h, &ba, err)); /* [B, T, G * 2H/G] */
    ba = nn_split_heads(&ba, G);
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, H), &p->b, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, H), &p->a, err));
    SNUG_TRY(gather_groups(c, &ba, 0, H / G, &p->b, 0, err));
    SNUG_TRY(gather_groups(c, &ba, H / G, H / G, &p->a, 0, err));
done:
    return st;
}

static snug_status project(const nn_ctx *c, const nn_mixer *m, const tensor *h, projected *p,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    if (tensor_present(&m->ba.w)) return project_packed(c, m, h, p, err);
    SNUG_TRY(nn_linear_run(c, &m->in, h, &p->mixed, err));
    SNUG_TRY(nn_linear_run(c, &m->gate, h, &p->z, err));
    SNUG_TRY(nn_linear_run(c, &m->choose, h, &p->b, err));
    SNUG_TRY(nn_linear_run(c, &m->steps, h, &p->a, err));
done:
    return st;
}

/* Columns of x as heads of length `length`: [B, T, G, K]. */
static snug_status unit_heads(const nn_ctx *c, const tensor *x, size_t heads, float length,
                              tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      split = nn_split_heads(x, heads);
    float       width = (float)split.shape[3];
    SNUG_TRY(nn_dense(c, &split, out, err));
    SNUG_TRY(tensor_rms_norm(c->dev, out, NULL, LENGTH_EPS / width, out, err));
    SNUG_TRY(tensor_scale(c->dev, out, length / sqrtf(width), 0.0f, out, err));
done:
    return st;
}

snug_status nn_run_delta(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                         const tensor *before, const tensor *state, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t    B = h->shape[0], T = h->shape[1], G = m->groups, H = m->heads, K = m->n, V = m->width;
    projected p;
    tensor    mixed, q, k, y;
    SNUG_TRY(project(c, m, h, &p, err));
    SNUG_TRY(nn_conv_run(c, &m->conv, &p.mixed, before, &mixed, err)); /* [B, T, 2GK + HV] */
    SNUG_TRY(tensor_activate(c->dev, &mixed, m->act, &mixed, err));
    tensor q_in = tensor_slice(&mixed, 2, 0, G * K), k_in = tensor_slice(&mixed, 2, G * K, G * K),
           v = tensor_slice(&mixed, 2, 2 * G * K, H * V);
    SNUG_TRY(unit_heads(c, &q_in, G, 1.0f / sqrtf((float)K), &q, err)); /* [B, T, G, K] */
    SNUG_TRY(unit_heads(c, &k_in, G, 1.0f, &k, err));
    SNUG_TRY(tensor_softplus(c->dev, &p.a, &m->dt_bias, 0.0f, INFINITY, &p.a, err));
    SNUG_TRY(tensor_mul(c->dev, &p.a, &m->rate, &p.a, err)); /* [B, T, H] * [H] */
    SNUG_TRY(tensor_activate(c->dev, &p.b, TENSOR_ACT_SIGMOID, &p.b, err));
    SNUG_TRY(nn_hide(c, step->seen, &p.a, err));
    SNUG_TRY(nn_hide(c, step->seen, &p.b, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, H, V), &y, err));
    tensor in[6] = {q, k, nn_split_heads(&v, H), p.a, p.b, *state};
    SNUG_TRY(tensor_delta(c->dev, in, &y, err));
    SNUG_TRY(nn_norm_run(c, &m->norm, &y, &y, err)); /* each head by itself */
    y = tensor_view(&y, TENSOR_DIMS(B, T, H * V));
    SNUG_TRY(tensor_glu(c->dev, &p.z, &y, m->act, &y, err)); /* act(z) * y */
    SNUG_TRY(tensor_linear(c->dev, &y, &m->out.w, &m->out.b, out, err));
done:
    return st;
}
