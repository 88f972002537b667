/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/gemma.c - Gemma 1, 2 and 3 (text).
 *
 * Embeddings times the root of the width; norms times (1 + weight); a gated MLP by tanh-GELU;
 * logits tied. Gemma 2 and 3 put a norm on both sides of each branch and let most layers slide; 2
 * caps scores and logits, 3 has head norms and another base for sliding layers. An embedder built
 * on 3 sees both ways: its window then counts half to each side. */
#include "model/decoder_int.h"

#include <math.h>

static snug_status both_ways(snug_json config, model_shape *s, bool allowed, snug_err *err)
{
    snug_json v = snug_json_get(config, "use_bidirectional_attention");
    bool      on = false;
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) return SNUG_OK;
    if (!snug_json_to_bool(v, &on) || (on && !allowed))
        return snug_fail(err, SNUG_EUNSUPPORTED,
                         "config.json: this \"use_bidirectional_attention\" is not supported");
    s->decoder.both_ways = on;
    if (on && s->window > 0) s->window = s->window / 2 + 1;
    return SNUG_OK;
}

static snug_status gemma(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    s->decoder.norm_plus_one = true;
    s->decoder.embed_scale = sqrtf((float)s->hidden);
    SNUG_TRY(cfg_act(config, "hidden_activation", "gelu_pytorch_tanh", &s->act, err));
    SNUG_TRY(both_ways(config, s, false, err));
done:
    return st;
}

static snug_status cap(snug_json config, const char *key, double dflt, float *out, snug_err *err)
{
    double      v;
    snug_status st = cfg_real(config, key, dflt, 0.0, 1e6, &v, err);
    *out = snug_json_is(snug_json_get(config, key), SNUG_JSON_NULL) ? 0.0f : (float)v;
    return st;
}

static snug_status gemma23(snug_json config, model_shape *s, double attention_cap, double logit_cap,
                           snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    double         scalar;
    d->norm_plus_one = true;
    d->embed_scale = sqrtf((float)s->hidden);
    d->after_attention = "post_attention_layernorm";
    d->before_mlp = "pre_feedforward_layernorm";
    d->after_mlp = "post_feedforward_layernorm";
    SNUG_TRY(cfg_real(config, "query_pre_attn_scalar", 256, 1e-3, 1e6, &scalar, err));
    d->attention_scale = (float)pow(scalar, -0.5);
    SNUG_TRY(cap(config, "attn_logit_softcapping", attention_cap, &d->attention_cap, err));
    SNUG_TRY(cap(config, "final_logit_softcapping", logit_cap, &d->logit_cap, err));
    SNUG_TRY(decoder_window(config, "sliding_window", 4096, &s->window, err));
    SNUG_TRY(cfg_layer_types(config, s, err));
done:
    return st;
}

static snug_status gemma2(snug_json config, model_shape *s, snug_err *err)
{
    decoder_slide(s, 2);
    snug_status st = gemma23(config, s, 50.0, 30.0, err);
    return st != SNUG_OK ? st : both_ways(config, s, false, err);
}

static snug_status gemma3(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         every, other;
    SNUG_TRY(cfg_size(config, (cfg_range){"_sliding_window_pattern", NULL, 6, 1, MODEL_LAYERS_MAX},
                      &other, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"sliding_window_pattern", NULL, other, 1, MODEL_LAYERS_MAX},
                      &every, err));
    decoder_slide(s, every);
    SNUG_TRY(gemma23(config, s, 0.0, 0.0, err));
    d->attention_cap = 0.0f; /* in its configs, but not part of what it computes */
    d->head_norm = NN_HEADS_EACH;
    d->q_norm = "self_attn.q_norm";
    d->k_norm = "self_attn.k_norm";
    d->sliding_own_turn = true;
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->head_dim,
                                   .positions_max = s->positions_max,
                                   .theta = 10000.0,
                                   .layer_type = "sliding_attention",
                                   .theta_key = "rope_local_base_freq",
                                   .plain = true},
                      &s->rope_local, err));
    SNUG_TRY(both_ways(config, s, true, err));
done:
    return st;
}

static const decoder_family
    gemma_family = {{256000, 3072, 24576, 28, 16, 16, 256, 8192, .eps = 1e-6, .theta = 1e4,
                     .tied = true, .act_key = "hidden_activation", .act = "gelu_pytorch_tanh"},
                    gemma},
    gemma2_family = {{256000, 2304, 9216, 26, 8, 4, 256, 8192, .eps = 1e-6, .theta = 1e4,
                      .tied = true, .act_key = "hidden_activation", .act = "gelu_pytorch_tanh"},
                     gemma2},
    gemma3_family = {{262208, 2304, 9216, 26, 8, 4, 256, 131072, .eps = 1e-6, .theta = 1e6,
                      .tied = true, .layered = true, .act_key = "hidden_activation",
                      .act = "gelu_pytorch_tanh"},
                     gemma3};

static const struct model_class gemma3_classes[] = {
    {"Gemma3ForCausalLM", MODEL_HEAD_CAUSAL_LM},
    {"Gemma3TextModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_gemma[] = {
    DECODER_ROW("gemma", Gemma, gemma_family),
    DECODER_ROW("gemma2", Gemma2, gemma2_family),
    {.model_type = "gemma3_text",
     .prefix = "model.",
     .dialect = &gemma3_family,
     .classes = gemma3_classes,
     .parse = decoder_parse,
     .bind = decoder_bind,
     .forward = decoder_forward},
    {0},
};
