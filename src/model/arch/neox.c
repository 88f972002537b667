/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/neox.c - GPT-NeoX (Pythia), GPT-J and CodeGen: rotary positions over a part of each
 * head, both branches from one x.
 *
 * NeoX fuses query, key and value head by head and norms each branch by itself; GPT-J turns
 * neighbouring dimensions, has no biases in attention and one norm for both branches. CodeGen is
 * GPT-J with a fused projection in four blocks, one for each core it was trained on: [query, value,
 * key] of a quarter of the heads. */
#include "model/decoder_int.h"

static snug_status parse_neox(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps, part;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50432, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 6144, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size", NULL, 24576, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", NULL, 44, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", NULL, 64, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_real(config, "layer_norm_eps", 1e-5, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, "hidden_act", "gelu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "attention_bias", true, &s->attention_bias, err));
    SNUG_TRY(cfg_bool(config, "use_parallel_residual", true, &s->decoder.parallel, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", false, &s->tied, err));
    SNUG_TRY(cfg_real(config, "rotary_pct", 0.25, 0.0, 1.0, &part, err));
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->head_dim,
                                   .positions_max = s->positions_max,
                                   .theta = 10000.0,
                                   .partial = part,
                                   .theta_key = "rotary_emb_base"},
                      &s->rope, err));
done:
    return st;
}

static snug_status bind_neox_layer(const binder *b, const model_shape *s, size_t i,
                                   decoder_layer *l)
{
    snug_status st = SNUG_OK;
    nn_linear   fused;
    size_t      e = s->hidden;
    l->attention = decoder_attention(s, i);
    l->turned = true;
    l->mlp.act = s->act;
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_LAYER_NORM, e, s->eps, "input_layernorm"));
    SNUG_TRY(bind_norm(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "post_attention_layernorm"));
    SNUG_TRY(bind_linear(b, &fused, e, 3 * e, s->attention_bias, "attention.query_key_value"));
    SNUG_TRY(bind_grouped(b, &fused, &l->attention));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, s->attention_bias, "attention.dense"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "mlp.dense_h_to_4h"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "mlp.dense_4h_to_h"));
done:
    return st;
}

static snug_status bind_neox(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    decoder           *n;
    SNUG_TRY(decoder_new(m, &n, err));
    SNUG_TRY(bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), "embed_in.weight"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "layers", i);
        SNUG_TRY(bind_neox_layer(&layer, s, i, &n->layers[i]));
    }
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, s->hidden, s->eps, "final_layer_norm"));
    SNUG_TRY(decoder_bind_head(&top, n, "embed_out"));
done:
    return st;
}

static snug_status parse_gptj(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps;
    size_t      turned;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50400, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_embd", "hidden_size", 4096, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_inner", NULL, 4 * s->hidden, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_layer", "num_hidden_layers", 28, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_head", "num_attention_heads", 16, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"n_positions", "max_position_embeddings", 2048, 1, MODEL_POSITIONS_MAX},
        &s->positions_max, err));
    SNUG_TRY(cfg_heads(s, err));
    bool whole = snug_json_is(snug_json_get(config, "rotary_dim"), SNUG_JSON_NULL);
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"rotary_dim", NULL, whole ? s->head_dim : 64, 2, s->head_dim},
                      &turned, err));
    SNUG_TRY(cfg_real(config, "layer_norm_epsilon", 1e-5, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_act(config, "activation_function", "gelu_new", &s->act, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", false, &s->tied, err));
    if (turned % 2 != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"rotary_dim\" %zu is odd", turned);
    s->rope = (nn_rope){
        .width = turned, .positions_max = s->positions_max, .theta = 10000.0, .interleaved = true};
    s->decoder.parallel = s->decoder.head_bias = true;
done:
    return st;
}

enum { CORES = 4 };

static snug_status parse_codegen(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = parse_gptj(config, s, err);
    if (st == SNUG_OK && s->heads % CORES != 0)
        st = snug_fail(err, SNUG_EINVAL, "config.json: %zu heads are no multiple of %d", s->heads,
                       CORES);
    return st;
}

/* One of three parts of every block, as [heads * width, E]. */
static snug_status codegen_part(const binder *b, const tensor *blocks, size_t which, size_t e,
                                tensor *out)
{
    tensor      part = tensor_slice(blocks, 1, which, 1), made;
    snug_status st = bind_copy(b, &part, part.dtype, &made);
    *out = tensor_view(&made, TENSOR_DIMS(e, e));
    return st;
}

static snug_status bind_codegen_attention(const binder *b, size_t e, nn_attention *a)
{
    snug_status st = SNUG_OK;
    tensor      fused;
    SNUG_TRY(bind_tensor(b, &fused, TENSOR_DIMS(3 * e, e), "attn.qkv_proj.weight"));
    tensor blocks = tensor_view(&fused, TENSOR_DIMS(CORES, 3, e / CORES, e));
    SNUG_TRY(codegen_part(b, &blocks, 0, e, &a->q.w));
    SNUG_TRY(codegen_part(b, &blocks, 1, e, &a->v.w));
    SNUG_TRY(codegen_part(b, &blocks, 2, e, &a->k.w));
done:
    return st;
}

static snug_status bind_gptj_layer(const binder *b, const model_shape *s, size_t i,
                                   decoder_layer *l)
{
    snug_status   st = SNUG_OK;
    size_t        e = s->hidden;
    nn_attention *a = &l->attention;
    *a = decoder_attention(s, i);
    l->turned = true;
    l->mlp.act = s->act;
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_LAYER_NORM, e, s->eps, "ln_1"));
    if (strcmp(s->arch->model_type, "codegen") == 0) {
        SNUG_TRY(bind_codegen_attention(b, e, a));
    } else {
        SNUG_TRY(bind_linear(b, &a->q, e, e, false, "attn.q_proj"));
        SNUG_TRY(bind_linear(b, &a->k, e, e, false, "attn.k_proj"));
        SNUG_TRY(bind_linear(b, &a->v, e, e, false, "attn.v_proj"));
    }
    SNUG_TRY(bind_linear(b, &a->o, e, e, false, "attn.out_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "mlp.fc_in"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "mlp.fc_out"));
done:
    return st;
}

static snug_status bind_gptj(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    decoder           *n;
    SNUG_TRY(decoder_new(m, &n, err));
    SNUG_TRY(bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), "wte.weight"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, "h", i);
        SNUG_TRY(bind_gptj_layer(&layer, s, i, &n->layers[i]));
    }
    SNUG_TRY(bind_norm(&body, &n->norm, NN_LAYER_NORM, s->hidden, s->eps, "ln_f"));
    SNUG_TRY(decoder_bind_head(&top, n, "lm_head"));
done:
    return st;
}

const model_arch arch_neox[] = {
    {.model_type = "gpt_neox",
     .prefix = "gpt_neox.",
     .classes = DECODER_CLASSES(GPTNeoX),
     .parse = parse_neox,
     .bind = bind_neox,
     .forward = decoder_forward},
    {.model_type = "gptj",
     .prefix = "transformer.",
     .classes = DECODER_CLASSES(GPTJ),
     .parse = parse_gptj,
     .bind = bind_gptj,
     .forward = decoder_forward},
    {.model_type = "codegen",
     .prefix = "transformer.",
     .classes = DECODER_CLASSES(CodeGen),
     .parse = parse_codegen,
     .bind = bind_gptj,
     .forward = decoder_forward},
    {0},
};
