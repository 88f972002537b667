/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/olmo.c - OLMo 1 (norms without weights), and OLMo 2, OLMo 3 and EXAONE 4:
 * norms after the branches only.
 *
 * OLMo norms queries and keys over all heads at once; OLMo 3 slides three layers of four, and only
 * the fourth is stretched by YaRN. EXAONE norms each head, and layers that do not slide have no
 * positions. */
#include "model/decoder_int.h"

static void norms_after(model_shape *s)
{
    s->decoder.before_attention = NULL;
    s->decoder.before_mlp = NULL;
    s->decoder.after_attention = "post_attention_layernorm";
    s->decoder.after_mlp = "post_feedforward_layernorm";
    s->decoder.q_norm = "self_attn.q_norm";
    s->decoder.k_norm = "self_attn.k_norm";
    s->decoder.head_norm = NN_HEADS_JOINED;
}

/* OLMo 1: plain layer norms without weights before the branches. */
static snug_status olmo1(snug_json config, model_shape *s, snug_err *err)
{
    model_decoder *d = &s->decoder;
    double         clip;
    snug_status    st = cfg_real(config, "clip_qkv", 0.0, 0.0, 1e6, &clip, err);
    d->clip = (float)clip;
    d->norm = NN_LAYER_NORM;
    d->norm_bare = true;
    s->mlp_bias = false;
    s->eps = 1e-5f;
    return st;
}

static snug_status olmo2(snug_json config, model_shape *s, snug_err *err)
{
    (void)config;
    (void)err;
    norms_after(s);
    return SNUG_OK;
}

static snug_status olmo3(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    norms_after(s);
    decoder_slide(s, 4);
    s->decoder.sliding_own_turn = true;
    SNUG_TRY(decoder_window(config, "sliding_window", 4096, &s->window, err));
    SNUG_TRY(cfg_layer_types(config, s, err));
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = s->head_dim,
                                   .positions_max = s->positions_max,
                                   .theta = 500000.0,
                                   .layer_type = "sliding_attention",
                                   .plain = true},
                      &s->rope_local, err));
done:
    return st;
}

/* A number, or a word such as "LLLG": its length is the period. */
static snug_status exaone_period(snug_json config, size_t *out, snug_err *err)
{
    snug_slice word;
    if (snug_json_to_str(snug_json_get(config, "sliding_window_pattern"), &word)) {
        *out = word.len;
        return word.len > 0 && word.len <= MODEL_LAYERS_MAX
                   ? SNUG_OK
                   : snug_fail(err, SNUG_EINVAL,
                               "config.json: \"sliding_window_pattern\" is empty");
    }
    return cfg_size(config, (cfg_range){"sliding_window_pattern", NULL, 4, 0, MODEL_LAYERS_MAX},
                    out, err);
}

static snug_status exaone4(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      period;
    norms_after(s);
    s->decoder.head_norm = NN_HEADS_EACH;
    SNUG_TRY(decoder_window(config, "sliding_window", 4096, &s->window, err));
    SNUG_TRY(exaone_period(config, &period, err));
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(s->sliding, i, s->window > 0 && period > 0 && (i + 1) % period != 0);
    SNUG_TRY(cfg_layer_types(config, s, err));
    for (size_t i = 0; s->window > 0 && i < s->layers; i++)
        model_layer_set(s->decoder.unturned, i, !model_layer_is(s->sliding, i));
done:
    return st;
}

static const decoder_family
    olmo1_family = {{50304, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-5, .theta = 1e4}, olmo1},
    olmo2_family = {{50304, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-5, .theta = 1e4}, olmo2},
    olmo3_family = {{50304, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-5, .theta = 5e5,
                     .layered = true},
                    olmo3},
    exaone4_family = {{102400, 4096, 16384, 32, 32, 32, 0, 2048, .eps = 1e-5, .theta = 1e4},
                      exaone4};

const model_arch arch_olmo[] = {
    DECODER_ROW("olmo", Olmo, olmo1_family),
    DECODER_ROW("olmo2", Olmo2, olmo2_family),
    DECODER_ROW("olmo3", Olmo3, olmo3_family),
    DECODER_ROW("exaone4", Exaone4, exaone4_family),
    {0},
};
