/* SPDX-License-Identifier: Apache-2.0 */
/* model/arch/deepseek.c - DeepSeek V2 and V3: attention over a compressed row per token, and many
 * small experts beside a shared one.
 *
 * Queries and keys have a part without positions and a part that turns, which all heads' keys share
 * (run_latent in decoder.c). V2 routes by softmax, with groups ranked by their best expert; V3 by
 * sigmoid with a correction that counts for choosing only, groups ranked by their best two. */
#include "model/decoder_int.h"

#include <math.h>

snug_status decoder_deepseek_experts(snug_json config, model_shape *s, size_t groups,
                                     size_t groups_used, double scale, size_t dense_first,
                                     snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    size_t         shared, first;
    SNUG_TRY(cfg_size(config, (cfg_range){"n_routed_experts", NULL, 64, 1, NN_EXPERTS_MAX},
                      &d->experts, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"num_experts_per_tok", NULL, 8, 1, NN_EXPERTS_USED_MAX},
                      &d->experts_used, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"moe_intermediate_size", NULL, 1408, 1, MODEL_INNER_MAX},
                      &d->expert_inner, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"n_shared_experts", NULL, 1, 0, 64}, &shared, err));
    SNUG_TRY(
        cfg_size(config, (cfg_range){"n_group", NULL, groups, 1, NN_EXPERTS_MAX}, &d->groups, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"topk_group", NULL, groups_used, 1, NN_EXPERTS_MAX},
                      &d->groups_used, err));
    SNUG_TRY(cfg_size(config,
                      (cfg_range){"first_k_dense_replace", NULL, dense_first, 0, MODEL_LAYERS_MAX},
                      &first, err));
    SNUG_TRY(cfg_real(config, "routed_scaling_factor", scale, 0.0, 1e6, &scale, err));
    SNUG_TRY(cfg_bool(config, "norm_topk_prob", true, &d->normalise, err));
    if (d->experts % d->groups != 0 || d->groups_used > d->groups ||
        d->experts_used > d->experts / d->groups * d->groups_used)
        SNUG_FAIL(err, SNUG_EINVAL,
                  "config.json: %zu experts per token out of %zu of %zu groups of %zu experts",
                  d->experts_used, d->groups_used, d->groups, d->experts);
    d->route_scale = (float)scale;
    d->route = NN_ROUTE_SIGMOID;
    d->block = "mlp";
    d->router = "gate";
    d->choice = "gate.e_score_correction_bias";
    d->list = "experts";
    d->expert_gate = "gate_proj", d->expert_up = "up_proj", d->expert_down = "down_proj";
    d->shared = "shared_experts";
    d->shared_inner = shared * d->expert_inner;
    for (size_t i = 0; i < s->layers; i++) model_layer_set(d->sparse, i, i >= first);
    if (snug_json_i64_or(config, "moe_layer_freq", 1) != 1)
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"moe_layer_freq\" is not supported");
done:
    return st;
}

/* Ranks and widths; the scale grows when YaRN asks for it over all dimensions. */
static snug_status parse_latent(snug_json config, model_shape *s, bool interleaved, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    snug_json      q = snug_json_get(config, "q_lora_rank");
    SNUG_TRY(cfg_size(config, (cfg_range){"kv_lora_rank", NULL, 512, 1, MODEL_HIDDEN_MAX},
                      &d->latent_kv, err));
    if (!snug_json_is(q, SNUG_JSON_NULL))
        SNUG_TRY(cfg_size(config, (cfg_range){"q_lora_rank", NULL, 1536, 0, MODEL_HIDDEN_MAX},
                          &d->latent_q, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"qk_nope_head_dim", NULL, 128, 1, MODEL_HEAD_DIM_MAX / 2},
                      &d->nope_dim, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"qk_rope_head_dim", NULL, 64, 2, MODEL_HEAD_DIM_MAX / 2},
                      &d->rope_dim, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"v_head_dim", NULL, 128, 1, MODEL_HEAD_DIM_MAX},
                      &d->v_dim, err));
    s->kv_heads = s->heads;
    s->head_dim = d->nope_dim + d->rope_dim;
    s->value_dim = d->v_dim;
    SNUG_TRY(cfg_rope(config,
                      (cfg_rotary){.width = d->rope_dim,
                                   .positions_max = s->positions_max,
                                   .theta = 10000.0,
                                   .interleaved = interleaved},
                      &s->rope, err));
    d->attention_scale = 1.0f / sqrtf((float)s->head_dim);
    if (s->rope.kind != NN_ROPE_DEFAULT && s->rope.mscale_all_dim != 0.0 && s->rope.factor > 1.0) {
        double grow = 0.1 * s->rope.mscale_all_dim * log(s->rope.factor) + 1.0;
        d->attention_scale *= (float)(grow * grow);
    }
done:
    return st;
}

static snug_status deepseek_v2(snug_json config, model_shape *s, snug_err *err)
{
    snug_status    st = SNUG_OK;
    model_decoder *d = &s->decoder;
    snug_slice     method;
    SNUG_TRY(parse_latent(config, s, true, err));
    SNUG_TRY(decoder_deepseek_experts(config, s, 1, 1, 1.0, 0, err));
    d->choice = NULL;
    d->route = NN_ROUTE_SOFTMAX;
    d->normalise = false; /* the reference does not, whatever norm_topk_prob says */
    SNUG_TRY(cfg_text(config, "topk_method", "greedy", &method, err));
    if (snug_eq_str(method, "greedy"))
        d->groups = 1;
    else if (!snug_eq_str(method, "group_limited_greedy"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "config.json: \"topk_method\" \"%.*s\" is not supported",
                  SNUG_SLICE(method));
done:
    return st;
}

static snug_status deepseek_v3(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    bool        interleaved;
    SNUG_TRY(cfg_bool(config, "rope_interleave", true, &interleaved, err));
    SNUG_TRY(parse_latent(config, s, interleaved, err));
    SNUG_TRY(decoder_deepseek_experts(config, s, 8, 4, 2.5, 3, err));
done:
    return st;
}

/* "dense" or "sparse" for each layer, over what first_k_dense_replace says. */
static snug_status mlp_types(snug_json config, model_shape *s, snug_err *err)
{
    snug_json list = snug_json_get(config, "mlp_layer_types");
    if (snug_json_is(list, SNUG_JSON_ABSENT) || snug_json_is(list, SNUG_JSON_NULL)) return SNUG_OK;
    for (size_t i = 0; i < s->layers; i++) {
        snug_slice name = SNUG_EMPTY;
        (void)snug_json_to_str(snug_json_at(list, i), &name);
        bool sparse = snug_eq_str(name, "sparse");
        if (!sparse && !snug_eq_str(name, "dense"))
            return snug_fail(err, SNUG_EUNSUPPORTED,
                             "config.json: \"mlp_layer_types\" of layer %zu is not supported", i);
        model_layer_set(s->decoder.sparse, i, sparse);
    }
    return SNUG_OK;
}

/* V3.2 attends to the index_topk keys that a small scorer picks. While there are no more keys than
 * that, all are picked, and it computes what V3 does; more are refused. */
static snug_status deepseek_v32(snug_json config, model_shape *s, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_TRY(parse_latent(config, s, true, err));
    SNUG_TRY(decoder_deepseek_experts(config, s, 8, 4, 2.5, 3, err));
    SNUG_TRY(mlp_types(config, s, err));
    SNUG_TRY(cfg_size(config, (cfg_range){"index_topk", NULL, 2048, 1, MODEL_POSITIONS_MAX},
                      &s->keys_max, err));
done:
    return st;
}

static const decoder_family
    v2_family = {{102400, 4096, 11008, 32, 32, 0, 0, 2048, .eps = 1e-6, .theta = 1e4}, deepseek_v2},
    v3_family = {{129280, 7168, 18432, 61, 128, 128, 0, 4096, .eps = 1e-6, .theta = 1e4},
                 deepseek_v3},
    v32_family = {{129280, 7168, 18432, 61, 128, 128, 0, 4096, .eps = 1e-6, .theta = 1e4},
                  deepseek_v32};

const model_arch arch_deepseek[] = {
    DECODER_ROW("deepseek_v2", DeepseekV2, v2_family),
    DECODER_ROW("deepseek_v3", DeepseekV3, v3_family),
    DECODER_ROW("deepseek_v32", DeepseekV32, v32_family),
    {0},
};
