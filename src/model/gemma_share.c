/* SPDX-License-Identifier: Apache-2.0 */
/* model/gemma_share.c - the parts Gemma 3n and Gemma 4 have in common.
 *
 * For:     arch/gemma3n.c, arch/gemma4.c.
 * Owns:    nothing; nets live in the model's arena.
 * Threads: as the model.
 *
 * Both feed each layer an input of its own: a row of a second table plus a projection of the
 * embedding. In both the last layers have no keys: they read those of the last layer of their kind
 * (sliding or not) that has some. Heads are normed, values too (without weights), scores unscaled.
 */
#include "model/gemma_int.h"

#include <math.h>
#include <stdlib.h>

/* ---- configuration ---- */

snug_status gemma_parse(snug_json config, model_shape *s, size_t period, size_t window,
                        double logit_cap, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    model_gemma   *g = &s->gemma;
    double         cap;
    snug_json      cap_value = snug_json_get(config, "final_logit_softcapping");
    decoder_slide(s, period);
    SNUG_TRY(cfg_layer_types(config, s, err));
    SNUG_TRY(decoder_window(config, "sliding_window", window, &s->window, err));
    SNUG_TRY(cfg_real(config, "final_logit_softcapping", logit_cap, 0.0, 1e6, &cap, err));
    d->logit_cap = snug_json_is(cap_value, SNUG_JSON_NULL) ? 0.0f : (float)cap;
    d->embed_scale = sqrtf((float)s->hidden);
    d->attention_scale = 1.0f;
    d->after_attention = "post_attention_layernorm";
    d->before_mlp = "pre_feedforward_layernorm";
    d->after_mlp = "post_feedforward_layernorm";
    s->mlp_bias = false;
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"hidden_size_per_layer_input", NULL, 256, 0, MODEL_HIDDEN_MAX},
                      &g->side_width, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"vocab_size_per_layer_input", NULL, 262144, 1, MODEL_VOCAB_MAX},
                      &g->side_vocab, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_kv_shared_layers", NULL, g->keyless, 0, s->layers - 1},
                      &g->keyless, err));
    size_t keyed = s->layers - g->keyless;
    for (size_t i = keyed; i < s->layers; i++) { /* each finds a layer of its kind */
        size_t k = 0;
        while (k < keyed && model_layer_is(s->sliding, k) != model_layer_is(s->sliding, i)) k++;
        if (k == keyed)
            SNUG_FAIL(err, SNUG_EINVAL,
                      "config.json: layer %zu has no layer of its kind to take keys from", i);
    }
done:
    return st;
}

/* ---- weights ---- */

static snug_status bind_norms(const binder *b, const model_shape *s, gemma_layer *l)
{
    static const char *const names[] = {"input_layernorm", "post_attention_layernorm",
                                        "pre_feedforward_layernorm", "post_feedforward_layernorm"};
    nn_norm    *to[] = {&l->before_attention, &l->after_attention, &l->before_mlp, &l->after_mlp};
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < 4; i++)
        SNUG_TRY(bind_norm_weight(b, to[i], NN_RMS_NORM, s->hidden, s->eps, names[i]));
done:
    return st;
}

static snug_status bind_attention(const binder *b, const model_shape *s, size_t i, gemma_layer *l)
{
    snug_status   st = SNUG_OK;
    nn_attention *a = &l->attention;
    size_t        e = s->hidden, keyed = s->layers - s->gemma.keyless;
    bool          bias = s->attention_bias;
    l->slides = model_layer_is(s->sliding, i);
    l->keyed = i < keyed;
    for (size_t k = i + 1; l->keyed && k <= keyed; k++) { /* the last of its kind before them */
        l->lends = k == keyed && s->gemma.keyless > 0;
        if (k < keyed && model_layer_is(s->sliding, k) == l->slides) break;
    }
    *a = decoder_attention(s, i);
    a->width = l->slides ? s->head_dim : s->gemma.wide_head;
    a->kv_heads = l->slides ? s->kv_heads : s->gemma.wide_keys;
    l->value_is_key = s->gemma.value_is_key && !l->slides;
    size_t q = a->heads * a->width, kv = a->kv_heads * a->width;
    SNUG_TRY(bind_linear(b, &a->q, e, q, bias, "self_attn.q_proj"));
    SNUG_TRY(bind_norm_weight(b, &a->q_norm, NN_RMS_NORM, a->width, s->eps, "self_attn.q_norm"));
    SNUG_TRY(bind_linear(b, &a->o, q, e, bias, "self_attn.o_proj"));
    if (!l->keyed) return SNUG_OK;
    SNUG_TRY(bind_linear(b, &a->k, e, kv, bias, "self_attn.k_proj"));
    SNUG_TRY(bind_norm_weight(b, &a->k_norm, NN_RMS_NORM, a->width, s->eps, "self_attn.k_norm"));
    if (!l->value_is_key) SNUG_TRY(bind_linear(b, &a->v, e, kv, bias, "self_attn.v_proj"));
    l->v_norm = (nn_norm){.kind = NN_RMS_NORM, .eps = s->eps};
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, size_t i, size_t inner,
                              gemma_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden, side = s->gemma.side_width;
    SNUG_TRY(bind_norms(b, s, l));
    SNUG_TRY(bind_attention(b, s, i, l));
    l->mlp.act = s->act;
    SNUG_TRY(bind_linear(b, &l->mlp.gate, e, inner, false, "mlp.gate_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, inner, false, "mlp.up_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, inner, e, false, "mlp.down_proj"));
    if (side == 0) return SNUG_OK;
    SNUG_TRY(bind_linear(b, &l->side_gate, e, side, false, "per_layer_input_gate"));
    SNUG_TRY(bind_linear(b, &l->side_out, side, e, false, "per_layer_projection"));
    SNUG_TRY(
        bind_norm_weight(b, &l->side_norm, NN_RMS_NORM, e, s->eps, "post_per_layer_input_norm"));
done:
    return st;
}

snug_status gemma_bind(model *m, const weight_map *w, size_t (*inner)(const model *m, size_t layer),
                       snug_status (*own)(const binder *layer, size_t index, gemma_layer *l),
                       gemma_net **out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    gemma_net         *n = SNUG_NEW(m->arena, gemma_net);
    size_t             side = s->gemma.side_width;
    m->net = *out = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(
        bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), "embed_tokens.weight"));
    if (side > 0) {
        SNUG_TRY(bind_tensor(&body, &n->side_embed,
                             TENSOR_DIMS(s->gemma.side_vocab, s->layers * side),
                             "embed_tokens_per_layer.weight"));
        SNUG_TRY(bind_linear(&body, &n->side_project, s->hidden, s->layers * side, false,
                             "per_layer_model_projection"));
        SNUG_TRY(bind_norm_weight(&body, &n->side_norm, NN_RMS_NORM, side, s->eps,
                                  "per_layer_projection_norm"));
    }
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "layers", i);
        SNUG_TRY(bind_layer(&layer, s, i, inner(m, i), &n->layers[i]));
        SNUG_TRY(own(&layer, i, &n->layers[i]));
    }
    SNUG_TRY(bind_norm_weight(&body, &n->norm, NN_RMS_NORM, s->hidden, s->eps, "norm"));
    if (s->head == MODEL_HEAD_NONE) return SNUG_OK;
    n->head.w = n->embed;
    if (!s->tied) SNUG_TRY(bind_linear(&top, &n->head, s->hidden, s->vocab, false, "lm_head"));
done:
    return st;
}

void gemma_keeps(const model *m, nn_keep *each)
{
    const gemma_net *n = m->net;
    for (size_t i = 0; i < m->shape.layers; i++) {
        const nn_attention *a = &n->layers[i].attention;
        each[i] = n->layers[i].keyed
                      ? (nn_keep){.heads = a->kv_heads, .k_width = a->width, .v_width = a->width}
                      : (nn_keep){0};
    }
}

/* ---- one step ---- */

/* (norm(project(x) / sqrt(E)) + table[ids] * sqrt(P)) / sqrt(2) -> p->side [B, T, L, P]. */
static snug_status side_inputs(gemma_pass *p, const tensor *ids, const tensor *x, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = p->s;
    size_t             B = x->shape[0], T = x->shape[1], P = s->gemma.side_width;
    tensor             rows, grown;
    if (P == 0) return SNUG_OK;
    SNUG_TRY(nn_linear_run(&p->c, &p->n->side_project, x, &grown, err)); /* [B, T, L * P] */
    SNUG_TRY(tensor_scale(p->c.dev, &grown, 1.0f / sqrtf((float)s->hidden), 0.0f, &grown, err));
    p->side = tensor_view(&grown, TENSOR_DIMS(B, T, s->layers, P));
    SNUG_TRY(nn_norm_run(&p->c, &p->n->side_norm, &p->side, &p->side, err));
    tensor_mark mark = tensor_space_mark(p->c.space);
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, grown.rank, grown.shape, &rows, err));
    SNUG_TRY(tensor_embed(p->c.dev, &p->n->side_embed, ids, &rows, err));
    SNUG_TRY(tensor_scale(p->c.dev, &rows, sqrtf((float)P), 0.0f, &rows, err));
    SNUG_TRY(tensor_add(p->c.dev, &grown, &rows, &grown, err));
    SNUG_TRY(tensor_scale(p->c.dev, &grown, sqrtf(0.5f), 0.0f, &grown, err));
    tensor_space_release(p->c.space, mark);
done:
    return st;
}

snug_status gemma_begin(gemma_pass *p, tensor *x, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_batch *in = p->in;
    const model_shape *s = p->s;
    size_t   B = in->batch, T = in->times, held = in->kv == NULL ? 0 : nn_kv_count(in->kv);
    tensor   ids;
    int32_t *positions = snug_alloc(B * T * sizeof *positions); /* <= MODEL_BATCH_TOKENS_MAX */
    for (size_t i = 0; i < B * T; i++)
        positions[i] = in->positions != NULL ? in->positions[i] : (int32_t)(held + i % T);
    if (in->mask != NULL)
        SNUG_TRY(nn_upload(&p->c, in->mask, TENSOR_DIMS(B, held + T), &p->mask, err));
    SNUG_TRY(nn_rope_turn(&p->c, &s->rope, positions, B, T, &p->turn, err));
    SNUG_TRY(nn_rope_turn(&p->c, &s->rope_local, positions, B, T, &p->local, err));
    SNUG_TRY(nn_upload(&p->c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), x, err));
    SNUG_TRY(tensor_embed(p->c.dev, &p->n->embed, &ids, x, err));
    SNUG_TRY(tensor_scale(p->c.dev, x, s->decoder.embed_scale, 0.0f, x, err));
    SNUG_TRY(side_inputs(p, &ids, x, err));
done:
    free(positions);
    return st;
}

/* Keys and values of a layer that has its own: normed, turned, put behind those held. */
static snug_status make_keys(gemma_pass *p, size_t i, const tensor *h, const nn_turn *turn,
                             tensor *keys, tensor *values, snug_err *err)
{
    snug_status         st = SNUG_OK;
    const gemma_layer  *l = &p->n->layers[i];
    const nn_attention *a = &l->attention;
    tensor              k, v;
    SNUG_TRY(nn_heads_run(&p->c, &a->k, h, a->kv_heads, &k, err)); /* [B, T, G, D] */
    if (l->value_is_key) {
        SNUG_TRY(tensor_space_take(p->c.space, TENSOR_F32, k.rank, k.shape, &v, err));
        SNUG_TRY(tensor_copy(p->c.dev, &k, &v, err));
    } else {
        SNUG_TRY(nn_heads_run(&p->c, &a->v, h, a->kv_heads, &v, err));
    }
    SNUG_TRY(nn_norm_run(&p->c, &a->k_norm, &k, &k, err));
    SNUG_TRY(nn_norm_run(&p->c, &l->v_norm, &v, &v, err));
    SNUG_TRY(tensor_rope(p->c.dev, &k, &turn->cos, &turn->sin, turn->interleaved, &k, err));
    *keys = k, *values = v;
    if (p->in->kv != NULL) SNUG_TRY(nn_kv_append(p->in->kv, i, &k, &v, keys, values, err));
done:
    return st;
}

snug_status gemma_attend(gemma_pass *p, size_t i, const tensor *h, tensor *out, snug_err *err)
{
    snug_status         st = SNUG_OK;
    const gemma_layer  *l = &p->n->layers[i];
    const nn_attention *a = &l->attention;
    const nn_turn      *turn = l->slides ? &p->local : &p->turn;
    nn_step             step = {.mask = &p->mask};
    tensor              q, mixed;
    SNUG_TRY(nn_heads_run(&p->c, &a->q, h, a->heads, &q, err)); /* [B, T, H, D] */
    SNUG_TRY(nn_norm_run(&p->c, &a->q_norm, &q, &q, err));
    SNUG_TRY(tensor_rope(p->c.dev, &q, &turn->cos, &turn->sin, turn->interleaved, &q, err));
    if (l->keyed)
        SNUG_TRY(make_keys(p, i, h, turn, &p->keys[l->slides], &p->values[l->slides], err));
    SNUG_TRY(nn_attention_mix(&p->c, a, &q, &p->keys[l->slides], &p->values[l->slides], &step,
                              &mixed, err));                 /* [B, T, H * D] */
    SNUG_TRY(nn_linear_run(&p->c, &a->o, &mixed, out, err)); /* [B, T, E] */
done:
    return st;
}

snug_status gemma_side(gemma_pass *p, size_t i, const tensor *x, tensor *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const gemma_layer *l = &p->n->layers[i];
    tensor             gate, own = tensor_slice(&p->side, 2, i, 1);
    SNUG_TRY(nn_linear_run(&p->c, &l->side_gate, x, &gate, err)); /* [B, T, P] */
    own.rank = 3;                                                 /* [B, T, 1, P] as [B, T, P] */
    own.shape[2] = own.shape[3], own.stride[2] = own.stride[3];
    SNUG_TRY(tensor_glu(p->c.dev, &gate, &own, p->s->act, &gate, err));
    SNUG_TRY(nn_linear_run(&p->c, &l->side_out, &gate, out, err)); /* [B, T, E] */
    SNUG_TRY(nn_norm_run(&p->c, &l->side_norm, out, out, err));
done:
    return st;
}

snug_status gemma_finish(gemma_pass *p, const tensor *x, model_out *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    tensor      h = *x, logits;
    float       cap = p->s->decoder.logit_cap;
    if (p->in->last_only) h = tensor_slice(&h, 1, p->in->times - 1, 1); /* [B, 1, E] */
    SNUG_TRY(nn_norm_run(&p->c, &p->n->norm, &h, &h, err));
    if (p->s->head == MODEL_HEAD_NONE) return encoder_give(out, "last_hidden_state", h);
    SNUG_TRY(nn_linear_run(&p->c, &p->n->head, &h, &logits, err)); /* [B, T, V] */
    if (cap != 0.0f) {
        SNUG_TRY(tensor_scale(p->c.dev, &logits, 1.0f / cap, 0.0f, &logits, err));
        SNUG_TRY(tensor_activate(p->c.dev, &logits, TENSOR_ACT_TANH, &logits, err));
        SNUG_TRY(tensor_scale(p->c.dev, &logits, cap, 0.0f, &logits, err));
    }
    st = encoder_give(out, "logits", logits);
done:
    return st;
}
