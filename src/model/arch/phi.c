/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/phi.c - Phi 1 to 2 (parallel branches, biases, partial rotary) and Phi 3 to 4 (Llama
 * with fused projections, longrope for long contexts). */
#include "model/decoder_int.h"

static snug_status phi(snug_json config, model_shape *s, snug_err *err)
{
    model_decoder *d = &s->decoder;
    bool           heads;
    snug_status    st = cfg_bool(config, "qk_layernorm", false, &heads, err);
    d->norm = NN_LAYER_NORM;
    d->norm_bias = d->qkv_bias = d->o_bias = d->head_bias = s->mlp_bias = true;
    d->parallel = true;
    d->before_mlp = NULL;
    d->last_norm = "final_layernorm";
    d->o = "self_attn.dense";
    d->gate = NULL;
    d->up = "mlp.fc1";
    d->down = "mlp.fc2";
    if (heads) { /* one norm, with a bias, for every head */
        d->head_norm = NN_HEADS_EACH;
        d->head_norm_shared = true;
        d->q_norm = "self_attn.q_layernorm";
        d->k_norm = "self_attn.k_layernorm";
    }
    return st;
}

static snug_status phi3(snug_json config, model_shape *s, snug_err *err)
{
    s->decoder.qkv = "self_attn.qkv_proj";
    s->decoder.gate_up = "mlp.gate_up_proj";
    s->decoder.qkv_bias = s->decoder.o_bias = s->mlp_bias = false;
    decoder_slide(s, 0);
    return decoder_window(config, "sliding_window", 0, &s->window, err);
}

static const decoder_family phi_family = {{51200, 2048, 8192, 24, 32, 0, 0, 2048, .eps = 1e-5,
                                           .theta = 1e4, .partial = 0.5, .act = "gelu_new",
                                           .eps_key = "layer_norm_eps"},
                                          phi},
                            phi3_family = {{32064, 3072, 8192, 32, 32, 0, 0, 4096, .eps = 1e-5,
                                            .theta = 1e4, .partial = 1.0},
                                           phi3};

const model_arch arch_phi[] = {
    DECODER_ROW("phi", Phi, phi_family),
    DECODER_ROW("phi3", Phi3, phi3_family),
    {0},
};
