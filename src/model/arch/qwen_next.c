/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/qwen_next.c - Qwen3-Next and the text side of Qwen 3.5, dense and sparse.
 *
 * Three layers of the gated delta rule (nn/delta.c) to one of attention. Attention's queries bring
 * a gate per head (run_gated in decoder.c), a quarter of each head turns, head norms and layer
 * norms are stored less one. The sparse ones have Qwen2-MoE's experts: a shared one behind a
 * sigmoid. A text has one stream of positions, so the sections of M-RoPE all turn alike. */
#include "model/decoder_int.h"

static snug_status parse_layers(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    size_t      every;
    SNUG_TRY(cfg_size(config, (cfg_range){"full_attention_interval", NULL, 4, 1, MODEL_LAYERS_MAX},
                      &every, err));
    for (size_t i = 0; i < s->layers; i++) decoder_set_layer(s, i, (i + 1) % every == 0);
    SNUG_TRY(decoder_block_types(snug_json_get(config, "layer_types"), "layer_types", s, err));
done:
    return st;
}

static snug_status parse_delta(snug_json config, model_shape *s, bool packed, snug_err *err)
{
    snug_status  st = SNUG_OK;
    model_mixer *x = &s->decoder.mixer;
    x->kind = NN_MIX_DELTA;
    x->path = "linear_attn";
    x->packed = packed;
    SNUG_TRY(
        cfg_size(config, (cfg_range){"linear_conv_kernel_dim", NULL, 4, 1, 64}, &x->taps, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"linear_key_head_dim", NULL, 128, 1, MODEL_HEAD_DIM_MAX},
                      &x->n, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"linear_value_head_dim", NULL, 128, 1, MODEL_HEAD_DIM_MAX},
                      &x->width, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"linear_num_key_heads", NULL, 16, 1, MODEL_HEADS_MAX},
                      &x->groups, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"linear_num_value_heads", NULL, 32, 1, MODEL_HEADS_MAX},
                      &x->heads, err));
    if (x->heads % x->groups != 0)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu value heads are no multiple of %zu key heads",
                  x->heads, x->groups);
    x->act = s->act;
    x->norms_eps = s->eps;
done:
    return st;
}

static snug_status parse_experts(snug_json config, model_shape *s, size_t count, size_t used,
                                 snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_experts", "num_local_experts", count, 0, NN_EXPERTS_MAX},
                      &d->experts, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"num_experts_per_tok", NULL, used, 1, NN_EXPERTS_USED_MAX},
                      &d->experts_used, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 512, 1, MODEL_INNER_MAX},
                      &d->expert_inner, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"shared_expert_intermediate_size", NULL, 512, 1, MODEL_INNER_MAX},
                      &d->shared_inner, err));
    if (d->experts > 0 && d->experts_used > d->experts)
        SNUG_FAIL(err, SNUG_EINVAL, "config.json: %zu experts per token of %zu", d->experts_used,
                  d->experts);
    d->block = "mlp";
    d->router = "gate";
    d->list = "experts";
    d->expert_gate = "gate_proj", d->expert_up = "up_proj", d->expert_down = "down_proj";
    d->shared = "shared_expert";
    d->shared_gate = "shared_expert_gate";
    d->normalise = true;
    for (size_t i = 0; i < s->layers; i++) model_layer_set(d->sparse, i, true);
done:
    return st;
}

static snug_status parse_common(snug_json config, model_shape *s, bool packed, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    bool           gated;
    d->norm_plus_one = true;
    d->head_norm = NN_HEADS_EACH;
    d->q_norm = "self_attn.q_norm";
    d->k_norm = "self_attn.k_norm";
    s->mlp_bias = false;
    SNUG_TRY(cfg_bool(config, "attn_output_gate", true, &gated, err));
    if (!gated)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "config.json: \"attn_output_gate\" false is not supported");
    d->attention_gated = true;
    SNUG_TRY(parse_layers(config, s, err));
    SNUG_TRY(parse_delta(config, s, packed, err));
done:
    return st;
}

static snug_status qwen3_next(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         step;
    snug_json      dense = snug_json_get(config, "mlp_only_layers");
    SNUG_TRY(parse_common(config, s, true, err));
    SNUG_TRY(parse_experts(config, s, 512, 10, err));
    SNUG_TRY(cfg_bool(config, "norm_topk_prob", true, &d->normalise, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"decoder_sparse_step", NULL, 1, 1, MODEL_LAYERS_MAX},
                      &step, err));
    for (size_t i = 0; i < s->layers; i++)
        model_layer_set(d->sparse, i, d->experts > 0 && (i + 1) % step == 0);
    for (size_t i = 0; snug_json_is(dense, SNUG_JSON_ARRAY) && i < snug_json_count(dense); i++) {
        uint64_t layer;
        if (!snug_json_to_u64(snug_json_at(dense, i), &layer) || layer >= s->layers)
            SNUG_FAIL(err, SNUG_EINVAL, "config.json: \"mlp_only_layers\"[%zu] is no layer", i);
        model_layer_set(d->sparse, (size_t)layer, false);
    }
done:
    return st;
}

static snug_status qwen35(snug_json config, model_shape *s, snug_err *err)
{
    return parse_common(config, s, false, err);
}

static snug_status qwen35_moe(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = parse_common(config, s, false, err);
    return st != SNUG_OK ? st : parse_experts(config, s, 256, 8, err);
}

static const decoder_family next_family = {{151936, 2048, 5632, 48, 16, 2, 256, 32768, .eps = 1e-6,
                                            .theta = 1e4, .partial = 0.25, .sections = true},
                                           qwen3_next},
                            dense_family = {{248320, 4096, 12288, 32, 16, 4, 256, 32768,
                                             .eps = 1e-6, .theta = 1e4, .partial = 0.25,
                                             .sections = true},
                                            qwen35},
                            sparse_family = {{248320, 2048, 5632, 40, 16, 2, 256, 32768,
                                              .eps = 1e-6, .theta = 1e4, .partial = 0.25,
                                              .sections = true},
                                             qwen35_moe};

#define QWEN35_CLASSES(Name)                                                                       \
    (const struct model_class[])                                                                   \
    {                                                                                              \
        {#Name "ForCausalLM", MODEL_HEAD_CAUSAL_LM}, {#Name "TextModel", MODEL_HEAD_NONE},         \
            {NULL, MODEL_HEAD_NONE},                                                               \
    }
#define QWEN35_ROW(type, Name, family)                                                             \
    {                                                                                              \
        .model_type = type, .prefix = "model.", .dialect = &family,                                \
        .classes = QWEN35_CLASSES(Name), .parse = decoder_parse, .bind = decoder_bind,             \
        .forward = decoder_forward, .keeps = decoder_keeps,                                        \
    }

const model_arch arch_qwen_next[] = {
    DECODER_ROW("qwen3_next", Qwen3Next, next_family),
    QWEN35_ROW("qwen3_5_text", Qwen3_5, dense_family),
    QWEN35_ROW("qwen3_5_moe_text", Qwen3_5Moe, sparse_family),
    {0},
};
