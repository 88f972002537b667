/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/moe.c - sparse decoders: Mixtral, Qwen2-MoE, Qwen3-MoE, OLMoE, GraniteMoE,
 * Phi-3.5-MoE, gpt-oss, GLM-4.5, Llama 4 (text).
 *
 * Attention is that of the dense kin; in place of the MLP a router chooses experts. The families
 * differ in the order of softmax, choice and normalising (nn_route), in shared experts, and in how
 * a file lays experts out. */
#include "model/decoder_int.h"

#include <math.h>

/* experts, experts per token and their width, under a family's names. */
static snug_status parse_experts(snug_json config, model_shape *s, cfg_range count, cfg_range used,
                                 size_t inner, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    count.min = 1, count.max = NN_EXPERTS_MAX;
    used.min = 1, used.max = NN_EXPERTS_USED_MAX;
    SNUG_TRY(cfg_size(config, count, &d->experts, err));
    SNUG_TRY(cfg_size(config, used, &d->experts_used, err));
    if (d->experts_used > d->experts)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu experts per token of %zu", d->experts_used,
                  d->experts);
    d->block = "mlp";
    d->router = "gate";
    d->list = "experts";
    d->expert_gate = "gate_proj";
    d->expert_up = "up_proj";
    d->expert_down = "down_proj";
    d->expert_inner = inner;
    for (size_t i = 0; i < s->layers; i++) model_layer_set(d->sparse, i, true);
done:
    return st;
}

static snug_status mixtral(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    SNUG_TRY(parse_experts(config, s, (cfg_range){.key = "num_local_experts", .dflt = 8},
                           (cfg_range){.key = "num_experts_per_tok", .dflt = 2}, s->inner, err));
    d->block = "block_sparse_moe";
    d->expert_gate = "w1", d->expert_up = "w3", d->expert_down = "w2";
    d->route = NN_ROUTE_SOFTMAX;
    d->normalise = true;
    d->qkv_bias = d->o_bias = false;
    decoder_slide(s, 0);
    SNUG_TRY(decoder_window(config, "sliding_window", 0, &s->window, err));
done:
    return st;
}

/* Which layers have experts: every n-th, less those of a list. */
static snug_status qwen_layers(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      step;
    snug_json   dense = snug_json_get(config, "mlp_only_layers");
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_sparse_step", NULL, 1, 1, MODEL_LAYERS_MAX},
                      &step, err));
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(s->decoder.sparse, i, (i + 1) % step == 0);
    for (size_t i = 0; snug_json_is(dense, SNUG_JSON_ARRAY) && i < snug_json_count(dense); i++) {
        uint64_t layer;
        if (!snug_json_to_u64(snug_json_at(dense, i), &layer) || layer >= s->layers)
            SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"mlp_only_layers\"[%zu] is no layer", i);
        model_layer_set(s->decoder.sparse, (size_t)layer, false);
    }
done:
    return st;
}

static snug_status qwen2_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         inner;
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 1408, 1, MODEL_INNER_MAX},
                      &inner, err));
    SNUG_TRY(cfg_size(
        config, (cfg_range){"shared_expert_intermediate_size", NULL, 5632, 1, MODEL_INNER_MAX},
        &d->shared_inner, err));
    SNUG_TRY(parse_experts(
        config, s, (cfg_range){.key = "num_experts", .alias = "num_local_experts", .dflt = 60},
        (cfg_range){.key = "num_experts_per_tok", .dflt = 4}, inner, err));
    d->shared = "shared_expert";
    d->shared_gate = "shared_expert_gate";
    d->o_bias = false;
    SNUG_TRY(cfg_bool(config, "qkv_bias", true, &d->qkv_bias, err));
    SNUG_TRY(cfg_bool(config, "norm_topk_prob", false, &d->normalise, err));
    SNUG_TRY(qwen_layers(config, s, err));
    SNUG_TRY(decoder_qwen_window(config, s, err));
done:
    return st;
}

static void head_norms(model_decoder *d, nn_head_norm kind)
{
    d->head_norm = kind;
    d->q_norm = "self_attn.q_norm";
    d->k_norm = "self_attn.k_norm";
}

static snug_status qwen3_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      inner;
    bool        slides;
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 768, 1, MODEL_INNER_MAX},
                      &inner, err));
    SNUG_TRY(parse_experts(
        config, s, (cfg_range){.key = "num_experts", .alias = "num_local_experts", .dflt = 128},
        (cfg_range){.key = "num_experts_per_tok", .dflt = 8}, inner, err));
    head_norms(&s->decoder, NN_HEADS_EACH);
    SNUG_TRY(cfg_bool(config, "norm_topk_prob", false, &s->decoder.normalise, err));
    SNUG_TRY(qwen_layers(config, s, err));
    SNUG_TRY(cfg_bool(config, "use_sliding_window", false, &slides, err));
    decoder_slide(s, 0);
    if (slides) SNUG_TRY(decoder_window(config, "sliding_window", 4096, &s->window, err));
done:
    return st;
}

static snug_status olmoe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    double      clip;
    SNUG_TRY(parse_experts(
        config, s, (cfg_range){.key = "num_experts", .alias = "num_local_experts", .dflt = 64},
        (cfg_range){.key = "num_experts_per_tok", .dflt = 8}, s->inner, err));
    head_norms(&s->decoder, NN_HEADS_JOINED);
    SNUG_TRY(cfg_bool(config, "norm_topk_prob", false, &s->decoder.normalise, err));
    SNUG_TRY(cfg_real(config, "clip_qkv", 0.0, 0.0, 1e6, &clip, err));
    s->decoder.clip = (float)clip;
    s->decoder.clip_after_norm = true;
done:
    return st;
}

static snug_status granitemoe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    SNUG_TRY(decoder_granite(config, s, err));
    SNUG_TRY(parse_experts(config, s, (cfg_range){.key = "num_local_experts", .dflt = 8},
                           (cfg_range){.key = "num_experts_per_tok", .dflt = 2}, s->inner, err));
    d->block = "block_sparse_moe";
    d->router = "router.layer";
    d->stacked = true;
    d->expert_gate = "input_linear.weight";
    d->expert_down = "output_linear.weight";
    d->route = NN_ROUTE_TOP_SOFTMAX;
done:
    return st;
}

static snug_status phimoe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    double         jitter;
    SNUG_TRY(parse_experts(config, s, (cfg_range){.key = "num_local_experts", .dflt = 16},
                           (cfg_range){.key = "num_experts_per_tok", .dflt = 2}, s->inner, err));
    if (d->experts_used != 2)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: %zu experts per token of this class",
                  d->experts_used);
    d->norm = NN_LAYER_NORM;
    d->norm_bias = true;
    d->block = "block_sparse_moe";
    d->expert_gate = "w1", d->expert_up = "w3", d->expert_down = "w2";
    d->route = NN_ROUTE_SPARSE_MIXER;
    SNUG_TRY(cfg_real(config, "router_jitter_noise", 0.01, 0.0, 1.0, &jitter, err));
    d->jitter = (float)jitter;
    SNUG_TRY(cfg_bool(config, "lm_head_bias", false, &d->head_bias, err));
    decoder_slide(s, 0);
    SNUG_TRY(decoder_window(config, "sliding_window", 0, &s->window, err));
done:
    return st;
}

/* Sinks, windows in every other layer, experts with biases and a cut. */
static snug_status gpt_oss(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    double         limit, alpha;
    SNUG_TRY(parse_experts(
        config, s, (cfg_range){.key = "num_local_experts", .alias = "num_experts", .dflt = 128},
        (cfg_range){.key = "num_experts_per_tok", .dflt = 4}, s->inner, err));
    d->router = "router";
    d->router_bias = d->expert_bias = d->sinks = true;
    d->stacked = d->stacked_in_out = d->interleaved = true;
    d->expert_gate = "experts.gate_up_proj";
    d->expert_down = "experts.down_proj";
    d->route = NN_ROUTE_TOP_SOFTMAX;
    SNUG_TRY(cfg_real(config, "swiglu_limit", 7.0, 1e-3, 1e6, &limit, err));
    SNUG_TRY(cfg_real(config, "swiglu_alpha", 1.702, 0.0, 10.0, &alpha, err));
    if (fabs(alpha - 1.702) > 1e-6)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"swiglu_alpha\" %g is not supported",
                  alpha);
    d->limit = (float)limit;
    SNUG_TRY(cfg_bool(config, "attention_bias", true, &d->qkv_bias, err));
    d->o_bias = d->qkv_bias;
    decoder_slide(s, 2);
    SNUG_TRY(decoder_window(config, "sliding_window", 128, &s->window, err));
    SNUG_TRY(cfg_layer_types(config, s, err));
done:
    return st;
}

static snug_status glm4_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = decoder_deepseek_experts(config, s, 1, 1, 1.0, 1, err);
    bool        heads;
    if (st != SNUG_OK) return st;
    s->decoder.o_bias = false;
    st = cfg_bool(config, "use_qk_norm", false, &heads, err);
    if (st == SNUG_OK && heads) head_norms(&s->decoder, NN_HEADS_EACH);
    return st;
}

/* Layers with positions look at their chunk of the text; the others at all of it, with queries that
 * grow. Heads are normed without weights, after turning. */
static snug_status llama4_attention(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    snug_json      list = snug_json_get(config, "no_rope_layers"); /* 1: turned, 0: not */
    bool           temper, heads, given = snug_json_count(list) > 0;
    size_t         every;
    SNUG_TRY(cfg_size(config, (cfg_range){"no_rope_layer_interval", NULL, 4, 1, MODEL_LAYERS_MAX},
                      &every, err));
    if (given && snug_json_count(list) < s->layers)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"no_rope_layers\" must name %zu layers",
                  s->layers);
    for (size_t i = 0; i < s->layers; i++) {
        int64_t turned = (i + 1) % every != 0;
        if (given && !snug_json_to_i64(snug_json_at(list, i), &turned))
            SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"no_rope_layers\"[%zu] is no number", i);
        model_layer_set(d->unturned, i, turned == 0);
        model_layer_set(s->sliding, i, turned != 0);
    }
    SNUG_TRY(cfg_layer_types(config, s, err));
    SNUG_TRY(decoder_window(config, "attention_chunk_size", 8192, &s->window, err));
    d->chunked = true;
    SNUG_TRY(cfg_bool(config, "use_qk_norm", true, &heads, err));
    d->head_norm = heads ? NN_HEADS_EACH : NN_HEADS_RAW;
    d->norm_weightless = d->norm_after_turn = true;
    SNUG_TRY(cfg_bool(config, "attn_temperature_tuning", true, &temper, err));
    SNUG_TRY(cfg_real(config, "attn_scale", 0.1, 0.0, 1e3, &d->temper, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"floor_scale", NULL, 8192, 1, MODEL_POSITIONS_MAX},
                      &d->temper_every, err));
    d->temper_first = 1;
    d->temper_unturned = true;
    if (!temper) d->temper = 0.0;
    if (s->head_dim % 2 != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: heads of %zu dimensions", s->head_dim);
done:
    return st;
}

static snug_status llama4(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    snug_json      layers = snug_json_get(config, "moe_layers");
    size_t         inner = s->inner, step;
    SNUG_TRY(llama4_attention(config, s, err));
    SNUG_TRY(parse_experts(config, s, (cfg_range){.key = "num_local_experts", .dflt = 16},
                           (cfg_range){.key = "num_experts_per_tok", .dflt = 1}, inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"intermediate_size_mlp", NULL, 16384, 1, MODEL_INNER_MAX},
                      &s->inner, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"interleave_moe_layer_step", NULL, 1, 1, MODEL_LAYERS_MAX}, &step,
                      err));
    bool given = snug_json_is(layers, SNUG_JSON_ARRAY);
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(d->sparse, i, !given && (i + 1) % step == 0);
    for (size_t i = 0; given && i < snug_json_count(layers); i++) {
        uint64_t layer;
        if (!snug_json_to_u64(snug_json_at(layers, i), &layer) || layer >= s->layers)
            SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"moe_layers\"[%zu] is no layer", i);
        model_layer_set(d->sparse, (size_t)layer, true);
    }
    d->gate = "feed_forward.gate_proj";
    d->up = "feed_forward.up_proj";
    d->down = "feed_forward.down_proj";
    d->block = "feed_forward";
    d->router = "router";
    d->stacked = d->stacked_in_out = true;
    d->expert_gate = "experts.gate_up_proj";
    d->expert_down = "experts.down_proj";
    d->shared = "shared_expert";
    d->shared_inner = inner;
    d->route = NN_ROUTE_INPUT;
done:
    return st;
}

/* Experts by sigmoid with a correction that lies beside the router; norms over all heads at once.
 */
static snug_status minimax_m2(snug_json config, model_shape *s, snug_err *err)
{
    static const char *const refused[] = {"use_mtp_head", NULL};
    snug_status              st = SNUG_OK;
    model_decoder           *d = &s->decoder;
    SNUG_TRY(cfg_refuse(config, refused, err));
    SNUG_TRY(parse_experts(
        config, s, (cfg_range){.key = "num_local_experts", .alias = "num_experts", .dflt = 256},
        (cfg_range){.key = "num_experts_per_tok", .dflt = 8}, s->inner, err));
    head_norms(d, NN_HEADS_JOINED);
    d->block = "block_sparse_moe";
    d->choice = "e_score_correction_bias";
    d->expert_gate = "w1", d->expert_up = "w3", d->expert_down = "w2";
    d->route = NN_ROUTE_SIGMOID;
    d->normalise = true;
    d->qkv_bias = d->o_bias = false;
    /* The published files give the turning part in dimensions. */
    size_t turned;
    SNUG_TRY(cfg_size(config, (cfg_range){"rotary_dim", NULL, s->rope.width, 2, s->head_dim},
                      &turned, err));
    if (turned % 2 != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"rotary_dim\" %zu is odd", turned);
    s->rope.width = turned;
done:
    return st;
}

/* Softmax with a correction for choosing only; the first layers, or some in between, are dense. */
static snug_status ernie45_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         inner, shared, first, last = s->layers - 1, every;
    bool           bias;
    SNUG_TRY(cfg_bool(config, "use_bias", false, &bias, err));
    if (bias) SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"use_bias\" is not supported");
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 1536, 1, MODEL_INNER_MAX},
                      &inner, err));
    SNUG_TRY(parse_experts(
        config, s, (cfg_range){.key = "moe_num_experts", .alias = "num_experts", .dflt = 64},
        (cfg_range){.key = "moe_k", .alias = "num_experts_per_tok", .dflt = 6}, inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_num_shared_experts", NULL, 2, 0, 64}, &shared, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_layer_start_index", NULL, 1, 0, MODEL_LAYERS_MAX},
                      &first, err));
    if (snug_json_i64_or(config, "moe_layer_end_index", -1) != -1)
        SNUG_TRY(cfg_size(config,
                          (cfg_range){"moe_layer_end_index", NULL, last, 0, MODEL_LAYERS_MAX},
                          &last, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_layer_interval", NULL, 1, 1, MODEL_LAYERS_MAX},
                      &every, err));
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(d->sparse, i, (i + 1) % every == 0 && i >= first && i <= last);
    d->qkv_bias = d->o_bias = s->mlp_bias = false;
    d->choice = "moe_statics.e_score_correction_bias";
    d->choice_row = true;
    d->shared = "shared_experts";
    d->shared_inner = shared * inner;
    d->route = NN_ROUTE_SOFTMAX;
    d->normalise = true;
done:
    return st;
}

static snug_status hunyuan_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    SNUG_TRY(parse_experts(config, s, (cfg_range){.key = "num_experts", .dflt = 1},
                           (cfg_range){.key = "moe_topk", .dflt = 1}, s->inner, err));
    d->head_norm = NN_HEADS_EACH;
    d->norm_after_turn = true;
    d->q_norm = "self_attn.query_layernorm";
    d->k_norm = "self_attn.key_layernorm";
    d->router = "gate.wg";
    d->shared = "shared_mlp";
    d->shared_inner = s->inner;
    d->route = NN_ROUTE_SOFTMAX;
    d->normalise = true;
done:
    return st;
}

static const decoder_family
    mixtral_family = {{32000, 4096, 14336, 32, 32, 8, 0, 131072, .eps = 1e-5, .theta = 1e6},
                      mixtral},
    qwen2_family = {{151936, 2048, 5632, 24, 16, 16, 0, 32768, .eps = 1e-6, .theta = 1e4},
                    qwen2_moe},
    qwen3_family = {{151936, 2048, 6144, 24, 32, 4, 0, 32768, .eps = 1e-6, .theta = 1e4},
                    qwen3_moe},
    olmoe_family = {{50304, 2048, 2048, 16, 16, 0, 0, 4096, .eps = 1e-5, .theta = 1e4}, olmoe},
    granite_family = {{32000, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-6, .theta = 1e4},
                      granitemoe},
    phimoe_family = {{32064, 4096, 6400, 32, 32, 8, 0, 131072, .eps = 1e-5, .theta = 1e6}, phimoe},
    oss_family = {{201088, 2880, 2880, 36, 64, 8, 64, 131072, .eps = 1e-5, .theta = 150000.0},
                  gpt_oss},
    glm_family = {{151552, 4096, 10944, 46, 96, 8, 0, 131072, .eps = 1e-5, .theta = 1e4,
                   .partial = 0.5},
                  glm4_moe},
    minimax_family = {{200064, 3072, 1536, 62, 48, 8, 128, 196608, .eps = 1e-6, .theta = 5e6,
                       .partial = 1.0},
                      minimax_m2},
    ernie_family = {{103424, 2560, 12288, 28, 20, 4, 0, 131072, .eps = 1e-5, .theta = 5e5,
                     .tied = true, .interleaved = true},
                    ernie45_moe},
    hunyuan_family = {{290943, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-5, .theta = 1e4},
                      hunyuan_moe},
    llama4_family = {{202048, 5120, 8192, 48, 40, 8, 128, 131072, .eps = 1e-5, .theta = 5e5,
                      .interleaved = true},
                     llama4};

static const struct model_class llama4_classes[] = {
    {"Llama4ForCausalLM", MODEL_HEAD_CAUSAL_LM},
    {"Llama4TextModel", MODEL_HEAD_NONE},
    {NULL, MODEL_HEAD_NONE},
};

const model_arch arch_moe[] = {
    DECODER_ROW("mixtral", Mixtral, mixtral_family),
    DECODER_ROW("qwen2_moe", Qwen2Moe, qwen2_family),
    DECODER_ROW("qwen3_moe", Qwen3Moe, qwen3_family),
    DECODER_ROW("olmoe", Olmoe, olmoe_family),
    DECODER_ROW("granitemoe", GraniteMoe, granite_family),
    DECODER_ROW("phimoe", Phimoe, phimoe_family),
    DECODER_ROW("gpt_oss", GptOss, oss_family),
    DECODER_ROW("glm4_moe", Glm4Moe, glm_family),
    DECODER_ROW("minimax_m2", MiniMaxM2, minimax_family),
    DECODER_ROW("ernie4_5_moe", Ernie4_5_Moe, ernie_family),
    DECODER_ROW("hunyuan_v1_moe", HunYuanMoEV1, hunyuan_family),
    {.model_type = "llama4_text",
     .prefix = "model.",
     .dialect = &llama4_family,
     .classes = llama4_classes,
     .parse = decoder_parse,
     .bind = decoder_bind,
     .forward = decoder_forward},
    {0},
};
