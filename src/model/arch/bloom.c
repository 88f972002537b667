/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/bloom.c - BLOOM, MPT and Falcon: no learned positions, biases by distance (ALiBi) or
 * rotary, and fused projections.
 *
 * BLOOM: a norm after the embeddings, fused rows head by head. MPT: no biases at all, rows q, k, v.
 * Falcon: rotary, both branches from one x, one key head for all (7B) or groups of [queries, key,
 * value] (40B, 180B); RW has ALiBi and one branch after the other. All tie their logits. */
#include "model/decoder_int.h"

#include <math.h>

static snug_status parse_common(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      eps;
    SNUG_TRY(cfg_heads(s, err));
    SNUG_TRY(cfg_real(config, "layer_norm_epsilon", 1e-5, 0.0, 1.0, &eps, err));
    s->eps = (float)eps;
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", true, &s->tied, err));
done:
    return st;
}

static snug_status parse_bloom(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"apply_residual_connection_post_layernorm", NULL};
    snug_status              st = SNUG_OK;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 250880, 1, MODEL_VOCAB_MAX},
                      &s->vocab, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", "n_embed", 64, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_layer", "num_hidden_layers", 2, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_head", "num_attention_heads", 8, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"seq_length", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    s->inner = 4 * s->hidden;
    s->act = TENSOR_ACT_GELU_TANH;
    s->relative = true;
    SNUG_TRY(parse_common(config, s, err));
    SNUG_TRY(cfg_refuse(config, refused, err));
done:
    return st;
}

static snug_status parse_mpt(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"qk_ln", "prefix_lm", NULL};
    snug_status              st = SNUG_OK;
    snug_json                a = snug_json_get(config, "attn_config");
    double                   bias, scale, clip;
    bool                     alibi;
    snug_slice               type;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 50368, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"d_model", "hidden_size", 2048, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_layers", "num_hidden_layers", 24, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_heads", "num_attention_heads", 16, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"max_seq_len", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    s->inner = 4 * s->hidden;
    s->act = TENSOR_ACT_GELU;
    s->relative = true;
    SNUG_TRY(parse_common(config, s, err));
    SNUG_TRY(cfg_bool(a, "alibi", true, &alibi, err));
    SNUG_TRY(cfg_real(a, "alibi_bias_max", 8, 1e-3, 1e3, &bias, err));
    SNUG_TRY(cfg_real(a, "softmax_scale", 0, 0, 1e3, &scale, err));
    SNUG_TRY(cfg_real(a, "clip_qkv", 0, 0, 1e6, &clip, err));
    SNUG_TRY(cfg_text(a, "attn_type", "multihead_attention", &type, err));
    SNUG_TRY(cfg_refuse(a, refused, err));
    if (bias != 8.0)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"alibi_bias_max\" %g is not supported",
                  bias);
    bool bare;
    SNUG_TRY(cfg_bool(config, "no_bias", true, &bare, err));
    if (!bare) SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"no_bias\" false is not supported");
    if (!alibi || !snug_eq_str(type, "multihead_attention"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: this \"attn_config\" is not supported");
    s->alibi = (float)bias;
    s->decoder.attention_scale = (float)scale;
    s->decoder.clip = (float)clip;
done:
    return st;
}

static snug_status parse_falcon(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        one_key, alibi;
    size_t      norms;
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, 65024, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", NULL, 4544, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_hidden_layers", "n_layer", 32, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_attention_heads", "n_head", 71, 1, MODEL_HEADS_MAX},
                      &s->heads, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"max_position_embeddings", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->positions_max, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"ffn_hidden_size", NULL, 4 * s->hidden, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(parse_common(config, s, err));
    SNUG_TRY(cfg_act(config, "activation", "gelu", &s->act, err));
    SNUG_TRY(cfg_bool(config, "bias", false, &s->mlp_bias, err));
    SNUG_TRY(cfg_bool(config, "multi_query", true, &one_key, err));
    SNUG_TRY(cfg_bool(config, "new_decoder_architecture", false, &s->grouped, err));
    SNUG_TRY(cfg_bool(config, "parallel_attn", true, &s->decoder.parallel, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_ln_in_parallel_attn", NULL, s->grouped ? 2 : 1, 1, 2},
                      &norms, err));
    if (s->grouped) {
        SNUG_TRY(cfg_size(config,
                          (cfg_range){"num_kv_heads", "n_head_kv", s->heads, 1, MODEL_HEADS_MAX},
                          &s->kv_heads, err));
        s->decoder.parallel = true;
    } else if (one_key) {
        s->kv_heads = 1;
    }
    s->two_norms = s->grouped && norms == 2;
    if (s->heads % s->kv_heads != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu heads are no multiple of %zu key heads",
                  s->heads, s->kv_heads);
    SNUG_TRY(cfg_bool(config, "alibi", false, &alibi, err));
    if (alibi) {
        s->alibi = 8.0f;
        s->alibi_scaled = s->relative = true;
        return SNUG_OK;
    }
    SNUG_TRY(cfg_rope(
        config,
        (cfg_rotary){.width = s->head_dim, .positions_max = s->positions_max, .theta = 10000.0},
        &s->rope, err));
done:
    return st;
}

static snug_status bind_bloom_layer(const binder *b, const model_shape *s, decoder_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden;
    nn_linear   fused;
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_LAYER_NORM, e, s->eps, "input_layernorm"));
    SNUG_TRY(bind_norm(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "post_attention_layernorm"));
    SNUG_TRY(bind_linear(b, &fused, e, 3 * e, true, "self_attention.query_key_value"));
    SNUG_TRY(bind_grouped(b, &fused, &l->attention));
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, true, "self_attention.dense"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, true, "mlp.dense_h_to_4h"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, true, "mlp.dense_4h_to_h"));
done:
    return st;
}

static snug_status bind_mpt_layer(const binder *b, const model_shape *s, decoder_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden;
    nn_linear   fused;
    SNUG_TRY(bind_norm_weight(b, &l->before_attention, NN_LAYER_NORM, e, s->eps, "norm_1"));
    SNUG_TRY(bind_norm_weight(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "norm_2"));
    SNUG_TRY(bind_linear(b, &fused, e, 3 * e, false, "attn.Wqkv"));
    l->attention.q = bind_rows(&fused, 0, e);
    l->attention.k = bind_rows(&fused, e, e);
    l->attention.v = bind_rows(&fused, 2 * e, e);
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, false, "attn.out_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, false, "ffn.up_proj"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, false, "ffn.down_proj"));
done:
    return st;
}

static snug_status bind_falcon_layer(const binder *b, const model_shape *s, decoder_layer *l)
{
    snug_status st = SNUG_OK;
    size_t      e = s->hidden, kv = s->kv_heads * s->head_dim;
    nn_linear   fused;
    l->turned = s->rope.width > 0;
    SNUG_TRY(bind_norm(b, &l->before_attention, NN_LAYER_NORM, e, s->eps,
                       s->two_norms ? "ln_attn" : "input_layernorm"));
    if (s->two_norms)
        SNUG_TRY(bind_norm(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "ln_mlp"));
    else if (!s->decoder.parallel)
        SNUG_TRY(
            bind_norm(b, &l->before_mlp, NN_LAYER_NORM, e, s->eps, "post_attention_layernorm"));
    SNUG_TRY(bind_linear(b, &fused, e, e + 2 * kv, s->mlp_bias, "self_attention.query_key_value"));
    SNUG_TRY(bind_grouped(b, &fused, &l->attention)); /* one key head: one group of all queries */
    SNUG_TRY(bind_linear(b, &l->attention.o, e, e, s->mlp_bias, "self_attention.dense"));
    SNUG_TRY(bind_linear(b, &l->mlp.up, e, s->inner, s->mlp_bias, "mlp.dense_h_to_4h"));
    SNUG_TRY(bind_linear(b, &l->mlp.down, s->inner, e, s->mlp_bias, "mlp.dense_4h_to_h"));
done:
    return st;
}

/* Where the names of a family's parts differ. */
typedef struct dialect {
    const char *embed, *list, *last_norm;
    snug_status (*bind_layer)(const binder *b, const model_shape *s, decoder_layer *l);
    float alibi;
    bool  embed_norm, no_bias;
} dialect;

static snug_status bind(model *m, const weight_map *w, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const model_shape *s = &m->shape;
    const dialect     *d = s->arch->dialect;
    binder             body = {m, w, s->arch->prefix, err, ""}, top = {m, w, "", err, ""};
    decoder           *n;
    SNUG_TRY(decoder_new(m, &n, err));
    n->alibi = (nn_alibi){s->alibi != 0.0f ? s->alibi : d->alibi, 1.0f, false};
    if (s->alibi_scaled) { /* Falcon adds them before scores are scaled */
        n->alibi.scale = 1.0f / sqrtf((float)s->head_dim);
        n->alibi.half = true;
    }
    SNUG_TRY(bind_tensor(&body, &n->embed, TENSOR_DIMS(s->vocab, s->hidden), d->embed));
    if (d->embed_norm)
        SNUG_TRY(bind_norm(&body, &n->embed_norm, NN_LAYER_NORM, s->hidden, s->eps,
                           "word_embeddings_layernorm"));
    for (size_t i = 0; i < s->layers; i++) {
        binder layer = bind_scope(&body, d->list, i);
        n->layers[i].attention = decoder_attention(s, i);
        n->layers[i].mlp.act = s->act;
        SNUG_TRY(d->bind_layer(&layer, s, &n->layers[i]));
    }
    SNUG_TRY((d->no_bias ? bind_norm_weight : bind_norm)(&body, &n->norm, NN_LAYER_NORM, s->hidden,
                                                         s->eps, d->last_norm));
    SNUG_TRY(decoder_bind_head(&top, n, "lm_head"));
done:
    return st;
}

static const dialect bloom_dialect = {.embed = "word_embeddings.weight",
                                      .list = "h",
                                      .last_norm = "ln_f",
                                      .bind_layer = bind_bloom_layer,
                                      .alibi = 8.0f,
                                      .embed_norm = true},
                     mpt_dialect = {.embed = "wte.weight",
                                    .list = "blocks",
                                    .last_norm = "norm_f",
                                    .bind_layer = bind_mpt_layer,
                                    .no_bias = true},
                     falcon_dialect = {.embed = "word_embeddings.weight",
                                       .list = "h",
                                       .last_norm = "ln_f",
                                       .bind_layer = bind_falcon_layer};

const model_arch arch_bloom[] = {
    {.model_type = "bloom",
     .prefix = "transformer.",
     .dialect = &bloom_dialect,
     .classes = DECODER_CLASSES(Bloom),
     .parse = parse_bloom,
     .bind = bind,
     .forward = decoder_forward},
    {.model_type = "mpt",
     .prefix = "transformer.",
     .dialect = &mpt_dialect,
     .classes = DECODER_CLASSES(Mpt),
     .parse = parse_mpt,
     .bind = bind,
     .forward = decoder_forward},
    {.model_type = "falcon",
     .prefix = "transformer.",
     .dialect = &falcon_dialect,
     .classes = DECODER_CLASSES(Falcon),
     .parse = parse_falcon,
     .bind = bind,
     .forward = decoder_forward},
    {0},
};
