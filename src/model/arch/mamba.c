/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/mamba.c - models without attention: Mamba, Falcon Mamba, Mamba 2 (Codestral Mamba).
 *
 * Per layer: x += mixer(rms(x)); nothing else. What a mixer computes is in nn/scan.c. Falcon Mamba
 * norms dt, B and C without weights. */
#include "model/decoder_int.h"

static snug_status parse_body(snug_json config, model_shape *s, size_t vocab, size_t hidden,
                              size_t layers, bool tied, snug_err *err)
{
    static const char *const refused[] = {"use_mambapy_only", NULL};
    snug_status              st = SNUG_OK;
    double                   eps;
    model_mixer             *x = &s->decoder.mixer;
    s->decoder = (model_decoder){.before_attention = "norm",
                                 .last_norm = "norm_f",
                                 .embed = "embeddings",
                                 .norm = NN_RMS_NORM};
    SNUG_TRY(cfg_size(config, (cfg_range){"vocab_size", NULL, vocab, 1, MODEL_VOCAB_MAX}, &s->vocab,
                      err));
    SNUG_TRY(cfg_size(config, (cfg_range){"hidden_size", "d_model", hidden, 1, MODEL_HIDDEN_MAX},
                      &s->hidden, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_hidden_layers", "n_layer", layers, 1, MODEL_LAYERS_MAX},
                      &s->layers, err));
    SNUG_TRY(cfg_real(config, "layer_norm_epsilon", 1e-5, 0.0, 1.0, &eps, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"conv_kernel", NULL, 4, 1, 64}, &x->taps, err));
    SNUG_TRY(cfg_bool(config, "use_bias", false, &x->bias, err));
    SNUG_TRY(cfg_bool(config, "use_conv_bias", true, &x->conv_bias, err));
    SNUG_TRY(cfg_act(config, "hidden_act", "silu", &x->act, err));
    SNUG_TRY(cfg_bool(config, "tie_word_embeddings", tied, &s->tied, err));
    SNUG_TRY(cfg_refuse(config, refused, err));
    s->eps = (float)eps;
    x->out_bias = x->bias;
    x->path = "mixer";
    s->relative = true; /* no positions: no limit */
    s->heads = s->kv_heads = s->head_dim = 1;
    s->inner = s->hidden;
    s->positions_max = MODEL_POSITIONS_MAX;
    for (size_t i = 0; i < s->layers; i++) {
        decoder_set_layer(s, i, false);
        model_layer_set(s->decoder.bare, i, true);
    }
done:
    return st;
}

static snug_status parse_mamba(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_mixer *x = &s->decoder.mixer;
    size_t       expand;
    double       scale;
    SNUG_TRY(parse_body(config, s, 50280, 768, 32, true, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"expand", NULL, 2, 1, 64}, &expand, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"state_size", NULL, 16, 1, 4096}, &x->n, err));
    SNUG_TRY(decoder_auto_size(config, "time_step_rank", (s->hidden + 15) / 16, MODEL_HIDDEN_MAX,
                               &x->rank, err));
    SNUG_TRY(decoder_step_limit(config, "time_step_limit", x, err));
    x->kind = NN_MIX_MAMBA;
    x->heads = expand * s->hidden;
    x->width = x->groups = 1;
    x->norms = x->norms_weightless = s->arch->dialect != NULL; /* Falcon Mamba */
    SNUG_TRY(cfg_real(config, "mixer_rms_eps", 1e-6, 0.0, 1.0, &scale, err));
    x->norms_eps = (float)scale;
done:
    return st;
}

static snug_status parse_mamba2(snug_json config, model_shape *s, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_mixer *x = &s->decoder.mixer;
    size_t       expand;
    SNUG_TRY(parse_body(config, s, 32768, 4096, 64, false, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"expand", NULL, 2, 1, 64}, &expand, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"state_size", NULL, 128, 1, 4096}, &x->n, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"num_heads", NULL, 128, 1, MODEL_INNER_MAX}, &x->heads, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"head_dim", NULL, 64, 1, MODEL_HEAD_DIM_MAX}, &x->width, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_groups", NULL, 8, 1, 4096}, &x->groups, err));
    SNUG_TRY(decoder_step_limit(config, "time_step_limit", x, err));
    SNUG_TRY(decoder_check_heads(x, expand * s->hidden, err));
    x->kind = NN_MIX_MAMBA2;
    x->normed = true;
    x->norms_eps = s->eps;
done:
    return st;
}

static const char weightless[] = "falcon_mamba"; /* a dialect: norms of dt, B and C */

#define MAMBA_ROW(type, Name, how, what)                                                           \
    {                                                                                              \
        .model_type = type, .prefix = "backbone.", .dialect = what,                                \
        .classes = DECODER_CLASSES(Name), .parse = how, .bind = decoder_bind,                      \
        .forward = decoder_forward, .keeps = decoder_keeps,                                        \
    }

const model_arch arch_mamba[] = {
    MAMBA_ROW("mamba", Mamba, parse_mamba, NULL),
    MAMBA_ROW("falcon_mamba", FalconMamba, parse_mamba, weightless),
    MAMBA_ROW("mamba2", Mamba2, parse_mamba2, NULL),
    {0},
};
