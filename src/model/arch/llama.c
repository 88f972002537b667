/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/llama.c - Llama 1 to 3.3 and the families that are Llama with a switch or two:
 * Mistral, Ministral 3, Qwen2, Qwen3, SmolLM3, Seed-OSS, ERNIE 4.5, Hunyuan (dense), Apertus,
 * Granite.
 *
 * Per layer: x += attention(rms(x)), then x += down(silu(gate(h)) * up(h)) with h = rms(x). Heads
 * are grouped, positions rotary. What differs is said in one function per family below; how it runs
 * is in decoder.c. */
#include "model/decoder_int.h"

#include <math.h>

/* ---- Mistral: a window over all layers, when the config says so ---- */

static snug_status mistral(snug_json config, model_shape *s, snug_err *err)
{
    decoder_slide(s, 0);
    s->decoder.qkv_bias = s->decoder.o_bias = false;
    return decoder_window(config, "sliding_window", 4096, &s->window, err);
}

/* Queries grow with the position, in steps of the length before YaRN. */
static snug_status ministral3(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   rope = snug_json_get(config, "rope_parameters");
    decoder_slide(s, 0);
    s->decoder.qkv_bias = s->decoder.o_bias = false;
    SNUG_TRY(cfg_real(rope, "llama_4_scaling_beta", 0.0, 0.0, 1e3, &s->decoder.temper, err));
    s->decoder.temper_every = s->rope.original_max;
    SNUG_TRY(decoder_window(config, "sliding_window", 0, &s->window, err));
done:
    return st;
}

/* ---- Qwen: biases or head norms; a window over the upper layers only when it is switched on ----
 */

snug_status decoder_qwen_window(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        on;
    size_t      first;
    SNUG_TRY(cfg_bool(config, "use_sliding_window", false, &on, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"max_window_layers", NULL, 28, 0, MODEL_LAYERS_MAX},
                      &first, err));
    SNUG_TRY(decoder_window(config, "sliding_window", 4096, &s->window, err));
    if (!on) s->window = 0;
    for (size_t i = 0; i < s->layers; i++) model_layer_set(s->sliding, i, on && i >= first);
    SNUG_TRY(cfg_layer_types(config, s, err));
done:
    return st;
}

static snug_status qwen2(snug_json config, model_shape *s, snug_err *err)
{
    s->decoder.qkv_bias = true;
    s->decoder.o_bias = false;
    return decoder_qwen_window(config, s, err);
}

static snug_status qwen3(snug_json config, model_shape *s, snug_err *err)
{
    s->decoder.head_norm = NN_HEADS_EACH;
    s->decoder.q_norm = "self_attn.q_norm";
    s->decoder.k_norm = "self_attn.k_norm";
    return decoder_qwen_window(config, s, err);
}

/* ---- SmolLM3: every fourth layer without positions ---- */

static snug_status smollm3(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_json   list = snug_json_get(config, "no_rope_layers"); /* 1: turned, 0: not */
    bool        on, given = snug_json_is(list, SNUG_JSON_ARRAY);
    size_t      every;
    SNUG_TRY(cfg_size(config, (cfg_range){"no_rope_layer_interval", NULL, 4, 1, MODEL_LAYERS_MAX},
                      &every, err));
    SNUG_TRY(cfg_bool(config, "use_sliding_window", false, &on, err));
    SNUG_TRY(decoder_window(config, "sliding_window", 0, &s->window, err));
    if (!on) s->window = 0;
    if (given && snug_json_count(list) < s->layers)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"no_rope_layers\" must name %zu layers",
                  s->layers);
    for (size_t i = 0; i < s->layers; i++) {
        int64_t turned = (i + 1) % every != 0;
        if (given && !snug_json_to_i64(snug_json_at(list, i), &turned))
            SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"no_rope_layers\"[%zu] is no number", i);
        model_layer_set(s->decoder.unturned, i, turned == 0);
        model_layer_set(s->sliding, i, s->window > 0 && turned == 0);
    }
    SNUG_TRY(cfg_layer_types(config, s, err));
done:
    return st;
}

/* ---- switches of biases and scales ---- */

static snug_status seed_oss(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(cfg_bool(config, "attention_bias", true, &s->decoder.qkv_bias, err));
    SNUG_TRY(cfg_bool(config, "attention_out_bias", false, &s->decoder.o_bias, err));
done:
    return st;
}

static snug_status ernie45(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = cfg_bool(config, "use_bias", false, &s->mlp_bias, err);
    s->decoder.qkv_bias = s->decoder.o_bias = s->mlp_bias;
    return st;
}

static snug_status hunyuan(snug_json config, model_shape *s, snug_err *err)
{
    (void)config;
    (void)err;
    s->decoder.head_norm = NN_HEADS_EACH;
    s->decoder.norm_after_turn = true;
    s->decoder.q_norm = "self_attn.query_layernorm";
    s->decoder.k_norm = "self_attn.key_layernorm";
    return SNUG_OK;
}

/* A plain MLP whose activation has learned parameters; norms of heads. */
static snug_status apertus(snug_json config, model_shape *s, snug_err *err)
{
    snug_slice     act;
    model_decoder *d = &s->decoder;
    snug_status    st = cfg_text(config, "hidden_act", "xielu", &act, err);
    if (st == SNUG_OK && snug_eq_str(act, "xielu"))
        d->xielu = "mlp.act_fn";
    else if (st == SNUG_OK)
        st = cfg_act(config, "hidden_act", "silu", &s->act, err);
    d->head_norm = NN_HEADS_EACH;
    d->q_norm = "self_attn.q_norm";
    d->k_norm = "self_attn.k_norm";
    d->before_attention = "attention_layernorm";
    d->before_mlp = "feedforward_layernorm";
    d->gate = NULL;
    s->mlp_bias = false;
    return st;
}

snug_status decoder_granite(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    double         embed, residual, attention, logits;
    SNUG_TRY(cfg_real(config, "embedding_multiplier", 1.0, -1e6, 1e6, &embed, err));
    SNUG_TRY(cfg_real(config, "residual_multiplier", 1.0, -1e6, 1e6, &residual, err));
    SNUG_TRY(cfg_real(config, "attention_multiplier", 1.0, 1e-6, 1e6, &attention, err));
    SNUG_TRY(cfg_real(config, "logits_scaling", 1.0, 1e-6, 1e6, &logits, err));
    d->embed_scale = (float)embed;
    d->residual_scale = (float)residual;
    d->attention_scale = (float)attention;
    d->logit_scale = (float)(1.0 / logits);
done:
    return st;
}

static const decoder_family
    llama_family = {.dflt = {32000, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-6, .theta = 1e4}},
    mistral_family = {{32000, 4096, 14336, 32, 32, 8, 0, 131072, .eps = 1e-6, .theta = 1e4},
                      mistral},
    ministral3_family = {{131072, 4096, 14336, 34, 32, 8, 128, 262144, .eps = 1e-5, .theta = 1e6},
                         ministral3},
    qwen2_family = {{151936, 4096, 22016, 32, 32, 32, 0, 32768, .eps = 1e-6, .theta = 1e4,
                     .sections = true},
                    qwen2},
    qwen3_family = {{151936, 4096, 22016, 32, 32, 32, 128, 32768, .eps = 1e-6, .theta = 1e4,
                     .sections = true},
                    qwen3},
    smollm3_family = {{128256, 2048, 11008, 36, 16, 4, 0, 32768, .eps = 1e-6, .theta = 2e6,
                       .tied = true},
                      smollm3},
    seed_family = {{155136, 4096, 27648, 64, 80, 8, 128, 524288, .eps = 1e-6, .theta = 1e4},
                   seed_oss},
    ernie_family = {{103424, 1024, 3072, 18, 16, 2, 128, 131072, .eps = 1e-5, .theta = 5e5,
                     .tied = true, .interleaved = true},
                    ernie45},
    hunyuan_family = {{290943, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-5, .theta = 1e4},
                      hunyuan},
    apertus_family = {{131072, 4096, 14336, 32, 32, 0, 0, 65536, .eps = 1e-5, .theta = 1.2e7,
                       .act_key = "no key"},
                      apertus},
    granite_family = {{32000, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-6, .theta = 1e4},
                      decoder_granite};

const model_arch arch_llama[] = {
    DECODER_ROW("llama", Llama, llama_family),
    DECODER_ROW("mistral", Mistral, mistral_family),
    DECODER_ROW("ministral3", Ministral3, ministral3_family),
    DECODER_ROW("qwen2", Qwen2, qwen2_family),
    DECODER_ROW("qwen3", Qwen3, qwen3_family),
    DECODER_ROW("smollm3", SmolLM3, smollm3_family),
    DECODER_ROW("seed_oss", SeedOss, seed_family),
    DECODER_ROW("ernie4_5", Ernie4_5, ernie_family),
    DECODER_ROW("hunyuan_v1_dense", HunYuanDenseV1, hunyuan_family),
    DECODER_ROW("apertus", Apertus, apertus_family),
    DECODER_ROW("granite", Granite, granite_family),
    {0},
};
