/* SPDX-License-Identifier: Apache-2.0 */
/* model/experts.c - binding mixtures of experts: one file per expert's matrices, or all experts as
 * one tensor, in either order of dimensions.
 *
 * For:     decoder.c, by the plan's names.
 * Owns:    nothing; the mixture lives in the model's arena.
 * Threads: as the model load. */
#include "model/decoder_int.h"

#include <stdlib.h>

/* "<block>.<part>" */
static const char *path_of(char out[160], const char *block, const char *part)
{
    (void)snprintf(out, 160, "%s.%s", block, part);
    return out;
}

/* Expert i of a tensor [experts, ..], one dimension less. */
static tensor part_of(const tensor *all, size_t i)
{
    tensor t = tensor_slice(all, 0, i, 1);
    t.rank--;
    for (unsigned k = 0; k < t.rank; k++) {
        t.shape[k] = all->shape[k + 1];
        t.stride[k] = all->stride[k + 1];
    }
    return t;
}

/* Gate and up side by side or in turns: rows [2 * inner, ..] seen as one of them. */
static tensor half_of(const tensor *t, size_t inner, bool second, bool interleaved)
{
    if (!interleaved) return tensor_slice(t, 0, second ? inner : 0, inner);
    tensor half = tensor_slice(t, 0, second ? 1 : 0, 1);
    half.shape[0] = inner;
    half.stride[0] = 2 * t->stride[0];
    return half;
}

/* Stacked tensors: [experts, 2 * inner, E] and [experts, E, inner], or the same turned over. */
static snug_status bind_stacked(const binder *b, const char *block, const model_decoder *d,
                                size_t e, nn_moe *m)
{
    snug_status st = SNUG_OK;
    char        name[160];
    tensor      fused, down, fused_bias = TENSOR_NONE, down_bias = TENSOR_NONE;
    size_t      n = d->experts, inner = d->expert_inner;
    bool        turned = d->stacked_in_out;
    SNUG_TRY(bind_tensor(b, &fused, 3,
                         (const size_t[]){n, turned ? e : 2 * inner, turned ? 2 * inner : e},
                         path_of(name, block, d->expert_gate)));
    SNUG_TRY(bind_tensor(b, &down, 3, (const size_t[]){n, turned ? inner : e, turned ? e : inner},
                         path_of(name, block, d->expert_down)));
    if (d->expert_bias) {
        char bias[168];
        (void)snprintf(bias, sizeof bias, "%s_bias", path_of(name, block, d->expert_gate));
        SNUG_TRY(bind_tensor(b, &fused_bias, TENSOR_DIMS(n, 2 * inner), bias));
        (void)snprintf(bias, sizeof bias, "%s_bias", path_of(name, block, d->expert_down));
        SNUG_TRY(bind_tensor(b, &down_bias, TENSOR_DIMS(n, e), bias));
    }
    for (size_t i = 0; i < n; i++) {
        tensor  rows = part_of(&fused, i), back = part_of(&down, i), bias;
        nn_mlp *x = &m->experts[i];
        if (turned) {
            rows = tensor_swap(&rows, 0, 1);
            back = tensor_swap(&back, 0, 1);
        }
        tensor gate = half_of(&rows, inner, false, d->interleaved),
               up = half_of(&rows, inner, true, d->interleaved);
        x->gate.w = gate, x->up.w = up, x->down.w = back;
        if (turned || d->interleaved) { /* operations read rows that lie in one piece */
            SNUG_TRY(bind_copy(b, &gate, fused.dtype, &x->gate.w));
            SNUG_TRY(bind_copy(b, &up, fused.dtype, &x->up.w));
            SNUG_TRY(bind_copy(b, &back, down.dtype, &x->down.w));
        }
        if (!d->expert_bias) continue;
        bias = part_of(&fused_bias, i);
        gate = half_of(&bias, inner, false, d->interleaved);
        up = half_of(&bias, inner, true, d->interleaved);
        SNUG_TRY(bind_copy(b, &gate, fused_bias.dtype, &x->gate.b));
        SNUG_TRY(bind_copy(b, &up, fused_bias.dtype, &x->up.b));
        x->down.b = part_of(&down_bias, i);
    }
done:
    return st;
}

static snug_status bind_each(const binder *b, const char *block, const model_decoder *d, size_t e,
                             nn_moe *m)
{
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < d->experts; i++) {
        char    part[96], name[160];
        nn_mlp *x = &m->experts[i];
        (void)snprintf(part, sizeof part, "%s.%zu.%s", d->list, i, d->expert_gate);
        SNUG_TRY(bind_linear(b, &x->gate, e, d->expert_inner, d->expert_bias,
                             path_of(name, block, part)));
        (void)snprintf(part, sizeof part, "%s.%zu.%s", d->list, i, d->expert_up);
        SNUG_TRY(
            bind_linear(b, &x->up, e, d->expert_inner, d->expert_bias, path_of(name, block, part)));
        (void)snprintf(part, sizeof part, "%s.%zu.%s", d->list, i, d->expert_down);
        SNUG_TRY(bind_linear(b, &x->down, d->expert_inner, e, d->expert_bias,
                             path_of(name, block, part)));
    }
done:
    return st;
}

static snug_status bind_shared(const binder *b, const char *block, const model_shape *s, nn_moe *m)
{
    snug_status          st = SNUG_OK;
    const model_decoder *d = &s->decoder;
    char                 part[96], name[160];
    if (d->shared == NULL || d->shared_inner == 0) return SNUG_OK;
    m->shared.act = s->act;
    (void)snprintf(part, sizeof part, "%s.gate_proj", d->shared);
    SNUG_TRY(bind_linear(b, &m->shared.gate, s->hidden, d->shared_inner, false,
                         path_of(name, block, part)));
    (void)snprintf(part, sizeof part, "%s.up_proj", d->shared);
    SNUG_TRY(bind_linear(b, &m->shared.up, s->hidden, d->shared_inner, false,
                         path_of(name, block, part)));
    (void)snprintf(part, sizeof part, "%s.down_proj", d->shared);
    SNUG_TRY(bind_linear(b, &m->shared.down, d->shared_inner, s->hidden, false,
                         path_of(name, block, part)));
    if (d->shared_gate != NULL)
        SNUG_TRY(bind_linear(b, &m->shared_gate, s->hidden, 1, false,
                             path_of(name, block, d->shared_gate)));
done:
    return st;
}

snug_status bind_experts(const binder *b, const char *block, nn_moe **out)
{
    snug_status          st = SNUG_OK;
    const model_shape   *s = &b->m->shape;
    const model_decoder *d = &s->decoder;
    nn_moe              *m = SNUG_NEW(b->m->arena, nn_moe);
    char                 name[160];
    *m = (nn_moe){.count = d->experts,
                  .used = d->experts_used,
                  .groups = d->groups,
                  .groups_used = d->groups_used,
                  .route = d->route,
                  .normalise = d->normalise,
                  .scale = d->route_scale == 0.0f ? 1.0f : d->route_scale,
                  .jitter = d->jitter};
    m->experts = snug_arena_array_try(b->m->arena, d->experts, sizeof *m->experts);
    if (m->experts == NULL) SNUG_FAIL(b->err, SNUG_ENOMEM, "no memory for %zu experts", d->experts);
    for (size_t i = 0; i < d->experts; i++) {
        m->experts[i].act = d->limit != 0.0f ? TENSOR_ACT_QUICK_GELU : s->act;
        m->experts[i].limit = d->limit;
    }
    SNUG_TRY(bind_linear(b, &m->router, s->hidden, d->experts, d->router_bias,
                         path_of(name, block, d->router)));
    if (d->choice != NULL)
        SNUG_TRY(
            bind_tensor(b, &m->choice, TENSOR_DIMS(d->experts), path_of(name, block, d->choice)));
    SNUG_TRY((d->stacked ? bind_stacked : bind_each)(b, block, d, s->hidden, m));
    SNUG_TRY(bind_shared(b, block, s, m));
    *out = m;
done:
    return st;
}
