/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/llama.c - Llama 1 to 3.3 and the many models saved in its form.
 *
 * Per layer: x += attention(rms(x)), then x += down(silu(gate(h)) * up(h)) with h = rms(x). Heads
 * are grouped (G <= H), positions rotary in all five scalings. Switches: attention_bias, mlp_bias,
 * head_dim apart from hidden / heads, tied embeddings.
 *
 * B batch, T time of this step, E hidden, H heads, G key heads, D head width, V vocabulary. */
#include "model/model_int.h"

#include <math.h>
#include <stdlib.h>

typedef struct llama_layer {
    nn_norm      before_attention, before_mlp;
    nn_attention attention;
    nn_mlp       mlp;
} llama_layer;

typedef struct llama {
    tensor       embed; /* [V, E] */
    llama_layer *layers;
    nn_norm      norm;
    nn_linear    head; /* [V, E] */
} llama;

static snug_status parse(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 32000, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 4096, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size", NULL, 11008, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", NULL, 32, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 32, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_key_value_heads", NULL, s->heads, 1, MODEL_HEADS_MAX},
                      &s->kv_heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    if (s->hidden % s->heads != 0)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "config.json: \"hidden_size\" %zu is no multiple of \"num_attention_heads\" %zu",
                  s->hidden, s->heads);
    if (s->heads % s->kv_heads != 0)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "config.json: \"num_attention_heads\" %zu is no multiple of "
                  "\"num_key_value_heads\" %zu",
                  s->heads, s->kv_heads);
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"head_dim", NULL, s->hidden / s->heads, 1, MODEL_HEAD_DIM_MAX},
                      &s->head_dim, err));
    SNUG_TRY(cfg_real(config, "rms_norm_eps", 1e-6, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, "hidden_act", "silu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "attention_bias", false, &s->attention_bias, err));
    SNUG_TRY(cfg_bool(config, "mlp_bias", false, &s->mlp_bias, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", false, &s->tied, err));
    SNUG_TRY(cfg_rope(
        config,
        (cfg_rotary){.width = s->head_dim, .positions_max = s->positions_max, .theta = 10000.0},
        &s->rope, err));
done:
    return st;
}

static snug_status bind_layer(const binder *b, const model_shape *s, llama_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden, q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    l->attention = (nn_attention){.heads = s->heads,
                                  .kv_heads = s->kv_heads,
                                  .width = s->head_dim,
                                  .scale = 1.0f / sqrtf((float)s->head_dim),
                                  .causal = true};
    l->mlp.act = s->act;
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_RMS_NORM, e, s->eps, "input_layernorm"));
    SNUG_TRY(bind_linear(b, &l->attention.q, e, q, s->attention_bias, "self_attn.q_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.k, e, kv, s->attention_bias, "self_attn.k_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.v, e, kv, s->attention_bias, "self_attn.v_proj"));
    SNUG_TRY(bind_linear(b, &l->attention.o, q, e, s->attention_bias, "self_attn.o_proj"));
    SNUG_TRY(bind_norm(b, &l->before_mlp, NN_RMS_NORM, e, s->eps, "post_attention_layernorm"));
    SNUG_TRY(bind_linear(b, &l->mlp.gate, e, s->inner, s->mlp_bias, "mlp.gate_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, s->mlp_bias, "mlp.up_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, s->mlp_bias, "mlp.down_proj"));
done:
    return st;
}

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    llama             *n = SNUG_NEW(m->arena, llama);
    m->net = n;
    n->layers = snug_arena_array_try(m->arena, s->layers, sizeof *n->layers);
    if (n->layers == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "no memory for %zu layers", s->layers);
    SNUG_TRY(
        bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), "embed_tokens.weight"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "layers", i);
        SNUG_TRY(bind_layer(&layer, s, &n->layers[i]));
    }
    SNUG_TRY(bind_norm(&body, &n->norm, NN_RMS_NORM, s->hidden, s->eps, "norm"));
    if (s->head == MODEL_HEAD_NONE) goto done;
    if (s->tied)
        n->head.w = n->embed; /* a stored copy is ignored */
    else
        SNUG_TRY(bind_linear(&top, &n->head, s->hidden, s->vocab, false, "lm_head"));
done:
    return st;
}

/* Positions of this step: as given, or counted on from the cache. */
static snug_status turn_of(model *m, const nn_ctx *c, const model_batch *in, nn_turn *out,
                           snug_err *err)
{
    if (in->positions != NULL)
        return nn_rope_turn(c, &m->shape.rope, in->positions, in->batch, in->times, out, err);
    size_t   n = in->batch * in->times, held = in->kv == NULL ? 0 : nn_kv_count(in->kv);
    int32_t *positions = snug_alloc(n * sizeof *positions);
    for (size_t i = 0; i < n; i++) positions[i] = (int32_t)(held + i % in->times);
    snug_status st = nn_rope_turn(c, &m->shape.rope, positions, in->batch, in->times, out, err);
    free(positions);
    return st;
}

static snug_status forward(model *m, const model_batch *in, model_out *out, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const llama       *n = m->net;
    nn_ctx             c = model_ctx(m);
    size_t  B = in->batch, T = in->times, held = in->kv == NULL ? 0 : nn_kv_count(in->kv);
    tensor  ids, mask = TENSOR_NONE, x, h, y, logits;
    nn_turn turn;

    SNUG_TRY(nn_upload(&c, in->ids, TENSOR_DIMS(B, T), &ids, err));
    if (in->mask != NULL) SNUG_TRY(nn_upload(&c, in->mask, TENSOR_DIMS(B, held + T), &mask, err));
    SNUG_TRY(turn_of(m, &c, in, &turn, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &x, err));
    SNUG_TRY(tensor_space_take(c.space, TENSOR_F32, TENSOR_DIMS(B, T, s->hidden), &h, err));
    SNUG_TRY(tensor_embed(c.dev, &n->embed, &ids, &x, err)); /* [B, T, E] */
    for (size_t i = 0; i < s->layers; i++) {
        const llama_layer *l = &n->layers[i];
        tensor_mark        mark = tensor_space_mark(c.space);
        SNUG_TRY(nn_norm_run(&c, &l->before_attention, &x, &h, err));
        SNUG_TRY(
            nn_attention_run(&c, &l->attention, &h,
                             &(nn_step){.turn = &turn, .mask = &mask, .kv = in->kv, .layer = i}, &y,
                             err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, &x, &y, &x, err));
        SNUG_TRY(nn_norm_run(&c, &l->before_mlp, &x, &h, err));
        SNUG_TRY(nn_mlp_run(&c, &l->mlp, &h, &y, err)); /* [B, T, E] */
        SNUG_TRY(tensor_add(c.dev, &x, &y, &x, err));
        tensor_space_release(c.space, mark);
    }
    if (in->last_only) { /* [B, 1, E] */
        x = tensor_slice(&x, 1, T - 1, 1);
        h = tensor_slice(&h, 1, T - 1, 1);
    }
    SNUG_TRY(nn_norm_run(&c, &n->norm, &x, &h, err));
    if (s->head == MODEL_HEAD_NONE) {
        out->item[out->count].name = "last_hidden_state";
        out->item[out->count++].value = h;
        goto done;
    }
    SNUG_TRY(nn_linear_run(&c, &n->head, &h, &logits, err)); /* [B, T, V] */
    out->item[out->count].name = "logits";
    out->item[out->count++].value = logits;
done:
    return st;
}

static const struct model_class classes[] = {
    {"LlamaForCausalLM", MODEL_HEAD_CAUSAL_LM},
    {"LlamaModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_llama[] = {{.model_type = "llama",
                                  .prefix = "model.",
                                  .classes = classes,
                                  .parse = parse,
                                  .bind = bind,
                                  .forward = forward},
                                 {0}};
