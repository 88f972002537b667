/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/mixed.c - decoders with Llama's names and norms or MLPs of their own: GLM-4, StableLM,
 * StarCoder 2, Nemotron. */
#include "model/decoder_int.h"

/* Norms on both sides of each branch; half of each head turns, in neighbouring dimensions. */
static snug_status glm4(snug_json config, model_shape *s, snug_err *err)
{
    model_decoder *d = &s->decoder;
    d->after_attention = "post_self_attn_layernorm";
    d->after_mlp = "post_mlp_layernorm";
    d->gate_up = "mlp.gate_up_proj";
    d->o_bias = s->mlp_bias = false;
    return cfg_bool(config, "attention_bias", true, &d->qkv_bias, err);
}

/* GLM-4 before 0414: the same without the norms after the branches. */
static snug_status glm(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = glm4(config, s, err);
    s->decoder.after_attention = s->decoder.after_mlp = NULL;
    return st;
}

static snug_status stablelm(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    bool           heads;
    d->norm = NN_LAYER_NORM;
    d->norm_bias = true;
    d->o_bias = s->mlp_bias = false;
    SNUG_TRY(cfg_bool(config, "use_qkv_bias", false, &d->qkv_bias, err));
    SNUG_TRY(cfg_bool(config, "use_parallel_residual", false, &d->parallel, err));
    if (d->parallel) d->before_mlp = NULL;
    SNUG_TRY(cfg_bool(config, "qk_layernorm", false, &heads, err));
    if (heads) { /* a weight per head, stored head by head */
        d->head_norm = NN_HEADS_EACH;
        d->q_norm = "self_attn.q_layernorm.norms";
        d->k_norm = "self_attn.k_layernorm.norms";
        d->head_norm_listed = true;
    }
done:
    return st;
}

static snug_status starcoder2(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    d->norm = NN_LAYER_NORM;
    d->norm_bias = true;
    d->gate = NULL;
    d->up = "mlp.c_fc";
    d->down = "mlp.c_proj";
    SNUG_TRY(cfg_bool(config, "use_bias", true, &s->mlp_bias, err));
    d->qkv_bias = d->o_bias = s->mlp_bias;
    decoder_slide(s, 0);
    SNUG_TRY(decoder_window(config, "sliding_window", 0, &s->window, err));
done:
    return st;
}

/* A plain MLP by the square of relu; norms whose weight is stored less one. */
static snug_status nemotron(snug_json config, model_shape *s, snug_err *err)
{
    (void)config;
    (void)err;
    s->decoder.norm = NN_LAYER_NORM;
    s->decoder.norm_bias = s->decoder.norm_plus_one = true;
    s->decoder.gate = NULL;
    return SNUG_OK;
}

static const decoder_family
    glm4_family = {{151552, 4096, 13696, 40, 32, 2, 128, 131072, .eps = 1.5625e-7, .theta = 1e4,
                    .partial = 0.5, .interleaved = true},
                   glm4},
    glm_family = {{151552, 4096, 13696, 40, 32, 2, 128, 131072, .eps = 1.5625e-7, .theta = 1e4,
                   .partial = 0.5, .interleaved = true},
                  glm},
    stablelm_family = {{50304, 2560, 6912, 32, 32, 32, 0, 4096, .eps = 1e-5, .theta = 1e4,
                        .partial = 0.25, .eps_key = "layer_norm_eps"},
                       stablelm},
    starcoder2_family = {{49152, 3072, 12288, 30, 24, 2, 0, 4096, .eps = 1e-5, .theta = 1e4,
                          .act = "gelu_pytorch_tanh", .eps_key = "norm_epsilon", .tied = true},
                         starcoder2},
    nemotron_family = {{256000, 6144, 24576, 32, 48, 0, 0, 4096, .eps = 1e-5, .theta = 1e4,
                        .partial = 0.5, .act = "relu2", .eps_key = "norm_eps"},
                       nemotron};

const model_arch arch_mixed[] = {
    DECODER_ROW("glm", Glm, glm_family),
    DECODER_ROW("glm4", Glm4, glm4_family),
    DECODER_ROW("stablelm", StableLm, stablelm_family),
    DECODER_ROW("starcoder2", Starcoder2, starcoder2_family),
    DECODER_ROW("nemotron", Nemotron, nemotron_family),
    {0},
};
