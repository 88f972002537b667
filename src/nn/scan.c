/* SPDX-License-Identifier: Apache-2.0 */
/* nn/scan.c - selective state spaces: Mamba (Gu and Dao 2023) and Mamba 2 (Dao and Gu 2024).
 *
 * Teacher. A channel x with a step dt, a rate A < 0 and vectors B, C chosen by the token:
 *   s <- e^(dt A) s + dt x B,  y = s C + D x
 * Mamba has a rate per channel and element, dt from a narrow projection per channel; Mamba 2 a rate
 * and a step per head, and B, C shared by groups of heads.
 *
 * For:     nn_mixer_run.
 * Owns:    nothing.
 * Threads: as the device of the context. */
#include "nn/nn_int.h"

#include <math.h>

#include "base/err.h"

/* y [B, T, I] += D x, then y = silu(z) y with norms around it. */
static snug_status skip(const nn_ctx *c, const nn_mixer *m, const tensor *x, const tensor *y,
                        snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      through;
    SNUG_TRY(nn_dense(c, x, &through, err));
    SNUG_TRY(tensor_mul(c->dev, &through, &m->skip, &through, err)); /* [B, T, I] * [I] */
    SNUG_TRY(tensor_add(c->dev, y, &through, y, err));
done:
    return st;
}

snug_status nn_run_mamba(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                         const tensor *before, const tensor *state, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      B = h->shape[0], T = h->shape[1], I = m->heads, N = m->n, R = m->rank;
    tensor      wide, x, chosen, dt, y;
    SNUG_TRY(nn_linear_run(c, &m->in, h, &wide, err)); /* [B, T, 2I]: x, z */
    tensor x_in = tensor_slice(&wide, 2, 0, I), z = tensor_slice(&wide, 2, I, I);
    SNUG_TRY(nn_conv_run(c, &m->conv, &x_in, before, &x, err)); /* [B, T, I] */
    SNUG_TRY(tensor_activate(c->dev, &x, m->act, &x, err));
    SNUG_TRY(nn_hide(c, step->seen, &x, err));
    SNUG_TRY(nn_linear_run(c, &m->choose, &x, &chosen, err)); /* [B, T, R + 2N] */
    tensor narrow = tensor_slice(&chosen, 2, 0, R), b = tensor_slice(&chosen, 2, R, N),
           read = tensor_slice(&chosen, 2, R + N, N);
    if (m->dt_norm.kind != NN_NO_NORM) {
        SNUG_TRY(nn_norm_run(c, &m->dt_norm, &narrow, &narrow, err));
        SNUG_TRY(nn_norm_run(c, &m->b_norm, &b, &b, err));
        SNUG_TRY(nn_norm_run(c, &m->c_norm, &read, &read, err));
    }
    SNUG_TRY(nn_linear_run(c, &m->steps, &narrow, &dt, err)); /* [B, T, I] */
    SNUG_TRY(tensor_softplus(c->dev, &dt, &m->dt_bias, m->dt_low, m->dt_high, &dt, err));
    SNUG_TRY(nn_hide(c, step->seen, &dt, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, I), &y, err));
    tensor in[6] = {nn_split_heads(&x, I),    dt,    m->rate, nn_split_heads(&b, 1),
                    nn_split_heads(&read, 1), *state}; /* heads of one channel, one group */
    tensor heads = nn_split_heads(&y, I);
    SNUG_TRY(tensor_scan(c->dev, in, &heads, err));
    SNUG_TRY(skip(c, m, &x, &y, err));
    SNUG_TRY(tensor_glu(c->dev, &z, &y, m->act, &y, err)); /* act(z) * y */
    SNUG_TRY(tensor_linear(c->dev, &y, &m->out.w, &m->out.b, out, err));
done:
    return st;
}

/* y [B, T, I] normed in groups of channels. */
static snug_status norm_groups(const nn_ctx *c, const nn_mixer *m, const tensor *y, snug_err *err)
{
    if (m->norm_groups <= 1) return nn_norm_run(c, &m->norm, y, y, err);
    nn_norm     bare = {.kind = m->norm.kind, .eps = m->norm.eps};
    tensor      groups = nn_split_heads(y, m->norm_groups);
    snug_status st = nn_norm_run(c, &bare, &groups, &groups, err);
    return st != SNUG_OK ? st : tensor_mul(c->dev, y, &m->norm.w, y, err);
}

/* The gate and the norm, in the order the family has. */
static snug_status gate_and_norm(const nn_ctx *c, const nn_mixer *m, const tensor *z,
                                 const tensor *y, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        norms = m->norm.kind != NN_NO_NORM;
    if (norms && m->norm_first) SNUG_TRY(norm_groups(c, m, y, err));
    SNUG_TRY(tensor_glu(c->dev, z, y, m->act, y, err)); /* act(z) * y */
    if (norms && !m->norm_first) SNUG_TRY(norm_groups(c, m, y, err));
done:
    return st;
}

snug_status nn_run_mamba2(const nn_ctx *c, const nn_mixer *m, const tensor *h, const nn_step *step,
                          const tensor *before, const tensor *state, tensor *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t B = h->shape[0], T = h->shape[1], H = m->heads, I = H * m->width, GN = m->groups * m->n;
    tensor wide, mixed, dt, y;
    SNUG_TRY(nn_linear_run(c, &m->in, h, &wide, err)); /* [B, T, I + (I + 2GN) + H] */
    if (tensor_present(&m->in_scale)) SNUG_TRY(tensor_mul(c->dev, &wide, &m->in_scale, &wide, err));
    tensor z = tensor_slice(&wide, 2, 0, I), x_in = tensor_slice(&wide, 2, I, I + 2 * GN),
           dt_in = tensor_slice(&wide, 2, 2 * I + 2 * GN, H);
    SNUG_TRY(nn_conv_run(c, &m->conv, &x_in, before, &mixed, err)); /* [B, T, I + 2GN] */
    SNUG_TRY(tensor_activate(c->dev, &mixed, m->act, &mixed, err));
    SNUG_TRY(nn_hide(c, step->seen, &mixed, err));
    SNUG_TRY(nn_dense(c, &dt_in, &dt, err)); /* [B, T, H] */
    /* The reference keeps steps within bounds when it reads, not when it goes on by one token. */
    bool  bound = T > 1 || step->kv == NULL || nn_kv_count(step->kv) == 0;
    float low = bound ? m->dt_low : 0.0f, high = bound ? m->dt_high : INFINITY;
    SNUG_TRY(tensor_softplus(c->dev, &dt, &m->dt_bias, low, high, &dt, err));
    SNUG_TRY(nn_hide(c, step->seen, &dt, err));
    SNUG_TRY(tensor_space_take(c->space, TENSOR_F32, TENSOR_DIMS(B, T, I), &y, err));
    tensor x = tensor_slice(&mixed, 2, 0, I), b = tensor_slice(&mixed, 2, I, GN),
           read = tensor_slice(&mixed, 2, I + GN, GN);
    tensor in[6] = {nn_split_heads(&x, H),
                    dt,
                    m->rate,
                    nn_split_heads(&b, m->groups),
                    nn_split_heads(&read, m->groups),
                    *state};
    tensor heads = nn_split_heads(&y, H); /* [B, T, H, P] */
    SNUG_TRY(tensor_scan(c->dev, in, &heads, err));
    SNUG_TRY(skip(c, m, &x, &y, err));
    SNUG_TRY(gate_and_norm(c, m, &z, &y, err));
    SNUG_TRY(tensor_linear(c->dev, &y, &m->out.w, &m->out.b, out, err));
done:
    return st;
}
