/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/cohere.c - Command R (Cohere) and Command R7B (Cohere 2): attention and MLP from one
 * norm, without biases; positions turn neighbouring dimensions; logits scaled.
 *
 * R+ norms each head by weights of its own. Cohere 2 slides three layers of four, and only those
 * have positions. */
#include "model/decoder_int.h"

static snug_status cohere(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      scale;
    bool        heads;
    s->decoder.norm = NN_LAYER_NORM;
    s->decoder.parallel = true;
    s->decoder.before_mlp = NULL;
    SNUG_TRY(cfg_real(config, "logit_scale", 0.0625, 1e-9, 1e9, &scale, err));
    s->decoder.logit_scale = (float)scale;
    SNUG_TRY(cfg_bool(config, "use_qk_norm", false, &heads, err));
    if (heads) {
        s->decoder.head_norm = NN_HEADS_EACH;
        s->decoder.q_norm = "self_attn.q_norm";
        s->decoder.k_norm = "self_attn.k_norm";
    }
done:
    return st;
}

static snug_status cohere2(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      period;
    SNUG_TRY(cohere(config, s, err));
    s->decoder.head_norm = NN_HEADS_RAW;
    SNUG_TRY(cfg_size(config, (cfg_range){"sliding_window_pattern", NULL, 4, 1, MODEL_LAYERS_MAX},
                      &period, err));
    SNUG_TRY(decoder_window(config, "sliding_window", 4096, &s->window, err));
    decoder_slide(s, period);
    SNUG_TRY(cfg_layer_types(config, s, err));
    for (size_t i = 0; s->window > 0 && i < s->layers; i++)
        model_layer_set(s->decoder.unturned, i, !model_layer_is(s->sliding, i));
done:
    return st;
}

static const decoder_family cohere_family = {{256000, 8192, 22528, 40, 64, 0, 0, 8192, .eps = 1e-5,
                                              .theta = 5e5, .eps_key = "layer_norm_eps",
                                              .tied = true, .interleaved = true},
                                             cohere},
                            cohere2_family = {{256000, 8192, 22528, 40, 64, 0, 0, 8192, .eps = 1e-5,
                                               .theta = 1e4, .eps_key = "layer_norm_eps",
                                               .tied = true, .interleaved = true},
                                              cohere2};

const model_arch arch_cohere[] = {
    DECODER_ROW("cohere", Cohere, cohere_family),
    DECODER_ROW("cohere2", Cohere2, cohere2_family),
    {0},
};
