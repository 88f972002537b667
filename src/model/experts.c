/* SPDX-License-Identifier: Apache-2.0 */
/* model/experts.c - binding mixtures of experts: one file per expert's matrices, or all experts as
 * one tensor, in either order of dimensions.
 *
 * For:     decoder.c, by the plan's names.
 * Owns:    nothing; the mixture lives in the model's arena.
 * Threads: as the model load. */
#include "model/decoder_int.h"
#include "model/weights_int.h"

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

static snug_status bind_stacked_biases(const binder *b, const char *block, const model_decoder *d,
                                       size_t e, nn_moe *m)
{
    snug_status st = SNUG_OK;
    size_t      n = d->experts, inner = d->expert_inner;
    tensor      fused, down;
    char        name[160], bias[168];
    if (!d->expert_bias) return SNUG_OK;
    (void)snprintf(bias, sizeof bias, "%s_bias", path_of(name, block, d->expert_gate));
    SNUG_TRY(bind_tensor(b, &fused, TENSOR_DIMS(n, 2 * inner), bias));
    (void)snprintf(bias, sizeof bias, "%s_bias", path_of(name, block, d->expert_down));
    SNUG_TRY(bind_tensor(b, &down, TENSOR_DIMS(n, e), bias));
    for (size_t i = 0; i < n; i++) {
        nn_mlp *x = &m->experts[i];
        tensor  both = part_of(&fused, i), gate = half_of(&both, inner, false, d->interleaved),
               up = half_of(&both, inner, true, d->interleaved);
        SNUG_TRY(bind_copy(b, &gate, fused.dtype, &x->gate.b));
        SNUG_TRY(bind_copy(b, &up, fused.dtype, &x->up.b));
        x->down.b = part_of(&down, i);
    }
done:
    return st;
}

/* Stacked tensors: [experts, 2 * inner, E] and [experts, E, inner], or the same turned over. */
static snug_status bind_stacked(const binder *b, const char *block, const model_decoder *d,
                                size_t e, nn_moe *m)
{
    snug_status st = SNUG_OK;
    char        name[160];
    tensor      fused, down;
    size_t      n = d->experts, inner = d->expert_inner;
    bool        turned = d->stacked_in_out;
    SNUG_TRY(bind_tensor(b, &fused, 3,
                         (const size_t[]){n, turned ? e : 2 * inner, turned ? 2 * inner : e},
                         path_of(name, block, d->expert_gate)));
    SNUG_TRY(bind_tensor(b, &down, 3, (const size_t[]){n, turned ? inner : e, turned ? e : inner},
                         path_of(name, block, d->expert_down)));
    for (size_t i = 0; i < n; i++) {
        tensor  rows = part_of(&fused, i), back = part_of(&down, i);
        nn_mlp *x = &m->experts[i];
        if (turned) {
            rows = tensor_swap(&rows, 0, 1);
            back = tensor_swap(&back, 0, 1);
        }
        tensor gate = half_of(&rows, inner, false, d->interleaved),
               up = half_of(&rows, inner, true, d->interleaved);
        x->gate.w = gate, x->up.w = up, x->down.w = back;
        if (!turned && !d->interleaved) continue; /* operations read rows that lie in one piece */
        SNUG_TRY(bind_copy(b, &gate, fused.dtype, &x->gate.w));
        SNUG_TRY(bind_copy(b, &up, fused.dtype, &x->up.w));
        SNUG_TRY(bind_copy(b, &back, down.dtype, &x->down.w));
    }
    SNUG_TRY(bind_stacked_biases(b, block, d, e, m));
done:
    return st;
}

/* ---- blocks of 4-bit floats beside their exponents, as gpt-oss stores experts ---- */

enum { FOUR_BITS = 32, FOUR_BITS_BYTES = 17 };

typedef struct four_bits {
    const weight *blocks,
        *scales; /* [experts, rows, width / 32, 16], [experts, rows, width / 32] */
    size_t rows, width;
} four_bits;

static snug_status find_four_bits(const binder *b, const char *path, size_t experts, size_t rows,
                                  size_t width, four_bits *out)
{
    char name[192];
    *out = (four_bits){.rows = rows, .width = width};
    (void)snprintf(name, sizeof name, "%s_blocks", path);
    out->blocks = bind_find(b, name);
    (void)snprintf(name, sizeof name, "%s_scales", path);
    out->scales = bind_find(b, name);
    const weight *w = out->blocks, *s = out->scales;
    size_t        n = width / FOUR_BITS;
    if (w != NULL && s != NULL && width % FOUR_BITS == 0 && w->rank == 4 && s->rank == 3 &&
        w->stored == CODEC_U8 && s->stored == CODEC_U8 && w->shape[0] == experts &&
        w->shape[1] == rows && w->shape[2] == n && w->shape[3] == FOUR_BITS / 2 &&
        s->shape[0] == experts && s->shape[1] == rows && s->shape[2] == n)
        return SNUG_OK;
    return snug_fail(b->err, SNUG_ECORRUPT, "%s%s_blocks and _scales are not [%zu, %zu, %zu, 16]",
                     b->scope, path, experts, rows, n);
}

/* Neighbours share a byte there; here an element and the one 16 further do. */
static void repack(const uint8_t *pairs, uint8_t exponent, uint8_t *out)
{
    out[0] = exponent;
    for (size_t j = 0; j < FOUR_BITS / 2; j++) {
        size_t  at = j / 2;
        uint8_t low = j % 2 == 0 ? pairs[at] & 15 : pairs[at] >> 4,
                high = j % 2 == 0 ? pairs[at + 8] & 15 : pairs[at + 8] >> 4;
        out[1 + j] = (uint8_t)(low | high << 4);
    }
}

/* Rows first, first + step, .. of one expert. */
static snug_status bind_four_bits(const binder *b, const four_bits *f, size_t expert, size_t first,
                                  size_t step, tensor *out)
{
    size_t   n = f->width / FOUR_BITS, rows = f->rows / step;
    uint8_t *bytes = snug_alloc_try(rows * n * FOUR_BITS_BYTES + 1), *at = bytes;
    if (bytes == NULL) return snug_fail(b->err, SNUG_ENOMEM, "no memory for experts");
    for (size_t r = 0; r < rows; r++) {
        size_t         block = (expert * f->rows + first + r * step) * n;
        const uint8_t *pairs = (const uint8_t *)f->blocks->data + block * (FOUR_BITS / 2);
        const uint8_t *exponents = (const uint8_t *)f->scales->data + block;
        for (size_t i = 0; i < n; i++, at += FOUR_BITS_BYTES)
            repack(pairs + i * (FOUR_BITS / 2), exponents[i], at);
    }
    snug_status st = bind_made(b, TENSOR_MXFP4, TENSOR_DIMS(rows, f->width), bytes, out);
    free(bytes);
    return st;
}

static snug_status bind_all_four_bits(const binder *b, const char *block, const model_decoder *d,
                                      size_t e, nn_moe *m)
{
    snug_status st = SNUG_OK;
    char        name[160];
    four_bits   fused, down;
    SNUG_TRY(find_four_bits(b, path_of(name, block, d->expert_gate), d->experts,
                            2 * d->expert_inner, e, &fused));
    SNUG_TRY(find_four_bits(b, path_of(name, block, d->expert_down), d->experts, e, d->expert_inner,
                            &down));
    for (size_t i = 0; i < d->experts; i++) {
        nn_mlp *x = &m->experts[i];
        SNUG_TRY(bind_four_bits(b, &fused, i, 0, 2, &x->gate.w));
        SNUG_TRY(bind_four_bits(b, &fused, i, 1, 2, &x->up.w));
        SNUG_TRY(bind_four_bits(b, &down, i, 0, 1, &x->down.w));
    }
    SNUG_TRY(bind_stacked_biases(b, block, d, e, m));
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
        if (d->expert_gate != NULL) {
            (void)snprintf(part, sizeof part, "%s.%zu.%s", d->list, i, d->expert_gate);
            SNUG_TRY(bind_linear(b, &x->gate, e, d->expert_inner, d->expert_bias,
                                 path_of(name, block, part)));
        }
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
    m->shared.act = s->act;
    if (d->shared_gate_up != NULL) { /* beside the block, in one piece */
        nn_linear fused;
        SNUG_TRY(bind_linear(b, &fused, s->hidden, 2 * d->shared_inner, false, d->shared_gate_up));
        m->shared.gate = bind_rows(&fused, 0, d->shared_inner);
        m->shared.up = bind_rows(&fused, d->shared_inner, d->shared_inner);
        return bind_linear(b, &m->shared.down, d->shared_inner, s->hidden, false, d->shared_down);
    }
    if (d->shared == NULL || d->shared_inner == 0) return SNUG_OK;
    if (d->expert_gate != NULL) {
        (void)snprintf(part, sizeof part, "%s.gate_proj", d->shared);
        SNUG_TRY(bind_linear(b, &m->shared.gate, s->hidden, d->shared_inner, false,
                             path_of(name, block, part)));
    }
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
    char router[160];
    return bind_experts_at(b, block, path_of(router, block, b->m->shape.decoder.router), out);
}

snug_status bind_experts_at(const binder *b, const char *block, const char *router, nn_moe **out)
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
    SNUG_TRY(bind_linear(b, &m->router, s->hidden, d->experts, d->router_bias, router));
    if (d->choice != NULL && d->choice_row) {
        SNUG_TRY(bind_tensor(b, &m->choice, TENSOR_DIMS(1, d->experts),
                             path_of(name, block, d->choice)));
        m->choice = tensor_view(&m->choice, TENSOR_DIMS(d->experts));
    } else if (d->choice != NULL) {
        SNUG_TRY(
            bind_tensor(b, &m->choice, TENSOR_DIMS(d->experts), path_of(name, block, d->choice)));
    }
    char          blocks[192];
    model_decoder fused = *d; /* the same experts as one tensor, when the file has them so */
    fused.expert_gate = "experts.gate_up_proj";
    fused.expert_down = "experts.down_proj";
    bool stacked = d->stacked || bind_has(b, path_of(name, block, fused.expert_gate));
    (void)snprintf(blocks, sizeof blocks, "%s_blocks",
                   d->stacked ? path_of(name, block, d->expert_gate) : "");
    if (d->stacked && d->interleaved && bind_find(b, blocks) != NULL)
        SNUG_TRY(bind_all_four_bits(b, block, d, s->hidden, m));
    else
        SNUG_TRY((stacked ? bind_stacked : bind_each)(b, block, d->stacked || !stacked ? d : &fused,
                                                      s->hidden, m));
    SNUG_TRY(bind_shared(b, block, s, m));
    *out = m;
done:
    return st;
}
