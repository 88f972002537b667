/* SPDX-License-Identifier: Apache-2.0 */
/* model/gemma_int.h - what Gemma 3n and Gemma 4 share: inputs of each layer's own, and layers that
 * read the keys and values of others. */
#ifndef SNUG_MODEL_GEMMA_INT_H
#define SNUG_MODEL_GEMMA_INT_H

#include "model/decoder_int.h"

typedef struct gemma_layer {
    nn_attention attention;
    bool         slides, keyed, lends; /* keyed: keys of its own; lends: others read them */
    bool         value_is_key;
    nn_norm      v_norm;
    nn_norm      before_attention, after_attention, before_mlp, after_mlp;
    nn_mlp       mlp;
    nn_linear    side_gate, side_out;
    nn_norm      side_norm;
    void        *own; /* the family's */
} gemma_layer;

typedef struct gemma_net {
    tensor       embed, side_embed; /* [V, E], [V', L * P] */
    nn_linear    side_project;      /* [L * P, E] */
    nn_norm      side_norm, norm;
    gemma_layer *layers;
    nn_linear    head;
    void        *own;
} gemma_net;

/* One step. */
typedef struct gemma_pass {
    nn_ctx             c;
    const model_shape *s;
    const gemma_net   *n;
    const model_batch *in;
    nn_turn            turn, local;
    tensor             mask, side;         /* side [B, T, L, P] */
    tensor             keys[2], values[2]; /* of layers that lend: full, sliding */
} gemma_pass;

/* Common keys, after decoder_parse: windows, layer types, caps, shared keys, side inputs. */
snug_status gemma_parse(snug_json config, model_shape *s, size_t period, size_t window,
                        double logit_cap, snug_err *err) SNUG_MUST_USE;
/* Everything but what is the family's; inner: width of a layer's MLP. */
snug_status gemma_bind(model *m, const weight_map *w, size_t (*inner)(const model *m, size_t layer),
                       snug_status (*own)(const binder *layer, size_t index, gemma_layer *l),
                       gemma_net **out, snug_err *err) SNUG_MUST_USE;
/* Embeddings [B, T, E], angles, side inputs. */
snug_status gemma_begin(gemma_pass *p, tensor *x, snug_err *err) SNUG_MUST_USE;
/* h [B, T, E] -> *out [B, T, E]. */
snug_status gemma_attend(gemma_pass *p, size_t layer, const tensor *h, tensor *out,
                         snug_err *err) SNUG_MUST_USE;
/* What a layer's side input makes of x [B, T, E]: *out [B, T, E]. */
snug_status gemma_side(gemma_pass *p, size_t layer, const tensor *x, tensor *out,
                       snug_err *err) SNUG_MUST_USE;
/* x [B, T, E], normed or not, to the outputs of the class. */
snug_status gemma_finish(gemma_pass *p, const tensor *x, model_out *out,
                         snug_err *err) SNUG_MUST_USE;
void        gemma_keeps(const model *m, nn_keep *each);

#endif
